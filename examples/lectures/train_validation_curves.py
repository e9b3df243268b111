"""Training and validation curves

From the deck "Lecture 10: Feedforward Neural Networks": "divide training data into a training set (larger) and a validation set
(smaller)"; their curves, epoch by epoch, tell when a network begins to memorise.

Two normal clouds in 20 dimensions, two deviations apart: the best possible classifier is right for Φ(1) = 84.1 % and has a
cross-entropy of 0.356, which no validation loss undercuts but by chance. A network 20-32-1 that learns from 200 events brings their
loss to nearly 0, far below what is possible for others; the validation loss falls to 0.40, turns after 8 epochs and rises to twice
that. Of 20,000 events it cannot remember each: the curves stay together, near the best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

DISTANCE = 2.0


def best_cross_entropy(distance: float = DISTANCE) -> float:
    """Of the classifier that knows the clouds: its logit is normal around ±d²/2 with variance d²."""
    logit = np.linspace(-12, 12, 200_001) * distance
    weight = np.exp(-0.5 * ((logit - distance**2 / 2) / distance) ** 2)
    return float((weight * np.logaddexp(0, -logit)).sum() / weight.sum())


def experiment(
    sizes: tuple[int, ...] = (200, 20_000), epochs: int = 60, tested: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    clouds = tg.data.red_blue(max(sizes) + tested, dimensions=20, distance=DISTANCE, seed=seed)
    X, y = clouds.X, clouds.y[:, None].astype("float32")
    histories = {}
    for n in sizes:
        tg.manual_seed(seed)
        net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))
        trainer = tg.Trainer(
            net, nn.BCEWithLogitsLoss(), tg.optim.Adam(net.parameters(), lr=0.003), metrics=["accuracy"]
        )
        others = X[-tested:], y[-tested:]
        histories[n] = trainer.fit(X[:n], y[:n], epochs=epochs, batch_size=20, validation_data=others)
    return {"histories": histories, "best": best_cross_entropy()}


def rows(result: dict[str, Any]) -> list[tuple[object, ...]]:
    """Events, loss in the end, least validation loss and its epoch, validation loss in the end, best accuracy."""
    return [
        (
            n,
            h["loss"][-1],
            min(h["val_loss"]),
            int(np.argmin(h["val_loss"])) + 1,
            h["val_loss"][-1],
            max(h["val_accuracy"]),
        )
        for n, h in result["histories"].items()
    ]


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    histories = result["histories"]
    figure = Figure(figsize=(5 * len(histories), 4), layout="constrained")
    for axes, (n, history) in zip(
        np.ravel(figure.subplots(1, len(histories), sharey=True)), histories.items(), strict=True
    ):
        tg.plot.history(history, ax=axes).set_title(f"{n:,} events")
        axes.axhline(result["best"], linestyle="--", linewidth=0.8, color="gray", label="best possible")
        axes.legend()
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("events", "training", "validation, least", "at epoch", "in the end", "accuracy"), rows(result))
    print(f"best possible: {result['best']:.4f}, accuracy 0.8413")
    shown.save(__file__, lambda: picture(result))
