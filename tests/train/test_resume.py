"""A training that stops and goes on has the bits of one that did not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trigrad as tg
from train.loops import (
    LOSSES,
    MODELS,
    OPTIMIZERS,
    Scaled,
    Tied,
    adam,
    assert_same,
    events,
    made,
    noisy,
    plain,
    same_bits,
)
from trigrad.nn import functional as F
from trigrad.train import Callback, Checkpoint, EarlyStopping, LRSchedule, passes

S = tg.optim.lr_scheduler
SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda o: S.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [1, 3], 0.5),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 7),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 2, 2),
    "LambdaLR": lambda o: S.LambdaLR(o, lambda epoch: 0.9**epoch),
    "ReduceLROnPlateau": lambda o: S.ReduceLROnPlateau(o, patience=0, factor=0.5, threshold=0.5),
    "SequentialLR": lambda o: S.SequentialLR(o, [S.LinearLR(o), S.ExponentialLR(o, 0.9)], [3]),
}
STEP_SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "CyclicLR": lambda o: S.CyclicLR(o, 0.001, 0.02, 3, cycle_momentum=False),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.02, total_steps=100, cycle_momentum=False),
}


def assert_same_trainers(a: tg.Trainer, b: tg.Trainer) -> None:
    models = [getattr(t.model, "__wrapped__", t.model) for t in (a, b)]
    assert_same(*models, a.optimizer, b.optimizer)
    assert a.history == b.history
    assert [g["lr"] for g in a.optimizer.param_groups] == [g["lr"] for g in b.optimizer.param_groups]


def assert_same_trainers_but_gradients(a: tg.Trainer, b: tg.Trainer) -> None:
    for trainer in (a, b):
        trainer.model.zero_grad()
    assert_same_trainers(a, b)


def ten_and_five(path: Path, weighted: bool = False, fit: dict[str, Any] | None = None, **options: Any) -> None:
    """10 epochs ≡ 5 + save + load + 5, and ≡ what is left of 10 after a checkpoint of the fifth."""
    X, y, w = events()
    given = {"batch_size": 16, "sample_weight": w if weighted else None, **(fit or {})}
    whole = made(**options)
    whole.fit(X, y, epochs=10, **given)
    after = tg.get_rng_state()
    first = made(**options)
    first.fit(X, y, epochs=5, **given)
    first.save_checkpoint(path)
    for more, resume in ((5, None), (10, path)):
        second = made(**options, seed=77)  # other weights, another seed
        tg.manual_seed(78)
        if resume is None:
            second.load_checkpoint(path)
            assert second.epoch == 5
        second.fit(X, y, epochs=more, resume=resume, **given)
        assert_same_trainers(whole, second)
        assert tg.equal(tg.get_rng_state(), after)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer: str, tmp_path: Path) -> None:
    ten_and_five(tmp_path / "c", optimizer=OPTIMIZERS[optimizer])


@pytest.mark.parametrize("model", [m for m in MODELS if m != "tied"])
def test_models(model: str, tmp_path: Path) -> None:
    ten_and_five(tmp_path / "c", make=MODELS[model], loss=LOSSES["CrossEntropyLoss"], weighted=True)


def test_a_parameter_that_no_optimizer_has(tmp_path: Path) -> None:
    def own(model: Any) -> Any:
        return tg.optim.Adam([p for n, p in model.named_parameters() if n != "apart"], lr=0.01)

    X, y, _ = events()
    a = made(Tied, optimizer=own)
    a.fit(X, y, epochs=4, batch_size=16)
    b = made(Tied, optimizer=own)
    b.fit(X, y, epochs=2, batch_size=16)
    b.save_checkpoint(tmp_path / "c")
    c = made(Tied, optimizer=own, seed=5)
    c.fit(X, y, epochs=4, batch_size=16, resume=tmp_path / "c")
    for (name, p), (_, q) in zip(a.model.state_dict().items(), c.model.state_dict().items(), strict=True):
        assert same_bits(p, q), name


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule: str, tmp_path: Path) -> None:
    ten_and_five(tmp_path / "c", schedule=SCHEDULES[schedule])


@pytest.mark.parametrize("schedule", STEP_SCHEDULES)
def test_schedules_of_steps(schedule: str, tmp_path: Path) -> None:
    ten_and_five(tmp_path / "c", step_schedule=STEP_SCHEDULES[schedule])


@pytest.mark.parametrize(
    "fit",
    [
        {"shuffle": False},
        {"validation_split": 0.3},
        {"validation_split": 0.2, "shuffle": False},
        {"class_weight": "balanced"},
        {"batch_size": 53},
    ],
    ids=str,
)
def test_options_of_fit(fit: dict[str, Any], tmp_path: Path) -> None:
    make = plain if fit.get("batch_size") == 53 else noisy
    ten_and_five(tmp_path / "c", make=make, fit=fit, metrics=["accuracy"])


def test_without_plans(tmp_path: Path) -> None:
    ten_and_five(tmp_path / "c", compile=False)


def test_a_compiled_model(tmp_path: Path) -> None:
    ten_and_five(tmp_path / "c", make=lambda: tg.compile(noisy()), optimizer=lambda m: adam(m.__wrapped__))


def test_what_else_is_learned(tmp_path: Path) -> None:
    """Parameters of the loss, and some that belong to nobody."""

    X, y, _ = events()

    def trainer(seed: int) -> tuple[tg.Trainer, Any]:
        tg.manual_seed(seed)
        model, loss, free = noisy(), Scaled(), tg.nn.Parameter(tg.randn(3))
        learned = [*model.parameters(), *loss.parameters(), free]
        return tg.Trainer(model, lambda p, t: loss(p + free, t), tg.optim.Adam(learned, lr=0.01)), free

    whole, expected = trainer(1)
    whole.fit(X, y, epochs=4, batch_size=16)
    first, _ = trainer(1)
    first.fit(X, y, epochs=2, batch_size=16)
    first.save_checkpoint(tmp_path / "c")
    second, found = trainer(2)
    second.fit(X, y, epochs=4, batch_size=16, resume=tmp_path / "c")
    assert same_bits(expected, found)
    assert_same_trainers(whole, second)


def test_a_function_has_no_names(tmp_path: Path) -> None:
    X, y, _ = events()
    net = noisy()
    trainer = tg.Trainer(lambda x: net(x), F.cross_entropy, adam(net))
    for callback in (Checkpoint(tmp_path / "c"), EarlyStopping("loss")):
        with pytest.raises(TypeError, match="the model is a function, whose numbers cannot be kept; expected a module"):
            trainer.fit(X, y, epochs=1, batch_size=16, callbacks=[callback])
    trainer.fit(X, y, epochs=1, batch_size=16, callbacks=[EarlyStopping("loss", restore_best=False)])


GOES_ON = """if True:
    import hashlib, sys
    import trigrad as tg
    from train.loops import adam, events, made
    second = made(optimizer=adam, seed=7)
    second.fit(*events(300)[:2], epochs=6, batch_size=128, validation_split=0.2, resume=sys.argv[1])
    second.save_checkpoint(sys.argv[2])
    print(tg.get_num_threads(), tg._core.build_info()["isa"])
