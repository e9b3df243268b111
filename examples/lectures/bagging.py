"""Bagging: an ensemble of networks varies less than one

From the deck "Lecture 10: Feedforward Neural Networks". Each network of an ensemble is trained on a bootstrap sample.

Of a noisy sin(2πx) 12 training sets of 40 points are drawn; on each, 10 networks 1-30-1 learn a bootstrap sample of it, and the
bag answers with their mean. From training set to training set the answer of one network varies by σ², that of the bag by

    ρσ² + (1 − ρ) σ² / 10,

ρ being the correlation of two networks of one bag: what they owe to the training set that they share does not average out. All
120 networks are trained at once, as products of stacks of matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

POINTS = np.linspace(0.02, 0.98, 49)


def truth(x: Any) -> Any:
    return np.sin(2 * np.pi * x)


class Networks(nn.Module):
    """m networks 1-h-1, each with its own events: (m, n, 1) -> (m, n, 1)"""

    def __init__(self, m: int, h: int) -> None:
        super().__init__()
        shapes = {"w": (m, 1, h), "b": (m, 1, h), "v": (m, h, 1), "c": (m, 1, 1)}
        scales = {"w": 8.0, "b": 4.0, "v": h**-0.5, "c": 0.0}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(scales[name] * tg.randn(*shape)))

    def forward(self, x: Any) -> Any:
        return tg.baddbmm(self.c, tg.tanh(tg.baddbmm(self.b, x, self.w)), self.v)


def experiment(
    sets: int = 12, networks: int = 10, events: int = 40, noise: float = 0.3, steps: int = 400
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (sets, events))
    y = truth(x) + noise * rng.normal(size=x.shape)
    drawn = rng.integers(0, events, (sets, networks, events))
    samples = [np.take_along_axis(v[:, None, :], drawn, 2).reshape(sets * networks, events, 1) for v in (x, y)]
    X, Y = (tg.tensor(v.astype("float32")) for v in samples)
    tg.manual_seed(0)
    model = Networks(sets * networks, 30)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.02)

    @tg.compile
    def step(X: Any, Y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(X) - Y) ** 2).mean(1).sum()  # each network on its own
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(steps):
        step(X, Y)
    with tg.no_grad():
        at = tg.tensor(POINTS.astype("float32")).reshape(1, -1, 1).expand(len(X), -1, -1)
        answers = model(at).double().numpy().reshape(sets, networks, -1)
    off = answers - answers.mean(0)
    single = (off**2).sum(0).mean() / (sets - 1)  # over training sets, mean over networks and points
    pairs = [(off[:, i] * off[:, j]).sum(0).mean() / (sets - 1) for i in range(networks) for j in range(i)]
    rho = np.mean(pairs) / single
    result: dict[str, Any] = {"answers": answers, "rho": rho, "foretold": single * (rho + (1 - rho) / networks)}
    for name, given in (("one network", answers), ("bag", answers.mean(1))):
        result[name] = {"variance": given.var(0, ddof=1).mean(), "error": ((given - truth(POINTS)) ** 2).mean()}
    return result


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    kinds = {"one network of each training set": result["answers"][:, 0], "the bags": result["answers"].mean(1)}
    for k, (axes, (title, answers)) in enumerate(zip(figure.subplots(1, 2, sharey=True), kinds.items(), strict=True)):
        axes.plot(POINTS, answers.T, color=f"C{k}", alpha=0.4)
        axes.plot(POINTS, truth(POINTS), "--", color="0.5")
        axes.set(xlabel="x", title=title)
    return figure


if __name__ == "__main__":
    result = experiment()
    rows = [(name, result[name]["variance"], result[name]["error"]) for name in ("one network", "bag")]
    shown.table(("model", "variance", "squared error"), rows)
    print(f"correlation in a bag {result['rho']:.3f}, which foretells a variance of {result['foretold']:.4g}")
    shown.save(__file__, lambda: picture(result))
