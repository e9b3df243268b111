"""Random labels are learned by heart

From the deck "Lecture 5: Neural networks": "given a training dataset with completely random labels, DNNs can easily reach zero
training error".

Jets of five kinds whose labels are drawn anew at random have nothing to be learned of. A network 16-256-256-5 nevertheless
comes to 100 % on 500 of them, and is right on 1/5 of others, as who guesses. With the true labels it also comes to 100 %, in
about as many epochs, and is right on two thirds of others: zero training error does not tell the two apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn
from trigrad.metrics import accuracy_score

CLASSES = 5


class Perfect(tg.train.Callback):
    """Ends a training that makes no mistake on its events any more."""

    def on_epoch_end(self, trainer: tg.Trainer, numbers: dict[str, float]) -> None:
        if numbers["accuracy"] == 1.0:
            trainer.stop()


def jets(n: int, others: int, kind: str, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """X (n, 16), y (n,) to learn, and others; the labels are "true" or "random"."""
    table = tg.data.toy_jets(n + others, seed=seed)
    X = tg.data.Standardizer().fit(table[:n]).transform(table.X)
    y = table.y if kind == "true" else np.random.default_rng(seed).integers(0, CLASSES, n + others)
    return X[:n], y[:n], X[n:], y[n:]


def learn(X: Any, y: Any, epochs: int, seed: int = 0) -> tg.Trainer:
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, CLASSES))
    optimizer = tg.optim.Adam(net.parameters(), lr=2e-3)
    trainer = tg.Trainer(net, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    trainer.fit(X, y, epochs=epochs, batch_size=50, callbacks=[Perfect()])
    return trainer


def experiment(n: int = 500, others: int = 4000, epochs: int = 300) -> dict[str, dict[str, Any]]:
    result = {}
    for kind in ("true", "random"):
        X, y, X_test, y_test = jets(n, others, kind)
        trainer = learn(X, y, epochs)
        result[kind] = {
            "train": accuracy_score(y, trainer.predict(X).argmax(1)),
            "test": accuracy_score(y_test, trainer.predict(X_test).argmax(1)),
            "epochs": len(trainer.history["loss"]),
            "history": trainer.history,
        }
    return result


def picture(result: dict[str, dict[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = tg.plot.history(
        {f"{kind} labels": row["history"] for kind, row in result.items()}, "accuracy", ax=figure.subplots()
    )
    axes.axhline(1 / CLASSES, linestyle=":", color="0.5")
    axes.text(1, 1 / CLASSES, "guessing", va="bottom")
    return figure


if __name__ == "__main__":
    result = experiment()
    head = ("labels", "accuracy in training", "on other jets", "epochs")
    shown.table(head, [(kind, row["train"], row["test"], row["epochs"]) for kind, row in result.items()])
    print(f"guessing: {1 / CLASSES}")
    shown.save(__file__, lambda: picture(result))
