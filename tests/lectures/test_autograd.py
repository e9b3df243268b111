"""What the lectures say of backpropagation: rows 56 to 66 and 68 of the catalogue."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn
from values import real


def leaf(value: Any) -> Any:
    return tg.tensor(value, dtype=tg.float64).requires_grad_()


def draw(*shape: int, key: str = "") -> Any:
    return leaf(real(shape, f"lectures.autograd{key}{shape}", "float64", -1.0, 1.0))


def close(got: Any, want: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got.detach().numpy() if isinstance(got, tg.Tensor) else got, want, rtol=rtol, atol=1e-14)


def partials(y: Any, *x: Any) -> Any:
    """dy/dx for each x, leaf or intermediate, of the sum of y."""
    return tg.autograd.grad(y.sum(), x, retain_graph=True)


# ---- the algorithm


def test_row_056_partials_are_added_in_reverse_topological_order() -> None:
    """D0: at each node the contributions of all its children, each of them complete before it is handed on."""
    x = leaf(0.7)
    order: list[tuple[str, float]] = []

    def watched(name: str, t: Any) -> Any:
        t.register_hook(lambda g: order.append((name, g.item())))
        return t

    a = watched("a", x * x)
    b = watched("b", a.sin())
    c = watched("c", a * b)
    d = watched("d", a + b + c)
    d.backward()
    s, co, v = np.sin(0.49), np.cos(0.49), 0.49
    want = {"d": 1.0, "c": 1.0, "b": 1 + v, "a": 1 + s + (1 + v) * co}
    assert [name for name, _ in order] == ["d", "c", "b", "a"]
    for name, g in order:
        assert g == pytest.approx(want[name], rel=1e-14)
    assert x.grad.item() == pytest.approx(2 * 0.7 * want["a"], rel=1e-14)


def test_row_056_diamond_accumulates() -> None:
    x = leaf(3.0)
    (x * x + 5 * x + x).backward()
    assert x.grad.item() == 2 * 3 + 5 + 1


@pytest.mark.parametrize(("x", "value", "slope"), [(1.0, -0.7649206, 4.5607918), (0.5, 0.5424850, -3.3341464)])
def test_row_057_the_example_of_the_lecture(x: float, value: float, slope: float) -> None:
    x_ = leaf(x)
    t = x_**2
    u1, u2 = tg.sin(t), 3 * t
    u = u1 + u2
    J = tg.cos(u)
    assert J.item() == pytest.approx(value, abs=5e-8)
    du, du1, du2, dt, dx = partials(J, u, u1, u2, t, x_)
    close(du, -np.sin(u.item()))
    close(du1, du.item())
    close(du2, du.item())
    close(dt, du1.item() * np.cos(t.item()) + du2.item() * 3)
    close(dx, dt.item() * 2 * x)
    assert dx.item() == pytest.approx(slope, abs=5e-8)


def test_row_058_product_of_a_sum() -> None:
    x, y, z = leaf(4.0), leaf(-3.0), leaf(5.0)
    q = x + y
    f = q * z
    assert (q.item(), f.item()) == (1.0, 5.0)
    assert [g.item() for g in partials(f, q, x, y, z)] == [5.0, 5.0, 5.0, 1.0]


def test_row_059_sum_times_maximum() -> None:
    x, y, z = leaf(1.0), leaf(2.0), leaf(0.0)
    a, b = x + y, tg.maximum(y, z)
    f = a * b
    assert (a.item(), b.item(), f.item()) == (3.0, 2.0, 6.0)
    assert [g.item() for g in partials(f, a, b)] == [2.0, 3.0]
    assert [g.item() for g in partials(a, x, y)] == [1.0, 1.0]
    assert [g.item() for g in partials(b, y, z)] == [1.0, 0.0]
    assert [g.item() for g in partials(f, x, y, z)] == [2.0, 5.0, 0.0]


def test_row_060_sine_of_a_neuron() -> None:
    w, x = leaf(1.5), leaf(2.0)
    y = tg.sin(w * x + tg.log(x)) + tg.cos(x)
    assert y.item() == pytest.approx(-0.9401587, abs=5e-8)
    dw, dx = partials(y, w, x)
    assert dw.item() == pytest.approx(-1.7034219, abs=5e-8)
    assert dx.item() == pytest.approx(-2.6127193, abs=5e-8)


def test_row_061_chain_rule_of_jacobians() -> None:
    """dy_i/dx_k = Σ_j dy_i/du_j du_j/dx_k, and the reverse mode takes vᵀ through both factors."""
    A, B, x, v = draw(5, 3), draw(4, 5), draw(3), draw(4, key="v")

    def h(x: Any) -> Any:
        return tg.tanh(A @ x)

    def g(u: Any) -> Any:
        return tg.exp(B @ u) * u[0]

    jacobian = tg.autograd.functional.jacobian
    u = h(x)
    du_dx, dy_du = jacobian(h, x.detach()), jacobian(g, u.detach())
    close(du_dx, (1 - u.detach().numpy() ** 2)[:, None] * A.detach().numpy())
    chained = dy_du.numpy() @ du_dx.numpy()
    close(jacobian(lambda x: g(h(x)), x.detach()), chained)
    g(h(x)).backward(v.detach())
    close(x.grad, v.detach().numpy() @ chained)


# ---- the lectures' networks, every partial that they list (J with its right sign)


def cross_entropy(y: Any, target: float) -> Any:
    return -(target * tg.log(y) + (1 - target) * tg.log(1 - y))


@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_row_062_case_1_logistic_regression(target: float) -> None:
    theta, x = draw(5), leaf([1.0, 0.5, -1.2, 0.3, 2.0])  # x_0 = 1 is the bias
    a = (theta * x).sum()
    y = 1 / (1 + tg.exp(-a))
    J = cross_entropy(y, target)
    a_, y_, th, xs = a.item(), y.item(), theta.detach().numpy(), x.detach().numpy()
    assert J.item() == pytest.approx(-(target * np.log(y_) + (1 - target) * np.log(1 - y_)), rel=1e-14)
    dJ_dy, dJ_da, dJ_dtheta, dJ_dx = partials(J, y, a, theta, x)
    close(dJ_dy, -(target / y_ + (1 - target) / (y_ - 1)))
    close(dJ_dy, (y_ - target) / (y_ * (1 - y_)))
    close(partials(y, a)[0], np.exp(-a_) / (np.exp(-a_) + 1) ** 2)
    close(partials(y, a)[0], y_ * (1 - y_))
    close(dJ_da, y_ - target)
    close(partials(a, theta)[0], xs)
    close(partials(a, x)[0], th)
    close(dJ_dtheta, (y_ - target) * xs)
    close(dJ_dx, (y_ - target) * th)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_row_062_case_2_neural_network(target: float) -> None:
    alpha, beta, x = draw(4, 3), draw(5), leaf([1.0, -0.7, 1.4])  # x_0 = z_0 = 1
    a = (alpha * x).sum(1)
    z = tg.cat([tg.ones(1, dtype=tg.float64), 1 / (1 + tg.exp(-a))])
    b = (beta * z).sum()
    y = 1 / (1 + tg.exp(-b))
    J = cross_entropy(y, target)
    a_, z_, b_, y_ = (t.detach().numpy() for t in (a, z, b, y))
    al, be, xs = (t.detach().numpy() for t in (alpha, beta, x))

    dJ_dy, dJ_db, dJ_dbeta, dJ_dz, dJ_da, dJ_dalpha, dJ_dx = partials(J, y, b, beta, z, a, alpha, x)
    dy_db = np.exp(-b_) / (np.exp(-b_) + 1) ** 2
    close(dJ_dy, (y_ - target) / (y_ * (1 - y_)))
    close(partials(y, b)[0], dy_db)
    close(dJ_db, dJ_dy.item() * dy_db)
    close(dJ_db, y_ - target)
    close(partials(b, beta)[0], z_)
    close(dJ_dbeta, dJ_db.item() * z_)
    close(partials(b, z)[0], be)
    close(dJ_dz, dJ_db.item() * be)
    dz_da = np.exp(-a_) / (np.exp(-a_) + 1) ** 2
    close(partials(z, a)[0], dz_da)
    close(dJ_da, dJ_dz.numpy()[1:] * dz_da)
    close(partials(a, alpha)[0], np.broadcast_to(xs, (4, 3)))
    close(dJ_dalpha, dJ_da.numpy()[:, None] * xs)
    close(dJ_dx, sum(dJ_da.numpy()[j] * al[j] for j in range(4)))


def chain_of_layers(depth: int = 3) -> Any:
    """D1's network: z^l = w^l a^{l-1} + b^l, a^l = σ(z^l), E = ½ |a^L - y|²."""
    widths = [4, 6, 5, 3][: depth + 1]
    w = [draw(n, m, key=f"w{i}") for i, (m, n) in enumerate(itertools.pairwise(widths))]
    b = [draw(n, key=f"b{i}") for i, n in enumerate(widths[1:])]
    a, z = [draw(widths[0], key="x")], []
    for w_, b_ in zip(w, b, strict=True):
        z.append(w_ @ a[-1] + b_)
        a.append(tg.sigmoid(z[-1]))
    E = 0.5 * ((a[-1] - draw(widths[-1], key="y").detach()) ** 2).sum()
    return w, b, a, z, E


