"""Decision boundaries for 0, 1 and 2 hidden layers

From the deck "Lecture 11: Neural Networks": "0 hidden layers: linear classifier, hyperplanes; 1 hidden layer: boundary of convex region (open or closed); 2 hidden layers: combinations of convex regions".

Signal is in two discs. Without a hidden layer a network cuts the plane by a line, with 3 hidden units it puts one convex region
around both discs, with layers of 8 and 4 a region around each. Convex is the share of pairs of signal-like points whose middle is
signal-like too. Within a piece the network is linear: h ReLU in one layer make 1 piece more for each of their lines and for each
crossing of two, at most 1 + h + h(h - 1)/2 = 7 for h = 3; a further layer folds these. (What "convex" passes over: many units do
in one layer what two layers do; 16 find both discs as well.)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

SIDE, POINTS = 4.0, 241
PLACES = np.linspace(-SIDE, SIDE, POINTS)
PLANE = np.stack(np.meshgrid(PLACES, PLACES), -1).reshape(-1, 2).astype("float32")


def discs(n: int, seed: int) -> tuple[Any, Any]:
    """X (n, 2), y (n, 1): signal less than 1.3 from (-2, -1) or (2, -1)"""
    X = np.random.default_rng(seed).uniform(-SIDE, SIDE, (n, 2)).astype("float32")
    inside = [np.hypot(X[:, 0] - centre, X[:, 1] + 1) < 1.3 for centre in (-2, 2)]
    return X, (inside[0] | inside[1])[:, None].astype("float32")


def regions(labels: Any) -> int:
    """The connected parts of a picture (h, w)."""
    seen, count = np.zeros(labels.shape, dtype=bool), 0
    for start in np.ndindex(labels.shape):
        todo = [] if seen[start] else [start]
        count += len(todo)
        while todo:
            i, j = todo.pop()
            seen[i, j] = True
            beside = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
            inside = [(a, b) for a, b in beside if 0 <= a < labels.shape[0] and 0 <= b < labels.shape[1]]
            todo += [place for place in inside if not seen[place] and labels[place] == labels[i, j]]
    return count


def pieces(net: nn.Module) -> int:
    """On how many parts of the plane other units are on."""
    if not any(isinstance(part, nn.ReLU) for part in net):
        return 1
    seen = tg.diagnostics.record(net, tg.tensor(PLANE), only=(nn.ReLU,))
    return len(np.unique(np.concatenate([layer.output.numpy() > 0 for layer in seen], 1), axis=0))


def convexity(net: nn.Module, seed: int) -> float:
    with tg.no_grad():
        signal = PLANE[net(tg.tensor(PLANE))[:, 0].numpy() > 0]
        a, b = np.random.default_rng(seed).integers(len(signal), size=(2, 5000))
        return float((net(tg.tensor((signal[a] + signal[b]) / 2))[:, 0] > 0).double().mean())


def experiment(
    layers: tuple[tuple[int, ...], ...] = ((), (3,), (8, 4)), n: int = 2000, epochs: int = 150, seed: int = 5
) -> dict[str, Any]:
    X, y = discs(n, seed)
    nets, rows = [], []
    for hidden in layers:
        tg.manual_seed(seed)
        parts = [part for a, b in pairwise((2, *hidden)) for part in (nn.Linear(a, b), nn.ReLU())]
        net = nn.Sequential(*parts, nn.Linear((2, *hidden)[-1], 1))
        loss = nn.BCEWithLogitsLoss(pos_weight=tg.tensor(4.0))
        tg.Trainer(net, loss, tg.optim.Adam(net.parameters(), lr=0.02)).fit(X, y, epochs=epochs, batch_size=100)
        with tg.no_grad():
            right = float(((net(tg.tensor(X)) > 0) == (tg.tensor(y) > 0)).double().mean())
            labels = (net(tg.tensor(PLANE)) > 0).numpy().reshape(POINTS, POINTS)
        nets.append(net)
        rows.append((", ".join(map(str, hidden)) or "none", right, regions(labels), convexity(net, seed), pieces(net)))
    return {"nets": nets, "rows": rows, "X": X, "y": y[:, 0]}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(result["nets"]), 4), layout="constrained")
    for axes, net, row in zip(
        np.ravel(figure.subplots(1, len(result["nets"]))), result["nets"], result["rows"], strict=True
    ):
        box = ((-SIDE, SIDE), (-SIDE, SIDE))
        tg.plot.decision_boundary(
            net, result["X"][:600], result["y"][:600], names=("background", "signal"), limits=box, ax=axes
        )
        axes.set_title(f"{row[0]}: {row[1]:.1%} right, convex {row[3]:.3f}")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("hidden units", "right", "regions", "convex", "linear pieces"), result["rows"])
    shown.save(__file__, lambda: picture(result))
