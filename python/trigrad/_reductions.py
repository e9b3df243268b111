"""Reductions and comparisons of whole tensors that are more than one row of the op table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import DTypeArgument
from trigrad._taped import is_recorded, with_values

__all__ = [
    "Extrema",
    "ValuesAndIndices",
    "allclose",
    "aminmax",
    "equal",
    "isclose",
    "max",
    "min",
    "nanmean",
    "norm",
    "std",
    "std_mean",
    "var",
    "var_mean",
]

Axes: TypeAlias = "int | Sequence[int] | None"


# ---- reductions

F = TypeVar("F", bound=Callable[..., Any])


def takes_axis(function: F) -> F:
    """Let `function` take numpy's names too, as the rows do: axis for dim, keepdims for keepdim."""

    @wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for alias, name in (("axis", "dim"), ("keepdims", "keepdim")):
                if alias in kwargs:
                    if name in kwargs:
                        raise TypeError(f"[{function.__name__}] got {name} twice")
                    kwargs[name] = kwargs.pop(alias)
        return function(*args, **kwargs)

    return cast(F, renamed)


class ValuesAndIndices(NamedTuple):
    """What `max`, `sort` and the like return along an axis."""

    values: Tensor
    indices: Tensor


def _ordered(input: Tensor) -> Tensor:
    """`input` as numbers: argmax and argmin take no bools, as in PyTorch."""
    return ops.cast(input, _core.uint8) if input.dtype is _core.bool else input


