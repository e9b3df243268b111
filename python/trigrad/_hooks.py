"""Handles of hooks."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Self

from trigrad import _core

__all__ = ["RemovableHandle"]

_numbers = itertools.count()


class Witness(threading.local):
    """What is noticed, on this thread, while a step is recorded (_compile.py)."""

    called: Any = None  # to be told of modules that are called
    made: list[Any] | None = None  # receives the optimizers that are made


witness = Witness()


class RemovableHandle:
    """Takes the hook out again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any], *others: dict[int, Any]) -> None:
        self.id = next(_numbers)
        self._tables = (hooks, *others)
        _core.structure_changed()

    def remove(self) -> None:
        """The hook is not called any more."""
        _core.structure_changed()
        for table in self._tables:
            table.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
