"""Functions of single elements that are more than one pointwise row, and PyTorch's second names of those that are one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from trigrad import _core, _creation, _dtypes, ops
from trigrad._core import Tensor
from trigrad._in_place import in_place, replaced
from trigrad._taped import as_it_was, is_recorded, with_values

__all__ = [
    "absolute",
    "add",
    "addcdiv",
    "addcmul",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "copysign",
    "deg2rad",
    "div",
    "divide",
    "fix",
    "float_power",
    "frac",
    "gelu",
    "greater",
    "greater_equal",
    "isneginf",
    "isposinf",
    "lerp",
    "less",
    "less_equal",
    "logaddexp",
    "multiply",
    "nan_to_num",
    "negative",
    "not_equal",
    "positive",
    "rad2deg",
    "relu6",
    "round",
    "rsub",
    "signbit",
    "sub",
    "subtract",
    "tanhshrink",
    "true_divide",
    "xlogy",
]

Operand: TypeAlias = "Tensor | float"  # an int or a bool is a float to Python's types


# Integers whose bits are those of the float, and so their sign.
SAME_SIGN = {_core.float32: _core.int32, _core.float64: _core.int64}
LARGEST = {kind: _dtypes.finfo(kind).max for kind in (_core.float16, _core.bfloat16, _core.float32, _core.float64)}


def floating(x: Operand) -> bool:
    return x.is_floating_point() if isinstance(x, Tensor) else isinstance(x, float)


def integral(a: Operand, b: Operand) -> bool:
    """Is neither floating point?"""
    return not (floating(a) or floating(b))


def integral_multiple(name: str, other: Operand, alpha: float) -> Operand:
    """alpha other, of integers and masks."""
    if type(alpha) is float:
        raise RuntimeError(f"[{name}] got alpha={alpha} for integers, expected an integer; cast them with .float()")
    if not isinstance(other, Tensor):
        return other * alpha
    return ops.mul(other, bool(alpha) if other.dtype is _core.bool else alpha)


# ---- sums, differences and quotients


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input + alpha other, rounded once. Of two masks: or.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.add(tg.tensor([1.0, 2.0]), tg.tensor([10.0, 20.0]), alpha=2)
    tensor([21., 42.])
    """
    if alpha == 1:
        return ops.add(input, other)
    if integral(input, other):
        return ops.add(input, integral_multiple("add", other, alpha))
    return ops.native_add(input, other, alpha)


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input - alpha other, rounded once.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.sub(tg.tensor([1.0, 2.0]), 0.5)
    tensor([0.5000, 1.5000])
    """
    if alpha == 1:
        return ops.sub(input, other)
    if integral(input, other):
        return ops.sub(input, integral_multiple("sub", other, alpha))
    return ops.native_add(input, other, -alpha)


def rsub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """other - alpha input.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.rsub(tg.tensor([1.0, 2.0]), 5)
    tensor([4., 3.])
    """
    return sub(other, input, alpha=alpha)


Rounding: TypeAlias = Literal["trunc", "floor"] | None


def check_rounding(rounding_mode: Rounding) -> None:
    if rounding_mode not in (None, "trunc", "floor"):
        raise RuntimeError(f"[div] got rounding_mode={rounding_mode!r}, expected None, 'trunc' or 'floor'")


def div(input: Operand, other: Operand, *, rounding_mode: Rounding = None) -> Tensor:
    """input / other. Integers give floats, but with rounding_mode 'trunc' (towards 0) or 'floor' (down) integers.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.div(tg.tensor([1, 2]), 4)
    tensor([0.2500, 0.5000])
    >>> tg.div(tg.tensor([7, -7]), 2, rounding_mode="floor")
    tensor([ 3, -4])
    """
    if rounding_mode is None:
        return ops.div(input, other)
    check_rounding(rounding_mode)
    return ops.native_div_trunc(input, other) if rounding_mode == "trunc" else ops.floor_divide(input, other)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value tensor1 tensor2.

    input, tensor1, tensor2 (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.addcmul(tg.tensor([1.0]), tg.tensor([2.0]), tg.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    product = ops.mul(tensor1, tensor2)
    if value == 1:
        return ops.add(input, product)
    if integral(input, product):
        return add(input, product, alpha=int(value))
    return ops.native_add(input, product, value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value tensor1 / tensor2.

    input, tensor1, tensor2 (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.addcdiv(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([2.0]), value=2)
    tensor([4.])
    """
    return add(input, quotient(tensor1, tensor2), alpha=value)


