"""Where tensors live."""

from __future__ import annotations

import threading
from typing import Any, Self

from trigrad import _core

__all__ = ["device", "get_default_device", "set_default_device"]


class device:
    """Where a tensor lives; a name such as ``"cpu"`` stands for it everywhere. ``with tg.device("cuda"):`` makes new tensors there.

    >>> import trigrad as tg
    >>> tg.device("cpu")
    device(type='cpu')
    >>> tg.zeros(2).device == tg.device("cpu")
    True
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        if isinstance(type, int) and not isinstance(type, bool) and index is None:
            index = type
            type = "cuda"
        if not isinstance(type, (str, device)):
            raise TypeError(f"[device] got {type!r}, expected for instance 'cpu' or 'cuda:0'")
        if isinstance(type, device):
            name, index = type.type, type.index if index is None else index
        else:
            name, _, number = type.partition(":")
            if number:
                if index is not None or not number.isdigit():
                    raise RuntimeError(
                        f"[device] got {type!r} and index {index}, expected for instance 'cpu' or 'cuda:0'"
                    )
                index = int(number)
        if name not in ("cpu", "cuda", "test"):
            raise RuntimeError(f"[device] got {name!r}, expected 'cpu' or 'cuda', or for instance 'cuda:1'")
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", index)

    def __enter__(self) -> Self:
        before = [*getattr(_defaults, "before", ()), get_default_device()]
        set_default_device(self)
        _defaults.before = before
        return self

    def __exit__(self, *exception: object) -> None:
        set_default_device(_defaults.before.pop())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("[device] a device cannot be changed; make a new one")

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


def named(where: str | device) -> tuple[str, int]:
    """Kind and index: without one the first.

    >>> from trigrad import _device
    >>> _device.named("cuda")
    ('cuda', 0)
    """
    d = device(where)
    return d.type, d.index or 0


def names_device(argument: object) -> bool:
    """Is it what a device is called by: a `device`, a name (no dtype has one), or the index of a GPU?"""
    return isinstance(argument, (device, str, int)) and not isinstance(argument, bool)


def get_default_device() -> device:
    """Where this thread makes new tensors of which nothing says where.

    >>> import trigrad as tg
    >>> tg.get_default_device()
    device(type='cpu')
    """
    return getattr(_defaults, "device", _CPU)


def set_default_device(where: str | int | device | None) -> None:
    """Choose where this thread makes new tensors of which nothing says where; None is the CPU.

    >>> import trigrad as tg
    >>> tg.set_default_device("cpu")
    """
    chosen = _CPU if where is None else device(where)
    _core.set_default_device(chosen)
    _defaults.device = chosen


_CPU = device("cpu")
_defaults = threading.local()
