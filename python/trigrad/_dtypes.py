"""Facts about element types, the default one, and which of two wins."""

from __future__ import annotations

import math
from typing import TypeAlias

from trigrad import _core
from trigrad._core import Tensor, dtype, get_default_dtype, promote_types, set_default_dtype

__all__ = [
    "can_cast",
    "finfo",
    "get_default_dtype",
    "iinfo",
    "is_floating_point",
    "promote_types",
    "result_type",
    "set_default_dtype",
]

Number: TypeAlias = "float | int | bool"

# Bits of the fraction, largest exponent, decimal digits that always survive.
_FLOATS = {
    _core.float16: (10, 15, 3),
    _core.bfloat16: (7, 127, 2),
    _core.float32: (23, 127, 6),
    _core.float64: (52, 1023, 15),
}


class finfo:
    """The limits of a floating dtype: eps, min, max, tiny, smallest_normal, resolution, bits.

    >>> import trigrad as tg
    >>> tg.finfo(tg.float32).eps
    1.1920928955078125e-07
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        kind = get_default_dtype() if type is None else _core.as_dtype(type)
        if kind not in _FLOATS:
            raise TypeError(f"[finfo] got {kind}, expected a floating dtype; use trigrad.iinfo for integers")
        fraction, exponent, digits = _FLOATS[kind]
        self.bits = 8 * kind.itemsize
        self.dtype = str(kind).partition(".")[2]
        self.eps = 2.0**-fraction
        self.max: float = math.ldexp(2.0 - 2.0**-fraction, exponent)
        self.min = -self.max
        self.tiny = self.smallest_normal = math.ldexp(1.0, 1 - exponent)
        self.resolution = float(f"1e-{digits}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))

    def __repr__(self) -> str:
        numbers = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in numbers)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype: min, max, bits.

    >>> import trigrad as tg
    >>> tg.iinfo(tg.uint8).max
    255
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        kind = _core.as_dtype(type)
        if kind in _FLOATS or kind is _core.bool:
            raise TypeError(f"[iinfo] got {kind}, expected an integer dtype; use trigrad.finfo for floating ones")
        self.bits = 8 * kind.itemsize
        self.dtype = str(kind).partition(".")[2]
        self.max = 2 ** (self.bits - kind.is_signed) - 1
        self.min = -(2 ** (self.bits - 1)) if kind.is_signed else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


def is_floating_point(input: Tensor) -> bool:
    """Has `input` a floating dtype?

    input (...) -> a bool, whatever the shape

    >>> import trigrad as tg
    >>> tg.is_floating_point(tg.ones(1)), tg.is_floating_point(tg.arange(1))
    (True, False)
    """
    return input.is_floating_point()


def _category(kind: dtype) -> int:
    """bool < integers < floating."""
    return 0 if kind is _core.bool else 2 if kind.is_floating_point else 1


def can_cast(from_: dtype, to: dtype) -> bool:
    """May results of dtype `from_` be written into a tensor of dtype `to`?

    >>> import trigrad as tg
    >>> tg.can_cast(tg.float64, tg.float32), tg.can_cast(tg.float32, tg.int64)
    (True, False)
    """
    return _category(_core.as_dtype(from_)) <= _category(_core.as_dtype(to))


def result_type(tensor1: Tensor | Number, tensor2: Tensor | Number) -> dtype:
    """The dtype in which two operands are combined.

    tensors (...) of any shapes, which do not count, or numbers -> a dtype

    >>> import trigrad as tg
    >>> tg.result_type(tg.ones(2, dtype=tg.int32), 1.5)
    trigrad.float32
    """
    ranked: dict[int, dtype] = {}  # tensors with dimensions, then 0-d tensors, then Python numbers
    for operand in (tensor1, tensor2):
        if isinstance(operand, Tensor):
            level, kind = (0 if operand.ndim else 1), operand.dtype
        else:
            level, kind = 2, _core.from_nested(operand, None).dtype
        ranked[level] = promote_types(ranked[level], kind) if level in ranked else kind
    result = ranked[min(ranked)]
    for level in sorted(ranked):  # a lower rank counts where it brings a higher category
        if _category(ranked[level]) > _category(result):
            result = ranked[level]
    return result