@pytest.mark.parametrize("equation", ["I", "II", "III", "IV"])
def test_row_063_the_equations_of_backpropagation(equation: str) -> None:
    w, b, a, z, E = chain_of_layers()
    delta = [d.numpy() for d in partials(E, *z)]  # Δ^l = ∂E/∂z^l
    slope = [s.detach().numpy() * (1 - s.detach().numpy()) for s in a[1:]]  # σ′(z^l)
    for layer in range(len(z)):
        if equation == "I":
            close(delta[layer], partials(E, a[layer + 1])[0].numpy() * slope[layer])
        elif equation == "II":
            close(partials(E, b[layer])[0], delta[layer])
        elif equation == "III" and layer + 1 < len(z):
            close(delta[layer], (delta[layer + 1] @ w[layer + 1].detach().numpy()) * slope[layer])
        elif equation == "IV":
            close(partials(E, w[layer])[0], np.outer(delta[layer], a[layer].detach().numpy()))


def test_row_063_the_algorithm_by_hand_is_backward() -> None:
    """D1's five steps in NumPy, from the activations to the gradients."""
    w, b, a, _, E = chain_of_layers()
    E.backward()
    values = [t.detach().numpy() for t in a]
    target = draw(3, key="y").detach().numpy()
    delta = (values[-1] - target) * values[-1] * (1 - values[-1])
    for layer in reversed(range(3)):
        close(b[layer].grad, delta)
        close(w[layer].grad, np.outer(delta, values[layer]))
        delta = (w[layer].detach().numpy().T @ delta) * values[layer] * (1 - values[layer])


