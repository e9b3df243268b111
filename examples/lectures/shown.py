"""What each script here ends with: its numbers as a table on the screen, its picture in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns; floats get four significant digits."""
    cells = [list(head), *([f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def save(script: str, picture: Callable[[], Any]) -> None:
    """Save what `picture` draws, a matplotlib Figure, as the script's name with .png, here."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: pip install 'trigrad[plot]'")
        return
    matplotlib.use("Agg")
    path = Path(Path(script).stem + ".png")
    picture().savefig(path, dpi=100)
    print(f"{path} is written")
