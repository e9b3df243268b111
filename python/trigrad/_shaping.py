"""Tensors put together, repeated, padded and turned: what has no view is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from trigrad import _core, ops
from trigrad._core import Tensor, int64
from trigrad._reductions import takes_axis
from trigrad._views import axis_of, integers, listed, pair

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "cartesian_prod",
    "clone",
    "column_stack",
    "concat",
    "concatenate",
    "diag",
    "diag_embed",
    "diagflat",
    "dstack",
    "flip",
    "fliplr",
    "flipud",
    "hstack",
    "meshgrid",
    "pad",
    "repeat_interleave",
    "roll",
    "rot90",
    "stack",
    "tile",
    "vstack",
]


def _each(
    function: Callable[[Tensor], Tensor], tensors: tuple[Tensor | Sequence[Tensor], ...]
) -> Tensor | tuple[Tensor, ...]:
    """function(tensor), or a tuple of the results for several tensors."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    return tuple(function(x) for x in listed(tensors))


def _one(x: Tensor) -> Tensor:
    return x if x.ndim else x.unsqueeze(0)


def _two(x: Tensor) -> Tensor:
    return x if x.ndim > 1 else _one(x).unsqueeze(0)


def _three(x: Tensor) -> Tensor:
    return x if x.ndim > 2 else _two(x).unsqueeze(-1)


