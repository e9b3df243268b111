"""Where to cut on a score: at a given efficiency or trigger rate, or where the expected significance is greatest."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from trigrad.metrics import _inputs
from trigrad.metrics._inputs import Array, Data, Floats, UndefinedMetricWarning, warn
from trigrad.metrics.intervals import ONE_SIGMA, Interval, Method, Sums, _check
from trigrad.metrics.ranking import Ranked, rank

__all__ = ["Significance", "WorkingPoint", "asimov_significance", "significance_scan", "working_point"]


class WorkingPoint(NamedTuple):
    """A cut on the score, what passes it, and how sure that is; see `working_point`."""

    threshold: float
    """an event passes with a score of at least this; inf: none may"""
    threshold_interval: Interval
    """where the cut lies, the sample on which it was found being finite"""
    signal_efficiency: float
    signal_interval: Interval
    """by the number of signal events, at this threshold"""
    signal_interval_by_threshold: Interval
    """the signal efficiencies at the ends of `threshold_interval`"""
    background_efficiency: float
    background_interval: Interval
    input_rate_khz: float

    @property
    def background_rejection(self) -> float:
        """How many background events there are for each that passes."""
        return _inverse(self.background_efficiency)

    @property
    def rejection_interval(self) -> Interval:
        """That of the background efficiency, inverted."""
        return Interval(_inverse(self.background_interval.high), _inverse(self.background_interval.low))

    @property
    def rate_khz(self) -> float:
        """The rate at which background, all of the input, passes."""
        return self.background_efficiency * self.input_rate_khz

    @property
    def rate_interval_khz(self) -> Interval:
        """The interval of the rate, from that of the background's efficiency."""
        low, high = self.background_interval
        return Interval(low * self.input_rate_khz, high * self.input_rate_khz)

    def __str__(self) -> str:
        def between(interval: Interval) -> str:
            return f"{interval.low:.5g} to {interval.high:.5g}"

        return "\n".join(
            (
                f"threshold              {self.threshold:<10.6g} {between(self.threshold_interval)}",
                f"signal efficiency      {self.signal_efficiency:<10.5g} {between(self.signal_interval)}"
                f" (by the threshold {between(self.signal_interval_by_threshold)})",
                f"background efficiency  {self.background_efficiency:<10.5g} {between(self.background_interval)}",
                f"background rejection   {self.background_rejection:<10.5g} {between(self.rejection_interval)}",
                f"rate in kHz            {self.rate_khz:<10.5g} {between(self.rate_interval_khz)}"
                f" of {self.input_rate_khz:g}",
            )
        )


def _inverse(share: float) -> float:
    return 1 / share if share != 0 else math.inf


class _Cuts:
    """The ranked events as efficiencies; cut -1 passes nothing, cut i all events from thresholds[i] up."""

    def __init__(self, ranked: Ranked, weighted: bool, signed: bool) -> None:
        self.ranked, self.weighted, self.signed = ranked, weighted, signed
        self.signal, self.background = (self._shares(sums) for sums in (ranked.tps, ranked.fps))

    @staticmethod
    def _shares(sums: Floats) -> Floats:
        return sums / sums[-1] if sums[-1] > 0 else np.full_like(sums, np.nan)

    def threshold(self, cut: int) -> float:
        return math.inf if cut < 0 else float(self.ranked.thresholds[cut])

    def loosest(self, background: float) -> int:
        """The loosest cut down to which the background efficiency never exceeds this."""
        above = np.flatnonzero(self.background > background)
        return int(above[0]) - 1 if len(above) else len(self.background) - 1

    def tightest(self, signal: float) -> int:
        """The tightest cut that keeps this share of the signal."""
        kept = np.flatnonzero(self.signal >= signal)
        return int(kept[0]) if len(kept) else len(self.signal) - 1

    def at(self, threshold: float) -> int:
        """The cut at this threshold: the last one whose score is no less."""
        return int(np.searchsorted(-self.ranked.thresholds, -threshold, "right")) - 1

    def sums(self, cut: int, of_signal: bool) -> Sums:
        r = self.ranked
        sums, squares = (r.tps, r.tps_squares) if of_signal else (r.fps, r.fps_squares)
        passed, passed_squares = (float(sums[cut]), float(squares[cut])) if cut >= 0 else (0.0, 0.0)
        return Sums(passed, float(sums[-1]), passed_squares, float(squares[-1]), self.weighted, self.signed)


