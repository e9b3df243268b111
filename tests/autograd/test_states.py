"""What fails in a backward pass fails clearly and leaves .grad and the modes as they were; anomalies; threads; long graphs."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import trigrad as tg


def leaf(*values: float) -> Any:
    return tg.tensor(list(values), dtype=tg.float64, requires_grad=True)


# ---- interruptions


def interrupt(grad: Any) -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fail(grad: Any) -> None:
    raise LookupError("from the hook")


class Failing(tg.autograd.Function):
    """Its backward raises."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        raise LookupError("from backward")


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("break_", "error"), [
    (lambda y: y.register_hook(interrupt), KeyboardInterrupt),
    (lambda y: y.register_hook(fail), LookupError),
    (lambda y: y.register_hook(lambda g: g[:1]), RuntimeError),
], ids=["Ctrl-C", "raises", "misshapen"])  # fmt: skip
def test_a_broken_pass_leaves_gradients_and_modes(break_: Any, error: Any, create_graph: bool) -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x * w).sum().backward()
    before = x.grad, x.grad.tolist(), w.grad.tolist()
    y = x * 2
    handle = break_(y)
    z = (y * w).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error):
            z.backward(create_graph=create_graph)
    with pytest.raises(error):
        tg.autograd.grad((y * w).sum(), (x, w), create_graph=create_graph)
    assert x.grad is before[0]
    assert (x.grad.tolist(), w.grad.tolist()) == before[1:]
    assert tg.is_grad_enabled()
    assert not tg.is_inference_mode_enabled()
    handle.remove()
    ((x * 2) * w).sum().backward()  # and the next step is as ever
    assert x.grad.tolist() == [9.0, 12.0]


def test_a_hook_of_a_leaf_that_raises_leaves_all_gradients() -> None:
    x, w = leaf(1.0), leaf(3.0)
    x.register_hook(fail)
    with pytest.raises(LookupError):
        (x * w).sum().backward()
    assert x.grad is None
    assert w.grad is None


def test_a_hook_after_accumulation_that_raises_finds_all_gradients_added() -> None:
    x, w = leaf(1.0), leaf(3.0)
    x.register_post_accumulate_grad_hook(fail)
    w.register_post_accumulate_grad_hook(fail)
    with pytest.raises(LookupError):
        (x * w).sum().backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([3.0], [1.0])


def test_function_that_raises() -> None:
    x = leaf(1.0)
    with pytest.raises(LookupError, match="from backward"):
        (Failing.apply(x) + x).sum().backward()
    assert x.grad is None
    assert tg.is_grad_enabled()


def test_a_pass_that_failed_may_be_repeated_if_its_graph_is_retained() -> None:
    x = leaf(2.0)
    y = x * x
    handle = y.register_hook(fail)
    z = (y * y).sum()
    with pytest.raises(LookupError):
        z.backward(retain_graph=True)
    handle.remove()
    z.backward()
    assert x.grad.tolist() == [32.0]


def test_a_refused_write_changes_nothing() -> None:
    with tg.inference_mode():
        a = tg.tensor([1.0, 2.0])
    y = leaf(1.0, 2.0) * 1
    with tg.no_grad():
        v = y[:1]
    for target, write in (
        (a, lambda: a.add_(1)),
        (a, lambda: a.__setitem__(0, 1.0)),
        (a, lambda: a.pow_(2)),
        (a, lambda: tg.ops.copy_(a, tg.ones(2))),
        (y, lambda: v.mul_(2)),
        (y, lambda: v.zero_()),
        (y, lambda: v.__setitem__(0, 5.0)),
        (y, lambda: v.__ipow__(2)),
    ):
        before, version = target.tolist(), target._version
        with pytest.raises(RuntimeError, match=r"made in inference mode|taken inside trigrad\.no_grad"):
            write()
        assert (target.tolist(), target._version) == (before, version)


