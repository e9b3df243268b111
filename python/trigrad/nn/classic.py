"""The first learning machines: perceptron, Hebbian rule, linear support vector machine."""

from __future__ import annotations

from trigrad import _losses, ops
from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, zeros
from trigrad.nn.linear import Linear
from trigrad.nn.module import Module
from trigrad.nn.parameter import Parameter

__all__ = ["Hebbian", "LinearSVM", "Perceptron"]


def _signs(score: Tensor) -> Tensor:
    """+1 where the score is at least 0, -1 elsewhere."""
    return ops.where(score >= 0, 1.0, -1.0).to(score.dtype)


def _examples(op: str, x: Tensor, y: Tensor, features: int) -> None:
    if x.ndim != 2 or x.shape[1] != features or tuple(y.shape) != (x.shape[0],):
        raise ValueError(
            f"[{op}] got x {tuple(x.shape)} and y {tuple(y.shape)}, expected (N, {features}) and (N,): an answer of 1 or -1 "
            "for each row"
        )


class _Unit(Module):
    """One unit: weight (in_features,) and bias (), 0 at first and changed by a rule, not by gradients."""

    in_features: int
    weight: Tensor
    bias: Tensor

    def __init__(self, in_features: int, device: DeviceArgument = None, dtype: DTypeArgument | None = None) -> None:
        super().__init__()
        self.in_features = in_features
        self.weight = Parameter(zeros(in_features, dtype=dtype, device=device), requires_grad=False)
        self.bias = Parameter(zeros((), dtype=dtype, device=device), requires_grad=False)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.in_features,), "bias": ()}

    def score(self, input: Tensor) -> Tensor:
        """w·x + b: input (..., in_features) -> (...)"""
        made: Tensor = ops.matmul(input, self.weight) + self.bias
        return made

    def forward(self, input: Tensor) -> Tensor:
        return _signs(self.score(input))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}"


class Perceptron(_Unit):
    """+1 where w·x + b ≥ 0, else -1, with Rosenblatt's rule: an example that is answered wrongly adds y x to w and y to b.

    input (..., in_features) -> (...)

    >>> import trigrad as tg
    >>> x = tg.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = tg.tensor([-1.0, -1.0, -1.0, 1.0])
    >>> unit = tg.nn.Perceptron(2)
    >>> unit.fit(x, y)
    True
    >>> unit(x)
    tensor([-1., -1., -1.,  1.])
    """

    @no_grad()
    def learn(self, x: Tensor, y: Tensor, lr: float = 1.0) -> int:
        """One pass over the rows, in order. Returns how many were answered wrongly on the way."""
        _examples("learn", x, y, self.in_features)
        mistakes = 0
        for i in range(x.shape[0]):
            if float(self(x[i])) != float(y[i]):
                mistakes += 1
                self.weight.add_(x[i] * (y[i] * lr))
                self.bias.add_(y[i] * lr)
        return mistakes

    def fit(self, x: Tensor, y: Tensor, epochs: int = 100, lr: float = 1.0) -> bool:
        """Passes until one is without mistakes: then True. False if `epochs` of them were not enough, as for XOR."""
        return any(self.learn(x, y, lr) == 0 for _ in range(epochs))


class Hebbian(_Unit):
    """What fires together wires together: each example adds lr y x to w and lr y to b, whatever the answer was.

    input (..., in_features) -> (...)

    >>> import trigrad as tg
    >>> unit = tg.nn.Hebbian(2)
    >>> unit.learn(tg.tensor([[1.0, -2.0]]), tg.tensor([1.0]), lr=0.5)
    >>> unit.weight.tolist(), unit.bias.item()
    ([0.5, -1.0], 0.5)
    """

    @no_grad()
    def learn(self, x: Tensor, y: Tensor, lr: float = 1.0) -> None:
        """Δw = lr Σ y x, Δb = lr Σ y"""
        _examples("learn", x, y, self.in_features)
        self.weight.add_(ops.matmul(y, x) * lr)
        self.bias.add_(ops.sum(y) * lr)


class LinearSVM(Module):
    """The score w·x + b of a linear support vector machine; minimise its `loss` with any optimizer.

    input (..., in_features) -> (...)

    >>> import trigrad as tg
    >>> svm = tg.nn.LinearSVM(2)
    >>> svm(tg.zeros(5, 2)).shape
    trigrad.Size([5])
    """

    linear: Linear

    def __init__(self, in_features: int, device: DeviceArgument = None, dtype: DTypeArgument | None = None) -> None:
        super().__init__()
        self.linear = Linear(in_features, 1, True, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        score: Tensor = self.linear(input).squeeze(-1)
        return score

    def predict(self, input: Tensor) -> Tensor:
        """The side of the margin: 1 or -1."""
        return _signs(self(input))

    def loss(self, input: Tensor, target: Tensor, c: float = 1.0, sample_weight: Tensor | None = None) -> Tensor:
        """½ |w|² + c Σ max(0, 1 - target score): wide margins against examples inside them."""
        hinge = _losses.hinge_loss(self(input), target, reduction="sum", sample_weight=sample_weight)
        made: Tensor = ops.sum(ops.square(self.linear.weight)) * 0.5 + hinge * c
        return made
