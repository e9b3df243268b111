"""What happens between the epochs of a training: callbacks, ours and your own."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trigrad import ops
from trigrad._core import Tensor
from trigrad._warnings import warn
from trigrad.diagnostics import Histogram, histogram, record, saturation
from trigrad.nn.module import Module
from trigrad.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from trigrad.optim.lr_scheduler.base import set_rate
from trigrad.optim.optimizer import real
from trigrad.train import checkpoint
from trigrad.train.data import whole
from trigrad.train.measures import rises

if TYPE_CHECKING:
    from trigrad.train.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientMonitor",
    "HistogramMonitor",
    "LRSchedule",
    "SaturationMonitor",
]

Numbers = dict[str, float]


class Callback:
    """Derive from it and write the methods that you need. `trainer` knows `model`, `optimizer`, `loss`, `history`, `epoch`
    (from 1 on), `epochs`, and can `stop()`.

    >>> import trigrad as tg
    >>> class Tell(tg.train.Callback):
    ...     def on_epoch_end(self, trainer, numbers):
    ...         numbers["half"] = numbers["loss"] / 2
    ...         if trainer.epoch == 3:
    ...             trainer.stop()
    >>> model = tg.nn.Linear(1, 1)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    >>> history = trainer.fit(tg.ones(8, 1), tg.zeros(8, 1), epochs=10, batch_size=4, callbacks=[Tell()])
    >>> len(history["loss"]), sorted(history)
    (3, ['half', 'loss'])

    Epochs run in C++ as long as no callback wants to be called after each batch.
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch of a fit, also of one that goes on."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before an epoch."""

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        """After the step of a batch (counted from 0), whose loss is given. It is what makes training slower."""

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        """After an epoch: the numbers that were found, which go into the history with those that are added here."""

    def on_epoch_complete(self, trainer: Trainer) -> None:
        """After that: all numbers of the epoch are in the history and all schedules have gone on. The time to save."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, unless an error or Ctrl-C ended it."""

    def close(self) -> None:
        """After a fit, however it ended: the time to close files."""

    def wants_batches(self) -> bool:
        """Is `on_batch_end` to be called?"""
        return type(self).on_batch_end is not Callback.on_batch_end

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: anything that trigrad.save takes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


