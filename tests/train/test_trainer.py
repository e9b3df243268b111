"""Trainer: the bits of the loop that it stands for, whatever the model, the loss, the optimizer and the data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad._compile import CompiledFunction
from trigrad.nn import functional as F
from trigrad.train import trainer as room

N, FEATURES = 53, 6


def events(n: int = N, seed: int = 7) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    """Inputs, classes, weights of both signs."""
    g = tg.Generator().manual_seed(seed)
    return tg.randn(n, FEATURES, generator=g), tg.randint(0, 3, (n,), generator=g), tg.randn(n, generator=g) + 0.5


def plain() -> Any:
    return tg.nn.Sequential(tg.nn.Linear(FEATURES, 16), tg.nn.ReLU(), tg.nn.Linear(16, 3))


def noisy() -> Any:
    return tg.nn.Sequential(
        tg.nn.Linear(FEATURES, 16), tg.nn.BatchNorm1d(16), tg.nn.ReLU(), tg.nn.Dropout(0.3), tg.nn.Linear(16, 3)
    )


class Tied(tg.nn.Module):
    """One layer used twice, and a parameter that no optimizer is given: its gradients add up."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = tg.nn.Linear(FEATURES, FEATURES), tg.nn.Linear(FEATURES, 3)
        self.apart = tg.nn.Parameter(tg.ones(3))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.outer(tg.tanh(self.inner(tg.tanh(self.inner(x))))) * self.apart


def adam(model: Any) -> Any:
    return tg.optim.Adam(model.parameters(), lr=0.01)


class Signs(tg.optim.Optimizer):
    """An optimizer written in Python."""

    def step(self, closure: Any = None) -> None:
        with tg.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(group["lr"] * p.grad.sign())


MODELS: dict[str, Callable[[], Any]] = {
    "plain": plain,
    "noisy": noisy,
    "tied": Tied,
    "layernorm": lambda: tg.nn.Sequential(
        tg.nn.Linear(FEATURES, 9), tg.nn.LayerNorm(9), tg.nn.GELU(), tg.nn.Linear(9, 3)
    ),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    name: lambda model, name=name, options=options: getattr(tg.optim, name)(model.parameters(), **options)
    for name, options in {
        "SGD": {"lr": 0.1, "momentum": 0.9},
        "Adam": {"lr": 0.01, "amsgrad": True},
        "AdamW": {"lr": 0.01},
        "NAdam": {"lr": 0.01},
        "RAdam": {"lr": 0.01},
        "Adamax": {"lr": 0.01},
        "Adagrad": {"lr": 0.05},
        "Adadelta": {},
        "RMSprop": {"lr": 0.01, "centered": True},
        "ASGD": {"lr": 0.05},
        "Rprop": {"lr": 0.01},
    }.items()
}
OPTIMIZERS["groups"] = lambda model: tg.optim.SGD(
    [{"params": [p], "lr": 0.01 * (k + 1)} for k, p in enumerate(model.parameters())]
)
OPTIMIZERS["Python's"] = lambda model: Signs(model.parameters(), {"lr": 0.01})


