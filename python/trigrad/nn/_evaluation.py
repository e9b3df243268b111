"""Networks that are looked at: in evaluation for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from trigrad.nn.module import Module

__all__ = ["evaluating"]

_turn = threading.RLock()


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The network in evaluation, and afterwards each of its modules in the mode that it had. One thread at a time, since another
    one would take the modes of now for those to go back to."""
    with _turn:
        modes = [(part, part.training) for part in model.modules()]
        try:
            model.eval()
            yield
        finally:
            for part, mode in modes:
                part.training = mode
