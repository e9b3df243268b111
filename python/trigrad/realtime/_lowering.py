"""From a model to the program of a predictor: a list of layer instructions over rows (csrc/realtime/program.h)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy

from trigrad import nn
from trigrad._core import Tensor, float32
from trigrad._device import device as Device
from trigrad._device import named
from trigrad.nn.module import Module
from trigrad.realtime._scaler import Scaler

__all__ = ["lower"]

Array: TypeAlias = "numpy.ndarray[Any, Any]"
Precision: TypeAlias = Literal["float32", "bfloat16", "int16", "int8"]


class Program:
    """The instructions so far. A value is a number: the place of its width in `width`; 0 is the event."""

    def __init__(self, features: int) -> None:
        self.width = [features]
        self.instructions: list[dict[str, Any]] = []
        self.refuse_nan = False
        self._now: dict[int, int] = {}  # a value that was overwritten in place -> what it is since

    def new(self, width: int) -> int:
        self.width.append(width)
        return len(self.width) - 1

    def now(self, value: int) -> int:
        """The value as it is after what was done to it in place."""
        while value in self._now:
            value = self._now[value]
        return value

    def add(self, code: str, a: int, width: int | None = None, out: int | None = None, **more: Any) -> int:
        if out is None:
            out = self.new(self.width[a] if width is None else width)
        self.instructions.append({"code": code, "a": a, "out": out, **more})
        return out

    def unary(self, function: str, a: int, p: float = 0.0, q: float = 0.0) -> int:
        return self.add("unary", a, function=function, p=float(p), q=float(q))

    def binary(self, function: str, a: int, b: int) -> int:
        return self.add("binary", a, function=function, b=b)

    def overwrite(self, value: int, made: int) -> int:
        self._now[value] = made
        return made

    def description(self) -> dict[str, Any]:
        return {"width": self.width, "instructions": self.instructions, "refuse_nan": self.refuse_nan}


def _numbers(tensor: Tensor, name: str) -> Array:
    if tensor.dtype is not float32:
        raise TypeError(f"[Predictor] {name} is {tensor.dtype}, expected float32; convert the model with model.float()")
    return numpy.array(tensor.detach().cpu().numpy(), dtype=numpy.float32, order="C")


def _refuse(name: str, module: Module, why: str) -> TypeError:
    place = f"{name} is a {type(module).__name__}" if name else f"the model is a {type(module).__name__}"
    return TypeError(f"[Predictor] {place}, {why}")


# ---- layers: (program, module, its path, value) -> value

Rule: TypeAlias = Callable[[Program, Any, str, int], int]


def _expect(program: Program, module: Module, name: str, value: int, features: int) -> None:
    if program.width[value] != features:
        raise ValueError(
            f"[Predictor] {name or 'the model'} ({type(module).__name__}) takes {features} features, but gets "
            f"{program.width[value]}"
        )


def _linear(program: Program, layer: Any, name: str, value: int) -> int:
    _expect(program, layer, name, value, layer.in_features)
    bias = None if layer.bias is None else _numbers(layer.bias, f"{name}.bias")
    weight = _numbers(layer.weight, f"{name}.weight")
    return program.add("dense", value, layer.out_features, constants=[weight, bias])


def _batch_norm(program: Program, norm: Any, name: str, value: int) -> int:
    _expect(program, norm, name, value, norm.num_features)
    if norm.running_mean is None:
        raise _refuse(name, norm, "without running statistics: its answer would depend on the batch")
    n = norm.num_features
    constants = [
        _numbers(norm.running_mean, f"{name}.running_mean"),
        _numbers(norm.running_var, f"{name}.running_var"),
        numpy.ones(n, "float32") if norm.weight is None else _numbers(norm.weight, f"{name}.weight"),
        numpy.zeros(n, "float32") if norm.bias is None else _numbers(norm.bias, f"{name}.bias"),
    ]
    return program.add("batch_norm", value, constants=constants, eps=float(norm.eps))


def _standardize(program: Program, layer: Any, name: str, value: int) -> int:
    _expect(program, layer, name, value, layer.num_features)
    n = layer.num_features
    limits = [
        numpy.full(n, v, "float32") for v in (numpy.nan, -numpy.inf, numpy.inf)
    ]  # a NaN stays, nothing is clamped
    given = [_numbers(layer.offset, f"{name}.offset"), _numbers(layer.scale, f"{name}.scale")]
    return program.add("standardize", value, constants=limits + given)


def _pointwise(program: Program, module: Any, name: str, value: int) -> int:
    function, parameters = module.function, [float(getattr(module, n)) for n in module.names]
    if function == "relu6":
        function, parameters = "hardtanh", [0.0, 6.0]
    elif function == "gelu" and module.approximate == "tanh":
        function = "gelu_tanh"
    if function == "tanhshrink":
        return program.binary("sub", value, program.unary("tanh", value))
    made = program.unary(function, value, *parameters)
    return program.overwrite(value, made) if module.inplace else made


def _rrelu(program: Program, module: Any, name: str, value: int) -> int:
    made = program.unary("leaky_relu", value, (module.lower + module.upper) / 2)
    return program.overwrite(value, made) if module.inplace else made


def _prelu(program: Program, module: Any, name: str, value: int) -> int:
    slopes, features = _numbers(module.weight, f"{name}.weight"), program.width[value]
    if slopes.size not in (1, features):
        raise _refuse(name, module, f"with {slopes.size} slopes for {features} features")
    return program.add("prelu", value, constants=[numpy.ascontiguousarray(numpy.broadcast_to(slopes, (features,)))])


def _along_row(code: str) -> Rule:
    def rule(program: Program, module: Any, name: str, value: int) -> int:
        if module.dim not in (None, -1, 1):
            raise _refuse(name, module, f"along dim={module.dim}, expected the features of an event: dim=-1")
        return program.add(code, program.unary("neg", value) if type(module) is nn.Softmin else value)

    return rule


def _glu(program: Program, module: Any, name: str, value: int) -> int:
    half, odd = divmod(program.width[value], 2)
    if module.dim not in (-1, 1) or odd:
        raise _refuse(name, module, f"along dim={module.dim} of {program.width[value]} features")
    a, b = (program.add("copy", value, half, a_offset=i * half, out_offset=0, count=half) for i in range(2))
    return program.binary("mul", a, program.unary("sigmoid", b))


def _maxout(program: Program, module: Any, name: str, value: int) -> int:
    return program.add("largest", _linear(program, module.affine, f"{name}.affine", value), module.out_features)


def _same(program: Program, module: Any, name: str, value: int) -> int:
    return value


def _flatten(program: Program, module: Any, name: str, value: int) -> int:
    if module.start_dim != 1 or module.end_dim not in (-1, 1):
        raise _refuse(name, module, "that would join events, expected Flatten(1)")
    return value


# ---- blocks


def _sequential(program: Program, module: Any, name: str, value: int) -> int:
    for key, part in module._modules.items():
        value = _lowered(program, part, f"{name}.{key}" if name else key, value)
    return value


def _residual(program: Program, module: Any, name: str, value: int) -> int:
    made = _lowered(program, module.body, f"{name}.body", value)
    beside = program.now(value)
    if module.shortcut is not None:
        beside = _lowered(program, module.shortcut, f"{name}.shortcut", beside)
    return program.binary("add", beside, program.now(made))


def _highway(program: Program, module: Any, name: str, value: int) -> int:
    gate = program.unary("sigmoid", _lowered(program, module.gate, f"{name}.gate", value))
    layer = _lowered(program, module.layer, f"{name}.layer", value)
    made = _lowered(program, module.activation, f"{name}.activation", layer)
    value, made = program.now(value), program.now(made)  # as layers in place have left them
    return program.binary("add", value, program.binary("mul", gate, program.binary("sub", made, value)))


def _dense_concat(program: Program, module: Any, name: str, value: int) -> int:
    made = _lowered(program, module.body, f"{name}.body", value)
    widths = [program.width[value], program.width[made]]
    out = program.new(sum(widths))
    for part, offset, count in ((program.now(value), 0, widths[0]), (made, widths[0], widths[1])):
        program.add("copy", part, out=out, a_offset=0, out_offset=offset, count=count)
    return out


RULES: dict[type[Module], Rule] = {
    nn.Linear: _linear,
    nn.DropConnect: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.Standardize: _standardize,
    nn.RReLU: _rrelu,
    nn.PReLU: _prelu,
    nn.Step: lambda program, module, name, value: program.add("step", value),
    nn.Softmax: _along_row("softmax"),
    nn.Softmin: _along_row("softmax"),
    nn.LogSoftmax: _along_row("log_softmax"),
    nn.GLU: _glu,
    nn.Maxout: _maxout,
    nn.Identity: _same,
    nn.Dropout: _same,
    nn.AlphaDropout: _same,
    nn.Flatten: _flatten,
    nn.Sequential: _sequential,
    nn.Residual: _residual,
    nn.Highway: _highway,
    nn.DenseConcat: _dense_concat,
}
POINTWISE = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid),
    *(nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Square),
    *(nn.Tanh, nn.Tanhshrink, nn.Threshold),
)
RULES.update(dict.fromkeys(POINTWISE, _pointwise))

SUPPORTED = (
    "Linear, activations, BatchNorm1d, Standardize, Dropout, Residual, Highway, DenseConcat and Sequential of them; if a "
    "class of your own only calls layers one after the other, pass the Sequential of them"
)


def _rule_of(module: Module) -> Rule | None:
    """That of the class whose `forward` the module has: a subclass that changes nothing but its constructor is welcome."""
    for cls in type(module).__mro__:
        if cls in RULES and type(module).forward is cls.forward:
            return RULES[cls]
    return None


def _lowered(program: Program, module: Module, name: str, value: int) -> int:
    rule = _rule_of(module)
    if rule is None:
        raise _refuse(name, module, f"which a predictor does not know. It takes {SUPPORTED}")
    if module._hooks:
        raise _refuse(name, module, "with hooks, which a predictor cannot call; remove them first")
    return rule(program, module, name, program.now(value))


def _features(module: Module) -> int | None:
    """How many features a model takes, as far as its first layers say."""
    for name in ("in_features", "num_features"):
        if isinstance(found := getattr(module, name, None), int):
            return found
    if isinstance(module, nn.PReLU) and module.num_parameters > 1:
        return module.num_parameters
    factor = 1
    for part in module._modules.values():
        if isinstance(part, nn.GLU):
            factor *= 2
        if part is not None and (found := _features(part)) is not None:
            return found * factor
    return None


def lower(
    model: Module,
    batch: int = 1,
    precision: Precision = "float32",
    *,
    calibration: Array | Tensor | None = None,
    raw_logits: bool = False,
    scaler: Scaler | None = None,
    inputs: int | None = None,
    flush_denormals: bool = False,
    lock_memory: bool = False,
    device: str | Device | None = "cpu",
    persistent: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The program of the model in evaluation, and the options of its predictor."""
    if not isinstance(model, Module):
        raise TypeError(f"[Predictor] got a {type(model).__name__}, expected a model: a trigrad.nn.Module")
    if isinstance(batch, bool) or not isinstance(batch, int):
        raise TypeError(f"[Predictor] batch is a {type(batch).__name__}, expected an int: the most rows of a call")
    if not isinstance(precision, str):
        raise TypeError(f"[Predictor] precision is a {type(precision).__name__}, expected its name, such as 'float32'")
    if scaler is not None and not isinstance(scaler, Scaler):
        raise TypeError(f"[Predictor] scaler is a {type(scaler).__name__}, expected a trigrad.realtime.Scaler")
    if inputs is not None and (isinstance(inputs, bool) or not isinstance(inputs, int)):
        raise TypeError(f"[Predictor] inputs is a {type(inputs).__name__}, expected an int: the features of an event")
    found = _features(model) if inputs is None else inputs
    if found is None:
        raise ValueError("[Predictor] no layer says how many features an event has; say inputs=n")
    if found < 1:
        raise ValueError(f"[Predictor] an event has {found} features, expected at least 1")
    program = Program(found)
    value = 0
    if scaler is not None:
        program.refuse_nan = scaler.nan == "refuse"
        constants = scaler.constants(found)
        if scaler.changes(constants):
            value = program.add("standardize", value, constants=constants)
    value = program.now(_lowered(program, model, "", value))
    if raw_logits:
        value = _without_last(program, value)
    if not program.instructions:
        raise ValueError("[Predictor] the model does nothing, expected at least one layer")
    if program.instructions[-1]["out"] != value:
        program.add("copy", value, program.width[value], a_offset=0, out_offset=0, count=program.width[value])
    options = {
        "batch": batch,
        "flush_denormals": flush_denormals,
        "lock_memory": lock_memory,
        "precision": precision,
        "calibration": None if calibration is None else _events(calibration, found),
        "device": device,
        "persistent": persistent,
    }
    return program.description(), options