def atleast_1d(*tensors: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
    """With an axis of length 1 where there is none.

    () -> (1,); all others as they are

    >>> import trigrad as tg
    >>> tg.atleast_1d(tg.tensor(5.0))
    tensor([5.])
    """
    return _each(_one, tensors)


def atleast_2d(*tensors: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
    """With axes of length 1 in front, up to two dimensions.

    () -> (1, 1), (n,) -> (1, n); all others as they are

    >>> import trigrad as tg
    >>> tg.atleast_2d(tg.zeros(3)).shape
    trigrad.Size([1, 3])
    """
    return _each(_two, tensors)


def atleast_3d(*tensors: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
    """With axes of length 1 in front and behind, up to three dimensions.

    () -> (1, 1, 1), (n,) -> (1, n, 1), (m, n) -> (m, n, 1); all others as they are

    >>> import trigrad as tg
    >>> tg.atleast_3d(tg.zeros(3)).shape
    trigrad.Size([1, 3, 1])
    """
    return _each(_three, tensors)


# ---- tensors together


@takes_axis
def concat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The same as `cat`.

    >>> import trigrad as tg
    >>> tg.concat([tg.zeros(1), tg.ones(2)])
    tensor([0., 1., 1.])
    """
    return ops.cat(tensors, dim)


@takes_axis
def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The same as `cat`.

    >>> import trigrad as tg
    >>> tg.concatenate([tg.zeros(1), tg.ones(2)])
    tensor([0., 1., 1.])
    """
    return ops.cat(tensors, dim)


@takes_axis
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis.

    tensors: k times (...) -> (..., k, ...)

    >>> import trigrad as tg
    >>> tg.stack([tg.zeros(2), tg.ones(2)], 1)
    tensor([[0., 1.],
            [0., 1.]])
    """
    if not len(tensors):
        raise RuntimeError("[stack] got an empty list, expected at least one tensor")
    axis = axis_of("stack", dim, tensors[0].ndim + 1)
    try:  # `cat` compares the lengths of all the other axes
        return ops.cat([x.unsqueeze(dim) for x in tensors], axis)
    except (RuntimeError, IndexError):
        shape = tensors[0].shape
        for i, x in enumerate(tensors):
            if x.shape != shape:
                raise RuntimeError(
                    f"[stack] tensor {i} has shape {tuple(x.shape)}, expected that of the first one, {tuple(shape)}"
                ) from None
        raise


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side along the second axis, along the first one where there is no other.

    >>> import trigrad as tg
    >>> tg.hstack([tg.zeros(1), tg.ones(2)])
    tensor([0., 1., 1.])
    """
    raised = [_one(x) for x in tensors]
    return ops.cat(raised, 1 if raised and raised[0].ndim > 1 else 0)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors below each other; those of one dimension are rows.

    >>> import trigrad as tg
    >>> tg.vstack([tg.zeros(2), tg.ones(2)])
    tensor([[0., 0.],
            [1., 1.]])
    """
    return ops.cat([_two(x) for x in tensors], 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors along the third axis.

    >>> import trigrad as tg
    >>> tg.dstack([tg.zeros(2), tg.ones(2)]).shape
    trigrad.Size([1, 2, 2])
    """
    return ops.cat([_three(x) for x in tensors], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side along the second axis; those of one dimension are columns.

    >>> import trigrad as tg
    >>> tg.column_stack([tg.tensor([1, 2]), tg.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return ops.cat([x if x.ndim > 1 else x.reshape(-1, 1) for x in tensors], 1)


def meshgrid(*tensors: Tensor | Sequence[Tensor], indexing: Literal["ij", "xy"] = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid, one tensor per axis, as views; 'xy' swaps the first two axes.

    tensors (n0,), (n1,), ... -> each (n0, n1, ...)

    >>> import trigrad as tg
    >>> tg.meshgrid(tg.arange(2), tg.arange(3))[0]
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    given = listed(tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"[meshgrid] indexing is {indexing!r}, expected 'ij' or 'xy'")
    if not len(given):
        raise RuntimeError("[meshgrid] got no tensors, expected at least one")
    for x in given:
        if x.ndim > 1 or x.dtype is not given[0].dtype:
            raise RuntimeError(
                f"[meshgrid] got {x.dtype} of shape {tuple(x.shape)}, expected tensors of one dimension and one dtype"
            )
    shape = [x.numel() for x in given]
    grids = [x.reshape([-1 if k == i else 1 for k in range(len(given))]).expand(shape) for i, x in enumerate(given)]
    return tuple(x.transpose(0, 1) for x in grids) if indexing == "xy" and len(given) > 1 else tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each tensor, a row each.

    tensors (n0,), (n1,), ... -> (n0 * n1 * ..., k)

    >>> import trigrad as tg
    >>> tg.cartesian_prod(tg.tensor([1, 2]), tg.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    if len(tensors) == 1 and tensors[0].ndim == 1:
        return tensors[0]
    return stack([x.reshape(-1) for x in meshgrid(*tensors)], 1)


# ---- elements in other places


def clone(input: Tensor) -> Tensor:
    """A copy with its own memory.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> x = tg.zeros(1); y = tg.clone(x); y += 1; x
    tensor([0.])
    """
    return input.clone()


def _backwards(input: Tensor, axis: int) -> Tensor:
    """The axis in reverse, as a view."""
    return input[(slice(None),) * axis + (slice(None, None, -1),)]


def flip(input: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """The axes `dims` in reverse, as a copy.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.flip(tg.tensor([[1, 2], [3, 4]]), (0,))
    tensor([[3, 4],
            [1, 2]])
    """
    return input.flip(*dims)


def fliplr(input: Tensor) -> Tensor:
    """The second axis in reverse, as a copy.

    input (m, n, ...) -> (m, n, ...)

    >>> import trigrad as tg
    >>> tg.fliplr(tg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    if input.ndim < 2:
        raise RuntimeError(f"[fliplr] got shape {tuple(input.shape)}, expected at least 2 dimensions")
    return input.flip(1)


def flipud(input: Tensor) -> Tensor:
    """The first axis in reverse, as a copy.

    input (m, ...) -> (m, ...)

    >>> import trigrad as tg
    >>> tg.flipud(tg.tensor([[1, 2], [3, 4]]))
    tensor([[3, 4],
            [1, 2]])
    """
    if input.ndim < 1:
        raise RuntimeError("[flipud] got a 0-d tensor, expected at least 1 dimension")
    return input.flip(0)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved on by `shifts` along `dims`; what leaves at the end comes in at the front. Without `dims` the tensor
    is rolled as if it were flat.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.roll(tg.tensor([1, 2, 3, 4]), 1)
    tensor([4, 1, 2, 3])
    """
    steps, axes = pair(shifts), () if dims is None else pair(dims)
    if not steps:
        raise RuntimeError("[roll] got no shifts, expected at least one")
    if not axes and len(steps) == 1:
        return roll(input.reshape(-1), steps, 0).reshape(input.shape)
    if len(steps) != len(axes):
        raise RuntimeError(f"[roll] got {len(steps)} shifts and {len(axes)} dims, expected equally many")
    result = input
    for shift, dim in zip(steps, axes, strict=True):
        axis = axis_of("roll", dim, input.ndim)
        n = input.shape[axis] if input.ndim else 1
        if input.numel() and shift % n:
            front = n - shift % n
            result = ops.cat([result.narrow(axis, front, n - front), result.narrow(axis, 0, front)], axis)
    return input.clone() if result is input else result


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k quarters of a circle, from the first of `dims` towards the second; a copy.

    input (m, n) -> (n, m) for an odd k, (m, n) for an even one

    >>> import trigrad as tg
    >>> tg.rot90(tg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2 or input.ndim < 2:
        raise RuntimeError(
            f"[rot90] got dims {tuple(dims)} for shape {tuple(input.shape)}, expected two of at least 2 dimensions"
        )
    a, b = axis_of("rot90", dims[0], input.ndim), axis_of("rot90", dims[1], input.ndim)
    if a == b:
        raise RuntimeError(f"[rot90] dims are {a} twice, expected two dimensions")
    k %= 4
    if k == 2:
        return input.flip(a, b)
    if k == 1:
        return _backwards(input, b).transpose(a, b).clone()
    return (_backwards(input, a).transpose(a, b) if k else input).clone()


def tile(input: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """The tensor so many times behind itself along each axis; the last of `dims` belongs to the last axis.

    input (m, n), dims (a, b) -> (a m, b n)

    >>> import trigrad as tg
    >>> tg.tile(tg.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = integers("tile", "dims", dims)
    return _repeat("tile", input, (1,) * (input.ndim - len(times)) + times)


def repeat(input: Tensor, *repeats: int | Sequence[int]) -> Tensor:
    """The tensor so many times behind itself along each axis; new axes come in front.

    >>> import trigrad as tg
    >>> tg.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return _repeat("repeat", input, integers("repeat", "repeats", repeats))


def _repeat(op: str, input: Tensor, times: tuple[int, ...]) -> Tensor:
    if len(times) < input.ndim or (times and min(times) < 0):
        raise RuntimeError(f"[{op}] got {times} for shape {tuple(input.shape)}, expected 0 or more for each dimension")
    x = input.reshape((1,) * (len(times) - input.ndim) + tuple(input.shape))
    shape = [n * k for n, k in zip(x.shape, times, strict=True)]
    # Axis by axis from the right; one that is repeated becomes (times, length) without a copy while there is room.
    for axis in reversed(range(len(times))):
        k = times[axis]
        if k == 1:
            continue
        if x.shape[axis] == 1:
            x = x.expand(*x.shape[:axis], k, *x.shape[axis + 1 :])
            continue
        if x.ndim == 8:
            x = ops.cat([x] * k, axis) if k else x.narrow(axis, 0, 0)
            continue
        x = x.unsqueeze(axis)
        x = x.expand(*x.shape[:axis], k, *x.shape[axis + 1 :])
    return x.clone().view(shape)


@takes_axis
def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element `repeats` times behind itself along `dim` (of the flat tensor if None). repeat_interleave(repeats)
    repeats the indices.

    input (..., n, ...) -> (..., n repeats, ...)

    >>> import trigrad as tg
    >>> tg.repeat_interleave(tg.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    >>> tg.repeat_interleave(tg.tensor([1, 2]), tg.tensor([3, 1]))
    tensor([1, 1, 1, 2])
    """
    if repeats is None:
        input, repeats = ops.native_arange(0, 1, input.numel(), int64, device=input), input
    if dim is None:
        input, dim = input.reshape(-1), 0
    axis = axis_of("repeat_interleave", dim, input.ndim)
    if not input.ndim:
        raise IndexError(
            "[repeat_interleave] got a tensor without dimensions and a dim, expected at least one; leave out dim"
        )
    x, n = input, input.shape[axis]
    if isinstance(repeats, Tensor):
        if repeats.is_floating_point() or repeats.ndim > 1 or repeats.numel() not in (1, n):
            raise RuntimeError(
                f"[repeat_interleave] repeats is {repeats.dtype} of shape {tuple(repeats.shape)}, "
                f"expected integers of shape {(n,)}"
            )
        if repeats.numel() == 1 and n != 1:
            repeats = int(repeats)
    least = repeats if isinstance(repeats, int) else int(ops.amin(repeats)) if n else 0
    if least < 0:
        raise RuntimeError("[repeat_interleave] repeats has a negative element, expected 0 or more")
    total = repeats * n if isinstance(repeats, int) else int(ops.sum(repeats))
    if output_size is not None and output_size != total:
        raise RuntimeError(f"[repeat_interleave] output_size is {output_size}, but the repeats sum to {total}")
    around, behind = x.shape[:axis], x.shape[axis + 1 :]
    if isinstance(repeats, int):
        rows = x.reshape(around.numel(), n, 1, behind.numel())
        return rows.expand(-1, -1, repeats, -1).clone().view(*around, total, *behind)
    if total == 0:
        return x.narrow(axis, 0, 0).clone()
    rows = x.reshape(around.numel(), n, behind.numel())
    # Place j belongs to the element whose number is how many elements end at j or before.
    ending = _core.filled("repeat_interleave", (total + 1,), 0, int64, repeats)
    one = _core.filled("repeat_interleave", (), 1, int64, repeats)
    ending.native_index_put_(one, [ops.cumsum(repeats.reshape(-1), 0)], 0, True, False)
    places = ops.cumsum(ending, 0).narrow(0, 0, total)
    return ops.native_index(rows, [places], 1, False).view(*around, total, *behind)


# ---- padding


def pad(
    input: Tensor,
    pad: Sequence[int],
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant",
    value: float | None = None,
) -> Tensor:
    """`input` with elements added before and behind its last axis (the first two entries of `pad`), the last but one (the
    next two), and so on; negative entries cut elements off. What is added is `value`, or in the other modes taken from the
    tensor: mirrored without its edge, the edge repeated, or the other end.

    input (..., n) -> (..., left + n + right) for pad = (left, right)

    >>> import trigrad as tg
    >>> tg.pad(tg.tensor([1, 2, 3]), (1, 2))
    tensor([0, 1, 2, 3, 0, 0])
    >>> tg.pad(tg.tensor([1, 2, 3]), (1, 2), "reflect")
    tensor([2, 1, 2, 3, 2, 1])
    >>> tg.pad(tg.tensor([1, 2, 3]), (1, 2), "circular")
    tensor([3, 1, 2, 3, 1, 2])
    """
    if not isinstance(pad, Sequence):
        raise TypeError(f"[pad] pad is a {type(pad).__name__}, expected a tuple of integers: (before, behind)")
    widths = tuple(pad)
    if mode == "constant":
        return _constant_pad(input, widths, 0.0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"[pad] mode is {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'")
    if value:
        raise RuntimeError(f"[pad] got value {value} beside mode={mode!r}, expected no value: it is for 'constant'")
    if len(widths) % 2 or len(widths) > 2 * input.ndim:
        raise RuntimeError(
            f"[pad] pad is {widths} for shape {tuple(input.shape)}, expected two entries for each of its last dimensions"
        )
    result = input
    for k in range(len(widths) // 2):
        result = _pad_axis(result, input.ndim - 1 - k, widths[2 * k], widths[2 * k + 1], mode)
    return input.clone() if result is input else result


def _constant_pad(input: Tensor, widths: tuple[int, ...], value: float) -> Tensor:
    if len(widths) <= 8 or len(widths) % 2 or len(widths) > 2 * input.ndim:
        return ops.native_pad(input, widths, value)
    # The row takes four axes: the others are padded as the last ones of a transposed view.
    more = (len(widths) - 8) // 2
    last = tuple(range(input.ndim - 4 - more, input.ndim - 4))
    places = tuple(range(input.ndim - more, input.ndim))
    padded = ops.native_pad(ops.native_pad(input, widths[:8], value).movedim(last, places), widths[8:], value)
    return padded.movedim(places, last).contiguous()


def _pad_axis(x: Tensor, axis: int, before: int, behind: int, mode: str) -> Tensor:
    n = x.shape[axis]
    most = {"reflect": n - 1, "circular": n, "replicate": 2**62 if n else 0}[mode]
    if max(before, behind) > most or min(before, behind) < -n or n + before + behind < 0:
        raise RuntimeError(
            f"[pad] got {before} before and {behind} behind dimension {axis} of length {n} in mode={mode!r}, "
            f"expected at most {most}, and no more cut off than there is"
        )
    if before == behind == 0:
        return x

    def piece(width: int, mirrored: int, edge: int, other_end: int) -> Tensor:
        if mode == "reflect":
            return _backwards(x.narrow(axis, mirrored, width), axis)
        if mode == "circular":
            return x.narrow(axis, other_end, width)
        return x.narrow(axis, edge, 1).expand(*(width if k == axis else -1 for k in range(x.ndim)))

    parts = [x]
    if before > 0:
        parts.insert(0, piece(before, 1, 0, n - before))
    if behind > 0:
        parts.append(piece(behind, n - 1 - behind, n - 1, 0))
    padded = ops.cat(parts, axis)
    if before >= 0 and behind >= 0:
        return padded
    start = max(-before, 0)
    return padded.narrow(axis, start, n + before + behind).contiguous()


# ---- diagonals


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis of `input` on their diagonal (i, i + offset) and 0 elsewhere.

    input (..., n) -> (..., n + |offset|, n + |offset|)

    >>> import trigrad as tg
    >>> tg.diag_embed(tg.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    rank = input.ndim + 1
    a, b = axis_of("diag_embed", dim1, rank), axis_of("diag_embed", dim2, rank)
    if a == b or not input.ndim:
        raise RuntimeError(
            f"[diag_embed] dim1 {dim1} and dim2 {dim2} for shape {tuple(input.shape)}, expected two different "
            "dimensions of the result, and an input of at least 1 dimension"
        )
    if a > b:
        a, b, offset = b, a, -offset
    n = input.shape[-1]
    m = n + abs(offset)
    # Rows of m + 1 elements, read as rows of m: what lies below each other moves one place to the right.
    row, column = (0, offset) if offset >= 0 else (-offset - 1, n + 1)
    rows = ops.native_pad(input.unsqueeze(-1), (column, m - column, row, m - n - row), 0).flatten(-2)
    matrix = rows.narrow(-1, 0, m * m).view(*input.shape[:-1], m, m)
    return matrix if (a, b) == (rank - 2, rank - 1) else matrix.movedim((-2, -1), (a, b)).contiguous()


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a given diagonal.

    input (m, n) -> (min(m, n),) for the main diagonal; (n,) -> (n, n)

    >>> import trigrad as tg
    >>> tg.diag(tg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    >>> tg.diag(tg.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"[diag] got shape {tuple(input.shape)}, expected 1 or 2 dimensions")
    return diag_embed(input, diagonal) if input.ndim == 1 else input.diagonal(diagonal).clone()


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements of `input` on its diagonal.

    input of n elements -> (m, m) with m = n + |offset|

    >>> import trigrad as tg
    >>> tg.diagflat(tg.tensor([[1, 2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag_embed(input.reshape(-1), offset)


METHODS = (*(diag, diag_embed, diagflat, fliplr, flipud, repeat, repeat_interleave, roll, rot90, tile),)
