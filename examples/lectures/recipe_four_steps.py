"""A recipe for machine learning in four steps

From the deck "Lecture 11: Neural Networks".

1. Given training data {x_i, y_i}. 2. Choose a decision function ŷ = f_θ(x_i) and a loss ℓ(ŷ, y_i). 3. Define the goal:
θ* = argmin Σ ℓ(f_θ(x_i), y_i). 4. Train with SGD, "take small steps opposite the gradient": θ ← θ - η_t ∇ℓ(f_θ(x_i), y_i).

The same lines learn with two decision functions of the deck. Red and blue points are normal clouds whose centres are two
deviations apart: nothing can be right more often than Φ(1) = 84.13 %, logistic regression is, and its θ* is known, w = (√2, √2)
and b = 0. On a circle it can be little better than guessing, a network 2-8-1 is right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import shown

import trigrad as tg
from trigrad import nn


def logistic_regression() -> nn.Module:
    return nn.Linear(2, 1)


def neural_network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def recipe(data: tg.data.Table, f: nn.Module, loss: Callable[..., tg.Tensor], epochs: int, rate: float) -> list[float]:
    """What is to be minimised, Σ ℓ / N, at the begin and after each epoch."""
    x = tg.from_numpy(data.X)  # 1. (N, 2), (N, 1)
    y = tg.from_numpy(data.y).float().reshape(-1, 1)
    theta = list(f.parameters())  # 2. f and the loss are chosen

    def goal() -> float:  # 3.
        with tg.no_grad():
            return float(loss(f(x), y))

    values, step = [goal()], 0
    for _ in range(epochs):  # 4.
        for i in tg.randperm(len(data)).tolist():
            rate_now = rate / (1 + step / len(data))  # η_t
            gradient = tg.autograd.grad(loss(f(x[i : i + 1]), y[i : i + 1]), theta)
            with tg.no_grad():
                for part, slope in zip(theta, gradient, strict=True):
                    part -= rate_now * slope
            step += 1
        values.append(goal())
    return values


def experiment(n: int = 1000, epochs: int = 10, rate: float = 0.1, seed: int = 0) -> dict[str, Any]:
    sets = {"red and blue": tg.data.red_blue, "circle": functools.partial(tg.data.playground, "circle")}
    made: dict[str, Any] = {"loss": {}, "accuracy": {}, "f": {}, "data": {}}
    for name, make in sets.items():
        data, test = make(n, seed=seed), make(20_000, seed=seed + 1)
        made["data"][name] = data
        for choose in (logistic_regression, neural_network):
            tg.manual_seed(seed)
            f, key = choose(), (name, choose.__name__.replace("_", " "))
            made["loss"][key] = recipe(data, f, nn.functional.binary_cross_entropy_with_logits, epochs, rate)
            with tg.no_grad():
                says = f(tg.from_numpy(test.X))[:, 0] > 0
            made["accuracy"][key] = float((says == tg.from_numpy(test.y).bool()).float().mean())
            made["f"][key] = f
    return made


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    for ax, (key, f) in zip(figure.subplots(2, 2).flat, result["f"].items(), strict=True):
        data = result["data"][key[0]]
        tg.plot.decision_boundary(f, data.X, data.y, names=data.classes, ax=ax)
        ax.set_title(f"{key[1]}: {result['accuracy'][key]:.1%}")
    return figure


if __name__ == "__main__":
    result = experiment()
    rows = [(*key, losses[0], losses[-1], result["accuracy"][key]) for key, losses in result["loss"].items()]
    shown.table(("data", "decision function", "goal before", "after", "accuracy"), rows)
    shown.save(__file__, lambda: picture(result))
