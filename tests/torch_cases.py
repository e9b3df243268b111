"""How the calls are drawn that trigrad and PyTorch both make: shapes, layouts, dtypes, values and arguments.

A `Case` names a function and says how to draw its arguments; the tables are in torch_cases_*.py. Nothing here needs
PyTorch: the fuzzer draws from the same tables without it. Arguments are arrays, dtype names (`Dtype`) and plain values;
a dict at the end holds keywords.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray
Shape = tuple[int, ...]

FLOATS = ("float32", "float64")
INTEGERS = ("int64", "int32", "uint8")
NUMBERS = FLOATS + INTEGERS
ALL = (*NUMBERS, "bool")
LENGTHS = (0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65)  # nothing, one, and around the widths of vectors
LAYOUTS = ("plain", "transposed", "stepped", "reversed", "expanded", "offset")
SPECIAL = (0.0, -0.0, math.inf, -math.inf, math.nan, 1e-40, 1.0, -1.0, 0.5, -2.5, 100.0, -100.0)
MOST_ELEMENTS = 5000


def words(text: str) -> list[str]:
    return text.split()


class Dtype(str):
    """The name of a dtype; each library gets its own object for it."""


@dataclass(frozen=True)
class Case:
    """One public function. `ours` and `torch` say where it is ("Tensor.view"), unless it is the name. `scale` says what
    is summed: the inputs, or their products; with `ties` the second result has indices, and of equal elements any may
    be named; `view` asks for the same strides too; of a `random` result only shape and dtype are compared."""

    name: str
    draw: Callable[[Draw], Sequence[Any]]
    torch: str = ""
    ours: str = ""
    scale: str = "inputs"
    ties: bool = False
    view: bool = False
    random: bool = False
    label: str = ""
    method: bool = True  # compare the method of this name, and the in-place variant, where PyTorch has them
    inplace: bool = True

    def __str__(self) -> str:
        return f"{self.name}{' ' if self.label else ''}{self.label}"


class Draw:
    """Draws arguments; the last array drawn is what dim() and the like refer to."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self._draw = draw
        self.last: Array = np.zeros(())

    # ---- plain values

    def pick(self, *choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def integer(self, low: int, high: int) -> int:
        return int(self._draw(st.integers(low, high)))

    def flag(self) -> bool:
        return bool(self._draw(st.booleans()))

    def rarely(self) -> bool:
        """For what is to be refused."""
        return self.integer(0, 15) == 7

    def number(self) -> Any:
        """Numbers that float32 holds exactly."""
        return self.pick(2, 0.5, 3, -1.5, 1, 0, -2, 0.25, True)

    def dtype(self, *names: str) -> Dtype:
        return Dtype(self.pick(*(names or ALL)))

    def keywords(self, **options: Sequence[Any]) -> dict[str, Any]:
        """Each option is left out, or has one of its values."""
        return {name: self.pick(*values) for name, values in options.items() if self.flag()}

    # ---- shapes and axes

    def shape(self, low: int = 0, high: int = 4, least: int = 0) -> Shape:
        """Of `low` to `high` axes, each at least `least` long."""
        room, lengths = MOST_ELEMENTS, []
        for _ in range(self.integer(low, high)):
            lengths.append(self._draw(st.sampled_from([n for n in LENGTHS if least <= n <= max(room, least, 1)])))
            room //= max(1, lengths[-1])
        return tuple(reversed(lengths)) if self.flag() else tuple(lengths)

    def dim(self, extra: int = 0) -> int:
        """An axis of the last array (of one with `extra` more), counted from either end; rarely there is none such."""
        rank = max(1, self.last.ndim + extra)
        if self.rarely():
            return self.pick(rank, -rank - 1, 9)
        return self.integer(-rank, rank - 1)

    def dims(self) -> tuple[int, ...]:
        rank = self.last.ndim
        axes = self._draw(st.sets(st.integers(0, max(rank, 1) - 1), max_size=rank))
        found = [a - rank if rank and self.flag() else a for a in axes]
        if self.rarely():
            found.append(self.pick(rank + 1, found[0] if found else -9))
        return tuple(found)

    def axes(self) -> Any:
        """What reductions take: an axis, several, or none."""
        kind = self.integer(0, 3)
        return None if kind == 0 else self.dims() if kind == 1 else self.dim()

    # ---- arrays

    def x(
        self,
        low: int = 0,
        high: int = 4,
        dtypes: Sequence[str] = ALL,
        *,
        least: int = 0,
        shape: Shape | None = None,
        finite: bool = False,
        layout: str = "",
        span: tuple[int, int] | None = None,
    ) -> Array:
        """An array; floats twice as often as the rest. `span`: whole numbers of that range, of any dtype."""
        if shape is None:
            shape = self.shape(low, high, least)
        dtype = self.pick(*dtypes, *(t for t in dtypes if t in FLOATS))
        rng = np.random.default_rng(self.integer(0, 1 << 16))
        layout = layout or self.pick(*LAYOUTS)
        self.last = arranged(lambda s: self._values(rng, s, dtype, finite, span), shape, layout)
        return self.last

    def _values(self, rng: Any, shape: Shape, dtype: str, finite: bool, span: tuple[int, int] | None) -> Array:
        if span is not None:
            return np.asarray(rng.integers(*span, shape)).astype(dtype)
        if dtype == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if dtype not in FLOATS:
            return np.asarray(rng.integers(0 if dtype == "uint8" else -9, 10, shape)).astype(dtype)
        kind = self.integer(0, 5)
        if kind == 0:  # many equal ones
            return np.asarray(rng.integers(-4, 5, shape) / 2).astype(dtype)
        values = np.asarray(rng.standard_normal(shape) * (1 if kind < 4 else 4)).astype(dtype)
        if kind == 5 and not finite:
            values = np.where(rng.random(shape) < 0.3, np.asarray(rng.choice(SPECIAL, shape)).astype(dtype), values)
        return np.asarray(values)

    def broadcast(self, shape: Shape) -> Shape:
        """A shape that broadcasts with `shape`; rarely one that does not."""
        kept = shape[self.integer(0, len(shape)) :] if self.flag() else shape
        found = [1 if self.integer(0, 3) == 0 else n for n in kept]
        if found and self.rarely():
            found[-1] += 2
        return tuple(found)

    def other(self, *dtypes: str, numbers: bool = True) -> Any:
        """The second operand: mostly of the last array's dtype, of a shape that broadcasts with its own, or a number."""
        first = self.last
        if numbers and self.integer(0, 4) == 0:
            return self.number()
        kinds = (first.dtype.name,) if self.integer(0, 3) else dtypes or ALL
        array = self.x(dtypes=kinds, shape=self.broadcast(first.shape))
        self.last = first
        return array

    def same(self, shape: Shape | None = None, dtype: str | None = None, **options: Any) -> Array:
        """Another array of the last one's dtype and shape, unless they are given; rarely of another dtype."""
        first = self.last
        wanted = dtype or (self.pick(*ALL) if self.rarely() else first.dtype.name)
        array = self.x(dtypes=(wanted,), shape=first.shape if shape is None else shape, **options)
        self.last = first
        return array

    def index(self, shape: Shape, n: int, *, negative: bool = False, dtypes: Sequence[str] = ("int64",)) -> Array:
        """Places along an axis of length n; rarely one beyond it."""
        first = self.last
        low, high = (-n if negative else 0), max(n, 1)
        if self.rarely():
            high += 2
        array = self.x(dtypes=dtypes, shape=shape, span=(low, max(high, low + 1)))
        self.last = first
        return array

    def mask(self, shape: Shape) -> Array:
        first = self.last
        array = self.x(dtypes=("bool",), shape=shape)
        self.last = first
        return array


@np.errstate(all="ignore")
def arranged(make: Callable[[Shape], Array], shape: Shape, layout: str) -> Array:
    """An array of this shape that lies in memory as `layout` says."""
    if layout == "transposed":
        return make(shape[::-1]).T
    if layout == "stepped":
        return np.asarray(make(tuple(2 * n for n in shape))[(slice(1, None, 2),) * len(shape)])
    if layout == "reversed":
        return np.asarray(make(shape)[(slice(None, None, -1),) * len(shape)])
    if layout == "expanded" and shape and shape[-1]:
        one = make((*shape[:-1], 1))
        return np.lib.stride_tricks.as_strided(one, shape, (*one.strides[:-1], 0))
    if layout == "offset":
        flat = make((math.prod(shape) + 3,))
        return flat[3:].reshape(shape)
    return make(shape)


@st.composite
def calls(draw: Any, case: Case) -> list[Any]:
    """The arguments of one call of `case`."""
    return list(case.draw(Draw(draw)))


def split(arguments: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Positional arguments and keywords."""
    if arguments and isinstance(arguments[-1], dict):
        return list(arguments[:-1]), arguments[-1]
    return list(arguments), {}
