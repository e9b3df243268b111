"""torch.nn.functional's names for what trigrad has: a table of contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trigrad import _losses, ops
from trigrad._core import Tensor
from trigrad._elementwise import gelu, tanhshrink
from trigrad._functional import (
    batch_norm,
    dropout,
    glu,
    layer_norm,
    log_softmax,
    rms_norm,
    softmax,
    softmin,
)
from trigrad._indexing import embedding, one_hot
from trigrad._linalg import bilinear, linear
from trigrad._losses import *
from trigrad._shaping import pad
from trigrad.nn._functions import alpha_dropout, normalize, prelu, rrelu

__all__ = [
    "alpha_dropout",
    "batch_norm",
    "bilinear",
    "celu",
    "celu_",
    "dropout",
    "elu",
    "elu_",
    "embedding",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mish",
    "normalize",
    "one_hot",
    "pad",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]
__all__ += _losses.__all__

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
celu = _activation("celu", 1)
elu = _activation("elu", 1)
hardsigmoid = _activation("hardsigmoid")
hardswish = _activation("hardswish")
hardtanh = _activation("hardtanh", 2)
leaky_relu = _activation("leaky_relu", 1)
mish = _activation("mish")
relu = _activation("relu")
selu = _activation("selu")
silu = _activation("silu")
threshold = _activation("threshold", 2)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Each element, held between 0 and 6.

    With inplace=True `input` is overwritten.

    >>> import trigrad as tg
    >>> tg.nn.functional.relu6(tg.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return (Tensor.hardtanh_ if inplace else ops.hardtanh)(input, 0, 6)


celu_: Activation = Tensor.celu_
elu_: Activation = Tensor.elu_
hardtanh_: Activation = Tensor.hardtanh_
leaky_relu_: Activation = Tensor.leaky_relu_
relu_: Activation = Tensor.relu_
selu_: Activation = Tensor.selu_
threshold_: Activation = Tensor.threshold_

# The others.
sigmoid, softplus, tanh = ops.sigmoid, ops.softplus, ops.tanh
hardshrink, logsigmoid, softshrink, softsign = ops.hardshrink, ops.logsigmoid, ops.softshrink, ops.softsign
