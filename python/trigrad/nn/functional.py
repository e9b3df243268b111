"""torch.nn.functional's names for what trigrad has: a table of contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trigrad import ops
from trigrad._core import Tensor
from trigrad._functional import (
    batch_norm,
    binary_cross_entropy_with_logits,
    cross_entropy,
    dropout,
    log_softmax,
    softmax,
)
from trigrad._indexing import embedding, one_hot
from trigrad._linalg import bilinear, linear
from trigrad._shaping import pad

__all__ = [
    "batch_norm",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "elu_",
    "embedding",
    "gelu",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "log_softmax",
    "one_hot",
    "pad",
    "relu",
    "relu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]

Activation = Callable[..., Tensor]


def _activation(name: str, parameters: int = 0) -> Activation:
    """The row `name` with so many parameters, and PyTorch's `inplace` behind them."""
    row, overwriting = getattr(ops, name), getattr(Tensor, f"{name}_")

    def activation(input: Tensor, *given: Any, inplace: bool = False, **named: Any) -> Tensor:
        if len(given) > parameters:
            *given, inplace = given  # type: ignore[assignment]
        return (overwriting if inplace else row)(input, *given, **named)  # type: ignore[no-any-return]

    activation.__name__ = activation.__qualname__ = name
    activation.__doc__ = f"{row.__doc__}\n\nWith inplace=True `input` is overwritten."
    return activation


# Activations that may overwrite their input.
elu = _activation("elu", 1)
leaky_relu = _activation("leaky_relu", 1)
relu = _activation("relu")
selu = _activation("selu")
silu = _activation("silu")

elu_: Activation = Tensor.elu_
leaky_relu_: Activation = Tensor.leaky_relu_
relu_: Activation = Tensor.relu_
selu_: Activation = Tensor.selu_

# The others.
gelu, sigmoid, softplus, tanh = ops.gelu, ops.sigmoid, ops.softplus, ops.tanh
