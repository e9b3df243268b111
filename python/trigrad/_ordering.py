"""Sorting, selecting and what follows from the order of elements: NaN is the greatest, -0 equals +0, equal values keep
their order. Scans and differences along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from trigrad import _creation, ops
from trigrad._core import Tensor, int64
from trigrad._core import bool as boolean
from trigrad._creation import DTypeArgument
from trigrad._reductions import ValuesAndIndices, takes_axis
from trigrad._taped import as_it_was

__all__ = [
    "argsort",
    "diff",
    "kthvalue",
    "median",
    "msort",
    "nanmedian",
    "quantile",
    "sort",
    "topk",
    "trapezoid",
    "trapz",
    "unique",
]

Interpolation: TypeAlias = Literal["linear", "lower", "higher", "midpoint", "nearest"]


@takes_axis
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesAndIndices:
    """The elements along `dim` in order, and the indices they had. The sort is stable, asked or not.

    input (..., n, ...) -> values and indices (..., n, ...)

    >>> import trigrad as tg
    >>> tg.sort(tg.tensor([3.0, 1.0, 2.0])).values
    tensor([1., 2., 3.])
    >>> tg.sort(tg.tensor([1.0, 2.0, 1.0]), descending=True).indices
    tensor([1, 0, 2])
    """
    return ValuesAndIndices(*ops.native_sort(input, dim, descending))


@takes_axis
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the elements along `dim`; see `sort`.

    input (..., n, ...) -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.argsort(tg.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    return ops.native_sort(input, dim, descending)[1]


def msort(input: Tensor) -> Tensor:
    """The elements along the first axis in order.

    input (n, ...) -> (n, ...)

    >>> import trigrad as tg
    >>> tg.msort(tg.tensor([[3, 1], [2, 4]]))
    tensor([[2, 1],
            [3, 4]])
    """
    return ops.native_sort(input, 0)[0]


@takes_axis
def topk(input: Tensor, k: int, dim: int | None = None, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The k greatest (or least) elements along `dim`, the last axis if None, and their indices. They come in order, asked
    or not; of equal ones those with the lowest indices are taken, and come in the order of these.

    input (..., n, ...) -> values and indices (..., k, ...)

    >>> import trigrad as tg
    >>> tg.topk(tg.tensor([1.0, 5.0, 3.0, 5.0]), 3)
    ValuesAndIndices(values=tensor([5., 5., 3.]), indices=tensor([1, 3, 2]))
    """
    return ValuesAndIndices(*ops.native_topk(input, k, -1 if dim is None else dim, largest))


@takes_axis
def kthvalue(input: Tensor, k: int, dim: int | None = None, keepdim: bool = False) -> ValuesAndIndices:
    """The k-th smallest element along `dim` (the last axis if None), counted from 1, and its index.

    input (..., n, ...) -> values and indices (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.kthvalue(tg.tensor([5.0, 1.0, 3.0]), 2).values
    tensor(3.)
    """
    return ValuesAndIndices(*ops.native_kthvalue(input, k, -1 if dim is None else dim, keepdim))


