"""Tables, splits, and the standardisation of features in all the places where it is computed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import data
from trigrad.realtime import Predictor

POINTS = data.red_blue(101, 3, seed=4)


# ---- splits


@pytest.mark.parametrize("labels", [None, POINTS.y])
def test_parts_are_disjoint_complete_and_as_large_as_asked_for(labels: Any) -> None:
    parts = data.split_rows(101, 0.6, 0.3, 0.1, seed=2, labels=labels)
    assert sorted(np.concatenate(parts).tolist()) == list(range(101))
    assert [abs(len(p) - 101 * f) <= 1.5 for p, f in zip(parts, (0.6, 0.3, 0.1), strict=True)] == [True] * 3
    again = data.split_rows(101, 0.6, 0.3, 0.1, seed=2, labels=labels)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    assert parts[0].tolist() != data.split_rows(101, 0.6, 0.4, seed=3, labels=labels)[0].tolist()
    if labels is not None:
        for part in parts:
            assert abs((labels[part] == 1).mean() - (labels == 1).mean()) < 0.06


def test_classes_of_a_part_do_not_follow_one_another() -> None:
    y = np.repeat([0, 1], 500)
    part = data.split_rows(1000, 0.5, 0.5, labels=y)[0]
    changes = int((np.diff(y[part]) != 0).sum())
    assert 200 < changes < 300


@pytest.mark.parametrize("labels", [None, POINTS.y])
def test_folds_test_on_each_event_once(labels: Any) -> None:
    pairs = data.folds(101, 4, labels=labels)
    assert sorted(np.concatenate([test for _, test in pairs]).tolist()) == list(range(101))
    for train, test in pairs:
        assert sorted([*train, *test]) == list(range(101))
        if labels is not None:
            assert abs((labels[test] == 1).mean() - (labels == 1).mean()) < 0.05


def test_refusals_of_splits() -> None:
    for fractions in ((), (0.5, 0.6), (1.2, -0.2), (0.5,)):
        with pytest.raises(ValueError, match="expected positive numbers that add up to 1"):
            data.split_rows(10, *fractions)
    with pytest.raises(ValueError, match=r"part 1 \(0.1\) of 3 events of class 1 is empty"):
        data.split_rows(33, 0.9, 0.1, labels=np.repeat([0, 1], [30, 3]))
    with pytest.raises(ValueError, match="got 1 folds"):
        data.folds(10, 1)
    with pytest.raises(ValueError, match=r"labels have shape \(3,\)"):
        data.split_rows(4, 1.0, labels=[1, 2, 3])


# ---- tables


def test_a_table_knows_what_it_is() -> None:
    part = POINTS.split(0.5, 0.5, seed=9)[1]
    told = part.describe()
    assert told["name"] == "red/blue points"
    assert told["variant"] == "3 dimensions, 2 apart, seed 4, part 1 of 0.5:0.5 by seed 9"
    assert told["events"] == len(part) == sum(told["classes"].values())
    assert told["sha256"] == part.digest() != POINTS.digest()
    for name in ("X", "y"):
        changed = {n: getattr(part, n).copy() for n in ("X", "y")}
        changed[name].flat[0] += 1
        other = data.Table(changed["X"], changed["y"], part.features, part.classes)
        assert other.digest() != part.digest()


def test_rows_and_columns_of_a_table() -> None:
    weighted = data.Table(POINTS.X, POINTS.y, POINTS.features, POINTS.classes, weight=np.arange(101.0))
    X, _, w = weighted[POINTS.y == 1]
    assert len(X) == len(w) == (POINTS.y == 1).sum()
    assert (weighted[[5, 2]].weight == [5, 2]).all()
    assert len(weighted[-1]) == len(weighted[3]) == 1
    assert (POINTS.X[:, [2, 0]] == POINTS.only("x3", "x1").X).all()
    with pytest.raises(KeyError, match="there is no feature 'pt'; there are x1, x2, x3"):
        POINTS.only("pt")
    with pytest.raises(ValueError, match=r"X has shape \(101, 3\), expected \(events, 2\)"):
        data.Table(POINTS.X, POINTS.y, ("a", "b"))
    with pytest.raises(ValueError, match=r"weight has shape \(3,\), expected \(101,\)"):
        data.Table(POINTS.X, POINTS.y, POINTS.features, weight=np.ones(3))


# ---- standardisation


def numbers(n: int = 500) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal([1.0, -300.0, 1e-3], [2.0, 5.0, 1e-5], (n, 3)), rng.normal(1.0, 0.7, n)


def test_mean_and_deviation() -> None:
    X, w = numbers()
    plain = data.Standardizer().fit(X)
    np.testing.assert_allclose(plain.mean, X.mean(0), rtol=1e-13)
    np.testing.assert_allclose(plain.std, X.std(0), rtol=1e-10)
    assert (w < 0).any()
    weighted = data.Standardizer().fit(tg.tensor(X), sample_weight=w)
    mean = np.average(X, axis=0, weights=w)
    np.testing.assert_allclose(weighted.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(weighted.std, np.sqrt(np.average((X - mean) ** 2, axis=0, weights=w)), rtol=1e-9)
    made = plain.transform(X)
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(made.std(0), 1, rtol=1e-2)
    np.testing.assert_allclose(plain.inverse_transform(made), X, rtol=1e-4)


def test_units_that_float32_cannot_scale() -> None:
    with pytest.raises(ValueError, match=r"X\[:, 1\] has the deviation 5e-40, too small for float32"):
        data.Standardizer().fit(np.array([[0.0, 0.0], [1.0, 1e-39]]))


def test_one_arithmetic_in_predictor_layer_and_header() -> None:
    """transform, the layer in front of the model, and the scaler of a predictor give the same bits."""
    X, _ = numbers(64)
    s = data.Standardizer().fit(X)
    tg.manual_seed(1)
    body = tg.nn.Sequential(tg.nn.Linear(3, 8), tg.nn.ReLU(), tg.nn.Linear(8, 2))
    whole = tg.nn.Sequential(s.layer(), *body)
    x = X.astype(np.float32)
    with tg.no_grad():
        expected = body(tg.tensor(s.transform(X))).numpy()
        assert (whole(tg.tensor(x)).numpy() == expected).all()
    assert (Predictor(body, batch=64, scaler=s.scaler())(x) == expected).all()
    assert (Predictor(whole, batch=64)(x) == expected).all()
    assert {"0.offset", "0.scale"} <= set(whole.state_dict())
    assert [name for name, _ in whole.named_parameters()] == [f"{k}.{n}" for k in (1, 3) for n in ("weight", "bias")]


def test_stored_and_loaded(tmp_path: Any) -> None:
    X, _ = numbers()
    s = data.Standardizer().fit(X)
    tg.save(s.state_dict(), tmp_path / "s.safetensors")
    back = data.Standardizer()
    back.load_state_dict(tg.load(tmp_path / "s.safetensors"))
    assert (back.transform(X) == s.transform(X)).all()
    named = data.Standardizer(constant="keep").fit(POINTS)
    again = data.Standardizer._restored(named._saved())
    assert (again.features, again.constant) == (("x1", "x2", "x3"), "keep")
    assert (again.transform(POINTS).X == named.transform(POINTS).X).all()
    for wrong in ({"features": ["x1"]}, {"features": 3}, {"scale": tg.zeros(2)}, {"constant": "drop"}, {"more": 1}):
        with pytest.raises(ValueError, match=r"."):
            data.Standardizer._restored(named._saved() | wrong)
    with pytest.raises(KeyError, match="offset is missing"):
        back.load_state_dict({"mean": np.zeros(3), "std": np.zeros(3)})


def test_tables_and_tensors_stay_what_they_are() -> None:
    s = data.Standardizer().fit(POINTS)
    assert isinstance(s.transform(POINTS), data.Table)
    assert isinstance(s.transform(tg.tensor(POINTS.X)), tg.Tensor)
    assert s.transform(POINTS).features == POINTS.features == s.features


def test_refusals_of_the_standardizer() -> None:
    X, _ = numbers(20)
    with pytest.raises(RuntimeError, match="not fitted yet"):
        data.Standardizer().transform(X)
    X[7, 1] = np.nan
    with pytest.raises(ValueError, match=re.escape("X[:, 1] is nan in row 7 (1 such values)")):
        data.Standardizer().fit(X)
    X[:, 1] = 0.1
    with pytest.raises(ValueError, match=re.escape("X[:, 1] (column 1, 0.1) is constant in all 20 rows")):
        data.Standardizer().fit(X)
    with pytest.raises(ValueError, match=re.escape("x2 (column 1, 0.5) is constant")):
        data.Standardizer().fit(data.Table(np.tile(np.float32([[1, 0.5], [2, 0.5]]), (3, 1)), None, ("x1", "x2")))
    kept = data.Standardizer(constant="keep").fit(X).transform(X)
    np.testing.assert_allclose(kept[:, 1], 0, atol=1e-7)
    with pytest.raises(ValueError, match="the weights add up to 0"):
        data.Standardizer().fit(X, sample_weight=np.zeros(20))
    with pytest.raises(ValueError, match=r"expected \(..., 3\), as it was fitted to"):
        data.Standardizer(constant="keep").fit(X).transform(X[:, :2])
    with pytest.raises(RuntimeError, match=r"\[Standardize\] x has shape \(2, 4\), expected \(..., 3\)"):
        tg.nn.Standardize(3)(tg.zeros(2, 4))
