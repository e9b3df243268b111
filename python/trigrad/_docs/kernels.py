"""Reductions, dense layers, softmax and losses."""

from __future__ import annotations

DOCS = {
    "where": """The elements of `input` where `condition` is true, those of `other` elsewhere.

condition, input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> x = tg.tensor([-1.0, 2.0])
>>> tg.where(x > 0, x, 0.0)
tensor([0., 2.])
""",
    "cast": """The elements as another dtype; a copy.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.cast(tg.tensor([1.7, -1.7]), tg.int64)
tensor([ 1, -1])
""",
    "sum": """The sum over the axes `dim` (all if None). Its order is fixed by the lengths alone.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
tensor(10.)
>>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
tensor([4., 6.])
""",
    "nansum": """The sum of what is not NaN over the axes `dim` (all if None).

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.nansum(tg.tensor([1.0, float("nan"), 2.0]))
tensor(3.)
""",
    "mean": """The mean over the axes `dim` (all if None).

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.mean(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1, keepdim=True)
tensor([[1.5000],
        [3.5000]])
""",
    "prod": """The product over the axes `dim` (all if None).

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.prod(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
tensor(24.)
""",
    "amax": """The greatest element over the axes `dim` (all if None); NaN wins.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.amax(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), (0, 1))
tensor(4.)
""",
    "amin": """The least element over the axes `dim` (all if None); NaN wins.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.amin(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
tensor([1., 3.])
""",
    "var": """The variance over the axes `dim` (all if None): squares divided by n - correction.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.ops.var(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
tensor([0.5000, 0.5000])
""",
    "logsumexp": """log(sum(exp(input))) over the axes `dim`, without overflow.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.logsumexp(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
tensor([2.3133, 4.3133])
""",
    "argmax": """The place of the first greatest element along `dim` (in the flattened tensor if None).

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.argmax(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
tensor([1, 1])
""",
    "argmin": """The place of the first least element along `dim` (in the flattened tensor if None).

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.argmin(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
tensor(0)
""",
    "any": """Is an element (along the axes `dim`) other than 0? NaN is.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.any(tg.tensor([[0, 1], [0, 0]]), 1)
tensor([ True, False])
""",
    "all": """Are all elements (along the axes `dim`) other than 0? NaN is.

input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

>>> import trigrad as tg
>>> tg.all(tg.tensor([[1, 1], [0, 1]]), 1)
tensor([ True, False])
""",
    "dense": """activation(input @ weight.T + bias), with `activation` the name of a function of one tensor; p and q are its
parameters.

input (..., K), weight (N, K), bias (N,) -> (..., N)

>>> import trigrad as tg
>>> x, w, b = tg.ones(1, 3), tg.ones(2, 3), tg.tensor([0.0, -4.0])
>>> tg.dense(x, w, b, 'relu')
tensor([[3., 0.]])
""",
    "matmul": """The product of matrices; batches broadcast.

input (..., M, K), other (..., K, N) -> (..., M, N)

>>> import trigrad as tg
>>> tg.matmul(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.eye(2))
tensor([[1., 2.],
        [3., 4.]])
""",
    "softmax": """exp(input) divided by its sum along `dim`.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.ops.softmax(tg.tensor([0.0, 0.0]), 0)
tensor([0.5000, 0.5000])
""",
    "log_softmax": """The logarithm of softmax, computed without loss of digits.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.ops.log_softmax(tg.tensor([0.0, 0.0]), 0)
tensor([-0.6931, -0.6931])
""",
    "binary_cross_entropy_with_logits": """The logistic loss of `input` before its sigmoid.

input, target (...) -> (), or (...) for reduction='none'

>>> import trigrad as tg
>>> tg.ops.binary_cross_entropy_with_logits(tg.zeros(2), tg.ones(2))
tensor(0.6931)
""",
}
