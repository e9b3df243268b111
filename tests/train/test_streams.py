"""Batches from iterators and from files larger than memory: the same bits as from arrays."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from train.loops import FEATURES, adam, assert_same, events, noisy, plain, twins
from trigrad.nn import functional as F
from trigrad.utils.data import DataLoader, TensorDataset

X, Y, W = events()


def loader(batch_size: int = 16, seed: int | None = None, shuffle: bool = True) -> Any:
    generator = None if seed is None else tg.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(X, Y), batch_size=batch_size, shuffle=shuffle, generator=generator)


def in_order(n: int = 16) -> Iterator[tuple[Any, Any]]:
    for first in range(0, len(X), n):
        yield X[first : first + n], Y[first : first + n]


def refilled() -> Iterator[tuple[Any, Any]]:
    """The same arrays each time, filled anew."""
    x, y = np.empty((16, FEATURES), "f"), np.empty(16, "i8")
    for first in range(0, len(X), 16):
        n = min(16, len(X) - first)
        x[:n], y[:n] = X[first : first + n].numpy(), Y[first : first + n].numpy()
        yield x[:n], y[:n]


def endless() -> Iterator[tuple[Any, Any]]:
    while True:
        yield from in_order()


SOURCES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "list of batches": (lambda: _Again(list(in_order())), {}),
    "function": (lambda: in_order, {}),
    "refilled": (lambda: refilled, {}),
    "endless": (endless, {"steps_per_epoch": 4}),
    "loader": (lambda: loader(shuffle=False), {}),
}


class _Again:
    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("source", SOURCES)
def test_the_bits_of_arrays(source: str, prefetch: int) -> None:
    make, options = SOURCES[source]
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    expected = tg.Trainer(a, F.cross_entropy, of_a).fit(X, Y, epochs=3, batch_size=16, shuffle=False)
    tg.manual_seed(3)
    history = tg.Trainer(b, F.cross_entropy, of_b).fit(make(), epochs=3, prefetch=prefetch, **options)
    assert_same(a, b, of_a, of_b)
    assert history == expected


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("seed", [None, 5])
def test_the_bits_of_a_loop_over_a_loader(seed: int | None, prefetch: int) -> None:
    """Permutations and dropout draw from the same generator, in the same order."""
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    batches = loader(seed=seed)
    for _ in range(3):
        for x, y in batches:
            of_a.zero_grad()
            F.cross_entropy(a(x), y).backward()
            of_a.step()
    tg.manual_seed(3)
    tg.Trainer(b, F.cross_entropy, of_b).fit(loader(seed=seed), epochs=3, prefetch=prefetch)
    assert_same(a, b, of_a, of_b)


def test_weights_and_several_inputs() -> None:
    class Two(tg.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = tg.nn.Linear(FEATURES, 3), tg.nn.Linear(FEATURES, 3)

        def forward(self, x: Any, z: Any) -> Any:
            return self.a(x) * self.b(z)

    found = []
    for streamed in (False, True):
        tg.manual_seed(1)
        model = Two()
        trainer = tg.Trainer(model, F.cross_entropy, adam(model))
        if streamed:
            rows = [slice(k, k + 16) for k in range(0, len(X), 16)]
            batches = [((X[r], X[r] + 1), Y[r], W[r]) for r in rows]
            trainer.fit(_Again(batches), epochs=2, class_weight={1: 2.0, 2: 0.5})
        else:
            options: dict[str, Any] = {"class_weight": {1: 2.0, 2: 0.5}, "shuffle": False}
            trainer.fit((X, X + 1), Y, sample_weight=W, epochs=2, batch_size=16, **options)
        found.append(model.a.weight.detach().numpy().tobytes())
    assert found[0] == found[1]


def test_weights_of_classes_that_a_batch_does_not_have() -> None:
    found = []
    for streamed in (False, True):
        tg.manual_seed(1)
        model, order = plain(), tg.argsort(Y)  # first batches of one class alone
        trainer = tg.Trainer(model, F.cross_entropy, adam(model))
        x, y = X[order], Y[order]
        batches = [(x[k : k + 8], y[k : k + 8]) for k in range(0, len(X), 8)]
        data = {"X": _Again(batches)} if streamed else {"X": x, "y": y, "batch_size": 8, "shuffle": False}
        trainer.fit(**data, epochs=2, class_weight={0: 2.0, 2: 0.5})
        found.append(model[0].weight.detach().numpy().tobytes())
    assert found[0] == found[1]


def test_validation_and_metrics_of_a_loader() -> None:
    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model), metrics=["accuracy"])
    history = trainer.fit(loader(), epochs=2, validation_data=loader(10, shuffle=False))
    expected = trainer.measure(X, Y, batch_size=10)
    assert history["val_accuracy"][-1] == expected["accuracy"]
    assert history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-12)
    assert trainer.measure(loader(10, shuffle=False)) == expected | {"loss": history["val_loss"][-1]}


@pytest.mark.parametrize("seed", [None, 5])  # of a generator of the loader's own
@pytest.mark.parametrize("at", [0, 1, 3])  # 4 batches make an epoch
def test_it_goes_on(at: int, seed: int | None, tmp_path: Path) -> None:
    def trainer(seed: int) -> tg.Trainer:
        tg.manual_seed(seed)
        model = noisy()
        return tg.Trainer(model, F.cross_entropy, adam(model))

    class Stop(tg.train.Callback):
        def on_batch_end(self, trainer: Any, batch: int, loss: float) -> None:
            if (trainer.epoch, batch) == (3, at):
                trainer.save_checkpoint(tmp_path / "c")
                raise KeyboardInterrupt

    whole = trainer(1)
    whole.fit(loader(seed=seed), epochs=5)
    first = trainer(1)
    with pytest.raises(KeyboardInterrupt):
        first.fit(loader(seed=seed), epochs=5, callbacks=[Stop()])
    second = trainer(2)
    second.fit(loader(seed=seed), epochs=5, resume=tmp_path / "c")
    assert_same(whole.model, second.model, whole.optimizer, second.optimizer)
    assert whole.history == second.history


def test_draws_of_batches_go_on(tmp_path: Path) -> None:
    """Noise on each batch, from the generator that dropout draws from: the skipped batches leave no trace in it."""

    def noise() -> Iterator[Any]:
        for x, y in in_order():
            yield x + tg.randn(*x.shape), y

    def trainer(seed: int) -> tg.Trainer:
        tg.manual_seed(seed)
        model = noisy()
        return tg.Trainer(model, F.cross_entropy, adam(model))

    class Save(tg.train.Callback):
        def on_batch_end(self, trainer: Any, batch: int, loss: float) -> None:
            if (trainer.epoch, batch) == (2, 1):
                trainer.save_checkpoint(tmp_path / "c")

    whole, second = trainer(1), trainer(2)
    whole.fit(noise, epochs=3, prefetch=0, callbacks=[Save()])
    second.fit(noise, epochs=3, prefetch=0, resume=tmp_path / "c")
    assert_same(whole.model, second.model, whole.optimizer, second.optimizer)
    assert whole.history == second.history


def test_a_loader_has_one_generator() -> None:
    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    with pytest.raises(ValueError, match="the loader draws from a generator of its own"):
        trainer.fit(loader(seed=5), epochs=1, generator=tg.Generator())
    assert tg.equal(trainer.predict(loader(shuffle=False)), trainer.predict(X))


# ---- the thread


def test_batches_are_fetched_ahead() -> None:
    """While a step runs, the next batches are read: reading and training take the time of the slower one."""
    begun: list[float] = []
    used: list[int] = []

    def slow() -> Iterator[Any]:
        for k in range(6):
            begun.append(time.perf_counter())
            yield X[:16], Y[:16]
            assert k - len(used) <= 3  # two in the queue, one in hand

    class Slow(tg.train.Callback):
        def on_batch_end(self, trainer: Any, batch: int, loss: float) -> None:
            if batch == 0:
                while len(begun) < 4:  # the thread goes on until its queue is full
                    time.sleep(0.001)
            used.append(batch)

    model = plain()
    tg.Trainer(model, F.cross_entropy, adam(model)).fit(slow, epochs=1, prefetch=2, callbacks=[Slow()])
    assert used == list(range(6))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_of_the_iterator_arrives(prefetch: int) -> None:
    def broken() -> Iterator[Any]:
        yield from in_order(20)
        raise OSError("the disk is gone")

    model = plain()
    before = threading.active_count()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    with pytest.raises(OSError, match="the disk is gone") as caught:
        trainer.fit(broken, epochs=2, prefetch=prefetch)
    assert "in batch 4 of epoch 1; the steps before it were made" in caught.value.__notes__[0]
    assert threading.active_count() == before


def test_an_error_of_a_step_names_its_batch() -> None:
    def of_two_kinds() -> Iterator[Any]:
        yield X[:16], Y[:16]
        yield X[:16, :3], Y[:16]

    model = plain()
    with pytest.raises(RuntimeError, match="x has 3 features") as caught:
        tg.Trainer(model, F.cross_entropy, adam(model)).fit(of_two_kinds, epochs=1)
    assert "in batch 2 of epoch 1; the steps before it were made" in caught.value.__notes__[0]


def test_no_thread_is_left() -> None:
    before = threading.active_count()

    class Stop(tg.train.Callback):
        def on_batch_end(self, trainer: Any, batch: int, loss: float) -> None:
            raise KeyboardInterrupt

    model = plain()
    with pytest.raises(KeyboardInterrupt):
        tg.Trainer(model, F.cross_entropy, adam(model)).fit(endless(), epochs=1, steps_per_epoch=9, callbacks=[Stop()])
    tg.Trainer(model, F.cross_entropy, adam(model)).fit(endless(), epochs=2, steps_per_epoch=3)
    assert threading.active_count() == before


def test_draws_in_the_thread_are_refused() -> None:
    def drawing() -> Iterator[Any]:
        for x, y in in_order():
            yield x + tg.randn(*x.shape), y

    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    with pytest.raises(RuntimeError, match=r"drawn in the thread that fetches batches ahead.*prefetch=0"):
        trainer.fit(drawing, epochs=1)
    trainer.fit(drawing, epochs=1, prefetch=0)


def test_nothing_is_lost_between_epochs_of_one_iterator() -> None:
    seen: list[int] = []

    def counted() -> Iterator[Any]:
        for k in range(12):
            seen.append(k)
            yield X[:16], Y[:16]

    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    trainer.fit(counted(), epochs=3, steps_per_epoch=4, prefetch=2)
    assert seen == list(range(12))


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (lambda: in_order(), {}, ValueError, "got an iterator, which can be gone through once"),
        (lambda: in_order, {"batch_size": 3}, ValueError, "batch_size and sample_weight belong to arrays"),
        (lambda: in_order, {"prefetch": -1}, ValueError, "prefetch is -1"),
        (lambda: in_order, {"class_weight": "balanced"}, ValueError, "wants all events in memory"),
        (lambda: in_order, {"validation_split": 0.5}, ValueError, "of events in memory"),
        (lambda: list, {}, ValueError, "the iterator has no batches"),
        (lambda: in_order, {"metrics": ["accuracy"]}, ValueError, "metrics are found on validation_data where X makes"),
        (lambda: in_order(), {"steps_per_epoch": 9}, ValueError, "the iterator ended after 4 of 9 batches"),
        (lambda: lambda: iter([X]), {}, ValueError, "a batch of the iterator is a Tensor"),
        (lambda: lambda: iter([(X, Y, W, W)]), {}, ValueError, "a batch of the iterator is 4 parts"),
        (lambda: lambda: iter([(X, Y[:3])]), {}, ValueError, "y has 3 rows, but X has 53"),
        (lambda: lambda: iter([(X[:0], Y[:0])]), {}, ValueError, "X has no rows"),
    ],
)
def test_refusals(source: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    model = plain()
    with pytest.raises(error, match=words):
        tg.Trainer(model, F.cross_entropy, adam(model), metrics=options.pop("metrics", ())).fit(
            source(), epochs=1, **options
        )
    with pytest.raises(ValueError, match="steps_per_epoch belongs to iterators"):
        tg.Trainer(model, F.cross_entropy, adam(model)).fit(X, Y, epochs=1, batch_size=3, steps_per_epoch=2)


# ---- files larger than memory

MAPPED = """if True:
    import resource, sys
    import numpy as np, trigrad as tg
    X, y = (np.load(path, mmap_mode="r") for path in sys.argv[1:3])
    model = tg.nn.Linear(X.shape[1], 1)
    trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.001), metrics=["mse"])
    trainer.fit(X[:1000], y[:1000], epochs=1, batch_size=200, validation_split=0.1)  # what a training takes by itself
    taken = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (taken + X.nbytes // 2, resource.RLIM_INFINITY))
    try:
        np.array(X)
    except MemoryError:
        print("too large")
    trainer.fit(X, y, epochs=1, batch_size=256, validation_split=0.1)
    print(len(trainer.history["val_mse"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_file_that_does_not_fit_into_memory(tmp_path: Path, full: bool) -> None:
    """What the process may allocate is half of the file, which as an array cannot be read."""
    n = 4_000_000 if full else 400_000
    for name, columns in (("X", 64), ("y", 1)):
        made = np.lib.format.open_memmap(tmp_path / name, "w+", "f4", (n, columns))  # a sparse file
        made[::1000] = 1.0
        made.flush()
        del made
    code = [sys.executable, "-c", MAPPED, str(tmp_path / "X"), str(tmp_path / "y")]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert (done.stdout.split("\n"), done.stderr) == (["too large", "1", ""], "")


def test_mapped_arrays_have_the_bits_of_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X.numpy())
    np.save(tmp_path / "y.npy", Y.numpy())
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("X", "y")]
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    tg.Trainer(a, F.cross_entropy, of_a).fit(X, Y, epochs=3, batch_size=16, validation_split=0.2)
    tg.manual_seed(3)
    tg.Trainer(b, F.cross_entropy, of_b).fit(*mapped, epochs=3, batch_size=16, validation_split=0.2)
    assert_same(a, b, of_a, of_b)