def scores(prediction: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    """A loss of one's own: the mean score of the other classes above that of the right one."""
    right = prediction.gather(1, target[:, None])
    return F.softplus(prediction - right).mean()


def one_hot(loss: Callable[..., tg.Tensor]) -> Callable[..., tg.Tensor]:
    def of(prediction: tg.Tensor, target: tg.Tensor, **weights: Any) -> tg.Tensor:
        return loss(prediction, (target[:, None] == tg.arange(3)).float(), **weights)

    return of


LOSSES: dict[str, Callable[..., tg.Tensor]] = {
    "CrossEntropyLoss": tg.nn.CrossEntropyLoss(label_smoothing=0.1),
    "cross_entropy": F.cross_entropy,
    "multi_margin": F.multi_margin_loss,
    "mse": one_hot(F.mse_loss),
    "bce": one_hot(F.binary_cross_entropy_with_logits),
    "huber": one_hot(F.huber_loss),
    "one's own": scores,
    "sum": one_hot(lambda p, t: ((p - t) ** 2).sum()),
}


def loop(
    model: Any,
    loss: Any,
    optimizer: Any,
    X: Any,
    y: Any,
    w: Any = None,
    *,
    epochs: int = 3,
    batch_size: int = 16,
    shuffle: bool = True,
    generator: Any = None,
    steps: int | None = None,
    each_epoch: Callable[[], None] = lambda: None,
    each_step: Callable[[], None] = lambda: None,
) -> list[float]:
    """What `fit` promises to be: no more than `steps` of it, where given."""
    made, means = 0, []
    for _ in range(epochs):
        order = tg.randperm(len(X), generator=generator) if shuffle else tg.arange(len(X))
        total = 0.0
        for first in range(0, len(X), batch_size):
            if made == steps:
                return means
            rows = order[first : first + batch_size]
            optimizer.zero_grad()
            value = loss(model(X[rows]), y[rows]) if w is None else loss(model(X[rows]), y[rows], sample_weight=w[rows])
            value.backward()
            optimizer.step()
            each_step()
            made += 1
            total += value.item() * len(rows)
        means.append(total / len(X))
        each_epoch()
    return means


def twins(make: Callable[[], Any] = plain, optimizer: Callable[[Any], Any] = adam) -> tuple[Any, Any, Any, Any]:
    """Two equal models, and an optimizer of each."""
    models = []
    for _ in range(2):
        tg.manual_seed(1)
        models.append(make())
    a, b = models
    given = [[p for n, p in m.named_parameters() if n != "apart"] for m in models]
    holders = [_Holder(p) for p in given]
    return a, b, optimizer(holders[0]), optimizer(holders[1])


class _Holder:
    def __init__(self, parameters: list[Any]) -> None:
        self._parameters = parameters

    def parameters(self) -> list[Any]:
        return self._parameters


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.shape == b.shape and a.detach().numpy().tobytes() == b.detach().numpy().tobytes())


