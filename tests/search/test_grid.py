"""trigrad.search: what is found, and what is said of it."""

from __future__ import annotations

import math
import random
import re
import warnings
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from search import judges
from trigrad.search import GridResult, grid, log_range


def test_log_range() -> None:
    assert log_range(1e-6, 1e-1, 6) == (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    assert log_range(1, 1000, 4) == (1.0, 10.0, 100.0, 1000.0)
    assert log_range(1e2, 1e-2, 3) == (100.0, 1.0, 0.01)
    np.testing.assert_allclose(log_range(3e-5, 0.7, 17), np.geomspace(3e-5, 0.7, 17), rtol=1e-11)
    for low, high, n in ((0, 1, 3), (-1, 1, 3), (1, math.inf, 3), (1, 2, 1), (1, 1, 2)):
        with pytest.raises(ValueError, match=r"\[log_range\] got .*expected"):
            log_range(low, high, n)


@pytest.mark.parametrize("pipeline", [False, True])
def test_as_scikit_learn(pipeline: bool) -> None:
    """The same estimator, folds and grid: its numbers, ranks and choice."""
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import get_scorer
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    X, y = load_iris(return_X_y=True)
    X = X[:, :2]  # so that it is not too easy
    model, name = LogisticRegression(max_iter=500), "C"
    if pipeline:
        model, name = make_pipeline(StandardScaler(), model), "logisticregression__C"
    values = {name: log_range(1e-3, 1e3, 5)}
    scoring = get_scorer("neg_log_loss") if pipeline else None
    own = tg.data.folds(len(X), 4, seed=3, labels=y)
    for ours_cv, theirs_cv in ((4, own), (StratifiedKFold(3), 3)):
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", UserWarning)
            ours = grid(model, values, X, y, cv=ours_cv, scoring=scoring, seed=3)
            theirs = GridSearchCV(model, values, cv=theirs_cv, scoring=scoring).fit(X, y)
        for key in ("mean_test_score", "std_test_score", "rank_test_score", "split2_test_score"):
            np.testing.assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], rtol=1e-12, atol=1e-15)
        assert ours.cv_results_["params"] == theirs.cv_results_["params"]
        assert list(ours.cv_results_[f"param_{name}"]) == list(theirs.cv_results_[f"param_{name}"])
        assert (ours.best_index_, ours.best_params_) == (theirs.best_index_, theirs.best_params_)
        assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-12)
        assert (ours.best_estimator_.predict(X) == theirs.best_estimator_.predict(X)).all()
    assert not hasattr(model if not pipeline else model[-1], "coef_")  # what was given is as it was


