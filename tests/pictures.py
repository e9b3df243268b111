"""Pictures as numbers: what a figure looks like where, and whether one can see it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def canvas(count: int = 1) -> Any:
    """Axes on a small figure of its own; several in a row."""
    return Figure((3.2 * count, 2.4), dpi=60, layout="constrained").subplots(1, count)


def rendered(figure: Any) -> Any:
    """(height, width, 4), from the top, each from 0 to 1."""
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    if figure.stale or not hasattr(figure.canvas, "renderer"):  # else it is drawn as it is
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba(), dtype=np.float64) / 255


def colour_at(ax: Any, x: float, y: float) -> Any:
    """(red, green, blue) of the pixel at these data coordinates."""
    picture = rendered(ax.figure)
    column, row = ax.transData.transform((x, y))
    return picture[picture.shape[0] - 1 - int(row), int(column), :3]


def luminance(rgb: Any) -> Any:
    """WCAG 2, of (..., 3)."""
    c = np.asarray(rgb, dtype=np.float64)
    return np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(a: Any, b: Any) -> Any:
    """WCAG 2: 1 for the same, 21 for black and white; 3 is asked of lines, 4.5 of text."""
    one, other = luminance(a) + 0.05, luminance(b) + 0.05
    return np.maximum(one, other) / np.minimum(one, other)


def stands_out(artist: Any, with_it: Any) -> float:
    """The contrast of an artist of this rendered picture with what is behind it, where it is greatest: 1 if it is not to be
    seen."""
    figure = artist.get_figure()
    figure.set_layout_engine("none")  # all stays where it was
    artist.set_visible(False)
    without = rendered(figure)
    artist.set_visible(True)
    changed = (with_it != without).any(-1)
    return float(contrast(with_it[changed, :3], without[changed, :3]).max(initial=1))
