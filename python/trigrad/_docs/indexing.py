"""Reading and writing by index."""

from __future__ import annotations

DOCS = {
    "gather": """The element at place index[i, j] along `dim` for each element of `index`: for dim 1 input[i, index[i, j]].

input (..., n, ...), index (..., m, ...), off `dim` no longer than the input -> (..., m, ...)

>>> import trigrad as tg
>>> tg.gather(tg.tensor([[1, 2, 3], [4, 5, 6]]), 1, tg.tensor([[2, 2], [0, 1]]))
tensor([[3, 3],
        [4, 5]])
""",
    "scatter_add": """A copy of `input` to which src[i, j] is added at place index[i, j] along `dim`, in the order of `index`.

input (..., n, ...); index and src have as many dimensions -> (..., n, ...)

>>> import trigrad as tg
>>> tg.scatter_add(tg.zeros(3), 0, tg.tensor([0, 2, 0]), tg.tensor([1.0, 2.0, 3.0]))
tensor([4., 0., 2.])
""",
    "masked_fill": """The elements of `input`, and the number `value` where `mask` is true.

input and mask (...), broadcast -> (...)

>>> import trigrad as tg
>>> x = tg.tensor([1.0, -1.0])
>>> tg.masked_fill(x, x < 0, 0)
tensor([1., 0.])
""",
}
