"""Data in memory, cut into batches."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

from trigrad import _core
from trigrad._core import Tensor
from trigrad._creation import as_tensor


def _rows_of(what: str, name: str, value: Any) -> Tensor:
    """A tensor or array whose first axis counts events, contiguous."""
    if value is None:
        raise TypeError(f"[{what}] {name} is None, expected a tensor or an array with one row per event")
    rows = (value if isinstance(value, Tensor) else as_tensor(value)).detach()
    if rows.ndim == 0:
        raise ValueError(f"[{what}] {name} is a single number, expected one row per event")
    return rows.contiguous()


class Data:
    """The inputs of a model, the targets and perhaps the weights of N events, and room for a batch of them."""

    def __init__(self, what: str, X: Any, y: Any, sample_weight: Any, batch_size: int) -> None:
        inputs = X if isinstance(X, tuple) else (X,)
        if not inputs:
            raise ValueError(f"[{what}] X is an empty tuple, expected the inputs of the model")
        named = [(f"X[{i}]" if isinstance(X, tuple) else "X", x) for i, x in enumerate(inputs)]
        named += [("y", y), *([] if sample_weight is None else [("sample_weight", sample_weight)])]
        self.tables = tuple(_rows_of(what, name, value) for name, value in named)
        self.n_inputs, self.weighted = len(inputs), sample_weight is not None
        self.n = self.tables[0].shape[0]
        for (name, _), table in zip(named, self.tables, strict=True):
            if table.shape[0] != self.n:
                raise ValueError(
                    f"[{what}] {name} has {table.shape[0]} rows, but {named[0][0]} has {self.n}; expected one per event in each"
                )
        if self.n == 0:
            raise ValueError(f"[{what}] {named[0][0]} has no rows, expected one event or more")
        self.batch_size = min(whole(what, "batch_size", batch_size), self.n)
        self.n_batches = -(-self.n // self.batch_size)
        self._batches: dict[int, tuple[Tensor, ...]] = {}

    def sizes(self) -> list[int]:
        """The rows of each batch: the last has what is left."""
        return [self.batch_size] * (self.n_batches - 1) + [self.n - self.batch_size * (self.n_batches - 1)]

    def batch(self, rows: int) -> tuple[Tensor, ...]:
        """Memory for so many rows of each table."""
        if rows not in self._batches:
            self._batches[rows] = tuple(_core.empty((rows, *t.shape[1:]), t.dtype) for t in self.tables)
        return self._batches[rows]

    def pick(self, order: Tensor | None, first: int, rows: int) -> Iterator[Tensor]:
        """So many rows of each table, in new memory."""
        at: Any = slice(first, first + rows) if order is None else order[first : first + rows]
        return (t[at] if order is not None else t[at].clone() for t in self.tables)


def whole(what: str, name: str, value: Any) -> int:
    """A positive integer."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"[{what}] {name} is {value!r}, expected a positive integer")
    return number


def held_out(validation_data: Any) -> Sequence[Any]:
    """(X, y, sample_weight or None)"""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError("[fit] validation_data is expected to be (X, y) or (X, y, sample_weight)")
    return validation_data if len(validation_data) == 3 else (*validation_data, None)
