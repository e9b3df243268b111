"""A toy L1 trigger: jets of quarks, gluons, W and Z bosons and top quarks, with the 16 features of the hls4ml jets.

A jet is made of up to three prongs (the quarks of a boosted decay, with the kinematics of two-body decays in the collinear
limit) and of what they radiate: soft and collinear, more from gluons, and at angles below that of the decay where the jet is a
colour singlet. Momenta and angles are smeared as by a calorimeter. The features are those of the hls4ml data by their
definitions, computed on the jet as it is (the toy has no pile-up to groom away).
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from trigrad import ops
from trigrad._core import Tensor, from_numpy
from trigrad._indexing import index_select as take
from trigrad._shaping import stack
from trigrad.data._drawing import Chance, events, wanted
from trigrad.data._table import Table

__all__ = ["toy_jets"]

CLASSES = ("g", "q", "w", "z", "t")
FEATURES = (
    *("zlogz", "c1_b0_mmdt", "c1_b1_mmdt", "c1_b2_mmdt", "c2_b1_mmdt", "c2_b2_mmdt", "d2_b1_mmdt", "d2_b2_mmdt"),
    *("d2_a1_b1_mmdt", "d2_a1_b2_mmdt", "m2_b1_mmdt", "m2_b2_mmdt", "n2_b1_mmdt", "n2_b2_mmdt", "mass_mmdt"),
    "multiplicity",
)
GLUON, QUARK, W, Z, TOP = range(5)
MASS = {W: (80.4, 2.1), Z: (91.2, 2.5), TOP: (172.8, 1.4)}  # GeV: mass and width
RADIUS = 0.8
EMISSIONS = 12
PARTICLES = 3 + EMISSIONS
CHANCES = {GLUON: 0.78, QUARK: 0.55, W: 0.45, Z: 0.45, TOP: 0.62}  # that an emission happens

_PAIRS = list(combinations(range(PARTICLES), 2))
_TRIPLES = list(combinations(range(PARTICLES), 3))
_PLACE = {pair: k for k, pair in enumerate(_PAIRS)}


def _index(values: list[int]) -> Tensor:
    return from_numpy(np.array(values, dtype=np.int64))


_I, _J = (_index([pair[k] for pair in _PAIRS]) for k in range(2))
_T = tuple(_index([t[k] for t in _TRIPLES]) for k in range(3))
_SIDES = tuple(
    _index([_PLACE[t[a], t[b]] for t in _TRIPLES])
    for a, b in ((0, 1), (0, 2), (1, 2))  # of each triangle
)


def _is(y: Tensor, *classes: int) -> Tensor:
    found = y == classes[0]
    for k in classes[1:]:
        found = ops.logical_or(found, y == k)
    return found


def _by_class(y: Tensor, values: dict[int, float], other: float = 0.0) -> Tensor:
    made = ops.mul(y, 0.0) + other
    for k, value in values.items():
        made = ops.where(y == k, value, made)
    return made


def _decay(chance: Chance, m: Tensor, ma: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of mass m into one part of mass ma and a massless one, isotropic at rest: the fraction z of the momentum p that the first
    one has, and its transverse momentum (x, y); all (n,). Then (x, y) / (z p) is its angle."""
    cos, phi = chance.uniform(n) * 2 - 1, chance.uniform(n) * (2 * math.pi)
    at_rest = (m * m - ma * ma) / (m * 2)  # momentum of both
    z = (ops.sqrt(at_rest * at_rest + ma * ma) + at_rest * cos) / m
    kt = at_rest * ops.sqrt(ops.maximum(1 - cos * cos, 0.0))
    return ops.clamp(z, 1e-3, 1 - 1e-3), kt * ops.cos(phi), kt * ops.sin(phi)


def _mass(chance: Chance, y: Tensor, kinds: dict[int, int], n: int) -> Tensor:
    """Masses with a Breit-Wigner width, cut at 5 widths: of the kind that a class has."""
    pole = _by_class(y, {k: MASS[kind][0] for k, kind in kinds.items()}, 80.4)
    width = _by_class(y, {k: MASS[kind][1] for k, kind in kinds.items()}, 2.1)
    far = ops.tan((chance.uniform(n) - 0.5) * (2 * math.atan(10.0)))
    return pole + width * far * 0.5


