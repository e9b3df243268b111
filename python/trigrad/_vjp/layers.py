"""Gradients of softmax, losses, normalisation and random rows."""

from __future__ import annotations

from typing import Any

from trigrad import ops
from trigrad._core import Tensor, int64
from trigrad._vjp.rule import (
    NOT_DIFFERENTIABLE,
    Attributes,
    Gradients,
    Grads,
    Tensors,
    Wanted,
    fill,
    rule,
    sum_to,
)

NOT_DIFFERENTIABLE |= {"dropout_mask", "uniform", "normal", "native_bernoulli", "integers", "permutation"}

# ---- softmax. The rows' own gradients take y for a variable of its own; what y is made of is the tape's to know.


@rule("softmax", "o0")
def _softmax(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.softmax_backward(grads[0], outputs[0], *attributes),)


@rule("softmax_backward", "i1", "i0 i1")
def _softmax_backward(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """y (g - Σ g y)"""
    (v,), (g, y), (dim,) = grads, inputs, attributes
    dg = ops.softmax_backward(v, y, dim) if wanted[0] else None
    if not wanted[1]:
        return dg, None
    of_g, of_v = ops.sum(ops.mul(g, y), dim, True), ops.sum(ops.mul(v, y), dim, True)
    return dg, ops.sub(ops.mul(v, ops.sub(g, of_g)), ops.mul(g, of_v))


@rule("log_softmax", "o0")
def _log_softmax(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.log_softmax_backward(grads[0], outputs[0], *attributes),)


@rule("log_softmax_backward", "i1", "i0 i1")
def _log_softmax_backward(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """g - exp(y) Σ g"""
    (v,), (g, y), (dim,) = grads, inputs, attributes
    weighted = ops.mul(v, ops.exp(y))
    return (
        ops.sub(v, ops.sum(weighted, dim, True)) if wanted[0] else None,
        ops.neg(ops.mul(weighted, ops.sum(g, dim, True))) if wanted[1] else None,
    )


# ---- losses


def summed(x: Tensor, reduction: str, dim: int | None = None) -> Tensor:
    """What belongs to a loss: all of it, or with reduction 'none' (along dim) each part by itself."""
    if reduction != "none":
        return ops.sum(x)
    return x if dim is None else ops.sum(x, dim)


@rule("native_cross_entropy", "i0 i1 i2 o1 o2", "", "")
def _cross_entropy(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    (x, target, weight), (_, logsumexp, total) = inputs, outputs
    return ops.cross_entropy_backward(grads[0], x, target, logsumexp, total, weight, *attributes), None, None


@rule("cross_entropy_backward", "i1 i2 i3 i4 i5", "i0 i1 i2 i4 i5", "", "", "", "")
def _cross_entropy_backward(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """For each row scale (Q softmax(x) - q) with the weights q of its classes, which sum to Q. logsumexp is a function of
    x, and its share counted in."""
    (v,), (grad, x, target, logsumexp, total, weight) = grads, inputs
    ignore_index, reduction, smoothing = attributes
    dg = None
    if wanted[0]:
        ones = fill(grad.shape, 1, grad)
        unscaled = ops.cross_entropy_backward(ones, x, target, logsumexp, total, weight, *attributes)
        dg = summed(ops.mul(v, unscaled), reduction, 1)
    dx = None
    if wanted[1]:
        counted = ops.ne(target, ignore_index)
        share = ops.cast(counted, x.dtype)  # Q: the weight of the row
        if weight is not None:
            known = ops.cast(ops.where(counted, target, 0), int64)
            share = ops.mul(
                share,
                ops.add(ops.mul(ops.gather(weight, 0, known), 1 - smoothing), ops.mul(ops.mean(weight), smoothing)),
            )
        scale = ops.mul(share, ops.div(grad, total) if reduction == "mean" else grad)
        dx = ops.mul(ops.softmax_backward(v, ops.softmax(x, 1), 1), scale.unsqueeze(1))
    return dg, dx, None, None, None, None


BCE = "binary_cross_entropy_with_logits"


def scaled(grad: Tensor, x: Tensor, reduction: str) -> Tensor:
    """The gradient of each element's loss."""
    return ops.div(grad, max(x.numel(), 1)) if reduction == "mean" else grad


@rule(BCE, "i0 i1 i2 i3", "i0 i2 i3", "i0 i1 i3", "i0 i1 i2")
def _bce(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """Each element's loss: weight ((1 - t) x + (1 + (pos_weight - 1) t) softplus(-x))"""
    (g,), (x, target, weight, positive), (reduction,) = grads, inputs, attributes
    dx = dt = dw = dp = None
    if wanted[0]:
        dx = ops.binary_cross_entropy_with_logits_backward(g, x, target, weight, positive, reduction)
    each = scaled(g, x, reduction)
    if wanted[1]:
        slope = ops.neg(x)
        if positive is not None:
            slope = ops.add(slope, ops.mul(ops.sub(positive, 1.0), softplus(ops.neg(x))))
        dt = spread_over(times(ops.mul(each, slope), weight), target)
    if wanted[2]:
        unweighted = ops.binary_cross_entropy_with_logits(x, target, None, positive, "none")
        dw = sum_to(ops.mul(each, unweighted), weight.shape)
    if wanted[3]:
        dp = sum_to(times(ops.mul(each, ops.mul(target, softplus(ops.neg(x)))), weight), positive.shape)
    return dx, dt, dw, dp


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without threshold"""
    return ops.softplus(x, 1.0, float("inf"))


def times(x: Tensor, factor: Tensor | None) -> Tensor:
    return x if factor is None else ops.mul(x, factor)


def spread_over(x: Tensor, like: Tensor) -> Tensor:
    return x if x.shape == like.shape else x.expand(like.shape)


@rule(BCE + "_backward", "i1 i2 i3 i4", "i0 i1 i2 i3 i4", "i0 i1 i3 i4", "i0 i1 i2 i4", "i0 i1 i2 i3")
def _bce_backward(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """Each element's slope: weight ((1 - t) - (1 + (pos_weight - 1) t) sigmoid(-x))"""
    (v,), (g, x, target, weight, positive), (reduction,) = grads, inputs, attributes
    backward = ops.binary_cross_entropy_with_logits_backward
    each = ops.mul(v, scaled(g, x, reduction))
    tail = ops.sigmoid(ops.neg(x))
    dg = dx = dt = dw = dp = None
    if wanted[0]:
        dg = summed(ops.mul(v, backward(fill(g.shape, 1, g), x, target, weight, positive, reduction)), reduction)
    if wanted[1]:
        slope = ops.mul(tail, ops.sub(1.0, tail))
        if positive is not None:
            slope = ops.mul(slope, ops.add(ops.mul(ops.sub(positive, 1.0), target), 1.0))
        dx = spread_over(times(ops.mul(each, slope), weight), x)
    if wanted[2]:
        slope = fill((), -1, x) if positive is None else ops.sub(ops.mul(ops.sub(1.0, positive), tail), 1.0)
        dt = spread_over(times(ops.mul(each, slope), weight), target)
    if wanted[3]:
        unweighted = backward(fill(x.shape, 1, x), x, target, None, positive, "none")
        dw = sum_to(ops.mul(each, unweighted), weight.shape)
    if wanted[4]:
        dp = sum_to(times(ops.neg(ops.mul(each, ops.mul(target, tail))), weight), positive.shape)
    return dg, dx, dt, dw, dp


# ---- batch normalisation: x (N, C, ...), everything else (C,)


def per_channel(x: Any, like: Tensor) -> Any:
    """(C,) beside (N, C, ...)"""
    return x if x is None else x.reshape((-1, *([1] * (like.ndim - 2))))


def channels_of(x: Tensor) -> Tensor:
    """Sums over all axes but the channels' (C,)"""
    return ops.sum(x, (0, *range(2, x.ndim)))


@rule("native_batch_norm", "i0 i3 o1 o2", "", "", "i0 o1 o2", "")
def _batch_norm(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    g, (x, _, _, weight, _), (_, mean, invstd, *_), training = grads[0], inputs, outputs, attributes[0]
    dx = dw = db = None
    if training and wanted[0]:
        dx, dw, db = ops.batch_norm_backward(g, x, mean, invstd, weight)
        return dx, None, None, dw if wanted[3] else None, db if wanted[4] else None
    if wanted[0]:
        dx = ops.mul(g, per_channel(invstd if weight is None else ops.mul(weight, invstd), x))
    if wanted[3]:
        dw = ops.mul(channels_of(ops.mul(g, ops.sub(x, per_channel(mean, x)))), invstd)
    if wanted[4]:
        db = channels_of(g)
    return dx, None, None, dw, db


@rule("batch_norm_backward", "i1 i2 i3 i4", "i0 i1 i2 i3 i4", "", "", "i0 i1 i2 i3", carries=(0, 1, 2))
def _batch_norm_backward(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """With x̂ = (x - mean) invstd and P u = u - mean(u) - x̂ mean(u x̂): dx = weight invstd P g, dw = Σ g x̂, db = Σ g.
    mean and invstd are functions of x, and their share counted in here; what follows by differentiating once more takes
    them for constants."""
    (v, vw, vb), (g, x, mean, invstd, weight) = grads, inputs
    n = x.numel() // max(x.shape[1], 1)
    r = per_channel(invstd, x)
    centred = ops.mul(ops.sub(x, per_channel(mean, x)), r)

    def average(u: Tensor) -> Any:
        return per_channel(ops.div(channels_of(u), n), x)

    def projected(u: Tensor) -> Tensor:
        return ops.sub(ops.sub(u, average(u)), ops.mul(centred, average(ops.mul(u, centred))))

    dg = dx = dw = None
    if wanted[0]:
        parts = []
        if v is not None:
            parts.append(times(ops.mul(projected(v), r), per_channel(weight, x)))
        if vw is not None:
            parts.append(ops.mul(centred, per_channel(vw, x)))
        if vb is not None:
            parts.append(spread_over(per_channel(vb, x), x))
        dg = total(parts)
    if wanted[1]:
        parts = []
        pg = projected(g)
        if v is not None:
            of_g, of_v = average(ops.mul(g, centred)), average(ops.mul(v, centred))
            shared = ops.sub(average(ops.mul(v, g)), ops.add(ops.mul(average(v), average(g)), ops.mul(of_v, of_g)))
            bent = ops.add(ops.mul(centred, shared), ops.add(ops.mul(pg, of_v), ops.mul(projected(v), of_g)))
            parts.append(ops.neg(times(ops.mul(bent, ops.mul(r, r)), per_channel(weight, x))))
        if vw is not None:
            parts.append(ops.mul(ops.mul(pg, r), per_channel(vw, x)))
        dx = total(parts) if parts else None
    if wanted[4] and v is not None:
        dw = ops.mul(channels_of(ops.mul(v, projected(g))), invstd)
    return dg, dx, None, None, dw


def total(parts: list[Tensor]) -> Tensor:
    found = parts[0]
    for part in parts[1:]:
        found = ops.add(found, part)
    return found


# ---- layer normalisation over the last axes of x: the statistics of each row


@rule("native_layer_norm", "i0 i1 o1 o2", "i0 o1 o2", "")
def _layer_norm(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    g, (x, weight, _), (_, mean, rstd), (shape, _) = grads[0], inputs, outputs, attributes
    if not wanted[0] and not wanted[1]:
        return None, None, sum_to(g, shape)
    found = ops.layer_norm_backward(g, x, shape, mean, rstd, weight)
    return [t if want else None for t, want in zip(found, wanted, strict=True)]


@rule("layer_norm_backward", "i1 i2 i3 i4", "i0 i1 i2 i3 i4", "", "", "i0 i1 i2 i3", carries=(0, 1, 2))
def _layer_norm_backward(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """With h = g weight, x̂ = (x - mean) rstd and P u = u - mean(u) - x̂ mean(u x̂) of each row: dx = rstd P h, dw = Σ g x̂
    and db = Σ g over the rows. As for batch_norm_backward mean and rstd are counted in, and constants afterwards."""
    (v, vw, vb), (g, x, mean, rstd, weight), (shape,) = grads, inputs, attributes
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    each = (*x.shape[: x.ndim - len(shape)], *([1] * len(shape)))
    r = rstd.reshape(each)
    centred = ops.mul(ops.sub(x, mean.reshape(each)), r)
    h = times(g, weight)

    def average(u: Tensor) -> Tensor:
        return ops.mean(u, axes, True)

    def projected(u: Tensor) -> Tensor:
        return ops.sub(ops.sub(u, average(u)), ops.mul(centred, average(ops.mul(u, centred))))

    dg = dx = dw = None
    if wanted[0]:
        parts = []
        if v is not None:
            parts.append(times(ops.mul(projected(v), r), weight))
        if vw is not None:
            parts.append(ops.mul(centred, vw))
        if vb is not None:
            parts.append(spread_over(vb, x))
        dg = total(parts)
    if wanted[1]:
        parts = []
        if v is not None:
            of_h, of_v = average(ops.mul(h, centred)), average(ops.mul(v, centred))
            shared = ops.sub(average(ops.mul(v, h)), ops.add(ops.mul(average(v), average(h)), ops.mul(of_v, of_h)))
            bent = ops.add(ops.mul(centred, shared), ops.add(ops.mul(projected(h), of_v), ops.mul(projected(v), of_h)))
            parts.append(ops.neg(ops.mul(bent, ops.mul(r, r))))
        if vw is not None:
            parts.append(ops.mul(projected(ops.mul(g, vw)), r))
        dx = total(parts) if parts else None
    if wanted[4] and v is not None:
        dw = sum_to(ops.mul(g, ops.mul(projected(v), r)), shape)
    return dg, dx, None, None, dw


# ---- dropout: the same seed drops the same elements


@rule("native_dropout", "")
def _dropout(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (ops.native_dropout(grads[0], *attributes),)
