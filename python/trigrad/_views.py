"""Views, as functions: other shapes of the same memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trigrad._core import Size, Tensor
from trigrad._reductions import Axes, takes_axis

__all__ = [
    "as_strided",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "chunk",
    "detach",
    "diagonal",
    "flatten",
    "moveaxis",
    "movedim",
    "narrow",
    "numel",
    "permute",
    "ravel",
    "reshape",
    "select",
    "split",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
]


def axis_of(op: str, dim: int, rank: int) -> int:
    """`dim` counted from the front."""
    if not -max(rank, 1) <= dim < max(rank, 1):
        raise IndexError(
            f"[{op}] dim {dim} is out of range: expected {-max(rank, 1)} to {max(rank, 1) - 1} "
            f"for a tensor of {rank} dimensions"
        )
    return dim % max(rank, 1)


def integers(op: str, name: str, given: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    """(2, 3) from f(2, 3) and from f((2, 3))."""
    values = tuple(given[0]) if len(given) == 1 and isinstance(given[0], Sequence) else given
    if any(isinstance(v, (Sequence, float)) for v in values):
        raise TypeError(f"[{op}] {name} is {values!r}, expected integers")
    return values  # type: ignore[return-value]


def pair(value: int | Sequence[int]) -> tuple[int, ...]:
    if type(value) is int:
        return (value,)
    return tuple(value) if isinstance(value, Sequence) else (value,)


def listed(tensors: tuple[Tensor | Sequence[Tensor], ...]) -> Sequence[Tensor]:
    """The tensors of f(a, b) and of f([a, b])."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        return tensors[0]
    return tensors  # type: ignore[return-value]


# ---- views


def reshape(input: Tensor, shape: int | Sequence[int]) -> Tensor:
    """`input` under another shape of as many elements: a view if there is one, else a copy.

    >>> import trigrad as tg
    >>> tg.reshape(tg.arange(4), (2, -1))
    tensor([[0, 1],
            [2, 3]])
    """
    return input.reshape(shape)


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The axes in another order, as a view.

    input (a, b, c) -> with dims (2, 0, 1) (c, a, b)

    >>> import trigrad as tg
    >>> tg.permute(tg.zeros(2, 3, 4), (2, 0, 1)).shape
    trigrad.Size([4, 2, 3])
    """
    return input.permute(dims)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes swapped, as a view.

    input (..., m, ..., n, ...) -> (..., n, ..., m, ...)

    >>> import trigrad as tg
    >>> tg.transpose(tg.zeros(2, 3), 0, 1).shape
    trigrad.Size([3, 2])
    """
    return input.transpose(dim0, dim1)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """The same as `transpose`.

    input (..., m, ..., n, ...) -> (..., n, ..., m, ...)

    >>> import trigrad as tg
    >>> tg.swapaxes(tg.zeros(2, 3), 0, 1).shape
    trigrad.Size([3, 2])
    """
    return input.swapaxes(axis0, axis1)


def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """The same as `transpose`.

    input (..., m, ..., n, ...) -> (..., n, ..., m, ...)

    >>> import trigrad as tg
    >>> tg.swapdims(tg.zeros(2, 3), 0, 1).shape
    trigrad.Size([3, 2])
    """
    return input.swapdims(dim0, dim1)


def t(input: Tensor) -> Tensor:
    """The transposed matrix, as a view.

    input (m, n) -> (n, m); (n,) and () as they are

    >>> import trigrad as tg
    >>> tg.t(tg.zeros(2, 3)).shape
    trigrad.Size([3, 2])
    """
    return input.t()


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """The axes `source` moved to the places `destination`, as a view; the others keep their order.

    input (a, b, c) -> with source 0 and destination -1 (b, c, a)

    >>> import trigrad as tg
    >>> tg.movedim(tg.zeros(2, 3, 4), 0, -1).shape
    trigrad.Size([3, 4, 2])
    """
    return input.movedim(source, destination)


