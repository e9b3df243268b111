"""autograd.Function, gradcheck, autograd.functional and the hooks of modules: each case does in trigrad what it does in
PyTorch (tests/both.py)."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from both import leaf, outcome

CASES: dict[str, Callable[[Any], Any]] = {}


def case(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[f.__name__] = f
    return f


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

CASES["too many"] = returning(lambda g: (g, g))
CASES["too many, but None"] = returning(lambda g: (g, None, None))
CASES["nothing"] = returning(lambda g: ())
CASES["broadcast"] = returning(lambda g: g.expand(3, 2))
CASES["not broadcast"] = returning(lambda g: g.sum())
CASES["another shape"] = returning(lambda g: g[:1])
CASES["another dtype"] = returning(lambda g: g.float())


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
    CASES[f"gradcheck of {name}"] = checking(name, quietly=False)
    CASES[f"gradcheck of {name}, quietly"] = checking(name, quietly=True)


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


# ---- autograd.functional


def lists(found: Any) -> Any:
    return [lists(f) for f in found] if isinstance(found, tuple) else (found.tolist(), found.requires_grad)


def functional(name: str, f: Any, *shapes: Any, v: Any = None, **options: Any) -> None:
    """A case: autograd.functional.<name> of f at ones of these shapes, along v, a shape or shapes as well."""

    def ones(t: Any, shape: Any) -> Any:
        return t.arange(1, 1 + int(t.ones(shape).sum()), dtype=t.float64).reshape(shape)

    def run(t: Any) -> Any:
        inputs = tuple(ones(t, s) for s in shapes)
        along = v if v is None else ones(t, v) if isinstance(v, tuple) else tuple(ones(t, s) for s in v)
        arguments = (inputs if len(inputs) > 1 else inputs[0], *([] if v is None else [along]))
        return lists(getattr(t.autograd.functional, name)(lambda *a: f(t, *a), *arguments, **options))

    CASES[f"{name} {len(CASES)}"] = run


functional("jacobian", lambda t, a, b: (a * b.sum(), (a * a).sum()), (2,), (3,))
functional("jacobian", lambda t, a: a.exp().mT, (2, 3))
functional("jacobian", lambda t, a: a * 2, (2,), vectorize=True)
functional("jacobian", lambda t, a: a * a, (2,), strategy="reverse-mode")
functional("jacobian", lambda t, a, b: a * 2, (2,), (1,))
functional("jacobian", lambda t, a, b: a * 2, (2,), (1,), strict=True)
functional("jacobian", lambda t, a: t.ones(2), (2,), strict=True)
functional("jacobian", lambda t, a: t.ones(2), (2,))
functional("jacobian", lambda t, a: 3, (2,))
functional("jacobian", lambda t, a: [a], (2,))
functional("hessian", lambda t, a, b: (a * a * b).sum(), (2,), (2,))
functional("hessian", lambda t, a: a**3, ())
functional("hessian", lambda t, a: (a**3).sum().reshape(1), (2,))
functional("hessian", lambda t, a: (a**3).sum(), (2,), outer_jacobian_strategy="reverse-mode")
functional("hessian", lambda t, a: a**3, (2,))
functional("hessian", lambda t, a: (a * 3).sum(), (2,))
functional("hessian", lambda t, a: (a * 3).sum(), (2,), strict=True)
functional("vjp", lambda t, a: (a * a).sum(), (2,))
functional("vjp", lambda t, a: a * a, (2,))
functional("vjp", lambda t, a: a * a, (2,), v=(3,))
functional("vjp", lambda t, a, b: (a * b, a + b), (2,), (2,), v=[(2,), (2,)])
functional("vjp", lambda t, a, b: (a * b, a + b), (2,), (2,), v=[(2,)])
functional("vjp", lambda t, a, b: a * 2, (2,), (2,), v=(2,), strict=True)
functional("jvp", lambda t, a, b: (a * b, a + b), (2,), (2,), v=[(2,), (2,)])
functional("jvp", lambda t, a: a * a, (1,))
functional("jvp", lambda t, a: a * a, (2,))
functional("jvp", lambda t, a: a * a, (2,), v=(3,))
functional("jvp", lambda t, a: t.ones(2), (2,), v=(2,))
functional("jvp", lambda t, a: t.ones(2), (2,), v=(2,), strict=True)
for product in ("vhp", "hvp"):
    functional(product, lambda t, a, b: (a * a * b).sum(), (2,), (2,), v=[(2,), (2,)])
    functional(product, lambda t, a: a * a, (2,), v=(2,))
    functional(product, lambda t, a: (a * 2).sum(), (2,), v=(2,))
    functional(product, lambda t, a: (a * 2).sum(), (2,), v=(2,), strict=True)
    functional(product, lambda t, a: a**3, ())
    functional(product, lambda t, a: (a**3).sum(), (2,))


@case
def functional_within_a_graph(t: Any) -> Any:
    f, v, found = t.autograd.functional, t.ones(2, dtype=t.float64), []
    for compute in (
        lambda x: f.jacobian(lambda a: a**3, x, create_graph=True),
        lambda x: f.hessian(lambda a: (a**4).sum(), x, create_graph=True),
        lambda x: f.vjp(lambda a: a**3, x, v, create_graph=True)[1],
        lambda x: f.jvp(lambda a: a**3, x, v, create_graph=True)[1],
        lambda x: f.vhp(lambda a: (a**4).sum(), x, v, create_graph=True)[1],
        lambda x: f.hvp(lambda a: (a**4).sum(), x, v, create_graph=True)[1],
    ):
        x = leaf(t, 1.0, 2.0)
        made = compute(x)
        found.append((made.requires_grad, made.tolist(), t.autograd.grad(made.sum(), x)[0].tolist()))
    return found


@case
def functional_inside_no_grad(t: Any) -> Any:
    with t.no_grad():
        return lists(t.autograd.functional.jacobian(lambda a: a * a, t.ones(2)))


# ---- hooks of modules


def layer(t: Any) -> Any:
    made = t.nn.Linear(2, 1)
    with t.no_grad():
        made.weight.fill_(2.0)
        made.bias.fill_(1.0)
    return made


def passed(t: Any, module: Any) -> Any:
    x = t.ones(1, 2, requires_grad=True)
    y = module(x)
    y.sum().backward()
    return y.tolist(), x.grad.tolist(), [p.grad.tolist() for p in module.parameters()]


@case
def forward_pre_hooks(t: Any) -> Any:
    module = layer(t)
    one = module.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    two = module.register_forward_pre_hook(lambda m, args: args[0] + 1)
    three = module.register_forward_pre_hook(
        lambda m, args, kwargs: ((args[0] * 3,), kwargs), with_kwargs=True, prepend=True
    )
    found = []
    for handle in (one, two, three):
        found.append(module(t.ones(1, 2)).tolist())
        handle.remove()
    return found, module(t.ones(1, 2)).tolist()


@case
def forward_hooks(t: Any) -> Any:
    module, seen = layer(t), []
    first = module.register_forward_hook(lambda m, args, out: seen.append(out.tolist()))
    module.register_forward_hook(lambda m, args, out: out * 2)
    module.register_forward_hook(lambda m, args, out: seen.append(out.tolist()))
    module.register_forward_hook(lambda m, args, out: out + 1, prepend=True)
    y = module(t.ones(1, 2))
    first.remove()
    module(t.zeros(1, 2))
    return y.tolist(), seen


@case
def forward_hook_that_removes_itself(t: Any) -> Any:
    module, seen = layer(t), []

    def hook(m: Any, args: Any, out: Any) -> None:
        seen.append(1)
        handle.remove()

    handle = module.register_forward_hook(hook)
    module(t.ones(1, 2))
    module(t.ones(1, 2))
    return seen


@case
def hooks_are_copied_with_the_module(t: Any) -> Any:
    module, seen = layer(t), []
    module.register_forward_hook(lambda m, args, out: seen.append(1))
    copy.deepcopy(module)(t.ones(1, 2))
    return seen


def shown(grads: Any) -> Any:
    return type(grads).__name__, [None if g is None else g.tolist() for g in grads]


@case
def full_backward_hooks(t: Any) -> Any:
    module, seen = layer(t), []
    handle = module.register_full_backward_hook(lambda m, gi, go: seen.append((shown(gi), shown(go))))
    found = passed(t, module)
    module(t.ones(1, 2)).sum().backward()  # which warns: no input has a gradient
    handle.remove()
    module(t.ones(1, 2)).sum().backward()
    return found, seen


@case
def backward_hooks_that_change_gradients(t: Any) -> Any:
    found = []
    for register in ("register_full_backward_hook", "register_full_backward_pre_hook"):
        module = layer(t)
        getattr(module, register)(lambda m, *grads: (grads[0][0] * 10,))
        found.append(passed(t, module))
    return found


@case
def backward_hook_that_returns_too_many(t: Any) -> Any:
    module = layer(t)
    module.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    passed(t, module)


@case
def backward_hooks_of_several_inputs_and_outputs(t: Any) -> Any:
    class Both(t.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, a: Any, b: Any, c: Any) -> Any:
            return a * 2, b * 3, c

    module, seen = Both(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((shown(gi), shown(go))))
    made = module(leaf(t, 1.0), leaf(t, 2.0), t.ones(1, dtype=t.float64))
    made[0].sum().backward()
    return seen, made[2].requires_grad


@case
def order_of_hooks(t: Any) -> Any:
    seen: list[Any] = []
    model = t.nn.Sequential(layer(t), t.nn.ReLU())
    for name, m in (("first", model[0]), ("second", model[1]), ("model", model)):
        m.register_forward_pre_hook(lambda m, args, name=name: seen.append((name, "pre")))
        m.register_forward_hook(lambda m, args, out, name=name: seen.append((name, "forward")))
        m.register_full_backward_pre_hook(lambda m, go, name=name: seen.append((name, "backward pre")))
        m.register_full_backward_hook(lambda m, gi, go, name=name: seen.append((name, "backward")))
    return passed(t, model), seen


@case
def hooked_output_overwritten(t: Any) -> Any:
    model = t.nn.Sequential(layer(t), t.nn.ReLU(inplace=True))
    model[0].register_full_backward_hook(lambda m, gi, go: None)
    passed(t, model)


# ---- the comparison


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", CASES)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(CASES[name], tg) == outcome(CASES[name], torch)


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
