"""Pictures of trainings: losses over epochs, results over settings, the loss around what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trigrad._report import number
from trigrad.metrics import _inputs
from trigrad.plot import _canvas
from trigrad.plot._canvas import Data
from trigrad.train.measures import rises

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_grid", "history", "loss_surface"]


def history(
    history: Any,
    name: str = "loss",
    *,
    log: bool = False,
    best: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The training and the validation curve of `name` over the epochs, as `Trainer.fit` gives them, and where the validation
    is `best`: highest of an accuracy or the like, lowest of a loss (of other numbers that is not known). Several trainings, `{"Adam": history, "SGD": history}`,
    have a colour each. Validation is dashed; epochs without a number are passed over.

    >>> import trigrad as tg
    >>> ax = tg.plot.history({"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7]})
    >>> [line.get_label() for line in ax.get_lines()]
    ['training', 'validation', 'best epoch: 2']
    """
    op = "plot.history"
    if not isinstance(history, Mapping) or not history:
        raise TypeError(f"[{op}] got {type(history).__name__}, expected a History, or a dict of names and numbers")
    several = all(isinstance(one, Mapping) for one in history.values())
    trainings: Mapping[str, Mapping[str, Data]] = history if several else {"": history}
    ax = _canvas.axes(op, ax)
    for k, (title, numbers) in enumerate(trainings.items()):
        curves = {"training": numbers.get(name), "validation": numbers.get(f"val_{name}")}
        if all(curve is None for curve in curves.values()):
            raise KeyError(
                f"[{op}] no {name!r} and no 'val_{name}' in {', '.join(map(repr, numbers))}; give one as name="
            )
        for part, curve in curves.items():
            if curve is None:
                continue
            values = _canvas.array(op, name, curve, 1)
            there = np.flatnonzero(np.isfinite(values))
            ax.plot(
                there + 1,
                values[there],
                "--" if part == "validation" else "-",
                color=_canvas.colour(k if several else part == "validation"),
                marker="." if len(there) < 30 else None,
                label=" ".join(filter(None, (title, part))),
            )
            up = rises(name)
            if best and part == "validation" and len(there) and not several and up is not None:
                at = int(there[(np.argmax if up else np.argmin)(values[there])]) + 1
                ax.axvline(at, color=_canvas.ink(op), linestyle=":", label=f"best epoch: {at}")
    ax.set(xlabel="epoch", ylabel=name)
    if log:
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(_canvas.matplotlib(op, "ticker").MaxNLocator(integer=True))
    ax.legend()
    return ax


def accuracy_grid(
    x: Data | Sequence[str],
    y: Data | Sequence[str],
    values: Data,
    *,
    label: str = "accuracy",
    xlabel: str = "",
    ylabel: str = "",
    lowest: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """A result for each pair of settings as a heat map with numbers, the best one framed: the highest, or the `lowest` as of
    losses. Settings are numbers or words.

    x (m,), y (n,), values (m, n): at [i, j] that of x[i] and y[j]; NaN and infinity stay empty

    >>> import trigrad as tg
    >>> ax = tg.plot.accuracy_grid([1e-3, 1e-2, 1e-1], [100, 1000], [[0.5, 0.6], [0.7, 0.9], [0.6, 0.5]], xlabel="lr")
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['0.001', '0.01', '0.1']
    """
    op = "plot.accuracy_grid"
    numbers = _canvas.array(op, "values", values, 2)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    places = [[number(word) for word in _inputs.array(side).tolist()] for side in (x, y)]
    if numbers.shape != (len(places[0]), len(places[1])):
        raise ValueError(
            f"[{op}] values have shape {numbers.shape}, expected {len(places[0]), len(places[1])}: of each x, each y"
        )
    if np.isnan(numbers).all():
        raise ValueError(f"[{op}] values hold no finite number, expected one at least")
    ax = _canvas.axes(op, ax)
    image = ax.imshow(np.ma.masked_invalid(numbers.T), cmap=_canvas.HEAT, origin="lower", aspect="auto")
    texts = [[f"{v:#.3g}".rstrip(".") if np.isfinite(v) else "" for v in row] for row in numbers.T]
    _canvas.numbers(image, texts, ax)
    ax.set_xticks(range(len(places[0])), places[0])
    ax.set_yticks(range(len(places[1])), places[1])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    at = np.unravel_index((np.nanargmin if lowest else np.nanargmax)(numbers), numbers.shape)
    for width, shade in ((5, "black"), (2, "white")):  # stands out from any colour
        edge = {"fill": False, "edgecolor": shade, "linewidth": width, "clip_on": False}
        ax.add_patch(_canvas.matplotlib(op, "patches").Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, **edge))
    _canvas.heat(op, image, label, ax)
    return ax


def loss_surface(
    a: Data,
    b: Data,
    values: Data,
    *,
    log: bool = False,
    levels: int = 20,
    label: str = "loss",
    ax: Axes | None = None,
) -> Axes:
    """A slice through the loss over two directions, with contours, and a cross where the network stands, at (0, 0). `log`
    shades by the logarithm, for a narrow valley.

    a (m,), b (n,), values (m, n): the loss at [i, j] is that at a[i], b[j]; places where it is not finite stay empty

    >>> import numpy as np
    >>> import trigrad as tg
    >>> a = np.linspace(-1, 1, 21)
    >>> ax = tg.plot.loss_surface(a, a, a[:, None] ** 2 + 3 * a**2)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('first direction', 'second direction')
    """
    op = "plot.loss_surface"
    across, up = (_canvas.array(op, what, side, 1) for what, side in (("a", a), ("b", b)))
    heights = _canvas.array(op, "values", values, 2)
    if heights.shape != (len(across), len(up)):
        raise ValueError(
            f"[{op}] values have shape {heights.shape}, expected {len(across), len(up)}: of each a, each b"
        )
    if min(heights.shape) < 2:
        raise ValueError(f"[{op}] values have shape {heights.shape}, expected two places at least along a and b")
    shown = np.ma.masked_invalid(np.where(heights > 0, heights, np.nan) if log else heights).T
    if shown.count() == 0:
        raise ValueError(f"[{op}] no value is finite{' and above 0' * log}, expected one at least")
    ax = _canvas.axes(op, ax)
    low, high = float(shown.min()), float(shown.max())
    high = high if high > low else low + abs(low) + 1.0
    heights_of = np.geomspace(low, high, levels) if log else np.linspace(low, high, levels)
    norm = _canvas.matplotlib(op, "colors").LogNorm(low, high) if log else None
    image = ax.contourf(across, up, shown, heights_of, cmap=_canvas.HEAT, norm=norm)
    ax.contour(across, up, shown, heights_of[1:-1], colors="white", linewidths=0.4, alpha=0.6)
    ax.plot(0, 0, "+", color="white", markersize=12, markeredgewidth=2)
    ax.set(xlabel="first direction", ylabel="second direction", xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    _canvas.heat(op, image, label, ax, log)
    return ax
