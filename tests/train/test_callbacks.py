"""Callbacks, loggers and monitors: what they are told, what they write, and that training is the same with them."""

from __future__ import annotations

import builtins
import csv
import json
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from train.loops import FEATURES, adam, assert_same, events, noisy, plain, same_bits, twins
from trigrad._compile import CompiledFunction
from trigrad.nn import functional as F
from trigrad.train import (
    Callback,
    CSVLogger,
    EarlyStopping,
    GradientMonitor,
    HistogramMonitor,
    JSONLLogger,
    LRSchedule,
    OfflineRun,
    RunLogger,
    SaturationMonitor,
    TensorBoard,
)

X, Y, W = events(200)


def trained(callbacks: list[Any], lr: float = 0.01, make: Any = plain, **options: Any) -> tg.Trainer:
    tg.manual_seed(1)
    model = make()
    trainer = tg.Trainer(model, F.cross_entropy, tg.optim.SGD(model.parameters(), lr=lr))
    trainer.fit(X, Y, callbacks=callbacks, **{"epochs": 3, "batch_size": 64, **options})
    return trainer


class Diary(Callback):
    def __init__(self) -> None:
        self.said: list[Any] = []

    def on_fit_begin(self, trainer: Any) -> None:
        self.said.append(("fit", trainer.epoch, trainer.epochs))

    def on_epoch_begin(self, trainer: Any) -> None:
        self.said.append(("begin", trainer.epoch))

    def on_epoch_end(self, trainer: Any, numbers: Any) -> None:
        self.said.append(("end", trainer.epoch, sorted(numbers), len(trainer.history.get("loss", []))))

    def on_epoch_complete(self, trainer: Any) -> None:
        self.said.append(("complete", trainer.epoch, len(trainer.history["loss"])))

    def on_fit_end(self, trainer: Any) -> None:
        self.said.append(("over", trainer.epoch))


def test_what_callbacks_are_told() -> None:
    diary = Diary()
    trained([diary], epochs=2, validation_split=0.5)
    assert diary.said == [
        ("fit", 0, 2),
        ("begin", 1),
        ("end", 1, ["loss", "val_loss"], 0),
        ("complete", 1, 1),
        ("begin", 2),
        ("end", 2, ["loss", "val_loss"], 1),
        ("complete", 2, 2),
        ("over", 2),
    ]


class Losses(Callback):
    def __init__(self) -> None:
        self.found: list[tuple[int, int, float]] = []

    def on_batch_end(self, trainer: Any, batch: int, loss: float) -> None:
        self.found.append((trainer.epoch, batch, loss))


def test_batches_are_told() -> None:
    """Their losses add up to that of the epoch, and nothing changes by it."""
    a, b, of_a, of_b = twins(noisy)
    losses = Losses()
    tg.manual_seed(3)
    tg.Trainer(a, F.cross_entropy, of_a).fit(X, Y, epochs=2, batch_size=64)
    tg.manual_seed(3)
    history = tg.Trainer(b, F.cross_entropy, of_b).fit(X, Y, epochs=2, batch_size=64, callbacks=[losses])
    assert_same(a, b, of_a, of_b)
    assert [(epoch, batch) for epoch, batch, _ in losses.found] == [(e, b) for e in (1, 2) for b in range(4)]
    rows = [64, 64, 64, 8]
    mean = sum(n * loss for n, (_, _, loss) in zip(rows, losses.found[4:], strict=True)) / 200
    assert history["loss"][1] == pytest.approx(mean, rel=1e-12)


def test_epochs_stay_in_cpp_without_callbacks_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = CompiledFunction._batches
    monkeypatch.setattr(CompiledFunction, "_batches", lambda *args: calls.append(1) or real(*args))
    trained([Diary(), EarlyStopping("loss"), LRSchedule(lambda epoch: 0.1), GradientMonitor()], batch_size=2)
    assert len(calls) < 20  # of 300 steps
    trained([Losses()], batch_size=2)
    assert len(calls) > 300


