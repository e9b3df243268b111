"""What surprises users of compiled functions elsewhere. Each case works with the bits of eager, or raises with a remedy."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import trigrad as tg

Step = Callable[..., Any]


class Twins(NamedTuple):
    """Two equal networks with their optimizers: one is trained by the function itself, the other by the compiled one."""

    eager: tuple[Any, Any]
    compiled: tuple[Any, Any]


def net(dropout: bool = False, norm: bool = False, bias: bool = True) -> tg.nn.Sequential:
    layers: list[Any] = [tg.nn.Linear(6, 8, bias=bias)]
    if norm:
        layers.append(tg.nn.BatchNorm1d(8))
    layers.append(tg.nn.ReLU())
    if dropout:
        layers.append(tg.nn.Dropout(0.4))
    return tg.nn.Sequential(*layers, tg.nn.Linear(8, 3))


def twins(make: Callable[[], Any] = net, optimizer: Callable[[Any], Any] | None = None) -> Twins:
    def one() -> tuple[Any, Any]:
        tg.manual_seed(3)
        model = make()
        return model, (optimizer or (lambda p: tg.optim.Adam(p, lr=0.01)))(model.parameters())

    return Twins(one(), one())


def usual(model: Any, optimizer: Any) -> Step:
    loss_fn = tg.nn.CrossEntropyLoss()

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def batches(n: int, rows: int = 16, seed: int = 0) -> Iterator[tuple[tg.Tensor, tg.Tensor]]:
    g = tg.Generator().manual_seed(seed + 100)
    for _ in range(n):
        yield tg.randn(rows, 6, generator=g), tg.randint(0, 3, (rows,), generator=g)


def assert_same(a: Any, b: Any) -> None:
    assert a.shape == b.shape
    assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def assert_twins(t: Twins) -> None:
    """Parameters, buffers, gradients and states have the same bits."""
    (a, oa), (b, ob) = t.eager, t.compiled
    for (name, x), (_, y) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert x.numpy().tobytes() == y.numpy().tobytes(), name
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert_same(p.grad, q.grad)
        for name, value in oa.state.get(p, {}).items():
            if isinstance(value, tg.Tensor):
                assert_same(value, ob.state[q][name])


def run_both(t: Twins, make_step: Callable[[Any, Any], Step] = usual, n: int = 4, rows: int = 16) -> tuple[Step, Any]:
    """n steps of each over the same batches and the same random numbers; every result is compared."""
    eager, compiled = make_step(*t.eager), tg.compile(make_step(*t.compiled))
    advance(t, eager, compiled, n, rows)
    return eager, compiled


def advance(t: Twins, eager: Step, compiled: Step, n: int = 4, rows: int = 16, seed: int = 0) -> None:
    for x, y in batches(n, rows, seed):
        state = tg.get_rng_state()
        a = eager(x, y)
        after = tg.get_rng_state()
        tg.set_rng_state(state)
        b = compiled(x, y)
        assert tg.equal(tg.get_rng_state(), after)
        assert_same(a, b)
    assert_twins(t)


# ---- works, with the bits of eager


def test_training() -> None:
    t = twins()
    _, compiled = run_both(t)
    assert len(compiled.plans) == 1
    assert compiled.plans[0].calls == 3


def test_learning_rate_set_by_hand() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for _, optimizer in t:
        optimizer.param_groups[0]["lr"] = 0.2
    advance(t, eager, compiled, seed=1)
    assert len(compiled.plans) == 1


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


def test_learning_rate_as_a_tensor() -> None:
    t = twins(optimizer=lambda p: tg.optim.SGD(p, lr=tg.tensor(0.1)))
    eager, compiled = run_both(t)
    for _, optimizer in t:
        optimizer.param_groups[0]["lr"].fill_(0.3)
    advance(t, eager, compiled, seed=1)


def test_option_that_changes_the_states() -> None:
    """With momentum a step keeps a buffer more: another program."""
    t = twins(optimizer=lambda p: tg.optim.SGD(p, lr=0.1))
    eager, compiled = run_both(t)
    for _, optimizer in t:
        optimizer.param_groups[0]["momentum"] = 0.9
    advance(t, eager, compiled, seed=1)
    for _, optimizer in t:
        optimizer.param_groups[0]["momentum"] = 0.0
    advance(t, eager, compiled, seed=2)


def test_dropout_draws_the_masks_of_eager() -> None:
    run_both(twins(lambda: net(dropout=True)), n=5)


def test_dropout_of_a_generator_of_its_own() -> None:
    def make_step(model: Any, optimizer: Any) -> Step:
        g = tg.Generator().manual_seed(4)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            noisy = tg.nn.functional.dropout(x, 0.3) if g is None else tg.dropout(x, 0.3, generator=g)
            loss = tg.nn.functional.cross_entropy(model(noisy + tg.randn(6, generator=g)), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    t = twins()
    eager, compiled = make_step(*t.eager), tg.compile(make_step(*t.compiled))
    for x, y in batches(5):
        assert_same(eager(x, y), compiled(x, y))
    assert_twins(t)


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


def test_states_replaced_one_by_one() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for model, optimizer in t:
        p = model[0].weight
        optimizer.state[p]["exp_avg"] = tg.full_like(p, 0.5).detach()
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


def test_arrays_and_tensors_of_any_layout() -> None:
    t = twins()
    eager, compiled = usual(*t.eager), tg.compile(usual(*t.compiled))
    for bx, by in batches(4):
        assert_same(eager(bx, by), compiled(np.asfortranarray(bx.numpy()), by))
        both = tg.cat([bx, bx], 1)
        assert_same(eager(both[:, 6:], by), compiled(both[:, 6:], by))
    assert_twins(t)


def test_one_array_for_two_arguments() -> None:
    w = tg.tensor([2.0, 3.0])
    product = tg.compile(lambda a, b: (a * b + w).sum())
    x, y = tg.tensor([1.0, 2.0]), tg.tensor([5.0, 7.0])
    assert product(x, x).item() == 10.0
    assert product(x, y).item() == 24.0
    assert product(y, y).item() == 79.0


def test_kept_outputs() -> None:
    double = tg.compile(lambda x: (x * 2, x + 1))
    kept = [double(tg.full((3,), float(k))) for k in range(4)]
    assert [(a.tolist(), b.tolist()) for a, b in kept] == [([2.0 * k] * 3, [k + 1.0] * 3) for k in range(4)]


def test_kept_gradients() -> None:
    t = twins()
    eager, compiled = run_both(t)
    kept = [
        (p.grad, q.grad.clone(), q.grad)
        for p, q in zip(t.eager[0].parameters(), t.compiled[0].parameters(), strict=True)
    ]
    views = [q.grad.reshape(-1)[:1] for q in t.compiled[0].parameters()]
    copies = [v.clone() for v in views]
    advance(t, eager, compiled, seed=1)
    for was, copy, now in kept:
        assert_same(was, now)
        assert_same(copy, now)
    for view, copy in zip(views, copies, strict=True):
        assert_same(view, copy)


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


def test_gradients_accumulated_inside() -> None:
    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad(set_to_none=False)
            for half in (slice(0, 8), slice(8, 16)):
                loss = tg.nn.functional.cross_entropy(model(x[half]), y[half])
                loss.backward()
            optimizer.step()
            return loss

        return step

    run_both(twins(), make)


def test_gradients_replaced_by_the_user() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for model, _ in t:
        model[0].weight.grad = tg.ones_like(model[0].weight).detach()
    advance(t, eager, compiled, seed=1)


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
        w = tg.rand(16, generator=tg.Generator().manual_seed(k))
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


def test_two_groups_of_parameters() -> None:
    def two(parameters: Any) -> Any:
        first, *rest = list(parameters)
        return tg.optim.SGD([{"params": [first], "lr": 0.5}, {"params": rest}], lr=0.1, momentum=0.5)

    t = twins(optimizer=two)
    eager, compiled = run_both(t)
    for _, optimizer in t:
        optimizer.param_groups[1]["lr"] = 0.01
    advance(t, eager, compiled, seed=2)


def test_parameters_added_to_an_optimizer() -> None:
    t = twins(optimizer=lambda p: tg.optim.Adam(list(p)[:2]))
    eager, compiled = run_both(t)
    for model, optimizer in t:
        optimizer.add_param_group({"params": list(model.parameters())[2:]})
    advance(t, eager, compiled, seed=1)


class Descent(tg.optim.Optimizer):
    """An optimizer of the user's, with a step written in ops."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        with tg.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(p.grad * group["lr"])


