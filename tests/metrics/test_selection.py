"""Working points against a search through all cuts; significances against the formula in many digits."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trigrad import metrics
from trigrad.metrics import NegativeWeightWarning, asimov_significance, efficiency, significance_scan, working_point

quick = settings(max_examples=80)


@st.composite
def events(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    n = draw(st.integers(2, 25))
    y = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))])
    score = np.array(draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))) / 2
    w = draw(st.one_of(st.none(), st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=n, max_size=n).map(np.array)))
    return y, score, w


def shares(y: Any, score: Any, w: Any, threshold: float) -> tuple[float, float]:
    w = np.ones(len(y)) if w is None else w
    passing = score >= threshold
    return tuple(float(w[passing & (y == c)].sum() / w[y == c].sum()) for c in (1, 0))  # type: ignore[return-value]


@quick
@given(events(), st.sampled_from([0.01, 0.2, 0.25, 0.5, 0.75, 1.0]))
def test_fixed_background_efficiency(sample: tuple[Any, Any, Any], target: float) -> None:
    y, score, w = sample
    point = working_point(y, score, background_efficiency=target, sample_weight=w)
    allowed = [t for t in np.unique(score) if shares(y, score, w, t)[1] <= target]
    assert point.threshold == (min(allowed) if allowed else math.inf)
    signal, background = shares(y, score, w, point.threshold)
    assert math.isclose(point.signal_efficiency, signal)
    assert math.isclose(point.background_efficiency, background)
    assert point.threshold_interval.low <= point.threshold <= point.threshold_interval.high
    assert point.background_rejection == (1 / background if background else math.inf)
    by_rate = working_point(y, score, rate_khz=1e3 * target, input_rate_khz=1e3, sample_weight=w)
    assert by_rate.threshold == point.threshold
    assert math.isclose(by_rate.rate_khz, 1e3 * background)
    at_threshold = working_point(y, score, threshold=point.threshold, sample_weight=w)
    assert at_threshold.signal_interval == point.signal_interval
    assert at_threshold.background_interval == point.background_interval
    for c, interval in ((1, point.signal_interval), (0, point.background_interval)):
        alone = efficiency(score[y == c] >= point.threshold, sample_weight=None if w is None else w[y == c])
        np.testing.assert_allclose(interval, alone[1:], rtol=1e-9, atol=1e-12)


@quick
@given(events(), st.sampled_from([0.01, 0.2, 0.25, 0.5, 0.75, 1.0]))
def test_fixed_signal_efficiency(sample: tuple[Any, Any, Any], target: float) -> None:
    y, score, w = sample
    point = working_point(y, score, signal_efficiency=target, sample_weight=w)
    assert point.threshold == max(t for t in np.unique(score) if shares(y, score, w, t)[0] >= target)
    assert point.threshold_interval.low <= point.threshold <= point.threshold_interval.high
    assert point.rejection_interval.low <= point.background_rejection <= point.rejection_interval.high


def test_a_threshold_between_scores() -> None:
    y, score = np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)
    for threshold, passing in ((5.0, (0, 0)), (2.5, (1, 0)), (3.0, (1, 0)), (0.5, (1, 1)), (-math.inf, (1, 1))):
        point = working_point(y, score, threshold=threshold)
        assert (point.signal_efficiency, point.background_efficiency) == passing
        assert point.threshold == threshold


def test_coverage_of_the_threshold() -> None:
    """The interval holds the quantile of the distribution that the events come from, as often as it says."""
    rng = np.random.default_rng(4)
    toys, hits = 400, 0
    for _ in range(toys):
        score = rng.random(500)
        low, high = working_point(np.arange(500) % 2, score, rate_khz=2_000.0).threshold_interval
        hits += low <= 0.95 <= high
    assert abs(hits / toys - metrics.ONE_SIGMA) < 0.08


def test_negative_weights_stop_at_the_first_crossing() -> None:
    """Background 0.5, 0.25, 1 of the total down to the scores 3, 2, 1: a budget of 0.3 ends above 3."""
    y, score = np.array([0, 0, 0, 1, 1]), np.array([3.0, 2.0, 1.0, 3.0, 2.0])
    w = np.array([2.0, -1.0, 3.0, 1.0, 1.0])
    with pytest.warns(NegativeWeightWarning):
        point = working_point(y, score, background_efficiency=0.3, sample_weight=w)
    assert point.threshold == math.inf
    with pytest.warns(NegativeWeightWarning):
        point = working_point(y, score, background_efficiency=0.5, sample_weight=w)
    assert (point.threshold, point.background_efficiency) == (2.0, 0.25)
    spread = 0.75**2 * (4 + 1) + 0.25**2 * 9
    np.testing.assert_allclose(point.background_interval, 0.25 + np.array([-1, 1]) * math.sqrt(spread) / 4)


def test_it_prints_as_a_table() -> None:
    y, score = np.arange(1000) % 2, np.arange(1000) / 1000
    text = str(working_point(y, score, rate_khz=100.0))
    assert [line.split("  ")[0] for line in text.splitlines()] == [
        "threshold",
        "signal efficiency",
        "background efficiency",
        "background rejection",
        "rate in kHz",
    ]
    assert text.endswith("of 40000")


# ---- significance


@pytest.mark.parametrize("s", [0.0, 1e-6, 1e-3, 0.5, 10.0, 1e4])
@pytest.mark.parametrize("b", [1e-3, 1.0, 100.0, 1e7])
@pytest.mark.parametrize("error", [0.0, 1e-4, 0.1, 3.0])
def test_asimov_significance(s: float, b: float, error: float) -> None:
    """The formula as it is usually written, in 60 digits; `error` relative to b."""
    with mpmath.workdps(60):
        ms, mb, variance = mpmath.mpf(s), mpmath.mpf(b), mpmath.mpf(error * b) ** 2
        if error:
            first = (ms + mb) * mpmath.log((ms + mb) * (mb + variance) / (mb**2 + (ms + mb) * variance))
            half = first - mb**2 / variance * mpmath.log(1 + variance * ms / (mb * (mb + variance)))
        else:
            half = (ms + mb) * mpmath.log(1 + ms / mb) - ms
        expected = float(mpmath.sqrt(2 * max(half, 0)))
    assert math.isclose(asimov_significance(s, b, error * b), expected, rel_tol=1e-9, abs_tol=1e-30)


def test_significance_is_not_defined_without_expectations() -> None:
    found = asimov_significance([1.0, 1.0, -1.0, 1.0], [0.0, -1.0, 1.0, 1.0])
    assert np.isnan(found).tolist() == [True, True, True, False]


@quick
@given(events(), st.sampled_from([None, 50.0]), st.sampled_from([0.0, 0.2]))
def test_significance_scan(sample: tuple[Any, Any, Any], scale: float | None, error: float) -> None:
    y, score, w = sample
    scan = significance_scan(y, score, sample_weight=w, signal_yield=scale, background_uncertainty=error)
    plain = np.ones(len(y)) if w is None else w
    assert scan.thresholds.tolist() == np.unique(score).tolist()
    best = -1.0
    for i, t in enumerate(scan.thresholds):
        s, b = (plain[(score >= t) & (y == c)].sum() for c in (1, 0))
        s *= 1 if scale is None else scale / plain[y == 1].sum()
        np.testing.assert_allclose((scan.signal[i], scan.background[i]), (s, b), rtol=1e-12)
        if b == 0:
            assert np.isnan(scan.significance[i])
        else:
            np.testing.assert_allclose(scan.significance[i], asimov_significance(s, b, error * b), rtol=1e-9)
            best = max(best, scan.significance[i])
    assert scan.significance[scan.best] == best


def test_significance_needs_a_background_that_is_known() -> None:
    y, score = [0] * 10 + [1] * 10, [*range(10), *range(5, 15)]
    tight, safe = significance_scan(y, score), significance_scan(y, score, minimum_background=4)
    assert tight.background[tight.best] == 1
    assert safe.background[safe.best] >= 4
    with pytest.raises(ValueError, match="no cut leaves"):
        significance_scan(y, score, minimum_background=100).best  # noqa: B018
