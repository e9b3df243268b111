"""Toy particles in a detector: electromagnetic showers of electrons and photons against pile-up, and kinds of particles.

A shower is a narrow core and a wide halo around its impact, integrated over 5 x 5 crystals of a calorimeter, with noise in
each crystal and a threshold. An electron loses part of its energy to photons that arrive beside it in φ. Pile-up is several soft
photons and hadrons that happen to lie together.
"""

from __future__ import annotations

import math

import numpy as np

from trigrad import ops
from trigrad._core import Tensor, from_numpy
from trigrad._shaping import stack
from trigrad.data._drawing import Chance, events, wanted
from trigrad.data._table import Table

__all__ = ["toy_particles", "toy_showers"]

SHAPES = (
    *("pt", "e2x2_div_e2x5", "e2x2_div_e5x5", "e2x5_div_e5x5", "hoE", "bremStrength", "ecalIso", "crystalCount"),
    *("lowerSideLobePt", "upperSideLobePt", "phiStripContiguous0", "phiStripOneHole0", "phiStripContiguous3p"),
    *("phiStripOneHole3p", "sihih", "sipip", "sigetaeta", "sigphiphi", "sigetaphi"),
)
SIDE = 5  # crystals
SOFT = 6  # particles of a pile-up cluster, at most
NOISE, THRESHOLD = 0.06, 0.15  # GeV in a crystal
PROFILE = ((0.88, 0.22), (0.12, 0.75))  # share and width, in crystals, of core and halo


def _column(values: list[float]) -> Tensor:
    return from_numpy(np.array(values))


