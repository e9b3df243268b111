"""Once over the data: steps in C++, batch by batch in Python where something is to be done in between, and judgements."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from trigrad import _core, ops
from trigrad._autograd import no_grad
from trigrad._compile import CompiledFunction
from trigrad._compile import compile as compiled
from trigrad._core import Tensor
from trigrad._device import device
from trigrad._random import Generator, default_generator, randperm
from trigrad.nn.module import Module
from trigrad.optim.lr_scheduler import LRScheduler
from trigrad.optim.optimizer import Optimizer
from trigrad.train import checkpoint
from trigrad.train.callbacks import Callback
from trigrad.train.data import Data
from trigrad.train.measures import Measure
from trigrad.train.streams import Stream

UNMADE = -1.2345678901234567e300  # in the place of a loss that is not there yet
MILLISECONDS = 100  # of steps in C++; then Python looks whether it was interrupted
Source = Data | Stream


def _loss_of(model: Any, loss: Any, batch: tuple[Tensor, ...], n_inputs: int, weighted: bool) -> Tensor:
    prediction, target = model(*batch[:n_inputs]), batch[n_inputs]
    value = loss(prediction, target, sample_weight=batch[n_inputs + 1]) if weighted else loss(prediction, target)
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise RuntimeError(f"[Trainer] the loss of a batch is {got}, expected a tensor of one number, its mean")
    return value


def _step_of(model: Any, loss: Any, optimizer: Optimizer, n_inputs: int, weighted: bool) -> Callable[..., Tensor]:
    def step(*batch: Tensor) -> Tensor:
        optimizer.zero_grad()
        value = _loss_of(model, loss, batch, n_inputs, weighted)
        value.backward()
        optimizer.step()
        return value

    return step


def _judge_of(model: Any, loss: Any, n_inputs: int, weighted: bool) -> Callable[..., Tensor]:
    def judge(*batch: Tensor) -> Tensor:
        return _loss_of(model, loss, batch, n_inputs, weighted)

    return judge


def _answer_of(model: Any) -> Callable[..., Tensor]:
    def answer(*inputs: Tensor) -> Tensor:
        made: Tensor = model(*inputs)
        return made

    return answer


def _takes_weights(loss: Any) -> bool:
    try:
        parameters = inspect.signature(loss.forward if isinstance(loss, Module) else loss).parameters.values()
    except (TypeError, ValueError):  # it does not say
        return True
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


class Passes:
    """The part of a trainer that goes through data."""

    _model: Any
    _loss: Any
    _optimizer: Optimizer
    _step_scheduler: LRScheduler | None
    _compile: bool
    _metrics: dict[str, Measure]
    _functions: dict[tuple[Any, ...], Callable[..., Tensor]]
    _callbacks: list[Callback]
    _running: checkpoint.Running

    @property
    def epoch(self) -> int:
        """The present epoch, counted from 1; between two of them how many were completed."""
        raise NotImplementedError

    @contextmanager
    def _modes(self, training: bool) -> Iterator[None]:
        """The model in train() mode, or model and loss in eval() mode; parts of a model in train() mode keep theirs."""
        tops = [m for m in (self._model, self._loss) if isinstance(m, Module) and (not training or not m.training)]
        before = [(m, m.training) for top in tops for m in top.modules()]
        try:
            for top in tops:
                top.train(training)
            yield
        finally:
            for module, mode in before:
                if module.training != mode:
                    module.training = mode

    def _function(self, what: str, n_inputs: int, weighted: bool) -> Callable[..., Tensor]:
        key = what, n_inputs, weighted
        if key not in self._functions:
            made = (
                _step_of(self._model, self._loss, self._optimizer, n_inputs, weighted)
                if what == "step"
                else _judge_of(self._model, self._loss, n_inputs, weighted)
                if what == "judge"
                else _answer_of(self._model)
            )
            self._functions[key] = compiled(made) if self._compile else made
        return self._functions[key]

    def _judged(self, data: Source) -> float:
        with self._modes(training=False), no_grad():
            return self._pass(data, data.rows if isinstance(data, Data) else None, "of the validation", training=False)

    def _outputs(self, data: Source) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the model gives out for all events, their targets and weights."""
        found: list[Tensor] = []
        beside: list[tuple[Tensor, ...]] = []
        with self._modes(training=False), no_grad():
            if isinstance(data, Data):
                function = self._function("answer", data.n_inputs, False)
                for k, rows in enumerate(data.sizes()):
                    inputs = islice(data.pick(data.rows, k * data.batch_size, rows), data.n_inputs)
                    found.append(function(*inputs).detach())
                columns = tuple(data.column(i) for i in range(data.n_inputs, len(data.tables)))
            else:
                for batch, n_inputs in self._moved(data):
                    found.append(self._function("answer", n_inputs, False)(*batch[:n_inputs]).detach())
                    beside.append(batch[n_inputs:])
                columns = tuple(ops.cat(list(column), 0) for column in zip(*beside, strict=True))
        return ops.cat(found, 0), columns[0], columns[1] if len(columns) > 1 else None

    def _measured(self, data: Source, prefix: str) -> dict[str, float]:
        if not self._metrics:
            return {}
        output, target, weight = self._outputs(data)
        output, target, weight = output.cpu(), target.cpu(), None if weight is None else weight.cpu()
        return {f"{prefix}{name}": measure.find(output, target, weight) for name, measure in self._metrics.items()}

    def _epoch_of(self, data: Source, shuffle: bool, generator: Generator | None) -> float:
        """One epoch, or what is left of it."""
        position = self._running.position
        drawn = generator or default_generator
        before = position.order if position.batch and isinstance(position.order, Tensor) else None
        here, default = drawn.get_state(), default_generator.get_state()

        def back() -> None:
            drawn.set_state(here)
            default_generator.set_state(default)

        if before is not None:
            drawn.set_state(before)
        watched = any(c.wants_batches() for c in self._callbacks)
        position.order = drawn._seed, drawn._step
        where = f"of epoch {self.epoch}"
        if isinstance(data, Stream):
            return self._stream(data, where, skipped=back)
        order = randperm(data.n, generator=generator, device=data.device) if shuffle else None
        if before is not None:
            back()
        if data.rows is not None:
            order = data.rows if order is None else data.rows[order]
        return self._pass(data, order, where, watched=watched)

    def _pass(
        self, data: Source, order: Tensor | None, where: str, training: bool = True, watched: bool = False
    ) -> float:
        """Once over the data; the mean loss."""
        if isinstance(data, Stream):
            return self._stream(data, where, training)
        function = self._function("step" if training else "judge", data.n_inputs, data.weighted)
        schedule, position = self._step_scheduler if training else None, self._running.position
        sizes = data.sizes()
        losses = _core.empty((data.n_batches,), _core.float64)
        k = 0
        if training:
            ops.fill_(losses, UNMADE)
        if training and position.batch and position.losses is not None:
            k = position.batch
            losses[:k] = position.losses
        try:
            while k < data.n_batches:
                # Batches of one size follow each other in C++, unless something is to be done in between.
                end = k + 1 if schedule is not None or watched else k + sizes[k:].count(sizes[k])
                first = k * data.batch_size
                if isinstance(function, CompiledFunction):
                    made = function._batches(
                        data.batch(sizes[k]), data.tables, order, first, losses[k:end], MILLISECONDS
                    )
                else:
                    losses[k] = float(function(*data.pick(order, first, sizes[k])).detach())
                    made = 1
                if schedule is not None:
                    schedule.step()
                k += made
                if watched:
                    position.batch, position.losses = k, losses[:k]
                    self._told(k - 1, float(losses[k - 1]))
        except BaseException as error:  # Ctrl-C too
            if training:
                known = isinstance(function, CompiledFunction)
                # Counted by their losses: of the last steps in C++ no answer came back.
                done = int(ops.sum(ops.ne(losses, UNMADE))) if known else k
                position.batch, position.losses = done, losses[:done]
                self._running.is_torn = not known or (schedule is not None and done != k)
            self._note(error, f"{k + 1} of {data.n_batches} {where}")
            raise
        return float(ops.sum(ops.mul(losses, _core.from_nested(sizes, _core.float64)))) / data.n

    def _device(self) -> device | None:
        """Where the model is; None if it does not say."""
        return next((t.device for _, t in checkpoint.tensors_of(self._model)), None)

    def _moved(self, data: Stream) -> Iterator[tuple[tuple[Tensor, ...], int]]:
        """The batches of a stream, where the model is."""
        where = self._device()
        for batch, n_inputs in data.batches():
            yield batch if where is None else tuple(t.to(where) for t in batch), n_inputs

    def _told(self, batch: int, loss: float) -> None:
        trainer: Any = self
        for callback in self._callbacks:
            if callback.wants_batches():
                callback.on_batch_end(trainer, batch, loss)

    def _note(self, error: BaseException, where: str) -> None:
        remedy = "; Trainer(..., compile=False) calls it in Python" if str(error).startswith("[compile]") else ""
        error.add_note(f"[Trainer] in batch {where}; the steps before it were made{remedy}")

    def _stream(
        self, data: Stream, where: str, training: bool = True, skipped: Callable[[], None] | None = None
    ) -> float:
        """Once over batches that come as they come. Of an epoch that goes on those that were used are left out, and `skipped`
        puts the generators where they were."""
        now, position = self._running, self._running.position
        watched = training and any(c.wants_batches() for c in self._callbacks)
        done = position.batch if training else 0
        losses: list[float] = position.losses.tolist() if done and position.losses is not None else []
        rows: list[int] = position.rows.tolist() if done and position.rows is not None else []
        seen = 0
        try:
            for batch, n_inputs in self._moved(data):
                seen += 1
                if seen <= done:
                    if seen == done and skipped is not None:
                        skipped()
                    continue
                weighted = len(batch) > n_inputs + 1
                self._check_weights(data.what, weighted)
                now.is_torn = training  # until all of the step is done
                value = self._function("step" if training else "judge", n_inputs, weighted)(*batch)
                losses.append(float(value.detach()))
                rows.append(batch[0].shape[0])
                if training and self._step_scheduler is not None:
                    self._step_scheduler.step()
                now.is_torn = False
                if watched:
                    self._keep(losses, rows)
                    self._told(seen - 1, losses[-1])
        except BaseException as error:
            if training:
                self._keep(losses, rows)
            self._note(error, f"{len(losses) + 1} {where}")
            raise
        if seen < done:
            raise ValueError(f"[fit] the iterator has {seen} batches, but the checkpoint was written after {done}")
        counts = _core.from_nested(rows, _core.float64)
        return float(ops.sum(ops.mul(_core.from_nested(losses, _core.float64), counts))) / sum(rows)

    def _keep(self, losses: list[float], rows: list[int]) -> None:
        position = self._running.position
        position.batch = len(losses)
        position.losses = _core.from_nested(losses, _core.float64)
        position.rows = _core.from_nested(rows, _core.int64)

    def _check_weights(self, what: str, weighted: bool) -> None:
        if weighted and not _takes_weights(self._loss):
            raise TypeError(
                f"[{what}] the loss takes no sample_weight, expected loss(prediction, target, sample_weight=...), as "
                "trigrad's losses are called"
            )
