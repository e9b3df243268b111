"""The points of a grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Point", "beyond", "checked", "log_range", "points"]

Point: TypeAlias = dict[str, Any]  # a value of each setting


def log_range(low: float, high: float, n: int) -> tuple[float, ...]:
    """n numbers from low to high, each the same factor above the one before, to 12 digits.

    >>> from trigrad.search import log_range
    >>> log_range(1e-4, 1e-1, 4)
    (0.0001, 0.001, 0.01, 0.1)
    """
    if not (math.isfinite(low) and math.isfinite(high) and low > 0 and high > 0):
        raise ValueError(f"[log_range] got {low} to {high}, expected positive numbers: 0 has no logarithm")
    if not math.isfinite(high / low):
        raise ValueError(f"[log_range] got {low} to {high}, expected a ratio that is a float")
    if isinstance(n, bool) or n < 2 or low == high:
        raise ValueError(f"[log_range] got {n} numbers from {low} to {high}, expected at least 2 that differ")
    between = (float(f"{low * (high / low) ** (k / (n - 1)):.12g}") for k in range(1, n - 1))
    return (float(low), *between, float(high))


def checked(grid: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    """The values of each setting; numbers of NumPy become Python's."""
    if not hasattr(grid, "items") or not grid:
        raise TypeError(f"[grid] param_grid is {grid!r}, expected a dict of names and values, as {{'lr': [0.01, 0.1]}}")
    made = {}
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"[grid] the values of {name} are {values!r}, expected a list of them")
        made[str(name)] = [v.item() if isinstance(v, np.generic) else v for v in values]
        if not made[name]:
            raise ValueError(f"[grid] {name} has no value, expected at least one")
        if any(isinstance(v, float) and math.isnan(v) for v in made[name]):
            raise ValueError(f"[grid] the values of {name} are {made[name]}, expected none that is NaN")
        if len({(type(v), repr(v)) for v in made[name]}) < len(made[name]):
            raise ValueError(f"[grid] the values of {name} are {made[name]}, expected each only once")
    return made


def points(grid: Mapping[str, list[Any]]) -> list[Point]:
    """All of the grid; the last setting changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def beyond(tried: Sequence[Point], best: Sequence[Point]) -> list[str]:
    """What to say of each setting whose best value is the smallest or the largest of several numbers that were tried. A best point
    inside of the grid that is as good says that there is nothing to look for; neither is there below 0."""
    said = []
    for name in tried[0]:
        values = [point[name] for point in tried]
        if not all(type(v) in (int, float) for v in values):  # no order, as of bool
            continue
        low, high = min(values), max(values)
        chosen = {point[name] for point in best}
        if low == high or len(chosen) > 1 or not chosen <= {low, high} or chosen == {0}:
            continue
        side, change = ("smallest", "smaller") if chosen == {low} else ("largest", "larger")
        said.append(
            f"[grid] the best {name} is {chosen.pop()}, the {side} of those tried ({low} to {high}): a {change} one may be "
            "better; extend the grid on that side"
        )
    return said