def test_an_error_names_its_callback() -> None:
    class Broken(Callback):
        def on_epoch_end(self, trainer: Any, numbers: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        trained([Diary(), Broken()])
    assert caught.value.__notes__ == ["[Trainer] in Broken.on_epoch_end of epoch 1"]
    with pytest.raises(TypeError, match=r"a callback is a type, expected one derived from train\.Callback"):
        trained([Diary])


# ---- early stopping


class Weights(Callback):
    """All numbers of the model after each epoch, and given values to monitor."""

    def __init__(self, values: list[float]) -> None:
        self.values, self.kept = values, [{}]

    def on_epoch_end(self, trainer: Any, numbers: Any) -> None:
        numbers["value"] = self.values[trainer.epoch - 1]
        self.kept.append({n: t.clone() for n, t in trainer.model.state_dict().items()})


NAN = math.nan
STOPS: list[tuple[list[float], dict[str, Any], int, int]] = [  # values, options, epochs made, the best
    ([3, 2, 4, 5, 1, 1], {"patience": 2}, 4, 2),
    ([3, 2, 4, 1, 5, 6], {"patience": 2}, 6, 4),
    ([3, 4, 4, 4, 4, 4], {"patience": 1}, 2, 1),
    ([3, 2.95, 2.9, 2.0, 1.96, 1.95], {"patience": 3, "min_delta": 0.1}, 6, 4),
    ([1, 2, 3, 2, 2, 2], {"patience": 2, "mode": "max"}, 5, 3),
    ([NAN, 3, NAN, 2, NAN, NAN], {"patience": 2}, 6, 4),
    ([NAN, NAN, NAN, 1, 1, 1], {"patience": 2}, 2, 0),
    ([-1, -2, -3, -4, -5, -6], {"patience": 1}, 6, 6),
]


@pytest.mark.parametrize(("values", "options", "epochs", "best"), STOPS)
def test_early_stopping(values: list[float], options: dict[str, Any], epochs: int, best: int) -> None:
    options = {"mode": "min", **options}
    watch, stop = Weights(values), EarlyStopping("value", **options)
    trainer = trained([watch, stop], epochs=6, make=noisy)
    assert len(trainer.history["loss"]) == epochs
    assert stop.best_epoch == best
    expected = watch.kept[best or epochs]
    for name, t in trainer.model.state_dict().items():
        assert same_bits(t, expected[name]), name
    kept = trained([Weights(values), EarlyStopping("value", **options, restore_best=False)], epochs=6, make=noisy)
    for name, t in kept.model.state_dict().items():
        assert same_bits(t, watch.kept[epochs][name])


def test_accuracy_rises() -> None:
    model = plain()
    trainer = tg.Trainer(model, F.cross_entropy, adam(model), metrics=["accuracy"])
    stop = EarlyStopping("val_accuracy", patience=100)
    trainer.fit(X, Y, epochs=8, batch_size=50, validation_split=0.5, callbacks=[stop])
    assert stop.best == max(trainer.history["val_accuracy"])


@pytest.mark.parametrize("name", ["accuracy_score", "auc", "r2_score", "hits", "log_loss", "brier_score", "rmse"])
def test_what_is_better(name: str) -> None:
    """By its own name, or by that of the metric that it stands for."""
    y = (Y == 1).double()[:, None].float()
    model = tg.nn.Linear(FEATURES, 1)
    metrics: Any = {"hits": "accuracy"} if name == "hits" else [name]
    trainer = tg.Trainer(model, F.binary_cross_entropy_with_logits, adam(model), metrics=metrics)
    stop = EarlyStopping(f"val_{name}", patience=100)
    values = trainer.fit(X, y, epochs=4, batch_size=50, validation_split=0.5, callbacks=[stop])[f"val_{name}"]
    assert stop.best == (min if name in ("log_loss", "brier_score", "rmse") else max)(values)


def test_a_number_of_ones_own_needs_a_direction() -> None:
    with pytest.raises(ValueError, match=r"is more of 'value' better\? Say mode='max', or mode='min'"):
        trained([Weights([3, 2, 1]), EarlyStopping("value")])
    with pytest.raises(
        ValueError, match=r"\[LRSchedule\] there is no 'val_acc' to monitor, this fit has \['loss', 'lr'\]"
    ):
        trained([LRSchedule(_plateau(), monitor="val_acc")])


def _plateau() -> Any:
    return tg.optim.lr_scheduler.ReduceLROnPlateau(tg.optim.SGD(plain().parameters(), lr=0.1))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"there is no 'val_loss' to monitor, this fit has \['loss'\]"):
        trained([EarlyStopping()])
    with pytest.raises(ValueError, match="mode is 'up'"):
        EarlyStopping(mode="up")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patience is 0"):
        EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="min_delta is -1"):
        EarlyStopping(min_delta=-1)
    with pytest.raises(TypeError, match="schedule is a float"):
        LRSchedule(0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="each is 'batch'"):
        LRSchedule(lambda epoch: 0.1, each="batch")


