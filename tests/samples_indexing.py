"""Samples of the rows that read and write by index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samples_base import LARGE, of
from values import SIZES, Array, Sample, real, truth, whole

Shape = tuple[int, ...]

# shape of the input, dim, shapes of the index tensors
SELECTIONS: tuple[tuple[Shape, int, tuple[Shape, ...]], ...] = (
    *(((7,), 0, ((n,),)) for n in SIZES),
    *(((7, n), 0, ((9,),)) for n in (0, 1, 2, 3, 4, 5, 16, 17, 65, 130)),
    *(((5, n), 1, ((6,),)) for n in (1, 7, 33)),
    ((3, 5, 7), 1, ((4, 2),)),
    ((3, 5, 7), -1, ((4, 2),)),
    ((3, 5, 7), 0, ((),)),
    ((3, 5, 7), 0, ((17,), (17,))),
    ((3, 5, 7), 1, ((4, 1), (3,))),
    ((3, 5, 7), 0, ((4, 1), (3,), ())),
    ((2, 3, 4, 5, 2), 2, ((6,), (3, 1))),
    ((0, 3), 0, ((0,),)),
)


def _index(shape: Shape, length: int, key: str) -> Array:
    """Positive and negative places."""
    return whole(shape, f"index.{key}", "int64", -length, length) if length else np.zeros(shape, np.int64)


def _indices(shape: Shape, dim: int, of_indices: tuple[Shape, ...]) -> list[Array]:
    first = dim % len(shape)
    return [_index(s, shape[first + k], str(k)) for k, s in enumerate(of_indices)]


def _selected(shape: Shape, dim: int, of_indices: tuple[Shape, ...]) -> Shape:
    first = dim % len(shape)
    return shape[:first] + np.broadcast_shapes(*of_indices) + shape[first + len(of_indices) :]


@of("native_index")
def _native_index(t: str) -> Iterator[Sample]:
    for shape, dim, indices in SELECTIONS:
        yield Sample(
            f"{shape} dim={dim} {indices}", (real(shape, "x", t), *_indices(shape, dim, indices)), {"dim": dim}
        )


LARGE["native_index"] = lambda t: Sample(
    "large", (real((503, 67), "x", t), whole(20_011, "index", "int64", -503, 503)), {}
)


@of("native_index_put")
def _native_index_put(t: str) -> Iterator[Sample]:
    for shape, dim, indices in SELECTIONS:
        x, places = real(shape, "x", t), _indices(shape, dim, indices)
        values = real(_selected(shape, dim, indices), "values", t)
        for accumulate in (False, True):
            yield Sample(
                f"{shape} dim={dim} {indices}{' add' * accumulate}",
                (x, values, *places),
                {"dim": dim, "accumulate": accumulate},
            )
    x, places = real((5, 7), "x", t), _indices((5, 7), 0, ((9,),))
    for values in (real((), "values", t), real((7,), "values", t), real((9, 1), "values", t)):
        for accumulate in (False, True):
            yield Sample(
                f"values {values.shape}{' add' * accumulate}", (x, values, *places), {"accumulate": accumulate}
            )


LARGE["native_index_put"] = lambda t: Sample(
    "large",
    (real(1009, "x", t), real(200_003, "values", t), whole(200_003, "index", "int64", -1009, 1009)),
    {"accumulate": True},
)

# shapes of input and index, dim
ELEMENTS: tuple[tuple[Shape, Shape, int], ...] = (
    *(((7,), (n,), 0) for n in SIZES),
    *(((5, 9), (n, 9), 0) for n in (1, 2, 8, 17)),
    *(((5, 9), (5, n), 1) for n in (0, 1, 2, 8, 17)),
    ((5, 9), (3, 4), -1),
    ((3, 5, 7), (3, 6, 7), 1),
    ((3, 5, 7), (2, 6, 5), -2),
    ((), (), 0),
    ((), (3,), -1),
)


def _element_index(input: Shape, index: Shape, dim: int) -> Array:
    return whole(index, "places", "int64", 0, input[dim] if input else 1)


@of("gather")
def _gather(t: str) -> Iterator[Sample]:
    for shape, index, dim in ELEMENTS:
        yield Sample(
            f"{shape} {index} dim={dim}",
            (real(shape, "x", t), _element_index(shape, index, dim)),
            {"dim": dim},
        )


LARGE["gather"] = lambda t: Sample(
    "large", (real((301, 403), "x", t), whole((301, 507), "places", "int64", 0, 403)), {"dim": 1}
)


@of("scatter")
@of("scatter_add")
def _scatter(t: str) -> Iterator[Sample]:
    for shape, index, dim in ELEMENTS:
        if not shape:
            continue
        for more in (0, 1):  # src may be longer than the index
            src = tuple(n + more for n in index)
            yield Sample(
                f"{shape} {index} dim={dim}{' longer src' * more}",
                (real(shape, "x", t), _element_index(shape, index, dim), real(src, "src", t)),
                {"dim": dim},
            )


LARGE["scatter"] = lambda t: Sample(
    "large",
    (real((301, 103), "x", t), whole((301, 207), "places", "int64", 0, 103), real((301, 207), "src", t)),
    {"dim": 1},
)
LARGE["scatter_add"] = lambda t: Sample(
    "large",
    (real((103, 301), "x", t), whole((507, 301), "places", "int64", 0, 103), real((507, 301), "src", t)),
    {"dim": 0},
)


@of("masked_fill")
def _masked_fill(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n}", (real(n, "x", t), truth(n, "mask")), {"value": 0.5})
    for shape, mask in (((5, 7), (7,)), ((5, 7), (5, 1)), ((7,), (5, 1)), ((5, 7), ())):
        yield Sample(f"{shape} {mask}", (real(shape, "x", t), truth(mask, "mask")), {"value": -3})


LARGE["masked_fill"] = lambda t: Sample("large", (real((211, 1003), "x", t), truth((1003,), "mask")), {"value": 1.5})


def _sparse(shape: Shape, t: str, key: str) -> Array:
    return real(shape, key, t) * truth(shape, key + ".mask")


@of("native_nonzero")
def _nonzero(t: str) -> Iterator[Sample]:
    for shape in (*((n,) for n in SIZES), (), (5, 7), (3, 0, 2), (2, 3, 5), (1, 33, 1), (2, 3, 2, 2, 3)):
        x = _sparse(shape, t, "nonzero")
        yield Sample(f"{shape}", (x,), {"n": int(np.count_nonzero(x))})
    yield Sample("all", (real((7, 9), "x", t, 1, 2),), {"n": 63})
    yield Sample("nan", (np.array([0, np.nan, -0.0, 1], t),), {"n": 2})


def _large_nonzero(t: str) -> Sample:
    x = _sparse((307, 1003), t, "nonzero")
    return Sample("large", (x,), {"n": int(np.count_nonzero(x))})


LARGE["native_nonzero"] = _large_nonzero


@of("native_count_nonzero")
def _count_nonzero(t: str) -> Iterator[Sample]:
    for shape in (*((n,) for n in SIZES), *((n, 11) for n in range(100)), (), (2, 3, 5), (5000,)):
        yield Sample(f"{shape}", (_sparse(shape, t, "nonzero"),))


LARGE["native_count_nonzero"] = lambda t: Sample("large", (_sparse((307, 2003), t, "nonzero"),))


@of("native_searchsorted")
def _searchsorted(t: str) -> Iterator[Sample]:
    eighths = 0.125  # so that some values are met exactly
    for n in (0, 1, 2, 3, 7, 8, 15, 16, 17, 65):
        row = np.sort(whole(n, "row", t, -16, 16) * np.array(eighths, t))
        for right in (False, True):
            yield Sample(
                f"{n}{' right' * right}",
                (row, whole((3, 11), "values", t, -18, 18) * np.array(eighths, t)),
                {"right": right, "out_int32": n % 2 == 0},
            )
    rows = np.sort(whole((3, 2, 9), "row", t, -9, 9), axis=-1)
    yield Sample("batched", (rows, whole((3, 2, 5), "values", t, -9, 9)), {"right": True})
    nan = np.array([-np.inf, 0, 1, np.inf, np.nan, np.nan], t)
    for right in (False, True):
        yield Sample(f"nan{' right' * right}", (nan, nan), {"right": right})


LARGE["native_searchsorted"] = lambda t: Sample(
    "large", (np.sort(real(1003, "row", t)), real((101, 503), "values", t)), {"right": True}
)
