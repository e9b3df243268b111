"""From the hits in a detector to clusters, by messages along links

From the deck "Deep Learning Lecture 1": "Start with pattern of detector hits ... Associate each incident particle with a
collection of hits", and of graph networks: "Make links between the neighbors. Iterate back and forth with the neighbors".

Twelve particles cross ten layers on φ = φ₀ + κ r, measured to 0.01; each layer has three hits of noise besides. Links join hits
of successive layers less than 0.15 apart. A network says which links stay within a particle; clusters are what these hold
together. Pure is the share of a cluster's hits that are of its main particle; found is a particle with most of its hits in a
cluster that are most of that cluster's. A network that sees each link by itself keeps those where particles cross, and one such
link joins two of them: it finds a fifth of the particles. Messages along links let slopes be compared, and two thirds are found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

LAYERS, PARTICLES, NOISE = 10, 12, 3


class Hits(NamedTuple):
    phi: Any  # (hits,)
    layer: Any  # (hits,)
    particle: Any  # (hits,) a number of its own for each particle and each hit of noise
    links: Any  # (2, links) hits of one layer and of the next
    slope: Any  # (links,)


def hits(events: int, seed: int) -> Hits:
    """All events in one graph; no link leads from one to another."""
    rng = np.random.default_rng(seed)
    phi0, slope = rng.uniform(-np.pi, np.pi, (events, 1, PARTICLES)), rng.uniform(-0.12, 0.12, (events, 1, PARTICLES))
    r = np.arange(LAYERS)[:, None]
    real = phi0 + slope * r + 0.01 * rng.normal(size=(events, LAYERS, PARTICLES))
    phi = np.concatenate([real, rng.uniform(-np.pi, np.pi, (events, LAYERS, NOISE))], 2)  # (events, layers, hits)
    number = np.arange(phi.size).reshape(phi.shape)
    particle = number.copy()
    particle[..., :PARTICLES] = number[:, :1, :PARTICLES]  # that of the hit in the first layer
    d = (phi[:, 1:, None, :] - phi[:, :-1, :, None] + np.pi) % (2 * np.pi) - np.pi
    near = abs(d) < 0.15
    event, layer, i, j = near.nonzero()
    links = np.stack([number[event, layer, i], number[event, layer + 1, j]])
    return Hits(phi.ravel(), np.broadcast_to(r, phi.shape).ravel(), particle.ravel(), links, d[near])


class LinkNet(nn.Module):
    """The logit of each link (links,), after `rounds` of messages from links to hits and back."""

    def __init__(self, rounds: int, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        rows = [nn.Sequential(nn.Linear(5 * width, width), nn.ReLU(), nn.Linear(width, width)) for _ in range(rounds)]
        self.rounds = nn.ModuleList(rows)
        self.last = nn.Sequential(nn.ReLU(), nn.Linear(width, 1))

    def forward(self, graph: Hits) -> Any:
        ends = [tg.tensor(hit) for hit in graph.links]
        e = self.first(tg.tensor(graph.slope[:, None] * 10).float())  # (links, width)
        for row in self.rounds:
            # (hits, width) twice: what leaves each hit, and what comes to it
            at_hits = [tg.zeros(len(graph.phi), e.shape[1]).index_add(0, hit, e) for hit in ends]
            e = e + row(tg.cat([e, *(sums[hit] for sums in at_hits for hit in ends)], 1))
        return self.last(e)[:, 0]


def trained(graph: Hits, rounds: int, steps: int) -> LinkNet:
    tg.manual_seed(0)
    net = LinkNet(rounds)
    optimizer = tg.optim.Adam(net.parameters(), lr=0.01)
    truth = tg.tensor((graph.particle[graph.links[0]] == graph.particle[graph.links[1]]).astype("float32"))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(graph), truth).backward()
        optimizer.step()
    return net


def clusters(graph: Hits, kept: Any) -> Any:
    """The cluster of each hit (hits,): the first hit that kept links lead to."""
    found, (a, b) = np.arange(len(graph.phi)), graph.links[:, kept]
    while (found[a] != found[b]).any():
        np.minimum.at(found, a, found[b])
        np.minimum.at(found, b, found[a])
    return found


def judged(graph: Hits, kept: Any) -> tuple[float, float]:
    """Purity of the clusters of three hits and more, and the share of particles that were found."""
    cluster = clusters(graph, kept)
    (owner, _), shared = np.unique(np.stack([cluster, graph.particle]), axis=1, return_counts=True)
    size = np.bincount(cluster)[owner]
    main = np.zeros(len(graph.phi), int)
    np.maximum.at(main, owner, shared)
    large = np.flatnonzero(np.bincount(cluster) >= 3)
    purity = main[large].sum() / np.bincount(cluster)[large].sum()
    found = (2 * shared > LAYERS) & (2 * shared > size)
    return float(purity), float(found.sum() / (np.bincount(graph.particle) > 1).sum())


def experiment(events: int = 60, steps: int = 150, seed: int = 0) -> dict[str, Any]:
    train, test = hits(events, seed), hits(events, seed + 1)
    kept = {"all links": np.full(len(test.slope), True)}
    for name, rounds in (("network, links alone", 0), ("network, 1 round of messages", 1), ("network, 3 rounds", 3)):
        kept[name] = trained(train, rounds, steps)(test).detach().numpy() > 0
    true = test.particle[test.links[0]] == test.particle[test.links[1]]
    kept["the true links"] = true
    rows = {name: (float((links == true).mean()), *judged(test, links)) for name, links in kept.items()}
    return {"test": test, "kept": kept, "rows": rows}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    test, one = result["test"], slice(0, LAYERS * (PARTICLES + NOISE))
    for axes, name in zip(figure.subplots(1, 2), ("network, links alone", "network, 3 rounds"), strict=True):
        a, b = test.links[:, result["kept"][name] & (test.links[1] < one.stop)]
        ends = np.stack([a, b])[:, abs(test.phi[a] - test.phi[b]) < 1]  # without those that go once around
        axes.plot(test.layer[ends], test.phi[ends], color="0.8", zorder=0)
        axes.scatter(
            test.layer[one], test.phi[one], c=clusters(test, result["kept"][name])[one] % 20, cmap="tab20", s=14
        )
        axes.set(xlabel="layer", ylabel="φ", title=f"clusters: {name}")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("links", "right", "purity", "efficiency"), [(name, *row) for name, row in result["rows"].items()])
    shown.save(__file__, lambda: picture(result))
