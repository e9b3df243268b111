"""Tensors side by side, and triangles of matrices."""

from __future__ import annotations

DOCS = {
    "cat": """Tensors one behind the other along `dim`; their dtypes are promoted.

tensors (..., n0, ...), (..., n1, ...), ... -> (..., n0 + n1 + ..., ...)

>>> import trigrad as tg
>>> tg.cat([tg.tensor([[1, 2]]), tg.tensor([[3, 4], [5, 6]])])
tensor([[1, 2],
        [3, 4],
        [5, 6]])
""",
    "tril": """The lower triangle of a matrix, 0 elsewhere: elements (i, j) with j - i <= diagonal.

input (..., n, m) -> (..., n, m)

>>> import trigrad as tg
>>> tg.tril(tg.ones(2, 3))
tensor([[1., 0., 0.],
        [1., 1., 0.]])
""",
    "triu": """The upper triangle of a matrix, 0 elsewhere: elements (i, j) with j - i >= diagonal.

input (..., n, m) -> (..., n, m)

>>> import trigrad as tg
>>> tg.triu(tg.ones(2, 3), diagonal=1)
tensor([[0., 1., 1.],
        [0., 0., 1.]])
""",
}
