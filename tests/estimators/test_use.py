"""Estimators in use: going on, pipelines, searches, processes, threads, and what is refused."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import trigrad as tg
from trigrad.sklearn import LogisticRegression, MLPClassifier, MLPRegressor, Perceptron

X, y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def weights(model: Any) -> list[bytes]:
    return [np.ascontiguousarray(v).tobytes() for v in (*model.coefs_, *model.intercepts_)]


# ---- going on


def test_partial_fits_are_epochs() -> None:
    """Without shuffling, ten of them are a fit of ten epochs bit for bit, moments and all; also after pickling between."""
    options: dict[str, Any] = {"random_state": 0, "shuffle": False, "batch_size": 32}
    whole = MLPClassifier((8,), max_iter=10, **options).fit(X, y)
    parts = MLPClassifier((8,), **options)
    for k in range(10):
        parts.partial_fit(X, y, classes=[0, 1, 2] if k == 0 else None)
        if k % 3 == 1:
            parts = pickle.loads(pickle.dumps(parts))
        if k % 3 == 2:
            parts = copy.deepcopy(parts)
    assert weights(parts) == weights(whole)
    assert parts.t_ == whole.t_
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-12)


def test_partial_fits_with_classes_that_are_not_there_yet() -> None:
    model = MLPClassifier((16,), random_state=0, learning_rate_init=0.02)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X[:50], y[:50])
    model.partial_fit(X[:50], y[:50], classes=[0, 1, 2])
    for _ in range(80):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match=r"not in `self.classes_`"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPClassifier(solver="lbfgs").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="does not support early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    line = Perceptron()
    for _ in range(30):
        line.partial_fit(X[y < 2], y[y < 2], classes=[0, 1])
    assert line.score(X[y < 2], y[y < 2]) == 1.0


def test_a_warm_start_goes_on() -> None:
    cold = MLPClassifier((8,), random_state=0, max_iter=5).fit(X, y)
    warm = MLPClassifier((8,), random_state=0, max_iter=5, warm_start=True).fit(X, y)
    assert weights(cold) == weights(warm)
    first = warm.loss_
    assert warm.fit(X, y).loss_ < first
    assert len(warm.loss_curve_) == 10
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        warm.fit(X[y < 2], y[y < 2])
    warm.hidden_layer_sizes = (9,)
    with pytest.raises(
        ValueError, match=r"hidden_layer_sizes is \(9,\), but the model that goes on learning has layers of \[8\]"
    ):
        warm.fit(X, y)


def test_what_was_learned_is_not_shared() -> None:
    model = MLPClassifier((8,), random_state=0, max_iter=3).fit(X, y)
    other = copy.copy(model)
    before = weights(model)
    other.partial_fit(X, y)
    assert weights(model) == before != weights(other)
    inputs = X.copy()
    MLPClassifier((8,), random_state=0, max_iter=3).fit(inputs, y)
    assert (inputs == X).all()


def test_a_fit_draws_nothing_from_the_default_generator() -> None:
    tg.manual_seed(5)
    before = tg.get_rng_state().tolist()
    with tg.no_grad():  # and needs no gradients from outside
        model = MLPClassifier((8,), random_state=0, max_iter=3).fit(X, y)
        MLPClassifier((8,), solver="lbfgs", max_iter=3).fit(X, y)
        LogisticRegression(solver="saga", l1_ratio=0.5).fit(X, y)
        assert not tg.is_grad_enabled()
    assert tg.get_rng_state().tolist() == before
    assert weights(model) == weights(MLPClassifier((8,), random_state=0, max_iter=3).fit(X, y))


def test_early_stopping_keeps_the_best() -> None:
    noisy, kinds = make_classification(400, 10, flip_y=0.3, random_state=1)
    model = MLPClassifier((32,), random_state=0, early_stopping=True, learning_rate_init=0.05).fit(noisy, kinds)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.n_iter_ == len(model.validation_scores_) < 200


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier((8,), max_iter=5, random_state=0),
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0),
        LogisticRegression(),
        Perceptron(),
    ],
    ids=lambda m: type(m).__name__,
)
def test_pickles_and_clones(model: Any) -> None:
    fitted = clone(model).fit(X, y)
    for copied in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert (copied.predict(X) == fitted.predict(X)).all()
    again = clone(fitted)
    assert not hasattr(again, "coefs_")
    assert (again.fit(X, y).predict(X) == fitted.predict(X)).all()


def test_bits_of_any_number_of_threads() -> None:
    found = set()
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        model = MLPClassifier((32, 16), random_state=0, max_iter=3).fit(X.astype("float32"), y)
        found.add((*weights(model), model.predict_proba(X.astype("float32")).tobytes()))
    assert len(found) == 1


# ---- searches and pipelines


def test_searches() -> None:
    pipe = make_pipeline(StandardScaler(), MLPClassifier((16,), random_state=0, max_iter=60, learning_rate_init=0.02))
    grid = GridSearchCV(pipe, {"mlpclassifier__alpha": [1e-4, 30.0]}, cv=3).fit(X, y)
    assert grid.best_params_ == {"mlpclassifier__alpha": 1e-4}
    assert grid.best_score_ > 0.9
    halving = HalvingGridSearchCV(LogisticRegression(), {"C": [1e-5, 1.0, 10.0]}, cv=3, random_state=0).fit(X, y)
    assert halving.best_params_["C"] >= 1.0


@pytest.mark.proof
def test_processes_after_threads_were_used(full: bool) -> None:
    """In a process of its own, with a time limit: it must not hang. Forked processes are those that could; joblib's own (loky),
    which begin anew, take the longest."""
    code = """if True:
        import warnings; warnings.simplefilter("ignore")
        import multiprocessing, sys
        import numpy as np, trigrad as tg
        from joblib import Parallel, delayed, parallel_config
        from sklearn.datasets import load_iris
        from sklearn.model_selection import GridSearchCV
        from trigrad.sklearn import MLPClassifier
        tg.set_num_threads(2)
        X, y = load_iris(return_X_y=True)
        big = np.random.default_rng(0).normal(size=(20000, 32))
        model = MLPClassifier((64,), max_iter=3, random_state=0).fit(big, big[:, 0] > 0)  # the pool is running
        expected = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y).predict_proba(X).tobytes()
        grid = GridSearchCV(MLPClassifier((8,), max_iter=5, random_state=0), {"alpha": [0.1, 0.2]}, cv=2, n_jobs=2)
        def job(seed):
            return MLPClassifier((8,), max_iter=5, random_state=seed).fit(X, y).predict_proba(X).tobytes()
        for backend in sys.argv[1:]:
            with parallel_config(backend=backend):
                grid.fit(X, y)
            assert Parallel(n_jobs=2, backend=backend)(delayed(job)(s) for s in (0, 0, 1))[0] == expected
        model.fit(big, big[:, 0] > 0)
        print("done")
    """
    command = [sys.executable, "-c", code, "multiprocessing", "threading", *(["loky"] if full else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "done\n", done.stderr


def test_estimators_in_threads() -> None:
    expected = weights(MLPClassifier((8,), max_iter=10, random_state=0).fit(X, y))
    found: list[Any] = []

    def work() -> None:
        for _ in range(5):
            found.append(weights(MLPClassifier((8,), max_iter=10, random_state=0).fit(X, y)) == expected)

    with warnings.catch_warnings():  # of all threads
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert found == [True] * 15


def test_threadpoolctl_holds_for_trigrad_too() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    tg.set_num_threads(2)
    told = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "trigrad"]
    assert [(i["num_threads"], i["version"]) for i in told] == [(2, tg.__version__)]
    with threadpoolctl.threadpool_limits(1):
        assert tg.get_num_threads() == 1
    with threadpoolctl.threadpool_limits(1, user_api="trigrad"):
        assert tg.get_num_threads() == 1
    assert tg.get_num_threads() == 2


def test_cross_validation_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 2))
    scores = cross_val_score(
        MLPRegressor(hidden_layer_sizes=(32,), solver="lbfgs", random_state=0), x, x[:, 0] * x[:, 1]
    )
    assert scores.min() > 0.95


# ---- what is refused


def test_refused_parameters() -> None:
    for options, words in (
        ({"activation": "gelu"}, r"'activation' parameter of MLPClassifier must be one of 'identity', .* Got 'gelu'"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes must be > 0, got \(4, 0\)"),
        ({"hidden_layer_sizes": (4, 2.5)}, "expected whole numbers"),
        ({"alpha": -1}, "'alpha' parameter of MLPClassifier must be a number from 0. Got -1"),
        ({"max_iter": 0}, "'max_iter'"),
        ({"batch_size": "all"}, "'batch_size'"),
        ({"momentum": 1.5}, "'momentum'"),
        ({"learning_rate_init": 0.0}, "above 0"),
        ({"beta_1": 1.0}, "below 1"),
        ({"device": "gpu"}, r"'device' parameter of MLPClassifier must be None, 'cpu', 'cuda' or .* Got 'gpu'"),
    ):
        with pytest.raises(ValueError, match=words):
            MLPClassifier(**options).fit(X, y)  # type: ignore[arg-type]
    for options, words in (
        ({"solver": "liblinear"}, "'solver'"),
        ({"dual": True}, "dual=True"),
        ({"l1_ratio": 0.5}, "use solver='saga'"),
        ({"C": 0}, "'C' parameter"),
        ({"device": 1.5}, "'device' parameter of LogisticRegression"),
    ):
        with pytest.raises(ValueError, match=words):
            LogisticRegression(**options).fit(X, y)  # type: ignore[arg-type]


def test_refused_data() -> None:
    for model in (MLPClassifier(), LogisticRegression(), Perceptron()):
        with pytest.raises(NotFittedError):
            model.predict(X)
        with pytest.raises(ValueError, match="sample_weight adds up to"):
            model.fit(X, y, sample_weight=-np.ones(len(y)))
        with pytest.raises(ValueError, match="NaN"):
            model.fit(np.where(X > 1, np.nan, X), y)
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            model.fit(__import__("scipy.sparse").sparse.csr_array(X), y)
    with pytest.raises(ValueError, match=r"y is -1.0, but loss='poisson' expects y >= 0"):
        MLPRegressor(loss="poisson").fit(X, np.full(150, -1.0))
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e6).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        MLPClassifier(max_iter=2).fit(X, y)


def test_import_trigrad_does_not_import_sklearn() -> None:
    code = """if True:
        import sys, trigrad as tg
        assert not any(m.startswith("sklearn") for m in sys.modules)
        sys.modules["sklearn"] = None  # not installed
        tg.sklearn
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: trigrad.sklearn needs scikit-learn: pip install 'trigrad[sklearn]'" in done.stderr
