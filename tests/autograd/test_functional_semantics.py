"""autograd.functional: each case does the same in trigrad and in PyTorch (tests/both.py)."""

from __future__ import annotations

from typing import Any

import pytest

import trigrad as tg
from both import Cases, leaf, outcome

case = Cases()


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

    case[f"{name} {len(case)}"] = run


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


# ---- the comparison


@pytest.mark.parametrize("name", case)
def test_as_in_torch(torch: Any, name: str) -> None:
    assert outcome(case[name], tg) == outcome(case[name], torch)
