"""Samples at which a row is smooth, so that finite differences say what its gradient is."""

from __future__ import annotations

from typing import Any

import numpy as np

import trigrad as tg
from door import TABLE, call
from samples import samples
from values import Sample

MOST = 400  # elements of a sample

# Inputs that a row reads but has no gradient for, as in torch; and those that are functions of others, whose share is
# counted in the gradients of those.
CONSTANTS = {
    "native_batch_norm": {1, 2},
    "native_cross_entropy": {2},
    "cross_entropy_backward": {3, 4, 5},
    "batch_norm_backward": {2, 3},
    "layer_norm_backward": {2, 3},
}
DISTINCT = {"amax", "amin", "native_sort", "native_topk", "native_kthvalue"}  # not smooth where two values are equal


def dependents(name: str, sample: Sample) -> Sample:
    """Inputs that are functions of others, computed from them."""
    tensors = list(sample.tensors)
    if name == "cross_entropy_backward":
        made = call(
            "native_cross_entropy",
            [None if tensors[k] is None else tg.from_numpy(np.array(tensors[k])) for k in (1, 2, 5)],
            sample.attrs,
        )
        tensors[3], tensors[4] = made[1].numpy(), made[2].numpy()
    elif name == "batch_norm_backward":
        made = call(
            "native_batch_norm", [tg.from_numpy(np.array(tensors[1])), None, None, None, None], {"training": True}
        )
        tensors[2], tensors[3] = made[1].numpy(), made[2].numpy()
    elif name == "layer_norm_backward":
        x = tg.from_numpy(np.array(tensors[1]))
        made = call("native_layer_norm", [x, None, None], {"normalized_shape": sample.attrs["normalized_shape"]})
        tensors[2], tensors[3] = made[1].numpy(), made[2].numpy()
    return Sample(sample.label, tuple(tensors), sample.attrs)


def floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def is_smooth(name: str, sample: Sample) -> bool:
    arrays = [a for a in sample.tensors if floating(a)]
    if not all(np.isfinite(a).all() for a in arrays):
        return False
    if name in DISTINCT:
        return arrays[0].size < 2 or np.diff(np.sort(arrays[0].reshape(-1))).min() > 2.0**-12
    if name == "native_index_put" and not sample.attrs.get(
        "accumulate", False
    ):  # what is written twice has no gradient
        x, _, *places = sample.tensors
        attrs = {**sample.attrs, "accumulate": True}
        counts = call(name, [tg.zeros(x.shape), tg.ones(()), *(tg.from_numpy(np.array(p)) for p in places)], attrs)[0]
        return counts.numel() == 0 or float(tg.max(counts)) <= 1
    if name == "scatter":
        x, places, _ = sample.tensors
        counts = call(
            "scatter_add", [tg.zeros(x.shape), tg.from_numpy(np.array(places)), tg.ones(places.shape)], sample.attrs
        )[0]
        return counts.numel() == 0 or float(tg.max(counts)) <= 1
    return True


def small_samples(name: str) -> list[Sample]:
    found = []
    for sample in samples(TABLE[name], "float64"):
        arrays = [a for a in sample.tensors if isinstance(a, np.ndarray)]
        if sum(a.size for a in arrays) <= MOST and any(map(floating, arrays)) and is_smooth(name, sample):
            found.append(dependents(name, sample))
    return found
