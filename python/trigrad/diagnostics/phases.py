"""Phases of random weights: what mean-field theory says of a deep, wide network before it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from trigrad import _core, ops
from trigrad._autograd import enable_grad, grad
from trigrad._core import Tensor

__all__ = ["WeightPhase", "critical_weight_variance", "phase"]

Activation = Callable[[Tensor], Tensor]


class WeightPhase(NamedTuple):
    """Where a network stands. Its pre-activations have variance q in deep layers; a gradient's square grows by χ₁ per layer
    on its way back, as does the distance of two inputs that are close to each other, on its way forward."""

    name: str
    """ordered (χ₁ < 1: gradients vanish), critical or chaotic (χ₁ > 1: they explode)"""
    q: float
    """the variance of the pre-activations that layers converge to"""
    chi: float
    """χ₁ = σ_w² ∫Dz φ′(√q z)²"""
    depth: float
    """ξ = 1/|ln χ₁|: after so many layers a gradient's square has changed by a factor of e; a network that is much deeper
    hardly trains"""


@cache
def _nodes() -> tuple[Tensor, Tensor]:
    """Points z and weights of ∫Dz = ∫dz e^(-z²/2)/√2π: the midpoint rule in t with z = ε sinh t, which converges faster than
    any power of the step for smooth functions, however steep they are at 0, and for those with a kink there."""
    near, step, reach = 1e-5, 1 / 32, 14.5
    t = (ops.native_arange(0, 1, round(2 * reach / step), _core.float64) + 0.5) * step - reach
    z = near * ops.sinh(t)
    return z, ops.exp(-0.5 * z * z) * ops.cosh(t) * (near * step / math.sqrt(2 * math.pi))


def _moments(activation: Activation, q: float) -> tuple[float, float]:
    """∫Dz φ(√q z)² and ∫Dz φ′(√q z)²."""
    z, weight = _nodes()
    x = (math.sqrt(q) * z).requires_grad_()
    with enable_grad():
        y = activation(x)
        (slope,) = grad(y.sum(), x)
    y = y.detach()
    return float((weight * y * y).sum()), float((weight * slope * slope).sum())


def _check(op: str, **variances: float) -> None:
    for name, value in variances.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"[{op}] {name} is {value}, expected a variance: a number of at least 0")


def _bisect(low: float, high: float, above: Callable[[float], bool]) -> float:
    """Where `above` turns true, to the last bits; both ends are positive."""
    while high / low > 1 + 1e-13:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if above(middle) else (middle, high)
    return math.sqrt(low * high)


SMALLEST, LARGEST = 1e-14, 1e8  # variances q that are told from 0 and from ∞
EXACT = 1e-12  # what rounding may do to a variance


def phase(weight_variance: float, bias_variance: float = 0.0, activation: Activation = ops.tanh) -> WeightPhase:
    """The phase of a wide network with weights N(0, weight_variance / fan_in) and biases N(0, bias_variance).

    The variance of the pre-activations goes from layer to layer as q → σ_w² ∫Dz φ(√q z)² + σ_b². `activation` is any
    differentiable function of a float64 tensor, element by element.

    >>> import trigrad as tg
    >>> [tg.diagnostics.phase(s).name for s in (0.5, 1.0, 2.0)]
    ['ordered', 'critical', 'chaotic']
    >>> round(tg.diagnostics.phase(2.0).q, 4), round(tg.diagnostics.phase(2.0).chi, 4)
    (0.618, 1.1055)
    """
    _check("phase", weight_variance=weight_variance, bias_variance=bias_variance)

    def falls(q: float) -> bool:
        return weight_variance * _moments(activation, q)[0] + bias_variance <= q * (1 + EXACT)

    if falls(SMALLEST):
        q = 0.0
    elif not falls(LARGEST):
        q = math.inf
    else:
        q = _bisect(SMALLEST, LARGEST, falls)
    chi = weight_variance * _moments(activation, min(max(q, SMALLEST), LARGEST))[1]
    if math.isnan(chi):
        raise ValueError("[phase] the activation or its slope is NaN somewhere, expected numbers for any input")
    name = "critical" if abs(chi - 1) < 1e-6 else "ordered" if chi < 1 else "chaotic"
    depth = 0.0 if chi == 0 else math.inf if name == "critical" else 1 / abs(math.log(chi))
    return WeightPhase(name, q, chi, depth)


def critical_weight_variance(bias_variance: float = 0.0, activation: Activation = ops.tanh) -> float:
    """The σ_w² at which χ₁ = 1 for biases of that variance: there signals and gradients go through any depth, and a deep
    network of this activation, such as tanh, trains best.

    >>> import trigrad as tg
    >>> [round(tg.diagnostics.critical_weight_variance(b), 3) for b in (0.0, 0.05)]
    [1.0, 1.761]
    """
    _check("critical_weight_variance", bias_variance=bias_variance)

    def bias_at(q: float) -> tuple[float, float]:
        """On the critical line, with variance q: σ_b² and σ_w²."""
        second, slope = _moments(activation, q)
        return q - second / slope, 1 / slope

    def reached(q: float) -> bool:
        return bias_at(q)[0] >= bias_variance - EXACT * q

    if reached(SMALLEST):
        return bias_at(SMALLEST)[1]
    if not reached(LARGEST):
        raise ValueError(
            f"[critical_weight_variance] no σ_w² is critical at a bias variance of {bias_variance}: the signal grows from "
            "layer to layer for this activation; expected another one, or bias_variance=0"
        )
    return bias_at(_bisect(SMALLEST, LARGEST, reached))[1]
