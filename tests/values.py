"""The numbers that go into the tests. They come from hashing integers, so they are the same on every machine and for
ever: the golden hashes rest on them.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray
FLOATS = ("float32", "float64")
SIZES = (0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 65)
BROADCASTS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((), ()),
    ((5,), ()),
    ((), (9,)),
    ((0,), (1,)),
    ((17,), (17,)),
    ((1,), (63,)),
    ((17, 1), (1, 15)),
    ((2, 3, 5), (5,)),
    ((4, 1, 3), (2, 1)),
    ((0, 3), (3,)),
    ((33, 65), (33, 65)),
    ((33, 65), (65,)),
    ((33, 65), (33, 1)),
    ((2, 1, 3, 1, 2, 1, 2, 1), (1, 2, 1, 2, 1, 3, 1, 2)),
)


@functools.lru_cache(maxsize=256)
def hashed(n: int, key: str) -> Array:
    """n 64-bit integers, a pure function of the key (splitmix64 of a counter)."""
    with np.errstate(over="ignore"):
        z = np.arange(1, n + 1, dtype=np.uint64) + np.uint64(zlib.crc32(key.encode()) << 32)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        z.flags.writeable = False  # it is kept
        return z


def real(shape: Any, key: str, dtype: str, low: float = -2.0, high: float = 2.0) -> Array:
    """Evenly distributed reals."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    unit = (hashed(int(np.prod(shape)), key) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (low + (high - low) * unit).astype(dtype).reshape(shape)


def whole(shape: Any, key: str, dtype: str, low: int, high: int) -> Array:
    """Integers low <= i < high."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    offset = (hashed(int(np.prod(shape)), key) % np.uint64(high - low)).astype(np.int64)
    return (offset + low).astype(dtype).reshape(shape)


def truth(shape: Any, key: str) -> Array:
    return whole(shape, key, "int64", 0, 2).astype(bool)


@dataclass(frozen=True)
class Sample:
    label: str
    tensors: tuple[Array | None, ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)


def specials(t: str) -> Array:
    """Zeros, denormals, the largest and smallest normal numbers, infinities, NaN, and some in between."""
    info = np.finfo(t)
    one = [
        0.0,
        info.smallest_subnormal,
        info.tiny / 4,
        info.tiny,
        0.5,
        1.0,
        1.5,
        2.5,
        88.7,
        104.0,
        750.0,
        float(info.max),
        np.inf,
    ]
    return np.array([*one, *(-v for v in one), np.nan], dtype=t)
