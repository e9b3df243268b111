"""How well scores rank the events: curves over all thresholds, and the areas below them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from trigrad import ops
from trigrad._core import Tensor, float64
from trigrad.metrics import _inputs
from trigrad.metrics._inputs import Array, Bools, Data, Floats, UndefinedMetricWarning, tensor, total, warn

__all__ = [
    "auc",
    "average_precision_score",
    "det_curve",
    "precision_recall_curve",
    "roc_auc_score",
    "roc_curve",
    "top_k_accuracy_score",
]

Average: TypeAlias = Literal["micro", "macro", "weighted", "samples"]
BinaryMetric: TypeAlias = Callable[[Bools, Array, Floats | None], float]


class Ranked(NamedTuple):
    """The events passing each threshold, from the highest distinct score (the tightest cut) to the lowest one, which all
    events pass: sums of weights, and of their squares if there are weights; else counts, which are their own squares."""

    thresholds: Array  # (m,), descending; an event passes with score >= threshold
    tps: Floats  # (m,), of the positives
    fps: Floats  # (m,), of the negatives
    tps_squares: Floats
    fps_squares: Floats


def rank(positive: Bools, score: Array, weight: Floats | None, squares: bool = False) -> Ranked:
    """The sums over one stable sort; events of weight 0 make no threshold."""
    if weight is not None and not weight.all():
        there = weight != 0
        positive, score, weight = positive[there], score[there], weight[there]
    values, order = ops.native_sort(tensor(score), 0, True)
    n = len(score)
    ends = np.ones(n, dtype=np.bool_)  # of runs of equal scores
    ends[:-1] = ops.ne(values[1:], values[:-1]).numpy()
    last = tensor(np.flatnonzero(ends) if not ends.all() else np.arange(n))

    def at_ends(sums: Tensor) -> Tensor:
        return sums if len(last) == n else sums[last]

    thresholds = at_ends(values).numpy()
    is_positive = tensor(positive)[order]
    if weight is None:
        positives = ops.cast(at_ends(ops.cumsum(is_positive, 0)), float64)
        counts = positives.numpy(), ops.sub(ops.cast(ops.add(last, 1), float64), positives).numpy()
        return Ranked(thresholds, *counts, *counts)
    sorted_weight = tensor(weight)[order]

    def sums(values: Tensor) -> tuple[Floats, Floats]:
        of_positives = ops.cumsum(ops.where(is_positive, values, 0.0), 0)
        return at_ends(of_positives).numpy(), at_ends(ops.cumsum(ops.where(is_positive, 0.0, values), 0)).numpy()

    found = sums(sorted_weight)
    return Ranked(thresholds, *found, *(sums(ops.square(sorted_weight)) if squares else found))


def _binary(name: str, y_true: Data, y_score: Data, pos_label: Any, sample_weight: Data | None) -> Ranked:
    positive = _inputs.positive(name, y_true, pos_label)
    score = _inputs.scores(name, "y_score", y_score)
    _inputs.same_length(name, y_true=positive, y_score=score)
    return rank(positive, score, _inputs.weights(name, sample_weight, len(score)))


def _from_zero(values: Floats) -> Floats:
    return np.concatenate(([0.0], values))


def _bends(*sums: Floats) -> Array:
    """Where a curve through these sums turns, and its ends: the points between lie on straight lines."""
    bends = np.ones(len(sums[0]), dtype=np.bool_)
    bends[1:-1] = False
    for values in map(tensor, sums):
        steps = ops.sub(values[1:], values[:-1])
        bends[1:-1] |= ops.ne(steps[1:], steps[:-1]).numpy()
    return np.flatnonzero(bends)


def _steps(tps: Floats) -> Array:
    """The ends of runs of thresholds that pass the same positives."""
    changed = np.diff(tps) != 0
    return np.flatnonzero(np.concatenate(([True], changed[:-1] | changed[1:], [True])))


def _share(name: str, sums: Floats, what: str) -> Floats:
    if sums[-1] <= 0:
        warn(f"[{name}] the {what} have no positive sum of weights: their rate is nan", UndefinedMetricWarning)
        return np.full_like(sums, np.nan)
    return np.asarray(sums / sums[-1])


def roc_curve(
    y_true: Data,
    y_score: Data,
    *,
    pos_label: Any = None,
    sample_weight: Data | None = None,
    drop_intermediate: bool = True,
) -> tuple[Floats, Floats, Floats]:
    """False positive rate, true positive rate and threshold, from the cut that nothing passes (threshold ∞) to the one that
    everything passes. An event passes with a score of at least the threshold. `drop_intermediate` leaves out points on
    straight lines between others.

    With negative weights the rates are the sums of weights as they are, over their totals: they may fall with a falling
    threshold and leave the range from 0 to 1.

    y_true (n,), y_score (n,) -> three arrays (m,)

    >>> from trigrad import metrics
    >>> fpr, tpr, thresholds = metrics.roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> fpr
    array([0. , 0. , 0.5, 0.5, 1. ])
    >>> tpr
    array([0. , 0.5, 0.5, 1. , 1. ])
    >>> thresholds
    array([ inf, 0.8 , 0.4 , 0.35, 0.1 ])
    """
    name = "roc_curve"
    ranked = _binary(name, y_true, y_score, pos_label, sample_weight)
    thresholds, tps, fps = ranked.thresholds.astype(np.float64), ranked.tps, ranked.fps
    if drop_intermediate and len(fps) > 2:
        kept = _bends(fps, tps)
        thresholds, tps, fps = thresholds[kept], tps[kept], fps[kept]
    fpr, tpr = _share(name, _from_zero(fps), "negatives"), _share(name, _from_zero(tps), "positives")
    return fpr, tpr, np.concatenate(([np.inf], thresholds))


def det_curve(
    y_true: Data,
    y_score: Data,
    *,
    pos_label: Any = None,
    sample_weight: Data | None = None,
    drop_intermediate: bool = False,
) -> tuple[Floats, Floats, Floats]:
    """False positive rate, false negative rate and threshold, for pictures of one error against the other: the thresholds
    rise, and begin and end where the rates begin and end to change.

    y_true (n,), y_score (n,) -> three arrays (m,)

    >>> from trigrad import metrics
    >>> fpr, fnr, thresholds = metrics.det_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> fpr, fnr
    (array([0.5, 0.5, 0. ]), array([0. , 0.5, 0.5]))
    """
    name = "det_curve"
    ranked = _binary(name, y_true, y_score, pos_label, sample_weight)
    thresholds = np.concatenate(([np.inf], ranked.thresholds.astype(np.float64)))
    tps, fps = _from_zero(ranked.tps), _from_zero(ranked.fps)
    if tps[-1] <= 0 or fps[-1] <= 0:
        raise ValueError(f"[{name}] one class has no positive sum of weights, expected events of both classes")
    if drop_intermediate and len(fps) > 2:
        kept = _steps(tps)
        thresholds, tps, fps = thresholds[kept], tps[kept], fps[kept]
    first = int(np.flatnonzero(fps != 0)[0]) - 1  # the last cut that no negative passes yet
    end = int(np.flatnonzero(tps != tps[-1])[-1]) + 2  # behind the first that all positives pass
    cut = slice(max(first, 0), end)
    fnr = (tps[-1] - tps[cut]) / tps[-1]
    return (fps[cut] / fps[-1])[::-1], fnr[::-1], thresholds[cut][::-1]


def precision_recall_curve(
    y_true: Data,
    y_score: Data,
    *,
    pos_label: Any = None,
    sample_weight: Data | None = None,
    drop_intermediate: bool = False,
) -> tuple[Floats, Floats, Array]:
    """Precision (purity), recall (efficiency) and threshold, from the loosest cut to the tightest; a last point of
    precision 1 and recall 0 has no threshold. Precision is 0 where the events that pass add up to 0.

    y_true (n,), y_score (n,) -> (m + 1,), (m + 1,), (m,)

    >>> from trigrad import metrics
    >>> precision, recall, thresholds = metrics.precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> precision.round(3)
    array([0.5  , 0.667, 0.5  , 1.   , 1.   ])
    >>> recall
    array([1. , 1. , 0.5, 0.5, 0. ])
    """
    name = "precision_recall_curve"
    ranked = _binary(name, y_true, y_score, pos_label, sample_weight)
    return _precision_recall(name, ranked, drop_intermediate)


def _precision_recall(name: str, ranked: Ranked, drop_intermediate: bool = False) -> tuple[Floats, Floats, Array]:
    thresholds, tps, fps = ranked.thresholds, ranked.tps, ranked.fps
    if drop_intermediate and len(fps) > 2:
        kept = _steps(tps)
        thresholds, tps, fps = thresholds[kept], tps[kept], fps[kept]
    passing = tps + fps
    precision = np.divide(tps, passing, out=np.zeros_like(tps), where=passing != 0)
    if tps[-1] == 0:
        warn(f"[{name}] y_true has no positives: recall is set to 1 for all thresholds", UndefinedMetricWarning)
        recall = np.ones_like(tps)
    else:
        recall = tps / tps[-1]
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


def auc(x: Data, y: Data) -> float:
    """The area below a curve by the rule of trapezoids; `x` rises or falls.

    x (m,), y (m,) -> a number

    >>> from trigrad import metrics
    >>> metrics.auc([0.0, 0.5, 1.0], [0.0, 1.0, 1.0])
    0.75
    """
    name = "auc"
    places, heights = (_inputs.scores(name, what, v).astype(np.float64, copy=False) for what, v in (("x", x), ("y", y)))
    _inputs.same_length(name, x=places, y=heights)
    if len(places) < 2:
        raise ValueError(f"[{name}] got {len(places)} point, expected at least 2")
    widths = np.diff(places)
    falls = bool((widths < 0).any())
    if falls and (widths > 0).any():
        raise ValueError(
            f"[{name}] x neither rises nor falls throughout, expected a curve in order; for scores with negative weights "
            "roc_auc_score(y_true, y_score, sample_weight=...) is defined"
        )
    area = _trapezoids(places, heights)
    return -area if falls else area


def _trapezoids(x: Floats, y: Floats) -> float:
    a, b = tensor(x), tensor(y)
    return total(ops.mul(ops.sub(a[1:], a[:-1]), ops.add(b[1:], b[:-1]))) / 2


def _binary_auc(positive: Bools, score: Array, weight: Floats | None, max_fpr: float | None = None) -> float:
    """The area below the ROC curve, NaN if a class is not there."""
    ranked = rank(positive, score, weight)
    tps, fps = _from_zero(ranked.tps), _from_zero(ranked.fps)
    if not (tps[-1] > 0 and fps[-1] > 0):
        return np.nan
    if max_fpr is None or max_fpr == 1:
        return float(_trapezoids(fps, tps) / (fps[-1] * tps[-1]))  # of counts: exact but for this division
    fpr, tpr = fps / fps[-1], tps / tps[-1]
    if (np.diff(fpr) < 0).any():
        raise ValueError(
            "[roc_auc_score] got max_fpr with weights that make the curve fall back, expected one that rises"
        )
    stop = int(np.searchsorted(fpr, max_fpr, "right"))
    share = (max_fpr - fpr[stop - 1]) / (fpr[stop] - fpr[stop - 1])
    height = tpr[stop - 1] + share * (tpr[stop] - tpr[stop - 1])
    area = _trapezoids(np.append(fpr[:stop], max_fpr), np.append(tpr[:stop], height))
    least = 0.5 * max_fpr**2
    return float(0.5 * (1 + (area - least) / (max_fpr - least)))


def roc_auc_score(
    y_true: Data,
    y_score: Data,
    *,
    average: Average | None = "macro",
    sample_weight: Data | None = None,
    max_fpr: float | None = None,
    multi_class: Literal["raise", "ovr", "ovo"] = "raise",
    labels: Data | None = None,
) -> float | Floats:
    """The area below the ROC curve: how probably a positive has a higher score than a negative, equal scores counting a
    half. The greater label is the positive one. `max_fpr`: the area up to there, so scaled that chance is 0.5 (McClish).

    More classes, y_score (n, C) with rows that add up to 1: each against the rest ("ovr"), or the mean over all pairs
    ("ovo"); `average` over them is their mean ("macro"), weighted by their events ("weighted"), or of all events and classes
    as one problem ("micro"); None returns each. `labels` are the classes in the order of the columns. y_true (n, C) of 0 and
    1 holds independent labels, averaged likewise or over events ("samples").

    With negative weights the area is Σ wᵢwⱼ [sᵢ > sⱼ] over positives i and negatives j, over the product of their totals: the
    unbiased estimate, which may lie outside of 0 to 1. NaN, with a warning, where a class has no events.

    >>> from trigrad import metrics
    >>> metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> p = [[0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.6, 0.2]]
    >>> metrics.roc_auc_score([0, 1, 2, 1], p, multi_class="ovr", average=None).round(3)
    array([0.667, 0.5  , 1.   ])
    """
    name = "roc_auc_score"
    if max_fpr is not None and not 0 < max_fpr <= 1:
        raise ValueError(f"[{name}] max_fpr is {max_fpr}, expected more than 0, at most 1")
    truth = _inputs.array(y_true)
    if truth.ndim == 2 and truth.shape[1] > 1:
        score, truth = _multilabel(name, truth, y_score)
        weight = _inputs.weights(name, sample_weight, len(truth))
        return _averaged(name, lambda y, s, w: _binary_auc(y, s, w, max_fpr), truth, score, average, weight)
    truth = _inputs.labels(name, "y_true", truth)
    classes, (codes,) = _inputs.encode(truth)
    raw = _inputs.array(y_score)
    if len(classes) > 2 or (raw.ndim == 2 and raw.shape[1] > 2):
        return _multiclass_auc(name, truth, raw, average, sample_weight, max_fpr, multi_class, labels)
    if raw.ndim == 2 and raw.shape[1] == 2:
        raise ValueError(f"[{name}] y_score has 2 columns of 2 classes, expected the positive one: y_score[:, 1]")
    score = _inputs.scores(name, "y_score", raw)
    _inputs.same_length(name, y_true=codes, y_score=score)
    weight = _inputs.weights(name, sample_weight, len(score))
    found = np.nan if len(classes) < 2 else _binary_auc(codes.astype(np.bool_), score, weight, max_fpr)
    _tell_undefined(name, found)
    return found


def _tell_undefined(name: str, found: Any) -> None:
    if np.isnan(found).any():
        warn(f"[{name}] y_true lacks a class, or its weights have no positive sum: nan", UndefinedMetricWarning)


def _multiclass_auc(
    name: str,
    truth: Array,
    y_score: Array,
    average: str | None,
    sample_weight: Data | None,
    max_fpr: float | None,
    multi_class: str,
    labels: Data | None,
) -> float | Floats:
    if max_fpr not in (None, 1):
        raise ValueError(f"[{name}] max_fpr is {max_fpr} with more than two classes, expected None")
    if multi_class not in ("ovr", "ovo"):
        raise ValueError(
            f"[{name}] y_true has more than two classes; say how to compare them: multi_class='ovr' or 'ovo'"
        )
    allowed = ("macro", "weighted", *(("micro", None) if multi_class == "ovr" else ()))
    if average not in allowed:
        raise ValueError(f"[{name}] average is {average!r} for {multi_class!r}, expected one of {allowed}")
    score = _class_scores(name, y_score, truth)
    sums = ops.sum(tensor(score.astype(np.float64)), 1).numpy()
    if not np.allclose(1, sums):
        raise ValueError(
            f"[{name}] rows of y_score add up to {sums.min():g} to {sums.max():g}, expected 1: probabilities"
        )
    codes, classes = _numbered(name, truth, labels, score.shape[1])
    if multi_class == "ovr":
        weight = _inputs.weights(name, sample_weight, len(codes))
        return _averaged(name, _binary_auc, codes[:, None] == np.arange(len(classes)), score, average, weight)
    if sample_weight is not None:
        raise ValueError(f"[{name}] got sample_weight with multi_class='ovo', expected none; take 'ovr'")
    areas, shares = [], []
    for a, b in combinations(np.unique(codes), 2):
        pair = (codes == a) | (codes == b)
        of_a = codes[pair] == a
        areas.append((_binary_auc(of_a, score[pair, a], None) + _binary_auc(~of_a, score[pair, b], None)) / 2)
        shares.append(float(pair.mean()))
    if not areas:
        _tell_undefined(name, np.nan)
        return np.nan
    return float(np.average(areas, weights=shares if average == "weighted" else None))


def _averaged(
    name: str, metric: BinaryMetric, truth: Bools, score: Array, average: str | None, weight: Floats | None
) -> float | Floats:
    """A metric of two classes over the columns of truth and score, (n, C)."""
    if average not in (None, "micro", "macro", "weighted", "samples"):
        raise ValueError(f"[{name}] average is {average!r}, expected 'micro', 'macro', 'weighted', 'samples' or None")
    of_each: Array | None = None
    if average == "micro":
        repeated = None if weight is None else np.repeat(weight, truth.shape[1])
        found = metric(truth.reshape(-1), score.reshape(-1), repeated)
        _tell_undefined(name, found)
        return found
    if average == "samples":
        truth, score, of_each, weight = truth.T, score.T, weight, None
    elif average == "weighted":
        of_each = truth.sum(0) if weight is None else (truth * weight[:, None]).sum(0)
        if abs(of_each.sum()) < 1e-8:
            return 0.0
    columns = [
        metric(np.ascontiguousarray(y), np.ascontiguousarray(s), weight) for y, s in zip(truth.T, score.T, strict=True)
    ]
    each = np.array(columns)
    _tell_undefined(name, each)
    if average is None:
        return each
    if of_each is not None:
        each[of_each == 0] = 0
    return float(np.average(each, weights=of_each))


def _class_scores(name: str, y_score: Array, truth: Array) -> Array:
    """Finite scores (n, C) of n events."""
    if y_score.ndim != 2:
        raise ValueError(
            f"[{name}] y_score has shape {y_score.shape} for y_true of more than two classes, expected (n, classes)"
        )
    score = _inputs.finite(name, "y_score", y_score)
    _inputs.same_length(name, y_true=truth, y_score=score)
    return score


def _multilabel(name: str, truth: Array, y_score: Data) -> tuple[Array, Bools]:
    """Finite scores (n, C) and independent labels (n, C)."""
    score = _inputs.finite(name, "y_score", _inputs.array(y_score))
    if truth.shape != score.shape or truth.size == 0:
        raise ValueError(
            f"[{name}] y_true has shape {truth.shape} and y_score {score.shape}, expected the same, not empty"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"[{name}] y_true (n, C) holds other numbers than 0 and 1, expected independent labels")
    return score, truth == 1


def _numbered(name: str, truth: Array, labels: Data | None, columns: int) -> tuple[Array, Array]:
    """The events' classes as numbers of columns, and the classes."""
    if labels is None:
        classes, (codes,) = _inputs.encode(truth)
        if len(classes) != columns:
            raise ValueError(
                f"[{name}] y_true has {len(classes)} classes and y_score {columns} columns, expected one per class; name "
                "all classes by labels="
            )
        return codes, classes
    classes = _inputs.array(labels)
    if classes.ndim != 1 or len(classes) != columns or not np.array_equal(np.unique(classes), classes):
        raise ValueError(f"[{name}] labels are {classes.tolist()}, expected {columns}, in order and none twice")
    return _inputs.encode_as(name, truth, classes), classes


