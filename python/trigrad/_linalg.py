"""Products of vectors, matrices and batches of them. No numerics here: each is a few calls of rows.

Every product is the row `matmul`, or `native_dot` where only vectors meet vectors, whose orders of terms are those of
docs/arithmetic.md, or, where nothing is summed, `mul`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import lru_cache, partial
from operator import methodcaller
from typing import Any, NamedTuple, TypeAlias

from trigrad import ops
from trigrad._core import Tensor

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
    "einsum",
    "ger",
    "inner",
    "kron",
    "linear",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]

Number: TypeAlias = "int | float"
Labels: TypeAlias = "tuple[Hashable, ...]"


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


# ---------------------------------------------------------------- sums of products over named axes
#
# What is to be done follows from the equation and the shapes alone: a list of steps, each of which replaces one of the
# operands by a view of it, by its sum over some axes, or by its product with another one. The lists are kept.


class Term(NamedTuple):
    """An operand on its way: its place among the operands, and the label and length of each of its axes."""

    place: int
    labels: Labels
    shape: tuple[int, ...]


class Step(NamedTuple):
    function: Callable[..., Tensor]
    place: int
    other: int  # -1: the step has one operand


Steps: TypeAlias = "list[Step]"


def run(steps: Sequence[Step], operands: Sequence[Tensor]) -> Tensor:
    values = list(operands)
    for function, place, other in steps:
        values[place] = function(values[place]) if other < 0 else function(values[place], values[other])
    return values[steps[-1].place] if steps else values[0]


def product_of(lengths: Iterable[int]) -> int:
    n = 1
    for length in lengths:
        n *= length
    return n


def sum_over(axes: Sequence[int], x: Tensor) -> Tensor:
    total = ops.sum(x, axes)
    return total if total.dtype is x.dtype else ops.cast(total, x.dtype)


def summed_over(term: Term, gone: Collection[Hashable], steps: Steps) -> Term:
    axes = tuple(d for d, label in enumerate(term.labels) if label in gone)
    if not axes:
        return term
    steps.append(Step(partial(sum_over, axes), term.place, -1))
    left = [d for d in range(len(term.labels)) if d not in axes]
    return Term(term.place, tuple(term.labels[d] for d in left), tuple(term.shape[d] for d in left))


def arrange(term: Term, order: Sequence[Hashable], shape: Sequence[int], steps: Steps) -> None:
    """The axes in the order of their labels, under a new shape: views where there are some."""
    axes = [term.labels.index(label) for label in order]
    if axes != list(range(len(axes))):
        steps.append(Step(methodcaller("permute", axes), term.place, -1))
    if list(shape) != [term.shape[d] for d in axes]:
        steps.append(Step(methodcaller("reshape", tuple(shape)), term.place, -1))


def contract(a: Term, b: Term, kept: Collection[Hashable], floating: bool, steps: Steps) -> Term:
    """The product of two terms, summed over the shared labels that are not kept. A label that only one of the two has is
    kept."""
    size = dict(zip((*a.labels, *b.labels), (*a.shape, *b.shape), strict=True))
    shared = [label for label in a.labels if label in b.labels]
    batch = [label for label in shared if label in kept]
    summed = [label for label in shared if label not in kept]
    left = [label for label in a.labels if label not in shared]
    right = [label for label in b.labels if label not in shared]
    together, k = [size[label] for label in batch], product_of(size[label] for label in summed)
    lengths_left, lengths_right = [size[label] for label in left], [size[label] for label in right]
    shape = (*together, *lengths_left, *lengths_right)
    if not summed:  # nothing to add up
        arrange(a, (*batch, *left), (*together, *lengths_left, *([1] * len(right))), steps)
        arrange(b, (*batch, *right), (*together, *([1] * len(left) if batch else []), *lengths_right), steps)
        steps.append(Step(ops.mul, a.place, b.place))
    elif not left and not right and floating:
        arrange(a, (*batch, *summed), (*together, k), steps)
        arrange(b, (*batch, *summed), (*together, k), steps)
        steps.append(Step(ops.native_dot, a.place, b.place))
    else:
        m, n = product_of(lengths_left), product_of(lengths_right)
        arrange(a, (*batch, *left, *summed), (*together, m, k), steps)
        arrange(b, (*batch, *summed, *right), (*together, k, n), steps)
        steps.append(Step(ops.matmul, a.place, b.place))
        if shape != (*together, m, n):
            steps.append(Step(methodcaller("reshape", shape), a.place, -1))
    return Term(a.place, (*batch, *left, *right), shape)


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that the equation names: one letter per axis, `...` for any further ones. Axes whose letter is
    not in the output are summed; without `->` the output has the letters that occur once, in alphabetical order. Axes of
    length 1 are broadcast. Two operands at a time are multiplied, those first whose product is the least work (by their
    shapes alone), by `matmul`, `dot` or, where nothing is summed, `mul`. The operands may be given in one list.

    >>> import trigrad as tg
    >>> a, b = tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 10.0])
    >>> tg.einsum("ij,j->i", a, b)
    tensor([21., 43.])
    >>> tg.einsum("ii", a)
    tensor(5.)
    >>> tg.einsum("...i,...i->...", a, a)
    tensor([ 5., 25.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    shapes = tuple([x.shape for x in operands])
    floating = not operands or operands[0].is_floating_point()
    return run(steps_of_einsum(equation, shapes, floating), operands)


@lru_cache(maxsize=1024)
def steps_of_einsum(equation: str, shapes: tuple[tuple[int, ...], ...], floating: bool) -> Sequence[Step]:
    inputs, output = read_equation(equation, shapes)
    lengths = lengths_of(shapes, inputs)
    steps: Steps = []
    terms = [
        single(Term(k, labels, shape), steps) for k, (labels, shape) in enumerate(zip(inputs, shapes, strict=True))
    ]
    while True:
        uses = Counter(label for term in terms for label in term.labels)
        gone = {label for label, n in uses.items() if n == 1 and label not in output}
        terms = [summed_over(term, gone, steps) for term in terms]
        if len(terms) == 1:
            break
        i, j = cheapest(terms, lengths)
        b, a = terms.pop(j), terms.pop(i)
        kept = {*output, *(label for term in terms for label in term.labels)}
        terms.insert(i, contract(a, b, kept, floating, steps))
    last = terms[0]
    missing = tuple(label for label in output if label not in last.labels)  # of length 1 in every operand
    if missing:
        widened = (*last.shape, *([1] * len(missing)))
        steps.append(Step(methodcaller("reshape", widened), last.place, -1))
        last = Term(last.place, (*last.labels, *missing), widened)
    arrange(last, output, [last.shape[last.labels.index(label)] for label in output], steps)
    return steps


def refuse_equation(equation: str, problem: str) -> None:
    raise RuntimeError(f"[einsum] {equation!r} {problem}")


def read_equation(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[Labels], Labels]:
    """The labels of the operands' axes and of the output's. The axes under an ellipsis are numbered from the last, 0."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    subscripts = left.split(",")
    if len(subscripts) != len(shapes):
        refuse_equation(equation, f"names {len(subscripts)} operands, got {len(shapes)}, expected as many")
    for part in (*subscripts, right):
        letters = part.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters):
            refuse_equation(equation, f"has the part {part!r}, expected letters and at most one '...'")
    inputs: list[Labels] = []
    most = 0
    for k, (part, shape) in enumerate(zip(subscripts, shapes, strict=True)):
        before, dots, after = part.partition("...")
        others = len(shape) - len(before) - len(after)
        if others < 0 or (others > 0 and not dots):
            refuse_equation(
                equation, f"gives {part!r} for operand {k} of shape {tuple(shape)}, expected {len(shape)} axes"
            )
        most = max(most, others)
        inputs.append((*before, *range(others - 1, -1, -1), *after))
    hidden = range(most - 1, -1, -1)
    letters = "".join(subscripts).replace(".", "")
    if not arrow:
        return inputs, (*hidden, *sorted(c for c in set(letters) if letters.count(c) == 1))
    before, dots, after = right.partition("...")
    output: Labels = (*before, *(hidden if dots else ()), *after)
    for c in (*before, *after):
        if c not in letters:
            refuse_equation(equation, f"has {c!r} in the output, expected a letter of the operands")
    if len(set(output)) < len(output):
        refuse_equation(equation, "has a letter twice in the output, expected each once")
    return inputs, output


