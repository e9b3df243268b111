"""How good a network is on events that it has not seen: numbers with intervals, and the curves of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import metrics
from trigrad._study.settings import Settings
from trigrad.data import Table
from trigrad.metrics import Bootstrap, WorkingPoint

__all__ = ["Judged", "judge"]

Array: TypeAlias = NDArray[Any]
MOST_DRAWS = 16_000_000  # events of all resamples of one interval
FEWEST = 20


@dataclass(frozen=True)
class Judged:
    """`answers` (n, outputs) for the events of `table`."""

    table: Table
    answers: Array
    resamples: int
    quality: dict[str, Bootstrap]
    """accuracy, or errors, of all events"""
    auc: dict[str, Bootstrap] = field(default_factory=dict)
    """by class: this one against all others"""
    points: dict[str, WorkingPoint] = field(default_factory=dict)
    """by class that is a signal: what is kept at the trigger's rate"""
    background: tuple[str, ...] = ()
    """classes that make the rate; all others if none"""
    confusion: Array | None = None
    """[true, taken for]: events, or sums of weights"""

    @property
    def weight(self) -> Array | None:
        return self.table.weight

    def scores(self, name: str) -> tuple[Array, Array]:
        """Is each event of this class (n,), and how much does it look like it (n,)?"""
        k = self.table.classes.index(name)
        return np.asarray(self.table.y == k), self.answers[:, k]

    def rows(self) -> list[list[object]]:
        """Name, value, interval: the table that is printed."""
        found: list[list[object]] = [[name, _digits(b.value), _between(b)] for name, b in self.quality.items()]
        found += [[f"AUC {name}", _digits(b.value), _between(b)] for name, b in self.auc.items()]
        for name, p in self.points.items():
            found.append(
                [
                    f"efficiency {name} at {p.rate_khz:.4g} kHz",
                    _digits(p.signal_efficiency),
                    _between(p.signal_interval),
                ]
            )
        return found

    def values(self) -> dict[str, Any]:
        """All numbers, for JSON."""

        def interval(b: Bootstrap) -> dict[str, float]:
            return {"value": b.value, "low": b.low, "high": b.high}

        points = {
            name: {
                **{n: list(v) if isinstance(v, tuple) else v for n, v in p._asdict().items()},
                "rate_khz": p.rate_khz,
                "rate_interval_khz": list(p.rate_interval_khz),
            }
            for name, p in self.points.items()
        }
        made: dict[str, Any] = {"test": self.table.describe(), "interval": "68.3 %", "resamples": self.resamples}
        made |= {name: interval(b) for name, b in self.quality.items()}
        if self.table.classes:
            made["auc"] = {name: interval(b) for name, b in self.auc.items()}
            made["working_points"] = points
            made["background"] = list(self.background)
            assert self.confusion is not None
            made["confusion"] = self.confusion.tolist()
        return made


def _digits(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.4g}"


def _between(interval: Any) -> str:
    return f"{_digits(interval.low)} to {_digits(interval.high)}"


def judge(table: Table, answers: Array, settings: Settings) -> Judged:
    """The numbers of these events, which the network has not learned from."""
    n, weight = len(table), table.weight
    resamples = min(settings.resamples, max(FEWEST, MOST_DRAWS // n))
    options: dict[str, Any] = {"sample_weight": weight, "resamples": resamples, "seed": settings.seed}
    y = table.y
    assert y is not None
    if not table.classes:
        found = {
            name: metrics.bootstrap_interval(metric, y.astype(np.float64), answers[:, 0].astype(np.float64), **options)
            for name, metric in (
                ("root mean squared error", metrics.root_mean_squared_error),
                ("mean absolute error", metrics.mean_absolute_error),
                ("R²", metrics.r2_score),
            )
        }
        return Judged(table, answers, resamples, found)
    options["strata"] = y  # as many events of each class in every draw
    taken = answers.argmax(1)
    right = metrics.bootstrap_interval(metrics.accuracy_score, y, taken, **options)
    labels = list(range(len(table.classes)))
    judged = Judged(
        table,
        answers,
        resamples,
        {"accuracy": right},
        background=settings.background,
        confusion=metrics.confusion_matrix(y, taken, labels=labels, sample_weight=weight),
    )
    # Of two classes the second's curve says it all: the first's is the same, seen from the other side.
    for name in table.classes if len(table.classes) > 2 else table.classes[1:]:
        is_it, score = judged.scores(name)
        judged.auc[name] = metrics.bootstrap_interval(metrics.roc_auc_score, is_it, score, **options)
        if name in settings.background:
            continue
        rate = np.isin(y, [table.classes.index(b) for b in settings.background]) if settings.background else ~is_it
        seen = is_it | rate
        judged.points[name] = metrics.working_point(
            is_it[seen],
            score[seen],
            rate_khz=settings.trigger_rate_khz,
            input_rate_khz=settings.input_rate_khz,
            sample_weight=None if weight is None else weight[seen],
        )
    return judged
