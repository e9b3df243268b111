"""Other shapes, as functions: views, and copies where there is no view."""

from __future__ import annotations

from collections.abc import Sequence

from trigrad._core import Tensor
from trigrad._reductions import Axes

__all__ = [
    "broadcast_to",
    "clone",
    "flatten",
    "numel",
    "permute",
    "reshape",
    "squeeze",
    "t",
    "transpose",
    "unsqueeze",
]


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

    >>> import trigrad as tg
    >>> tg.permute(tg.zeros(2, 3, 4), (2, 0, 1)).shape
    trigrad.Size([4, 2, 3])
    """
    return input.permute(dims)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes swapped, as a view.

    >>> import trigrad as tg
    >>> tg.transpose(tg.zeros(2, 3), 0, 1).shape
    trigrad.Size([3, 2])
    """
    return input.transpose(dim0, dim1)


def t(input: Tensor) -> Tensor:
    """The transposed matrix, as a view.

    >>> import trigrad as tg
    >>> tg.t(tg.zeros(2, 3)).shape
    trigrad.Size([3, 2])
    """
    return input.t()


def squeeze(input: Tensor, dim: Axes = None) -> Tensor:
    """Without axes of length 1 (those in `dim`), as a view.

    >>> import trigrad as tg
    >>> tg.squeeze(tg.zeros(2, 1, 3)).shape
    trigrad.Size([2, 3])
    """
    return input.squeeze() if dim is None else input.squeeze(dim)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of length 1 at `dim`, as a view.

    >>> import trigrad as tg
    >>> tg.unsqueeze(tg.zeros(2, 3), 0).shape
    trigrad.Size([1, 2, 3])
    """
    return input.unsqueeze(dim)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` joined into one.

    >>> import trigrad as tg
    >>> tg.flatten(tg.zeros(2, 3, 4), 1).shape
    trigrad.Size([2, 12])
    """
    return input.flatten(start_dim, end_dim)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Axes of length 1 repeated up to `shape`, without copying.

    >>> import trigrad as tg
    >>> tg.broadcast_to(tg.zeros(3), (2, 3)).shape
    trigrad.Size([2, 3])
    """
    return input.expand(shape)


def clone(input: Tensor) -> Tensor:
    """A copy with its own memory.

    >>> import trigrad as tg
    >>> x = tg.zeros(1); y = tg.clone(x); y += 1; x
    tensor([0.])
    """
    return input.clone()


def numel(input: Tensor) -> int:
    """The number of elements.

    >>> import trigrad as tg
    >>> tg.numel(tg.zeros(2, 3))
    6
    """
    return input.numel()
