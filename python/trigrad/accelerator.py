"""Whichever GPU is there, under PyTorch's names."""

from __future__ import annotations

from trigrad import cuda
from trigrad._device import device

__all__ = ["current_accelerator", "device_count", "is_available"]


def device_count() -> int:
    """How many GPUs trigrad can compute on.

    >>> import trigrad as tg
    >>> tg.accelerator.device_count() == tg.cuda.device_count()
    True
    """
    return cuda.device_count()


def is_available() -> bool:
    """Is there a GPU that trigrad can compute on?

    >>> import trigrad as tg
    >>> tg.accelerator.is_available() == tg.cuda.is_available()
    True
    """
    return device_count() > 0


def current_accelerator() -> device | None:
    """The kind of GPU that is there, None without one.

    >>> import trigrad as tg
    >>> device = tg.accelerator.current_accelerator() or tg.device("cpu")
    """
    return device("cuda") if is_available() else None
