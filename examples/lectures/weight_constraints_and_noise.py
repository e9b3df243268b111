"""Constraints and noise keep the noise of the data out of the weights

From the deck "Lecture 5: Neural networks": "Ways to limit the information stored in the weights: stochasticity (uncertainty),
constraints."

A network with 2,700 weights learns 20 noisy points of a sine. Free, it goes through the noise: a small training loss, a large one
on the true curve. Less of the noise stays, and the curve is closer, where

- no unit's weights may be longer than 1 (a max-norm constraint, after each step),
- noise is added to the weights in each step, so that only what survives it can be stored,
- noise is added to the inputs; for a linear model that is, in the mean, the ridge penalty σ²‖w‖².
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shown

import trigrad as tg
from trigrad import nn


class Fit(NamedTuple):
    way: str
    seed: int
    train: float
    test: float
    longest: float  # ‖w‖ of any unit
    curve: list[float]


class Result(NamedTuple):
    fits: list[Fit]
    points: tuple[Any, Any]  # of the last seed
    linear: dict[str, Any]  # weights of a linear model by noise, and by ridge regression


WAYS = {
    "free": {},
    "max-norm 1": {"longest": 1.0},
    "weight noise": {"weight_noise": 0.05},
    "input noise": {"input_noise": 0.15},
}


def train(
    net: Any, x: Any, y: Any, steps: int, longest: float = 1e9, weight_noise: float = 0.0, input_noise: float = 0.0
) -> None:
    parameters = list(net.parameters())
    optimizer = tg.optim.Adam(parameters, lr=0.01)
    for _ in range(steps):
        noise = [weight_noise * tg.randn(p.shape) for p in parameters]
        for p, e in zip(parameters, noise, strict=True):
            p.data.add_(e)
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x + input_noise * tg.randn(x.shape)), y).backward()
        for p, e in zip(parameters, noise, strict=True):
            p.data.sub_(e)
        optimizer.step()
        for w in (p.data for p in parameters if p.ndim == 2):  # (units, inputs)
            w.mul_((longest / w.norm(dim=1, keepdim=True)).clamp(max=1.0))


def linear(copies: int, sigma: float = 1.0) -> dict[str, Any]:
    """Of y = x₁ + x₂ + x₃, from many copies of 20 points, each with noise of its own."""
    tg.manual_seed(0)
    x, model = tg.randn(20, 3), nn.Linear(3, 1, bias=False)
    train(model, x.repeat(copies, 1), x.sum(1, keepdim=True).repeat(copies, 1), 300, input_noise=sigma)
    a = x.double().numpy()
    ridge = np.linalg.solve(a.T @ a / 20 + sigma**2 * np.eye(3), a.T @ a.sum(1) / 20)
    return {"noise": model.weight.detach()[0].tolist(), "ridge": ridge.tolist()}


def experiment(seeds: int = 3, steps: int = 3000, copies: int = 1000) -> Result:
    fits, grid = [], tg.linspace(-1, 1, 200)[:, None]
    for seed in range(seeds):
        for way, options in WAYS.items():
            tg.manual_seed(seed)
            x = 2 * tg.rand(20, 1) - 1
            y = tg.sin(3 * x) + 0.5 * tg.randn(20, 1)
            net = nn.Sequential(nn.Linear(1, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 1))
            train(net, x, y, steps, **options)
            with tg.no_grad():
                curve, rest = net(grid), float(nn.functional.mse_loss(net(x), y))
            test = float(nn.functional.mse_loss(curve, tg.sin(3 * grid)))
            longest = max(float(p.norm(dim=1).max()) for p in net.parameters() if p.ndim == 2)
            fits.append(Fit(way, seed, rest, test, longest, curve[:, 0].tolist()))
    return Result(fits, (x, y), linear(copies))


def picture(result: Result) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    grid = tg.linspace(-1, 1, 200)
    axes.plot(grid.tolist(), tg.sin(3 * grid).tolist(), ":", color="grey", label="truth")
    for fit in result.fits[-len(WAYS) :]:
        axes.plot(grid.tolist(), fit.curve, label=fit.way)
    axes.plot(*(values[:, 0].tolist() for values in result.points), "o", color="grey")
    axes.set(xlabel="x", ylabel="y")
    axes.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(Fit._fields[:-1], [fit[:-1] for fit in result.fits])
    shown.table(("linear model with", "w₁", "w₂", "w₃"), [(name, *w) for name, w in result.linear.items()])
    shown.save(__file__, lambda: picture(result))
