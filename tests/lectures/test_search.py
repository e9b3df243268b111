"""Grids of settings and recipes: rows 82 and 83 of the catalogue."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import experiments
import trigrad as tg


def test_row_082_grid_on_a_log_scale_warns_at_its_edge_until_it_is_extended() -> None:
    pytest.importorskip("matplotlib")
    script = experiments.load("grid_edge")
    result = script.experiment()
    steps = result["steps"]
    assert [step["rates"] for step in steps] == [
        (1e-5, 1e-4, 1e-3),
        (1e-5, 1e-4, 1e-3, 1e-2),
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    ]
    for step, edge in zip(steps, ("0.001", "0.01", None), strict=True):
        if edge is None:
            assert step["warning"] is None
        else:
            assert f"best lr is {edge}, the largest of those tried (1e-05 to {edge})" in step["warning"]
    scores = [step["found"].best_score_ for step in steps]
    assert scores[0] < scores[1] - 0.05
    assert steps[-1]["found"].best_params_ == {"lr": 0.01}
    for before, after in itertools.pairwise(steps):  # what was tried before comes out the same
        shared = len(before["rates"])
        one, other = (step["found"].cv_results_["mean_test_score"] for step in (before, after))
        assert (one == other[:shared]).all()
    assert len(script.picture(result).axes[0].get_legend().get_texts()) == 3


@pytest.fixture(scope="module")
def four() -> Any:
    return experiments.load("recipe_four_steps")


def test_row_083_four_steps(four: Any) -> None:
    pytest.importorskip("matplotlib")
    result = four.experiment()
    best = 0.5 * (1 + math.erf(1 / math.sqrt(2)))  # Φ(1)
    error = math.sqrt(best * (1 - best) / 20_000)
    reached = result["accuracy"]
    for f in ("logistic regression", "neural network"):
        assert best - 0.015 < reached["red and blue", f] < best + 4 * error
    assert reached["circle", "logistic regression"] < 0.7
    assert reached["circle", "neural network"] > 0.98
    for losses in result["loss"].values():
        assert len(losses) == 11
        assert losses[-1] < losses[0]
    line = result["f"]["red and blue", "logistic regression"]
    w, b = line.weight.detach().numpy().ravel(), float(line.bias)
    np.testing.assert_allclose(w, [math.sqrt(2)] * 2, atol=0.25)  # θ* of the clouds; of 1000 events ± 0.1
    assert abs(b) < 0.25
    assert len(four.picture(result).axes) >= 4


def test_row_083_four_steps_are_those_of_sgd(four: Any) -> None:
    """The same numbers by NumPy: logistic regression, one event after the other, a rate that falls."""
    data = tg.data.red_blue(50, seed=2)
    assert data.y is not None
    tg.manual_seed(3)
    f = four.logistic_regression()
    theta = np.array([*f.weight.detach().numpy().ravel(), float(f.bias)], dtype=np.float64)
    state = tg.get_rng_state()
    losses = four.recipe(data, f, tg.nn.functional.binary_cross_entropy_with_logits, 2, 0.5)
    tg.set_rng_state(state)
    x = np.column_stack([data.X, np.ones(50)]).astype(np.float64)
    steps = np.concatenate([tg.randperm(50).numpy() for _ in range(2)])
    for k, i in enumerate(steps):
        theta -= 0.5 / (1 + k / 50) * (1 / (1 + np.exp(-x[i] @ theta)) - data.y[i]) * x[i]
    np.testing.assert_allclose([*f.weight.detach().numpy().ravel(), float(f.bias)], theta, atol=1e-5)
    z = x @ theta
    assert losses[-1] == pytest.approx(np.mean(np.logaddexp(0, z) - data.y * z), abs=1e-6)


def test_row_083_six_steps() -> None:
    pytest.importorskip("matplotlib")
    script = experiments.load("recipe_six_steps")
    result = script.experiment()
    first, adjusted = (result["results"][name] for name in ("first guess", "adjusted"))
    assert adjusted["accuracy"] > 0.67
    assert 0.3 < first["accuracy"] < 0.6
    assert adjusted["AUC"] > 0.9 > first["AUC"]
    assert adjusted["loss"] < first["loss"]
    found, y = result["search"], result["test"].y
    assert abs(found.best_score_ - adjusted["accuracy"]) < 0.06  # validation foretold what the test says
    assert adjusted["accuracy"] == pytest.approx(np.mean(adjusted["answer"] == y))
    assert found.n_splits_ == 3
    assert len(found.cv_results_["params"]) == 15
    train, test = script.collect(1000, 0)
    assert np.abs(train.X.mean(0)).max() < 1e-5
    assert np.abs(train.X.std(0) - 1).max() < 1e-5
    assert 1e-4 < np.abs(test.X.mean(0)).max() < 0.3  # standardised by what is known of the training data alone
    assert len(script.picture(result).axes) >= 2
