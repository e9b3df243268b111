"""What fills, reductions, dense layers, softmax, losses and norms mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_base import REFERENCE, Array, row
from reference_pointwise import _sigmoid

# ---------------------------------------------------------------- fill, copy, cast


@row
def ref_where(condition: Array, input: Array, other: Array) -> Array:
    return np.where(condition, input, other)


@row
def ref_cast(input: Array, dtype: str) -> Array:
    return input.astype(dtype)


@row
def ref_copy_(self: Array, source: Array) -> Array:
    return np.broadcast_to(source, self.shape).astype(self.dtype)


@row
def ref_fill_(self: Array, value: float) -> Array:
    return np.full(self.shape, value, self.dtype)


@row
def ref_native_arange(start: float, step: float, n: int, dtype: str) -> Array:
    return np.array([start + i * step for i in range(n)], dtype=np.float64).astype(dtype)


# ---------------------------------------------------------------- reductions


def _axes(x: Array, dim: Any) -> tuple[int, ...]:
    if dim is None or (isinstance(dim, (list, tuple)) and len(dim) == 0):
        return tuple(range(x.ndim))
    dims = [dim] if isinstance(dim, int) else dim
    return tuple(d % max(x.ndim, 1) for d in dims) if x.ndim else ()


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axes)


def _sum(x: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    return np.sum(x, axis=axes, keepdims=keepdim)


def _as(x: Array, dtype: str | None) -> Array:
    return x if dtype is None else x.astype(dtype)


@row
def ref_sum(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return _sum(_as(input, dtype), _axes(input, dim), keepdim)


@row
def ref_nansum(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return np.asarray(np.nansum(_as(input, dtype), axis=_axes(input, dim), keepdims=keepdim))


@row
def ref_mean(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    axes = _axes(input, dim)
    return np.divide(_sum(_as(input, dtype), axes, keepdim), _count(input, axes))


@row
def ref_prod(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return np.prod(_as(input, dtype), axis=_axes(input, dim), keepdims=keepdim)


@row
def ref_amax(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.max(input, axis=_axes(input, dim), keepdims=keepdim)


@row
def ref_amin(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.min(input, axis=_axes(input, dim), keepdims=keepdim)


@row
def ref_var(input: Array, dim: Any = None, keepdim: bool = False, correction: float = 1.0) -> Array:
    axes = _axes(input, dim)
    n = _count(input, axes)
    deviation = input - np.divide(_sum(input, axes, True), n)
    return np.divide(_sum(deviation * deviation, axes, keepdim), max(0.0, n - correction))


@row
def ref_logsumexp(input: Array, dim: Any, keepdim: bool = False) -> Array:
    axes = _axes(input, dim)
    if isinstance(dim, (list, tuple)) and len(dim) == 0:
        axes = ()
    peak = np.max(input, axis=axes, keepdims=True, initial=-math.inf)
    safe = np.where(np.isfinite(peak), peak, 0)
    total = np.log(np.sum(np.exp(input - safe), axis=axes, keepdims=True)) + safe
    return total if keepdim else np.squeeze(total, axis=axes)


def _arg(pick: Callable[..., Array], input: Array, dim: Any, keepdim: bool) -> Array:
    """The first position of the extremum, counted over the reduced axes in their logical order."""
    axes = _axes(input, dim)
    kept = [a for a in range(input.ndim) if a not in axes]
    rows = np.transpose(input, kept + sorted(axes)).reshape([input.shape[a] for a in kept] + [_count(input, axes)])
    found = pick(rows, axis=-1)
    if keepdim:
        found = found.reshape([1 if a in axes else n for a, n in enumerate(input.shape)])
    return np.asarray(found)


@row
def ref_argmax(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _arg(np.argmax, input, dim, keepdim)


@row
def ref_argmin(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _arg(np.argmin, input, dim, keepdim)


def _truth(found: Any, input: Array, dim: Any, keepdim: bool) -> Array:
    empty = isinstance(dim, (list, tuple)) and len(dim) == 0
    return np.asarray(found(input, axis=() if empty else _axes(input, dim), keepdims=keepdim))


@row
def ref_any(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _truth(np.any, input, dim, keepdim)


@row
def ref_all(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _truth(np.all, input, dim, keepdim)


@row
def ref_native_norm(input: Array, dim: Any = None, keepdim: bool = False, p: float = 2.0) -> Array:
    return np.asarray(_sum(np.abs(input) ** p, _axes(input, dim), keepdim) ** (1 / p))


# ---------------------------------------------------------------- dense and matmul


@row
def ref_dense(
    input: Array, weight: Array, bias: Array | None = None, activation: str = "identity", p: float = 0.0, q: float = 0.0
) -> Array:
    y = input @ weight.T
    if bias is not None:
        y = y + bias
    if activation == "identity":
        return y
    parameters = {"leaky_relu": (p,), "elu": (p,), "clamp": (p, q), "softplus": (p, q)}.get(activation, ())
    return REFERENCE[activation](y, *parameters)


@row
def ref_dense_grad_input(grad: Array, weight: Array) -> Array:
    return grad @ weight


@row
def ref_dense_grad_weight(grad: Array, input: Array) -> Array:
    rows = math.prod(grad.shape[:-1])
    return grad.reshape(rows, grad.shape[-1]).T @ input.reshape(rows, input.shape[-1])


@row
def ref_dense_grad_bias(grad: Array) -> Array:
    return grad.reshape(math.prod(grad.shape[:-1]), grad.shape[-1]).sum(axis=0)


@row
def ref_matmul(input: Array, other: Array) -> Array:
    return np.matmul(input, other)


@row
def ref_native_dot(input: Array, other: Array) -> Array:
    return np.asarray((input * other).sum(-1))


# ---------------------------------------------------------------- softmax and losses


def _log_softmax(x: Array, axis: int) -> Array:
    if x.ndim == 0:
        return np.zeros_like(x)
    peak = np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    shifted = x - np.where(np.isfinite(peak), peak, 0)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@row
def ref_softmax(input: Array, dim: int) -> Array:
    return np.exp(_log_softmax(input, dim))


@row
def ref_log_softmax(input: Array, dim: int) -> Array:
    return _log_softmax(input, dim)


@row
def ref_softmax_backward(grad: Array, output: Array, dim: int) -> Array:
    along = np.sum(grad * output, axis=dim if output.ndim else None, keepdims=True)
    return output * (grad - along)


@row
def ref_log_softmax_backward(grad: Array, output: Array, dim: int) -> Array:
    return grad - np.exp(output) * np.sum(grad, axis=dim if output.ndim else None, keepdims=True)


def _reduce(loss: Array, reduction: str, weight: Any = None) -> Array:
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else np.divide(loss.sum(), loss.size if weight is None else weight)


def _class_weights(input: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array, Array]:
    """Weights per class (C,), the rows' targets with the ignored ones put to 0 (M,), the rows' weights (M,)."""
    per_class = np.ones(input.shape[1]) if weight is None else weight.astype(np.float64)
    kept = target != ignore_index
    safe = np.where(kept, target, 0)
    per_row = np.where(kept, per_class[safe], 0.0) if len(target) else np.zeros(0)
    return per_class, safe, per_row


@row
def ref_native_cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Array, Array, Array]:
    per_class, safe, per_row = _class_weights(input, target, weight, ignore_index)
    logp = _log_softmax(input, 1)
    kept = (target != ignore_index).astype(np.float64)
    chosen = -logp[np.arange(len(target)), safe] * per_row
    smooth = -(logp * per_class).sum(axis=1) * kept / max(input.shape[1], 1)
    # A plain target takes no part of the other classes, whose log-probability may be -inf.
    loss = chosen if label_smoothing == 0 else (1 - label_smoothing) * chosen + label_smoothing * smooth
    loss = np.where(kept > 0, loss, 0.0)
    return _reduce(loss, reduction, per_row.sum()), ref_logsumexp(input, 1), per_row.sum()


@row
def ref_cross_entropy_backward(
    grad: Array,
    input: Array,
    target: Array,
    logsumexp: Array,
    total_weight: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    per_class, safe, per_row = _class_weights(input, target, weight, ignore_index)
    kept = (target != ignore_index).astype(np.float64)[:, None]
    p = np.exp(input - logsumexp[:, None])
    onehot = np.zeros(input.shape)
    onehot[np.arange(len(target)), safe] = 1
    chosen = (p - onehot) * per_row[:, None]
    smooth = (p * per_class.sum() - per_class) * kept / max(input.shape[1], 1)
    g = grad[:, None] if reduction == "none" else grad / total_weight if reduction == "mean" else grad
    return np.where(kept > 0, g * ((1 - label_smoothing) * chosen + label_smoothing * smooth), 0.0)


def _bce(x: Array, t: Array, pos_weight: Array | None) -> Array:
    w = 1.0 if pos_weight is None else pos_weight
    log_sigmoid = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    return (1 - t) * x - (1 + (w - 1) * t) * log_sigmoid


@row
def ref_binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array | None = None, pos_weight: Array | None = None, reduction: str = "mean"
) -> Array:
    loss = _bce(input, target, pos_weight)
    return _reduce(loss if weight is None else loss * weight, reduction)


@row
def ref_binary_cross_entropy_with_logits_backward(
    grad: Array,
    input: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    w = 1.0 if pos_weight is None else pos_weight
    slope = (1 - target) - (1 + (w - 1) * target) * _sigmoid(-input)
    if weight is not None:
        slope = slope * weight
    return grad * slope / (input.size if reduction == "mean" else 1)


# ---------------------------------------------------------------- batch normalisation


def _per_channel(values: Array, rank: int) -> Array:
    return values.reshape((1, -1) + (1,) * (rank - 2))


@row
def ref_native_batch_norm(
    input: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array | None, ...]:
    axes = (0, *range(2, input.ndim))
    n = _count(input, axes)
    new_mean = new_var = None
    if training:
        mean = input.sum(axis=axes) / n
        var = ((input - _per_channel(mean, input.ndim)) ** 2).sum(axis=axes) / n
        if running_mean is not None and running_var is not None:
            new_mean = (1 - momentum) * running_mean + momentum * mean
            new_var = (1 - momentum) * running_var + momentum * var * n / (n - 1)
    else:
        assert running_mean is not None
        assert running_var is not None
        mean, var = running_mean, running_var
    invstd = 1 / np.sqrt(var + eps)
    y = (input - _per_channel(mean, input.ndim)) * _per_channel(invstd, input.ndim)
    if weight is not None:
        y = y * _per_channel(weight, input.ndim)
    if bias is not None:
        y = y + _per_channel(bias, input.ndim)
    return y, mean, invstd, new_mean, new_var


@row
def ref_batch_norm_backward(
    grad: Array, input: Array, mean: Array, invstd: Array, weight: Array | None = None
) -> tuple[Array, Array, Array]:
    """Of the training forward: the statistics depend on the input."""
    axes = (0, *range(2, input.ndim))
    n = _count(input, axes)
    normal = (input - _per_channel(mean, input.ndim)) * _per_channel(invstd, input.ndim)
    grad_bias = grad.sum(axis=axes)
    grad_weight = (grad * normal).sum(axis=axes)
    scale = invstd if weight is None else invstd * weight
    inner = grad - _per_channel(grad_bias, input.ndim) / n - normal * _per_channel(grad_weight, input.ndim) / n
    return inner * _per_channel(scale, input.ndim), grad_weight, grad_bias
