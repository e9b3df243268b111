"""Steps whose rows threads share out: whatever the cut, the bits of one thread and one call; and how the rows are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from compile.twins import THREADS, Subject, assert_twins, generator, on
from trigrad import nn
from trigrad.nn import functional as F

Step = tuple[Any, ...]
ROWS = (1, 63, 64, 65, 127, 129, 257, 300, 513, 1000, 4097, 10_000)
CALLS = 2  # recorded, replayed


def dense(x: int, *widths: int, activation: Callable[[], Any] = nn.ReLU, normal: Any = None) -> nn.Sequential:
    layers: list[Any] = []
    for k, n in zip((x, *widths), widths, strict=False):
        layers += [nn.Linear(k, n), *([normal(n)] if normal else []), activation()]
    return nn.Sequential(*layers[:-1])


def classes(rows: int, g: tg.Generator) -> tg.Tensor:
    """Every seventh is to be ignored."""
    target = tg.randint(0, 3, (rows,), generator=g)
    return tg.where(tg.arange(rows) % 7 == 0, -100, target)


def weighted_classes() -> tuple[Any, ...]:
    weight = tg.tensor([0.5, 1.0, 2.0])
    return dense(7, 33, 20, 3), lambda z, y: F.cross_entropy(z, y, weight, label_smoothing=0.1)


def normalized() -> tuple[Any, ...]:
    """Batch statistics in each layer, with and without running ones; a row of classes."""
    model = nn.Sequential(
        *(nn.Linear(7, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2)),
        *(nn.Linear(24, 17), nn.BatchNorm1d(17, affine=False, track_running_stats=False), nn.Tanh(), nn.Linear(17, 3)),
    )
    return model, lambda z, y: F.cross_entropy(z, y, reduction="sum")


def one_logit() -> tuple[Any, ...]:
    """Weights of events, and batch norm whose statistics are frozen."""
    model = nn.Sequential(nn.Linear(7, 40), nn.Tanh(), nn.BatchNorm1d(40).eval(), nn.LayerNorm(40), nn.Linear(40, 1))

    def loss(z: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        weight = (y.to(tg.float32) + 101).sqrt()
        return F.binary_cross_entropy_with_logits(z.squeeze(1), (y > 0).to(tg.float32), weight)

    return model, loss


def own_loss() -> tuple[Any, ...]:
    """Losses of rows, summed by hand, and a sum over the batch that another term needs."""

    def loss(z: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        rows = F.cross_entropy(z, y, reduction="none")
        return rows.mean() + z.sum(0).square().mean() * 1e-3

    return dense(7, 16, 16, 3, activation=nn.Tanh, normal=nn.LayerNorm), loss


MODELS = {m.__name__: m for m in (weighted_classes, normalized, one_logit, own_loss)}


def subject(made: Callable[[], tuple[Any, ...]], optimizer: Any = tg.optim.Adam) -> Subject:
    model, loss = made()
    rule = optimizer(model.parameters(), lr=0.01)

    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        rule.zero_grad()
        z = model(x)
        total: tg.Tensor = loss(z, y)
        total.backward()
        rule.step()
        return total

    return Subject(step, (model, rule))


def batches(rows: int) -> list[Step]:
    drawn = []
    for call in range(CALLS):
        g = generator(10 * rows + call)
        drawn.append((tg.randn(rows, 7, generator=g), classes(rows, g)))
    return drawn


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("model", MODELS)
def test_bits(model: str, rows: int, full: bool) -> None:
    if rows == 1 and model == "normalized":
        pytest.skip("batch statistics need two rows")
    most = THREADS if full or rows < 4000 else (1, 3)
    assert_twins(lambda: subject(MODELS[model]), batches(rows), most)


@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.RMSprop, tg.optim.AdamW])
def test_parameters_are_shared_out(optimizer: Any) -> None:
    """An optimizer's step over some of the parameters on each thread: more threads than parameters, fewer, as many."""
    assert_twins(lambda: subject(weighted_classes, optimizer), batches(600), (2, 3, 6, 8))


def test_wrong_class_changes_nothing() -> None:
    """The targets are looked at before anything is written, wherever the row lies."""
    with on(2):
        made = subject(weighted_classes)
        step = tg.compile(made.step)
        x, y = batches(300)[0]
        for _ in range(3):
            step(x, y)
        state = {name: value.clone() for name, value in made.parts[0].state_dict().items()}
        gradients = [p.grad.clone() for p in made.parts[0].parameters()]
        for row in (0, 299):
            wrong = y.clone()
            wrong[row] = 3
            with pytest.raises(IndexError, match=rf"\[cross_entropy\] target\[{row}\] is 3, expected a class"):
                step(x, wrong)
            assert all(bool((value == state[name]).all()) for name, value in made.parts[0].state_dict().items())
            assert all(bool((p.grad == g).all()) for p, g in zip(made.parts[0].parameters(), gradients, strict=True))


def schedule(rows: int, threads: int, made: Callable[[], tuple[Any, ...]] = weighted_classes) -> tuple[Any, Any, int]:
    """Rows of the shards, slots of instructions (negative ones by shards), bytes of the arena."""
    with on(threads):
        step = tg.compile(subject(made).step)
        for _ in range(2):
            step(*batches(rows)[0])
        plan = step.plans[0]
        return (*plan._core.schedule, plan.arena_bytes)


@pytest.mark.parametrize(("rows", "threads", "expected"), [
    (128, 2, [64, 64]), (257, 2, [128, 129]), (300, 2, [128, 172]), (513, 2, [256, 257]), (1000, 3, [320, 320, 360]),
    (10_000, 2, [5120, 4880]), (64, 2, []),
])  # fmt: skip
def test_rows_are_cut_evenly(rows: int, threads: int, expected: list[int]) -> None:
    assert schedule(rows, threads)[0] == expected


def test_one_fork_a_step() -> None:
    """Forward and backward pass of a shard are one list; batch statistics cost two meetings on the way there, one back."""
    slots = schedule(512, 2)[1]
    assert sum(slot[0] < 0 for slot in slots) == 1
    slots = schedule(512, 2, normalized)[1]
    assert sum(slot[0] < 0 for slot in slots) == 1 + 2 * (2 + 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_batches_stay_in_the_cache(threads: int) -> None:
    """What the backward pass reads of the forward pass has memory for some rows only."""
    small, large = (schedule(rows, threads)[2] for rows in (20_000, 100_000))
    assert large < 3 << 20
    assert large - small <= 5 * 80_000  # the losses of the rows, and a few more sums
