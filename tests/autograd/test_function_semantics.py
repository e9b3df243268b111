"""autograd.Function and gradcheck: each case does the same in trigrad and in PyTorch (tests/both.py)."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from both import Cases, leaf, outcome

case = Cases()


def function(t: Any, forward: Any, backward: Any, setup_context: Any = None) -> Any:
    """A Function of these static methods."""
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    if setup_context is not None:
        methods["setup_context"] = staticmethod(setup_context)
    return type("Made", (t.autograd.Function,), methods)


def square(ctx: Any, x: Any) -> Any:
    ctx.save_for_backward(x)
    return x * x


def slope_of_square(ctx: Any, g: Any) -> Any:
    (x,) = ctx.saved_tensors
    return g * 2 * x


def doubled_in_place(ctx: Any, x: Any) -> Any:
    x.mul_(2)
    ctx.mark_dirty(x)
    return x


def twice(ctx: Any, g: Any) -> Any:
    return g * 2


def returning(value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One backward pass through a function of one argument, whose backward returns value(g)."""

    def run(t: Any) -> Any:
        x = leaf(t, 2.0, 3.0)
        function(t, lambda ctx, x: x * 1, lambda ctx, g: value(g)).apply(x).sum().backward()
        return x.grad.tolist(), str(x.grad.dtype).split(".")[1]

    return run


# ---- what backward returns

case["too many"] = returning(lambda g: (g, g))
case["too many, but None"] = returning(lambda g: (g, None, None))
case["nothing"] = returning(lambda g: ())
case["broadcast"] = returning(lambda g: g.expand(3, 2))
case["not broadcast"] = returning(lambda g: g.sum())
case["another shape"] = returning(lambda g: g[:1])
case["another dtype"] = returning(lambda g: g.float())


@case
def too_few_gradients(t: Any) -> Any:
    x = leaf(t, 1.0)
    function(t, lambda ctx, x, y: x * y, lambda ctx, g: g).apply(x, x).sum().backward()


@case
def outputs_that_are_no_tensors_or_have_no_gradient(t: Any) -> Any:
    x = leaf(t, 1.0, 3.0)
    seen = []

    def backward(ctx: Any, *grads: Any) -> Any:
        seen.extend(None if g is None else (g.tolist(), str(g.dtype).split(".")[1]) for g in grads)
        return grads[0]

    made = function(t, lambda ctx, x: (x * 2, x.argmax(), "text", None, x + 1), backward).apply(x)
    made[0].sum().backward()
    return seen, made[1].item(), made[2:4], [getattr(y, "requires_grad", None) for y in made], x.grad.tolist()