# ---- schedules


@pytest.mark.parametrize("each", ["epoch", "batch"])
def test_schedules_are_those_of_the_trainer(each: Any) -> None:
    schedules = tg.optim.lr_scheduler
    results = []
    for as_callback in (False, True):
        tg.manual_seed(1)
        model = plain()
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
        schedule = schedules.ExponentialLR(optimizer, 0.9)
        name = "scheduler" if each == "epoch" else "step_scheduler"
        options: dict[str, Any] = {} if as_callback else {name: schedule}
        trainer = tg.Trainer(model, F.cross_entropy, optimizer, **options)
        callbacks = [LRSchedule(schedule, each=each)] if as_callback else []
        history = trainer.fit(X, Y, epochs=3, batch_size=64, callbacks=callbacks)
        results.append((dict(history), model[0].weight.detach().numpy().tobytes(), optimizer.param_groups[0]["lr"]))
    assert results[0] == results[1]


def test_plateaus_look_at_what_they_monitor() -> None:
    tg.manual_seed(1)
    model = plain()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    schedule = tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    trainer = tg.Trainer(model, F.cross_entropy, optimizer)
    watch = Weights([3, 3, 2, 2, 2])
    trainer.fit(X, Y, epochs=5, batch_size=64, callbacks=[watch, LRSchedule(schedule, monitor="value")])
    assert trainer.history["lr"] == [0.1, 0.1, 0.05, 0.05, 0.025]


# ---- monitors


def test_gradients() -> None:
    monitor = GradientMonitor(each_parameter=True)
    trainer = trained([monitor])
    squares = {n: float((p.grad.double() ** 2).sum()) for n, p in trainer.model.named_parameters()}
    assert trainer.history["grad_norm"][-1] == pytest.approx(math.sqrt(sum(squares.values())))
    assert trainer.history["grad_norm/0.bias"][-1] == pytest.approx(math.sqrt(squares["0.bias"]))
    with pytest.warns(UserWarning, match=r"the gradient of \d\.(weight|bias) is not finite after epoch \d"):
        stopped = trained([GradientMonitor()], lr=1e30, epochs=50)
    assert len(stopped.history["loss"]) < 50


def test_saturation() -> None:
    model = tg.nn.Sequential(tg.nn.Linear(FEATURES, 16), tg.nn.Tanh(), tg.nn.Linear(16, 3))
    trainer = tg.Trainer(model, F.cross_entropy, adam(model))
    history = trainer.fit(X, Y, epochs=4, batch_size=64, callbacks=[SaturationMonitor(X * 1000, every=2)])
    found = tg.diagnostics.saturation(model, X * 1000).layers[0]
    assert history["saturated/1"][-1] == found.saturated > 0.5
    assert history["stuck/1"][-1] == found.stuck
    assert [math.isnan(v) for v in history["saturated/1"]] == [True, False, True, False]
    plans = trainer._functions["step", 1, False].plans  # type: ignore[attr-defined]
    assert sum(p.calls for p in plans) > 8  # the plan goes on after the network was looked at