def test_row_064_modules_are_differentiated_one_by_one() -> None:
    """D0's Case 2 as four modules: each needs its own input and the gradient of its output, nothing else."""
    first, second = nn.Linear(3, 4, dtype=tg.float64), nn.Linear(4, 1, dtype=tg.float64)
    loss = nn.BCELoss()
    target = tg.tensor([[1.0], [0.0]], dtype=tg.float64)
    modules = [first, nn.Sigmoid(), second, nn.Sigmoid(), lambda y: loss(y, target)]
    x = real((2, 3), "lectures.modules", "float64")

    whole = leaf(x)
    y = whole
    for module in modules:
        y = module(y)
    y.backward()
    want = [p.grad.clone() for m in (first, second) for p in m.parameters()]
    for p in (*first.parameters(), *second.parameters()):
        p.grad = None

    inputs, value = [], tg.tensor(x)
    for module in modules:
        inputs.append(value)
        value = module(value).detach()
    grad = tg.ones((), dtype=tg.float64)
    for module, input in zip(reversed(modules), reversed(inputs), strict=True):
        alone = input.clone().requires_grad_()
        module(alone).backward(grad)
        grad = alone.grad
    assert tg.equal(grad, whole.grad)
    for p, g in zip((*first.parameters(), *second.parameters()), want, strict=True):
        assert tg.equal(p.grad, g)


