"""What cat, pad and the triangles mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_base import Array, row


@row
def ref_cat(*tensors: Array, dim: int = 0) -> Array:
    counted = [t for t in tensors if t.shape != (0,)]
    return np.concatenate(counted, axis=dim) if counted else tensors[0]


@row
def ref_native_pad(input: Array, pad: tuple[int, ...], value: float = 0.0) -> Array:
    widths = [(0, 0)] * input.ndim
    cut = [slice(None)] * input.ndim
    for k, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = input.ndim - 1 - k
        widths[axis] = (max(before, 0), max(after, 0))
        cut[axis] = slice(max(-before, 0), input.shape[axis] - max(-after, 0))
    return np.pad(input[tuple(cut)], widths, constant_values=value)


def _triangle(input: Array, keep: Any) -> Array:
    i, j = np.indices(input.shape[-2:])
    return np.where(keep(j - i), input, np.zeros((), input.dtype))


@row
def ref_tril(input: Array, diagonal: int = 0) -> Array:
    return _triangle(input, lambda offset: offset <= diagonal)


@row
def ref_triu(input: Array, diagonal: int = 0) -> Array:
    return _triangle(input, lambda offset: offset >= diagonal)
