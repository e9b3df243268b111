"""Reports as text."""

from __future__ import annotations

from collections.abc import Sequence

__all__: list[str] = []


def columns(rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """Rows of cells, the head among them; the first `left` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(n) if i < left else cell.rjust(n) for i, (cell, n) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