def test_row_065_each_node_is_visited_once() -> None:
    """D3: 40 diamonds in a row have 2⁴⁰ ways from the end to the beginning, and 40 nodes."""

    class Counted(tg.autograd.Function):
        visits = 0

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 0.5

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            Counted.visits += 1
            return grad * 0.5

    x = leaf(3.0)
    y = x
    for _ in range(40):
        y = Counted.apply(y)
        y = y + y
    y.backward()
    assert Counted.visits == 40
    assert x.grad.item() == 1.0


# ---- the graph


def test_row_066_the_graph_of_the_lectures_examples() -> None:
    x = leaf(1.0)
    t = x**2
    J = tg.cos(tg.sin(t) + 3 * t)
    found = tg.graph(J, names={"x": x, "t": t})
    dJ_du = -np.sin(np.sin(1.0) + 3)
    want = {  # D0: each intermediate quantity with its value and the partial derivative of the goal
        "x": (1.0, 4.5607918),
        "t": (1.0, 2.2803959),
        "%2": (np.sin(1.0), dJ_du),
        "%3": (3.0, dJ_du),
        "%4": (np.sin(1.0) + 3, dJ_du),
        "%5": (-0.7649206, 1.0),
    }
    assert [e.name for e in found] == list(want)
    for name, (value, partial) in want.items():
        assert found[name].value.item() == pytest.approx(value, abs=5e-8), name
        assert found[name].partial.item() == pytest.approx(partial, abs=5e-8), name
    assert re.search(r"^%4 +add\(%2, %3\) +3\.8415 +0\.64412$", str(found), re.MULTILINE)

    x, y, z = leaf(4.0), leaf(-3.0), leaf(5.0)  # D2
    q = x + y
    found = tg.graph(q * z, names={"x": x, "y": y, "q": q, "z": z})
    assert [(e.name, e.value.item(), e.partial.item()) for e in found] == [
        ("x", 4.0, 5.0),
        ("y", -3.0, 5.0),
        ("q", 1.0, 5.0),
        ("z", 5.0, 1.0),
        ("%2", 5.0, 1.0),
    ]
    drawing = found.dot()
    assert [*re.findall(r"(n\d) -> (n\d)", drawing)] == [("n0", "n2"), ("n1", "n2"), ("n2", "n4"), ("n3", "n4")]
    assert r'n2 [label="q = add(x, y)\n1\n∂ 5"]' in drawing

    w, x = leaf(1.5), leaf(2.0)  # D3
    found = tg.graph(tg.sin(w * x + tg.log(x)) + tg.cos(x), names={"w": w, "x": x})
    assert [e.op for e in found] == [None, None, "mul", "log", "add", "sin", "cos", "add"]
    assert found["w"].partial.item() == pytest.approx(-1.7034219, abs=5e-8)
    assert found["x"].partial.item() == pytest.approx(-2.6127193, abs=5e-8)
    assert found.nodes[-1].value.item() == pytest.approx(-0.9401587, abs=5e-8)


# ---- second derivatives


def test_row_068_second_derivative_of_the_sigmoid() -> None:
    """σ″ = σ (1 - σ) (1 - 2σ), and 0 at 0, by differentiating the gradient; and a third time."""
    z = tg.tensor([0.0, 0.5, -2.0, 4.0, -30.0], dtype=tg.float64).requires_grad_()
    s = tg.sigmoid(z)
    (first,) = tg.autograd.grad(s.sum(), z, create_graph=True)
    (second,) = tg.autograd.grad(first.sum(), z, create_graph=True)
    (third,) = tg.autograd.grad(second.sum(), z)
    v = 1 / (1 + np.exp(-z.detach().numpy()))
    close(first, v * (1 - v))
    close(second, v * (1 - v) * (1 - 2 * v))
    close(third, v * (1 - v) * (1 - 6 * v + 6 * v * v), rtol=1e-9)
    assert first[0].item() == 0.25
    assert second[0].item() == 0.0
    assert tg.autograd.gradgradcheck(tg.sigmoid, (z,))
