"""Variables, attributes and functions that a compiled function finds by name, and what happens when they change."""

from __future__ import annotations

from typing import Any

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
