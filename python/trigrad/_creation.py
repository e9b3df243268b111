"""Tensors from values, arrays and rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from trigrad import _core, ops
from trigrad._core import Tensor, from_dlpack, from_numpy
from trigrad._device import device as Device
from trigrad._device import require_cpu

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "is_tensor",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]

DTypeArgument: TypeAlias = "_core.dtype | DTypeLike"
Size: TypeAlias = "int | Sequence[int]"
DeviceArgument: TypeAlias = "str | Device | None"
Number: TypeAlias = "float | int | bool"


def _shape(op: str, size: tuple[Size, ...]) -> tuple[int, ...]:
    """(2, 3) from f(2, 3) and from f((2, 3))."""
    if len(size) == 1 and isinstance(size[0], Sequence):
        return tuple(size[0])
    for length in size:
        if isinstance(length, (Sequence, float)):
            raise TypeError(f"[{op}] size has an entry {length!r}, expected integers: {op}(2, 3) or {op}((2, 3))")
    return size  # type: ignore[return-value]


def _is_array(data: object) -> bool:
    """Is it an array of numpy, or something that makes one? Asked without importing numpy."""
    return hasattr(data, "__array_interface__") or hasattr(data, "__array__")


def tensor(data: Any, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, or an array.

    Python's floats make float32, its integers int64, its bools bool; an array keeps its type.

    >>> import trigrad as tg
    >>> tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> tg.tensor([1, 2], dtype=tg.float64)
    tensor([1., 2.], dtype=trigrad.float64)
    """
    require_cpu("tensor", device)
    if isinstance(data, Tensor):
        return data.clone() if dtype is None else ops.cast(data, _core.as_dtype(dtype)).clone()
    if isinstance(data, (list, tuple)):
        first: Any = data
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        if _is_array(first) and getattr(first, "ndim", 0) > 0:
            import numpy

            data = numpy.array([numpy.asarray(row) for row in data])
    if _is_array(data):
        import numpy

        shared = from_numpy(numpy.require(data, requirements="A"))
        return shared.clone() if dtype is None or shared.dtype is _core.as_dtype(dtype) else ops.cast(shared, dtype)
    return _core.from_nested(data, dtype)


