"""PyTorch's constructors from before `tensor`: `Tensor(...)`, and a name for each dtype. Many scripts still use them."""

from __future__ import annotations

from operator import index
from typing import Any

from trigrad import _core
from trigrad._core import Size, Tensor, dtype
from trigrad._creation import DeviceArgument, empty, tensor

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


def _is_length(value: Any) -> bool:
    try:
        index(value)
    except TypeError:
        return False
    return not isinstance(value, Tensor) and getattr(value, "ndim", 0) == 0


def _made(name: str, of: dtype, args: tuple[Any, ...], device: DeviceArgument) -> Tensor:
    """Name(2, 3) is an empty tensor of that shape, Name(data) one with these numbers."""
    if len(args) != 1 or isinstance(args[0], Size) or _is_length(args[0]):
        return empty(*args, dtype=of, device=device) if args else empty(0, dtype=of, device=device)
    (data,) = args
    if isinstance(data, Tensor):
        if data.dtype is not of:
            raise TypeError(f"[{name}] got a tensor of {data.dtype}, expected {of}; use x.to({of})")
        return data.detach() if device is None else data.detach().to(device)
    if not hasattr(data, "__len__"):
        raise TypeError(
            f"[{name}] got a {type(data).__name__}, expected lengths, a sequence or an array; use tensor(data)"
        )
    return tensor(data, dtype=of, device=device)


def new(cls: type[Tensor], *args: Any, device: DeviceArgument = None) -> Tensor:
    """Tensor(2, 3) is an empty tensor of that shape, Tensor(data) one with these numbers; of the default dtype, whatever
    that of the data is. `tensor` and `empty` say which is meant.

    >>> import trigrad as tg
    >>> tg.Tensor([1, 2]), tg.Tensor(2, 3).shape
    (tensor([1., 2.]), trigrad.Size([2, 3]))
    """
    return _made("Tensor", _core.get_default_dtype(), args, device)


class TypeOfTensor(type):
    """A name for the tensors of one dtype."""

    dtype: dtype

    def __call__(cls, *args: Any, device: DeviceArgument = None) -> Tensor:
        return _made(cls.__name__, cls.dtype, args, device)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


def _type(name: str, of: dtype) -> TypeOfTensor:
    doc = f"""{name}(data) is a tensor of {of} with these numbers, {name}(2, 3) one without particular numbers.

    >>> import trigrad as tg
    >>> tg.{name}([1, 0]).dtype, tg.{name}(2, 3).shape
    ({of}, trigrad.Size([2, 3]))
    """
    return TypeOfTensor(name, (), {"dtype": of, "__doc__": doc, "__module__": "trigrad"})


BFloat16Tensor = _type("BFloat16Tensor", _core.bfloat16)
BoolTensor = _type("BoolTensor", _core.bool)
ByteTensor = _type("ByteTensor", _core.uint8)
CharTensor = _type("CharTensor", _core.int8)
DoubleTensor = _type("DoubleTensor", _core.float64)
FloatTensor = _type("FloatTensor", _core.float32)
HalfTensor = _type("HalfTensor", _core.float16)
IntTensor = _type("IntTensor", _core.int32)
LongTensor = _type("LongTensor", _core.int64)
ShortTensor = _type("ShortTensor", _core.int16)
