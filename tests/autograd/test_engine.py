"""The backward pass: accumulation, views, writes in place, hooks, second derivatives, and what is refused."""

from __future__ import annotations

import gc
import resource
import sys
import threading
from typing import Any

import numpy as np
import pytest

import trigrad as tg


def leaf(*shape: int) -> Any:
    n = int(np.prod(shape))
    return tg.tensor((np.arange(n).reshape(shape) * 0.37 + 0.5) % 2 - 0.7, dtype=tg.float64).requires_grad_()


def test_diamond_accumulates() -> None:
    x = tg.tensor(3.0).requires_grad_()
    a = x * 2
    y = a * a + a
    y.backward()
    assert x.grad.item() == 2 * (2 * 6) + 2


def test_grad_adds_up_over_passes() -> None:
    x = leaf(3)
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0, 6.0]


def test_leaves_do_not_share_a_gradient() -> None:
    x, y = leaf(3), leaf(3)
    (x + y).sum().backward()
    x.grad.add_(1)
    assert y.grad.tolist() == [1.0, 1.0, 1.0]


def test_gradient_of_a_broadcast_leaf_is_a_tensor_of_its_own() -> None:
    x = leaf(4)
    x.sum().backward()
    assert x.grad.stride() == (1,)
    x.grad[0] = 5
    assert x.grad.tolist() == [5.0, 1.0, 1.0, 1.0]


def test_requires_grad_spreads_and_stops() -> None:
    x = leaf(3)
    y = x * 2
    assert y.requires_grad
    assert not y.is_leaf
    assert not y.detach().requires_grad
    assert y.detach().data_ptr() == y.data_ptr()
    assert not (x > 0).requires_grad
    assert not tg.argmax(x).requires_grad
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.enable_grad():
            assert (x * 2).requires_grad
    with tg.set_grad_enabled(False):
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_modes_decorate_functions() -> None:
    x = leaf(2)

    @tg.no_grad()
    def quiet() -> Any:
        return x * 2

    @tg.no_grad
    def quiet_too() -> Any:
        return x * 2

    @tg.inference_mode()
    def inference() -> Any:
        return x * 2

    assert not quiet().requires_grad
    assert not quiet_too().requires_grad
    assert not inference().requires_grad
    assert (x * 2).requires_grad


def test_mode_belongs_to_the_thread() -> None:
    seen = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_mode_is_given_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        1 / 0  # noqa: B018
    assert tg.is_grad_enabled()


# ---- refusals


def test_second_backward_is_refused_unless_retained() -> None:
    x = leaf(2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == pytest.approx((4 * x.detach()).tolist())
    with pytest.raises(RuntimeError, match="freed by an earlier backward pass; pass retain_graph=True"):
        y.backward()


def test_backward_of_several_elements_needs_a_gradient() -> None:
    x = leaf(3)
    with pytest.raises(RuntimeError, match=r"got an output of shape \(3,\), expected one element"):
        (x * 2).backward()
    (x * 2).backward(tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64))
    assert x.grad.tolist() == [2.0, 4.0, 6.0]
    with pytest.raises(RuntimeError, match=r"the gradient has shape \(2,\), expected that of the output: \(3,\)"):
        (x * 2).backward(tg.ones(2))


def test_backward_of_what_needs_none_is_refused() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        tg.ones(()).backward()


def test_integers_have_no_gradient() -> None:
    with pytest.raises(RuntimeError, match="expected a floating dtype"):
        tg.ones(2, dtype=tg.int64).requires_grad_()


def test_requires_grad_of_a_result_cannot_be_switched_off() -> None:
    y = leaf(2) * 2
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)"):
        y.requires_grad = False


def test_leaves_are_not_overwritten_while_recording() -> None:
    x = leaf(3)
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 1.0), lambda: x.zero_(), lambda: x[1:].mul_(2)):
        before, version = x.tolist(), x._version
        with pytest.raises(RuntimeError, match="leaf tensor that requires a gradient cannot be overwritten"):
            write()
        assert (x.tolist(), x._version) == (before, version)
    with tg.no_grad():
        x.add_(1)


def test_a_saved_tensor_that_was_overwritten_is_noticed() -> None:
    x = leaf(3)
    a = x * 2
    b = a * a
    a.add_(1)
    with pytest.raises(RuntimeError, match=r"of mul, shape .* was changed in place after the call"):
        b.sum().backward()
    assert x.grad is None


def test_what_is_not_saved_may_be_overwritten() -> None:
    x = leaf(3)
    a = x * 2
    b = a + 1  # reads nothing
    c = a.exp()  # reads its output
    a.mul_(0)
    (b + c).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 + 2 * np.exp(2 * x.detach().numpy()))