def test_a_function_of_settings_makes_models() -> None:
    class Model:
        """Says how many events it has seen, and what weights came with them."""

        def __init__(self, power: int) -> None:
            self.power = power

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> None:
            self.seen, self.weight = len(X), 0.0 if sample_weight is None else sample_weight.sum()

        def score(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return (self.seen + (0 if sample_weight is None else sample_weight.sum())) ** self.power

    def make(settings: dict[str, Any]) -> Model:
        return Model(**settings)

    with pytest.warns(UserWarning, match="best power is 2, the largest"):
        found = grid(make, {"power": [1, 2]}, list(range(10)), cv=5)
    assert found.cv_results_["mean_test_score"].tolist() == [8, 64]
    assert (found.best_estimator_.power, found.best_estimator_.seen) == (2, 10)
    table = tg.data.Table(np.zeros((4, 1)), None, ("x",), weight=np.array([1.0, 2, 4, 8]))
    found = grid(make, {"power": [1]}, table, cv=[([0, 1], [2]), ([3], [0, 1])])
    assert [found.cv_results_[f"split{k}_test_score"][0] for k in (0, 1)] == [2 + 4, 1 + 3]
    assert found.best_estimator_.weight == 15
    assert grid(make, {"power": [1]}, table, cv=2, refit=False).best_estimator_ is None


def test_classes_are_shared_out_evenly() -> None:
    y = np.repeat([0, 1], [90, 10])
    shares: list[float] = []

    def share(settings: Any, train: Any, validation: Any) -> float:
        shares.append(float(np.mean(validation[1])))
        return 0.0

    for labels, even in ((y, True), (y.astype(str).astype(float), False)):
        shares.clear()
        grid(share, {"a": [1]}, np.zeros((100, 1)), labels, cv=5)
        assert (max(shares) - min(shares) < 1e-12) is even


# ---- the edge


def edges(score: Any, **values: Any) -> list[str]:
    def judge(settings: dict[str, Any], train: Any, validation: Any) -> float:
        return float(score(**settings))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        grid(judge, values, np.zeros(4), cv=2)
    assert all(w.category is UserWarning and w.filename == __file__ for w in said)
    return [str(w.message) for w in said]


def test_the_edge() -> None:
    lr = log_range(1e-4, 1e-1, 4)
    (said,) = edges(lambda lr, width: lr - abs(width - 2), lr=lr, width=[1, 2, 3])
    assert re.search(
        r"best lr is 0\.1, the largest of those tried \(0\.0001 to 0\.1\).*larger one.*extend the grid", said
    )
    (said,) = edges(lambda lr: -lr, lr=lr[::-1])  # in whatever order
    assert re.search(r"best lr is 0\.0001, the smallest .*: a smaller one", said)
    assert len(edges(lambda lr, width: lr - width, lr=lr, width=[1, 2, 3])) == 2
    assert edges(lambda lr: -abs(lr - 1e-2), lr=lr) == []
    assert edges(lambda lr: -max(lr, 1e-2), lr=lr) == []  # a plateau whose other points are inside
    assert edges(lambda momentum: -momentum, momentum=[0.0, 0.5, 0.9]) == []  # there is nothing below 0
    assert edges(lambda flag: flag, flag=[False, True]) == []
    assert edges(lambda act: act == "relu", act=["tanh", "relu"]) == []
    assert edges(lambda sizes: len(sizes), sizes=[[], [8], [8, 8]]) == []
    assert edges(lambda a: a, a=[1]) == []


def test_an_edge_of_what_failed_is_none() -> None:
    def judge(settings: dict[str, Any], train: Any, validation: Any) -> float:
        return 1 / (settings["a"] - 1)

    failed = r"^\[grid\] 1 of 2 points failed, the first with {'a': 1}: ZeroDivisionError: division by zero$"
    with pytest.warns(UserWarning, match=failed) as said:
        found = grid(judge, {"a": [1, 2]}, np.zeros(4), cv=2)
    assert len(said) == 1
    assert found.best_params_ == {"a": 2}


# ---- numbers that are drawn


def test_each_point_starts_from_the_seed() -> None:
    """The generators of trigrad, NumPy and Python, the same for each point and another for each fold, and left as they were."""

    def draw(settings: Any, train: Any, validation: Any) -> float:
        return float(settings["a"]) * (tg.rand(()).item() + 10 * np.random.rand() + 100 * random.random())  # noqa: NPY002

    tg.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    want = tg.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002
    tg.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    found = [grid(draw, {"a": ["-1", "1", "-2"]}, np.zeros(6), cv=3, seed=seed).cv_results_ for seed in (0, 0, 1)]
    scores = [[f[f"split{k}_test_score"].tolist() for k in range(3)] for f in found]
    assert (tg.rand(()).item(), np.random.rand(), random.random()) == want  # noqa: NPY002
    assert scores[0] == scores[1]
    assert scores[0][1:] == scores[2][:2]
    assert len({s[0] for s in scores[0]}) == 3
    assert all(s[2] == 2 * s[0] == -2 * s[1] for s in scores[0])


# ---- the table


def test_table() -> None:
    found = judges.search(None, judges.peak)
    lines = found.table().splitlines()
    assert len(lines) == 13
    assert lines[0].split() == ["rank", "a", "b", "score", "±"]
    assert lines[1].split()[:3] == ["1", "2", "20"]
    assert float(lines[1].split()[3]) == pytest.approx(found.best_score_, abs=5e-5)
    assert [int(line.split()[0]) for line in lines[1:]] == sorted(found.cv_results_["rank_test_score"])
    assert repr(found) == found.table()
    assert found.table(2).splitlines()[-1] == "... and 10 more"


# ---- the picture


def test_heatmap() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    def judge(settings: dict[str, Any], train: Any, validation: Any) -> float:
        return settings["a"] * 100 + settings["b"] * 10 + settings["c"]

    values: dict[str, Any] = {"a": [1, 2], "one": ["x"], "b": [3, 1, 2], "c": [0, 5]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = grid(judge, values, judges.X, cv=2)
        alone = grid(judges.broken, {"a": ["fine", "raises"]}, judges.X, cv=2)
    ax = found.heatmap(ax=Figure().add_subplot())
    shown = np.array(ax.images[0].get_array())  # from below: a row for each b
    assert shown.tolist() == [[135, 235], [115, 215], [125, 225]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["3", "1", "2"]
    ax = found.heatmap("c", "one", ax=Figure().add_subplot())
    assert np.array(ax.images[0].get_array()).tolist() == [[230, 235]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "one")
    assert found.heatmap("b", ax=Figure().add_subplot()).get_ylabel() == "a"
    ax = alone.heatmap(ax=Figure().add_subplot())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["fine", "raises"]
    assert np.ma.getmaskarray(ax.images[0].get_array()).tolist() == [[False, True]]
    with pytest.raises(ValueError, match=r"\[heatmap\] there is no setting 'd', expected one of a, one, b, c"):
        found.heatmap("d")
    with pytest.raises(ValueError, match=r"\[heatmap\] x and y are both 'a'"):
        found.heatmap("a", "a")
    alike = grid(
        lambda settings, train, held: 1.0 if settings["a"] is True else 0.5, {"a": [0, 1, True]}, range(9), cv=3
    )
    assert alike.heatmap(ax=Figure().add_subplot()).images[0].get_array().tolist() == [[0.5, 0.5, 1.0]]  # True == 1


# ---- what is refused


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"estimator": int}, TypeError, "expected an estimator with fit and set_params"),
        ({"estimator": lambda a, b: 0}, TypeError, "a function .settings, train, validation. that gives a number"),
        ({"param_grid": {}}, TypeError, "param_grid is {}, expected a dict"),
        ({"param_grid": {"a": 3}}, TypeError, "the values of a are 3, expected a list"),
        ({"param_grid": {"a": "xy"}}, TypeError, "the values of a are 'xy', expected a list"),
        ({"param_grid": {"a": []}}, ValueError, "a has no value"),
        ({"param_grid": {"a": [1, 2, 1]}}, ValueError, "expected each only once"),
        ({"y": np.zeros(3)}, ValueError, r"X has shape \(12,\), y \(3,\), expected a row of each per event"),
        ({"X": 3.0}, ValueError, "X has shape"),
        ({"X": tg.data.red_blue(9), "y": np.zeros(9)}, TypeError, "a table, which has its own"),
        ({"cv": 1}, ValueError, "got 1 folds"),
        ({"cv": 0.2}, TypeError, "cv is .*, expected a number of folds, a splitter, or a list of pairs"),
        ({"cv": [([0, 1], [12])]}, ValueError, "cv has rows .*12.*expected whole numbers from 0 to 11"),
        ({"cv": []}, ValueError, "cv has no fold"),
        ({"scoring": "accuracy"}, TypeError, "scoring is 'accuracy', expected a function"),
        ({"n_jobs": 0}, ValueError, "n_jobs is 0, expected a number of processes"),
        ({"param_grid": {"a": [1.0, math.nan]}}, ValueError, "expected none that is NaN"),
        ({"threads": 1.5}, ValueError, "threads is 1.5, expected a whole number"),
        ({"n_jobs": 2.5}, ValueError, "n_jobs is 2.5, expected a number of processes"),
        ({"threads": 0}, ValueError, "threads is 0, expected a whole number of at least 1"),
    ],
)
def test_refusals(given: dict[str, Any], error: type[Exception], words: str) -> None:
    usual: dict[str, Any] = {"estimator": judges.peak, "param_grid": judges.GRID, "X": judges.X}
    with pytest.raises(error, match=words):
        grid(**(usual | given))


def test_points_that_fail(tmp_path: Any) -> None:
    values = {"a": ["raises", "fine", "nan"]}
    with pytest.warns(
        UserWarning, match=r"2 of 3 points failed, the first with {'a': 'raises'}: ValueError: no such thing"
    ):
        found = grid(judges.broken, values, judges.X, cv=2)
    assert found.best_params_ == {"a": "fine"}
    assert found.cv_results_["error"] == [
        "ValueError: no such thing",
        None,
        "the score is nan, expected a finite number",
    ]
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False, True]
    assert found.cv_results_["rank_test_score"].tolist() == [2, 1, 2]
    assert "no such thing" in found.table()
    with pytest.raises(RuntimeError, match=r"all 1 points failed, the first with {'a': 'nan'}: the score is nan"):
        grid(judges.broken, {"a": ["nan"]}, judges.X, cv=2)


def test_public_names() -> None:
    assert tg.search.grid is grid
    assert set(tg.search.__all__) == {"GridResult", "grid", "log_range"}
    assert isinstance(judges.search(None, judges.peak), GridResult)
