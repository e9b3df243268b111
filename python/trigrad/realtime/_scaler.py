"""What is done to an event before the model sees it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import numpy

from trigrad._core import Tensor
from trigrad._creation import as_tensor

__all__ = ["Features", "Scaler"]

Features: TypeAlias = "float | list[float] | numpy.ndarray[Any, Any] | Tensor"


@dataclass(frozen=True, eq=False)
class Scaler:
    """(clamp(x, low, high) - offset) · scale per feature, in float32: numbers for all features, or one each.

    `nan` says what becomes of a NaN: "keep" hands it to the model, "refuse" makes the call raise, a number takes its place.

    >>> import trigrad as tg
    >>> tg.realtime.Scaler(offset=[0.5, 1.0], scale=2.0, nan="refuse").nan
    'refuse'
    """

    offset: Features = 0.0
    scale: Features = 1.0
    low: Features = -numpy.inf
    high: Features = numpy.inf
    nan: Literal["keep", "refuse"] | float = "keep"

    def constants(self, features: int) -> list[numpy.ndarray[Any, Any]]:
        """What replaces a NaN, low, high, offset and scale: float32 (features,) each."""
        policy: Any = self.nan
        if policy is None or (isinstance(policy, str) and policy not in ("keep", "refuse")):
            raise ValueError(f"[Scaler] nan is {policy!r}, expected 'keep', 'refuse' or a number")
        fill = numpy.nan if isinstance(policy, str) else policy
        made = []
        for name, given in (("nan", fill), *((n, getattr(self, n)) for n in ("low", "high", "offset", "scale"))):
            value = numpy.asarray(given.cpu().numpy() if isinstance(given, Tensor) else given, dtype=numpy.float32)
            if value.shape not in ((), (1,), (features,)):
                raise ValueError(
                    f"[Scaler] {name} has shape {value.shape}, expected one number or one for each of {features} features"
                )
            made.append(numpy.ascontiguousarray(numpy.broadcast_to(value, (features,))))
        for name, value in (("offset", made[3]), ("scale", made[4])):
            if not numpy.isfinite(value).all():
                raise ValueError(
                    f"[Scaler] {name} is {value[~numpy.isfinite(value)][0]} for a feature, expected finite numbers; "
                    "the scale of a feature that never varies is 1"
                )
        if not (made[1] <= made[2]).all():
            raise ValueError("[Scaler] low is above high, or one of them is NaN")
        return made

    def _saved(self) -> dict[str, Any]:
        """What a file holds of it (_saving.py): arrays as tensors."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: value if isinstance(value, (str, float, int)) else as_tensor(value) for name, value in held.items()
        }

    @classmethod
    def _restored(cls, parts: dict[str, Any]) -> Scaler:
        """The same, out of a file."""
        if set(parts) != {f.name for f in fields(cls)}:
            raise ValueError(f"it has {sorted(map(str, parts))}, expected {[f.name for f in fields(cls)]}")
        made = cls(**parts)
        made.constants(max((n.numel() for n in parts.values() if isinstance(n, Tensor)), default=1))
        return made

    def changes(self, constants: list[numpy.ndarray[Any, Any]]) -> bool:
        """Does it do anything but refuse?"""
        nothing = (numpy.nan, -numpy.inf, numpy.inf, 0, 1)
        return not all(
            numpy.array_equal(c, numpy.full(c.shape, n), True) for c, n in zip(constants, nothing, strict=True)
        )
