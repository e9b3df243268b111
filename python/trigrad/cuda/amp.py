"""`trigrad.amp` under PyTorch's older names."""

from __future__ import annotations

from typing import Any

from trigrad._autocast import autocast as _autocast
from trigrad._core import dtype as DType
from trigrad.amp import GradScaler as _GradScaler

__all__ = ["GradScaler", "autocast"]


class autocast(_autocast):
    """`trigrad.autocast("cuda", …)`.

    >>> import trigrad as tg
    >>> with tg.cuda.amp.autocast(dtype=tg.bfloat16):
    ...     tg.is_autocast_enabled()
    True
    """

    def __init__(self, enabled: bool = True, dtype: DType | None = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """`trigrad.amp.GradScaler("cuda", …)`.

    >>> import trigrad as tg
    >>> tg.cuda.amp.GradScaler(init_scale=8.0).get_scale()
    8.0
    """

    def __init__(self, init_scale: float = 65536.0, **options: Any) -> None:
        super().__init__("cuda", init_scale, **options)
