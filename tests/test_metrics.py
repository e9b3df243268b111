"""Metrics against their definitions, pair by pair and event by event, weighted and with weights of both signs."""

from __future__ import annotations

import doctest
import inspect
import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import metrics

Array = Any


def sample(n: int, seed: int, signs: bool = False) -> tuple[Array, Array, Array]:
    """Scores with ties, labels and weights."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.4).astype(int)
    score = np.round(rng.standard_normal(n) + label, 1)
    weight = rng.random(n) + 0.5
    if signs:
        weight[rng.random(n) < 0.15] *= -1
    return score, label, weight


def pairs_auc(score: Array, label: Array, weight: Array) -> float:
    s1, s0, w1, w0 = score[label == 1], score[label == 0], weight[label == 1], weight[label == 0]
    wins = (s1[:, None] > s0) + 0.5 * (s1[:, None] == s0)
    return float((wins * w1[:, None] * w0).sum() / (w1.sum() * w0.sum()))


def test_docs() -> None:
    assert doctest.testmod(metrics).failed == 0
    for name in metrics.__all__:
        assert inspect.getdoc(getattr(metrics, name)), name


@pytest.mark.parametrize("seed", range(4))
def test_roc_is_its_definition(seed: int) -> None:
    score, label, weight = sample(400, seed)
    found = metrics.roc(score, label, weight)
    assert found.threshold[0] == np.inf
    assert (np.diff(found.threshold) < 0).all()
    assert set(found.threshold[1:]) == set(score)
    for t, fpr, tpr in zip(found.threshold, found.false_positive_rate, found.true_positive_rate, strict=True):
        for rate, c in ((fpr, 0), (tpr, 1)):
            assert math.isclose(
                rate, weight[(label == c) & (score >= t)].sum() / weight[label == c].sum(), abs_tol=1e-12
            )
    assert math.isclose(found.auc, pairs_auc(score, label, weight), rel_tol=1e-12)
    assert math.isclose(found.auc, np.trapezoid(found.true_positive_rate, found.false_positive_rate), rel_tol=1e-12)
    assert math.isclose(metrics.auc(score, label), pairs_auc(score, label, np.ones(400)), rel_tol=1e-12)
    assert found.negative == 0


def test_auc_error_is_its_spread() -> None:
    found = [metrics.roc(*sample(300, seed)[:2]) for seed in range(200)]
    spread = np.std([f.auc for f in found])
    assert 0.85 < np.mean([f.auc_error for f in found]) / spread < 1.15


def test_perfect_and_useless_scores() -> None:
    assert metrics.auc([0, 0, 1, 1], [0, 0, 1, 1]) == 1
    assert metrics.auc([1, 1, 0, 0], [0, 0, 1, 1]) == 0
    assert metrics.auc([3, 3, 3, 3], [0, 1, 0, 1]) == 0.5


def test_negative_weights_are_said() -> None:
    score, label, weight = sample(500, 9, signs=True)
    with pytest.warns(UserWarning, match="of the weight is negative: the result is a ratio of sums"):
        found = metrics.roc(score, label, weight)
    assert math.isclose(found.negative, -weight[weight < 0].sum() / abs(weight).sum())
    assert math.isclose(found.auc, pairs_auc(score, label, weight), rel_tol=1e-12)
    assert (np.diff(found.true_positive_rate) < 0).any()
    with pytest.warns(UserWarning, match="negative"):
        e = metrics.efficiency(score, 0.5, weight)
    assert math.isclose(e.value, weight[score >= 0.5].sum() / weight.sum(), rel_tol=1e-12)
    with pytest.warns(UserWarning, match="negative"), pytest.raises(ValueError, match="the weights sum to"):
        metrics.efficiency([1.0, 2.0], 0, [-1.0, 0.5])


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.filterwarnings("ignore:.*of the weight is negative")
def test_intervals_hold_the_truth(signs: bool) -> None:
    """Of many experiments the stated share has the true efficiency in its interval, whatever the weights are."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(1500):
        weight = np.where(rng.random(300) < (0.2 if signs else 0), -1.0, 1.0) * (0.5 + rng.random(300))
        found = metrics.efficiency(rng.random(300), 0.7, weight)
        held += found.low <= 0.3 <= found.high
    assert 0.65 < held / 1500 < 0.72


