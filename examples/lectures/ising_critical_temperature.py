"""The phase transition of the Ising model

Networks of the deck "Lecture 10: Feedforward Neural Networks" learn its configurations.

Configurations of 40 x 40 spins by `trigrad.data.ising` beside Onsager's exact energy and magnetisation (Yang 1952) of an infinite
lattice, from which a finite one departs close to T_c = 2 / ln(1 + √2) = 2.26919 alone. There Binder's cumulants
U = 1 - <m⁴> / 3<m²>² of lattices of two sizes cross: of 20 and 40 at 2.269 ± 0.01. One run per size, at 2.27, says what U is at
temperatures around, by weighting its configurations (Ferrenberg and Swendsen 1988).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shown

import trigrad as tg

EXACT = 2 / math.log(1 + math.sqrt(2))
AROUND = (1.5, 1.8, 2.0, 2.1, 2.2, 2.3, 2.4, 2.6, 3.0, 3.5)
NEAR = np.linspace(2.23, 2.31, 81)


def onsager(T: float) -> tuple[float, float]:
    """Energy and magnetisation per spin."""
    K = 1 / T
    k = 2 * math.sinh(2 * K) / math.cosh(2 * K) ** 2
    a, b = 1.0, math.sqrt(1 - k * k)  # K(k) = π / 2 / agm(1, √(1 - k²))
    for _ in range(20):
        a, b = (a + b) / 2, math.sqrt(a * b)
    energy = -(1 + (2 * math.tanh(2 * K) ** 2 - 1) / a) / math.tanh(2 * K)
    return energy, (1 - math.sinh(2 * K) ** -4) ** 0.125 if T < EXACT else 0.0


def observed(X: Any, size: int) -> tuple[Any, Any]:
    """Energy and magnetisation per spin of each configuration."""
    s = X.reshape(-1, size, size)
    return -(s * (np.roll(s, 1, 1) + np.roll(s, 1, 2))).mean((1, 2), dtype=np.float64), s.mean((1, 2), dtype=np.float64)


def cumulants(size: int, n: int, seed: int) -> Any:
    """U at the temperatures NEAR. One temperature named four times has four times the chains."""
    e, m = observed(tg.data.ising(n, [2.27] * 4, size, seed=seed).X, size)
    weight = np.exp(-(1 / NEAR[:, None] - 1 / 2.27) * (e - e.mean()) * size**2)
    m2, m4 = ((weight * m**power).sum(1) / weight.sum(1) for power in (2, 4))
    return 1 - m4 / (3 * m2**2)


def experiment(
    temperatures: Sequence[float] = AROUND, n: int = 2560, near: int = 4096, seed: int = 0
) -> dict[str, Any]:
    e, m = observed(tg.data.ising(n, temperatures, seed=seed).X, 40)
    rows = []
    for k, T in enumerate(temperatures):
        mine = slice(k, None, len(temperatures))
        rows.append((T, float(e[mine].mean()), onsager(T)[0], float(abs(m[mine]).mean()), onsager(T)[1]))
    U = {size: cumulants(size, near, seed) for size in (20, 40)}
    crossings = np.polynomial.Polynomial.fit(NEAR, U[40] - U[20], 3).roots()
    return {"rows": rows, "U": U, "T_c": float(min(crossings, key=lambda T: abs(T - 2.27)).real)}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    T = np.linspace(1.4, 3.6, 300)
    left.plot(T, [onsager(t)[1] for t in T], label="exact")
    left.plot([r[0] for r in result["rows"]], [r[3] for r in result["rows"]], "o", label="40 x 40")
    left.set(xlabel="T", ylabel="magnetisation per spin")
    left.legend(framealpha=0)
    for size, U in result["U"].items():
        right.plot(NEAR, U, label=f"{size} x {size}")
    right.axvline(EXACT, linestyle=":", color="gray")
    right.set(xlabel="T", ylabel="U", title=f"crossing at {result['T_c']:.4f}")
    right.legend(framealpha=0)
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("T", "energy", "exact", "|m|", "exact"), result["rows"])
    print(f"critical temperature: {result['T_c']:.4f}, exact {EXACT:.5f}")
    shown.save(__file__, lambda: picture(result))