def quotient(tensor1: Tensor, tensor2: Tensor) -> Tensor:
    if integral(tensor1, tensor2):
        raise RuntimeError("[addcdiv] got two integer tensors, expected one of floats; cast one with .float()")
    return ops.div(tensor1, tensor2)


def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """input + weight (end - input): from `input` at weight 0 to `end` at 1, exact at both.

    input, end (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.lerp(tg.tensor([0.0, 10.0]), tg.tensor([4.0, 20.0]), 0.25)
    tensor([ 1.0000, 12.5000])
    """
    for name, x in (("end", end), ("weight", weight)):
        if isinstance(x, Tensor) and x.dtype is not input.dtype:
            raise RuntimeError(f"[lerp] {name} is {x.dtype}, expected {input.dtype} as input; cast it with .to()")
    if not isinstance(weight, Tensor):
        return ops.native_lerp(input, end, weight)
    near = ops.lt(ops.abs(weight), 0.5)  # the start is the nearer end
    start, share = ops.where(near, input, end), ops.where(near, weight, ops.sub(weight, 1))
    return ops.add(start, ops.mul(share, ops.sub(end, input)))


# ---- rounding and bounds


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Each element rounded to the nearest integer, or to `decimals` digits after the point; halves to even.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.round(tg.tensor([-1.5, 0.5, 2.7]))
    tensor([-2.,  0.,  3.])
    >>> tg.round(tg.tensor([123.456]), decimals=1)
    tensor([123.5000])
    >>> tg.round(tg.tensor([123.456]), decimals=-1)
    tensor([120.])
    """
    if not isinstance(decimals, int):
        raise TypeError(f"[round] decimals is a {type(decimals).__name__}, expected an integer")
    if decimals == 0:
        return ops.round(input)
    if not input.is_floating_point():
        raise NotImplementedError(f"[round] got decimals for {input.dtype}, expected floats; cast it with .float()")
    scale = 10.0 ** abs(decimals)
    return ops.native_round(input, scale, 1) if decimals > 0 else ops.native_round(input, 1, scale)


def frac(input: Tensor) -> Tensor:
    """What trunc cuts off: input - trunc(input).

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.frac(tg.tensor([1.5, -2.25]))
    tensor([ 0.5000, -0.2500])
    """
    return ops.sub(input, ops.trunc(input))


def clamp(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Each element, but not less than `min` nor greater than `max`, which may be numbers or tensors.

    input, min, max (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.clamp(tg.tensor([-1.5, 0.0, 2.0]), -1, 1)
    tensor([-1.,  0.,  1.])
    >>> tg.clamp(tg.tensor([-1.5, 0.0, 2.0]), min=tg.tensor([0.0, 1.0, 1.0]))
    tensor([0., 1., 2.])
    """
    if not isinstance(min, Tensor) and not isinstance(max, Tensor):
        if min is None and max is None:
            raise RuntimeError("[clamp] got neither min nor max, expected at least one of them")
        return ops.clamp(input, min, max)
    if min is not None:
        input = _bounded(ops.maximum, ops.lt, input, min)
    return input if max is None else _bounded(ops.minimum, ops.gt, input, max)


def _bounded(value: Callable[..., Tensor], beyond: Callable[..., Tensor], input: Tensor, bound: Operand) -> Tensor:
    """On the bound the gradient is the input's, as in PyTorch, and not a half each as by maximum and minimum."""
    if not is_recorded(input, bound):
        return value(input, bound)
    outside = beyond(input, bound)
    if isinstance(bound, Tensor):
        outside = ops.logical_or(outside, ops.ne(bound, bound))  # NaN
    return with_values(ops.where(outside, bound, input), value, input, bound)


