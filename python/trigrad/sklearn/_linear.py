"""Linear classifiers with scikit-learn's parameters: logistic regression and the perceptron."""

from __future__ import annotations

import math
import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from trigrad import _core, ops
from trigrad._core import Tensor, from_numpy
from trigrad.sklearn._checks import at_least, choice, device_of, fraction
from trigrad.sklearn._training import Training, forward, owned

__all__ = ["LogisticRegression", "Perceptron"]

Array: TypeAlias = NDArray[Any]
EPOCH = 24  # steps of the perceptron


class _LinearClassifier(ClassifierMixin, BaseEstimator):
    """Scores X coef_ᵀ + intercept_: one column for two classes, one per class for more."""

    classes_: Array
    coef_: Array  # (1 or classes, features)
    intercept_: Array

    def decision_function(self, X: Any) -> Array:
        """Scores (n,) of the second class, or (n, classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        made = forward(np.asarray(X, self.coef_.dtype), [self.coef_.T], [self.intercept_], "identity", device_of(self))
        return made.ravel() if made.shape[1] == 1 else made

    def predict(self, X: Any) -> Array:
        """The class of the highest score (n,)."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)
        found: Array = self.classes_[places]
        return found

    def _taken(self, X: Any, y: Any, reset: bool = True) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), order="C", reset=reset)
        check_classification_targets(y)
        return X, y

    def _weights(self, y: Array, places: Array, given: Any, X: Array, class_weight: Any) -> Array:
        """One per event, relative to their mean; and that times the number of events is their sum."""
        weight = _check_sample_weight(given, X, dtype=X.dtype)
        if class_weight is not None:
            of_class = compute_class_weight(
                class_weight, classes=self.classes_, y=y, sample_weight=weight if given is not None else None
            )
            weight = weight * of_class.astype(X.dtype)[places]
        if not weight.sum(dtype=np.float64) > 0:
            raise ValueError(f"sample_weight adds up to {weight.sum(dtype=np.float64):g}, expected more than 0")
        return np.asarray(weight)


