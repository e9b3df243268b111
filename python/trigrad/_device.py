"""Where tensors live."""

from __future__ import annotations

from typing import Any


class device:
    """Where a tensor lives; a name such as ``"cpu"`` stands for it everywhere.

    >>> import trigrad as tg
    >>> tg.device("cpu")
    device(type='cpu')
    >>> tg.zeros(2).device == tg.device("cpu")
    True
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device, index: int | None = None) -> None:
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
            raise RuntimeError(f"[device] got {name!r}, expected 'cpu' or 'cuda'")
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", index)

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


def require_cpu(op: str, where: str | device | None) -> None:
    """Refuse a device on which `op` makes nothing."""
    if where is not None and device(where).type != "cpu":
        raise RuntimeError(
            f"[{op}] device is '{where}', but new tensors are made on the CPU only; expected device='cpu': leave the "
            "argument out, and move what is made with .to()"
        )
