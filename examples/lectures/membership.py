"""What is learned by heart can be asked out

From the deck "Lecture 5: Neural networks": memorising "is also a privacy risk".

Membership inference: of each jet one asks how sure the network is of its label, and calls those with a loss of at most the mean
training loss members. The advantage is the share of members found less that of others called members. One that has learned
random labels by heart is sure of little else: advantage above 0.7, AUC above 0.9. With true labels learned by heart others are
answered well, too, and fewer members give themselves away; after four epochs next to none. If all that is told is right or
wrong, the advantage is the generalisation gap (Yeom et al. 2018). An attacker who knows half of the members and trains a
network to tell them by all that the attacked one says of an event finds the most where labels are random.
"""

from __future__ import annotations

from typing import Any

import random_labels
import shown

import trigrad as tg
from trigrad import diagnostics
from trigrad.nn.functional import cross_entropy

TRAININGS = {  # labels, epochs at most
    "random labels by heart": ("random", 300),
    "true labels by heart": ("true", 300),
    "true labels, 4 epochs": ("true", 4),
}


def experiment(n: int = 500, others: int = 4000) -> dict[str, dict[str, Any]]:
    result = {}
    for name, (kind, epochs) in TRAININGS.items():
        X, y, X_test, y_test = random_labels.jets(n, others, kind)
        trainer = random_labels.learn(X, y, epochs)
        losses, wrong, features = [], [], []
        for rows, labels in ((X, y), (X_test, y_test)):
            z = trainer.predict(rows)
            losses.append(cross_entropy(z, tg.tensor(labels), reduction="none"))
            wrong.append((z.argmax(1).numpy() != labels).astype(float))
            features.append(diagnostics.membership_features(z, labels))
        result[name] = {
            "gap": float(wrong[1].mean() - wrong[0].mean()),
            "by answer": diagnostics.membership_by_loss(*wrong, threshold=0.5),
            "by loss": diagnostics.membership_by_loss(*losses),
            "by model": diagnostics.membership_by_model(*features),
            "losses": [loss.numpy() for loss in losses],
        }
    return result


def picture(result: dict[str, dict[str, Any]]) -> Any:
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    scores = {name: -np.concatenate(row["losses"]) for name, row in result.items()}
    members, others = (len(part) for part in next(iter(result.values()))["losses"])
    tg.plot.roc(np.repeat([1, 0], [members, others]), scores, ax=figure.subplots()).set(
        xlabel="others called members", ylabel="members found"
    )
    return figure


if __name__ == "__main__":
    result = experiment()
    attacks = ("by answer", "by loss", "by model")
    head = ("training", "gap", *(f"advantage {a}" for a in attacks), "AUC by loss", "by model")
    shown.table(
        head,
        [
            (name, row["gap"], *(row[a].advantage for a in attacks), *(row[a].auc for a in attacks[1:]))
            for name, row in result.items()
        ],
    )
    shown.save(__file__, lambda: picture(result))