_EDGES = _column([k - SIDE / 2 for k in range(SIDE + 1)])
_PLACES = _column([float(k - SIDE // 2) for k in range(SIDE)])


def _along(at: Tensor, width: Tensor | float) -> Tensor:
    """The share of a profile that each row of crystals gets: at (n, k) -> (n, k, SIDE)"""
    steps = ops.erf((_EDGES - at.unsqueeze(-1)) / (math.sqrt(2.0) * width))
    return (steps[..., 1:] - steps[..., :-1]) * 0.5


def _deposits(energy: Tensor, eta: Tensor, phi: Tensor, spread: Tensor) -> Tensor:
    """Energies in the crystals: (n, k) particles with their places in crystals and widths in those of a photon ->
    (n, SIDE, SIDE), η by φ."""
    made = None
    for share, width in PROFILE:
        wide = (spread * width).unsqueeze(-1)
        rows, columns = _along(eta, wide), _along(phi, wide)
        part = ops.matmul(rows.transpose(1, 2), columns * (energy * share).unsqueeze(-1))
        made = part if made is None else made + part
    assert made is not None
    return made


def _runs(strip: Tensor, least: Tensor | float, holes: int) -> Tensor:
    """How many crystals of a φ strip (n, SIDE) follow one another from the middle with more than `least`, both ways; up to
    `holes` may be missing."""
    lit = strip > least
    count = ops.where(lit[:, SIDE // 2], 1.0, 0.0)
    for way in (-1, 1):
        going, spared = ops.mul(count, 0.0) + 1, ops.mul(count, 0.0)
        for step in range(1, SIDE // 2 + 1):
            here = lit[:, SIDE // 2 + way * step]
            spared = spared + ops.where(here, 0.0, 1.0)
            going = ops.where(spared > holes, 0.0, going)
            count = count + ops.where(ops.logical_and(here, going > 0), 1.0, 0.0)
    return count


def _features(cells: Tensor, hadronic: Tensor) -> Tensor:
    """The 19 shape variables (n, 19) of crystals (n, SIDE, SIDE) and the energy behind them (n,)."""
    mid = SIDE // 2
    total = ops.maximum(ops.sum(cells, [1, 2]), 0.1)
    e2x2 = e2x5 = None
    for i in (mid - 1, mid):
        band = ops.sum(cells[:, i : i + 2, :], [1, 2])
        e2x5 = band if e2x5 is None else ops.maximum(e2x5, band)
        for j in (mid - 1, mid):
            block = ops.sum(cells[:, i : i + 2, j : j + 2], [1, 2])
            e2x2 = block if e2x2 is None else ops.maximum(e2x2, block)
    assert e2x2 is not None
    assert e2x5 is not None
    e3x5 = ops.maximum(ops.sum(cells[:, 1:4, :], [1, 2]), 0.1)
    e3x3 = ops.sum(cells[:, 1:4, 1:4], [1, 2])
    strip = ops.sum(cells[:, 1:4, :], [1])  # along φ
    by_eta, by_phi = ops.sum(cells, [2]) / total.unsqueeze(-1), ops.sum(cells, [1]) / total.unsqueeze(-1)
    mean_eta, mean_phi = ops.sum(by_eta * _PLACES, [1]), ops.sum(by_phi * _PLACES, [1])
    off_eta, off_phi = _PLACES - mean_eta.unsqueeze(-1), _PLACES - mean_phi.unsqueeze(-1)
    share = cells / total.reshape(-1, 1, 1)
    # As sigma_ietaieta is made: each crystal counts 4.7 + ln of its share.
    logs = ops.maximum(4.7 + ops.log(ops.maximum(share, 1e-9)), 0.0)
    sum_of_logs = ops.maximum(ops.sum(logs, [1, 2]), 1e-3)
    wide_eta = ops.sum(ops.sum(logs, [2]) * ops.square(off_eta), [1]) / sum_of_logs
    wide_phi = ops.sum(ops.sum(logs, [1]) * ops.square(off_phi), [1]) / sum_of_logs
    seed3 = strip[:, mid] * 0.03
    columns = [
        *(total, e2x2 / ops.maximum(e2x5, 0.1), e2x2 / total, e2x5 / total, hadronic / total),
        *(1 - e3x3 / e3x5, (total - e3x5) / total, ops.sum(ops.where(cells > 0, 1.0, 0.0), [1, 2])),
        *(ops.sum(strip[:, :mid], [1]), ops.sum(strip[:, mid + 1 :], [1])),
        *(_runs(strip, 0.0, 0), _runs(strip, 0.0, 1)),
        *(_runs(strip, seed3.unsqueeze(-1), 0), _runs(strip, seed3.unsqueeze(-1), 1)),
        *(ops.sqrt(wide_eta), ops.sqrt(wide_phi)),
        *(ops.sum(by_eta * ops.square(off_eta), [1]), ops.sum(by_phi * ops.square(off_phi), [1])),
        ops.sum(share * off_eta.unsqueeze(-1) * off_phi.unsqueeze(1), [1, 2]),
    ]
    return stack(columns, 1)


def _showers(chance: Chance, n: int) -> tuple[Tensor, Tensor]:
    y = chance.classes(2, n)
    signal = (y == 1).unsqueeze(-1)
    pt = chance.log_uniform(2.0, 60.0, n, 1)
    # e or gamma: the particle itself, radiation on either side of it in φ, and less of the same pile-up.
    electron = chance.uniform(n, 1) < 0.5
    lost = ops.where(electron, ops.square(chance.uniform(n, 1)) * 0.6, 0.0)
    left = chance.uniform(n, 1)
    main = [pt * (1 - lost), pt * lost * left, pt * lost * (1 - left)]
    centre = chance.uniform(n, 2) - 0.5
    side = chance.uniform(n, 2) * 1.8 + 0.3
    signal_eta = [centre[:, :1]] * 3
    signal_phi = [centre[:, 1:], centre[:, 1:] + side[:, :1], centre[:, 1:] - side[:, 1:]]
    # Pile-up: a cluster that found up to SOFT particles, one of them in its middle.
    shares = ops.neg(ops.log(1 - chance.uniform(n, SOFT)))
    there = from_numpy(np.arange(SOFT, dtype=np.float64)) < ops.floor(chance.uniform(n, 1) * (SOFT - 1)) + 2
    shares = ops.where(there, shares, 0.0)
    shares = shares / ops.sum(shares, [1], True)
    hadron = chance.uniform(n, SOFT) < 0.45
    place = chance.normal(n, 2 * SOFT) * 0.9
    energy = pt * shares
    in_crystals = energy * ops.where(hadron, chance.uniform(n, SOFT) * 0.7 + 0.2, 1.0)
    beside = ops.where(signal, 0.0, 1.0)
    extra = chance.log_uniform(0.05, 2.0, n, 1) * ops.where(signal, 1.0, 0.0)
    far = (chance.uniform(n, 2) - 0.5) * SIDE
    cells = _deposits(
        ops.cat([*(m * (1 - beside) for m in main), in_crystals * beside, extra], 1),
        ops.cat([*signal_eta, place[:, :SOFT], far[:, :1]], 1),
        ops.cat([*signal_phi, place[:, SOFT:], far[:, 1:]], 1),
        ops.cat([ops.mul(pt, 0.0) + 1] * 3 + [ops.where(hadron, 1.7, 1.0)] + [ops.mul(pt, 0.0) + 1], 1),
    )
    cells = cells * (1 + 0.03 * chance.normal(n, SIDE, SIDE)) + NOISE * chance.normal(n, SIDE, SIDE)
    cells = ops.where(cells > THRESHOLD, cells, 0.0)
    leak = (chance.uniform(n) * 0.03 * pt[:, 0]) + ops.abs(chance.normal(n)) * 0.3
    behind = ops.where(
        y == 1, leak + 0.3 * extra[:, 0], leak + ops.sum((energy - in_crystals) * chance.uniform(n, SOFT), [1])
    )
    return _features(cells, behind), y.long()


def toy_showers(n: int = 10_000, seed: int = 0) -> Table:
    """Clusters of a crystal calorimeter: e/γ (class 1) against pile-up (class 0), both with the same spectrum of energies, with
    19 shower-shape variables named as those of the CMS data (`ecal`). X (n, 19), y (n,).

    >>> import trigrad as tg
    >>> showers = tg.data.toy_showers(1000)
    >>> compact = showers.only("e2x2_div_e5x5").X[:, 0]
    >>> bool(compact[showers.y == 1].mean() > compact[showers.y == 0].mean() + 0.1)
    True
    """
    X, y = events(wanted("toy_showers", n), seed, _showers)
    facts = {"origin": "made by trigrad.data.toy_showers"}
    return Table(X, y, SHAPES, ("pile-up", "e/gamma"), "toy EM showers", f"seed {seed}", target="kind", facts=facts)


PARTICLES = ("photon", "electron", "muon", "charged hadron", "neutral hadron")
RESPONSES = ("track_pt", "track_hits", "ecal_energy", "ecal_width", "hcal_energy", "muon_hits")


def _particles(chance: Chance, n: int) -> tuple[Tensor, Tensor]:
    """What the layers of a detector answer to each kind."""
    y = chance.classes(5, n)
    e = chance.log_uniform(3.0, 100.0, n)

    def of(*values: float) -> Tensor:
        made = ops.mul(y, 0.0)
        for k, value in enumerate(values):
            made = ops.where(y == k, value, made)
        return made

    def smear(x: Tensor, stochastic: float, constant: float) -> Tensor:
        return ops.maximum(x + chance.normal(n) * ops.sqrt(ops.abs(x) * stochastic**2 + ops.square(x * constant)), 0.0)

    tracked = chance.uniform(n) < of(0.06, 0.97, 0.99, 0.95, 0.04)  # photons convert, tracks get lost
    track = ops.where(tracked, smear(e, 0.0, 0.02), 0.0)
    hits = ops.where(tracked, ops.floor(chance.uniform(n) * 6) + 9, ops.floor(chance.uniform(n) * 2))
    early = chance.uniform(n)  # hadrons begin to shower in the crystals, or behind them
    in_ecal = of(0.98, 0.98, 0.0, 1.0, 1.0) * ops.where(y < 2, 1.0, ops.square(early) * 0.8)
    ecal = smear(e * in_ecal + ops.where(y == 2, 0.3, 0.0), 0.05, 0.01)
    width = of(0.011, 0.012, 0.014, 0.018, 0.018) * ops.exp(chance.normal(n) * 0.22)
    hcal = smear(e * ops.where(y < 2, 0.02 * early, ops.where(y == 2, 0.02, 1 - in_ecal)), 0.8, 0.07)
    through = chance.uniform(n) < of(0.001, 0.001, 0.96, 0.04, 0.02)
    muon = ops.where(through, ops.floor(chance.uniform(n) * 3) + 2, 0.0)
    return stack([track, hits, ecal, width, hcal, muon], 1), y.long()


def toy_particles(n: int = 10_000, seed: int = 0) -> Table:
    """Photons, electrons, muons, charged and neutral hadrons by what tracker, calorimeters and muon chambers see of them.
    X (n, 6), y (n,).

    >>> import trigrad as tg
    >>> p = tg.data.toy_particles(1000)
    >>> muons = p[p.y == p.classes.index("muon")]
    >>> bool((muons.only("muon_hits").X > 0).mean() > 0.9)
    True
    """
    X, y = events(wanted("toy_particles", n), seed, _particles)
    facts = {"origin": "made by trigrad.data.toy_particles"}
    return Table(X, y, RESPONSES, PARTICLES, "toy particles", f"seed {seed}", target="kind", facts=facts)
