"""Inputs for every op of the table: `samples(row, dtype)` small ones of many shapes, `large(row, dtype)` one that several
threads share. Rows of pointwise.def and their derivatives are sampled by rule, kernel ops as samples_kernels.py says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import samples_indexing
import samples_kernels
import samples_ordering
import samples_shaping
import samples_update
from samples_base import LARGE, SAMPLES
from values import BROADCASTS, SIZES, Array, Sample, real, whole

ROOMS = (
    samples_kernels,
    samples_indexing,
    samples_shaping,
    samples_ordering,
    samples_update,
)  # each fills SAMPLES and LARGE

# ---------------------------------------------------------------- signatures


@dataclass(frozen=True)
class Param:
    kind: str  # Tensor, Tensors, Int, Float, Number, Bool, Type, Text, Axes, Shape
    name: str
    optional: bool  # may be None
    default: str | None  # as written, None where there is none

    @property
    def is_tensor(self) -> bool:
        return self.kind in ("Tensor", "Tensors")


def parse(signature: str) -> list[Param]:
    """The parameters of "name(Tensor a, Tensor? b=None, Float eps=1e-05)"."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    found = []
    for text in filter(None, inside.split(", ")):
        match = re.fullmatch(r"(\w+)(\??) (\w+)(?:=(.*))?", text)
        assert match, text
        found.append(Param(match[1], match[3], bool(match[2]), match[4]))
    return found


def default_of(param: Param) -> Any:
    text = param.default
    assert text is not None, f"{param.name} has no default"
    if text == "None":
        return None
    if param.kind == "Bool":
        return text == "True"
    if param.kind == "Int":
        return int(text)
    if param.kind in ("Float", "Number"):
        return float(text)
    return text.strip("'")  # Text, Type


# ---------------------------------------------------------------- pointwise rows

