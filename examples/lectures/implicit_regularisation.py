"""SGD alone regularises: of all curves through the points it finds the shortest

From the deck "Lecture 10: Feedforward Neural Networks": "Implicit regularization of SGD".

A Fourier series with 61 coefficients goes through 12 points in infinitely many ways. SGD only ever adds multiples of the
features of the points it sees, so it ends in the way that is nearest to where it starts: from 0 in the shortest w of all,
pinv(X) y, which is the smoothest curve here; from a random start in that start's own wiggles. The training loss is 0 for all.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import shown

import trigrad as tg

POINTS = 12


class Fit(NamedTuple):
    name: str
    train: float
    test: float
    length: float  # ‖w‖
    w: Any


def curve(t: Any) -> Any:
    return np.sin(2 * t) + 0.5 * np.cos(t)


def places(points: int) -> Any:
    return np.linspace(-math.pi, math.pi, points, endpoint=False) + 0.15 * np.sin(np.arange(points))


def features(t: Any, terms: int = 30) -> Any:
    """1, cos(kt)/k, sin(kt)/k: (n,) -> (n, 2·terms + 1)"""
    k = np.arange(1, terms + 1)
    return np.concatenate([np.ones((len(t), 1)), np.cos(t[:, None] * k) / k, np.sin(t[:, None] * k) / k], 1)


def experiment(points: int = POINTS, epochs: int = 4000, starts: int = 3) -> list[Fit]:
    t = places(points)
    x, grid = features(t), np.linspace(-math.pi, math.pi, 500)
    fits = []
    for start in range(starts + 1):
        tg.manual_seed(start)
        model = tg.nn.Linear(x.shape[1], 1, bias=False).double()
        tg.nn.init.normal_(model.weight, 0, 1 if start else 0)
        trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.2))
        trainer.fit(x, curve(t)[:, None], epochs=epochs, batch_size=1)
        fits.append((f"SGD from start {start}" if start else "SGD from 0", model.weight.detach().numpy()[0]))
    fits.append(("shortest: pinv(X) y", np.linalg.pinv(x) @ curve(t)))
    return [
        Fit(
            name,
            float(((x @ w - curve(t)) ** 2).mean()),
            float(((features(grid) @ w - curve(grid)) ** 2).mean()),
            float(np.linalg.norm(w)),
            w,
        )
        for name, w in fits
    ]


def picture(fits: list[Fit]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes, grid = figure.subplots(), np.linspace(-math.pi, math.pi, 500)
    axes.plot(grid, curve(grid), ":", color="grey", label="truth")
    for fit in fits[:2]:
        axes.plot(grid, features(grid) @ fit.w, label=fit.name)
    axes.plot(places(POINTS), curve(places(POINTS)), "o", color="grey")
    axes.set(xlabel="t", ylabel="y")
    axes.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    fits = experiment()
    shown.table(Fit._fields[:-1], [fit[:-1] for fit in fits])
    shown.save(__file__, lambda: picture(fits))