"""


def test_in_another_process_with_other_threads_and_isa(tmp_path: Path) -> None:
    X, y, _ = events(300)
    options: dict[str, Any] = {"batch_size": 128, "validation_split": 0.2}
    tg.set_num_threads(2)
    whole = made(optimizer=adam)
    whole.fit(X, y, epochs=6, **options)
    whole.save_checkpoint(tmp_path / "whole")
    first = made(optimizer=adam)
    first.fit(X, y, epochs=3, **options)
    first.save_checkpoint(tmp_path / "half")
    code = [sys.executable, "-c", GOES_ON, str(tmp_path / "half"), str(tmp_path / "second")]
    tests = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = os.environ | {"TRIGRAD_NUM_THREADS": "3", "TRIGRAD_ISA": "baseline", "PYTHONPATH": tests}
    done = subprocess.run(code, capture_output=True, text=True, check=False, env=environment)
    assert (done.stdout, done.stderr) == ("3 baseline\n", "")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_generator_of_its_own(tmp_path: Path) -> None:
    X, y, _ = events()
    whole = made()
    whole.fit(X, y, epochs=6, batch_size=16, validation_split=0.2, generator=tg.Generator().manual_seed(4))
    first, g = made(), tg.Generator().manual_seed(4)
    first.fit(X, y, epochs=2, batch_size=16, validation_split=0.2, generator=g)
    first.save_checkpoint(tmp_path / "c")
    second = made(seed=9)
    with pytest.raises(ValueError, match="written with a generator of its own, expected a generator="):
        second.fit(X, y, epochs=6, batch_size=16, validation_split=0.2, resume=tmp_path / "c")
    other = tg.Generator().manual_seed(123)
    second.fit(X, y, epochs=6, batch_size=16, validation_split=0.2, resume=tmp_path / "c", generator=other)
    assert_same_trainers(whole, second)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("at", [1, 3, 6, 7])
def test_in_the_middle_of_an_epoch(at: int, shuffle: bool, tmp_path: Path) -> None:
    """A checkpoint after any batch: 4 batches make an epoch."""
    X, y, _ = events()
    options: dict[str, Any] = {"batch_size": 16, "shuffle": shuffle, "validation_split": 0.1}
    whole = made(step_schedule=STEP_SCHEDULES["CyclicLR"])
    whole.fit(X, y, epochs=3, **options)
    path = tmp_path / "c"

    class Stop(Callback):
        seen = 0

        def on_batch_end(self, trainer: Any, batch: int, loss: float) -> None:
            self.seen += 1
            if self.seen == at:
                trainer.save_checkpoint(path)
                raise KeyboardInterrupt

    first = made(step_schedule=STEP_SCHEDULES["CyclicLR"])
    with pytest.raises(KeyboardInterrupt):
        first.fit(X, y, epochs=3, callbacks=[Stop()], **options)
    first.save_checkpoint(tmp_path / "d")  # where it was interrupted
    second = made(step_schedule=STEP_SCHEDULES["CyclicLR"], seed=50)
    second.fit(X, y, epochs=3, resume=path, **options)
    assert_same_trainers(whole, second)
    third = made(step_schedule=STEP_SCHEDULES["CyclicLR"], seed=51)
    third.fit(X, y, epochs=3, resume=tmp_path / "d", **options)
    assert_same_trainers(whole, third)
    if at % 4:
        with pytest.raises(ValueError, match="middle of an epoch with batch_size=16"):
            made(step_schedule=STEP_SCHEDULES["CyclicLR"]).fit(
                X, y, epochs=3, resume=path, **(options | {"batch_size": 8})
            )


def test_interrupted_by_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C somewhere within an epoch that runs in C++: what is saved then goes on with the same bits."""
    monkeypatch.setattr(passes, "MILLISECONDS", 5)
    X, y, _ = events(20_000)
    options: dict[str, Any] = {"batch_size": 10, "epochs": 10}
    whole = made()
    whole.fit(X, y, **options)
    trainer = made()
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.06)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, y, **options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    trainer.save_checkpoint(tmp_path / "c")
    position = tg.load(tmp_path / "c")["position"]
    assert 0 < position["batch"] + 2000 * position["epoch"] < 20_000
    other = made(seed=3)
    other.fit(X, y, resume=tmp_path / "c", **options)
    assert_same_trainers(whole, other)


