"""A library of functions for a spectrum, ranked by their likelihood

From the deck "Deep Learning Lecture 1": "We can try a whole library of functions. The likelihood we get translates to our fit."

Counts in 80 bins from 100 to 180 GeV fall as the product of a power of m and one of exp(ln² m), the form of dijet spectra. Each
candidate is fitted by the Poisson likelihood, its gradient by trigrad's autograd, its minimum by L-BFGS. Deviance is twice the
distance of -ln L from a fit that goes through all points: χ² of the degrees of freedom for a function that is right. More
parameters always lower it; AIC adds 2 for each. The true form is the best by AIC, right by its p-value, and the order by
Pearson's χ² is that by likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad.nn.functional import poisson_nll_loss

BINS = np.linspace(100.0, 180.0, 81)
Function = Callable[[Any, Any], Any]


def bernstein(p: Any, u: Any) -> Any:
    """A polynomial that is positive from 100 to 180 GeV, as its coefficients are."""
    t, n = (u - 1) / 0.8, len(p) - 1
    choose = [1.0]
    for k in range(n):
        choose.append(choose[-1] * (n - k) / (k + 1))
    return tg.log(sum(tg.exp(p[k]) * choose[k] * t**k * (1 - t) ** (n - k) for k in range(n + 1)))


# The logarithm of the counts of a bin at u = m / 100 GeV; the number of parameters.
LIBRARY: dict[str, tuple[Function, int]] = {
    "constant": (lambda p, u: p[0] + 0 * u, 1),
    "line": (bernstein, 2),
    "parabola": (bernstein, 3),
    "cubic": (bernstein, 4),
    "exponential": (lambda p, u: p[0] + p[1] * u, 2),
    "power": (lambda p, u: p[0] + p[1] * tg.log(u), 2),
    "exponential of a parabola": (lambda p, u: p[0] + p[1] * u + p[2] * u**2, 3),
    "power and ln²": (lambda p, u: p[0] + p[1] * tg.log(u) + p[2] * tg.log(u) ** 2, 3),
    "power, ln² and ln³": (lambda p, u: p[0] + p[1] * tg.log(u) + p[2] * tg.log(u) ** 2 + p[3] * tg.log(u) ** 3, 4),
}


def likelihood(function: Function, p: Any, u: Any, counts: Any) -> Any:
    """-ln L up to what no parameter changes."""
    return poisson_nll_loss(function(p, u), counts, log_input=True, reduction="sum")


def fit(function: Function, parameters: int, u: Any, counts: Any) -> Any:
    """The most likely parameters, from a constant."""
    start = [float(tg.log(counts.mean()))] * (parameters if function is bernstein else 1)
    p = tg.tensor(start + [0.0] * (parameters - len(start)), dtype=tg.float64, requires_grad=True)
    optimizer = tg.optim.LBFGS([p], max_iter=300, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = likelihood(function, p, u, counts)
        loss.backward()
        return loss

    optimizer.step(closure)
    return p.detach()


def experiment(events: int = 400_000, seed: int = 0, true: str = "power and ln²") -> dict[str, Any]:
    centres = (BINS[1:] + BINS[:-1]) / 2
    u = tg.tensor(centres / 100)
    shape = np.exp(LIBRARY[true][0](np.array([0.0, -2.0, -2.5, 0.0]), u).numpy())
    counts = np.random.default_rng(seed).poisson(events * shape / shape.sum()).astype(float)
    rows = {}
    for name, (function, parameters) in LIBRARY.items():
        p = fit(function, parameters, u, tg.tensor(counts))
        expected = np.exp(function(p, u).numpy())
        deviance = float(2 * (expected - counts + counts * np.log(counts / expected)).sum())
        chi2 = float(((counts - expected) ** 2 / expected).sum())
        rows[name] = {
            "parameters": parameters,
            "deviance": deviance,
            "chi2": chi2,
            "p": p.numpy(),
            "expected": expected,
        }
        rows[name]["aic"] = deviance + 2 * parameters
    return {"m": centres, "u": u, "counts": counts, "fits": dict(sorted(rows.items(), key=lambda row: row[1]["aic"]))}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in ("power and ln²", "parabola", "exponential"):
        row = result["fits"][name]
        axes.step(result["m"], (result["counts"] - row["expected"]) / np.sqrt(row["expected"]), where="mid", label=name)
    axes.axhline(0, color="0.5")
    axes.set(xlabel="m [GeV]", ylabel="(counts - fit) / √fit")
    axes.legend()
    return figure


if __name__ == "__main__":
    result = experiment()
    head = ("function", "parameters", "deviance", "χ²", "AIC")
    rows = [(k, r["parameters"], r["deviance"], r["chi2"], r["aic"]) for k, r in result["fits"].items()]
    shown.table(head, rows)
    shown.save(__file__, lambda: picture(result))
