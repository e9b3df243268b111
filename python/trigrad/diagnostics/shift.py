"""Internal covariate shift: what the update of other layers does to the gradient of a layer."""

from __future__ import annotations

import math
from typing import NamedTuple

from trigrad import ops
from trigrad._autograd import enable_grad, no_grad
from trigrad._core import Tensor
from trigrad._creation import zeros_like
from trigrad._random import default_generator
from trigrad.diagnostics._probe import Loss, Probe, flat, length
from trigrad.nn.module import Module
from trigrad.optim.optimizer import Optimizer

__all__ = ["LayerShift", "covariate_shift"]


class LayerShift(NamedTuple):
    """How the gradient G of a layer's parameters changed to G′ when the layers before it had made their step."""

    name: str
    """its path in the network"""
    layer: str
    """its class"""
    size: float
    """|G|"""
    distance: float
    """|G − G′|: the internal covariate shift"""
    cosine: float
    """of the angle between G and G′; 1 where the layer was right about where to go"""


def covariate_shift(
    model: Module, loss: Loss, optimizer: Optimizer, *, only: tuple[type[Module], ...] = ()
) -> tuple[LayerShift, ...]:
    """Makes one step, `optimizer.zero_grad(); loss().backward(); optimizer.step()`, and measures for each layer the change
    that the steps of the layers before it make in its gradient, as Santurkar et al. (2018, definition 2.1) do:

        G = ∇_i L(W_1, …, W_k),   G′ = ∇_i L(W_1′, …, W_{i−1}′, W_i, …, W_k)   with W′ the parameters after the step.

    `loss` computes the loss of the present batch in the present mode of the network, each time with the same random numbers.
    Layers, in the order of `model.named_modules()`, are the modules that hold parameters of their own, which is to be the
    order in which the network calls them; with `only` those of these classes are told of. Parameters and buffers, optimizer
    and generator are afterwards as that step alone leaves them. It costs one gradient more per layer.

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.Tanh(), tg.nn.Linear(3, 1))
    >>> optimizer = tg.optim.SGD(net.parameters(), lr=0.1)
    >>> x = tg.ones(4, 2)
    >>> first, second = tg.diagnostics.covariate_shift(net, lambda: tg.nn.functional.mse_loss(net(x), x[:, :1]), optimizer)
    >>> first.distance, first.cosine, second.distance > 0
    (0.0, 1.0, True)
    """
    if not isinstance(model, Module):
        raise TypeError(f"[covariate_shift] model is a {type(model).__name__}, expected a module")
    probe = Probe("covariate_shift", model, loss)
    parameters, place = probe.parameters, {id(p): k for k, p in enumerate(probe.parameters)}
    layers = [
        (name, part, [place.pop(id(p)) for p in part.parameters(recurse=False) if id(p) in place])
        for name, part in model.named_modules()
    ]
    kinds = only or (Module,)
    if not any(isinstance(part, kinds) and own for _, part, own in layers):
        raise ValueError(
            f"[covariate_shift] {type(model).__name__} has no "
            f"{' or '.join(kind.__name__ for kind in only) or 'module'} with parameters that learn"
        )
    optimizer.zero_grad()
    with enable_grad():
        probe.value().backward()
    before = _copies(parameters)
    first = [zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    buffers = list(model.buffers())
    seen, draws = _copies(buffers), default_generator.get_state()
    optimizer.step()
    after = _copies(parameters)
    found = []
    try:
        _put(parameters, before)
        for name, part, own in layers:
            if isinstance(part, kinds) and own:
                again = probe.slopes()[1]
                found.append(_compare(name, type(part).__name__, *(flat([g[k] for k in own]) for g in (first, again))))
            _put([parameters[k] for k in own], [after[k] for k in own])
    finally:
        _put(parameters, after)
        _put(buffers, seen)
        default_generator.set_state(draws)
    return tuple(found)


def _copies(tensors: list[Tensor]) -> list[Tensor]:
    return [t.detach().clone() for t in tensors]


def _put(tensors: list[Tensor], values: list[Tensor]) -> None:
    with no_grad():
        for t, value in zip(tensors, values, strict=True):
            t.copy_(value)


def _compare(name: str, layer: str, g: Tensor, again: Tensor) -> LayerShift:
    g, again = g.double(), again.double()
    size, other, distance = length(g), length(again), length(g - again)
    straight = 1.0 if distance == 0 else math.nan if size * other == 0 else float(ops.sum(g * again)) / (size * other)
    return LayerShift(name, layer, size, distance, straight)