# Where the derivatives exist and finite differences see no pole: low and high of each argument. Arguments of one sign
# (and away from 0) let the differences shrink with the argument.
DOMAIN: dict[str, tuple[tuple[float, float], ...]] = {
    "sqrt": ((0.1, 4),),
    "rsqrt": ((0.1, 4),),
    "log": ((0.1, 8),),
    "log1p": ((-0.5, 4),),
    "reciprocal": ((0.3, 3),),
    "div": ((-2, 2), (0.3, 3)),
    "pow": ((0.2, 3), (-2, 3)),
    "exp": ((-4, 4),),
    "tanh": ((-4, 4),),
    "sigmoid": ((-6, 6),),
    "sin": ((-9, 9),),
    "cos": ((-9, 9),),
    "tan": ((-1.2, 1.2),),
    "log2": ((0.1, 8),),
    "log10": ((0.1, 8),),
    "asin": ((-0.5, 0.5),),
    "acos": ((-0.5, 0.5),),
    "acosh": ((1.25, 4),),
    "atanh": ((-0.5, 0.5),),
    "atan2": ((0.75, 2), (-2, 2)),
    "hypot": ((0.3, 2), (0.3, 2)),
    "mish": ((-6, 6),),
    "logsigmoid": ((-6, 6),),
}
# Pieces that meet at multiples of 1/8: arguments stay half way between those.
PIECEWISE = {
    "abs", "sign", "floor", "ceil", "round", "trunc", "clamp", "relu", "leaky_relu", "elu", "selu", "maximum", "minimum",
    "softplus", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "celu", "softsign", "hardtanh",
    "hardsigmoid", "hardswish", "threshold", "hardshrink", "softshrink", "native_round",
}  # fmt: skip
# Parameters of the rows that have some, in the order of the signature.
PARAMETERS: dict[str, tuple[tuple[float, ...], ...]] = {
    "clamp": ((-0.5, 0.75),),
    "leaky_relu": ((0.01,), (0.125,)),
    "elu": ((1.0,), (1.5,)),
    "softplus": ((1.0, 20.0), (2.0, 1.0)),
    "celu": ((1.0,), (1.5,)),
    "hardtanh": ((-1.0, 1.0), (-0.5, 0.75)),
    "threshold": ((0.5, 0.25),),
    "hardshrink": ((0.5,), (0.125,)),
    "softshrink": ((0.5,), (0.125,)),
    "native_add": ((2.5,), (-1.0,)),
    "native_lerp": ((0.25,), (0.75,)),
    "native_round": ((4.0, 1.0), (1.0, 2.0)),
    "native_nan_to_num": ((9.0, -8.0),),
}
# Pieces that meet further out: at multiples of 1/2.
WIDE_PIECES = {"hardsigmoid", "hardswish"}
ARGUMENTS = ("input", "other")  # of a pointwise row; its derivatives have grad_grad, grad and output besides
TESTS = {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"}
QUOTIENTS = {"remainder", "floor_divide", "fmod", "native_div_trunc"}

NO_FLOATS = ("integers", "bits")  # classes of dtypes

_DERIVATIVE = re.compile(r"(\w+?)_(double_)?backward(?:_([ab]{1,2}))?")


def derivative_of(name: str) -> tuple[str, int, str] | None:
    """("tanh", 2, "aa") for tanh's second derivative; None for what is no derivative of a pointwise row."""
    match = _DERIVATIVE.fullmatch(name)
    if not match or name in SAMPLES:
        return None
    order = 2 if match[2] else 1
    return match[1], order, match[3] or "a" * order


class _Output:
    """Stands for the tensor `output` of a derivative row: f of the row's other tensors."""


OUTPUT = _Output()


def _arguments(base: str, arity: int, shapes: tuple[tuple[int, ...], ...], t: str) -> tuple[Array, ...]:
    limits = DOMAIN.get(base, ((-2.0, 2.0), (-2.0, 2.0)))
    if base in QUOTIENTS:  # dividends that lie well between the multiples of the divisors 1, 2, 4
        divisors = np.array([1, 2, 4, -1, -2, -4], t)[whole(shapes[1], base + "1", "int64", 0, 6)]
        return np.asarray(whole(shapes[0], base + "0", t, -9, 9) + np.array(0.5, t)), np.asarray(divisors)
    found = []
    for k in range(arity):
        if t.startswith("int"):
            found.append(np.asarray(whole(shapes[k], base + str(k), t, -9, 9)))
        elif base in PIECEWISE:
            grid = whole(shapes[k], base + str(k), t, -16, 16)
            between = 0.0 if base in TESTS or k else 0.5  # comparisons want equal values too
            found.append(np.asarray((grid + np.array(between, t)) / np.array(2 if base in WIDE_PIECES else 8, t)))
        else:
            found.append(real(shapes[k], base + str(k), t, *limits[k]))
    return tuple(found)


def pointwise(row: dict[str, Any], t: str, shapes: Any = None) -> Iterator[Sample]:
    """Samples of a row of pointwise.def or of one of its derivatives. Inputs: [[grad_grad,] grad,] input [, other] [, output]."""
    params = parse(row["signature"])
    tensors = [p.name for p in params if p.is_tensor]
    names = [p.name for p in params if not p.is_tensor]
    derivative = derivative_of(row["name"])
    base = derivative[0] if derivative else row["name"]
    arity = len([n for n in tensors if n in ARGUMENTS])
    if row["pointwise"]["dtypes"] in NO_FLOATS:
        t = "int64"
    if shapes is None:
        shapes = (
            [(n,) for n in SIZES] + [(), (3, 0, 2), (3, 5, 7), (2, 1, 3, 1, 2, 1, 2, 1)] if arity == 1 else BROADCASTS
        )
    for choice in PARAMETERS.get(base, ((),)):
        attrs = dict(zip(names, choice, strict=True))
        for shape in shapes:
            of_arguments = (shape,) if arity == 1 else shape
            whole_shape = np.broadcast_shapes(*of_arguments)
            values: list[Any] = list(_arguments(base, arity, of_arguments, t))
            values = [real(whole_shape, n, t, 0.5, 1.5) for n in ("grad_grad", "grad") if n in tensors] + values
            if "output" in tensors:
                values.append(OUTPUT)
            yield Sample(f"{shape} {choice or ''}".strip(), tuple(values), attrs)


def required(row: dict[str, Any]) -> dict[str, float]:
    """Parameters of a pointwise row that has no defaults for them."""
    names = [p.name for p in parse(row["signature"]) if not p.is_tensor and p.default is None]
    return dict(zip(names, PARAMETERS[row["name"]][0], strict=True)) if names else {}


def samples(row: dict[str, Any], t: str) -> Iterator[Sample]:
    """The small samples of a row of `op_table()`."""
    if row["name"] in SAMPLES:
        yield from SAMPLES[row["name"]](t)
    elif row["pointwise"]:
        yield from pointwise(row, t)
    else:
        raise LookupError(f"tests/samples.py has no samples for the op {row['name']}")


def large(row: dict[str, Any], t: str) -> Sample:
    """One sample that is long enough for several threads."""
    if row["name"] in LARGE:
        return LARGE[row["name"]](t)
    arity = len([p for p in parse(row["signature"]) if p.name in ARGUMENTS])
    shape = (97, 403) if row["pointwise"]["dtypes"] == "floats" else (193, 803)  # the former take longer
    return next(pointwise(row, t, [shape if arity == 1 else (shape, shape[1:])]))
