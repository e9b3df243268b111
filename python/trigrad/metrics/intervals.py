"""How sure a number is: binomial intervals of counts and of weighted events, and bootstrap intervals of any metric."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from trigrad import ops
from trigrad._core import int64
from trigrad._indexing import bincount
from trigrad._ordering import quantile
from trigrad.metrics import _inputs
from trigrad.metrics._inputs import Data, Floats, NegativeWeightWarning, tensor, total

__all__ = [
    "ONE_SIGMA",
    "Bootstrap",
    "Efficiency",
    "Interval",
    "binomial_interval",
    "bootstrap_interval",
    "efficiency",
]

ONE_SIGMA = math.erf(math.sqrt(0.5))
"""The probability of one standard deviation about the mean of a normal distribution, 0.6827."""

Method: TypeAlias = Literal["wilson", "clopper-pearson"]


class Interval(NamedTuple):
    """From `low` to `high`: numbers, or arrays of these."""

    low: Any
    high: Any


class Efficiency(NamedTuple):
    """A share of events, and the interval in which it lies."""

    value: float
    low: float
    high: float


def _check(name: str, level: float, method: str = "wilson") -> None:
    if not 0 < level < 1:
        raise ValueError(f"[{name}] level is {level}, expected between 0 and 1, such as 0.6827 or 0.95")
    if method not in ("wilson", "clopper-pearson"):
        raise ValueError(f"[{name}] method is {method!r}, expected 'wilson' or 'clopper-pearson'")


def binomial_interval(passed: Data, total: Data, *, level: float = ONE_SIGMA, method: Method = "wilson") -> Interval:
    """The interval of the probability with which an event passes, if `passed` of `total` did; without an event 0 to 1.

    Wilson's interval covers the true value with probability `level` on average; that of Clopper and Pearson with at least
    `level` always, and is wider. Counts may be fractions: effective numbers of weighted events, as `efficiency` finds them.

    passed, total: numbers or arrays that broadcast -> low, high

    >>> from trigrad import metrics
    >>> low, high = metrics.binomial_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.7661, 0.9611)
    >>> metrics.binomial_interval([0, 5], [5, 5], level=0.95, method="clopper-pearson").high.round(4)
    array([0.5218, 1.    ])
    """
    name = "binomial_interval"
    _check(name, level, method)
    k, n = (
        _inputs.finite(name, what, _inputs.array(v)).astype(np.float64)
        for what, v in (("passed", passed), ("total", total))
    )
    k, n = np.broadcast_arrays(k, n)
    if (k < 0).any() or (k > n).any():
        raise ValueError(
            f"[{name}] got a count that is negative or larger than its total, expected 0 <= passed <= total"
        )
    low, high = (_wilson if method == "wilson" else _clopper_pearson)(k, n, (1 - level) / 2)
    low, high = np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high)
    return Interval(low.item(), high.item()) if low.ndim == 0 else Interval(low, high)


def _wilson(k: Floats, n: Floats, tail: float) -> tuple[Floats, Floats]:
    z = NormalDist().inv_cdf(1 - tail)
    n = np.maximum(n, 1e-100)  # of no event nothing is known: 0 to 1 by the caller
    p = k / n
    scale = 1 / (1 + z * z / n)
    centre = (p + z * z / (2 * n)) * scale
    half = z * np.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2) * scale
    return centre - half, centre + half


def _clopper_pearson(k: Floats, n: Floats, tail: float) -> tuple[Floats, Floats]:
    shape = k.shape
    k, n = k.reshape(-1), n.reshape(-1)
    low, high = np.zeros(len(k)), np.ones(len(k))
    inside = k > 0
    low[inside] = _beta_quantile(tail, k[inside], n[inside] - k[inside] + 1)
    inside = k < n
    high[inside] = 1 - _beta_quantile(tail, n[inside] - k[inside], k[inside] + 1)
    return low.reshape(shape), high.reshape(shape)


def _beta_quantile(p: float, a: Floats, b: Floats) -> Floats:
    """The x below which the beta distribution with a > 0, b >= 1 has the probability p < 1/2.

    Newton's steps on the logarithm of the probability as a function of u = log(x / (1 - x)), in which it is concave: from
    the left each step falls short, and where one goes too far left the next comes back.
    """
    u = np.log(a / b) + NormalDist().inv_cdf(p) * np.sqrt(1 / a + 1 / b)
    for _ in range(100):
        log_x, log_y = -np.logaddexp(0, -u), -np.logaddexp(0, u)
        density, fraction = _beta(np.exp(log_x), log_x, log_y, a, b)
        step = (density + np.log(fraction / a) - math.log(p)) * fraction / a  # (log F - log p) / (log F)'
        u = u - np.clip(step, -10, 10)
        if not (np.abs(step) > 1e-13 * np.maximum(1, np.abs(u))).any():
            break
    return np.asarray(np.exp(-np.logaddexp(0, -u)), dtype=np.float64)


def _beta(x: Floats, log_x: Floats, log_y: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """log(xᵃ (1 - x)ᵇ / B(a, b)), and the continued fraction by which that, over a, becomes the incomplete beta function."""
    n = a + b
    log_density = (
        a * (log_x - np.log(a / n)) + b * (log_y - np.log(b / n)) + 0.5 * np.log(a * b / (2 * math.pi * n))
        - _stirling(a) - _stirling(b) + _stirling(n)
    )  # fmt: skip
    tiny = 1e-300
    c = np.ones_like(x)
    d = 1 / _away(1 - n * x / (a + 1), tiny)
    result = d.copy()
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (n + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d, tiny)
            c = _away(1 + term / c, tiny)
            result *= c * d
        if (np.abs(c * d - 1) < 1e-15).all():
            break
    return log_density, result


def _away(values: Floats, tiny: float) -> Floats:
    return np.where(np.abs(values) < tiny, tiny, values)


def _stirling(x: Floats) -> Floats:
    """log Γ(x) less Stirling's (x - 1/2) log x - x + log(2π) / 2."""
    large = np.maximum(x, 10)
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / large**2) / large**2) / large**2) / large
    small = np.minimum(x, 10)
    gamma = np.array([math.lgamma(v) for v in small])
    exact = gamma - ((small - 0.5) * np.log(small) - small + 0.5 * math.log(2 * math.pi))
    return np.where(x < 10, exact, series)