def _prongs(chance: Chance, y: Tensor, p: Tensor, n: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Momenta and places (both angles) of the three prongs, (n,) each; momentum 0 for those that are not there."""
    top_mass = _mass(chance, y, dict.fromkeys(range(5), TOP), n)
    boson_mass = _mass(chance, y, {W: W, Z: Z, TOP: W}, n)
    z, kx, ky = _decay(chance, top_mass, boson_mass, n)
    top = _is(y, TOP)
    boson = ops.where(top, z * p, p)
    x0, y0 = (ops.where(top, k / (z * p), 0.0) for k in (kx, ky))
    bottom = [(1 - z) * p, -kx / ((1 - z) * p), -ky / ((1 - z) * p)]
    f, kx, ky = _decay(chance, boson_mass, ops.mul(p, 0.0), n)
    heavy = _is(y, W, Z, TOP)
    momenta = [ops.where(heavy, f * boson, p), ops.where(heavy, (1 - f) * boson, 0.0), ops.where(top, bottom[0], 0.0)]
    xs = [
        x0 + ops.where(heavy, kx / (f * boson), 0.0),
        x0 - ops.where(heavy, kx / ((1 - f) * boson), 0.0),
        bottom[1],
    ]
    ys = [
        y0 + ops.where(heavy, ky / (f * boson), 0.0),
        y0 - ops.where(heavy, ky / ((1 - f) * boson), 0.0),
        bottom[2],
    ]
    return momenta, xs, ys


def _particles(chance: Chance, y: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Momenta and angles (PARTICLES, n) of a jet's particles, and how many hadrons it has (n,)."""
    p = 1000.0 + 60.0 * chance.normal(n)
    momenta, xs, ys = _prongs(chance, y, p, n)
    e = EMISSIONS
    # A jet with k prongs shares its emissions out among them: prong 0, 1, (2,) 0, 1, ...
    turn = from_numpy(np.arange(e, dtype=np.float64)[:, None])
    prongs = _by_class(y, {W: 2.0, Z: 2.0, TOP: 3.0}, 1.0)
    source = turn - ops.floor(turn / prongs) * prongs  # (e, n)
    mother, mx, my = (
        ops.where(source == 0, parts[0], ops.where(source == 1, parts[1], parts[2])) for parts in (momenta, xs, ys)
    )
    happens = chance.uniform(e, n) < _by_class(y, CHANCES)
    widest = ops.minimum(_by_class(y, {W: 160.0, Z: 180.0, TOP: 300.0}, 1e6) / p, RADIUS)
    angle = chance.log_uniform(ops.mul(p, 0.0) + 0.01, widest, e, n)
    share = ops.where(happens, chance.log_uniform(0.004, 0.45, e, n), 0.0)
    around = chance.uniform(e, n) * (2 * math.pi)
    # A prong keeps 1 part, its emissions have their shares; together they are what it had.
    spent = [ops.sum(ops.where(source == k, share, 0.0), [0]) + 1 for k in range(3)]
    whole = ops.where(source == 0, spent[0], ops.where(source == 1, spent[1], spent[2]))
    emitted = mother * share / whole
    kept = [m / s for m, s in zip(momenta, spent, strict=True)]
    pt = ops.cat([stack(kept, 0), emitted], 0)
    eta = ops.cat([stack(xs, 0), mx + angle * ops.cos(around)], 0)
    phi = ops.cat([stack(ys, 0), my + angle * ops.sin(around)], 0)
    # The calorimeter.
    shape = (PARTICLES, n)
    pt = pt * ops.maximum(1 + 0.14 * chance.normal(*shape), 0.1)
    eta, phi = eta + 0.01 * chance.normal(*shape), phi + 0.01 * chance.normal(*shape)
    pt = ops.where(pt > 1.0, pt, 0.0)
    # Hadrons: more of harder particles, and of gluons.
    colour = ops.cat([ops.where(_is(y, GLUON), 1.7, 1.0).expand(3, n), ops.mul(emitted, 0.0) + 1.4], 0)
    hadrons = ops.floor(ops.sqrt(pt) * colour * (chance.uniform(*shape) * 0.5 + 0.25))
    return pt, eta, phi, ops.sum(hadrons, [0]) + 2


def _features(pt: Tensor, eta: Tensor, phi: Tensor, count: Tensor) -> Tensor:
    """The 16 features (n, 16)."""
    f = pt / ops.sum(pt, [0])
    zlogz = ops.sum(ops.where(f > 0, f * ops.log(ops.maximum(f, 1e-30)), 0.0), [0])
    dx, dy = (take(v, 0, _I) - take(v, 0, _J) for v in (eta, phi))
    square = ops.maximum(dx * dx + dy * dy, 1e-12)  # angle² of each pair
    theta = ops.sqrt(square)
    ff = take(f, 0, _I) * take(f, 0, _J)
    e2 = {0: ops.sum(ff, [0]), 1: ops.sum(ff * theta, [0]), 2: ops.sum(ff * square, [0])}
    fff = take(f, 0, _T[0]) * take(f, 0, _T[1]) * take(f, 0, _T[2])
    a, b, c = (take(theta, 0, s) for s in _SIDES)
    least, most = ops.minimum(ops.minimum(a, b), c), ops.maximum(ops.maximum(a, b), c)
    all3 = a * b * c
    two = all3 / most  # the product of the two smaller
    # Energy correlation functions of three: all angles, the smallest, the two smallest.
    e3 = {1: ops.sum(fff * all3, [0]), 2: ops.sum(fff * all3 * all3, [0])}
    v1 = {1: ops.sum(fff * least, [0]), 2: ops.sum(fff * least * least, [0])}
    v2 = {1: ops.sum(fff * two, [0]), 2: ops.sum(fff * two * two, [0])}
    tiny = {k: ops.maximum(v, 1e-9) for k, v in e2.items()}
    sum_of_pt = ops.sum(pt, [0])
    mass = sum_of_pt * ops.sqrt(e2[2])  # Σ pt_i pt_j angle² over pairs
    columns = [
        *(zlogz, e2[0], e2[1], e2[2]),
        *(e3[1] / (tiny[1] * tiny[1]), e3[2] / (tiny[2] * tiny[2])),
        *(e3[1] / (tiny[1] * tiny[1] * tiny[1]), e3[2] / (tiny[2] * tiny[2] * tiny[2])),
        # D2 with two exponents, e3(a) / e2(b)^(3 a / b): with both 1 it is d2_b1 again.
        *(e3[1] / (tiny[1] * tiny[1] * tiny[1]), e3[1] / (tiny[2] * ops.sqrt(tiny[2]))),
        *(v1[1] / tiny[1], v1[2] / tiny[2]),
        *(v2[1] / (tiny[1] * tiny[1]), v2[2] / (tiny[2] * tiny[2])),
        *(mass, count),
    ]
    return stack(columns, 1)


def _make(chance: Chance, n: int) -> tuple[Tensor, Tensor]:
    y = chance.classes(5, n)
    return _features(*_particles(chance, y, n)), y.long()


def toy_jets(n: int = 10_000, seed: int = 0) -> Table:
    """Jets of five classes (gluon, light quark, W, Z, top) with 16 high-level features, in the manner of the hls4ml jets.

    X (n, 16), y (n,): each class equally often. Not the hls4ml data (`hls4ml_jets`): numbers of the two do not compare.

    >>> import trigrad as tg
    >>> jets = tg.data.toy_jets(2000, seed=0)
    >>> [round(float(jets.only("mass_mmdt").X[jets.y == k].mean())) for k in (0, 2, 4)]
    [156, 85, 177]
    """
    x, y = events(wanted("toy_jets", n), seed, _make)
    facts = {"origin": "made by trigrad.data.toy_jets"}
    return Table(x, y, FEATURES, CLASSES, "toy jets", f"seed {seed}", target="class", facts=facts)
