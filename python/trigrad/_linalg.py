"""Products of vectors, matrices and batches of them. No numerics here: each is a few calls of rows.

Every product is the row `matmul`, or `native_dot` where only vectors meet vectors, whose orders of terms are those of
docs/arithmetic.md, or, where nothing is summed, `mul`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from trigrad import ops
from trigrad._core import Tensor
from trigrad._einsum import einsum, tensordot

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bilinear",
    "bmm",
    "cross",
    "dot",
    "ger",
    "inner",
    "kron",
    "linear",
    "mm",
    "mv",
    "outer",
    "trace",
    "vdot",
]

Number: TypeAlias = "int | float"


def refuse_ranks(op: str, expected: str, *given: tuple[str, Tensor]) -> None:
    shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in given)
    raise RuntimeError(f"[{op}] got {shapes}, expected {expected}; for other ranks use matmul or einsum")


# ---------------------------------------------------------------- products


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices.

    input (M, K), mat2 (K, N) -> (M, N)

    >>> import trigrad as tg
    >>> tg.mm(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    if input.ndim != 2 or mat2.ndim != 2:
        refuse_ranks("mm", "two matrices (M, K) and (K, N)", ("input", input), ("mat2", mat2))
    return ops.matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of the matrices of two batches, one by one.

    input (B, M, K), mat2 (B, K, N) -> (B, M, N)

    >>> import trigrad as tg
    >>> tg.bmm(tg.ones(2, 1, 3), tg.ones(2, 3, 1)).shape
    trigrad.Size([2, 1, 1])
    """
    if input.ndim != 3 or mat2.ndim != 3 or input.shape[0] != mat2.shape[0]:
        refuse_ranks("bmm", "two batches (B, M, K) and (B, K, N)", ("input", input), ("mat2", mat2))
    return ops.matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector.

    input (M, K), vec (K,) -> (M,)

    >>> import trigrad as tg
    >>> tg.mv(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if input.ndim != 2 or vec.ndim != 1:
        refuse_ranks("mv", "a matrix (M, K) and a vector (K,)", ("input", input), ("vec", vec))
    return ops.matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements, in row order as `sum`. (`matmul` has an order of its own.)

    input (K,), tensor (K,) -> ()

    >>> import trigrad as tg
    >>> tg.dot(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if input.ndim != 1 or tensor.ndim != 1:
        refuse_ranks("dot", "two vectors (K,)", ("input", input), ("tensor", tensor))
    return ops.native_dot(input, tensor) if input.is_floating_point() else ops.matmul(input, tensor)


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """`dot`: real numbers are their own conjugates.

    input (n,), other (n,) -> ()

    >>> import trigrad as tg
    >>> tg.vdot(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return dot(input, other)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums over the last axes of both; of numbers the product.

    input (..., K), other (...', K) -> (..., ...')

    >>> import trigrad as tg
    >>> tg.inner(tg.tensor([1.0, 2.0]), tg.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([11., 17.])
    """
    if input.ndim == 0 or other.ndim == 0:
        return ops.mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"[inner] the last axes have {input.shape[-1]} and {other.shape[-1]} elements: input {tuple(input.shape)}, "
            f"other {tuple(other.shape)}, expected equal lengths"
        )
    if other.ndim < 3:
        return ops.matmul(input, other.T) if input.ndim > 1 or other.ndim > 1 else dot(input, other)
    return tensordot(input, other, ([-1], [-1]))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of one vector with each of the other.

    input (M,), vec2 (N,) -> (M, N)

    >>> import trigrad as tg
    >>> tg.outer(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    if input.ndim != 1 or vec2.ndim != 1:
        refuse_ranks("outer", "two vectors", ("input", input), ("vec2", vec2))
    return ops.mul(input.unsqueeze(1), vec2)


def ger(input: Tensor, vec2: Tensor) -> Tensor:
    """`outer` under its old name.

    input (m,), vec2 (n,) -> (m, n)

    >>> import trigrad as tg
    >>> tg.ger(tg.tensor([1.0, 2.0]), tg.tensor([3.0]))
    tensor([[3.],
            [6.]])
    """
    return outer(input, vec2)


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of `input` times the whole of `other`.

    input (M, N), other (P, Q) -> (M P, N Q), and likewise for any number of axes

    >>> import trigrad as tg
    >>> tg.kron(tg.tensor([1, 10]), tg.tensor([1, 2, 3]))
    tensor([ 1,  2,  3, 10, 20, 30])
    """
    left, right, result = shapes_of_kron(input.shape, other.shape)
    return ops.mul(input.reshape(left), other.reshape(right)).reshape(result)


@lru_cache(maxsize=1024)
def shapes_of_kron(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Each axis of the one beside one of length 1, so that their product has them side by side; then both joined."""
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    left = tuple(n for m in a for n in (m, 1))
    right = tuple(n for m in b for n in (1, m))
    return left, right, tuple(m * n for m, n in zip(a, b, strict=True))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector products along an axis of length 3, the first such one unless `dim` names it.

    input (..., 3, ...), other (..., 3, ...), broadcast -> (..., 3, ...)

    >>> import trigrad as tg
    >>> tg.cross(tg.tensor([1.0, 0.0, 0.0]), tg.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), 0)
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"[cross] dim is {dim}, which input {tuple(input.shape)} does not have")
    if input.ndim != other.ndim or input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(
            f"[cross] got input {tuple(input.shape)} and other {tuple(other.shape)}, expected as many dimensions, and 3 "
            f"elements along dimension {dim} of both"
        )
    lines = (x.movedim(dim, 0) for x in (input, other))
    a, b = (ops.cat([x, x[:2]], 0) for x in lines)  # elements 0 1 2 0 1
    return ops.sub(ops.mul(a[1:4], b[2:]), ops.mul(a[2:], b[1:4])).movedim(0, dim).contiguous()


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A dense layer: input Wᵀ + bias. The sum of each output starts at its bias.

    input (..., K), weight (N, K), bias (N,) -> (..., N); weight (K,), bias () -> (...)

    >>> import trigrad as tg
    >>> tg.linear(tg.tensor([1.0, 2.0]), tg.tensor([[3.0, 4.0]]), tg.tensor([0.5]))
    tensor([11.5000])
    """
    if weight.ndim != 1:
        return ops.dense(input, weight, bias)
    return ops.dense(input, weight.unsqueeze(0), bias if bias is None else bias.reshape(1)).squeeze(-1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1ᵀ W input2 for each output's matrix W, plus a bias.

    input1 (..., I), input2 (..., J), weight (N, I, J), bias (N,) -> (..., N)

    >>> import trigrad as tg
    >>> tg.bilinear(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0]]), tg.ones(1, 2, 1))
    tensor([[9.]])
    """
    if weight.ndim != 3 or input1.shape[:-1] != input2.shape[:-1]:
        refuse_ranks(
            "bilinear",
            "input1 (..., I), input2 (..., J), weight (N, I, J)",
            *(("input1", input1), ("input2", input2), ("weight", weight)),
        )
    y = einsum("...i,nij,...j->...n", input1, weight, input2)
    return y if bias is None else ops.add(y, bias)


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    input (M, N) -> ()

    >>> import trigrad as tg
    >>> tg.trace(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if input.ndim != 2:
        refuse_ranks("trace", "a matrix", ("input", input))
    return ops.sum(input.diagonal())


# ---------------------------------------------------------------- products that are added to something


def fits(shape: Sequence[int], whole: Sequence[int]) -> bool:
    """Can the one be expanded to the other?"""
    if len(shape) > len(whole):
        return False
    return all(n in (1, m) for n, m in zip(reversed(shape), reversed(whole), strict=False))


def combined(op: str, input: Tensor, product: Tensor, beta: Number, alpha: Number) -> Tensor:
    """beta input + alpha product. `product`, which the caller has just made, may be overwritten."""
    if not product.is_floating_point() and not (isinstance(beta, int) and isinstance(alpha, int)):
        raise RuntimeError(
            f"[{op}] beta is {beta!r} and alpha is {alpha!r}, expected integers for tensors of {product.dtype}"
        )
    if input.dtype != product.dtype:
        raise RuntimeError(
            f"[{op}] input is {input.dtype} and the product {product.dtype}, expected one dtype; cast with .to()"
        )
    if input.shape != product.shape and not fits(input.shape, product.shape):
        raise RuntimeError(
            f"[{op}] input has shape {tuple(input.shape)}, expected {tuple(product.shape)} or what broadcasts to it"
        )
    if alpha != 1:
        product.mul_(alpha)
    if beta == 0:
        return product
    if beta == 1 or not product.is_floating_point():
        return product.add_(input if beta == 1 else ops.mul(input, beta))
    return ops.native_add(product, input, beta)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta input + alpha (mat1 mat2). The product comes first, in the order of `matmul`; it is multiplied by alpha and
    rounded, and the result is fma(beta, input, ·). With beta = 0 the input is ignored, NaN or not.

    input (M, N) or what can be expanded to it, mat1 (M, K), mat2 (K, N) -> (M, N)

    >>> import trigrad as tg
    >>> tg.addmm(tg.tensor([1.0, 2.0]), tg.ones(2, 3), tg.ones(3, 2), beta=2)
    tensor([[5., 7.],
            [5., 7.]])
    """
    if mat1.ndim != 2 or mat2.ndim != 2:
        refuse_ranks("addmm", "two matrices (M, K) and (K, N)", ("mat1", mat1), ("mat2", mat2))
    return combined("addmm", input, ops.matmul(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta input + alpha (mat vec), in the order of `addmm`.

    input (M,), mat (M, K), vec (K,) -> (M,)

    >>> import trigrad as tg
    >>> tg.addmv(tg.tensor([1.0]), tg.tensor([[2.0, 3.0]]), tg.tensor([1.0, 1.0]))
    tensor([6.])
    """
    return combined("addmv", input, mv(mat, vec), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta input + alpha (the sum of the products of the batches' matrices), which is the product of the matrices side by
    side; in the order of `addmm`.

    input (M, N), batch1 (B, M, K), batch2 (B, K, N) -> (M, N)

    >>> import trigrad as tg
    >>> tg.addbmm(tg.zeros(1, 1), tg.ones(2, 1, 3), tg.ones(2, 3, 1))
    tensor([[6.]])
    """
    if batch1.ndim != 3 or batch2.ndim != 3 or batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        refuse_ranks("addbmm", "two batches (B, M, K) and (B, K, N)", ("batch1", batch1), ("batch2", batch2))
    b, m, k = batch1.shape
    side_by_side = batch1.transpose(0, 1).reshape(m, b * k)
    return combined(
        "addbmm", input, ops.matmul(side_by_side, batch2.reshape(b * k, -1 if b * k else batch2.shape[2])), beta, alpha
    )


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta input + alpha (the products of the batches' matrices), in the order of `addmm`.

    input (B, M, N), batch1 (B, M, K), batch2 (B, K, N) -> (B, M, N)

    >>> import trigrad as tg
    >>> tg.baddbmm(tg.ones(1), tg.ones(2, 1, 3), tg.ones(2, 3, 1)).flatten()
    tensor([4., 4.])
    """
    if batch1.ndim != 3 or batch2.ndim != 3 or batch1.shape[0] != batch2.shape[0]:
        refuse_ranks("baddbmm", "two batches (B, M, K) and (B, K, N)", ("batch1", batch1), ("batch2", batch2))
    return combined("baddbmm", input, ops.matmul(batch1, batch2), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta input + alpha (the outer product of two vectors), in the order of `addmm`.

    input (M, N), vec1 (M,), vec2 (N,) -> (M, N)

    >>> import trigrad as tg
    >>> tg.addr(tg.zeros(2, 1), tg.tensor([1.0, 2.0]), tg.tensor([3.0]))
    tensor([[3.],
            [6.]])
    """
    return combined("addr", input, outer(vec1, vec2), beta, alpha)


# in place: the result must have the shape and dtype of what it overwrites


def overwrite(op: str, self: Tensor, result: Tensor) -> Tensor:
    if result.shape != self.shape:
        raise RuntimeError(f"[{op}] the result has shape {tuple(result.shape)}, the tensor {tuple(self.shape)}")
    return ops.copy_(self, result)


def addmm_(self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """`addmm`, written over the tensor."""
    return overwrite("addmm_", self, addmm(self, mat1, mat2, beta=beta, alpha=alpha))


def addmv_(self: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """`addmv`, written over the tensor."""
    return overwrite("addmv_", self, addmv(self, mat, vec, beta=beta, alpha=alpha))


def addbmm_(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """`addbmm`, written over the tensor."""
    return overwrite("addbmm_", self, addbmm(self, batch1, batch2, beta=beta, alpha=alpha))


def baddbmm_(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """`baddbmm`, written over the tensor."""
    return overwrite("baddbmm_", self, baddbmm(self, batch1, batch2, beta=beta, alpha=alpha))


def addr_(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """`addr`, written over the tensor."""
    return overwrite("addr_", self, addr(self, vec1, vec2, beta=beta, alpha=alpha))


METHODS = (
    *(mm, bmm, mv, dot, vdot, inner, outer, ger, kron, trace, cross),
    *(addmm, addmv, addbmm, baddbmm, addr, addmm_, addmv_, addbmm_, baddbmm_, addr_),
)
