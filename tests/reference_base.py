"""Where the references of all rooms are kept: reference.py says what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
REFERENCE: dict[str, Callable[..., Any]] = {}


def row(function: Callable[..., Any]) -> Callable[..., Any]:
    REFERENCE[function.__name__.removeprefix("ref_")] = function
    return function


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without numpy's warnings: overflow and NaN are results like any other here."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return run
