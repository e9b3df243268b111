"""Functions of layers that are more than one call, for `trigrad.nn.functional`."""

from __future__ import annotations

import math

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import zeros_like
from trigrad._functional import dropout_mask
from trigrad._random import Generator, rand_like
from trigrad._reductions import norm

__all__ = [
    "alpha_dropout",
    "feature_alpha_dropout",
    "gumbel_softmax",
    "normalize",
    "prelu",
    "rrelu",
    "rrelu_",
]

SELU_LOWEST = 1.7580993408473766  # minus SELU's limit at -infinity


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Elements take SELU's lowest value with probability `p`, then all are scaled and moved so that mean 0 and variance 1
    stay.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.functional.alpha_dropout(tg.ones(2), 0.5, training=False)
    tensor([1., 1.])
    """
    _check_probability("alpha_dropout", p)
    return _alpha_dropped(input, tuple(input.shape), p, training, inplace, generator)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """`alpha_dropout` of whole channels: all elements of a channel are left out, or none.

    input (N, C, ...)

    >>> import trigrad as tg
    >>> y = tg.nn.functional.feature_alpha_dropout(tg.ones(2, 3, 50), 0.5, training=True)
    >>> bool((y == y[:, :, :1]).all())
    True
    """
    _check_probability("feature_alpha_dropout", p)
    if input.ndim < 2:
        raise RuntimeError(
            f"[feature_alpha_dropout] Feature dropout requires at least 2 dimensions in the input, got {tuple(input.shape)}"
        )
    channels = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha_dropped(input, channels, p, training, inplace, generator)


def _check_probability(op: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"[{op}] dropout probability has to be between 0 and 1, but got {p}")


def _alpha_dropped(
    input: Tensor, mask: tuple[int, ...], p: float, training: bool, inplace: bool, generator: Generator | None
) -> Tensor:
    """With a mask of the shape `mask`, which broadcasts to that of the input."""
    if not training or p == 0:
        return input
    if p == 1:
        made = input * 0.0
    else:
        scale = 1 / math.sqrt((SELU_LOWEST**2 * p + 1) * (1 - p))
        kept = dropout_mask(mask, p, generator=generator, device=input.device)
        made = ops.where(kept, input * scale, -SELU_LOWEST * scale) + SELU_LOWEST * scale * p
    return input.copy_(made) if inplace else made


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """A random choice that can be differentiated: the softmax of (logits + Gumbel noise) / tau along `dim`. With `hard` the
    greatest entry is 1 and the others are 0, and the gradients are those of the softmax. (eps has no effect.)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.functional.gumbel_softmax(tg.zeros(2, 3), hard=True).sum(-1)
    tensor([1., 1.])
    """
    noise = -ops.log(-ops.log(rand_like(logits.detach(), generator=generator)))
    soft = ops.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    plain = soft.detach()
    return zeros_like(plain).scatter(dim, plain.argmax(dim, True), 1.0) - plain + soft


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Vectors along `dim` divided by their p-norm, which counts as eps at least.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.functional.normalize(tg.tensor([3.0, 4.0]), dim=0)
    tensor([0.6000, 0.8000])
    """
    return input / ops.clamp(norm(input, p, dim, True), eps)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where it is positive, weight input elsewhere; one weight, or one per channel (axis 1).

    input (...) or (N, C, ...), weight (1,) or (C,) -> like the input

    >>> import trigrad as tg
    >>> tg.nn.functional.prelu(tg.tensor([-2.0, 2.0]), tg.tensor([0.5]))
    tensor([-1.,  2.])
    """
    if weight.ndim > 1:
        raise RuntimeError(f"[prelu] weight has shape {tuple(weight.shape)}, expected one number or one per channel")
    if weight.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(
                f"[prelu] Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and channel size = {channels}."
            )
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    elif weight.ndim:
        weight = weight.reshape(())
    return ops.where(input > 0, input, weight * input)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """input where it is positive; elsewhere times a slope drawn from lower ... upper, or their mean unless `training`.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.functional.rrelu(tg.tensor([-2.0, 2.0]), 0.25, 0.75)
    tensor([-1.,  2.])
    """
    if lower > upper:
        raise RuntimeError(
            f"[rrelu] Lower bound should be less than or equal to the upper bound, got {lower} and {upper}"
        )
    if training:
        slopes = rand_like(input.detach(), generator=generator) * (upper - lower) + lower
        made = ops.where(input > 0, input, input * slopes)
    else:
        made = ops.leaky_relu(input, (lower + upper) / 2)
    return input.copy_(made) if inplace else made


def rrelu_(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """`rrelu` that overwrites its input.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.functional.rrelu_(tg.tensor([-2.0, 2.0]), 0.25, 0.75)
    tensor([-1.,  2.])
    """
    return rrelu(input, lower, upper, training, True, generator=generator)
