"""Early stopping: the best epoch's numbers are given back

From the deck "Lecture 10: Feedforward Neural Networks": "Divide training data into a training set (larger) and a validation set
(smaller)."

A network with many parameters learns 120 points of overlapping classes. Its training loss falls to the end; the validation loss
falls, then rises. `EarlyStopping` ends the training when it has not fallen for 30 epochs, and gives the numbers of the best epoch
back: those that a training of just so many epochs has, bit for bit. On events of a third set, which had no part in this, the
loss is far below that of the network that went on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import shown

import trigrad as tg
from trigrad import nn
from trigrad.train import EarlyStopping, History


class Result(NamedTuple):
    history: History  # of the training that went on
    stopped: History
    best_epoch: int
    losses: dict[str, dict[str, float]]  # on each set at the end, at the best epoch
    restored: bytes  # the numbers that early stopping gave back
    retrained: bytes  # those of a training that ends with the best epoch


def points(n: int, seed: int) -> tuple[Any, Any]:
    table = tg.data.playground("circle", n, noise=0.5, seed=seed)
    return tg.tensor(table.X) / 2.5, tg.tensor(table.y).float()[:, None]


def experiment(n: int = 180, epochs: int = 600, patience: int = 30, seed: int = 0) -> Result:
    x, y = points(n, seed)
    train, validation = tg.data.split_rows(n, 2 / 3, 1 / 3, seed=seed, labels=y[:, 0].numpy())
    sets = {"train": (x[train], y[train]), "validation": (x[validation], y[validation]), "test": points(5000, seed + 1)}

    def training(epochs: int, *callbacks: Any) -> tuple[Any, bytes]:
        tg.manual_seed(seed)
        net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
        trainer = tg.Trainer(net, nn.BCEWithLogitsLoss(), tg.optim.Adam(net.parameters(), lr=0.005))
        trainer.fit(
            *sets["train"], epochs=epochs, batch_size=20, validation_data=sets["validation"], callbacks=callbacks
        )
        return trainer, b"".join(t.numpy().tobytes() for t in net.state_dict().values())

    stop = EarlyStopping("val_loss", patience=patience)
    went_on, _ = training(epochs)
    stopped, restored = training(epochs, stop)
    _, retrained = training(stop.best_epoch)
    losses = {
        name: {part: trainer.evaluate(*events) for part, events in sets.items()}
        for name, trainer in (("at the end", went_on), ("at the best epoch", stopped))
    }
    return Result(went_on.history, stopped.history, stop.best_epoch, losses, restored, retrained)


def picture(result: Result) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    tg.plot.history(result.history, log=True, ax=figure.subplots())
    return figure


if __name__ == "__main__":
    result = experiment()
    print(f"best epoch {result.best_epoch}, stopped after {len(result.stopped['loss'])}")
    shown.table(
        ("loss", "train", "validation", "test"), [(name, *found.values()) for name, found in result.losses.items()]
    )
    print("the best numbers are back, bit for bit:", result.restored == result.retrained)
    shown.save(__file__, lambda: picture(result))