@case
def how_a_function_is_printed(t: Any) -> Any:
    class WithAName(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    class with_another(WithAName):
        pass

    x = leaf(t, 1.0)
    y = x * 2
    y[0] = 3
    return [str(f).split(".")[0] for f in (WithAName.apply(x), with_another.apply(x), x * 2, x.log_softmax(0), y)]


@case
def gradient_of_a_number(t: Any) -> Any:
    function(t, lambda ctx, x, n: x * n, lambda ctx, g: (g, g)).apply(leaf(t, 1.0), 2).sum().backward()


@case
def none_for_an_input(t: Any) -> Any:
    x, y = leaf(t, 2.0), leaf(t, 3.0)
    function(t, lambda ctx, x, y: x * y, lambda ctx, g: (None, g)).apply(x, y).sum().backward()
    return x.grad, y.grad.tolist()


# ---- ctx


@case
def needs_input_grad(t: Any) -> Any:
    seen = []

    def forward(ctx: Any, x: Any, n: int, y: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return x * n + y

    def backward(ctx: Any, g: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return g * 2, None, g

    function(t, forward, backward).apply(leaf(t, 1.0), 2, t.ones(1, dtype=t.float64)).sum().backward()
    return seen


@case
def modes_inside(t: Any) -> Any:
    seen = []

    def forward(ctx: Any, x: Any) -> Any:
        seen.append(t.is_grad_enabled())
        return x * 2

    def backward(ctx: Any, g: Any) -> Any:
        seen.append(t.is_grad_enabled())
        return g * 2

    x, f = leaf(t, 1.0), function(t, forward, backward)
    f.apply(x).sum().backward()
    t.autograd.grad(f.apply(x).sum(), x, create_graph=True)
    return seen


@case
def context_set_up_apart(t: Any) -> Any:
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.n = inputs
        ctx.save_for_backward(x)

    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * ctx.n * x ** (ctx.n - 1), None

    x = leaf(t, 2.0)
    y = function(t, lambda x, n: x**n, backward, setup_context).apply(x, 3)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    return g.tolist(), t.autograd.grad(g.sum(), x)[0].tolist()


@case
def saved_number(t: Any) -> Any:
    function(t, lambda ctx, x: ctx.save_for_backward(3), twice).apply(leaf(t, 1.0))


@case
def saved_none(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(None, x)
        return x + 1

    def backward(ctx: Any, g: Any) -> Any:
        none, x = ctx.saved_tensors
        return g * x if none is None else None

    x = leaf(t, 5.0)
    function(t, forward, backward).apply(x).sum().backward()
    return x.grad.tolist()


@case
def saved_and_changed(t: Any) -> Any:
    y = leaf(t, 1.0) * 1
    z = function(t, square, slope_of_square).apply(y)
    y.add_(1)
    z.sum().backward()


@case
def saved_and_run_twice(t: Any) -> Any:
    z = function(t, square, slope_of_square).apply(leaf(t, 1.0)).sum()
    z.backward()
    z.backward()


@case
def nothing_saved_and_run_twice(t: Any) -> Any:
    x = leaf(t, 1.0)
    z = function(t, lambda ctx, x: x * 2, twice).apply(x).sum()
    z.backward()
    z.backward()
    return x.grad.tolist()


@case
def attributes_of_ctx(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        with t.enable_grad():
            ctx.x = x.detach().requires_grad_()
            ctx.y = (ctx.x * ctx.x).sum()
        return ctx.y.detach()

    x = leaf(t, 3.0)
    function(t, forward, lambda ctx, g: t.autograd.grad(ctx.y, ctx.x, g)[0]).apply(x).backward()
    return x.grad.tolist()


@case
def outputs_as_attributes(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.y = x.exp()
        return ctx.y

    x = leaf(t, 0.5)
    y = function(t, forward, lambda ctx, g: g * ctx.y).apply(x)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    return g.tolist(), t.autograd.grad(g.sum(), x)[0].tolist()


@case
def attribute_that_was_not_set(t: Any) -> Any:
    function(t, lambda ctx, x: x * 1, lambda ctx, g: g * ctx.missing).apply(leaf(t, 1.0)).sum().backward()


# ---- outputs


@case
def outputs_without_gradient(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        mask, copy = x > 0, x * 1
        ctx.mark_non_differentiable(mask, copy)
        return x * 2, mask, copy, "text", None

    x = leaf(t, 1.0, -1.0)
    made = function(t, forward, lambda ctx, g, *rest: g * 2).apply(x)
    made[0].sum().backward()
    return [y.requires_grad for y in made[:3]], made[3:], x.grad.tolist()


@case
def unused_outputs(t: Any) -> Any:
    seen = []
    for materialized in (True, False):

        def forward(ctx: Any, x: Any, materialized: bool = materialized) -> Any:
            ctx.set_materialize_grads(materialized)
            return x * 2, x * 3

        def backward(ctx: Any, a: Any, b: Any) -> Any:
            seen.append([None if g is None else g.tolist() for g in (a, b)])
            return a * 2

        function(t, forward, backward).apply(leaf(t, 1.0))[0].sum().backward()
    return seen


@case
def integer_output(t: Any) -> Any:
    return function(t, lambda ctx, x: x.long(), twice).apply(leaf(t, 1.0)).requires_grad


@case
def no_input_that_learns(t: Any) -> Any:
    return function(t, lambda ctx, x: x * 2, twice).apply(t.ones(1)).requires_grad


@case
def the_same_output_twice(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        y = x * 2
        return y, y

    x = leaf(t, 1.0)
    a, b = function(t, forward, lambda ctx, a, b: a + b).apply(x)
    (a + b * 3).sum().backward()
    return x.grad.tolist()


@case
def input_handed_on(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    y = function(t, lambda ctx, x: x, twice).apply(x)
    y.sum().backward()
    return y is x, y.data_ptr() == x.data_ptr(), x.grad.tolist()


@case
def input_handed_on_and_overwritten(t: Any) -> Any:
    function(t, lambda ctx, x: x, twice).apply(leaf(t, 1.0) * 1).mul_(2)


@case
def input_handed_on_as_a_view(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    y = function(t, lambda ctx, x: x.view(1, 2), lambda ctx, g: g.view(2) * 2).apply(x)
    y.sum().backward()
    return x.grad.tolist(), tuple(y.shape)


@case
def outputs_are_overwritten(t: Any) -> Any:
    x = leaf(t, 1.0)
    a, b = function(t, lambda ctx, x: (x * 2, x * 3), lambda ctx, a, b: a * 2 + b * 3).apply(x)
    a.mul_(5)
    (a + b).sum().backward()
    return x.grad.tolist()


@case
def input_changed_in_place(t: Any) -> Any:
    x = leaf(t, 3.0)
    y = x * 1
    z = function(t, doubled_in_place, twice).apply(y)
    (y * 5).sum().backward()
    return z is y, x.grad.tolist()


@case
def plain_input_changed_in_place(t: Any) -> Any:
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        x.add_(y)
        ctx.mark_dirty(x)
        return x

    x, y = t.zeros(1, dtype=t.float64), leaf(t, 2.0)
    function(t, forward, lambda ctx, g: (None, g)).apply(x, y)
    (x * 3).sum().backward()
    return x.requires_grad, y.grad.tolist()


@case
def view_changed_in_place(t: Any) -> Any:
    x = leaf(t, 3.0, 4.0)
    y = x * 1
    function(t, doubled_in_place, twice).apply(y[1:])
    (y * y).sum().backward()
    return x.grad.tolist()


@case
def leaf_changed_in_place(t: Any) -> Any:
    function(t, doubled_in_place, twice).apply(leaf(t, 1.0))


@case
def changed_in_place_and_not_returned(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x * 2

    function(t, forward, twice).apply(leaf(t, 1.0) * 1)


@case
def saved_elsewhere_and_changed_in_place(t: Any) -> Any:
    y = leaf(t, 1.0) * 1
    z = y * y
    function(t, doubled_in_place, twice).apply(y)
    z.sum().backward()


@case
def saved_after_the_change(t: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        x.exp_()
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y

    x = leaf(t, 0.5, 1.0)
    y = function(t, forward, backward).apply(x * 1)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x)
    return [round(v, 12) for v in (*g.tolist(), *h.tolist())]


# ---- derivatives that cannot be differentiated


@case
def once_differentiable(t: Any) -> Any:
    once = t.autograd.function.once_differentiable(slope_of_square)
    x = leaf(t, 3.0)
    function(t, square, once).apply(x).sum().backward()
    return x.grad.tolist(), once.__name__


@case
def once_differentiable_twice(t: Any) -> Any:
    once = t.autograd.function.once_differentiable(slope_of_square)
    x = leaf(t, 3.0)
    y = function(t, square, once).apply(x)
    (g,) = t.autograd.grad((y * y).sum(), x, create_graph=True)
    return t.autograd.grad(g.sum(), x)


# ---- gradcheck

checked: dict[str, Callable[[Any], Any]] = {
    "products": lambda t: (lambda a, b: (a @ b, a.sum()), (leaf(t, 1.0, 2.0), leaf(t, 3.0, 0.5))),
    "a list": lambda t: (lambda a: [a * a, a], leaf(t, 1.0, 2.0)),
    "no elements": lambda t: (lambda a: a * a, t.ones(0, dtype=t.float64, requires_grad=True)),
    "not contiguous": lambda t: (lambda a: a * a, t.ones(3, 2, dtype=t.float64).mT.requires_grad_()),
    "no leaf": lambda t: (lambda a: a * a, leaf(t, 1.0, 2.0) * 2),
    "wrong": lambda t: (function(t, lambda ctx, x: x * 3, twice).apply, leaf(t, 1.0)),
    "detached": lambda t: (lambda a: a.detach() * 2, leaf(t, 1.0)),
    "nothing to check": lambda t: (lambda a: a * 2, t.ones(1, dtype=t.float64)),
    "float32": lambda t: (lambda a: a.exp(), t.ones(2, requires_grad=True)),
    "no product": lambda t: (function(t, lambda ctx, x: x * 2, lambda ctx, g: g * 2 + 1e-9).apply, leaf(t, 1.0)),
    "no gradient": lambda t: (
        function(
            t, lambda ctx, x: (ctx.set_materialize_grads(False), x * 2, x * 2)[1:], lambda ctx, a, b: a * 2 + b * 2
        ).apply,
        leaf(t, 1.0),
    ),
}


def checking(name: str, quietly: bool) -> Callable[[Any], Any]:
    def run(t: Any) -> Any:
        f, inputs = checked[name](t)
        try:
            return t.autograd.gradcheck(f, inputs, raise_exception=not quietly)
        except RuntimeError as error:
            return [c.__name__ for c in type(error).__mro__]

    return run


for name in checked:
    case[f"gradcheck of {name}"] = checking(name, quietly=False)
    case[f"gradcheck of {name}, quietly"] = checking(name, quietly=True)


@case
def gradcheck_of_what_changes(t: Any) -> Any:
    calls = []

    def backward(ctx: Any, g: Any) -> Any:
        calls.append(g)
        return g * (2 + len(calls) * 1e-9)

    f = function(t, lambda ctx, x: x * 2, backward).apply
    check = t.autograd.gradcheck
    return check(f, leaf(t, 1.0), raise_exception=False), check(f, leaf(t, 1.0), nondet_tol=1e-3)


@case
def gradgradcheck(t: Any) -> Any:
    check, x, y = t.autograd.gradgradcheck, leaf(t, 1.0, 2.0), leaf(t, 3.0, 0.5)
    constant = function(t, square, lambda ctx, g: g * 2 * ctx.saved_tensors[0].detach()).apply
    return (
        check(lambda a, b: a * a * b, (x, y)),
        check(lambda a: a * a, x, t.ones(2, dtype=t.float64, requires_grad=True)),
        check(lambda a: a * a, x, gen_non_contig_grad_outputs=True),
        check(constant, x, raise_exception=False),
    )


# ---- the comparison


@pytest.mark.parametrize("name", case)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(case[name], tg) == outcome(case[name], torch)


def test_an_output_that_is_an_attribute_dies_by_reference_count() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.y = x * 2
        return ctx.y

    gc.collect()
    gc.disable()
    try:
        alive = weakref.ref(function(tg, forward, twice).apply(leaf(tg, 1.0)))
        assert alive() is None
    finally:
        gc.enable()


def test_a_dirty_output_that_was_saved_dies_by_reference_count() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        x.exp_()
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    gc.collect()
    gc.disable()
    try:
        for make in (lambda: leaf(tg, 1.0) * 1, lambda: (leaf(tg, 1.0) * 1)[:1]):
            alive = weakref.ref(function(tg, forward, twice).apply(make()))
            assert alive() is None
    finally:
        gc.enable()
