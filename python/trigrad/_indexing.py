"""Reading and writing by index, beyond the rows of the op table and x[...] itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, full
from trigrad._reductions import Axes, takes_axis
from trigrad._views import broadcast_shapes

__all__ = [
    "argwhere",
    "bincount",
    "bucketize",
    "count_nonzero",
    "embedding",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "one_hot",
    "scatter",
    "searchsorted",
    "take",
    "take_along_dim",
    "tril_indices",
    "triu_indices",
    "where",
]


T = TypeVar("T")


def _speaking_as(name: str, row: Callable[..., T], *arguments: Any) -> T:
    """The row's result; an error of it carries the name that the user called."""
    try:
        return row(*arguments)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        text = str(error)
        if not text.startswith("["):
            raise
        raise type(error)(f"[{name}]{text.partition(']')[2]}") from None


# ---- places along one axis


def _vector(name: str, index: Tensor) -> Tensor:
    if index.ndim > 1:
        raise IndexError(f"[{name}] index has shape {tuple(index.shape)}, expected one dimension; flatten it first")
    return index if index.ndim else index.reshape(1)


def _rows(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`source`, whose shape must be that of the input with the indices along `dim`."""
    rank = input.ndim
    if not -rank <= dim < rank:
        raise IndexError(
            f"[{name}] dim {dim} is out of range: expected {-rank} to {rank - 1} for a tensor of {rank} dimensions"
        )
    wanted = list(input.shape)
    wanted[dim] = index.numel()
    if list(source.shape) != wanted:
        if source.ndim == 0 and wanted == [1]:
            return source.reshape(1)
        raise RuntimeError(
            f"[{name}] source has shape {tuple(source.shape)}, expected {tuple(wanted)}: that of the input with the "
            f"{index.numel()} indices along dim {dim}"
        )
    return source


def _put(
    name: str, input: Tensor, dim: int, index: Tensor, source: Tensor, accumulate: bool = False, wrap: bool = False
) -> Tensor:
    """Rows, or one number, written to or added at the places `index` along `dim`; in place for a name that says so."""
    target = input if input.ndim else input.reshape(1)
    if index.ndim != 1:
        index = _vector(name, index)
    if not wrap:
        source = _rows(name, target, dim, index, source)
    if name[-1] == "_":
        _speaking_as(name, target.native_index_put_, source, [index], dim, accumulate, wrap)
        return input
    result = _speaking_as(name, ops.native_index_put, target, source, [index], dim, accumulate, wrap)
    return result if input.ndim else result.reshape(())


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The places `index` along `dim`, as a copy.

    input (..., n, ...), index (m,) -> (..., m, ...)

    >>> import trigrad as tg
    >>> tg.index_select(tg.tensor([[1, 2, 3], [4, 5, 6]]), 1, tg.tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    index, source = _vector("index_select", index), input if input.ndim else input.reshape(1)
    selected = _speaking_as("index_select", ops.native_index, source, [index], dim, False)
    return selected if input.ndim else selected.reshape(())


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy of `input` to which alpha * source is added at the places `index` along `dim`, in the order of `index`.

    input (..., n, ...), index (m,), source (..., m, ...) -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.index_add(tg.zeros(3), 0, tg.tensor([0, 2, 0]), tg.tensor([1.0, 2.0, 3.0]))
    tensor([4., 0., 2.])
    """
    return _put("index_add", input, dim, index, source if alpha == 1 else ops.mul(source, alpha), accumulate=True)


def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """alpha * source added in place at the places `index` along `dim`."""
    return _put("index_add_", self, dim, index, source if alpha == 1 else ops.mul(source, alpha), accumulate=True)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` with `source` at the places `index` along `dim`; of several for one place the last counts.

    input (..., n, ...), index (m,), source (..., m, ...) -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.index_copy(tg.zeros(3), 0, tg.tensor([2, 0]), tg.tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """
    return _put("index_copy", input, dim, index, source)


def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`source` written at the places `index` along `dim`."""
    return _put("index_copy_", self, dim, index, source)


def _filling(name: str, input: Tensor, value: float | Tensor) -> Tensor:
    """A number as a tensor without axes, of the dtype of `input`."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"[{name}] value has shape {tuple(value.shape)}, expected a number or a 0-d tensor")
        return value if value.dtype is input.dtype else ops.cast(value, input.dtype)
    return full((), value, dtype=input.dtype, device=input.device)


def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """A copy of `input` with the number `value` at the places `index` along `dim`.

    input (..., n, ...), index (m,) -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.index_fill(tg.zeros(2, 3), 1, tg.tensor([0, -1]), 5)
    tensor([[5., 0., 5.],
            [5., 0., 5.]])
    """
    return _put("index_fill", input, dim, index, _filling("index_fill", input, value), wrap=True)


def index_fill_(self: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """The number `value` written at the places `index` along `dim`."""
    return _put("index_fill_", self, dim, index, _filling("index_fill_", self, value), wrap=True)


def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor | float, accumulate: bool = False) -> Tensor:
    """A copy of `input` with `values` written to input[indices], or added in the order of the indices.

    input (...), values of the shape of input[indices] or broadcast to it -> (...)

    >>> import trigrad as tg
    >>> tg.index_put(tg.zeros(3), (tg.tensor([0, 0]),), tg.tensor([1.0, 2.0]), accumulate=True)
    tensor([3., 0., 0.])
    """
    return input.clone().index_put_(indices, values, accumulate)


# ---- an index for every element


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Tensor | float | None = None, *, value: float | None = None
) -> Tensor:
    """A copy of `input` with src[i, j] written to place index[i, j] along `dim`, or the number `value`; of several for
    one place the last counts.

    input (..., n, ...); index and src have as many dimensions -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.scatter(tg.zeros(2, 3), 1, tg.tensor([[2], [0]]), tg.tensor([[5.0], [7.0]]))
    tensor([[0., 0., 5.],
            [7., 0., 0.]])
    >>> tg.scatter(tg.zeros(3), 0, tg.tensor([1]), value=9.0)
    tensor([0., 9., 0.])
    """
    return ops.scatter(input, dim, index, _source("scatter", input, index, src, value))


_scatter_in_place = Tensor.scatter_  # the row


def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Tensor | float | None = None, *, value: float | None = None
) -> Tensor:
    """src[i, j] written in place to place index[i, j] along `dim`, or the number `value`."""
    return _scatter_in_place(self, dim, index, _source("scatter_", self, index, src, value))


def _source(name: str, input: Tensor, index: Tensor, src: Any, value: Any) -> Tensor:
    if (src is None) == (value is None):
        raise TypeError(f"[{name}] expected src or value, one of them")
    if isinstance(src, Tensor):
        return src
    return full((), value if src is None else src, dtype=input.dtype, device=input.device).expand(index.shape)


@takes_axis
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements at the places `indices` along `dim`, which may be negative; of the flat tensor without `dim`.

    input (..., n, ...), indices (..., m, ...), broadcast off `dim` -> (..., m, ...)

    >>> import trigrad as tg
    >>> x = tg.tensor([[3, 1, 2], [9, 7, 8]])
    >>> tg.take_along_dim(x, tg.tensor([[0], [-1]]), 1)
    tensor([[3],
            [8]])
    """
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    if input.ndim != indices.ndim:
        raise RuntimeError(
            f"[take_along_dim] input {tuple(input.shape)} and indices {tuple(indices.shape)} have {input.ndim} and "
            f"{indices.ndim} dimensions, expected as many; unsqueeze one of them"
        )
    if indices.is_floating_point():
        raise RuntimeError(f"[take_along_dim] indices are {indices.dtype}, expected an integer dtype")
    if not input.ndim:
        return take_along_dim(input.reshape(1), indices.reshape(1), 0).reshape(())
    n, m = input.size(dim), indices.size(dim)
    places = ops.where(ops.lt(indices, 0), ops.add(indices, n), indices)
    shape = list(input.shape)
    shape[dim] = m
    if shape != list(indices.shape):
        ones = ([1 if axis in (dim, dim + t.ndim) else n for axis, n in enumerate(t.shape)] for t in (input, indices))
        shape = list(_speaking_as("take_along_dim", broadcast_shapes, *ones))
        shape[dim] = n
        input = _speaking_as("take_along_dim", input.expand, shape)
        shape[dim] = m
        places = places.expand(shape)
    return _speaking_as("take_along_dim", ops.gather, input, dim, places)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at the places `index` of the flat tensor.

    input of any shape, index (...) -> (...)

    >>> import trigrad as tg
    >>> tg.take(tg.tensor([[1, 2], [3, 4]]), tg.tensor([0, -1]))
    tensor([1, 4])
    """
    return _speaking_as("take", ops.native_index, input.reshape(-1), [index])


# ---- rows of a table


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows `input` of `weight`. `padding_idx` names a row whose gradient is left at 0.

    input (...) of indices, weight (n, m) -> (..., m)

    >>> import trigrad as tg
    >>> tg.embedding(tg.tensor([2, 0]), tg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    tensor([[5., 6.],
            [1., 2.]])
    """
    if weight.ndim != 2:
        raise RuntimeError(
            f"[embedding] weight has shape {tuple(weight.shape)}, expected 2 dimensions (rows, features)"
        )
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "[embedding] max_norm, scale_grad_by_freq and sparse are not supported, expected unset"
        )
    if padding_idx is not None and not -weight.shape[0] <= padding_idx < weight.shape[0]:
        raise ValueError(
            f"[embedding] padding_idx is {padding_idx}, expected a row of the weight {tuple(weight.shape)}"
        )
    rows = _speaking_as("embedding", ops.native_index, weight, [input], 0, False)
    if padding_idx is None or not rows.requires_grad:
        return rows
    return ops.where(ops.eq(input, padding_idx % weight.shape[0]).unsqueeze(-1), rows.detach(), rows)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A 1 at the place that each element names, 0 elsewhere; as many places as the greatest element needs, or as said.

    tensor (...) of classes -> (..., num_classes), int64

    >>> import trigrad as tg
    >>> tg.one_hot(tg.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("[one_hot] the tensor is empty, expected an element or num_classes to count them by")
        num_classes = int(ops.amax(tensor)) + 1
    if num_classes < 1:
        raise RuntimeError(f"[one_hot] num_classes is {num_classes}, expected 1 or more, and classes from 0 on")
    index = tensor.unsqueeze(-1)
    marks = _core.empty((*tensor.shape, num_classes), _core.int64, tensor).zero_()
    return _speaking_as("one_hot", _scatter_in_place, marks, -1, index, _one(index).expand(index.shape))


def _one(beside: Tensor) -> Tensor:
    return _core.filled("fill", (), 1, _core.int64, beside)


# ---- masks


def _require_mask(name: str, mask: Tensor) -> None:
    if mask.dtype is not _core.bool:
        raise RuntimeError(f"[{name}] mask is {mask.dtype}, expected bool; compare first, for instance x > 0")


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` is true, in order.

    input and mask, broadcast -> (n,)

    >>> import trigrad as tg
    >>> x = tg.tensor([[1, 2], [3, 4]])
    >>> tg.masked_select(x, x > 2)
    tensor([3, 4])
    """
    _require_mask("masked_select", mask)
    if input.shape != mask.shape:
        shape = _speaking_as("masked_select", broadcast_shapes, input.shape, mask.shape)
        input, mask = input.expand(shape), mask.expand(shape)
    return input[mask].reshape(-1)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` with the elements of `source`, in order, where `mask` is true.

    input (...), mask broadcast to it, source of at least as many elements as are true -> (...)

    >>> import trigrad as tg
    >>> tg.masked_scatter(tg.zeros(3), tg.tensor([True, False, True]), tg.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    if input.shape != mask.shape:
        input = input.expand(_speaking_as("masked_scatter", broadcast_shapes, input.shape, mask.shape))
    return masked_scatter_(input.clone(), mask, source)


def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of `source`, in order, written where `mask` is true."""
    _require_mask("masked_scatter", mask)
    mask = _speaking_as("masked_scatter", mask.expand, self.shape)
    n = int(ops.native_count_nonzero(mask))
    if source.dtype is not self.dtype:
        raise RuntimeError(f"[masked_scatter] source is {source.dtype}, expected the dtype of the input, {self.dtype}")
    if source.numel() < n:
        raise RuntimeError(
            f"[masked_scatter] source has {source.numel()} elements, expected {n}, one for each true of mask"
        )
    self[mask] = source.reshape(-1)[:n]
    return self


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """The elements of `input` where `condition` is true, those of `other` elsewhere; without them, where it is true, as
    nonzero(condition, as_tuple=True).

    condition, input, other (...), broadcast -> (...)

    >>> import trigrad as tg
    >>> x = tg.tensor([-1.0, 2.0])
    >>> tg.where(x > 0, x, 0.0)
    tensor([0., 2.])
    >>> tg.where(x > 0)
    (tensor([1]),)
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return ops.where(condition, input, other)


# ---- counting and finding


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The coordinates of the elements that are not 0, in order: one row each, or one tensor for each dimension.

    input of d dimensions -> (n, d), or d times (n,)

    >>> import trigrad as tg
    >>> x = tg.tensor([[0, 7], [8, 0]])
    >>> tg.nonzero(x)
    tensor([[0, 1],
            [1, 0]])
    >>> tg.nonzero(x, as_tuple=True)
    (tensor([0, 1]), tensor([1, 0]))
    """
    if as_tuple and not input.ndim:
        input = input.reshape(1)
    places = ops.native_nonzero(input, int(ops.native_count_nonzero(input)))
    return tuple(places) if as_tuple else places.t()


def argwhere(input: Tensor) -> Tensor:
    """The coordinates of the elements that are not 0, one row each.

    input of d dimensions -> (n, d)

    >>> import trigrad as tg
    >>> tg.argwhere(tg.tensor([0, 7, 8]))
    tensor([[1],
            [2]])
    """
    return ops.native_nonzero(input, int(ops.native_count_nonzero(input))).t()


@takes_axis
def count_nonzero(input: Tensor, dim: Axes = None) -> Tensor:
    """How many elements (along `dim`) are not 0?

    input (..., n, ...) -> (..., ...) of int64

    >>> import trigrad as tg
    >>> tg.count_nonzero(tg.tensor([[0, 7], [8, 9]]), 0)
    tensor([1, 2])
    """
    return ops.native_count_nonzero(input) if dim is None else ops.sum(ops.ne(input, 0), dim)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs, or the sums of their weights, added in order.

    input (m,) of integers from 0 on, weights (m,) -> (n,)

    >>> import trigrad as tg
    >>> tg.bincount(tg.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    >>> tg.bincount(tg.tensor([0, 2, 2]), tg.tensor([1.0, 0.5, 0.25]), minlength=4)
    tensor([1.0000, 0.0000, 0.7500, 0.0000])
    """
    if input.ndim != 1 or input.is_floating_point():
        raise RuntimeError(
            f"[bincount] input is {input.dtype} of shape {tuple(input.shape)}, expected integers of one dimension"
        )
    if minlength < 0:
        raise RuntimeError(f"[bincount] minlength is {minlength}, expected 0 or more")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError(
            f"[bincount] weights have shape {tuple(weights.shape)}, expected that of the input, {tuple(input.shape)}"
        )
    if weights is None or not input.numel():  # of nothing PyTorch counts in integers
        weights = _one(input)
    elif weights.dtype is not _core.float32:
        weights = weights.double()
    n = max(minlength, int(ops.amax(input)) + 1 if input.numel() else 0)
    counts = _core.empty((n,), weights.dtype, input).zero_()
    return _speaking_as("bincount", counts.native_index_put_, weights, [input], 0, True, False)


def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: Literal["left", "right"] | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in the sorted sequence each value would keep the order: before equal elements, or behind them if `right` (or
    side="right"). NaN is the greatest. `sorter` sorts an unsorted sequence.

    sorted_sequence (n,), input (...) -> (...); or (..., n), (..., m) -> (..., m)

    >>> import trigrad as tg
    >>> tg.searchsorted(tg.tensor([1.0, 3.0, 5.0]), tg.tensor([3.0, 4.0]))
    tensor([1, 2])
    >>> tg.searchsorted(tg.tensor([1.0, 3.0, 5.0]), tg.tensor([3.0, 4.0]), right=True)
    tensor([2, 2])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"[searchsorted] side is {side!r}, expected 'left' or 'right'")
    if right and side == "left":
        raise RuntimeError("[searchsorted] got side='left' and right=True, expected one of them")
    if sorter is not None:
        sorted_sequence = _speaking_as("searchsorted", ops.gather, sorted_sequence, -1, sorter)
    return _search(sorted_sequence, input, right or side == "right", out_int32)


def bucketize(input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket each value falls in: boundaries[i - 1] < value <= boundaries[i], or <= and < if `right`.

    input (...), boundaries (n,) in order -> (...)

    >>> import trigrad as tg
    >>> tg.bucketize(tg.tensor([0.5, 1.0, 9.0]), tg.tensor([1.0, 3.0]))
    tensor([0, 0, 2])
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"[bucketize] boundaries have shape {tuple(boundaries.shape)}, expected one dimension")
    return _speaking_as("bucketize", _search, boundaries, input, right, out_int32)


def _search(sequence: Tensor, values: Any, right: bool, narrow: bool) -> Tensor:
    if not isinstance(values, Tensor):
        exact = _core.float64 if isinstance(values, float) else _core.int64
        values = full(
            (), values, dtype=sequence.dtype if sequence.is_floating_point() else exact, device=sequence.device
        )
    return ops.native_searchsorted(sequence, values, right, narrow)


# ---- triangles


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeArgument = _core.int64, device: DeviceArgument = None
) -> Tensor:
    """The coordinates on and below a diagonal of a (row, col) matrix, row by row: (2, n).

    >>> import trigrad as tg
    >>> tg.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle(ops.le, row, col, offset, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeArgument = _core.int64, device: DeviceArgument = None
) -> Tensor:
    """The coordinates on and above a diagonal of a (row, col) matrix, row by row: (2, n).

    >>> import trigrad as tg
    >>> tg.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle(ops.ge, row, col, offset, dtype, device)


def _triangle(
    compare: Callable[..., Tensor], row: int, col: int, offset: int, dtype: DTypeArgument, device: DeviceArgument
) -> Tensor:
    columns = ops.native_arange(0, 1, col, _core.int64, device=device)
    mask = compare(columns, ops.native_arange(offset, 1, row, _core.int64, device=device).unsqueeze(1))
    places = ops.native_nonzero(mask, int(ops.native_count_nonzero(mask)))
    return places if dtype is _core.int64 else ops.cast(places, dtype)


METHODS = (
    *(index_select, index_add, index_add_, index_copy, index_copy_, index_fill, index_fill_, index_put),
    *(scatter, scatter_, take, take_along_dim, masked_select, masked_scatter, masked_scatter_),
    *(nonzero, argwhere, count_nonzero, bincount),
)