def average_precision_score(
    y_true: Data,
    y_score: Data,
    *,
    average: Average | None = "macro",
    pos_label: Any = 1,
    sample_weight: Data | None = None,
) -> float | Floats:
    """The mean precision over the thresholds, weighted by how much recall each one adds: Σ (Rₙ - Rₙ₋₁) Pₙ, without
    interpolation. More classes, or labels (n, C), are averaged as by `roc_auc_score`.

    >>> from trigrad import metrics
    >>> metrics.average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.8333333333333333
    """
    name = "average_precision_score"

    def binary(positive: Bools, score: Array, weight: Floats | None) -> float:
        precision, recall, _ = _precision_recall(name, rank(positive, score, weight))
        a, b = tensor(precision), tensor(recall)
        return total(ops.mul(ops.sub(b[:-1], b[1:]), a[:-1])) + 0.0

    truth = _inputs.array(y_true)
    if truth.ndim == 2 and truth.shape[1] > 1:
        score, truth = _multilabel(name, truth, y_score)
    else:
        truth = _inputs.labels(name, "y_true", truth)
        classes, (codes,) = _inputs.encode(truth)
        if len(classes) <= 2:
            if len(classes) == 2 and pos_label not in classes.tolist():
                raise ValueError(f"[{name}] pos_label is {pos_label!r}, expected one of {classes.tolist()}")
            score = _inputs.scores(name, "y_score", y_score)
            _inputs.same_length(name, y_true=truth, y_score=score)
            positive = _inputs.positive(name, truth, pos_label)
            return binary(positive, score, _inputs.weights(name, sample_weight, len(score)))
        score = _class_scores(name, _inputs.array(y_score), truth)
        codes, classes = _numbered(name, truth, None, score.shape[1])
        truth = codes[:, None] == np.arange(len(classes))
    if pos_label != 1:
        raise ValueError(f"[{name}] pos_label is {pos_label!r} with more than two classes, expected 1")
    return _averaged(name, binary, truth, score, average, _inputs.weights(name, sample_weight, len(truth)))


