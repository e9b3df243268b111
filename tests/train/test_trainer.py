"""Trainer.fit beside the loop that it stands for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad.nn import functional as F

EVENTS, FEATURES = 205, 6


def model(dropout: bool = False) -> Any:
    tg.manual_seed(1)
    layers = [tg.nn.Linear(FEATURES, 16), tg.nn.BatchNorm1d(16), tg.nn.ReLU()]
    return tg.nn.Sequential(*layers, *([tg.nn.Dropout(0.3)] if dropout else []), tg.nn.Linear(16, 3))


def events(n: int = EVENTS) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    g = tg.Generator().manual_seed(7)
    return tg.randn(n, FEATURES, generator=g), tg.randint(0, 3, (n,), generator=g), tg.rand(n, generator=g)


def loop(
    net: Any, loss: Any, optimizer: Any, X: Any, y: Any, w: Any, epochs: int, size: int, shuffle: bool
) -> list[float]:
    """The eager loop of Trainer's docstring."""
    losses = []
    for _ in range(epochs):
        order = tg.randperm(len(X)) if shuffle else tg.arange(len(X))
        total = 0.0
        for i in range(0, len(X), size):
            rows = order[i : i + size]
            optimizer.zero_grad()
            made = loss(net(X[rows]), y[rows]) if w is None else loss(net(X[rows]), y[rows], sample_weight=w[rows])
            made.backward()
            optimizer.step()
            total += made.item() * len(rows)
        losses.append(total / len(X))
    return losses


@pytest.mark.parametrize("size", [32, 41, 205, 1000])
@pytest.mark.parametrize(
    ("dropout", "shuffle", "weighted"), [(False, True, False), (True, True, True), (True, False, False)]
)
def test_bits_of_the_loop(size: int, dropout: bool, shuffle: bool, weighted: bool) -> None:
    X, y, w = events()
    weights = w if weighted else None
    a, b = model(dropout), model(dropout)
    optimizers = [tg.optim.Adam(m.parameters(), lr=0.01) for m in (a, b)]
    loss = tg.nn.CrossEntropyLoss()
    tg.manual_seed(3)
    expected = loop(a, loss, optimizers[0], X, y, weights, 4, size, shuffle)
    after = tg.get_rng_state()
    tg.manual_seed(3)
    trainer = tg.Trainer(b, loss, optimizers[1])
    history = trainer.fit(X, y, epochs=4, batch_size=size, shuffle=shuffle, sample_weight=weights)
    assert history["loss"] == pytest.approx(expected, rel=1e-12)
    assert tg.equal(tg.get_rng_state(), after)
    for (name, p), (_, q) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert p.numpy().tobytes() == q.numpy().tobytes(), name
    assert sum(plan.calls for plan in trainer.step.plans) >= 4 * (EVENTS // size) - 3


@pytest.mark.parametrize("threads", [1, 2])
def test_arrays_and_threads(threads: int) -> None:
    tg.set_num_threads(threads)
    X, y, _ = events()
    found = []
    for data in ((X, y), (X.numpy(), y.numpy()), (np.asfortranarray(X.numpy()), y.numpy().copy())):
        net = model()
        tg.manual_seed(2)
        tg.Trainer(net, F.cross_entropy, tg.optim.SGD(net.parameters(), lr=0.1)).fit(*data, epochs=2, batch_size=70)
        found.append(net[0].weight.detach().numpy().tobytes())
    assert found[0] == found[1] == found[2]


def test_validation() -> None:
    X, y, w = events()
    net = model(dropout=True)
    trainer = tg.Trainer(net, tg.nn.CrossEntropyLoss(), tg.optim.Adam(net.parameters()))
    history = trainer.fit(X, y, epochs=3, batch_size=50, validation_data=(X[:90], y[:90], w[:90]))
    assert net.training
    assert len(history["val_loss"]) == 3
    net.eval()
    parts = [(slice(0, 50), 50), (slice(50, 90), 40)]
    with tg.no_grad():
        expected = sum(F.cross_entropy(net(X[s]), y[s], sample_weight=w[s]).item() * n for s, n in parts) / 90
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-12)


def test_schedulers_between_epochs() -> None:
    X, y, _ = events()
    nets = [model(), model()]
    optimizers = [tg.optim.SGD(m.parameters(), lr=0.5) for m in nets]
    schedulers = [tg.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in optimizers]
    trainer = tg.Trainer(nets[1], F.cross_entropy, optimizers[1])
    tg.manual_seed(6)
    for _ in range(3):
        loop(nets[0], F.cross_entropy, optimizers[0], X, y, None, 1, 32, True)
        schedulers[0].step()
    tg.manual_seed(6)
    for _ in range(3):
        trainer.fit(X, y, batch_size=32)
        schedulers[1].step()
    assert tg.equal(nets[0][0].weight, nets[1][0].weight)


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    X, y, _ = events()
    net = model()
    tg.Trainer(net, F.cross_entropy, tg.optim.SGD(net.parameters())).fit(X, y, epochs=2, verbose=True)
    assert capsys.readouterr().err.splitlines()[1].startswith("epoch 2/2  loss ")


def test_refusals() -> None:
    X, y, _ = events()
    net = model()
    trainer = tg.Trainer(net, F.cross_entropy, tg.optim.SGD(net.parameters()))
    with pytest.raises(ValueError, match="one row per event"):
        trainer.fit(X, y[:7])
    with pytest.raises(ValueError, match="at least 1"):
        trainer.fit(X, y, batch_size=0)
    with pytest.raises(TypeError, match="loss that can be called"):
        tg.Trainer(net, "mse", None)  # type: ignore[arg-type]
    before = net[0].weight.detach().clone()
    y[150] = 9
    with pytest.raises(IndexError, match="9"):
        trainer.fit(X, y, epochs=3, batch_size=1000)
    assert tg.equal(before, net[0].weight)


def interrupted(act: Callable[[], Any], after: float) -> float:
    """Ctrl-C so many seconds after the start; how long it took to be answered."""
    sent: list[float] = []

    def press() -> None:
        time.sleep(after)
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            act()
        return time.perf_counter() - sent[0]
    finally:
        thread.join()


def test_interrupt_is_answered_and_leaves_a_usable_model() -> None:
    X, y, _ = events(20000)
    net = model(dropout=True)
    trainer = tg.Trainer(net, tg.nn.CrossEntropyLoss(), tg.optim.Adam(net.parameters()))
    trainer.fit(X, y, epochs=1, batch_size=100)
    count = net[1].num_batches_tracked.item()
    assert interrupted(lambda: trainer.fit(X, y, epochs=100000, batch_size=100), 0.15) < 1.0
    steps = net[1].num_batches_tracked.item()
    assert steps > count
    state = trainer.optimizer.state[net[0].weight]
    assert state["step"].item() == steps  # a whole number of steps, all of each
    assert np.isfinite(trainer.fit(X, y, epochs=1, batch_size=100)["loss"][0])
    assert net[1].num_batches_tracked.item() == steps + 200
