"""Hooks of modules: each case does the same in trigrad and in PyTorch (tests/both.py)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import trigrad as tg
from both import Cases, leaf, outcome

case = Cases()


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


@pytest.mark.parametrize("name", case)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(case[name], tg) == outcome(case[name], torch)
