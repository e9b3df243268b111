"""Values of trigrad.metrics are those of scikit-learn: ties, weights, labels of all kinds, one class only."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg
from trigrad import metrics

sk = pytest.importorskip("sklearn.metrics")
calibration = pytest.importorskip("sklearn.calibration")

Events = tuple[Any, ...]
quick = settings(max_examples=60)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Both warn of what is undefined; test_refusals.py looks at ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def weights(n: int) -> st.SearchStrategy[Any]:
    """None, counts, or fractions; some of them 0 but not all."""
    one = st.sampled_from([0.0, 0.5, 1.0, 2.25, 1e-3, 7.0])
    lists = st.lists(one, min_size=n, max_size=n).filter(any).map(np.array)
    return st.one_of(st.none(), lists, lists.map(lambda w: np.ceil(w).astype(np.int64)))


def numbers(n: int) -> st.SearchStrategy[Any]:
    """Few values, so that many are equal; or any finite ones, in float32 or float64."""
    few = st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.25, 1.0, 3.0]), min_size=n, max_size=n).map(np.array)
    many = st.lists(st.floats(-1e6, 1e6, width=32), min_size=n, max_size=n).map(np.array)
    return st.one_of(few, many, many.map(lambda v: v.astype(np.float32)), few.map(lambda v: (4 * v).astype(np.int64)))


LABELS = {
    "numbers": np.array([0, 1]),
    "signs": np.array([-1, 1]),
    "bools": np.array([False, True]),
    "floats": np.array([0.0, 1.0]),
}


@st.composite
def binary(draw: st.DrawFn) -> Events:
    n = draw(st.integers(1, 30))
    labels = LABELS[draw(st.sampled_from(sorted(LABELS)))]
    y = labels[draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))]
    return y, draw(numbers(n)), draw(weights(n))


@st.composite
def classes(draw: st.DrawFn) -> Events:
    n, c = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    labels = draw(st.sampled_from([np.arange(c), np.array(list("abcde")), np.array([-70_000, 3, 5, 10**6, 2**40])]))
    indices = st.lists(st.integers(0, c - 1), min_size=n, max_size=n).map(np.array)
    return labels[draw(indices)], labels[draw(indices)], draw(weights(n))


@st.composite
def regression(draw: st.DrawFn) -> Events:
    n, m = draw(st.integers(1, 20)), draw(st.integers(1, 3))
    true, pred = draw(numbers(n * m)), draw(numbers(n * m))
    shape = (n,) if m == 1 and draw(st.booleans()) else (n, m)
    return true.reshape(shape), pred.reshape(shape), draw(weights(n))


def probabilities(rng: np.random.Generator, n: int, c: int) -> Any:
    """Rows that add up to 1, with ties and zeros."""
    p = rng.integers(0, 4, (n, c)) + 1e-3
    p[rng.random((n, c)) < 0.2] = 0.0
    p[:, 0] += p.sum(1) == 0
    return p / p.sum(1, keepdims=True)


def same(ours: Any, theirs: Any, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    assert type(ours) is float or isinstance(ours, (np.ndarray, tuple)), type(ours)
    if isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            if a is not None or b is not None:
                same(np.asarray(a), np.asarray(b), rtol, atol)
        return
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    assert np.shape(ours) == np.shape(theirs)


def either(ours: Callable[[], Any], theirs: Callable[[], Any], **tolerance: float) -> None:
    """Both give the same, or both refuse."""
    try:
        expected = theirs()
    except (ValueError, IndexError):
        with pytest.raises(ValueError, match=r"^\["):
            ours()
        return
    same(ours(), expected, **tolerance)


# ---- curves and areas


@quick
@given(binary(), st.booleans())
def test_curves(events: Events, drop: bool) -> None:
    y, score, w = events
    for name in ("roc_curve", "precision_recall_curve", "det_curve"):
        ours, theirs = getattr(metrics, name), getattr(sk, name)
        if name == "det_curve" and (w is not None and len(np.unique(y[w != 0])) < 2):
            continue  # sklearn looks at the labels of events of weight 0
        either(
            lambda ours=ours: ours(y, score, sample_weight=w, drop_intermediate=drop),
            lambda theirs=theirs: theirs(y, score, sample_weight=w, drop_intermediate=drop),
        )


@quick
@given(binary(), st.sampled_from([None, 0.1, 0.5, 1.0]))
def test_areas(events: Events, max_fpr: float | None) -> None:
    y, score, w = events
    if w is not None and len(np.unique(y)) > len(np.unique(y[w != 0])):
        assert np.isnan(metrics.roc_auc_score(y, score, sample_weight=w, max_fpr=max_fpr))
        return  # sklearn looks at the labels of events of weight 0
    either(
        lambda: metrics.roc_auc_score(y, score, sample_weight=w, max_fpr=max_fpr),
        lambda: sk.roc_auc_score(y, score, sample_weight=w, max_fpr=max_fpr),
    )
    either(
        lambda: metrics.average_precision_score(y, score, sample_weight=w),
        lambda: sk.average_precision_score(y, score, sample_weight=w),
    )


def test_labels_are_any_two() -> None:
    score = [0.1, 0.7, 0.3, 0.9, 0.5]
    for labels in (["b", "s"], [3, 8], [2.0, 5.0]):
        y = np.array(labels)[[0, 1, 0, 1, 1]]
        same(metrics.roc_auc_score(y, score), sk.roc_auc_score(y, score))
        same(metrics.roc_curve(y, score, pos_label=labels[1]), sk.roc_curve(y, score, pos_label=labels[1]))
        ours = metrics.average_precision_score(y, score, pos_label=labels[0])
        same(ours, sk.average_precision_score(y, score, pos_label=labels[0]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
def test_many_classes(seed: int, multi_class: Any, average: Any) -> None:
    rng = np.random.default_rng(seed)
    n, c = int(rng.integers(8, 60)), int(rng.integers(3, 6))
    y = np.concatenate([np.arange(c), rng.integers(0, c, n - c)])
    p, w = probabilities(rng, n, c), rng.random(n) + 0.1
    options = {"multi_class": multi_class, "average": average}
    try:
        expected = sk.roc_auc_score(y, p, **options)
    except (ValueError, NotImplementedError):
        with pytest.raises(ValueError, match="average"):
            metrics.roc_auc_score(y, p, **options)
        return
    same(metrics.roc_auc_score(y, p, **options), expected)
    names = np.array(list("abcdef"))
    ours = metrics.roc_auc_score(names[y], p, labels=names[:c], **options)
    same(ours, expected)
    if multi_class == "ovr":
        same(
            metrics.roc_auc_score(y, p, sample_weight=w, **options), sk.roc_auc_score(y, p, sample_weight=w, **options)
        )
        same(
            metrics.average_precision_score(y, p, sample_weight=w, average=average),
            sk.average_precision_score(y, p, sample_weight=w, average=average),
        )


@pytest.mark.parametrize("average", ["macro", "weighted", "micro", "samples", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_independent_labels(average: Any, weighted: bool) -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, (30, 4))
    y[:, 0], y[:, 1] = 0, 1  # in each event both values
    score = rng.integers(0, 9, (30, 4)) / 8
    y[0, 1], y[1, 0] = 0, 1
    y[0, 2:], y[1, 2:] = 1, 0
    w = rng.random(30) if weighted else None
    for name in ("roc_auc_score", "average_precision_score"):
        ours, theirs = (getattr(m, name)(y, score, average=average, sample_weight=w) for m in (metrics, sk))
        same(ours, theirs)


def test_auc_of_a_curve() -> None:
    x, y = np.array([0.0, 0.0, 0.25, 1.0]), np.array([0.5, 1.0, 1.0, 2.0])
    same(metrics.auc(x, y), sk.auc(x, y))
    same(metrics.auc(x[::-1], y[::-1]), sk.auc(x, y))
    with pytest.raises(ValueError, match="neither rises nor falls"):
        metrics.auc([0.0, 1.0, 0.5], [0, 0, 0])
    with pytest.raises(ValueError, match="1 point"):
        metrics.auc([0.0], [0.0])


@quick
@given(st.integers(2, 6), st.integers(1, 30), st.integers(1, 7), st.integers(0, 10**6), st.booleans())
def test_top_k(c: int, n: int, k: int, seed: int, normalize: bool) -> None:
    rng = np.random.default_rng(seed)
    y, score = rng.integers(0, c, n), rng.integers(-2, 3, (n, c)) / 2
    w = rng.random(n) if seed % 2 else None
    labels = np.arange(c)
    shaped = score[:, 0] if c == 2 else score
    options = {"k": k, "normalize": normalize, "sample_weight": w, "labels": labels}
    either(
        lambda: metrics.top_k_accuracy_score(y, shaped, **options),
        lambda: sk.top_k_accuracy_score(y, shaped, **options),
    )


# ---- classes


@quick
@given(classes(), st.booleans(), st.sampled_from([None, "true", "pred", "all"]))
def test_counts_of_classes(events: Events, normalize: bool, by: Any) -> None:
    y, pred, w = events
    same(metrics.accuracy_score(y, pred, normalize=normalize, sample_weight=w),
         sk.accuracy_score(y, pred, normalize=normalize, sample_weight=w))  # fmt: skip
    ours, theirs = (m.confusion_matrix(y, pred, sample_weight=w, normalize=by) for m in (metrics, sk))
    same(ours, theirs)
    assert ours.dtype == theirs.dtype
    same(metrics.matthews_corrcoef(y, pred, sample_weight=w), sk.matthews_corrcoef(y, pred, sample_weight=w), atol=1e-7)
    several = len(np.unique(y if w is None else y[w != 0])) > 1  # of one class chance is right always
    assert several or np.isnan(metrics.balanced_accuracy_score(y, pred, sample_weight=w, adjusted=True))
    for adjusted in (False, True) if several else (False,):
        ours, theirs = (m.balanced_accuracy_score(y, pred, sample_weight=w, adjusted=adjusted) for m in (metrics, sk))
        same(ours, theirs)


@quick
@given(classes(), st.data())
def test_confusion_of_some_labels(events: Events, data: st.DataObject) -> None:
    y, pred, w = events
    labels = np.array(data.draw(st.permutations(np.unique(np.concatenate([y, pred])).tolist())))
    labels = labels[: data.draw(st.integers(1, len(labels)))]
    either(
        lambda: metrics.confusion_matrix(y, pred, labels=labels, sample_weight=w),
        lambda: sk.confusion_matrix(y, pred, labels=labels, sample_weight=w),
    )


@quick
@given(
    classes(),
    st.sampled_from(["micro", "macro", "weighted", None]),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, np.inf]),
    st.sampled_from(["warn", 0.0, 1.0, np.nan]),
)
def test_precision_and_recall(events: Events, average: Any, beta: float, zero_division: Any) -> None:
    y, pred, w = events
    options = {"average": average, "beta": beta, "zero_division": zero_division, "sample_weight": w}
    same(
        metrics.precision_recall_fscore_support(y, pred, **options),
        sk.precision_recall_fscore_support(y, pred, **options),
    )


@quick
@given(binary(), st.sampled_from([0, 1, 5]))
def test_precision_and_recall_of_one_class(events: Events, pos_label: int) -> None:
    y, score, w = events
    y, pred = (y == 1).astype(int), (score > 0).astype(int)
    for name in ("precision_score", "recall_score", "f1_score"):
        ours, theirs = getattr(metrics, name), getattr(sk, name)
        either(
            lambda ours=ours: ours(y, pred, pos_label=pos_label, sample_weight=w),
            lambda theirs=theirs: theirs(y, pred, pos_label=pos_label, sample_weight=w),
        )


@quick
@given(st.integers(2, 5), st.integers(1, 30), st.integers(0, 10**6), st.sampled_from(["f4", "f8"]), st.booleans())
def test_probabilities(c: int, n: int, seed: int, dtype: str, normalize: bool) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, c, n), probabilities(rng, n, c).astype(dtype)
    w = rng.random(n) if seed % 2 else None
    labels = np.arange(c)
    options = {"sample_weight": w, "labels": labels}
    near = {"rtol": 1e-5, "atol": 1e-9} if dtype == "f4" else {"rtol": 1e-9}  # sklearn computes in the dtype given
    same(
        metrics.log_loss(y, p, normalize=normalize, **options),
        sk.log_loss(y, p, normalize=normalize, **options),
        **near,
    )
    same(metrics.brier_score_loss(y, p, **options), sk.brier_score_loss(y, p, **options), **near)
    y, p = y % 2, p[:, 0]
    same(
        metrics.log_loss(y, p, sample_weight=w, labels=[0, 1]),
        sk.log_loss(y, p, sample_weight=w, labels=[0, 1]),
        **near,
    )
    same(metrics.brier_score_loss(y, p, sample_weight=w), sk.brier_score_loss(y, p, sample_weight=w), **near)


@quick
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 10**6), st.sampled_from(["uniform", "quantile"]))
def test_calibration(n: int, n_bins: int, seed: int, strategy: Any) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, n), rng.integers(0, 9, n) / 8 if seed % 2 else rng.random(n)
    options = {"n_bins": n_bins, "strategy": strategy}
    same(metrics.calibration_curve(y, p, **options), calibration.calibration_curve(y, p, **options))


# ---- regression


@quick
@given(regression(), st.sampled_from(["uniform_average", "raw_values", "weights"]))
def test_errors(events: Events, multioutput: Any) -> None:
    true, pred, w = events
    if multioutput == "weights":
        multioutput = np.arange(1.0, 1 + true.shape[1]) if true.ndim == 2 and true.shape[1] > 1 else "raw_values"
    true64, pred64 = true.astype(np.float64), pred.astype(np.float64)  # we compute in float64 whatever comes in
    for name in (
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "mean_absolute_percentage_error",
        "median_absolute_error",
    ):
        options = {"sample_weight": w, "multioutput": multioutput}
        same(getattr(metrics, name)(true, pred, **options), getattr(sk, name)(true64, pred64, **options))
    if true.size == len(true):
        same(metrics.max_error(true, pred), sk.max_error(true64, pred64))


@quick
@given(regression(), st.sampled_from(["uniform_average", "raw_values", "variance_weighted"]), st.booleans())
def test_explained_variance(events: Events, multioutput: Any, force_finite: bool) -> None:
    true, pred, w = events
    true64, pred64 = true.astype(np.float64), pred.astype(np.float64)
    if w is not None and (w != 0).sum() == 1:
        return  # what is left of a variance is rounding
    spread = np.ptp(true64 if w is None else true64[w != 0], axis=0)
    if ((spread != 0) & (spread < 1e-9 * abs(true64).max(0))).any() or not (force_finite or spread.all()):
        return
    for name in ("r2_score", "explained_variance_score"):
        options = {"sample_weight": w, "multioutput": multioutput, "force_finite": force_finite}
        ours, theirs = getattr(metrics, name)(true, pred, **options), getattr(sk, name)(true64, pred64, **options)
        if spread.all():
            same(ours, theirs, rtol=1e-6)


def test_explained_variance_of_a_constant() -> None:
    for pred in ([2.0, 2.0, 2.0], [2.0, 1.0, 2.0]):
        for force_finite in (True, False):
            for name in ("r2_score", "explained_variance_score"):
                same(
                    getattr(metrics, name)([2.0, 2.0, 2.0], pred, force_finite=force_finite),
                    getattr(sk, name)([2.0, 2.0, 2.0], pred, force_finite=force_finite),
                )


# ---- what comes in


def test_tensors_lists_and_strange_arrays_are_the_same() -> None:
    rng = np.random.default_rng(0)
    y, score, w = rng.integers(0, 2, 50), rng.normal(size=50), rng.random(50)
    expected = sk.roc_auc_score(y, score, sample_weight=w)
    forms: list[Callable[[Any], Any]] = [
        tg.tensor,
        list,
        lambda v: tg.tensor(v)[:, None],
        lambda v: np.repeat(v, 2)[::2],
        lambda v: v[::-1].copy()[::-1],
        lambda v: v.astype(v.dtype.newbyteorder(">")),
        lambda v: np.frombuffer(b"x" + v.tobytes(), dtype=np.uint8)[1:].view(v.dtype),
    ]
    for form in forms:
        same(metrics.roc_auc_score(form(y), form(score), sample_weight=np.ravel(form(w))), expected)
        same(metrics.mean_squared_error(form(w), form(score)), sk.mean_squared_error(w, score))
        same(metrics.accuracy_score(form(y), form(1 - y)), sk.accuracy_score(y, 1 - y))
    frozen = score.copy()
    frozen.flags.writeable = False
    same(metrics.roc_auc_score(y, frozen, sample_weight=w), expected)
    leaf = tg.tensor(score, requires_grad=True)
    same(metrics.roc_auc_score(y, leaf, sample_weight=w), expected)
    assert leaf.grad is None
    half = score.astype(np.float16)
    same(metrics.roc_auc_score(y, half), sk.roc_auc_score(y, half))
    same(
        metrics.roc_auc_score(y, tg.tensor(half).to(tg.bfloat16)),
        sk.roc_auc_score(y, tg.tensor(half).to(tg.bfloat16).float().numpy()),
    )


def test_arguments_are_not_changed() -> None:
    rng = np.random.default_rng(1)
    y, score, w = rng.integers(0, 2, 40), rng.random(40), rng.random(40)
    before = [v.copy() for v in (y, score, w)]
    metrics.roc_curve(y, score, sample_weight=w)
    metrics.confusion_matrix(y, score > 0.5, sample_weight=w)
    metrics.working_point(y, score, signal_efficiency=0.5, sample_weight=w)
    metrics.r2_score(score, w, sample_weight=w)
    metrics.median_absolute_error(score, w, sample_weight=w)
    assert all((a == b).all() for a, b in zip(before, (y, score, w), strict=True))


def test_many_events_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(2)
    n = 300_000
    y = rng.integers(0, 2, n)
    score, w = (rng.normal(size=n) + y).astype(np.float32), rng.random(n)
    found = []
    for threads in (1, 2):
        tg.set_num_threads(threads)
        found.append([metrics.roc_auc_score(y, score, sample_weight=w), metrics.log_loss(y, 1 / (1 + np.exp(-score)))])
    assert found[0] == found[1]
    same(found[0][0], sk.roc_auc_score(y, score, sample_weight=w))
