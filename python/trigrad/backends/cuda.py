"""What products of matrices on GPUs may give up. Off by default."""

from __future__ import annotations

from trigrad import _core
from trigrad._autocast import Allows

__all__ = ["is_built", "matmul"]


class _Matmul(Allows):
    """`allow_tf32`, as `trigrad.cuda` has it."""


matmul = _Matmul()


def is_built() -> bool:
    """Are kernels for GPUs in this build, and a GPU here?

    >>> import trigrad as tg
    >>> tg.backends.cuda.is_built() == tg.cuda.is_available()
    True
    """
    return _core.cuda_absence() is None
