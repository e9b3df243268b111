"""scikit-learn's own checks of estimators: all of them, none expected to fail."""

from __future__ import annotations

from typing import Any

import pytest

checks = pytest.importorskip("sklearn.utils.estimator_checks")
from trigrad.sklearn import LogisticRegression, MLPClassifier, MLPRegressor, Perceptron

QUICK = [
    MLPClassifier((24,), max_iter=80, learning_rate_init=0.01),
    MLPRegressor("squared_error", (24,), max_iter=80, learning_rate_init=0.01),
    MLPClassifier((16,), solver="lbfgs", max_iter=60),
    MLPRegressor(solver="sgd", max_iter=80),
    LogisticRegression(),
    LogisticRegression(solver="saga", l1_ratio=0.5),
    Perceptron(),
]


@pytest.mark.filterwarnings("ignore")
@checks.parametrize_with_checks(QUICK)
def test_check(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor, LogisticRegression, Perceptron])
def test_with_all_defaults(estimator: Any, full: bool) -> None:
    if not full:
        pytest.skip("runs where TRIGRAD_PROOFS=full")
    found = checks.check_estimator(estimator(), on_skip=None)
    assert {r["status"] for r in found} <= {"passed", "skipped"}
