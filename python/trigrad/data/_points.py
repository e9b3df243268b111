"""Points in the plane: the sets of the TensorFlow Playground, and red and blue ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from trigrad import ops
from trigrad._core import Tensor
from trigrad._shaping import stack
from trigrad.data._drawing import Chance, events, wanted
from trigrad.data._table import Table

__all__ = ["playground", "red_blue"]

Kind = Literal["circle", "xor", "gauss", "spiral", "plane", "bumps"]


def _sign(y: Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
    return stack([x0, x1], 1), y.long()


def _circle(chance: Chance, n: int, noise: float) -> tuple[Tensor, Tensor]:
    """Class 1 within half of the radius 5, class 0 in a ring outside; noise decides who is where."""
    inner = chance.uniform(n) < 0.5
    u = chance.uniform(n)
    r, angle = 5 * ops.where(inner, 0.5 * u, 0.7 + 0.3 * u), chance.uniform(n) * (2 * math.pi)
    x0, x1 = r * ops.sin(angle), r * ops.cos(angle)
    n0, n1 = ((chance.uniform(n) * 2 - 1) * (5 * noise) for _ in range(2))
    y = ops.square(x0 + n0) + ops.square(x1 + n1) < 2.5**2
    return _sign(y, x0, x1)


def _xor(chance: Chance, n: int, noise: float) -> tuple[Tensor, Tensor]:
    """Class 1 where both coordinates have one sign; a gap of 0.3 along the axes."""
    x0, x1 = (chance.uniform(n) * 10 - 5 for _ in range(2))
    x0, x1 = (x + ops.where(x > 0, 0.3, -0.3) for x in (x0, x1))
    n0, n1 = ((chance.uniform(n) * 2 - 1) * (5 * noise) for _ in range(2))
    return _sign((x0 + n0) * (x1 + n1) >= 0, x0, x1)


def _gauss(chance: Chance, n: int, noise: float) -> tuple[Tensor, Tensor]:
    """Class 1 around (2, 2), class 0 around (-2, -2), of variance 0.5 to 4."""
    y = chance.uniform(n) < 0.5
    centre = ops.where(y, 2.0, -2.0)
    width = math.sqrt(0.5 + 7 * noise)
    return _sign(y, centre + width * chance.normal(n), centre + width * chance.normal(n))


def _spiral(chance: Chance, n: int, noise: float) -> tuple[Tensor, Tensor]:
    """Two arms: r = 5 s, t = 1.75 · 2π s + Δ, (r sin t, r cos t), s from 0 to 1; Δ = 0 for class 1, π for class 0."""
    y = chance.uniform(n) < 0.5
    s = chance.uniform(n)
    t = s * (1.75 * 2 * math.pi) + ops.where(y, 0.0, math.pi)
    n0, n1 = ((chance.uniform(n) * 2 - 1) * noise for _ in range(2))
    return _sign(y, 5 * s * ops.sin(t) + n0, 5 * s * ops.cos(t) + n1)


def _plane(chance: Chance, n: int, noise: float) -> tuple[Tensor, Tensor]:
    """y = (x0 + x1) / 10"""
    x0, x1 = (chance.uniform(n) * 12 - 6 for _ in range(2))
    n0, n1 = ((chance.uniform(n) * 2 - 1) * (6 * noise) for _ in range(2))
    return stack([x0, x1], 1), (x0 + n0 + x1 + n1) / 10


BUMPS = ((-4.0, 2.5, 1.0), (0.0, 2.5, -1.0), (4.0, 2.5, 1.0), (-4.0, -2.5, -1.0), (0.0, -2.5, 1.0), (4.0, -2.5, -1.0))


def _bumps(chance: Chance, n: int, noise: float) -> tuple[Tensor, Tensor]:
    """Six cones of radius 2, up and down: y is that of the steepest."""
    x0, x1 = (chance.uniform(n) * 12 - 6 for _ in range(2))
    n0, n1 = ((chance.uniform(n) * 2 - 1) * (6 * noise) for _ in range(2))
    y = ops.mul(x0, 0.0)
    for c0, c1, sign in BUMPS:
        distance = ops.sqrt(ops.square(x0 + n0 - c0) + ops.square(x1 + n1 - c1))
        height = sign * ops.clamp(1 - distance / 2, 0.0, 1.0)
        y = ops.where(ops.abs(height) > ops.abs(y), height, y)
    return stack([x0, x1], 1), y


KINDS: dict[str, Callable[[Chance, int, float], tuple[Tensor, Tensor]]] = {
    "circle": _circle,
    "xor": _xor,
    "gauss": _gauss,
    "spiral": _spiral,
    "plane": _plane,
    "bumps": _bumps,
}


def playground(kind: Kind, n: int = 500, noise: float = 0.0, seed: int = 0) -> Table:
    """The sets of the TensorFlow Playground: "circle", "xor", "gauss" and "spiral" of two classes, the regressions "plane" and
    "bumps". `noise` is 0 to 0.5, as on the page. X (n, 2), y (n,).

    >>> import trigrad as tg
    >>> tg.data.playground("spiral", 300, noise=0.1)
    <playground spiral, noise 0.1, seed 0: 300 events, 2 features, 2 classes -1 1>
    """
    if kind not in KINDS:
        raise ValueError(f"[playground] got {kind!r}, expected one of {', '.join(KINDS)}")
    if not 0 <= noise <= 0.5:
        raise ValueError(f"[playground] noise is {noise!r}, expected 0 to 0.5")
    X, y = events(wanted("playground", n), seed, lambda chance, k: KINDS[kind](chance, k, noise))
    classes = ("-1", "1") if kind not in ("plane", "bumps") else ()
    return Table(
        X,
        y if classes else y.astype("float32"),
        ("x1", "x2"),
        classes,
        f"playground {kind}",
        f"noise {noise:g}, seed {seed}",
        facts={"origin": "made by trigrad.data.playground"},
    )


def red_blue(n: int = 1000, dimensions: int = 2, distance: float = 2.0, seed: int = 0) -> Table:
    """Red and blue points x1, x2, ...: two normal clouds whose centres are `distance` deviations apart, so that no model is
    right more often than Φ(distance / 2). X (n, dimensions), y (n,).

    >>> import trigrad as tg
    >>> points = tg.data.red_blue(4000, dimensions=3)
    >>> right = (points.X.sum(1) > 0) == (points.y == 1)
    >>> bool(abs(right.mean() - 0.8413) < 0.02)
    True
    """
    n, dimensions = wanted("red_blue", n), wanted("red_blue", dimensions)
    away = distance / 2 / math.sqrt(dimensions)

    def make(chance: Chance, k: int) -> tuple[Tensor, Tensor]:
        y = chance.classes(2, k)
        return chance.normal(k, dimensions) + ((y * 2 - 1) * away).reshape(-1, 1), y.long()

    X, y = events(n, seed, make)
    return Table(
        X,
        y,
        tuple(f"x{k + 1}" for k in range(dimensions)),
        ("blue", "red"),
        "red/blue points",
        f"{dimensions} dimension{'s' * (dimensions != 1)}, {distance:g} apart, seed {seed}",
        target="colour",
        facts={"origin": "made by trigrad.data.red_blue"},
    )
