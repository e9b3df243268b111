"""Pictures over the plane of two features: what is decided where, and what each unit of a layer says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from trigrad._autograd import no_grad
from trigrad._core import Tensor, from_numpy, get_default_dtype
from trigrad.metrics import _inputs
from trigrad.nn._evaluation import evaluating
from trigrad.nn.module import Module
from trigrad.plot import _canvas
from trigrad.plot._canvas import Array, Data, Panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_boundary", "neuron_field"]

Model: TypeAlias = Module | Callable[[Tensor], Any] | Any
Limits: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


def _answers(op: str, model: Model, points: Array) -> Array:
    """What the model says of points (n, 2): (n, k) numbers, or (n,) classes."""
    inner = getattr(model, "__wrapped__", None)
    if isinstance(inner, Module):  # compiled: the network itself has modes
        model = inner
    if isinstance(model, Module):
        kinds = [p.dtype for p in model.parameters() if p.is_floating_point()]
        with evaluating(model), no_grad():
            said = model(from_numpy(points).to(kinds[0] if kinds else get_default_dtype()))
    else:
        ways = [getattr(model, way, None) for way in ("predict_proba", "decision_function", "predict")]
        way = next((w for w in ways if w is not None), None)
        if way is not None:
            said = way(points.astype(np.float32))
        elif callable(model):
            with no_grad():
                said = model(from_numpy(points).to(get_default_dtype()))
        else:
            raise TypeError(f"[{op}] model is {type(model).__name__}, expected a module, a function or an estimator")
    found = _inputs.array(said)
    if found.ndim not in (1, 2) or len(found) != len(points):
        raise ValueError(
            f"[{op}] the model made {found.shape} of {points.shape}, expected (points,) or (points, k): an answer for each row"
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        wrong = int((~np.isfinite(found.reshape(len(found), -1))).any(1).sum())
        raise ValueError(f"[{op}] the model says NaN or infinity at {wrong} points of the plane, expected numbers")
    return found


def _limits(op: str, limits: Limits | None, points: Array | None) -> Limits:
    """A box, or the one of the points and a tenth around."""
    if limits is not None:
        (left, right), (bottom, top) = limits
    elif points is not None:
        low, high = points.min(0), points.max(0)
        pad = np.where(high > low, 0.1 * (high - low), 1.0)
        (left, bottom), (right, top) = low - pad, high + pad
    else:
        raise ValueError(f"[{op}] got neither points nor limits; give limits=((x0, x1), (y0, y1))")
    if not (left < right and bottom < top and np.isfinite([left, right, bottom, top]).all()):
        raise ValueError(f"[{op}] limits are {((left, right), (bottom, top))}, expected ((x0, x1), (y0, y1)) that rise")
    return (float(left), float(right)), (float(bottom), float(top))


def _grid(op: str, limits: Limits, points: int) -> tuple[Array, Array, Array]:
    """Places along both axes, and all of them as rows (points², 2)."""
    if points < 2:
        raise ValueError(f"[{op}] points is {points}, expected 2 at least along each axis")
    x, y = (np.linspace(*side, points) for side in limits)
    return x, y, np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def _points(op: str, X: Data | None) -> Array | None:
    if X is None:
        return None
    found = _canvas.array(op, "X", X, 2)
    if found.shape[1] != 2:
        raise ValueError(f"[{op}] X has shape {found.shape}, expected (n, 2): a plane has two features; choose two")
    return found


def _columns(op: str, said: Array, level: float | None, truth: Array | None, known: Any) -> tuple[Array, Array]:
    """Of answers (n,) or (n, k) numbers (n, classes), of which the greatest is the class that is decided for, and the classes:
    those that an estimator has `known`, a model says or events have, else those of the events if they are not numbers of
    columns."""
    there = np.unique(truth) if truth is not None else np.empty(0, dtype=np.int64)
    if said.ndim == 2 and said.shape[1] > 1:
        columns = np.asarray(said, dtype=np.float64)
    else:
        said = said.reshape(-1)
        if said.dtype.kind in "biuSUO" and level is None:
            if len(there):
                _inputs.one_kind(op, y=there, model=said)
            classes = np.union1d(said, there) if len(there) else np.unique(said)
            return np.asarray(said[:, None] == classes, dtype=np.float64), classes
        score = said.astype(np.float64)
        if level is None:
            level = 0.5 if score.min() >= 0 and score.max() <= 1 else 0.0
        columns = np.stack([level - score, score - level], 1)
    if known is not None and len(known) == columns.shape[1] and np.isin(there, known).all():
        return columns, np.asarray(known)
    numbers = np.arange(columns.shape[1])
    if len(there) == len(numbers) or np.isin(there, numbers).all():
        return columns, there if len(there) == len(numbers) else numbers
    if set(there.tolist()) <= {-1, 1} and len(numbers) == 2:
        return columns, np.array([-1, 1])
    raise ValueError(
        f"[{op}] the model tells {len(numbers)} classes apart, y holds {there[:5].tolist()}, expected as many classes, or the "
        "numbers of the columns"
    )


def decision_boundary(
    model: Model,
    X: Data | None = None,
    y: Data | None = None,
    *,
    names: Sequence[object] | None = None,
    limits: Limits | None = None,
    level: float | None = None,
    points: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Which class a model decides for over the plane of its two features, the boundaries between, and events over it.

    The model is a module, an estimator (by its predict_proba, decision_function or predict), or a function of a tensor
    (points², 2). It says one number per point, whose boundary is `level` (0.5 if all are from 0 to 1, as probabilities,
    else 0), a number for each class, of which the greatest decides, or the class itself.

    X (n, 2), y (n,): numbers of columns, or as many classes, of which the k-th in sorted order is that of the k-th column,
    or those of an estimator's `classes_`

    >>> import trigrad as tg
    >>> X = tg.tensor([[0.0, 0.0], [1.0, 1.0], [0.2, 0.1]])
    >>> ax = tg.plot.decision_boundary(lambda x: x.sum(1) - 1, X, [0, 1, 0])
    >>> [len(points.get_offsets()) for points in ax.collections[-2:]]
    [2, 1]
    """
    op = "plot.decision_boundary"
    given = _points(op, X)
    box = _limits(op, limits, given)
    truth = None
    if y is not None:
        truth = _inputs.labels(op, "y", y)
        if given is None or len(truth) != len(given):
            raise ValueError(
                f"[{op}] y has {len(truth)} events, X {0 if given is None else len(given)}, expected as many"
            )
    across, up, places = _grid(op, box, points)
    columns, classes = _columns(op, _answers(op, model, places), level, truth, getattr(model, "classes_", None))
    words = _canvas.names_of(op, classes.tolist() if names is None else names, len(classes), "classes")
    ax = _canvas.axes(op, ax)
    taken = columns.argmax(1).reshape(points, points)
    colours = _canvas.matplotlib(op, "colors")
    shades = np.array([colours.to_rgba(_canvas.colour(k), 0.25) for k in range(columns.shape[1])])
    half = [(side[1] - side[0]) / (points - 1) / 2 for side in box]  # each place is the middle of a pixel
    (left, right), (bottom, top) = ((side[0] - h, side[1] + h) for side, h in zip(box, half, strict=True))
    ax.imshow(shades[taken], extent=(left, right, bottom, top), origin="lower", aspect="auto", interpolation="nearest")
    for k in range(columns.shape[1] - (columns.shape[1] == 2)):
        margin = (columns[:, k] - np.delete(columns, k, 1).max(1, initial=-np.inf)).reshape(points, points)
        if margin.min() < 0 < margin.max():
            ax.contour(across, up, margin, [0.0], colors=[_canvas.ink(op)], linewidths=1.2)
    if given is not None:
        kinds = (
            [(0, given, None)] if truth is None else [(k, given[truth == c], words[k]) for k, c in enumerate(classes)]
        )
        for k, events, word in kinds:
            if len(events):
                ax.scatter(
                    events[:, 0],
                    events[:, 1],
                    s=14,
                    color=_canvas.ink(op) if word is None else _canvas.colour(k),
                    marker=_canvas.marker(k),
                    edgecolors=_canvas.ink(op),
                    linewidths=0.3,
                    label=word,
                )
        if truth is not None:
            ax.legend(loc="upper right", fontsize="small")
    ax.set(xlabel="x₁", ylabel="x₂", xlim=box[0], ylim=box[1])
    return ax


