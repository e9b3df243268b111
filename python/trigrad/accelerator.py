"""Whichever GPU is there, under PyTorch's names: those of `trigrad.cuda`."""

from __future__ import annotations

from trigrad import cuda
from trigrad._device import device
from trigrad.cuda import current_device as current_device_index
from trigrad.cuda import (
    current_stream,
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
    set_stream,
    synchronize,
)
from trigrad.cuda import device as device_index
from trigrad.cuda import mem_get_info as get_memory_info
from trigrad.cuda import set_device as set_device_index

__all__ = [
    "current_accelerator",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_device_index",
    "set_stream",
    "synchronize",
]


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


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of GPU that is there, None without one, whether or not it is to be checked.

    >>> import trigrad as tg
    >>> device = tg.accelerator.current_accelerator() or tg.device("cpu")
    """
    return device("cuda") if is_available() else None
