"""Toy supersymmetry: pairs of charginos against pairs of W bosons, both with two leptons and missing energy.

Of either kind two particles are made back to back in a system that recoils against radiation. W → l ν in the background; in the
signal χ± → W χ⁰, W → l ν, so that two massive particles more escape. Leptons and missing energy are smeared. The features are
those of the SUSY data by their definitions, computed from the leptons and the missing energy.
"""

from __future__ import annotations

import math

import numpy as np

from trigrad import ops
from trigrad._core import Tensor, from_numpy
from trigrad._shaping import stack
from trigrad.data._drawing import Chance, events, wanted
from trigrad.data._public import SUSY_FEATURES
from trigrad.data._table import Table

__all__ = ["toy_susy"]

CHARGINO, NEUTRALINO, BOSON = 280.0, 100.0, 80.4  # GeV
UNIT = {  # GeV, so that the features with the dimension of an energy are about 1
    "lepton 1 pT": 60.0,
    "lepton 2 pT": 30.0,
    "missing energy magnitude": 60.0,
    "MET_rel": 45.0,
    "axial MET": 60.0,
    "M_R": 90.0,
    "M_TR_2": 60.0,
    "MT2": 40.0,
    "S_R": 120.0,
    "M_Delta_R": 50.0,
}
ZOOMS, FINER = 5, 6  # looks for the best angle, each so many times finer than the one before
_PLACES = from_numpy(np.linspace(-1.0, 1.0, 2 * FINER + 1))

Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z, each (n,)