# ---- files


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_histograms_are_those_of_the_network_after_each_epoch(tmp_path: Path) -> None:
    """Of a fit that stops half way and goes on as well, and the training is the one without them."""
    seen: list[Any] = []

    class Look(Callback):
        def on_epoch_end(self, trainer: Any, numbers: Any) -> None:
            grads = {name: p.grad.numpy().copy() for name, p in trainer.model.named_parameters()}
            trainer.model.eval()
            seen.append((trainer.model[0](X).detach().numpy(), grads))

    watch = HistogramMonitor(X, bins=7)
    whole = trained([Look(), watch], epochs=4)
    silent = trained([], epochs=4)
    assert_same(whole.model, silent.model, whole.optimizer, silent.optimizer)
    assert watch.epochs == [1, 2, 3, 4]
    assert list(watch.activations) == [name for name, m in whole.model.named_modules() if not list(m.children())]
    for epoch, (output, grads) in enumerate(seen):
        found = watch.activations["0"][epoch]
        counts, edges = np.histogram(output.astype(np.float64), 7)
        np.testing.assert_array_equal(found.counts, counts)
        np.testing.assert_array_equal(found.edges, edges)
        assert set(watch.gradients) == set(grads)
        for name, held in grads.items():
            assert watch.gradients[name][epoch].mean == pytest.approx(held.astype(np.float64).mean(), abs=1e-12)
    path = tmp_path / "run.safetensors"
    trained([HistogramMonitor(X, bins=7), tg.train.Checkpoint(path)], epochs=2)
    other = HistogramMonitor(X, bins=7)
    trained([other, tg.train.Checkpoint(path)], epochs=4, resume=path)
    assert other.epochs == watch.epochs
    for kind in ("activations", "gradients"):
        for name, expected in getattr(watch, kind).items():
            for a, b in zip(getattr(other, kind)[name], expected, strict=True):
                np.testing.assert_array_equal(a.edges, b.edges)
                np.testing.assert_array_equal(a.counts, b.counts)
                assert a[2:] == b[2:]
    trained([watch], epochs=1)
    assert watch.epochs == [1]  # each fit begins anew


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    trainer = trained([CSVLogger(path)], validation_split=0.5)
    found = rows(path)
    assert found[0] == ["epoch", "loss", "val_loss"]
    assert [int(row[0]) for row in found[1:]] == [1, 2, 3]
    assert [float(row[2]) for row in found[1:]] == trainer.history["val_loss"]
    again = trained([CSVLogger(path, append=True)], epochs=2, validation_split=0.5)
    assert rows(path) == [
        *found,
        *[[str(k + 1), repr(again.history["loss"][k]), repr(again.history["val_loss"][k])] for k in range(2)],
    ]
    with pytest.raises(
        ValueError, match=r"has the columns \['loss', 'val_loss'\], but this fit also gives \['grad_norm'\]"
    ):
        trained([GradientMonitor(), CSVLogger(path, append=True)], epochs=2)
    late = trained(
        [SaturationMonitor(X, every=2), CSVLogger(path)],
        make=lambda: tg.nn.Sequential(tg.nn.Linear(FEATURES, 3), tg.nn.Tanh()),
    )
    found = rows(path)
    assert found[0] == ["epoch", "loss", "saturated/1", "stuck/1"]
    assert [row[0] for row in found[1:]] == ["1", "2", "3"]
    assert float(found[2][2]) == late.history["saturated/1"][1]


@pytest.mark.parametrize("logger", [CSVLogger, JSONLLogger])
def test_a_file_of_several_fits_goes_on(logger: Any, tmp_path: Path) -> None:
    """The lines of fits before stay; those after the checkpoint are written once."""
    path, point = tmp_path / "log", tmp_path / "point"

    def fit(epochs: int, **options: Any) -> Any:
        keep = tg.train.Checkpoint(point, every=2)
        return trained([logger(path, append=True), keep], epochs=epochs, **options).history["loss"]

    fit(2)
    other = path.read_text()
    whole = fit(4)
    expected = path.read_text()
    assert expected.startswith(other)
    path.write_text(other)
    fit(2)
    saved = point.read_bytes()
    with open(path, "a") as file:
        file.write("what a crashed run wrote after its checkpoint")
    point.write_bytes(saved)
    assert fit(4, resume=point) == whole
    assert path.read_text() == expected


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    watch = Weights([1.0, NAN, math.inf])
    trainer = trained([watch, JSONLLogger(path)])
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["epoch"] for line in found] == [1, 2, 3]
    assert [line["loss"] for line in found] == trainer.history["loss"]
    assert [line["value"] for line in found] == [1.0, None, None]