def moveaxis(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """The same as `movedim`.

    input (a, b, c) -> with source 0 and destination -1 (b, c, a)

    >>> import trigrad as tg
    >>> tg.moveaxis(tg.zeros(2, 3, 4), 0, -1).shape
    trigrad.Size([3, 4, 2])
    """
    return input.moveaxis(source, destination)


@takes_axis
def squeeze(input: Tensor, dim: Axes = None) -> Tensor:
    """Without axes of length 1 (those in `dim`), as a view.

    input (a, 1, b) -> (a, b)

    >>> import trigrad as tg
    >>> tg.squeeze(tg.zeros(2, 1, 3)).shape
    trigrad.Size([2, 3])
    """
    return input.squeeze() if dim is None else input.squeeze(dim)


@takes_axis
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of length 1 at `dim`, as a view.

    input (..., ...) -> (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.unsqueeze(tg.zeros(2, 3), 0).shape
    trigrad.Size([1, 2, 3])
    """
    return input.unsqueeze(dim)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` joined into one.

    input (a, b, c) -> (a b c,); with start_dim=1 (a, b c)

    >>> import trigrad as tg
    >>> tg.flatten(tg.zeros(2, 3, 4), 1).shape
    trigrad.Size([2, 12])
    """
    return input.flatten(start_dim, end_dim)


def ravel(input: Tensor) -> Tensor:
    """All axes joined into one.

    input (a, b, c) -> (a b c,)

    >>> import trigrad as tg
    >>> tg.ravel(tg.zeros(2, 3)).shape
    trigrad.Size([6])
    """
    return input.ravel()


@takes_axis
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The axis `dim` cut into several of lengths `sizes`, of which one may be -1; as a view.

    input (..., a b, ...), sizes (a, b) -> (..., a, b, ...)

    >>> import trigrad as tg
    >>> tg.unflatten(tg.zeros(2, 12), 1, (3, -1)).shape
    trigrad.Size([2, 3, 4])
    """
    axis = axis_of("unflatten", dim, input.ndim)
    cut = tuple(sizes)
    if not input.ndim or not cut:
        raise RuntimeError(f"[unflatten] got shape {tuple(input.shape)} and sizes {cut}, expected at least one of each")
    shape = tuple(input.shape)
    whole = shape[axis]
    if -1 in cut:
        known = -math.prod(cut)
        if known > 0 and whole % known == 0:
            at = cut.index(-1)
            cut = (*cut[:at], whole // known, *cut[at + 1 :])
    if math.prod(cut) != whole or min(cut) < 0:
        raise RuntimeError(f"[unflatten] sizes {cut} do not multiply up to {whole}, the length of dimension {axis}")
    return input.view(shape[:axis] + cut + shape[axis + 1 :])


@takes_axis
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """`length` elements from `start` on along `dim`, as a view.

    input (..., n, ...) -> (..., length, ...)

    >>> import trigrad as tg
    >>> tg.narrow(tg.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    return input.narrow(dim, start, length)


@takes_axis
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """What lies at `index` along `dim`, as a view without that axis.

    input (..., n, ...) -> (..., ...)

    >>> import trigrad as tg
    >>> tg.select(tg.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    return input.select(dim, index)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements (i, i + offset) of two axes as the last axis of a view.

    >>> import trigrad as tg
    >>> tg.diagonal(tg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return input.diagonal(offset, dim1, dim2)


def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """The storage of `input` under any shape and strides that stay within it, as a view.

    >>> import trigrad as tg
    >>> tg.as_strided(tg.arange(5), (2, 3), (2, 1))
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    return input.as_strided(size, stride, storage_offset)


def detach(input: Tensor) -> Tensor:
    """The same memory, apart from any history.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.detach(tg.ones(2))
    tensor([1., 1.])
    """
    return input.detach()


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Axes of length 1 repeated up to `shape`, without copying.

    >>> import trigrad as tg
    >>> tg.broadcast_to(tg.zeros(3), (2, 3)).shape
    trigrad.Size([2, 3])
    """
    return input.expand(shape)


def broadcast_shapes(*shapes: int | Sequence[int]) -> Size:
    """The shape that tensors of these shapes broadcast to.

    >>> import trigrad as tg
    >>> tg.broadcast_shapes((2, 1), (3,))
    trigrad.Size([2, 3])
    """
    result: list[int] = []
    for shape in map(pair, shapes):
        result = [1] * (len(shape) - len(result)) + result
        for k, length in enumerate(reversed(shape), 1):
            if length < 0 or (length != 1 and result[-k] not in (1, length)):
                raise RuntimeError(
                    f"[broadcast_shapes] shapes {shapes} cannot be broadcast: at dimension -{k} got {length} "
                    f"beside {result[-k]}, expected equal lengths or 1"
                )
            if length != 1:
                result[-k] = length
    return Size(result)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors expanded to one shape, as views.

    >>> import trigrad as tg
    >>> [tuple(x.shape) for x in tg.broadcast_tensors(tg.zeros(2, 1), tg.zeros(3))]
    [(2, 3), (2, 3)]
    """
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(x.expand(shape) for x in tensors)


# ---- views in a row


@takes_axis
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of so many elements along `dim` (the last one may be shorter), or of the lengths in a list.

    tensor (..., n, ...) -> views (..., size, ...)

    >>> import trigrad as tg
    >>> tg.split(tg.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> tg.split(tg.arange(5), [1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    return tensor.split(split_size_or_sections, dim)


@takes_axis
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of one length along `dim`; the last one may be shorter.

    input (..., n, ...) -> views (..., m, ...) with m = ceil(n / chunks)

    >>> import trigrad as tg
    >>> tg.chunk(tg.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    return input.chunk(chunks, dim)


@takes_axis
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Exactly so many views along `dim`, of lengths that differ by 1 at most; or views cut at the indices in a list.

    input (..., n, ...) -> views (..., m, ...)

    >>> import trigrad as tg
    >>> tg.tensor_split(tg.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> tg.tensor_split(tg.arange(5), (1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    if input.ndim == 0:
        raise RuntimeError("[tensor_split] got a 0-d tensor, expected at least one dimension")
    axis = axis_of("tensor_split", dim, input.ndim)
    n = input.shape[axis]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int) or not isinstance(indices_or_sections, Sequence):
        sections = int(indices_or_sections)
        if sections < 1:
            raise RuntimeError(f"[tensor_split] got {sections} sections, expected 1 or more")
        base, longer = divmod(n, sections)
        return input.split([base + 1] * longer + [base] * (sections - longer), axis)
    ends = [slice(cut).indices(n)[1] for cut in indices_or_sections]  # negative ones count from the end
    return tuple(
        input.narrow(axis, start, max(end - start, 0)) for start, end in zip([0, *ends], [*ends, n], strict=True)
    )


@takes_axis
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view for each index of `dim`.

    input (..., n, ...) -> n views (..., ...)

    >>> import trigrad as tg
    >>> tg.unbind(tg.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    return input.unbind(dim)


# ---- facts


def numel(input: Tensor) -> int:
    """The number of elements.

    input of any shape -> an int

    >>> import trigrad as tg
    >>> tg.numel(tg.zeros(2, 3))
    6
    """
    return input.numel()


METHODS = (broadcast_to, tensor_split, unflatten)  # those that C++ does not give to Tensor
