"""Blocks whose input goes on beside what they make of it: deep networks train through them."""

from __future__ import annotations

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument
from trigrad.nn import init
from trigrad.nn.activations import ReLU
from trigrad.nn.containers import Sequential
from trigrad.nn.linear import Linear
from trigrad.nn.module import Module

__all__ = ["DenseConcat", "Highway", "Residual"]


def _one(layers: tuple[Module, ...]) -> Module:
    return layers[0] if len(layers) == 1 else Sequential(*layers)


class Residual(Module):
    """x + f(x), where f is the layers one after the other; a `shortcut` makes x fit if f changes its shape.

    >>> import trigrad as tg
    >>> block = tg.nn.Residual(tg.nn.Linear(4, 4), tg.nn.ReLU())
    >>> block(tg.zeros(5, 4)).shape
    trigrad.Size([5, 4])
    """

    body: Module
    shortcut: Module | None

    def __init__(self, *layers: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        self.body = _one(layers)
        self.add_module("shortcut", shortcut)

    def forward(self, input: Tensor) -> Tensor:
        made = self.body(input)
        beside = input if self.shortcut is None else self.shortcut(input)
        if made.shape != beside.shape:
            raise RuntimeError(
                f"[Residual] the layers made {tuple(made.shape)} of {tuple(beside.shape)}, expected the same shape; give a "
                "shortcut that makes the input fit, such as Linear"
            )
        total: Tensor = beside + made
        return total


class Highway(Module):
    """t f(x) + (1 - t) x, where f is a layer of the same width and the gate t = sigmoid(W x + b) is learned. The gate's bias
    is negative at first, so that a deep network begins by handing on.

    input (..., features) -> (..., features)

    >>> import trigrad as tg
    >>> tg.nn.Highway(4)(tg.zeros(5, 4)).shape
    trigrad.Size([5, 4])
    """

    layer: Linear
    gate: Linear
    activation: Module

    def __init__(
        self,
        features: int,
        activation: Module | None = None,
        gate_bias: float = -2.0,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        super().__init__()
        self.layer = Linear(features, features, True, device, dtype)
        self.gate = Linear(features, features, True, device, dtype)
        self.activation = ReLU() if activation is None else activation
        if self.gate.bias is not None:
            init.constant_(self.gate.bias, gate_bias)

    def forward(self, input: Tensor) -> Tensor:
        gate = ops.sigmoid(self.gate(input))
        made: Tensor = input + gate * (self.activation(self.layer(input)) - input)
        return made


class DenseConcat(Module):
    """x and f(x) side by side along the last axis: each block sees what all before it made.

    input (..., n) -> (..., n + m), where f gives m features

    >>> import trigrad as tg
    >>> tg.nn.DenseConcat(tg.nn.Linear(4, 3))(tg.zeros(5, 4)).shape
    trigrad.Size([5, 7])
    """

    body: Module

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        self.body = _one(layers)

    def forward(self, input: Tensor) -> Tensor:
        return ops.cat([input, self.body(input)], -1)
