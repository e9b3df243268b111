"""A recipe for machine learning in six steps

From the deck "Lecture 10: Feedforward Neural Networks".

1. Collect and pre-process the data. 2. Define the model and its architecture. 3. Choose the cost function and the optimizer.
4. Train the model. 5. Evaluate and study the model performance on the test data. 6. Use the validation data to adjust the
hyperparameters (and, if necessary, network architecture) to optimize performance for the specific data set.

Toy jets of five kinds (`trigrad.data.toy_jets`), 16 features. The first guess is a layer of four units and a learning rate of
.001; step 6 looks for rate and layers by cross-validation in the training data, and the test data, which took no part in that,
say what was gained: from .50 to .70 of accuracy.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import shown

import trigrad as tg
from trigrad import metrics, nn
from trigrad.search import GridResult, grid, log_range


def collect(n: int, seed: int) -> tuple[tg.data.Table, tg.data.Table]:
    """Step 1: to train with, and to test; standardised as the former wants it."""
    train, test = tg.data.toy_jets(n, seed=seed).split(0.7, 0.3, seed=seed)
    scale = tg.data.Standardizer().fit(train)
    return scale.transform(train), scale.transform(test)


def define(hidden: Sequence[int]) -> nn.Sequential:
    """Step 2"""
    sizes = [16, *hidden]
    layers = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 5))


def train(model: nn.Module, data: tg.data.Table, lr: float, epochs: int = 15) -> tg.History:
    """Steps 3 and 4"""
    optimizer = tg.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return tg.Trainer(model, nn.CrossEntropyLoss(), optimizer).fit(*data, epochs=epochs, batch_size=50)


def evaluate(model: nn.Module, data: tg.data.Table) -> dict[str, Any]:
    """Step 5"""
    with tg.no_grad():
        p = nn.functional.softmax(model(tg.from_numpy(data.X)), 1).numpy()
    return {
        "accuracy": float(metrics.accuracy_score(data.y, p.argmax(1))),
        "AUC": float(metrics.roc_auc_score(data.y, p, multi_class="ovr")),
        "answer": p.argmax(1),
    }


def validated(settings: dict[str, Any], data: tg.data.Table, held: tg.data.Table) -> float:
    model = define(settings["hidden"])
    train(model, data, settings["lr"])
    return float(evaluate(model, held)["accuracy"])


def experiment(n: int = 4000, seed: int = 0) -> dict[str, Any]:
    events, test = collect(n, seed)
    guess: dict[str, Any] = {"lr": 1e-3, "hidden": (4,)}
    settings = {"lr": log_range(1e-4, 1.0, 5), "hidden": [(4,), (32,), (64, 32)]}
    found: GridResult = grid(validated, settings, events, cv=3, n_jobs=2, seed=seed)  # step 6
    results: dict[str, Any] = {}
    for name, chosen in (("first guess", guess), ("adjusted", found.best_params_)):
        tg.manual_seed(seed)
        model = define(chosen["hidden"])
        history = train(model, events, chosen["lr"])
        results[name] = {**chosen, "loss": history["loss"][-1], **evaluate(model, test)}
    return {"search": found, "results": results, "test": test}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    result["search"].heatmap(ax=left)
    test = result["test"]
    tg.plot.confusion(test.y, result["results"]["adjusted"]["answer"], names=test.classes, ax=right)
    return figure


if __name__ == "__main__":
    result = experiment()
    print(result["test"], result["search"].table(6), sep="\n")
    rows = [(name, r["lr"], r["hidden"], r["loss"], r["accuracy"], r["AUC"]) for name, r in result["results"].items()]
    shown.table(("step 5", "lr", "hidden", "training loss", "accuracy", "AUC"), rows)
    shown.save(__file__, lambda: picture(result))
