"""Saddle points hold plain descent; momentum and noise leave them

From the deck "Deep Learning Lecture 1": "Advanced estimates use memory, [are] able to handle complex surfaces (saddle points,
local minima)."

- At the saddle (0, 0) of x²/2 + (y² − 1)²/4 the Hessian has the eigenvalues 1 and −1. Descent from the ridge y = 0 ends there.
  A nudge of 10⁻⁶ off it grows by 1 + η per step, with momentum β by the larger root r of r² − (1 + β + η)r + β = 0; noise needs
  no nudge.
- A tanh network of zero weights stands on a saddle point, too: descent moves nothing but the last bias, and the Hessian keeps
  the eigenvalues ±2|⟨xy⟩| for each hidden unit. After a little noise it goes down to where no direction falls like that.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import shown

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import Curvature, curvature


class Result(NamedTuple):
    saddle: Curvature
    paths: dict[str, Any]  # (steps + 1, 2)
    escapes: dict[str, int | None]  # steps until |y| > 1/2, None if it never was
    network: dict[str, tuple[float, float]]  # loss and smallest eigenvalue


def ridge(w: Any) -> Any:
    return w[..., 0] ** 2 / 2 + (w[..., 1] ** 2 - 1) ** 2 / 4


def descend(parameters: Any, loss: Any, steps: int, lr: float, momentum: float = 0.0, noise: float = 0.0) -> Any:
    """The path of the first of them."""
    optimizer, path = tg.optim.SGD(parameters, lr=lr, momentum=momentum), [parameters[0].detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        for p in parameters:
            p.grad.add_(tg.randn(p.shape, dtype=p.dtype), alpha=noise)
        optimizer.step()
        path.append(parameters[0].detach().clone())
    return tg.stack(path)


def network(steps: int) -> dict[str, tuple[float, float]]:
    x = tg.linspace(-1, 1, 21, dtype=tg.float64)[:, None]
    net = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    for p in net.parameters():
        nn.init.zeros_(p)

    def loss() -> Any:
        return nn.functional.mse_loss(net(x), tg.sin(math.pi * x))

    found = {}
    for name, noise in (("zero weights", 0.0), ("with noise", 1e-3)):
        descend(list(net.parameters()), loss, steps, 0.05, 0.9, noise)
        found[name] = float(loss()), curvature(net, loss).smallest.value
    return found


def experiment(steps: int = 2000) -> Result:
    tg.manual_seed(0)
    paths = {}
    for name, nudge, options in (
        ("descent", 0.0, {}),
        ("descent, nudged", 1e-6, {}),
        ("momentum, nudged", 1e-6, {"momentum": 0.9}),
        ("noise", 0.0, {"noise": 1e-3}),
    ):
        w = tg.tensor([1.0, nudge], dtype=tg.float64, requires_grad=True)
        paths[name] = descend([w], lambda w=w: ridge(w), 300, 0.1, **options)
    off = {name: (path[:, 1].abs() > 0.5).tolist() for name, path in paths.items()}
    escapes = {name: there.index(True) if True in there else None for name, there in off.items()}
    w = tg.zeros(2, dtype=tg.float64, requires_grad=True)
    return Result(curvature(w, lambda: ridge(w)), paths, escapes, network(steps))


def picture(result: Result) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = tg.linspace(-1.4, 1.4, 57)
    heights = ridge(tg.stack(tg.meshgrid(x, x, indexing="xy"), -1))
    left.contour(x.tolist(), x.tolist(), heights.tolist(), 20, cmap="viridis")
    for (name, path), style in zip(result.paths.items(), ("-", "--", "-.", ":"), strict=True):
        left.plot(*path.T.tolist(), style)
        right.plot(path[:, 1].abs().tolist(), style, label=name)
    left.set(xlabel="x", ylabel="y")
    right.set(xlabel="step", ylabel="distance from the ridge, |y|", yscale="log")
    right.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("at the saddle", "steps to get off it"), list(result.escapes.items()))
    shown.table(("network", "loss", "smallest eigenvalue"), [(name, *found) for name, found in result.network.items()])
    shown.save(__file__, lambda: picture(result))
