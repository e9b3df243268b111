"""Which versions these are, under PyTorch's names.

>>> import trigrad as tg
>>> tg.version.__version__ == tg.__version__
True
"""

from __future__ import annotations

from trigrad import _core

__all__ = ["cuda", "hip"]

__version__: str = _core.build_info()["version"]
cuda: str | None
hip: str | None = None


def __getattr__(name: str) -> str | None:
    """`cuda` is the CUDA that the kernels for GPUs were compiled with, None where there are none; it is found out when it is
    asked for, for that loads them."""
    if name != "cuda":
        raise AttributeError(f"module 'trigrad.version' has no attribute {name!r}")
    runtime = _core.cuda_build()[1]
    return f"{runtime // 1000}.{runtime % 1000 // 10}" if runtime else None