def top_k_accuracy_score(
    y_true: Data,
    y_score: Data,
    *,
    k: int = 2,
    normalize: bool = True,
    sample_weight: Data | None = None,
    labels: Data | None = None,
) -> float:
    """The share (or with normalize=False the sum) of the events whose class is among the k with the highest scores; of equal
    scores that of the later class counts as higher.

    y_true (n,), y_score (n, C), or (n,) of two classes -> a number

    >>> from trigrad import metrics
    >>> scores = [[0.5, 0.2, 0.3], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
    >>> metrics.top_k_accuracy_score([0, 1, 1, 2], scores, k=2)
    0.75
    """
    name = "top_k_accuracy_score"
    if k < 1:
        raise ValueError(f"[{name}] k is {k}, expected 1 or more")
    truth = _inputs.labels(name, "y_true", y_true)
    raw = _inputs.array(y_score)
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    n_classes = raw.shape[1] if raw.ndim == 2 else 2
    codes, _ = _numbered(name, truth, labels, n_classes)
    score = _inputs.scores(name, "y_score", raw) if raw.ndim == 1 else _class_scores(name, raw, truth)
    _inputs.same_length(name, y_true=codes, y_score=score)
    if k >= n_classes:
        warn(f"[{name}] k is {k} of {n_classes} classes: every event is a hit", UndefinedMetricWarning)
        hits = np.ones(len(codes), dtype=np.bool_)
    elif score.ndim == 1:
        threshold = 0.5 if score.min() >= 0 and score.max() <= 1 else 0
        hits = (score > threshold) == codes
    else:
        s, own_class = tensor(score), tensor(codes[:, None])
        own = ops.gather(s, 1, own_class)
        classes = tensor(np.arange(n_classes))
        higher = ops.logical_or(ops.gt(s, own), ops.logical_and(ops.eq(s, own), ops.gt(classes, own_class)))
        hits = ops.sum(higher, 1).numpy() < k
    weight = _inputs.weights(name, sample_weight, len(hits))
    if normalize:
        return float(_inputs.mean(name, tensor(hits), weight))
    return total(tensor(hits)) if weight is None else total(tensor(weight * hits))
