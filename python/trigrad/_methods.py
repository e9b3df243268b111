"""Methods of Tensor that are written in Python, because nothing about them is hot."""

from __future__ import annotations

import builtins
import copy as copies
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trigrad import (
    _core,
    _creation,
    _elementwise,
    _functional,
    _indexing,
    _legacy,
    _linalg,
    _moving,
    _ordering,
    _random,
    _reductions,
    _shaping,
    _tensor_grad,
    _views,
    ops,
)
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument
from trigrad._device import device as Device
from trigrad._device import names_device
from trigrad._printing import tensor_repr

if TYPE_CHECKING:
    import numpy


# ---- dtype and device


def device(self: Tensor) -> Device:
    """Where the tensor lives."""
    return Device(self._device_name)


def is_cuda(self: Tensor) -> builtins.bool:
    """Does the tensor live on a GPU?"""
    return self._device_name.startswith("cuda")


def to(
    self: Tensor,
    *args: Tensor | DTypeArgument | DeviceArgument | builtins.bool,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    non_blocking: builtins.bool = False,
    copy: builtins.bool = False,
) -> Tensor:
    """The tensor with another dtype or on another device: to(dtype), to(device), to(device, dtype) or to(other). Itself if nothing
    changes. Differentiable. With `non_blocking` a copy from or to page-locked memory (`pin_memory`) goes on while Python does.

    >>> import trigrad as tg
    >>> tg.tensor([1, 2]).to(tg.float64)
    tensor([1., 2.], dtype=trigrad.float64)
    """
    flags: list[builtins.bool] = []
    argument: Any
    for argument in args:
        if isinstance(argument, Tensor):
            dtype, device = argument.dtype, argument._device_name
        elif isinstance(argument, builtins.bool):
            flags.append(argument)
        elif names_device(argument):
            device = argument
        elif argument is not None:
            dtype = argument
    if flags:  # to(device, dtype, non_blocking, copy), as PyTorch has it
        non_blocking, copy = flags[0], copy if len(flags) == 1 else flags[1]
    there = self if device is None else _moving.moved(self, device, non_blocking)
    wanted = self.dtype if dtype is None else _core.as_dtype(dtype)
    if wanted is not self.dtype:
        return ops.cast(there, wanted)
    return there.clone() if copy and there is self else there


def type(self: Tensor, dtype: DTypeArgument | _legacy.TypeOfTensor | None = None) -> Tensor | str:
    """Without an argument the name of the type, else the same as to(dtype)."""
    if isinstance(dtype, _legacy.TypeOfTensor):
        dtype = dtype.dtype
    return repr(self.dtype) if dtype is None else to(self, dtype)


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype of `other`, on its device."""
    return to(self, other)


def float(self: Tensor) -> Tensor:
    """The tensor as float32."""
    return self if self.dtype is _core.float32 else ops.cast(self, _core.float32)


def double(self: Tensor) -> Tensor:
    """The tensor as float64."""
    return self if self.dtype is _core.float64 else ops.cast(self, _core.float64)


def half(self: Tensor) -> Tensor:
    """The tensor as float16, which is storage only: cast before computing."""
    return to(self, _core.float16)


def bfloat16(self: Tensor) -> Tensor:
    """The tensor as bfloat16, which is storage only: cast before computing."""
    return to(self, _core.bfloat16)


def long(self: Tensor) -> Tensor:
    """The tensor as int64."""
    return to(self, _core.int64)


def int(self: Tensor) -> Tensor:
    """The tensor as int32."""
    return to(self, _core.int32)


def short(self: Tensor) -> Tensor:
    """The tensor as int16, which is storage only: cast before computing."""
    return to(self, _core.int16)


def char(self: Tensor) -> Tensor:
    """The tensor as int8, which is storage only: cast before computing."""
    return to(self, _core.int8)


def byte(self: Tensor) -> Tensor:
    """The tensor as uint8."""
    return to(self, _core.uint8)


def bool(self: Tensor) -> Tensor:
    """The tensor as bool: what is not 0."""
    return to(self, _core.bool)


def cpu(self: Tensor) -> Tensor:
    """The tensor on the CPU, itself if it is there."""
    return _moving.moved(self, "cpu")


def cuda(self: Tensor, device: DeviceArgument = None, non_blocking: builtins.bool = False) -> Tensor:
    """The tensor on a GPU, itself if it is there."""
    return _moving.moved(self, "cuda" if device is None else device, non_blocking)


# ---- new tensors of the same dtype


def _beside(self: Tensor, device: DeviceArgument) -> DeviceArgument:
    return self._device_name if device is None else device


def new_empty(
    self: Tensor,
    *lengths: builtins.int | Sequence[builtins.int],
    size: Sequence[builtins.int] | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """`empty` with the dtype and device of this tensor."""
    return _creation.empty(
        *lengths, size=size, dtype=self.dtype if dtype is None else dtype, device=_beside(self, device)
    )


def new_zeros(
    self: Tensor,
    *lengths: builtins.int | Sequence[builtins.int],
    size: Sequence[builtins.int] | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """`zeros` with the dtype and device of this tensor."""
    return _creation.zeros(
        *lengths, size=size, dtype=self.dtype if dtype is None else dtype, device=_beside(self, device)
    )


def new_ones(
    self: Tensor,
    *lengths: builtins.int | Sequence[builtins.int],
    size: Sequence[builtins.int] | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """`ones` with the dtype and device of this tensor."""
    return _creation.ones(
        *lengths, size=size, dtype=self.dtype if dtype is None else dtype, device=_beside(self, device)
    )


def new_full(
    self: Tensor,
    size: Sequence[builtins.int],
    fill_value: Any,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """`full` with the dtype and device of this tensor."""
    return _creation.full(size, fill_value, dtype=self.dtype if dtype is None else dtype, device=_beside(self, device))


def new_tensor(self: Tensor, data: Any, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """`tensor(data)` with the dtype and device of this tensor."""
    return _creation.tensor(data, dtype=self.dtype if dtype is None else dtype, device=_beside(self, device))


# ---- shapes


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Axes of length 1 repeated up to the shape of `other`, without copying."""
    return self.expand(other.shape)


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory under the shape of `other`."""
    return self.view(other.shape)


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor under the shape of `other`."""
    return self.reshape(other.shape)


