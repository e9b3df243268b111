"""Pictures of decisions: what scores rank, what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trigrad import metrics
from trigrad.metrics import _inputs
from trigrad.plot import _canvas
from trigrad.plot._canvas import Array, Data

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion", "roc", "scores"]


def roc(
    y_true: Data,
    y_score: Data | Mapping[str, Data],
    *,
    names: Sequence[object] | None = None,
    pos_label: Any = None,
    sample_weight: Data | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The signal's efficiency over the background's, with the areas below the curves, by `trigrad.metrics`; on a `log` axis
    for backgrounds that are cut down by orders of magnitude. The signal is class 1, or `pos_label`; of several classes
    each stands against all others, or `pos_label` alone does; several models are compared as `{"network": scores, "cuts": scores}`.

    y_true (n,), y_score (n,) of the signal, or (n, C): column k is of the k-th class in sorted order

    >>> import trigrad as tg
    >>> ax = tg.plot.roc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['AUC 0.7500']
    """
    op = "plot.roc"
    curves = _against(op, y_true, y_score, names, pos_label)
    ax = _canvas.axes(op, ax)
    least = 1.0
    for k, (name, is_it, score) in enumerate(curves):
        background, signal, _ = metrics.roc_curve(is_it, score, sample_weight=sample_weight)
        area = metrics.roc_auc_score(is_it, score, sample_weight=sample_weight)
        label = f"{name}, AUC {area:.4f}" if name else f"AUC {area:.4f}"
        ax.plot(background, signal, color=_canvas.colour(k), linestyle=_canvas.dashes(k), label=label)
        least = min(least, background[background > 0].min(initial=1.0))
    guess = np.geomspace(least / 2, 1, 200) if log else np.array([0.0, 1.0])
    ax.plot(guess, guess, color=_canvas.ink(op), linestyle=":", linewidth=1, label="_guess")
    ax.set(xlabel="background efficiency", ylabel="signal efficiency", ylim=(0, 1.02))
    if log:
        ax.set_xscale("log")
    ax.set_xlim(least if log and least < 1 else 0.1 if log else 0.0, 1.0)
    ax.legend()
    return ax


def _against(
    op: str, y_true: Data, y_score: Any, names: Sequence[object] | None, pos_label: Any
) -> list[tuple[str, Array, Array]]:
    """Name, who belongs to the class, and scores, of each curve."""
    if isinstance(y_score, Mapping):
        if not y_score:
            raise ValueError(f"[{op}] y_score is an empty dict, expected names and scores")
        positive = _inputs.positive(op, y_true, pos_label)
        models = [(str(name), positive, _inputs.scores(op, str(name), score)) for name, score in y_score.items()]
        for name, _, score in models:
            _inputs.same_length(op, y_true=positive, **{name: score})
        return models
    score = _inputs.array(y_score)
    if score.ndim == 2 and score.shape[1] > 1:
        truth = _inputs.labels(op, "y_true", y_true)
        classes = np.unique(truth)
        if score.shape[1] != len(classes):
            raise ValueError(
                f"[{op}] y_score has {score.shape[1]} columns, y_true {len(classes)} classes, expected equally many; draw the "
                "classes that are there one by one: roc(y_true == c, y_score[:, c])"
            )
        words = _canvas.names_of(op, classes.tolist() if names is None else names, len(classes), "classes")
        found = [(words[k], truth == c, score[:, k]) for k, c in enumerate(classes)]
        if pos_label is not None:
            if pos_label not in classes.tolist():
                raise ValueError(f"[{op}] pos_label is {pos_label!r}, expected one of {classes.tolist()}")
            return [found[classes.tolist().index(pos_label)]]
        return found if len(found) > 2 else found[1:]
    only = "" if names is None else _canvas.names_of(op, names, 1, "curve")[0]
    return [(only, _inputs.positive(op, y_true, pos_label), _inputs.scores(op, "y_score", y_score))]