def working_point(
    y_true: Data,
    y_score: Data,
    *,
    background_efficiency: float | None = None,
    signal_efficiency: float | None = None,
    rate_khz: float | None = None,
    threshold: float | None = None,
    input_rate_khz: float = 40_000.0,
    pos_label: Any = None,
    sample_weight: Data | None = None,
    level: float = ONE_SIGMA,
    method: Method = "wilson",
) -> WorkingPoint:
    """The cut on the score at a fixed background efficiency, trigger rate (of background, out of `input_rate_khz`) or signal
    efficiency, or at a given threshold; with what passes it, and intervals of probability `level` (see `efficiency`).

    An event passes with a score of at least the threshold, which is one of the scores. At a fixed background efficiency or
    rate it is the lowest that does not exceed the budget, nor does any above it; events of equal scores pass together or
    not at all, and where already the highest score is too many the threshold is inf. At a fixed signal efficiency it is the
    highest that keeps as much. Only the events of one class decide, and are finite in number: `threshold_interval` holds the
    thresholds at the ends of the interval of that efficiency.

    With negative weights efficiencies may rise and fall along the scores: "exceed" then counts from the tightest cut on, up
    to the first crossing. y_true may be all background, to find a trigger's threshold: what is of the signal is then NaN.

    y_true (n,), y_score (n,)

    >>> import trigrad as tg
    >>> y = tg.arange(20_000) % 2
    >>> score = tg.randn(20_000, generator=tg.Generator()) + 2.0 * y
    >>> point = tg.metrics.working_point(y, score, rate_khz=400.0)
    >>> round(point.background_efficiency, 4), round(point.rate_khz)
    (0.01, 400)
    >>> 0.3 < point.signal_efficiency < 0.4, point.threshold_interval.low < point.threshold
    (True, True)
    """
    name = "working_point"
    _check(name, level, method)
    asked = {
        "background_efficiency": background_efficiency,
        "signal_efficiency": signal_efficiency,
        "rate_khz": rate_khz,
        "threshold": threshold,
    }
    given = {what: float(v) for what, v in asked.items() if v is not None}
    if len(given) != 1:
        raise ValueError(f"[{name}] got {', '.join(given) or 'none'} of {', '.join(asked)}, expected exactly one")
    ((what, value),) = given.items()
    if not (input_rate_khz > 0 and math.isfinite(input_rate_khz)):
        raise ValueError(f"[{name}] input_rate_khz is {input_rate_khz}, expected more than 0")
    most = math.inf if what == "threshold" else input_rate_khz if what == "rate_khz" else 1
    if not (0 < value <= most or (what == "threshold" and not math.isnan(value))):
        raise ValueError(f"[{name}] {what} is {value}, expected more than 0, at most {most:g}")
    positive = _inputs.positive(name, y_true, pos_label)
    score = _inputs.scores(name, "y_score", y_score)
    _inputs.same_length(name, y_true=positive, y_score=score)
    weight = _inputs.weights(name, sample_weight, len(score))
    signed = weight is not None and bool(weight.min() < 0)
    cuts = _Cuts(rank(positive, score, weight, squares=weight is not None), weight is not None, signed)

    by_signal = what == "signal_efficiency"
    lacks = np.isnan(cuts.signal[-1]), np.isnan(cuts.background[-1])
    if what != "threshold" and lacks[0 if by_signal else 1]:
        kind = "signal" if by_signal else "background"
        raise ValueError(
            f"[{name}] {what} is asked without {kind}: its weights have no positive sum, expected some events"
        )
    if any(lacks):
        warn(f"[{name}] y_true lacks a class, or its weights have no positive sum: nan", UndefinedMetricWarning)

    if what == "threshold":
        cut = cuts.at(value)
        place, ends = value, Interval(value, value)
    else:
        find = cuts.tightest if by_signal else cuts.loosest
        target = value / input_rate_khz if what == "rate_khz" else value
        cut = find(target)
        place = cuts.threshold(cut)
        low, high = _around(cuts.sums(cut, by_signal), target, level, method)
        ends = Interval(cuts.threshold(find(high)), cuts.threshold(find(low)))
    signal, background = cuts.sums(cut, True), cuts.sums(cut, False)
    by_threshold = Interval(*(cuts.sums(cuts.at(end), True).share for end in reversed(ends)))
    return WorkingPoint(
        place, ends, signal.share, signal.interval(level, method), by_threshold, background.share,
        background.interval(level, method), input_rate_khz,
    )  # fmt: skip


def _around(sums: Sums, target: float, level: float, method: Method) -> Interval:
    """The interval of an efficiency that is `target`, in a sample of as many effective events as these."""
    n = sums.effective()
    centred = sums._replace(passed=target * n, total=n, weighted=False, signed=False)
    if not sums.signed:
        return centred.interval(level, method)
    low, high = sums.interval(level, method)
    return Interval(target + low - sums.share, target + high - sums.share)


# ---- significance


