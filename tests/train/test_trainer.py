"""Trainer: the bits of the loop that it stands for, whatever the model, the loss, the optimizer and the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from train.loops import (
    FEATURES,
    LOSSES,
    MODELS,
    OPTIMIZERS,
    N,
    Tied,
    assert_same,
    compare,
    events,
    loop,
    noisy,
    plain,
    twins,
)
from trigrad.nn import functional as F

# ---- the bits of the loop


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("model", list(MODELS))
def test_models_and_losses(model: str, loss: str) -> None:
    compare(MODELS[model], LOSSES[loss])


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_optimizers(optimizer: str) -> None:
    compare(noisy, optimizer=OPTIMIZERS[optimizer])


@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "cross_entropy", "multi_margin", "mse", "bce", "huber"])
def test_event_weights(loss: str) -> None:
    compare(noisy, LOSSES[loss], weighted=True)


@pytest.mark.parametrize(("n", "batch_size"), [(48, 16), (49, 16), (5, 16), (16, 16), (7, 1), (200, 64), (520, 256)])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches(n: int, batch_size: int, shuffle: bool, threads: int) -> None:
    tg.set_num_threads(threads)
    single = batch_size == 1 or n % batch_size == 1  # one event has no variance
    compare(plain if single else noisy, n=n, batch_size=batch_size, shuffle=shuffle, epochs=2)


def test_a_generator_of_its_own() -> None:
    X, y, _ = events()
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    loop(a, F.cross_entropy, of_a, X, y, generator=tg.Generator().manual_seed(9))
    tg.manual_seed(3)
    generator = tg.Generator().manual_seed(9)
    tg.Trainer(b, F.cross_entropy, of_b).fit(X, y, epochs=3, batch_size=16, generator=generator)
    assert_same(a, b, of_a, of_b)
    assert tg.equal(generator.get_state()[8:9], tg.tensor([3], dtype=tg.uint8))  # one draw per epoch


def test_without_plans() -> None:
    X, y, w = events()
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    expected = loop(a, F.cross_entropy, of_a, X, y, w)
    tg.manual_seed(3)
    trainer = tg.Trainer(b, F.cross_entropy, of_b, compile=False)
    assert trainer.fit(X, y, sample_weight=w, epochs=3, batch_size=16)["loss"] == pytest.approx(expected, rel=1e-12)
    assert_same(a, b, of_a, of_b)


def test_arrays_of_any_layout() -> None:
    X, y, w = events()
    read_only = X.numpy().copy()
    read_only.flags.writeable = False
    found = []
    for data in (
        (X, y, w),
        (read_only, y.numpy(), w.numpy()),
        (np.asfortranarray(X.numpy()), y.numpy().copy(), w.numpy()),
        (tg.cat([X, X], 1)[:, FEATURES:], tg.stack([y, y], 1)[:, 0], w.tolist()),
    ):
        _, b, _, optimizer = twins()
        tg.manual_seed(2)
        tg.Trainer(b, F.cross_entropy, optimizer).fit(*data[:2], sample_weight=data[2], epochs=2, batch_size=16)
        found.append(b[0].weight.detach().numpy().tobytes())
    assert len(set(found)) == 1


def test_several_inputs() -> None:
    class Two(tg.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.table = tg.nn.Linear(FEATURES, 3), tg.nn.Linear(3, 3)

        def forward(self, x: tg.Tensor, kind: tg.Tensor) -> tg.Tensor:
            return self.layer(x) + self.table(kind)

    X, y, _ = events()
    kind = tg.randn(N, 3)
    a, b, of_a, of_b = twins(Two)
    tg.manual_seed(3)
    for _ in range(2):
        order = tg.randperm(N)
        for first in range(0, N, 10):
            rows = order[first : first + 10]
            of_a.zero_grad()
            F.cross_entropy(a(X[rows], kind[rows]), y[rows]).backward()
            of_a.step()
    tg.manual_seed(3)
    tg.Trainer(b, F.cross_entropy, of_b).fit((X, kind), y, epochs=2, batch_size=10)
    assert_same(a, b, of_a, of_b)


def test_rows_of_more_axes_and_an_autoencoder() -> None:
    X = tg.randn(40, 2, 3)
    a, b, of_a, of_b = twins(lambda: tg.nn.Linear(3, 3))
    tg.manual_seed(3)
    loop(a, F.mse_loss, of_a, X, X)
    tg.manual_seed(3)
    tg.Trainer(b, F.mse_loss, of_b).fit(X, X, epochs=3, batch_size=16)
    assert_same(a, b, of_a, of_b)


# ---- what changes between and within epochs


def test_schedulers() -> None:
    schedules = tg.optim.lr_scheduler
    X, y, _ = events()
    a, b, of_a, of_b = twins(noisy)
    per_epoch = [schedules.ExponentialLR(o, 0.5) for o in (of_a, of_b)]
    per_step = [schedules.CyclicLR(o, 0.001, 0.02, 3, cycle_momentum=False) for o in (of_a, of_b)]
    rates: list[float] = []

    def note() -> None:
        rates.append(of_a.param_groups[0]["lr"])
        per_epoch[0].step()

    tg.manual_seed(3)
    loop(a, F.cross_entropy, of_a, X, y, epochs=4, each_epoch=note, each_step=per_step[0].step)
    tg.manual_seed(3)
    trainer = tg.Trainer(b, F.cross_entropy, of_b, scheduler=per_epoch[1], step_scheduler=per_step[1])
    history = trainer.fit(X, y, epochs=4, batch_size=16)
    assert_same(a, b, of_a, of_b)
    assert of_a.param_groups[0]["lr"] == of_b.param_groups[0]["lr"]
    assert len(history["lr"]) == 4


def test_learning_rate_of_each_epoch() -> None:
    X, y, _ = events()
    model = plain()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.08)
    schedule = tg.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    history = tg.Trainer(model, F.cross_entropy, optimizer, scheduler=schedule).fit(X, y, epochs=3, batch_size=16)
    assert history["lr"] == [0.08, 0.04, 0.02]


def test_plateau_looks_at_the_validation_loss() -> None:
    X, y, _ = events()
    model = plain()
    optimizer = tg.optim.SGD(model.parameters(), lr=1.0)
    schedule = tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    trainer = tg.Trainer(model, F.cross_entropy, optimizer, scheduler=schedule)
    history = trainer.fit(X, y, epochs=12, batch_size=16, validation_data=(X[:20], y[:20]))
    best, rate, expected = float("inf"), 1.0, []
    for value in history["val_loss"]:
        expected.append(rate)
        if value < best * (1 - 1e-4):
            best = value
        else:
            rate *= 0.5
    assert history["lr"] == expected
    assert rate < 1


def test_edits_between_fits() -> None:
    """Settings, numbers, freezing, unfreezing and loading: each is followed."""
    X, y, _ = events()
    a, b, of_a, of_b = twins(noisy)
    losses = [tg.nn.CrossEntropyLoss() for _ in range(2)]
    trainer = tg.Trainer(b, losses[1], of_b)
    saved = {name: p.clone() for name, p in a.state_dict().items()}
    edits: list[Callable[[Any, Any, Any], Any]] = [
        lambda m, o, loss: o.param_groups[0].update(lr=0.05),
        lambda m, o, loss: setattr(loss, "label_smoothing", 0.2),
        lambda m, o, loss: m[0].weight.requires_grad_(False),
        lambda m, o, loss: m[1].eval(),
        lambda m, o, loss: m[0].weight.requires_grad_(True),
        lambda m, o, loss: m.load_state_dict(saved),
        lambda m, o, loss: m.eval(),
        lambda m, o, loss: setattr(m[3], "p", 0.6),
    ]
    for k, edit in enumerate(edits):
        edit(a, of_a, losses[0])
        edit(b, of_b, losses[1])
        tg.manual_seed(k)
        a.train() if not a.training else None
        loop(a, losses[0], of_a, X, y, epochs=2)
        tg.manual_seed(k)
        trainer.fit(X, y, epochs=2, batch_size=16)
        assert_same(a, b, of_a, of_b)
        if k == 6:
            assert not any(m.training for m in b.modules())  # as it was given
            a.eval()


def test_gradients_that_add_up_begin_anew() -> None:
    """The parameter that no optimizer is given has no gradient at first, and one from the first step on."""
    X, y, _ = events()
    a, b, of_a, of_b = twins(Tied)
    trainer = tg.Trainer(b, F.cross_entropy, of_b)
    for epochs in (1, 2, 1):
        for model in (a, b):
            model.zero_grad()
        tg.manual_seed(epochs)
        loop(a, F.cross_entropy, of_a, X, y, epochs=epochs)
        tg.manual_seed(epochs)
        trainer.fit(X, y, epochs=epochs, batch_size=16)
        assert_same(a, b, of_a, of_b)


def test_numbers_that_a_loss_closes_over() -> None:
    X, y, _ = events()
    a, b, of_a, of_b = twins()
    strength = 0.1

    def loss(prediction: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
        return F.cross_entropy(prediction, target) + strength * (prediction**2).mean()

    trainer = tg.Trainer(b, loss, of_b)
    for stronger in (0.0, 0.6):
        strength += stronger
        tg.manual_seed(4)
        loop(a, loss, of_a, X, y)
        tg.manual_seed(4)
        trainer.fit(X, y, epochs=3, batch_size=16)
        assert_same(a, b, of_a, of_b)


# ---- validation


def test_validation() -> None:
    X, y, w = events(90)
    _, model, _, optimizer = twins(noisy)
    model[1].eval()  # frozen statistics
    trainer = tg.Trainer(model, F.cross_entropy, optimizer)
    draws = tg.get_rng_state()
    history = trainer.fit(
        X, y, epochs=2, batch_size=40, validation_data=(X[:70], y[:70], w[:70]), generator=tg.Generator()
    )
    assert not tg.equal(draws, tg.get_rng_state())  # dropout
    assert [m.training for m in model.modules()] == [True, True, False, True, True, True]
    model.eval()
    with tg.no_grad():
        parts = [
            (F.cross_entropy(model(X[s]), y[s], sample_weight=w[s]).item(), n)
            for s, n in ((slice(40), 40), (slice(40, 70), 30))
        ]
    expected = sum(value * n for value, n in parts) / 70
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-12)
    assert trainer.evaluate(X[:70], y[:70], sample_weight=w[:70], batch_size=40) == history["val_loss"][-1]
    assert list(history) == ["loss", "val_loss"]


def test_validation_changes_nothing() -> None:
    X, y, _ = events()
    a, b, of_a, of_b = twins(noisy)
    for model, optimizer, held in ((a, of_a, None), (b, of_b, (X[:9], y[:9]))):
        tg.manual_seed(8)
        tg.Trainer(model, F.cross_entropy, optimizer).fit(X, y, epochs=3, batch_size=16, validation_data=held)
    assert_same(a, b, of_a, of_b)
