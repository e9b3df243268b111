"""Multi-layer perceptrons with scikit-learn's parameters."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from trigrad import ops
from trigrad._core import from_numpy
from trigrad.sklearn._base import MLP, steps_come_in_batches
from trigrad.sklearn._checks import choice

__all__ = ["MLPClassifier", "MLPRegressor"]

Array: TypeAlias = NDArray[Any]


class MLPClassifier(ClassifierMixin, MLP):
    """A classifier of layers of units, trained by Adam, SGD or L-BFGS on the log loss: parameters, order, defaults and attributes
    are those of sklearn.neural_network.MLPClassifier, which also draws the same first weights and the same order of events
    from a `random_state`.

    X (n, features), y (n,) classes or (n, labels) of 0 and 1. Float32 events are learned from in float32, others in float64.

    >>> import trigrad as tg
    >>> from trigrad.sklearn import MLPClassifier
    >>> train, test = tg.data.toy_showers(4000).split(0.75, 0.25)
    >>> scale = tg.data.Standardizer().fit(train)
    >>> model = MLPClassifier((32, 16), random_state=0, early_stopping=True)
    >>> model.fit(scale.transform(train.X), train.y).predict_proba(scale.transform(test.X)).shape
    (1000, 2)

    Weights are taken relative to their mean, so a batch counts for the sum of its weights, and negative ones are as good as any.

    `device` says where it computes: None is trigrad's default device (the CPU, unless `trigrad.set_default_device` says otherwise),
    "cuda" or "cuda:1" a GPU, which gives the same bits. Arrays are NumPy's in any case, and pickles hold nothing of a GPU.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        device: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            loss="log_loss",
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            device=device,
        )

    def _loss_name(self) -> str:
        return self.out_activation_

    def _targets(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, multi_output=True, dtype=(np.float64, np.float32), order="C", reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._labels = LabelBinarizer().fit(y)
            self.classes_ = self._labels.classes_
        else:
            found = unique_labels(y)
            if self.warm_start and not incremental:
                if set(found) != set(self.classes_):
                    raise ValueError(
                        "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                        f"got {self.classes_}, `y` has {found}"
                    )
            elif len(np.setdiff1d(found, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
                )
        self.out_activation_ = "softmax" if self._labels.y_type_ == "multiclass" else "logistic"
        return X, np.asarray(self._labels.transform(y)).astype(bool)

    def _judge(self, X: Array, y: Array, weight: Array | None) -> float:
        found = self._decided(self._scores(X, check=False))
        if not np.isfinite(found).all():
            return float("nan")
        return float(
            accuracy_score(
                self._labels.inverse_transform(y), self._labels.inverse_transform(found), sample_weight=weight
            )
        )

    def _decided(self, scores: Array) -> Array:
        """Probabilities (n, outputs) of scores; one output has one column."""
        made = from_numpy(scores)
        made = ops.softmax(made, 1) if self.out_activation_ == "softmax" else ops.sigmoid(made)
        return made.numpy()

    def predict(self, X: Any) -> Array:
        """The most probable classes (n,), or labels (n, labels)."""
        found = self._decided(self._scores(X))
        return np.asarray(self._labels.inverse_transform(found.ravel() if self.n_outputs_ == 1 else found))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, classes), in the order of `classes_`."""
        found = self._decided(self._scores(X))
        return np.concatenate([1 - found, found], axis=1) if self.n_outputs_ == 1 else found

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms (n, classes)."""
        with np.errstate(divide="ignore"):
            made: Array = np.log(self.predict_proba(X))
        return made

    @available_if(steps_come_in_batches)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """One epoch more on these events; the first call has to say all `classes` that there are."""
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._labels = LabelBinarizer().fit(y if type_of_target(y).startswith("multilabel") else classes)
            self.classes_ = (
                self._labels.classes_ if type_of_target(y).startswith("multilabel") else unique_labels(classes)
            )
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, incremental=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MLP):
    """A regression of layers of units, trained by Adam, SGD or L-BFGS on half the squared error or half the Poisson deviance
    (loss="poisson": y ≥ 0, the last layer gives the logarithm): as sklearn.neural_network.MLPRegressor.

    X (n, features), y (n,) or (n, outputs). `device` as in `MLPClassifier`.

    >>> import numpy as np
    >>> from trigrad.sklearn import MLPRegressor
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> model.predict([[2.0]]).round(3)
    array([7.])
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        device: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            loss=loss,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            device=device,
        )

    def _loss_name(self) -> str:
        return self.loss

    def _check(self) -> list[int]:
        choice(self, loss=("squared_error", "poisson"))
        return super()._check()

    def _targets(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            order="C",
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"y is {y[y < 0].ravel()[0]}, but loss='poisson' expects y >= 0")
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        return X, y.reshape(-1, 1) if y.ndim == 1 else y

    def _judge(self, X: Array, y: Array, weight: Array | None) -> float:
        found = self._answers(self._scores(X, check=False))
        return float(r2_score(y, found, sample_weight=weight)) if np.isfinite(found).all() else float("nan")

    def _answers(self, scores: Array) -> Array:
        return ops.exp(from_numpy(scores)).numpy() if self.loss == "poisson" else scores

    def predict(self, X: Any) -> Array:
        """(n,), or (n, outputs) of several."""
        found = self._answers(self._scores(X))
        return found.ravel() if found.shape[1] == 1 else found

    @available_if(steps_come_in_batches)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch more on these events."""
        return self._fit(X, y, sample_weight, incremental=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = False
        return tags
