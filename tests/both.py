"""One program in trigrad and in PyTorch: the same value and as many warnings, or an error of the same type."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

Program = Callable[[Any], Any]


class Cases(dict[str, Program]):
    """Programs by name; a decorator, for those that are functions."""

    def __call__(self, program: Program) -> Program:
        self[program.__name__] = program
        return program


def leaf(t: Any, *values: float) -> Any:
    return t.tensor(list(values), dtype=t.float64, requires_grad=True)


def outcome(program: Program, t: Any) -> Any:
    """t is the module: trigrad or torch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = program(t)
        except Exception as error:  # noqa: BLE001 -- its type is compared
            value = type(error)
        finally:
            t.set_grad_enabled(True)
    return value, len(caught)
