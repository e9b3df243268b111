"""Random programs of rows, views and writes in place (tests/autograd/programs.py), and random nets: compiled as eager."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

import trigrad as tg
from trigrad import nn, optim
from trigrad.nn import functional as F

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "autograd")]

from programs import SHAPES, Drawer, Drawn
from twins import THREADS, Subject, assert_twins, bits, flat, in_turn, on

PROGRAMS, LENGTH = 60, 16
BY_VALUE = r"\[compile\] (\w+ )?reads a tensor's value"


class Program:
    """Leaves that require gradients, inputs that do not, and steps over them; drawn while it runs."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        drawer = Drawer(rng)
        self.shapes = [rng.choice(SHAPES) for _ in range(4)]
        self.dtype = rng.choice((tg.float32, tg.float32, tg.float64))
        self.steps: list[Drawn] = []
        tensors = [*self.leaves(), *self.inputs(0)]
        while len(self.steps) < LENGTH:
            drawn = drawer.draw([tuple(t.shape) for t in tensors])
            if drawn is None or "mask" in drawn.name.partition("(")[0].split():
                continue  # x[mask] has a shape that depends on values: refused, which is another test
            try:
                made = drawn.step(tg, tensors)
            except (RuntimeError, IndexError, TypeError):
                continue
            self.steps.append(drawn)
            tensors.append(made)
        self.summed = sorted({rng.randrange(4, len(tensors)) for _ in range(3)} | {len(tensors) - 1})
        self.shown = sorted({rng.randrange(len(tensors)) for _ in range(4)})

    def leaves(self) -> list[tg.Tensor]:
        g = tg.Generator().manual_seed(1)
        return [tg.rand(s, generator=g).sub(0.5).to(self.dtype).requires_grad_() for s in self.shapes[:2]]

    def inputs(self, call: int) -> list[tg.Tensor]:
        g = tg.Generator().manual_seed(10 + call)
        return [tg.rand(s, generator=g).sub(0.5).to(self.dtype) for s in self.shapes[2:]]

    def function(self, leaves: list[tg.Tensor]) -> Callable[..., Any]:
        def run(*inputs: tg.Tensor) -> Any:
            for leaf in leaves:
                leaf.grad = None
            tensors: list[tg.Tensor] = [*leaves, *inputs]
            for drawn in self.steps:
                tensors.append(drawn.step(tg, tensors))
            loss = sum((tensors[k] * 0.7 + 0.1).square().sum() for k in self.summed)
            if loss.requires_grad:  # type: ignore[union-attr]
                loss.backward()  # type: ignore[union-attr]
            return loss, [tensors[k] for k in self.shown]

        return run

    def __str__(self) -> str:
        lines = [f"{k}: {'leaf' if k < 2 else 'input'} {s} {self.dtype}" for k, s in enumerate(self.shapes)]
        lines += [f"{k + 4}: {d.name}" for k, d in enumerate(self.steps)]
        return "\n".join([*lines, f"loss of {self.summed}, shown {self.shown}"])


def everything(leaves: list[tg.Tensor], inputs: list[tg.Tensor], result: Any) -> list[tuple[Any, ...]]:
    tensors = [*flat(result), *leaves, *inputs, *(leaf.grad for leaf in leaves if leaf.grad is not None)]
    return [(tuple(t.shape), bits(t)) for t in tensors]


def check(seed: int, threads: int) -> str:
    program = Program(seed)
    mine, others = program.leaves(), program.leaves()
    eager, compiled = program.function(mine), tg.compile(program.function(others))
    for call in range(4):
        given, again = program.inputs(call), program.inputs(call)
        refusal = None
        try:
            expected = everything(mine, given, eager(*given))
        except (RuntimeError, NotImplementedError) as error:
            refusal = error
        try:
            with on(threads):
                found = everything(others, again, compiled(*again))
        except (RuntimeError, NotImplementedError) as error:
            assert refusal is not None, f"seed {seed}, call {call}\n{program}\n{error}"
            assert str(error) == str(refusal), f"seed {seed}, call {call}\n{program}\n{error}\n{refusal}"
            return "refused as eager"
        assert refusal is None, f"seed {seed}, call {call}\n{program}\nnot refused: {refusal}"
        wrong = [k for k, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b]
        assert not wrong, f"seed {seed}, call {call}, {threads} threads: {wrong}\n{program}\n{compiled.plans[:1]}"
        assert len(compiled.plans) == 1, f"seed {seed}, call {call}: {len(compiled.plans)} plans\n{program}"
    return "same"


@pytest.mark.parametrize("batch", range(5))
def test_random_programs(batch: int, full: bool, record: dict[str, str]) -> None:
    outcomes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(batch * 100_000, batch * 100_000 + PROGRAMS * (20 if full else 1)):
            outcomes.append(check(seed, 1 + seed % 3))
    counted = {name: outcomes.count(name) for name in sorted(set(outcomes))}
    record[f"compiled random programs, batch {batch}"] = ", ".join(f"{k} {v}" for k, v in counted.items())
    assert counted.get("same", 0) > len(outcomes) / 3


