"""Where the numbers of a training go: files, TensorBoard, services that keep track of runs."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import time
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from trigrad import _core
from trigrad._random import initial_seed
from trigrad.train.callbacks import Callback

if TYPE_CHECKING:
    from trigrad.train.trainer import Trainer

__all__ = ["CSVLogger", "JSONLLogger", "OfflineRun", "RunLogger", "TensorBoard"]


class _Lines(Callback):
    """A file with a line per epoch. A training that goes on writes the epochs before its checkpoint first: what a crashed run
    had written after it is gone, what other fits had written before stays."""

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path, self.append = os.fspath(path), append
        self._file: IO[str] | None = None
        self._at = 0  # the byte where the lines of this fit begin

    def on_fit_begin(self, trainer: Trainer) -> None:
        if trainer.epoch == 0:
            self._at = os.path.getsize(self.path) if self.append and os.path.exists(self.path) else 0
        self._open(trainer)

    def _open(self, trainer: Trainer) -> None:
        self.close()
        self._file = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115 -- open as long as the fit
        self._file.truncate(min(self._at, os.path.getsize(self.path)))
        self._begin(trainer)
        for epoch in range(1, trainer.epoch + 1):
            self._write(epoch, self._numbers(trainer, epoch))
        self._file.flush()

    def on_epoch_complete(self, trainer: Trainer) -> None:
        if self._file is not None:
            self._line(trainer, self._numbers(trainer, trainer.epoch))
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _numbers(self, trainer: Trainer, epoch: int) -> dict[str, float]:
        return {name: held[epoch - 1] for name, held in trainer.history.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"at": self._at} if self.append else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._at = int(state["at"])

    def _begin(self, trainer: Trainer) -> None:
        """What stands before the lines."""

    def _line(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        self._write(trainer.epoch, numbers)

    def _write(self, epoch: int, numbers: dict[str, float]) -> None:
        raise NotImplementedError


class CSVLogger(_Lines):
    """A CSV file with the columns "epoch", "loss" and what else the history has, a line per epoch; numbers read back as they
    were. It is written anew by each fit, with `append=True` added to.

    >>> import trigrad as tg, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
    >>> model = tg.nn.Linear(1, 1, bias=False); _ = tg.nn.init.zeros_(model.weight)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.25))
    >>> X = tg.ones(4, 1)
    >>> _ = trainer.fit(X, X, epochs=2, batch_size=4, callbacks=[tg.train.CSVLogger(path)])
    >>> print(*path.read_text().split(), sep="\\n")
    epoch,loss
    1,1.0
    2,0.25
    """

    def _begin(self, trainer: Trainer) -> None:
        self._columns: list[str] | None = None
        if os.path.getsize(self.path):
            with open(self.path, newline="", encoding="utf-8") as file:
                self._columns = next(csv.reader(file))[1:]
        elif trainer.epoch:
            self._head(list(trainer.history))

    def _head(self, columns: list[str]) -> None:
        assert self._file is not None
        self._columns = columns
        csv.writer(self._file).writerow(["epoch", *columns])

    def _line(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        if self._columns is None:
            self._head(list(numbers))
        elif not set(numbers) <= set(self._columns):
            if self.append:
                raise ValueError(
                    f"[CSVLogger] {self.path} has the columns {self._columns}, but this fit also gives "
                    f"{sorted(set(numbers) - set(self._columns))}; choose another file"
                )
            self._open(trainer)  # all lines once more, this one too
            return
        self._write(trainer.epoch, numbers)

    def _write(self, epoch: int, numbers: dict[str, float]) -> None:
        assert self._file is not None
        values = [repr(numbers[name]) if name in numbers else "" for name in self._columns or ()]
        csv.writer(self._file).writerow([epoch, *values])


class JSONLLogger(_Lines):
    """A file with a JSON object per epoch, {"epoch": 1, "loss": …}; null stands for NaN and infinities. It is written anew by
    each fit, with `append=True` added to.

    >>> import trigrad as tg, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> model = tg.nn.Linear(1, 1, bias=False); _ = tg.nn.init.zeros_(model.weight)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.25))
    >>> X = tg.ones(4, 1)
    >>> _ = trainer.fit(X, X, epochs=2, batch_size=4, callbacks=[tg.train.JSONLLogger(path)])
    >>> print(path.read_text(), end="")
    {"epoch": 1, "loss": 1.0}
    {"epoch": 2, "loss": 0.25}
    """

    def _write(self, epoch: int, numbers: dict[str, float]) -> None:
        assert self._file is not None
        print(json.dumps({"epoch": epoch} | {k: _finite(v) for k, v in numbers.items()}), file=self._file)


def _finite(number: Any) -> Any:
    return None if isinstance(number, float) and not math.isfinite(number) else number


class TensorBoard(Callback):
    """Event files for TensorBoard, a curve for each number of the history. It wants tensorboardX:
    pip install 'trigrad[tensorboard]'."""

    def __init__(self, folder: str | os.PathLike[str] = "runs") -> None:
        try:
            self._make: Any = importlib.import_module("tensorboardX").SummaryWriter
        except ImportError:
            raise ImportError(
                "[TensorBoard] the package tensorboardX is not there; pip install 'trigrad[tensorboard]'"
            ) from None
        self.folder = os.fspath(folder)
        self._writer: Any = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        more = {"purge_step": trainer.epoch + 1} if trainer.epoch else {}
        self._writer = self._make(self.folder, **more)

    def on_epoch_complete(self, trainer: Trainer) -> None:
        for name, held in trainer.history.items():
            self._writer.add_scalar(name, held[-1], trainer.epoch)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class OfflineRun:
    """A run that is kept in a file, with the methods of Comet's `Experiment` and of MLflow's module: a JSON object per line,
    with "time", "kind" (parameter, metric, tag, artifact or end), "name", "value" and, where it was given, "step".

    >>> import trigrad as tg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.jsonl")
    >>> run = tg.train.OfflineRun(path)
    >>> run.log_parameter("lr", 0.1); run.log_metrics({"loss": 0.5}, step=1); run.end()
    >>> [(line["kind"], line["name"], line["value"]) for line in tg.train.OfflineRun.read(path)]
    [('parameter', 'lr', 0.1), ('metric', 'loss', 0.5), ('end', 'run', None)]
    """

    def __init__(self, path: str | os.PathLike[str] = "run.jsonl") -> None:
        self.path = os.fspath(path)
        folder = os.path.dirname(os.path.realpath(self.path))
        os.makedirs(folder, exist_ok=True)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
        """The lines of such a file."""
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def _add(self, kind: str, name: str, value: Any, step: int | None = None) -> None:
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kind": kind, "name": str(name)}
        line["value"] = _finite(value) if isinstance(value, (bool, int, float, str, type(None))) else str(value)
        with open(self.path, "a", encoding="utf-8") as file:
            print(json.dumps(line | ({} if step is None else {"step": int(step)})), file=file)

    def log_parameter(self, name: str, value: Any, step: int | None = None) -> None:
        """A setting of the run."""
        self._add("parameter", name, value, step)

    def log_parameters(self, parameters: Mapping[str, Any], step: int | None = None) -> None:
        """Settings of the run."""
        for name, value in parameters.items():
            self._add("parameter", name, value, step)

    def log_metric(self, name: str, value: float, step: int | None = None, epoch: int | None = None) -> None:
        """A number that was found."""
        self._add("metric", name, float(value), epoch if step is None else step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, epoch: int | None = None) -> None:
        """Numbers that were found."""
        for name, value in metrics.items():
            self.log_metric(name, value, step, epoch)

    def log_other(self, name: str, value: Any) -> None:
        """What else there is to say."""
        self._add("tag", name, value)

    def log_asset(self, path: str | os.PathLike[str], file_name: str | None = None) -> None:
        """A file that belongs to the run, by its path."""
        self._add("artifact", file_name or os.path.basename(path), os.path.realpath(path))

    def end(self) -> None:
        """The run is over."""
        self._add("end", "run", None)

    log_param, log_params, set_tag = log_parameter, log_parameters, log_other
    end_run = end

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """What else there is to say."""
        for name, value in tags.items():
            self._add("tag", name, value)

    def log_artifact(self, local_path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """A file that belongs to the run, by its path."""
        self.log_asset(local_path, artifact_path)


class RunLogger(Callback):
    """Keeps track of a run: settings at the beginning, the numbers of each epoch, and the end, also where an error was. `run` is a Comet `Experiment`,
    the module `mlflow`, or anything with their methods; without one it is an `OfflineRun`, so nothing leaves the machine.

    >>> import trigrad as tg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.jsonl")
    >>> model = tg.nn.Linear(1, 1)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.25))
    >>> X = tg.ones(4, 1)
    >>> _ = trainer.fit(X, X, epochs=2, batch_size=4, callbacks=[tg.train.RunLogger(path=path)])
    >>> [(line["name"], line["step"]) for line in tg.train.OfflineRun.read(path) if line["kind"] == "metric"]
    [('loss', 1), ('loss', 2)]
    """

    def __init__(
        self,
        run: Any = None,
        *,
        path: str | os.PathLike[str] = "run.jsonl",
        parameters: Mapping[str, Any] | None = None,
        end: bool = True,
    ) -> None:
        self.run = OfflineRun(path) if run is None else run
        self.parameters, self.end = dict(parameters or {}), end
        if not hasattr(self.run, "log_metrics"):
            raise TypeError(
                f"[RunLogger] run is a {type(run).__name__}, expected a Comet Experiment, mlflow or an OfflineRun"
            )

    def _call(self, names: tuple[str, ...], *arguments: Any) -> None:
        """The first of these methods that the run has."""
        for name in names:
            if hasattr(self.run, name):
                getattr(self.run, name)(*arguments)
                return

    def on_fit_begin(self, trainer: Trainer) -> None:
        group = trainer.optimizer.param_groups[0]
        options = {f"optimizer.{k}": v for k, v in group.items() if isinstance(v, (bool, int, float, str, tuple))}
        said = {
            "model": repr(trainer.model),
            "loss": getattr(trainer.loss, "__name__", type(trainer.loss).__name__),
            "optimizer": type(trainer.optimizer).__name__,
            **options,
            "epochs": trainer.epochs,
            "first_epoch": trainer.epoch + 1,
            "seed": initial_seed(),
            "trigrad": _core.build_info()["version"],
            "arithmetic_version": _core.build_info()["arithmetic_version"],
        }
        self._call(("log_parameters", "log_params"), said | self.parameters)

    def on_epoch_complete(self, trainer: Trainer) -> None:
        self.run.log_metrics({name: held[-1] for name, held in trainer.history.items()}, step=trainer.epoch)

    def close(self) -> None:
        if self.end:
            self._call(("end", "end_run"))
