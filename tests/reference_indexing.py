"""What reading and writing by index mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_base import Array, row


def _key(input: Array, indices: tuple[Array, ...], dim: int) -> tuple[Any, ...]:
    return (*(slice(None),) * (dim % input.ndim), *indices)


@row
def ref_native_index(input: Array, *indices: Array, dim: int = 0, wrap: bool = True) -> Array:
    return np.asarray(input[_key(input, indices, dim)])


@row
def ref_native_index_put(
    input: Array, values: Array, *indices: Array, dim: int = 0, accumulate: bool = False, wrap: bool = True
) -> Array:
    out, key = input.copy(), _key(input, indices, dim)
    if accumulate:
        np.add.at(out, key, values)
    else:
        out[key] = values
    return out


def _places(index: Array, dim: int) -> tuple[Array, ...]:
    """Coordinates of each element of the index, that along `dim` replaced by what the index says."""
    grid = list(np.indices(index.shape))
    grid[dim] = index
    return tuple(grid)


@row
def ref_gather(input: Array, index: Array, dim: int) -> Array:
    if input.ndim == 0:
        return np.broadcast_to(input, index.shape)
    return np.asarray(input[_places(index, dim)])


def _source(index: Array, src: Array) -> Array:
    return src[tuple(slice(n) for n in index.shape)]


@row
def ref_scatter(input: Array, index: Array, src: Array, dim: int) -> Array:
    out = input.copy()
    places, source = _places(index, dim), _source(index, src)
    for i in np.ndindex(index.shape):
        out[tuple(p[i] for p in places)] = source[i]
    return out


@row
def ref_scatter_add(input: Array, index: Array, src: Array, dim: int) -> Array:
    out = input.copy()
    np.add.at(out, _places(index, dim), _source(index, src))
    return out


@row
def ref_masked_fill(input: Array, mask: Array, value: float) -> Array:
    return np.where(mask, value, input)


@row
def ref_native_nonzero(input: Array, n: int) -> Array:
    if input.ndim == 0:
        return np.zeros((0, n), np.int64)
    return np.stack(np.nonzero(input))


@row
def ref_native_count_nonzero(input: Array) -> Array:
    return np.asarray(np.count_nonzero(input))


@row
def ref_native_searchsorted(
    sorted_sequence: Array, input: Array, right: bool = False, out_int32: bool = False
) -> Array:
    side: Any = "right" if right else "left"
    if sorted_sequence.ndim == 1:
        return np.asarray(np.searchsorted(sorted_sequence, input, side))
    out = np.zeros(input.shape, np.int64)
    for i in np.ndindex(input.shape[:-1]):
        out[i] = np.searchsorted(sorted_sequence[i], input[i], side)
    return out