class _Watching(Callback):
    """Compares a number of each epoch with the best so far."""

    def __init__(self, monitor: str, mode: Literal["auto", "min", "max"], min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[{type(self).__name__}] mode is {mode!r}, expected 'auto', 'min' or 'max'")
        if not min_delta >= 0:
            raise ValueError(f"[{type(self).__name__}] min_delta is {min_delta}, expected 0 or more")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.best = math.nan  # none yet
        self.best_epoch = 0

    def is_better(self, trainer: Trainer, numbers: Numbers) -> bool:
        """Is this epoch the best so far? NaN is worse than anything."""
        if self.monitor not in numbers:
            raise ValueError(
                f"[{type(self).__name__}] there is no {self.monitor!r} to monitor, this fit has {sorted(numbers)}; give fit() "
                "validation_data or validation_split, or another monitor"
            )
        value = numbers[self.monitor]
        up = self.mode == "max" if self.mode != "auto" else rises(self.monitor, trainer._metrics)
        if up is None:
            raise ValueError(
                f"[{type(self).__name__}] is more of {self.monitor!r} better? Say mode='max', or mode='min'"
            )
        gain = (value - self.best) if up else (self.best - value)
        if math.isnan(value) or not (math.isnan(self.best) or gain > self.min_delta):
            return False
        self.best, self.best_epoch = value, trainer.epoch
        return True


class EarlyStopping(_Watching):
    """Ends the training when `monitor` has not become better (by more than `min_delta`) for `patience` epochs, and gives the
    model the numbers of its best epoch back, bit for bit, also where no end came early. A checkpoint of that moment goes on
    from the last epoch all the same. Whether more of it is better is known of losses and of metrics of `trigrad.metrics`, and
    said by `mode` ("min", "max") of other numbers.

    >>> import trigrad as tg
    >>> _ = tg.manual_seed(0)
    >>> model = tg.nn.Linear(4, 1)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    >>> stop = tg.train.EarlyStopping(patience=3)
    >>> X, y = tg.randn(40, 4), tg.randn(40, 1)
    >>> held_out = X[:10], y[:10]
    >>> history = trainer.fit(X[10:], y[10:], epochs=200, batch_size=10, validation_data=held_out, callbacks=[stop])
    >>> len(history["loss"]) == stop.best_epoch + 3, trainer.evaluate(*held_out, batch_size=10) == stop.best
    (True, True)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
        restore_best: bool = True,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.restore_best = whole("EarlyStopping", "patience", patience), restore_best
        self.waited = 0
        self._kept: dict[str, Tensor] = {}  # the numbers of the best epoch
        self._last: dict[str, Tensor] = {}  # and those that they took the place of

    def on_fit_begin(self, trainer: Trainer) -> None:
        held = (
            checkpoint.everything(trainer) if self.restore_best else {}
        )  # what cannot be kept is told before the first epoch
        if trainer.epoch == 0:
            self.best, self.best_epoch, self.waited, self._kept, self._last = math.nan, 0, 0, {}, {}
            return
        for given in (self._kept, self._last):
            if given and (wrong := checkpoint.misfit("best epoch", held, given)):
                raise ValueError(f"[EarlyStopping] the checkpoint does not fit: {wrong}")
        if self._last:
            checkpoint.put_back(held, self._last)
            self._last = {}
        if self.waited >= self.patience:
            trainer.stop()  # it was over

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        if self.is_better(trainer, numbers):
            self.waited = 0
            if self.restore_best:
                self._kept = checkpoint.copies(trainer)
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.stop()

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._kept:
            self._last = checkpoint.copies(trainer)
            checkpoint.put_back(checkpoint.everything(trainer), self._kept)

    def state_dict(self) -> dict[str, Any]:
        found = {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}
        return found | {"kept": self._kept, "last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self.waited, self._kept, self._last = int(state["waited"]), dict(state["kept"]), dict(state["last"])


class Checkpoint(_Watching):
    """Writes all that the training needs to go on (see `Trainer.save_checkpoint`) after every `every` epochs, with `monitor`
    only when an epoch was the best so far, or after every `every_batches` batches. A path may have {epoch} in it.

    The file is whole at any time: who reads it, or goes on after a crash, finds the one before or the new one.

    >>> import trigrad as tg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> def training():
    ...     _ = tg.manual_seed(3)
    ...     model = tg.nn.Linear(4, 1)
    ...     return tg.Trainer(model, tg.nn.MSELoss(), tg.optim.Adam(model.parameters()))
    >>> X = tg.ones(20, 4); y = X[:, :1]
    >>> whole = training(); _ = whole.fit(X, y, epochs=10, batch_size=5)
    >>> half = training(); _ = half.fit(X, y, epochs=5, batch_size=5, callbacks=[tg.train.Checkpoint(path)])
    >>> other = training(); _ = other.fit(X, y, epochs=10, batch_size=5, resume=path)
    >>> tg.equal(whole.model.weight, other.model.weight), whole.history == other.history
    (True, True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int = 1,
        every_batches: int | None = None,
        monitor: str | None = None,
        mode: Literal["auto", "min", "max"] = "auto",
    ) -> None:
        super().__init__(monitor or "", mode, 0.0)
        self.path, self.every = os.fspath(path), whole("Checkpoint", "every", every)
        try:
            self.path.format(epoch=1)
        except (KeyError, IndexError, ValueError):
            raise ValueError(f"[Checkpoint] path is {self.path!r}, expected no braces but {{epoch}}") from None
        self.every_batches = None if every_batches is None else whole("Checkpoint", "every_batches", every_batches)
        self._is_due = False

    def wants_batches(self) -> bool:
        return self.every_batches is not None

    def on_fit_begin(self, trainer: Trainer) -> None:
        checkpoint.contents(trainer)  # what cannot be saved is told before the first epoch
        if trainer.epoch == 0:
            self.best, self.best_epoch = math.nan, 0
        _sweep(self.path)
        trainer.remember_data()

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        if self.every_batches is not None and (batch + 1) % self.every_batches == 0:
            trainer.save_checkpoint(self.path.format(epoch=trainer.epoch))

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        self._is_due = self.is_better(trainer, numbers) if self.monitor else True

    def on_epoch_complete(self, trainer: Trainer) -> None:
        if self._is_due and (trainer.epoch % self.every == 0 or trainer.epoch == trainer.epochs):
            trainer.save_checkpoint(self.path.format(epoch=trainer.epoch))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch} if self.monitor else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])


