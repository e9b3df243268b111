"""Checkpoints: what cannot be gone on from is refused, and the file is whole at any time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trigrad as tg
from train.loops import events, made, same_bits
from trigrad.train import Checkpoint, LRSchedule

S = tg.optim.lr_scheduler


# ---- what cannot be gone on from


def saved(tmp_path: Path, **fit: Any) -> tuple[Path, Any, Any]:
    X, y, _ = events()
    trainer = made()
    trainer.fit(X, y, epochs=2, batch_size=16, callbacks=[Checkpoint(tmp_path / "c")], **fit)
    return tmp_path / "c", X, y


DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no state of the random generator": lambda s: s["rng"].pop("default"),
    "no state of the random generator, without": lambda s: s.update(rng=None),
    "lacks .'rng'.": lambda s: s.pop("rng"),
    "has unknown parts .'more'.": lambda s: s.update(more=1),
    "is no checkpoint of a training": lambda s: s.update(kind="other"),
    "damaged: .*expected uint8 of shape": lambda s: s["rng"].update(default=tg.zeros(3)),
    "damaged: .*unexpected keyword": lambda s: s["position"].update(more=1),
    "a part of the checkpoint is damaged": lambda s: s["position"].update(epoch=-1),
    "its model has other tensors: .'0.bias'.": lambda s: s["model"]["tensors"].pop("0.bias"),
    r"0.bias of its model is \(3,\) of trigrad.float32, expected \(16,\)": lambda s: s["model"]["tensors"].update(
        {"0.bias": tg.zeros(3)}
    ),
    "0.bias of its model is .* of trigrad.float64": lambda s: s["model"]["tensors"].update(
        {"0.bias": tg.zeros(16, dtype=tg.float64)}
    ),
    "written with the scheduler StepLR, but this trainer is without a": lambda s: s["made_with"].update(
        scheduler="StepLR"
    ),
    "written with the optimizer AdamW, but this trainer is with the optimizer Adam;": lambda s: s["made_with"].update(
        optimizer="AdamW"
    ),
    "its scheduler has the state {'a': 1}": lambda s: s.update(schedulers=[{"a": 1}, None]),
    "its optimizer numbers the parameters otherwise": lambda s: s["optimizer"]["param_groups"].append({"params": []}),
    "its optimizer numbers .* otherwise": lambda s: s["optimizer"]["state"].update({99: {}}),
    "its optimizer numbers the .* otherwise": lambda s: s["optimizer"].update(state={"a": 1}),
    "written with the optimizer tensor": lambda s: s["made_with"].update(optimizer=tg.zeros(3)),
    "no step can be made with the options of a group: .*beta1 is a str": lambda s: s["optimizer"]["param_groups"][
        0
    ].update(betas="ab"),
    "could not convert string to float: 'x'": lambda s: s["optimizer"]["param_groups"][0].update(lr="x"),
    "exp_avg of parameter 0 is of trigrad.int64, expected trigrad.float32": lambda s: s["optimizer"]["state"][0].update(
        exp_avg=tg.zeros(16, 6, dtype=tg.int64)
    ),
    "parameter 1 has no exp_avg_sq": lambda s: s["optimizer"]["state"][1].pop("exp_avg_sq"),
    "step of parameter 0 is -3": lambda s: s["optimizer"]["state"][0].update(step=tg.tensor(-3.0)),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_a_checkpoint_that_does_not_fit(words: str, tmp_path: Path) -> None:
    path, X, y = saved(tmp_path)
    state = tg.load(path)
    DAMAGE[words](state)
    tg.save(state, path)
    trainer = made(seed=4)
    trainer.fit(X, y, epochs=1, batch_size=16)
    before = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    rng, history = tg.get_rng_state(), dict(trainer.history)
    with pytest.raises(ValueError, match=words):
        trainer.load_checkpoint(path)
    assert all(same_bits(before[name], t) for name, t in trainer.model.state_dict().items())
    assert tg.equal(rng, tg.get_rng_state())
    assert history == trainer.history


def test_a_schedule_that_cannot_go_on_changes_nothing(tmp_path: Path) -> None:
    X, y, _ = events()
    two: Any = lambda o: S.SequentialLR(o, [S.LinearLR(o), S.ExponentialLR(o, 0.9)], [3])
    first = made(schedule=two)
    first.fit(X, y, epochs=2, batch_size=16)
    first.save_checkpoint(tmp_path / "c")
    state = tg.load(tmp_path / "c")
    assert state["made_with"]["scheduler"] == "SequentialLR(LinearLR, ExponentialLR)"
    states = state["schedulers"][0]["_schedulers"]
    states[1]["gamma"] = "x"
    tg.save(state, tmp_path / "c")
    with pytest.raises(ValueError, match="its scheduler has the state"):
        made(schedule=two).load_checkpoint(tmp_path / "c")
    states[1]["gamma"] = 0.9
    state["optimizer"]["param_groups"][0]["eps"] = None
    tg.save(state, tmp_path / "c")
    second = made(schedule=two, seed=5)
    before = str(second._scheduler.state_dict())
    numbers = {name: t.clone() for name, t in second.model.state_dict().items()}
    with pytest.raises(ValueError, match="the state of the optimizer does not fit"):
        second.load_checkpoint(tmp_path / "c")
    assert str(second._scheduler.state_dict()) == before
    assert all(same_bits(numbers[name], t) for name, t in second.model.state_dict().items())


def test_the_schedule_of_a_callback_is_of_one_kind(tmp_path: Path) -> None:
    X, y, _ = events()
    first = made()
    first.fit(X, y, epochs=2, batch_size=16, callbacks=[LRSchedule(S.StepLR(first.optimizer, 1, 0.5))])
    first.save_checkpoint(tmp_path / "c")
    second = made()
    other = LRSchedule(S.ExponentialLR(second.optimizer, 0.9))
    with pytest.raises(ValueError, match="it is of StepLR, this schedule is ExponentialLR"):
        second.fit(X, y, epochs=4, batch_size=16, callbacks=[other], resume=tmp_path / "c")


def test_other_data(tmp_path: Path) -> None:
    path, X, y = saved(tmp_path)
    assert tg.provenance(path)["data"] == tg.train.fingerprint(X, y)
    assert tg.provenance(path)["epochs"] == 2
    with pytest.raises(ValueError, match="these are not the events of the checkpoint: 53 of them"):
        made().fit(X + 1, y, epochs=3, batch_size=16, resume=path)
    with pytest.raises(ValueError, match=r"written with validation_split=0\.0, expected that, not 0\.5"):
        made().fit(X, y, epochs=3, batch_size=16, resume=path, validation_split=0.5)
    trainer = made()
    with pytest.raises(FileNotFoundError):
        trainer.fit(X, y, epochs=3, batch_size=16, resume=tmp_path / "none")
    assert len(trainer.fit(X, y, epochs=2, batch_size=16, resume=path)["loss"]) == 2  # nothing is left


def test_fingerprints() -> None:
    X = tg.arange(12.0).reshape(4, 3)
    assert tg.train.fingerprint(X) == tg.train.fingerprint(X.numpy()) == tg.train.fingerprint(X.T.contiguous().T)
    others = [X.double(), X.reshape(3, 4), X + 0.5, X[:3], X.flip(0)]
    assert len({tg.train.fingerprint(t) for t in (X, *others)}) == 6


# ---- the file


def test_leftovers_are_taken_away(tmp_path: Path) -> None:
    X, y, _ = events()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"c.{gone.pid}.0123abcd.tmp"
    others = [tmp_path / f"c.{os.getpid()}.0123abcd.tmp", tmp_path / f"d.{gone.pid}.0123abcd.tmp", tmp_path / "c.tmp"]
    for path in (left, *others):
        path.write_bytes(b"")
    made().fit(X, y, epochs=1, batch_size=16, callbacks=[Checkpoint(tmp_path / "c")])
    assert sorted(os.listdir(tmp_path)) == sorted(["c", *(p.name for p in others)])


def test_paths_with_epochs(tmp_path: Path) -> None:
    X, y, _ = events()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"e07.{gone.pid}.0123abcd.tmp").write_bytes(b"")  # what an epoch of a killed process left
    made().fit(X, y, epochs=5, batch_size=16, callbacks=[Checkpoint(tmp_path / "e{epoch:02d}", every=2)])
    assert sorted(os.listdir(tmp_path)) == ["e02", "e04", "e05"]
    with pytest.raises(ValueError, match=r"path is 'run\{x\}', expected no braces but \{epoch\}"):
        Checkpoint("run{x}")
    with pytest.raises(FileNotFoundError, match=r"\[Checkpoint\] there is no folder"):
        made().fit(X, y, epochs=5, batch_size=16, callbacks=[Checkpoint(tmp_path / "no" / "c")])


def test_the_best_epoch_alone(tmp_path: Path) -> None:
    X, y, _ = events(200)
    keep = Checkpoint(tmp_path / "best", monitor="val_loss")
    trainer = made(optimizer=lambda m: tg.optim.SGD(m.parameters(), lr=0.5))
    trainer.fit(X, y, epochs=12, batch_size=16, validation_split=0.3, callbacks=[keep])
    values = trainer.history["val_loss"]
    assert keep.best == min(values)
    assert tg.provenance(tmp_path / "best")["epochs"] == values.index(min(values)) + 1 == keep.best_epoch
    keep.best = -1.0  # of another training
    trainer.fit(X, y, epochs=1, batch_size=16, validation_split=0.3, callbacks=[keep])
    assert tg.provenance(tmp_path / "best")["epochs"] == 1


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends with an error that says so; what was learned stays, and the file before."""
    X, y, _ = events()
    path = tmp_path / "c"
    trainer = made()
    trainer.fit(X, y, epochs=2, batch_size=16, callbacks=[Checkpoint(path)])

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"\[save\] No space left on device; nothing was written") as caught:
        trainer.fit(X, y, epochs=2, batch_size=16, callbacks=[Checkpoint(path)])
    assert "in Checkpoint.on_epoch_complete of epoch 1" in caught.value.__notes__[0]
    assert len(trainer.history["loss"]) == 1
    monkeypatch.undo()
    assert made().fit(X, y, epochs=2, batch_size=16, resume=path)
    assert os.listdir(tmp_path) == ["c"]


