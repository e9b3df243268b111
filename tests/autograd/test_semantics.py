"""What belongs to a graph and what may be done to it: each case runs in trigrad and in PyTorch, and does the same in both:
gives the same value and as many warnings, or raises an error of the same type."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trigrad as tg
from both import leaf, outcome

CASES: dict[str, Callable[[Any], Any]] = {}


def case(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[f.__name__] = f
    return f


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


# ---- views


@case
def unrecorded_view_of_a_result(t: Any) -> Any:
    y = leaf(t, 1.0, 2.0) * 1
    with t.no_grad():
        v = y[1:]
    v.mul_(2)


@case
def unrecorded_view_of_a_leaf(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    with t.inference_mode():
        v = x.view(2, 1)
    v.mul_(2)


@case
def unrecorded_view_that_gets_a_result(t: Any) -> Any:
    y = t.ones(3, dtype=t.float64)
    with t.no_grad():
        v = y[1:]
    v.mul_(leaf(t, 1.0, 2.0))


@case
def view_of_an_unrecorded_view(t: Any) -> Any:
    y = leaf(t, 1.0, 2.0) * 1
    with t.no_grad():
        v = y[1:]
    v.view(1, 1).mul_(2)


@case
def unrecorded_view_whose_base_was_written(t: Any) -> Any:
    y = t.ones(2, dtype=t.float64)
    with t.no_grad():
        v = y[1:]
    y.mul_(leaf(t, 1.0, 2.0))
    return v * 2


@case
def unrecorded_views_of_what_has_no_history(t: Any) -> Any:
    y = t.ones(2, dtype=t.float64)
    with t.no_grad():
        v = y[1:]
    v.mul_(2)
    with t.no_grad():
        v.add_(1)
    return y.tolist()


@case
def unrecorded_writes(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    with t.no_grad():
        x[1:].mul_(3)
        x[0] = 7
        x -= 1
    (x * x).sum().backward()
    return x.tolist(), x.grad.tolist(), x.requires_grad, x.is_leaf


@case
def detached_views_are_written(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    x.detach()[1:].mul_(3)
    x.data[:1].add_(1)
    return x.tolist()


@case
def saved_value_written_through_detach(t: Any) -> Any:
    y = leaf(t, 1.0) * 1
    z = y * y
    y.detach().mul_(2)
    z.sum().backward()


@case
def saved_value_written_in_no_grad(t: Any) -> Any:
    x = leaf(t, 1.0)
    z = (x * x).sum()
    with t.no_grad():
        x.mul_(2)
    z.backward()


@case
def history_through_views(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0, 3.0)
    y = t.zeros(3, dtype=t.float64)
    v, w = y[:2], y.view(3, 1)
    y[1:] = x[:2] * x[:2]
    seen = [q.requires_grad for q in (y, v, w)], y.is_leaf, v.is_leaf
    (v * w[1]).sum().backward()
    return seen, x.grad.tolist()


@case
def detach_in_place(t: Any) -> Any:
    x = leaf(t, 1.0)
    y = x * 2
    z = y.detach_()
    x.detach_()
    return z is y, y.requires_grad, y.is_leaf, x.requires_grad


@case
def detach_of_a_view_in_place(t: Any) -> Any:
    (leaf(t, 1.0, 2.0) * 2)[1:].detach_()


@case
def data_is_replaced(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    x.data = t.tensor([[5.0]], dtype=t.float64)
    (x * x).sum().backward()
    return x.grad.tolist(), x.requires_grad, x.data.requires_grad


# ---- leaves


@case
def overwritten_leaf(t: Any) -> Any:
    leaf(t, 1.0).add_(1)


@case
def overwritten_item_of_a_leaf(t: Any) -> Any:
    leaf(t, 1.0)[0] = 2.0


@case
def overwritten_view_of_a_leaf(t: Any) -> Any:
    leaf(t, 1.0, 2.0)[1:].mul_(2)


@case
def integer_leaf(t: Any) -> Any:
    t.tensor([1]).requires_grad_()


@case
def integer_leaf_when_made(t: Any) -> Any:
    t.tensor([1], requires_grad=True)


@case
def result_that_shall_require_nothing(t: Any) -> Any:
    (leaf(t, 1.0) * 2).requires_grad = False


@case
def facts(t: Any) -> Any:
    x, a = leaf(t, 1.0), t.ones(1, dtype=t.float64)
    y = x * a
    made = (x, a, a * 2, y, y.detach(), y > 0, y.long(), y.float(), x.view(-1), t.stack([x, a]), *y)
    return [(q.requires_grad, q.is_leaf, q.grad_fn is None, q.output_nr) for q in made]


@case
def gradient_of_another_shape_is_refused(t: Any) -> Any:
    x = leaf(t, 1.0)
    x.grad = t.ones(2, dtype=t.float64)


@case
def gradient_of_another_dtype_is_refused(t: Any) -> Any:
    x = leaf(t, 1.0)
    x.grad = t.ones(1)


@case
def gradients_are_set_and_deleted(t: Any) -> Any:
    x = leaf(t, 1.0)
    x.grad = t.ones(1, dtype=t.float64)
    (x * 2).sum().backward()
    seen = x.grad.tolist()
    del x.grad
    return seen, x.grad


@case
def copies_of_leaves(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    (x * x).sum().backward()
    deep, shallow, again = copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x))
    deep.grad.add_(1)
    return [(y.tolist(), y.requires_grad, y.is_leaf, None if y.grad is None else y.grad.tolist())
            for y in (x, deep, shallow, again)]  # fmt: skip


@case
def deep_copies_share_gradients_as_their_originals_do(t: Any) -> Any:
    x = leaf(t, 1.0)
    a, b = copy.deepcopy([x, x])
    return a is b, a is x


@case
def deepcopy_of_a_result(t: Any) -> Any:
    return copy.deepcopy(leaf(t, 1.0) * 2)


@case
def pickle_of_a_result(t: Any) -> Any:
    y = pickle.loads(pickle.dumps(leaf(t, 1.0) * 2))
    return y.tolist(), y.requires_grad, y.is_leaf


# ---- .grad of what is no leaf


@case
def grad_of_a_result(t: Any) -> Any:
    return (leaf(t, 1.0) * 2).grad


@case
def grad_of_a_result_that_was_set(t: Any) -> Any:
    y = leaf(t, 1.0) * 2
    y.grad = t.ones(1, dtype=t.float64)
    return y.grad.tolist()


@case
def retain_grad_twice(t: Any) -> Any:
    x = leaf(t, 3.0)
    y = x * 2
    before = y.retains_grad
    y.retain_grad()
    y.retain_grad()
    z = (y * y).sum()
    z.backward(retain_graph=True)
    once = y.grad.tolist()
    z.backward()
    return before, y.retains_grad, once, y.grad.tolist(), x.grad.tolist()


@case
def retain_grad_comes_after_hooks(t: Any) -> Any:
    x = leaf(t, 3.0)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    return y.grad.tolist(), x.grad.tolist()


@case
def retain_grad_follows_writes(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(5)
    y[1:] *= 3
    (y * y).sum().backward()
    return y.grad.tolist(), x.grad.tolist()


@case
def retain_grad_of_leaves(t: Any) -> Any:
    x = leaf(t, 1.0)
    x.retain_grad()
    x.sum().backward()
    return x.retains_grad, x.grad.tolist()


@case
def retain_grad_of_what_has_none(t: Any) -> Any:
    t.ones(1).retain_grad()


@case
def retained_gradients_of_views(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    y = x * 2
    v = y[1:]
    v.retain_grad()
    (y * y).sum().backward(retain_graph=True)
    unused = v.grad
    (v * v).sum().backward()
    return unused, v.grad.tolist()


# ---- backward and grad


@case
def backward_twice(t: Any) -> Any:
    y = leaf(t, 1.0) ** 2
    y.backward()
    y.backward()


@case
def backward_twice_where_nothing_was_kept(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    y = (x + x).view(2, 1).mT.sum()
    y.backward()
    y.backward()
    return x.grad.tolist()


@case
def backward_through_a_shared_part(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    shared = x.view(1, 2)
    for k in range(3):
        (shared * shared * k).sum().backward()
    return x.grad.tolist()


@case
def backward_of_several_elements(t: Any) -> Any:
    (leaf(t, 1.0, 2.0) * 2).backward()


@case
def backward_of_integers(t: Any) -> Any:
    t.tensor(3).backward()


@case
def backward_of_a_leaf(t: Any) -> Any:
    x = leaf(t, 3.0)
    x.backward()
    x.backward()
    return x.grad.tolist()


@case
def backward_with_a_number(t: Any) -> Any:
    (leaf(t, 1.0) * 2).backward(1.0)


@case
def backward_with_a_misshapen_gradient(t: Any) -> Any:
    (leaf(t, 1.0, 2.0) * 2).backward(t.ones(3, dtype=t.float64))


@case
def backward_with_another_dtype(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    (x * 2).backward(t.tensor([1.0, 2.0]))
    (x * 2).backward(t.tensor([1, 2]))
    return x.grad.tolist(), x.grad.dtype == t.float64


@case
def backward_of_several(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    y = x * x
    t.autograd.backward([y.sum(), y], [None, t.ones(2, dtype=t.float64)])
    return x.grad.tolist()


@case
def backward_with_too_few_gradients(t: Any) -> Any:
    x = leaf(t, 1.0)
    t.autograd.backward([x * 2, x * 3], [t.ones(1, dtype=t.float64)])


@case
def backward_of_no_inputs(t: Any) -> Any:
    (leaf(t, 1.0) * 2).backward(inputs=[])


@case
def backward_of_chosen_inputs(t: Any) -> Any:
    x, w, seen = leaf(t, 2.0), leaf(t, 3.0), []
    x.register_hook(lambda g: seen.append("x"))
    w.register_hook(lambda g: seen.append("w"))
    y = x * w
    y.register_hook(lambda g: seen.append("y"))
    (y * y).sum().backward(inputs=[x, y])
    return seen, w.grad, x.grad.tolist(), y.grad.tolist()


@case
def backward_that_keeps_its_graph(t: Any) -> Any:
    x = leaf(t, 2.0)
    (x * x * x).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.backward()
    return first.requires_grad, x.grad.tolist()


@case
def grad_runs_the_hooks_of_its_inputs(t: Any) -> Any:
    x, w, seen = leaf(t, 2.0), leaf(t, 3.0), []
    x.register_hook(lambda g: g * 10)
    x.register_post_accumulate_grad_hook(lambda p: seen.append("post"))
    w.register_hook(lambda g: seen.append("w"))
    (g,) = t.autograd.grad((x * w).sum(), x)
    return seen, g.tolist(), x.grad, w.grad


@case
def grad_of_itself(t: Any) -> Any:
    x = leaf(t, 2.0)
    y = (x * x).sum()
    return [g.tolist() for g in t.autograd.grad(y, (y, x, x))]


@case
def grad_of_no_inputs(t: Any) -> Any:
    return t.autograd.grad(leaf(t, 1.0) * 2, [])


@case
def grad_of_what_needs_none(t: Any) -> Any:
    return t.autograd.grad(leaf(t, 1.0) * 2, t.ones(1))


@case
def grad_of_the_unused(t: Any) -> Any:
    return t.autograd.grad(leaf(t, 1.0) * 2, leaf(t, 1.0))


@case
def grad_of_the_unused_allowed(t: Any) -> Any:
    x, y, z = leaf(t, 1.0), leaf(t, 1.0, 2.0), leaf(t, 1.0)
    out = (x * 2).sum()
    none = t.autograd.grad(out, (x, y), allow_unused=True, retain_graph=True)
    zeros = t.autograd.grad(out, (z, y), materialize_grads=True)
    return none[0].tolist(), none[1], [g.tolist() for g in zeros]


@case
def grad_of_the_unused_contradicted(t: Any) -> Any:
    x = leaf(t, 1.0)
    return t.autograd.grad((x * 2).sum(), x, allow_unused=False, materialize_grads=True)


@case
def grad_outputs_are_part_of_the_graph(t: Any) -> Any:
    x, v = leaf(t, 2.0, 3.0), leaf(t, 5.0, 7.0)
    (g,) = t.autograd.grad(x * x, x, v, create_graph=True)
    return [h.tolist() for h in t.autograd.grad(g.sum(), (x, v))]


@case
def grad_of_several(t: Any) -> Any:
    x = leaf(t, 2.0)
    return t.autograd.grad([x * x, (x * 3).sum()], [x], [t.ones(1, dtype=t.float64), None])[0].tolist()


# ---- hooks of tensors


@case
def hook_of_what_has_no_gradient(t: Any) -> Any:
    t.ones(2).register_hook(print)


@case
def hook_that_returns_a_number(t: Any) -> Any:
    x = leaf(t, 1.0)
    x.register_hook(lambda g: 3)
    (x * x).sum().backward()


@case
def hook_that_returns_another_shape(t: Any) -> Any:
    y = leaf(t, 1.0) * 2
    y.register_hook(lambda g: g.expand(3))
    (y * y).sum().backward()


@case
def hook_that_returns_another_dtype(t: Any) -> Any:
    y = leaf(t, 1.0) * 2
    y.register_hook(lambda g: g.float())
    (y * y).sum().backward()


@case
def hooks_are_called_in_order_and_removed(t: Any) -> Any:
    x, seen = leaf(t, 1.0), []

    def hook(g: Any) -> Any:
        seen.append(g.tolist())
        return g * 2

    a, b = x.register_hook(hook), x.register_hook(hook)
    (x * 3).sum().backward()
    a.remove()
    a.remove()
    (x * 3).sum().backward()
    with b:
        pass
    (x * 3).sum().backward()
    return seen, x.grad.tolist()


@case
def hooks_stay_with_the_value_that_they_were_set_on(t: Any) -> Any:
    x, seen = leaf(t, 1.0), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("before", g.tolist())))
    y.mul_(5)
    y.register_hook(lambda g: seen.append(("after", g.tolist())))
    y.sum().backward()
    return seen


@case
def hooks_may_keep_gradients(t: Any) -> Any:
    x, seen = leaf(t, 1.0), []
    x.register_hook(seen.append)
    (x * x).sum().backward()
    (x * x).sum().backward()
    return [g.tolist() for g in seen], x.grad.tolist()


@case
def hooks_may_run_backward(t: Any) -> Any:
    x, w = leaf(t, 2.0), leaf(t, 3.0)

    def hook(g: Any) -> None:
        with t.enable_grad():
            (w * w).sum().backward()

    y = x * x
    y.register_hook(hook)
    y.sum().backward()
    return x.grad.tolist(), w.grad.tolist()


@case
def hooks_of_views_and_their_bases(t: Any) -> Any:
    x, seen = leaf(t, 1.0, 2.0), []
    y = x * 2
    v = y[1:]
    y.register_hook(lambda g: seen.append(("base", g.tolist())))
    v.register_hook(lambda g: seen.append(("view", g.tolist())))
    (y.sum() + (v * 3).sum()).backward()
    return sorted(seen), x.grad.tolist()


@case
def hooks_after_accumulation(t: Any) -> Any:
    x, seen = leaf(t, 1.0), []

    def step(p: Any) -> None:
        seen.append(p.grad.tolist())
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    handle.remove()
    (x * 3).sum().backward()
    return seen, x.grad.tolist()


@case
def post_accumulate_hook_of_a_result(t: Any) -> Any:
    (leaf(t, 1.0) * 2).register_post_accumulate_grad_hook(print)


# ---- the comparison


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", CASES)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(CASES[name], tg) == outcome(CASES[name], torch)


def test_tensors_have_no_torch_function() -> None:
    assert not hasattr(tg.Tensor, "__torch_function__")
