"""What sorts, selections, scans and layer normalisation mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_base import Array, row


def places(input: Array, dim: int, descending: bool) -> Array:
    """The indices that sort along `dim`, equal elements in the order of their indices; NaN is the greatest."""
    if input.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(input, axis=dim, kind="stable")
    backwards = np.argsort(np.flip(input, dim), axis=dim, kind="stable")
    return np.flip(input.shape[dim] - 1 - backwards, dim)


def taken(input: Array, places: Array, dim: int) -> tuple[Array, Array]:
    return (np.take_along_axis(input, places, dim) if input.ndim else input), places


@row
def ref_native_sort(input: Array, dim: int = -1, descending: bool = False) -> tuple[Array, Array]:
    return taken(input, places(input, dim, descending), dim)


@row
def ref_native_topk(input: Array, k: int, dim: int = -1, largest: bool = True) -> tuple[Array, Array]:
    every = places(input, dim, largest)
    return taken(input, np.take(every, range(k), axis=dim) if input.ndim else every, dim)


@row
def ref_native_kthvalue(
    input: Array, k: int | None = None, dim: int = -1, keepdim: bool = False, skip_nan: bool = False
) -> tuple[Array, Array]:
    if input.ndim == 0:
        return input, np.zeros((), np.int64)
    every, nan = places(input, dim, descending=False), np.isnan(input)
    n, nans = input.shape[dim], nan.sum(axis=dim, keepdims=True)
    if k is not None:
        rank = np.full(nans.shape, k - 1)
    elif skip_nan:
        rank = np.maximum(n - nans - 1, 0) // 2
    else:
        rank = np.where(nans > 0, n - nans, (n - 1) // 2)  # the first NaN is the first of the greatest
    values, indices = taken(input, np.take_along_axis(every, rank, dim), dim)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def _scan(scan: Any, input: Array, dim: int, dtype: str | None) -> Array:
    x = input if dtype is None else input.astype(dtype)
    return np.asarray(scan(x, axis=dim)).reshape(x.shape)


@row
def ref_cumsum(input: Array, dim: int, dtype: str | None = None) -> Array:
    return _scan(np.cumsum, input, dim, dtype)


@row
def ref_cumprod(input: Array, dim: int, dtype: str | None = None) -> Array:
    return _scan(np.cumprod, input, dim, dtype)


# ---------------------------------------------------------------- layer normalisation


@row
def ref_native_layer_norm(
    input: Array, weight: Array | None = None, bias: Array | None = None, normalized_shape: Any = (), eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    mean = input.mean(axis=axes, keepdims=True)
    rstd = 1 / np.sqrt(input.var(axis=axes, keepdims=True) + eps)
    y = (input - mean) * rstd
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, rstd


@row
def ref_layer_norm_backward(
    grad: Array, input: Array, mean: Array, rstd: Array, weight: Array | None = None, normalized_shape: Any = ()
) -> tuple[Array, Array, Array]:
    kept = input.ndim - len(normalized_shape)
    last, lead = tuple(range(kept, input.ndim)), tuple(range(kept))
    scaled = (input - mean) * rstd
    g = grad if weight is None else grad * weight
    dx = (g - g.mean(axis=last, keepdims=True) - scaled * (g * scaled).mean(axis=last, keepdims=True)) * rstd
    return dx, (grad * scaled).sum(axis=lead), grad.sum(axis=lead)
