"""torch.nn.functional's names for what trigrad has: a table of contents."""

from __future__ import annotations

from collections.abc import Callable

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
from trigrad.nn import _functions
from trigrad.nn._functions import *

__all__ = [
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
    "one_hot",
    "pad",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
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
__all__ += _functions.__all__

Activation = Callable[..., Tensor]

# Activations that may overwrite their input.


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return (Tensor.celu_ if inplace else ops.celu)(input, alpha)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return (Tensor.elu_ if inplace else ops.elu)(input, alpha)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    return (Tensor.hardsigmoid_ if inplace else ops.hardsigmoid)(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    return (Tensor.hardswish_ if inplace else ops.hardswish)(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    return (Tensor.hardtanh_ if inplace else ops.hardtanh)(input, min_val, max_val)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return (Tensor.leaky_relu_ if inplace else ops.leaky_relu)(input, negative_slope)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    return (Tensor.mish_ if inplace else ops.mish)(input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    return (Tensor.relu_ if inplace else ops.relu)(input)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    return (Tensor.selu_ if inplace else ops.selu)(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    return (Tensor.silu_ if inplace else ops.silu)(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    return (Tensor.threshold_ if inplace else ops.threshold)(input, threshold, value)


for _f in (celu, elu, hardsigmoid, hardswish, hardtanh, leaky_relu, mish, relu, selu, silu, threshold):
    _f.__doc__ = f"{getattr(ops, _f.__name__).__doc__}\n\nWith inplace=True `input` is overwritten."


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Each element, held between 0 and 6.

    With inplace=True `input` is overwritten.

    input (...) -> (...)

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