def _sweep(path: str) -> None:
    """Takes away what writers of this file, of any epoch, left beside it when they were killed."""
    folder, name = os.path.dirname(os.path.realpath(path.format(epoch=1))), os.path.basename(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"[Checkpoint] there is no folder {folder!r}, expected one to write {name!r} into")
    names = re.sub(r"\\\{epoch.*?\\\}", ".+", re.escape(name))
    for found in os.listdir(folder):
        left = re.fullmatch(names + r"\.(\d+)\.[0-9a-f]{8}\.tmp", found)
        if left is None:
            continue
        try:
            os.kill(int(left[1]), 0)
        except ProcessLookupError:
            os.unlink(os.path.join(folder, found))
        except (PermissionError, OverflowError):
            pass


class LRSchedule(Callback):
    """Sets the learning rate: by a schedule of `trigrad.optim.lr_scheduler`, which goes on after each epoch (or each "batch"),
    or by a function that gives the rate of an epoch, counted from 0. The history has it as "lr". ReduceLROnPlateau looks at
    `monitor`, by itself at "val_loss", or else "loss".

    >>> import trigrad as tg
    >>> model = tg.nn.Linear(1, 1)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=1.0))
    >>> halves = tg.train.LRSchedule(lambda epoch: 0.1 * 0.5**epoch)
    >>> trainer.fit(tg.ones(4, 1), tg.ones(4, 1), epochs=3, batch_size=2, callbacks=[halves])["lr"]
    [0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        schedule: LRScheduler | Callable[[int], float],
        *,
        each: Literal["epoch", "batch"] = "epoch",
        monitor: str | None = None,
    ) -> None:
        self._steps = hasattr(schedule, "step") and hasattr(schedule, "state_dict")
        if not self._steps and not callable(schedule):
            raise TypeError(f"[LRSchedule] schedule is a {type(schedule).__name__}, expected a schedule or a function")
        if each not in ("epoch", "batch") or (each == "batch" and not self._steps):
            raise ValueError(f"[LRSchedule] each is {each!r}, expected 'epoch', or with a schedule 'batch'")
        self.schedule: Any = schedule
        self.each, self.monitor = each, monitor
        self._rate = 0.0

    def wants_batches(self) -> bool:
        return self.each == "batch"

    def on_epoch_begin(self, trainer: Trainer) -> None:
        if not self._steps:
            for group in trainer.optimizer.param_groups:
                set_rate(group, float(self.schedule(trainer.epoch - 1)))
        self._rate = real(trainer.optimizer.param_groups[0]["lr"])

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        if self.each == "batch":
            self.schedule.step()

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        numbers.setdefault("lr", self._rate)
        if self._steps and self.each == "epoch":
            if isinstance(self.schedule, ReduceLROnPlateau):
                looked_at = self.monitor or ("val_loss" if "val_loss" in numbers else "loss")
                if looked_at not in numbers:
                    raise ValueError(
                        f"[LRSchedule] there is no {looked_at!r} to monitor, this fit has {sorted(numbers)}"
                    )
                self.schedule.step(numbers[looked_at])
            else:
                self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        return {"kind": checkpoint.kind(self.schedule), "schedule": self.schedule.state_dict()} if self._steps else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["kind"] != checkpoint.kind(self.schedule):
            raise ValueError(f"it is of {state['kind']}, this schedule is {checkpoint.kind(self.schedule)}")
        if not checkpoint.alike(self.schedule.state_dict(), state["schedule"]):
            raise ValueError(f"a {state['kind']} has no state {state['schedule']!r:.200}")
        self.schedule.load_state_dict(state["schedule"])


def _gradients(trainer: Trainer) -> dict[str, Tensor]:
    """Of the last step, by the paths of the parameters, or their numbers where the model is a function."""
    held = {str(i): p for i, p in enumerate(p for g in trainer.optimizer.param_groups for p in g["params"])}
    if isinstance(trainer.model, Module):
        held = dict(trainer.model.named_parameters())
    return {name: p.grad for name, p in held.items() if p.grad is not None}


class GradientMonitor(Callback):
    """The norm of the gradient in the last step of each epoch, as "grad_norm" in the history, with `each_parameter` also
    that of each parameter. If it is infinite or NaN, the training ends with a warning that names the first such parameter.

    >>> import trigrad as tg
    >>> model = tg.nn.Linear(1, 1)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    >>> history = trainer.fit(tg.ones(4, 1), tg.ones(4, 1), epochs=2, batch_size=2, callbacks=[tg.train.GradientMonitor()])
    >>> history["grad_norm"][1] < history["grad_norm"][0]
    True
    """

    def __init__(self, *, each_parameter: bool = False, stop: bool = True) -> None:
        self.each_parameter, self.stop = each_parameter, stop

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        squares = {name: float(ops.sum(ops.square(g.double()))) for name, g in _gradients(trainer).items()}
        numbers["grad_norm"] = math.sqrt(sum(squares.values()))
        if self.each_parameter:
            numbers |= {f"grad_norm/{name}": math.sqrt(square) for name, square in squares.items()}
        bad = [name for name, square in squares.items() if not math.isfinite(square)]
        if bad and self.stop:
            warn(f"[GradientMonitor] the gradient of {bad[0]} is not finite after epoch {trainer.epoch}: training ends")
            trainer.stop()


class SaturationMonitor(Callback):
    """How many units of each activation hardly learn any more on the events `X` (see `trigrad.diagnostics.saturation`):
    "saturated/<layer>" and "stuck/<layer>" in the history, after every `every` epochs.

    >>> import trigrad as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 8), tg.nn.Tanh(), tg.nn.Linear(8, 1))
    >>> X = tg.ones(10, 2)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    >>> watch = tg.train.SaturationMonitor(X)
    >>> sorted(trainer.fit(X, X[:, :1], epochs=1, batch_size=5, callbacks=[watch]))
    ['loss', 'saturated/1', 'stuck/1']
    """

    def __init__(self, X: Any, *, threshold: float = 1e-3, every: int = 1, also: tuple[type[Module], ...] = ()) -> None:
        self.inputs = X if isinstance(X, tuple) else (X,)
        self.threshold, self.every, self.also = threshold, whole("SaturationMonitor", "every", every), also

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        if trainer.epoch % self.every:
            return
        for layer in saturation(trainer.model, *self.inputs, threshold=self.threshold, also=self.also).layers:
            numbers[f"saturated/{layer.name}"], numbers[f"stuck/{layer.name}"] = layer.saturated, layer.stuck


class HistogramMonitor(Callback):
    """Histograms after every `every` epochs: of what each layer gives out for the events `X` (see `diagnostics.record`, also
    for `only`), in `activations`, and of the gradient of each parameter in the last step, in `gradients`: by name a
    `diagnostics.Histogram` for each of `epochs`, `bins` wide, from the least to the greatest number.

    >>> import trigrad as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 8), tg.nn.Tanh(), tg.nn.Linear(8, 1))
    >>> X = tg.ones(10, 2)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    >>> watch = tg.train.HistogramMonitor(X, every=2)
    >>> _ = trainer.fit(X, X[:, :1], epochs=4, batch_size=5, callbacks=[watch])
    >>> watch.epochs, sorted(watch.activations), sorted(watch.gradients)
    ([2, 4], ['0', '1', '2'], ['0.bias', '0.weight', '2.bias', '2.weight'])
    >>> int(watch.activations["1"][-1].counts.sum())
    80
    """

    def __init__(self, X: Any, *, every: int = 1, bins: int = 50, only: tuple[type[Module], ...] = ()) -> None:
        self.inputs = X if isinstance(X, tuple) else (X,)
        self.every, self.bins = whole("HistogramMonitor", "every", every), whole("HistogramMonitor", "bins", bins)
        self.only = only
        self._clear()

    def _clear(self) -> None:
        self.epochs: list[int] = []
        self.activations: dict[str, list[Histogram]] = {}
        self.gradients: dict[str, list[Histogram]] = {}

    def on_fit_begin(self, trainer: Trainer) -> None:
        if trainer.epoch == 0:
            self._clear()

    def on_epoch_end(self, trainer: Trainer, numbers: Numbers) -> None:
        if trainer.epoch % self.every:
            return
        self.epochs.append(trainer.epoch)
        for layer in record(trainer.model, *self.inputs, only=self.only):
            self.activations.setdefault(layer.name, []).append(histogram(layer.output, self.bins))
        for name, gradient in _gradients(trainer).items():
            self.gradients.setdefault(name, []).append(histogram(gradient, self.bins))

    def state_dict(self) -> dict[str, Any]:
        kept: dict[str, Any] = {"epochs": list(self.epochs)}
        for kind in ("activations", "gradients"):
            held = getattr(self, kind)
            kept[kind] = {n: [[h[0].tolist(), h[1].tolist(), *h[2:]] for h in all_of] for n, all_of in held.items()}
        return kept

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = list(state["epochs"])
        for kind in ("activations", "gradients"):
            held = {n: [Histogram(np.array(h[0]), np.array(h[1]), *h[2:]) for h in v] for n, v in state[kind].items()}
            setattr(self, kind, held)
