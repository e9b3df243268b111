"""backward(), grad() and the hooks of tensors: each case does the same in trigrad and in PyTorch (tests/both.py)."""

from __future__ import annotations

from typing import Any

import pytest

import trigrad as tg
from both import Cases, leaf, outcome

case = Cases()


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


@pytest.mark.parametrize("name", case)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(case[name], tg) == outcome(case[name], torch)