@takes_axis
def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The greatest element; max(input, dim) also tells its place; max(input, other) compares elementwise.

    input (..., n, ...) -> values and indices (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> x = tg.tensor([[1.0, 5.0], [7.0, 3.0]])
    >>> tg.max(x)
    tensor(7.)
    >>> tg.max(x, 1).indices
    tensor([1, 0])
    """
    if dim is None:
        return ops.amax(input)
    if isinstance(dim, Tensor):
        return ops.maximum(input, dim)
    return _chosen(ops.amax, ops.argmax, input, dim, keepdim)


@takes_axis
def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The least element; min(input, dim) also tells its place; min(input, other) compares elementwise.

    input (..., n, ...) -> values and indices (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.min(tg.tensor([[1.0, 5.0], [7.0, 3.0]]), 0).values
    tensor([1., 3.])
    """
    if dim is None:
        return ops.amin(input)
    if isinstance(dim, Tensor):
        return ops.minimum(input, dim)
    return _chosen(ops.amin, ops.argmin, input, dim, keepdim)


def _chosen(
    value: Callable[..., Tensor], place: Callable[..., Tensor], input: Tensor, dim: int, keepdim: bool
) -> ValuesAndIndices:
    """Extremes and their places. What is recorded takes the values from there: of equal ones the one that is named gets the
    gradient, as in PyTorch, and not a share each as by amax."""
    indices = place(_ordered(input), dim, keepdim)
    if not is_recorded(input) or input.ndim == 0:
        return ValuesAndIndices(value(input, dim, keepdim), indices)
    values = ops.gather(input, dim, indices if keepdim else indices.unsqueeze(dim))
    return ValuesAndIndices(
        with_values(values if keepdim else values.squeeze(dim), value, input, dim, keepdim), indices
    )


@takes_axis
def var(
    input: Tensor,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over the axes `dim`, divided by n - correction (1 unless given, 0 with unbiased=False). var(input, False)
    is var(input, unbiased=False).

    >>> import trigrad as tg
    >>> tg.var(tg.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    if isinstance(dim, bool) and unbiased is None:
        dim, unbiased = None, dim
    if correction is None:
        correction = 0.0 if unbiased is False else 1.0
    elif unbiased is not None:
        raise TypeError("[var] got unbiased and correction, expected one of them")
    return ops.var(input, dim, keepdim, correction)


@takes_axis
def std(
    input: Tensor,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation: the square root of `var`.

    input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.std(tg.tensor([1.0, 3.0, 5.0]))
    tensor(2.)
    """
    found = var(input, dim, unbiased, keepdim, correction=correction)
    if not is_recorded(found):
        return ops.sqrt(found)
    constant = ops.eq(found, 0.0)  # where nothing varies the gradient is 0, as PyTorch's
    return ops.where(constant, 0.0, ops.sqrt(ops.where(constant, 1.0, found)))


@takes_axis
def var_mean(
    input: Tensor,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`var` and `mean` over the axes `dim`.

    input (..., n, ...) -> two tensors (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.var_mean(tg.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return var(input, dim, unbiased, keepdim, correction=correction), ops.mean(input, dim, keepdim)


@takes_axis
def std_mean(
    input: Tensor,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`std` and `mean` over the axes `dim`.

    input (..., n, ...) -> two tensors (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.std_mean(tg.tensor([1.0, 3.0, 5.0]))
    (tensor(2.), tensor(3.))
    """
    return std(input, dim, unbiased, keepdim, correction=correction), ops.mean(input, dim, keepdim)


class Extrema(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


@takes_axis
def aminmax(input: Tensor, *, dim: Axes = None, keepdim: bool = False) -> Extrema:
    """The least and the greatest element over the axes `dim`; NaN wins both.

    input (..., n, ...) -> min and max (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.aminmax(tg.tensor([3.0, 1.0, 2.0]))
    Extrema(min=tensor(1.), max=tensor(3.))
    """
    return Extrema(ops.amin(input, dim, keepdim), ops.amax(input, dim, keepdim))


@takes_axis
def nanmean(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DTypeArgument | None = None) -> Tensor:
    """The mean of what is not NaN.

    input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.nanmean(tg.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    if not input.is_floating_point():
        raise RuntimeError(f"[nanmean] got {input.dtype}, expected a floating dtype; cast it with .float()")
    total = ops.nansum(input, dim, keepdim, dtype)
    return ops.div(total, ops.sum(ops.eq(input, input), dim, keepdim, total.dtype))


@takes_axis
def norm(
    input: Tensor,
    p: float | Literal["fro"] = "fro",
    dim: Axes = None,
    keepdim: bool = False,
    dtype: DTypeArgument | None = None,
) -> Tensor:
    """The p-norm (sum of |x|^p)^(1/p) over the axes `dim` as of one vector: "fro" is p = 2, inf and -inf the greatest and
    least |x|, 0 the number of elements other than 0. `dtype` casts first.

    input (..., n, ...) -> (..., ...), with keepdim (..., 1, ...)

    >>> import trigrad as tg
    >>> tg.norm(tg.tensor([3.0, -4.0]))
    tensor(5.)
    >>> tg.norm(tg.tensor([[3.0, -4.0], [1.0, 1.0]]), 1, dim=1)
    tensor([7., 2.])
    """
    if dtype is not None:
        input = ops.cast(input, dtype)
    if not input.is_floating_point():
        raise RuntimeError(f"[norm] got {input.dtype}, expected a floating dtype; cast it with .float() or pass dtype=")
    if isinstance(p, str):
        if p != "fro":
            raise ValueError(f"[norm] p is {p!r}, expected a number or 'fro'")
        p = 2
    if p in (1, 2):
        return ops.native_norm(input, dim, keepdim, p)
    if p == 0:
        return ops.sum(ops.ne(input, 0), dim, keepdim, input.dtype)
    size = ops.abs(input)
    if p == math.inf:
        return ops.amax(size, dim, keepdim)
    if p == -math.inf:
        return ops.amin(size, dim, keepdim)
    if p < 0:
        ops.amin(size, dim, keepdim)  # which refuses axes without elements, as a negative power has to
    if not input.requires_grad:
        return ops.pow(ops.sum(ops.pow(size, p), dim, keepdim), 1 / p)
    # The gradient of what is 0 counts as 0, of elements (p < 1) and of norms: other numbers are in their places meanwhile.
    nothing = ops.eq(size, 0)
    powers = ops.where(nothing, 0.0 if p > 0 else math.inf, ops.pow(ops.where(nothing, 1.0, size), p))
    total = ops.sum(powers, dim, keepdim)
    nothing = ops.eq(total, 0.0 if p > 0 else math.inf)
    return ops.where(nothing, 0.0, ops.pow(ops.where(nothing, 1.0, total), 1 / p))


# ---- comparisons of whole tensors


def equal(input: Tensor, other: Tensor) -> bool:
    """Have both the same shape and equal elements?

    >>> import trigrad as tg
    >>> tg.equal(tg.ones(2), tg.tensor([1.0, 1.0]))
    True
    """
    return input.shape == other.shape and bool(ops.all(ops.eq(input, other)))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Elementwise |input - other| <= atol + rtol |other|; infinities are close to themselves.

    input and other (...), broadcast -> (...) of bool

    >>> import trigrad as tg
    >>> tg.isclose(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if not (input.is_floating_point() or other.is_floating_point()):
        input = input.double()
    gap, allowed = ops.abs(ops.sub(input, other)), ops.add(ops.mul(ops.abs(other), rtol), atol)
    close = (ops.le(gap, allowed) & ops.isfinite(allowed)) | ops.eq(input, other)
    return close | (ops.isnan(input) & ops.isnan(other)) if equal_nan else close


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Are all elements close, as `isclose` says?

    input and other (...), broadcast -> a bool

    >>> import trigrad as tg
    >>> tg.allclose(tg.tensor([1.0]), tg.tensor([1.0 + 1e-7]))
    True
    """
    return bool(ops.all(isclose(input, other, rtol, atol, equal_nan)))


METHODS = (
    *(max, min, var, std, aminmax, nanmean, norm),
    *(equal, isclose, allclose),
)
