"""How much of the gradient arrives in each layer."""

from __future__ import annotations

import math
from typing import NamedTuple

from trigrad.diagnostics._columns import columns
from trigrad.diagnostics._probe import Loss, Probe, length
from trigrad.nn.module import Module

__all__ = ["GradientFlow", "LayerGradient", "gradient_flow"]


class LayerGradient(NamedTuple):
    """The parameters that a layer has itself, all as one vector."""

    name: str
    """its path in the network"""
    layer: str
    """its class"""
    gradient: float
    """‖∇L‖ in them"""
    weights: float
    """‖θ‖"""

    @property
    def relative(self) -> float:
        """‖∇L‖/‖θ‖: a step of SGD changes the layer by this share of itself, times the learning rate."""
        return self.gradient / self.weights if self.weights else math.inf if self.gradient else 0.0


class GradientFlow(NamedTuple):
    """What `gradient_flow` found, from the first layer to the last; it prints as a table."""

    layers: tuple[LayerGradient, ...]

    @property
    def ratio(self) -> float:
        """The first layer's gradient over the last one's: far below 1 where gradients vanish on their way back, far above
        where they explode."""
        first, last = self.layers[0].gradient, self.layers[-1].gradient
        return first / last if last else math.nan

    def __str__(self) -> str:
        rows = [["layer", "class", "|gradient|", "|weights|", "relative"]]
        for layer in self.layers:
            numbers = (f"{x:.3g}" for x in (layer.gradient, layer.weights, layer.relative))
            rows.append([layer.name or "(itself)", layer.layer, *numbers])
        return columns(rows)


def gradient_flow(model: Module, loss: Loss) -> GradientFlow:
    """The length of the gradient of loss() in each layer of the model that has parameters of its own. Model, gradients,
    buffers and random numbers are left as they are.

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(1, 1, bias=False), tg.nn.ReLU(), tg.nn.Linear(1, 1, bias=False))
    >>> for p, value in zip(net.parameters(), (2.0, 0.5)):
    ...     _ = tg.nn.init.constant_(p, value)
    >>> flow = tg.diagnostics.gradient_flow(net, lambda: net(tg.ones(1, 1)).sum())
    >>> print(flow)
    layer  class   |gradient|  |weights|  relative
    0      Linear         0.5          2      0.25
    2      Linear           2        0.5         4
    >>> flow.ratio
    0.25
    """
    if not isinstance(model, Module):
        raise TypeError(f"[gradient_flow] model is a {type(model).__name__}, expected a module")
    with Probe("gradient_flow", model, loss) as probe:
        slopes = {id(p): s for p, s in zip(probe.parameters, probe.slopes()[1], strict=True)}
    layers = []
    for name, part in model.named_modules():
        own = [p for p in part.parameters(recurse=False) if id(p) in slopes]
        if own:
            gradient = math.hypot(*(length(slopes[id(p)]) for p in own))
            weights = math.hypot(*(length(p.detach()) for p in own))
            layers.append(LayerGradient(name, type(part).__name__, gradient, weights))
    return GradientFlow(tuple(layers))
