"""The walk of a backward pass: whose memory a gradient is, and what is computed at all."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

import trigrad as tg
from trigrad import _core


class Given(tg.autograd.Function):
    """The identity, whose gradient is whatever `make` returns."""

    @staticmethod
    def forward(ctx: Any, x: Any, make: Any) -> Any:
        ctx.make = make
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return ctx.make(), None


def test_a_gradient_that_somebody_holds_is_copied() -> None:
    """What a hook, a function or the caller keeps does not change when more is added to .grad."""
    kept: list[tg.Tensor] = []
    seed, mine, replaced = tg.ones(3), tg.full((3,), 2.0), tg.full((3,), 5.0)
    x = tg.zeros(3, requires_grad=True)
    x.backward(seed)
    y = tg.zeros(3, requires_grad=True)
    Given.apply(y, lambda: mine).backward(tg.ones(3))
    z = tg.zeros(3, requires_grad=True)
    handle = z.register_hook(kept.append)
    (4 * z).sum().backward()
    handle.remove()
    w = tg.zeros(3, requires_grad=True)
    w.register_hook(lambda g: replaced)
    (4 * w).sum().backward()
    for leaf in (x, y, z, w):
        assert leaf.grad is not None
        leaf.grad.add_(100)
    assert seed.tolist() == [1, 1, 1]
    assert mine.tolist() == [2, 2, 2]
    assert kept[0].tolist() == [4, 4, 4]
    assert replaced.tolist() == [5, 5, 5]


def test_a_view_or_shared_memory_is_copied() -> None:
    wide = tg.ones(6)
    for make in (lambda: wide[:3], lambda: tg.zeros(1).expand(3), lambda: wide[:3].detach()):
        x = tg.zeros(3, requires_grad=True)
        Given.apply(x, make).backward(tg.ones(3))
        assert x.grad is not None
        x.grad.add_(1)
        assert x.grad.is_contiguous()
    assert wide.tolist() == [1] * 6


def test_a_fresh_gradient_is_kept_without_a_copy() -> None:
    made: list[Any] = []

    def make() -> Any:
        g = tg.ones(3)
        made.append((g.data_ptr(), weakref.ref(g)))
        return g

    x = tg.zeros(3, requires_grad=True)
    Given.apply(x, make).backward(tg.ones(3))
    assert x.grad is made[0][1]()
    assert x.grad is not None
    assert x.grad.data_ptr() == made[0][0]


class Nothing:
    """What a function of Python keeps."""

    def _release(self) -> None:
        pass


def test_gradients_of_what_is_not_asked_for_are_not_computed() -> None:
    asked: list[tuple[bool, ...]] = []

    def add(a: tg.Tensor, b: tg.Tensor) -> tg.Tensor:
        def formula(grads: Any, inputs: Any, outputs: Any, attributes: Any, wanted: Any) -> Any:
            asked.append(wanted)
            return grads[0], grads[0]

        with tg.no_grad():
            made = a + b
        _core.record("watched", formula, Nothing(), (a, b), (made,))
        return made

    a, b, c = (tg.ones(2, requires_grad=True) for _ in range(3))
    loss = (add(a, b) * add(b, c)).sum()
    tg.autograd.grad(loss, a, retain_graph=True)
    assert asked == [(True, False)]
    asked.clear()
    loss.backward(inputs=[c], retain_graph=True)
    assert asked == [(False, True)]
    assert a.grad is None
    assert b.grad is None
    asked.clear()
    loss.backward()
    assert asked == [(True, True)] * 2


@pytest.mark.parametrize("wrong", [lambda: 1.0, lambda: "text"])
def test_a_gradient_that_is_no_tensor_is_refused(wrong: Any) -> None:
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="expected a tensor or None"):
        Given.apply(x, wrong).sum().backward()
    assert x.grad is None


def test_a_formula_that_returns_too_few_gradients_is_refused() -> None:
    a, b = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    with tg.no_grad():
        made = a + b
    _core.record("short", lambda *_: (tg.ones(2),), Nothing(), (a, b), (made,))
    with pytest.raises(RuntimeError, match="short got 1 gradients, expected one per input: 2"):
        made.backward(tg.ones(2))


def test_a_pass_within_a_pass() -> None:
    """A formula may run a backward pass of its own, over its own graph."""

    class Cube(tg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            with tg.enable_grad():
                x = ctx.saved_tensors[0].detach().requires_grad_()
                (slope,) = tg.autograd.grad((x**3).sum(), x)
            return grad * slope

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (Cube.apply(x) + Cube.apply(2 * x)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3 + 24, 12 + 96]
    assert tg.is_grad_enabled()


def test_a_formula_that_returns_no_tensor_is_refused() -> None:
    x = tg.ones(2, requires_grad=True)
    with tg.no_grad():
        made = x + x
    _core.record("odd", lambda *_: (2.0,), Nothing(), (x,), (made,))
    with pytest.raises(TypeError, match="the gradient of odd, input 0, is a float, expected a tensor or None"):
        made.backward(tg.ones(2))
