"""Phases of the Ising model, found by a network

From the deck "Lecture 10: Feedforward Neural Networks" (Mehta et al. 2019, notebook 12).

40 x 40 spins at T = 0.25, 0.5, ..., 4, without the critical region 2 <= T <= 2.5: ordered or disordered? A network 1600-N-2
with ReLU, weights N(0, 0.1), biases 0.1, learns by 100 SGD updates of 100 configurations each. The lecture's grid of N and
learning rate has 75.6, 95.7 and 99.2 % for N = 10 and rates .001, .01, .1; published are 99.3 % for N = 10, .1 and 99.6 % for N
= 100, .01. The best is in the corner, and the search says so: "optimal performance at the edge of the grid, extend the grid".

There each temperature has 10,000 configurations, here 625, by `trigrad.data.ising`. Scores are accuracies on a fifth of them that
was held out, means over three networks.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn
from trigrad.search import GridResult, grid, log_range

PUBLISHED = {(10, 0.001): 0.756, (10, 0.01): 0.957, (10, 0.1): 0.993, (100, 0.01): 0.996}


def spins(n: int, seed: int) -> tg.data.Table:
    """The configurations outside of the critical region."""
    table = tg.data.ising(n, seed=seed)
    heat = tg.data.ising(n, seed=seed, target="temperature").y
    assert heat is not None
    return dataclasses.replace(table[(heat < 2) | (heat > 2.5)], variant=f"{table.variant}, 2 to 2.5 left out")


def network(neurons: int) -> nn.Sequential:
    layers = nn.Linear(1600, neurons), nn.Linear(neurons, 2)
    for layer in layers:
        nn.init.normal_(layer.weight, 0.0, 0.1)
        nn.init.constant_(layer.bias, 0.1)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def accuracy(settings: dict[str, Any], train: tg.data.Table, held: tg.data.Table) -> float:
    model = network(settings["neurons"])
    rows = tg.randint(0, len(train), (100 * 100,)).numpy()  # 100 batches of 100
    trainer = tg.Trainer(model, nn.CrossEntropyLoss(), tg.optim.SGD(model.parameters(), lr=settings["lr"]))
    trainer.fit(*train[rows], epochs=1, batch_size=100)
    with tg.no_grad():
        answer = model(tg.from_numpy(held.X)).argmax(1).numpy()
    return float(np.mean(answer == held.y))


def experiment(
    n: int = 10_000,
    neurons: Sequence[int] = (1, 10, 100, 1000),
    rates: Sequence[float] = log_range(1e-5, 1e-1, 5),
    repeats: int = 3,
    n_jobs: int | None = 2,
    seed: int = 0,
) -> dict[str, Any]:
    table = spins(n, seed)
    split = tg.data.split_rows(len(table), 0.8, 0.2, seed=seed, labels=table.y)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        found = grid(accuracy, {"lr": rates, "neurons": neurons}, table, cv=[split] * repeats, n_jobs=n_jobs, seed=seed)
    return {"found": found, "data": repr(table), "warnings": [str(w.message) for w in said]}


def score(found: GridResult, neurons: int, lr: float) -> float:
    return float(
        found.cv_results_["mean_test_score"][found.cv_results_["params"].index({"lr": lr, "neurons": neurons})]
    )


def picture(result: dict[str, Any]) -> Any:
    return result["found"].heatmap().figure


if __name__ == "__main__":
    result = experiment()
    print(result["data"], result["found"].table(8), *result["warnings"], sep="\n")
    rows = [(n, lr, published, score(result["found"], n, lr)) for (n, lr), published in PUBLISHED.items()]
    shown.table(("neurons", "lr", "published", "here"), rows)
    shown.save(__file__, lambda: picture(result))
