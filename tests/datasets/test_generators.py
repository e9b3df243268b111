"""Toy events: the same bits for a seed everywhere, and the physics that they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import _core, data
from trigrad.data import _jets
from trigrad.data._drawing import Chance

Maker = Callable[[int, int], data.Table]


def ground(kind: Any) -> Maker:
    return lambda n, seed: data.playground(kind, n, 0.2, seed)


MAKERS: dict[str, Maker] = {
    "jets": data.toy_jets,
    "showers": data.toy_showers,
    "particles": data.toy_particles,
    "susy": data.toy_susy,
    "red/blue": lambda n, seed: data.red_blue(n, 3, 1.5, seed),
    **{kind: ground(kind) for kind in ("circle", "xor", "gauss", "spiral", "plane", "bumps")},
}
DIGESTS = {  # of 1500 events from seed 3
    "jets": "930b727bb0113946f0a6e070b48f19df15a534859601d173d6af79c9dbe55f06",
    "showers": "da949237b8e1dd2845b8de63b91690210eab5a5c9bef7a9f23c553aa6608414f",
    "particles": "f30e75eeba232f8821c6ad169e27d556ebd2204a42ba6a06ee37f1bf68e48377",
    "susy": "15d8eeeaa68adb3c3fcc1565c00881cb86749c8be5455730d9ffddbb49a826d0",
    "red/blue": "d2f24eb881c9e0e385b5c4c485123c76e4ab33b2c6e4ff08314a1598cc7c6999",
    "circle": "473136dff8ec0645dcc12fb13d18f4b96df665979a4d4aaf6723823dd233516b",
    "xor": "c3b37c2979ffe7b04e733929bcb8b1f42ef37631a4425784a7591bf5c3ba74e1",
    "gauss": "30eecd2bbd6269f84f2f0613963d0a9a5503dfcf6a43cc0ff8e6ee36e2a288d0",
    "spiral": "156af7e376d82c7e320c38e20a8efb32d22f969e70a066f448aad9e7b1b6a9c1",
    "plane": "43c16f5aa3df16e5cb1194954c1070ebe21c2d58179e3bab8f60dd6e93fd6170",
    "bumps": "a5e8427fbb3249226a4727dd0d53927ca2a986e2fdf5dcc0c65f3b648165165b",
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_means_these_bits(name: str) -> None:
    assert MAKERS[name](1500, 3).digest() == DIGESTS[name]


@pytest.mark.parametrize("name", MAKERS)
def test_any_instruction_set_and_number_of_threads(name: str) -> None:
    make = MAKERS[name]
    expected = make(300, 1).digest()
    for isa in _core.build_info()["isa_available"]:
        _core.set_isa(isa)
        for threads in (1, 3):
            tg.set_num_threads(threads)
            assert make(300, 1).digest() == expected


@pytest.mark.parametrize("name", MAKERS)
def test_a_longer_sample_begins_with_a_shorter_one(name: str) -> None:
    make = MAKERS[name]
    long, short = make(2100, 5), make(1030, 5)
    assert long[:1030].digest() == short.digest()
    assert make(1030, 6).digest() != short.digest()
    assert np.isfinite(long.X).all()
    assert long.X.dtype == np.float32
    if long.classes:
        counts = np.bincount(long.y, minlength=len(long.classes)) / len(long)
        np.testing.assert_allclose(counts, 1 / len(long.classes), atol=0.07)


def test_generators_leave_the_default_generator_alone() -> None:
    tg.manual_seed(1)
    before = tg.get_rng_state().tolist()
    data.toy_jets(10)
    assert tg.get_rng_state().tolist() == before


# ---- jets


def test_masses_of_jets_are_those_of_what_decayed() -> None:
    jets = data.toy_jets(20_000)
    mass = jets.only("mass_mmdt").X[:, 0]
    middle = {c: float(np.median(mass[jets.y == k])) for k, c in enumerate(jets.classes)}
    assert abs(middle["w"] - 80.4) < 5
    assert abs(middle["z"] - 91.2) < 5
    assert abs(middle["t"] - 172.8) < 12


def test_features_are_what_their_names_say() -> None:
    """Against sums over pairs and triples, written out, in float64."""
    n = 12
    chance = Chance(tg.Generator().manual_seed(2))
    pt, eta, phi, count = _jets._particles(chance, chance.classes(5, n), n)
    found = _jets._features(pt, eta, phi, count).numpy()
    for k in range(n):
        p, x, y = (v.numpy()[:, k] for v in (pt, eta, phi))
        f = p / p.sum()

        def theta(i: int, j: int, x: Any = x, y: Any = y) -> float:
            return math.hypot(x[i] - x[j], y[i] - y[j])

        pairs, triples = list(combinations(range(len(p)), 2)), list(combinations(range(len(p)), 3))
        e2 = {b: sum(f[i] * f[j] * theta(i, j) ** b for i, j in pairs) for b in (0, 1, 2)}

        def e3(power: int, least: int, f: Any = f, theta: Any = theta, triples: Any = triples) -> float:
            total = 0.0
            for i, j, l in triples:
                angles = sorted((theta(i, j), theta(i, l), theta(j, l)))
                total += f[i] * f[j] * f[l] * math.prod(angles[:least]) ** power
            return total

        expected = [
            *(sum(v * math.log(v) for v in f if v > 0), e2[0], e2[1], e2[2]),
            *(e3(b, 3) / e2[b] ** 2 for b in (1, 2)),
            *(e3(b, 3) / e2[b] ** 3 for b in (1, 2)),
            *(e3(1, 3) / e2[1] ** 3, e3(1, 3) / e2[2] ** 1.5),
            *(e3(b, 1) / e2[b] for b in (1, 2)),
            *(e3(b, 2) / e2[b] ** 2 for b in (1, 2)),
            *(math.sqrt(sum(p[i] * p[j] * theta(i, j) ** 2 for i, j in pairs)), float(count.numpy()[k])),
        ]
        np.testing.assert_allclose(found[k], expected, rtol=1e-6)


# ---- showers, particles, points


def test_showers_of_the_two_kinds_have_the_same_energies() -> None:
    """Otherwise a cut on the energy alone would tell them apart."""
    showers = data.toy_showers(8000)
    pt = np.log(showers.only("pt").X[:, 0])
    assert abs(tg.metrics.roc_auc_score(showers.y, pt) - 0.5) < 0.12
    narrow = showers.only("sihih").X[:, 0]
    assert tg.metrics.roc_auc_score(showers.y, -narrow) > 0.75


def test_playground_shapes() -> None:
    circle = data.playground("circle", 800)
    r = np.hypot(*circle.X.T)
    assert r[circle.y == 1].max() <= 2.5
    assert 3.5 <= r[circle.y == 0].min() <= r.max() <= 5
    xor = data.playground("xor", 800)
    assert np.abs(xor.X).min() >= 0.3
    assert ((xor.X.prod(1) > 0) == (xor.y == 1)).all()
    gauss = data.playground("gauss", 4000)
    for k, middle in ((1, 2), (0, -2)):
        part = gauss.X[gauss.y == k]
        np.testing.assert_allclose(part.mean(0), middle, atol=0.1)
        np.testing.assert_allclose(part.var(0), 0.5, atol=0.06)
    spiral = data.playground("spiral", 800)
    r = np.hypot(*spiral.X.T)
    turn = np.where(spiral.y == 1, 0, np.pi) + 1.75 * 2 * np.pi * r / 5
    np.testing.assert_allclose(spiral.X, np.stack([r * np.sin(turn), r * np.cos(turn)], 1), atol=1e-5)
    plane = data.playground("plane", 800)
    np.testing.assert_allclose(plane.y, plane.X.sum(1) / 10, atol=1e-6)
    bumps = data.playground("bumps", 4000)
    top = bumps.X[bumps.y > 0.9]
    assert len(top) > 5
    assert all(min(math.hypot(x - a, y - b) for a, b in ((-4, 2.5), (4, 2.5), (0, -2.5))) < 0.21 for x, y in top)


@pytest.mark.parametrize("distance", [1.0, 3.0])
def test_red_and_blue_points_have_the_known_best_answer(distance: float) -> None:
    points = data.red_blue(20_000, 4, distance)
    right = float(((points.X.sum(1) > 0) == (points.y == 1)).mean())
    assert abs(right - 0.5 * (1 + math.erf(distance / 2 / math.sqrt(2)))) < 0.01


def test_refusals() -> None:
    for n in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match=r"n is .*, expected a number of events"):
            data.toy_jets(n)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got 'ring', expected one of circle, xor"):
        data.playground("ring")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"noise is 0\.7"):
        data.playground("xor", noise=0.7)

    @tg.compile
    def step() -> Any:
        return tg.tensor(data.toy_particles(3).X)

    with pytest.raises(RuntimeError, match="a compiled function cannot make events"):
        step()
