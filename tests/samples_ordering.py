"""Samples of sorts, selections and scans."""

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
