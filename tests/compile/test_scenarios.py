"""Between the steps of a training users do anything, in any order: drawn at random, compiled as eager. And corners that such
draws found."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import trigrad as tg
from compile.test_programs import Net, losses
from compile.twins import bits, flat, generator, named_state, on
from trigrad import nn, optim
from trigrad.nn import functional as F

LENGTH = 14


class Training:
    """One of the twins. What is done to it depends on the numbers drawn alone."""

    def __init__(self, seed: int, compiled: bool) -> None:
        rng = Random(seed)
        tg.manual_seed(seed)
        self.model = Net(rng)
        self.loss, self.target = rng.choice(list(losses(self.model.outputs).values()))
        kind = rng.choice(
            (
                lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
                lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
                lambda p: optim.RMSprop(p, lr=0.002, momentum=0.5),
                lambda p: optim.AdamW(p, lr=0.01),
            )
        )
        self.optimizer = kind(self.model.parameters())
        self.to_none, self.accumulate = rng.random() < 0.7, rng.random() < 0.2
        self.factor = 1.0
        self.saved: Any = None
        step = self.plain_step()
        self.step = tg.compile(step) if compiled else step

    def plain_step(self) -> Callable[..., Any]:
        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            if not self.accumulate:
                self.optimizer.zero_grad(set_to_none=self.to_none)
            out = self.model(x)
            loss = self.loss(out, y)
            if loss.requires_grad:
                loss.backward()
            if self.model.training:
                self.optimizer.step()
            return loss, out * factor

        factor = self.factor

        def set_factor(value: float) -> None:
            nonlocal factor
            factor = value

        self.set_factor = set_factor
        return step

    def parameter(self, k: int) -> tg.Tensor:
        params = list(self.model.parameters())
        return params[k % len(params)]


def learning_rate(t: Training, k: int) -> None:
    t.optimizer.param_groups[0]["lr"] = 0.01 * (1 + k % 3)


def weight_decay(t: Training, k: int) -> None:
    t.optimizer.param_groups[0]["weight_decay"] = 0.05 * (k % 2)


def freeze(t: Training, k: int) -> None:
    p = t.parameter(k)
    p.requires_grad_(not p.requires_grad)
    p.grad = None


def drop_gradient(t: Training, k: int) -> None:
    t.parameter(k).grad = None


def own_gradient(t: Training, k: int) -> None:
    p = t.parameter(k)
    p.grad = tg.full_like(p, 0.125).detach()


def hold_gradient(t: Training, k: int) -> None:
    t.saved = [p.grad for p in t.model.parameters()]


def mode(t: Training, k: int) -> None:
    t.model.train(not t.model.training)


def edit(t: Training, k: int) -> None:
    with tg.no_grad():
        t.parameter(k).mul_(0.75)


def edit_by_numpy(t: Training, k: int) -> None:
    t.parameter(k).detach().numpy().reshape(-1)[:1] = 0.3


def new_data(t: Training, k: int) -> None:
    p = t.parameter(k)
    p.data = p.detach().clone() * 0.5


def reload(t: Training, k: int) -> None:
    t.model.load_state_dict({name: value.clone() for name, value in t.model.state_dict().items()})


def resume(t: Training, k: int) -> None:
    t.optimizer.load_state_dict(t.optimizer.state_dict())


def reset_state(t: Training, k: int) -> None:
    t.optimizer.state.clear()


def zero_state(t: Training, k: int) -> None:
    for value in t.optimizer.state.get(t.parameter(k), {}).values():
        if isinstance(value, tg.Tensor) and value.dtype.is_floating_point:
            value.mul_(0.5)


def scaled(t: Training, k: int) -> None:
    t.set_factor(1.0 + k % 3)


def clip_outside(t: Training, k: int) -> None:
    nn.utils.clip_grad_norm_(t.model.parameters(), 0.1)


def eager_between(t: Training, k: int) -> None:
    x = tg.ones(3, t.model.inputs)
    t.model.eval()(x).sum().backward()
    t.model.train()


def new_layer(t: Training, k: int) -> None:
    tg.manual_seed(k)
    t.model.head = nn.Linear(t.model.head.in_features, t.model.outputs)


def hook(t: Training, k: int) -> None:
    t.model.head.register_forward_hook(lambda module, args, out: out * 0.9)


def reseed(t: Training, k: int) -> None:
    tg.manual_seed(k)


ACTS = (
    *(
        learning_rate,
        weight_decay,
        freeze,
        drop_gradient,
        own_gradient,
        hold_gradient,
        mode,
        edit,
        edit_by_numpy,
        new_data,
    ),
    *(reload, resume, reset_state, zero_state, scaled, clip_outside, eager_between, new_layer, hook, reseed),
)


def outcome(t: Training, x: tg.Tensor, y: tg.Tensor) -> Any:
    made: Any
    try:
        made = {f"result {k}": bits(r) for k, r in enumerate(flat(t.step(x, y)))}
    except (RuntimeError, ValueError) as error:
        made = {"refused": str(error).encode()}
    made |= {name: bits(value) for name, value in named_state((t.model, t.optimizer)).items()}
    made |= {f"held {k}": bits(g) for k, g in enumerate(t.saved or ()) if g is not None}
    return made | {"random": bits(tg.get_rng_state())}


def scenario(seed: int, threads: int) -> None:
    rng = Random(seed)
    eager, compiled = Training(seed, False), Training(seed, True)
    done = []
    rows = rng.sample((2, 3, 7, 64, 130), 2)
    for k in range(LENGTH):
        if rng.random() < 0.7:
            act, number = rng.choice(ACTS), rng.randrange(100)
            for t in (eager, compiled):
                act(t, number)
            done.append(f"{act.__name__} {number}")
        n = rng.choice(rows)
        g = generator(1000 * seed + k)
        x, y = tg.randn(n, eager.model.inputs, generator=g), eager.target(n, g)
        done.append(f"step of {n}")
        start = tg.get_rng_state()
        with on(1):
            expected = outcome(eager, x, y)
        tg.set_rng_state(start)
        with on(threads):
            found = outcome(compiled, x, y)
        wrong = [name for name in expected | found if expected.get(name) != found.get(name)]
        text = [expected.get("refused"), found.get("refused")]
        assert not wrong, f"seed {seed}, {threads} threads: {done}\n{wrong}\n{text}\n{eager.model}"


@pytest.mark.parametrize("batch", range(4))
def test_scenarios(batch: int, full: bool) -> None:
    for seed in range(batch * 10_000, batch * 10_000 + (500 if full else 15)):
        scenario(seed, 1 + seed % 3)


# ---- corners


def test_an_argument_that_is_overwritten_leaves_the_graph() -> None:
    w = tg.tensor([2.0]).requires_grad_()

    def step(x: tg.Tensor) -> tg.Tensor:
        w.grad = None
        x.mul_(w)
        made = x.sum()
        made.backward()
        return made

    compiled = tg.compile(step)
    for k in range(3):
        x = tg.full((3,), float(k))
        assert compiled(x).item() == 6.0 * k
        assert x.tolist() == [2.0 * k] * 3
        assert w.grad is not None
        assert w.grad.item() == 3.0 * k
        assert x.is_leaf
        assert not x.requires_grad
    assert len(compiled.plans) == 1


def test_a_state_that_would_join_the_graph_is_refused() -> None:
    w = tg.tensor([2.0]).requires_grad_()
    hidden = tg.ones(1)

    def step(x: tg.Tensor) -> tg.Tensor:
        hidden.mul_(w * x)
        return hidden.sum()

    with pytest.raises(RuntimeError, match=r"became part of the graph.*write x\.detach\(\) into it"):
        tg.compile(step)(tg.full((1,), 3.0))
    assert hidden.item() == 1.0

    def mended(x: tg.Tensor) -> tg.Tensor:
        made = hidden * w * x
        hidden.copy_(made.detach())
        return made

    compiled = tg.compile(mended)
    assert [compiled(tg.full((1,), 3.0)).item() for _ in range(3)] == [6.0, 36.0, 216.0]


def test_gradients_of_leaves_that_the_step_makes() -> None:
    def saliency(x: tg.Tensor) -> tg.Tensor:
        leaf = x.clone().requires_grad_()
        (leaf**3).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    compiled = tg.compile(saliency)
    for k in range(3):
        assert compiled(tg.full((2,), float(k))).tolist() == [3.0 * k * k] * 2
    assert len(compiled.plans) == 1


def test_retained_gradients() -> None:
    w = tg.ones(3, 2).requires_grad_()

    def step(x: tg.Tensor) -> Any:
        w.grad = None
        h = tg.tanh(x @ w)
        h.retain_grad()
        (h * h).sum().backward()
        return h, h.grad

    compiled = tg.compile(step)
    for k in range(3):
        x = tg.full((4, 3), 0.1 * k)
        for a, b in zip(step(x), compiled(x), strict=True):
            assert bits(a) == bits(b)


def test_writes_into_arguments_that_are_copied_are_refused() -> None:
    """A transposed one, and two on the same memory: eager would change what the caller sees."""
    double = tg.compile(lambda x: x.mul_(2))
    for _ in range(2):
        turned = tg.ones(2, 3).T
        with pytest.raises(RuntimeError, match=r"argument 0 is not contiguous.*writes into it"):
            double(turned)
        straight = tg.ones(3, 2)
        assert double(straight) is straight
        assert straight.tolist() == [[2.0] * 2] * 3
    move = tg.compile(lambda x, y: x.add_(y))
    for _ in range(2):
        memory = tg.ones(3)
        with pytest.raises(RuntimeError, match=r"shares its memory with another, but the function writes into it"):
            tg.compile(lambda x, y: y.add_(x))(memory[:2], memory[1:])
        assert memory.tolist() == [1.0] * 3
        with pytest.raises(RuntimeError, match=r"argument 0 .*shares its memory with another, but the function writes"):
            move(memory[:2], memory[1:])
        assert memory.tolist() == [1.0] * 3
        move(tg.ones(2), tg.ones(2))
    reading = tg.compile(lambda x, y: x + y)
    assert [reading(memory[:2], memory[1:]).tolist() for _ in range(2)] == [[2.0, 2.0]] * 2


def test_a_number_written_at_indices() -> None:
    def function(x: tg.Tensor, value: tg.Tensor) -> tg.Tensor:
        x = x.clone()
        x[tg.tensor([0, 2])] = value
        x.index_put_((tg.tensor([1, 1]),), value, accumulate=True)
        return x

    compiled = tg.compile(function)
    for k in range(3):
        assert compiled(tg.zeros(4), tg.tensor(k + 0.5)).tolist() == [k + 0.5, 2 * k + 1.0, k + 0.5, 0.0]


def test_modes_that_calls_are_made_in() -> None:
    model = nn.Linear(3, 2)
    compiled = tg.compile(model)
    x = tg.rand(5, 3)
    want = bits(model(x))
    for _ in range(2):
        assert bits(compiled(x)) == want
        with tg.no_grad():
            assert bits(compiled(x)) == want
        with tg.inference_mode():
            assert bits(compiled(x)) == want


def test_a_step_that_raises_in_the_middle_of_a_training() -> None:
    """A class out of range in call 3, on a plan that is there: nothing has changed, and the training goes on."""

    def make() -> tuple[Any, Any, Any]:
        tg.manual_seed(2)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        optimizer = optim.Adam(model.parameters())

        def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
            optimizer.zero_grad()
            loss: tg.Tensor = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return model, optimizer, step

    def run(compiled: bool, with_error: bool) -> list[bytes]:
        model, optimizer, step = make()
        step = tg.compile(step) if compiled else step
        tg.manual_seed(5)
        for k in range(5):
            g = generator(k)
            x, y = tg.randn(70, 4, generator=g), tg.randint(0, 3, (70,), generator=g)
            if k == 3 and with_error:
                bad = y.clone()
                bad[11] = 3
                with pytest.raises(IndexError):
                    step(x, bad)
            step(x, y)
        return [bits(v) for v in named_state((model, optimizer)).values()]

    for threads in (1, 2):
        with on(threads):
            assert run(True, True) == run(False, False)