def test_callbacks_go_on(tmp_path: Path) -> None:
    X, y, _ = events(200)

    def callbacks(path: Path) -> list[Any]:
        trainer.optimizer.param_groups[0]["lr"] = 0.05
        return [
            EarlyStopping("val_loss", patience=4),
            LRSchedule(S.ExponentialLR(trainer.optimizer, 0.8)),
            Checkpoint(path),
        ]

    options: dict[str, Any] = {"batch_size": 16, "validation_split": 0.3, "epochs": 40}
    trainer = whole = made(metrics=["accuracy"])
    kept = callbacks(tmp_path / "a")
    whole.fit(X, y, callbacks=kept, **options)
    assert len(whole.history["loss"]) < 40
    trainer = first = made(metrics=["accuracy"])
    first.fit(X, y, callbacks=callbacks(tmp_path / "b"), **(options | {"epochs": 3}))
    trainer = second = made(metrics=["accuracy"], seed=12)
    again = callbacks(tmp_path / "b")
    second.fit(X, y, callbacks=again, resume=tmp_path / "b", **options)
    assert_same_trainers(whole, second)
    assert again[0].best_epoch == kept[0].best_epoch
    trainer = third = made(metrics=["accuracy"], seed=13)
    third.fit(X, y, callbacks=callbacks(tmp_path / "a"), resume=tmp_path / "a", **options)  # which was over
    assert_same_trainers_but_gradients(whole, third)
    with pytest.raises(
        ValueError, match=r"state of the callbacks \['EarlyStopping', 'LRSchedule'\], but this fit has \[\]"
    ):
        made(metrics=["accuracy"]).fit(X, y, resume=tmp_path / "b", **options)


