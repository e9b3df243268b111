"""Toy supersymmetry: kinematics and features, against plain NumPy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import data
from trigrad.data import _pairs
from trigrad.data._drawing import Chance
from trigrad.metrics import roc_auc_score


def chance(seed: int) -> Chance:
    return Chance(tg.Generator().manual_seed(seed))


def boost(velocity: Any) -> Any:
    """The matrix to a frame in which the old one moves with that velocity."""
    v = np.asarray(velocity, float)
    square = v @ v
    gamma = 1 / math.sqrt(1 - square)
    matrix = np.eye(4)
    matrix[0, 0] = gamma
    matrix[0, 1:] = matrix[1:, 0] = gamma * v
    matrix[1:, 1:] += (gamma - 1) * np.outer(v, v) / square
    return matrix


def four(p: Any, mass: float = 0.0) -> Any:
    return np.array([math.sqrt(p @ p + mass * mass), *p])


def test_boosts_are_lorentz_transformations() -> None:
    draw = chance(1)
    p, v = draw.normal(3, 20) * 30, (draw.uniform(3, 20) - 0.5) * 1.1
    energy = np.sqrt((p.numpy() ** 2).sum(0) + 80.4**2)
    e, (x, y, z) = _pairs._boosted(tg.from_numpy(energy), tuple(p), tuple(v))
    for k in range(20):
        expected = boost(v.numpy()[:, k]) @ [energy[k], *p.numpy()[:, k]]
        np.testing.assert_allclose([t.numpy()[k] for t in (e, x, y, z)], expected, rtol=1e-9)


@pytest.mark.parametrize(("mass", "first", "second"), [(280.0, 80.4, 100.0), (80.4, 0.0, 0.0)])
def test_decays_conserve_energy_and_momentum(mass: float, first: float, second: float) -> None:
    """What is left of the mother when one product is taken away has the mass of the other."""
    draw = chance(2)
    p = draw.normal(3, 200) * 100
    energy = np.sqrt((p.numpy() ** 2).sum(0) + mass**2)
    one = np.stack([t.numpy() for t in _pairs._decay(draw, 200, tg.from_numpy(energy), tuple(p), mass, first, second)])
    rest = energy - np.sqrt((one**2).sum(0) + first**2), p.numpy() - one
    np.testing.assert_allclose(rest[0] ** 2 - (rest[1] ** 2).sum(0), second**2, atol=1e-6 * mass**2)
    towards = (one * p.numpy()).sum(0) / np.linalg.norm(one, axis=0) / np.linalg.norm(p.numpy(), axis=0)
    assert towards.mean() > 0.2  # thrown forward


def transverse_mass(p: Any, k: Any) -> Any:
    return np.sqrt(np.maximum(2 * (np.hypot(*p) * np.hypot(*k) - p[0] * k[0] - p[1] * k[1]), 0))


def test_features_are_what_their_names_say() -> None:
    """Four-vectors and matrices, event by event; M_T2 from a fine grid."""
    n = 25
    draw = chance(3)
    leptons, mx, my = _pairs._pairs(draw, n, draw.uniform(n) < 0.5)
    units = np.array([_pairs.UNIT.get(name, 1.0) for name in data._public.SUSY_FEATURES])
    found = _pairs._features(leptons, mx, my).numpy() * units
    for k in range(n):
        pair = sorted(
            (np.array([t.numpy()[k] for t in lepton]) for lepton in leptons), key=lambda p: -np.hypot(p[0], p[1])
        )
        met = np.array([mx.numpy()[k], my.numpy()[k]])
        size = np.hypot(*met)
        expected = []
        for p in pair:
            expected += [np.hypot(p[0], p[1]), np.arctanh(p[2] / np.linalg.norm(p)), math.atan2(p[1], p[0])]
        angles = [abs((math.atan2(met[1], met[0]) - expected[i] + np.pi) % (2 * np.pi) - np.pi) for i in (2, 5)]
        total = pair[0] + pair[1]
        expected += [size, math.atan2(met[1], met[0]), size * math.sin(min(*angles, np.pi / 2))]
        expected.append(-(total[:2] @ met) / np.hypot(*total[:2]))
        energy = sum(np.linalg.norm(p) for p in pair)
        m_r = math.sqrt(energy**2 - total[2] ** 2)
        m_tr = math.sqrt((size * (expected[0] + expected[3]) - met @ total[:2]) / 2)
        expected += [m_r, m_tr, m_tr / m_r]
        centre, half = met / 2, size + expected[0]
        for _ in range(12):  # zooming in on a grid, wide enough never to lose a minimum of a convex function
            steps = np.linspace(-half, half, 61)
            at = np.array(list(itertools.product(steps, steps))).T + centre[:, None]
            both = np.maximum(transverse_mass(pair[0][:2], at), transverse_mass(pair[1][:2], met[:, None] - at))
            centre, half = at[:, both.argmin()], half / 6
        recoil = total[:2] + met
        s_r = math.sqrt(
            2 * (m_r**2 - total[:2] @ recoil + m_r * math.sqrt(m_r**2 + recoil @ recoil - 2 * total[:2] @ recoil))
        )
        away = np.array([*recoil, 0]) / math.sqrt(recoil @ recoil + s_r**2)
        frame = boost(-away) @ boost([1e-12, 0, -total[2] / energy])
        a, b = (frame @ four(p) for p in pair)
        # In the frame where both leptons are boosted by the same speed, this way and that, they have one energy.
        way = (a - b)[1:] / (a + b)[0]
        rest_a, rest_b = boost(-way) @ a, boost(way) @ b
        assert rest_a[0] == pytest.approx(rest_b[0], rel=1e-6)
        expected += [s_r, s_r / 2 * math.sqrt(1 - way @ way)]
        expected.append(math.acos(total[:2] @ recoil / np.hypot(*total[:2]) / np.hypot(*recoil)))
        expected.append(abs(rest_a[1:] @ way) / np.linalg.norm(rest_a[1:]) / np.linalg.norm(way))
        expected.insert(13, found[k, 13])
        np.testing.assert_allclose(found[k], expected, rtol=1e-6, atol=1e-7)
        assert found[k, 13] == pytest.approx(both.min(), rel=2e-3, abs=0.01 * size)


def test_the_stransverse_mass_of_two_leptons_alone() -> None:
    """Without radiation, missing what the leptons have: M_T2² = 2 (p p′ + p · p′). Between the leptons: 0."""
    draw = chance(4)
    a, b = (tuple(draw.normal(3, 300) * 40) for _ in range(2))
    (ax, ay), (bx, by) = ([t.numpy() for t in v[:2]] for v in (a, b))
    found = _pairs._stransverse(a, b, tg.from_numpy(-(ax + bx)), tg.from_numpy(-(ay + by))).numpy()
    expected = np.sqrt(2 * (np.hypot(ax, ay) * np.hypot(bx, by) + ax * bx + ay * by))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    none = _pairs._stransverse(a, b, tg.from_numpy(0.7 * ax + 1.3 * bx), tg.from_numpy(0.7 * ay + 1.3 * by)).numpy()
    assert none.max() < 0.01


def test_the_stransverse_mass_for_any_missing_momentum() -> None:
    """Its bound from all normals of lines, on all around the circle."""
    draw = chance(5)
    a, b = (tuple(draw.normal(3, 200) * 40) for _ in range(2))
    mx, my = draw.normal(2, 200) * 60
    angle = np.linspace(-np.pi, np.pi, 20_001)[:, None]
    one, two, m = (np.cos(angle) * x.numpy() + np.sin(angle) * y.numpy() for x, y in (a[:2], b[:2], (mx, my)))
    apart = (one < 0) & (two < 0)
    bound = np.where(apart, -4 * m * one * two / np.where(apart, one + two, 1), 0.0).max(0)
    found = _pairs._stransverse(a, b, mx, my).numpy()
    assert (bound > 100).mean() > 0.2
    assert (found**2 > bound * (1 - 1e-7) - 1e-9).all()  # the scan passes by some narrow ones
    np.testing.assert_allclose(found**2, bound, rtol=1e-3, atol=1e-6)


def test_classes_differ_as_physics_says() -> None:
    """M_T2 of W pairs ends at the W mass, as far as missing energy is measured; signal has more of everything; neither angles
    around the beam nor the sign of η say anything."""
    pairs = data.toy_susy(4000, seed=1)
    m_t2 = pairs.only("MT2").X[pairs.y == 0, 0] * _pairs.UNIT["MT2"]
    assert np.quantile(m_t2, 0.97) < _pairs.BOSON + 15
    assert np.quantile(pairs.only("MT2").X[pairs.y == 1, 0], 0.8) * _pairs.UNIT["MT2"] > _pairs.BOSON + 15
    for name in ("lepton 1 pT", "missing energy magnitude", "M_R", "S_R"):
        assert roc_auc_score(pairs.y, pairs.only(name).X) > 0.65
        assert 0.5 < pairs.only(name).X.mean() < 3
    for name in ("lepton 1 phi", "missing energy phi", "lepton 2 eta"):
        assert abs(roc_auc_score(pairs.y, pairs.only(name).X) - 0.5) < 0.04
    assert pairs.features == data._public.SUSY_FEATURES
