"""Optimizers on the way to minima that are known: L1's exact zeros, LBFGS, backtracking, the longest step that converges."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import optim


def test_proximal_steps_leave_exact_zeros_at_the_known_minimum() -> None:
    """The minimum of ½(w − a)² + l1 |w| is a, moved towards zero by l1."""
    a = tg.tensor([3.0, 0.5, -2.0, -0.25, 0.0], dtype=tg.float64)
    w = tg.ones(5, dtype=tg.float64).requires_grad_()
    optimizer = optim.ProximalSGD([w], lr=0.5, l1=1.0)
    for _ in range(100):
        w.grad = w.detach() - a
        optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), [2, 0, -1, 0, 0], atol=1e-12)
    assert w.detach().numpy()[[1, 3, 4]].tobytes() == np.zeros(3).tobytes()
    state = optimizer.state_dict()
    assert state["param_groups"][0]["l1"] == 1.0
    w.grad = tg.full((5,), math.nan, dtype=tg.float64)
    optimizer.step()
    assert bool(w.isnan().all())


def rosenbrock(x: Any) -> Any:
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


@pytest.mark.parametrize("options", [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 4},
    {"lr": 0.002, "max_iter": 5},
    {"lr": 0.002, "tolerance_change": 0.1},
])  # fmt: skip
def test_lbfgs_walks_as_pytorchs(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours = tg.tensor([-1.5, 2.0], dtype=tg.float64).requires_grad_()
    theirs = torch.tensor([-1.5, 2.0], dtype=torch.float64, requires_grad=True)
    counts = []
    for x, make in ((ours, optim.LBFGS), (theirs, torch.optim.LBFGS)):
        optimizer = make([x], **options)

        def closure(x: Any = x, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = rosenbrock(x)
            loss.backward()
            return loss

        path = []
        for _ in range(6):
            loss = optimizer.step(closure)
            path.append([loss.item(), *x.tolist()])
        counts.append((path, optimizer.state_dict()["state"][0]))
    np.testing.assert_allclose(counts[0][0], counts[1][0], rtol=1e-6, atol=1e-9)
    for key in ("func_evals", "n_iter"):
        assert counts[0][1][key] == counts[1][1][key]
    if options == {"line_search_fn": "strong_wolfe"}:
        np.testing.assert_allclose(ours.tolist(), [1, 1], atol=1e-2)


def test_lbfgs_of_several_parameters_and_its_errors() -> None:
    a, b = tg.zeros(2, 3).requires_grad_(), tg.ones(()).requires_grad_()
    optimizer = optim.LBFGS([a, b], line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((a - 2) ** 2).sum() + (b + 1) ** 4
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    np.testing.assert_allclose(a.detach().numpy(), np.full((2, 3), 2), atol=1e-3)
    assert abs(b.item() + 1) < 0.1
    with pytest.raises(TypeError, match="needs a closure"):
        optimizer.step()
    with pytest.raises(ValueError, match="got 2 parameter groups"):
        optim.LBFGS([{"params": [a]}, {"params": [b]}])
    with pytest.raises(RuntimeError, match="line_search_fn is 'armijo'"):
        optim.LBFGS([a], line_search_fn="armijo")


def test_descent_stops_when_the_loss_fails_to_decrease() -> None:
    w = tg.tensor([5.0, -4.0], dtype=tg.float64).requires_grad_()
    scale = tg.tensor([1.0, 30.0], dtype=tg.float64)
    optimizer = optim.GradientDescent([w], lr=100.0)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (scale * (w - 2) ** 2).sum()
        loss.backward()
        return loss

    losses = []
    while not optimizer.stopped:
        losses.append(optimizer.step(closure).item())
        assert len(losses) < 2000
    assert all(b < a for a, b in itertools.pairwise(losses[:-1]))
    np.testing.assert_allclose(w.detach().numpy(), [2, 2], atol=1e-6)


@pytest.mark.parametrize(("lr", "converges"), [(0.49, True), (0.51, False)])
def test_a_quadratic_of_curvature_4_converges_below_a_half(lr: float, converges: bool) -> None:
    w = tg.tensor([1.0], dtype=tg.float64).requires_grad_()
    optimizer = optim.SGD([w], lr=lr)
    for _ in range(200):
        optimizer.zero_grad()
        (2 * w * w).sum().backward()
        optimizer.step()
    assert (abs(w.item()) < 1e-3) == converges