def is_same_size(self: Tensor, other: Tensor) -> builtins.bool:
    """Have both one shape?"""
    return self.shape == other.shape


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: builtins.bool = False) -> Tensor:
    """`fill_value` on the diagonal; with `wrap` it begins anew below a tall matrix."""
    n, m = min(self.shape, default=0), self.shape[-1] if self.ndim else 0
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) > 1):
        raise RuntimeError(
            f"[fill_diagonal_] got shape {tuple(self.shape)}, expected a matrix, or more dimensions of one length"
        )
    step = (sum(self.stride()),)
    self.as_strided((n,), step).fill_(fill_value)
    for start in range(m + 1, self.shape[0] if wrap and self.ndim == 2 else 0, m + 1):
        self[start:].diagonal().fill_(fill_value)
    return self


# ---- elements


def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor's elements where `condition` is true, those of `other` elsewhere."""
    return ops.where(condition, self, other)


def contains(self: Tensor, element: Any) -> Any:
    return ops.any(ops.eq(self, element)).item()


def uniform_(self: Tensor, a: Any = 0.0, b: Any = 1.0, *, generator: _random.Generator | None = None) -> Tensor:
    """Filled with uniform numbers, a <= x < b."""
    return _random.draw(
        generator,
        lambda seed, stream, step: ops.copy_(
            self, ops.uniform(self.shape, a, b, seed, stream, step, dtype=self.dtype, device=self)
        ),
    )


def normal_(self: Tensor, mean: Any = 0.0, std: Any = 1.0, *, generator: _random.Generator | None = None) -> Tensor:
    """Filled with normal numbers."""
    return _random.draw(
        generator,
        lambda seed, stream, step: ops.copy_(
            self, ops.normal(self.shape, mean, std, seed, stream, step, dtype=self.dtype, device=self)
        ),
    )


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: _random.Generator | None = None) -> Tensor:
    """Filled with 0 and 1: 1 with probability `p`, a number or a tensor of them."""
    if not isinstance(p, Tensor) and not 0 <= p <= 1:  # of a tensor without elements, too
        raise RuntimeError(f"[bernoulli_] p is {p}, expected a probability from 0 to 1")
    chances = ops.copy_(_core.empty(self.shape, None, self), p)
    return _random.draw(
        generator, lambda seed, stream, step: ops.copy_(self, ops.native_bernoulli(chances, seed, stream, step))
    )


WHOLE_FLOATS = {_core.float16: 11, _core.bfloat16: 8, _core.float32: 24, _core.float64: 53}  # bits of the significand
WHOLE_BITS = {_core.uint8: 8, _core.int8: 7, _core.uint16: 16, _core.int16: 15, _core.uint32: 32, _core.int32: 31}


