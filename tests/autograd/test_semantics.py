"""Views, leaves and .grad, and what may be done to them: each case does the same in trigrad and in PyTorch (tests/both.py)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import trigrad as tg
from both import Cases, leaf, outcome

case = Cases()


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


# ---- the comparison


@pytest.mark.parametrize("name", case)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(case[name], tg) == outcome(case[name], torch)


def test_tensors_have_no_torch_function() -> None:
    assert not hasattr(tg.Tensor, "__torch_function__")
