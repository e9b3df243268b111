"""What a search found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trigrad.search._record import Outcome
from trigrad.search._settings import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GridResult", "results"]


@dataclass(frozen=True, eq=False, repr=False)
class GridResult:
    """What `grid` found, under scikit-learn's names. `cv_results_` has a number for each point: "params", "param_<name>",
    "split<k>_test_score", "mean_test_score", "std_test_score", "rank_test_score" (1 is the best; NaN where a fold failed), and
    "error" (None, or why it failed); pandas.DataFrame takes it as it is. `best_estimator_` has learned from all events with
    `best_params_`; it is None without refit, or where a function gave the numbers.

    >>> import trigrad as tg
    >>> found = tg.search.grid(lambda settings, train, held: -((settings["n"] - 2) ** 2), {"n": [1, 2, 4]}, range(9), cv=3)
    >>> found.best_params_, found.cv_results_["mean_test_score"].tolist()
    ({'n': 2}, [-1.0, 0.0, -4.0])
    """

    param_grid: Mapping[str, Sequence[Any]]
    cv_results_: dict[str, Any]
    best_index_: int
    best_params_: Point
    best_score_: float
    n_splits_: int
    best_estimator_: Any = None

    def table(self, most: int | None = None) -> str:
        """The points as text, the best first, `most` of them.

        >>> import trigrad as tg
        >>> found = tg.search.grid(lambda settings, train, held: -((settings["n"] - 2) ** 2), {"n": [1, 2, 4]}, range(9), cv=3)
        >>> print(found.table(2))
        rank  n  score    ±
        1     2  0.0000   0.0000
        2     1  -1.0000  0.0000
        ... and 1 more
        """
        held = self.cv_results_
        order = sorted(range(len(held["params"])), key=lambda k: (held["rank_test_score"][k], k))
        rows = [["rank", *self.param_grid, "score", "±"]]
        for k in order[:most]:
            values = [f"{v:g}" if isinstance(v, float) else str(v) for v in held["params"][k].values()]
            spread = held["error"][k] or f"{held['std_test_score'][k]:.4f}"
            rows.append([str(held["rank_test_score"][k]), *values, f"{held['mean_test_score'][k]:.4f}", spread])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        more = len(order) - len(rows) + 1
        return "\n".join([*lines, *([f"... and {more} more"] if more else [])])

    def heatmap(self, x: str | None = None, y: str | None = None, *, ax: Axes | None = None) -> Axes:
        """The mean scores as a picture (`pip install 'trigrad[plot]'`) over two settings, the first two of several values if they
        are not named; of all other settings the best is shown.

        >>> import trigrad as tg
        >>> def judge(settings, train, held):
        ...     return -abs(settings["lr"] - 0.01) - abs(settings["n"] - 2)
        >>> found = tg.search.grid(judge, {"lr": [0.001, 0.01, 0.1], "n": [1, 2, 3]}, range(9), cv=3)
        >>> ax = found.heatmap()
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('lr', 'n')
        """
        from trigrad import plot

        several = [name for name, values in self.param_grid.items() if len(values) > 1 and name not in (x, y)]
        x = x or (several.pop(0) if several else next(iter(self.param_grid)))
        y = y or (several.pop(0) if several else None)
        for name in (x, y):
            if name is not None and name not in self.param_grid:
                raise ValueError(
                    f"[heatmap] there is no setting {name!r}, expected one of {', '.join(self.param_grid)}"
                )
        if x == y:
            raise ValueError(f"[heatmap] x and y are both {x!r}, expected two settings")
        names = list(self.param_grid)
        over = [names.index(name) for name in (x, y) if name is not None]
        scores = self.cv_results_["mean_test_score"].reshape([len(values) for values in self.param_grid.values()])
        best = np.fmax.reduce(scores, tuple(k for k in range(len(names)) if k not in over))
        best = (best if over == sorted(over) else best.T).reshape(len(self.param_grid[x]), -1)
        columns, rows = self.param_grid[x], [None] if y is None else self.param_grid[y]
        return plot.accuracy_grid(
            _places(columns), _places(rows), best, label="mean score", xlabel=x, ylabel=y or "", ax=ax
        )

    def __repr__(self) -> str:
        return self.table(20)


def _places(values: Sequence[Any]) -> list[Any]:
    """Numbers as they are, others as words."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return list(values)
    return ["" if v is None else str(v) for v in values] if len(values) == 1 else [str(v) for v in values]


def results(points: Sequence[Point], splits: int, done: Mapping[tuple[int, int], Outcome]) -> dict[str, Any]:
    """`cv_results_` of the outcomes."""
    scores = [[_number(done[p, s].score) for s in range(splits)] for p in range(len(points))]
    means = [math.fsum(row) / splits for row in scores]
    spreads = [
        math.sqrt(math.fsum((s - mean) ** 2 for s in row) / splits) for row, mean in zip(scores, means, strict=True)
    ]
    reached = [-math.inf if math.isnan(m) else m for m in means]
    errors = [next((o.error for s in range(splits) if (o := done[p, s]).error), None) for p in range(len(points))]
    return {
        "params": list(points),
        **{f"param_{name}": [point[name] for point in points] for name in points[0]},
        **{f"split{s}_test_score": np.array([row[s] for row in scores]) for s in range(splits)},
        "mean_test_score": np.array(means),
        "std_test_score": np.array(spreads),
        "rank_test_score": np.array([1 + sum(other > mine for other in reached) for mine in reached]),
        "error": errors,
    }


def _number(score: float | None) -> float:
    return math.nan if score is None else score
