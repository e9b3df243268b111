"""Small batches end in flat minima, large ones in sharp minima

From the deck "Lecture 5: Neural networks": "The noise of SGD makes us jump out of sharp minima." To stay in one, descent needs
η < 2/curvature. The same network is trained on the same points with the same number of steps, from small batches to all points at
once, and λ_max of its Hessian, the curvature, is found by power iteration:

- all points at once climb to where they can just stay, λ_max ≈ 2/η: the larger the learning rate, the flatter the minimum;
- small batches end in minima that are several times flatter, and fit as well.

On the line between two such minima the loss rises faster at the sharp one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import shown

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import LossLine, loss_line, sharpness
from trigrad.nn.functional import mse_loss


class Minimum(NamedTuple):
    lr: float
    batch: int
    seed: int
    sharpness: float
    loss: float
    accuracy: float  # on other points


class Result(NamedTuple):
    minima: list[Minimum]
    line: LossLine  # from the flat minimum at 0 to the sharp one at 1


def points(seed: int) -> tuple[Any, Any]:
    table = tg.data.playground("circle", 256, noise=0.2, seed=seed)
    return tg.tensor(table.X) / 2.5, 2 * tg.tensor(table.y).float()[:, None] - 1


def experiment(
    batches: tuple[int, ...] = (4, 16, 64, 256),
    rates: tuple[float, ...] = (0.1, 0.2),
    seeds: int = 3,
    steps: int = 4096,
) -> Result:
    (x, y), (new_x, new_y) = points(1), points(2)
    minima, ends = [], {}
    for lr in rates:
        for batch in batches:
            for seed in range(seeds):
                tg.manual_seed(seed)
                net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
                trainer = tg.Trainer(net, nn.MSELoss(), tg.optim.SGD(net.parameters(), lr=lr))
                trainer.fit(x, y, epochs=steps * batch // len(x), batch_size=batch)
                found = sharpness(net, lambda net=net: mse_loss(net(x), y))
                right = ((trainer.predict(new_x) > 0) == (new_y > 0)).float().mean()
                minima.append(Minimum(lr, batch, seed, found, trainer.evaluate(x, y), float(right)))
                ends[lr, batch, seed] = nn.utils.parameters_to_vector(net.parameters()).detach()
    flat, sharp = ends[rates[0], batches[0], 0], ends[rates[0], batches[-1], 0]
    return Result(minima, loss_line(net, lambda: mse_loss(net(x), y), sharp, flat, reach=(-0.5, 1.5), points=81))


def picture(result: Result) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, lr in enumerate(sorted({m.lr for m in result.minima})):
        mine = [m for m in result.minima if m.lr == lr]
        left.plot([m.batch for m in mine], [m.sharpness for m in mine], "os"[k], color=f"C{k}", label=f"η = {lr}")
        left.axhline(2 / lr, color=f"C{k}", linestyle="--", label=f"2/η = {2 / lr:g}")
    left.set(xscale="log", xlabel="batch size", ylabel="λ_max of the Hessian")
    left.set_ylim(0, 30)
    left.legend(framealpha=0, ncols=2)
    right.plot(result.line.t.tolist(), result.line.loss.tolist())
    right.set(xlabel="flat minimum at 0, sharp minimum at 1", ylabel="loss", yscale="log")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(Minimum._fields, result.minima)
    shown.save(__file__, lambda: picture(result))
