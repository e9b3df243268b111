"""The search itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from trigrad import _core
from trigrad._warnings import warn
from trigrad.search._judging import Events, Judge, Rows, kind_of, name_of, pairs_of
from trigrad.search._processes import how_many, outcomes
from trigrad.search._record import Outcome, Record
from trigrad.search._result import GridResult, results
from trigrad.search._settings import beyond, checked, points

__all__ = ["grid"]


def grid(
    estimator: Any,
    param_grid: Mapping[str, Iterable[Any]],
    X: Any,
    y: Any = None,
    *,
    scoring: Callable[[Any, Any, Any], float] | None = None,
    n_jobs: int | None = None,
    refit: bool = True,
    cv: Any = 5,
    seed: int = 0,
    path: str | os.PathLike[str] | None = None,
    threads: int = 1,
    start_method: str | None = None,
) -> GridResult:
    """Judge all points of a grid by cross-validation, and find the best: that of the highest mean score. A warning says when it
    lies at an edge of the grid, beyond which better ones may be.

    Parameters
    ----------
    estimator
        One with `fit`, `score` and `set_params` (those of `trigrad.sklearn` and of scikit-learn, pipelines too); a function
        (settings) that makes a model with `fit` and `score`; or a function (settings, train, validation) that gives a number, the
        larger the better. `settings` is a dict, `train` and `validation` are tables or pairs (X, y).
    param_grid
        Values of each setting; `log_range` makes those of rates and the like.
    X, y
        Events (n, ...) and what is learned of them (n, ...), or a `data.Table`; weights in it go to `fit` and `score`.
    scoring
        A function (estimator, X, y) in place of `estimator.score`; scikit-learn's `get_scorer("roc_auc")` is one.
    n_jobs
        How many processes compute; -1: one per processor. The result has the same bits for any number.
    refit
        `best_estimator_` learns from all events.
    cv
        How many folds, drawn by `seed` and with classes (a `y` that is not of floats) shared out evenly; or pairs of rows
        (train, validation), or one of scikit-learn's splitters.
    seed
        Before each fold k of each point the default generators of trigrad, NumPy and Python are set to seed + k.
    path
        A file of JSON lines to which each result is added at once. A search that was interrupted or killed goes on from it when it
        is started again, and tries again what failed.
    threads
        Of each process, where there are several.
    start_method
        How processes start: "fork", "spawn" or "forkserver"; what this system prefers if not given. All but the first send what
        was given to them, which must be possible to pickle: no lambda, no function within a function.

    A point whose fit fails is kept with its error, and the others go on.

    >>> import trigrad as tg
    >>> from trigrad.search import grid, log_range
    >>> from trigrad.sklearn import LogisticRegression
    >>> points = tg.data.red_blue(200, distance=3.0)            # X (200, 2), y (200,)
    >>> found = grid(LogisticRegression(), {"C": log_range(1e-4, 1e2, 3), "fit_intercept": [True, False]}, points, cv=4)
    >>> found.best_params_
    {'C': 0.1, 'fit_intercept': True}
    >>> print(found.table(2))
    rank  C    fit_intercept  score   ±
    1     0.1  True           0.9400  0.0283
    1     100  True           0.9400  0.0283
    ... and 4 more
    """
    kind, values = kind_of(estimator), checked(param_grid)
    if scoring is not None and not callable(scoring):
        raise TypeError(
            f"[grid] scoring is {scoring!r}, expected a function (estimator, X, y); sklearn.metrics.get_scorer makes one of a name"
        )
    if isinstance(threads, bool) or threads != int(threads) or threads < 1:
        raise ValueError(f"[grid] threads is {threads!r}, expected a whole number of at least 1")
    processes, events = how_many(n_jobs), Events(X, y)
    pairs, todo = pairs_of(cv, events, seed), points(values)
    judge = Judge(kind, estimator, todo, events, pairs, scoring, seed)
    tasks = [(p, s) for p in range(len(todo)) for s in range(len(pairs))]

    with contextlib.ExitStack() as stack:
        done: dict[tuple[int, int], Outcome] = {}
        record = None
        if path is not None:
            record = Record(path, _search(judge, values))
            stack.callback(record.close)
            done = record.done
        left = [task for task in tasks if task not in done or done[task].error is not None]
        coming = stack.enter_context(contextlib.closing(outcomes(judge, left, processes, threads, start_method)))
        try:
            for task, outcome in coming:
                if record is not None:
                    record.add(*task, todo[task[0]], outcome)
                done[task] = outcome
        except KeyboardInterrupt as interrupt:
            if record is not None:
                interrupt.add_note(f"[grid] what is done is in {record.path}; the same call goes on from there")
            raise
    return _judged(judge, values, done, refit)


def _search(judge: Judge, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What makes this search another than others, for the first line of its file."""
    return {
        "search": "trigrad.search.grid",
        "estimator": name_of(judge.estimator),
        "scoring": None if judge.scoring is None else name_of(judge.scoring),
        "settings": {name: [name_of(v) for v in of] for name, of in values.items()},
        "events": judge.events.digest(),
        "folds": _digest(judge.pairs),
        "seed": judge.seed,
        "arithmetic_version": _core.build_info()["arithmetic_version"],
    }


def _digest(pairs: Sequence[tuple[Rows, Rows]]) -> str:
    made = hashlib.sha256()
    for rows in (rows for pair in pairs for rows in pair):
        made.update(f"{len(rows)} ".encode() + np.asarray(rows, dtype="<i8").tobytes())
    return made.hexdigest()


def _judged(judge: Judge, values: Mapping[str, Sequence[Any]], done: Mapping[Any, Outcome], refit: bool) -> GridResult:
    found = results(judge.points, len(judge.pairs), done)
    scores = found["mean_test_score"]
    failed = [k for k, error in enumerate(found["error"]) if error is not None]
    if failed:
        which = f"{judge.points[failed[0]]}: {found['error'][failed[0]]}"
        if len(failed) == len(judge.points):
            raise RuntimeError(f"[grid] all {len(failed)} points failed, the first with {which}")
        warn(f"[grid] {len(failed)} of {len(judge.points)} points failed, the first with {which}")
    best = int(np.nanargmax(scores))
    tried = [point for point, score in zip(judge.points, scores, strict=True) if np.isfinite(score)]
    equal = [point for point, score in zip(judge.points, scores, strict=True) if score == scores[best]]
    for words in beyond(tried, equal):
        warn(words)
    return GridResult(
        values,
        found,
        best,
        judge.points[best],
        float(scores[best]),
        len(judge.pairs),
        judge.refitted(judge.points[best]) if refit and judge.kind != "score" else None,
    )