def test_grad_must_fit() -> None:
    x = leaf(3)
    with pytest.raises(RuntimeError, match=r"\[grad\] got shape \(2,\)"):
        x.grad = tg.ones(2, dtype=tg.float64)
    with pytest.raises(TypeError, match=r"\[grad\] got a int"):
        x.grad = 1
    x.grad = tg.ones(3, dtype=tg.float64)
    x.grad = None
    assert x.grad is None


# ---- grad()


def test_grad_touches_no_leaf() -> None:
    x, y = leaf(3), leaf(3)
    gx, gy = tg.autograd.grad((x * y).sum(), (x, y))
    assert x.grad is None
    assert y.grad is None
    np.testing.assert_array_equal(gx.numpy(), y.detach().numpy())
    np.testing.assert_array_equal(gy.numpy(), x.detach().numpy())


def test_grad_with_respect_to_a_result() -> None:
    x = leaf(3)
    a = x * 2
    y = (a * a).sum()
    (g,) = tg.autograd.grad(y, a, retain_graph=True)
    np.testing.assert_allclose(g.numpy(), 2 * a.detach().numpy())
    gx, ga = tg.autograd.grad(y, (x, a))
    np.testing.assert_allclose(gx.numpy(), 4 * a.detach().numpy())
    np.testing.assert_allclose(ga.numpy(), 2 * a.detach().numpy())


def test_unused_inputs() -> None:
    x, y = leaf(3), leaf(2)
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        tg.autograd.grad((x * 2).sum(), (x, y))
    assert tg.autograd.grad((x * 2).sum(), (x, y), allow_unused=True)[1] is None
    assert tg.autograd.grad((x * 2).sum(), (x, y), materialize_grads=True)[1].tolist() == [0.0, 0.0]
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        tg.autograd.grad((x * 2).sum(), tg.ones(2))


def test_backward_of_some_inputs_only() -> None:
    x, y = leaf(3), leaf(3)
    a = x * y
    (a * a).sum().backward(inputs=[x, a])
    assert y.grad is None
    np.testing.assert_allclose(a.grad.numpy(), 2 * a.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), (2 * a * y).detach().numpy())


def test_second_derivatives() -> None:
    x = leaf(4)
    (slope,) = tg.autograd.grad((x**3).sum(), x, create_graph=True)
    (curvature,) = tg.autograd.grad(slope.sum(), x, create_graph=True)
    (third,) = tg.autograd.grad(curvature.sum(), x)
    np.testing.assert_allclose(curvature.detach().numpy(), 6 * x.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(third.numpy(), np.full(4, 6.0), rtol=1e-12)


# ---- hooks


def test_hooks() -> None:
    x = leaf(3)
    a = x * 2
    seen = []
    handle = a.register_hook(lambda g: seen.append(g.tolist()))
    a.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (a * 1).sum().backward()
    assert seen == [[1.0, 1.0, 1.0]]
    assert x.grad.tolist() == [21.0, 21.0, 21.0]
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1


def test_retain_grad_and_post_accumulate_hook() -> None:
    x = leaf(3)
    called = []
    x.register_post_accumulate_grad_hook(lambda t: called.append(t.grad.tolist()))
    a = x * 2
    a.retain_grad()
    (a * a).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), 2 * a.detach().numpy())
    assert called == [x.grad.tolist()]
    with pytest.raises(RuntimeError, match="expected a leaf"):
        a.register_post_accumulate_grad_hook(print)


def test_anomaly_names_the_op() -> None:
    x = tg.tensor([0.0]).requires_grad_()
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="the gradient of sqrt, input 0"):
        (x.sqrt() * 0).sum().backward()
    assert x.grad is None


# ---- long graphs, and memory


def test_a_chain_of_100000_runs_and_is_dropped_without_recursion() -> None:
    limit = sys.getrecursionlimit()
    x = tg.zeros(3).requires_grad_()
    y = x
    for _ in range(100_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
    z = x
    for _ in range(100_000):
        z = z + 1
    del z
    assert sys.getrecursionlimit() == limit


def test_graphs_die_by_reference_count(full: bool) -> None:
    w, x = leaf(8, 8), tg.ones(16, 8, dtype=tg.float64)
    gc.collect()
    gc.disable()
    try:
        before = nodes = 0
        for step in range(10_000 if full else 2_000):
            h = (x @ w).tanh() * 1
            h[0] = h[1]
            v = h.T[1:]
            v.mul_(2)
            (h * h).sum().backward()
            w.grad = None
            (x @ w).relu().sum()  # dropped without backward
            if step == 500:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        nodes = sum(type(o).__name__ == "Node" for o in gc.get_objects())
    finally:
        gc.enable()
    assert grown < 1024, f"{grown} KiB"
    assert nodes == 0
