"""Histograms of activations over a training, with and without batch norm

From the deck "Lecture 5: Neural networks": "changing weights during training results in changing outputs; batch norm. should
stabilize the activations during training".

A tanh network 16-32-…-32-5 of six hidden layers learns jets, with and without batch normalisation before each tanh. What comes
into the last tanh is looked at after each epoch. Without it the numbers have a spread of 0.09 after the first epoch, which grows
fivefold and more in the next nine as the weights do; with it the spread is what γ and β say, √(mean γ² + var β), and stays
within 10 % of 1, where it starts. (The Xavier weights of `network` are for covariate_shift.py.)
"""

from __future__ import annotations

from typing import Any

import shown

import trigrad as tg
from trigrad import nn

DEPTH, WIDTH = 6, 32


def network(batchnorm: bool, xavier: bool = False) -> Any:
    parts: list[Any] = []
    for k in range(DEPTH):
        parts += [nn.Linear(WIDTH if k else 16, WIDTH), *([nn.BatchNorm1d(WIDTH)] if batchnorm else []), nn.Tanh()]
    net = nn.Sequential(*parts, nn.Linear(WIDTH, 5))
    for part in net:
        if xavier and isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight)
            nn.init.zeros_(part.bias)
    return net


def jets(n: int, seed: int) -> tuple[Any, Any]:
    table = tg.data.toy_jets(n, seed=seed)
    return tg.data.Standardizer().fit(table).transform(table.X), table.y


def experiment(n: int = 2000, epochs: int = 10, lr: float = 0.01, seed: int = 0) -> dict[str, dict[str, Any]]:
    X, y = jets(n, seed)
    result = {}
    for name, kind in (("plain", nn.Linear), ("batchnorm", nn.BatchNorm1d)):
        tg.manual_seed(seed)
        net = network(kind is nn.BatchNorm1d)
        watch = tg.train.HistogramMonitor(tg.tensor(X), only=(kind,), bins=80)
        trainer = tg.Trainer(net, nn.CrossEntropyLoss(), tg.optim.SGD(net.parameters(), lr=lr, momentum=0.9))
        history = trainer.fit(X, y, epochs=epochs, batch_size=50, callbacks=[watch])
        last = list(watch.activations)[DEPTH - 1]  # into the last tanh
        result[name] = {
            "loss": history["loss"],
            "net": net,
            "activations": watch.activations[last],
            "gradients": watch.gradients["0.weight"],
            "spread": [h.deviation for h in watch.activations[last]],
        }
    return result


def picture(result: dict[str, dict[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for (name, row), axes in zip(result.items(), figure.subplots(2, 2), strict=True):
        for epoch in (1, len(row["loss"]) // 4, len(row["loss"])):
            label = f"epoch {epoch}"
            kept = {f"{name}: into the last tanh": row["activations"][epoch - 1]}
            tg.plot.activation_histograms(kept, label=label, ax=axes[:1])
            kept = {f"{name}: of the first weights": row["gradients"][epoch - 1]}
            tg.plot.gradient_histograms(kept, label=label, ax=axes[1:])
    return figure


if __name__ == "__main__":
    result = experiment()
    epochs = [e for e in (1, 2, 5, 10) if e <= len(result["plain"]["loss"])]
    shown.table(
        ("network", *(f"spread, epoch {e}" for e in epochs), "loss at last"),
        [(name, *(row["spread"][e - 1] for e in epochs), row["loss"][-1]) for name, row in result.items()],
    )
    shown.save(__file__, lambda: picture(result))
