"""Loss surfaces of a convex problem, a deep network and one with residual connections

From the deck "Lecture 5: Neural networks".

The loss over two random directions around the minimum that training found, each as long as the weights of the unit that it moves
(Li et al., 2018). That of softmax regression is a bowl, convex everywhere. That of a network of 22 layers rises to 10⁵,
and at a quarter of its places it bends down: they are higher than the middle between two neighbours. With residual connections
training comes much lower, and the surface rises to a few hundreds only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shown

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import LossSurface, loss_surface
from trigrad.nn.functional import cross_entropy


class Slice(NamedTuple):
    model: str
    seed: int
    loss: float  # where training ended
    highest: float  # on the slice
    dents: float  # share of its places where it is not convex
    surface: LossSurface


def dents(z: Any) -> float:
    """The share of inner places that are higher than the middle between two opposite neighbours."""
    here, i, j = z[1:-1, 1:-1], len(z) - 2, z.shape[1] - 2
    means = [
        (z[a : a + i, b : b + j] + z[2 - a : 2 - a + i, 2 - b : 2 - b + j]) / 2
        for a, b in ((0, 0), (0, 1), (0, 2), (1, 0))
    ]
    return float(np.any([mean - here < -1e-6 for mean in means], axis=0).mean())


def start(part: Any) -> None:
    if isinstance(part, nn.Linear):
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    if isinstance(part, nn.Residual):
        part.body[2].weight.data.mul_(0.1)  # what blocks add to begin with is small


def network(kind: str, blocks: int, width: int = 32) -> Any:
    if kind == "softmax regression":
        return nn.Linear(16, 5)
    net = nn.Sequential(nn.Linear(16, width), nn.ReLU())
    for _ in range(blocks):
        layers = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        net.append(nn.Residual(*layers) if kind == "residual" else nn.Sequential(*layers, nn.ReLU()))
    net.append(nn.Linear(width, 5))
    return net.apply(start)


def experiment(seeds: int = 1, blocks: int = 10, points: int = 25, epochs: int = 60) -> list[Slice]:
    jets = tg.data.toy_jets(500, seed=1)
    x, y = tg.tensor(tg.data.Standardizer().fit(jets.X).transform(jets.X)), tg.tensor(jets.y).long()
    slices = []
    for seed in range(seeds):
        for kind in ("softmax regression", "plain", "residual"):
            tg.manual_seed(seed)
            net = network(kind, blocks)
            trainer = tg.Trainer(net, nn.CrossEntropyLoss(), tg.optim.Adam(net.parameters(), lr=0.002))
            trainer.fit(x, y, epochs=epochs, batch_size=50)
            surface = loss_surface(net, lambda net=net: cross_entropy(net(x), y), points=points, seed=seed)
            z = surface.loss.numpy()
            slices.append(Slice(kind, seed, float(cross_entropy(net(x), y)), float(z.max()), dents(z), surface))
    return slices


def picture(slices: list[Slice]) -> Any:
    from matplotlib.figure import Figure

    first = [found for found in slices if found.seed == 0]
    figure = Figure(figsize=(13, 4), layout="constrained")
    for axes, found in zip(figure.subplots(1, len(first)), first, strict=True):
        tg.plot.loss_surface(*found.surface, log=found.highest > 10 * found.loss, ax=axes)
        axes.set_title(found.model)
    return figure


if __name__ == "__main__":
    slices = experiment()
    shown.table(Slice._fields[:-1], [found[:-1] for found in slices])
    shown.save(__file__, lambda: picture(slices))