def lengths_of(shapes: Sequence[Sequence[int]], inputs: Sequence[Labels]) -> dict[Hashable, int]:
    lengths: dict[Hashable, int] = {}
    for k, (shape, labels) in enumerate(zip(shapes, inputs, strict=True)):
        for label, n in zip(labels, shape, strict=True):
            known = lengths.setdefault(label, n)
            if known == 1:
                lengths[label] = n
            elif n not in (1, known):
                raise RuntimeError(
                    f"[einsum] axis {label!r} has {n} elements in operand {k} of shape {tuple(shape)} and {known} "
                    "before, expected equal lengths or 1"
                )
    return lengths


def single(term: Term, steps: Steps) -> Term:
    """One operand with each label once, and without axes of length 1, which count for nothing in a product."""
    place, labels, shape = term
    for label in [label for label, n in Counter(labels).items() if n > 1]:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if shape[first] != shape[second]:
                raise RuntimeError(
                    f"[einsum] {label!r} stands for axes of {shape[first]} and {shape[second]} elements of one operand "
                    f"of shape {tuple(term.shape)}, expected equal lengths"
                )
            steps.append(Step(methodcaller("diagonal", 0, first, second), place, -1))
            rest = [d for d in range(len(labels)) if d not in (first, second)]
            labels, shape = (*(labels[d] for d in rest), label), (*(shape[d] for d in rest), shape[first])
    kept = [d for d, n in enumerate(shape) if n != 1]
    if len(kept) == len(shape):
        return Term(place, labels, tuple(shape))
    long = Term(place, tuple(labels[d] for d in kept), tuple(shape[d] for d in kept))
    steps.append(Step(methodcaller("reshape", long.shape), place, -1))
    return long


