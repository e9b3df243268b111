"""The best setting lies at the edge of the grid

From the deck "Lecture 10: Feedforward Neural Networks": "hyperparameter tuning: search for optimal values on a log scale" and
"optimal performance at the edge of the grid, extend the grid size to obtain better results".

The deck's SUSY network learns best at the largest of its rates. Here one of 18-32-2 with ReLU, by SGD with momentum .8 and
batches of 1 % of the events as there, learns from `trigrad.data.toy_susy` at rates .00001, .0001 and .001. The search warns
that the best is at the upper edge; the grid is extended by a decade on that side, twice, until the best, .01, lies inside.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn
from trigrad.search import grid, log_range


def accuracy(settings: dict[str, Any], train: tg.data.Table, held: tg.data.Table) -> float:
    model = nn.Sequential(nn.Linear(18, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = tg.optim.SGD(model.parameters(), lr=settings["lr"], momentum=0.8)
    trainer = tg.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    trainer.fit(*train, epochs=5, batch_size=max(len(train) // 100, 1))
    with tg.no_grad():
        answer = model(tg.from_numpy(held.X)).argmax(1).numpy()
    return float(np.mean(answer == held.y))


def experiment(n: int = 4000, low: float = 1e-5, high: float = 1e-3, seed: int = 0) -> dict[str, Any]:
    events = tg.data.toy_susy(n, seed=seed)
    steps = []
    while True:
        rates = log_range(low, high, round(np.log10(high / low)) + 1)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            found = grid(accuracy, {"lr": rates}, events, cv=4, n_jobs=2, seed=seed)
        edges = [str(w.message) for w in said if "best lr" in str(w.message)]
        steps.append({"found": found, "rates": rates, "warning": edges[0] if edges else None})
        if not edges:
            return {"steps": steps, "data": repr(events)}
        low, high = (low, high * 10) if "largest" in edges[0] else (low / 10, high)


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    for k, step in reversed(list(enumerate(result["steps"]))):
        held = step["found"].cv_results_
        word = "best at the edge" if step["warning"] else "best inside"
        ax.errorbar(
            step["rates"], held["mean_test_score"], held["std_test_score"], marker="o", label=f"grid {k + 1}: {word}"
        )
    ax.set(xscale="log", xlabel="learning rate", ylabel="accuracy, 4 folds")
    ax.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    result = experiment()
    print(result["data"])
    for k, step in enumerate(result["steps"]):
        print(f"grid {k + 1}", step["found"].table(), step["warning"] or "the best lies inside", sep="\n")
    shown.save(__file__, lambda: picture(result))
