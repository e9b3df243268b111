"""A convex problem has one minimum, a network several

From the deck "Lecture 5: Neural networks": "Based on where you start you may end up in different minima." Descent from 30 random
starts to where the gradient is 0, on the same 100 points of two classes:

- logistic regression, whose loss is convex, ends in one minimum, whatever the start;
- a network of two hidden tanh units ends in about five minima of different loss, each a true one: no eigenvalue of the Hessian
  is negative. Between them the loss is higher. Each is there 8 times: hidden units may change places, or signs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import shown

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import LossLine, curvature, gradient_flow, loss_line
from trigrad.nn.functional import binary_cross_entropy_with_logits
from trigrad.nn.utils import parameters_to_vector

MODELS = {
    "logistic regression": lambda: nn.Linear(2, 1),
    "two hidden units": lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)),
}


class End(NamedTuple):
    model: str
    start: int
    loss: float
    gradient: float  # its length in the layer where it is longest
    smallest: float  # eigenvalue of the Hessian
    parameters: Any


def descend(net: Any, loss: Any) -> None:
    end = {"max_iter": 3000, "max_eval": 9000, "tolerance_grad": 1e-9, "tolerance_change": 1e-14}
    optimizer = tg.optim.LBFGS(net.parameters(), line_search_fn="strong_wolfe", **end)

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def experiment(starts: int = 30, decay: float = 1e-3, scale: float = 3.0) -> tuple[list[End], dict[str, LossLine]]:
    table = tg.data.playground("xor", 100, noise=0.3, seed=0)
    x, y = tg.tensor(table.X).double() / 3, tg.tensor(table.y).double()[:, None]
    ends, lines = [], {}
    for name, make in MODELS.items():
        net = make().double()

        def loss(net: Any = net) -> Any:  # a little weight decay, so that no minimum is at infinity
            squares = sum((p * p).sum() for p in net.parameters())
            return binary_cross_entropy_with_logits(net(x), y) + decay / 2 * squares

        for start in range(starts):
            tg.manual_seed(start)
            for p in net.parameters():
                nn.init.normal_(p, 0, scale)
            first = parameters_to_vector(net.parameters()).detach()
            descend(net, loss)
            slope = max(layer.gradient for layer in gradient_flow(net, loss).layers)
            least = curvature(net, loss, iterations=1000).smallest.value
            last = parameters_to_vector(net.parameters()).detach()
            ends.append(End(name, start, float(loss()), slope, least, last))
        mine = [e for e in ends if e.model == name]
        other = next((e for e in mine if abs(e.loss - mine[-1].loss) > 1e-4), None)
        lines[name] = loss_line(net, loss, first if other is None else other.parameters, reach=(-0.25, 1.25), points=61)
    return ends, lines


def picture(result: tuple[list[End], dict[str, LossLine]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, line in result[1].items():
        left.plot([e.loss for e in result[0] if e.model == name], "o", label=name)
        right.plot(line.t.tolist(), line.loss.tolist(), label=name)
    left.set(xlabel="start", ylabel="loss of the minimum where descent ended")
    right.set(xlabel="from a minimum at 0 to another one, or to a start, at 1", ylabel="loss")
    left.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    result = experiment()
    found = Counter((e.model, round(e.loss, 5)) for e in result[0])
    rows = [(*key, count) for key, count in sorted(found.items())]
    shown.table(("model", "loss of the minimum", "starts that end there"), rows)
    shown.save(__file__, lambda: picture(result))
