"""How each library answers events: rows of float32 in a NumPy array, answers in another, for latency.py and throughput.py.

To add a peer: a class whose `infer` takes the network, its inputs and weights, and a line in PEERS.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import nets
from cases import Array, Case, net_of, sample_of
from peers import Peer, Variant

CALIBRATION = 1000  # events from which whole-number predictors take their scales
ROUNDED = 0.2  # of the answers' size: the error that their weights of random numbers may have


class Inference(Peer):
    def __init__(self, threads: int) -> None:
        self.threads = threads

    def variants(self, case: Case, inputs: tuple[Array, ...]) -> list[Variant]:
        x, *weights = inputs
        return [
            Variant(label, call, check=lambda call=call: np.array(call()).reshape(len(x), -1)[sample_of(len(x))])  # type: ignore[misc]
            for label, call in self.infer(net_of(case), x, weights).items()
        ]

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        """Ways of answering x (rows, K), each with rows as its result."""
        raise NotImplementedError


class Nothing(Inference):
    """What calling costs the benchmark itself."""

    def variants(self, case: Case, inputs: tuple[Array, ...]) -> list[Variant]:
        expected = nets.answers(net_of(case), inputs[0][sample_of(len(inputs[0]))], list(inputs[1:]))
        return [Variant("", lambda: None, check=lambda: expected)]


class Framework(Inference):
    """PyTorch's names: one model for PyTorch and for trigrad."""

    def __init__(self, threads: int, library: str) -> None:
        super().__init__(threads)
        self.t: Any = importlib.import_module(library)
        self.t.set_num_threads(threads)

    def model(self, net: nets.Net, weights: list[Array]) -> Any:
        nn, layers = self.t.nn, []
        for weight, bias in zip(weights[::2], weights[1::2], strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            with self.t.no_grad():
                layer.weight.copy_(self.t.from_numpy(weight))
                layer.bias.copy_(self.t.from_numpy(bias))
            layers += [layer, nn.ReLU() if net.hidden == "relu" else nn.Tanh()]
        layers[-1:] = {"softmax": [nn.Softmax(-1)], "sigmoid": [nn.Sigmoid()], "": []}[net.output]
        return nn.Sequential(*layers).eval()


def predictor(model: Any, net: nets.Net, batch: int, precision: str) -> Any:
    """Whole numbers are scaled by events that are not those of the test."""
    typical = {"calibration": nets.events(net, CALIBRATION, 4)} if precision.startswith("int") else {}
    made: Any = importlib.import_module("trigrad").realtime.Predictor
    return made(model, batch=batch, precision=precision, **typical)


class Trigrad(Framework):
    def __init__(self, threads: int, precision: str = "float32", given: bool = True) -> None:
        super().__init__(threads, "trigrad")
        self.precision, self.given = precision, given

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        p = predictor(self.model(net, weights), net, len(x), self.precision)
        x = x[0] if len(x) == 1 else x
        out = p(x)
        return {"p(x, out)": lambda: p(x, out)} if self.given else {"p(x)": lambda: p(x)}

    def variants(self, case: Case, inputs: tuple[Array, ...]) -> list[Variant]:
        """Fewer digits are right where they are near: then what they are near to is the answer."""
        found = super().variants(case, inputs)
        if self.precision == "float32":
            return found
        expected = nets.answers(net_of(case), inputs[0][sample_of(len(inputs[0]))], list(inputs[1:]))

        def near(check: Callable[[], Any]) -> Array:
            answer = np.asarray(check()).reshape(expected.shape)
            error = float(np.sqrt(np.mean((answer - expected) ** 2) / np.mean(expected**2)))
            return expected if error < ROUNDED else answer

        return [Variant(v.label, v.call, check=lambda v=v: near(v.check or v.call)) for v in found]  # type: ignore[misc]


class Torch(Framework):
    """Without autograd, entered once; eager, and traced, frozen and optimised."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, "torch")

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        t, model = self.t, self.model(net, weights)
        with t.no_grad():
            frozen = t.jit.freeze(t.jit.trace(model, t.from_numpy(x)))
            script = t.jit.optimize_for_inference(frozen)
        self.mode = t.inference_mode()
        self.mode.__enter__()
        return {
            "eager": lambda: model(t.from_numpy(x)).numpy(),
            "script": lambda: script(t.from_numpy(x)).numpy(),
        }


class Jax(Inference):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)  # it takes the CPUs that the process may run on
        os.environ["JAX_PLATFORMS"] = "cpu"
        if threads == 1:
            os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        self.jax: Any = importlib.import_module("jax")

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        nn = self.jax.nn
        hidden = nn.relu if net.hidden == "relu" else self.jax.numpy.tanh
        last = {"softmax": nn.softmax, "sigmoid": nn.sigmoid, "": lambda z: z}[net.output]

        def forward(x: Any) -> Any:
            layers = list(zip(weights[::2], weights[1::2], strict=True))
            for i, (w, b) in enumerate(layers):
                x = x @ w.T + b
                x = hidden(x) if i + 1 < len(layers) else last(x)
            return x

        compiled = self.jax.jit(forward)
        return {"jit": lambda: np.asarray(compiled(x))}


class NumPy(Inference):
    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        return {"in float32": lambda: nets.answers(net, x, weights, np.float32)}


def onnx_model(net: nets.Net, rows: int, weights: list[Array]) -> bytes:
    onnx: Any = importlib.import_module("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes, constants, value = [], [], "x"
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    for i, (w, b) in enumerate(layers):
        constants += [onnx.numpy_helper.from_array(w, f"w{i}"), onnx.numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
        last = i + 1 == len(layers)
        function = (net.output or "identity") if last else net.hidden
        nodes.append(helper.make_node(function.capitalize(), [f"z{i}"], ["y" if last else f"h{i}"]))
        value = f"h{i}"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", float32, [rows, net.sizes[0]])],
        [helper.make_tensor_value_info("y", float32, [rows, net.sizes[-1]])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialized: bytes = made.SerializeToString()
    return serialized


class OnnxRuntime(Inference):
    """session.run, or with its inputs and outputs bound to NumPy's memory."""

    def __init__(self, threads: int, bound: bool) -> None:
        super().__init__(threads)
        self.ort: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnx")
        self.bound = bound

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        options = self.ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        model = onnx_model(net, len(x), weights)
        session = self.ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        if not self.bound:
            return {"run": lambda: session.run(None, {"x": x})[0]}
        y = np.empty((len(x), net.sizes[-1]), np.float32)
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)

        def call() -> Array:
            session.run_with_iobinding(binding)
            return y

        return {"io_binding": call}