def _median(input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Tensor | ValuesAndIndices:
    if dim is not None:
        return ValuesAndIndices(*ops.native_kthvalue(input, None, dim, keepdim, skip_nan))
    if input.numel() == 0:
        return _creation.full((), math.nan, dtype=input.dtype, device=input.device)
    return ops.native_kthvalue(input.reshape(-1), None, 0, False, skip_nan)[0]


@takes_axis
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The median, the lower of two; NaN where there is one. median(input, dim) also tells its index.

    input (..., n, ...) -> (), or values and indices (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.median(tg.tensor([5.0, 1.0, 4.0, 2.0]))
    tensor(2.)
    """
    return _median(input, dim, keepdim, skip_nan=False)


@takes_axis
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The median of what is not NaN; see `median`.

    input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.nanmedian(tg.tensor([5.0, float("nan"), 4.0]))
    tensor(4.)
    """
    return _median(input, dim, keepdim, skip_nan=True)


@takes_axis
def quantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: Interpolation = "linear",
) -> Tensor:
    """The value below which the share `q` (0 to 1) of the elements lies, along `dim` or of all. Between two elements:
    linear interpolation, or the lower, the higher, their middle, or the nearest.

    input (..., n, ...), q () or (m,) -> (..., ...) or (m, ..., ...), with keepdim n becomes 1

    >>> import trigrad as tg
    >>> tg.quantile(tg.tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
    tensor(1.5000)
    >>> tg.quantile(tg.tensor([0.0, 1.0, 2.0, 3.0]), tg.tensor([0.0, 1.0]))
    tensor([0., 3.])
    """
    if not input.is_floating_point():
        raise RuntimeError(f"[quantile] got {input.dtype}, expected float32 or float64; cast it with .float()")
    if isinstance(q, Tensor) and (q.ndim > 1 or q.dtype is not input.dtype):
        raise RuntimeError(
            f"[quantile] q has shape {tuple(q.shape)} and dtype {q.dtype}, expected () or (m,) and {input.dtype}"
        )
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"[quantile] interpolation is {interpolation!r}, expected 'linear', 'lower', 'higher', 'midpoint' or 'nearest'"
        )
    shares = q.reshape(-1).tolist() if isinstance(q, Tensor) else [q]
    for share in shares:
        if not 0 <= share <= 1:
            raise RuntimeError(f"[quantile] q is {share}, expected 0 to 1")
    if input.numel() == 0:
        raise RuntimeError(f"[quantile] got input {tuple(input.shape)}, expected an element at least")
    lines = input.reshape(-1) if dim is None else input.transpose(dim, -1) if input.ndim else input.reshape(1)
    ordered = ops.native_sort(lines)[0]
    n = ordered.shape[-1]
    greatest = ordered[..., n - 1]

    def between(rank: float) -> Tensor:
        below, above = math.floor(rank), math.ceil(rank)
        if interpolation == "nearest":
            below = above = round(rank)
        low, high = ordered[..., below], ordered[..., above]
        if below == above or interpolation == "lower":
            return low
        if interpolation == "higher":
            return high
        return ops.add(low, ops.mul(ops.sub(high, low), 0.5 if interpolation == "midpoint" else rank - below))

    found = _creation.empty((len(shares), *greatest.shape), dtype=input.dtype, device=input.device)
    for place, share in enumerate(shares):
        ops.copy_(found[place], ops.where(ops.isnan(greatest), greatest, between(share * (n - 1))))
    if dim is None or not input.ndim:
        found = found.reshape(len(shares), *([1] * input.ndim if keepdim else []))
    else:  # the axis that was swapped with `dim` is in its place
        found = found.unsqueeze(-1).transpose(1 + dim % input.ndim, -1)
        found = found if keepdim else found.squeeze(1 + dim % input.ndim)
    return found if isinstance(q, Tensor) and q.ndim else found[0]


