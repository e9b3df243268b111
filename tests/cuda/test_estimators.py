"""Estimators with a device: the bits of those on the CPU, NumPy going in and out, pickles that hold nothing of a GPU."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

import trigrad as tg
from trigrad.sklearn import LogisticRegression, MLPClassifier, MLPRegressor, Perceptron

pytestmark = pytest.mark.usefixtures("gpu")

X, y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
WEIGHT = np.random.default_rng(0).uniform(-0.2, 1, len(y))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


MODELS: dict[str, Any] = {
    "adam": MLPClassifier((8, 6), max_iter=4, random_state=0, batch_size=32),
    "sgd": MLPClassifier((8,), solver="sgd", activation="tanh", max_iter=4, random_state=0, learning_rate="invscaling"),
    "adaptive": MLPRegressor(
        "squared_error", (8,), solver="sgd", learning_rate="adaptive", tol=1e-2, max_iter=30, random_state=0
    ),
    "early stopping": MLPClassifier((8,), early_stopping=True, max_iter=8, random_state=0),
    "lbfgs": MLPClassifier((8,), solver="lbfgs", max_iter=10, random_state=0),
    "regression": MLPRegressor(hidden_layer_sizes=(8,), max_iter=4, random_state=0),
    "poisson": MLPRegressor("poisson", (8,), max_iter=4, random_state=0),
    "logistic": LogisticRegression(),
    "corners": LogisticRegression(solver="saga", l1_ratio=0.5, max_iter=20),
    "perceptron": Perceptron(),
    "penalised": Perceptron(penalty="elasticnet", early_stopping=True, class_weight="balanced"),
}


def learned(model: Any) -> list[bytes]:
    """Every array and number that a fit has left, and what it predicts."""
    found = {n: v for n, v in vars(model).items() if n.endswith("_") and n not in ("classes_", "out_activation_")}
    parts = [v for value in found.values() for v in (value if isinstance(value, list) else [value]) if v is not None]
    assert all(isinstance(v, (np.ndarray, float, int)) for v in parts), found
    answers = [getattr(model, n)(X) for n in ("predict", "predict_proba", "decision_function") if hasattr(model, n)]
    assert all(type(a) is np.ndarray for a in answers)
    return [np.ascontiguousarray(v).tobytes() for v in (*parts, *answers)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_the_bits_of_the_cpu(name: str, dtype: str) -> None:
    weight = {} if name == "early stopping" else {"sample_weight": WEIGHT}
    found = []
    for device in ("cpu", "cuda"):
        before = tg.cuda.memory_stats()["allocation.all.allocated"]
        model = clone(MODELS[name]).set_params(device=device).fit(X.astype(dtype), y, **weight)
        assert model.device is device
        assert (tg.cuda.memory_stats()["allocation.all.allocated"] > before) == (device == "cuda")
        found.append(learned(model))
    assert found[0] == found[1]


def test_partial_fits_go_on_through_pickles_and_between_devices() -> None:
    options: dict[str, Any] = {"random_state": 0, "shuffle": False, "batch_size": 32}
    whole = MLPClassifier((8,), max_iter=6, **options).fit(X, y)
    parts = MLPClassifier((8,), device="cuda", **options)
    for k in range(6):
        parts.partial_fit(X, y, classes=[0, 1, 2] if k == 0 else None)
        parts = pickle.loads(pickle.dumps(parts)).set_params(device="cpu" if k % 2 else "cuda:0")
    assert [c.tobytes() for c in parts.coefs_] == [c.tobytes() for c in whole.coefs_]
    line = Perceptron(device="cuda").partial_fit(X, y, classes=[0, 1, 2])
    assert (
        line.partial_fit(X, y).coef_.tobytes()
        == Perceptron().partial_fit(X, y, [0, 1, 2]).partial_fit(X, y).coef_.tobytes()
    )


def test_a_pickle_loads_without_cuda(tmp_path: Any) -> None:
    models = [clone(MODELS[name]).set_params(device="cuda").fit(X, y) for name in ("adam", "logistic", "perceptron")]
    code = """if True:
        import pickle, sys
        models, X, want = pickle.load(sys.stdin.buffer)
        for model, answers in zip(models, want):
            try:
                model.predict(X)
            except RuntimeError as e:
                assert "or use 'cpu'" in str(e), e
            else:
                raise AssertionError
            assert (model.set_params(device="cpu").predict(X) == answers).all()
        print("done")
    """
    content = pickle.dumps((models, X, [m.predict(X) for m in models]))
    env = {**os.environ, "TRIGRAD_CUDA_MODULE": str(tmp_path / "none.so")}
    done = subprocess.run([sys.executable, "-c", code], input=content, env=env, capture_output=True, check=False)
    assert done.stdout == b"done\n", done.stderr


def test_the_default_device_and_another_gpu() -> None:
    want = learned(clone(MODELS["adam"]).fit(X, y))
    places: list[Any] = [tg.device("cuda"), *([] if tg.cuda.device_count() < 2 else ["cuda:1"])]
    for place in places:
        index = tg.device(place).index or 0
        before = tg.cuda.memory_stats(index)["allocation.all.allocated"]
        assert learned(clone(MODELS["adam"]).set_params(device=place).fit(X, y)) == want
        assert tg.cuda.memory_stats(index)["allocation.all.allocated"] > before
        with tg.device(place):  # what None means
            between = tg.cuda.memory_stats(index)["allocation.all.allocated"]
            assert learned(clone(MODELS["adam"]).fit(X, y)) == want
            assert tg.cuda.memory_stats(index)["allocation.all.allocated"] > between
            assert learned(clone(MODELS["adam"]).set_params(device="cpu").fit(X, y)) == want
    with pytest.raises(RuntimeError, match="expected cuda:0 to"):
        MLPClassifier(device="cuda:60").fit(X, y)


def test_a_search_over_devices() -> None:
    grid = GridSearchCV(MODELS["adam"], {"device": [None, "cuda"]}, cv=2).fit(X, y)
    scores = grid.cv_results_["mean_test_score"]
    assert scores[0] == scores[1]


@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn(full: bool) -> None:
    models = [LogisticRegression(device="cuda")]
    if full:
        models += [MLPClassifier((24,), max_iter=80, learning_rate_init=0.01, device="cuda"), Perceptron(device="cuda")]
    for model in models:
        found = check_estimator(model, on_skip=None)
        assert {r["status"] for r in found} <= {"passed", "skipped"}
