"""Every public module, trained by a compiled step: the bits of eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from compile.twins import ROWS, THREADS, Subject, assert_twins, in_turn
from trigrad import nn
from trigrad.nn import functional as F

WIDTH = 6


class Case:
    """How a module is made, and what goes in for so many rows."""

    def __init__(
        self,
        make: Callable[[], Any],
        *inputs: Callable[[int, tg.Generator], tg.Tensor],
        least: int = 1,  # rows
        trained: bool = True,
        evaluated: bool = True,
    ) -> None:
        self.make, self.least, self.trained, self.evaluated = make, least, trained, evaluated
        self.inputs = inputs or (rows(WIDTH),)


def rows(*shape: int) -> Callable[[int, tg.Generator], tg.Tensor]:
    return lambda n, g: tg.randn(n, *shape, generator=g)


def indices(*shape: int, high: int = 5) -> Callable[[int, tg.Generator], tg.Tensor]:
    return lambda n, g: tg.randint(0, high, (n, *shape), generator=g)


def stack(*layers: Any) -> Any:
    return nn.Sequential(nn.Linear(WIDTH, 8), *layers, nn.Linear(8, 3))


class Branching(nn.Module):
    """A list, a dict and parameters in containers, two inputs, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.many = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(3)])
        self.named = nn.ModuleDict({"a": nn.Tanh(), "b": nn.Linear(WIDTH, 2)})
        self.scales = nn.ParameterList([tg.full((WIDTH,), 0.5), tg.ones(1)])
        self.shifts = nn.ParameterDict({"shift": tg.zeros(WIDTH)})
        self.register_buffer("seen", tg.zeros(WIDTH))

    def forward(self, x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        for layer, scale in zip(self.many, (self.scales[0], self.scales[1], 0.25), strict=True):
            x = self.named["a"](layer(x)) * scale + y
        with tg.no_grad():
            self.seen.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        made: tg.Tensor = self.named["b"](x + self.shifts["shift"])
        return made


ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "CELU": lambda: nn.CELU(0.7),
    "ELU": lambda: nn.ELU(0.5),
    "GELU": nn.GELU,
    "GELU tanh": lambda: nn.GELU("tanh"),
    "SELU": nn.SELU,
    "Hardshrink": nn.Hardshrink,
    "Hardsigmoid": nn.Hardsigmoid,
    "Hardswish": nn.Hardswish,
    "Hardtanh": lambda: nn.Hardtanh(-0.5, 0.7),
    "LeakyReLU": lambda: nn.LeakyReLU(0.2),
    "LogSigmoid": nn.LogSigmoid,
    "LogSoftmax": lambda: nn.LogSoftmax(1),
    "Mish": nn.Mish,
    "PReLU": nn.PReLU,
    "PReLU of channels": lambda: nn.PReLU(8),
    "RReLU": nn.RReLU,
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.ReLU(inplace=True),
    "ReLU6": nn.ReLU6,
    "SiLU": nn.SiLU,
    "SiLU in place": lambda: nn.SiLU(inplace=True),
    "Sigmoid": nn.Sigmoid,
    "Softmax": lambda: nn.Softmax(1),
    "Softmin": lambda: nn.Softmin(0),
    "Softplus": lambda: nn.Softplus(2.0),
    "Softshrink": nn.Softshrink,
    "Softsign": nn.Softsign,
    "Square": nn.Square,
    "Step": nn.Step,
    "Tanh": nn.Tanh,
    "Tanhshrink": nn.Tanhshrink,
    "Threshold": lambda: nn.Threshold(0.1, 0.2),
}

