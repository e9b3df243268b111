"""What products of matrices on GPUs may give up. Off by default."""

from __future__ import annotations

from trigrad import _core
from trigrad._autocast import Allows, Fp32Precision

__all__ = ["is_built", "matmul"]


class _Matmul(Allows, Fp32Precision):
    """`allow_tf32`, as `trigrad.cuda` has it, and `fp32_precision`, which says the same. Sums are of float32 in any case: the other
    switches may be set, and decide nothing."""

    allow_bf16_reduced_precision_reduction = False
    allow_fp16_accumulation = False
    allow_fp16_reduced_precision_reduction = False


matmul = _Matmul()


def is_built() -> bool:
    """Are kernels for GPUs in this build, and a GPU here?

    >>> import trigrad as tg
    >>> tg.backends.cuda.is_built() == tg.cuda.is_available()
    True
    """
    return _core.cuda_absence() is None
