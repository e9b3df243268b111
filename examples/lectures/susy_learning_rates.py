"""Accuracy over learning rate and size of the data

From the deck "Lecture 10: Feedforward Neural Networks" (Mehta et al. 2019, notebook 13).

A network 18-200-100-2 of ReLU with dropout ½ learns SUSY events, unscaled, by SGD with momentum 0.8: ten epochs in batches of
1 % of the events, of which 80 % are for training. The published test accuracies rise with the learning rate, and with the
number of events; the best is at the edge of the grid: "extend the grid size to obtain better results". Logistic regression has
79.0 %.

Without SUSY at hand the events are `trigrad.data.toy_susy`: 18 features of the same names, numbers that do not compare with the
published ones, and a table of the same shape: too few steps at 0.001, the best at 0.1 and the most events. One more rate, 1.0,
is worse: then the best lies inside.

    python susy_learning_rates.py folder     # that SUSY.csv.gz lies in: compares with the published table
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn
from trigrad.search import grid

PUBLISHED = {  # (learning rate, events): test accuracy
    (0.001, 100_000): 0.7405,
    (0.01, 100_000): 0.7860,
    (0.1, 100_000): 0.7959,
    (0.001, 200_000): 0.7595,
    (0.01, 200_000): 0.7895,
    (0.1, 200_000): 0.7994,
}


def accuracy(settings: dict[str, Any], train: tg.data.Table, held: tg.data.Table) -> float:
    n = settings["events"]  # of which a fifth is not for training; all of the largest set judge
    net = nn.Sequential(
        *(nn.Linear(18, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU(), nn.Dropout(0.5), nn.Linear(100, 2)),
        nn.LogSoftmax(1),
    )
    optimizer = tg.optim.SGD(net.parameters(), lr=settings["lr"], momentum=0.8)
    trainer = tg.Trainer(net, nn.NLLLoss(), optimizer, metrics=["accuracy"])
    trainer.fit(*train[: n * 4 // 5], epochs=10, batch_size=max(n // 100, 1))
    return float(np.mean(trainer.predict(held.X).argmax(1).numpy() == held.y))


def experiment(
    folder: str | None = None,
    sizes: Sequence[int] = (1000, 5000, 20_000),
    rates: Sequence[float] = (0.001, 0.01, 0.1),
    n_jobs: int | None = None,
) -> dict[str, Any]:
    table = tg.data.toy_susy(max(sizes)) if folder is None else tg.data.susy(rows=max(sizes), folder=folder)
    split = tg.data.split_rows(len(table), 0.8, 0.2, labels=table.y)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        found = grid(accuracy, {"lr": rates, "events": sizes}, table, cv=[split], n_jobs=n_jobs, refit=False)
    scores = zip(found.cv_results_["params"], found.cv_results_["mean_test_score"], strict=True)
    return {
        "data": repr(table),
        "accuracy": {(point["lr"], point["events"]): float(score) for point, score in scores},
        "warnings": [str(w.message) for w in said],
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    rates, sizes = (sorted({point[k] for point in result["accuracy"]}) for k in (0, 1))
    values = [[result["accuracy"][rate, size] for size in sizes] for rate in rates]
    tg.plot.accuracy_grid(rates, sizes, values, xlabel="learning rate", ylabel="events", ax=figure.subplots())
    return figure


if __name__ == "__main__":
    real = len(sys.argv) > 1
    result = experiment(sys.argv[1], (100_000, 200_000)) if real else experiment()
    head = ("learning rate", "events", "test accuracy", *(["published"] if real else []))
    rows = [(*at, value, *([PUBLISHED[at]] if real else [])) for at, value in result["accuracy"].items()]
    shown.table(head, rows)
    print(result["data"], *result["warnings"], sep="\n")
    shown.save(__file__, lambda: picture(result))
