"""Events in memory (or mapped into it from a file), cut into batches."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import as_tensor, full
from trigrad._device import device

WHOLLY = 1 << 28  # bytes of a table that a fingerprint reads; of more, as many in evenly spread rows


def _rows_of(what: str, name: str, value: Any) -> Tensor:
    """A tensor or array whose first axis counts events, contiguous."""
    if value is None:
        raise TypeError(f"[{what}] {name} is None, expected a tensor or an array with one row per event")
    try:
        rows = (value if isinstance(value, Tensor) else as_tensor(value)).detach()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"[{what}] {name} is a {type(value).__name__}, expected a tensor or an array: {error}"
        ) from None
    if rows.ndim == 0:
        raise ValueError(f"[{what}] {name} is a single number, expected one row per event")
    return rows.contiguous()


def tables_of(what: str, X: Any, y: Any, sample_weight: Any) -> tuple[tuple[Tensor, ...], int]:
    """The inputs of a model, the targets and perhaps the weights of the same events, and how many inputs there are."""
    inputs = X if isinstance(X, tuple) else (X,)
    if not inputs:
        raise ValueError(f"[{what}] X is an empty tuple, expected the inputs of the model")
    named = [(f"X[{i}]" if isinstance(X, tuple) else "X", x) for i, x in enumerate(inputs)]
    named += [("y", y), *([] if sample_weight is None else [("sample_weight", sample_weight)])]
    tables = tuple(_rows_of(what, name, value) for name, value in named)
    n = tables[0].shape[0]
    for (name, _), table in zip(named, tables, strict=True):
        if table.shape[0] != n:
            raise ValueError(
                f"[{what}] {name} has {table.shape[0]} rows, but {named[0][0]} has {n}; expected one per event in each"
            )
    if n == 0:
        raise ValueError(f"[{what}] {named[0][0]} has no rows, expected one event or more")
    return tables, len(inputs)


class Data:
    """N events, or those of them that `rows` names, and room for a batch, on one device."""

    def __init__(
        self,
        tables: tuple[Tensor, ...],
        n_inputs: int,
        batch_size: int,
        rows: Tensor | None = None,
        device: device | None = None,
    ) -> None:
        self.device = tables[0].device if device is None else device
        self.tables, self.n_inputs = tuple(t.to(self.device) for t in tables), n_inputs
        self.rows = None if rows is None else rows.to(self.device)
        self.weighted = len(tables) > n_inputs + 1
        self.n = tables[0].shape[0] if rows is None else rows.shape[0]
        self.batch_size = min(batch_size, self.n)
        self.n_batches = -(-self.n // self.batch_size)
        self._batches: dict[int, tuple[Tensor, ...]] = {}

    def sizes(self) -> list[int]:
        """The rows of each batch: the last has what is left."""
        return [self.batch_size] * (self.n_batches - 1) + [self.n - self.batch_size * (self.n_batches - 1)]

    def batch(self, rows: int) -> tuple[Tensor, ...]:
        """Memory for so many rows of each table."""
        if rows not in self._batches:
            self._batches[rows] = tuple(_core.empty((rows, *t.shape[1:]), t.dtype, t) for t in self.tables)
        return self._batches[rows]

    def pick(self, order: Tensor | None, first: int, rows: int) -> Iterator[Tensor]:
        """So many rows of each table, in new memory."""
        at: Any = slice(first, first + rows) if order is None else order[first : first + rows]
        return (t[at] if order is not None else t[at].clone() for t in self.tables)

    def column(self, table: int) -> Tensor:
        """A table's rows that are used."""
        found = self.tables[table]
        return found if self.rows is None else found[self.rows]


def whole(what: str, name: str, value: Any) -> int:
    """A positive integer."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        remedy = f"; say how many events make a step: {name}=256" if name == "batch_size" else ""
        raise ValueError(f"[{what}] {name} is {value!r}, expected a positive integer{remedy}")
    return number


def held_out(validation_data: Any) -> Sequence[Any]:
    """(X, y, sample_weight or None)"""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError(
            "[fit] validation_data is expected to be (X, y) or (X, y, sample_weight), or an iterable of batches"
        )
    return validation_data if len(validation_data) == 3 else (*validation_data, None)


def class_weights(y: Tensor, class_weight: Any, dtype: _core.dtype, are_all: bool = True) -> Tensor:
    """A weight for each event, by its class: {class: weight}, one per class from 0 on, or "balanced": N / (classes · events
    of the class). Classes that a dict does not name weigh 1; those that it names are to be there if these `are_all` events."""
    labels = y.cpu().reshape(-1) if y.numel() == y.shape[0] else None
    if labels is None:
        raise ValueError(f"[fit] class_weight wants one class per event, but y has shape {tuple(y.shape)}")
    if isinstance(class_weight, str) and class_weight == "balanced":
        import numpy

        found, counts = numpy.unique(labels.numpy(), return_counts=True)
        given = {c: labels.shape[0] / (len(found) * n) for c, n in zip(found.tolist(), counts.tolist(), strict=True)}
    elif isinstance(class_weight, Mapping):
        given = dict(class_weight)
    elif hasattr(class_weight, "tolist") or (isinstance(class_weight, Sequence) and not isinstance(class_weight, str)):
        given = dict(enumerate(class_weight.tolist() if hasattr(class_weight, "tolist") else class_weight))
        if bool((labels >= len(given)).any()) or bool((labels < 0).any()):
            raise ValueError(
                f"[fit] class_weight has {len(given)} classes, but y has others than 0 to {len(given) - 1}"
            )
    else:
        raise ValueError(f"[fit] class_weight is {class_weight!r:.100}, expected a dict, a list, or 'balanced'")
    weights = full((labels.shape[0],), 1.0, dtype=dtype)
    for label, weight in given.items():
        if not all(hasattr(x, "__float__") and math.isfinite(x) for x in (label, weight)):
            raise ValueError(f"[fit] class_weight gives {label!r} the weight {weight!r}, expected finite numbers")
        at = ops.eq(labels, label.item() if hasattr(label, "item") else label)
        if are_all and isinstance(class_weight, Mapping) and not bool(at.any()):
            raise ValueError(f"[fit] class_weight names the class {label!r}, which y does not have")
        weights = ops.where(at, full((), float(weight), dtype=dtype), weights)
    return weights


def fingerprint(*arrays: Any) -> str:
    """What data a model was trained on, in one line: SHA-256 of shapes, dtypes and elements. Of a table of more than 256 MiB,
    as one that is mapped from a file, so many rows are read, evenly spread.

    >>> import trigrad as tg
    >>> a, b = tg.train.fingerprint(tg.arange(3)), tg.train.fingerprint(tg.arange(4))
    >>> a == b, len(a)
    (False, 71)
    """
    import hashlib

    made = hashlib.sha256()
    for array in arrays:
        table = array.detach() if isinstance(array, Tensor) else as_tensor(array)
        made.update(f"{table.dtype} {tuple(table.shape)};".encode())
        step = -(-table.nbytes // WHOLLY)
        made.update((table[::step] if step > 1 and table.ndim else table).contiguous().cpu()._bytes())
    return f"sha256:{made.hexdigest()}"
