"""Diagrams: a network's units and weights, the phases of random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trigrad import ops
from trigrad._core import Tensor
from trigrad.diagnostics import critical_weight_variance
from trigrad.nn.activations import ReLU
from trigrad.nn.joint_activations import Softmax
from trigrad.nn.linear import Linear
from trigrad.nn.module import Module
from trigrad.plot import _canvas
from trigrad.plot._canvas import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network_diagram", "phase_diagram"]


class _Column(NamedTuple):
    """One layer of units, and the weights (units, units before) that lead to it."""

    units: int
    weights: Array | None
    words: list[str]


def _columns(op: str, model: Any) -> list[_Column]:
    if not isinstance(model, Module):
        try:
            sizes = [int(n) for n in model]
        except TypeError:
            raise TypeError(
                f"[{op}] got {type(model).__name__}, expected a module or numbers of units: [2, 8, 1]"
            ) from None
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"[{op}] got layers of {sizes} units, expected two at least, of 1 unit or more")
        return [_Column(n, None, []) for n in sizes]
    found: list[_Column] = []
    for part in model.modules():
        if isinstance(part, Linear):
            if found and found[-1].units != part.in_features:
                raise ValueError(
                    f"[{op}] a Linear layer takes {part.in_features} numbers behind one that gives {found[-1].units}, "
                    "expected a chain of layers; for other networks give numbers of units: network_diagram([2, 8, 1])"
                )
            found = found or [_Column(part.in_features, None, [])]
            weight = _canvas.array(op, "weight", part.weight, 2)
            if not np.isfinite(weight).all():
                raise ValueError(
                    f"[{op}] a weight is NaN or infinite, expected finite ones, which have a sign and a size"
                )
            found.append(_Column(part.out_features, weight, []))
        elif found and type(part).__module__ in (ReLU.__module__, Softmax.__module__):  # where all activations are
            found[-1].words.append(type(part).__name__)
    if not found:
        raise ValueError(f"[{op}] {type(model).__name__} has no Linear layer; give numbers of units: [2, 8, 1]")
    return found


def _shown(units: int, most: int) -> tuple[list[int], Array]:
    """Which units of a column are drawn, and how high: from the top, with a gap where some are left out."""
    if units <= most:
        return list(range(units)), np.linspace(units - 1, 0, units) - (units - 1) / 2
    heights = np.linspace(most - 1, 0, most) - (most - 1) / 2
    return [*range(most - 2), units - 1], np.delete(heights, most - 2)


def network_diagram(
    model: Module | Sequence[int],
    *,
    inputs: Sequence[object] | None = None,
    outputs: Sequence[object] | None = None,
    most: int = 12,
    ax: Axes | None = None,
) -> Axes:
    """The units of each layer as circles, from left to right, joined by their weights: blue is negative, red positive, the
    thicker the larger in its layer. Of layers with more than `most` units the first ones and the last are drawn. Below stand
    numbers of units and activations.

    model: a chain of Linear layers, or numbers of units

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(2, 4), tg.nn.ReLU(), tg.nn.Linear(4, 1), tg.nn.Sigmoid())
    >>> ax = tg.plot.network_diagram(net, inputs=["pt", "η"])
    >>> [text.get_text() for text in ax.texts]
    ['2', '4\\nReLU', '1\\nSigmoid', 'pt', 'η']
    """
    op = "plot.network_diagram"
    if most < 3:
        raise ValueError(f"[{op}] most is {most}, expected 3 at least")
    columns = _columns(op, model)
    ax = _canvas.axes(op, ax)
    ink = _canvas.ink(op)
    places = [_shown(column.units, most) for column in columns]
    low = min(float(heights.min()) for _, heights in places)
    lines = _canvas.matplotlib(op, "collections").LineCollection
    for k in range(1, len(columns)):
        (left, left_heights), (right, right_heights) = places[k - 1], places[k]
        ends = [[(k - 1, a), (k, b)] for b in right_heights for a in left_heights]
        weights = columns[k].weights
        if weights is None:
            ax.add_collection(lines(ends, colors=ink, linewidths=0.5, zorder=1))
            continue
        w = weights[np.ix_(right, left)].reshape(-1)
        share = np.abs(w) / (np.abs(weights).max() or 1.0)
        colours = [_canvas.colour(int(v > 0)) for v in w]
        ax.add_collection(lines(ends, colors=colours, linewidths=0.2 + 2.3 * share, zorder=1))
    for k, (column, (units, heights)) in enumerate(zip(columns, places, strict=True)):
        ax.scatter(np.full(len(units), k), heights, s=120, color=ink, zorder=2)
        if column.units > most:
            ax.scatter([k] * 3, (heights[-2] + heights[-1]) / 2 + np.array([-0.25, 0, 0.25]), s=3, color=ink, zorder=2)
        words = "\n".join([f"{column.units}", *column.words])
        ax.text(k, low - 0.8, words, ha="center", va="top")
    for k, names, side in ((0, inputs, "right"), (len(columns) - 1, outputs, "left")):
        if names is not None:
            each = _canvas.names_of(op, names, columns[k].units, "units")
            for unit, height in zip(*places[k], strict=True):
                ax.text(k + (-0.12 if side == "right" else 0.12), height, each[unit], ha=side, va="center")
    ax.set(xlim=(-0.7, len(columns) - 0.3), ylim=(low - 2.2, -low + 0.8))
    ax.set_axis_off()
    return ax


def phase_diagram(
    networks: Mapping[str, tuple[float, float]] | None = None,
    *,
    activation: Callable[[Tensor], Tensor] = ops.tanh,
    bias_variance: float = 0.3,
    points: int = 25,
    ax: Axes | None = None,
) -> Axes:
    """The phases of a deep network's random weights, by `diagnostics.critical_weight_variance`: ordered to the left of the
    line χ₁ = 1, where gradients vanish, chaotic to the right, where they explode. `networks` are drawn at their
    (σ_w², σ_b²); `bias_variance` is the greatest one shown, if none of them has a greater one.

    >>> import trigrad as tg
    >>> ax = tg.plot.phase_diagram({"ours": (1.5, 0.05)}, points=5)
    >>> ax.get_lines()[0].get_xydata()[0].round(3).tolist()
    [1.0, 0.0]
    """
    op = "plot.phase_diagram"
    if not bias_variance > 0 or points < 2:
        raise ValueError(
            f"[{op}] got {points} points up to σ_b² = {bias_variance}, expected 2 at least, up to more than 0"
        )
    given = networks or {}
    for name, variances in given.items():
        if not all(0 <= v < np.inf for v in variances):
            raise ValueError(f"[{op}] {name} has the variances {variances}, expected finite numbers of at least 0")
    bias_variance = max([bias_variance, *(1.1 * bias for _, bias in given.values())])
    across = np.linspace(0.0, 1.0, points) ** 2 * bias_variance  # closer where the line is steep
    try:
        line = np.array([critical_weight_variance(v, activation) for v in across.tolist()])
    except ValueError as error:
        raise ValueError(
            f"[{op}] this activation has no line of critical variances at biases: {error}; expected one such as tanh"
        ) from None
    right = 1.4 * max([float(line.max()), *(weight / 1.2 for weight, _ in given.values())])
    ax = _canvas.axes(op, ax)
    shades = [_canvas.matplotlib(op, "colors").to_rgba(_canvas.colour(k), 0.2) for k in (0, 1)]
    ax.fill_betweenx(across, 0, line, color=shades[0], linewidth=0)
    ax.fill_betweenx(across, line, right, color=shades[1], linewidth=0)
    ax.plot(line, across, color=_canvas.ink(op), label="χ₁ = 1")
    ax.text(0.5 * line[points // 2], 0.5 * bias_variance, "ordered", ha="center", va="center")
    ax.text((line[points // 2] + right) / 2, 0.5 * bias_variance, "chaotic", ha="center", va="center")
    for k, (name, (weight, bias)) in enumerate(given.items()):
        ax.plot(
            weight, bias, _canvas.marker(k), color=_canvas.colour(k + 2), markeredgecolor=_canvas.ink(op), label=name
        )
    ax.set(
        xlabel=r"weight variance $\sigma_w^2$",
        ylabel=r"bias variance $\sigma_b^2$",
        xlim=(0, right),
        ylim=(0, bias_variance),
    )
    ax.legend()
    return ax
