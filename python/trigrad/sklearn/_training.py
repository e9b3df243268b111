"""One network in training: its steps recorded once and replayed in C++ (`trigrad.compile`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import _core, _losses, nn, ops, optim
from trigrad._autograd import enable_grad
from trigrad._compile import compile as compiled
from trigrad._core import Tensor, from_numpy
from trigrad._device import device as Device

__all__ = ["ACTIVATIONS", "LOSSES", "Training", "forward"]

Array: TypeAlias = NDArray[Any]
Step: TypeAlias = Callable[..., Tensor]

ACTIVATIONS: dict[str, tuple[type[nn.Module], Callable[[Tensor], Tensor]]] = {
    "identity": (nn.Identity, lambda x: x),
    "logistic": (nn.Sigmoid, ops.sigmoid),
    "tanh": (nn.Tanh, ops.tanh),
    "relu": (nn.ReLU, ops.relu),
}
MILLISECONDS = 100  # of steps in C++; then Python looks whether it was interrupted
ROWS = 8192  # that one forward pass takes: more would only need more memory


# ---- losses: the mean over the rows of weight · loss, a row's loss summed over its outputs


def _cross_entropy(z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    return _losses.cross_entropy(z, y, sample_weight=weight)


def _logistic(z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    value = _losses.binary_cross_entropy_with_logits(z, y, sample_weight=weight)
    return value * float(z.shape[1]) if z.shape[1] > 1 else value


def _half_square(z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    return _losses.mse_loss(z, y, sample_weight=weight) * (0.5 * z.shape[1])


def _half_poisson(z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Without what depends on y alone; z is the logarithm of the prediction."""
    value = _losses.poisson_nll_loss(z, y, log_input=True, sample_weight=weight)
    return value * float(z.shape[1]) if z.shape[1] > 1 else value


LOSSES: dict[str, Callable[..., Tensor]] = {
    "softmax": _cross_entropy,
    "logistic": _logistic,
    "squared_error": _half_square,
    "poisson": _half_poisson,
}


class _Given(nn.Linear):
    """A layer whose weights are given: none are drawn, and the default generator stays where it is."""

    def reset_parameters(self) -> None:
        pass


def _linear(coef: Array, intercept: Array, device: Device) -> nn.Linear:
    """A layer of coef (inputs, outputs) and intercept (outputs,). On the CPU it lies on their memory: what it learns is there to
    be read."""
    layer = _Given(1, 1, dtype=_core.float64)
    layer.in_features, layer.out_features = coef.shape
    layer.weight = nn.Parameter(from_numpy(coef.T).to(device))
    layer.bias = nn.Parameter(from_numpy(intercept).to(device))
    return layer


def owned(coef: Array) -> Array:
    """(inputs, outputs) in the memory that a layer wants: that of its transpose, contiguous and its own."""
    return np.array(coef.T, order="C").T


def forward(X: Array, coefs: Sequence[Array], intercepts: Sequence[Array], activation: str, device: Device) -> Array:
    """Rows (n, inputs) through the layers: (n, outputs), before the last activation."""
    layers = [
        (from_numpy(np.ascontiguousarray(c.T)).to(device), from_numpy(np.ascontiguousarray(b)).to(device))
        for c, b in zip(coefs, intercepts, strict=True)
    ]
    made = np.empty((len(X), len(intercepts[-1])), X.dtype)
    act = ACTIVATIONS[activation][1]
    before = _core.set_grad_enabled(False)
    try:
        for first in range(0, len(X), ROWS):
            h = from_numpy(np.array(X[first : first + ROWS], order="C")).to(device)
            for k, (weight, bias) in enumerate(layers):
                h = ops.dense(h, weight, bias)
                if k + 1 < len(layers):
                    h = act(h)
            made[first : first + ROWS] = h.cpu().numpy()
    finally:
        _core.set_grad_enabled(before)
    return made