class OpenVino(Inference):
    """One request, with its tensors on NumPy's memory, float32 throughout."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.ov: Any = importlib.import_module("openvino")
        importlib.import_module("onnx")

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        core = self.ov.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY" if len(x) == 1 else "THROUGHPUT",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(self.threads),
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(core.read_model(onnx_model(net, len(x), weights), b""), "CPU", settings)
        request = compiled.create_infer_request()
        request.set_input_tensor(self.ov.Tensor(x, shared_memory=True))
        y = request.get_output_tensor().data

        def call() -> Array:
            request.infer(None, share_outputs=True)
            return y  # type: ignore[no-any-return]

        return {"infer": call}


class Xnnpack(Inference):
    """Operators of the library of 2022 (Debian's), set up once, through ctypes: half a microsecond for each layer."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        found = ctypes.util.find_library("XNNPACK")
        if not found:
            raise ImportError("no libXNNPACK")
        self.lib = ctypes.CDLL(found, mode=ctypes.RTLD_GLOBAL)
        if not hasattr(self.lib, "xnn_setup_softmax_nc_f32") or hasattr(self.lib, "xnn_reshape_softmax_nc_f32"):
            raise ImportError(f"{found} is not of 2022: its functions take other arguments")
        self.check(self.lib.xnn_initialize(None))
        self.pool = None
        if threads > 1:
            create = ctypes.CDLL(ctypes.util.find_library("pthreadpool")).pthreadpool_create
            create.restype = ctypes.c_void_p
            self.pool = ctypes.c_void_p(create(ctypes.c_size_t(threads)))

    @staticmethod
    def check(status: int) -> None:
        if status:
            raise RuntimeError(f"XNNPACK answers {status}")

    def operator(self, name: str, channels: tuple[int, ...], *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        create = getattr(self.lib, f"xnn_create_{name}_nc_f32")
        self.check(create(*map(ctypes.c_size_t, channels), *arguments, ctypes.c_uint32(0), ctypes.byref(made)))
        return made

    def infer(self, net: nets.Net, x: Array, weights: list[Array]) -> dict[str, Callable[[], Any]]:
        if net.hidden != "relu":
            return {}
        operators, rows, at = [], [x], x
        slack = 64  # floats: it may read beyond the end

        def setup(name: str, operator: ctypes.c_void_p, a: Array, width: int) -> Array:
            out = np.empty(len(x) * width + slack, np.float32)[: len(x) * width].reshape(len(x), width)
            setup = getattr(self.lib, f"xnn_setup_{name}_nc_f32")
            pointers = (ctypes.c_void_p(a.ctypes.data), ctypes.c_void_p(out.ctypes.data))
            self.check(setup(operator, ctypes.c_size_t(len(x)), *pointers, self.pool))
            operators.append(operator)
            rows.append(out)
            return out

        for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            (n, k), last = w.shape, 2 * i + 2 == len(weights)
            low = ctypes.c_float(-np.inf if last else 0.0)
            pointers = (ctypes.c_void_p(w.ctypes.data), ctypes.c_void_p(b.ctypes.data))
            dense = self.operator("fully_connected", (k, n, k, n), *pointers, low, ctypes.c_float(np.inf))
            at = setup("fully_connected", dense, at, n)
        if net.output:
            n = net.sizes[-1]
            at = setup(net.output, self.operator(net.output, (n, n, n)), at, n)
        run, pool = self.lib.xnn_run_operator, self.pool

        def call() -> Array:
            for operator in operators:
                run(operator, pool)
            return rows[-1]

        return {"operators": call}


PEERS: dict[str, Callable[[int], Peer]] = {
    "predictor": Trigrad,
    "new output": partial(Trigrad, given=False),
    "bfloat16": partial(Trigrad, precision="bfloat16"),
    "int16": partial(Trigrad, precision="int16"),
    "int8": partial(Trigrad, precision="int8"),
    "ort bound": partial(OnnxRuntime, bound=True),
    "ort run": partial(OnnxRuntime, bound=False),
    "openvino": OpenVino,
    "xnnpack": Xnnpack,
    "torch model": Torch,
    "jax model": Jax,
    "numpy model": NumPy,
    "nothing": Nothing,
}