# ---- weighted events


class Sums(NamedTuple):
    """Events that pass a cut, among all: sums of weights and of their squares. `signed`: some weights are negative."""

    passed: float
    total: float
    passed_squares: float
    total_squares: float
    weighted: bool
    signed: bool

    @property
    def share(self) -> float:
        return self.passed / self.total if self.total > 0 else np.nan

    def effective(self) -> float:
        """The number of unweighted events that would know the share as well as these do: share (1 - share) over its
        variance; where that is 0 / 0, (Σw)² / Σw²."""
        if not self.weighted:
            return self.total
        p = self.share
        spread = (1 - p) ** 2 * self.passed_squares + p**2 * (self.total_squares - self.passed_squares)
        if 0 < p < 1 and spread > 0:
            return p * (1 - p) * self.total**2 / spread
        return self.total**2 / self.total_squares

    def interval(self, level: float, method: Method) -> Interval:
        p = self.share
        if np.isnan(p):
            return Interval(np.nan, np.nan)
        if self.signed:
            spread = (1 - p) ** 2 * self.passed_squares + p**2 * (self.total_squares - self.passed_squares)
            half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(max(spread, 0.0)) / self.total
            return Interval(p - half, p + half)
        n = self.effective()
        p = min(p, 1.0)
        return binomial_interval(min(p * n, n), n, level=level, method=method)


