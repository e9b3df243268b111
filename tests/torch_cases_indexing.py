"""Cases of reading and writing by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from torch_cases import FLOATS, Case, Draw, Shape


def length(shape: Shape, dim: int) -> int:
    return shape[dim] if -len(shape) <= dim < len(shape) else 1


def smaller(d: Draw, shape: Shape, dim: int) -> Shape:
    """What an index of gather may be shaped: no longer than the input but along the axis."""
    found = [max(0, n - d.pick(0, 0, 1)) for n in shape]
    if found:
        found[dim if -len(shape) <= dim < len(shape) else 0] = d.pick(0, 1, 2, 5, 17)
    return tuple(found)


def gather(d: Draw) -> list[Any]:
    x, dim = d.x(0, 3), d.dim()
    return [x, dim, d.index(smaller(d, x.shape, dim), length(x.shape, dim))]


def scatter_add(d: Draw) -> list[Any]:
    x, dim = d.x(0, 3, finite=True), d.dim()
    shape = smaller(d, x.shape, dim)
    return [x, dim, d.index(shape, length(x.shape, dim)), d.same(shape, finite=True)]


def index_select(d: Draw) -> list[Any]:
    x, dim = d.x(0, 3), d.dim()
    return [x, dim, d.index(d.pick((0,), (1,), (5,), (17,), ()), length(x.shape, dim), dtypes=("int64", "int32"))]


def index_add(d: Draw) -> list[Any]:
    x, dim = d.x(0, 3, finite=True), d.dim()
    n = d.pick(0, 1, 5, 17)
    shape = list(x.shape)
    if shape:
        shape[dim if -x.ndim <= dim < x.ndim else 0] = n
    return [x, dim, d.index((n,), length(x.shape, dim)), d.same(tuple(shape), finite=True), d.keywords(alpha=(2, -3))]


def take_along_dim(d: Draw) -> list[Any]:
    x, dim = d.x(1, 3), d.dim()
    if d.integer(0, 3) == 0:
        return [x, d.index(d.pick((0,), (5,)), x.size)]
    shape = [n if d.flag() else 1 for n in x.shape]
    shape[dim if -x.ndim <= dim < x.ndim else 0] = d.pick(0, 1, 5)
    return [x, d.index(tuple(shape), length(x.shape, dim)), dim]


def embedding(d: Draw) -> list[Any]:
    weight = d.x(2, 2, FLOATS, least=1)
    options = d.keywords(padding_idx=(0, -1))
    return [d.index(d.shape(0, 2), weight.shape[0], dtypes=("int64", "int32")), weight, options]


def one_hot(d: Draw) -> list[Any]:
    low = -1 if d.rarely() else 0
    x = d.x(0, 2, ("int64", "int64", "int32"), span=(low, 5))
    return [x, *d.pick((), (5,), (7,), (-1,), (3,))]


def index_of(d: Draw, shape: Shape) -> Any:
    """Integers, slices, None, Ellipsis, masks, index arrays and lists, mixed."""
    entries: list[Any] = []
    left = list(shape)
    arrays = d.pick((), (1,), (3,), (2, 3), (1, 3))
    while left and d.integer(0, 4):
        n = left[0]
        kind = d.pick("int", "slice", "slice", "array", "none", "list", "mask", "0-d")
        if kind == "none":
            if not any(e is None for e in entries):
                entries.append(None)
            continue
        left.pop(0)
        if kind == "slice":
            ends = (None, 0, 1, 2, n, -1, -n, n + 2, -n - 2)
            entries.append(slice(d.pick(*ends), d.pick(*ends), d.pick(None, 1, 2, 3)))
        elif kind == "int" or (n == 0 and kind != "mask"):
            entries.append(d.integer(-n, n) if d.rarely() or n == 0 else d.integer(-n, n - 1))
        elif kind == "array":
            entries.append(d.index(arrays, n, negative=True, dtypes=("int64", "int64", "int32")))
        elif kind == "0-d":
            entries.append(d.index((), n, negative=True))
        elif kind == "list":
            entries.append([d.integer(-n, n - 1) for _ in range(arrays[-1] if arrays else 1)])
        elif kind == "mask":
            both = d.flag() and left
            entries.append(d.mask((n, left.pop(0)) if both else (n + d.rarely(),)))
    if d.integer(0, 3) == 0:
        entries.insert(d.integer(0, len(entries)), Ellipsis)
    if len(entries) == 1 and d.flag():
        return entries[0]
    return tuple(entries)


def getitem(d: Draw) -> list[Any]:
    x = d.x()
    return [x, index_of(d, x.shape)]


def index_put(d: Draw) -> list[Any]:
    x = d.x(1, 3, least=1, finite=True)
    shape = d.pick((1,), (5,), (2, 3))
    indices = tuple(d.index(shape, n, negative=True) for n in x.shape[: d.integer(1, x.ndim)])
    source = d.same(d.broadcast(shape + x.shape[len(indices) :]), finite=True)
    accumulate = d.flag()
    places = np.stack([np.broadcast_to(i, shape).ravel() % n for i, n in zip(indices, x.shape, strict=False)])
    if not accumulate and len(np.unique(places, axis=1).T) < places.shape[1]:
        source = np.full_like(source, source.flat[0] if source.size else 0)  # which one stays, torch leaves open
    return [x, indices, source, *((True,) if accumulate else ())]


def where_true(d: Draw) -> list[Any]:
    return [d.x(span=(0, 2)), d.keywords(as_tuple=(True, False))]


CASES = [
    Case("gather", gather),
    Case("scatter_add", scatter_add),
    Case("index_select", index_select),
    Case("index_add", index_add),
    Case("take_along_dim", take_along_dim),
    Case("masked_select", lambda d: [d.x(), d.mask(d.broadcast(d.last.shape))]),
    Case("nonzero", where_true),
    Case("embedding", embedding, torch="nn.functional.embedding"),
    Case("one_hot", one_hot, torch="nn.functional.one_hot"),
    Case("__getitem__", getitem, method=False),
    Case("index_put", index_put),
]


def written(d: Draw) -> tuple[np.ndarray, Any, Any]:
    """For x[index] = value: x, the index, and a value that mostly fits what x[index] is."""
    x = d.x(finite=True)
    index = index_of(d, x.shape)
    if d.flag():
        return x, index, d.number()
    try:
        shape = x[index].shape
    except IndexError:
        shape = (1,)
    return x, index, d.same(d.broadcast(shape), finite=True)