def clamp_min(input: Tensor, min: Operand) -> Tensor:
    """Each element, but not less than `min`.

    input, min (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.clamp_min(tg.tensor([-1.5, 2.0]), 0)
    tensor([0., 2.])
    """
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Operand) -> Tensor:
    """Each element, but not greater than `max`.

    input, max (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.clamp_max(tg.tensor([-1.5, 2.0]), 0)
    tensor([-1.5000,  0.0000])
    """
    return clamp(input, max=max)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers for NaN (0) and the infinities (the largest finite numbers); integers are what they are.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nan_to_num(tg.tensor([1.5, float('nan'), float('inf')]), posinf=100.0)
    tensor([  1.5000,   0.0000, 100.0000])
    """
    if not input.is_floating_point():
        return input.clone()
    largest = LARGEST[input.dtype]
    result = ops.native_nan_to_num(input, largest if posinf is None else posinf, -largest if neginf is None else neginf)
    return result if not nan else ops.where(ops.isnan(input), float(nan), result)


# ---- signs and infinities


def signbit(input: Tensor) -> Tensor:
    """Which elements are negative, -0 among them?

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.signbit(tg.tensor([-1.0, -0.0, 0.0]))
    tensor([ True,  True, False])
    """
    integers = SAME_SIGN.get(input.dtype)
    return ops.lt(input.view(integers) if integers else input, 0)


def copysign(input: Tensor, other: Operand) -> Tensor:
    """The magnitude of `input` with the sign of `other`.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.copysign(tg.tensor([1.0, -2.0]), -0.0)
    tensor([-1., -2.])
    """
    magnitude = ops.abs(input)
    if not isinstance(other, Tensor) or other.dtype is not input.dtype or not input.is_floating_point():
        kind = _dtypes.result_type(input, other)
        magnitude = ops.cast(magnitude, kind if kind.is_floating_point else _dtypes.get_default_dtype())
    if not isinstance(other, Tensor):
        return ops.neg(magnitude) if math.copysign(1, other) < 0 else magnitude
    return ops.where(signbit(other), ops.neg(magnitude), magnitude)


def isposinf(input: Tensor) -> Tensor:
    """Which elements are +inf?

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.isposinf(tg.tensor([float('inf'), -float('inf'), 1.0]))
    tensor([ True, False, False])
    """
    return ops.eq(input, math.inf)


def isneginf(input: Tensor) -> Tensor:
    """Which elements are -inf?

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.isneginf(tg.tensor([float('inf'), -float('inf'), 1.0]))
    tensor([False,  True, False])
    """
    return ops.eq(input, -math.inf)


def positive(input: Tensor) -> Tensor:
    """The tensor itself, as +input.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.positive(tg.tensor([-1.0]))
    tensor([-1.])
    """
    return +input


# ---- powers, logarithms, angles


def float_power(input: Operand, exponent: Operand) -> Tensor:
    """input to the power of exponent, in float64.

    input, exponent (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.float_power(tg.tensor([2]), -1)
    tensor([0.5000], dtype=trigrad.float64)
    """
    wide = [x.double() if isinstance(x, Tensor) else float(x) for x in (input, exponent)]
    return ops.pow(wide[0], wide[1])


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)), without overflow.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.logaddexp(tg.tensor([0.0, 1000.0]), tg.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0007e+03])
    """
    distance = nan_to_num(ops.abs(ops.sub(input, other)), posinf=math.inf)  # of equal infinities 0
    return ops.sub(ops.maximum(input, other), ops.logsigmoid(distance))


def xlogy(input: Operand, other: Operand) -> Tensor:
    """input log(other), and 0 where `input` is 0 and `other` not NaN.

    input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> tg.xlogy(tg.tensor([0.0, 2.0]), tg.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    where = next((v.device for v in (input, other) if isinstance(v, Tensor)), None)
    x, y = (v if isinstance(v, Tensor) else _creation.tensor(v, device=where) for v in (input, other))
    if x.dtype is not y.dtype:
        kind = _dtypes.result_type(x, y)
        y = ops.cast(y, kind) if kind.is_floating_point else y
    # The zero takes a logarithm that is no number: it is not computed, else 0 inf and its gradient were NaN.
    endless = ops.logical_or(ops.le(y, 0), ops.eq(y, math.inf))
    log = ops.log(ops.where(ops.logical_and(ops.eq(x, 0), endless), 1.0, y))
    return ops.add(ops.mul(x, log), 0.0)  # 0 log(0.5) is 0, not -0


def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.deg2rad(tg.tensor([180.0]))
    tensor([3.1416])
    """
    return ops.mul(input, math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.rad2deg(tg.tensor([3.0]))
    tensor([171.8873])
    """
    return ops.mul(input, 180 / math.pi)


# ---- activations


def gelu(input: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """input times the normal distribution's cumulative, exactly or with tanh for the error function.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.gelu(tg.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate == "none":
        return ops.gelu(input)
    if approximate != "tanh":
        raise RuntimeError(f"[gelu] got approximate={approximate!r}, expected 'none' or 'tanh'")
    return ops.gelu_tanh(input)


def relu6(input: Tensor) -> Tensor:
    """Each element, held between 0 and 6.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.relu6(tg.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return ops.hardtanh(input, 0, 6)


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input), elementwise.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.tanhshrink(tg.tensor([0.0, 2.0]))
    tensor([0.0000, 1.0360])
    """
    return ops.sub(input, ops.tanh(input))


# ---- in place: methods only

in_place_add, in_place_sub, in_place_div = Tensor.add_, Tensor.sub_, Tensor.div_  # of the rows


def add_(self: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """self + alpha other, written into self."""
    if alpha == 1:
        return in_place_add(self, other)
    if integral(self, other):
        return in_place_add(self, integral_multiple("add_", other, alpha))
    return self.native_add_(other, alpha)


def sub_(self: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """self - alpha other, written into self."""
    if alpha == 1:
        return in_place_sub(self, other)
    if integral(self, other):
        return in_place_sub(self, integral_multiple("sub_", other, alpha))
    return self.native_add_(other, -alpha)


def div_(self: Tensor, other: Operand, *, rounding_mode: Rounding = None) -> Tensor:
    """self / other, written into self."""
    if rounding_mode is None:
        return in_place_div(self, other)
    check_rounding(rounding_mode)
    return self.native_div_trunc_(other) if rounding_mode == "trunc" else self.floor_divide_(other)


def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """self + value tensor1 tensor2, written into self."""
    product = ops.mul(tensor1, tensor2)
    return add_(self, product, alpha=int(value) if integral(self, product) else value)


def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """self + value tensor1 / tensor2, written into self."""
    return add_(self, quotient(tensor1, tensor2), alpha=value)


def lerp_(self: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """self + weight (end - self), written into self."""
    if isinstance(weight, Tensor) or end.dtype is not self.dtype:
        return replaced("lerp_", self, lerp(as_it_was(self, end, weight), end, weight))
    return self.native_lerp_(end, weight)


METHODS = (
    *(add, sub, div, addcmul, addcdiv, lerp, round, frac, clamp, clamp_min, clamp_max, nan_to_num, signbit, copysign),
    *(isposinf, isneginf, positive, float_power, logaddexp, xlogy, deg2rad, rad2deg),
    *(add_, sub_, div_, addcmul_, addcdiv_, lerp_),
    *(in_place(f) for f in (round, frac, clamp, clamp_min, clamp_max, nan_to_num, copysign, float_power)),
    *(in_place(f) for f in (xlogy, deg2rad, rad2deg)),
)

# ---- second names

absolute = ops.abs
negative = ops.neg
multiply = ops.mul
subtract = sub
divide = true_divide = div
arccos, arcsin, arctan, arctan2 = ops.acos, ops.asin, ops.atan, ops.atan2
arccosh, arcsinh, arctanh = ops.acosh, ops.asinh, ops.atanh
fix = ops.trunc
clip = clamp
greater, greater_equal, less, less_equal, not_equal = ops.gt, ops.ge, ops.lt, ops.le, ops.ne

# Of methods too, in place as well.
ALIASES = {
    "absolute": "abs",
    "negative": "neg",
    "multiply": "mul",
    "subtract": "sub",
    "divide": "div",
    "true_divide": "div",
    "fix": "trunc",
    "clip": "clamp",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    **{f"arc{name}": f"a{name}" for name in ("cos", "sin", "tan", "tan2", "cosh", "sinh", "tanh")},
}
