"""Intervals: against mpmath's and exact sums, by their coverage, and the same on every machine."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

import trigrad as tg
from trigrad import metrics
from trigrad.metrics import NegativeWeightWarning, binomial_interval, bootstrap_interval, efficiency

COUNTS = [(0, 1), (1, 1), (1, 3), (5, 10), (9, 10), (0, 1000), (3, 1000), (999, 1000), (7, 10**9)]


def tails(k: float, n: float, low: float, high: float) -> tuple[Any, Any]:
    """The probabilities of k or more at `low`, and of k or fewer at `high`: what Clopper and Pearson make equal."""
    with mpmath.workdps(30):
        above = mpmath.betainc(k, n - k + 1, 0, mpmath.mpf(low), regularized=True) if k else None
        below = 1 - mpmath.betainc(k + 1, n - k, 0, mpmath.mpf(high), regularized=True) if k < n else None
        return above, below


@pytest.mark.parametrize(("k", "n"), [*COUNTS, (0.3, 2.5), (2.0, 2.9), (0.05, 4.0), (12.7, 80.2)])
@pytest.mark.parametrize("level", [metrics.ONE_SIGMA, 0.95, 0.9999])
def test_clopper_pearson(k: float, n: float, level: float) -> None:
    low, high = binomial_interval(k, n, level=level, method="clopper-pearson")
    assert 0 <= low <= k / n <= high <= 1
    above, below = tails(k, n, low, high)
    assert low == 0 if above is None else abs(above / ((1 - level) / 2) - 1) < 1e-7
    assert high == 1 if below is None else abs(below / ((1 - level) / 2) - 1) < 1e-7


def test_clopper_pearson_of_large_counts() -> None:
    stats = pytest.importorskip("scipy.stats")
    k, n = np.array([3e3, 4e4, 1e5, 5e5, 999_000, 4.2e8]), np.array([1e7, 1e5, 1e6, 1e6, 1e6, 1e9])
    low, high = binomial_interval(k, n, method="clopper-pearson")
    tail = (1 - metrics.ONE_SIGMA) / 2
    np.testing.assert_allclose(low, stats.beta.ppf(tail, k, n - k + 1), rtol=1e-11)
    np.testing.assert_allclose(1 - high, stats.beta.ppf(tail, n - k, k + 1), rtol=1e-11)


@pytest.mark.parametrize(("k", "n"), COUNTS)
def test_wilson_solves_its_equation(k: int, n: int) -> None:
    """The ends are those p from which k / n is z standard deviations √(p (1 - p) / n) away."""
    for level, z in ((metrics.ONE_SIGMA, 1.0), (0.95, 1.959963984540054)):
        interval = binomial_interval(k, n, level=level)
        for p in interval:
            assert 0 <= p <= 1
            if 0 < p < 1:
                assert math.isclose(abs(k / n - p), z * math.sqrt(p * (1 - p) / n), rel_tol=1e-6)
        assert interval.low == 0 or k > 0
        assert interval.high == 1 or k < n


def test_coverage_of_counts() -> None:
    """Clopper and Pearson cover every true value with at least the level; Wilson on average."""
    n, level = 20, metrics.ONE_SIGMA
    k = np.arange(n + 1)
    chances = np.array([math.comb(n, i) for i in k])
    covered: dict[str, list[float]] = {}
    for method in ("wilson", "clopper-pearson"):
        low, high = binomial_interval(k, n, level=level, method=method)  # type: ignore[arg-type]
        covered[method] = [
            float((chances * p**k * (1 - p) ** (n - k))[(low <= p) & (p <= high)].sum()) for p in np.linspace(0, 1, 401)
        ]
    assert min(covered["clopper-pearson"]) >= level - 1e-12
    assert abs(np.mean(covered["wilson"]) - level) < 0.02


def test_without_events_nothing_is_known() -> None:
    for method in ("wilson", "clopper-pearson"):
        assert binomial_interval(0, 0, method=method) == (0.0, 1.0)  # type: ignore[arg-type]
    low, high = binomial_interval([[0], [1]], [1, 2, 3])
    assert low.shape == high.shape == (2, 3)


# ---- weighted


def test_equal_weights_change_nothing() -> None:
    passed = np.arange(30) % 3 == 0
    plain = efficiency(passed)
    assert plain[1:] == binomial_interval(10, 30)
    np.testing.assert_allclose(efficiency(passed, sample_weight=np.full(30, 0.37)), plain, rtol=1e-12)
    for nobody in (np.zeros(30, dtype=bool), np.ones(30, dtype=bool)):
        np.testing.assert_allclose(efficiency(nobody, sample_weight=np.full(30, 0.37)), efficiency(nobody), rtol=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_coverage_of_weighted_events(signed: bool) -> None:
    """Weights of which the passing events have the larger ones; the true share is that of 500,000 events."""
    rng = np.random.default_rng(5)

    def draw(n: int) -> tuple[Any, Any]:
        w = rng.exponential(size=n)
        passed = rng.random(n) < 0.1 + 0.6 * (w > 1.5)
        return passed, np.where(rng.random(n) < 0.15, -w, w) if signed else w

    passed, w = draw(500_000)
    truth = w[passed].sum() / w.sum()
    hits = 0
    toys = 400
    for _ in range(toys):
        passed, w = draw(300)
        if signed:
            with pytest.warns(NegativeWeightWarning):
                _, low, high = efficiency(passed, sample_weight=w)
        else:
            _, low, high = efficiency(passed, sample_weight=w)
        hits += low <= truth <= high
    assert abs(hits / toys - metrics.ONE_SIGMA) < 0.07, "three standard deviations of 400 toys"


def test_effective_events_have_the_variance_of_the_weighted_ones() -> None:
    """Here the heavy events pass; (Σw)² / Σw² of all would be another number of events."""
    rng = np.random.default_rng(8)
    w = rng.exponential(size=20_000)
    passed = rng.random(len(w)) < 0.05 + 0.3 * (w > 2)
    value, low, high = efficiency(passed, sample_weight=w)
    deviation = math.sqrt((((passed - value) * w) ** 2).sum()) / w.sum()
    assert math.isclose((high - low) / 2, deviation, rel_tol=1e-3)
    kish = math.sqrt(value * (1 - value) * (w**2).sum()) / w.sum()
    assert abs(kish / deviation - 1) > 0.05, "the example tells the two apart"


def test_negative_weights_may_leave_the_range() -> None:
    passed, w = np.array([True, True, True, False]), np.array([1.0, 1.0, 1.0, -1.0])
    with pytest.warns(NegativeWeightWarning):
        found = efficiency(passed, sample_weight=w)
    assert found.value == 1.5
    np.testing.assert_allclose([found.low, found.high], 1.5 + np.array([-1, 1]) * math.sqrt(0.25 * 3 + 2.25) / 2)


# ---- bootstrap


def sample(n: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(11)
    y = (np.arange(n) % 4 == 0).astype(int)
    return y, rng.normal(size=n) + y


def test_bootstrap_finds_the_spread_of_the_area() -> None:
    """Hanley and McNeil: the variance of an area is a mean over pairs of pairs, here summed exactly."""
    y, score = sample()
    signal, background = score[y == 1], score[y == 0]
    wins = (signal[:, None] > background) * 1.0
    variance = wins.mean(1).var(ddof=1) / len(signal) + wins.mean(0).var(ddof=1) / len(background)
    found = bootstrap_interval(metrics.roc_auc_score, y, score, strata=y, resamples=1000)
    assert found.value == metrics.roc_auc_score(y, score)
    assert abs(found.values.std() / math.sqrt(variance) - 1) < 0.1
    assert abs((found.high - found.low) / 2 / math.sqrt(variance) - 1) < 0.12
    assert found.low < found.value < found.high


def test_bootstrap_is_a_function_of_its_seed() -> None:
    y, score = sample()
    first = bootstrap_interval(metrics.roc_auc_score, y, score, resamples=20)
    again = bootstrap_interval(metrics.roc_auc_score, y, score, resamples=20)
    other = bootstrap_interval(metrics.roc_auc_score, y, score, resamples=20, seed=1)
    more = bootstrap_interval(metrics.roc_auc_score, y, score, resamples=30)
    assert (first.values == again.values).all()
    assert (first.values == more.values[:20]).all()
    assert not (first.values == other.values).any()
    tg.manual_seed(5)
    state = tg.get_rng_state().tolist()
    bootstrap_interval(metrics.roc_auc_score, y, score, resamples=2)
    assert tg.get_rng_state().tolist() == state, "the default generator is not touched"


def test_bootstrap_draws_within_strata_and_keeps_weights() -> None:
    y, score = sample(40)
    w = np.where(y == 1, 2.0, 1.0)
    seen: list[Any] = []

    def metric(y_true: Any, y_pred: Any, sample_weight: Any) -> float:
        seen.append(np.ones(len(y_true)) if sample_weight is None else sample_weight)
        return float(np.sum(seen[-1] * y_pred))

    bootstrap_interval(metric, y, score, sample_weight=w, strata=y, resamples=8)
    *drawn, original = seen
    assert (original == w).all()
    for times in drawn:
        assert times[y == 1].sum() == 2.0 * (y == 1).sum()
        assert times[y == 0].sum() == (y == 0).sum()
        assert set((times / w).tolist()) <= set(range(10))
    assert len({tuple(times) for times in drawn}) == 8
    seen.clear()
    bootstrap_interval(metric, y, score, resamples=8)
    assert all(times.sum() == 40 for times in seen[:-1])
    assert len({times[y == 1].sum() for times in seen[:-1]}) > 1, "without strata their numbers fluctuate"


def test_bootstrap_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    found = bootstrap_interval(metrics.mean_absolute_error, np.zeros(500), x, resamples=300)
    assert abs(found.values.std() / (abs(x).std() / math.sqrt(500)) - 1) < 0.15
