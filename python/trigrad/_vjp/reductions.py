"""Gradients of choices, casts, copies, reductions and scans."""

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
    axes_of,
    count,
    fill,
    one_of,
    returned,
    rule,
    spread,
)

NOT_DIFFERENTIABLE |= {"native_arange", "argmax", "argmin", "any", "all"}


@rule("where", "", "i0", "i0")
def _where(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (condition, a, b) = grads, inputs
    return (
        None,
        returned(ops.where(condition, g, 0.0), a) if wanted[1] else None,
        returned(ops.where(condition, 0.0, g), b) if wanted[2] else None,
    )


@rule("cast", "")
def _cast(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.cast(grads[0], inputs[0].dtype),)


@rule("copy_", "", "")
def _copy(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return None, returned(grads[0], inputs[1]) if wanted[1] else None


@rule("fill_", "")
def _fill(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (None,)


# ---- sums and the like: what went into an output gets a share of its gradient


@rule("sum", "")
def _sum(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (x,), (dim, keepdim, _) = inputs, attributes
    return (returned(spread(grads[0], x.shape, axes_of(x.ndim, dim), keepdim), x),)


@rule("nansum", "i0")
def _nansum(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (x,), (dim, keepdim, _) = inputs, attributes
    return (returned(ops.where(ops.isnan(x), 0.0, spread(grads[0], x.shape, axes_of(x.ndim, dim), keepdim)), x),)


@rule("native_norm", "i0 o0")
def _norm(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """p = 1: the signs; p = 2: the direction, 0 where the norm is 0"""
    (g,), (x,), (y,), (dim, keepdim, p) = grads, inputs, outputs, attributes
    axes = axes_of(x.ndim, dim)
    if p == 1:
        return (ops.mul(spread(g, x.shape, axes, keepdim), ops.sign(x)),)
    zero = ops.eq(y, 0.0)
    scale = ops.where(zero, 0.0, ops.div(g, ops.where(zero, 1.0, y)))
    return (ops.mul(spread(scale, x.shape, axes, keepdim), x),)


@rule("mean", "")
def _mean(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (x,), (dim, keepdim, *_) = inputs, attributes
    axes = axes_of(x.ndim, dim)
    share = ops.div(grads[0], max(count(x.shape, axes), 1))
    return (returned(spread(share, x.shape, axes, keepdim), x),)


@rule("prod", "i0")
def _prod(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """Each element's gradient is the product of the others: of those before it and those behind it, so that zeros need
    no division."""
    (x,), (dim, keepdim, dtype) = inputs, attributes
    axes = axes_of(x.ndim, dim)
    g = spread(grads[0], x.shape, axes, keepdim)
    if x.numel() == 0 or not axes:
        return (returned(g, x),)
    order = [d for d in range(x.ndim) if d not in axes] + list(axes)
    shape = [x.shape[d] for d in order]
    flat = (x if dtype is None else ops.cast(x, dtype)).permute(order).reshape([*shape[: len(shape) - len(axes)], -1])
    line = ops.native_pad(flat, (1, 1), 1.0)
    before = ops.cumprod(line, -1)[..., :-2]
    behind = ops.cumprod(line[..., ::-1], -1)[..., ::-1][..., 2:]
    others = ops.mul(before, behind).reshape(shape).permute([order.index(d) for d in range(x.ndim)])
    return (returned(ops.mul(g, others), x),)


def _extremum(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """Equal extremes share the gradient equally."""
    (x,), (y,), (dim, keepdim) = inputs, outputs, attributes
    axes = axes_of(x.ndim, dim)
    chosen = ops.eq(x, spread(y, x.shape, axes, keepdim))
    if not axes:
        return (ops.where(chosen, grads[0], 0.0),)
    share = ops.div(grads[0], ops.cast(ops.sum(chosen, axes, keepdim), x.dtype))
    return (ops.where(chosen, spread(share, x.shape, axes, keepdim), 0.0),)


rule("amax", "i0 o0")(_extremum)
rule("amin", "i0 o0")(_extremum)


@rule("var", "i0")
def _var(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """2 (x - mean) / (n - correction)"""
    (x,), (dim, keepdim, correction) = inputs, attributes
    axes = axes_of(x.ndim, dim)
    left = count(x.shape, axes) - correction
    scaled = ops.mul(grads[0], 2 / left if left > 0 else float("inf"))
    centred = ops.sub(x, ops.mean(x, axes, True) if axes else x)
    return (ops.mul(spread(scaled, x.shape, axes, keepdim), centred),)


@rule("logsumexp", "i0 o0")
def _logsumexp(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (x,), (y,), (dim, keepdim) = inputs, outputs, attributes
    axes = axes_of(x.ndim, dim, none_means_all=False)
    share = ops.exp(ops.sub(x, spread(y, x.shape, axes, keepdim)))
    return (ops.mul(spread(grads[0], x.shape, axes, keepdim), share),)


# ---- scans


def sums_from_behind(x: Tensor, dim: int) -> Tensor:
    """Of each element and all that follow it."""
    if x.ndim == 0:
        return x
    back = slice(None, None, -1)
    return one_of(ops.cumsum(one_of(x, dim, back), dim), dim, back)


@rule("cumsum", "")
def _cumsum(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (returned(sums_from_behind(grads[0], attributes[0]), inputs[0]),)


@rule("cumprod", "i0 o0")
def _cumprod(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """Before the first zero: the sum of grad y from the element on, divided by the element. At the first zero the same
    with the products that leave it out; behind it nothing. (What follows from this by differentiating it again holds
    where there is no zero.)"""
    (g,), (x,), (y,), (dim, _) = grads, inputs, outputs, attributes
    if y.ndim == 0:
        return (returned(g, x),)
    x_ = x if x.dtype is y.dtype else ops.cast(x, y.dtype)
    zero = ops.eq(x_, 0.0)
    zeros = ops.cumsum(zero, dim)  # so far
    first = zero & ops.eq(zeros, 1)
    skipped = ops.cumprod(ops.where(first, 1.0, x_), dim)
    before = ops.div(sums_from_behind(ops.mul(g, y), dim), ops.where(zero, 1.0, x_))
    at_first = sums_from_behind(ops.mul(g, skipped), dim)
    found = ops.where(first, at_first, ops.where(ops.eq(zeros, 0), before, fill((), 0, y)))
    return (returned(found, x),)
