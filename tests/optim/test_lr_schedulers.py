"""Schedules against PyTorch: rates (and momenta) over 100 steps, states, errors."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import pytest

import trigrad as tg

STEPS = 100
# What makes a schedule, from the module lr_scheduler and an optimizer.
SCHEDULES: dict[str, Any] = {
    "lambda": lambda L, o: L.LambdaLR(o, lambda e: 0.95**e),
    "lambdas": lambda L, o: L.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (1 + e)]),
    "multiplicative": lambda L, o: L.MultiplicativeLR(o, lambda e: 1 - 1 / (e + 2)),
    "step": lambda L, o: L.StepLR(o, 7, 0.5),
    "multistep": lambda L, o: L.MultiStepLR(o, [5, 30, 30, 60], 0.3),
    "constant": lambda L, o: L.ConstantLR(o, 0.25, 10),
    "linear": lambda L, o: L.LinearLR(o, 0.1, 0.8, 40),
    "exponential": lambda L, o: L.ExponentialLR(o, 0.97),
    "polynomial": lambda L, o: L.PolynomialLR(o, 60, 2.0),
    "cosine": lambda L, o: L.CosineAnnealingLR(o, 23, 0.01),
    "cosine_default": lambda L, o: L.CosineAnnealingLR(o, 100),
    "restarts": lambda L, o: L.CosineAnnealingWarmRestarts(o, 9),
    "restarts_longer": lambda L, o: L.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "cyclic": lambda L, o: L.CyclicLR(o, 0.1, 0.9, 8),
    "cyclic_halved": lambda L, o: L.CyclicLR(o, [0.1, 0.2], 0.9, 8, 3, mode="triangular2"),
    "cyclic_exponential": lambda L, o: L.CyclicLR(o, 0.1, 0.9, 8, mode="exp_range", gamma=0.98),
    "cyclic_own": lambda L, o: L.CyclicLR(o, 0.1, 0.9, 8, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "one_cycle": lambda L, o: L.OneCycleLR(o, 0.5, STEPS + 1),
    "one_cycle_epochs": lambda L, o: L.OneCycleLR(
        o, [0.5, 0.1], epochs=11, steps_per_epoch=10, anneal_strategy="linear"
    ),
    "one_cycle_three": lambda L, o: L.OneCycleLR(o, 0.5, STEPS + 1, three_phase=True, pct_start=0.4, div_factor=5),
    "warm_up": lambda L, o: L.SequentialLR(o, [L.LinearLR(o, 0.1, total_iters=10), L.CosineAnnealingLR(o, 90)], [10]),
    "three_in_turn": lambda L, o: L.SequentialLR(
        o, [L.ConstantLR(o, 0.1, 3), L.ExponentialLR(o, 0.9), L.StepLR(o, 5, 0.5)], [10, 50]
    ),
    "chained": lambda L, o: L.ChainedScheduler([L.ConstantLR(o, 0.1, 20), L.ExponentialLR(o, 0.98)]),
    "chained_two": lambda L, o: L.ChainedScheduler([L.LinearLR(o, 0.1, total_iters=20), L.CosineAnnealingLR(o, 40)]),
}
PLATEAUS: dict[str, dict[str, Any]] = {
    "default": {},
    "max": {"mode": "max", "patience": 3, "factor": 0.5},
    "abs": {"threshold_mode": "abs", "threshold": 0.05, "patience": 2, "cooldown": 4},
    "floor": {"patience": 1, "min_lr": [0.01, 0.3], "eps": 0.02},
}


def optimizers(name: str = "SGD") -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    options = {"momentum": 0.7} if name == "SGD" else {}
    made = []
    for t in (tg, torch):
        w = [t.ones(1).requires_grad_() for _ in range(2)]
        made.append(getattr(t.optim, name)([{"params": [w[0]]}, {"params": [w[1]], "lr": 0.05}], lr=0.4, **options))
    return made[0], made[1]


def rates(optimizer: Any) -> list[Any]:
    return [[float(g["lr"]), g.get("momentum", 0), *g.get("betas", ())] for g in optimizer.param_groups]


def follow(scheduler: Any, optimizer: Any, steps: int = STEPS) -> list[Any]:
    seen = [rates(optimizer)]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append(rates(optimizer))
        assert [float(lr) for lr in scheduler.get_last_lr()] == [r[0] for r in seen[-1]]
    return seen


def assert_equal_rates(got: list[Any], want: list[Any]) -> None:
    for step, (g, w) in enumerate(zip(got, want, strict=True)):
        for x, y in zip(g, w, strict=True):
            assert x == pytest.approx(y, rel=1e-12, abs=1e-15), f"step {step}"


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("case", SCHEDULES)
def test_a_hundred_steps_are_pytorchs(case: str, name: str) -> None:
    import torch

    ours, theirs = optimizers(name)
    got = follow(SCHEDULES[case](tg.optim.lr_scheduler, ours), ours)
    assert_equal_rates(got, follow(SCHEDULES[case](torch.optim.lr_scheduler, theirs), theirs))
    assert len({repr(r) for r in got}) > 1


@pytest.mark.parametrize("case", SCHEDULES)
def test_states_are_pytorchs_and_go_on(case: str) -> None:
    import torch

    ours, theirs = optimizers()
    scheduler = SCHEDULES[case](tg.optim.lr_scheduler, ours)
    twin = SCHEDULES[case](torch.optim.lr_scheduler, theirs)
    follow(scheduler, ours, 17)
    follow(twin, theirs, 17)
    got, want = scheduler.state_dict(), twin.state_dict()
    assert got.keys() == want.keys()
    for key in want:
        if key not in ("_schedulers", "_last_lr", "T_cur"):
            assert got[key] == want[key], key
    kept, groups = copy.deepcopy(got), copy.deepcopy(ours.state_dict())
    expected = follow(scheduler, ours, 30)
    again, _ = optimizers()
    other = SCHEDULES[case](tg.optim.lr_scheduler, again)
    again.load_state_dict(groups)
    other.load_state_dict(kept)
    assert follow(other, again, 30) == expected


@pytest.mark.parametrize("case", PLATEAUS)
def test_plateaus(case: str) -> None:
    import torch

    ours, theirs = optimizers()
    scheduler = tg.optim.lr_scheduler.ReduceLROnPlateau(ours, **PLATEAUS[case])
    twin = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **PLATEAUS[case])
    seen = set()
    for step in range(STEPS):
        loss = math.sin(step / 9) + 2 / (1 + step // 20)
        scheduler.step(tg.tensor(loss, dtype=tg.float64))
        twin.step(loss)
        assert rates(ours) == rates(theirs)
        assert scheduler.get_last_lr() == twin.get_last_lr()
        seen.add(repr(rates(ours)))
    assert len(seen) > 2
    assert scheduler.state_dict() == twin.state_dict()
    scheduler.load_state_dict(twin.state_dict())
    assert scheduler.in_cooldown == twin.in_cooldown


def test_a_schedule_of_ones_own() -> None:
    class Halving(tg.optim.lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    optimizer = tg.optim.SGD([tg.ones(1)], lr=8.0)
    scheduler = Halving(optimizer)
    assert [r[0][0] for r in follow(scheduler, optimizer, 3)] == [8.0, 4.0, 2.0, 1.0]
    assert scheduler.state_dict()["last_epoch"] == 3


def test_closed_forms_at_a_given_epoch() -> None:
    import torch

    for case in ("step", "multistep", "constant", "linear", "exponential", "polynomial", "cosine", "lambda"):
        ours, theirs = optimizers()
        made = SCHEDULES[case](tg.optim.lr_scheduler, ours), SCHEDULES[case](torch.optim.lr_scheduler, theirs)
        for epoch in (3, 20, 31):
            for scheduler, optimizer in zip(made, (ours, theirs), strict=True):
                optimizer.step()
                with pytest.warns(UserWarning, match="epoch"):
                    scheduler.step(epoch)
            assert_equal_rates([rates(ours)], [rates(theirs)])


def test_restarts_take_fractions_of_epochs() -> None:
    import torch

    ours, theirs = optimizers()
    a = tg.optim.lr_scheduler.CosineAnnealingWarmRestarts(ours, 3, 2)
    b = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, 2)
    for epoch in (0.5, 2.9, 3.25, 10.0, 25.5):
        a.step(epoch)
        b.step(epoch)
        assert_equal_rates([rates(ours)], [rates(theirs)])
    with pytest.raises(ValueError, match="Expected non-negative epoch"):
        a.step(-1)


def test_schedules_in_turn_may_hold_schedules_in_turn_and_chains() -> None:
    L = tg.optim.lr_scheduler
    (a, _), (b, _) = optimizers(), optimizers()
    inner = L.SequentialLR(a, [L.LinearLR(a, 0.5), L.ExponentialLR(a, 0.9)], [6])
    nested = L.SequentialLR(a, [inner, L.ChainedScheduler([L.PolynomialLR(a, 50), L.ConstantLR(a, 0.5, 7)])], [30])
    flat = L.SequentialLR(b, [L.LinearLR(b, 0.5), L.ExponentialLR(b, 0.9), L.PolynomialLR(b, 50)], [6, 30])
    got, want = follow(nested, a), follow(flat, b)
    assert_equal_rates(got[:30], want[:30])
    halved = [[[r[0] / 2, *r[1:]] for r in step] for step in want[30:37]]
    assert_equal_rates(got[30:37], halved)
    assert_equal_rates(got[37:], want[37:])


def test_a_rate_that_is_a_tensor_is_filled() -> None:
    rate = tg.tensor(1.0)
    optimizer = tg.optim.SGD([tg.ones(1)], lr=rate)
    scheduler = tg.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.5


def test_resuming() -> None:
    optimizer = tg.optim.SGD([tg.ones(1)], lr=1.0)
    with pytest.raises(KeyError, match="initial_lr"):
        tg.optim.lr_scheduler.StepLR(optimizer, 2, last_epoch=3)
    first = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    follow(first, optimizer, 4)
    resumed = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, last_epoch=first.last_epoch)
    assert resumed.last_epoch == 5


RESUMED: dict[str, Any] = {
    "lambda": lambda L, o, e: L.LambdaLR(o, lambda k: 0.95**k, e),
    "multiplicative": lambda L, o, e: L.MultiplicativeLR(o, lambda k: 1 - 1 / (k + 2), e),
    "step": lambda L, o, e: L.StepLR(o, 2, 0.5, e),
    "multistep": lambda L, o, e: L.MultiStepLR(o, [4, 6], 0.3, e),
    "constant": lambda L, o, e: L.ConstantLR(o, 0.25, 6, e),
    "linear": lambda L, o, e: L.LinearLR(o, 0.1, 0.8, 7, e),
    "exponential": lambda L, o, e: L.ExponentialLR(o, 0.9, e),
    "polynomial": lambda L, o, e: L.PolynomialLR(o, 9, 2.0, e),
    "cosine": lambda L, o, e: L.CosineAnnealingLR(o, 5, 0.01, e),
    "restarts": lambda L, o, e: L.CosineAnnealingWarmRestarts(o, 4, 2, 0.01, e),
}


@pytest.mark.parametrize("last_epoch", [0, 2, 3, 5])
@pytest.mark.parametrize("name", list(RESUMED))
def test_resumed_at_an_epoch(name: str, last_epoch: int) -> None:
    """The rates after a schedule was made anew for an optimizer that has seen `last_epoch` epochs."""
    mine, theirs = optimizers()
    found = []
    for optimizer, t in ((mine, tg), (theirs, pytest.importorskip("torch"))):
        for group in optimizer.param_groups:
            group["initial_lr"] = 2 * group["lr"]
        scheduler = RESUMED[name](t.optim.lr_scheduler, optimizer, last_epoch)
        rates = [scheduler.get_last_lr()]
        for _ in range(6):
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr())
        found.append(rates)
    for a, b in zip(*found, strict=True):
        assert a == pytest.approx(b, rel=1e-12)


def test_order_of_steps_and_get_lr_are_warned_of() -> None:
    optimizer = tg.optim.SGD([tg.ones(1)], lr=1.0)
    scheduler = tg.optim.lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    optimizer = tg.optim.SGD([tg.ones(1)], lr=1.0)
    scheduler = tg.optim.lr_scheduler.StepLR(optimizer, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "no optimizer": (lambda L, o: L.StepLR(tg.ones(1), 3), TypeError, "Tensor is not an Optimizer"),
    "factor": (lambda L, o: L.ConstantLR(o, 2), ValueError, "between 0 and 1"),
    "start": (lambda L, o: L.LinearLR(o, 0), ValueError, "Starting multiplicative factor"),
    "end": (lambda L, o: L.LinearLR(o, end_factor=2), ValueError, "Ending multiplicative factor"),
    "T_0": (lambda L, o: L.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
    "T_mult": (lambda L, o: L.CosineAnnealingWarmRestarts(o, 1, 0), ValueError, "T_mult >= 1"),
    "total": (lambda L, o: L.OneCycleLR(o, 0.1), ValueError, "You must define either total_steps"),
    "total_sign": (lambda L, o: L.OneCycleLR(o, 0.1, -1), ValueError, "positive integer total_steps"),
    "epochs": (lambda L, o: L.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=1), ValueError, "positive integer epochs"),
    "pct": (lambda L, o: L.OneCycleLR(o, 0.1, 10, pct_start=2), ValueError, "pct_start"),
    "strategy": (lambda L, o: L.OneCycleLR(o, 0.1, 10, anneal_strategy="x"), ValueError, "anneal_strategy"),
    "no momentum": (
        lambda L, o: L.OneCycleLR(tg.optim.Adagrad([tg.ones(1)]), 0.1, 10),
        ValueError,
        "must support momentum or beta1",
    ),
    "mode": (lambda L, o: L.CyclicLR(o, 0.1, 0.2, mode="q"), ValueError, "mode is invalid"),
    "lambdas": (lambda L, o: L.LambdaLR(o, [abs] * 2), ValueError, "expected 1 values for lr_lambda"),
    "no lambda": (lambda L, o: L.MultiplicativeLR(o, 3), TypeError, "lr_lambda should be a function, but got int"),
    "plateau": (lambda L, o: L.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
    "plateau mode": (lambda L, o: L.ReduceLROnPlateau(o, mode="a"), ValueError, "mode a is unknown"),
    "threshold": (lambda L, o: L.ReduceLROnPlateau(o, threshold_mode="a"), ValueError, "threshold mode a is unknown"),
    "min_lr": (lambda L, o: L.ReduceLROnPlateau(o, min_lr=[1, 2]), ValueError, "expected 1 values for min_lr"),
    "milestones": (lambda L, o: L.SequentialLR(o, [L.ConstantLR(o)], [2]), ValueError, "one more than the number"),
    "none": (lambda L, o: L.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
    "none chained": (lambda L, o: L.ChainedScheduler([]), ValueError, "at least one scheduler"),
    "another": (
        lambda L, o: L.ChainedScheduler([L.ConstantLR(o), L.ConstantLR(tg.optim.SGD([tg.ones(1)]))]),
        ValueError,
        "belong to the same optimizer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        make(tg.optim.lr_scheduler, tg.optim.SGD([tg.ones(1)], lr=0.1))


def test_one_cycle_does_not_go_beyond_its_end() -> None:
    optimizer = tg.optim.SGD([tg.ones(1)], lr=0.1, momentum=0.5)
    scheduler = tg.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 3)
    follow(scheduler, optimizer, 3)
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        scheduler.step()