def cheapest(terms: Sequence[Term], lengths: dict[Hashable, int]) -> tuple[int, int]:
    """The two terms whose product takes the fewest multiplications; the first such two."""
    pairs = [(i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))]
    return min(pairs, key=lambda p: product_of(lengths[n] for n in {*terms[p[0]].labels, *terms[p[1]].labels}))


def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Any] = 2) -> Tensor:
    """The sum of products over the last `dims` axes of a and the first of b, or over the axes dims = (of a, of b).

    >>> import trigrad as tg
    >>> tg.tensordot(tg.ones(2, 3, 4), tg.ones(3, 4, 5)).shape
    trigrad.Size([2, 5])
    >>> tg.tensordot(tg.ones(2, 3), tg.ones(2, 4), ([0], [0])).shape
    trigrad.Size([3, 4])
    """
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(
                f"[tensordot] dims is {dims}, expected 0 to {min(a.ndim, b.ndim)} for a {tuple(a.shape)} and b "
                f"{tuple(b.shape)}"
            )
        axes: tuple[tuple[int, ...], ...] = tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    else:
        axes = tuple((d,) if isinstance(d, int) else tuple(d) for d in dims)
    return run(steps_of_tensordot(a.shape, b.shape, axes, a.is_floating_point()), (a, b))


@lru_cache(maxsize=1024)
def steps_of_tensordot(
    a: tuple[int, ...], b: tuple[int, ...], axes: tuple[tuple[int, ...], ...], floating: bool
) -> Sequence[Step]:
    of_a, of_b = (axes_of(shape, some) for shape, some in zip((a, b), axes, strict=True))
    if len(of_a) != len(of_b):
        raise RuntimeError(f"[tensordot] dims has {len(of_a)} and {len(of_b)} axes, expected as many of a as of b")
    labels_a: list[Hashable] = [("a", d) for d in range(len(a))]
    labels_b: list[Hashable] = [("b", d) for d in range(len(b))]
    alone = set()  # summed in one of the two, as the other has length 1 there
    for i, j in zip(of_a, of_b, strict=True):
        if a[i] == b[j]:
            labels_b[j] = labels_a[i]
        elif 1 in (a[i], b[j]):
            alone |= {labels_a[i], labels_b[j]}
        else:
            raise RuntimeError(
                f"[tensordot] axis {i} of a {tuple(a)} has {a[i]} elements and axis {j} of b {tuple(b)} has {b[j]}, "
                "expected equal lengths"
            )
    steps: Steps = []
    x, y = Term(0, tuple(labels_a), tuple(a)), Term(1, tuple(labels_b), tuple(b))
    x, y = summed_over(x, alone, steps), summed_over(y, alone, steps)
    kept = {
        *(n for d, n in enumerate(labels_a) if d not in of_a),
        *(n for d, n in enumerate(labels_b) if d not in of_b),
    }
    contract(x, y, kept, floating, steps)
    return steps


def axes_of(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    found = []
    for d in axes:
        if not -len(shape) <= d < len(shape):
            raise IndexError(f"[tensordot] axis {d} is out of range for a tensor of {len(shape)} dimensions")
        found.append(d % len(shape))
    if len(set(found)) < len(found):
        raise RuntimeError(f"[tensordot] axes {tuple(axes)} name one twice")
    return found
