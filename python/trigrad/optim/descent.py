"""Descent of the whole sample that looks where it steps."""

from __future__ import annotations

import math
from typing import Any

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad.optim.optimizer import Closure, Optimizer, Params, no_less, real

__all__ = ["GradientDescent"]


class GradientDescent(Optimizer):
    """Gradient descent on the whole sample with backtracking: a step of length lr, or `shrink` times that as often as it
    takes for the loss to fall by at least `decrease` times what its slope promises. The length found is the first to be
    tried by the next step, `grow` times longer. When no length down to `smallest` lowers the loss, the parameters stay as
    they are and `stopped` is true: iterate until the loss fails to decrease.

    The closure clears the gradients, computes the loss and its gradients, and returns the loss.

    >>> import trigrad as tg
    >>> w = tg.tensor([3.0]).requires_grad_()
    >>> optimizer = tg.optim.GradientDescent([w], lr=10.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> while not optimizer.stopped:
    ...     loss = optimizer.step(closure)
    >>> w.detach()
    tensor([1.])
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        shrink: float = 0.5,
        grow: float = 2.0,
        decrease: float = 1e-4,
        smallest: float = 1e-12,
        *,
        maximize: bool = False,
    ) -> None:
        no_less("GradientDescent", 0, lr=lr, smallest=smallest)
        no_less("GradientDescent", 1, grow=grow)
        if not 0 < shrink < 1 or not 0 <= decrease < 1:
            raise ValueError(
                f"[GradientDescent] shrink is {shrink} and decrease {decrease}, expected 0 < shrink < 1, 0 <= decrease < 1"
            )
        defaults = {
            "lr": lr,
            "shrink": shrink,
            "grow": grow,
            "decrease": decrease,
            "smallest": smallest,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(f"[GradientDescent] got {len(self.param_groups)} parameter groups, expected one")
        self.stopped = False

    def step(self, closure: Closure | None = None) -> Any:
        """One step that lowers the loss, if there is one; returns the loss before it."""
        if closure is None:
            raise TypeError("[GradientDescent] step() needs a closure that computes the loss and its gradients")
        group = self.param_groups[0]
        loss = closure()
        before = _core.set_grad_enabled(False)
        try:
            params = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad.clone() for p in params if p.grad is not None]
            starts = [p.detach().clone() for p in params]
            square = sum(float(ops.sum(ops.mul(g, g)).item()) for g in grads)
            sign = -1.0 if group["maximize"] else 1.0
            value, t = sign * float(loss), real(group["lr"])
            self.stopped = True
            while square > 0 and math.isfinite(square) and t >= group["smallest"]:
                ops.sgd_([*params, *grads], t, 0.0, 0.0, 0.0, False, group["maximize"])
                _core.set_grad_enabled(True)
                try:
                    there = sign * float(closure())
                except BaseException:  # it did not come back: neither shall the parameters have moved
                    _core.set_grad_enabled(False)
                    for p, start in zip(params, starts, strict=True):
                        ops.copy_(p, start)
                    raise
                finally:
                    _core.set_grad_enabled(False)
                if there < value and there <= value - group["decrease"] * t * square:
                    group["lr"] = t * group["grow"]
                    self.stopped = False
                    break
                for p, start in zip(params, starts, strict=True):
                    ops.copy_(p, start)
                t *= group["shrink"]
        finally:
            _core.set_grad_enabled(before)
        return loss
