"""Every optimizer with its options, under every schedule, with clipping and hooks, in a compiled step: the bits of eager, and one
plan for all of it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trigrad as tg
from trigrad import nn, optim
from trigrad.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))

from twins import THREADS, Subject, assert_twins, followed, in_turn, on

#: optimizer -> options to be tried, one set after the other
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ],
    "ProximalSGD": [{"lr": 0.1, "l1": 0.01}, {"lr": 0.1, "l1": 0.02, "momentum": 0.8}],
    "Adagrad": [{"lr": 0.1}, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}],
    "RMSprop": [{}, {"centered": True, "weight_decay": 0.1}, {"momentum": 0.8}, {"momentum": 0.8, "centered": True}],
    "Adam": [
        {"lr": 0.05},
        {"betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        {"amsgrad": True, "maximize": True},
        {"weight_decay": 0.3, "decoupled_weight_decay": True},
    ],
    "AdamW": [{}, {"weight_decay": 0.3, "amsgrad": True}],
    "Adamax": [{}, {"betas": (0.5, 0.6), "eps": 0.1, "weight_decay": 0.1, "maximize": True}],
    "NAdam": [{}, {"momentum_decay": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RAdam": [{}, {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}],
    "ASGD": [{}, {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1}],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.2), "maximize": True}],
}
CASES = [(name, k) for name, sets in OPTIONS.items() for k in range(len(sets))]
REFUSED = ("LBFGS", "GradientDescent")  # they look at the loss between their steps


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def batch(n: int, g: tg.Generator) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randn(n, 5, generator=g), tg.randint(0, 3, (n,), generator=g)


def usual(model: Any, optimizer: Any, clip: Callable[[Any], Any] = lambda parameters: None) -> Callable[..., Any]:
    def step(x: tg.Tensor, y: tg.Tensor) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = clip(model.parameters())
        optimizer.step()
        return loss, norm

    return step


def test_every_optimizer_is_here() -> None:
    public = {name for name, value in vars(optim).items() if isinstance(value, type)}
    assert public == {*OPTIONS, *REFUSED, "Optimizer"}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_options(name: str, options: int, full: bool) -> None:
    def make() -> Subject:
        model = net()
        optimizer = getattr(optim, name)(model.parameters(), **OPTIONS[name][options])
        return Subject(usual(model, optimizer), (model, optimizer))

    assert_twins(make, in_turn(batch, (7, 64, 129), 4), THREADS if full else (1, 3))


@pytest.mark.parametrize("name", OPTIONS)
def test_groups_with_options_of_their_own(name: str) -> None:
    """Some parameters in float64, one that gets no gradient, options that change between steps."""

    def make() -> Subject:
        wide = tg.rand(3).double().requires_grad_()
        idle = tg.rand(4).requires_grad_()
        model = net()
        first, *rest = model.parameters()
        groups = [{"params": [first], "lr": 0.3}, {"params": [*rest, idle]}, {"params": [wide], "lr": 0.02}]
        optimizer = getattr(optim, name)(groups, lr=0.05)

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y) + (wide * wide.cos()).sum()
            loss.backward()
            optimizer.step()
            return loss

        def between() -> None:
            for k, group in enumerate(optimizer.param_groups):
                group["lr"] *= 0.9 - 0.1 * k

        return Subject(step, (model, optimizer, wide, idle), between)

    assert_twins(make, in_turn(batch, (9,), 5))


@pytest.mark.parametrize("name", OPTIONS)
def test_one_plan_from_the_first_step_on(name: str) -> None:
    """The states that the first step makes are known to the plan that it is recorded as."""
    model = net()
    optimizer = getattr(optim, name)(model.parameters())
    step = tg.compile(usual(model, optimizer))
    for arguments in in_turn(batch, (9,), 5):
        step(*arguments)
    assert len(step.plans) == 1
    assert step.plans[0].calls == 4


SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "LambdaLR": lambda o: optim.lr_scheduler.LambdaLR(o, lambda e: 0.9**e),
    "MultiplicativeLR": lambda o: optim.lr_scheduler.MultiplicativeLR(o, lambda e: 1 / (1 + e)),
    "StepLR": lambda o: optim.lr_scheduler.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: optim.lr_scheduler.MultiStepLR(o, [2, 3], 0.3),
    "ConstantLR": lambda o: optim.lr_scheduler.ConstantLR(o, 0.25, 3),
    "LinearLR": lambda o: optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 5),
    "ExponentialLR": lambda o: optim.lr_scheduler.ExponentialLR(o, 0.7),
    "PolynomialLR": lambda o: optim.lr_scheduler.PolynomialLR(o, 6, 2.0),
    "CosineAnnealingLR": lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 6, 0.001),
    "CosineAnnealingWarmRestarts": lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 2),
    "CyclicLR": lambda o: optim.lr_scheduler.CyclicLR(o, 0.01, 0.3, 2, mode="triangular2"),
    "OneCycleLR": lambda o: optim.lr_scheduler.OneCycleLR(o, 0.5, 10, three_phase=True),
    "ChainedScheduler": lambda o: optim.lr_scheduler.ChainedScheduler(
        [optim.lr_scheduler.ConstantLR(o, 0.1, 2), optim.lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "SequentialLR": lambda o: optim.lr_scheduler.SequentialLR(
        o, [optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 3), optim.lr_scheduler.StepLR(o, 1, 0.5)], [3]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    """One that moves the momentum, too, where it has one; all in one plan."""
    plans: list[int] = []

    def make() -> Subject:
        model = net()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = SCHEDULES[name](optimizer)
        return Subject(usual(model, optimizer), (model, optimizer), scheduler.step)

    assert_twins(make, in_turn(batch, (9,), 8))
    subject = make()
    compiled = tg.compile(subject.step)
    for arguments in in_turn(batch, (9,), 8):
        compiled(*arguments)
        subject.between()
        plans.append(len(compiled.plans))
    assert plans[-1] == 1


def test_plateau() -> None:
    """A rate that follows the loss."""

    def make() -> Subject:
        model = net()
        optimizer = optim.Adam(model.parameters(), lr=0.5)
        scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        losses: list[float] = []
        inner = usual(model, optimizer)
        held = tg.zeros(())

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            made = inner(x, y)
            held.copy_(made[0].detach())
            return made

        def between() -> None:
            losses.append(held.item())
            scheduler.step(losses[-1])

        return Subject(step, (model, optimizer, held), between)

    assert_twins(make, in_turn(batch, (9,), 8))


CLIPS: dict[str, Callable[[Any], Any]] = {
    "norm": lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.05),
    "norm of order 1": lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.3, 1.0),
    "greatest": lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.01, math.inf),
    "value": lambda parameters: nn.utils.clip_grad_value_(parameters, 0.01),
}


@pytest.mark.parametrize("name", CLIPS)
def test_clipping(name: str, full: bool) -> None:
    def make() -> Subject:
        model = net()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        return Subject(usual(model, optimizer, CLIPS[name]), (model, optimizer))

    assert_twins(make, in_turn(batch, (1, 7, 129), 3), THREADS if full else (1, 3))


def test_two_optimizers_in_turn() -> None:
    """A generator and a critic, one step each in the same plan."""

    def make() -> Subject:
        critic, maker = net(), nn.Sequential(nn.Linear(2, 5), nn.Tanh())
        of_critic, of_maker = optim.RMSprop(critic.parameters(), lr=0.01), optim.Adam(maker.parameters(), lr=0.01)

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            noise = tg.randn(x.shape[0], 2)
            of_critic.zero_grad()
            made = maker(noise)
            first = F.cross_entropy(critic(x), y) + critic(made.detach()).square().mean()
            first.backward()
            of_critic.step()
            of_maker.zero_grad()
            second = -critic(made).square().mean()
            second.backward()
            of_maker.step()
            return first, second

        return Subject(step, (critic, maker, of_critic, of_maker))

    assert_twins(make, in_turn(batch, (7, 129), 4))


def test_second_order_in_a_step() -> None:
    """A penalty on the gradient with respect to the input."""

    def make() -> Subject:
        model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            optimizer.zero_grad()
            inputs = x.clone().requires_grad_()
            loss = F.cross_entropy(model(inputs), y)
            (slope,) = tg.autograd.grad(loss, inputs, create_graph=True)
            total = loss + 0.1 * slope.square().sum()
            total.backward()
            optimizer.step()
            return total

        return Subject(step, (model, optimizer))

    assert_twins(make, in_turn(batch, (1, 7, 129), 3))


def test_weight_norm() -> None:
    def make() -> Subject:
        model = nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 7)), nn.ReLU(), nn.Linear(7, 3))
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        return Subject(usual(model, optimizer), (model, optimizer, lambda: model[0].weight))

    assert_twins(make, in_turn(batch, (7, 64), 3))


def test_averaged_weights() -> None:
    """A moving average of the parameters, kept by the step itself."""

    def make() -> Subject:
        model, average = net(), net()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        inner = usual(model, optimizer)

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            made = inner(x, y)
            with tg.no_grad():
                for a, p in zip(average.parameters(), model.parameters(), strict=True):
                    a.mul_(0.9).add_(p, alpha=0.1)
            return made

        return Subject(step, (model, average, optimizer))

    assert_twins(make, in_turn(batch, (7, 129), 4))


@pytest.mark.parametrize("name", REFUSED)
def test_optimizers_that_look_at_the_loss(name: str) -> None:
    model = net()
    optimizer = getattr(optim, name)(model.parameters())
    x, y = batch(5, tg.Generator())
    before = [p.clone() for p in model.parameters()]

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss: tg.Tensor = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match=r"\[compile\]"):
        tg.compile(lambda: optimizer.step(closure))()
    assert all(tg.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_resumed_training() -> None:
    """States that go through state_dict between compiled steps."""

    def make(resume: bool) -> Callable[[], Subject]:
        def subject() -> Subject:
            model = net()
            optimizer = optim.Adam(model.parameters(), lr=0.05, amsgrad=True)

            steps = iter(range(9))

            def between() -> None:
                if next(steps) % 3 == 2 and resume:
                    optimizer.load_state_dict(optimizer.state_dict())
                    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()})

            return Subject(usual(model, optimizer), (model, optimizer), between)

        return subject

    calls = in_turn(batch, (9,), 8)
    with on(1):
        assert followed(make(False), calls, compiled=False) == followed(make(True), calls, compiled=True)
