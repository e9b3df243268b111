"""Reductions and comparisons of whole tensors that are more than one row of the op table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from trigrad import ops
from trigrad._core import Tensor

__all__ = [
    "ValuesAndIndices",
    "all",
    "allclose",
    "any",
    "equal",
    "isclose",
    "max",
    "min",
    "std",
    "var",
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
    return ValuesAndIndices(ops.amax(input, dim, keepdim), ops.argmax(input, dim, keepdim))


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
    return ValuesAndIndices(ops.amin(input, dim, keepdim), ops.argmin(input, dim, keepdim))


@takes_axis
def var(
    input: Tensor,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over the axes `dim`, divided by n - correction (1 unless given, 0 with unbiased=False).

    >>> import trigrad as tg
    >>> tg.var(tg.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
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

    >>> import trigrad as tg
    >>> tg.std(tg.tensor([1.0, 3.0, 5.0]))
    tensor(2.)
    """
    return ops.sqrt(var(input, dim, unbiased, keepdim, correction=correction))


@takes_axis
def any(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Is an element (along `dim`) other than 0?

    >>> import trigrad as tg
    >>> tg.any(tg.tensor([[0, 1], [0, 0]]), 1)
    tensor([ True, False])
    """
    return ops.gt(ops.sum(ops.ne(input, 0), dim, keepdim), 0)


@takes_axis
def all(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Are all elements (along `dim`) other than 0?

    >>> import trigrad as tg
    >>> tg.all(tg.tensor([[1, 1], [0, 1]]), 1)
    tensor([ True, False])
    """
    return ops.eq(ops.sum(ops.eq(input, 0), dim, keepdim), 0)


# ---- comparisons of whole tensors


def equal(input: Tensor, other: Tensor) -> bool:
    """Have both the same shape and equal elements?

    >>> import trigrad as tg
    >>> tg.equal(tg.ones(2), tg.tensor([1.0, 1.0]))
    True
    """
    return input.shape == other.shape and bool(all(ops.eq(input, other)))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Elementwise |input - other| <= atol + rtol |other|; infinities are close to themselves.

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

    >>> import trigrad as tg
    >>> tg.allclose(tg.tensor([1.0]), tg.tensor([1.0 + 1e-7]))
    True
    """
    return bool(all(isclose(input, other, rtol, atol, equal_nan)))
