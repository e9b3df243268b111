"""Features that unwind the spiral

From the deck "Lecture 5: Neural networks": two engineered features should let the playground's spiral be separated by a line. "If
we plot these two features", r and θ, "we see that the resulting dataset is not linearly separable!"; with r and (θ - 2r) mod 2π
it is.

The arms are r = 5s, θ = 3.5π s + Δ, s from 0 to 1, with θ = arctan2(x₁, x₂) and Δ = 0 or π: θ - 2r = (0.7π - 2) r + Δ, which goes
from Δ to Δ + 0.996 only. So any line between 0.996 and π separates the arms; a single neuron finds one and is right for all points.
Of (r, θ), as of (x₁, x₂), it is right for little more than half.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

NAMES = {"x": ("x₁", "x₂"), "polar": ("r", "θ"), "unwound": ("r", "(θ - 2r) mod 2π")}


def features(X: Any) -> dict[str, Any]:
    """X (n, 2) -> by name (n, 2)"""
    r, theta = np.hypot(X[:, 0], X[:, 1]), np.arctan2(X[:, 0], X[:, 1])
    return {"x": X, "polar": np.stack([r, theta], 1), "unwound": np.stack([r, (theta - 2 * r) % (2 * math.pi)], 1)}


def neuron(X: Any, y: Any, epochs: int, seed: int) -> nn.Module:
    """A line: logistic regression on standardized features, as a module of these features."""
    tg.manual_seed(seed)
    scale = tg.data.Standardizer().fit(X)
    line = nn.Linear(2, 1)
    trainer = tg.Trainer(line, nn.BCEWithLogitsLoss(), tg.optim.Adam(line.parameters(), lr=0.1))
    trainer.fit(scale.transform(X), y[:, None].astype("float32"), epochs=epochs, batch_size=len(X))
    return nn.Sequential(scale.layer(), line)


def experiment(n: int = 1000, noise: float = 0.0, epochs: int = 300, seed: int = 0) -> dict[str, Any]:
    table = tg.data.playground("spiral", n, noise=noise, seed=seed)
    sets = {name: values.astype("float32") for name, values in features(table.X.astype(float)).items()}
    models = {name: neuron(X, table.y, epochs, seed) for name, X in sets.items()}
    with tg.no_grad():
        right = {name: (models[name](tg.tensor(X))[:, 0].numpy() > 0) == (table.y == 1) for name, X in sets.items()}
    gap = [sets["unwound"][table.y == k, 1] for k in (1, 0)]
    return {
        "sets": sets,
        "y": table.y,
        "models": models,
        "accuracy": {name: float(values.mean()) for name, values in right.items()},
        "gap": (float(gap[0].max()), float(gap[1].min())),
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (name, model) in zip(figure.subplots(1, 3), result["models"].items(), strict=True):
        tg.plot.decision_boundary(model, result["sets"][name], result["y"], names=("-1", "1"), level=0.0, ax=axes)
        across, up = NAMES[name]
        axes.set(xlabel=across, ylabel=up, title=f"a line is right for {result['accuracy'][name]:.1%}")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("features", "right"), [(", ".join(NAMES[k]), share) for k, share in result["accuracy"].items()])
    print("(θ - 2r) mod 2π: one arm up to {:.3f}, the other from {:.3f}".format(*result["gap"]))
    shown.save(__file__, lambda: picture(result))
