"""Internal covariate shift: what the update of other layers does to the gradient of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from trigrad import ops
from trigrad._autograd import enable_grad, grad, no_grad
from trigrad._core import Tensor
from trigrad._creation import zeros_like
from trigrad._random import get_rng_state, set_rng_state
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
    model: Module, loss: Callable[[], Tensor], optimizer: Optimizer, *, only: tuple[type[Module], ...] = ()
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
    layers: list[tuple[str, Module, list[Tensor]]] = []
    known: set[Tensor] = set()
    for name, part in model.named_modules():
        own = [p for p in part.parameters(recurse=False) if p.requires_grad and p not in known]
        known.update(own)
        if own:
            layers.append((name, part, own))
    kinds = only or (Module,)
    if not any(isinstance(part, kinds) for _, part, _ in layers):
        raise ValueError(
            f"[covariate_shift] {type(model).__name__} has no "
            f"{' or '.join(kind.__name__ for kind in only) or 'module'} with parameters that learn"
        )
    start = get_rng_state()
    with enable_grad():
        optimizer.zero_grad()
        loss().backward()
    end = get_rng_state()
    before = {p: p.detach().clone() for p in known}
    first = {p: _or_zero(p, p.grad).clone() for p in known}
    buffers = {b: b.detach().clone() for b in model.buffers()}
    optimizer.step()
    after = {p: p.detach().clone() for p in known}
    found = []
    try:
        _put(before)
        for name, part, own in layers:
            if isinstance(part, kinds):
                set_rng_state(start)
                with enable_grad():
                    seen = grad(loss(), own, allow_unused=True)
                again = [_or_zero(p, g) for p, g in zip(own, seen, strict=True)]
                _put(buffers)
                found.append(_compare(name, type(part).__name__, [first[p] for p in own], again))
            _put({p: after[p] for p in own})
    finally:
        _put(after)
        _put(buffers)
        set_rng_state(end)
    return tuple(found)


def _or_zero(p: Tensor, gradient: Tensor | None) -> Tensor:
    return zeros_like(p) if gradient is None else gradient


def _put(values: dict[Tensor, Tensor]) -> None:
    with no_grad():
        for p, value in values.items():
            p.copy_(value)


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    return sum(float(ops.sum(x.double() * y.double())) for x, y in zip(a, b, strict=True))


def _compare(name: str, layer: str, g: list[Tensor], again: list[Tensor]) -> LayerShift:
    change = [x.double() - y.double() for x, y in zip(g, again, strict=True)]
    size, other, distance = (math.sqrt(_dot(v, v)) for v in (g, again, change))
    same = distance == 0
    cosine = 1.0 if same else math.nan if size * other == 0 else _dot(g, again) / (size * other)
    return LayerShift(name, layer, size, distance, cosine)
