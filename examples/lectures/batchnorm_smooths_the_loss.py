"""Batch norm smooths the loss

From the deck "Lecture 5: Neural networks": "Batch norm does not seem to significantly reduce internal covariate shift; rather, it
seems that it stabilizes and smooths the optimization surface" (Santurkar et al., 2018). Ten layers of 50 ReLU units learn jets of
five kinds, with batch norm and without. Every ten steps the loss is read along the gradient, up to four learning rates away:

- loss landscape: the range of the losses on the way, about ten times smaller with batch norm;
- gradient predictiveness: how far the gradient changes on the way, several times less;
- "effective" β-smoothness: the most that it changes per distance, less too.

On every seed the curves of the batch norm network run below those of the plain one nearly everywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import shown

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import GradientWalk, gradient_walk
from trigrad.nn.functional import cross_entropy

KINDS = ("plain", "batch norm")
MEASURES = {"loss_range": "range of the loss", "predictiveness": "change of the gradient", "smoothness": "effective β"}


class Run(NamedTuple):
    kind: str
    seed: int
    losses: list[float]  # in each step
    walks: list[GradientWalk]  # in every tenth

    def curve(self, measure: str) -> list[float]:
        return [getattr(walk, measure) for walk in self.walks]


def network(kind: str, depth: int, width: int = 50) -> Any:
    layers: list[Any] = []
    for k in range(depth):
        layers += [
            nn.Linear(width if k else 16, width),
            *([nn.BatchNorm1d(width)] if kind == "batch norm" else []),
            nn.ReLU(),
        ]
        nn.init.kaiming_normal_(layers[-2 - (kind == "batch norm")].weight, nonlinearity="relu")
    return nn.Sequential(*layers, nn.Linear(width, 5))


def experiment(seeds: int = 3, steps: int = 300, depth: int = 10, lr: float = 0.1) -> list[Run]:
    jets = tg.data.toy_jets(4000, seed=1)
    scale = tg.data.Standardizer().fit(jets.X)
    x, y = tg.tensor(scale.transform(jets.X)), tg.tensor(jets.y).long()
    runs = []
    for seed in range(seeds):
        for kind in KINDS:
            tg.manual_seed(seed)
            net = network(kind, depth)
            optimizer = tg.optim.SGD(net.parameters(), lr=lr)
            run = Run(kind, seed, [], [])
            for step in range(steps):
                rows = tg.randint(0, len(x), (128,))

                def loss(net: Any = net, rows: Any = rows) -> Any:
                    return cross_entropy(net(x[rows]), y[rows])

                if step % 10 == 0:
                    run.walks.append(gradient_walk(net, loss, [lr * k / 2 for k in range(1, 9)]))
                optimizer.zero_grad()
                value = loss()
                value.backward()
                optimizer.step()
                run.losses.append(float(value))
            runs.append(run)
    return runs


def picture(runs: list[Run]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (measure, title) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        for run in runs:
            curve = run.curve(measure)
            label = run.kind if run.seed == 0 else None
            axes.plot([10 * k for k in range(len(curve))], curve, color=f"C{KINDS.index(run.kind)}", label=label)
        axes.set(title=title, xlabel="step", yscale="log")
    axes.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    runs = experiment()
    rows = [
        (run.kind, run.seed, *(sum(run.curve(m)) / len(run.walks) for m in MEASURES), sum(run.losses[-30:]) / 30)
        for run in runs
    ]
    shown.table(("network", "seed", *MEASURES.values(), "loss at the end"), rows)
    shown.save(__file__, lambda: picture(runs))