def efficiency(
    passed: Data, *, sample_weight: Data | None = None, level: float = ONE_SIGMA, method: Method = "wilson"
) -> Efficiency:
    """The share of the events that pass, and its interval.

    With weights it is Σw of those that pass over Σw of all, and the interval that of the effective number of events: as
    many unweighted ones as would have the share's variance ((1 - ε)² Σw² of the passing + ε² Σw² of the others) / (Σw)².
    With negative weights the share may leave the range from 0 to 1, no number of events stands for it, and the interval is
    that of the normal distribution with this variance, not clipped.

    passed (n,) of True and False

    >>> from trigrad import metrics
    >>> found = metrics.efficiency([True, True, False, True])
    >>> found.value, round(found.low, 4), round(found.high, 4)
    (0.75, 0.5, 0.9)
    """
    name = "efficiency"
    _check(name, level, method)
    there = _inputs.line(name, "passed", passed)
    if not (there.dtype == np.bool_ or (there.dtype.kind in "iuf" and np.isin(there, (0, 1)).all())):
        raise ValueError(f"[{name}] passed holds {there.dtype}, expected True and False, as of y_score >= threshold")
    weight = _inputs.weights(name, sample_weight, len(there))
    mask = tensor(there.astype(np.bool_))
    if weight is None:
        k, n = total(mask), float(len(there))
        sums = Sums(k, n, k, n, weighted=False, signed=False)
    else:
        w = tensor(weight)
        squares = ops.square(w)
        parts = (total(ops.where(mask, v, 0.0)) for v in (w, squares))
        k, k_squares = parts
        sums = Sums(k, total(w), k_squares, total(squares), weighted=True, signed=bool(weight.min() < 0))
        if sums.total <= 0:
            raise ValueError(f"[{name}] the weights add up to {sums.total:g}, expected a positive sum")
    return Efficiency(sums.share, *sums.interval(level, method))


# ---- bootstrap

BOOTSTRAP_STREAM = 0xB007  # resamples are drawn from a random stream of their own


class Bootstrap(NamedTuple):
    """A metric of the events, the interval in which it lies, and its values (resamples,) from which that was taken."""

    value: float
    low: float
    high: float
    values: Floats


def bootstrap_interval(
    metric: Callable[..., Any],
    y_true: Data,
    y_pred: Data,
    *,
    sample_weight: Data | None = None,
    strata: Data | None = None,
    resamples: int = 200,
    level: float = ONE_SIGMA,
    seed: int = 0,
    **options: Any,
) -> Bootstrap:
    """The interval of a metric by drawing as many events again, with replacement, and taking quantiles of its values.

    `metric(y_true, y_pred, sample_weight=..., **options)` is called with the number of times that each event was drawn
    (times its weight, if it has one). With `strata`, say y_true, events are drawn within each of its classes, whose numbers
    then stay as they are. The draws are a function of `seed`, of the resample and of the number of events alone: the same on
    every machine.

    >>> from trigrad import metrics
    >>> y, score = [0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.35, 0.3, 0.8, 0.7]
    >>> found = metrics.bootstrap_interval(metrics.roc_auc_score, y, score, strata=y)
    >>> round(found.value, 4), found.low <= found.value <= found.high
    (0.7778, True)
    """
    name = "bootstrap_interval"
    _check(name, level)
    if resamples < 2:
        raise ValueError(f"[{name}] resamples is {resamples}, expected 2 or more, such as 200")
    truth, predicted = _inputs.array(y_true), _inputs.array(y_pred)
    if truth.ndim == 0 or predicted.ndim == 0 or len(truth) == 0:
        raise ValueError(
            f"[{name}] y_true has shape {truth.shape} and y_pred {predicted.shape}, expected events: (n, ...)"
        )
    _inputs.same_length(name, y_true=truth, y_pred=predicted)
    n = len(truth)
    weight = _inputs.weights(name, sample_weight, n)
    groups = [np.arange(n)]
    if strata is not None:
        kinds = _inputs.labels(name, "strata", strata)
        _inputs.same_length(name, y_true=truth, strata=kinds)
        classes, (codes,) = _inputs.encode(kinds)
        groups = [np.flatnonzero(codes == c) for c in range(len(classes))]
    values = np.empty(resamples)
    with warnings.catch_warnings():  # it was said above
        warnings.simplefilter("ignore", NegativeWeightWarning)
        for resample in range(resamples):
            times = np.zeros(n)
            for i, events in enumerate(groups):
                step = resample * len(groups) + i
                draws = ops.integers([len(events)], 0, len(events), seed, BOOTSTRAP_STREAM, step, int64)
                times[events] = bincount(draws, minlength=len(events)).numpy()
            drawn = times if weight is None else times * weight
            values[resample] = metric(truth, predicted, sample_weight=drawn, **options)
        value = float(metric(truth, predicted, sample_weight=weight, **options))
    tails = tensor(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = quantile(tensor(values), tails).tolist()
    return Bootstrap(value, low, high, values)
