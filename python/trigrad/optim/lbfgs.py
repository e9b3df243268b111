"""L-BFGS, with a line search for the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, chapters 3, 7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import zeros_like
from trigrad.optim.optimizer import Closure, Optimizer, Params, no_less, real

__all__ = ["LBFGS"]


def _dot(a: Tensor, b: Tensor) -> float:
    return float(ops.sum(ops.mul(a, b)).item())


def _largest(x: Tensor) -> float:
    return float(ops.amax(ops.abs(x)).item())


@dataclass
class _Point:
    """A place on the line: how far, the loss, its gradient, and the slope along the line."""

    t: float
    loss: float
    grad: Tensor
    slope: float


def _cubic_minimum(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where the cubic through two points with their slopes is least, between `low` and `high`."""
    if a.t > b.t:
        a, b = b, a
    bend = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = bend**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    root = math.sqrt(square)
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - bend) / (b.slope - a.slope + 2 * root)), low), high)


def _strong_wolfe(
    at: Callable[[float], _Point],
    start: _Point,
    t: float,
    reach: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    most: int = 25,
) -> tuple[_Point, int]:
    """A point where the loss has fallen by at least c1 of what the slope promised and the slope to at most c2 of what it
    was, and how many points were looked at. `reach` is the largest component of the direction.
    """

    def too_high(p: _Point) -> bool:
        return p.loss > start.loss + c1 * p.t * start.slope

    def flat(p: _Point) -> bool:
        return abs(p.slope) <= -c2 * start.slope

    # Outwards, until such a point is found or two points enclose one.
    before, here, looks, rounds = start, at(t), 1, 0
    low, high = start, here  # the better end, and the other
    while rounds < most:
        if too_high(here) or (rounds > 1 and here.loss >= before.loss):
            low, high = before, here
            break
        if flat(here):
            return here, looks
        if here.slope >= 0:
            low, high = before, here
            break
        t = _cubic_minimum(before, here, here.t + 0.01 * (here.t - before.t), here.t * 10)
        before, here = here, at(t)
        looks += 1
        rounds += 1
    else:
        low, high = start, here
    if high.loss < low.loss:
        low, high = high, low

    # Inwards, by cubics; a trial next to an end that brought nothing before is moved off that end.
    stuck = False
    while rounds < most and abs(high.t - low.t) * reach >= tolerance:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = _cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        here = at(t)
        looks += 1
        rounds += 1
        if too_high(here) or here.loss >= low.loss:
            high = here
            if high.loss < low.loss:
                low, high = high, low
        else:
            done = flat(here)
            if not done and here.slope * (high.t - low.t) >= 0:
                high = low
            low = here
            if done:
                break
    return low, looks


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last `history_size` changes of the gradient. `step(closure)` makes up to `max_iter` of
    them; the closure clears the gradients, computes the loss and its gradients, and returns the loss. One group of
    parameters only.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -2.0]).requires_grad_()
    >>> optimizer = tg.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 3) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    >>> w.detach().round()
    tensor([3., 3.])
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        no_less("LBFGS", 0, lr=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise RuntimeError(f"[LBFGS] line_search_fn is {line_search_fn!r}, expected None or 'strong_wolfe'")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(f"[LBFGS] got {len(self.param_groups)} parameter groups, expected one")

    # ---- all parameters as one vector

    def _flat(self, tensors: list[Tensor]) -> Tensor:
        return ops.cat([t.reshape(-1) for t in tensors], 0)

    def _gradient(self) -> Tensor:
        params = self.param_groups[0]["params"]
        return self._flat([zeros_like(p) if p.grad is None else p.grad for p in params])

    def _move(self, start: Tensor, t: float, direction: Tensor) -> None:
        """parameters = start + t direction"""
        self._put(ops.add(start, ops.mul(direction, t)))

    def _put(self, values: Tensor) -> None:
        at = 0
        for p in self.param_groups[0]["params"]:
            ops.copy_(p, values[at : at + p.numel()].reshape(p.shape))
            at += p.numel()

    def step(self, closure: Closure | None = None) -> Any:
        """Up to max_iter quasi-Newton steps; returns the loss before them."""
        if closure is None:
            raise TypeError(
                "[LBFGS] step() needs a closure that computes the loss and its gradients, and returns the loss"
            )
        before = _core.set_grad_enabled(False)
        try:
            return self._minimize(closure)
        finally:
            _core.set_grad_enabled(before)

    def _minimize(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        lr, least, change = real(group["lr"]), group["tolerance_grad"], group["tolerance_change"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            _core.set_grad_enabled(True)
            try:
                return closure()
            finally:
                _core.set_grad_enabled(False)

        first = evaluate()
        loss, evaluations = float(first), 1
        state["func_evals"] += 1
        grad = self._gradient()
        if _largest(grad) <= least:
            return first

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            state["d"], state["prev_flat_grad"], state["prev_loss"] = direction, grad, loss
            previous = loss
            t = min(1.0, 1.0 / float(ops.sum(ops.abs(grad)).item())) * lr if state["n_iter"] == 1 else lr
            state["t"] = t
            slope = _dot(grad, direction)
            if slope > -change:
                break
            start = self._flat([p.detach() for p in group["params"]])
            looks = 0
            try:
                if group["line_search_fn"] == "strong_wolfe":

                    def at(t: float, start: Tensor = start, direction: Tensor = direction) -> _Point:
                        self._move(start, t, direction)
                        value = float(evaluate())
                        slopes = self._gradient()
                        return _Point(t, value, slopes, _dot(slopes, direction))

                    found, looks = _strong_wolfe(at, _Point(0.0, loss, grad, slope), t, _largest(direction))
                    t, loss, grad = found.t, found.loss, found.grad
                    self._move(start, t, direction)
                else:
                    self._move(start, t, direction)
                    if iteration < group["max_iter"]:
                        loss, looks = float(evaluate()), 1
                        grad = self._gradient()
            except BaseException:  # the closure did not come back: neither shall the parameters have moved
                self._put(start)
                raise
            state["t"] = t
            evaluations += looks
            state["func_evals"] += looks
            if (
                evaluations >= group["max_eval"]
                or _largest(grad) <= least
                or _largest(direction) * abs(t) <= change
                or abs(loss - previous) < change
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], grad: Tensor, history: int) -> Tensor:
        """Minus the gradient times the inverse Hessian, as the steps and changes of the gradient so far tell it."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return ops.neg(grad)
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y = ops.sub(grad, state["prev_flat_grad"])
        s = ops.mul(state["d"], state["t"])
        curvature = _dot(y, s)
        if curvature > 1e-10:
            if len(changes) == history:
                del changes[0], steps[0], inverses[0]
            changes.append(y)
            steps.append(s)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / _dot(y, y)
        q = ops.neg(grad)
        weights = [0.0] * len(changes)
        for i in reversed(range(len(changes))):
            weights[i] = _dot(steps[i], q) * inverses[i]
            q = ops.sub(q, ops.mul(changes[i], weights[i]))
        r = ops.mul(q, float(state["H_diag"]))
        for i in range(len(changes)):
            r = ops.add(r, ops.mul(steps[i], weights[i] - _dot(changes[i], r) * inverses[i]))
        return r
