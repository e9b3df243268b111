"""The pictures of a report as pages of a PDF file, by matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trigrad._report import COLOURS, Curve, Html, Mark
from trigrad.plot import _canvas

__all__ = ["Pdf", "need_matplotlib"]

INCH = 110  # pixels of a picture in the report


def need_matplotlib() -> None:
    """Raises unless it is here, before there is something to lose."""
    try:
        _canvas.matplotlib("study", "figure")
    except ImportError as error:
        raise ImportError(f"{error}; report.html has all pictures without it") from None


class Pdf:
    """`chart` and `grid` of trigrad._report, each a page."""

    def __init__(self, pages: Any) -> None:
        self._pages = pages

    @staticmethod
    @contextmanager
    def of_file(path: Path) -> Iterator[Pdf]:
        # Without a date, so that the same pictures are the same bytes.
        book = _canvas.matplotlib("study", "backends.backend_pdf").PdfPages
        with book(path, metadata={"CreationDate": None}) as pages:
            yield Pdf(pages)

    def _axes(self, width: int, height: float) -> tuple[Any, Any]:
        figure = _canvas.matplotlib("study", "figure").Figure((width / INCH, height / INCH), layout="constrained")
        return figure, figure.add_subplot()

    def chart(
        self,
        curves: Sequence[Curve],
        *,
        title: str = "",
        x: str = "",
        y: str = "",
        log_x: bool = False,
        log_y: bool = False,
        x_range: tuple[float, float] | None = None,
        y_range: tuple[float, float] | None = None,
        marks: Sequence[Mark] = (),
        width: int = 760,
        height: int = 420,
    ) -> Html:
        figure, axes = self._axes(width, height)
        for i, c in enumerate(curves):
            drawn: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "label": c.name or None, "linewidth": 1.3}
            if c.style == "steps":
                axes.stairs(np.asarray(c.y), np.asarray(c.x), **drawn)
            elif c.style == "points":
                axes.plot(c.x, c.y, ".", markersize=3, **drawn)
            else:
                axes.plot(c.x, c.y, "--" if c.style == "dashed" else "-", **drawn)
        for i, mark in enumerate(marks):
            drawn = {"color": COLOURS[(len(curves) + i) % len(COLOURS)], "label": mark.name, "linestyle": ":"}
            if mark.x is not None:
                axes.axvline(mark.x, **drawn)
            if mark.y is not None:
                axes.axhline(mark.y, **drawn)
        if log_x:
            axes.set_xscale("log")
        if log_y and any((np.asarray(c.y) > 0).any() for c in curves):
            axes.set_yscale("log")
        axes.set(title=title, xlabel=x, ylabel=y, xlim=x_range, ylim=y_range)
        axes.grid(color="#e4e4e4")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize="small")
        self._pages.savefig(figure)
        return Html()

    def grid(
        self,
        values: Any,
        rows: Sequence[str],
        columns: Sequence[str],
        *,
        x: str = "",
        y: str = "",
        low: float,
        high: float,
        numbers: bool = False,
        width: int = 760,
    ) -> Html:
        v = np.asarray(values, dtype=np.float64)
        figure, axes = self._axes(width, max(300.0, 22.0 * len(rows) + 80))
        picture = axes.imshow(v, cmap=_canvas.shades("study", low < 0), vmin=low, vmax=high, aspect="auto")
        for ticks, labels, names in (
            (axes.set_xticks, axes.set_xticklabels, columns),
            (axes.set_yticks, axes.set_yticklabels, rows),
        ):
            there = [k for k, name in enumerate(names) if name]
            ticks(there)
            labels([names[k] for k in there])
        if numbers:
            _canvas.numbers(picture, [[f"{value:.2f}" for value in line] for line in v.tolist()], axes)
        axes.set(xlabel=x, ylabel=y)
        figure.colorbar(picture)
        self._pages.savefig(figure)
        return Html()