def neuron_field(
    model: Model,
    X: Data | None = None,
    *,
    limits: Limits | None = None,
    names: Sequence[object] | None = None,
    points: int = 100,
    columns: int = 4,
    ax: Any = None,
) -> Panels:
    """What each unit says over the plane of two features: a field that changes with the distance from the unit's line, where
    its weighted sum is 0. `model` is the part of a network that ends with these units, as `net[:2]`, or any model that
    `decision_boundary` takes. All panels share one scale.

    X (n, 2) or limits -> (units,) Axes, in rows of `columns`

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.Tanh(), tg.nn.Linear(3, 1))
    >>> axes = tg.plot.neuron_field(net[:2], limits=((-6, 6), (-6, 6)))
    >>> axes.shape
    (3,)
    """
    op = "plot.neuron_field"
    box = _limits(op, limits, _points(op, X))
    _, _, places = _grid(op, box, points)
    said = _answers(op, model, places).astype(np.float64)
    said = said.reshape(points, points, -1)  # (up, across, units)
    words = _canvas.names_of(op, names, said.shape[2], "units")
    grid = _canvas.panels(op, ax, said.shape[2], columns, (2.4, 2.2))
    reach = float(np.abs(said).max()) or 1.0
    for k, one in enumerate(grid):
        image = one.imshow(
            said[:, :, k],
            extent=(*box[0], *box[1]),
            origin="lower",
            aspect="auto",
            cmap=_canvas.shades(op),
            vmin=-reach,
            vmax=reach,
        )
        one.set_title(words[k], fontsize="small")
        one.set(xlabel="x₁", ylabel="x₂")
    grid[0].figure.colorbar(image, ax=list(grid))
    return grid
