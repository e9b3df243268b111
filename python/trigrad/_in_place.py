"""Methods that write what a function returns into their tensor, where there is no row that does."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from trigrad import _dtypes, ops
from trigrad._core import Tensor
from trigrad._taped import as_it_was


def replaced(name: str, self: Tensor, result: Tensor) -> Tensor:
    """`self` with the elements of `result`, which must have its shape and a dtype that goes into its own."""
    if result.shape != self.shape:
        raise RuntimeError(
            f"[{name}] the result has shape {tuple(result.shape)}, expected that of the tensor, {tuple(self.shape)}"
        )
    if not _dtypes.can_cast(result.dtype, self.dtype):
        raise RuntimeError(f"[{name}] result type {result.dtype} can't be cast to the tensor's type {self.dtype}")
    return ops.copy_(self, result)


def in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method that writes what `function` returns into its first argument."""
    name = f"{function.__name__}_"

    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return replaced(name, self, function(as_it_was(self, *args, *kwargs.values()), *args, **kwargs))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"As {function.__name__}, written into the tensor."
    return method
