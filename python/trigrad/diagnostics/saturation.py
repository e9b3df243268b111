"""Which units no longer pass gradients on, and which are silent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from trigrad import ops
from trigrad._autograd import enable_grad, grad, no_grad
from trigrad._core import Tensor
from trigrad.diagnostics._columns import columns
from trigrad.diagnostics.recording import called
from trigrad.nn._evaluation import evaluating
from trigrad.nn.activations import PReLU, RReLU, _Pointwise
from trigrad.nn.linear import Lambda
from trigrad.nn.module import Module

__all__ = ["LayerSaturation", "SaturationReport", "saturation"]


class LayerSaturation(NamedTuple):
    """One activation of a network, over a batch. Shares are from 0 to 1."""

    name: str
    """its path in the network, and "(2)" behind it in its second call"""
    activation: str
    """its class"""
    units: int
    """how many numbers it makes of an event"""
    saturated: float
    """the share of all its numbers at which the derivative is below the threshold, or NaN"""
    stuck: float
    """the share of its units for which that holds in every event of the batch"""
    zeros: float
    """the share of its outputs that are 0: how sparse they are"""


class SaturationReport(NamedTuple):
    """What `saturation` found; it prints as a table."""

    layers: tuple[LayerSaturation, ...]
    threshold: float

    def __str__(self) -> str:
        below = f"|σ′| < {self.threshold:g}"
        rows = [["layer", "activation", "units", below, "in all events", "output 0"]]
        for layer in self.layers:
            shares = (f"{share:.1%}" for share in (layer.saturated, layer.stuck, layer.zeros))
            rows.append([layer.name or "(itself)", layer.activation, str(layer.units), *shares])
        return columns(rows)


def saturation(
    model: Module | Callable[[Tensor], Tensor],
    *inputs: Any,
    threshold: float = 1e-3,
    also: tuple[type[Module], ...] = (),
) -> SaturationReport:
    """How many units of each activation have a derivative |σ′| below the threshold, so that they hardly learn, and how
    many outputs are exactly 0. The network is called once with `inputs`, whose first axis is the events, in evaluation; it
    is left as it was.

    Activations are the pointwise modules of `trigrad.nn`, and the classes in `also`, whose derivative must be pointwise
    too. A function in place of a network is taken for an activation.

    >>> import trigrad as tg
    >>> z = tg.tensor([[0.0, 3.0, 10.0], [0.0, -3.0, 12.0]])
    >>> print(tg.diagnostics.saturation(tg.sigmoid, z))
    layer     activation  units  |σ′| < 0.001  in all events  output 0
    (itself)  Lambda          3         33.3%          33.3%      0.0%
    >>> net = tg.nn.Sequential(tg.nn.ReLU(), tg.nn.Tanh())
    >>> [layer.zeros for layer in tg.diagnostics.saturation(net, tg.tensor([[-1.0, 2.0]])).layers]
    [0.5, 0.5]
    """
    if not threshold > 0:
        raise ValueError(f"[saturation] threshold is {threshold}, expected more than 0")
    kinds: tuple[type[Module], ...] = (_Pointwise, PReLU, RReLU, *also)
    if not isinstance(model, Module):
        model, kinds = Lambda(model), (Lambda,)
    found: list[LayerSaturation] = []
    with evaluating(model), ExitStack() as hooks, no_grad():
        for name, part in model.named_modules():
            if isinstance(part, kinds):
                hooks.callback(part.register_forward_pre_hook(_Watch(name, threshold, found)).remove)
        model(*inputs)
    if not found:
        raise ValueError(
            f"[saturation] {type(model).__name__} called no activation module; name your own classes with also=(…,), or "
            "write functions such as trigrad.tanh as modules: nn.Tanh()"
        )
    return SaturationReport(tuple(found), threshold)


class _Watch:
    """Sees the input of an activation before the activation does, which may overwrite it."""

    def __init__(self, name: str, threshold: float, found: list[LayerSaturation]) -> None:
        self.name, self.threshold, self.found = name, threshold, found
        self.calls = 0
        self.caller = threading.get_ident()  # other threads may call the network, too

    def __call__(self, module: Module, args: tuple[Any, ...]) -> None:
        if threading.get_ident() != self.caller:
            return
        z = args[0].detach().clone().requires_grad_()
        if not z.numel():
            raise ValueError(f"[saturation] {type(module).__name__} got {tuple(z.shape)}, expected one event at least")
        with enable_grad():
            y = module.forward(z.clone())
            if y.shape != z.shape:
                raise ValueError(
                    f"[saturation] {type(module).__name__} made {tuple(y.shape)} of {tuple(z.shape)}, expected an "
                    "activation that is applied to each number by itself"
                )
            slope = grad(y.sum(), z)[0]  # of the sum, since each output has an input of its own
        y = y.detach()
        self.calls += 1
        flat = ops.logical_not(ops.abs(slope) >= self.threshold)  # (events, ...), NaN among them
        n = y.numel()
        units = n // y.shape[0] if y.ndim else 1
        self.found.append(
            LayerSaturation(
                called(self.name, self.calls),
                type(module).__name__,
                units,
                int(flat.sum()) / n,
                int(flat.all(0).sum()) / units if y.ndim else float(flat),
                int(ops.eq(y, 0).sum()) / n,
            )
        )
