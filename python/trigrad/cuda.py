"""GPUs, under PyTorch's names. This build has kernels for the CPU only: it finds none."""

from __future__ import annotations

__all__ = ["device_count", "is_available", "manual_seed", "manual_seed_all"]


def device_count() -> int:
    """How many GPUs trigrad can compute on.

    >>> import trigrad as tg
    >>> tg.cuda.device_count()
    0
    """
    return 0


def is_available() -> bool:
    """Is there a GPU that trigrad can compute on?

    >>> import trigrad as tg
    >>> tg.device("cuda" if tg.cuda.is_available() else "cpu")
    device(type='cpu')
    """
    return device_count() > 0


def manual_seed(seed: int) -> None:
    """Start the random numbers of the GPU in use anew. Without one nothing happens, as in PyTorch.

    >>> import trigrad as tg
    >>> tg.cuda.manual_seed(1)
    """


def manual_seed_all(seed: int) -> None:
    """Start the random numbers of all GPUs anew. Without one nothing happens, as in PyTorch.

    >>> import trigrad as tg
    >>> tg.cuda.manual_seed_all(1)
    """
