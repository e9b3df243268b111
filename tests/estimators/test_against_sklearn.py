"""Fits beside scikit-learn's own estimators: the same steps, the same minimum, the same signature."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

neural = pytest.importorskip("sklearn.neural_network")
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_iris, make_classification, make_regression

import trigrad as tg
from trigrad import sklearn as ours

PAIRS = [
    (ours.MLPClassifier, neural.MLPClassifier),
    (ours.MLPRegressor, neural.MLPRegressor),
    (ours.LogisticRegression, linear_model.LogisticRegression),
    (ours.Perceptron, linear_model.Perceptron),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Most fits here stop before they have converged, and both say so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y


@pytest.mark.parametrize(("mine", "theirs"), PAIRS, ids=lambda c: c.__module__.partition(".")[0])
def test_parameters_order_and_defaults(mine: Any, theirs: Any) -> None:
    for method in ("__init__", "fit", "partial_fit"):
        if method != "partial_fit" or hasattr(theirs, method):
            mine_p = inspect.signature(getattr(mine, method)).parameters.values()
            theirs_p = inspect.signature(getattr(theirs, method)).parameters.values()
            found = [(p.name, p.default, p.kind) for p in mine_p]
            if method == "__init__":
                assert found.pop() == ("device", None, inspect.Parameter.KEYWORD_ONLY)  # ours alone
            assert found == [(p.name, p.default, p.kind) for p in theirs_p]


# ---- MLPs: step by step the same where the optimizer is (Adam's epsilon stands in another place)

STEPS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "plain": {"momentum": 0},
    "heavy ball": {"nesterovs_momentum": False},
    "in order": {"shuffle": False},
    "inverse scaling": {"learning_rate": "invscaling", "learning_rate_init": 0.3},
    "adaptive": {"learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 1e-2, "max_iter": 80},
    "tanh": {"activation": "tanh"},
    "logistic": {"activation": "logistic", "learning_rate_init": 0.5},
    "identity": {"activation": "identity"},
    "strong penalty, short last batch": {"alpha": 3.0, "batch_size": 64},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "one number": {"hidden_layer_sizes": 7},
    "early stopping": {"early_stopping": True, "max_iter": 40},
}


def follow(mine: Any, theirs: Any, X: Any, y: Any, tolerance: float = 1e-9, **options: Any) -> None:
    options = {"random_state": 3, "max_iter": 25} | options
    a, b = mine(**options).fit(X, y), theirs(**options).fit(X, y)
    assert a.n_iter_ == b.n_iter_
    assert a.t_ == b.t_
    assert a.out_activation_ == b.out_activation_
    for x, z in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert x.shape == z.shape
        np.testing.assert_allclose(x, z, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=0.03)
    if a.validation_scores_ is not None:
        np.testing.assert_allclose(a.validation_scores_, b.validation_scores_, rtol=1e-9)


@pytest.mark.parametrize("name", STEPS)
def test_sgd_takes_the_same_steps(name: str) -> None:
    options = {"solver": "sgd", "hidden_layer_sizes": (12, 5), "learning_rate_init": 0.05} | STEPS[name]
    follow(ours.MLPClassifier, neural.MLPClassifier, *iris(), **options)


def test_two_classes_and_labels() -> None:
    X, y = iris()
    options = {"solver": "sgd", "hidden_layer_sizes": (12,), "learning_rate_init": 0.05}
    follow(ours.MLPClassifier, neural.MLPClassifier, X, (y == 1).astype(int), **options)
    labels = np.stack([y == 0, X[:, 0] > 0], 1).astype(int)
    follow(ours.MLPClassifier, neural.MLPClassifier, X, labels, **options)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_regression_takes_the_same_steps(loss: str, outputs: int) -> None:
    X, y = make_regression(150, 6, n_targets=outputs, random_state=2)
    y = y / y.std()
    y = np.exp(0.5 * y) if loss == "poisson" else y
    options: dict[str, Any] = {"solver": "sgd", "loss": loss, "hidden_layer_sizes": (9,), "learning_rate_init": 0.01}
    a = ours.MLPRegressor(**options, random_state=1, max_iter=30).fit(X, y)
    b = neural.MLPRegressor(**options, random_state=1, max_iter=30).fit(X, y)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-9)
    assert a.predict(X).shape == y.shape
    if loss == "squared_error":
        np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=0.02)


def test_adam_goes_the_same_way() -> None:
    X, y = iris()
    a, b = (m.MLPClassifier((12, 5), random_state=0, epsilon=1e-12, max_iter=60).fit(X, y) for m in (ours, neural))
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-2)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_lbfgs_goes_as_deep(activation: str) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    options: dict[str, Any] = {"solver": "lbfgs", "activation": activation, "random_state": 0, "alpha": 1.0}
    a, b = (m.MLPClassifier((8,), **options).fit(X, y) for m in (ours, neural))
    assert a.loss_ < 1.05 * b.loss_
    assert activation == "relu" or a.n_iter_ < 200  # a minimum at a corner of ReLUs has no small gradient


def test_narrow_numbers_stay_narrow() -> None:
    X, y = iris()
    for kind in ("float32", "float64"):
        model = ours.MLPClassifier((8,), random_state=0, max_iter=5).fit(X.astype(kind), y)
        assert {c.dtype.name for c in model.coefs_ + model.intercepts_} == {kind}
        assert model.predict_proba(X.astype(kind)).dtype == kind
        np.testing.assert_allclose(model.predict_proba(X).sum(1), 1, rtol=1e-5)


# ---- weights


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_a_weight_is_so_many_events(solver: str) -> None:
    X, y = iris()
    counts = np.arange(len(y)) % 3
    options: dict[str, Any] = {"solver": solver, "random_state": 0, "max_iter": 20, "alpha": 0.1, "batch_size": 1000}
    a = ours.MLPClassifier((8,), **options).fit(X, y, sample_weight=counts)
    b = ours.MLPClassifier((8,), **options).fit(np.repeat(X, counts, 0), np.repeat(y, counts))
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("estimator", [ours.MLPClassifier, ours.LogisticRegression, ours.Perceptron])
def test_negative_weights_take_events_away(estimator: Any) -> None:
    """Events that are there with weight 1, and again with -1, are not there."""
    X, y = iris()
    rng = np.random.default_rng(0)
    strange, kinds = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    both = np.concatenate([X, strange, strange]), np.concatenate([y, kinds, kinds])
    w = np.concatenate([np.ones(len(X)), np.ones(40), -np.ones(40)])
    options = {} if estimator is ours.Perceptron else {"max_iter": 40}
    if estimator is ours.MLPClassifier:
        options |= {"solver": "sgd", "random_state": 0, "batch_size": 1000, "shuffle": False}
    a, b = estimator(**options).fit(*both, sample_weight=w), estimator(**options).fit(X, y)
    scores = "predict_proba" if hasattr(a, "predict_proba") else "predict"
    if estimator is ours.Perceptron:
        assert (
            a.predict(X) == b.predict(X)
        ).mean() > 0.85  # its steps are made where answers are wrong, of either sign
    else:
        np.testing.assert_allclose(getattr(a, scores)(X), getattr(b, scores)(X), atol=1e-6)


def test_negative_weights_of_simulation() -> None:
    """Half of the background of one class has weight -0.5, as beyond leading order: probabilities are those of the difference."""
    points = tg.data.red_blue(8000, distance=2.0, seed=1)
    X, y = points.X.astype("float64"), points.y
    rng = np.random.default_rng(1)
    w = np.where((y == 0) & (rng.random(len(y)) < 0.25), -1.0, 1.0)
    band = np.abs(X.sum(1)) < 0.4
    for model in (ours.LogisticRegression(), ours.MLPClassifier((16,), max_iter=60, random_state=0)):
        model.fit(X, y, sample_weight=w)
        middle = model.predict_proba(X[band])[:, 1].mean()
        assert middle > 0.6  # without weights a half: blue counts half of red
        assert abs(middle - w[band & (y == 1)].sum() / w[band].sum()) < 0.04


# ---- logistic regression


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"C": 0.05, "class_weight": "balanced"},
        {"C": np.inf},
        {"fit_intercept": False},
        {"l1_ratio": 1.0, "solver": "saga", "C": 0.1, "max_iter": 5000},
        {"l1_ratio": 0.4, "solver": "saga", "C": 0.1, "max_iter": 5000, "class_weight": {0: 2.0, 1: 0.5, 2: 1.0}},
    ],
    ids=str,
)
def test_logistic_regression_finds_the_minimum(options: dict[str, Any], classes: int) -> None:
    X, y = make_classification(400, 6, n_informative=4, n_classes=classes, flip_y=0.1, random_state=4)
    if classes == 2 and isinstance(options.get("class_weight"), dict):
        options = options | {"class_weight": {0: 2.0, 1: 0.5}}
    options = {"tol": 1e-7, "max_iter": 2000} | options
    w = np.random.default_rng(0).random(400)
    a, b = (m.LogisticRegression(**options).fit(X, y, sample_weight=w) for m in (ours, linear_model))
    np.testing.assert_allclose(a.coef_, b.coef_, atol=2e-4)
    np.testing.assert_allclose(a.intercept_, b.intercept_, atol=2e-4)
    assert ((a.coef_ == 0) == (b.coef_ == 0)).all()
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=2e-3)
    assert a.n_iter_.shape == (1,)


def test_logistic_regression_goes_on_from_where_it_was() -> None:
    X, y = make_classification(400, 6, random_state=4)
    model = ours.LogisticRegression(warm_start=True, tol=1e-7).fit(X, y)
    assert model.n_iter_[0] > 3
    assert model.fit(X, y).n_iter_[0] <= 1


# ---- the perceptron


def test_perceptron_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    y = (X @ [1, -2, 0.5, 0, 1] + 0.7 > 0).astype(int)
    far = np.abs(X @ [1, -2, 0.5, 0, 1] + 0.7) > 0.2
    for scale, shift in ((1, 0), (100, 0), (1, 50)):
        assert (
            ours.Perceptron(tol=None).fit(X[far] * scale + shift, y[far]).score(X[far] * scale + shift, y[far]) == 1.0
        )


def test_perceptron_is_as_good() -> None:
    scores = []
    for seed in range(5):
        X, y = make_classification(1000, 20, n_informative=8, random_state=seed)
        scores.append([m.Perceptron().fit(X, y).score(X, y) for m in (ours, linear_model)])
    assert np.mean(scores, 0)[0] > np.mean(scores, 0)[1] - 0.01


@pytest.mark.parametrize("penalty", [None, "l1", "l2", "elasticnet"])
@pytest.mark.parametrize("intercept", [True, False])
def test_an_epoch_of_the_perceptron_in_numpy(penalty: str | None, intercept: bool) -> None:
    X, y = make_classification(300, 10, flip_y=0.1, random_state=0)
    weight = np.random.default_rng(1).random(300)
    model = ours.Perceptron(penalty=penalty, alpha=0.02, l1_ratio=0.3, eta0=0.5, fit_intercept=intercept)
    model.partial_fit(X, y, classes=[0, 1], sample_weight=weight)
    share, sign = weight / weight.sum(), np.where(y == 1, 1.0, -1.0)
    middle = share @ X if intercept else np.zeros(10)
    x = X - middle
    reach = float(share @ (x**2).sum(1)) if intercept else 0.0
    w, b = np.zeros(10), 0.0
    ratio = {"l1": 1.0, "l2": 0.0, "elasticnet": 0.3, None: 0.0}[penalty]
    pull = 0.02 * 0.5 if penalty else 0.0
    for _ in range(24):
        add = np.where(sign * (x @ w + b) <= 0, share * sign, 0.0)
        w, b = (w + 0.5 * add @ x) * (1 - pull * (1 - ratio)), b + 0.5 * reach * add.sum()
        w = np.sign(w) * np.maximum(np.abs(w) - pull * ratio, 0.0)
    np.testing.assert_allclose(model.coef_[0], w, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.intercept_[0], b - w @ middle, rtol=1e-9, atol=1e-12)