KILLED = """if True:
    import os, random, signal, sys, time
    import trigrad as tg

    def trainer():
        tg.manual_seed(1)
        model = tg.nn.Sequential(tg.nn.Linear(6, 256), tg.nn.BatchNorm1d(256), tg.nn.ReLU(), tg.nn.Linear(256, 3))
        return tg.Trainer(model, tg.nn.CrossEntropyLoss(), tg.optim.Adam(model.parameters()))

    path, times = sys.argv[1], int(sys.argv[2])
    draw, reader, epochs = random.Random(5), trainer(), 0
    X, y = tg.randn(64, 6), tg.randint(0, 3, (64,))
    for _ in range(times):
        child = os.fork()
        if child == 0:
            trainer().fit(X, y, epochs=10**6, batch_size=32, callbacks=[tg.train.Checkpoint(path)])
        while not os.path.exists(path):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        reader.load_checkpoint(path)
        epochs += reader.epoch
        if draw.random() < 0.5:
            os.unlink(path)  # the next one begins without a file
    print(times, epochs >= times)
"""


@pytest.mark.proof
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_killed_at_any_time(tmp_path: Path, full: bool) -> None:
    """SIGKILL while checkpoints are written one after the other: the file is there, and is read."""
    times = 200 if full else 20
    code = [sys.executable, "-c", KILLED, str(tmp_path / "c"), str(times)]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{times} True\n", "")
    assert len(os.listdir(tmp_path)) <= 2  # each run takes away what the one before left
