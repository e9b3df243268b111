"""Tensors from values, arrays and rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from trigrad import _core, ops
from trigrad._core import Tensor, from_dlpack, from_numpy
from trigrad._device import device as Device

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "is_tensor",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tensor",
    "zeros",
    "zeros_like",
]

DTypeArgument: TypeAlias = "_core.dtype | DTypeLike"
Size: TypeAlias = "int | Sequence[int]"
DeviceArgument: TypeAlias = "str | int | Device | None"
Number: TypeAlias = "float | int | bool | Tensor"


def sizes(op: str, given: tuple[Size, ...], size: Size | None) -> Any:
    """What f(2, 3), f((2, 3)) or f(size=(2, 3)) was given, as the core takes it."""
    if size is not None:
        if given:
            raise TypeError(f"[{op}] got size twice")
        return size
    if not given:
        raise TypeError(f"[{op}] size is missing: {op}(2, 3) or {op}((2, 3))")
    return given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given


def _is_array(data: object) -> bool:
    """Is it an array of numpy, or something that makes one? Asked without importing numpy."""
    return hasattr(data, "__array__") or hasattr(data, "__array_interface__")


def leaf(made: Tensor, requires_grad: bool, pin_memory: bool = False) -> Tensor:
    """A new tensor, which may be a leaf whose gradient is wanted, and in page-locked memory."""
    if pin_memory:
        made = _core.pin(made)
    return made.requires_grad_() if requires_grad else made


def tensor(
    data: Any,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, or an array.

    Python's floats make float32 (`set_default_dtype` changes that), its integers int64, its bools bool; an array keeps its
    type.

    >>> import trigrad as tg
    >>> tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> tg.tensor([1, 2], dtype=tg.float64)
    tensor([1., 2.], dtype=trigrad.float64)
    """
    if type(data) is float or type(data) is int:
        return leaf(_core.from_nested(data, dtype, device), requires_grad, pin_memory)
    if isinstance(data, Tensor):
        same = data.detach() if device is None else _core.move(data.detach(), device, "tensor")
        return leaf(
            same.clone() if dtype is None else ops.cast(same, _core.as_dtype(dtype)).clone(), requires_grad, pin_memory
        )
    if isinstance(data, (list, tuple)):
        first: Any = data
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        if _is_array(first) and getattr(first, "ndim", 0) > 0:
            import numpy

            data = numpy.array([numpy.asarray(row) for row in data])
    if hasattr(data, "__cuda_array_interface__"):
        return leaf(as_tensor(data, dtype, device).clone(), requires_grad, pin_memory)
    if _is_array(data):
        import numpy

        shared = from_numpy(numpy.require(data, requirements="A"))
        cast = dtype is not None and shared.dtype is not _core.as_dtype(dtype)
        copy = ops.cast(shared, dtype) if cast and dtype is not None else shared.clone()
        return leaf(_core.move(copy, device, "tensor"), requires_grad, pin_memory)
    if isinstance(data, Sequence) and not isinstance(data, (list, tuple, str, bytes)):
        data = list(data)
    return leaf(_core.from_nested(data, dtype, device), requires_grad, pin_memory)