def test_saved_values_written_through_data_are_noticed() -> None:
    x = leaf(1.0)
    y = x * 1
    z = y * y
    y.data.mul_(2)
    with pytest.raises(RuntimeError, match="was changed in place after the call: it is at version 1, expected 0"):
        z.sum().backward()
    assert x.grad is None
    x.data = tg.zeros(1, dtype=tg.float64)


def test_the_gradient_is_that_at_the_value_of_the_call() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    x.data = tg.zeros(1, dtype=tg.float64)
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_views_taken_unrecorded_require_nothing() -> None:
    x = leaf(1.0, 2.0)
    for mode in (tg.no_grad(), tg.inference_mode()):
        with mode:
            v = x[1:]
        assert not v.requires_grad
        assert not (v * 2).requires_grad
        assert v.data_ptr() != x.data_ptr()
        assert not v.is_inference()


def test_batched_gradients_are_refused() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(NotImplementedError, match=r"call grad.. once per row"):
        tg.autograd.grad(x * 2, x, tg.eye(2, dtype=tg.float64), is_grads_batched=True)


# ---- anomalies


def unstable(x: Any) -> Any:
    return x.sqrt()


def test_anomaly_says_where_the_call_was_made() -> None:
    x = leaf(0.0, 4.0)
    with tg.autograd.detect_anomaly():
        y = unstable(x) * tg.tensor([0.0, 1.0], dtype=tg.float64)
        with pytest.raises(RuntimeError) as raised:
            (y * 3).sum().backward()
    text = str(raised.value)
    assert "the gradient of sqrt, input 0, shape (2,), has NaN; look at what goes into it" in text
    assert "return x.sqrt()" in text.splitlines()[-1]
    assert "in unstable" in text.splitlines()[-2]
    assert "y = unstable(x)" in text
    assert "trigrad/_" not in text
    assert x.grad is None


def test_anomaly_of_what_backward_starts_from() -> None:
    x = leaf(-1.0)
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"input 0, .* NaN already in what backward"):
        (x * 3).backward(tg.tensor([float("nan")], dtype=tg.float64))


def test_anomaly_of_a_graph_recorded_before() -> None:
    y = leaf(0.0).sqrt() * 0
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"sqrt.*recorded before anomalies"):
        y.sum().backward()


def test_anomaly_is_switched() -> None:
    assert not tg.is_anomaly_enabled()
    with tg.autograd.detect_anomaly(check_nan=False):
        assert tg.is_anomaly_enabled()
        with tg.autograd.set_detect_anomaly(False):
            assert not tg.is_anomaly_enabled()
        x = leaf(0.0)
        (x.sqrt() * 0).sum().backward()
        assert np.isnan(x.grad.item())
    with pytest.raises(ZeroDivisionError), tg.autograd.set_detect_anomaly(True):
        1 / 0  # noqa: B018
    assert not tg.is_anomaly_enabled()
    tg.autograd.set_detect_anomaly(True)
    assert tg.is_anomaly_enabled()
    tg.autograd.set_detect_anomaly(False)
    assert leaf(1.0).exp().grad_fn.where is None


def test_anomaly_leaves_good_passes_alone() -> None:
    x = leaf(1.0, 2.0)
    with tg.autograd.detect_anomaly():
        y = x * x
        y[0] = 3
        y.sum().backward()
    assert x.grad.tolist() == [0.0, 4.0]


def test_a_nan_loss_gives_nan_gradients_or_what_torch_gives() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for t in (tg, torch):
        x = t.tensor([-1.0, 2.0], requires_grad=True)
        loss = x.log().sum()
        assert np.isnan(loss.item())
        loss.backward()
        found.append(x.grad.tolist())
    assert found[0] == found[1]


# ---- threads


def test_backward_in_threads() -> None:
    """Graphs of their own and one shared leaf: no gradient is lost."""
    w = leaf(*np.zeros(50))
    wrong: list[Any] = []

    def work(k: int) -> None:
        for _ in range(100):
            x = leaf(*np.arange(50.0) + k)
            (x * x * w.detach() + x * w).sum().backward()
            with tg.no_grad():
                if not np.array_equal(x.grad.numpy(), w.detach().numpy()):
                    wrong.append(x.grad)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    np.testing.assert_array_equal(w.grad.numpy(), 100 * sum(np.arange(50.0) + k for k in range(4)))