@takes_axis
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along `dim`, taken `n` times; bool: are they different? `prepend` and `append` are put
    before and behind first.

    input (..., m, ...) -> (..., m - n, ...)

    >>> import trigrad as tg
    >>> tg.diff(tg.tensor([1, 4, 9, 16]))
    tensor([3, 5, 7])
    """
    if input.ndim == 0:
        raise RuntimeError("[diff] got a tensor without dimensions, expected at least one")
    if n < 0:
        raise RuntimeError(f"[diff] n is {n}, expected 0 or more")
    parts = [part for part in (prepend, input, append) if part is not None]
    result = ops.cat(parts, dim) if len(parts) > 1 and n else input
    minus = ops.ne if input.dtype is boolean else ops.sub
    before = (slice(None),) * (dim % input.ndim)
    for _ in range(min(n, result.shape[dim])):
        result = minus(result[(*before, slice(1, None))], result[(*before, slice(-1))])
    return result


@takes_axis
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integral of `y` along `dim` by the rule of trapezoids, at the places `x` or in steps of `dx` (1 unless given).

    y (..., n, ...), x (n,) or as y -> (..., ...)

    >>> import trigrad as tg
    >>> tg.trapezoid(tg.tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    if x is not None and dx is not None:
        raise RuntimeError("[trapezoid] got x and dx, expected one of them")
    if x is None:
        total = ops.sum(y, dim)
        if y.shape[dim]:
            total = ops.sub(total, ops.mul(ops.add(y.select(dim, 0), y.select(dim, -1)), 0.5))
        return total if dx is None else ops.mul(total, dx)
    lines = y.transpose(dim, -1)
    pairs = ops.add(lines[..., 1:], lines[..., :-1])
    places = x if x.ndim == 1 else x.transpose(dim, -1)
    widths = ops.sub(places[..., 1:], places[..., :-1])
    return ops.div(ops.sum(ops.mul(pairs, widths).transpose(dim, -1), dim), 2)


trapz = trapezoid


def cumsum_(self: Tensor, dim: int, *, dtype: DTypeArgument | None = None) -> Tensor:
    """`cumsum`, in place."""
    return _scanned("cumsum_", self, ops.cumsum, dim, dtype)


def cumprod_(self: Tensor, dim: int, *, dtype: DTypeArgument | None = None) -> Tensor:
    """`cumprod`, in place."""
    return _scanned("cumprod_", self, ops.cumprod, dim, dtype)


def _scanned(name: str, self: Tensor, scan: Callable[..., Tensor], dim: int, dtype: DTypeArgument | None) -> Tensor:
    result = scan(as_it_was(self), dim, dtype=self.dtype if dtype is None else dtype)
    if result.dtype is not self.dtype:
        raise RuntimeError(f"[{name}] the result is {result.dtype} but the tensor {self.dtype}, expected one dtype")
    return self.copy_(result)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The elements that differ, or along `dim` the slices that do, in order, asked or not; with `return_inverse` also
    which of them stands at each place, with `return_counts` also how often each occurs. No NaN equals another.

    input (...) -> (k,), inverse (...), counts (k,); with dim (..., n, ...) -> (..., k, ...), (n,), (k,)

    >>> import trigrad as tg
    >>> tg.unique(tg.tensor([3, 1, 3]))
    tensor([1, 3])
    >>> tg.unique(tg.tensor([3, 1, 3]), return_inverse=True, return_counts=True)
    (tensor([1, 3]), tensor([1, 0, 1]), tensor([1, 2]))
    """
    input = input.detach()
    if dim is None:
        rows, shape = input.reshape(-1), tuple(input.shape)
        lined, order = ops.native_sort(rows)
        begins = ops.ne(lined[1:], lined[:-1])
    else:
        rows = input.movedim(dim, 0)
        shape = (rows.shape[0],)
        if rows.numel() == 0 and rows.shape[0]:
            raise RuntimeError(
                f"[unique] input has shape {tuple(input.shape)}, expected slices along dim {dim} with elements"
            )
        flat = rows.reshape(rows.shape[0], -1) if rows.numel() else rows.reshape(0, 1)
        order = ops.native_arange(0, 1, rows.shape[0], int64, device=rows)
        for column in reversed(range(flat.shape[1])):  # the first column decides last, and so above all
            order = order[ops.native_sort(flat[order, column])[1]]
        begins = ops.any(ops.ne(flat[order[1:]], flat[order[:-1]]), 1)
    n = rows.shape[0]
    begins = ops.cat([_creation.ones(min(n, 1), dtype=boolean, device=input.device), begins])
    places = begins.nonzero().squeeze(1)
    values = rows[order[places]]
    made = [values if dim is None else values.movedim(0, dim).contiguous()]
    if return_inverse:
        inverse = _creation.empty(n, dtype=int64, device=input.device)
        inverse[order] = ops.cumsum(begins, 0) - 1
        made.append(inverse.reshape(shape))
    if return_counts:
        made.append(diff(ops.cat([places, _creation.full((1,), n, device=input.device)])))
    return made[0] if len(made) == 1 else tuple(made)


METHODS = (sort, argsort, msort, topk, kthvalue, median, nanmedian, quantile, diff, unique, cumsum_, cumprod_)