def asimov_significance(signal: Data, background: Data, background_error: Data = 0.0) -> Any:
    """The median significance, in standard deviations, with which `signal` expected events over `background` would be
    discovered; `background_error` is the standard deviation with which the background is known.

    √(2 ((s + b) ln(1 + s / b) - s)) without an error, and its extension to a background measured beside (Asimov data,
    profile likelihood); about s / √(b + error²) for small s. NaN where b is not positive or s is negative: neither has an
    expectation to fluctuate.

    signal, background, background_error: numbers or arrays that broadcast

    >>> from trigrad import metrics
    >>> round(metrics.asimov_significance(10.0, 100.0), 4)
    0.984
    >>> round(metrics.asimov_significance(10.0, 100.0, background_error=10.0), 4)
    0.6902
    """
    name = "asimov_significance"
    s, b, error = np.broadcast_arrays(
        *(
            _inputs.finite(name, what, _inputs.array(v)).astype(np.float64)
            for what, v in (("signal", signal), ("background", background), ("background_error", background_error))
        )
    )
    if (error < 0).any():
        raise ValueError(f"[{name}] background_error is negative somewhere, expected 0 or more")
    defined = (b > 0) & (s >= 0)
    s, b = np.where(defined, s, 0.0), np.where(defined, b, 1.0)
    z = np.sqrt(2 * b * _discovery(s / b, 1 / (1 + error**2 / b)))
    result = np.where(defined, z, np.nan)
    return result.item() if result.ndim == 0 else result


def _discovery(x: Floats, q: Floats) -> Floats:
    """Z² / 2 of the profile likelihood over b, at x = s / b and q = b / (b + error²): f(x) - f(r x) / r, where r = 1 - q and
    f(x) = (1 + x) ln(1 + x) - x; in forms that lose no digits to the difference."""
    r = 1 - q
    small = np.minimum(x, 0.01)
    series, power, sum_of_powers = np.zeros_like(x), small, np.zeros_like(x)
    for k in range(2, 9):  # f(x) = x² / 2 - x³ / 6 + ..., and 1 - rᵏ⁻¹ = q (1 + r + ... + rᵏ⁻²)
        power, sum_of_powers = -power * small, 1 + r * sum_of_powers
        series -= power * sum_of_powers / (k * (k - 1))
    slope = np.where(r > 0, np.log1p(r * x) / np.where(r > 0, r, 1.0), x)
    closed = (1 + x) * np.log1p(q * x / (1 + r * x)) - q * slope
    return np.where(x < 0.01, q * series, np.maximum(closed, 0.0))


class Significance(NamedTuple):
    """The expected significance for each cut, from the loosest to the tightest; arrays (m,)."""

    thresholds: Array
    significance: Floats
    signal: Floats
    """expected signal events that pass"""
    background: Floats
    """expected background events that pass"""

    @property
    def best(self) -> int:
        """The index of the greatest significance."""
        if np.isnan(self.significance).all():
            raise ValueError("[significance_scan] no cut leaves background and signal of positive sums of weights")
        return int(np.nanargmax(self.significance))


def significance_scan(
    y_true: Data,
    y_score: Data,
    *,
    signal_yield: float | None = None,
    background_yield: float | None = None,
    background_uncertainty: float = 0.0,
    minimum_background: float = 0.0,
    pos_label: Any = None,
    sample_weight: Data | None = None,
) -> Significance:
    """The expected significance (`asimov_significance`) of a count behind each cut on the score. The yields are the events
    expected before any cut, by default the sums of weights; `background_uncertainty` is relative.

    A cut that leaves no background, or (Σw)² / Σw² of its events below `minimum_background`, has no significance: NaN. The
    best cut of a simulation that ends there would be its last event. With negative weights sums that are not positive are
    NaN likewise.

    y_true (n,), y_score (n,) -> arrays (m,)

    >>> from trigrad import metrics
    >>> scan = metrics.significance_scan([0, 0, 0, 1, 1], [0.1, 0.3, 0.6, 0.5, 0.9], signal_yield=20, background_yield=300)
    >>> float(scan.thresholds[scan.best]), round(float(scan.significance[scan.best]), 3)
    (0.5, 1.938)
    """
    name = "significance_scan"
    if not background_uncertainty >= 0:
        raise ValueError(f"[{name}] background_uncertainty is {background_uncertainty}, expected 0 or more")
    positive = _inputs.positive(name, y_true, pos_label)
    score = _inputs.scores(name, "y_score", y_score)
    _inputs.same_length(name, y_true=positive, y_score=score)
    ranked = rank(positive, score, _inputs.weights(name, sample_weight, len(score)), squares=True)
    if ranked.tps[-1] <= 0 or ranked.fps[-1] <= 0:
        raise ValueError(f"[{name}] a class has no positive sum of weights, expected signal and background")
    signal, background = (
        sums if expected is None else sums * (expected / sums[-1])
        for sums, expected in ((ranked.tps, signal_yield), (ranked.fps, background_yield))
    )
    events = np.divide(ranked.fps**2, ranked.fps_squares, out=np.zeros_like(ranked.fps), where=ranked.fps_squares > 0)
    allowed = (events >= minimum_background) & (background > 0)
    found = np.full(len(signal), np.nan)
    found[allowed] = asimov_significance(
        signal[allowed], background[allowed], background_uncertainty * background[allowed]
    )
    return Significance(ranked.thresholds[::-1], found[::-1], signal[::-1], background[::-1])