def test_an_optimizer_of_the_users() -> None:
    t = twins(optimizer=lambda p: Descent(p, 0.1))
    eager, compiled = run_both(t)
    for _, optimizer in t:
        optimizer.param_groups[0]["lr"] = 0.3
    advance(t, eager, compiled, seed=1)


def test_two_plans_in_two_threads() -> None:
    pairs = [twins(), twins(lambda: net(norm=True))]
    functions = [(usual(*t.eager), tg.compile(usual(*t.compiled))) for t in pairs]
    in_threads([lambda k=k: advance(pairs[k], *functions[k], 20) for k in range(2)])  # type: ignore[misc]


def in_threads(work: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def caught(f: Callable[[], None]) -> None:
        try:
            f()
        except BaseException as e:  # noqa: BLE001 -- handed to the test's own thread
            errors.append(e)

    threads = [threading.Thread(target=caught, args=(f,)) for f in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


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
    count = tg.zeros(())
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


def test_inference_of_a_module() -> None:
    model = net(norm=True)
    model(tg.randn(9, 6))
    model.eval()
    compiled = tg.compile(model)
    for x, _ in batches(3):
        assert_same(model(x), compiled(x))
    with tg.no_grad():
        for x, _ in batches(3):
            assert_same(model(x), compiled(x))
    with tg.no_grad():
        model[0].weight.mul_(2.0)
        assert_same(model(x), compiled(x))
    model.train()
    other = net(norm=True)
    other.load_state_dict(model.state_dict())
    assert_same(other(x), compiled(x))
    assert_same(other[1].running_mean, model[1].running_mean)


def test_gradient_of_an_argument() -> None:
    model = net()
    function = lambda x: model(x).sum().backward()
    compiled = tg.compile(function)
    for k in range(3):
        x = tg.full((4, 6), float(k)).requires_grad_()
        again = x.detach().clone().requires_grad_()
        function(x)
        model.zero_grad()
        compiled(again)
        model.zero_grad()
        assert_same(x.grad, again.grad)


def test_python_numbers_as_arguments() -> None:
    scaled = tg.compile(lambda x, a, power=1: (x * a) ** power)
    x = tg.tensor([1.0, 2.0])
    assert scaled(x, 2.0).tolist() == [2.0, 4.0]
    assert scaled(x, 3.0).tolist() == [3.0, 6.0]
    assert scaled(x, 3.0, power=2).tolist() == [9.0, 36.0]
    assert scaled(x, 2.0).tolist() == [2.0, 4.0]
    assert scaled(x, 2).tolist() == [2.0, 4.0]


def test_nested_arguments_and_results() -> None:
    function = tg.compile(lambda batch, *rest: {"sum": batch["x"] + rest[0][1], "all": [batch["x"], rest, "text"]})
    for k in range(3):
        x, y, z = (tg.full((2,), float(10 * k + i)) for i in range(3))
        made = function({"x": x}, (z, y))
        assert made["sum"].tolist() == [20.0 * k + 1] * 2
        assert made["all"][0] is x
        assert made["all"][1][0][0] is z
        assert made["all"][2] == "text"


def test_result_that_is_a_view_of_an_argument_or_a_parameter() -> None:
    weight = tg.rand(3, 4)
    function = tg.compile(lambda x: (x[1:], x.T, weight, weight[0]))
    for k in range(3):
        x = tg.full((2, 2), float(k))
        tail, turned, whole, row = function(x)
        x.fill_(7.0)
        assert tail.tolist() == [[7.0, 7.0]]
        assert turned.tolist() == [[7.0, 7.0], [7.0, 7.0]]
        assert whole is weight
        assert_same(row, weight[0])


def test_arguments_written_in_place() -> None:
    function = tg.compile(lambda x: x.mul_(2).add_(1))
    for k in range(3):
        x = tg.full((3,), float(k))
        assert function(x) is x
        assert x.tolist() == [2.0 * k + 1] * 3


alpha = 2.0


def test_numbers_of_closures_and_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    beta = 10.0

    def function(x: Any) -> Any:
        return x * alpha + beta

    compiled = tg.compile(function)
    x = tg.tensor([1.0])
    for a, b in ((2.0, 10.0), (2.0, 20.0), (3.0, 20.0), (2.0, 10.0)):
        monkeypatch.setitem(globals(), "alpha", a)
        beta = b
        for _ in range(2):
            assert compiled(x).tolist() == [a + b]
    assert len(compiled.plans) == 3


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
        model[0].weight.data = tg.full((8, 6), 0.1)
    advance(t, eager, compiled, seed=1)
    for model, optimizer in t:
        model[0].weight = tg.nn.Parameter(tg.full((8, 6), 0.2))
        optimizer.param_groups[0]["params"][0] = model[0].weight
    advance(t, eager, compiled, seed=2)


def test_grad_mode() -> None:
    model = net()
    compiled = tg.compile(lambda x: model(x).sum())
    x = tg.ones(2, 6)
    a = compiled(x)
    with tg.no_grad():
        b = compiled(x)
    assert_same(a, b)
    assert len(compiled.plans) == 2


def test_nested_compile() -> None:
    inner = tg.compile(lambda x: x * 2)
    outer = tg.compile(lambda x: inner(x) + 1)
    assert [outer(tg.full((1,), float(k))).item() for k in range(3)] == [1.0, 3.0, 5.0]
    assert inner(tg.ones(1)).item() == 2.0


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


def test_constants_that_are_overwritten() -> None:
    def function(x: Any) -> Any:
        total = tg.tensor([1.0, 2.0])
        total += x
        return total

    compiled = tg.compile(function)
    for _ in range(3):
        assert compiled(tg.ones(2)).tolist() == [2.0, 3.0]


def test_bounded_number_of_plans() -> None:
    double = tg.compile(lambda x: x * 2)
    for rows in range(1, 40):
        assert double(tg.ones(rows)).sum().item() == 2 * rows
    assert len(double.plans) == 16


# ---- raises, with the remedy, and nothing has changed


def assert_refused(make: Callable[[Any, Any], Step], match: str, error: type[Exception] = RuntimeError) -> None:
    """In the recording: refused, and everything is as before."""
    t = twins(lambda: net(norm=True))
    for model, optimizer in t:
        x, y = next(batches(1))
        usual(model, optimizer)(x, y)
    step = tg.compile(make(*t.compiled))
    state = tg.get_rng_state()
    with pytest.raises(error, match=match):
        step(*next(batches(1, seed=5)))
    assert tg.equal(tg.get_rng_state(), state)
    assert_twins(t)
    assert not step.plans


def after(act: Callable[..., Any]) -> Callable[[Any, Any], Step]:
    """A usual step, then `act(loss, x, y)`."""

    def make(model: Any, optimizer: Any) -> Step:
        inner = usual(model, optimizer)

        def step(x: Any, y: Any) -> Any:
            loss = inner(x, y)
            act(loss, x, y)
            return loss

        return step

    return make


def branch(loss: Any, x: Any, y: Any) -> None:
    if loss > 1:
        x.sum()


kept: list[Any] = []
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


def test_arrays_that_are_no_arguments() -> None:
    array = np.ones((16, 6), np.float32)
    assert_refused(after(lambda loss, x, y: x + tg.from_numpy(array)), "expected the array as an argument")
    assert_refused(after(lambda loss, x, y: x * array), "expected the array as an argument")


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


def test_scheduler_inside() -> None:
    def make(model: Any, optimizer: Any) -> Step:
        inner = usual(model, optimizer)
        scheduler = tg.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

        def step(x: Any, y: Any) -> Any:
            loss = inner(x, y)
            scheduler.step()
            return loss

        return step

    assert_refused(make, "do that after the compiled step")


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


def test_exception_in_the_middle() -> None:
    def oops(loss: Any, x: Any, y: Any) -> None:
        raise KeyError("oops")

    assert_refused(after(oops), "oops", KeyError)


def test_result_outside_of_the_graph() -> None:
    model = net()
    compiled = tg.compile(model)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="backward\\(\\) inside"):
            compiled(tg.ones(2, 6)).sum().backward()


def test_argument_that_is_part_of_a_graph() -> None:
    w = tg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        tg.compile(lambda x: x.sum())(w * 2)


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
        compiled(tg.ones(16, 7), tg.zeros(16, dtype=tg.int64))
    with pytest.raises(ValueError, match="target"):
        compiled(tg.ones(16, 6), tg.zeros(15, dtype=tg.int64))
    assert_twins(t)
    advance(t, eager, compiled, seed=1)


@pytest.mark.parametrize("loss", ["nll_loss", "binary_cross_entropy", "multi_margin_loss"])
def test_values_that_losses_refuse(loss: str) -> None:
    f = getattr(tg.nn.functional, loss)
    t = twins()
    binary = loss == "binary_cross_entropy"

    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            out = model(x)
            made = f(tg.sigmoid(out[:, 0]) * y, (y > 0).float()) if binary else f(tg.log_softmax(out, 1), y)
            made.backward()
            optimizer.step()
            return made

        return step

    if binary:
        for x, y in batches(1):
            good = y.clamp(0, 1).float()
            eager, compiled = make(*t.eager), tg.compile(make(*t.compiled))
            for _ in range(3):
                assert_same(eager(x, good), compiled(x, good))
            with pytest.raises(RuntimeError, match="between 0 and 1"):
                compiled(x, good * 50)
    else:
        eager, compiled = run_both(t, make)
        x, y = next(batches(1))
        y[0] = 3
        with pytest.raises(IndexError, match="3"):
            compiled(x, y)
    assert_twins(t)