def confusion(
    y_true: Data,
    y_pred: Data,
    *,
    names: Sequence[object] | None = None,
    normalize: Literal["true", "pred", "all"] | None = "true",
    sample_weight: Data | None = None,
    labels: Data | None = None,
    ax: Axes | None = None,
) -> Axes:
    """What is taken for what, by `metrics.confusion_matrix`: by default shares of each true class, with `normalize=None`
    numbers of events. `names` are words for the classes, in their order.

    y_true (n,), y_pred (n,)

    >>> import trigrad as tg
    >>> ax = tg.plot.confusion([0, 0, 1, 1], [0, 1, 1, 1], names=["quark", "gluon"])
    >>> [text.get_text() for text in ax.texts]
    ['0.50', '0.50', '0.00', '1.00']
    """
    op = "plot.confusion"
    if _inputs.array(y_pred).ndim == 2 and _inputs.array(y_pred).shape[1] > 1:
        raise ValueError(
            f"[{op}] y_pred has shape {_inputs.array(y_pred).shape}, expected one class per event: y_pred.argmax(1)"
        )
    counts = metrics.confusion_matrix(y_true, y_pred, labels=labels, sample_weight=sample_weight, normalize=normalize)
    there = np.unique(np.concatenate([_inputs.array(side).reshape(-1) for side in (y_true, y_pred)]))
    classes = there if labels is None else _inputs.array(labels)
    words = _canvas.names_of(op, classes.tolist() if names is None else names, len(counts), "classes")
    ax = _canvas.axes(op, ax)
    image = ax.imshow(counts, cmap=_canvas.HEAT, vmin=0, vmax=1 if normalize else None)
    texts = [[f"{v:.2f}" if normalize else f"{v:.6g}" for v in row] for row in counts.tolist()]
    _canvas.numbers(image, texts, ax)
    ax.set_xticks(range(len(words)), words)
    ax.set_yticks(range(len(words)), words)
    ax.set(xlabel="taken for", ylabel="true class")
    of = {"true": "share of the true class", "pred": "share of what is taken for it", "all": "share of all"}
    _canvas.heat(op, image, of[normalize] if normalize else "events", ax)
    return ax


def scores(
    y_true: Data,
    y_score: Data,
    *,
    names: Sequence[object] | None = None,
    bins: int = 50,
    sample_weight: Data | None = None,
    threshold: float | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """How the scores of each class are distributed: shares of the class per bin, and the cut at `threshold`. Bins go from 0
    to 1 if the scores do.

    y_true (n,), y_score (n,)

    >>> import trigrad as tg
    >>> ax = tg.plot.scores([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], bins=2, names=["background", "signal"])
    >>> [patch.get_data().values.tolist() for patch in ax.patches]
    [[1.0, 0.0], [0.5, 0.5]]
    """
    op = "plot.scores"
    shape = _inputs.array(y_score).shape
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"[{op}] y_score has shape {shape}, expected one score per event; draw one class: y_score[:, k]"
        )
    truth, score = _inputs.labels(op, "y_true", y_true), _inputs.scores(op, "y_score", y_score)
    _inputs.same_length(op, y_true=truth, y_score=score)
    weight = _inputs.weights(op, sample_weight, len(score))
    classes = np.unique(truth)
    words = _canvas.names_of(op, classes.tolist() if names is None else names, len(classes), "classes")
    low, high = float(score.min()), float(score.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    edges = np.histogram_bin_edges([low, high], bins)
    ax = _canvas.axes(op, ax)
    for k, (which, name) in enumerate(zip(classes, words, strict=True)):
        there = truth == which
        counts, _ = np.histogram(score[there], edges, weights=None if weight is None else weight[there])
        total = counts.sum()
        if not total > 0 and counts.any():
            raise ValueError(
                f"[{op}] the weights of class {name} sum to {total:g}, expected more than 0: there are no shares of it"
            )
        _canvas.histogram(ax, counts / (total or 1.0), edges, k, name)
    if threshold is not None:
        ax.axvline(threshold, color=_canvas.ink(op), linestyle=":", label=f"cut at {threshold:.4g}")
    ax.set(xlabel="score", ylabel="share of the class")
    if log:
        ax.set_yscale("log")
    ax.legend()
    return ax
