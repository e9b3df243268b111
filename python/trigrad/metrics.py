"""How good predictions are: ROC, AUC, accuracy, top-k, R², mean absolute error, efficiency at a fixed rate.

Every function takes numpy arrays, tensors or lists, and `weight`, one per event. Weights may be negative, as event generators
beyond leading order make them. Sums are then right, but what counts events no longer is: curves may turn back, efficiencies
may leave 0 to 1, and an interval has to come from the sum of squared weights. The functions say so: they warn, and their
results carry `negative`, the share of the weight's magnitude that is negative.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy

from trigrad import _core
from trigrad._core import Tensor

__all__ = [
    "Efficiency",
    "Roc",
    "accuracy",
    "auc",
    "efficiency",
    "efficiency_at_rate",
    "mean_absolute_error",
    "r2_score",
    "roc",
    "top_k_accuracy",
]

Array: TypeAlias = "numpy.ndarray[Any, Any]"
Values: TypeAlias = "numpy.ndarray[Any, Any] | Tensor | list[Any]"

_loops: Any = _core.metrics


def _array(op: str, name: str, values: Values, axes: tuple[int, ...] = (1,)) -> Array:
    found = numpy.asarray(values.detach().numpy() if isinstance(values, Tensor) else values)
    if found.ndim == 2 and found.shape[1] == 1 and 2 not in axes:
        found = found[:, 0]
    if found.ndim not in axes or found.shape[0] == 0:
        raise ValueError(
            f"[{op}] {name} has shape {found.shape}, expected {' or '.join('(N,)' if a == 1 else '(N, C)' for a in axes)}"
        )
    if found.dtype.kind == "f" and not numpy.isfinite(found).all():
        raise ValueError(f"[{op}] {name} has NaN or infinities, expected numbers")
    return found


def _weight(op: str, weight: Values | None, n: int) -> tuple[Array, float]:
    """The weights, and which share of their magnitude is negative."""
    if weight is None:
        return numpy.ones(n), 0.0
    found = _array(op, "weight", weight).astype(numpy.float64)
    if found.shape != (n,):
        raise ValueError(f"[{op}] weight has shape {found.shape}, expected ({n},): one per event")
    negative = float(-found[found < 0].sum() / numpy.abs(found).sum()) if (found < 0).any() else 0.0
    if negative:
        warnings.warn(
            f"[{op}] {negative:.3g} of the weight is negative: the result is a ratio of sums, not of counts; it may leave 0 to 1, "
            "and curves need not be monotonic",
            stacklevel=3,
        )
    if not found.sum() > 0:
        raise ValueError(f"[{op}] the weights sum to {found.sum()}, expected more than 0")
    return found, negative


def _label(op: str, label: Values, n: int) -> Array:
    found = _array(op, "label", label)
    if found.shape != (n,):
        raise ValueError(f"[{op}] label has shape {found.shape}, expected ({n},): one per score")
    if not numpy.isin(found, (0, 1)).all():
        raise ValueError(f"[{op}] label has other values than 0 (background) and 1 (signal)")
    return found.astype(numpy.uint8)


# ---- scores of signal and background


@dataclass(frozen=True)
class Roc:
    """One point per distinct score, from the highest to the lowest; the first accepts nothing."""

    false_positive_rate: Array
    true_positive_rate: Array
    threshold: Array
    auc: float
    auc_error: float  # one standard deviation (Hanley and McNeil), of effective numbers of events
    negative: float


def roc(score: Values, label: Values, weight: Values | None = None) -> Roc:
    """The receiver operating characteristic of `score` (N,) against `label` (N,), 1 for signal and 0 for background.

    >>> import trigrad as tg
    >>> curve = tg.metrics.roc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> curve.auc, curve.false_positive_rate.tolist()
    (0.75, [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    s = _array("roc", "score", score).astype(numpy.float64)
    y = _label("roc", label, len(s))
    w, negative = _weight("roc", weight, len(s))
    threshold, background, signal, total, squares, area = _loops.roc(s, y, w)
    for name, sum_of_weights in zip(("background", "signal"), total, strict=True):
        if not sum_of_weights > 0:
            raise ValueError(f"[roc] the weights of the {name} sum to {sum_of_weights}, expected more than 0")
    n0, n1 = (t * t / q for t, q in zip(total, squares, strict=True))
    held = min(max(area, 0.0), 1.0)
    q1, q2 = held / (2 - held), 2 * held * held / (1 + held)
    variance = held * (1 - held) + (n1 - 1) * (q1 - held * held) + (n0 - 1) * (q2 - held * held)
    error = math.sqrt(max(variance, 0.0) / (n0 * n1))
    return Roc(background / total[0], signal / total[1], threshold, area, error, negative)


def auc(score: Values, label: Values, weight: Values | None = None) -> float:
    """The area under the ROC curve: the probability that signal scores above background, ties counting half.

    >>> import trigrad as tg
    >>> tg.metrics.auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    return roc(score, label, weight).auc


@dataclass(frozen=True)
class Efficiency:
    """A share of weight that passes, and the interval that holds the true one with probability `level`."""

    value: float
    low: float
    high: float
    level: float
    effective_events: float  # (sum of weights)² / sum of squares
    negative: float


def _quantile(level: float) -> float:
    """How many standard deviations hold the probability `level`: erf(z / √2) = level."""
    if not 0 < level < 1:
        raise ValueError(f"[efficiency] level is {level}, expected a probability between 0 and 1")
    low, high = 0.0, 40.0
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < level else (low, middle)
    return (low + high) / 2


def _interval(passing: tuple[float, float, float, float], level: float, negative: float) -> Efficiency:
    """Wilson's interval with the effective number of events. With weights of both signs a share is no longer binomial:
    then the interval is normal, with the variance Σ_passing w² (1 - e)² + Σ_others w² e² over (Σ w)²."""
    good, good_squares, total, squares = passing
    e, n, z = good / total, total * total / squares, _quantile(level)
    if negative:
        error = z * math.sqrt(max(good_squares * (1 - e) ** 2 + (squares - good_squares) * e**2, 0.0)) / total
        return Efficiency(e, e - error, e + error, level, n, negative)
    middle = (e + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(e * (1 - e) / n + z * z / (4 * n * n))
    return Efficiency(e, max(middle - half, 0.0), min(middle + half, 1.0), level, n, negative)


def efficiency(score: Values, threshold: float, weight: Values | None = None, level: float = 0.6827) -> Efficiency:
    """The share of events with score >= threshold.

    >>> import trigrad as tg
    >>> found = tg.metrics.efficiency([0.2, 0.6, 0.9, 0.7], 0.5)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.75, 0.5, 0.9)
    """
    s = _array("efficiency", "score", score).astype(numpy.float64)
    w, negative = _weight("efficiency", weight, len(s))
    return _interval(_loops.passing(s, w, float(threshold)), level, negative)


@dataclass(frozen=True)
class AtRate:
    """A threshold that keeps the trigger at a rate. Rates in Hz."""

    threshold: float
    threshold_low: float  # where the background's uncertainty would put the threshold
    threshold_high: float
    rate: float  # of the background that passes: at most what was asked for
    background: Efficiency
    signal: Efficiency


def efficiency_at_rate(
    score: Values,
    label: Values,
    rate: float,
    input_rate: float = 40e6,
    weight: Values | None = None,
    level: float = 0.6827,
) -> AtRate:
    """The lowest threshold at which background passes at no more than `rate` (Hz) out of `input_rate`, and how much signal
    passes there. Background (label 0) stands for everything that comes in.

    >>> import trigrad as tg
    >>> found = tg.metrics.efficiency_at_rate([0.1, 0.2, 0.3, 0.4, 0.35, 0.8], [0, 0, 0, 0, 1, 1], rate=10e6)
    >>> found.threshold, found.rate, found.signal.value
    (0.35, 10000000.0, 1.0)
    """
    op = "efficiency_at_rate"
    if not 0 < rate <= input_rate:
        raise ValueError(f"[{op}] rate is {rate} Hz, expected more than 0 and at most input_rate, {input_rate} Hz")
    s = _array(op, "score", score).astype(numpy.float64)
    y = _label(op, label, len(s))
    w, negative = _weight(op, weight, len(s))
    threshold, background, _, total, _, _ = _loops.roc(s, y, w)
    if not min(total) > 0:
        raise ValueError(f"[{op}] the weights of background and signal sum to {total}, expected more than 0 for both")
    accepted = background / total[0]

    def threshold_of(share: float) -> float:
        # Up to the last point before the share is passed: with negative weights the curve may come back later.
        beyond = numpy.flatnonzero(accepted > share)
        return float(threshold[beyond[0] - 1 if len(beyond) else -1])

    chosen = threshold_of(rate / input_rate)
    inside = _interval(_loops.passing(s[y == 0], w[y == 0], chosen), level, negative)
    outside = _interval(_loops.passing(s[y == 1], w[y == 1], chosen), level, negative)
    above, below = inside.high - inside.value, inside.value - inside.low
    return AtRate(
        chosen,
        threshold_of(rate / input_rate + below),
        threshold_of(max(rate / input_rate - above, 0.0)),
        inside.value * input_rate,
        inside,
        outside,
    )


# ---- classes


def top_k_accuracy(prediction: Values, target: Values, k: int = 5, weight: Values | None = None) -> float:
    """The share of rows of `prediction` (N, C) whose `target` (N,) is among the k greatest; of equals the first is greater.

    >>> import trigrad as tg
    >>> tg.metrics.top_k_accuracy([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]], [2, 2], k=2)
    0.5
    """
    p = _array("top_k_accuracy", "prediction", prediction, (2,))
    t = _array("top_k_accuracy", "target", target)
    if t.dtype.kind not in "iu" or t.shape != (len(p),):
        raise ValueError(
            f"[top_k_accuracy] target is {t.dtype} {t.shape}, expected ({len(p)},) integers: a class for each row"
        )
    if not 1 <= k <= p.shape[1]:
        raise ValueError(f"[top_k_accuracy] k is {k}, expected 1 to {p.shape[1]}")
    w, _ = _weight("top_k_accuracy", weight, len(p))
    return float(_loops.top_k(p, t, k, w))


def accuracy(prediction: Values, target: Values, weight: Values | None = None, threshold: float = 0.5) -> float:
    """The share of right answers: for `prediction` (N, C) the greatest is the answer; for scores (N,) whether they reach the
    threshold.

    >>> import trigrad as tg
    >>> tg.metrics.accuracy([0.2, 0.6, 0.9], [0, 0, 1])
    0.6666666666666666
    """
    p = _array("accuracy", "prediction", prediction, (1, 2))
    if p.ndim == 2 and p.shape[1] > 1:
        return top_k_accuracy(p, target, 1, weight)
    t = _label("accuracy", target, len(p))
    w, _ = _weight("accuracy", weight, len(p))
    right = ((p.reshape(-1) >= threshold) == t).astype(numpy.float64)
    good, _, total, _ = _loops.passing(right, w, 1.0)
    return float(good / total)


# ---- numbers


def _pairs(op: str, prediction: Values, target: Values, weight: Values | None) -> tuple[Array, Array, Array]:
    p, t = (_array(op, n, v).astype(numpy.float64) for n, v in (("prediction", prediction), ("target", target)))
    if p.shape != t.shape:
        raise ValueError(f"[{op}] prediction has shape {p.shape} and target {t.shape}, expected the same")
    return p, t, _weight(op, weight, len(p))[0]


def mean_absolute_error(prediction: Values, target: Values, weight: Values | None = None) -> float:
    """The mean of |prediction - target|.

    >>> import trigrad as tg
    >>> tg.metrics.mean_absolute_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return float(_loops.mean_absolute_error(*_pairs("mean_absolute_error", prediction, target, weight)))


def r2_score(prediction: Values, target: Values, weight: Values | None = None) -> float:
    """The share of the target's variance that the prediction explains: 1 - Σ (target - prediction)² / Σ (target - mean)².

    >>> import trigrad as tg
    >>> tg.metrics.r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.7857142857142857
    """
    p, t, w = _pairs("r2_score", prediction, target, weight)
    if (t == t[0]).all():
        raise ValueError("[r2_score] all targets are equal: there is no variance to explain")
    return float(_loops.r2(p, t, w))
