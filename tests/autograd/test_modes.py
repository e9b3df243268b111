"""What is recorded where, and what inference mode makes: each case does the same in trigrad and in PyTorch (tests/both.py)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import trigrad as tg
from both import Cases, leaf, outcome

case = Cases()


def made_in_inference(t: Any, *values: float) -> Any:
    with t.inference_mode():
        return t.tensor(list(values), dtype=t.float64)


# ---- modes, as blocks and as decorators


@case
def blocks(t: Any) -> Any:
    seen = [t.is_grad_enabled()]
    with t.no_grad():
        seen.append(t.is_grad_enabled())
        with t.enable_grad():
            seen.append(t.is_grad_enabled())
            with t.set_grad_enabled(False):
                seen.append(t.is_grad_enabled())
            seen.append(t.is_grad_enabled())
        seen.append(t.is_grad_enabled())
    return [*seen, t.is_grad_enabled()]


@case
def set_grad_enabled_as_a_function(t: Any) -> Any:
    t.set_grad_enabled(False)
    off = t.is_grad_enabled()
    t.set_grad_enabled(True)
    return off, t.is_grad_enabled()


@case
def decorators(t: Any) -> Any:
    def mode() -> Any:
        return t.is_grad_enabled(), t.is_inference_mode_enabled()

    made = [
        t.no_grad()(mode),
        t.no_grad(mode),
        t.enable_grad()(mode),
        t.inference_mode()(mode),
        t.inference_mode(mode),
        t.set_grad_enabled(False)(mode),
        t.set_grad_enabled(True)(mode),
    ]
    outside = mode()
    with t.no_grad():
        inside = [f() for f in made]
    return outside, [f() for f in made], inside, [f.__name__ for f in made], mode()


@case
def decorated_method(t: Any) -> Any:
    class Model:
        @t.no_grad()
        def predict(self, n: int, *, k: int = 1) -> Any:
            """Doc."""
            return n + k, t.is_grad_enabled()

    return Model().predict(1, k=2), Model.predict.__doc__


@case
def decorated_recursion_and_error(t: Any) -> Any:
    @t.no_grad()
    def down(n: int) -> Any:
        if n == 0:
            raise ArithmeticError
        return down(n - 1)

    with pytest.raises(ArithmeticError):
        down(5)
    return t.is_grad_enabled()


@case
def generators(t: Any) -> Any:
    @t.no_grad()
    def steps() -> Iterator[Any]:
        sent = yield t.is_grad_enabled()
        try:
            yield sent, t.is_grad_enabled()
        except ValueError:
            yield "caught", t.is_grad_enabled()
        with t.enable_grad():
            yield t.is_grad_enabled()
        return "end"

    g = steps()
    seen = [next(g), t.is_grad_enabled(), g.send(3), t.is_grad_enabled(), g.throw(ValueError()), next(g)]
    seen.append(t.is_grad_enabled())
    with pytest.raises(StopIteration) as end:
        next(g)
    return seen, end.value.value, t.is_grad_enabled()


@case
def generators_are_closed(t: Any) -> Any:
    seen = []

    @t.no_grad()
    def steps() -> Iterator[Any]:
        try:
            yield 1
        finally:
            seen.append(t.is_grad_enabled())

    g = steps()
    next(g)
    g.close()
    return seen, list(steps()), t.is_grad_enabled()


@case
def generators_that_raise(t: Any) -> Any:
    @t.inference_mode()
    def steps() -> Iterator[Any]:
        yield t.is_inference_mode_enabled()
        raise KeyError("here")

    g = steps()
    first = next(g)
    with pytest.raises(KeyError, match="here"):
        next(g)
    return first, t.is_inference_mode_enabled(), t.is_grad_enabled()


@case
def modes_belong_to_threads(t: Any) -> Any:
    seen = []

    def look() -> None:
        seen.append((t.is_grad_enabled(), t.is_inference_mode_enabled()))
        t.set_grad_enabled(False)

    with t.inference_mode():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    return seen, t.is_grad_enabled()


@case
def leaves_may_be_made_in_no_grad(t: Any) -> Any:
    with t.no_grad():
        x = t.ones(2, requires_grad=True)
        return x.requires_grad, (x * 2).requires_grad


# ---- inference mode


@case
def inference_nesting(t: Any) -> Any:
    seen = []

    def look() -> None:
        y = t.ones(2, requires_grad=True) * 2
        seen.append((t.is_grad_enabled(), t.is_inference_mode_enabled(), y.requires_grad, y.is_inference()))

    with t.inference_mode():
        look()
        with t.enable_grad():
            look()
        with t.inference_mode(False):
            look()
        with t.inference_mode(mode=True), t.no_grad():
            look()
        look()
    with t.no_grad(), t.inference_mode(False):
        look()
    look()
    return seen


@case
def what_is_an_inference_tensor(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    with t.inference_mode():
        a, view, alias = x * 2, x[1:], x.detach()
    outside = (a.clone(), a[1:], a.view(2, 1), a * 2, a.detach(), t.cat([a, a]), a.data)
    return [y.is_inference() for y in (x, a, view, alias, *outside)], t.is_inference(a), a.requires_grad


@case
def inference_tensors_are_not_saved(t: Any) -> Any:
    return leaf(t, 1.0) * made_in_inference(t, 2.0)


@case
def inference_tensors_are_not_saved_by_functions(t: Any) -> Any:
    class Add(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(y)
            return x + y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g, g

    return Add.apply(leaf(t, 1.0), made_in_inference(t, 2.0))


@case
def inference_tensors_that_need_not_be_saved(t: Any) -> Any:
    x, a = leaf(t, 1.0, 2.0), made_in_inference(t, 3.0, 4.0)
    y = x + a
    y.sum().backward()
    return y.is_inference(), x.grad.tolist(), (x.detach() * a).tolist(), (x * a.clone()).tolist()


@case
def inference_tensors_are_not_overwritten_outside(t: Any) -> Any:
    made_in_inference(t, 1.0).add_(1)


@case
def inference_tensors_are_not_overwritten_outside_by_items(t: Any) -> Any:
    made_in_inference(t, 1.0)[0] = 2


@case
def inference_tensors_are_not_overwritten_in_no_grad(t: Any) -> Any:
    a = made_in_inference(t, 1.0)
    with t.no_grad():
        a.zero_()


@case
def inference_tensors_are_overwritten_inside(t: Any) -> Any:
    a, x = made_in_inference(t, 1.0), leaf(t, 1.0)
    with t.inference_mode():
        a.add_(1)
        a[0] *= 2
        x.add_(1)
    return a.tolist(), x.tolist(), x.is_inference(), x.requires_grad


@case
def inference_tensors_require_no_gradient(t: Any) -> Any:
    made_in_inference(t, 1.0).requires_grad_()


@case
def inference_values_into_the_graph(t: Any) -> Any:
    x, a = leaf(t, 1.0, 2.0), made_in_inference(t, 5.0)
    y = x * 2
    y[:1] = a
    y.sum().backward()
    return y.tolist(), x.grad.tolist()


@case
def parameters_in_inference_mode(t: Any) -> Any:
    layer = t.nn.Linear(2, 1)
    with t.inference_mode():
        y = layer(t.ones(3, 2))
    layer(t.ones(3, 2)).sum().backward()
    return y.requires_grad, y.is_inference(), layer.bias.grad.tolist()


# ---- the comparison


@pytest.mark.parametrize("name", case)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(case[name], tg) == outcome(case[name], torch)