def as_tensor(data: Any, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """`data` as a tensor, without copying if it is a tensor or an array already.

    >>> import trigrad as tg
    >>> x = tg.ones(3)
    >>> tg.as_tensor(x) is x
    True
    """
    require_cpu("as_tensor", device)
    if not isinstance(data, Tensor):
        if not _is_array(data) or not getattr(data, "ndim", 0):
            return tensor(data, dtype=dtype)
        import numpy

        data = from_numpy(numpy.asarray(data))
    return data if dtype is None or data.dtype is _core.as_dtype(dtype) else ops.cast(data, dtype)


def is_tensor(obj: object) -> bool:
    """Is it a `Tensor`?

    >>> import trigrad as tg
    >>> tg.is_tensor(tg.zeros(1)), tg.is_tensor([0.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def _filled(shape: Sequence[int], value: Number, dtype: DTypeArgument | None) -> Tensor:
    return ops.fill_(_core.empty(shape, _core.float32 if dtype is None else dtype), value)


def empty(*size: Size, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """A tensor of shape `size` whose elements have no particular value.

    >>> import trigrad as tg
    >>> tg.empty(2, 3).shape
    trigrad.Size([2, 3])
    """
    require_cpu("empty", device)
    return _core.empty(_shape("empty", size), _core.float32 if dtype is None else dtype)


def zeros(*size: Size, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """A tensor of shape `size` full of 0.

    >>> import trigrad as tg
    >>> tg.zeros(3)
    tensor([0., 0., 0.])
    """
    require_cpu("zeros", device)
    return _filled(_shape("zeros", size), 0, dtype)


def ones(*size: Size, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """A tensor of shape `size` full of 1.

    >>> import trigrad as tg
    >>> tg.ones((2, 2), dtype=tg.int64)
    tensor([[1, 1],
            [1, 1]])
    """
    require_cpu("ones", device)
    return _filled(_shape("ones", size), 1, dtype)


def full(
    size: Size, fill_value: Number, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None
) -> Tensor:
    """A tensor of shape `size` full of `fill_value`, whose Python type chooses the dtype if none is given.

    >>> import trigrad as tg
    >>> tg.full((2,), 7)
    tensor([7, 7])
    """
    require_cpu("full", device)
    if dtype is None:
        dtype = _core.from_nested(fill_value, None).dtype
    return _filled(_shape("full", (size,)), fill_value, dtype)


def empty_like(input: Tensor, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """`empty` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.empty_like(tg.ones(2, 3)).shape
    trigrad.Size([2, 3])
    """
    require_cpu("empty_like", device)
    return _core.empty(input.shape, input.dtype if dtype is None else dtype)


def zeros_like(input: Tensor, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """`zeros` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.zeros_like(tg.ones(2))
    tensor([0., 0.])
    """
    require_cpu("zeros_like", device)
    return _filled(input.shape, 0, input.dtype if dtype is None else dtype)


def ones_like(input: Tensor, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """`ones` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.ones_like(tg.zeros(2))
    tensor([1., 1.])
    """
    require_cpu("ones_like", device)
    return _filled(input.shape, 1, input.dtype if dtype is None else dtype)


def full_like(
    input: Tensor, fill_value: Number, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None
) -> Tensor:
    """`full` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.full_like(tg.zeros(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    require_cpu("full_like", device)
    return _filled(input.shape, fill_value, input.dtype if dtype is None else dtype)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """start, start + step, ... up to but without `end`; arange(end) starts at 0. Integers make int64, floats float32.

    >>> import trigrad as tg
    >>> tg.arange(4)
    tensor([0, 1, 2, 3])
    >>> tg.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    require_cpu("arange", device)
    if end is None:
        start, end = 0, start
    integers = all(isinstance(v, int) for v in (start, end, step))
    if step == 0:
        raise RuntimeError("[arange] step is 0, expected another number")
    if not all(map(math.isfinite, (start, end, step))):
        raise RuntimeError(f"[arange] got start {start}, end {end}, step {step}, expected finite numbers")
    if (end - start) / step < 0:
        raise RuntimeError(f"[arange] step {step} leads from {start} away from {end}, expected the other sign")
    n = -((start - end) // step) if integers else math.ceil((end - start) / step)
    if dtype is None:
        dtype = _core.int64 if integers else _core.float32
    return ops.native_arange(start, step, int(n), _core.as_dtype(dtype))


def linspace(
    start: float, end: float, steps: int, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included.

    >>> import trigrad as tg
    >>> tg.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    require_cpu("linspace", device)
    if steps < 0:
        raise RuntimeError(f"[linspace] steps is {steps}, expected 0 or more")
    dtype = _core.float32 if dtype is None else _core.as_dtype(dtype)
    result = _core.empty(steps, dtype)
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    half = (steps + 1) // 2  # each half is counted from its own end, so that both ends are exact
    exact = _core.float64 if dtype is not _core.float32 else dtype
    result[:half] = ops.native_arange(float(start), step, half, exact)
    result[half:] = ops.native_arange(float(end), -step, steps - half, exact)[::-1]
    return result


def eye(n: int, m: int | None = None, *, dtype: DTypeArgument | None = None, device: DeviceArgument = None) -> Tensor:
    """A matrix (n, m) with 1 on the diagonal and 0 elsewhere.

    >>> import trigrad as tg
    >>> tg.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    require_cpu("eye", device)
    m = n if m is None else m
    result = _filled((n, m), 0, dtype)
    result.view(-1)[: n * m : m + 1][: min(n, m)] = 1
    return result