def test_modes_do_not_leak_between_threads() -> None:
    """One decorated function in two threads, whose modes differ."""
    first, second = threading.Event(), threading.Event()
    seen = []

    @tg.no_grad()
    def meet(mine: threading.Event, other: threading.Event) -> None:
        mine.set()
        other.wait(10)

    def run(mode: bool, mine: threading.Event, other: threading.Event) -> None:
        tg.set_grad_enabled(mode)
        meet(mine, other)
        seen.append(tg.is_grad_enabled() is mode)

    threads = [
        threading.Thread(target=run, args=(True, first, second)),
        threading.Thread(target=run, args=(False, second, first)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True, True]


# ---- long graphs


class Twice(tg.autograd.Function):
    """Keeps its input."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x + 1

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (_,) = ctx.saved_tensors
        return grad


def write_part(y: Any) -> Any:
    y[1:] += 1
    return y


def hooked(y: Any) -> Any:
    y = y + 1
    y.register_hook(lambda g: None)
    return y


LINKS: dict[str, Callable[[Any], Any]] = {
    "row": lambda y: y + 1,
    "in place": lambda y: y.add_(1),
    "view": lambda y: y.view(3, 1).squeeze(1),
    "slice": lambda y: (y + 1)[:],
    "part in place": write_part,
    "list": lambda y: tg.cat([y[:1], y[1:]]),
    "Function": Twice.apply,
    "hook": hooked,
    "two ways": lambda y: (y + y) / 2,
}


@pytest.mark.parametrize("name", LINKS)
def test_long_chains(name: str, full: bool) -> None:
    """Run backward, and dropped without: with no recursion, for which this thread's stack would be too short."""
    n = 100_000 if full or name == "row" else 6_000
    x = leaf(1.0, 2.0, 3.0)

    def work() -> None:
        for backward in (True, False):
            y = x * 1
            for _ in range(n):
                y = LINKS[name](y)
            if backward:
                y.sum().backward()
            del y

    size, limit = threading.stack_size(256 * 1024), sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_long_chain_of_second_order() -> None:
    x = leaf(1.5)
    y = x
    for _ in range(2_000):
        y = y * 1.0001
    (g,) = tg.autograd.grad((y * y).sum(), x, create_graph=True)
    (h,) = tg.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.item(), 2 * 1.0001**4000, rtol=1e-9)


def test_graphs_of_every_link_die_by_reference_count() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0, 3.0)
        allocated = []
        for _ in range(3):
            for link in LINKS.values():
                y = x * 1
                for _ in range(20):
                    y = link(y)
                y.sum().backward()
                x.grad = None
                del y
            allocated.append(tg.memory_stats()["in_use"])
        assert allocated[1] == allocated[2]
    finally:
        gc.enable()


def test_leaves_come_last() -> None:
    """Hooks of what is between, then of leaves, then additions; when one fails no leaf has changed."""
    a, b = leaf(1.0), leaf(2.0)
    seen: list[str] = []
    for name, x in (("a", a), ("b", b)):
        x.register_hook(lambda g, name=name: seen.append(f"{name} is known"))
        x.register_post_accumulate_grad_hook(lambda x, name=name: seen.append(f"{name}.grad {x.grad.item()}"))

    def product() -> Any:
        y = a * 3
        y.register_hook(lambda g: seen.append("y"))
        return (y * b).sum()

    product().backward()
    assert seen == ["y", "b is known", "a is known", "b.grad 3.0", "a.grad 6.0"]
    before = a.grad.item(), b.grad.item()
    with a.register_hook(lambda g: 1 / 0), pytest.raises(ZeroDivisionError):
        product().backward()
    assert (a.grad.item(), b.grad.item()) == before
    product().backward()
    assert (a.grad.item(), b.grad.item()) == (12.0, 6.0)