def as_tensor(data: Any, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """`data` as a tensor, without copying if it is a tensor or an array already.

    >>> import trigrad as tg
    >>> x = tg.ones(3)
    >>> tg.as_tensor(x) is x
    True
    """
    if not isinstance(data, Tensor):
        if hasattr(data, "__cuda_array_interface__"):  # another library's array on a GPU
            data = _core.from_cuda_array(data)
            data = data if device is None else data.to(device)
        elif not _is_array(data) or not getattr(data, "ndim", 0):
            return tensor(data, dtype=dtype, device=device)
        else:
            import numpy

            data = _core.move(from_numpy(numpy.asarray(data)), device, "as_tensor")
    elif device is not None:
        data = data.to(device)
    return data if dtype is None or data.dtype is _core.as_dtype(dtype) else ops.cast(data, dtype)


def asarray(
    obj: Any, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None, copy: bool | None = None
) -> Tensor:
    """`obj` as a tensor: copied always (copy=True), never (copy=False) or where there is no other way.

    >>> import trigrad as tg
    >>> tg.asarray([1.0, 2.0])
    tensor([1., 2.])
    """
    if isinstance(obj, Tensor):
        result, shares = obj, True
    elif hasattr(obj, "__cuda_array_interface__"):
        result, shares = _core.from_cuda_array(obj), True
    elif _is_array(obj):
        result, shares = as_tensor(obj, device="cpu"), getattr(obj, "ndim", 0) > 0
    else:
        shares = hasattr(obj, "__dlpack__")  # another library's tensor
        result = from_dlpack(obj) if shares else as_tensor(obj, device="cpu")
    there = result if device is None and shares else _core.move(result, device, "asarray")
    wanted = result.dtype if dtype is None else _core.as_dtype(dtype)
    if copy is False and (not shares or wanted is not result.dtype or there is not result):
        raise ValueError(
            f"[asarray] a {type(obj).__name__} cannot become {wanted} on {there.device} without a copy, but copy=False"
        )
    if wanted is not result.dtype:
        return ops.cast(there, wanted)
    return there.clone() if copy and shares and there is result else there


def is_tensor(obj: object) -> bool:
    """Is it a `Tensor`?

    >>> import trigrad as tg
    >>> tg.is_tensor(tg.zeros(1)), tg.is_tensor([0.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def empty(
    *lengths: Size,
    size: Size | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of shape `size` whose elements have no particular value: empty(2, 3) or empty((2, 3)). `pin_memory=True` makes it in
    page-locked memory of the CPU, as `Tensor.pin_memory` does.

    >>> import trigrad as tg
    >>> tg.empty(2, 3).shape
    trigrad.Size([2, 3])
    """
    return leaf(_core.empty(sizes("empty", lengths, size), dtype, device), requires_grad, pin_memory)


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of shape `size` with the given strides, whose elements have no particular value.

    >>> import trigrad as tg
    >>> tg.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    if len(size) != len(stride) or min(stride, default=0) < 0:
        raise RuntimeError(
            f"[empty_strided] got size {tuple(size)} and stride {tuple(stride)}, expected equally many entries, strides "
            "of 0 or more"
        )
    last = 0 if 0 in size else 1 + sum([(n - 1) * step for n, step in zip(size, stride, strict=True)])
    return leaf(_core.empty((last,), dtype, device).as_strided(size, stride, 0), requires_grad)


def zeros(
    *lengths: Size,
    size: Size | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of shape `size` full of 0: zeros(2, 3) or zeros((2, 3)).

    >>> import trigrad as tg
    >>> tg.zeros(3)
    tensor([0., 0., 0.])
    """
    return leaf(_core.filled("zeros", sizes("zeros", lengths, size), 0, dtype, device), requires_grad, pin_memory)


def ones(
    *lengths: Size,
    size: Size | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of shape `size` full of 1: ones(2, 3) or ones((2, 3)).

    >>> import trigrad as tg
    >>> tg.ones((2, 2), dtype=tg.int64)
    tensor([[1, 1],
            [1, 1]])
    """
    return leaf(_core.filled("ones", sizes("ones", lengths, size), 1, dtype, device), requires_grad, pin_memory)


def _dtype_of(value: Number) -> _core.dtype:
    return value.dtype if isinstance(value, Tensor) else _core.from_nested(value, None).dtype


def full(
    size: Size,
    fill_value: Number,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of shape `size` full of `fill_value`, whose Python type chooses the dtype if none is given.

    >>> import trigrad as tg
    >>> tg.full((2,), 7)
    tensor([7, 7])
    """
    if dtype is None and type(fill_value) is not float:
        dtype = _dtype_of(fill_value)
    return leaf(_core.filled("full", size, fill_value, dtype, device), requires_grad, pin_memory)


def scalar_tensor(
    s: Number, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None, requires_grad: bool = False
) -> Tensor:
    """A 0-d tensor of the default dtype, or of `dtype`.

    >>> import trigrad as tg
    >>> tg.scalar_tensor(2)
    tensor(2.)
    """
    return leaf(full((), s, dtype=_core.get_default_dtype() if dtype is None else dtype, device=device), requires_grad)


def empty_like(
    input: Tensor,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`empty` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.empty_like(tg.ones(2, 3)).shape
    trigrad.Size([2, 3])
    """
    return leaf(
        _core.empty(input.shape, input.dtype if dtype is None else dtype, input if device is None else device),
        requires_grad,
        pin_memory,
    )


def zeros_like(
    input: Tensor, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None, requires_grad: bool = False
) -> Tensor:
    """`zeros` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.zeros_like(tg.ones(2))
    tensor([0., 0.])
    """
    return leaf(
        _core.filled(
            "zeros_like", input.shape, 0, input.dtype if dtype is None else dtype, input if device is None else device
        ),
        requires_grad,
    )


def ones_like(
    input: Tensor, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None, requires_grad: bool = False
) -> Tensor:
    """`ones` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.ones_like(tg.zeros(2))
    tensor([1., 1.])
    """
    return leaf(
        _core.filled(
            "ones_like", input.shape, 1, input.dtype if dtype is None else dtype, input if device is None else device
        ),
        requires_grad,
    )


def full_like(
    input: Tensor,
    fill_value: Number,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """`full` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.full_like(tg.zeros(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return leaf(
        _core.filled(
            "full_like",
            input.shape,
            fill_value,
            input.dtype if dtype is None else dtype,
            input if device is None else device,
        ),
        requires_grad,
    )


def _number(op: str, name: str, value: Any) -> float:
    """A number, or the one element of a tensor."""
    value = value.item() if isinstance(value, Tensor) else value
    try:
        finite = math.isfinite(value)
    except TypeError:
        raise TypeError(f"[{op}] {name} is a {type(value).__name__}, expected a number") from None
    if not finite:
        raise RuntimeError(f"[{op}] {name} is {value}, expected a finite number")
    return value  # type: ignore[no-any-return]


def arange(
    start: Number = 0,
    end: Number | None = None,
    step: Number = 1,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to but without `end`; arange(end) starts at 0. Integers make int64, floats the default
    dtype.

    >>> import trigrad as tg
    >>> tg.arange(4)
    tensor([0, 1, 2, 3])
    >>> tg.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    if end is None:
        start, end = 0, start
    if type(end) is not int or type(start) is not int or type(step) is not int:
        start, end, step = (
            _number("arange", "start", start),
            _number("arange", "end", end),
            _number("arange", "step", step),
        )
    integers = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    wanted = (_core.int64 if integers else _core.get_default_dtype()) if dtype is None else _core.as_dtype(dtype)
    if not integers and not wanted.is_floating_point:  # as in PyTorch, before the elements are counted
        start, end, step, integers = int(start), int(end), int(step), True
    if step == 0:
        raise RuntimeError("[arange] step is 0, expected another number")
    length = (end - start) / step
    if length < 0:
        raise RuntimeError(f"[arange] step {step} leads from {start} away from {end}, expected the other sign")
    try:
        n = -((start - end) // step) if integers else math.ceil(length)
    except OverflowError:
        raise RuntimeError(
            f"[arange] start {start}, end {end} and step {step}, expected a finite number of elements"
        ) from None
    if wanted in (_core.float32, _core.float64, _core.int64, _core.int32, _core.uint8, _core.bool):
        return leaf(ops.native_arange(start, step, int(n), wanted, device=device), requires_grad)
    exact = _core.int64 if integers else _core.float64
    return leaf(ops.cast(ops.native_arange(start, step, int(n), exact, device=device), wanted), requires_grad)


def linspace(
    start: Number,
    end: Number,
    steps: int,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included.

    >>> import trigrad as tg
    >>> tg.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if steps < 0:
        raise RuntimeError(f"[linspace] steps is {steps}, expected 0 or more")
    first, last = float(start), float(end)
    wanted = _core.get_default_dtype() if dtype is None else _core.as_dtype(dtype)
    exact = wanted if wanted is _core.float32 else _core.float64
    step = (last - first) / (steps - 1) if steps > 1 else 0.0
    half = (steps + 1) // 2  # each half is counted from its own end, so that both ends are exact
    front = ops.native_arange(first, step, half, exact, device=device)
    back = ops.native_arange(last, -step, steps - half, exact, device=device)[::-1]
    result = ops.cat((front, back))
    return leaf(result if wanted is exact else ops.cast(result, wanted), requires_grad)


def logspace(
    start: Number,
    end: Number,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the powers of `linspace(start, end, steps)`.

    >>> import trigrad as tg
    >>> tg.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    if steps < 0:
        raise RuntimeError(f"[logspace] steps is {steps}, expected 0 or more")
    exponents = linspace(start, end, steps, dtype=_core.float64, device=device)
    powers = ops.pow(scalar_tensor(base, dtype=_core.float64, device=device), exponents)
    return leaf(ops.cast(powers, _core.get_default_dtype() if dtype is None else dtype), requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """A matrix (n, m) with 1 on the diagonal and 0 elsewhere.

    >>> import trigrad as tg
    >>> tg.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    m = n if m is None else m
    if n < 0 or m < 0:
        raise RuntimeError(f"[eye] got n {n} and m {m}, expected 0 or more")
    result = _core.filled("eye", (n, m), 0, dtype, device)
    ops.fill_(result.diagonal(), 1)
    return leaf(result, requires_grad)
