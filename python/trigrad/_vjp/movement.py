"""Gradients of what only moves elements: joining, padding, choosing by index or rank. Each is moved back."""

from __future__ import annotations

from trigrad import ops
from trigrad._core import Tensor
from trigrad._vjp.rule import (
    NOT_DIFFERENTIABLE,
    Attributes,
    Gradients,
    Grads,
    Tensors,
    Wanted,
    fill,
    returned,
    rule,
    sum_to,
    zeros_like,
)

# ---- joining and padding


@rule("cat", "")
def _cat(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (dim,) = grads, attributes
    found: list[Tensor | None] = []
    start = 0
    for x, want in zip(inputs, wanted, strict=True):
        if x.ndim < g.ndim:  # 1-d without elements: it stands anywhere
            found.append(zeros_like(x) if want else None)
            continue
        found.append(returned(g.narrow(dim, start, x.shape[dim]), x) if want else None)
        start += x.shape[dim]
    return found


@rule("native_pad", "")
def _pad(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.native_pad(grads[0], tuple(-n for n in attributes[0]), 0.0),)


@rule("tril", "")
def _tril(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.tril(grads[0], *attributes),)


@rule("triu", "")
def _triu(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.triu(grads[0], *attributes),)


# ---- by rank: values and their places


def placed(grad: Tensor, index: Tensor, dim: int, x: Tensor) -> Tensor:
    """A tensor like x, zero but for `grad` at the places `index` along an axis."""
    if x.ndim == 0:
        return grad.reshape(())
    return ops.scatter(fill(x.shape, 0, grad), dim, index, grad)


@rule("native_sort", "o1")
def _sort(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (placed(grads[0], outputs[1], attributes[0], inputs[0]),)


@rule("native_topk", "o1")
def _topk(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (placed(grads[0], outputs[1], attributes[1], inputs[0]),)


@rule("native_kthvalue", "o1")
def _kthvalue(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g, _), (x,), (_, index), (_, dim, keepdim, _) = grads, inputs, outputs, attributes
    if x.ndim and not keepdim:
        g, index = g.unsqueeze(dim), index.unsqueeze(dim)
    return (placed(g, index, dim, x),)


# ---- by index

NOT_DIFFERENTIABLE |= {"native_nonzero", "native_count_nonzero", "native_searchsorted"}


@rule("native_index", "i1", "")
def _index(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """What was read several times gets the sum, in index order."""
    (g,), (x, *indices), (dim, wrap) = grads, inputs, attributes
    back = ops.native_index_put(fill(x.shape, 0, g), g, indices, dim, True, wrap) if wanted[0] else None
    return back, *([None] * len(indices))


@rule("native_index_put", "i2", "i2", "")
def _index_put(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (_, values, *indices), (dim, accumulate, wrap) = grads, inputs, attributes
    kept = None
    if wanted[0]:
        kept = g if accumulate else ops.native_index_put(g, fill((), 0, g), indices, dim, False, wrap)
    put = returned(ops.native_index(g, indices, dim, wrap), values) if wanted[1] else None  # one number is cast
    return kept, put, *([None] * len(indices))


@rule("gather", "i1", "")
def _gather(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (x, index), (dim,) = grads, inputs, attributes
    return ops.scatter_add(fill(x.shape, 0, g), dim, index, g), None


def gathered(grad: Tensor, index: Tensor, dim: int, source: Tensor) -> Tensor:
    """What was scattered from `source`, whose part of the shape of `index` was read."""
    part = ops.gather(grad, dim, index)
    if part.shape == source.shape:
        return part
    missing = [n - m for n, m in zip(source.shape, part.shape, strict=True)]
    return ops.native_pad(part, [side for n in reversed(missing) for side in (0, n)], 0.0)


@rule("scatter", "i1", "", "i1")
def _scatter(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (_, index, source), (dim,) = grads, inputs, attributes
    return (
        ops.scatter(g, dim, index, fill(index.shape, 0, g)) if wanted[0] else None,
        None,
        gathered(g, index, dim, source) if wanted[2] else None,
    )


@rule("scatter_add", "", "", "i1")
def _scatter_add(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (_, index, source), (dim,) = grads, inputs, attributes
    return g if wanted[0] else None, None, gathered(g, index, dim, source) if wanted[2] else None


@rule("masked_fill", "i1", "")
def _masked_fill(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return sum_to(ops.masked_fill(grads[0], inputs[1], 0.0), inputs[0].shape), None
