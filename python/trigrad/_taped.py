"""What functions that are made of rows do otherwise where their calls go on the tape. Their values never differ by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trigrad import _core, ops
from trigrad._core import Tensor


def is_recorded(*operands: Any) -> bool:
    """Is what is computed from these put on the tape?"""
    return _core.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in operands)


def as_it_was(self: Tensor, *operands: Any) -> Tensor:
    """What is computed from `self` before the result overwrites it: where that is recorded a copy, since formulas may read
    it."""
    return self.clone() if is_recorded(self, *operands) else self


def with_values(recorded: Tensor, compute: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """`recorded`, whose gradient is wanted, with the bits of compute(*arguments): which of 0 and -0 it is may differ."""
    try:
        _core.set_grad_enabled(False)
        return ops.copy_(recorded, compute(*arguments))
    finally:
        _core.set_grad_enabled(True)
