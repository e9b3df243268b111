"""Membership inference: against known distributions of losses."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

import trigrad as tg
from trigrad.diagnostics import membership_by_loss, membership_by_model, membership_features

RNG = np.random.default_rng(0)


def test_exponential_losses() -> None:
    """Means 1 and 3: below the threshold 1 are 1 − e⁻¹ and 1 − e^(−1/3), the AUC is 3/4."""
    n = 40_000
    found = membership_by_loss(RNG.exponential(1.0, n), RNG.exponential(3.0, n))
    assert found.threshold == pytest.approx(1.0, abs=0.02)
    assert found.advantage == pytest.approx(math.exp(-1 / 3) - math.exp(-1), abs=0.01)
    assert found.auc == pytest.approx(0.75, abs=0.006)


def test_wrong_answers_have_the_advantage_of_the_gap() -> None:
    """Whatever lies between right (0) and wrong (1) as threshold: the accuracy in training less that on others."""
    train, test = RNG.random(3000) < 0.1, RNG.random(2000) < 0.4
    found = membership_by_loss(train.astype(float), tg.tensor(test.astype(np.float32)), threshold=0.5)
    assert found.advantage == pytest.approx(test.mean() - train.mean(), abs=1e-12)
    assert found.auc == pytest.approx(0.5 + found.advantage / 2, abs=1e-12)
    assert membership_by_loss(train.astype(float), test.astype(float)).advantage == found.advantage


def test_no_memory_no_advantage() -> None:
    losses = RNG.exponential(1.0, 20_000)
    found = membership_by_loss(losses[:10_000], losses[10_000:])
    assert abs(found.advantage) < 0.03
    assert abs(found.auc - 0.5) < 0.02
    x = RNG.normal(size=(8_000, 3))
    blind = membership_by_model(x[:4_000], x[4_000:], steps=100)
    assert abs(blind.advantage) < 0.06
    assert abs(blind.auc - 0.5) < 0.04


def test_the_model_finds_the_best_attack_on_normal_features() -> None:
    """Centres two deviations apart: no attack has a greater advantage than 2Φ(1) − 1 nor a greater AUC than Φ(√2)."""
    members, others = RNG.normal(size=(6000, 4)), RNG.normal(size=(3000, 4))
    members[:, 2] += 2.0
    found = membership_by_model(members, others)
    assert found.advantage == pytest.approx(2 * NormalDist().cdf(1.0) - 1, abs=0.03)
    assert found.auc == pytest.approx(NormalDist().cdf(math.sqrt(2)), abs=0.02)
    assert membership_by_model(members, others, seed=1) != found == membership_by_model(members, others)


def test_the_model_finds_what_a_threshold_cannot() -> None:
    """Members at either side of the others in the loss: a threshold is no better than chance."""
    members, others = RNG.choice([-3.0, 3.0], 2000) + RNG.normal(size=2000), RNG.normal(size=2000)
    assert abs(membership_by_loss(members, others).advantage) < 0.1
    assert membership_by_model(members[:, None], others[:, None]).advantage > 0.8


def test_units_of_features_do_not_matter() -> None:
    members, others = RNG.normal(1.0, 1.0, (800, 2)), RNG.normal(0.0, 1.0, (800, 2))
    found = membership_by_model(members, others)
    again = membership_by_model(members * [1e-4, 1e4] + [100.0, 0.0], others * [1e-4, 1e4] + [100.0, 0.0])
    assert again.auc == pytest.approx(found.auc, abs=1e-3)
    assert found.auc > 0.75


def test_features_are_loss_and_sorted_probabilities() -> None:
    z, y = RNG.normal(size=(50, 4)), RNG.integers(0, 4, 50)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    found = membership_features(tg.tensor(z), tg.tensor(y))
    np.testing.assert_allclose(found[:, 0], -log_p[np.arange(50), y], rtol=1e-12)
    np.testing.assert_allclose(found[:, 1:-1], np.sort(log_p, 1)[:, ::-1], rtol=1e-12)
    np.testing.assert_array_equal(found[:, -1], z.argmax(1) == y)
    np.testing.assert_allclose(
        membership_features(log_p, y), found, rtol=1e-12, atol=1e-14
    )  # log-probabilities do as well


def test_a_loss_at_the_threshold_is_a_members() -> None:
    assert membership_by_loss([1.0, 1.0], [1.0, 2.0], threshold=1.0).advantage == 0.5


def test_default_generator_is_left_alone() -> None:
    tg.manual_seed(1)
    before = tg.get_rng_state().tolist()
    membership_by_model(RNG.normal(size=(20, 1)), RNG.normal(size=(20, 1)), steps=2)
    assert tg.get_rng_state().tolist() == before


def test_bad_input() -> None:
    with pytest.raises(
        ValueError, match=r"\[membership_by_loss\] got an array of shape \(2, 1\), expected finite numbers \(events"
    ):
        membership_by_loss([[1.0], [2.0]], [1.0])
    with pytest.raises(ValueError, match="finite"):
        membership_by_loss([math.nan], [1.0])
    with pytest.raises(ValueError, match="threshold is nan"):
        membership_by_loss([1.0], [1.0], math.nan)
    with pytest.raises(ValueError, match="as many features of both"):
        membership_by_model(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"known is 1\.0 of 4 members and 4 others, expected a share that leaves"):
        membership_by_model(np.ones((4, 2)), np.ones((4, 2)), known=1.0)
    with pytest.raises(ValueError, match=r"output is \(3,\)"):
        membership_features([1.0, 2.0, 3.0], [0, 1, 2])
    with pytest.raises(ValueError, match="y goes from 0 to 2, expected 0 to 1"):
        membership_features([[1.0, 2.0]] * 2, [0, 2])
