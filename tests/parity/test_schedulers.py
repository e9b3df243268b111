"""Every schedule with arguments drawn at random beside PyTorch's: rates and momenta over a hundred steps, in chains and in turn;
a state that goes to the other library half-way.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg
from torch_cases import Draw
from torch_compare import examples

torch = pytest.importorskip("torch", reason="compares with torch")

STEPS = 100
Functions = list[Callable[[int], float]]
DECAYS: Functions = [lambda e: 0.9**e, lambda e: 1 / (1 + e), lambda e: 0.5 + 0.5 * math.cos(e)]

#: schedule -> required arguments, options
ARGUMENTS: dict[str, tuple[dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]]]] = {
    "LambdaLR": ({"lr_lambda": (DECAYS[0], DECAYS[1], DECAYS[:2])}, {}),
    "MultiplicativeLR": ({"lr_lambda": (DECAYS[1], DECAYS[2], DECAYS[1:])}, {}),
    "StepLR": ({"step_size": (1, 7, 40)}, {"gamma": (0.5, 0.9, 1.1)}),
    "MultiStepLR": ({"milestones": ([5, 30, 30, 60], [0], [], [99])}, {"gamma": (0.5,)}),
    "ConstantLR": ({}, {"factor": (0.25, 1.0), "total_iters": (0, 1, 10, 200)}),
    "LinearLR": ({}, {"start_factor": (0.1, 1.0), "end_factor": (0.8, 0.2), "total_iters": (1, 40, 200)}),
    "ExponentialLR": ({"gamma": (0.97, 0.5, 1.01)}, {}),
    "PolynomialLR": ({}, {"total_iters": (1, 60, 200), "power": (2.0, 0.5)}),
    "CosineAnnealingLR": ({"T_max": (1, 23, 100, 300)}, {"eta_min": (0.01, 0.2)}),
    "CosineAnnealingWarmRestarts": ({"T_0": (1, 9, 200)}, {"T_mult": (2, 3), "eta_min": (0.01,)}),
    "CyclicLR": (
        {"base_lr": (0.1, [0.1, 0.2]), "max_lr": (0.9, [0.8, 0.5])},
        {
            "step_size_up": (1, 8, 33),
            "step_size_down": (3, 8),
            "mode": ("triangular2", "exp_range"),
            "gamma": (0.98,),
            "scale_fn": (DECAYS[1],),
            "scale_mode": ("iterations",),
            "cycle_momentum": (False,),
            "base_momentum": (0.5, [0.5, 0.6]),
            "max_momentum": (0.95,),
        },
    ),
    "OneCycleLR": (
        {"max_lr": (0.5, [0.5, 0.1])},
        {
            "total_steps": (STEPS + 1, 150),
            "epochs": (11, 20),
            "steps_per_epoch": (10, 15),
            "pct_start": (0.1, 0.5),
            "anneal_strategy": ("linear",),
            "cycle_momentum": (False,),
            "base_momentum": (0.5,),
            "max_momentum": (0.99,),
            "div_factor": (5.0,),
            "final_div_factor": (10.0,),
            "three_phase": (True,),
        },
    ),
    "ReduceLROnPlateau": (
        {},
        {
            "mode": ("max",),
            "factor": (0.5,),
            "patience": (0, 3),
            "threshold": (0.1,),
            "threshold_mode": ("abs",),
            "cooldown": (4,),
            "min_lr": (0.01, [0.1, 0.2]),
            "eps": (0.05,),
        },
    ),
}
ELSEWHERE = {"last_epoch"}  # tests/optim: resuming


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_drawn(name: str) -> None:
    listed = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
    required, options = ARGUMENTS[name]
    assert {*required, *options} == set(listed) - {"optimizer"} - ELSEWHERE


def drawn(d: Draw, name: str) -> dict[str, Any]:
    required, options = ARGUMENTS[name]
    arguments = {k: d.pick(*values) for k, values in required.items()} | d.keywords(**options)
    if name == "OneCycleLR" and not {"epochs", "steps_per_epoch"} <= arguments.keys():
        arguments.setdefault("total_steps", STEPS + 1)
    if (
        name == "OneCycleLR"
        and "total_steps" not in arguments
        and arguments["epochs"] * arguments["steps_per_epoch"] <= STEPS
    ):
        arguments["epochs"] = 11
    return arguments


def optimizer(lib: Any, name: str) -> Any:
    weights = [lib.ones(1).requires_grad_() for _ in range(2)]
    options = {"momentum": 0.7} if name == "SGD" else {}
    return getattr(lib.optim, name)([{"params": [weights[0]]}, {"params": [weights[1]], "lr": 0.05}], lr=0.4, **options)


def rates(scheduler: Any) -> list[Any]:
    groups = scheduler.optimizer.param_groups
    return [[float(g["lr"]), g.get("momentum", 0), *g.get("betas", ())] for g in groups]


def step(scheduler: Any, k: int) -> None:
    scheduler.optimizer.step()
    if "Plateau" in type(scheduler).__name__:
        scheduler.step(math.sin(k / 9) + 2 / (1 + k // 20))
    else:
        scheduler.step()


def assert_same_rates(mine: Any, other: Any, text: str) -> None:
    for got, want in zip(rates(mine), rates(other), strict=True):
        assert got == pytest.approx(want, rel=1e-12, abs=1e-15), text


def walk_both(make: Callable[[Any, Any], Any], of: str, text: str) -> None:
    """A hundred steps; half-way each takes over the other's state and goes on with it."""
    mine, other = (make(lib, optimizer(lib, of)) for lib in (tg, torch))
    assert_same_rates(mine, other, text)
    for k in range(STEPS):
        for scheduler in (mine, other):
            step(scheduler, k)
        assert_same_rates(mine, other, f"{text} after step {k}")
        assert [float(x) for x in mine.get_last_lr()] == pytest.approx(
            [float(x) for x in other.get_last_lr()], rel=1e-12
        )
        if k == STEPS // 2:
            ours, theirs = mine.state_dict(), other.state_dict()
            assert ours.keys() == theirs.keys(), text
            mine.load_state_dict(theirs)
            other.load_state_dict(ours)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_hundred_steps(name: str) -> None:
    @examples(6)
    @given(st.data())
    def agree(data: Any) -> None:
        d = Draw(data.draw)
        arguments, of = drawn(d, name), d.pick("SGD", "Adam")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            walk_both(
                lambda lib, o: getattr(lib.optim.lr_scheduler, name)(o, **arguments), of, f"{name}({arguments}) of {of}"
            )

    agree()


#: what goes on from the present rate, so that it may act with others
TOGETHER = ("ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "StepLR", "MultiStepLR", "CosineAnnealingLR")


@pytest.mark.parametrize("kind", ["SequentialLR", "ChainedScheduler"])
def test_several(kind: str) -> None:
    @examples(10)
    @given(st.data())
    def agree(data: Any) -> None:
        d = Draw(data.draw)
        parts = [(n, drawn(d, n)) for n in (d.pick(*TOGETHER) for _ in range(d.integer(1, 3)))]
        milestones = sorted(d.integer(1, 80) for _ in parts[1:])

        def make(lib: Any, o: Any) -> Any:
            L = lib.optim.lr_scheduler
            made = [getattr(L, n)(o, **arguments) for n, arguments in parts]
            return L.SequentialLR(o, made, milestones) if kind == "SequentialLR" else L.ChainedScheduler(made, o)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            walk_both(make, d.pick("SGD", "Adam"), f"{kind} {parts} {milestones}")

    agree()
