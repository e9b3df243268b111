"""Samples of cat, pad and the triangles."""

from __future__ import annotations

from collections.abc import Iterator

from samples_base import LARGE, of
from values import SIZES, Sample, real, whole


@of("cat")
def _cat(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n} beside 3", (real(n, "cat.a", t), real(3, "cat.b", t)))
        yield Sample(f"(5, {n}) beside (5, 2)", (real((5, n), "cat.a", t), real((5, 2), "cat.b", t)), {"dim": -1})
    yield Sample("one", (real((3, 4), "cat.a", t),), {"dim": 1})
    yield Sample("nothing beside (2, 3)", (real(0, "cat.a", t), real((2, 3), "cat.b", t)), {"dim": 1})
    yield Sample("12 of one", tuple(real((2, 1, 3), f"cat.{i}", t) for i in range(12)), {"dim": 1})
    yield Sample("int32 and real", (whole((2, 3), "cat.i", "int32", -9, 9), real((4, 3), "cat.b", t)))


LARGE["cat"] = lambda t: Sample("large", (real((523, 301), "cat.a", t), real((523, 97), "cat.b", t)), {"dim": 1})


@of("native_pad")
def _pad(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n} (2, 1)", (real(n, "pad", t),), {"pad": (2, 1), "value": 0.1})
    for pad in ((), (0, 0), (1, 2, 3, 4), (-1, 2, 0, -2), (-3, -4), (1, 0, 0, 1, 2, 2)):
        yield Sample(f"(5, 6, 7) {pad}", (real((5, 6, 7), "pad", t),), {"pad": pad, "value": -2})


LARGE["native_pad"] = lambda t: Sample("large", (real((401, 503), "pad", t),), {"pad": (3, 5, 1, 2), "value": 1.5})

for _name in ("tril", "triu"):

    @of(_name)
    def _triangle(t: str) -> Iterator[Sample]:
        for shape in ((1, 1), (5, 5), (3, 7), (7, 3), (0, 4), (4, 0), (2, 3, 4, 4)):
            for diagonal in (0, 1, -2, 100, -100):
                yield Sample(f"{shape} {diagonal}", (real(shape, "triangle", t),), {"diagonal": diagonal})

    LARGE[_name] = lambda t: Sample("large", (real((3, 401, 307), "triangle", t),), {"diagonal": 1})
