"""Fitting: trigrad.sklearn beside scikit-learn's own estimators, same parameters, same first weights, same epochs, taking turns.

Accuracy (or R²) is that of events held out. `--higgs` and `--mnist` name the files of these data, where they are at hand.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import harness

Parts = tuple[Any, Any, Any, Any]  # X, y to fit, X, y to judge by
CHUNK = "float32", "float64"


@dataclass
class Case:
    name: str
    estimator: str
    data: Callable[[], Parts]
    options: dict[str, Any]
    dtype: str = "float32"


def standardised(table: Any, fraction: float = 0.75) -> Parts:
    import trigrad as tg

    train, test = table.split(fraction, 1 - fraction, seed=0)
    scale = tg.data.Standardizer(constant="keep").fit(train)
    return scale.transform(train.X), train.y, scale.transform(test.X), test.y


def jets(n: int) -> Callable[[], Parts]:
    def make() -> Parts:
        import trigrad as tg

        return standardised(tg.data.toy_jets(n))

    return make


def showers(n: int) -> Callable[[], Parts]:
    def make() -> Parts:
        import trigrad as tg

        return standardised(tg.data.toy_showers(n))

    return make


def bumps(n: int) -> Callable[[], Parts]:
    def make() -> Parts:
        import trigrad as tg

        X, y = tg.data.playground("bumps", n)
        k = n * 3 // 4
        return X[:k], y[:k], X[k:], y[k:]

    return make


def toy(name: str) -> Callable[[], Parts]:
    """One of the small sets that come with scikit-learn."""

    def make() -> Parts:
        X, y = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")(return_X_y=True)
        X = (X - X.mean(0)) / (X.std(0) + 1e-9)
        order = np.random.default_rng(0).permutation(len(X))
        X, y, k = X[order], y[order], len(X) * 3 // 4
        return X[:k], y[:k], X[k:], y[k:]

    return make


def higgs(path: Path) -> Callable[[], Parts]:
    def make() -> Parts:
        import trigrad as tg

        table = tg.data.read(path, target="y")
        scale = tg.data.Standardizer().fit(table[:8000])
        X = scale.transform(table.X)
        return X[:8000], table.y[:8000], X[8000:], table.y[8000:]

    return make


def mnist(path: Path) -> Callable[[], Parts]:
    def make() -> Parts:
        import trigrad as tg

        return (*tg.data.mnist("train", path.parent), *tg.data.mnist("test", path.parent))

    return make


EPOCHS = {"tol": 0.0, "n_iter_no_change": 10_000, "random_state": 0}


def cases(quick: bool, higgs_at: Path | None, mnist_at: Path | None) -> Iterator[Case]:
    n, few = (2000, 2) if quick else (20_000, 10)
    mlp, regression = "neural_network.MLPClassifier", "neural_network.MLPRegressor"
    for dtype in CHUNK:
        net = EPOCHS | {"hidden_layer_sizes": (64, 32, 32), "max_iter": few}
        yield Case(f"toy jets, {n}: 16-64-32-32-5", mlp, jets(n), net, dtype)
    net = EPOCHS | {"hidden_layer_sizes": (50, 30, 10), "max_iter": few}
    yield Case(f"toy showers, {n}: 19-50-30-10-1", mlp, showers(n), net)
    yield Case(f"toy showers, {n}: default (100,)", mlp, showers(n), EPOCHS | {"max_iter": few})
    yield Case(
        f"toy showers, {n}: 19-50-30-10-1, sgd", mlp, showers(n), net | {"solver": "sgd", "learning_rate_init": 0.05}
    )
    yield Case(
        f"bumps, {n}: 2-32-32-1", regression, bumps(n), EPOCHS | {"hidden_layer_sizes": (32, 32), "max_iter": few}
    )
    small = EPOCHS | {"max_iter": 20 if quick else 200}
    yield Case("iris: 4-(100,)-3", mlp, toy("iris"), small, "float64")
    yield Case(
        "breast cancer: 30-(64, 32)-1", mlp, toy("breast_cancer"), small | {"hidden_layer_sizes": (64, 32)}, "float64"
    )
    yield Case("digits: 64-(100,)-10", mlp, toy("digits"), small, "float64")
    if higgs_at is not None:
        net = EPOCHS | {"hidden_layer_sizes": (64, 32), "max_iter": 2 if quick else 20}
        yield Case("HIGGS 11k subset: 28-64-32-1", mlp, higgs(higgs_at), net)
        yield Case("HIGGS 11k subset: 28-64-32-1", mlp, higgs(higgs_at), net, "float64")
    if mnist_at is not None:
        net = EPOCHS | {"hidden_layer_sizes": (400, 100), "max_iter": 1}
        yield Case("MNIST: 784-400-100-10, 1 epoch", mlp, mnist(mnist_at), net)
    yield Case(f"toy jets, {n}: logistic regression", "linear_model.LogisticRegression", jets(n), {"max_iter": 50})
    yield Case(f"toy jets, {n}: perceptron", "linear_model.Perceptron", jets(n), {})


def fitted(case: Case, package: str, parts: Parts) -> tuple[float, float]:
    """Seconds of a fit, and the score."""
    module = f"sklearn.{case.estimator.partition('.')[0]}" if package == "scikit-learn" else "trigrad.sklearn"
    model = getattr(importlib.import_module(module), case.estimator.partition(".")[2])(**case.options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that were not enough: their number is fixed here
        start = perf_counter()
        model.fit(parts[0], parts[1])
        seconds = perf_counter() - start
    return seconds, float(model.score(parts[2], parts[3]))


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--only", type=harness.words, default=[""], help="cases whose names hold one of these")
    parser.add_argument("--higgs", type=Path, help="higgs_11k.npz")
    parser.add_argument("--mnist", type=Path, help="mnist.npz")
    a = parser.parse_args()
    import trigrad as tg

    importlib.import_module("threadpoolctl").threadpool_limits(a.threads[0])
    tg.set_num_threads(a.threads[0])
    blocks = 1 if a.quick else min(a.blocks, 3)
    rows: list[dict[str, Any]] = []
    lines: list[list[Any]] = []
    for case in cases(a.quick, a.higgs, a.mnist):
        if not any(word in case.name for word in a.only):
            continue
        X, y, X_test, y_test = case.data()
        parts = X.astype(case.dtype), y, X_test.astype(case.dtype), y_test
        peers = ("trigrad", "scikit-learn")
        times: dict[str, list[float]] = {p: [] for p in peers}
        scores: dict[str, float] = {}
        with harness.locked(a.lock):
            for _ in range(blocks):
                for peer in peers:
                    seconds, scores[peer] = fitted(case, peer, parts)
                    times[peer].append(seconds)
        ratio = [b / o for o, b in zip(times["trigrad"], times["scikit-learn"], strict=True)]
        rows.append(
            {"case": case.name, "dtype": case.dtype, "threads": a.threads[0], "seconds": times, "scores": scores}
        )
        lines.append(
            [
                *(case.name, case.dtype, median(times["trigrad"]), median(times["scikit-learn"])),
                *(median(ratio), f"{min(ratio):.1f}-{max(ratio):.1f}", scores["trigrad"], scores["scikit-learn"]),
            ]
        )
    print(f"\nseconds of a fit, {a.threads[0]} thread{'s' * (a.threads[0] > 1)}")
    head = ["case", "dtype", "trigrad", "scikit-learn", "ratio", "range", "score", "scikit-learn's"]
    print(harness.table(head, lines), flush=True)
    harness.save(a.out, "estimators", rows)


if __name__ == "__main__":
    main()
