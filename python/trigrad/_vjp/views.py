"""Gradients of views, which are no rows: VIEWS, by kind. The functions are called as those of rules are; of input and
output they know shape, strides and offset alone.

reshape    the same elements in the same order under another shape: view, squeeze, unsqueeze, flatten, ...
expand     axes repeated
strided    any other choice out of the input's memory: permute, transpose, slice, select, diagonal, unfold, as_strided
"""

from __future__ import annotations

from collections.abc import Sequence

from trigrad import ops
from trigrad._core import Tensor, int64
from trigrad._vjp.rule import Attributes, Function, Gradients, Grads, Tensors, Wanted, fill, sum_to


def reshape(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (grads[0].reshape(inputs[0].shape),)


def expand(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    return (sum_to(grads[0], inputs[0].shape),)


def strided(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    (g,), (x,), (y,) = grads, inputs, outputs
    order = permutation(x, y)
    if order is not None:
        return (g.permute(order),)
    if x.numel() == 0 or y.numel() == 0:
        return (fill(x.shape, 0, g),)
    # Memory that holds all of x, filled with zeros; then the gradient is put where the view had its elements.
    low, size = extent(x)
    memory = fill((size,), 0, g)
    at = (y.shape, y.stride(), y.storage_offset() - low)
    if repeats(y):
        places = ops.native_arange(0, 1, size, int64, device=g).as_strided(*at).reshape(-1)
        memory = ops.scatter_add(memory, 0, places, g.reshape(-1))
    else:
        ops.copy_(memory.as_strided(*at), g)
    return (gradient_of(x, memory, low),)


def gradient_of(x: Tensor, memory: Tensor, low: int) -> Tensor:
    """What the memory of x (from place `low` on) holds, for the elements of x; where several share a place, one of them
    has it all, or, if they overlap otherwise than by being repeated, each has its part."""
    start = x.storage_offset() - low
    once = tuple(1 if step == 0 and n > 1 else n for n, step in zip(x.shape, x.stride(), strict=True))
    grad = memory.as_strided(once, x.stride(), start)
    if repeats(grad):
        places = (
            ops.native_arange(0, 1, memory.numel(), int64, device=memory)
            .as_strided(once, x.stride(), start)
            .reshape(-1)
        )
        sharing = ops.scatter_add(fill(memory.shape, 0, memory), 0, places, fill(places.shape, 1, memory))
        grad = ops.div(grad, sharing.as_strided(once, x.stride(), start))
    if once == tuple(x.shape):
        return grad
    whole = fill(x.shape, 0, memory)
    ops.copy_(whole[tuple(slice(0, n) for n in once)], grad)
    return whole


def permutation(x: Tensor, y: Tensor) -> list[int] | None:
    """Where the axes of x are in y, if y has the same ones in another order."""
    axes_x = list(zip(x.shape, x.stride(), strict=True))
    axes_y = list(zip(y.shape, y.stride(), strict=True))
    if x.storage_offset() != y.storage_offset() or sorted(axes_x) != sorted(axes_y):
        return None
    order = []
    for axis in axes_x:
        at = axes_y.index(axis)
        order.append(at)
        axes_y[at] = (-1, -1)
    return order


def extent(x: Tensor) -> tuple[int, int]:
    """The first place of memory that x has an element in, and how many places it is to the last."""
    steps = [(n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True)]
    low = sum(step for step in steps if step < 0)
    return x.storage_offset() + low, 1 + sum(map(abs, steps))


def repeats(y: Tensor) -> bool:
    """May two elements of y share one place?"""
    axes: Sequence[tuple[int, int]] = sorted(
        (abs(step), n) for n, step in zip(y.shape, y.stride(), strict=True) if n > 1
    )
    reach = 0
    for step, n in axes:
        if step <= reach:
            return True
        reach += step * (n - 1)
    return False


VIEWS: dict[str, Function] = {"reshape": reshape, "expand": expand, "strided": strided}