def assert_same(a: Any, b: Any, of_a: Any, of_b: Any) -> None:
    """Parameters, buffers, gradients and the states of the optimizers."""
    for (name, p), (_, q) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert same_bits(p, q), name
    for (name, p), (_, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        assert p.grad is None or same_bits(p.grad, q.grad), name
        for key, state in of_a.state.get(p, {}).items():
            other = of_b.state[q][key]
            assert same_bits(state, other) if isinstance(state, tg.Tensor) else state == other, (name, key)


def compare(
    make: Callable[[], Any] = plain,
    loss: Any = F.cross_entropy,
    optimizer: Callable[[Any], Any] = adam,
    n: int = N,
    weighted: bool = False,
    **options: Any,
) -> tg.Trainer:
    """The loop and the trainer, from the same state, over the same events."""
    X, y, w = events(n)
    weights = w if weighted else None
    a, b, of_a, of_b = twins(make, optimizer)
    options = {"epochs": 3, "batch_size": 16, **options}
    trainer = tg.Trainer(b, loss, of_b)
    tg.manual_seed(3)
    expected = loop(a, loss, of_a, X, y, weights, **options)
    after = tg.get_rng_state()
    tg.manual_seed(3)
    history = trainer.fit(X, y, sample_weight=weights, **options)
    assert tg.equal(tg.get_rng_state(), after)
    assert history["loss"] == pytest.approx(expected, rel=1e-12)
    assert_same(a, b, of_a, of_b)
    return trainer


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


# ---- in C++


def test_an_epoch_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads of Python run meanwhile."""
    calls: list[tuple[int, float, float]] = []
    real = CompiledFunction._batches

    def counted(self: Any, *args: Any) -> int:
        start = time.perf_counter()
        made = real(self, *args)
        calls.append((made, start, time.perf_counter()))
        return made

    monkeypatch.setattr(CompiledFunction, "_batches", counted)
    monkeypatch.setattr(room, "MILLISECONDS", 10**6)
    X, y, _ = events(50_000)
    _, model, _, optimizer = twins(noisy)
    trainer = tg.Trainer(model, F.cross_entropy, optimizer)
    ticks: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        trainer.fit(X, y, epochs=1, batch_size=10)
    finally:
        over.set()
        thread.join()
    assert [made for made, *_ in calls] == [1, 4999]
    _, start, end = calls[1]
    assert any(start + 0.005 < t < end - 0.005 for t in ticks)


def test_time_is_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python is asked in between, and nothing changes by it."""
    monkeypatch.setattr(room, "MILLISECONDS", 0)
    compare(noisy)


def test_two_trainers_in_two_threads() -> None:
    X, y, _ = events(2000)
    tg.set_num_threads(2)
    pairs = [twins(), twins()]
    for a, _, of_a, _ in pairs:
        loop(a, F.cross_entropy, of_a, X, y, epochs=20, generator=tg.Generator().manual_seed(1))

    def fit(model: Any, optimizer: Any) -> None:
        trainer = tg.Trainer(model, F.cross_entropy, optimizer)
        trainer.fit(X, y, epochs=20, batch_size=16, generator=tg.Generator().manual_seed(1))

    threads = [threading.Thread(target=fit, args=(b, of_b)) for _, b, _, of_b in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pair in pairs:
        assert_same(*pair)


def test_fork() -> None:
    X, y, _ = events()
    tg.set_num_threads(2)
    _, model, _, optimizer = twins(noisy)
    trainer = tg.Trainer(model, F.cross_entropy, optimizer)
    trainer.fit(X, y, epochs=1, batch_size=16)
    inside, outside = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        status = 1
        try:
            trainer.fit(X, y, epochs=2, batch_size=16)
            os.write(outside, model[0].weight.detach().numpy().tobytes())
            status = 0
        finally:
            os._exit(status)
    os.close(outside)
    trainer.fit(X, y, epochs=2, batch_size=16)
    with os.fdopen(inside, "rb") as pipe:
        found = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert found == model[0].weight.detach().numpy().tobytes()


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.path.insert(0, {here!r})
import test_trainer as t, trigrad as tg
X, y, _ = t.events(16000)
loss = tg.nn.CrossEntropyLoss()
a, b, of_a, of_b = t.twins(t.noisy)
trainer = tg.Trainer(b, loss, of_b)
t.room.MILLISECONDS = 1  # much less than an epoch takes
tg.manual_seed(5)
trainer.fit(X, y, epochs=1, batch_size=1000)
print("running", flush=True)
try:
    trainer.fit(X, y, epochs=10**6, batch_size=1000)
except KeyboardInterrupt:
    print("stopped", flush=True)
steps = int(b[1].num_batches_tracked)
after = tg.get_rng_state()
tg.manual_seed(5)
t.loop(a, loss, of_a, X, y, epochs=10**6, batch_size=1000, steps=steps)
t.assert_same(a, b, of_a, of_b)
assert steps > 16
if steps % 16:  # else it may be just before or after the end of an epoch
    assert len(trainer.history["loss"]) == steps // 16 - 1
    assert tg.equal(tg.get_rng_state(), after)
assert b.training and trainer.fit(X, y, epochs=1, batch_size=1000)["loss"][0] < 1.2
print("usable", flush=True)
"""


def test_interrupt() -> None:
    """Ctrl-C ends it between two steps, with all that belongs to them, and training can go on."""
    script = INTERRUPTED.format(here=os.path.dirname(__file__))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    with process:
        assert process.stdout.readline() == "running\n"
        time.sleep(0.05)
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        assert time.perf_counter() - start < 1
        assert process.stdout.readline() == "usable\n", process.stderr.read()


# ---- errors


@pytest.mark.parametrize("at", [3, 35, 51])
def test_a_step_that_raises_has_changed_nothing(at: int) -> None:
    """Of the first, a middle, the last batch."""
    X, y, _ = events()
    y[at] = 99
    a, b, of_a, of_b = twins(noisy)
    trainer = tg.Trainer(b, F.cross_entropy, of_b)
    tg.manual_seed(3)
    loop(a, F.cross_entropy, of_a, X, y, shuffle=False, steps=at // 16)
    after = tg.get_rng_state()
    tg.manual_seed(3)
    with pytest.raises(IndexError, match="99") as raised:
        trainer.fit(X, y, epochs=3, batch_size=16, shuffle=False)
    assert raised.value.__notes__ == [
        f"[Trainer] in batch {at // 16 + 1} of 4 of epoch 1; the steps before it were made"
    ]
    assert_same(a, b, of_a, of_b)
    assert tg.equal(tg.get_rng_state(), after)
    y[at] = 0
    loop(a, F.cross_entropy, of_a, X, y)
    tg.set_rng_state(after)
    trainer.fit(X, y, epochs=3, batch_size=16)
    assert_same(a, b, of_a, of_b)


def test_a_loss_that_looks_at_values_names_the_remedy() -> None:
    X, y, _ = events()
    model = plain()

    def curious(prediction: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
        value = F.cross_entropy(prediction, target)
        return value * 2 if value.item() > 1 else value

    before = model[0].weight.detach().clone()
    with pytest.raises(RuntimeError, match="reads a tensor's value") as raised:
        tg.Trainer(model, curious, adam(model)).fit(X, y, epochs=1, batch_size=16)
    assert "compile=False" in raised.value.__notes__[0]
    assert same_bits(before, model[0].weight)
    tg.Trainer(model, curious, adam(model), compile=False).fit(X, y, epochs=1, batch_size=16)
    assert not same_bits(before, model[0].weight)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"y": "short"}, ValueError, r"\[fit\] y has 50 rows, but X has 53"),
        ({"sample_weight": tg.ones(3)}, ValueError, "sample_weight has 3 rows, but X has 53"),
        ({"X": tg.tensor(1.0)}, ValueError, "X is a single number, expected one row per event"),
        ({"X": ()}, ValueError, "X is an empty tuple"),
        ({"X": tg.ones(0, FEATURES), "y": tg.ones(0)}, ValueError, "X has no rows"),
        ({"y": None}, TypeError, "y is None"),
        ({"epochs": 0}, ValueError, "epochs is 0, expected a positive integer"),
        ({"epochs": 2.0}, ValueError, "epochs is 2.0"),
        ({"batch_size": True}, ValueError, "batch_size is True"),
        ({"batch_size": -3}, ValueError, "batch_size is -3"),
        ({"validation_data": 3}, ValueError, r"validation_data is expected to be \(X, y\)"),
        ({"validation_data": (tg.ones(3, FEATURES), tg.ones(2))}, ValueError, "y has 2 rows, but X has 3"),
        ({"loss": scores, "sample_weight": tg.ones(N)}, TypeError, "the loss takes no sample_weight"),
        (
            {"loss": tg.nn.CrossEntropyLoss(reduction="none")},
            RuntimeError,
            r"the loss of a batch is a tensor of shape \(16,\)",
        ),
        ({"loss": lambda p, t: 3.0}, RuntimeError, "the loss of a batch is a float"),
    ],
)
def test_refusals_of_fit(change: dict[str, Any], error: type[Exception], words: str) -> None:
    X, y, _ = events()
    model = plain()
    given = {"X": X, "y": y, "epochs": 1, "batch_size": 16, "loss": F.cross_entropy} | change
    if isinstance(given["y"], str):
        given["y"] = y[:50]
    trainer = tg.Trainer(model, given.pop("loss"), adam(model))
    before = model[0].weight.detach().clone()
    state = tg.get_rng_state() if error is not RuntimeError else None
    with pytest.raises(error, match=words):
        trainer.fit(**given)
    assert same_bits(before, model[0].weight)
    assert state is None or tg.equal(state, tg.get_rng_state())


def test_refusals_of_a_trainer() -> None:
    model = plain()
    with pytest.raises(TypeError, match="model is a int"):
        tg.Trainer(3, F.mse_loss, adam(model))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="loss is the class MSELoss"):
        tg.Trainer(model, tg.nn.MSELoss, adam(model))
    with pytest.raises(TypeError, match="optimizer is a str"):
        tg.Trainer(model, F.mse_loss, "adam")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="LBFGS asks for the loss several times"):
        tg.Trainer(model, F.mse_loss, tg.optim.LBFGS(model.parameters()))
    with pytest.raises(TypeError, match="scheduler is a float"):
        tg.Trainer(model, F.mse_loss, adam(model), scheduler=0.1)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        tg.Trainer(model, F.mse_loss, adam(model)).model = plain()  # type: ignore[misc]


def test_not_within_a_compiled_function() -> None:
    X, y, _ = events()
    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    with pytest.raises(RuntimeError, match="call fit\\(\\) outside"):
        tg.compile(lambda x: trainer.fit(x, y, epochs=1, batch_size=16))(X)


# ---- words


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    X, y, _ = events()
    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    history = trainer.fit(X, y, epochs=10, batch_size=16, verbose=4, validation_data=(X, y))
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in lines] == ["epoch  4/10", "epoch  8/10", "epoch 10/10"]
    assert f"  loss {history['loss'][3]:.5f}  val_loss {history['val_loss'][3]:.5f}  " in lines[0]
    trainer.fit(X, y, epochs=1, batch_size=16)
    assert capsys.readouterr().out == ""


def test_text() -> None:
    assert repr(tg.History()) == "<trigrad history of 0 epochs>"
    assert repr(tg.History(loss=[2.0, 0.5], lr=[1, 0.125])) == "<trigrad history of 2 epochs: loss 0.5, lr 0.125>"
    model = plain()
    assert repr(tg.Trainer(model, F.mse_loss, adam(model))) == "<trigrad.Trainer of Sequential with Adam>"
