"""autograd.Function, gradcheck, and the products and matrices of derivatives."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import autograd
from values import real


class Cube(autograd.Function):
    """x³ with a backward that can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad * 3 * x * x


class Exp(autograd.Function):
    """exp that keeps its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (y,) = ctx.saved_tensors
        return grad * y


class Split(autograd.Function):
    """Several inputs, one of which is no tensor, and several outputs, one of which is without gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, n: int, y: Any) -> Any:
        ctx.n = n
        places = tg.argmax(x)
        ctx.mark_non_differentiable(places)
        return x * n, y + 1, places

    @staticmethod
    def backward(ctx: Any, gx: Any, gy: Any, _: Any) -> Any:
        assert ctx.needs_input_grad == (True, False, False)
        return gx * ctx.n, None, gy


def leaf(*shape: int) -> Any:
    return tg.tensor(real(shape, "leaf", "float64"), requires_grad=True)


@pytest.mark.parametrize(("function", "first", "second"), [
    (Cube, lambda x: 3 * x**2, lambda x: 6 * x), (Exp, np.exp, np.exp)
])  # fmt: skip
def test_function(function: Any, first: Any, second: Any) -> None:
    x = leaf(4)
    (g,) = autograd.grad(function.apply(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), first(x.detach().numpy()))
    (h,) = autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), second(x.detach().numpy()))


def test_function_of_many() -> None:
    x, y = leaf(3), tg.ones(3, dtype=tg.float64)
    a, b, places = Split.apply(x, 3, y)
    assert a.requires_grad
    assert not places.requires_grad
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_unused_outputs_get_zeros() -> None:
    x = leaf(3)
    a, _, _ = Split.apply(x, 3, tg.ones(3, dtype=tg.float64))
    a.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_function_whose_backward_is_wrong() -> None:
    class Short(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x * y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad

    class Misshapen(Cube):
        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad.sum()

    x = leaf(3)
    with pytest.raises(RuntimeError, match=r"\[Short\] backward returned 1 gradients, expected 2"):
        Short.apply(x, x).sum().backward()
    with pytest.raises(RuntimeError, match=r"\[Misshapen\] backward returned a gradient of shape \(\), expected"):
        Misshapen.apply(x).sum().backward()


def test_a_saved_tensor_that_changed_is_noticed() -> None:
    x = leaf(3)
    y = x * 1
    z = Cube.apply(y)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"saved tensor of shape .* was changed in place"):
        z.sum().backward()


def test_functions_die_by_reference_count() -> None:
    import weakref

    gc.collect()
    gc.disable()
    try:
        x = leaf(3)
        y = Exp.apply(x)
        alive = weakref.ref(y)
        del y
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("function", [tg.tanh, tg.exp, tg.sigmoid, lambda x: (x * x).sum(), lambda x: x.T @ x])
def test_gradcheck(function: Any) -> None:
    x = leaf(2, 3)
    assert autograd.gradcheck(function, x)
    assert autograd.gradgradcheck(function, x)


def test_gradcheck_finds_a_wrong_gradient() -> None:
    class Wrong(Cube):
        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * 2 * x * x

    with pytest.raises(autograd.GradcheckError, match="backward gives"):
        autograd.gradcheck(Wrong.apply, leaf(2))
    assert not autograd.gradcheck(Wrong.apply, leaf(2), raise_exception=False)


def test_derivatives_of_functions(torch: Any) -> None:
    a, v, w = real((3,), "a", "float64"), real((3,), "v", "float64"), real((3, 3), "w", "float64")
    found = []
    for t in (tg, torch):
        weights = t.tensor(w)

        def f(x: Any, t: Any = t, weights: Any = weights) -> Any:
            return t.tanh(weights @ x) * x

        def s(x: Any, t: Any = t, weights: Any = weights) -> Any:
            return (t.exp(weights @ x) * x).sum()

        x, u, functional = t.tensor(a), t.tensor(v), t.autograd.functional
        found.append(
            [
                functional.jacobian(f, x),
                functional.hessian(s, x),
                functional.vjp(f, x, u)[1],
                functional.jvp(f, x, u)[1],
                functional.vhp(s, x, u)[1],
                functional.hvp(s, x, u)[1],
                functional.jacobian(lambda p, q: p * q, (x, u))[1],
            ]
        )
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)
