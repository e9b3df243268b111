"""The generalisation gap and its bound

From the deck "Lecture 5: Neural networks": "the generalization gap is bounded by the amount of information memorized by the
network". For losses from 0 to 1 it is at most √(I/2N), I = I(W; S) in nats (the deck's √(I/N) lacks the factor 2σ², here ½).

I(W; S) is known where W is one of K fixed models, chosen by their mistakes on the N events of S with probability
exp(−β mistakes), as it is then that of a table of probabilities. Two such settings:

- coins: labels are random, so that of 4 models each is wrong in half of the cases; all data sets are listed, and information,
  gap and bound are exact;
- networks: 64 networks 2-16-1 with random weights, thresholds such that half of the events are above; S is drawn from 20,000
  events of the playground's circle, whose mistakes are the true risk, 4,000 times.

The best model of the training (β = ∞) knows the most of its data; noise in the choice (β small) takes information and gap away,
and so do more events. The gap is below the bound, and near it where the choice is noisy.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import diagnostics, nn

BETAS = (0.0, 0.1, 0.3, 1.0, math.inf)


def coins(n: int, models: int = 4) -> tuple[Any, Any, Any]:
    """All numbers of mistakes (cases, models), their probabilities (cases,), and the risks (models,)."""
    mistakes = np.array(list(itertools.product(range(n + 1), repeat=models)))
    each = np.array([math.comb(n, k) for k in range(n + 1)]) / 2.0**n
    return mistakes, each[mistakes].prod(1), np.full(models, 0.5)


def networks(n: int, models: int = 64, sets: int = 4000, seed: int = 0) -> tuple[Any, Any, Any]:
    events = tg.data.playground("circle", 20_000, noise=0.2, seed=seed)
    tg.manual_seed(seed)
    wrong = np.empty((len(events), models))
    with tg.no_grad():
        for k in range(models):
            z = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))(tg.tensor(events.X))[:, 0].numpy()
            wrong[:, k] = (z > np.median(z)) != (events.y == 1)
    rng = np.random.default_rng(seed)
    mistakes = np.stack([wrong[rng.integers(0, len(events), n)].sum(0) for _ in range(sets)])
    return mistakes, np.full(sets, 1 / sets), wrong.mean(0)


def experiment(
    coin_events: tuple[int, ...] = (4, 16), network_events: tuple[int, ...] = (20, 200)
) -> list[dict[str, Any]]:
    rows = []
    for name, make, sizes in (("coins", coins, coin_events), ("networks", networks, network_events)):
        for n in sizes:
            mistakes, probability, risk = make(n)
            for beta in BETAS:
                choice = diagnostics.gibbs_choice(mistakes, beta)
                information = diagnostics.mutual_information(choice, probability)
                gap = float(probability @ (choice * (risk - mistakes / n)).sum(1))
                bound = diagnostics.generalization_bound(information, n)
                rows.append(
                    {"setting": name, "n": n, "beta": beta, "information": information, "gap": gap, "bound": bound}
                )
    return rows


def picture(rows: list[dict[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    for (name, n), group in itertools.groupby(rows, key=lambda row: (row["setting"], row["n"])):
        points = [(row["bound"], row["gap"]) for row in group]
        axes.plot(*zip(*points, strict=True), "o-", label=f"{name}, N = {n}")
    axes.plot((0, 0.37), (0, 0.37), color="0.5", linestyle="--", label="the bound")
    axes.set(xlabel="√(I / 2N)", ylabel="gap: risk − training error")
    axes.legend()
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("setting", "N", "β", "I(W; S) in nats", "gap", "√(I/2N)"), [tuple(row.values()) for row in result])
    shown.save(__file__, lambda: picture(result))