class LogisticRegression(_LinearClassifier):
    """C Σ weight · log loss + |coef|² / 2, minimised over all events: parameters, order, defaults and attributes are those of
    sklearn.linear_model.LogisticRegression. Several classes share a softmax.

    X (n, features), y (n,). `device` as in `MLPClassifier`.

    >>> import trigrad as tg
    >>> from trigrad.sklearn import LogisticRegression
    >>> points = tg.data.red_blue(2000, distance=2.0)
    >>> model = LogisticRegression().fit(points.X, points.y)
    >>> model.coef_.shape, bool(abs(model.score(points.X, points.y) - 0.841) < 0.03)
    ((1, 2), True)

    There is one minimum, so `solver` names no way but what may be asked for: "lbfgs", "newton-cg", "newton-cholesky" and "sag" take
    l1_ratio=0 alone, "saga" any, which goes by proximal steps. "liblinear" and dual=True are not here, nor is
    intercept_scaling, which only they have. `n_jobs` changes nothing; threads are trigrad's. With negative weights there may be
    no minimum: then max_iter ends it, with a warning.
    """

    def __init__(
        self,
        penalty: Any = "deprecated",
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        dual: bool = False,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
        device: Any = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.device = device

    def _strengths(self) -> tuple[float, float]:
        """Of |coef|² / 2 and of |coef|, in units where the losses are summed."""
        choice(self, solver=("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"))
        choice(self, penalty=("deprecated", "l1", "l2", "elasticnet", None))
        at_least(self, 0, "C", above=True)
        at_least(self, 0, "tol")
        at_least(self, 1, "max_iter", whole=True)
        fraction(self, "l1_ratio", top=True)
        if self.dual:
            raise ValueError("dual=True is liblinear's alone, which is not here; use dual=False")
        ratio = {"l1": 1.0, "l2": 0.0}.get(self.penalty, float(self.l1_ratio))
        strength = 0.0 if self.penalty is None else 1.0 / self.C
        if strength and ratio and self.solver != "saga":
            raise ValueError(
                f"Solver {self.solver} supports only l1_ratio=0, got l1_ratio={ratio:g}; use solver='saga'"
            )
        return strength * (1 - ratio), strength * ratio

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogisticRegression:
        """Learn from events X (n, features) of classes y (n,)."""
        squares, absolutes = self._strengths()
        device = device_of(self)
        X, y = self._taken(X, y)
        self.classes_, places = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(
                f"This solver needs samples of at least 2 classes in the data, but the data contains only one class: {self.classes_[0]!r}"
            )
        weight = self._weights(y, places, sample_weight, X, self.class_weight)
        total = float(weight.sum(dtype=np.float64))
        outputs = 1 if k == 2 else k
        shape = X.shape[1], outputs
        if self.warm_start and getattr(self, "coef_", np.empty(0)).shape == shape[::-1]:
            coef, intercept = owned(self.coef_.T.astype(X.dtype)), self.intercept_.astype(X.dtype)
        else:
            coef, intercept = owned(np.zeros(shape, X.dtype)), np.zeros(outputs, X.dtype)
        relative = weight * X.dtype.type(len(X) / total)
        targets = places.astype(np.int64) if k > 2 else places.reshape(-1, 1).astype(X.dtype)
        even = bool((relative == 1).all())
        tables = tuple(
            from_numpy(np.require(a, requirements=["C", "W", "A"])).to(device)
            for a in (X, targets, *([] if even else [relative]))
        )
        options = {
            "max_iter": self.max_iter,
            "max_eval": 15000,
            "tolerance_grad": self.tol,
            "tolerance_change": 0.0,
            "history_size": 10,
            "line_search_fn": "strong_wolfe",
        }
        loss = "logistic" if k == 2 else "softmax"
        training = Training([coef], [intercept], "identity", loss, "lbfgs", options, device)
        if not self.fit_intercept:
            training.without_biases()
        if absolutes:
            steps = training.minimize_with_corners(tables, squares / total, absolutes / total, self.max_iter, self.tol)
        else:
            training.minimize(tables, squares / total)
            steps = training.steps
        self.n_iter_ = np.array([steps], dtype=np.int32)
        if steps >= self.max_iter:
            warnings.warn(
                f"{self.solver} failed to converge after {steps} iteration(s): increase max_iter, or scale the data",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.coef_, self.intercept_ = np.ascontiguousarray(coef.T), intercept
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, classes), in the order of `classes_`."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            second = ops.sigmoid(from_numpy(scores)).numpy()
            return np.stack([1 - second, second], axis=1)
        return ops.softmax(from_numpy(scores), 1).numpy()

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms (n, classes)."""
        with np.errstate(divide="ignore"):
            made: Array = np.log(self.predict_proba(X))
        return made


class Perceptron(_LinearClassifier):
    """Rosenblatt's rule for the whole sample at once: each step adds to coef_ the mean of y x (times eta0) over the events that are
    answered wrongly, with y = ±1, each class against all others. An epoch is 24 steps. It ends when no answer is wrong, or when
    the fewest wrong answers so far have not become fewer by `tol` (a share) for `n_iter_no_change` epochs; kept is what had the
    fewest. Events are seen from their mean, and the intercept's input is not 1 but their length (root mean square), so that it
    keeps up with large features.

    Parameters, order, defaults and attributes are those of sklearn.linear_model.Perceptron, which takes the events one after the other
    instead. Here their order does not matter, so `shuffle` changes nothing, `random_state` only what is held out for
    early_stopping, and an event of weight 2 counts as two events. `device` as in `MLPClassifier`.
    X (n, features), y (n,).

    >>> from trigrad.sklearn import Perceptron
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> model = Perceptron().fit(X, y)
    >>> model.predict(X)
    array([0, 0, 0, 1])
    """

    def __init__(
        self,
        *,
        penalty: str | None = None,
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        eta0: float = 1.0,
        n_jobs: int | None = None,
        random_state: Any = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        device: Any = None,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.eta0 = eta0
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.device = device

    def _check(self) -> None:
        device_of(self)
        choice(self, penalty=("l1", "l2", "elasticnet", None))
        at_least(self, 0, "alpha")
        at_least(self, 0, "eta0", above=True)
        at_least(self, 1, "max_iter", "n_iter_no_change", whole=True)
        if self.tol is not None:
            at_least(self, 0, "tol")
        fraction(self, "l1_ratio", top=True)
        fraction(self, "validation_fraction")

    def fit(
        self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None
    ) -> Perceptron:
        """Learn from events X (n, features) of classes y (n,)."""
        self._check()
        X, y = self._taken(X, y)
        goes_on = self.warm_start and hasattr(self, "coef_")
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(self.classes_)} class")
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        shape = outputs, X.shape[1]
        coef = np.zeros(shape, X.dtype)
        intercept = np.zeros(outputs, X.dtype)
        if goes_on and self.coef_.shape == shape:
            coef, intercept = self.coef_.astype(X.dtype), self.intercept_.astype(X.dtype)
        if coef_init is not None:
            coef = np.array(coef_init, X.dtype).reshape(shape)
        if intercept_init is not None:
            intercept = np.array(intercept_init, X.dtype).reshape(outputs)
        self.t_ = 1.0
        self._learn(X, y, coef, intercept, sample_weight, self.max_iter)
        if self.n_iter_ == self.max_iter and self.tol is not None and not self._settled:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the fit.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Perceptron:
        """One epoch more on these events; the first call has to say all `classes` that there are."""
        self._check()
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if not first and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        X, y = self._taken(X, y, reset=first)
        if first:
            self.classes_ = np.unique(classes)
            outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
            self.coef_, self.intercept_, self.t_ = (
                np.zeros((outputs, X.shape[1]), X.dtype),
                np.zeros(outputs, X.dtype),
                1.0,
            )
        if len(strange := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"`y` has classes not in `classes`: {strange}")
        self._learn(X, y, self.coef_.astype(X.dtype), self.intercept_.astype(X.dtype), sample_weight, 1)
        return self

    def _learn(self, X: Array, y: Array, coef: Array, intercept: Array, sample_weight: Any, epochs: int) -> None:
        places = np.searchsorted(self.classes_, y)
        weight = self._weights(y, places, sample_weight, X, self.class_weight)
        held: tuple[Array, Array, Array] | None = None
        if self.early_stopping:
            X, X_held, y, y_held, weight, weight_held, places, _ = train_test_split(
                *(X, y, weight, places),
                test_size=self.validation_fraction,
                stratify=y,
                random_state=check_random_state(self.random_state),
            )
            held = X_held, y_held, weight_held
        outputs = len(intercept)
        signs = np.where(places[:, None] == (np.arange(outputs) if outputs > 1 else 1), 1.0, -1.0).astype(X.dtype)
        share = (weight / weight.sum(dtype=np.float64)).astype(X.dtype)
        device = device_of(self)
        target, count, w, b = (from_numpy(np.array(a)).to(device) for a in (signs, share, coef, intercept))
        # Events are seen from their middle, and the intercept's input is as long as they are.
        x = from_numpy(np.array(X)).to(device)
        middle = ops.matmul(count, x) if self.fit_intercept else ops.mul(x[0], 0.0)
        x, b = ops.sub(x, middle), ops.add(b, ops.matmul(w, middle))
        sizes, answers = ops.abs(count), from_numpy(places.astype(np.int64)).to(device)
        reach = float(ops.matmul(sizes, ops.sum(ops.square(x), [1]))) / float(ops.sum(sizes)) * float(self.eta0)
        pull = ops.mul(target, count.reshape(-1, 1))  # what each event may add
        importance = count.reshape(-1, 1).to(_core.float64)
        fewest, before, kept, stuck, steps = math.inf, math.inf, (w, b), 0, 0
        self._settled = False
        while True:
            raw = ops.dense(x, w, b)
            wrong = ops.le(ops.mul(target, raw), 0.0)
            over = not bool(ops.any(wrong))
            if held is None:
                failed = wrong if outputs == 1 else ops.ne(ops.argmax(raw, 1), answers).reshape(-1, 1)
                missed = float(ops.sum(ops.mul(failed.to(_core.float64), importance)))
            elif over or steps % EPOCH == 0:
                missed = 1 - self._score_of(w, ops.sub(b, ops.matmul(w, middle)), *held)
            if missed < fewest or epochs == 1:  # a partial fit goes on from where it is
                fewest, kept = missed, (w, b)
            if steps % EPOCH == 0:
                if self.verbose:
                    print(f"-- Epoch {steps // EPOCH}: {100 * fewest:.3f} % wrong")
                if self.tol is not None and steps:
                    stuck = stuck + 1 if fewest > before - self.tol else 0
                before = fewest
            self._settled = over or stuck >= self.n_iter_no_change
            if self._settled or steps == epochs * EPOCH:
                break
            add = ops.where(wrong, pull, 0.0)
            w = self._shrunk(ops.add(w, ops.mul(ops.matmul(add.t(), x), float(self.eta0))))
            if self.fit_intercept:
                b = ops.add(b, ops.mul(ops.sum(add, [0]), reach))
            steps += 1
        self.n_iter_ = max(-(-steps // EPOCH), 1)
        self.t_ += len(X) * steps
        w, b = kept
        b = ops.sub(b, ops.matmul(w, middle))
        self.coef_, self.intercept_ = np.array(w.cpu().numpy()), np.array(b.cpu().numpy())
        if not (np.isfinite(self.coef_).all() and np.isfinite(self.intercept_).all()):
            raise ValueError("The weights are no longer finite numbers. Scale the data, or use a smaller eta0.")

    def _shrunk(self, w: Tensor) -> Tensor:
        """After the penalty's step: towards 0 by a share of itself, and by a constant."""
        if self.penalty is None:
            return w
        ratio = {"l1": 1.0, "l2": 0.0}.get(self.penalty, float(self.l1_ratio))
        step = float(self.eta0) * float(self.alpha)
        w = ops.mul(w, max(1 - step * (1 - ratio), 0.0))
        return ops.mul(ops.sign(w), ops.maximum(ops.sub(ops.abs(w), step * ratio), 0.0)) if ratio else w

    def _score_of(self, w: Tensor, b: Tensor, X: Array, y: Array, weight: Array) -> float:
        scores = ops.dense(from_numpy(np.array(X)).to(w.device), w, b).cpu().numpy()
        found = self.classes_[(scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)]
        return float(np.average(found == y, weights=weight))
