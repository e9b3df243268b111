"""What the lectures say of training: rows 69 to 74, 76 and 94 of the catalogue."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import optim
from trigrad.optim import lr_scheduler
from trigrad.utils.data import DataLoader, TensorDataset
from values import real

TRUE = np.array([[2.0], [-1.0], [0.5]])


def straight_line(n: int = 64) -> tuple[Any, Any]:
    """Points of a linear law, without noise."""
    x = real((n, 3), "lectures.line", "float64")
    return tg.tensor(x), tg.tensor(x @ TRUE)


def loss_of(w: Any, x: Any, y: Any) -> Any:
    return ((x @ w - y) ** 2).mean()


def weights() -> Any:
    return tg.zeros(3, 1, dtype=tg.float64).requires_grad_()


def test_row_69_full_batch_gradient_descent() -> None:
    """Each step is minus the learning rate times the gradient of the whole sample's loss."""
    x, y = straight_line()
    w = weights()
    optimizer = optim.SGD([w], lr=0.2)
    by_hand = np.zeros((3, 1))
    for _ in range(100):
        optimizer.zero_grad()
        loss_of(w, x, y).backward()
        optimizer.step()
        by_hand -= 0.2 * 2 / 64 * x.numpy().T @ (x.numpy() @ by_hand - y.numpy())
    np.testing.assert_allclose(w.detach().numpy(), by_hand, rtol=1e-10)
    np.testing.assert_allclose(w.detach().numpy(), TRUE, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 8], ids=["row 70: one sample", "row 71: mini-batches"])
def test_rows_70_71_stochastic_descent_in_a_reproducible_order(batch: int) -> None:
    def train(seed: int) -> list[bytes]:
        w = weights()
        optimizer = optim.SGD([w], lr=0.05)
        loader = DataLoader(TensorDataset(*straight_line()), batch, True, generator=tg.Generator().manual_seed(seed))
        path = []
        for _ in range(40):
            for x, y in loader:
                optimizer.zero_grad()
                loss_of(w, x, y).backward()
                optimizer.step()
                path.append(w.detach().numpy().tobytes())
        np.testing.assert_allclose(w.detach().numpy(), TRUE, atol=1e-3)
        return path

    assert train(1) == train(1)
    assert train(1) != train(2)


def test_row_72_iterate_until_the_loss_fails_to_decrease() -> None:
    x, y = straight_line()
    w = weights()
    optimizer = optim.GradientDescent([w], lr=1000.0)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = loss_of(w, x, y)
        loss.backward()
        return loss

    losses = [math.inf]
    while not optimizer.stopped:
        losses.append(optimizer.step(closure).item())
        assert losses[-1] < losses[-2] or optimizer.stopped
    np.testing.assert_allclose(w.detach().numpy(), TRUE, atol=1e-6)


OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "Nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "Adagrad": ("Adagrad", {"lr": 0.5}),
    "Adadelta": ("Adadelta", {"lr": 1.0}),
    "RMSprop": ("RMSprop", {"lr": 0.01}),
    "Adam": ("Adam", {"lr": 0.05}),
    "Adamax": ("Adamax", {"lr": 0.05}),
    "Nadam": ("NAdam", {"lr": 0.05}),
    "AdamW": ("AdamW", {"lr": 0.05, "weight_decay": 1e-4}),
}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_row_73_every_optimizer_of_the_lectures_finds_the_minimum(case: str) -> None:
    name, options = OPTIMIZERS[case]
    x, y = straight_line()
    w = weights()
    optimizer = getattr(optim, name)([w], **options)
    for _ in range(600):
        optimizer.zero_grad()
        loss_of(w, x, y).backward()
        optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), TRUE, atol=0.05)


@pytest.mark.parametrize(("lr", "converges"), [(0.1, True), (0.25, True), (0.49, True), (0.51, False)])
def test_row_74_a_quadratic_of_curvature_4(lr: float, converges: bool) -> None:
    w = tg.ones(1, dtype=tg.float64).requires_grad_()
    optimizer = optim.SGD([w], lr=lr)
    for _ in range(500):
        optimizer.zero_grad()
        (2 * w * w).sum().backward()
        optimizer.step()
    assert w.item() == pytest.approx((1 - 4 * lr) ** 500, rel=1e-9, abs=1e-300)
    assert (abs(w.item()) < 1e-3) == converges


SCHEDULES: dict[str, tuple[Any, Any]] = {
    "steps": (lambda o: lr_scheduler.StepLR(o, 10, 0.5), lambda t: 0.5 ** (t // 10)),
    "cosine": (lambda o: lr_scheduler.CosineAnnealingLR(o, 50), lambda t: (1 + math.cos(math.pi * t / 50)) / 2),
    "exponential": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "warm-up": (lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=20), lambda t: min(1, 0.1 + 0.9 * t / 20)),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_row_76_annealing_follows_its_formula(case: str) -> None:
    make, formula = SCHEDULES[case]
    optimizer = optim.SGD([tg.ones(1)], lr=0.8)
    scheduler = make(optimizer)
    for t in range(50):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.8 * formula(t), rel=1e-9, abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_row_76_on_plateau() -> None:
    optimizer = optim.SGD([tg.ones(1)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    rates = []
    for loss in (5, 4, 3, 3, 3, 3, 2, 2, 2, 2):
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_row_94_l1_gives_exact_zeros_and_l2_does_not() -> None:
    """Two of eight inputs matter. L2 shrinks the other weights, L1 removes them."""
    x = tg.tensor(real((100, 8), "lectures.l1", "float64"))
    y = 2 * x[:, :1] - x[:, 1:2] + 0.1 * tg.tensor(real((100, 1), "lectures.l1.noise", "float64"))
    left = {}
    for name, optimizer_of in (
        ("L1", lambda w: optim.ProximalSGD([w], lr=0.1, l1=0.3)),
        ("L2", lambda w: optim.SGD([w], lr=0.1, weight_decay=0.3)),
    ):
        w = tg.ones(8, 1, dtype=tg.float64).requires_grad_()
        optimizer = optimizer_of(w)
        for _ in range(300):
            optimizer.zero_grad()
            loss_of(w, x, y).backward()
            optimizer.step()
        left[name] = w.detach().numpy().reshape(-1)
    assert (left["L1"][2:] == 0).all()
    assert (np.abs(left["L1"][:2]) > 0.5).all()
    assert (left["L2"] != 0).all()
    assert np.abs(left["L2"][2:]).max() < 0.1
