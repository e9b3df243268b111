"""What the lectures say of training: rows 69 to 74, 76, 84 and 86 of the catalogue (87 in tests/cuda)."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest

import golden
import trigrad as tg
from trigrad import _core, nn, optim
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


def test_row_069_full_batch_gradient_descent() -> None:
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
def test_row_070_071_stochastic_descent_in_a_reproducible_order(batch: int) -> None:
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


def test_row_072_iterate_until_the_loss_fails_to_decrease() -> None:
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
def test_row_073_every_optimizer_of_the_lectures_finds_the_minimum(case: str) -> None:
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
def test_row_074_a_quadratic_of_curvature_4(lr: float, converges: bool) -> None:
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
def test_row_076_annealing_follows_its_formula(case: str) -> None:
    make, formula = SCHEDULES[case]
    optimizer = optim.SGD([tg.ones(1)], lr=0.8)
    scheduler = make(optimizer)
    for t in range(50):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.8 * formula(t), rel=1e-9, abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_row_076_on_plateau() -> None:
    optimizer = optim.SGD([tg.ones(1)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    rates = []
    for loss in (5, 4, 3, 3, 3, 3, 2, 2, 2, 2):
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


# ---- clipping


def steep(w: Any) -> Any:
    """A cliff: the gradient is 4·10⁶ at w = 100."""
    return (w**4).sum()


def test_row_084_clipping_by_norm_keeps_the_direction() -> None:
    w = tg.tensor([30.0, -40.0, 0.5], dtype=tg.float64).requires_grad_()
    steep(w).backward()
    g = w.grad.numpy().copy()
    total = nn.utils.clip_grad_norm_([w], max_norm=2.0)
    assert total.item() == pytest.approx(np.linalg.norm(g), rel=1e-14)
    np.testing.assert_allclose(w.grad.numpy(), 2 * g / (np.linalg.norm(g) + 1e-6), rtol=1e-12)
    assert np.linalg.norm(w.grad.numpy()) <= 2.0
    before = w.grad.numpy().copy()
    nn.utils.clip_grad_norm_([w], max_norm=3.0)
    assert (w.grad.numpy() == before).all(), "what is short enough stays, bit for bit"


def test_row_084_clipping_by_value_cuts_each_component() -> None:
    w = tg.tensor([30.0, -40.0, 0.5], dtype=tg.float64).requires_grad_()
    steep(w).backward()
    nn.utils.clip_grad_value_([w], 2.0)
    assert w.grad.tolist() == [2.0, -2.0, 0.5]


@pytest.mark.parametrize("clip", ["not", "norm", "value"])
def test_row_084_descent_from_a_cliff_needs_clipping(clip: str) -> None:
    w = tg.tensor([100.0, -3.0], dtype=tg.float64).requires_grad_()
    optimizer = optim.SGD([w], lr=0.1)
    for _ in range(1500):
        optimizer.zero_grad()
        steep(w).backward()
        if clip == "norm":
            nn.utils.clip_grad_norm_([w], 1.0)
        elif clip == "value":
            nn.utils.clip_grad_value_([w], 1.0)
        optimizer.step()
    if clip == "not":
        assert not np.isfinite(w.detach().numpy()).all()
    else:
        assert np.abs(w.detach().numpy()).max() < 0.1


# ---- the same bits for any number of threads


@pytest.mark.parametrize(("name", "dtype"), [("Adam", "float64"), *((name, "float32") for name in golden.OPTIMIZERS)])
def test_row_086_training_has_the_same_bits_on_any_threads_and_isa(name: str, dtype: str) -> None:
    """Units and events are computed side by side: 50 steps with batch norm and dropout, of a batch that is large enough for
    threads. test_bits.py does the same in other processes, and golden.json holds it between compilers."""
    found = set()
    for isa in _core.available_isas():
        _core.set_isa(isa)
        for threads in (1, 2, 3, 4, 8):
            tg.set_num_threads(threads)
            for steps in (3,) if isa == "baseline" else (3, 50):  # the baseline computes fma in software
                found.add((steps, golden.training(name, dtype, (64, 33), 600, steps)))
    assert len(found) == len({steps for steps, _ in found})
    assert all(len(digest) == 64 for _, digest in found)


def test_row_086_a_changed_bit_would_be_seen() -> None:
    a, b = hashlib.sha256(), hashlib.sha256()
    golden.add(a, {"w": tg.tensor([1.0, 2.0]), "step": 1})
    golden.add(b, {"w": tg.tensor([1.0, 2.0000002]), "step": 1})
    assert a.digest() != b.digest()
