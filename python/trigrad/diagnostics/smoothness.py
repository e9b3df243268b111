"""What a step along the gradient meets: does the gradient still say there what it said here?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from trigrad.diagnostics._probe import Loss, Model, Probe, length

__all__ = ["GradientWalk", "gradient_walk"]


class GradientWalk(NamedTuple):
    """The loss and its gradient at θ − η∇L(θ), for several η (Santurkar et al. 2018, How does batch normalization help
    optimization?)."""

    steps: tuple[float, ...]
    """η"""
    start: float
    """L(θ)"""
    slope: float
    """‖∇L(θ)‖"""
    losses: tuple[float, ...]
    """L(θ − η∇L(θ)) for each η"""
    changes: tuple[float, ...]
    """‖∇L(θ − η∇L(θ)) − ∇L(θ)‖ for each η"""

    @property
    def loss_range(self) -> float:
        """How far the losses on the way are from each other: the range of the loss landscape."""
        return _largest(self.losses) - min(self.losses)

    @property
    def predictiveness(self) -> float:
        """By how much the gradient changes at most on the way; the less, the more it foretells."""
        return _largest(self.changes)

    @property
    def smoothness(self) -> float:
        """The effective β: the most that the gradient changes per distance. Where the loss is β-smooth it is at most β, the
        largest modulus of an eigenvalue of the Hessian on the way."""
        if self.slope == 0:
            return 0.0
        return _largest([change / (step * self.slope) for step, change in zip(self.steps, self.changes, strict=True)])


def _largest(numbers: Sequence[float]) -> float:
    """NaN, if there is one: a step that led nowhere is not passed over."""
    return max(numbers, key=lambda number: (math.isnan(number), number))


def gradient_walk(model: Model, loss: Loss, steps: Sequence[float]) -> GradientWalk:
    """Walk from the model's parameters θ along −∇L(θ), with L = loss(), to each of the `steps` η, and read the loss and the
    gradient there. Model, gradients, buffers and random numbers are left as they are, bit for bit.

    >>> import trigrad as tg
    >>> w = tg.ones(1, dtype=tg.float64, requires_grad=True)
    >>> walk = tg.diagnostics.gradient_walk(w, lambda: 2 * (w * w).sum(), [0.25, 0.5])
    >>> walk.losses, walk.loss_range, walk.predictiveness, walk.smoothness
    ((0.0, 2.0), 2.0, 8.0, 4.0)
    """
    given = tuple(float(step) for step in steps)
    if not given or not all(step > 0 and math.isfinite(step) for step in given):
        raise ValueError(f"[gradient_walk] steps are {list(given)}, expected positive multiples of the gradient")
    with Probe("gradient_walk", model, loss) as probe:
        start, slope = probe.gradient()
        losses, changes = [], []
        for step in given:
            probe.move(probe.start - step * slope)
            value, there = probe.gradient()
            losses.append(value)
            changes.append(length(there - slope))
        return GradientWalk(given, start, length(slope), tuple(losses), tuple(changes))
