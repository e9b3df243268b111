"""Samples of sorts, selections, scans and layer normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from samples_base import LARGE, SAMPLES, of
from values import SIZES, Array, Sample, real, specials, whole

# shape, dim
LINES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((), 0),
    *(((n,), 0) for n in (*SIZES, 100, 300)),
    *(((3, n), 1) for n in SIZES),
    *(((n, 3), 0) for n in SIZES),
    ((4, 5, 6), 1),
    ((2, 100, 3), -2),
    ((4, 1, 6), 1),
    ((5, 300), 1),
)
EDGE = 5000  # elements of a line that is sorted by its digits


def mixed(n: int, key: str, t: str) -> Array:
    """Equal values, zeros of both signs, infinities and NaN among others."""
    x = whole(n, key, t, -20, 20)
    some = specials(t)
    x[::7] = some[np.arange(len(x[::7])) % len(some)]
    return np.asarray(np.where(x == 3, np.array(-0.0, t), x))


def _lines(name: str, choices: tuple[dict[str, Any], ...]) -> None:
    def maker(t: str) -> Iterator[Sample]:
        for shape, dim in LINES:
            n = shape[dim] if shape else 1
            for choice in choices:
                attrs = {"dim": dim, **choice}
                if "k" in attrs and attrs["k"] is not None:
                    attrs["k"] = min(attrs["k"], n)
                if n == 0 and name == "native_kthvalue":
                    continue
                label = " ".join(f"{k}={v}" for k, v in {**attrs, **choice}.items())
                yield Sample(f"{shape} {label}", (real(shape, name, t),), attrs)
        for n in (17, 65, 200, EDGE):
            for choice in choices:
                if (choice.get("k") or 1) <= n:
                    label = " ".join(f"{k}={v}" for k, v in choice.items())
                    yield Sample(f"mixed {n} {label}", (mixed(n, name, t),), {"dim": 0, **choice})

    SAMPLES[name] = maker


_lines("native_sort", ({}, {"descending": True}))
_lines("native_topk", ({"k": 1}, {"k": 5}, {"k": 5, "largest": False}, {"k": 40}, {"k": 0}))
_lines("native_kthvalue", ({}, {"k": 1}, {"k": 7, "keepdim": True}, {"skip_nan": True}))
LARGE["native_sort"] = lambda t: Sample("large", (mixed(70_001, "sort", t),), {"dim": 0})
LARGE["native_topk"] = lambda t: Sample("large", (real((3, 70_001), "topk", t),), {"k": 30, "dim": 1})
LARGE["native_kthvalue"] = lambda t: Sample("large", (real((70_001, 2), "kth", t),), {"k": 30_000, "dim": 0})


def _scans(name: str, low: float, high: float) -> None:
    @of(name)
    def _(t: str) -> Iterator[Sample]:
        for shape, dim in LINES:
            yield Sample(f"{shape} dim={dim}", (real(shape, name, t, low, high),), {"dim": dim})
        yield Sample("as float64", (real((5, 7), name, t, low, high),), {"dim": 1, "dtype": "float64"})

    LARGE[name] = lambda t: Sample("large", (real((300, 1201), name, t, low, high),), {"dim": 0})


_scans("cumsum", -2, 2)
_scans("cumprod", 0.9, 1.1)


# ---------------------------------------------------------------- layer normalisation

# shape of the input, then how many of its axes are normalised
ROWS = (
    *(((3, n), 1) for n in SIZES if n),
    *(((n, 5), 1) for n in (1, 15, 17, 65, 130)),
    ((7, 127), 1),
    ((7, 128), 1),
    ((7, 129), 1),
    ((3, 1100), 1),
    ((33,), 1),
    ((2, 3, 4, 5), 1),
    ((2, 3, 4, 5), 2),
    ((2, 3, 4, 5), 4),
    ((0, 5), 1),
)


def _row_norm(shape: tuple[int, ...], axes: int, t: str) -> tuple[tuple[Array, ...], tuple[int, ...]]:
    last = shape[len(shape) - axes :]
    return (real(shape, "ln.x", t, -1, 3), real(last, "ln.w", t), real(last, "ln.b", t)), last


@of("native_layer_norm")
def _layer_norm(t: str) -> Iterator[Sample]:
    for shape, axes in ROWS:
        (x, w, b), last = _row_norm(shape, axes, t)
        yield Sample(f"{shape} {axes}", (x, w, b), {"normalized_shape": last, "eps": 0.01})
        yield Sample(f"{shape} {axes} bare", (x, None, None), {"normalized_shape": last, "eps": 0.01})
    (x, w, b), last = _row_norm((9, 20), 1, t)
    yield Sample("default eps", (x, w, None), {"normalized_shape": last})
    yield Sample("bias alone", (x, None, b), {"normalized_shape": last})


LARGE["native_layer_norm"] = lambda t: Sample("large", _row_norm((900, 300), 1, t)[0], {"normalized_shape": (300,)})


def _row_norm_backward(shape: tuple[int, ...], axes: int, t: str, weighted: bool) -> Sample:
    (x, w, _), last = _row_norm(shape, axes, t)
    rows = (*shape[: len(shape) - axes], *([1] * axes))
    tensors = real(shape, "ln.g", t), x, real(rows, "ln.m", t), real(rows, "ln.r", t, 0.5, 2), w if weighted else None
    return Sample(f"{shape} {axes}{' bare' * (not weighted)}", tensors, {"normalized_shape": last})


@of("layer_norm_backward")
def _layer_norm_backward(t: str) -> Iterator[Sample]:
    for shape, axes in ROWS:
        yield _row_norm_backward(shape, axes, t, weighted=True)
        yield _row_norm_backward(shape, axes, t, weighted=False)


LARGE["layer_norm_backward"] = lambda t: _row_norm_backward((4500, 70), 1, t, weighted=True)
