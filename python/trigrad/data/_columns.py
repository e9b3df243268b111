"""Columns of a file, whatever its kind: each is read when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Columns"]

Array: TypeAlias = NDArray[Any]
ELEMENT = re.compile(r"(.+)\[(\d+)\]")


class Columns:
    """Names of columns of equal length, and where each is to be had."""

    def __init__(self, where: str, rows: int, names: Sequence[str]) -> None:
        if doubled := next((name for name in names if name and names.count(name) > 1), None):
            raise ValueError(f"[read] {where} names two columns {doubled!r}, expected each name once")
        self.where, self.rows, self.names = where, rows, list(names)
        self._held: dict[str, Array] = {}
        self._gaps: dict[str, Array] = {}

    def place(self, row: int) -> str:
        """Where a row is, in words."""
        return f"row {row}"

    def flat(self, name: str) -> bool:
        """Is it one value per event?"""
        return True

    def holds(self, name: str) -> bool:
        """Is there such a column, or such an element of one with several values per event?"""
        element = ELEMENT.fullmatch(name)
        return name in self.names or (element is not None and element[1] in self.names and not self.flat(element[1]))

    def read(self, names: list[str]) -> dict[str, Array]:
        """These columns, (rows,) each; of one that is not flat, something for each row that has a length. Puts in `_gaps` which
        rows (rows,) of a column have no value, if any; what stands there then is of no importance."""
        raise NotImplementedError

    def load(self, names: list[str]) -> None:
        """Read these at once."""
        wanted = [name if name in self.names else ELEMENT.sub(r"\1", name) for name in names]
        self._held |= self.read([name for name in dict.fromkeys(wanted) if name not in self._held])

    def get(self, name: str) -> Array:
        """The values of all rows."""
        self.load([name])
        if name not in self._held:
            self._held[name] = self._element(name)
        return self._held[name]

    def gaps(self, name: str) -> Array:
        """Which rows have no value (rows,)."""
        self.load([name])
        return self._gaps.get(name, np.zeros(self.rows, dtype=np.bool_))

    def _element(self, name: str) -> Array:
        found = ELEMENT.fullmatch(name)
        assert found is not None
        rows, place = self._held[found[1]], int(found[2])
        lengths = [0 if row is None else len(row) for row in rows]
        short = next((k for k, n in enumerate(lengths) if n <= place), None)
        if short is not None:
            raise ValueError(
                f"[read] {self.where}, column {name!r}: {self.place(short)} has {lengths[short]} values of {found[1]!r}"
            )
        return np.array([row[place] for row in rows])


def _flattened(name: str, a: Array, given: Sequence[str] = (), inside: str = "") -> Iterator[tuple[str, Array]]:
    """Arrays of one axis: of the fields of a compound by their names, of more axes as "x[0]", "x[1]", … or as `given`."""
    if a.dtype.names:
        for field in a.dtype.names:
            yield from _flattened(inside + field, a[field], inside=f"{inside}{field}.")
    elif a.ndim == 1:
        yield name, a
    else:
        wide = a.reshape(len(a), -1)
        names = given if len(given) == wide.shape[1] else [f"{name}[{k}]" for k in range(wide.shape[1])]
        yield from zip(names, wide.T, strict=True)


class Arrays(Columns):
    """Arrays in memory. `names` are those of the columns of a matrix; single numbers are no columns."""

    def __init__(self, where: str, arrays: dict[str, Array], names: dict[str, Sequence[str]] | None = None) -> None:
        lengths = {name: len(a) for name, a in arrays.items() if a.ndim}
        if not lengths:
            raise ValueError(f"[read] {where} holds no arrays")
        rows = max(lengths.values())
        if short := [name for name, n in lengths.items() if n != rows]:
            longest = next(name for name, n in lengths.items() if n == rows)
            raise ValueError(
                f"[read] {where}: {short[0]!r} has {lengths[short[0]]} rows, but {longest!r} has {rows}; expected one per event "
                "in each"
            )
        pairs = [pair for name in lengths for pair in _flattened(name, arrays[name], (names or {}).get(name, ()))]
        super().__init__(where, rows, [name for name, _ in pairs])
        self._arrays = dict(pairs)

    def flat(self, name: str) -> bool:
        return self._arrays[name].dtype.kind != "O"

    def read(self, names: list[str]) -> dict[str, Array]:
        return {name: self._arrays[name] for name in names}
