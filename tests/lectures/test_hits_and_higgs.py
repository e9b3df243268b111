"""Detector hits to clusters, and the Higgs signal on a network's background: rows 149 and 151 of the catalogue."""

from __future__ import annotations

import math

import numpy as np
import pytest

import experiments
import trigrad as tg
from trigrad.metrics import asimov_significance


def test_row_149_generator_of_hits() -> None:
    script = experiments.load("hits_to_clusters")
    graph = script.hits(events=4, seed=5)
    per_event = script.LAYERS * (script.PARTICLES + script.NOISE)
    assert len(graph.phi) == 4 * per_event
    sizes = np.bincount(graph.particle)
    assert sorted(set(sizes.tolist())) == [0, 1, script.LAYERS]
    assert (sizes == script.LAYERS).sum() == 4 * script.PARTICLES
    a, b = graph.links
    assert (a // per_event == b // per_event).all()
    assert (graph.layer[b] - graph.layer[a] == 1).all()
    apart = np.angle(np.exp(1j * (graph.phi[b] - graph.phi[a])))
    np.testing.assert_allclose(graph.slope, apart, atol=1e-12)
    # Every step of a particle that is not too steep has its link.
    true = int((graph.particle[a] == graph.particle[b]).sum())
    assert true > 0.99 * 4 * script.PARTICLES * (script.LAYERS - 1)


def test_row_149_clusters_are_the_connected_parts() -> None:
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    sparse = pytest.importorskip("scipy.sparse")
    script = experiments.load("hits_to_clusters")
    graph = script.hits(events=3, seed=1)
    true = graph.particle[graph.links[0]] == graph.particle[graph.links[1]]
    n = len(graph.phi)
    for kept in (true, np.full(len(true), True), np.full(len(true), False)):
        a, b = graph.links[:, kept]
        count, truth = csgraph.connected_components(
            sparse.coo_matrix((np.ones(len(a)), (a, b)), (n, n)), directed=False
        )
        found = script.clusters(graph, kept)
        assert len(np.unique(found)) == count
        assert len(np.unique(np.stack([found, truth]), axis=1).T) == count


def test_row_149_messages_find_the_particles() -> None:
    script = experiments.load("hits_to_clusters")
    result = script.experiment(events=24, steps=100)
    _, alone, once, often, truth = result["rows"].values()
    assert truth[0] == truth[1] == 1.0
    assert truth[2] > 0.97  # what the links allow
    for links, purity, efficiency in (once, often):
        assert links > alone[0] + 0.12
        assert purity > alone[1] + 0.2
        assert efficiency > alone[2] + 0.25
    experiments.drawn(script, result, 2)


def test_row_149_the_network_does_not_care_in_which_order_hits_come() -> None:
    script = experiments.load("hits_to_clusters")
    graph = script.hits(events=2, seed=2)
    tg.manual_seed(0)
    net = script.LinkNet(2)
    place = np.random.default_rng(0).permutation(len(graph.phi))  # where each hit goes
    moved = graph._replace(phi=graph.phi[np.argsort(place)], links=place[graph.links])
    with tg.no_grad():
        np.testing.assert_array_equal(net(graph).numpy(), net(moved).numpy())


@pytest.mark.proof
def test_row_151_signal_and_background(record: dict[str, str], full: bool) -> None:
    script = experiments.load("higgs_fit")
    result = script.experiment(toys=5000 if full else 600)
    record["Higgs fit"] = (
        f"strength {result['strength']:.3f}, pulls {result['pull mean']:.3f} ± {result['pull width']:.3f}, "
        f"median significance {result['median Z']:.2f}, Asimov {result['Asimov Z']:.2f}"
    )
    assert abs(result["pull mean"]) < 0.15
    assert abs(result["pull width"] - 1) < 0.1
    assert abs(result["spread"] / result["error"] - 1) < 0.1
    assert abs(result["Asimov μ"] - 1) < 0.03
    assert abs(result["median Z"] - result["Asimov Z"]) < 0.2
    # Known background would be the most that there is to find; a free one costs a little.
    known = math.sqrt((asimov_significance(result["signal"], result["background"]) ** 2).sum())
    assert 0.75 * known < result["Asimov Z"] < known
    # χ² of one degree of freedom, half of it at 0: 1 - Φ(1) = .1587 are above 1.
    assert abs(result["Z > 1 without signal"] - 0.1587) < 0.05
    experiments.drawn(script, result, 2)


def test_row_151_the_background_is_free_to_move() -> None:
    """One that is larger and steeper than that which the network learned is followed, nearly without bias; a network that could
    not move takes it for less signal than there is, or more."""
    script = experiments.load("higgs_fit")
    background, signal = script.expected()
    weights = script.sidebands(background + signal)
    other = 1.1 * background * (script.MASS / 130) ** -0.7
    spectra = np.random.default_rng(1).poisson(other + signal, (300, len(background))).astype(float)
    strength, error, _ = script.fit(spectra, weights, signal)
    pull = (strength - 1) / error
    assert abs(pull.mean()) < 0.25
    assert abs(pull.std() - 1) < 0.12
    script.TIE = 1e-4
    strength, error, _ = script.fit(spectra, weights, signal)
    assert abs(((strength - 1) / error).mean()) > 1


def test_row_151_against_a_general_minimizer() -> None:
    """The best fit of one spectrum is SciPy's, and the error that of the profile likelihood: Δ(-ln L) = ½ one error away."""
    optimize = pytest.importorskip("scipy.optimize")
    script = experiments.load("higgs_fit")
    background, signal = script.expected()
    weights = script.sidebands(background + signal, steps=800)
    counts = np.random.default_rng(2).poisson(background + signal).astype(float)
    (strength,), (error,), (least,) = script.fit(counts[None], weights, signal, steps=100)

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        copies = tg.tensor(np.repeat(p[None, None], len(counts), 1)).requires_grad_()
        rate = script.model(copies, signal)
        value = (rate - tg.tensor(counts) * rate.log()).sum()
        value.backward()
        away = (p[1:] - weights) / script.TIE
        slope = copies.grad.numpy()[0].sum(0) + np.concatenate([[0.0], away / script.TIE])
        return float(value.detach()) + 0.5 * float((away**2).sum()), slope

    start = np.concatenate([[0.0], weights])
    best = optimize.minimize(loss, start, jac=True, method="BFGS", options={"maxiter": 2000, "gtol": 1e-4})
    assert abs(best.fun - least) < 1e-3
    assert abs(best.x[0] - strength) < 0.02 * error

    def profile(mu: float) -> float:
        def at(p: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = loss(np.concatenate([[mu], p]))
            return value, slope[1:]

        return float(optimize.minimize(at, best.x[1:], jac=True, method="BFGS", options={"gtol": 1e-3}).fun)

    for mu in (strength - error, strength + error):
        assert abs(profile(mu) - least - 0.5) < 0.06
