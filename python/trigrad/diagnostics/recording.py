"""What the layers of a network give out and what the loss says back to them, and histograms of such numbers."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import ops
from trigrad._autograd import enable_grad, grad, no_grad
from trigrad._core import Tensor
from trigrad.nn._evaluation import evaluating
from trigrad.nn.module import Module

__all__ = ["Histogram", "LayerRecord", "histogram", "record"]

Floats: TypeAlias = NDArray[np.float64]


class Histogram(NamedTuple):
    """How often numbers of each size are among those of a tensor."""

    edges: Floats
    """of the bins, (bins + 1,)"""
    counts: NDArray[np.int64]
    """(bins,); the last bin has its upper edge"""
    mean: float
    """of all numbers"""
    deviation: float
    """their root mean square distance from the mean"""
    outside: int
    """how many are in no bin, NaN among them"""


def histogram(values: Tensor, bins: int = 50, range: tuple[float, float] | None = None) -> Histogram:
    """The histogram of all numbers of a tensor: from the least to the greatest finite one, or over `range`.

    values of any shape -> counts (bins,), edges (bins + 1,)

    >>> import trigrad as tg
    >>> h = tg.diagnostics.histogram(tg.tensor([0.0, 1.0, 1.0, 4.0]), bins=4)
    >>> h.counts.tolist(), h.edges.tolist(), h.mean
    ([1, 2, 0, 1], [0.0, 1.0, 2.0, 3.0, 4.0], 1.5)
    """
    if bins < 1:
        raise ValueError(f"[histogram] bins is {bins}, expected 1 or more")
    if range is not None and not (range[0] < range[1] and all(map(math.isfinite, range))):
        raise ValueError(f"[histogram] range is {range}, expected two finite numbers, the lower one first")
    x = values.detach().double().flatten()
    numbers = x.numpy()
    finite = numbers[np.isfinite(numbers)]
    low, high = range or ((finite.min(), finite.max()) if finite.size else (0.0, 1.0))
    counts, edges = np.histogram(finite, bins, (float(low), float(high)))
    mean = float(ops.mean(x)) if x.numel() else math.nan
    deviation = math.sqrt(float(ops.mean(ops.square(x - mean)))) if math.isfinite(mean) else math.nan
    return Histogram(edges, counts, mean, deviation, numbers.size - int(counts.sum()))


def called(name: str, k: int) -> str:
    """The name of a layer in its k-th call, so that calls can be told apart where one layer stands in several places."""
    return name if k == 1 else f"{name} ({k})".lstrip()


class LayerRecord(NamedTuple):
    """One call of a layer."""

    name: str
    """its path in the network, and "(2)" behind it in its second call"""
    layer: str
    """its class"""
    output: Tensor
    """what it gave out, (events, ...)"""
    gradient: Tensor | None
    """of the loss by its output, of the same shape; None without a loss, or where the loss does not depend on it"""


def record(
    model: Module,
    *inputs: Any,
    loss: Callable[[Any], Tensor] | None = None,
    only: tuple[type[Module], ...] = (),
) -> tuple[LayerRecord, ...]:
    """What each layer gives out for `inputs`, in the order of the calls, and with `loss`, a function of the network's output,
    its gradient by these outputs: how well it flows back. The network is called once, in evaluation, and left as it was.

    Layers are the modules without modules of their own, or those of the classes `only`. Outputs that are not one tensor of
    floats are passed over.

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(3, 4), tg.nn.ReLU(), tg.nn.Linear(4, 1))
    >>> seen = tg.diagnostics.record(net, tg.ones(5, 3), loss=lambda y: y.sum())
    >>> [(layer.name, layer.layer, tuple(layer.output.shape)) for layer in seen]
    [('0', 'Linear', (5, 4)), ('1', 'ReLU', (5, 4)), ('2', 'Linear', (5, 1))]
    >>> tg.equal(seen[1].gradient[0], net[2].weight[0])
    True
    """
    if not isinstance(model, Module):
        raise TypeError(f"[record] model is a {type(model).__name__}, expected a module: a function has no layers")
    seen: list[tuple[str, str, Tensor]] = []
    calls: Counter[str] = Counter()
    caller = threading.get_ident()  # other threads may call the network, too

    def watch(name: str) -> Callable[[Module, tuple[Any, ...], Any], Any]:
        def hook(module: Module, args: tuple[Any, ...], output: Any) -> Any:
            if threading.get_ident() != caller or not (isinstance(output, Tensor) and output.is_floating_point()):
                return None
            if loss is not None and not output.requires_grad:
                output = output.detach().requires_grad_()  # so that the loss depends on it
            calls[name] += 1
            seen.append((called(name, calls[name]), type(module).__name__, output))
            return output.clone()  # which a layer that works in place may overwrite

        return hook

    with evaluating(model), ExitStack() as hooks, no_grad() if loss is None else enable_grad():
        for name, part in model.named_modules():
            if isinstance(part, only) if only else next(part.children(), None) is None:
                hooks.callback(part.register_forward_hook(watch(name)).remove)
        result = model(*inputs)
        outputs = [output for _, _, output in seen]
        found = grad(loss(result), outputs, allow_unused=True) if loss and outputs else [None] * len(outputs)
    if not seen:
        raise ValueError(
            f"[record] {type(model).__name__} called no layer that gives out a tensor of floats, expected "
            f"{' or '.join(kind.__name__ for kind in only) or 'one'} in it"
        )
    return tuple(LayerRecord(name, kind, out.detach(), g) for (name, kind, out), g in zip(seen, found, strict=True))
