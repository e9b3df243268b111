"""First-layer weights, and the hierarchy of features

From the deck "Lecture 11: Neural Networks": "We don't know the right levels of
abstraction, so let the model figure it out": pixels, "1st layer edges, 2nd layer object parts, 3rd layer objects".

A network 784-64-32-10 learns MNIST's digits. Images of first-layer weights are noise at first; learned, they are strokes and their
edges: neighbouring pixels have like weights (correlation 0 before, above 0.5 after, where digits have ink), and units are for or
against ink at places. What a layer gives out says more and more of the digit and less of how it was written: the share of the
variance that lies between digits grows from layer to layer, and so does the accuracy of the simplest classifier on it, which takes
an image for the digit whose mean is nearest.

The digits are downloaded (11 MB) unless they are in $TRIGRAD_DATA/mnist.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn


def likeness(weights: Any, inked: Any) -> float:
    """The correlation of weights (units, 28, 28) with those one pixel to the right and below, where both pixels have ink."""
    pairs = [(np.s_[:, :, :-1], np.s_[:, :, 1:]), (np.s_[:, :-1], np.s_[:, 1:])]
    there = np.broadcast_to(inked, weights.shape)
    a = np.concatenate([weights[one][there[one] & there[other]] for one, other in pairs])
    b = np.concatenate([weights[other][there[one] & there[other]] for one, other in pairs])
    return float(np.corrcoef(a, b)[0, 1])


def separation(values: Any, y: Any) -> float:
    """The share of the variance of values (n, features) that lies between the means of the classes."""
    means = np.stack([values[y == k].mean(0) for k in range(10)])
    return float(((means[y] - values.mean(0)) ** 2).sum() / ((values - values.mean(0)) ** 2).sum())


def nearest_mean(learn: Any, y: Any, values: Any, truth: Any) -> float:
    """The accuracy of taking an image for the digit whose mean over `learn` is nearest."""
    means = np.stack([learn[y == k].mean(0) for k in range(10)])
    distances = (means**2).sum(1) - 2 * values @ means.T  # and the same |values|² for each
    return tg.metrics.accuracy_score(truth, distances.argmin(1))


def experiment(n: int = 20_000, epochs: int = 8, folder: str | None = None, seed: int = 0) -> dict[str, Any]:
    train, test = tg.data.mnist("train", folder)[:n], tg.data.mnist("test", folder)
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    images = [net[0].weight.detach().numpy().reshape(-1, 28, 28).copy()]
    optimizer = tg.optim.AdamW(net.parameters(), lr=0.002, weight_decay=0.05)
    trainer = tg.Trainer(net, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    history = trainer.fit(train.X, train.y, epochs=epochs, batch_size=100, validation_data=(test.X, test.y))
    images.append(net[0].weight.detach().numpy().reshape(-1, 28, 28).copy())
    inked = train.X.mean(0).reshape(28, 28) > 0.1
    seen = [{"pixels": t.X} for t in (train, test)]
    for layers, table in zip(seen, (train, test), strict=True):
        found = tg.diagnostics.record(net, tg.tensor(table.X))
        layers |= {f"{k} layers": found[i].output.numpy() for k, i in ((1, 1), (2, 3), (3, 4))}
    rows = [
        (name, separation(values, test.y), nearest_mean(seen[0][name], train.y, values, test.y))
        for name, values in seen[1].items()
    ]
    return {
        "images": images,
        "likeness": [likeness(w, inked) for w in images],
        "rows": rows,
        "accuracy": history["val_accuracy"][-1],
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    for axes, images, title in zip(figure.subplots(1, 2), result["images"], ("at first", "learned"), strict=True):
        tg.plot.first_layer(images.reshape(len(images), -1)[:32], (28, 28), columns=8, ax=axes).set_title(title)
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("after", "variance between digits", "nearest mean is right"), result["rows"])
    print("neighbouring weights correlate: {:.3f} at first, {:.3f} learned".format(*result["likeness"]))
    print(f"the network is right for {result['accuracy']:.1%}")
    shown.save(__file__, lambda: picture(result))
