"""A Higgs signal on a background that a network describes

From the deck "Deep Learning Lecture 1": "We need a signal model and a background model. How do we determine the right background
model?"

A spectrum of two photons' masses, 100 to 160 GeV in bins of 1 GeV: 20,000 background events that fall, and 200 of H → γγ at 125
GeV with a resolution of 1.7 GeV. Background is the exponential of a network 1-4-1, positive whatever its weights. It is learned
from the sidebands; then its 13 weights (tied to those by a Gaussian of width 0.3) and the signal strength μ are fitted together
to each of many spectra by the Poisson likelihood. Fisher scoring needs the slopes of each bin, which one backward pass through
all spectra gives.

Pulls (μ̂ - 1)/σ of mean 0 and width 1: the fit is unbiased and its error right. The discovery significance is √(2 Δln L) between
μ = 0 and μ̂; its median is that of the spectrum without fluctuations (Asimov, 3.6), and without signal 15.9 % exceed 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

EDGES = np.linspace(100.0, 160.0, 61)
MASS = (EDGES[1:] + EDGES[:-1]) / 2
X = (MASS - 130) / 30  # what the network sees
HIDDEN, TIE = 4, 0.3


def expected(background: float = 20_000.0, signal: float = 200.0) -> tuple[Any, Any]:
    """The truth: counts of background and signal in each bin."""
    falling = (MASS / 100) ** -3.0 * np.exp(-(((MASS - 100) / 70) ** 2))
    peak = np.exp(-0.5 * ((MASS - 125) / 1.7) ** 2)
    return background * falling / falling.sum(), signal * peak / peak.sum()


def sidebands(counts: Any, steps: int = 1500, seed: int = 0) -> Any:
    """The network's weights (3 HIDDEN + 1,), learned from the bins at least 5 GeV away from the signal."""
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(1, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
    net[2].bias.data.fill_(float(np.log(counts.mean())))
    trainer = tg.Trainer(net, nn.PoissonNLLLoss(), tg.optim.Adam(net.parameters(), lr=0.01))
    x, y = (v[abs(MASS - 125) > 5, None].astype("float32") for v in (X, counts))
    trainer.fit(x, y, epochs=steps, batch_size=len(x))
    return np.concatenate([p.detach().numpy().ravel() for p in net.parameters()]).astype(float)


def model(p: Any, signal: Any) -> Any:
    """Expected counts (..., bins) for μ and weights p (..., bins, 1 + weights), each bin with its own copy."""
    h = HIDDEN
    hidden = tg.tanh(p[..., 1 : h + 1] * tg.tensor(X).unsqueeze(-1) + p[..., h + 1 : 2 * h + 1])
    background = tg.exp((hidden * p[..., 2 * h + 1 : 3 * h + 1]).sum(-1) + p[..., 3 * h + 1])
    return background + p[..., 0] * tg.tensor(signal)


def fit(counts: Any, weights: Any, signal: Any, free: bool = True, steps: int = 25) -> tuple[Any, Any, Any]:
    """Spectra (n, bins) -> μ̂ (n,), its error (n,), -ln L at the best fit (n,). μ stays 0 unless it is `free`. Steps of Fisher
    scoring, damped where one made it worse."""
    n, size = len(counts), 1 + len(weights)
    start = np.concatenate([[0.0], weights])
    tie = np.diag([0.0 if free else 1e12, *np.full(len(weights), TIE**-2)])
    p, trial, best, damping = np.tile(start, (n, 1)), np.tile(start, (n, 1)), np.full(n, np.inf), np.full(n, 1e-2)
    climb, information = np.zeros((n, size)), np.zeros((n, size, size))
    for _ in range(steps):
        copies = tg.tensor(np.repeat(trial[:, None], len(MASS), 1)).requires_grad_()
        rate = model(copies, signal)
        rate.sum().backward()
        slopes, rate, away = copies.grad.numpy(), rate.detach().numpy(), (trial - start) @ tie
        loss = (rate - counts * np.log(rate)).sum(1) + 0.5 * (away * (trial - start)).sum(1)
        better = loss < best
        p[better], best[better] = trial[better], loss[better]
        climb[better] = (np.einsum("nbp,nb->np", slopes, counts / rate - 1) - away)[better]
        information[better] = (np.swapaxes(slopes, 1, 2) @ (slopes / rate[..., None]) + tie)[better]
        damping *= np.where(better, 0.2, 5.0)
        damped = information * (1 + damping[:, None, None] * np.eye(size))
        trial = p + np.linalg.solve(damped, climb[..., None])[..., 0]
    return p[:, 0], np.sqrt(np.linalg.inv(information)[:, 0, 0]), best


def discovery(counts: Any, weights: Any, signal: Any) -> tuple[Any, Any, Any]:
    """μ̂, its error and the significance, 0 where there are fewer events than without a signal."""
    strength, error, best = fit(counts, weights, signal)
    gained = fit(counts, weights, signal, free=False)[2] - best
    return strength, error, np.where(strength > 0, np.sqrt(2 * np.maximum(gained, 0)), 0)


def experiment(toys: int = 1000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    background, signal = expected()
    weights = sidebands(rng.poisson(background + signal))
    spectra = rng.poisson(background + signal, (toys, len(MASS))).astype(float)
    strength, error, z = discovery(spectra, weights, signal)
    asimov = discovery((background + signal)[None], weights, signal)
    nothing = discovery(rng.poisson(background, (toys, len(MASS))).astype(float), weights, signal)[2]
    pull = (strength - 1) / error
    return {
        "spectrum": spectra[0],
        "background": background,
        "signal": signal,
        "pull": pull,
        "z": z,
        "strength": float(strength.mean()),
        "spread": float(strength.std()),
        "error": float(error.mean()),
        "pull mean": float(pull.mean()),
        "pull width": float(pull.std()),
        "median Z": float(np.median(z)),
        "Asimov μ": float(asimov[0][0]),
        "Asimov Z": float(asimov[2][0]),
        "Z > 1 without signal": float((nothing > 1).mean()),
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.errorbar(MASS, result["spectrum"], np.sqrt(result["spectrum"]), fmt=".", color="0.5", label="a spectrum")
    left.plot(MASS, result["background"], "--", label="background")
    left.plot(MASS, result["background"] + result["signal"], label="with H → γγ")
    left.set(xlabel="m(γγ) [GeV]", ylabel="events / GeV")
    left.legend()
    right.hist(result["pull"], bins=30, range=(-4, 4), density=True)
    right.plot(x := np.linspace(-4, 4, 101), np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))
    right.set(xlabel="(fitted strength - 1) / error", ylabel="density")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("what", "value"), [(name, value) for name, value in result.items() if isinstance(value, float)])
    shown.save(__file__, lambda: picture(result))
