"""What classifiers and regressions of layers share: parameters, fitting, going on."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from trigrad._core import Tensor, from_numpy
from trigrad.sklearn._checks import at_least, choice, device_of, fraction
from trigrad.sklearn._training import ACTIVATIONS, Training, forward, owned

__all__ = ["MLP", "steps_come_in_batches"]

Array: TypeAlias = NDArray[Any]


def steps_come_in_batches(model: Any) -> bool:
    if model.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for the solvers sgd and adam, lbfgs takes all events at once"
        )
    return True


class MLP(BaseEstimator):
    """What classifier and regressor share."""

    coefs_: list[Array]
    intercepts_: list[Array]
    out_activation_: str

    def __init__(
        self,
        hidden_layer_sizes: Any,
        activation: str,
        solver: str,
        alpha: float,
        batch_size: Any,
        learning_rate: str,
        learning_rate_init: float,
        power_t: float,
        max_iter: int,
        loss: str,
        shuffle: bool,
        random_state: Any,
        tol: float,
        verbose: bool,
        warm_start: bool,
        momentum: float,
        nesterovs_momentum: bool,
        early_stopping: bool,
        validation_fraction: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        n_iter_no_change: int,
        max_fun: int,
        device: Any,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.loss = loss
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.device = device

    # ---- what the two kinds do each in their way

    def _targets(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Array, Array]:
        """X (n, features) and y (n, outputs), checked."""
        raise NotImplementedError

    def _loss_name(self) -> str:
        raise NotImplementedError

    def _judge(self, X: Array, y: Array, weight: Array | None) -> float:
        """The score of a validation sample."""
        raise NotImplementedError

    # ---- fitting

    def _check(self) -> list[int]:
        """The parameters; the sizes of the hidden layers."""
        device_of(self)
        choice(self, activation=tuple(ACTIVATIONS), solver=("lbfgs", "sgd", "adam"))
        choice(self, learning_rate=("constant", "invscaling", "adaptive"))
        at_least(self, 0, "alpha", "power_t", "tol")
        at_least(self, 1, "max_iter", "max_fun", whole=True)
        at_least(self, 0, "learning_rate_init", "epsilon", above=True)
        fraction(self, "momentum", top=True)
        fraction(self, "validation_fraction", "beta_1", "beta_2")
        if self.n_iter_no_change != np.inf:
            at_least(self, 1, "n_iter_no_change", whole=True)
        if not isinstance(self.batch_size, str) or self.batch_size != "auto":
            at_least(self, 1, "batch_size", whole=True)
        given = self.hidden_layer_sizes
        sizes = list(given) if hasattr(given, "__iter__") and not isinstance(given, str) else [given]
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, (Integral, np.integer)) or size <= 0:
                raise ValueError(f"hidden_layer_sizes must be > 0, got {given!r}; expected whole numbers")
        return [int(size) for size in sizes]

    def _start(self, sizes: Sequence[int], dtype: Any, chance: np.random.RandomState) -> None:
        """Glorot's uniform numbers, drawn as scikit-learn draws them."""
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(sizes)
        self.coefs_, self.intercepts_ = [], []
        for fan_in, fan_out in itertools.pairwise(sizes):
            bound = np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (fan_in + fan_out))
            coef = chance.uniform(-bound, bound, (fan_in, fan_out))
            intercept = chance.uniform(-bound, bound, fan_out)
            self.coefs_.append(owned(coef.astype(dtype)))
            self.intercepts_.append(intercept.astype(dtype))
        self._best: tuple[list[Array], list[Array]] | None = None
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            self._without_progress = 0
            self.best_loss_: float | None = None if self.early_stopping else np.inf
            self.validation_scores_: list[float] | None = [] if self.early_stopping else None
            self.best_validation_score_: float | None = -np.inf if self.early_stopping else None

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        hidden = self._check()
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._targets(X, y, incremental, reset=first)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
        mean_weight = 1.0
        if weight is not None:
            mean_weight = float(weight.mean(dtype=np.float64))
            if not mean_weight > 0:
                raise ValueError(f"sample_weight adds up to {mean_weight * len(weight):g}, expected more than 0")
            weight = weight / weight.dtype.type(mean_weight)
        self.n_outputs_ = y.shape[1]
        sizes = [X.shape[1], *hidden, self.n_outputs_]
        chance = check_random_state(self.random_state)
        if first:
            self._start(sizes, X.dtype, chance)
        elif [c.shape for c in self.coefs_] != list(itertools.pairwise(sizes)):
            raise ValueError(
                f"hidden_layer_sizes is {self.hidden_layer_sizes!r}, but the model that goes on learning has layers of "
                f"{[c.shape[1] for c in self.coefs_[:-1]]}"
            )
        else:
            self.coefs_ = [owned(c) for c in self.coefs_]  # a copy of the model keeps what it learned
            self.intercepts_ = [np.array(b) for b in self.intercepts_]
        if self.solver == "lbfgs":
            self._minimize(X, y, weight, mean_weight)
        else:
            self._descend(X, y, weight, mean_weight, chance, incremental)
        if not np.isfinite(self.loss_) or not all(
            np.isfinite(values).all() for values in (*self.coefs_, *self.intercepts_)
        ):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        return self

    def _tables(self, X: Array, y: Array, weight: Array | None) -> tuple[Tensor, ...]:
        """X, targets as the loss wants them, weights."""
        if self._loss_name() == "softmax":
            y = y.argmax(axis=1).astype(np.int64)
        arrays = [X, y if y.dtype == np.int64 else y.astype(X.dtype, copy=False)]
        return tuple(
            from_numpy(np.require(a, requirements=["C", "W", "A"])).to(device_of(self))
            for a in (*arrays, *([] if weight is None else [weight]))
        )

    def _minimize(self, X: Array, y: Array, weight: Array | None, mean_weight: float) -> None:
        options = {
            "max_iter": self.max_iter,
            "max_eval": self.max_fun,
            "tolerance_grad": self.tol,
            "history_size": 10,
            "line_search_fn": "strong_wolfe",
        }
        training = Training(
            self.coefs_, self.intercepts_, self.activation, self._loss_name(), "lbfgs", options, device_of(self)
        )
        self.loss_ = training.minimize(self._tables(X, y, weight), self.alpha / (len(X) * mean_weight))
        self.n_iter_ = training.steps
        if self.n_iter_ >= self.max_iter:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s): increase max_iter, or scale the data",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _optimizer(self) -> Training:
        if self.solver == "adam":
            options: dict[str, Any] = {
                "lr": self.learning_rate_init,
                "betas": (self.beta_1, self.beta_2),
                "eps": self.epsilon,
            }
        else:
            options = {
                "lr": self.learning_rate_init,
                "momentum": self.momentum,
                "nesterov": bool(self.nesterovs_momentum and self.momentum > 0),
            }
        return Training(
            self.coefs_, self.intercepts_, self.activation, self._loss_name(), self.solver, options, device_of(self)
        )

    def _descend(
        self,
        X: Array,
        y: Array,
        weight: Array | None,
        mean_weight: float,
        chance: np.random.RandomState,
        incremental: bool,
    ) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        training = self._optimizer()
        kept = getattr(self, "_memory", None)
        if incremental and kept is not None and kept["solver"] == self.solver:
            training.restore(kept["state"])
            for group in training.optimizer.param_groups:
                group["lr"] = kept["lr"]
        X_held = y_held = weight_held = None
        if self.early_stopping:
            apart = train_test_split(
                *(X, y, *([] if weight is None else [weight])),
                random_state=chance,
                test_size=self.validation_fraction,
                stratify=y if isinstance(self, ClassifierMixin) and self.n_outputs_ == 1 else None,
            )
            X, X_held, y, y_held = apart[:4]
            if weight is not None:
                weight, weight_held = apart[4:]
            if len(X_held) < 2:
                raise ValueError(
                    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
                )
        n = len(X)
        if self.batch_size == "auto":
            batch = min(200, n)
        else:
            if self.batch_size > n:
                warnings.warn("Got `batch_size` larger than sample size. It is going to be clipped", stacklevel=4)
            batch = min(int(self.batch_size), n)
        tables = self._tables(X, y, weight)
        alpha = self.alpha / mean_weight
        per_row = (
            1.0 / self.n_outputs_ if self._loss_name() == "squared_error" else 1.0
        )  # as scikit-learn writes the loss
        order = np.arange(n)
        batches = -(-n // batch)
        self.n_iter_ = 0
        try:
            for _ in range(self.max_iter):
                if self.shuffle:
                    places = np.arange(n)
                    chance.shuffle(places)
                    order = order[places]
                value = training.epoch(tables, from_numpy(order) if self.shuffle else None, batch, alpha) * per_row
                penalty = sum(float(np.vdot(c, c)) for c in self.coefs_) if alpha else 0.0
                self.loss_ = value + 0.5 * alpha * penalty * batches / n
                self.n_iter_ += 1
                self.t_ += n
                self.loss_curve_.append(self.loss_)
                if not np.isfinite(self.loss_):
                    break
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
                self._progress(X_held, y_held, weight_held)
                if self.solver == "sgd" and self.learning_rate == "invscaling":
                    training.set_rate(float(self.learning_rate_init) / (self.t_ + 1) ** self.power_t)
                if self._without_progress > self.n_iter_no_change and self._stops(training):
                    break
                if incremental:
                    break
                if self.n_iter_ == self.max_iter:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                        "converged yet.",
                        ConvergenceWarning,
                        stacklevel=4,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        if self.early_stopping and self._best is not None:
            self.coefs_, self.intercepts_ = self._best
        rate = float(training.optimizer.param_groups[0]["lr"])
        self._memory = {"solver": self.solver, "state": training.state(), "lr": rate}

    def _stops(self, training: Training) -> bool:
        """Is it over, or does it go on with a smaller learning rate?"""
        rate = training.optimizer.param_groups[0]["lr"]
        adaptive = self.solver == "sgd" and self.learning_rate == "adaptive" and rate > 1e-6
        if self.verbose:
            what = "Validation score" if self.early_stopping else "Training loss"
            then = f"Setting learning rate to {rate / 5:f}" if adaptive else "Stopping."
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs. {then}"
            )
        if adaptive:
            training.set_rate(rate / 5)
            self._without_progress = 0
        return not adaptive

    def _progress(self, X: Array | None, y: Array | None, weight: Array | None) -> None:
        if X is None or y is None:
            assert self.best_loss_ is not None
            slow = self.loss_ > self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
        else:
            assert self.validation_scores_ is not None
            assert self.best_validation_score_ is not None
            score = self._judge(X, y, weight)
            self.validation_scores_.append(score)
            if self.verbose:
                print(f"Validation score: {score:f}")
            slow = score < self.best_validation_score_ + self.tol
            if score > self.best_validation_score_:
                self.best_validation_score_ = score
                self._best = [c.copy(order="K") for c in self.coefs_], [b.copy() for b in self.intercepts_]
        self._without_progress = self._without_progress + 1 if slow else 0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn from events X (n, features) and targets y (n,) or (n, outputs). Weights may be negative; their sum may not."""
        return self._fit(X, y, sample_weight, incremental=False)

    # ---- answers

    def _scores(self, X: Any, check: bool = True) -> Array:
        """What the last layer gives, (n, outputs)."""
        if check:
            check_is_fitted(self)
            X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        dtype = self.coefs_[0].dtype
        return forward(np.asarray(X, dtype), self.coefs_, self.intercepts_, self.activation, device_of(self))
