"""The optimizers' rows in plain numpy, straight from the papers' formulas. They take and return all members of the list:
parameters, gradients, states, single numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reference_base import REFERENCE, Array, quiet

Members = list[Array]


def update(states: int, scalars: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a rule of one parameter: (p, g, *states, *numbers, attributes) -> (p, *states, *numbers)."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        def row(*tensors: Array, **attrs: Any) -> tuple[Array, ...]:
            groups = 2 + states + scalars
            if rule.__name__ == "ref_sgd_":
                groups += attrs.get("momentum", 0) != 0
            elif rule.__name__ == "ref_rmsprop_":
                groups += (attrs.get("momentum", 0) != 0) + attrs.get("centered", False)
            elif rule.__name__ == "ref_adam_":
                groups += attrs.get("amsgrad", False)
            n = len(tensors) // groups
            new = list(tensors)
            for j in range(n):
                p, g, *rest = (np.asarray(t, np.float64) for t in tensors[j::n])
                if attrs.get("maximize"):
                    g = -g
                made = rule(p, g, *rest, **{k: v for k, v in attrs.items() if k != "maximize"})
                for k, value in zip([0, *range(2, groups)], made, strict=True):
                    new[k * n + j] = np.asarray(value).reshape(tensors[k * n + j].shape)
            return tuple(new)

        REFERENCE[rule.__name__.removeprefix("ref_")] = quiet(row)
        return rule

    return register


@update(0, 0)
def ref_sgd_(
    p: Array, g: Array, *buffer: Array, lr: float, momentum: float = 0, dampening: float = 0, weight_decay: float = 0,
    nesterov: bool = False, l1: float = 0,
) -> Members:  # fmt: skip
    g = g + weight_decay * p
    kept = []
    if buffer:
        kept = [momentum * buffer[0] + (1 - dampening) * g]
        g = g + momentum * kept[0] if nesterov else kept[0]
    p = p - lr * g
    return [np.sign(p) * np.maximum(np.abs(p) - lr * l1, 0), *kept]


@update(1, 1)
def ref_adagrad_(
    p: Array,
    g: Array,
    total: Array,
    t: Array,
    lr: float,
    lr_decay: float = 0,
    weight_decay: float = 0,
    eps: float = 1e-10,
) -> Members:
    g = g + weight_decay * p
    total = total + g**2
    return [p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps), total, t + 1]


@update(2, 1)
def ref_adadelta_(
    p: Array, g: Array, squares: Array, changes: Array, t: Array, lr: float, rho: float = 0.9, eps: float = 1e-6,
    weight_decay: float = 0,
) -> Members:  # fmt: skip
    g = g + weight_decay * p
    squares = rho * squares + (1 - rho) * g**2
    change = np.sqrt(changes + eps) / np.sqrt(squares + eps) * g
    return [p - lr * change, squares, rho * changes + (1 - rho) * change**2, t + 1]


@update(1, 1)
def ref_rmsprop_(
    p: Array, g: Array, squares: Array, *rest: Array, lr: float, alpha: float = 0.99, eps: float = 1e-8,
    weight_decay: float = 0, momentum: float = 0, centered: bool = False,
) -> Members:  # fmt: skip
    *rest_of_shape, t = rest
    g = g + weight_decay * p
    squares = alpha * squares + (1 - alpha) * g**2
    kept, spread = [squares], squares
    if centered:
        kept.append(alpha * rest_of_shape.pop(0) + (1 - alpha) * g)
        spread = squares - kept[1] ** 2
    step = g / (np.sqrt(spread) + eps)
    if momentum:
        step = momentum * rest_of_shape.pop(0) + step
        kept.append(step)
    return [p - lr * step, *kept, t + 1]


def averages(p: Array, g: Array, m: Array, v: Array, beta1: float, beta2: float) -> tuple[Array, Array]:
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2


def decayed(p: Array, g: Array, lr: float, weight_decay: float, decoupled: bool) -> tuple[Array, Array]:
    return (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)


@update(2, 1)
def ref_adam_(
    p: Array, g: Array, m: Array, v: Array, *rest: Array, lr: float, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, decoupled_weight_decay: bool = False,
) -> Members:  # fmt: skip
    *greatest, t = rest
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = averages(p, g, m, v, beta1, beta2)
    kept = [np.maximum(greatest[0], v)] if amsgrad else []
    t = t + 1
    spread = (kept[0] if kept else v) / (1 - beta2**t)
    return [p - lr * m / (1 - beta1**t) / (np.sqrt(spread) + eps), m, v, *kept, t]


@update(2, 1)
def ref_adamax_(
    p: Array, g: Array, m: Array, u: Array, t: Array, lr: float, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8, weight_decay: float = 0,
) -> Members:  # fmt: skip
    g = g + weight_decay * p
    m, u, t = beta1 * m + (1 - beta1) * g, np.maximum(beta2 * u, np.abs(g) + eps), t + 1
    return [p - lr / (1 - beta1**t) * m / u, m, u, t]


@update(2, 2)
def ref_nadam_(
    p: Array, g: Array, m: Array, v: Array, t: Array, product: Array, lr: float, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False,
) -> Members:  # fmt: skip
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = averages(p, g, m, v, beta1, beta2)
    t = t + 1
    mu, following = (beta1 * (1 - 0.5 * 0.96 ** (s * momentum_decay)) for s in (t, t + 1))
    product = product * mu
    step = (1 - mu) / (1 - product) * g + following / (1 - product * following) * m
    return [p - lr * step / (np.sqrt(v / (1 - beta2**t)) + eps), m, v, t, product]


@update(2, 1)
def ref_radam_(
    p: Array, g: Array, m: Array, v: Array, t: Array, lr: float, beta1: float = 0.9, beta2: float = 0.999,
    eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False,
) -> Members:  # fmt: skip
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = averages(p, g, m, v, beta1, beta2)
    t = t + 1
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    step = m / (1 - beta1**t)
    if length > 5:
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        step = step * np.sqrt(ratio) * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
    return [p - lr * step, m, v, t]


@update(1, 3)
def ref_asgd_(
    p: Array, g: Array, average: Array, t: Array, eta: Array, mu: Array, lr: float, lambd: float = 1e-4,
    alpha: float = 0.75, t0: float = 1e6, weight_decay: float = 0,
) -> Members:  # fmt: skip
    g = g + weight_decay * p
    p = p * (1 - lambd * eta) - eta * g
    t = t + 1
    return [p, average + mu * (p - average), t, lr / (1 + lambd * lr * t) ** alpha, 1 / np.maximum(1, t - t0)]


@update(2, 1)
def ref_rprop_(
    p: Array, g: Array, before: Array, size: Array, t: Array, eta_minus: float = 0.5, eta_plus: float = 1.2,
    step_min: float = 1e-6, step_max: float = 50,
) -> Members:  # fmt: skip
    turn = np.sign(g * before)
    size = np.clip(size * np.where(turn > 0, eta_plus, np.where(turn < 0, eta_minus, 1)), step_min, step_max)
    g = np.where(turn < 0, 0, g)
    return [p - np.sign(g) * size, g, size, t + 1]