def _set(params: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for p, value in zip(params, values, strict=True):
        ops.copy_(p.detach(), value)


def _shrunk(values: Tensor, by: float) -> Tensor:
    """Each towards 0 by that much, and no further."""
    return ops.mul(ops.sign(values), ops.maximum(ops.sub(ops.abs(values), by), 0.0)) if by else values


class Training:
    """The step of a network that learns `coefs` and `intercepts`: on their memory, or on a GPU, from where they are fetched after
    each epoch and minimum."""

    def __init__(
        self,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        activation: str,
        loss: str,
        optimizer: str,
        options: dict[str, Any],
        device: Device,
    ) -> None:
        layers = [_linear(c, b, device) for c, b in zip(coefs, intercepts, strict=True)]
        between = ACTIVATIONS[activation][0]
        parts = itertools.chain.from_iterable((layer, between()) for layer in layers)
        self.model = nn.Sequential(*list(parts)[:-1])
        self.device, self._made = device, LOSSES[loss]
        weights = [layer.weight for layer in layers]
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self._elsewhere = (
            []
            if device.type == "cpu"
            else [*zip([*(c.T for c in coefs), *intercepts], [*weights, *biases], strict=True)]
        )
        if optimizer == "lbfgs":
            self.optimizer: optim.Optimizer = optim.LBFGS([*weights, *biases], **options)
        else:
            groups = [{"params": weights}, {"params": biases}]
            self.optimizer = {"adam": optim.Adam, "sgd": optim.SGD}[optimizer](groups, **options)
        self.step: Any = compiled(self._step())
        self.steps = 0  # that a quasi-Newton optimizer made
        self._batches: dict[int, tuple[Tensor, ...]] = {}

    def _step(self) -> Step:
        model, loss, optimizer = self.model, self._made, self.optimizer

        def step(*batch: Tensor) -> Tensor:
            optimizer.zero_grad()
            value = loss(model(batch[0]), *batch[1:])
            value.backward()
            optimizer.step()
            return value

        return step

    def _fetch(self) -> None:
        for array, learned in self._elsewhere:
            array[...] = learned.detach().cpu().numpy()

    @enable_grad()
    def epoch(self, tables: tuple[Tensor, ...], order: Tensor | None, batch: int, alpha: float) -> float:
        """Once over the rows of the tables in this order; the mean loss, penalty aside. `alpha` is the weight of |W|² / 2 for
        the mean over one row: a batch of m rows has alpha / m of it."""
        n = tables[0].shape[0]
        whole = n // batch
        sizes = [batch] * whole + [n - whole * batch] * (n > whole * batch)
        losses = _core.empty((len(sizes),), _core.float64, "cpu")
        order = None if order is None else order.to(self.device)
        k = 0
        try:
            while k < len(sizes):
                end = whole if k < whole else len(sizes)
                self.optimizer.param_groups[0]["weight_decay"] = alpha / sizes[k]
                room = self._batches.get(sizes[k])
                if room is None:
                    room = tuple(_core.empty((sizes[k], *t.shape[1:]), t.dtype, t) for t in tables)
                    self._batches[sizes[k]] = room
                k += self.step._batches(room, tables, order, k * batch, losses[k:end], MILLISECONDS)
        finally:
            self._fetch()
        rows = _core.from_nested(sizes, _core.float64, "cpu")
        return float(ops.sum(ops.mul(losses, rows))) / n

    def set_rate(self, rate: float) -> None:
        """Another learning rate. What momentum there is goes on in steps of the length that it was made with."""
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                made = self.optimizer.state[p].get("momentum_buffer")
                if made is not None:
                    made.mul_(group["lr"] / rate)
            group["lr"] = rate

    @enable_grad()
    def minimize(self, tables: tuple[Tensor, ...], alpha: float) -> float:
        """Quasi-Newton steps on all rows at once; the loss, penalty and all, where they end."""
        model, loss, optimizer = self.model, self._made, self.optimizer
        weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]

        def penalised(*batch: Tensor) -> Tensor:
            optimizer.zero_grad()
            value = loss(model(batch[0]), *batch[1:])
            if alpha:
                for weight in weights:
                    value = value + ops.sum(ops.square(weight)) * (0.5 * alpha)
            value.backward()
            return value

        replayed = compiled(penalised)
        found: list[float] = []

        def closure() -> Tensor:
            value: Tensor = replayed(*tables)
            found.append(float(value))
            return value

        group = optimizer.param_groups[0]
        allowed, gained = group["max_iter"], np.inf
        while True:
            optimizer.step(closure)
            self.steps += int(next(iter(optimizer.state.values()))["n_iter"])
            steep = max(float(ops.amax(ops.abs(p.grad))) for p in group["params"] if p.grad is not None)
            best = min(found)
            if (
                steep <= group["tolerance_grad"]
                or self.steps >= allowed
                or len(found) >= group["max_eval"]
                or best >= gained - 1e-6 * abs(gained)
            ):
                self._fetch()
                return best
            # No way down in this direction, as at a corner of a ReLU: anew along the gradient, with what is left of the steps.
            gained, group["max_iter"] = best, allowed - self.steps
            optimizer.state.clear()

    def without_biases(self) -> None:
        """Leave them as they are."""
        group = self.optimizer.param_groups[0]
        group["params"] = [p for p in group["params"] if p.ndim == 2]

    @enable_grad()
    def minimize_with_corners(
        self, tables: tuple[Tensor, ...], squares: float, absolutes: float, most: int, tolerance: float
    ) -> int:
        """The minimum of loss + squares |W|² / 2 + absolutes |W| by accelerated proximal steps (Beck and Teboulle 2009, restarted
        where they climb): how many were made. It ends where no component of a step, over its length, is above `tolerance`."""
        params = self.optimizer.param_groups[0]["params"]
        model, loss = self.model, self._made

        def gradient(*batch: Tensor) -> Tensor:
            for p in params:
                p.grad = None
            value = loss(model(batch[0]), *batch[1:])
            for p in params:
                if p.ndim == 2 and squares:
                    value = value + ops.sum(ops.square(p)) * (0.5 * squares)
            value.backward()
            return value

        def smooth() -> float:
            return float(gradient(*tables))

        length, at = 1.0, [p.detach().clone() for p in params]
        ahead, momentum = [a.clone() for a in at], 1.0
        for step in range(1, most + 1):
            _set(params, ahead)
            value = smooth()
            slopes = [p.grad.clone() for p in params if p.grad is not None]
            while True:  # backtracking: the parabola of this width must lie above
                moved = [
                    _shrunk(a - g * length, absolutes * length if p.ndim == 2 else 0.0)
                    for p, a, g in zip(params, ahead, slopes, strict=True)
                ]
                _set(params, moved)
                steps = [m - a for m, a in zip(moved, ahead, strict=True)]
                rise = sum(float(ops.sum(g * d)) for g, d in zip(slopes, steps, strict=True))
                square = sum(float(ops.sum(d * d)) for d in steps)
                if smooth() <= value + rise + square / (2 * length) + 1e-12 * abs(value) or length < 1e-12:
                    break
                length /= 2
            if max(float(ops.amax(ops.abs(d))) for d in steps) / length <= tolerance:
                self._fetch()
                return step
            backwards = sum(float(ops.sum((a - m) * (m - o))) for a, m, o in zip(ahead, moved, at, strict=True))
            faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2 if backwards <= 0 else 1.0
            share = (momentum - 1) / faster if backwards <= 0 else 0.0
            ahead = [m + (m - o) * share for m, o in zip(moved, at, strict=True)]
            at, momentum = moved, faster
            length *= 1.1
        self._fetch()
        return most

    # ---- what an optimizer remembers, as arrays

    def state(self) -> list[dict[str, Any]]:
        """Of each parameter, in order."""
        return [
            {
                name: v.cpu().numpy().copy() if isinstance(v, Tensor) else v
                for name, v in self.optimizer.state[p].items()
            }
            for group in self.optimizer.param_groups
            for p in group["params"]
        ]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """What `state` gave."""
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        for p, state in zip(params, states, strict=True):
            self.optimizer.state[p] = {
                name: from_numpy(np.array(v)).to(self.device) if isinstance(v, np.ndarray) else v
                for name, v in state.items()
            }