CASES: dict[str, Case] = {
    **{name: Case(lambda make=make: stack(make()), trained=name != "Step") for name, make in ACTIVATIONS.items()},  # type: ignore[misc]
    "GLU": Case(lambda: nn.Sequential(nn.Linear(WIDTH, 16), nn.GLU(), nn.Linear(8, 3))),
    "Maxout": Case(lambda: nn.Sequential(nn.Maxout(WIDTH, 8, 3), nn.Linear(8, 3))),
    "Softmax2d": Case(nn.Softmax2d, rows(3, 2, 4)),
    "Linear": Case(lambda: nn.Linear(WIDTH, 4)),
    "Linear without bias": Case(lambda: nn.Linear(WIDTH, 4, bias=False)),
    "Linear of three axes": Case(lambda: nn.Linear(WIDTH, 4), rows(3, WIDTH)),
    "Linear of one output": Case(lambda: nn.Sequential(nn.Linear(WIDTH, 1), nn.Flatten(0))),
    "Linear in float64": Case(lambda: stack(nn.Tanh()).double(), lambda n, g: tg.randn(n, WIDTH, generator=g).double()),
    "Bilinear": Case(lambda: nn.Bilinear(WIDTH, 4, 3), rows(WIDTH), rows(4)),
    "Embedding": Case(lambda: nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 3)), indices(2)),
    "Embedding with padding": Case(lambda: nn.Embedding(5, 4, padding_idx=1), indices(2)),
    "Flatten": Case(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), rows(3, 4)),
    "Unflatten": Case(lambda: nn.Sequential(nn.Linear(WIDTH, 8), nn.Unflatten(1, (2, 4)), nn.Linear(4, 3))),
    "Identity": Case(lambda: stack(nn.Identity())),
    "Lambda": Case(lambda: stack(nn.Lambda(lambda x: x * tg.sigmoid(x)))),
    "Dropout": Case(lambda: stack(nn.ReLU(), nn.Dropout(0.4))),
    "Dropout in place": Case(lambda: stack(nn.Dropout(0.4, inplace=True))),
    "AlphaDropout": Case(lambda: stack(nn.SELU(), nn.AlphaDropout(0.3))),
    "FeatureAlphaDropout": Case(lambda: nn.Sequential(nn.Linear(4, 4), nn.FeatureAlphaDropout(0.3)), rows(3, 4)),
    "DropConnect": Case(lambda: nn.Sequential(nn.DropConnect(WIDTH, 8), nn.ReLU(), nn.Linear(8, 3))),
    "BatchNorm1d": Case(lambda: stack(nn.BatchNorm1d(8), nn.ReLU()), least=2),
    "BatchNorm1d plain": Case(lambda: stack(nn.BatchNorm1d(8, affine=False, momentum=None)), least=2),
    "BatchNorm1d without statistics": Case(
        lambda: stack(nn.BatchNorm1d(8, track_running_stats=False)), least=2, evaluated=False
    ),
    "BatchNorm1d of three axes": Case(lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Tanh()), rows(3, 5)),
    "LayerNorm": Case(lambda: stack(nn.LayerNorm(8), nn.ReLU())),
    "LayerNorm plain": Case(lambda: stack(nn.LayerNorm(8, elementwise_affine=False))),
    "LayerNorm of two axes": Case(lambda: nn.Sequential(nn.LayerNorm((3, 4)), nn.Linear(4, 2)), rows(3, 4)),
    "RMSNorm": Case(lambda: stack(nn.RMSNorm(8), nn.ReLU())),
    "Standardize": Case(lambda: nn.Sequential(nn.Standardize(WIDTH), nn.Linear(WIDTH, 3))),
    "LazyLinear": Case(lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))),
    "LazyBatchNorm1d": Case(lambda: stack(nn.LazyBatchNorm1d()), least=2),
    "Residual": Case(lambda: stack(nn.Residual(nn.Sequential(nn.Linear(8, 8), nn.ReLU())))),
    "Highway": Case(lambda: stack(nn.Highway(8), nn.Highway(8))),
    "DenseConcat": Case(lambda: nn.Sequential(nn.DenseConcat(nn.Linear(WIDTH, 4)), nn.Linear(WIDTH + 4, 2))),
    "ModuleList, ModuleDict, ParameterList, ParameterDict": Case(Branching, rows(WIDTH), rows(WIDTH)),
    "CosineSimilarity": Case(nn.CosineSimilarity, rows(4), rows(4)),
    "PairwiseDistance": Case(nn.PairwiseDistance, rows(4), rows(4)),
    "Perceptron": Case(lambda: nn.Perceptron(WIDTH)),
    "LinearSVM": Case(lambda: nn.LinearSVM(WIDTH)),
    "Hebbian": Case(lambda: nn.Hebbian(WIDTH)),
}


def test_every_module_is_here() -> None:
    public = {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and not name.startswith("_")
    }
    elsewhere = {"Module", "Sequential", *(name for name in public if name.endswith("Loss"))}  # test_losses.py
    assert {n for n in public - elsewhere if not any(n in name for name in CASES)} == set()


def training(case: Case) -> Subject:
    model = case.make()
    with tg.no_grad():
        model.eval()(*[draw(4, tg.Generator()) for draw in case.inputs])  # for layers that wait for their first input
    model.train()
    params = list(model.parameters())
    optimizer = tg.optim.Adam(params, lr=0.02) if params else None

    def step(*inputs: tg.Tensor) -> Any:
        leaves = [t.clone().requires_grad_(t.dtype.is_floating_point) for t in inputs]
        if optimizer is not None:
            optimizer.zero_grad()
        out = model(*leaves)
        if not out.requires_grad:
            return out
        loss = (out * tg.cos(out.detach())).mean() + (out * out).mean()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        return loss, out, [t.grad for t in leaves if t.grad is not None]

    return Subject(step, (model, optimizer) if params else (model,))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.trained])
def test_training(name: str, full: bool) -> None:
    case = CASES[name]
    calls = in_turn(lambda n, g: tuple(draw(n, g) for draw in case.inputs), [n for n in ROWS if n >= case.least])
    assert_twins(lambda: training(case), calls, THREADS if full else (1, 3))


def inference(case: Case) -> Subject:
    model = training(case).parts[0].eval()
    return Subject(model, (model,))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.evaluated])
def test_inference(name: str, full: bool) -> None:
    """The compiled module itself, in evaluation mode."""
    case = CASES[name]
    calls = in_turn(lambda n, g: tuple(draw(n, g) for draw in case.inputs), calls=2)
    with tg.no_grad():
        assert_twins(lambda: inference(case), calls, THREADS if full else (2,))


def test_functional_forms_in_place() -> None:
    """What overwrites its input, at the start of a step and in its middle."""
    forms = ("relu_", "elu_", "celu_", "selu_", "leaky_relu_", "hardtanh_", "threshold_")

    def make() -> Subject:
        weight = tg.rand(WIDTH, WIDTH).requires_grad_()

        def step(x: tg.Tensor) -> Any:
            weight.grad = None
            h = x @ weight
            for name in forms:
                more = (0.1, 0.05) if name == "threshold_" else ()
                h = getattr(F, name)(h * 1.0, *more)
            made = F.rrelu_(h @ weight, training=True)
            made.sum().backward()
            return made

        return Subject(step, (weight,))

    assert_twins(make, in_turn(lambda n, g: (tg.randn(n, WIDTH, generator=g),)))
