"""One fold of one point: a model is made, learns from a part of the events, and is judged on the rest."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import math
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad._core import Tensor
from trigrad._random import get_rng_state, manual_seed, set_rng_state
from trigrad.data import Table, folds
from trigrad.search._record import Outcome
from trigrad.search._settings import Point

__all__ = ["Events", "Judge", "Rows", "kind_of", "name_of", "pairs_of"]

Rows: TypeAlias = NDArray[np.int64]
Array: TypeAlias = NDArray[Any]


def _array(values: Any) -> Any:
    return values if isinstance(values, Tensor) else np.asarray(values)


class Events:
    """A table, or X and y: what can be cut into parts."""

    def __init__(self, X: Any, y: Any) -> None:
        self.table: Table | None = X if isinstance(X, Table) else None
        if isinstance(X, Table):
            if y is not None:
                raise TypeError("[grid] got a table and y, expected a table, which has its own, or X and y")
            X, y = X.X, X.y
        self.X: Any = _array(X)
        self.y: Any = None if y is None else _array(y)
        if not len(self.X.shape) or (self.y is not None and (not len(self.y.shape) or len(self.y) != len(self.X))):
            raise ValueError(
                f"[grid] X has shape {tuple(self.X.shape)}, y {getattr(self.y, 'shape', None)}, expected a row of each per event"
            )

    def part(self, rows: Rows) -> Any:
        """A table, or a pair (X, y)."""
        if self.table is not None:
            return self.table[rows]
        return self.X[rows], None if self.y is None else self.y[rows]

    def labels(self) -> Array | None:
        """Of classes, which folds share out evenly."""
        if self.y is None or len(self.y.shape) != 1 or (self.table is not None and not self.table.classes):
            return None
        y = self.y.numpy() if isinstance(self.y, Tensor) else self.y
        return None if y.dtype.kind in "fc" else np.asarray(y)

    def digest(self) -> str:
        if self.table is not None:
            return self.table.digest()
        found = hashlib.sha256()
        for values in (self.X, self.y):
            a = values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)
            found.update(f"{a.dtype.str} {a.shape} ".encode())
            found.update(repr(a.tolist()).encode() if a.dtype.hasobject else np.ascontiguousarray(a).tobytes())
        return found.hexdigest()


def pairs_of(cv: Any, events: Events, seed: int) -> list[tuple[Rows, Rows]]:
    """(train, validation) rows of each fold."""
    n = len(events.X)
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        return folds(n, int(cv), seed=seed, labels=events.labels())
    try:
        if hasattr(cv, "split"):
            cv = cv.split(events.X, events.y)
        pairs = [(np.asarray(train), np.asarray(held)) for train, held in cv]
    except (TypeError, ValueError):
        raise TypeError(
            f"[grid] cv is {cv!r}, expected a number of folds, a splitter, or a list of pairs of rows"
        ) from None
    for rows in (rows for pair in pairs for rows in pair):
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows) or rows.min() < 0 or rows.max() >= n:
            raise ValueError(f"[grid] cv has rows {rows!r}, expected whole numbers from 0 to {n - 1}, at least one")
    if not pairs:
        raise ValueError("[grid] cv has no fold, expected at least one pair of rows")
    return pairs


def kind_of(estimator: Any) -> str:
    """How models come of settings: "estimator" with set_params, "make" is called with settings, "score" with events too."""
    if not isinstance(estimator, type) and hasattr(estimator, "fit") and hasattr(estimator, "set_params"):
        return "estimator"
    if callable(estimator) and not isinstance(estimator, type):
        wanted = [
            p
            for p in inspect.signature(estimator).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        ]
        if len(wanted) in (1, 3):
            return "make" if len(wanted) == 1 else "score"
    raise TypeError(
        f"[grid] got {estimator!r}, expected an estimator with fit and set_params, a function (settings) that makes one with "
        "fit and score, or a function (settings, train, validation) that gives a number"
    )


def name_of(thing: Any) -> str:
    """The same in each process: what it is called, of an estimator with all of its parameters."""
    if hasattr(thing, "get_params") and not isinstance(thing, type):
        text = f"{type(thing).__qualname__} {sorted(thing.get_params().items())!r}"
    else:
        text = repr(thing)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The default generators start from `seed`, and are afterwards where they were."""
    ours, python, numpys = get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002 -- people use it
    manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        set_rng_state(ours)
        random.setstate(python)
        np.random.set_state(numpys)  # noqa: NPY002


def _unfitted(estimator: Any) -> Any:
    if "sklearn" in sys.modules:
        from sklearn.base import clone

        return clone(estimator, safe=False)
    return copy.deepcopy(estimator)


@dataclass(frozen=True)
class Judge:
    """All that a process needs to compute any part of the search."""

    kind: str
    estimator: Any
    points: Sequence[Point]
    events: Events
    pairs: Sequence[tuple[Rows, Rows]]
    scoring: Callable[[Any, Any, Any], float] | None
    seed: int

    def fitted(self, settings: Point, train: Any) -> Any:
        """A model that has learned from these events."""
        if self.kind == "estimator":
            model = _unfitted(self.estimator).set_params(**settings)
        else:
            model = self.estimator(settings)
        X, y, *weight = train
        model.fit(X, y, **({"sample_weight": weight[0]} if weight else {}))
        return model

    def _score(self, settings: Point, train: Any, held: Any) -> Any:
        if self.kind == "score":
            return self.estimator(settings, train, held)
        model = self.fitted(settings, train)
        X, y, *weight = held
        if self.scoring is not None:
            return self.scoring(model, X, y)
        return model.score(X, y, **({"sample_weight": weight[0]} if weight else {}))

    def outcome(self, point: int, split: int) -> Outcome:
        """Whatever goes wrong is part of it. The same numbers in any process, after any other point."""
        begin = time.perf_counter()
        score, error = None, None
        settings = copy.deepcopy(self.points[point])
        try:
            with _seeded(self.seed + split):
                train, held = (self.events.part(rows) for rows in self.pairs[split])
                score = float(self._score(settings, train, held))
            if not math.isfinite(score):
                score, error = None, f"the score is {score}, expected a finite number"
        except Exception as problem:  # noqa: BLE001 -- it is the user's code
            error = f"{type(problem).__name__}: {problem}"
        return Outcome(score, error, round(time.perf_counter() - begin, 3))

    def refitted(self, settings: Point) -> Any:
        """A model that has learned from all events."""
        with _seeded(self.seed):
            return self.fitted(copy.deepcopy(settings), self.events.part(np.arange(len(self.events.X))))
