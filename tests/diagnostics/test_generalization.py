"""Information and the bound: against settings that can be worked out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from trigrad.diagnostics import generalization_bound, gibbs_choice, mutual_information


def coins(models: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of n fair coins each model gets wrong, all cases (cases, models), and their probabilities."""
    cases = np.array(list(itertools.product(range(n + 1), repeat=models)), float)
    each = np.array([math.comb(n, k) / 2**n for k in range(n + 1)])
    return cases, each[cases.astype(int)].prod(1)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5, 2.0, math.inf])
@pytest.mark.parametrize(("models", "n"), [(2, 1), (2, 12), (4, 8)])
def test_the_gap_of_guessing_models_is_within_the_bound(models: int, n: int, beta: float) -> None:
    """Random labels: whichever model is chosen, it is right half of the time on new events. By symmetry the choice is uniform
    over all data, so I = ln K − H(W | S)."""
    wrong, probability = coins(models, n)
    choice = gibbs_choice(wrong, beta)
    information = mutual_information(choice, probability)
    entropy = -(choice * np.log(np.where(choice > 0, choice, 1.0))).sum(1)
    assert information == pytest.approx(math.log(models) - probability @ entropy, abs=1e-12)
    gap = 0.5 - probability @ (choice * wrong).sum(1) / n
    assert 0 <= gap <= generalization_bound(information, n) + 1e-12
    if beta == 0:
        assert gap == pytest.approx(0, abs=1e-12)
    if beta == math.inf:
        assert gap == pytest.approx(0.5 - probability @ wrong.min(1) / n)
        assert gap > 0.5 * generalization_bound(information, n)  # the bound says something


def test_the_channel_of_one_bit() -> None:
    """A coin that is told rightly with probability p: I = ln 2 + p ln p + (1 − p) ln(1 − p)."""
    for p in (0.5, 0.7, 0.9):
        expected = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
        assert mutual_information([[p, 1 - p], [1 - p, p]]) == pytest.approx(expected, abs=1e-12)
    # H(W) of a choice that the data settle, unequal probabilities.
    assert mutual_information([[1, 0], [0, 1]], [1, 3]) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))


def greatest_of_normals(k: int) -> float:
    """The expected greatest of k standard normal numbers, by the trapezoid rule."""
    x = np.linspace(-12, 12, 20_001)
    cdf = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    density = k * cdf ** (k - 1) * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return float((x * density).sum() * (x[1] - x[0]))


def test_normal_losses_need_the_two() -> None:
    """K models with losses N(0, σ²), independent of each other: the best of a data set has the gap E max / √N · σ and tells
    ln K of it. √(2σ²I/N) holds; √(I/N), without the factor, does not from K = 9 on."""
    sigma, n = 1.0, 50
    for k in (2, 3, 8, 9, 10, 100, 1000):
        gap = sigma * greatest_of_normals(k) / math.sqrt(n)
        assert gap <= generalization_bound(math.log(k), n, sigma)
        assert (gap > math.sqrt(math.log(k) / n)) == (k >= 9)


@pytest.mark.parametrize("classes", [2, 5, 10, 100])
def test_a_memory_of_random_labels(classes: int) -> None:
    """Who remembers N random labels of K classes knows N ln K nats of them; the gap is 1 − 1/K, for any N."""
    for n in (1, 1000):
        assert 1 - 1 / classes <= generalization_bound(n * math.log(classes), n)


def test_choices() -> None:
    losses = np.array([[3.0, 1.0, 1.0], [0.0, 1000.0, 2000.0]])
    np.testing.assert_array_equal(gibbs_choice(losses, math.inf), [[0, 0.5, 0.5], [1, 0, 0]])
    np.testing.assert_array_equal(gibbs_choice(losses, 0.0), np.full((2, 3), 1 / 3))
    weights = np.exp(-0.5 * losses[0])
    np.testing.assert_allclose(gibbs_choice(losses, 0.5)[0], weights / weights.sum())
    np.testing.assert_allclose(gibbs_choice(losses + 1e6, 0.5), gibbs_choice(losses, 0.5))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"\[generalization_bound\] got information -1, n 3"):
        generalization_bound(-1, 3)
    with pytest.raises(ValueError, match="n 0"):
        generalization_bound(1.0, 0)
    with pytest.raises(ValueError, match="beta is -1"):
        gibbs_choice([1.0], -1)
    for losses in ([], [math.nan, 1.0], [math.inf, 1.0]):
        with pytest.raises(ValueError, match=r"\[gibbs_choice\] losses are .*, expected finite numbers"):
            gibbs_choice(losses)
    with pytest.raises(ValueError, match="a finite one of at least 0 for each of 1 sets"):
        mutual_information([[0.5, 0.5]], [math.inf])
    with pytest.raises(ValueError, match=r"probabilities in each row"):
        mutual_information([[0.5, 0.4]])
    with pytest.raises(ValueError, match=r"expected a finite one of at least 0 for each of 1 sets"):
        mutual_information([[0.5, 0.5]], [1.0, 1.0])
