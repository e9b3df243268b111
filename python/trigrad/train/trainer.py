"""`Trainer`: steps over batches, epochs of them in C++."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trigrad import _core, ops
from trigrad._autograd import no_grad
from trigrad._compile import CompiledFunction
from trigrad._compile import compile as compiled
from trigrad._core import Tensor
from trigrad._random import Generator, randperm
from trigrad.nn.module import Module
from trigrad.optim.lbfgs import LBFGS
from trigrad.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from trigrad.optim.optimizer import Optimizer, real
from trigrad.train.data import Data, held_out, whole
from trigrad.train.history import History

__all__ = ["Trainer"]

MILLISECONDS = 100  # of steps in C++; then Python looks whether it was interrupted


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


def _takes_weights(loss: Any) -> bool:
    try:
        parameters = inspect.signature(loss.forward if isinstance(loss, Module) else loss).parameters.values()
    except (TypeError, ValueError):  # it does not say
        return True
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


class Trainer:
    """Trains a model with a loss and an optimizer; whole epochs run in C++.

    >>> import trigrad as tg
    >>> _ = tg.manual_seed(0)
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 8), tg.nn.Tanh(), tg.nn.Linear(8, 1))
    >>> X = tg.randn(500, 2); y = X[:, :1] * X[:, 1:]
    >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.Adam(model.parameters(), lr=0.02))
    >>> history = trainer.fit(X, y, epochs=30, batch_size=50)
    >>> len(history["loss"]), history["loss"][-1] < 0.2 * history["loss"][0]
    (30, True)

    `loss(prediction, target)` is a loss module or any function that returns one number, `loss(prediction, target,
    sample_weight=w)` where events have weights. `scheduler` goes on after each epoch (ReduceLROnPlateau by the validation loss,
    or else the loss), `step_scheduler` after each step.

    Steps are compiled (see `trigrad.compile`, which also says what a model or loss may not do); `compile=False` calls the
    model in Python at each step instead, with the same results.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        loss: Callable[..., Any],
        optimizer: Optimizer,
        *,
        scheduler: LRScheduler | None = None,
        step_scheduler: LRScheduler | None = None,
        compile: bool = True,
    ) -> None:
        called: dict[str, Any] = {"model": model, "loss": loss}
        for name, value in called.items():
            if not callable(value) or isinstance(value, type):
                got = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
                raise TypeError(f"[Trainer] {name} is {got}, expected a module or a function")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"[Trainer] optimizer is a {type(optimizer).__name__}, expected one of trigrad.optim")
        if isinstance(optimizer, LBFGS):
            raise TypeError(
                "[Trainer] LBFGS asks for the loss several times per step; call optimizer.step(closure) in a loop instead"
            )
        for name, schedule in (("scheduler", scheduler), ("step_scheduler", step_scheduler)):
            if schedule is not None and not callable(getattr(schedule, "step", None)):
                raise TypeError(f"[Trainer] {name} is a {type(schedule).__name__}, expected a schedule with step()")
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self._scheduler, self._step_scheduler, self._compile = scheduler, step_scheduler, compile
        self._functions: dict[tuple[bool, int, bool], Callable[..., Tensor]] = {}
        self.history = History()  # of the last fit, also of one that was interrupted

    @property
    def model(self) -> Any:
        """What is trained."""
        return self._model

    @property
    def loss(self) -> Any:
        """What is made small."""
        return self._loss

    @property
    def optimizer(self) -> Optimizer:
        """What makes the steps."""
        return self._optimizer

    def __repr__(self) -> str:
        return f"<trigrad.Trainer of {type(self._model).__name__} with {type(self._optimizer).__name__}>"

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int,
        shuffle: bool = True,
        sample_weight: Any = None,
        validation_data: Any = None,
        verbose: bool | int = False,
        generator: Generator | None = None,
    ) -> History:
        """Train on the events X (N, ...) with targets y (N, ...), tensors or arrays; a tuple X is passed to the model as
        several arguments.

        The bits are those of the loop

            for epoch in range(epochs):
                order = tg.randperm(N, generator=generator)
                for first in range(0, N, batch_size):
                    rows = order[first : first + batch_size]
                    optimizer.zero_grad()
                    value = loss(model(X[rows]), y[rows])
                    value.backward()
                    optimizer.step()

        so each epoch draws one permutation, from the default generator or the given one, and the last batch may be a short
        one. `history["loss"]` is the mean of the values, each counted with the number of its rows, in float64: of a loss that
        is a mean, the mean over the events while the model was learning. `history["val_loss"]` is that of
        validation_data=(X, y) or (X, y, sample_weight) after the epoch, in order, in eval() mode. `verbose` prints a line per
        epoch, or per `verbose` epochs.

        A model in eval() mode is trained in train() mode; modules have their modes again afterwards. Ctrl-C ends the training
        between two steps, as does an error in a step: what was learned stays, and `trainer.history` holds the epochs that
        were completed.
        """
        if _core.is_recording():
            raise RuntimeError("[fit] a compiled function cannot train a model; call fit() outside of it")
        epochs = whole("fit", "epochs", epochs)
        if not isinstance(verbose, int):
            raise TypeError(
                f"[fit] verbose is {verbose!r}, expected True, False or how many epochs one line stands for"
            )
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(f"[fit] generator is a {type(generator).__name__}, expected a trigrad.Generator")
        every = int(verbose)
        data = self._data("fit", X, y, sample_weight, batch_size)
        held = None
        if validation_data is not None:
            inputs, targets, weights = held_out(validation_data)
            held = self._data("fit", inputs, targets, weights, batch_size)
        history = self.history = History()
        with self._modes(training=True):
            for epoch in range(1, epochs + 1):
                start = time.perf_counter()
                if self._scheduler is not None or self._step_scheduler is not None:
                    history.append(lr=real(self._optimizer.param_groups[0]["lr"]))
                order = randperm(data.n, generator=generator) if shuffle else None
                numbers = {"loss": self._pass(data, order, f"of epoch {epoch}")}
                if held is not None:
                    numbers["val_loss"] = self._judged(held)
                history.append(**numbers)
                if isinstance(self._scheduler, ReduceLROnPlateau):
                    self._scheduler.step(numbers.get("val_loss", numbers["loss"]))
                elif self._scheduler is not None:
                    self._scheduler.step()
                if every and (epoch % every == 0 or epoch == epochs):
                    words = "".join(f"  {name} {number:.5f}" for name, number in numbers.items())
                    width = len(str(epochs))
                    print(f"epoch {epoch:{width}}/{epochs}{words}  {time.perf_counter() - start:.3f} s", flush=True)
        return history

    def evaluate(self, X: Any, y: Any, *, batch_size: int = 1024, sample_weight: Any = None) -> float:
        """The loss on these events, in eval() mode: the mean over batches, each counted with the number of its rows.

        >>> import trigrad as tg
        >>> model = tg.nn.Linear(1, 1)
        >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
        >>> X = tg.arange(4.0).reshape(4, 1)
        >>> trainer.evaluate(X, model(X)), trainer.evaluate(X, model(X) + 1)
        (0.0, 1.0)
        """
        return self._judged(self._data("evaluate", X, y, sample_weight, batch_size))

    # ---- passes over data

    def _data(self, what: str, X: Any, y: Any, sample_weight: Any, batch_size: int) -> Data:
        data = Data(what, X, y, sample_weight, batch_size)
        if data.weighted and not _takes_weights(self._loss):
            raise TypeError(
                f"[{what}] the loss takes no sample_weight, expected loss(prediction, target, sample_weight=...), as "
                "trigrad's losses are called"
            )
        return data

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

    def _function(self, data: Data, training: bool) -> Callable[..., Tensor]:
        key = training, data.n_inputs, data.weighted
        if key not in self._functions:
            made = (
                _step_of(self._model, self._loss, self._optimizer, *key[1:])
                if training
                else _judge_of(self._model, self._loss, *key[1:])
            )
            self._functions[key] = compiled(made) if self._compile else made
        return self._functions[key]

    def _judged(self, data: Data) -> float:
        with self._modes(training=False), no_grad():
            return self._pass(data, None, "of the validation", training=False)

    def _pass(self, data: Data, order: Tensor | None, where: str, training: bool = True) -> float:
        """Once over the data; the mean loss."""
        function, schedule = self._function(data, training), self._step_scheduler if training else None
        sizes = data.sizes()
        losses = _core.empty((data.n_batches,), _core.float64)
        k = 0
        try:
            while k < data.n_batches:
                # Batches of one size follow each other in C++, unless something is to be done in between.
                end = k + 1 if schedule is not None else k + sizes[k:].count(sizes[k])
                first = k * data.batch_size
                if isinstance(function, CompiledFunction):
                    k += function._batches(data.batch(sizes[k]), data.tables, order, first, losses[k:end], MILLISECONDS)
                else:
                    losses[k] = function(*data.pick(order, first, sizes[k])).detach()
                    k += 1
                if schedule is not None:
                    schedule.step()
        except Exception as error:
            remedy = "; Trainer(..., compile=False) calls it in Python" if str(error).startswith("[compile]") else ""
            error.add_note(
                f"[Trainer] in batch {k + 1} of {data.n_batches} {where}; the steps before it were made{remedy}"
            )
            raise
        return float(ops.sum(ops.mul(losses, _core.from_nested(sizes, _core.float64)))) / data.n