def random_(self: Tensor, *limits: builtins.int, generator: _random.Generator | None = None) -> Tensor:
    """Filled with whole numbers: random_(to) with 0 <= x < to, random_(from, to) with from <= x < to, and random_() with
    all from 0 to the greatest up to which the dtype has every whole number.

    >>> import trigrad as tg
    >>> x = tg.empty(100, dtype=tg.long).random_(5)
    >>> int(x.min()), int(x.max())
    (0, 4)
    """
    if len(limits) > 2:
        raise TypeError(f"[random_] got {len(limits)} limits, expected random_(), random_(to) or random_(from, to)")
    low = limits[0] if len(limits) == 2 else 0
    if self.dtype.is_floating_point:
        least, last = -(2 ** WHOLE_FLOATS[self.dtype]), 2 ** WHOLE_FLOATS[self.dtype]
    elif self.dtype is _core.bool:
        least, last = 0, 1
    else:
        last = 2 ** WHOLE_BITS.get(self.dtype, 63) - 1
        least = -last - 1 if self.dtype.is_signed else 0
    high = limits[-1] if limits else min(last + 1, 2**63 - 1)
    if not low < high:
        raise RuntimeError(f"[random_] from is {low} and to is {high}, expected from < to")
    if low < least or high - 1 > last:
        raise RuntimeError(
            f"[random_] got {low} to {high}, expected whole numbers that {self.dtype} has: {least} to {last}"
        )
    return _random.draw(
        generator,
        lambda seed, stream, step: ops.copy_(
            self, ops.integers(self.shape, low, high, seed, stream, step, dtype=_core.int64, device=self)
        ),
    )


# ---- Python's and numpy's protocols


def array(self: Tensor, dtype: Any = None, copy: Any = None) -> numpy.ndarray[Any, Any]:
    shared = self.numpy()
    if dtype is not None and shared.dtype != dtype:
        if copy is False:
            raise ValueError(f"[__array__] {self.dtype} cannot become {dtype} without a copy, but copy=False")
        return shared.astype(dtype)
    return shared.copy() if copy else shared


def copy(self: Tensor) -> Tensor:
    """A leaf on the same memory."""
    return _rebuilt(self.detach(), self.requires_grad, self._role)


def deepcopy(self: Tensor, memo: dict[Any, Any]) -> Tensor:
    """A leaf on memory of its own, with its gradient; what was made of others has no copy of its history."""
    if not self.is_leaf:
        raise RuntimeError(
            "[deepcopy] got a tensor made of others that require gradients, expected a leaf; copy x.detach() instead"
        )
    result = memo[id(self)] = _rebuilt(self.detach().clone(), self.requires_grad, self._role)
    if self.grad is not None and not self._role:
        result.grad = copies.deepcopy(self.grad, memo)
    return result


def _rebuilt(data: Tensor, requires_grad: builtins.bool, role: builtins.int) -> Tensor:
    if requires_grad:
        data.requires_grad_()
    data._role = role
    return data


def rebuild(
    data: bytes,
    dtype: DTypeArgument,
    shape: tuple[builtins.int, ...],
    requires_grad: builtins.bool,
    role: builtins.int,
    device: str = "cpu",
) -> Tensor:
    """What `reduce` took apart."""
    return _rebuilt(_core.move(_core.from_bytes(data, dtype, shape), device, "unpickle"), requires_grad, role)


def reduce(self: Tensor) -> tuple[Any, ...]:
    made = self._bytes(), self.dtype, tuple(self.shape)
    there = () if self._device_name == "cpu" else (self._device_name,)
    if self.requires_grad or self._role or there:
        return rebuild, (*made, self.requires_grad, self._role, *there)
    return _core.from_bytes, made


def format(self: Tensor, spec: str) -> str:
    if self.ndim == 0:
        return str(self.item().__format__(spec))
    return object.__format__(self, spec)


METHODS = (
    *(new_empty, new_zeros, new_ones, new_full, new_tensor, short, char, byte),
    *(to, type, type_as, float, double, half, bfloat16, long, int, bool, cpu, cuda, expand_as, view_as, reshape_as),
    *(fill_diagonal_, is_same_size, where, uniform_, normal_, bernoulli_, random_),
    *_moving.METHODS,
    *_tensor_grad.METHODS,
)
SPECIAL_METHODS = {
    "__array__": array,
    "__contains__": contains,
    "__copy__": copy,
    "__deepcopy__": deepcopy,
    "__format__": format,
    "__reduce__": reduce,
    "__repr__": tensor_repr,
}
PROPERTIES = (device, is_cuda)
FUNCTIONS_AS_METHODS = (
    *_elementwise.METHODS,
    *_reductions.METHODS,
    *_ordering.METHODS,
    *(_functional.softmax, _functional.log_softmax),
    *_linalg.METHODS,
    _random.bernoulli,
    *_views.METHODS,
    *_shaping.METHODS,
    *_indexing.METHODS,
)


def install() -> None:
    """Give them to the type."""
    for method in (*METHODS, *FUNCTIONS_AS_METHODS):
        setattr(Tensor, method.__name__, method)
    for alias, name in _elementwise.ALIASES.items():
        for suffix in ("", "_"):
            setattr(Tensor, alias + suffix, getattr(Tensor, name + suffix))
    for name, special in SPECIAL_METHODS.items():
        setattr(Tensor, name, special)
    setattr(Tensor, "__new__", _legacy.new)  # noqa: B010 -- mypy lets no one assign it
    for getter in PROPERTIES:
        setattr(Tensor, getter.__name__, property(getter))
