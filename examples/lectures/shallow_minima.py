"""Shallow minima: where plain descent gets stuck, and how momentum and noise leave

From the deck "Lecture 5: Neural networks": "We may get stuck in a suboptimal local minimum. The noise of stochastic gradient
descent is actually a benefit in deep learning!"

The double well w⁴/4 − w²/2 + w/10 has its deep minimum at −1.047 and a shallow one at 0.946, 0.2 higher. From 1.5

- descent ends in the shallow one;
- momentum of 0.95 rolls on into the deep one;
- noise of temperature T, √(2ηT) per step, crosses over and back: its walkers end with the shares of e^(−f/T), 86 % in the deep
  well at T = 0.1; when the noise is annealed in steps they nearly all stay there.
"""

from __future__ import annotations

import math
from typing import Any

import shown

import trigrad as tg

LR = 0.05


def wells(w: Any) -> Any:
    return w**4 / 4 - w**2 / 2 + w / 10


def walk(w: Any, steps: int, momentum: float = 0.0, heats: tuple[float, ...] = (0.0,)) -> Any:
    """Where descent from w (walkers,) ends; the noise has one temperature after the other."""
    w = w.clone().requires_grad_()
    optimizer = tg.optim.SGD([w], lr=LR, momentum=momentum)
    for heat in heats:
        for _ in range(steps):
            optimizer.zero_grad()
            wells(w).sum().backward()
            optimizer.step()
            w.data.add_(tg.randn(w.shape, dtype=w.dtype), alpha=math.sqrt(2 * LR * heat))
    return w.detach()


def share(heat: float) -> float:
    """Of e^(−f/T), in the deep well."""
    w = tg.linspace(-3, 3, 6001, dtype=tg.float64)
    weight = tg.exp(-wells(w) / heat)
    return float(weight[w < 0.1].sum() / weight.sum())


def experiment(walkers: int = 1000, heat: float = 0.1, steps: int = 4000) -> dict[str, Any]:
    tg.manual_seed(0)
    start = tg.full((walkers,), 1.5, dtype=tg.float64)
    return {
        "descent": walk(start[:1], steps),
        "momentum": walk(start[:1], steps, momentum=0.95),
        "noise": walk(start, steps, heats=(heat,)),
        "annealed noise": walk(start, steps, heats=(heat, heat / 1.5, heat / 2, heat / 3, 0.0)),
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    w = tg.linspace(-1.8, 1.8, 181)
    axes.plot(w.tolist(), wells(w).tolist(), color="grey", label="f(w)")
    for (name, ends), mark in zip(result.items(), "osx.", strict=True):
        axes.plot(
            ends.tolist(), wells(ends).tolist(), mark, label=f"{name}: {float((ends < 0.1).double().mean()):.0%} deep"
        )
    axes.set(xlabel="w", ylabel="f(w)", ylim=(-0.45, 0.6))
    axes.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    result = experiment()
    rows = [(name, float((ends < 0.1).double().mean())) for name, ends in result.items()]
    shown.table(("from 1.5 with", "share in the deep minimum"), [*rows, ("e^(-f/T), T = 0.1", share(0.1))])
    shown.save(__file__, lambda: picture(result))
