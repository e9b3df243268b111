"""How often predicted classes are right, and how good predicted probabilities are."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from trigrad import ops
from trigrad._core import float64
from trigrad._indexing import bincount
from trigrad.metrics import _inputs
from trigrad.metrics._inputs import Array, Data, Floats, UndefinedMetricWarning, tensor, total, warn

__all__ = [
    "accuracy_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "confusion_matrix",
    "f1_score",
    "log_loss",
    "matthews_corrcoef",
    "precision_recall_fscore_support",
    "precision_score",
    "recall_score",
]

Average: TypeAlias = Literal["binary", "micro", "macro", "weighted"]
ZeroDivision: TypeAlias = Literal["warn"] | float


def _pair(name: str, y_true: Data, y_pred: Data) -> tuple[Array, Array]:
    truth, predicted = _inputs.labels(name, "y_true", y_true), _inputs.labels(name, "y_pred", y_pred)
    _inputs.same_length(name, y_true=truth, y_pred=predicted)
    _inputs.one_kind(name, y_true=truth, y_pred=predicted)
    return truth, predicted


def accuracy_score(y_true: Data, y_pred: Data, *, normalize: bool = True, sample_weight: Data | None = None) -> float:
    """The share (or with normalize=False the sum) of the events whose class is predicted. Of independent labels (n, C) all
    must be right.

    y_true (n,), y_pred (n,) -> a number

    >>> from trigrad import metrics
    >>> metrics.accuracy_score([0, 1, 2, 3], [0, 2, 1, 3])
    0.5
    """
    name = "accuracy_score"
    truth, predicted = _inputs.array(y_true), _inputs.array(y_pred)
    if truth.ndim == 2 and truth.shape[1] > 1 and truth.shape == predicted.shape and truth.size:
        if not (np.isin(truth, (0, 1)).all() and np.isin(predicted, (0, 1)).all()):
            raise ValueError(f"[{name}] labels (n, C) hold other numbers than 0 and 1, expected independent labels")
        right = (truth == predicted).all(1)
    else:
        truth, predicted = _pair(name, truth, predicted)
        right = truth == predicted
    weight = _inputs.weights(name, sample_weight, len(right))
    if normalize:
        return float(_inputs.mean(name, tensor(right), weight))
    return total(tensor(right)) if weight is None else total(tensor(weight * right))


def confusion_matrix(
    y_true: Data,
    y_pred: Data,
    *,
    labels: Data | None = None,
    sample_weight: Data | None = None,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> Array:
    """How many events (or what sum of weights) of class i are taken for class j, at [i, j]. Rows and columns are in the
    order of `labels`, events of other classes left out, or of all classes that occur. `normalize` divides by the sums of
    rows ("true"), of columns ("pred") or of all; what is divided by 0 is 0.

    y_true (n,), y_pred (n,) -> (C, C)

    >>> from trigrad import metrics
    >>> metrics.confusion_matrix([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2])
    array([[2, 0, 0],
           [0, 0, 1],
           [1, 0, 2]])
    """
    name = "confusion_matrix"
    truth, predicted = _pair(name, y_true, y_pred)
    classes, (t, p) = _inputs.encode(truth, predicted)
    weight = _inputs.weights(name, sample_weight, len(truth))
    whole = sample_weight is None or _inputs.array(sample_weight).dtype.kind in "biu"
    if labels is not None:
        wanted = _inputs.labels(name, "labels", labels)
        _inputs.one_kind(name, y_true=truth, labels=wanted)
        if len(np.unique(wanted)) < len(wanted):
            raise ValueError(f"[{name}] labels are {wanted.tolist()}, expected none twice")
        if not np.isin(wanted, truth).any():
            raise ValueError(f"[{name}] none of the labels {wanted.tolist()} is in y_true, expected one at least")
        place = np.full(len(classes), -1)
        for i, label in enumerate(wanted):
            place[classes == label] = i
        t, p = place[t], place[p]
        there = (t >= 0) & (p >= 0)
        t, p = t[there], p[there]
        weight = None if weight is None else weight[there]
        classes = wanted
    n = len(classes)
    if len(t) == 0:
        counts = np.zeros((n, n))
    else:
        counts = bincount(tensor(t * n + p), None if weight is None else tensor(weight), n * n).numpy().reshape(n, n)
    if n == 1:
        warn(f"[{name}] y_true and y_pred hold one class only; name all of them by labels=", UndefinedMetricWarning)
    if normalize is None:
        return counts.astype(np.int64) if whole else counts
    if normalize not in ("true", "pred", "all"):
        raise ValueError(f"[{name}] normalize is {normalize!r}, expected 'true', 'pred', 'all' or None")
    sums = counts.sum({"true": 1, "pred": 0, "all": None}[normalize], keepdims=True)
    return np.asarray(np.divide(counts, sums, out=np.zeros((n, n)), where=sums != 0))


def balanced_accuracy_score(
    y_true: Data, y_pred: Data, *, sample_weight: Data | None = None, adjusted: bool = False
) -> float:
    """The mean over the classes of the share of their events that is recognized. `adjusted`: so scaled that chance is 0.

    >>> from trigrad import metrics
    >>> metrics.balanced_accuracy_score([0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1])
    0.625
    """
    name = "balanced_accuracy_score"
    counts = _counts(name, y_true, y_pred, sample_weight)
    sums = counts.sum(1)
    if (sums == 0).any():
        warn(f"[{name}] y_pred holds classes that y_true does not; they are left out", UndefinedMetricWarning)
    there = sums != 0
    score = float((np.diagonal(counts)[there] / sums[there]).mean())
    if not adjusted:
        return score
    if there.sum() == 1:
        warn(f"[{name}] y_true has one class only, of which chance is always right: nan", UndefinedMetricWarning)
        return np.nan
    chance = 1 / int(there.sum())
    return (score - chance) / (1 - chance)


def _counts(name: str, y_true: Data, y_pred: Data, sample_weight: Data | None) -> Floats:
    truth, predicted = _pair(name, y_true, y_pred)
    classes, (t, p) = _inputs.encode(truth, predicted)
    weight = _inputs.weights(name, sample_weight, len(truth))
    n = len(classes)
    counts = bincount(tensor(t * n + p), None if weight is None else tensor(weight), n * n).numpy()
    return np.asarray(counts.reshape(n, n), dtype=np.float64)


def matthews_corrcoef(y_true: Data, y_pred: Data, *, sample_weight: Data | None = None) -> float:
    """The correlation of the true and the predicted class, from -1 to 1; 0 where one of them never changes.

    >>> from trigrad import metrics
    >>> round(metrics.matthews_corrcoef([1, 1, 1, -1], [1, -1, 1, 1]), 4)
    -0.3333
    """
    counts = _counts("matthews_corrcoef", y_true, y_pred, sample_weight)
    true, pred, everything = counts.sum(1), counts.sum(0), counts.sum()
    spread = (everything**2 - (pred * pred).sum()) * (everything**2 - (true * true).sum())
    if spread <= 0:
        return 0.0
    return float((np.trace(counts) * everything - (true * pred).sum()) / np.sqrt(spread))


class Scores(NamedTuple):
    """What `precision_recall_fscore_support` returns: numbers, or an array (C,) each; the support is None if averaged."""

    precision: Any
    recall: Any
    fbeta_score: Any
    support: Any


def precision_recall_fscore_support(
    y_true: Data,
    y_pred: Data,
    *,
    beta: float = 1.0,
    labels: Data | None = None,
    pos_label: Any = 1,
    average: Average | None = None,
    sample_weight: Data | None = None,
    zero_division: ZeroDivision = "warn",
) -> Scores:
    """Of each class: the share of the events predicted to be of it that are (precision), the share of its events that are
    recognized (recall), their harmonic mean in which recall counts beta² as much as precision, and its events. `average`
    over the classes: their mean ("macro"), weighted by their events ("weighted"), all events as one problem ("micro"), or
    only the class `pos_label` ("binary"). What is divided by 0 is `zero_division`, by default 0 with a warning.

    >>> from trigrad import metrics
    >>> metrics.precision_recall_fscore_support([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average="micro")
    Scores(precision=0.3333333333333333, recall=0.3333333333333333, fbeta_score=0.3333333333333333, support=None)
    """
    name = "precision_recall_fscore_support"
    if average not in ("binary", "micro", "macro", "weighted", None):
        raise ValueError(f"[{name}] average is {average!r}, expected 'binary', 'micro', 'macro', 'weighted' or None")
    if zero_division != "warn" and zero_division not in (0, 1) and not np.isnan(zero_division):
        raise ValueError(f"[{name}] zero_division is {zero_division!r}, expected 'warn', 0, 1 or nan")
    if not beta >= 0:
        raise ValueError(f"[{name}] beta is {beta}, expected 0 or more")
    truth, predicted = _pair(name, y_true, y_pred)
    classes, (t, p) = _inputs.encode(truth, predicted)
    weight = _inputs.weights(name, sample_weight, len(truth))
    wanted = classes if labels is None else _inputs.labels(name, "labels", labels)
    if average == "binary":
        if len(classes) > 2:
            raise ValueError(
                f"[{name}] average is 'binary' for {len(classes)} classes, expected two; choose an average"
            )
        if len(classes) == 2 and pos_label not in classes.tolist():
            raise ValueError(f"[{name}] pos_label is {pos_label!r}, expected one of {classes.tolist()}")
        wanted = np.array([pos_label])
    n = len(classes)

    def sums(codes: Array, weight: Floats | None) -> Array:
        """Per wanted class, 0 of one that does not occur."""
        found = (
            bincount(tensor(codes), None if weight is None else tensor(weight), n).numpy()
            if len(codes)
            else np.zeros(n)
        )
        return np.array([found[classes == label].sum() for label in wanted])

    hit = t == p
    right, pred, true = sums(t[hit], None if weight is None else weight[hit]), sums(p, weight), sums(t, weight)
    support = true
    if average == "micro":
        right, pred, true = (np.array([s.sum()]) for s in (right, pred, true))
    instead = 0.0 if zero_division == "warn" else float(zero_division)

    def divided(numerator: Array, denominator: Array, what: str) -> Floats:
        if zero_division == "warn" and (denominator == 0).any():
            warn(f"[{name}] {what} of a class without {'predicted' if what == 'precision' else 'true'} events is set to 0",
                 UndefinedMetricWarning)  # fmt: skip
        return np.asarray(
            np.divide(numerator, denominator, out=np.full(len(numerator), instead), where=denominator != 0)
        )

    precision, recall = divided(right, pred, "precision"), divided(right, true, "recall")
    if np.isinf(beta):
        f = recall
    else:
        below = beta**2 * true + pred
        f = np.divide((1 + beta**2) * right, below, out=np.full(len(right), instead), where=below != 0)
        f = precision if beta == 0 else f
    if average is None:
        return Scores(precision, recall, f, support)
    of_each = support if average == "weighted" else None
    return Scores(_nan_mean(precision, of_each), _nan_mean(recall, of_each), _nan_mean(f, of_each), None)


def _nan_mean(values: Floats, weight: Array | None) -> float:
    there = ~np.isnan(values)
    if not there.any():
        return np.nan
    if weight is None:
        return float(values[there].mean())
    return (
        float(np.average(values[there], weights=weight[there])) if weight[there].sum() else float(values[there].mean())
    )


def precision_score(
    y_true: Data,
    y_pred: Data,
    *,
    labels: Data | None = None,
    pos_label: Any = 1,
    average: Average | None = "binary",
    sample_weight: Data | None = None,
    zero_division: ZeroDivision = "warn",
) -> float | Floats:
    """The purity of what is predicted to be of a class; see `precision_recall_fscore_support`.

    >>> from trigrad import metrics
    >>> metrics.precision_score([0, 1, 1, 1], [1, 1, 0, 1])
    0.6666666666666666
    """
    found = precision_recall_fscore_support(
        y_true, y_pred, labels=labels, pos_label=pos_label, average=average, sample_weight=sample_weight,
        zero_division=zero_division,
    )  # fmt: skip
    return found.precision  # type: ignore[no-any-return]


def recall_score(
    y_true: Data,
    y_pred: Data,
    *,
    labels: Data | None = None,
    pos_label: Any = 1,
    average: Average | None = "binary",
    sample_weight: Data | None = None,
    zero_division: ZeroDivision = "warn",
) -> float | Floats:
    """The efficiency with which a class is recognized; see `precision_recall_fscore_support`.

    >>> from trigrad import metrics
    >>> metrics.recall_score([0, 1, 1, 1, 1], [1, 1, 0, 1, 1])
    0.75
    """
    found = precision_recall_fscore_support(
        y_true, y_pred, labels=labels, pos_label=pos_label, average=average, sample_weight=sample_weight,
        zero_division=zero_division,
    )  # fmt: skip
    return found.recall  # type: ignore[no-any-return]


def f1_score(
    y_true: Data,
    y_pred: Data,
    *,
    labels: Data | None = None,
    pos_label: Any = 1,
    average: Average | None = "binary",
    sample_weight: Data | None = None,
    zero_division: ZeroDivision = "warn",
) -> float | Floats:
    """The harmonic mean of precision and recall; see `precision_recall_fscore_support`.

    >>> from trigrad import metrics
    >>> metrics.f1_score([0, 1, 1, 1], [1, 1, 0, 1])
    0.6666666666666666
    """
    found = precision_recall_fscore_support(
        y_true, y_pred, labels=labels, pos_label=pos_label, average=average, sample_weight=sample_weight,
        zero_division=zero_division,
    )  # fmt: skip
    return found.fbeta_score  # type: ignore[no-any-return]


# ---- probabilities


def _probabilities(name: str, y_proba: Array) -> Array:
    proba = _inputs.finite(name, "y_proba", y_proba)
    proba = proba if proba.dtype.kind == "f" else proba.astype(np.float64)
    if proba.ndim not in (1, 2) or proba.size == 0:
        raise ValueError(f"[{name}] y_proba has shape {proba.shape}, expected (n,) or (n, classes), not empty")
    if proba.min() < 0 or proba.max() > 1:
        raise ValueError(f"[{name}] y_proba holds {proba.min():g} to {proba.max():g}, expected 0 to 1")
    return proba[:, 0] if proba.ndim == 2 and proba.shape[1] == 1 else proba


def _of_classes(name: str, y_true: Data, proba: Array, labels: Data | None) -> Array:
    """The events' classes as numbers of columns; two classes have one column or two."""
    truth = _inputs.labels(name, "y_true", y_true)
    _inputs.same_length(name, y_true=truth, y_proba=proba)
    if labels is None:
        classes, (codes,) = _inputs.encode(truth)
    else:
        classes = np.unique(_inputs.array(labels))
        codes = _inputs.encode_as(name, truth, classes)
    columns = proba.shape[1] if proba.ndim == 2 else 2
    if len(classes) != columns:
        raise ValueError(
            f"[{name}] got {len(classes)} class{'es' * (len(classes) != 1)} and probabilities of {columns}, expected as "
            "many; name all classes by labels="
        )
    if proba.ndim == 2:
        sums = ops.sum(tensor(proba), 1).numpy()
        if not np.allclose(sums, 1, rtol=float(np.finfo(proba.dtype).eps) ** 0.5):
            warn(f"[{name}] rows of y_proba add up to {sums.min():g} to {sums.max():g}, not to 1", UserWarning)
    return codes


def log_loss(
    y_true: Data,
    y_proba: Data,
    *,
    normalize: bool = True,
    sample_weight: Data | None = None,
    labels: Data | None = None,
) -> float:
    """The mean (or with normalize=False the sum) of -log of the probability given to the event's class, which is clipped by
    the spacing of its floating-point format at 0 and 1. Of two classes y_proba (n,) is that of the later one.

    y_true (n,), y_proba (n,) or (n, C) -> a number

    >>> from trigrad import metrics
    >>> round(metrics.log_loss([1, 0, 0, 1], [0.9, 0.1, 0.2, 0.65]), 6)
    0.216162
    """
    name = "log_loss"
    proba = _probabilities(name, _inputs.array(y_proba))
    codes = _of_classes(name, y_true, proba, labels)
    p, t = tensor(proba), tensor(codes)
    own = ops.where(ops.ne(t, 0), p, ops.sub(1, p)) if p.ndim == 1 else ops.gather(p, 1, t.reshape(-1, 1)).reshape(-1)
    eps = float(np.finfo(proba.dtype).eps)
    losses = ops.neg(ops.log(ops.clamp(own, eps, 1 - eps)))
    weight = _inputs.weights(name, sample_weight, len(codes))
    if normalize:
        return float(_inputs.mean(name, losses, weight))
    return total(losses) if weight is None else total(ops.mul(losses, tensor(weight)))


def brier_score_loss(
    y_true: Data,
    y_proba: Data,
    *,
    sample_weight: Data | None = None,
    pos_label: Any = None,
    labels: Data | None = None,
    scale_by_half: bool | Literal["auto"] = "auto",
) -> float:
    """The mean squared distance of the probabilities from the truth, Σ over the classes; halved ("auto": of two classes).

    y_true (n,), y_proba (n,) or (n, C) -> a number

    >>> from trigrad import metrics
    >>> round(metrics.brier_score_loss([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]), 6)
    0.0375
    """
    name = "brier_score_loss"
    proba = _probabilities(name, _inputs.array(y_proba))
    if proba.ndim == 1:
        truth = _inputs.labels(name, "y_true", y_true)
        classes, _ = _inputs.encode(truth)
        if pos_label is None and len(classes) == 2 and truth.dtype.kind in "biuf":
            pos_label = classes[-1]
        if len(classes) > 2:
            raise ValueError(f"[{name}] y_true has {len(classes)} classes and y_proba one column, expected two classes")
        positive = _inputs.positive(name, truth, pos_label)
        _inputs.same_length(name, y_true=positive, y_proba=proba)
        missed = ops.sub(ops.cast(tensor(positive), float64), tensor(proba))
        losses = ops.mul(ops.square(missed), 2.0)
    else:
        codes = _of_classes(name, y_true, proba, labels)
        one_hot = codes[:, None] == np.arange(proba.shape[1])
        losses = ops.sum(ops.square(ops.sub(ops.cast(tensor(one_hot), float64), tensor(proba))), 1)
    score = float(_inputs.mean(name, losses, _inputs.weights(name, sample_weight, len(proba))))
    halve = proba.ndim == 1 or proba.shape[1] < 3 if scale_by_half == "auto" else scale_by_half
    return score / 2 if halve else score