def place(device: str | Device | None, persistent: bool, batch: int, flush_denormals: bool) -> int | None:
    """The index of the GPU that answers, None for the CPU."""
    kind, index = named("cpu" if device is None else device)
    if kind != "cuda":
        if persistent:
            raise ValueError("[Predictor] persistent is True on cpu, where nothing has to stay; expected device='cuda'")
        return None
    if batch != 1:
        raise ValueError(
            f"[Predictor] batch is {batch} on cuda, expected 1: a predictor takes single events there; for many at once call "
            "the model itself, moved by model.to('cuda')"
        )
    if flush_denormals:
        raise ValueError("[Predictor] flush_denormals is True on cuda, where denormals cost nothing; leave it out")
    return index


def _events(calibration: Array | Tensor, features: int) -> Array:
    given = calibration.detach().cpu().numpy() if isinstance(calibration, Tensor) else numpy.asarray(calibration)
    if given.ndim != 2 or given.shape[1] != features or len(given) == 0:
        raise ValueError(
            f"[Predictor] calibration has shape {given.shape}, expected typical events as rows: (N, {features}), N > 0"
        )
    if given.dtype.kind not in "fiu":
        raise TypeError(f"[Predictor] calibration has dtype {given.dtype}, expected numbers")
    return numpy.ascontiguousarray(given, dtype=numpy.float32)


def _without_last(program: Program, value: int) -> int:
    """What the softmax or sigmoid at the end takes."""
    last = program.instructions[-1] if program.instructions else {}
    if last.get("out") != value or (
        last["code"] not in ("softmax", "log_softmax") and last.get("function") != "sigmoid"
    ):
        raise ValueError(
            "[Predictor] raw_logits: the model does not end in a softmax or sigmoid, so p(x) has its logits"
        )
    program.instructions.pop()
    taken: int = last["a"]
    return taken
