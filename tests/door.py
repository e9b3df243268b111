"""The table and the raw door as the tests use them: arrays in, arrays out, attributes by name."""

from __future__ import annotations

from typing import Any

import numpy as np

import trigrad as tg
from samples import ARGUMENTS, OUTPUT, default_of, derivative_of, parse
from trigrad import _core
from values import Array, Sample

TABLE: dict[str, dict[str, Any]] = {row["name"]: row for row in _core.op_table()}
PARAMS = {name: parse(row["signature"]) for name, row in TABLE.items()}
NAMES = sorted(TABLE)
FUNCTIONS = [n for n in NAMES if TABLE[n]["pointwise"] and not derivative_of(n)]  # the rows of pointwise.def
ONE_ARGUMENT = [n for n in FUNCTIONS if TABLE[n]["pointwise"]["arity"] == 1]
TWO_ARGUMENTS = [n for n in FUNCTIONS if TABLE[n]["pointwise"]["arity"] == 2]


def dtype(name: str) -> Any:
    return getattr(tg, name)


def tensor(array: Array) -> Any:
    """Shares the array's memory, whatever its strides."""
    return tg.from_numpy(array)


def attributes(name: str, given: dict[str, Any]) -> tuple[Any, ...]:
    """All attributes of the op in the order of its signature."""
    left = dict(given)
    values = []
    for p in PARAMS[name]:
        if p.is_tensor:
            continue
        value = left.pop(p.name) if p.name in left else default_of(p)
        values.append(dtype(value) if p.kind == "Type" and value is not None else value)
    assert not left, f"{name} has no attributes {sorted(left)}: {TABLE[name]['signature']}"
    return tuple(values)


def call(name: str, tensors: Any, attrs: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """Tensors (or None) through the door; always a tuple."""
    out = _core.call(name, list(tensors), attributes(name, attrs or {}))
    if TABLE[name]["updates"]:  # what it overwrote, and the gradients
        return tuple(tensors)
    return tuple(out) if isinstance(out, (tuple, list)) else (out,)


def overwrites(name: str) -> bool:
    return TABLE[name]["updates"] or name in ("copy_", "fill_", "native_batch_norm")


def inputs(name: str, sample: Sample) -> list[Any]:
    """The sample's tensors. What the op may overwrite is copied; `output` of a derivative row is computed by the op."""
    made = []
    for a in sample.tensors:
        if a is OUTPUT:
            derivative = derivative_of(name)
            assert derivative
            arguments = [t for p, t in zip(PARAMS[name], made, strict=False) if p.name in ARGUMENTS]
            made.append(call(derivative[0], arguments, sample.attrs)[0])
        elif a is None:
            made.append(None)
        else:
            made.append(tensor(np.array(a) if overwrites(name) else a))
    return made


def run(name: str, sample: Sample) -> tuple[Array | None, ...]:
    return tuple(None if t is None else t.numpy() for t in call(name, inputs(name, sample), sample.attrs))


def bits(array: Array | None) -> bytes:
    """What two equal results have in common: shape, dtype and bytes. Any NaN equals any NaN."""
    if array is None:
        return b"none"
    plain = np.ascontiguousarray(array)
    if plain.dtype.kind == "f" and np.isnan(plain).any():
        plain = plain.copy()
        plain[np.isnan(plain)] = np.nan
    return f"{array.shape}{plain.dtype}".encode() + plain.tobytes()