def test_after_the_best_numbers_were_put_back(tmp_path: Path) -> None:
    """The file has the best numbers, and the training goes on from the last ones; what the loss learns goes with them."""

    X, y, _ = events(200)
    options: dict[str, Any] = {"batch_size": 16, "validation_split": 0.3}

    def trainer(seed: int) -> tg.Trainer:
        tg.manual_seed(seed)
        model, loss = noisy(), Scaled()
        return tg.Trainer(model, loss, tg.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.2))

    whole = trainer(1)
    whole.fit(X, y, epochs=8, callbacks=[EarlyStopping(patience=50)], **options)
    first = trainer(1)
    stop = EarlyStopping(patience=50)
    first.fit(X, y, epochs=4, callbacks=[stop], **options)
    assert stop.best_epoch < 4
    assert first.evaluate(*_held(first, X, y), batch_size=16) == stop.best
    first.save_checkpoint(tmp_path / "c")
    second = trainer(2)
    second.load_checkpoint(tmp_path / "c")
    assert second.evaluate(*_held(first, X, y), batch_size=16) == stop.best
    second.fit(X, y, epochs=8, callbacks=[EarlyStopping(patience=50)], resume=tmp_path / "c", **options)
    assert_same_trainers_but_gradients(whole, second)
    assert same_bits(whole.loss.scale, second.loss.scale)
    state = tg.load(tmp_path / "c")
    state["callbacks"][0][1]["kept"].pop("0.weight")
    tg.save(state, tmp_path / "c")
    with pytest.raises(
        ValueError, match=r"\[EarlyStopping\] the checkpoint does not fit: its best epoch has other tensors"
    ):
        trainer(3).fit(X, y, epochs=8, callbacks=[EarlyStopping(patience=50)], resume=tmp_path / "c", **options)


def _held(trainer: tg.Trainer, X: Any, y: Any) -> tuple[Any, Any]:
    """The events that a fit of this trainer with validation_split=0.3 left out."""
    order = tg.randperm(len(X), generator=_generator(trainer._running.position.split))
    rows = tg.sort(order[: round(0.3 * len(X))]).values
    return X[rows], y[rows]


def _generator(state: Any) -> tg.Generator:
    generator = tg.Generator()
    generator.set_state(state)
    return generator


def test_between_an_epoch_and_its_end(tmp_path: Path) -> None:
    """Schedules have not gone on, and the history lacks the epoch."""

    class Early(Callback):
        def on_epoch_end(self, trainer: Any, numbers: Any) -> None:
            trainer.save_checkpoint(tmp_path / "c")

    X, y, _ = events()
    with pytest.raises(RuntimeError, match="save in on_batch_end or on_epoch_complete"):
        made().fit(X, y, epochs=1, batch_size=16, callbacks=[Early()])
    assert os.listdir(tmp_path) == []
