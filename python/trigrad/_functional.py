"""Functions that are more than one row of the op table. No numerics here: each is a few calls of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import DTypeArgument
from trigrad._random import Generator, draw

__all__ = [
    "MaxResult",
    "all",
    "allclose",
    "any",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "clone",
    "cross_entropy",
    "dropout",
    "dropout_mask",
    "equal",
    "flatten",
    "isclose",
    "log_softmax",
    "max",
    "min",
    "numel",
    "permute",
    "reshape",
    "softmax",
    "squeeze",
    "std",
    "t",
    "transpose",
    "unsqueeze",
    "var",
]

Axes: TypeAlias = "int | Sequence[int] | None"
Reduction: TypeAlias = Literal["none", "mean", "sum"]


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


class MaxResult(NamedTuple):
    """What `max` and `min` along an axis return."""

    values: Tensor
    indices: Tensor


@takes_axis
def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | MaxResult:
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
    return MaxResult(ops.amax(input, dim, keepdim), ops.argmax(input, dim, keepdim))


@takes_axis
def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | MaxResult:
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
    return MaxResult(ops.amin(input, dim, keepdim), ops.argmin(input, dim, keepdim))


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


# ---- softmax, losses, normalisation


@takes_axis
def softmax(input: Tensor, dim: int, dtype: DTypeArgument | None = None) -> Tensor:
    """exp(input) divided by its sum along `dim`; `dtype` casts first.

    >>> import trigrad as tg
    >>> tg.softmax(tg.tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    return ops.softmax(input if dtype is None else ops.cast(input, dtype), dim)


@takes_axis
def log_softmax(input: Tensor, dim: int, dtype: DTypeArgument | None = None) -> Tensor:
    """The logarithm of `softmax`, computed without loss of digits; `dtype` casts first.

    >>> import trigrad as tg
    >>> tg.log_softmax(tg.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return ops.log_softmax(input if dtype is None else ops.cast(input, dtype), dim)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target], weighted by class and averaged over the rows that are not ignored.

    input (C,), (N, C) or (N, C, d1, ...); target of class indices (), (N,) or (N, d1, ...); weight (C,);
    the loss is a scalar, or of target's shape for reduction="none".

    >>> import trigrad as tg
    >>> tg.cross_entropy(tg.tensor([[0.0, 0.0], [9.0, 0.0]]), tg.tensor([1, 0]))
    tensor(0.3466)
    """
    classes = 0 if input.ndim == 1 else 1
    expected = input.shape[:classes] + input.shape[classes + 1 :]
    if input.ndim == 0 or target.shape != expected:
        raise ValueError(
            f"[cross_entropy] target has shape {tuple(target.shape)}, expected {tuple(expected)} "
            f"for input {tuple(input.shape)}: (C,), (N, C) or (N, C, d1, ...)"
        )
    rows, labels = input, target
    if input.ndim != 2:
        n = input.shape[classes]
        rows = input.transpose(classes, -1) if input.ndim < 3 else input.flatten(2).transpose(1, 2)
        rows, labels = rows.reshape(target.numel(), n), target.reshape(-1)
    loss = ops.native_cross_entropy(rows, labels, weight, ignore_index, reduction, label_smoothing)[0]
    return loss.reshape(target.shape) if reduction == "none" else loss


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(input), of any shape; `pos_weight` multiplies the first term.

    >>> import trigrad as tg
    >>> tg.binary_cross_entropy_with_logits(tg.zeros(3), tg.tensor([0.0, 1.0, 1.0]))
    tensor(0.6931)
    """
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel. Training takes the statistics of the batch and moves
    the running ones towards them, in place; evaluation takes the running ones.

    input (N, C) or (N, C, d1, ...), everything else (C,)

    >>> import trigrad as tg
    >>> x = tg.tensor([[1.0], [3.0]])
    >>> tg.batch_norm(x, None, None, training=True, eps=1e-12)
    tensor([[-1.],
            [ 1.]])
    """
    return ops.native_batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, *, generator: Generator | None = None) -> Tensor:
    """Zero each element with probability `p` and divide the others by 1 - p; nothing happens unless `training`.

    >>> import trigrad as tg
    >>> x = tg.ones(1000)
    >>> sorted(set(tg.dropout(x, 0.5).tolist()))
    [0.0, 2.0]
    >>> tg.dropout(x, training=False) is x
    True
    """
    if not 0 <= p <= 1:
        raise ValueError(f"[dropout] p is {p}, expected a probability from 0 to 1")
    if not training or p == 0:
        return input
    return draw(generator, lambda seed, stream, step: ops.native_dropout(input, p, seed, stream, step))


def dropout_mask(size: Sequence[int], p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """A mask of shape `size` that is False, that is dropped, with probability `p`.

    >>> import trigrad as tg
    >>> tg.dropout_mask((2, 3), 0.0).all()
    tensor(True)
    """
    return draw(generator, lambda seed, stream, step: ops.dropout_mask(size, p, seed, stream, step))


# ---- views, as functions


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
