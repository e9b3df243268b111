"""Variables, attributes and functions that a compiled function finds by name, and what happens when they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from compile.steps import advance, assert_same, batches, net, run_both, twins, usual

alpha = 2.0


def helper(x: Any) -> Any:
    return x * alpha


def test_numbers_of_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tg.compile(lambda x: helper(x) + 1)
    assert compiled(tg.ones(1)).item() == 3.0
    monkeypatch.setitem(globals(), "alpha", 5.0)
    assert compiled(tg.ones(1)).item() == 6.0


def test_tensors_that_variables_name_anew() -> None:
    w = tg.tensor([2.0])
    compiled = tg.compile(lambda x: x * w)
    assert compiled(tg.ones(1)).item() == 2.0
    w = tg.tensor([3.0])
    assert compiled(tg.ones(1)).item() == 3.0


def test_loss_function_exchanged() -> None:
    model = net()
    loss = tg.nn.functional.mse_loss
    compiled = tg.compile(lambda x, y: loss(model(x), y))
    x, y = tg.ones(4, 6), tg.zeros(4, 3)
    first = compiled(x, y).item()
    loss = tg.nn.functional.l1_loss
    assert compiled(x, y).item() == loss(model(x), y).item() != first


def test_attributes_of_modules() -> None:
    t = twins(lambda: net(dropout=True))
    eager, compiled = run_both(t)
    for model, _ in t:
        model[2].p = 0.1
    advance(t, eager, compiled, seed=1)
    for model, _ in t:
        model[1] = tg.nn.Tanh()
    advance(t, eager, compiled, seed=2)


def test_methods() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model, self.optimizer = twins().compiled

        @tg.compile
        def step(self, x: Any, y: Any) -> Any:
            return usual(self.model, self.optimizer)(x, y)

    t = twins()
    eager, trainers = usual(*t.eager), [Trainer(), Trainer()]
    for x, y in batches(3):
        expected = eager(x, y)
        for trainer in trainers:
            assert_same(trainer.step(x, y), expected)


# ---- hooks, schedules, what is caught


def trained_with(k: Callable[[], float], compile: Callable[..., Any], way: str, act: Callable[[], None]) -> list[Any]:
    """Six steps of a layer with a hook that scales, `act` after three."""
    tg.manual_seed(1)
    layer: Any = tg.nn.Linear(6, 3)
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)
    if way == "gradient":
        layer.weight.register_hook(lambda g: g * k())
    elif way == "after gradient":
        layer.weight.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(k()))
    elif way == "module":
        layer.register_forward_hook(lambda module, given, out: out * k())
    else:
        optimizer.register_step_pre_hook(lambda o, args, kwargs: [layer.bias.grad.mul_(k()), None][1])
    step = compile(usual(layer, optimizer))
    found = []
    for n, (x, y) in enumerate(batches(6)):
        if n == 3:
            act()
        found.append(step(x, y).tolist())
    return [*found, layer.weight.tolist(), layer.bias.tolist()]


@pytest.mark.parametrize("way", ["gradient", "after gradient", "module", "step"])
def test_numbers_that_hooks_close_over(way: str) -> None:
    scales = {"k": 1.0}
    results = []
    for compile in (tg.compile, lambda f: f):
        scales["k"] = 2.0
        results.append(trained_with(lambda: scales["k"], compile, way, lambda: scales.update(k=0.5)))
    assert results[0] == results[1]
    scales["k"] = 2.0
    assert trained_with(lambda: scales["k"], tg.compile, way, lambda: None) != results[0]


def test_rates_that_a_step_asks_a_schedule_for() -> None:
    w = tg.nn.Parameter(tg.ones(3))
    schedule = tg.optim.lr_scheduler.StepLR(tg.optim.SGD([w], lr=1.0), 1, 0.5)
    compiled = tg.compile(lambda x: x * schedule.get_last_lr()[0])
    for k in range(4):
        for _ in range(2):
            assert compiled(tg.ones(1)).item() == 0.5**k
        schedule.optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    "read", [lambda x: x.sum().item(), bool, lambda x: x * np.ones(1), str], ids=["item", "bool", "array", "print"]
)
def test_a_refusal_that_is_caught_is_raised_at_the_end(read: Callable[[Any], Any]) -> None:
    state = tg.zeros(())

    def step(x: Any) -> Any:
        state.add_(1)
        try:
            read(x)
        except RuntimeError:
            return x
        return x * 2

    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"reads a tensor's value|expected the array as an argument"):
            tg.compile(step)(tg.ones(1))
    assert state.item() == 0


def test_generators_and_coroutines() -> None:
    def yielding(x: Any) -> Any:
        yield x * 2

    async def later(x: Any) -> Any:
        return x * 2

    for function in (yielding, lambda x: iter([x])):
        with pytest.raises(RuntimeError, match="return its elements in a list"):
            tg.compile(function)(tg.ones(1))
    coroutine: list[Any] = []
    with pytest.raises(RuntimeError, match="returns a generator or a coroutine"):
        tg.compile(lambda x: coroutine.append(later(x)) or coroutine[0])(tg.ones(1))
    coroutine[0].close()
