"""Parameters of estimators, checked when they are fitted, as scikit-learn does."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from trigrad._device import device as Device
from trigrad._device import get_default_device

__all__ = ["at_least", "choice", "device_of", "fraction"]


def _refuse(model: Any, name: str, expected: str) -> ValueError:
    return ValueError(
        f"The {name!r} parameter of {type(model).__name__} must be {expected}. Got {getattr(model, name)!r} instead."
    )


def choice(model: Any, **allowed: tuple[Any, ...]) -> None:
    """Each parameter is one of these."""
    for name, values in allowed.items():
        value = getattr(model, name)
        if not any(value is v or (isinstance(value, str) and value == v) for v in values):
            raise _refuse(model, name, f"one of {', '.join(map(repr, values))}")


def _number(value: Any, whole: bool = False) -> bool:
    kind = Integral if whole else Real
    return isinstance(value, (kind, np.integer if whole else np.number)) and not isinstance(value, (bool, np.bool_))


def at_least(model: Any, least: float, *names: str, whole: bool = False, above: bool = False) -> None:
    """Each is a number, `least` or more (more than it: `above`)."""
    for name in names:
        value = getattr(model, name)
        if not _number(value, whole) or not (value > least if above else value >= least):
            raise _refuse(
                model, name, f"{'a whole number' if whole else 'a number'} {'above' if above else 'from'} {least}"
            )


def fraction(model: Any, *names: str, top: bool = False) -> None:
    """Each is from 0 to 1, without 1 unless `top`."""
    for name in names:
        value = getattr(model, name)
        if not _number(value) or not 0 <= value <= 1 or (value == 1 and not top):
            raise _refuse(model, name, f"a number from 0 to 1{'' if top else ', below 1'}")


def device_of(model: Any) -> Device:
    """Where it computes."""
    if model.device is None:
        return get_default_device()
    try:
        return Device(model.device)
    except (RuntimeError, TypeError):
        raise _refuse(model, "device", "None, 'cpu', 'cuda' or for instance 'cuda:1'") from None
