"""Whole trainings of nets drawn at random, from PyTorch's initial weights: losses, weights and statistics after each step, and
the state half-way through NumPy into the other library.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg
from parity.test_optimizers import OPTIONS, drawn_options
from parity_compare import array_of
from torch_cases import Draw
from torch_compare import examples

torch = pytest.importorskip("torch", reason="compares with torch")

SMOOTH = (
    "Tanh",
    "Sigmoid",
    "SiLU",
    "GELU",
    "Softplus",
    "Mish",
    "ELU",
    "CELU",
    "SELU",
    "LogSigmoid",
    "Softsign",
    "Tanhshrink",
)
KINKED = ("ReLU", "LeakyReLU", "PReLU", "Hardtanh", "Hardswish", "ReLU6")
NORMS = ("BatchNorm1d", "LayerNorm", "RMSNorm")
LOSSES = (
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "PoissonNLLLoss",
    "SoftMarginLoss",
)
STEPS = 8


class Plan:
    """What is drawn: layers as (class, arguments), and how they are trained."""

    def __init__(self, d: Draw) -> None:
        self.layers: list[tuple[str, tuple[Any, ...]]] = []
        width = self.inputs = d.pick(1, 3, 7)
        for _ in range(d.integer(0, 3)):
            wider = d.pick(1, 4, 8)
            self.layers.append(("Linear", (width, wider, d.flag())))
            width = wider
            if width > 1 and d.flag():
                self.layers.append((d.pick(*NORMS), (width,)))
            self.layers.append((d.pick(*SMOOTH, *KINKED), ()))
        self.outputs = d.pick(1, 2, 5)
        self.layers.append(("Linear", (width, self.outputs)))
        self.loss = d.pick(*LOSSES)
        self.optimizer = d.pick(*(n for n in OPTIONS if n not in ("LBFGS", "Rprop")))  # the steps of Rprop jump at 0
        self.options = drawn_options(d, self.optimizer)
        self.options.pop("maximize", None)
        if "eps" in OPTIONS[self.optimizer]:
            self.options["eps"] = 1e-3  # else gradients that are 0 but for rounding make steps as long as any
        self.clip, self.gamma, self.batch = d.pick(None, 1.0), d.pick(1.0, 0.8), d.pick(2, 9, 16)
        self.seed = d.integer(0, 999)

    def __str__(self) -> str:
        return f"{self.layers} {self.loss} {self.optimizer}({self.options})"


class Training:
    def __init__(self, lib: Any, plan: Plan, weights: dict[str, Any] | None) -> None:
        self.lib, self.plan = lib, plan
        self.net = lib.nn.Sequential(*(getattr(lib.nn, n)(*arguments) for n, arguments in plan.layers)).double()
        if weights is not None:
            self.net.load_state_dict({k: lib.from_numpy(v.copy()) for k, v in weights.items()})
        self.loss: Callable[..., Any] = getattr(lib.nn, plan.loss)()
        self.optimizer = getattr(lib.optim, plan.optimizer)(self.net.parameters(), **plan.options)
        self.scheduler = lib.optim.lr_scheduler.ExponentialLR(self.optimizer, plan.gamma)

    def step(self, x: Any, y: Any) -> float:
        self.net.train()
        self.optimizer.zero_grad()
        loss = self.loss(self.net(self.lib.from_numpy(x)), self.lib.from_numpy(y))
        loss.backward()
        if self.plan.clip:
            self.lib.nn.utils.clip_grad_norm_(self.net.parameters(), self.plan.clip)
        self.optimizer.step()
        self.scheduler.step()
        return float(loss.item())

    def state(self) -> dict[str, Any]:
        return {k: array_of(v) for k, v in self.net.state_dict().items()}


def batch(plan: Plan, rng: np.random.Generator) -> tuple[Any, Any]:
    x = rng.standard_normal((plan.batch, plan.inputs))
    shape = (plan.batch, plan.outputs)
    if plan.loss == "CrossEntropyLoss":
        return x, rng.integers(0, plan.outputs, plan.batch)
    if plan.loss == "SoftMarginLoss":
        return x, rng.choice([-1.0, 1.0], shape)
    if plan.loss == "PoissonNLLLoss":
        return x, rng.poisson(2.0, shape).astype("float64")
    return x, rng.random(shape)


@examples(40, 600)
@given(st.data())
def test_training(data: Any) -> None:
    plan = Plan(Draw(data.draw))
    torch.manual_seed(plan.seed)
    torch.set_default_dtype(torch.float64)  # of the counts and products that its optimizers keep
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = Training(torch, plan, None)
            ours = Training(tg, plan, theirs.state())
            assert repr(ours.net) == repr(theirs.net)
            rng = np.random.default_rng(plan.seed)
            for step in range(STEPS):
                x, y = batch(plan, rng)
                a, b = ours.step(x, y), theirs.step(x, y)
                assert a == pytest.approx(b, rel=1e-6, abs=1e-9), f"{plan} step {step}"
                mine, other = ours.state(), theirs.state()
                for key in other:
                    np.testing.assert_allclose(
                        mine[key], other[key], rtol=1e-5, atol=1e-7, err_msg=f"{plan} {key} {step}"
                    )
                if step == STEPS // 2:  # each goes on from the other's weights
                    ours.net.load_state_dict(other)
                    theirs.net.load_state_dict({k: torch.from_numpy(v) for k, v in mine.items()})
            x, _ = batch(plan, rng)
            evaluated = [array_of(t.net.eval()(t.lib.from_numpy(x))) for t in (ours, theirs)]
            np.testing.assert_allclose(*evaluated, rtol=1e-5, atol=1e-7, err_msg=str(plan))
    finally:
        torch.set_default_dtype(torch.float32)
