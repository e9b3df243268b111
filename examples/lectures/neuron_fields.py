"""A neuron's field over the plane

From the deck "Lecture 5: Neural networks": "each artificial neuron defines a (hyper)plane: 0 = w₀ + w₁x₁ + w₂x₂ + ...";
"calculating the weighted sum corresponds to finding the shortest distance between the input point and the weight hyperplane" ("up to a
factor", |w|), and "the non-linearity transforms this distance, creating a field that changes non-linearly with distance".

A network 2-4-1 with tanh learns the playground's circle. Each hidden unit's field, as the network computes it, is tanh(|w| d) of the
signed distance d to its line, to the last digits of float32: 0 on the line, constant along it, and within 4 % of ±1 from a distance
of 2/|w|. Four such fields enclose the circle, three are the fewest that can.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

BOX = ((-6.0, 6.0), (-6.0, 6.0))


def distances(w: Any, b: float, points: Any) -> Any:
    """Of points (n, 2) from the line w·x + b = 0, by geometry: from the line's foot point, along its normal."""
    normal = w / np.hypot(*w)
    foot = -b / np.hypot(*w) * normal
    return (points - foot) @ normal


def experiment(units: int = 4, epochs: int = 300, seed: int = 3) -> dict[str, Any]:
    circle = tg.data.playground("circle", 500, seed=seed)
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, units), nn.Tanh(), nn.Linear(units, 1))
    trainer = tg.Trainer(net, nn.BCEWithLogitsLoss(), tg.optim.Adam(net.parameters(), lr=0.03))
    trainer.fit(circle.X, circle.y[:, None].astype("float32"), epochs=epochs, batch_size=100)
    points = np.random.default_rng(seed).uniform(-6, 6, (2000, 2)).astype("float32")
    with tg.no_grad():
        fields = net[:2](tg.tensor(points)).numpy()
        right = float(((net(tg.tensor(circle.X))[:, 0].numpy() > 0) == circle.y).mean())
    W, b = net[0].weight.detach().numpy().astype(float), net[0].bias.detach().numpy().astype(float)
    rows = []
    for k in range(units):
        d, length = distances(W[k], b[k], points.astype(float)), float(np.hypot(*W[k]))
        off = float(np.abs(fields[:, k] - np.tanh(length * d)).max())
        least = float(np.abs(fields[np.abs(d) > 2 / length, k]).min())
        rows.append((k, length, abs(float(b[k])) / length, off, least))
    return {"net": net, "circle": circle, "rows": rows, "accuracy": right}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    units = len(result["rows"])
    figure = Figure(figsize=(3.2 * (units + 1), 3.2), layout="constrained")
    axes, circle = figure.subplots(1, units + 1), result["circle"]
    tg.plot.neuron_field(result["net"][:2], limits=BOX, names=[f"unit {k}" for k in range(units)], ax=axes[:units])
    tg.plot.decision_boundary(result["net"], circle.X, circle.y, names=("-1", "1"), limits=BOX, ax=axes[units])
    axes[units].set_title("network", fontsize="small")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("unit", "|w|", "line from 0", "|field - tanh(|w| d)|", "|field| beyond 2/|w|"), result["rows"])
    print(f"right: {result['accuracy']:.1%}")
    shown.save(__file__, lambda: picture(result))
