"""What the losses of a regression assume, and errors that a network gives with its answer

A loss is -ln of a likelihood, so it decides what is fitted. Times that are 1 + x/2 on average and fall exponentially: the
square (normal errors) finds the mean 1 + x/2, the absolute value (Laplace's) the median, ln 2 = .693 of it. Counts of mean e^(1
+ x): the Poisson likelihood finds that curve with the smallest error. A network of two outputs, mean and ln variance, trained
by the normal likelihood finds an error that varies with x: its pulls have width 1, where those of a single error for all are
too narrow in one place and too wide in another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn
from trigrad.nn.functional import gaussian_nll_loss


def trained(loss: Callable[..., Any], x: Any, y: Any, epochs: int, outputs: int = 1, seed: int = 0) -> Any:
    """A network 1-24-outputs that has learned y (n,) from x (n,)."""
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, outputs))
    for lr in (0.01, 0.001):
        trainer = tg.Trainer(net, loss, tg.optim.Adam(net.parameters(), lr=lr))
        trainer.fit(x[:, None].astype("float32"), y[:, None].astype("float32"), epochs=epochs, batch_size=200)
    return net


def at(net: Any, x: Any) -> Any:
    """Its outputs (n, outputs)."""
    with tg.no_grad():
        return net(tg.tensor(x[:, None].astype("float32"))).numpy()


def normal(output: Any, target: Any) -> Any:
    """-ln of the normal density: output (n, 2) has mean and ln variance."""
    return gaussian_nll_loss(output[:, :1], target, tg.exp(output[:, 1:]))


def width(x: Any) -> Any:
    """The deviation that the points really have."""
    return 0.1 + 0.4 * x**2


def experiment(n: int = 10_000, epochs: int = 20, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x, grid = rng.uniform(-1, 1, n), np.linspace(-0.9, 0.9, 37)
    mean = 1 + x / 2
    times = mean * rng.exponential(size=n)
    curves = {
        name: at(trained(loss, x, times, epochs), grid)[:, 0]
        for name, loss in (("square", nn.MSELoss()), ("absolute", nn.L1Loss()))
    }
    counts = rng.poisson(np.exp(1 + x))
    rate = {
        "Poisson": np.exp(at(trained(nn.PoissonNLLLoss(), x, counts, epochs), grid)[:, 0]),
        "square": at(trained(nn.MSELoss(), x, counts, epochs), grid)[:, 0],
    }
    y = np.sin(3 * x) + width(x) * rng.normal(size=n)
    new = rng.uniform(-1, 1, n)
    answer = at(trained(normal, x, y, epochs, outputs=2), new)
    y_new = np.sin(3 * new) + width(new) * rng.normal(size=n)
    found = np.exp(answer[:, 1] / 2)
    same = np.full(n, (y_new - answer[:, 0]).std())
    centre = abs(new) < 0.3
    pulls = {
        name: tuple(float(((y_new - answer[:, 0]) / error)[where].std()) for where in (centre, abs(new) > 0.7))
        for name, error in (("of the network", found), ("the same everywhere", same))
    }
    return {
        "grid": grid,
        "curves": curves,
        "pulls": pulls,
        "new": new,
        "y": y_new,
        "mean": answer[:, 0],
        "found": found,
        "of the mean": {name: float((curve / (1 + grid / 2)).mean()) for name, curve in curves.items()},
        "off": {name: float(np.sqrt(((curve / np.exp(1 + grid) - 1) ** 2).mean())) for name, curve in rate.items()},
        "error off": float(np.sqrt(((found / width(new) - 1) ** 2).mean())),
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, curve in result["curves"].items():
        left.plot(result["grid"], curve, label=name)
    left.plot(result["grid"], 1 + result["grid"] / 2, "k:", label="mean and median")
    left.plot(result["grid"], math.log(2) * (1 + result["grid"] / 2), "k:")
    left.legend()
    order = np.argsort(result["new"])
    x, mean, error = (result[name][order] for name in ("new", "mean", "found"))
    right.plot(result["new"], result["y"], ".", markersize=1, color="0.6")
    right.fill_between(x, mean - error, mean + error, alpha=0.4)
    right.plot(x, mean)
    for axes in (left, right):
        axes.set(xlabel="x", ylabel="y")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("loss", "times the mean"), list(result["of the mean"].items()))
    shown.table(("loss", "relative error of the rate"), list(result["off"].items()))
    shown.table(("errors", "width of pulls, |x| < .3", "|x| > .7"), [(k, *v) for k, v in result["pulls"].items()])
    shown.save(__file__, lambda: picture(result))
