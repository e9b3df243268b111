"""The same program in other libraries, as far as they are installed: NumPy, PyTorch, ONNX Runtime.

A peer is made from a plan (docs/plan_file.md), so it needs no model. It takes events (rows, features) and gives answers
(rows, outputs); all run on one thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

import numpy

from trigrad import _core
from trigrad.export import _plan
from trigrad.export._plan import Plan
from trigrad.realtime._timing import Call, Unavailable

Array: TypeAlias = "numpy.ndarray[Any, Any]"
Layer: TypeAlias = Callable[..., Any]


def floats(constant: Array) -> Array:
    """A constant as float32: bfloat16 is stored as upper halves."""
    if constant.dtype == numpy.uint16:
        return (constant.astype(numpy.uint32) << 16).view(numpy.float32)
    return numpy.ascontiguousarray(constant, dtype=numpy.float32)


def constants_of(plan: Plan, i: int) -> list[Array]:
    """Those of instruction i."""
    return [floats(plan.constants[c]) for c in plan.instructions[i].get("constants", []) if c >= 0]


def weight_and_bias(plan: Plan, i: int) -> tuple[Array, Array | None]:
    """Of a dense layer: (outputs, inputs), (outputs,) or None."""
    weight, *bias = constants_of(plan, i)
    return weight, bias[0].reshape(-1) if bias else None


@cache
def parameters_of(function: str) -> int:
    """How many numbers a function takes besides its tensor."""
    (row,) = (r for r in _core.op_table() if r["name"] == function)
    numbers: int = len(row["params"]) - row["n_tensors"]
    return numbers


# ---- NumPy and PyTorch: layer by layer


def _numpy_functions() -> dict[str, Layer]:
    def sigmoid(x: Array) -> Array:
        made: Array = 1 / (1 + numpy.exp(-x))
        return made

    def softmax(x: Array) -> Array:
        e = numpy.exp(x - x.max(-1, keepdims=True))
        made: Array = e / e.sum(-1, keepdims=True)
        return made

    return {
        "dense": lambda x, w, b: x @ w.T if b is None else x @ w.T + b,
        "softmax": softmax,
        "log_softmax": lambda x: numpy.log(softmax(x)),
        "relu": lambda x: numpy.maximum(x, 0),
        "sigmoid": sigmoid,
        "tanh": numpy.tanh,
        "leaky_relu": lambda x, p: numpy.where(x > 0, x, p * x),
        "elu": lambda x, p: numpy.where(x > 0, x, p * numpy.expm1(numpy.minimum(x, 0))),
        "silu": lambda x: x * sigmoid(x),
        "square": numpy.square,
        "neg": numpy.negative,
        "hardtanh": numpy.clip,
        "softplus": lambda x, p, q: numpy.where(p * x > q, x, numpy.log1p(numpy.exp(numpy.minimum(p * x, q))) / p),
        "where": numpy.where,
        "clip": lambda x, low, high: numpy.minimum(numpy.maximum(x, low), high),
        "concatenate": lambda parts: numpy.concatenate(parts, -1),
    }


def _torch_functions() -> dict[str, Layer]:
    torch = import_module("torch")
    F = torch.nn.functional
    named = {
        name: found
        for row in _core.op_table()
        if (found := getattr(F, name := row["name"], None) or getattr(torch, name, None)) is not None
    }
    return {
        **named,
        "dense": F.linear,
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "where": torch.where,
        "clip": lambda x, low, high: torch.minimum(torch.maximum(x, low), high),
        "concatenate": lambda parts: torch.cat(parts, -1),
    }


def interpreter(plan: Plan, of: dict[str, Layer], tensor: Callable[[Array], Any]) -> Callable[[Any], Any]:
    """The program as calls of the functions `of` a library."""
    wanted = {i.get("function", i["code"]) for i in plan.instructions if i["code"] in ("unary", "dense", "softmax")}
    missing = sorted(wanted - set(of))
    known = {"dense", "unary", "binary", "affine", "prelu", "standardize", "softmax", "log_softmax", "copy", "step"}
    missing += sorted({i["code"] for i in plan.instructions} - known)
    if missing:
        raise Unavailable(f"it has no counterpart here of {', '.join(missing)}")
    binary: dict[str, Layer] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "maximum": lambda a, b: of["where"](a > b, a, b),
    }

    def layer(i: int) -> Callable[[list[Any]], Any]:
        told = plan.instructions[i]
        code, a, b = told["code"], told["a"], told.get("b", -1)
        if code == "dense":
            weight, bias = (None if c is None else tensor(c) for c in weight_and_bias(plan, i))
            dense, relu = of["dense"], of["relu"] if told.get("relu") else None
            return lambda v: dense(v[a], weight, bias) if relu is None else relu(dense(v[a], weight, bias))
        given = [tensor(c) for c in constants_of(plan, i)]
        if code == "unary":
            function = of[told["function"]]
            numbers = [float(n) for n in plan.parameters[i][: parameters_of(told["function"])]]
            return lambda v: function(v[a], *numbers)
        if code == "binary":
            combine = binary[told["function"]]
            return lambda v: combine(v[a], v[b])
        if code == "affine":
            scale, shift = given
            return lambda v: v[a] * scale + shift
        if code == "prelu":
            (slope,) = given
            return lambda v: of["where"](v[a] > 0, v[a], slope * v[a])
        if code == "standardize":
            fill, low, high, offset, factor = given
            return lambda v: (of["clip"](of["where"](v[a] != v[a], fill, v[a]), low, high) - offset) * factor
        if code == "step":
            return lambda v: (v[a] >= 0) * numpy.float32(1)
        if code == "copy":
            begin = told.get("a_offset", 0)
            end = begin + told["count"]
            if told["count"] == plan.width[a]:
                return lambda v: v[a]
            return lambda v: v[a][..., begin:end]
        row = of[code]
        return lambda v: row(v[a])

    steps = [
        (layer(i), plan.instructions[i]["out"], plan.instructions[i]["code"]) for i in range(len(plan.instructions))
    ]
    last, values = steps[-1][1], len(plan.width)

    def call(x: Any) -> Any:
        v: list[Any] = [None] * values
        v[0] = x
        for step, out, code in steps:
            made = step(v)
            v[out] = made if code != "copy" or v[out] is None else of["concatenate"]([v[out], made])
        return v[last]

    return call


# ---- ONNX Runtime

# Functions that ONNX has under one name.
ONNX = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "leaky_relu": "LeakyRelu", "elu": "Elu", "neg": "Neg"}
ONNX |= {"softplus": "Softplus", "softsign": "Softsign", "exp": "Exp", "abs": "Abs", "selu": "Selu"}


def _onnx(plan: Plan) -> bytes:
    """The program as an ONNX file, if it is made of dense layers, norms, sums and functions that ONNX has."""
    onnx = import_module("onnx")
    helper, from_array = onnx.helper, onnx.numpy_helper.from_array
    nodes, constants = [], []
    for i, told in enumerate(plan.instructions):
        code, a, out = told["code"], f"v{told['a']}", f"v{told['out']}"
        function = ONNX.get(told.get("function", ""))
        if function == "Softplus" and plan.parameters[i][0] != 1:
            function = None  # ONNX has no sharper one
        if code == "dense":
            weight, bias = weight_and_bias(plan, i)
            between = f"{out}_relu" if told.get("relu") else out
            constants.append(from_array(weight, f"w{i}"))
            if bias is not None:
                constants.append(from_array(bias, f"b{i}"))
            names = [a, f"w{i}", *([] if bias is None else [f"b{i}"])]
            nodes.append(helper.make_node("Gemm", names, [between], transB=1))
            if told.get("relu"):
                nodes.append(helper.make_node("Relu", [between], [out]))
        elif code == "unary" and function is not None:
            alpha = {"alpha": float(plan.parameters[i][0])} if function in ("LeakyRelu", "Elu") else {}
            nodes.append(helper.make_node(function, [a], [out], **alpha))
        elif code == "binary":
            name = {"maximum": "Max"}.get(told["function"], told["function"].capitalize())
            nodes.append(helper.make_node(name, [a, f"v{told['b']}"], [out]))
        elif code in ("softmax", "log_softmax"):
            nodes.append(helper.make_node("Softmax" if code == "softmax" else "LogSoftmax", [a], [out], axis=-1))
        elif code == "affine":
            for name, constant in zip(("s", "t"), constants_of(plan, i), strict=True):
                constants.append(from_array(constant, f"{name}{i}"))
            nodes.append(helper.make_node("Mul", [a, f"s{i}"], [f"{out}_scaled"]))
            nodes.append(helper.make_node("Add", [f"{out}_scaled", f"t{i}"], [out]))
        else:
            raise Unavailable(f"the ONNX file has no counterpart here of {told.get('function', code)}")
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", width])
        for name, width in (("v0", plan.width[0]), (f"v{plan.instructions[-1]['out']}", plan.y.shape[1]))
    ]
    graph = helper.make_graph(nodes, "model", ends[:1], ends[1:], constants)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def _onnx_runtime(plan: Plan) -> Call:
    """With inputs and outputs bound where they lie, which is its fastest way; bound anew when the number of rows changes."""
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_onnx(plan), options, providers=["CPUExecutionProvider"])
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    outputs, binding = plan.y.shape[1], session.io_binding()
    x = numpy.empty((0, plan.width[0]), numpy.float32)
    y = numpy.empty((0, outputs), numpy.float32)

    def call(events: Array) -> Array:
        nonlocal x, y
        if len(events) != len(x):
            x, y = numpy.empty_like(events), numpy.empty((len(events), outputs), numpy.float32)
            binding.bind_cpu_input(source.name, x)
            binding.bind_output(target.name, "cpu", 0, numpy.float32, y.shape, y.ctypes.data)
        x[:] = events
        session.run_with_iobinding(binding)
        return y

    return call


def _torch(plan: Plan) -> Call:
    torch = import_module("torch")
    run = interpreter(plan, _torch_functions(), lambda c: torch.from_numpy(c.copy()))

    def call(x: Array) -> Any:
        with torch.inference_mode():
            return run(torch.from_numpy(x))

    return call


def _numpy(plan: Plan) -> Call:
    return interpreter(plan, _numpy_functions(), lambda c: c)


@contextmanager
def one_thread(others: bool) -> Iterator[None]:
    """trigrad, and PyTorch if it takes part, with one thread; as they were afterwards."""
    torch = sys.modules.get("torch") if others else None
    here, there = _core.get_num_threads(), torch.get_num_threads() if torch else 0
    _core.set_num_threads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        _core.set_num_threads(here)
        if torch:
            torch.set_num_threads(there)


MAKERS: dict[str, tuple[Callable[[Plan], Call], str]] = {
    "NumPy": (_numpy, ""),
    "PyTorch": (_torch, "pip install torch"),
    "ONNX Runtime": (_onnx_runtime, "pip install onnx onnxruntime"),
}


def peers(content: bytes, x: Array, answers: Array) -> tuple[dict[str, Call], dict[str, str]]:
    """Those that can be had and answer the events x as the predictor does, and why the others cannot.

    x (rows, features), answers (rows, outputs)
    """
    plan = _plan.read(content)
    found: dict[str, Call] = {}
    missing: dict[str, str] = {}
    for name, (make, remedy) in MAKERS.items():
        try:
            call = make(plan)
            said = numpy.asarray(call(x))
        except ImportError as error:
            missing[name] = f"is not installed ({error}): {remedy}"
        except Unavailable as error:
            missing[name] = str(error)
        else:
            finite = numpy.isfinite(answers)
            if numpy.allclose(said[finite], answers[finite], rtol=1e-3, atol=1e-4):
                found[name] = call
            else:
                missing[name] = f"answers differ by up to {numpy.abs(said - answers)[finite].max():.3g}"
    return found, missing
