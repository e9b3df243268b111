"""The ends of the Hessian's spectrum, against dense Hessians and quadratics that are known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import curvature, hessian_product, sharpness
from values import real

F = nn.functional


def quadratic(eigenvalues: Any) -> tuple[Any, Any, Any]:
    """w, ½wᵀHw and H, with these eigenvalues in directions that are not the axes."""
    n = len(eigenvalues)
    q, _ = np.linalg.qr(real((n, n), "diagnostics.quadratic", "float64"))
    h = tg.tensor(q @ np.diag(np.array(eigenvalues, dtype=float)) @ q.T)
    w = tg.tensor(real(n, "diagnostics.at", "float64")).requires_grad_()
    return w, lambda: 0.5 * w @ h @ w, q


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [5, 3, 1, 0.5],
        [5, 3, 1, -0.5],
        [1, 0.3, 0, -7],  # the negative one has the largest modulus
        [-1, -2, -4],
        [3, 1, -3],  # none has the largest modulus
        [2, -2],
        [3, 3, 1],  # a plane of vectors
        [2.5],
        [0, 0],
    ],
    ids=str,
)
def test_quadratics(eigenvalues: list[float]) -> None:
    w, loss, q = quadratic(eigenvalues)
    found = curvature(w, loss, tolerance=1e-6, iterations=2000)
    assert found.smallest.value == pytest.approx(min(eigenvalues), abs=1e-9)
    assert found.largest.value == pytest.approx(max(eigenvalues), abs=1e-9)
    assert sharpness(w, loss, tolerance=1e-6, iterations=2000) == pytest.approx(max(eigenvalues), abs=1e-9)
    for pair in found:
        v = pair.vector.numpy()
        assert np.linalg.norm(v) == pytest.approx(1, abs=1e-12)
        inside = [abs(e - pair.value) < 1e-6 for e in eigenvalues]
        assert np.linalg.norm(v @ q[:, inside]) == pytest.approx(1, abs=1e-8), "in the eigenspace"
        assert pair.residual <= 1e-6 * 2 * max(map(abs, eigenvalues))


def networks() -> dict[str, Any]:
    def relu() -> Any:
        return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))

    def norm() -> Any:
        return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))

    def dropout() -> Any:
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2))

    def part() -> Any:
        net = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2), nn.Linear(2, 2))
        for p in net[0].parameters():
            p.requires_grad_(False)
        net.append(nn.Identity())
        return net

    return {"relu": relu, "batch norm": norm, "dropout": dropout, "frozen layer": part}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", networks())
def test_networks_against_the_dense_hessian(kind: str, seed: int) -> None:
    tg.manual_seed(seed)
    net = networks()[kind]().double()
    x, y = tg.randn(20, 3, dtype=tg.float64), tg.randint(0, 2, (20,))
    draws = tg.get_rng_state().clone()
    parameters = [p for p in net.parameters() if p.requires_grad]
    state = {name: t.clone() for name, t in net.state_dict().items()}

    def loss() -> Any:
        return F.cross_entropy(net(x), y)

    def by_hand() -> Any:
        """Gradients by finite differences of gradients, with the same masks each time."""
        start, columns, step = nn.utils.parameters_to_vector(parameters).detach(), [], 1e-5
        for i, sign in itertools.product(range(start.numel()), (1, -1)):
            there = start.clone()
            there[i] += sign * step
            nn.utils.vector_to_parameters(there, parameters)
            tg.set_rng_state(draws)
            slopes = tg.autograd.grad(loss(), parameters)
            columns.append(nn.utils.parameters_to_vector(slopes).numpy() * sign)
        nn.utils.vector_to_parameters(start, parameters)
        return (np.array(columns[::2]) + np.array(columns[1::2])) / (2 * step)

    dense = by_hand()
    tg.set_rng_state(draws)
    net.load_state_dict(state)
    product = hessian_product(net, loss)
    made = np.array([product(e).numpy() for e in tg.eye(len(dense), dtype=tg.float64)])
    np.testing.assert_allclose(made, dense, atol=1e-8)
    np.testing.assert_allclose(made, made.T, atol=1e-14)
    values = np.linalg.eigvalsh(made)
    found = curvature(net, loss, iterations=3000, tolerance=1e-5)
    assert found.largest.value == pytest.approx(values[-1], rel=1e-6)
    assert found.smallest.value == pytest.approx(values[0], rel=1e-6, abs=1e-8 * values[-1])
    assert values[0] - 1e-12 <= found.smallest.value <= found.largest.value <= values[-1] + 1e-12
    assert sharpness(net, loss, iterations=3000, tolerance=1e-5) == pytest.approx(values[-1], rel=1e-6)
    assert tg.equal(tg.get_rng_state(), draws)
    assert all(tg.equal(t, state[name]) for name, t in net.state_dict().items()), "running statistics too"
    assert all(p.grad is None for p in net.parameters())


def test_few_steps_stay_inside_the_spectrum_and_say_how_far_off_they_are() -> None:
    eigenvalues = np.linspace(-1, 3, 40)
    w, loss, _ = quadratic(eigenvalues)
    found = curvature(w, loss, iterations=5)
    for pair in found:
        assert -1 < pair.value < 3
        assert pair.residual > 1e-3
        assert np.abs(eigenvalues - pair.value).min() <= pair.residual
    better = curvature(w, loss, iterations=100)
    assert better.smallest.value < found.smallest.value < found.largest.value < better.largest.value


def test_gradient_descent_stays_in_a_minimum_below_two_over_the_sharpness() -> None:
    """In the minimum of a network, η < 2/curvature is what descent needs not to be thrown out."""
    tg.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = tg.linspace(-1, 1, 9, dtype=tg.float64).reshape(9, 1)
    y = net(x).detach()  # so the net stands in a minimum, of loss 0

    def loss() -> Any:
        return F.mse_loss(net(x), y)

    kept = nn.utils.parameters_to_vector(net.parameters()).detach()
    top = curvature(net, loss, tolerance=1e-6).largest
    for factor, stays in ((1.9, True), (2.1, False)):
        nn.utils.vector_to_parameters(kept + 1e-6 * top.vector, net.parameters())
        optimizer = tg.optim.SGD(net.parameters(), lr=factor / top.value)
        for _ in range(40):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        along = float((nn.utils.parameters_to_vector(net.parameters()).detach() - kept) @ top.vector)
        assert abs(along) == pytest.approx(1e-6 * abs(1 - factor) ** 40, rel=0.02)
        assert (abs(along) < 1e-6) == stays


def test_products_go_on_after_the_parameters_were_read() -> None:
    """The graph is that of the parameters at the time; the loss is linear in b."""
    a, b = tg.ones(2, requires_grad=True), tg.ones(1, requires_grad=True)
    product = hessian_product([a, b], lambda: (a**3).sum() + b.sum())
    assert product(tg.tensor([1.0, 2.0, 3.0])).tolist() == [6.0, 12.0, 0.0]
    assert hessian_product([b], lambda: b.sum())(tg.ones(1)).tolist() == [0.0]
    assert curvature([b], lambda: b.sum()).largest.value == 0.0


def test_bad_input() -> None:
    w = tg.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"\[sharpness\] loss\(\) returned shape \(2,\), expected a tensor of one"):
        sharpness(w, lambda: w * w)
    with pytest.raises(ValueError, match=r"\[sharpness\] loss\(\) returned a float, expected"):
        sharpness(w, lambda: 1.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match=r"does not depend on the parameters"):
        sharpness(w, lambda: tg.ones(1))
    with pytest.raises(TypeError, match=r"loss is a Tensor, expected a function"):
        sharpness(w, w)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"model holds a float, expected"):
        sharpness([1.0], lambda: w.sum())  # type: ignore[list-item]
    for nothing in ([], tg.ones(2), nn.ReLU()):
        with pytest.raises(ValueError, match=r"\[curvature\] got tensors that require no gradient"):
            curvature(nothing, lambda: w.sum())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"iterations is 0 and tolerance 0\.001, expected at least 1"):
        sharpness(w, lambda: (w * w).sum(), iterations=0)
    with pytest.raises(ValueError, match=r"v is \(3,\), expected a vector with a number for each of the 2 parameters"):
        hessian_product(w, lambda: (w * w).sum())(tg.ones(3))
    with pytest.raises(ValueError, match=r"infinite or NaN products"):
        sharpness(w, lambda: (w * math.inf).sum() * w.sum())


def test_an_end_beside_a_far_one() -> None:
    """Reached by as many products as it takes; before, it is said how far off the value may be."""
    spectrum = [-100.0, 1.0, 0.5]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    a, w = tg.tensor(turn @ np.diag(spectrum) @ turn.T), tg.zeros(3, dtype=tg.float64, requires_grad=True)

    def loss() -> Any:
        return 0.5 * (w @ a @ w)

    assert sharpness(w, loss, iterations=3000) == pytest.approx(1.0, abs=1e-4)
    assert curvature(w, loss, iterations=3000).largest.value == pytest.approx(1.0, abs=1e-4)
    with pytest.warns(UserWarning, match=r"\[sharpness\] 0\.\d+ may be off by 0\.\d+ after 5 products"):
        sharpness(w, loss, iterations=5)


def test_tensors_that_are_given_twice_are_refused() -> None:
    w = tg.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="a tensor twice"):
        sharpness([w, w], lambda: (w * w).sum())
