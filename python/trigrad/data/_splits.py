"""Which events go where: permutations from a seed."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigrad._random import Generator, randperm

__all__ = ["folds", "split_rows"]

Rows: TypeAlias = NDArray[np.int64]


def _order(n: int, seed: int) -> Rows:
    return np.asarray(randperm(n, generator=Generator().manual_seed(seed)).numpy(), dtype=np.int64)


def _groups(what: str, n: int, labels: ArrayLike | None, seed: int) -> list[Rows]:
    """The rows in random order, those of each class by themselves where classes are to be spread evenly."""
    order = _order(n, seed)
    if labels is None:
        return [order]
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ValueError(f"[{what}] labels have shape {values.shape}, expected one for each of {n} events")
    kinds, places = np.unique(values, return_inverse=True)
    return [order[places[order] == k] for k in range(len(kinds))]


def _joined(order: Rows, parts: list[Rows]) -> Rows:
    """In the order of the permutation again, so that classes do not follow one another."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    rows: Rows = np.concatenate(parts)
    return rows[np.argsort(rank[rows], kind="stable")]


def split_rows(n: int, *fractions: float, seed: int = 0, labels: ArrayLike | None = None) -> tuple[Rows, ...]:
    """Rows 0 to n-1 in random order, cut in parts of these fractions; with `labels` (n,), each class is cut for itself.

    >>> import trigrad as tg
    >>> train, test = tg.data.split_rows(10, 0.7, 0.3, seed=1)
    >>> len(train), len(test), sorted([*train.tolist(), *test.tolist()]) == list(range(10))
    (7, 3, True)
    """
    if isinstance(n, bool) or n < 1:
        raise ValueError(f"[split_rows] got {n} events, expected at least one")
    if not fractions or not all(0 < f <= 1 for f in fractions) or not math.isclose(sum(fractions), 1, abs_tol=1e-9):
        raise ValueError(f"[split_rows] fractions are {list(fractions)}, expected positive numbers that add up to 1")
    ends = [math.fsum(fractions[: k + 1]) for k in range(len(fractions) - 1)]
    groups = _groups("split_rows", n, labels, seed)
    pieces, before = [], 0
    for group in groups:  # rounded so that the parts of all classes together have the sizes that were asked for
        after = before + len(group)
        cuts = [math.floor(e * after + 0.5) - math.floor(e * before + 0.5) for e in ends]
        pieces.append(np.split(group, np.maximum.accumulate(cuts) if cuts else []))
        before = after
    for group, cut in zip(groups, pieces, strict=True):
        if empty := [k for k, part in enumerate(cut) if not len(part)]:
            kind = "" if labels is None else f" of class {np.asarray(labels)[group[0]].item()!r}"
            raise ValueError(
                f"[split_rows] part {empty[0]} ({fractions[empty[0]]:g}) of {len(group)} events{kind} is empty; expected "
                "more events, or fewer parts"
            )
    order = _order(n, seed)
    return tuple(_joined(order, list(parts)) for parts in zip(*pieces, strict=True))


def folds(n: int, k: int = 5, seed: int = 0, labels: ArrayLike | None = None) -> list[tuple[Rows, Rows]]:
    """k pairs (train, test) of rows: each event is tested on once; with `labels` (n,), classes are spread evenly.

    >>> import trigrad as tg
    >>> [(len(train), len(test)) for train, test in tg.data.folds(10, 3)]
    [(6, 4), (7, 3), (7, 3)]
    """
    if isinstance(k, bool) or not 2 <= k <= n:
        raise ValueError(f"[folds] got {k} folds of {n} events, expected from 2 folds to one for each event")
    groups = _groups("folds", n, labels, seed)
    dealt = np.concatenate(groups)  # class after class, so that dealing out spreads each
    tested = [dealt[i::k] for i in range(k)]
    order = _order(n, seed)
    return [
        (_joined(order, [t for j, t in enumerate(tested) if j != i]), _joined(order, [test]))
        for i, test in enumerate(tested)
    ]