def test_interval_is_wilsons() -> None:
    found = metrics.efficiency(np.arange(100.0), 80, level=0.95)
    assert (round(found.low, 4), round(found.high, 4)) == (0.1334, 0.2888)  # of 20 in 100
    assert found.effective_events == 100
    none = metrics.efficiency([0.0] * 10, 1)
    assert none.value == none.low == 0
    assert 0 < none.high < 0.2


def test_efficiency_at_rate() -> None:
    score, label, weight = sample(5000, 4)
    score = score + np.random.default_rng(5).random(5000) * 0.1
    found = metrics.efficiency_at_rate(score, label, rate=100e3, input_rate=40e6, weight=weight)
    background, signal = label == 0, label == 1
    share = weight[background & (score >= found.threshold)].sum() / weight[background].sum()
    assert math.isclose(found.rate, share * 40e6, rel_tol=1e-9)
    assert found.rate <= 100e3
    below = score[score < found.threshold].max()
    assert weight[background & (score >= below)].sum() / weight[background].sum() > 100e3 / 40e6
    assert math.isclose(found.signal.value, weight[signal & (score >= found.threshold)].sum() / weight[signal].sum())
    assert found.threshold_low <= found.threshold <= found.threshold_high
    everything = metrics.efficiency_at_rate(score, label, rate=40e6)
    assert (everything.signal.value, everything.rate, everything.threshold) == (1, 40e6, score.min())


def test_accuracy_and_top_k() -> None:
    rng = np.random.default_rng(1)
    p, t, w = rng.integers(0, 6, (300, 7)).astype(float), rng.integers(0, 7, 300), rng.random(300)
    order = np.argsort(-p, axis=1, kind="stable")
    for k in (1, 2, 5, 7):
        hit = (order[:, :k] == t[:, None]).any(1)
        assert math.isclose(metrics.top_k_accuracy(p, t, k, w), (hit * w).sum() / w.sum())
    assert math.isclose(metrics.accuracy(p, t), (p.argmax(1) == t).mean())
    scores, label, weight = sample(200, 3)
    assert math.isclose(
        metrics.accuracy(scores, label, weight), (((scores >= 0.5) == label) * weight).sum() / weight.sum()
    )
    assert metrics.accuracy(tg.tensor([[0.7], [0.2]]), tg.tensor([1, 1])) == 0.5


def test_regression() -> None:
    rng = np.random.default_rng(8)
    t = rng.standard_normal(200) * 3 + 1e3
    p, w = t + rng.standard_normal(200), rng.random(200)
    mean = (w * t).sum() / w.sum()
    assert math.isclose(metrics.mean_absolute_error(p, t, w), (w * abs(p - t)).sum() / w.sum())
    assert math.isclose(
        metrics.r2_score(p, t, w), 1 - (w * (t - p) ** 2).sum() / (w * (t - mean) ** 2).sum(), rel_tol=1e-10
    )
    assert metrics.r2_score(t, t) == 1
    assert abs(metrics.r2_score(np.full(200, t.mean()), t)) < 1e-12


def test_bad_input() -> None:
    cases: list[tuple[Any, str]] = [
        (lambda: metrics.roc([1.0, 2.0], [0, 2]), "label has other values than 0"),
        (lambda: metrics.roc([1.0, 2.0], [0]), r"label has shape \(1,\), expected \(2,\)"),
        (lambda: metrics.roc([1.0, 2.0], [1, 1]), "the weights of the background sum to"),
        (lambda: metrics.roc([1.0, np.nan], [0, 1]), "score has NaN or infinities"),
        (lambda: metrics.roc([], []), r"score has shape \(0,\)"),
        (lambda: metrics.roc([1.0, 2.0], [0, 1], [1.0]), r"weight has shape \(1,\), expected \(2,\)"),
        (lambda: metrics.efficiency([1.0], 0, level=1.5), "level is 1.5"),
        (lambda: metrics.efficiency_at_rate([1.0, 2.0], [0, 1], rate=0), "rate is 0 Hz"),
        (lambda: metrics.top_k_accuracy([[1.0, 2.0]], [0], 3), "k is 3, expected 1 to 2"),
        (lambda: metrics.top_k_accuracy([[1.0, 2.0]], [0.5], 1), "expected .* integers"),
        (lambda: metrics.r2_score([1.0, 2.0], [1.0]), "expected the same"),
        (lambda: metrics.r2_score([1.0, 2.0], [3.0, 3.0]), "no variance to explain"),
    ]
    for call, text in cases:
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(IndexError, match="a target is 5, expected 0 to 1"):
        metrics.top_k_accuracy([[1.0, 2.0]], [5], 1)
