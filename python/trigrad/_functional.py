"""Softmax, losses, normalisation, dropout. No numerics here: each is a few calls of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument
from trigrad._random import Generator, draw
from trigrad._reductions import takes_axis
from trigrad._warnings import warn

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "dropout_mask",
    "glu",
    "layer_norm",
    "log_softmax",
    "rms_norm",
    "softmax",
    "softmin",
]

Reduction: TypeAlias = Literal["none", "mean", "sum"]


def _axis_of(op: str, input: Tensor) -> int:
    """The axis that PyTorch takes where none is given, with its warning."""
    warn(
        f"[{op}] Implicit dimension choice for {op} has been deprecated. Change the call to include dim=X as an argument."
    )
    return 0 if input.ndim in (0, 1, 3) else 1


@takes_axis
def softmax(input: Tensor, dim: int | None = None, dtype: DTypeArgument | None = None) -> Tensor:
    """exp(input) divided by its sum along `dim`; `dtype` casts first. Without dim the rank says which, with a warning.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.softmax(tg.tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    dim = _axis_of("softmax", input) if dim is None else dim
    return ops.softmax(input if dtype is None else ops.cast(input, dtype), dim)


@takes_axis
def log_softmax(input: Tensor, dim: int | None = None, dtype: DTypeArgument | None = None) -> Tensor:
    """The logarithm of `softmax`, computed without loss of digits; `dtype` casts first.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.log_softmax(tg.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    dim = _axis_of("log_softmax", input) if dim is None else dim
    return ops.log_softmax(input if dtype is None else ops.cast(input, dtype), dim)


@takes_axis
def softmin(input: Tensor, dim: int | None = None, dtype: DTypeArgument | None = None) -> Tensor:
    """`softmax` of -input.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.softmin(tg.tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    dim = _axis_of("softmin", input) if dim is None else dim
    return ops.softmax(ops.neg(input if dtype is None else ops.cast(input, dtype)), dim)


@takes_axis
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of `input` along `dim`, times the sigmoid of the second.

    input (..., 2n, ...) -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.glu(tg.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """
    lines = input.transpose(dim, -1)
    half, odd = divmod(lines.shape[-1] if input.ndim else 1, 2)
    if odd:
        raise RuntimeError(f"[glu] input has shape {tuple(input.shape)}, expected an even length along dim {dim}")
    return ops.mul(lines[..., :half], ops.sigmoid(lines[..., half:])).transpose(dim, -1)


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


def _lengths(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias with mean and variance over the last axes, whose lengths are
    `normalized_shape`.

    input (..., *normalized_shape), weight and bias normalized_shape

    >>> import trigrad as tg
    >>> tg.layer_norm(tg.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=1e-12)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    return ops.native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean x^2 + eps) * weight with the mean over the last axes, whose lengths are `normalized_shape`; eps is the
    smallest step from 1 unless given.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.rms_norm(tg.tensor([[3.0, 3.0], [-5.0, 5.0]]), (2,))
    tensor([[ 1.,  1.],
            [-1.,  1.]])
    """
    last = _lengths(normalized_shape)
    if not last or tuple(input.shape[-len(last) :]) != last:
        raise RuntimeError(
            f"[rms_norm] input has shape {tuple(input.shape)}, expected one that ends in normalized_shape {last}"
        )
    if eps is None:
        eps = 2.0**-23 if input.itemsize == 4 else 2.0**-52
    squares = ops.mean(ops.mul(input, input), tuple(range(-len(last), 0)), True)
    scaled = ops.mul(input, ops.rsqrt(ops.add(squares, eps)))
    return scaled if weight is None else ops.mul(scaled, weight)


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Zero each element with probability `p` and divide the others by 1 - p; nothing happens unless `training`. With
    `inplace` the input is overwritten.

    input (...) -> (...)

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
    result = draw(generator, lambda seed, stream, step: ops.native_dropout(input, p, seed, stream, step))
    return ops.copy_(input, result) if inplace else result


def dropout_mask(
    size: Sequence[int], p: float = 0.5, *, generator: Generator | None = None, device: DeviceArgument = None
) -> Tensor:
    """A mask of shape `size` that is False, that is dropped, with probability `p`.

    >>> import trigrad as tg
    >>> tg.dropout_mask((2, 3), 0.0).all()
    tensor(True)
    """
    return draw(generator, lambda seed, stream, step: ops.dropout_mask(size, p, seed, stream, step, device=device))
