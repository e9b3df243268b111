"""How a training goes: one line that is written over on a terminal, some lines elsewhere; and all of it as JSON lines."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trigrad import train

if TYPE_CHECKING:
    from trigrad.train import Trainer

__all__ = ["Log", "Progress", "rate", "whole_numbers"]


def rate(events_per_second: float) -> str:
    """A number of events per second, in words.

    >>> from trigrad._study import progress
    >>> [progress.rate(r) for r in (812.3, 45_678.0, 3.21e6)]
    ['812/s', '45.7 k/s', '3.21 M/s']
    """
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if events_per_second >= size:
            return f"{events_per_second / size:.3g}{letter}/s"
    return f"{events_per_second:.3g}/s"


class Log:
    """A file with one JSON object for each thing that happened: {"event": "epoch", "time": seconds since the start, …}."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._start = time.monotonic()

    def write(self, event: str, **more: Any) -> None:
        line = {"event": event, "time": round(time.monotonic() - self._start, 4), **whole_numbers(more)}
        print(json.dumps(line, allow_nan=False), file=self._file, flush=True)

    def close(self) -> None:
        self._file.close()


def whole_numbers(value: Any) -> Any:
    """The same for JSON: None where a number is not finite."""
    if isinstance(value, dict):
        return {str(k): whole_numbers(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole_numbers(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Progress(train.Callback):
    """epoch 12/60  loss 0.5123  validation 0.5098  accuracy 0.781  2.9 M/s  ETA 0:04"""

    def __init__(self, events: int, log: Log, out: IO[str] | None = None, quiet: bool = False) -> None:
        self._events, self._log, self._quiet = events, log, quiet
        self._out = out or sys.stdout
        self._over = self._out.isatty()  # the line is written over
        self._begin = self._epoch_began = self._last = 0.0
        self.rates: list[float] = []  # events per second of each epoch, validation included

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._begin = self._last = time.perf_counter()

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        now = time.perf_counter()
        self.rates.append(self._events / max(now - self._epoch_began, 1e-9))
        self._log.write("epoch", epoch=trainer.epoch, **numbers, events_per_second=self.rates[-1])
        # Elsewhere a line for the first epoch, and when a second has passed, or a tenth of what has.
        pause = max(1.0, 0.1 * (now - self._begin))
        if self._quiet or not (self._over or trainer.epoch == 1 or now - self._last >= pause):
            return
        self._last = now
        self._print(self._line(trainer, numbers, now))

    def on_fit_end(self, trainer: Trainer) -> None:
        if not self._quiet:
            held = trainer.history
            self._print(self._line(trainer, {name: v[-1] for name, v in held.items()}, None), end="\n")

    def _line(self, trainer: Trainer, numbers: dict[str, float], now: float | None) -> str:
        width = len(str(trainer.epochs))
        words = [f"epoch {trainer.epoch:{width}}/{trainer.epochs}", f"loss {numbers['loss']:.4f}"]
        words += [f"validation {numbers['val_loss']:.4f}"] if "val_loss" in numbers else []
        words += [f"{n.removeprefix('val_')} {v:.4f}" for n, v in numbers.items() if n in ("val_accuracy", "val_r2")]
        words.append(rate(self.rates[-1]))
        left = (trainer.epochs - trainer.epoch) * ((now or 0) - self._begin) / max(trainer.epoch, 1)
        took = time.perf_counter() - self._begin
        words.append(f"{took:.1f} s" if now is None else f"ETA {left // 60:.0f}:{left % 60:02.0f}")
        return "  ".join(words)

    def _print(self, line: str, end: str = "") -> None:
        if not self._over:
            print(line, file=self._out, flush=True)
            return
        most = max(shutil.get_terminal_size().columns - 1, 20)
        print(f"\r{line[:most]}\x1b[K", end=end, file=self._out, flush=True)