def _dot(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
    made = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        made = made + x * y
    return made


def _length(a: tuple[Tensor, ...]) -> Tensor:
    return ops.sqrt(_dot(a, a))


def _direction(chance: Chance, n: int, cosine: Tensor | None = None) -> Vector:
    """Unit vectors, in all directions alike, or with these angles to the beam."""
    c = chance.uniform(n) * 2 - 1 if cosine is None else cosine
    s = ops.sqrt(ops.maximum(1 - c * c, 0.0))
    around = chance.uniform(n) * (2 * math.pi)
    return s * ops.cos(around), s * ops.sin(around), c


def _boosted(energy: Tensor, p: Vector, velocity: Vector) -> tuple[Tensor, Vector]:
    """What is seen in a frame in which the old one moves with that velocity."""
    square = ops.clamp(_dot(velocity, velocity), 1e-12, 1 - 1e-9)
    gamma = ops.rsqrt(1 - square)
    along = _dot(velocity, p)
    push = (gamma - 1) / square * along + gamma * energy
    x, y, z = (a + push * v for a, v in zip(p, velocity, strict=True))
    return gamma * (energy + along), (x, y, z)


def _decay(chance: Chance, n: int, energy: Tensor, p: Vector, mass: float, first: float, second: float) -> Vector:
    """The momentum of the first of two products with these masses, isotropic at rest."""
    at_rest = math.sqrt((mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)) / (2 * mass)
    x, y, z = (a * at_rest for a in _direction(chance, n))
    velocity = (p[0] / energy, p[1] / energy, p[2] / energy)
    return _boosted(ops.mul(energy, 0.0) + math.hypot(at_rest, first), (x, y, z), velocity)[1]


def _pairs(chance: Chance, n: int, signal: Tensor) -> tuple[list[Vector], Tensor, Tensor]:
    """The momenta of two leptons, and that of all that escapes, across the beam: 2 x (3 x (n,)), (n,), (n,)"""
    mass = ops.where(signal, CHARGINO, BOSON)
    # Two heavy particles, in their own frame. W pairs stay closer to the beam.
    half = mass * (1 - 0.35 * ops.log(1 - chance.uniform(n)))
    u = chance.uniform(n) * 2 - 1
    towards = ops.where(signal, u, ops.where(u < 0, -1.0, 1.0) * ops.sqrt(ops.sqrt(ops.abs(u))))
    momentum = ops.sqrt(half * half - mass * mass)
    x, y, z = (momentum * a for a in _direction(chance, n, towards))
    # The frame: along the beam, and away from radiation.
    recoil, around = -18.0 * ops.log(1 - chance.uniform(n)), chance.uniform(n) * (2 * math.pi)
    total = ops.sqrt(4 * half * half + recoil * recoil)
    forward = ops.tanh(0.8 * chance.normal(n))
    across = recoil / total * ops.sqrt(1 - forward * forward)
    frame = (across * ops.cos(around), across * ops.sin(around), forward)
    leptons: list[Vector] = []
    missing = [recoil * ops.cos(around), recoil * ops.sin(around)]
    for sign in (1.0, -1.0):
        energy, (px, py, pz) = _boosted(half, (sign * x, sign * y, sign * z), frame)
        wx, wy, wz = _decay(chance, n, energy, (px, py, pz), CHARGINO, BOSON, NEUTRALINO)
        boson = (ops.where(signal, wx, px), ops.where(signal, wy, py), ops.where(signal, wz, pz))
        boson_energy = ops.sqrt(_dot(boson, boson) + BOSON**2)
        lepton = _decay(chance, n, boson_energy, boson, BOSON, 0.0, 0.0)
        missing = [m - p for m, p in zip(missing, lepton, strict=False)]
        smear = ops.maximum(1 + 0.02 * chance.normal(n), 0.1)
        leptons.append((lepton[0] * smear, lepton[1] * smear, lepton[2] * smear))
    noise = 9.0 * chance.normal(2, n)
    return leptons, missing[0] + noise[0], missing[1] + noise[1]


def _turned(angle: Tensor) -> Tensor:
    """The same angle from −π to π."""
    return ops.atan2(ops.sin(angle), ops.cos(angle))


def _stransverse(a: Vector, b: Vector, mx: Tensor, my: Tensor) -> Tensor:
    """M_T2 without masses (n,): the least, over the ways to share the missing momentum m out between the two leptons, of the
    greater of the two transverse masses. Momenta that give one lepton a transverse mass of at most M fill a parabola; the two
    parabolas of M < M_T2 are apart, so that a line of some normal n separates them:

        M_T2² = max over n of 4 (n · m) h,   1/h = 1/(−n · a) + 1/(−n · b),   with n · a, n · b < 0

    whose logarithm is concave in the angle of n.
    """
    to_a, to_b, to_met = ops.atan2(a[1], a[0]), ops.atan2(b[1], b[0]), ops.atan2(my, mx)
    half = _turned(to_a - to_b) * 0.5  # of the angle between them, with its sign
    middle, width = to_b + half + math.pi, 0.5 * math.pi - ops.abs(half)  # where both n · a and n · b are negative
    off = _turned(to_met - middle)  # and where n · m is positive
    low, high = ops.maximum(off - 0.5 * math.pi, ops.neg(width)), ops.minimum(off + 0.5 * math.pi, width)
    at, width = middle + 0.5 * (low + high), 0.5 * ops.maximum(high - low, 0.0)
    pa, pb, met = _length(a[:2]), _length(b[:2]), ops.sqrt(mx * mx + my * my)
    most = ops.mul(met, 0.0)
    for step in range(ZOOMS):
        angle = at.unsqueeze(1) + (width / FINER**step).unsqueeze(1) * _PLACES  # (n, places)
        one, two = (
            ops.maximum(ops.neg(p.unsqueeze(1) * ops.cos(angle - to.unsqueeze(1))), 1e-9)
            for p, to in ((pa, to_a), (pb, to_b))
        )
        found = 4 * met.unsqueeze(1) * ops.cos(angle - to_met.unsqueeze(1)) * one * two / (one + two)
        best = ops.argmax(found, 1, True)
        at, most = (ops.gather(t, 1, best).squeeze(1) for t in (angle, found))
    return ops.sqrt(ops.maximum(most, 0.0))


def _features(leptons: list[Vector], mx: Tensor, my: Tensor) -> Tensor:
    """The 18 features (n, 18)."""
    p0, p1 = (_length(lepton[:2]) for lepton in leptons)
    swap = p0 < p1

    def ordered(first: bool) -> Vector:
        x, y, z = (ops.where(swap if first else ops.logical_not(swap), v, u) for u, v in zip(*leptons, strict=True))
        return x, y, z

    a, b = ordered(True), ordered(False)
    pa, pb = _length(a[:2]), _length(b[:2])
    met = ops.sqrt(mx * mx + my * my)
    # How far the missing momentum is from the nearer lepton, and how much of it is along both.
    nearest = ops.maximum((a[0] * mx + a[1] * my) / pa, (b[0] * mx + b[1] * my) / pb) / ops.maximum(met, 1e-9)
    relative = met * ops.where(nearest > 0, ops.sqrt(ops.maximum(1 - nearest * nearest, 0.0)), 1.0)
    sx, sy, sz = (u + v for u, v in zip(a, b, strict=True))
    st = ops.maximum(ops.sqrt(sx * sx + sy * sy), 1e-9)
    axial = -(sx * mx + sy * my) / st
    # Razor: of two heavy particles at threshold M_R is their mass.
    ea, eb = _length(a), _length(b)
    m_r = ops.sqrt(ops.maximum(ops.square(ea + eb) - sz * sz, 1e-6))
    m_tr = ops.sqrt(ops.maximum(0.5 * (met * (pa + pb) - (mx * sx + my * sy)), 0.0))
    # Super-razor: what is missing has, with the leptons, the momentum of the recoil; in the frame without it …
    jx, jy = sx + mx, sy + my
    recoil = jx * jx + jy * jy
    along = sx * jx + sy * jy
    s_r = ops.sqrt(
        ops.maximum(2 * (m_r * m_r - along + m_r * ops.sqrt(ops.maximum(m_r * m_r + recoil - 2 * along, 0.0))), 1e-6)
    )
    whole = ops.sqrt(recoil + s_r * s_r)
    flat = ops.mul(mx, 0.0)
    beam, away = (flat, flat, ops.neg(sz / (ea + eb))), (ops.neg(jx / whole), ops.neg(jy / whole), flat)
    fa, fb = (_boosted(*_boosted(e, p, beam), away) for e, p in ((ea, a), (eb, b)))
    # … the leptons have energies that another boost, this way and that, makes equal.
    way = [(u - v) / (fa[0] + fb[0]) for u, v in zip(fa[1], fb[1], strict=True)]
    square = ops.clamp(way[0] * way[0] + way[1] * way[1] + way[2] * way[2], 1e-12, 1 - 1e-9)
    m_delta = 0.5 * s_r * ops.sqrt(1 - square)
    back = _boosted(*fa, (ops.neg(way[0]), ops.neg(way[1]), ops.neg(way[2])))
    cosine = _dot(back[1], (way[0], way[1], way[2])) / (_length(back[1]) * ops.sqrt(square))
    between = ops.clamp(along / (st * ops.maximum(ops.sqrt(recoil), 1e-9)), -1.0, 1.0)
    columns = []
    for p, pt in ((a, pa), (b, pb)):
        columns += [pt, ops.asinh(p[2] / pt), ops.atan2(p[1], p[0])]
    columns += [met, ops.atan2(my, mx), relative, axial, m_r, m_tr, m_tr / m_r, _stransverse(a, b, mx, my)]
    columns += [s_r, m_delta, ops.acos(between), ops.clamp(ops.abs(cosine), 0.0, 1.0)]
    made = zip(columns, SUSY_FEATURES, strict=True)
    return stack([column / UNIT.get(name, 1.0) for column, name in made], 1)


def _make(chance: Chance, n: int) -> tuple[Tensor, Tensor]:
    y = chance.classes(2, n)
    return _features(*_pairs(chance, n, y == 1)), y.long()


def toy_susy(n: int = 10_000, seed: int = 0) -> Table:
    """Charginos (class 1) against W pairs (class 0), each in two leptons and missing energy: the 18 features of the SUSY data,
    by name and definition, energies in units that make them about 1. X (n, 18), y (n,).

    Not the SUSY data (`susy`): numbers of the two do not compare.

    >>> import trigrad as tg
    >>> pairs = tg.data.toy_susy(2000, seed=0)
    >>> pairs
    <toy SUSY, seed 0: 2000 events, 18 features, 2 classes background signal>
    """
    X, y = events(wanted("toy_susy", n), seed, _make)
    facts = {"origin": "made by trigrad.data.toy_susy"}
    classes = ("background", "signal")
    return Table(X, y, SUSY_FEATURES, classes, "toy SUSY", f"seed {seed}", target="signal", facts=facts)