# ---- nets


ACTIVATIONS = ("ReLU", "Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "LeakyReLU", "Softplus", "PReLU", "Mish", "Hardswish")
WIDTHS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65)


class Net(nn.Module):
    """Layers one after the other; some add what came in, some put it beside their result, one may be used twice."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        width = self.inputs = rng.choice(WIDTHS)
        self.ways: list[str] = []
        self.layers = nn.ModuleList()
        depth = rng.choice((1, 1, 2, 3, 5, 8, 13, 20))
        for _ in range(depth):
            way = rng.choice(("plain", "plain", "residual", "concat", "twice"))
            wide = width if way in ("residual", "twice") else rng.choice(WIDTHS)
            parts: list[Any] = [nn.Linear(width, wide, bias=rng.random() < 0.8)]
            if wide > 1 and rng.random() < 0.4:
                parts.append(getattr(nn, rng.choice(("BatchNorm1d", "LayerNorm", "RMSNorm")))(wide))
            if rng.random() < 0.9:
                parts.append(getattr(nn, rng.choice(ACTIVATIONS))())
            if rng.random() < 0.3:
                parts.append(nn.Dropout(rng.choice((0.1, 0.5))))
            self.layers.append(nn.Sequential(*parts))
            self.ways.append(way)
            width = wide + width if way == "concat" else wide
            if width > 200:
                break
        self.outputs = rng.choice((1, 2, 3, 10))
        self.head = nn.Linear(width, self.outputs)

    def forward(self, x: tg.Tensor) -> Any:
        for way, layer in zip(self.ways, self.layers, strict=True):
            y = layer(x)
            if way == "residual":
                x = x + y
            elif way == "concat":
                x = tg.cat([x, y], 1)
            else:
                x = layer(y) if way == "twice" else y
        return self.head(x)


def losses(outputs: int) -> dict[str, tuple[Any, Callable[[int, tg.Generator], tg.Tensor]]]:
    return {
        "cross_entropy": (F.cross_entropy, lambda n, g: tg.randint(0, outputs, (n,), generator=g)),
        "bce": (F.binary_cross_entropy_with_logits, lambda n, g: tg.rand(n, outputs, generator=g)),
        "mse": (F.mse_loss, lambda n, g: tg.randn(n, outputs, generator=g)),
        "huber": (F.huber_loss, lambda n, g: tg.randn(n, outputs, generator=g)),
    }


OPTIMIZERS: tuple[Callable[[Any], Any], ...] = (
    lambda p: optim.Adam(p, lr=0.01),
    lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    lambda p: optim.RMSprop(p, lr=0.001, centered=True),
)


def net_subject(seed: int) -> tuple[Callable[[], Subject], list[Any], str]:
    shape = Net(Random(seed))
    rng = Random(seed + 1)
    loss, target = rng.choice(list(losses(shape.outputs).values()))
    optimizer_of, clip = rng.choice(OPTIMIZERS), rng.random() < 0.3
    rows = rng.sample((2, 3, 7, 64, 65, 129, 200, 513), 2)

    def make() -> Subject:
        model = Net(Random(seed))
        optimizer = optimizer_of(model.parameters())

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            optimizer.zero_grad()
            made = loss(model(x), y)
            made.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return made

        return Subject(step, (model, optimizer))

    calls = in_turn(lambda n, g: (tg.randn(n, shape.inputs, generator=g), target(n, g)), rows)
    return make, calls, str(shape)


@pytest.mark.parametrize("seed", range(24))
def test_random_nets(seed: int, full: bool) -> None:
    for more in range(20 if full else 1):
        make, calls, text = net_subject(seed + 1000 * more)
        try:
            assert_twins(make, calls, THREADS if full else (1, 2 + seed % 2))
        except AssertionError as error:
            raise AssertionError(f"seed {seed + 1000 * more}\n{error}\n{text}") from None


def test_values_at_the_ends_of_the_numbers() -> None:
    """Infinities, NaN, denormals and zeros of both signs go through a compiled net as through eager."""
    x = tg.tensor([0.0, -0.0, 1e-42, -1e-42, 3e38, -3e38, math.inf, -math.inf, math.nan, 1.0] * 13)[:128].reshape(16, 8)

    def make() -> Subject:
        model = nn.Sequential(nn.Linear(8, 9), nn.Tanh(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2))

        def step(x: tg.Tensor) -> Any:
            out = model(x)
            return out, tg.where(tg.isnan(out), 0.0, out).sum()

        return Subject(step, (model,))

    assert_twins(make, [(x,), (x * 0.5,), (x[:3],), (x[:3] * 2,)])
