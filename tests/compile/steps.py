"""Two equal networks, one trained by a step as it is and one by the compiled step, from outside of which they are compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import trigrad as tg

Step = Callable[..., Any]

where = tg.device("cpu")  # what all is on


def here(t: tg.Tensor) -> tg.Tensor:
    return t.to(where)


def bits(t: tg.Tensor) -> bytes:
    found: bytes = t.detach().cpu().numpy().tobytes()
    return found


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
        model = make().to(where)
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
        yield here(tg.randn(rows, 6, generator=g)), here(tg.randint(0, 3, (rows,), generator=g))


def assert_same(a: Any, b: Any) -> None:
    assert a.shape == b.shape
    assert bits(a) == bits(b)


def assert_twins(t: Twins) -> None:
    """Parameters, buffers, gradients and states have the same bits."""
    (a, oa), (b, ob) = t.eager, t.compiled
    for (name, x), (_, y) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert bits(x) == bits(y), name
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
