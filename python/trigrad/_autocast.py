"""Fast mode on GPUs: mixed precision, and float32 products by tensor cores. Off by default: results are then the CPU's bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from trigrad import _core
from trigrad._core import bfloat16, float16
from trigrad._core import dtype as DType

__all__ = [
    "autocast",
    "get_autocast_dtype",
    "get_float32_matmul_precision",
    "is_autocast_enabled",
    "set_float32_matmul_precision",
]

P = ParamSpec("P")
R = TypeVar("R")

_HALVES = (float16, bfloat16)
_PRECISIONS = ("highest", "high", "medium")


class autocast:
    """Mixed precision on GPUs, as PyTorch's: a context manager, or a decorator of functions.

    Inside, dense layers and products of matrices on a GPU take their operands in `dtype` (float16 where none is given), add up in
    float32 by tensor cores and give results in `dtype`. All other rows take what is in 16 bits as float32, where PyTorch lets some of
    them stay in 16 bits. float64 stays as it is, and so does what is on the CPU. Gradients are made as what they belong to was, in the
    dtypes of their tensors: put the backward pass outside.

    >>> import trigrad as tg
    >>> layer = tg.nn.Linear(4, 2)
    >>> with tg.autocast("cuda", dtype=tg.bfloat16):
    ...     y = layer(tg.ones(3, 4))  # on a GPU: bfloat16
    >>> y.dtype
    trigrad.float32
    """

    def __init__(
        self,
        device_type: str = "cuda",
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        kind = str(device_type).split(":")[0]
        if kind not in ("cpu", "cuda"):
            raise RuntimeError(f"[autocast] device_type is '{device_type}', expected 'cuda' or 'cpu'")
        if kind == "cpu" and enabled:
            raise RuntimeError(
                "[autocast] device_type is 'cpu', whose layers compute in float32 and float64, expected 'cuda'; "
                "or pass enabled=False"
            )
        if dtype is not None and dtype not in _HALVES:
            raise RuntimeError(f"[autocast] dtype is {dtype}, expected float16 or bfloat16")
        self._dtype = (dtype or float16) if enabled and kind == "cuda" else None
        self._changes = kind == "cuda"
        self._before: list[DType | None] = []

    def __enter__(self) -> Self:
        if self._changes:
            self._before.append(_core.set_autocast(self._dtype))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._changes:
            _core.set_autocast(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def inside(*args: P.args, **keywords: P.kwargs) -> R:
            with self:
                return function(*args, **keywords)

        return inside


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Is this thread inside `autocast`?

    >>> import trigrad as tg
    >>> tg.is_autocast_enabled()
    False
    """
    return device_type == "cuda" and _core.autocast_dtype() is not None


def is_autocast_available(device_type: str) -> bool:
    """Can `autocast` do anything there? On GPUs alone.

    >>> import trigrad as tg
    >>> tg.amp.is_autocast_available("cuda"), tg.amp.is_autocast_available("cpu")
    (True, False)
    """
    return device_type == "cuda"


def get_autocast_dtype(device_type: str = "cuda") -> DType:
    """The dtype that layers take on a GPU inside `autocast`; outside, the one they take by default.

    >>> import trigrad as tg
    >>> tg.get_autocast_dtype("cuda")
    trigrad.float16
    """
    if device_type != "cuda":
        raise RuntimeError(f"[get_autocast_dtype] device_type is '{device_type}', expected 'cuda'")
    return _core.autocast_dtype() or float16


def set_float32_matmul_precision(precision: str) -> None:
    """'highest': products of float32 are exact on GPUs too (the default). 'high', 'medium': their operands may be rounded to tf32.

    >>> import trigrad as tg
    >>> tg.set_float32_matmul_precision("highest")
    """
    if precision not in _PRECISIONS:
        raise RuntimeError(
            f"[set_float32_matmul_precision] got {precision!r}, expected {', '.join(map(repr, _PRECISIONS))}"
        )
    _core.set_allow_tf32(precision != "highest")


def get_float32_matmul_precision() -> str:
    """'highest' where products of float32 are exact on GPUs too, 'high' where tf32 is allowed.

    >>> import trigrad as tg
    >>> tg.get_float32_matmul_precision()
    'highest'
    """
    return "high" if _core.allow_tf32() else "highest"


class Allows:
    """The attribute `allow_tf32` of a module or an object."""

    @property
    def allow_tf32(self) -> bool:
        """May products of float32 on GPUs be made by tensor cores, their operands rounded to tf32? False by default."""
        return _core.allow_tf32()

    @allow_tf32.setter
    def allow_tf32(self, allowed: Any) -> None:
        _core.set_allow_tf32(bool(allowed))


class Fp32Precision:
    """The same switch as the attribute `fp32_precision`."""

    @property
    def fp32_precision(self) -> str:
        """'ieee': products of float32 on GPUs are exact (the default); 'tf32': tensor cores may make them. 'none' is 'ieee'."""
        return "tf32" if _core.allow_tf32() else "ieee"

    @fp32_precision.setter
    def fp32_precision(self, precision: str) -> None:
        if precision not in ("ieee", "tf32", "none"):
            raise RuntimeError(f"[fp32_precision] got {precision!r}, expected 'ieee', 'tf32' or 'none'")
        _core.set_allow_tf32(precision == "tf32")
