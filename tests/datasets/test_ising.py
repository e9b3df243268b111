"""trigrad.data.ising against sums over all states and exact solutions of finite lattices."""

from __future__ import annotations

import hashlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import trigrad as tg
from trigrad.data import _ising

Array = NDArray[np.float64]


def energy(X: Array, size: int) -> Array:
    """Per spin: (n,)"""
    s = X.reshape(-1, size, size)
    return np.asarray(-(s * (np.roll(s, 1, 1) + np.roll(s, 1, 2))).mean((1, 2), dtype=np.float64))


def mean_and_error(values: Array, temperatures: int) -> tuple[Array, Array]:
    """Of each temperature. Chains are independent, configurations of one are not: the error is from the means of chains."""
    chains = values.reshape(-1, _ising.CHAINS, temperatures).mean(0)
    return chains.mean(0), chains.std(0, ddof=1) / math.sqrt(_ising.CHAINS)


def kaufman(T: float, size: int) -> float:
    """The energy per spin of a torus, from Kaufman's partition function (1949)."""

    def log_z(K: float) -> float:
        def terms(first: int) -> tuple[float, float]:
            cosh = sinh = 0.0
            sign = 1.0
            for r in range(size):
                k = 2 * r + first
                gamma = math.acosh(math.cosh(2 * K) / math.tanh(2 * K) - math.cos(k * math.pi / size))
                if k == 0:
                    gamma = 2 * K + math.log(math.tanh(K))
                half = size * gamma / 2
                cosh += abs(half) + math.log1p(math.exp(-2 * abs(half)))
                sinh += abs(half) + math.log(-math.expm1(-2 * abs(half)))
                sign *= math.copysign(1.0, half)
            return cosh, sinh if sign > 0 else -sinh

        (a, b), (c, d) = terms(1), terms(0)
        negative = d < 0
        most = max(a, b, c, abs(d))
        total = (
            math.exp(a - most)
            + math.exp(b - most)
            + math.exp(c - most)
            - (1 if negative else -1) * math.exp(abs(d) - most)
        )
        return size * size / 2 * math.log(2 * math.sinh(2 * K)) + most + math.log(total / 2)

    K, h = 1 / T, 1e-4
    slope = (8 * (log_z(K + h) - log_z(K - h)) - (log_z(K + 2 * h) - log_z(K - 2 * h))) / (12 * h)
    return -slope / size**2


def all_states(T: float) -> tuple[float, float, Array]:
    """<E>, <|m|> and the distribution of 16 m of a lattice of 4 x 4: 65,536 states."""
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=16)))
    e = energy(states, 4)
    weight = np.exp(-(e - e.min()) * 16 / T)
    weight /= weight.sum()
    m = states.mean(1)
    return float(weight @ e), float(weight @ abs(m)), np.bincount((m * 8 + 8).round().astype(int), weight, 17)


def test_kaufman_is_right() -> None:
    for T in (1.5, 2.3, 3.5):
        assert kaufman(T, 4) == pytest.approx(all_states(T)[0], abs=1e-8)


def test_small_lattices_have_the_distribution_of_all_states(tmp_path: Path) -> None:
    """Below, within and above the temperatures at which clusters turn."""
    T = (1.5, 1.95, 2.3, 2.9, 3.5)
    n = 200
    X = tg.data.ising(n * 64 * len(T), T, size=4, seed=1, folder=tmp_path).X.astype(float)
    e, of_e = mean_and_error(energy(X, 4), len(T))
    m, of_m = mean_and_error(abs(X.mean(1)), len(T))
    for k, temperature in enumerate(T):
        exact_e, exact_m, exact = all_states(temperature)
        assert abs(e[k] - exact_e) < 4.5 * of_e[k]
        assert abs(m[k] - exact_m) < 4.5 * of_m[k]
        assert max(of_e[k], of_m[k]) < 0.01
        counts = np.bincount((X[k :: len(T)].mean(1) * 8 + 8).round().astype(int), minlength=17) / (n * 64)
        np.testing.assert_allclose(counts, exact, atol=0.02)  # both signs alike


def test_lattices_of_40_have_the_energy_of_a_torus(tmp_path: Path) -> None:
    T = (1.0, 1.85, 2.1, 2.26919, 2.5, 3.05)
    X = tg.data.ising(64 * 4 * len(T), T, seed=2, folder=tmp_path).X
    e, error = mean_and_error(energy(X, 40), len(T))
    want = np.array([kaufman(t, 40) for t in T])
    assert (abs(e - want) < 4.5 * error).all()
    assert (error < [4e-4, 3e-3, 5e-3, 8e-3, 5e-3, 4e-3]).all()
    m, error = mean_and_error(abs(X.mean(1)), len(T))
    onsager = [(1 - math.sinh(2 / t) ** -4) ** 0.125 for t in T[:3]]
    assert (abs(m[:3] - onsager) < 4.5 * error[:3] + 1e-4).all()
    assert m[3] > m[4] > m[5]


def test_seeds_and_samples(tmp_path: Path) -> None:
    """The same bits each time and everywhere; a shorter sample is the begin of a longer one."""
    T = (1.0, 2.2)
    long = tg.data.ising(300, T, size=8, seed=3)
    assert set(np.unique(long.X)) == {-1, 1}
    assert long.X.dtype == np.float32
    assert long.y is not None
    assert long.y.tolist() == [1, 1] * 150
    for n in (1, 128, 131):
        assert (long.X[:n] == tg.data.ising(n, T, size=8, seed=3).X).all()
    assert not (long.X == tg.data.ising(300, T, size=8, seed=4).X).all()
    digest = hashlib.sha256(np.packbits(long.X > 0).tobytes()).hexdigest()
    assert digest[:16] == "f2af306384346794"
    heat = tg.data.ising(3, (4.0, 2.2), size=8, target="temperature")
    assert heat.y is not None
    assert heat.y.tolist() == [np.float32(4.0), np.float32(2.2), np.float32(4.0)]
    assert (tg.data.ising(300, T, size=8, seed=3, folder=tmp_path).X == long.X).all()
    assert list(tmp_path.iterdir()) == []  # so few are made anew


def test_they_are_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGRAD_DATA", str(tmp_path))
    T = (1.0, 3.5)
    made = tg.data.ising(1001, T, size=8)
    (path,) = (tmp_path / "ising").iterdir()
    assert path.stat().st_size < 1001 * 8
    monkeypatch.setattr(_ising, "_made", lambda *a: pytest.fail("made once more"))
    assert (tg.data.ising(1001, T, size=8).X == made.X).all()
    monkeypatch.undo()
    monkeypatch.setenv("TRIGRAD_DATA", str(tmp_path))
    path.write_bytes(path.read_bytes()[:-40])  # damaged: made anew
    assert (tg.data.ising(1001, T, size=8).X == made.X).all()
    assert not (tg.data.ising(1001, T, size=8, seed=1).X == made.X).all()
    assert len(list((tmp_path / "ising").iterdir())) == 2
    (tmp_path / "no folder").touch()
    assert (tg.data.ising(1001, T, size=8, folder=tmp_path / "no folder").X == made.X).all()


def test_refusals() -> None:
    for given, words in (
        ({"n": 0}, "n is 0"),
        ({"size": 5}, "size is 5, expected an even number"),
        ({"size": 2}, "size is 2, expected an even number from 4 on"),
        ({"temperatures": []}, "expected positive numbers"),
        ({"temperatures": [0.0]}, "expected positive numbers"),
        ({"target": "spin"}, "target is 'spin'"),
    ):
        with pytest.raises(ValueError, match=words):
            tg.data.ising(**given)  # type: ignore[arg-type]
