"""Trainer: epochs in C++ beside threads, forks and Ctrl-C; what it refuses, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from train.loops import FEATURES, N, adam, assert_same, compare, events, loop, noisy, plain, same_bits, scores, twins
from trigrad._compile import CompiledFunction
from trigrad.nn import functional as F
from trigrad.train import passes as room

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
from train import loops as t; from trigrad.train import passes as room; import trigrad as tg
X, y, _ = t.events(16000)
loss = tg.nn.CrossEntropyLoss()
a, b, of_a, of_b = t.twins(t.noisy)
trainer = tg.Trainer(b, loss, of_b)
room.MILLISECONDS = 1  # much less than an epoch takes
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
    script = INTERRUPTED.format(here=os.path.dirname(os.path.dirname(__file__)))
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
        (
            {"batch_size": None},
            ValueError,
            "expected a positive integer; say how many events make a step: batch_size=256",
        ),
        ({"epochs": 2.0}, ValueError, "epochs is 2.0"),
        ({"batch_size": True}, ValueError, "batch_size is True"),
        ({"batch_size": -3}, ValueError, "batch_size is -3"),
        ({"verbose": "yes"}, TypeError, "verbose is 'yes', expected True, False"),
        ({"generator": np.random.default_rng(0)}, TypeError, "generator is a Generator, expected a trigrad.Generator"),
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
