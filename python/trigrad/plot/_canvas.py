"""What all pictures share: Axes, colours, and arrays of what is given."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigrad._core import Tensor
from trigrad._report import COLOURS, shade
from trigrad.metrics import _inputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Data: TypeAlias = ArrayLike | Tensor
Array: TypeAlias = NDArray[Any]
Panels: TypeAlias = NDArray[Any]  # of Axes

HEAT = "viridis"  # of what has no middle: lightness rises along it, in print too


def matplotlib(op: str, part: str) -> Any:
    """A module of matplotlib."""
    try:
        return importlib.import_module(f"matplotlib.{part}")
    except ImportError:
        raise ImportError(f"[{op}] pictures are drawn by matplotlib: pip install 'trigrad[plot]'") from None


def axes(op: str, ax: Any) -> Axes:
    """The Axes that are given, or those of a new figure."""
    pyplot = matplotlib(op, "pyplot")
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    if not isinstance(ax, matplotlib(op, "axes").Axes):
        raise TypeError(f"[{op}] ax is {type(ax).__name__}, expected Axes; give one of the panels, as in ax=axes[0, 1]")
    return ax  # type: ignore[no-any-return, unused-ignore]


def panels(op: str, ax: Any, count: int, columns: int, size: tuple[float, float]) -> Panels:
    """As many Axes, in a flat array: those that are given, or new ones in rows of `columns`, each of `size` in inches."""
    pyplot = matplotlib(op, "pyplot")
    if columns < 1:
        raise ValueError(f"[{op}] columns is {columns}, expected 1 at least")
    if ax is None:
        rows = -(-count // columns)
        shape = (min(columns, count) * size[0], rows * size[1])
        _, grid = pyplot.subplots(rows, min(columns, count), figsize=shape, squeeze=False, layout="constrained")
        for spare in grid.flat[count:]:
            spare.remove()
        return np.asarray(grid.flat[:count])
    given = np.asarray(ax, dtype=object).reshape(-1)
    if not all(isinstance(one, matplotlib(op, "axes").Axes) for one in given):
        raise TypeError(f"[{op}] ax holds {type(given[0]).__name__}, expected Axes, as plt.subplots makes them")
    if len(given) < count:
        raise ValueError(f"[{op}] got {len(given)} Axes for {count} panels; make them by plt.subplots(1, {count})")
    return given[:count]


def ink(op: str) -> Any:
    """The colour of text, and so of what is read with it: lines of reference, borders."""
    return matplotlib(op, "pyplot").rcParams["text.color"]


def colour(k: int) -> str:
    """Of the k-th of several things."""
    return COLOURS[1:][k % (len(COLOURS) - 1)]


def shades(op: str, signed: bool = True) -> Any:
    """The colours from negative, blue, over 0, white, to positive, red, or of the latter half alone."""
    ends = (0.0, 0.5, 1.0) if signed else (0.5, 1.0)
    return matplotlib(op, "colors").LinearSegmentedColormap.from_list("shades", [shade(share) for share in ends])


def array(op: str, what: str, data: Data, *ndims: int) -> Array:
    """Numbers in so many dimensions, or in any, NaN and infinities among them."""
    values = _inputs.array(data)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"[{op}] {what} holds {values.dtype}, expected numbers")
    if values.size == 0 or (ndims and values.ndim not in ndims):
        wanted = f" in {' or '.join(map(str, ndims))} dimension{'s' * (ndims != (1,))}" * bool(ndims)
        raise ValueError(f"[{op}] {what} has shape {values.shape}, expected numbers{wanted}")
    return np.asarray(values, dtype=np.float64)


def names_of(op: str, names: Any, count: int, what: str) -> list[str]:
    """A name for each, the numbers from 0 if there are none."""
    given = range(count) if names is None else names
    found = [f"{name:g}" if isinstance(name, float) else str(name) for name in given]
    if len(found) != count:
        raise ValueError(f"[{op}] got {len(found)} names for {count} {what}, expected one for each")
    return found


def heat(op: str, image: Any, label: str, ax: Axes, log: bool = False) -> None:
    """The scale beside it."""
    ticker = matplotlib(op, "ticker")
    ticks = ticker.LogLocator(subs=(1, 2, 5)) if log else ticker.MaxNLocator(6)
    ax.figure.colorbar(image, ax=ax, ticks=ticks, format=ticker.FormatStrFormatter("%.4g"), label=label)


def numbers(image: Any, texts: list[list[str]], ax: Axes) -> None:
    """A text on each cell, in whichever of black and white stands out from the cell's colour."""
    for (i, j), value in np.ndenumerate(image.get_array()):
        if texts[i][j]:
            light = luminance(image.cmap(image.norm(value))) > 0.18  # equally far from black and white
            ax.text(j, i, texts[i][j], ha="center", va="center", color="black" if light else "white")


def luminance(rgba: Any) -> float:
    """Of a colour, from 0, black, to 1, white (WCAG)."""
    c = np.asarray(rgba[:3], dtype=np.float64)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def dashes(k: int) -> str:
    """Of the k-th line, beside its colour: others once the colours begin anew."""
    return ("-", "--", "-.", ":")[k // (len(COLOURS) - 1) % 4]


def marker(k: int) -> str:
    """Of the k-th kind of points, beside its colour."""
    return "osD^vP*"[k % 7]


def histogram(ax: Axes, counts: Array, edges: Array, k: int, label: str) -> None:
    """The k-th of several over each other."""
    line = matplotlib("plot", "colors").to_rgba(colour(k))
    ax.stairs(
        counts,
        edges,
        fill=True,
        facecolor=(*line[:3], 0.25),
        edgecolor=line,
        linestyle=dashes(k),
        linewidth=1.5,
        label=label,
    )
