"""Random numbers for generators of events, in chunks of one size, so that a longer sample begins with a shorter one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import _core, ops
from trigrad._core import Tensor, float64
from trigrad._random import Generator, rand, randn

__all__ = ["Chance", "events", "wanted"]

Array: TypeAlias = NDArray[Any]
CHUNK = 1024  # events that are drawn at once; part of what a seed means


class Chance:
    """Draws in float64, each of another step of the generator."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def uniform(self, *shape: int) -> Tensor:
        """0 <= x < 1"""
        return rand(*shape, generator=self._generator, dtype=float64)

    def normal(self, *shape: int) -> Tensor:
        """Mean 0, deviation 1."""
        return randn(*shape, generator=self._generator, dtype=float64)

    def log_uniform(self, low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
        """From low to high, each factor alike."""
        start = ops.log(low) if isinstance(low, Tensor) else np.log(low)
        end = ops.log(high) if isinstance(high, Tensor) else np.log(high)
        return ops.exp(self.uniform(*shape) * (end - start) + start)

    def classes(self, k: int, n: int) -> Tensor:
        """k kinds, equally often: (n,) as 0.0 to k - 1.0"""
        return ops.floor(self.uniform(n) * k)


def wanted(what: str, n: Any, least: int = 1) -> int:
    """How many events."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
        raise ValueError(f"[{what}] n is {n!r}, expected a number of events, at least {least}")
    return int(n)


def events(n: int, seed: int, make: Callable[[Chance, int], tuple[Tensor, Tensor]]) -> tuple[Array, Array]:
    """X (n, features) float32 and y (n,) of `make(chance, CHUNK)`, called as often as needed."""
    if _core.is_recording():
        raise RuntimeError(
            "[data] a compiled function cannot make events; make them outside, and pass them as arguments"
        )
    generator = Generator().manual_seed(seed)

    def chunks() -> Iterator[tuple[Array, Array]]:
        for _ in range(0, n, CHUNK):
            x, y = make(Chance(generator), CHUNK)
            yield np.asarray(x.float().numpy()), np.asarray(y.numpy())

    made = list(chunks())
    return np.concatenate([x for x, _ in made])[:n], np.concatenate([y for _, y in made])[:n]