def test_logs_of_a_run_that_goes_on(tmp_path: Path) -> None:
    """Epochs that a crash undid are not in the log twice."""
    logs = [CSVLogger(tmp_path / "c"), JSONLLogger(tmp_path / "j")]
    keep = tg.train.Checkpoint(tmp_path / "ckpt", every=2)
    trainer = trained([keep, *logs], epochs=4)

    class Crash(Callback):
        def on_epoch_complete(self, trainer: Any) -> None:
            if trainer.epoch == 3:
                raise KeyboardInterrupt

    whole = (tmp_path / "c").read_text(), (tmp_path / "j").read_text()
    with pytest.raises(KeyboardInterrupt):
        trained([keep, *logs, Crash()], epochs=4)
    assert len(rows(tmp_path / "c")) == 4
    trainer = tg.Trainer(trainer.model, F.cross_entropy, trainer.optimizer)
    trainer.fit(X, Y, epochs=4, batch_size=64, callbacks=[keep, *logs], resume=tmp_path / "ckpt")
    assert ((tmp_path / "c").read_text(), (tmp_path / "j").read_text()) == whole


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="writes with tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401 -- is the format that is read below

    trainer = trained([TensorBoard(tmp_path / "tb")])
    (file,) = (tmp_path / "tb").iterdir()
    raw, at, found = file.read_bytes(), 0, []
    while at < len(raw):
        n = int.from_bytes(raw[at : at + 8], "little")
        event = Event.FromString(raw[at + 12 : at + 12 + n])
        found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
        at += 16 + n
    assert [(tag, step) for tag, step, _ in found] == [("loss", 1), ("loss", 2), ("loss", 3)]
    np.testing.assert_allclose([v for *_, v in found], trainer.history["loss"], rtol=1e-6)


def test_without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *more: Any) -> Any:
        if name.startswith("tensorboardX"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'trigrad\[tensorboard\]'"):
        TensorBoard()


def test_an_offline_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.jsonl"
    trainer = trained([RunLogger(path=path, parameters={"data": "toy"})], validation_split=0.5)
    found = OfflineRun.read(path)
    said = {line["name"]: line["value"] for line in found if line["kind"] == "parameter"}
    assert said["optimizer"] == "SGD"
    assert said["optimizer.lr"] == 0.01
    assert said["data"] == "toy"
    assert said["epochs"] == 3
    assert said["seed"] == 1
    assert said["model"] == repr(trainer.model)
    metrics = [(line["name"], line["step"], line["value"]) for line in found if line["kind"] == "metric"]
    assert metrics == [(n, k + 1, trainer.history[n][k]) for k in range(3) for n in ("loss", "val_loss")]
    assert found[-1]["kind"] == "end"


def test_services() -> None:
    """Comet's and MLflow's methods are called as they are there."""
    for names in (("log_parameters", "end"), ("log_params", "end_run")):
        calls: list[tuple[str, Any]] = []
        service = SimpleNamespace(
            log_metrics=lambda m, step, calls=calls: calls.append(("log_metrics", (dict(m), step)))
        )
        for name in names:
            setattr(service, name, lambda *a, name=name, calls=calls: calls.append((name, a)))
        trainer = trained([RunLogger(service)], epochs=1)
        assert [name for name, _ in calls] == [names[0], "log_metrics", names[1]]
        assert calls[1][1] == ({"loss": trainer.history["loss"][0]}, 1)
    with pytest.raises(TypeError, match="run is a SimpleNamespace"):
        RunLogger(SimpleNamespace())


def test_both_shapes_of_an_offline_run(tmp_path: Path) -> None:
    run = OfflineRun(tmp_path / "r")
    run.log_parameter("a", (1, 2))
    run.log_params({"b": True})
    run.log_metric("m", np.float32(0.5), step=3)
    run.log_metrics({"m": math.nan}, epoch=4)
    run.set_tags({"t": None})
    run.log_other("o", "x")
    run.log_artifact(tmp_path / "file")
    run.end_run()
    found = [(line["kind"], line["name"], line["value"], line.get("step")) for line in OfflineRun.read(tmp_path / "r")]
    assert found == [
        ("parameter", "a", "(1, 2)", None),
        ("parameter", "b", True, None),
        ("metric", "m", 0.5, 3),
        ("metric", "m", None, 4),
        ("tag", "t", None, None),
        ("tag", "o", "x", None),
        ("artifact", "file", str(tmp_path.resolve() / "file"), None),
        ("end", "run", None, None),
    ]
    assert time.strptime(OfflineRun.read(tmp_path / "r")[0]["time"], "%Y-%m-%dT%H:%M:%SZ")
