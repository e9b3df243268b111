"""What is refused, what is undefined and warned of, and what negative weights do."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trigrad import metrics
from trigrad.metrics import NegativeWeightWarning, UndefinedMetricWarning

Y, SCORE = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.6])
P3 = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
Y3 = np.array([0, 1, 2, 1])

SCORED: dict[str, Callable[..., Any]] = {
    name: getattr(metrics, name)
    for name in (
        "roc_curve",
        "det_curve",
        "precision_recall_curve",
        "roc_auc_score",
        "average_precision_score",
        "log_loss",
        "brier_score_loss",
        "significance_scan",
    )
} | {"working_point": lambda y, s, **o: metrics.working_point(y, s, signal_efficiency=0.5, **o)}
CLASSES = {
    name: getattr(metrics, name)
    for name in (
        "accuracy_score",
        "confusion_matrix",
        "balanced_accuracy_score",
        "matthews_corrcoef",
        "precision_score",
        "recall_score",
        "f1_score",
        "precision_recall_fscore_support",
    )
}
REGRESSION = {
    name: getattr(metrics, name)
    for name in (
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "median_absolute_error",
        "mean_absolute_percentage_error",
        "r2_score",
        "explained_variance_score",
    )
}
UNWEIGHTED = {"max_error": metrics.max_error, "calibration_curve": metrics.calibration_curve}
EVERY = SCORED | CLASSES | REGRESSION | UNWEIGHTED


@pytest.mark.parametrize("name", sorted(EVERY))
def test_refused_by_all(name: str) -> None:
    metric = EVERY[name]
    pred = Y if name in CLASSES else SCORE
    metric(Y, pred)
    for bad in (np.nan, np.inf, -np.inf):
        broken = pred.astype(np.float64)
        broken[2] = bad
        with pytest.raises(ValueError, match=rf"^\[.*\] y_\w+ holds {bad} at index 2 \(1 such values\)"):
            metric(Y, broken)
        with pytest.raises(ValueError, match=r"^\[.*\] y_true holds"):
            metric(np.where(np.arange(4) == 2, bad, Y), pred)
    with pytest.raises(ValueError, match=r"^\[.*(empty|expected)"):
        metric([], [])
    with pytest.raises(ValueError, match=r"^\[.*(equally many|expected the same)"):
        metric(Y, pred[:3])
    with pytest.raises(ValueError, match=r"^\[.*expected"):
        metric(Y, np.array([object()] * 4))
    if name in UNWEIGHTED:
        return
    for weight, why in (
        ([1, 2, 3], "one weight per event"),
        ([1, 2, np.nan, 1], "sample_weight holds nan at index 2"),
        ([0, 0, 0, 0], "all weights are 0"),
        (["a"] * 4, "expected numbers"),
    ):
        with pytest.raises(ValueError, match=rf"^\[.*{why}"):
            metric(Y, pred, sample_weight=weight)


REFUSED: list[tuple[str, Callable[[], Any]]] = [
    ("pos_label is not given", lambda: metrics.roc_curve([1, 2, 1], [0.1, 0.2, 0.3])),
    ("pos_label is not given", lambda: metrics.roc_curve(["b", "s"], [0.1, 0.2])),
    ("pos_label is 1, expected one of y_true's", lambda: metrics.roc_curve(["b", "s"], [0.1, 0.2], pos_label=1)),
    ("pos_label is 's'", lambda: metrics.roc_curve(Y, SCORE, pos_label="s")),
    ("one value per event", lambda: metrics.roc_curve(Y, P3)),
    ("numbers that are not whole", lambda: metrics.accuracy_score(Y, SCORE)),
    ("labels of one kind", lambda: metrics.accuracy_score(Y, ["a", "b", "a", "b"])),
    ("multi_class='ovr' or 'ovo'", lambda: metrics.roc_auc_score(Y3, P3)),
    ("expected 1: probabilities", lambda: metrics.roc_auc_score(Y3, 2 * P3, multi_class="ovr")),
    ("name all classes by labels=", lambda: metrics.roc_auc_score([0, 1, 1, 0], P3, multi_class="ovr")),
    ("expected 3, in order", lambda: metrics.roc_auc_score(Y3, P3, multi_class="ovr", labels=[1, 0, 2])),
    ("not among the labels", lambda: metrics.roc_auc_score(Y3, P3, multi_class="ovr", labels=[0, 1, 3])),
    ("sample_weight with multi_class='ovo'", lambda: metrics.roc_auc_score(Y3, P3, multi_class="ovo", sample_weight=[1] * 4)),
    ("max_fpr is 0.5 with more than two", lambda: metrics.roc_auc_score(Y3, P3, multi_class="ovr", max_fpr=0.5)),
    ("max_fpr is 1.5", lambda: metrics.roc_auc_score(Y, SCORE, max_fpr=1.5)),
    ("y_score\\[:, 1\\]", lambda: metrics.roc_auc_score(Y, np.stack([1 - SCORE, SCORE], 1))),
    ("average is 'mean'", lambda: metrics.roc_auc_score(np.stack([Y, 1 - Y], 1), P3[:, :2], average="mean")),  # type: ignore[arg-type]
    ("independent labels", lambda: metrics.roc_auc_score(np.stack([Y, 2 * Y], 1), P3[:, :2])),
    ("pos_label is 3", lambda: metrics.average_precision_score(Y, SCORE, pos_label=3)),
    ("both classes", lambda: metrics.det_curve([1, 1], [0.1, 0.2])),
    ("k is 0", lambda: metrics.top_k_accuracy_score(Y3, P3, k=0)),
    ("none twice", lambda: metrics.confusion_matrix(Y, Y, labels=[1, 1])),
    ("none of the labels", lambda: metrics.confusion_matrix(Y, Y, labels=[7])),
    ("normalize is 'rows'", lambda: metrics.confusion_matrix(Y, Y, normalize="rows")),  # type: ignore[arg-type]
    ("choose an average", lambda: metrics.f1_score(Y3, Y3)),
    ("zero_division is 7", lambda: metrics.f1_score(Y, Y, zero_division=7)),
    ("holds -0.5 to 0.9, expected 0 to 1", lambda: metrics.log_loss(Y, [-0.5, 0.9, 0.1, 0.2])),
    ("1 class and probabilities of 2", lambda: metrics.log_loss([1, 1], [0.5, 0.5])),
    ("not among the labels", lambda: metrics.log_loss([0, 5], [0.5, 0.5], labels=[0, 1])),
    ("multioutput is 'all'", lambda: metrics.mean_absolute_error(Y, Y, multioutput="all")),
    ("as many", lambda: metrics.mean_absolute_error(P3, P3, multioutput=[1.0, 2.0])),
    ("2 outputs, expected one", lambda: metrics.max_error(P3[:, :2], P3[:, :2])),
    ("a median needs", lambda: metrics.median_absolute_error(Y, SCORE, sample_weight=[1, 1, 1, -1])),
    ("weights add up to 0", lambda: metrics.mean_squared_error(Y, SCORE, sample_weight=[1, 1, -1, -1])),
    ("strategy is 'log'", lambda: metrics.calibration_curve(Y, SCORE, strategy="log")),  # type: ignore[arg-type]
    ("level is 68", lambda: metrics.binomial_interval(1, 2, level=68)),
    ("method is 'wald'", lambda: metrics.binomial_interval(1, 2, method="wald")),  # type: ignore[arg-type]
    ("0 <= passed <= total", lambda: metrics.binomial_interval(3, 2)),
    ("expected True and False", lambda: metrics.efficiency(SCORE)),
    ("resamples is 1", lambda: metrics.bootstrap_interval(metrics.roc_auc_score, Y, SCORE, resamples=1)),
    ("got none of", lambda: metrics.working_point(Y, SCORE)),
    ("got rate_khz, threshold of", lambda: metrics.working_point(Y, SCORE, rate_khz=1.0, threshold=0.5)),
    ("rate_khz is 50000", lambda: metrics.working_point(Y, SCORE, rate_khz=50_000)),
    ("input_rate_khz is 0", lambda: metrics.working_point(Y, SCORE, rate_khz=1, input_rate_khz=0)),
    ("asked without background", lambda: metrics.working_point([1, 1], [0.1, 0.2], rate_khz=1)),
    ("background_error is negative", lambda: metrics.asimov_significance(1, 1, -1)),
    ("expected signal and background", lambda: metrics.significance_scan([1, 1], [0.1, 0.2])),
]  # fmt: skip


@pytest.mark.parametrize(("why", "call"), REFUSED, ids=[f"{i}-{why[:20]}" for i, (why, _) in enumerate(REFUSED)])
def test_refused(why: str, call: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NegativeWeightWarning)
        with pytest.raises(ValueError, match=rf"^\[.*{why}"):
            call()


UNDEFINED: list[tuple[str, Callable[[], Any], Any]] = [
    ("lacks a class", lambda: metrics.roc_auc_score([1, 1], [0.1, 0.2]), np.nan),
    ("the positives have", lambda: metrics.roc_curve([0, 0], [0.1, 0.2])[1], [np.nan] * 3),
    ("the negatives have", lambda: metrics.roc_curve([1, 1], [0.1, 0.2])[0], [np.nan] * 3),
    ("recall is set to 1", lambda: metrics.precision_recall_curve([0, 0], [0.1, 0.2])[1], [1, 1, 0]),
    ("k is 2 of 2", lambda: metrics.top_k_accuracy_score(Y, SCORE), 1.0),
    ("one class only", lambda: metrics.confusion_matrix([1, 1], [1, 1]), [[2]]),
    ("they are left out", lambda: metrics.balanced_accuracy_score([0, 0], [0, 1]), 0.5),
    ("precision of a class", lambda: metrics.precision_score([0, 1], [0, 0]), 0.0),
    ("recall of a class", lambda: metrics.recall_score([0, 0], [0, 1]), 0.0),
    ("got one event", lambda: metrics.r2_score([1.0], [1.0]), np.nan),
    ("lacks a class", lambda: metrics.working_point([0, 0], [0.1, 0.2], rate_khz=20e3).signal_efficiency, np.nan),
]


@pytest.mark.parametrize(("why", "call", "value"), UNDEFINED, ids=[str(i) for i in range(len(UNDEFINED))])
def test_undefined(why: str, call: Callable[[], Any], value: Any) -> None:
    with pytest.warns(UndefinedMetricWarning, match=rf"^\[.*{why}") as told:
        found = call()
    assert len(told) == 1
    assert told[0].filename == __file__  # the caller's line, not one of ours
    np.testing.assert_array_equal(found, value)


def test_all_scores_equal() -> None:
    """One threshold: everything or nothing passes."""
    same = np.full(4, 0.3)
    fpr, tpr, thresholds = metrics.roc_curve(Y, same)
    assert (fpr.tolist(), tpr.tolist(), thresholds.tolist()) == ([0, 1], [0, 1], [np.inf, 0.3])
    assert metrics.roc_auc_score(Y, same) == 0.5
    assert metrics.average_precision_score(Y, same) == 0.5
    assert metrics.working_point(Y, same, background_efficiency=0.5).threshold == np.inf
    assert metrics.working_point(Y, same, signal_efficiency=0.5).threshold == 0.3


# ---- negative weights


def signed_events(seed: int = 0, n: int = 60) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    score = rng.integers(0, 12, n) / 4 + y
    return y, score, np.where(rng.random(n) < 0.3, -1.0, 1.0) * rng.random(n)


@pytest.mark.parametrize("name", sorted((SCORED | CLASSES | REGRESSION).keys() - {"median_absolute_error"}))
def test_negative_weights_are_told_once(name: str) -> None:
    pred = Y if name in CLASSES else SCORE
    with pytest.warns(NegativeWeightWarning, match="25.0% of the weights are negative") as told:
        found = EVERY[name](Y, pred, sample_weight=[1.0, 2.0, 1.5, -0.5])
    assert len(told) == 1
    assert told[0].filename == __file__
    assert np.all(np.isfinite(np.asarray(found, dtype=np.float64))) if isinstance(found, float) else True


@pytest.mark.parametrize("seed", range(5))
def test_area_with_negative_weights_is_the_sum_over_pairs(seed: int) -> None:
    y, score, w = signed_events(seed)
    signal, background = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    pairs = sum(
        w[i] * w[j] * (float(score[i] > score[j]) + 0.5 * float(score[i] == score[j]))
        for i, j in itertools.product(signal, background)
    )
    expected = pairs / (w[signal].sum() * w[background].sum())
    with pytest.warns(NegativeWeightWarning):
        np.testing.assert_allclose(metrics.roc_auc_score(y, score, sample_weight=w), expected, rtol=1e-10)


def test_curves_with_negative_weights_are_sums_as_they_are() -> None:
    y, score, w = signed_events()
    with pytest.warns(NegativeWeightWarning):
        fpr, tpr, thresholds = metrics.roc_curve(y, score, sample_weight=w, drop_intermediate=False)
    assert (np.diff(thresholds) < 0).all()
    assert (np.diff(fpr) < 0).any(), "the example is not monotonic"
    for i, t in enumerate(thresholds):
        passing = score >= t
        np.testing.assert_allclose(tpr[i], w[passing & (y == 1)].sum() / w[y == 1].sum(), atol=1e-12)
        np.testing.assert_allclose(fpr[i], w[passing & (y == 0)].sum() / w[y == 0].sum(), atol=1e-12)
    with pytest.warns(NegativeWeightWarning):
        precision, _, cuts = metrics.precision_recall_curve(y, score, sample_weight=w)
    for p, t in zip(precision, cuts, strict=False):
        passing = score >= t
        np.testing.assert_allclose(p, w[passing & (y == 1)].sum() / w[passing].sum(), rtol=1e-9)


def test_a_class_whose_weights_cancel_is_undefined() -> None:
    with pytest.warns() as told:
        assert np.isnan(metrics.roc_auc_score([0, 0, 1, 1], [1, 2, 3, 4], sample_weight=[1, -1, 1, 1]))
    assert {w.category for w in told} == {NegativeWeightWarning, UndefinedMetricWarning}


def test_a_partial_area_needs_a_rising_curve() -> None:
    with pytest.warns(NegativeWeightWarning), pytest.raises(ValueError, match="expected one that rises"):
        metrics.roc_auc_score([0, 0, 0, 1], [3, 2, 1, 2], sample_weight=[1, -0.5, 1, 1], max_fpr=0.5)
