"""Trainer: epochs over data in memory, at the speed of the machine."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from trigrad import _core, ops
from trigrad._autograd import no_grad
from trigrad._compile import CompiledFunction
from trigrad._core import Tensor
from trigrad._creation import as_tensor
from trigrad._random import randperm

__all__ = ["History", "Trainer"]


class History(dict[str, list[float]]):
    """What was measured in each epoch: history["loss"], history["val_loss"], …

    >>> import trigrad as tg
    >>> tg.train.History(loss=[1.0, 0.5])["loss"][-1]
    0.5
    """

    def add(self, **values: float) -> None:
        """One epoch more."""
        for name, value in values.items():
            self.setdefault(name, []).append(value)


class Trainer:
    """Trains `model` with `optimizer` by a loss: any function loss(prediction, target) of tensors (with weights
    loss(prediction, target, sample_weight=...)). The steps are those of a plain loop, bit for bit:

        for epoch in range(epochs):
            order = tg.randperm(len(X))
            for i in range(0, len(X), batch_size):
                rows = order[i : i + batch_size]
                optimizer.zero_grad()
                loss(model(X[rows]), y[rows]).backward()
                optimizer.step()

    but a step is recorded once (`trigrad.compile`) and then whole epochs run in C++.

    >>> import trigrad as tg
    >>> _ = tg.manual_seed(0)
    >>> model = tg.nn.Linear(3, 1)
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.Adam(model.parameters(), lr=0.1))
    >>> X = tg.randn(100, 3)
    >>> history = trainer.fit(X, X.sum(1, keepdim=True), epochs=20, batch_size=10)
    >>> len(history["loss"]), history["loss"][-1] < 0.01
    (20, True)
    """

    def __init__(self, model: Any, loss: Callable[..., Any], optimizer: Any) -> None:
        if not callable(model) or not callable(loss):
            raise TypeError(
                "[Trainer] expected a model and a loss that can be called, and an optimizer: Trainer(model, loss, opt)"
            )
        self.model, self.loss, self.optimizer = model, loss, optimizer

        def step(x: Tensor, y: Tensor, *weight: Tensor) -> Tensor:
            optimizer.zero_grad()
            made: Tensor = loss(model(x), y, sample_weight=weight[0]) if weight else loss(model(x), y)
            made.backward()
            optimizer.step()
            return made

        def evaluate(x: Tensor, y: Tensor, *weight: Tensor) -> Any:
            return loss(model(x), y, sample_weight=weight[0]) if weight else loss(model(x), y)

        self.step, self._evaluate = CompiledFunction(step), CompiledFunction(evaluate)

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        validation_data: tuple[Any, ...] | None = None,
        verbose: bool = False,
    ) -> History:
        """Train for so many epochs; returns what was measured. X, y and sample_weight hold one row per event; validation_data
        is (X, y) or (X, y, sample_weight). The last batch of an epoch may be short. Ctrl-C stops between two steps."""
        data = _rows("fit", X, y, sample_weight)
        held_out = None if validation_data is None else _rows("fit", *validation_data)
        n = data[0].shape[0]
        if batch_size < 1 or epochs < 0 or not n:
            raise ValueError(
                f"[fit] got {n} events, batch_size {batch_size}, epochs {epochs}, expected at least 1, 1 and 0"
            )
        history = History()
        for epoch in range(epochs):
            start = time.perf_counter()
            order = randperm(n) if shuffle else ops.native_arange(0, 1, n, _core.int64)
            values = {"loss": self._epoch(data, order, batch_size) / n}
            if held_out is not None:
                values["val_loss"] = self.evaluate(*held_out, batch_size=batch_size)
            history.add(**values)
            if verbose:
                told = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
                print(f"epoch {epoch + 1}/{epochs}  {told}  {time.perf_counter() - start:.2f} s", file=sys.stderr)
        return history

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None, *, batch_size: int = 1024) -> float:
        """The mean loss over the events, in evaluation mode."""
        data = _rows("evaluate", X, y, sample_weight)
        n = data[0].shape[0]
        training = [m for m in self.model.modules() if m.training] if hasattr(self.model, "modules") else []
        for m in training:
            m.training = False
        try:
            with no_grad():
                parts = [self._evaluate(*(t[i : i + batch_size] for t in data)) for i in range(0, n, batch_size)]
        finally:
            for m in training:
                m.training = True
        sizes = [min(batch_size, n - i) for i in range(0, n, batch_size)]
        return math.fsum(float(part) * size for part, size in zip(parts, sizes, strict=True)) / n

    def _epoch(self, data: tuple[Tensor, ...], order: Tensor, batch_size: int) -> float:
        """All batches in this order; the sum of losses times rows."""
        n, total, first = data[0].shape[0], 0.0, 0
        staging = tuple(_core.empty((min(batch_size, n), *t.shape[1:]), t.dtype) for t in data)
        while first < n:
            if first + batch_size <= n:
                batches, losses = self.step.replay_batches(data, order, first, (n - first) // batch_size, staging)
                total += losses * batch_size
                first += batches * batch_size
                if batches:
                    continue
            rows = order[first : first + batch_size]
            loss = self.step(*(ops.native_index(t, [rows]) for t in data))  # records, or is the short one
            total += float(loss) * rows.shape[0]
            first += batch_size
        return total


def _rows(op: str, X: Any, y: Any, sample_weight: Any = None) -> tuple[Tensor, ...]:
    """The data as contiguous tensors of equally many rows."""
    given = [X, y] if sample_weight is None else [X, y, sample_weight]
    data = tuple(as_tensor(t).detach().contiguous() for t in given)
    if any(t.ndim == 0 or t.shape[0] != data[0].shape[0] for t in data):
        raise ValueError(
            f"[{op}] got shapes {', '.join(str(tuple(t.shape)) for t in data)}, expected one row per event in each"
        )
    return data
