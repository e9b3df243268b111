"""What steps do, and what is done to a training between them."""

from __future__ import annotations

from typing import Any

import pytest

import trigrad as tg
from compile.steps import (
    Step,
    advance,
    assert_refused,
    assert_same,
    assert_twins,
    batches,
    net,
    run_both,
    twins,
    usual,
)


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


def test_states_replaced_one_by_one() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for model, optimizer in t:
        p = model[0].weight
        optimizer.state[p]["exp_avg"] = tg.full_like(p, 0.5).detach()
    advance(t, eager, compiled, seed=1)


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


def test_gradients_that_were_there_as_results() -> None:
    """Accumulated ones, or views of them, lie elsewhere after zero_grad()."""

    def make(model: Any, optimizer: Any) -> Step:
        def step(x: Any, y: Any) -> Any:
            tg.nn.functional.cross_entropy(model(x), y).backward()
            return [p.grad for p in model.parameters()], model[0].weight.grad[1:3]

        return step

    t = twins()
    eager, compiled = make(*t.eager), tg.compile(make(*t.compiled))
    for call, (x, y) in enumerate(batches(9)):
        (a, some), (b, same) = eager(x, y), compiled(x, y)
        for one, other in zip([*a, some], [*b, same], strict=True):
            assert_same(one, other)
        b[0].mul_(0.5)  # in place, as it is the gradient itself
        a[0].mul_(0.5)
        assert_twins(t)
        if call % 3 == 2:
            for _, optimizer in t:
                optimizer.zero_grad()
    assert len(compiled.plans) == 2


def test_gradient_with_a_name_of_its_own() -> None:
    """It stays what it is when another takes its place as .grad."""

    def make(model: Any, optimizer: Any) -> Step:
        p = model[0].weight
        p.grad = held = tg.ones_like(p).detach()

        def step(x: Any, y: Any) -> Any:
            tg.nn.functional.cross_entropy(model(x), y).backward()
            return (held * 2).sum(), held, p.grad

        return step

    t = twins()
    eager, compiled = make(*t.eager), tg.compile(make(*t.compiled))
    for x, y in batches(4):
        for a, b in zip(eager(x, y), compiled(x, y), strict=True):
            assert_same(a, b)
        for model, _ in t:
            model[0].weight.grad = tg.full_like(model[0].weight, 3.0).detach()


def test_gradients_replaced_by_the_user() -> None:
    t = twins()
    eager, compiled = run_both(t)
    for model, _ in t:
        model[0].weight.grad = tg.ones_like(model[0].weight).detach()
    advance(t, eager, compiled, seed=1)


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


def test_grad_mode() -> None:
    model = net()
    compiled = tg.compile(lambda x: model(x).sum())
    x = tg.ones(2, 6)
    a = compiled(x)
    with tg.no_grad():
        b = compiled(x)
    assert_same(a, b)
    assert len(compiled.plans) == 2


def test_result_outside_of_the_graph() -> None:
    model = net()
    compiled = tg.compile(model)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="backward\\(\\) inside"):
            compiled(tg.ones(2, 6)).sum().backward()


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
