"""Pictures of what layers hold and pass on: activations, gradients, the weights of the first layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trigrad._core import from_numpy
from trigrad.diagnostics import Histogram, histogram
from trigrad.nn.module import Module
from trigrad.plot import _canvas
from trigrad.plot._canvas import Array, Data, Panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["activation_histograms", "first_layer", "gradient_histograms"]


def activation_histograms(
    layers: Mapping[str, Data | Histogram] | Iterable[Any],
    *,
    bins: int = 50,
    range: tuple[float, float] | None = None,
    label: str = "",
    log: bool = False,
    columns: int = 4,
    ax: Any = None,
) -> Panels:
    """How what each layer gives out is distributed: a panel for each, from the first layer to the last, with the range of its
    numbers unless one is given. Called again with the same Axes it draws over them, another epoch, say.

    layers: by name numbers of any shape or a `diagnostics.Histogram`, as a `train.HistogramMonitor` keeps them for each
    epoch; or what `diagnostics.record` found -> (layers,) Axes, in rows of `columns`

    >>> import trigrad as tg
    >>> x = tg.linspace(-3, 3, 1000)
    >>> axes = tg.plot.activation_histograms({"z": x, "tanh z": x.tanh()}, label="before")
    >>> axes = tg.plot.activation_histograms({"z": 2 * x, "tanh z": (2 * x).tanh()}, label="after", ax=axes)
    >>> [one.get_title() for one in axes], len(axes[0].patches)
    (['z', 'tanh z'], 2)
    """
    return _histograms(
        "plot.activation_histograms", "activation", "output", layers, bins, range, label, log, columns, ax
    )


def gradient_histograms(
    layers: Module | Mapping[str, Data | Histogram] | Iterable[Any],
    *,
    bins: int = 50,
    range: tuple[float, float] | None = None,
    label: str = "",
    log: bool = True,
    columns: int = 4,
    ax: Any = None,
) -> Panels:
    """The gradients in each layer, as `activation_histograms`: where the panels' ranges shrink from the last to the first,
    gradients vanish.

    layers: a network behind `backward()`, whose weights' gradients are drawn (parameters of two axes and more); numbers or
    histograms by name, or what `diagnostics.record` found for a loss -> (layers,) Axes

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(3, 8), tg.nn.Tanh(), tg.nn.Linear(8, 1))
    >>> net(tg.ones(5, 3)).sum().backward()
    >>> [one.get_title() for one in tg.plot.gradient_histograms(net)]
    ['0.weight', '2.weight']
    """
    op = "plot.gradient_histograms"
    if isinstance(layers, Module):
        layers = {name: p.grad for name, p in layers.named_parameters() if p.ndim > 1 and p.grad is not None}
        if not layers:
            raise ValueError(f"[{op}] no weight has a gradient; call loss.backward() before, or zero_grad() after")
    return _histograms(op, "gradient", "gradient", layers, bins, range, label, log, columns, ax)


def _histograms(
    op: str,
    what: str,
    field: str,
    layers: Any,
    bins: int,
    range: tuple[float, float] | None,
    label: str,
    log: bool,
    columns: int,
    ax: Any,
) -> Panels:
    if isinstance(layers, Mapping):
        found = {str(name): numbers for name, numbers in layers.items()}
    else:
        found = {f"{one.name} {one.layer}".strip(): getattr(one, field) for one in layers}
        found = {name: numbers for name, numbers in found.items() if numbers is not None}
    if not found:
        raise ValueError(f"[{op}] got no {what} of any layer, expected numbers by the layers' names")
    grid = _canvas.panels(op, ax, len(found), columns, (2.6, 2.2))
    for one, (name, numbers) in zip(grid, found.items(), strict=True):
        if not isinstance(numbers, Histogram):
            numbers = histogram(from_numpy(_canvas.array(op, name, numbers)), bins, range)
        size = numbers.counts.sum() + numbers.outside
        density = numbers.counts / (size * np.diff(numbers.edges))
        _canvas.histogram(one, density, numbers.edges, len(one.patches), label)
        one.set_title(name, fontsize="small")
        if log:
            one.set_yscale("log")
    grid[0].set_ylabel("density")
    grid[-1].set_xlabel(what)
    if label:
        grid[0].legend(fontsize="small")
    return grid


def first_layer(
    weights: Module | Data,
    shape: tuple[int, int] | None = None,
    *,
    names: Sequence[object] | None = None,
    columns: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """What each unit of the first layer looks for: its weights as an image of `shape` (rows, columns), the units side by
    side in rows of `columns`; without a shape, the matrix of features and units. Blue is negative, white 0, red positive.

    weights: (units, features), or a network, whose first weights of two axes they are

    >>> import trigrad as tg
    >>> ax = tg.plot.first_layer(tg.nn.Linear(28 * 28, 12), (28, 28), columns=4)
    >>> ax.images[0].get_array().shape  # 3 rows of 4, with a pixel between
    (86, 115)
    """
    op = "plot.first_layer"
    if isinstance(weights, Module):
        own = next((p for p in weights.parameters() if p.ndim == 2), None)
        if own is None:
            raise ValueError(f"[{op}] {type(weights).__name__} has no weights of two axes; give them as an array")
        weights = own
    w = _canvas.array(op, "weights", weights, 2)
    finite = np.abs(w[np.isfinite(w)])
    if not finite.size:
        raise ValueError(f"[{op}] weights hold no finite number, expected one at least")
    ax = _canvas.axes(op, ax)
    reach = float(finite.max()) or 1.0
    if shape is None:
        words = _canvas.names_of(op, names, w.shape[1], "features")
        picture = w.T
        ax.set_yticks(np.arange(len(words)), words)
        ax.set(xlabel="unit", aspect="auto")
    else:
        if shape[0] * shape[1] != w.shape[1]:
            raise ValueError(
                f"[{op}] shape is {tuple(shape)}, expected rows × columns of an image of {w.shape[1]} features"
            )
        picture = _mosaic(w.reshape(-1, *shape), columns or int(np.ceil(np.sqrt(len(w)))))
        ax.set_axis_off()
    image = ax.imshow(
        np.ma.masked_invalid(picture),
        cmap=_canvas.shades(op),
        vmin=-reach,
        vmax=reach,
        interpolation="nearest",
        aspect="auto" if shape is None else "equal",
    )
    _canvas.heat(op, image, "weight", ax)
    return ax


def _mosaic(images: Array, columns: int) -> Array:
    """(n, h, w) -> one image, NaN between them."""
    n, h, w = images.shape
    rows = -(-n // columns)
    made = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for k, image in enumerate(images):
        i, j = divmod(k, columns)
        made[i * (h + 1) : i * (h + 1) + h, j * (w + 1) : j * (w + 1) + w] = image
    return made
