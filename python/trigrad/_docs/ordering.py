"""Scans."""

from __future__ import annotations

DOCS = {
    "cumsum": """The sums of the elements up to each place along `dim`, added from the left.

input (..., n, ...) -> (..., n, ...)

>>> import trigrad as tg
>>> tg.cumsum(tg.tensor([1.0, 2.0, 3.0]), 0)
tensor([1., 3., 6.])
""",
    "cumprod": """The products of the elements up to each place along `dim`, multiplied from the left.

input (..., n, ...) -> (..., n, ...)

>>> import trigrad as tg
>>> tg.cumprod(tg.tensor([1, 2, 3, 4]), 0)
tensor([ 1,  2,  6, 24])
""",
}
