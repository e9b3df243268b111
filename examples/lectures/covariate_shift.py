"""Internal covariate shift, which batch norm does not reduce

From the deck "Lecture 5: Neural networks": "but actually batch norm. does not seem to significantly reduce internal covariate
shift: gradient difference before and after updating previous layers".

As Santurkar et al. (2018) measure it: G is the gradient of a layer's weights, G′ that at the same batch when the layers before
it have made their step. A layer that is not disturbed has |G − G′| = 0 and a cosine of 1. The two networks of
activation_histograms.py, of tanh with and without batch normalisation, take 50 steps of SGD from three seeds, both from Xavier's
weights, with which either learns. With batch normalisation the loss falls faster at either learning rate, though the gradients
change as much or more: at 0.1 by 0.75 of their length, where those of the plain network change by 0.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown
from activation_histograms import jets, network

import trigrad as tg
from trigrad import diagnostics, nn
from trigrad.nn.functional import cross_entropy


def steps(batchnorm: bool, lr: float, n_steps: int, seed: int) -> tuple[Any, Any, float]:
    """|G − G′| / |G| and cosine of each layer but the first (n_steps, layers), and then the loss on all events as one batch."""
    X, y = (tg.tensor(part) for part in jets(2000, seed))
    tg.manual_seed(seed)
    net = network(batchnorm, xavier=True)
    optimizer = tg.optim.SGD(net.parameters(), lr=lr)
    found = []
    for _ in range(n_steps):
        rows = tg.randperm(len(X))[:200]
        found.append(
            diagnostics.covariate_shift(
                net, lambda rows=rows: cross_entropy(net(X[rows]), y[rows]), optimizer, only=(nn.Linear,)
            )[1:]
        )
    distance = np.array([[layer.distance / layer.size for layer in layers] for layers in found])
    cosine = np.array([[layer.cosine for layer in layers] for layers in found])
    with tg.no_grad():
        return distance, cosine, float(cross_entropy(net(X), y))


def experiment(rates: tuple[float, ...] = (0.1, 0.3), n_steps: int = 50, seeds: int = 3) -> dict[Any, dict[str, Any]]:
    result = {}
    for lr in rates:
        for name, batchnorm in (("plain", False), ("batchnorm", True)):
            runs = [steps(batchnorm, lr, n_steps, seed) for seed in range(seeds)]
            distance, cosine = (np.array([run[k] for run in runs]) for k in (0, 1))  # (seeds, n_steps, layers)
            result[name, lr] = {"distance": distance, "cosine": cosine, "loss": [run[2] for run in runs]}
    return result


def late(row: dict[str, Any], what: str) -> Any:
    """The mean over layers and all but the first ten steps, by seed."""
    return row[what][:, 10:].mean((1, 2))


def picture(result: dict[Any, dict[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = {"distance": "|G − G′| / |G|", "cosine": "cosine of G and G′"}
    for axes, (what, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for (name, lr), row in result.items():
            mean = row[what][:, 10:].mean((0, 1))
            colour, marker = ("C0" if name == "plain" else "C3"), ("o" if lr == min(k[1] for k in result) else "x")
            axes.plot(range(2, 2 + len(mean)), mean, color=colour, marker=marker, label=f"{name}, lr {lr}")
        axes.set(xlabel="layer", ylabel=label)
    axes.legend()
    return figure


if __name__ == "__main__":
    result = experiment()
    rows = [
        (name, lr, late(row, "distance").mean(), late(row, "cosine").mean(), float(np.mean(row["loss"])))
        for (name, lr), row in result.items()
    ]
    shown.table(("network", "lr", "|G − G′| / |G|", "cosine", "loss"), rows)
    shown.save(__file__, lambda: picture(result))
