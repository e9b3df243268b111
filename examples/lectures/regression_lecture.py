"""Curves learned by networks: too shallow, deep enough, too wide

The lecture that follows the deck "Deep Learning Lecture 1" (MIT 8.S50, lesson 15: deep learning regression).

A noisy parabola, y = x² + 0.2 r with r from 0 to 1 at 100 points, by 1-10-1 of ReLU and 200 steps of SGD at 0.2: straight
pieces that come near the noise, 0.2²/12 = .0033. Then sin x + 0.2 r from -10 to 10 at 1000 points, Adam at 0.01: layers without
an activation remain a straight line, whatever their number; one layer of ReLU hardly bends, two follow some of the waves, and
"something in the range of 3-4 ReLU functions seems to do the trick" (medians over first weights). Last, there can be too many
units: of 1, 4 and 32 on 40 points of sin 2x with noise of 0.5 (means over draws), the training error falls from each to the
next, and the curve is best with 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

NOISE = 0.2**2 / 12  # the variance of 0.2 r: what no fit goes below
DEPTHS = {0: (100, 100), 1: (100, 50), 2: (100, 50), 3: (100, 50, 50), 4: (100, 100, 100, 50)}


def layers(hidden: Sequence[int], relus: int, seed: int = 1) -> Any:
    """1 - hidden - 1, with a ReLU behind the first `relus` of the hidden layers."""
    tg.manual_seed(seed)
    parts: list[Any] = []
    for k, (n, m) in enumerate(zip((1, *hidden), hidden, strict=False)):
        parts += [nn.Linear(n, m), *([nn.ReLU()] if k < relus else [])]
    return nn.Sequential(*parts, nn.Linear(hidden[-1], 1))


def fitted(net: Any, optimizer: Any, x: Any, y: Any, steps: int) -> Any:
    """The curve (n,) after steps on all points."""
    tg.Trainer(net, nn.MSELoss(), optimizer).fit(x[:, None], y[:, None], epochs=steps, batch_size=len(x))
    return value(net, x)


def value(net: Any, x: Any) -> Any:
    with tg.no_grad():
        return net(tg.tensor(x[:, None])).numpy()[:, 0]


def few_points(units: int, seed: int, steps: int = 3000) -> tuple[float, float]:
    """The mean square distance of 1-units-1 of tanh from 40 points that it learned, and from the curve that they scatter around."""
    rng = np.random.default_rng(seed)
    x, new = rng.uniform(-3, 3, 40).astype("float32"), np.linspace(-2.8, 2.8, 200, dtype="float32")
    y = (np.sin(2 * x) + 0.5 * rng.normal(size=40)).astype("float32")
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(1, units), nn.Tanh(), nn.Linear(units, 1))
    net[0].weight.data.mul_(3.0)
    curve = fitted(net, tg.optim.Adam(net.parameters(), lr=0.02), x, y, steps)
    return float(((curve - y) ** 2).mean()), float(((value(net, new) - np.sin(2 * new)) ** 2).mean())


def experiment(seeds: Sequence[int] = (1, 2, 3, 4, 5), draws: int = 8) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    x = np.linspace(-1, 1, 100, dtype="float32")
    y = (x**2 + 0.2 * rng.random(100)).astype("float32")
    net = layers((10,), 1)
    parabola = fitted(net, tg.optim.SGD(net.parameters(), lr=0.2), x, y, 200)

    wide = np.linspace(-10, 10, 1000, dtype="float32")
    wave = (np.sin(wide) + 0.2 * rng.random(1000)).astype("float32")
    losses, curves = {}, {}
    for relus, hidden in DEPTHS.items():
        found = []
        for seed in seeds:
            net = layers(hidden, relus, seed)
            curves[relus] = fitted(net, tg.optim.Adam(net.parameters(), lr=0.01), wide, wave, 400 if relus > 1 else 200)
            found.append(((curves[relus] - wave) ** 2).mean())
        losses[relus] = float(np.median(found))
    line = np.polyval(np.polyfit(wide, wave, 1), wide)
    widths = {n: tuple(np.mean([few_points(n, draw) for draw in range(draws)], 0).tolist()) for n in (1, 4, 32)}
    return {
        "x": x,
        "y": y,
        "parabola": parabola,
        "loss": float(((parabola - y) ** 2).mean()),
        "wide": wide,
        "wave": wave,
        "curves": curves,
        "line": float(((line - wave) ** 2).mean()),
        "losses": losses,
        "widths": widths,
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.plot(result["x"], result["y"], ".", color="0.6")
    left.plot(result["x"], result["parabola"])
    left.set(xlabel="x", ylabel="y", title="1-10-1 on x²")
    right.plot(result["wide"], result["wave"], ".", color="0.8", markersize=3)
    for relus, curve in result["curves"].items():
        right.plot(result["wide"], curve, label=f"{relus} ReLU")
    right.set(xlabel="x", ylim=(-1.5, 1.4), title="sin x, by layers of ReLU")
    right.legend(loc="lower right", ncols=5)
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(
        ("fit", "mean square"), [("noise", NOISE), ("parabola", result["loss"]), ("straight line", result["line"])]
    )
    shown.table(("layers of ReLU", "mean square on the wave"), list(result["losses"].items()))
    shown.table(("units", "training error", "error of the curve"), [(k, *v) for k, v in result["widths"].items()])
    shown.save(__file__, lambda: picture(result))
