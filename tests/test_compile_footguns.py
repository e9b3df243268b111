"""What surprises users of compiled functions elsewhere, in the order of a list of it. Each case works with the bits of eager, or
raises with a remedy; tests/compile/ goes deeper into each.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from compile.steps import (
    Step,
    advance,
    after,
    assert_refused,
    assert_same,
    assert_twins,
    batches,
    here,
    in_threads,
    net,
    run_both,
    twins,
    usual,
)

# ---- works, with the bits of eager


def test_training() -> None:
    t = twins()
    _, compiled = run_both(t)
    assert len(compiled.plans) == 1
    assert compiled.plans[0].calls == 3


def test_scheduler() -> None:
    t = twins()
    eager, compiled = usual(*t.eager), tg.compile(usual(*t.compiled))
    schedulers = [tg.optim.lr_scheduler.StepLR(o, 2, 0.5) for _, o in t]
    for k in range(6):
        advance(t, eager, compiled, 1, seed=k)
        for s in schedulers:
            s.step()
    assert t.compiled[1].param_groups[0]["lr"] == pytest.approx(0.01 / 8)
    assert len(compiled.plans) == 1


def test_learning_rate_set_by_hand() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for _, optimizer in t:
        optimizer.param_groups[0]["lr"] = 0.2
    advance(t, eager, compiled, seed=1)
    assert len(compiled.plans) == 1


def test_dropout_draws_the_masks_of_eager() -> None:
    run_both(twins(lambda: net(dropout=True)), n=5)


def test_batchnorm_statistics() -> None:
    t = twins(lambda: net(norm=True))
    run_both(t, n=5)
    assert t.compiled[0][1].num_batches_tracked.item() == 5


def test_shapes_that_change_down_to_one_row() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for rows in (5, 1, 16, 5, 1):
        advance(t, eager, compiled, 2, rows, seed=rows)
    assert len(compiled.plans) == 3


def test_edits_from_outside() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for model, _ in t:
        with tg.no_grad():
            model[0].weight.mul_(0.5)
            model[2].bias[1] = 0.25
        model[0].weight.detach().numpy()[0, 0] = 3.0
    advance(t, eager, compiled, seed=1)
    assert len(compiled.plans) == 1


def test_load_state_dict() -> None:
    t = twins()
    eager, compiled = run_both(t)
    other = twins()
    run_both(other, n=2)
    for (model, optimizer), (source, its) in zip(t, other, strict=True):
        model.load_state_dict(source.state_dict())
        optimizer.load_state_dict(its.state_dict())
    advance(t, eager, compiled, seed=1)


def test_train_and_eval() -> None:
    t = twins(lambda: net(dropout=True, norm=True))
    eager, compiled = run_both(t)
    for training in (False, True, False):
        for model, _ in t:
            model.train(training)
        advance(t, eager, compiled, 3, seed=training)
    assert len(compiled.plans) <= 2


def test_reused_input_arrays() -> None:
    t = twins()
    eager, compiled = usual(*t.eager), tg.compile(usual(*t.compiled))
    x, y = np.zeros((16, 6), np.float32), np.zeros(16, np.int64)
    for bx, by in batches(4):
        x[:], y[:] = bx.numpy(), by.numpy()
        assert_same(eager(tg.from_numpy(x), tg.from_numpy(y)), compiled(x, y))
    assert_twins(t)


def test_kept_outputs() -> None:
    double = tg.compile(lambda x: (x * 2, x + 1))
    kept = [double(here(tg.full((3,), float(k)))) for k in range(4)]
    assert [(a.tolist(), b.tolist()) for a, b in kept] == [([2.0 * k] * 3, [k + 1.0] * 3) for k in range(4)]


def test_gradients_accumulated_over_calls() -> None:
    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any) -> Any:
            loss = tg.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return step

    t = twins()
    eager, compiled = run_both(t, make, 3)
    for _ in range(3):
        for _, optimizer in t:
            optimizer.step()
            optimizer.zero_grad()
        advance(t, eager, compiled, 3)
    for _, optimizer in t:
        optimizer.zero_grad(set_to_none=False)
    advance(t, eager, compiled, 2)
    assert len(compiled.plans) == 2


def test_clipping() -> None:
    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = tg.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            norm = tg.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            tg.nn.utils.clip_grad_value_(model.parameters(), 0.05)
            optimizer.step()
            return loss + norm

        return step

    run_both(twins(), make)


def test_event_weights() -> None:
    t = twins()

    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any, w: Any) -> Any:
            optimizer.zero_grad()
            loss = tg.nn.CrossEntropyLoss()(model(x), y, sample_weight=w)
            loss.backward()
            optimizer.step()
            return loss

        return step

    eager, compiled = make(*t.eager), tg.compile(make(*t.compiled))
    for k, (x, y) in enumerate(batches(4)):
        w = here(tg.rand(16, generator=tg.Generator().manual_seed(k)))
        assert_same(eager(x, y, w), compiled(x, y, w))
    assert_twins(t)


class Tied(tg.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into = tg.nn.Linear(6, 4)
        self.out = tg.nn.Linear(4, 3, bias=False)
        self.table = tg.nn.Parameter(tg.rand(4, 4))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        hidden = tg.tanh(self.into(x)) @ self.table
        hidden = tg.tanh(hidden @ self.table.T)  # the same weights once more, transposed
        half = self.table[:2].reshape(-1)[:4]  # views of a parameter
        return self.out(hidden * half)


def test_tied_weights_and_views_of_parameters() -> None:
    run_both(twins(Tied))


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: tg.optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: tg.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.01),
    "SGD nesterov": lambda p: tg.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "ProximalSGD": lambda p: tg.optim.ProximalSGD(p, lr=0.1, l1=0.01),
    "Adam amsgrad": lambda p: tg.optim.Adam(p, amsgrad=True, maximize=True),
    "AdamW": lambda p: tg.optim.AdamW(p),
    "Adagrad": lambda p: tg.optim.Adagrad(p, lr_decay=0.1),
    "Adadelta": lambda p: tg.optim.Adadelta(p),
    "RMSprop": lambda p: tg.optim.RMSprop(p, centered=True, momentum=0.5),
    "Adamax": lambda p: tg.optim.Adamax(p),
    "NAdam": lambda p: tg.optim.NAdam(p),
    "RAdam": lambda p: tg.optim.RAdam(p),
    "ASGD": lambda p: tg.optim.ASGD(p, t0=2),
    "Rprop": lambda p: tg.optim.Rprop(p),
    "groups": lambda p: tg.optim.Adam([{"params": list(p), "lr": 0.1}]),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name: str) -> None:
    _, compiled = run_both(twins(optimizer=OPTIMIZERS[name]), n=5)
    assert len(compiled.plans) == 1


def test_two_plans_in_two_threads() -> None:
    pairs = [twins(), twins(lambda: net(norm=True))]
    functions = [(usual(*t.eager), tg.compile(usual(*t.compiled))) for t in pairs]
    in_threads([lambda k=k: advance(pairs[k], *functions[k], 20) for k in range(2)])  # type: ignore[misc]


def test_one_plan_in_two_threads() -> None:
    """Serialised: as many steps as calls, whatever the order."""
    t = twins(optimizer=lambda p: tg.optim.SGD(p, lr=0.0))
    (_, compiled) = run_both(t)
    x, y = next(batches(1))
    expected = compiled(x, y)

    def work() -> None:
        for _ in range(50):
            assert_same(compiled(x, y), expected)

    in_threads([work, work])
    count = here(tg.zeros(()))
    rise = tg.compile(lambda: count.add_(1))
    in_threads([lambda: [rise() for _ in range(100)] and None for _ in range(2)])
    assert count.item() == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork() -> None:
    t = twins()
    eager, compiled = run_both(t)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        ok = b"0"
        try:
            advance(t, eager, compiled, seed=1)
            ok = b"1"
        finally:
            os.write(writing, ok)
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    os.close(writing)
    advance(t, eager, compiled, seed=1)


# ---- works, or raises with the remedy and has changed nothing


def branch(loss: Any, x: Any, y: Any) -> None:
    if loss > 1:
        x.sum()


READING: dict[str, Callable[..., Any]] = {
    "a branch": branch,
    "item": lambda loss, x, y: loss.item(),
    "float": lambda loss, x, y: float(loss),
    "numpy": lambda loss, x, y: loss.detach().numpy(),
    "array": lambda loss, x, y: np.asarray(loss.detach()),
    "tolist": lambda loss, x, y: x.tolist(),
    "print": lambda loss, x, y: str(x),
    "equal": lambda loss, x, y: tg.equal(x, x),
    "mask": lambda loss, x, y: x[x > 0],
    "nonzero": lambda loss, x, y: tg.nonzero(x),
    "unique": lambda loss, x, y: tg.bincount(y),
    "data_ptr": lambda loss, x, y: x.data_ptr(),
}


@pytest.mark.parametrize("name", READING)
def test_values_read_by_python(name: str) -> None:
    assert_refused(after(READING[name]), "reads a tensor's value while a step is recorded")


def test_hooks_made_of_ops() -> None:
    t = twins()
    eager, compiled = run_both(t)
    handles = [model[0].weight.register_hook(lambda g: g * 2) for model, _ in t]
    advance(t, eager, compiled, seed=1)
    handles += [model[1].register_forward_hook(lambda m, args, out: out * 0.5) for model, _ in t]
    advance(t, eager, compiled, seed=2)
    for h in handles:
        h.remove()
    advance(t, eager, compiled, seed=3)


class Cube(tg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: tg.Tensor) -> tg.Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, grad: tg.Tensor) -> tg.Tensor:
        (x,) = ctx.saved_tensors
        return grad * 3 * x * x


def test_autograd_function() -> None:
    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = tg.nn.functional.cross_entropy(Cube.apply(model(x)), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    run_both(twins(), make)


kept: list[Any] = []


def test_tensors_kept_in_a_list() -> None:
    try:
        assert_refused(after(lambda loss, x, y: kept.append(loss.detach())), "kept outside of it")
    finally:
        kept.clear()


def test_random_numbers_of_python() -> None:
    assert_refused(after(lambda loss, x, y: x * random.random()), "draw them outside")


def test_random_numbers_of_numpy() -> None:
    assert_refused(after(lambda loss, x, y: x * float(np.random.rand())), "draw them outside")  # noqa: NPY002


def test_manual_seed() -> None:
    assert_refused(after(lambda loss, x, y: tg.manual_seed(1)), "outside of the compiled function")


def test_lbfgs() -> None:
    t = twins(optimizer=lambda p: tg.optim.LBFGS(p))
    model, optimizer = t.compiled

    def step(x: Any, y: Any) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = tg.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return optimizer.step(closure)

    with pytest.raises(RuntimeError, match="reads a tensor's value"):
        tg.compile(step)(*next(batches(1)))
    for p, q in zip(t.eager[0].parameters(), model.parameters(), strict=True):
        assert_same(p, q)


def test_detect_anomaly() -> None:
    def make(model: Any, optimizer: Any) -> Step:
        inner = usual(model, optimizer)

        def step(x: Any, y: Any) -> Any:
            with tg.autograd.detect_anomaly():
                return inner(x, y)

        return step

    assert_refused(make, "reads a tensor's value")


def test_nested_compile() -> None:
    inner = tg.compile(lambda x: x * 2)
    outer = tg.compile(lambda x: inner(x) + 1)
    assert [outer(here(tg.full((1,), float(k)))).item() for k in range(3)] == [1.0, 3.0, 5.0]
    assert inner(here(tg.ones(1))).item() == 2.0


def test_exception_in_the_middle() -> None:
    def oops(loss: Any, x: Any, y: Any) -> None:
        raise KeyError("oops")

    assert_refused(after(oops), "oops", KeyError)


@pytest.mark.parametrize("norm", [False, True])
def test_class_out_of_range(norm: bool) -> None:
    """In a replay: what was written before the loss was computed is as it was."""
    t = twins(lambda: net(norm=norm, dropout=True))
    eager, compiled = run_both(t)
    for x, y in batches(2, seed=9):
        y[3] = 99
        state = tg.get_rng_state()
        versions = [b._version for b in t.compiled[0].buffers()]
        with pytest.raises(IndexError, match="99"):
            compiled(x, y)
        assert tg.equal(tg.get_rng_state(), state)
        assert_twins(t)
        assert all(b._version >= v for b, v in zip(t.compiled[0].buffers(), versions, strict=True))
    advance(t, eager, compiled, seed=1)


def test_wrong_shape() -> None:
    t = twins()
    eager, compiled = run_both(t)
    with pytest.raises(RuntimeError, match="features"):
        compiled(here(tg.ones(16, 7)), here(tg.zeros(16, dtype=tg.int64)))
    with pytest.raises(ValueError, match="target"):
        compiled(here(tg.ones(16, 6)), here(tg.zeros(15, dtype=tg.int64)))
    assert_twins(t)
    advance(t, eager, compiled, seed=1)


def test_frozen_parameters() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for frozen in (True, False):
        for model, _ in t:
            model[0].requires_grad_(not frozen)
        advance(t, eager, compiled, seed=frozen)


def test_replaced_parameters() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for model, _ in t:
        model[0].weight.data = here(tg.full((8, 6), 0.1))
    advance(t, eager, compiled, seed=1)
    for model, optimizer in t:
        model[0].weight = tg.nn.Parameter(here(tg.full((8, 6), 0.2)))
        optimizer.param_groups[0]["params"][0] = model[0].weight
    advance(t, eager, compiled, seed=2)


# ---- numbers of Python

alpha = 2.0


def test_numbers_of_closures_and_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    beta = 10.0

    def function(x: Any) -> Any:
        return x * alpha + beta

    compiled = tg.compile(function)
    x = here(tg.tensor([1.0]))
    for a, b in ((2.0, 10.0), (2.0, 20.0), (3.0, 20.0), (2.0, 10.0)):
        monkeypatch.setitem(globals(), "alpha", a)
        beta = b
        for _ in range(2):
            assert compiled(x).tolist() == [a + b]
    assert len(compiled.plans) == 3


def test_deeper_constants_are_frozen_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE", "2")
    compiled = tg.compile(lambda x: x * float(os.environ["SCALE"]))
    x = tg.tensor([1.0])
    assert compiled(x).item() == 2.0
    monkeypatch.setenv("SCALE", "3")
    assert compiled(x).item() == 2.0
    _, documented = (tg.compile.__doc__ or "").split("constant:")
    for word in ("os.environ", "getattr()", "larger lists and arrays", "installed packages"):
        assert word in " ".join(documented.split())
