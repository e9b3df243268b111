"""`Trainer`: steps over batches, epochs of them in C++."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trigrad import _core
from trigrad._core import Tensor
from trigrad._ordering import sort
from trigrad._random import Generator, default_generator, randperm
from trigrad._saving import load as load_file
from trigrad._saving import save as save_file
from trigrad.nn.module import Module
from trigrad.optim.lbfgs import LBFGS
from trigrad.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from trigrad.optim.optimizer import Optimizer, real
from trigrad.train import checkpoint
from trigrad.train.callbacks import Callback
from trigrad.train.data import Data, class_weights, fingerprint, held_out, tables_of, whole
from trigrad.train.history import History
from trigrad.train.measures import measures_of
from trigrad.train.passes import Passes, Source
from trigrad.train.streams import Stream, generator_of, is_stream

__all__ = ["Trainer"]


class Trainer(Passes):
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

    `metrics` are found after each epoch on the validation data ("val_accuracy"), or without any on the training data, in
    eval() mode: names of `trigrad.metrics` ("accuracy", "roc_auc", "mean_squared_error", … with or without "_score") or the functions
    themselves, functions f(y_true, output) of yours, or a dict of these. A single output is the positive class above 0; above ½ where the model ends in a
    Sigmoid, or the loss takes probabilities (BCELoss) or compares values (MSELoss), unless the classes are -1 and 1. Several
    outputs are one per class.

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
        metrics: Sequence[str | Callable[..., Any]] | Mapping[str, str | Callable[..., Any]] = (),
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
        mine = {p for part in called.values() if isinstance(part, Module) for p in part.parameters()}
        if (
            isinstance(model, Module)
            and mine
            and mine.isdisjoint(p for g in optimizer.param_groups for p in g["params"])
        ):
            raise ValueError(
                "[Trainer] the optimizer has no parameter of the model, expected one of model.parameters()"
            )
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self._scheduler, self._step_scheduler, self._compile = scheduler, step_scheduler, compile
        self._metrics = measures_of(metrics, model, loss)
        self._functions = {}
        self._callbacks = []
        self._running = checkpoint.Running()
        self._pending: list[Any] | None = None  # states of callbacks out of a checkpoint, for the fit that goes on
        self._source: Source | None = None  # while fit() runs
        self._stopped, self._between = False, True  # between two epochs?
        self.epochs = 0  # that the present fit goes up to
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

    @property
    def epoch(self) -> int:
        """The present epoch, counted from 1; after and before a fit, how many were completed."""
        return self._running.position.epoch + (self._source is not None and not self._between)

    @property
    def _schedulers(self) -> tuple[Any, Any]:
        return self._scheduler, self._step_scheduler

    def __repr__(self) -> str:
        return f"<trigrad.Trainer of {type(self._model).__name__} with {type(self._optimizer).__name__}>"

    def stop(self) -> None:
        """The present epoch is the last one: for callbacks."""
        self._stopped = True

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int | None = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
        prefetch: int = 2,
        steps_per_epoch: int | None = None,
        verbose: bool | int = False,
        generator: Generator | None = None,
    ) -> History:
        """Train on the events X (N, ...) with targets y (N, ...), tensors or arrays, which may be mapped from files that are
        larger than memory (numpy.load(path, mmap_mode="r")); a tuple X is passed to the model as several arguments. Events and
        batches are moved to the device of the model.

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
        validation_data=(X, y) or (X, y, sample_weight) after the epoch, in order, in eval() mode; of validation_split, a
        share of the events that a permutation, drawn before the first epoch, leaves out of the training. `class_weight`
        multiplies the weights of the training events: {class: weight}, a list from class 0 on, or "balanced". `verbose` prints
        a line per epoch, or per `verbose` epochs.

        Instead of arrays X may make batches (X, y) or (X, y, sample_weight): a DataLoader or another iterable that starts anew
        for each epoch, a function that makes an iterator, or an iterator, of which each epoch takes `steps_per_epoch`. A
        thread fetches `prefetch` of them ahead. A loader that draws from a generator of its own is held in checkpoints as if it
        were given as `generator`.

        `callbacks` are called between epochs (`trigrad.train.Callback`). `resume` goes on from a checkpoint up to `epochs` in all:
        with the same trainer, data and options the result has the bits of a training that was not interrupted.

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
        if isinstance(callbacks, Callback):
            raise TypeError(f"[fit] callbacks is a {type(callbacks).__name__}, expected a list of callbacks")
        every = int(verbose)
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"[fit] a callback is a {type(callback).__name__}, expected one derived from train.Callback"
                )
        data = self._training_data(X, y, batch_size, sample_weight, class_weight, prefetch, steps_per_epoch)
        if isinstance(data, Stream) and (drawn := generator_of(X)) is not None:
            if generator is not None and generator is not drawn:
                raise ValueError(
                    "[fit] the loader draws from a generator of its own, expected no other one; leave generator= out"
                )
            generator = drawn  # which checkpoints hold
        held = self._held_data(validation_data, batch_size)
        if not 0 <= validation_split < 1 or (validation_split and (held is not None or not isinstance(data, Data))):
            raise ValueError(
                f"[fit] validation_split is {validation_split}, expected a share from 0 to 1 of events in memory, without "
                "validation_data"
            )
        if isinstance(data, Data) and validation_split and not 0 < round(data.n * validation_split) < data.n:
            raise ValueError(
                f"[fit] validation_split is {validation_split}, which leaves all {data.n} events to one side"
            )
        if isinstance(data, Stream) and self._metrics and held is None:
            raise ValueError(
                "[fit] metrics are found on validation_data where X makes batches, which are gone when they are used"
            )
        self._callbacks = list(callbacks)
        if resume is not None:
            self.load_checkpoint(resume)
        if self._pending is not None:
            checkpoint.restore_callbacks(self._callbacks, self._pending)
        else:
            self.history, self._running = History(), checkpoint.Running()
        data, held = self._split(data, held, validation_split, shuffle, generator)
        self._pending = None
        self.epochs = epochs if resume is not None else self._running.position.epoch + epochs
        try:
            self._fit(data, held, shuffle, generator, every)
        finally:
            self._source, self._between = None, True
            for callback in self._callbacks:
                callback.close()
        return self.history

    def _fit(self, data: Source, held: Source | None, shuffle: bool, generator: Generator | None, every: int) -> None:
        """Epochs, from where the trainer stands."""
        now, history = self._running, self.history
        self._source, self._stopped, self._between = data, False, True
        with self._modes(training=True):
            self._tell("on_fit_begin")
            while not self._is_over():
                start = time.perf_counter()
                self._between = False
                epoch = self.epoch
                numbers: dict[str, float] = {}
                self._tell("on_epoch_begin")
                if self._scheduler is not None or self._step_scheduler is not None:
                    if not now.position.batch or now.position.lr is None:
                        now.position.lr = real(self._optimizer.param_groups[0]["lr"])
                    numbers["lr"] = now.position.lr
                numbers["loss"] = self._epoch_of(data, shuffle, generator)
                now.is_torn = True  # neither in this epoch any more, nor at its end
                if held is not None:
                    numbers["val_loss"] = self._judged(held)
                if self._metrics:
                    numbers |= self._measured(data, "") if held is None else self._measured(held, "val_")
                self._tell("on_epoch_end", numbers)
                history.append(**numbers)
                if isinstance(self._scheduler, ReduceLROnPlateau):
                    self._scheduler.step(numbers.get("val_loss", numbers["loss"]))
                elif self._scheduler is not None:
                    self._scheduler.step()
                now.position = checkpoint.Position(epoch, split=now.position.split)
                self._between, now.is_torn = True, False
                self._tell("on_epoch_complete")
                if every and (epoch % every == 0 or self._is_over()):
                    words = "".join(f"  {name} {x:.5f}" for name, x in numbers.items() if name != "lr")
                    width = len(str(self.epochs))
                    print(
                        f"epoch {epoch:{width}}/{self.epochs}{words}  {time.perf_counter() - start:.3f} s", flush=True
                    )
            self._tell("on_fit_end")

    def _is_over(self) -> bool:
        return self._stopped or self._running.position.epoch >= self.epochs

    def _tell(self, what: str, *more: Any) -> None:
        for callback in self._callbacks:
            try:
                getattr(callback, what)(self, *more)
            except Exception as error:
                error.add_note(f"[Trainer] in {type(callback).__name__}.{what} of epoch {self.epoch}")
                raise

    # ---- what is learned from the data

    def evaluate(self, X: Any, y: Any = None, *, batch_size: int = 1024, sample_weight: Any = None) -> float:
        """The loss on these events, in eval() mode: the mean over batches, each counted with the number of its rows.

        >>> import trigrad as tg
        >>> model = tg.nn.Linear(1, 1)
        >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
        >>> X = tg.arange(4.0).reshape(4, 1)
        >>> trainer.evaluate(X, model(X)), trainer.evaluate(X, model(X) + 1)
        (0.0, 1.0)
        """
        return self._judged(self._any_data("evaluate", X, y, sample_weight, batch_size))

    def measure(self, X: Any, y: Any = None, *, batch_size: int = 1024, sample_weight: Any = None) -> dict[str, float]:
        """The loss and the metrics on these events, in eval() mode.

        >>> import trigrad as tg
        >>> model = tg.nn.Linear(2, 2)
        >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
        >>> trainer = tg.Trainer(model, tg.nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
        >>> X = tg.randn(10, 2)
        >>> trainer.measure(X, model(X).argmax(1))["accuracy"]
        1.0
        """
        data = self._any_data("measure", X, y, sample_weight, batch_size)
        return {"loss": self._judged(data)} | self._measured(data, "")

    def predict(self, X: Any, *, batch_size: int = 1024) -> Tensor:
        """What the model gives out for the events X (N, ...), or those of the batches (X, y) of a loader, in eval() mode.

        >>> import trigrad as tg
        >>> model = tg.nn.Linear(3, 2)
        >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
        >>> trainer.predict(tg.ones(5, 3)).shape
        trigrad.Size([5, 2])
        """
        if is_stream(X):
            return self._outputs(Stream("predict", X, None, 0))[0]
        first = X[0] if isinstance(X, tuple) and X else X
        n = len(first) if hasattr(first, "__len__") else 0
        tables, n_inputs = tables_of("predict", X, _core.empty((n,), _core.float32), None)
        return self._outputs(Data(tables, n_inputs, whole("predict", "batch_size", batch_size), device=self._device()))[
            0
        ]

    def _training_data(
        self,
        X: Any,
        y: Any,
        batch_size: int | None,
        sample_weight: Any,
        class_weight: Any,
        prefetch: int,
        steps: int | None,
    ) -> Source:
        if y is None and is_stream(X):
            if batch_size is not None or sample_weight is not None:
                raise ValueError(
                    "[fit] batch_size and sample_weight belong to arrays; batches have their size and weights"
                )
            ahead = 0 if prefetch == 0 else whole("fit", "prefetch", prefetch)
            steps = None if steps is None else whole("fit", "steps_per_epoch", steps)
            return Stream("fit", X, steps, ahead, class_weight)
        if steps is not None:
            raise ValueError("[fit] steps_per_epoch belongs to iterators, but X holds the events")
        if class_weight is not None:
            tables, n_inputs = tables_of("fit", X, y, sample_weight)
            given = tables[-1] if sample_weight is not None else None
            dtype = next((t.dtype for t in (given, *tables) if t is not None and t.is_floating_point()), _core.float32)
            of_class = class_weights(tables[n_inputs], class_weight, dtype)
            sample_weight = of_class if given is None else given.cpu() * of_class
        return self._data("fit", X, y, sample_weight, batch_size)

    def _held_data(self, validation_data: Any, batch_size: int | None) -> Source | None:
        if validation_data is None:
            return None
        if is_stream(validation_data):
            return Stream("fit", validation_data, None, 0)
        inputs, targets, weights = held_out(validation_data)
        return self._data("fit", inputs, targets, weights, 1024 if batch_size is None else batch_size)

    def _any_data(self, what: str, X: Any, y: Any, sample_weight: Any, batch_size: int) -> Source:
        return (
            Stream(what, X, None, 0)
            if y is None and is_stream(X)
            else self._data(what, X, y, sample_weight, batch_size)
        )

    def _data(self, what: str, X: Any, y: Any, sample_weight: Any, batch_size: int | None) -> Data:
        tables, n_inputs = tables_of(what, X, y, sample_weight)
        data = Data(tables, n_inputs, whole(what, "batch_size", batch_size), device=self._device())
        self._check_weights(what, data.weighted)
        return data

    def _split(
        self, data: Source, held: Source | None, share: float, shuffle: bool, generator: Generator | None
    ) -> tuple[Source, Source | None]:
        """The events to learn from and those to validate on; the generators are then where the training goes on."""
        now = self._running
        position = now.position
        drawn = generator or default_generator
        if position.default is not None:  # it goes on
            if (position.generator is None) != (generator is None):
                raise ValueError(
                    f"[fit] the checkpoint was written {'without' if generator else 'with'} a generator of its own, expected "
                    f"{'no' if generator else 'a'} generator="
                )
            here = position.default if position.generator is None else position.generator
            if now.facts.share != share:
                raise ValueError(
                    f"[fit] the checkpoint was written with validation_split={now.facts.share}, expected that, not {share}"
                )
            if position.split is not None:
                drawn.set_state(position.split)
        else:
            here = None
            position.split = drawn.get_state() if share else None
        if share and isinstance(data, Data):
            order, cut = randperm(data.n, generator=generator), round(data.n * share)
            parts = (sort(order[:cut]).values, sort(order[cut:]).values)
            held = Data(data.tables, data.n_inputs, data.batch_size, parts[0])
            data = Data(data.tables, data.n_inputs, data.batch_size, parts[1])
        if here is not None and position.default is not None:
            drawn.set_state(here)
            default_generator.set_state(position.default)
        now.generator = generator
        self._check_same_data(data, shuffle, share)
        return data, held

    def _check_same_data(self, data: Source, shuffle: bool, share: float) -> None:
        facts, position = self._running.facts, self._running.position
        rows, size = (data.n, data.batch_size) if isinstance(data, Data) else (None, None)
        if position.batch and (facts.batch_size, facts.shuffle) != (size, shuffle):
            raise ValueError(
                f"[fit] the checkpoint is of the middle of an epoch with batch_size={facts.batch_size}, shuffle={facts.shuffle}, "
                f"expected the same, but got {size} and {shuffle}"
            )
        if position.default is not None and (
            facts.rows != rows or (facts.hash is not None and facts.hash != self._hash(data))
        ):
            raise ValueError(
                f"[fit] these are not the events of the checkpoint: {facts.rows} of them, hash {facts.hash}"
            )
        self._running.facts = checkpoint.Facts(rows, size, shuffle, share, facts.hash)

    def _hash(self, data: Source) -> str | None:
        return fingerprint(*data.tables) if isinstance(data, Data) else None

    def remember_data(self) -> None:
        """Have checkpoints hold the hash of the data of this fit, so that going on with others is refused."""
        if self._source is not None and self._running.facts.hash is None:
            self._running.facts.hash = self._hash(self._source)

    # ---- checkpoints

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write all that the training needs to go on with the same bits: weights, buffers, states of optimizer, schedules and
        callbacks, random generators, history, and the place in the data. The file is whole at any time: a crash leaves the one
        that was there before.

        >>> import trigrad as tg, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
        >>> model = tg.nn.Linear(2, 1)
        >>> trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.Adam(model.parameters()))
        >>> X = tg.ones(8, 2); y = X[:, :1]
        >>> _ = trainer.fit(X, y, epochs=2, batch_size=4); trainer.save_checkpoint(path)
        >>> _ = trainer.fit(X, y, epochs=3, batch_size=4); after = model.weight.detach().clone()
        >>> trainer.load_checkpoint(path); trainer.epoch
        2
        >>> len(trainer.fit(X, y, epochs=3, batch_size=4)["loss"]), tg.equal(model.weight, after)
        (5, True)
        """
        if self._running.is_torn:
            raise RuntimeError(
                "[save_checkpoint] the training stands in the middle of a step, or between the last one of an epoch and its end, and "
                "could not go on from there with the same bits; save in on_batch_end or on_epoch_complete. tg.save(model, path) "
                "keeps the weights"
            )
        said = {"epochs": self._running.position.epoch, "data": self._running.facts.hash}
        save_file(checkpoint.gather(self), path, provenance=said)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Go back to where a checkpoint was written: the next fit goes on from there, for as many epochs as it is told. The
        trainer is to be made as that one was. If something does not fit, nothing has changed."""
        state = load_file(path)
        checkpoint.check(self, state)
        checkpoint.restore(self, state)
