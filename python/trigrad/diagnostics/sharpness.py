"""How sharply the loss curves: the ends of its Hessian's spectrum, found without the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from trigrad import ops
from trigrad._core import Tensor
from trigrad._random import Generator, randn
from trigrad._warnings import warn
from trigrad.diagnostics._probe import Loss, Model, Probe, length

__all__ = ["Curvature", "Eigenpair", "curvature", "hessian_product", "sharpness"]


class Eigenpair(NamedTuple):
    """An eigenvalue of a Hessian, with its vector."""

    value: float
    """vᵀHv: never beyond the end of the spectrum that it stands for, but for rounding"""
    vector: Tensor
    """v (P,), of length 1: a direction in which all parameters together may move"""
    residual: float
    """‖Hv − value·v‖: an eigenvalue lies within so much of value"""


class Curvature(NamedTuple):
    """Both ends of the spectrum: a minimum has no negative eigenvalue, a saddle point has both signs."""

    smallest: Eigenpair
    largest: Eigenpair


def hessian_product(model: Model, loss: Loss) -> Callable[[Tensor], Tensor]:
    """The function v (P,) -> H v (P,), with H the Hessian of loss() in the parameters as they are now, one vector as
    `nn.utils.parameters_to_vector` makes it. Each call is one pass back; the matrix is never made.

    `model` is a module, whose parameters with requires_grad count, or the tensors that the loss depends on.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> product = tg.diagnostics.hessian_product(w, lambda: w[0] ** 3 + w[0] * w[1])
    >>> product(tg.tensor([1.0, 0.0]))
    tensor([6., 1.])
    """
    with Probe("hessian_product", model, loss) as probe:
        return probe.hessian_product()


def sharpness(model: Model, loss: Loss, *, iterations: int = 200, tolerance: float = 1e-3, seed: int = 0) -> float:
    """λ_max, the largest eigenvalue of the Hessian of loss() in the parameters, by power iteration: how sharp the minimum is
    that the model stands in. Gradient descent can stay there only at learning rates below 2/λ_max.

    Options as in `curvature`; a warning says if the value may be off by more than a tenth.

    >>> import trigrad as tg
    >>> w = tg.zeros(2, requires_grad=True)
    >>> round(tg.diagnostics.sharpness(w, lambda: 2 * w[0] ** 2 - 3 * w[1] ** 2), 4)
    4.0
    """
    with Probe("sharpness", model, loss) as probe:
        search = _Search(probe, iterations, tolerance, seed)
        first = search.dominant()
        found = first if search.is_settled(first) and first.value >= 0 else search.end(first, +1)
    if found.residual > max(0.1 * abs(found.value), tolerance * abs(first.value) / 100):
        warn(
            f"[sharpness] {found.value:.4g} may be off by {found.residual:.2g} after {iterations} products with the Hessian, whose "
            f"largest eigenvalue by modulus is {first.value:.4g}; take more iterations"
        )
    return found.value


def curvature(model: Model, loss: Loss, *, iterations: int = 200, tolerance: float = 1e-3, seed: int = 0) -> Curvature:
    """The smallest and the largest eigenvalue of the Hessian of loss() in the parameters, with their directions.

    Power iteration finds the eigenvalue of the largest modulus; with that subtracted from the Hessian the other end of the
    spectrum has the largest modulus, and is found in the same way. Each search takes at most `iterations` products with the
    Hessian, from a start that `seed` draws, and ends when the residual is below `tolerance` of the eigenvalue it looks for
    (or of 1 % of the other end, if that is more): the error of the value is then about residual² over the gap to the next one. An
    end that is close to 0 beside a far one takes many products; `residual` says what is reached. Model, buffers and random
    numbers stay as they are.

    >>> import trigrad as tg
    >>> w = tg.zeros(2, requires_grad=True)
    >>> saddle = tg.diagnostics.curvature(w, lambda: w[0] ** 2 - w[1] ** 2)
    >>> round(saddle.smallest.value, 4), round(saddle.largest.value, 4)
    (-2.0, 2.0)
    """
    with Probe("curvature", model, loss) as probe:
        search = _Search(probe, iterations, tolerance, seed)
        first = search.dominant()
        if not search.is_settled(first):
            return Curvature(search.end(first, -1), search.end(first, +1))
        if first.value < 0:
            return Curvature(first, search.end(first, +1))
        return Curvature(search.end(first, -1), first)


class _Search:
    """Power iteration on H − shift·I."""

    def __init__(self, probe: Probe, iterations: int, tolerance: float, seed: int) -> None:
        if iterations < 1 or not tolerance > 0:
            raise ValueError(
                f"[{probe.op}] iterations is {iterations} and tolerance {tolerance}, expected at least 1, and more than 0"
            )
        self.op, self.iterations, self.tolerance = probe.op, iterations, tolerance
        self.product = probe.hessian_product()
        like, drawn = probe.start, Generator().manual_seed(seed)
        start = randn(like.numel(), generator=drawn, dtype=like.dtype, device=like.device)
        self.start = start / length(start)

    def dominant(self) -> Eigenpair:
        """The eigenvalue of the largest modulus, unless there are two, λ and −λ: then the residual stays."""
        return self._iterate(0.0, self.start)

    def is_settled(self, found: Eigenpair) -> bool:
        return found.residual <= self.tolerance * abs(found.value)

    def end(self, first: Eigenpair, sign: int) -> Eigenpair:
        """The largest (+1) or the smallest (−1) eigenvalue, with what `dominant` found: with its modulus added to all
        eigenvalues (or subtracted) none is on the other side of 0, and power iteration comes nearer with each step."""
        if self.is_settled(first):
            return self._iterate(-sign * abs(first.value), self.start)
        modulus = math.hypot(first.value, first.residual)  # ‖Hv‖, which tends to it in any case
        return self._iterate(-sign * modulus, first.vector if sign * first.value > 0 else self.start)

    def _iterate(self, shift: float, v: Tensor) -> Eigenpair:
        for _ in range(self.iterations):
            moved = self.product(v) - shift * v  # (P,)
            value = float(ops.sum(v.double() * moved.double()))
            residual = length(moved - value * v)
            size = math.hypot(value, residual)
            if not math.isfinite(size):
                raise ValueError(
                    f"[{self.op}] the Hessian of the loss has infinite or NaN products, expected finite ones"
                )
            found = Eigenpair(value + shift, v, residual)
            if residual <= self.tolerance * max(abs(found.value), abs(shift) / 100):
                break
            v = moved / size
        return found
