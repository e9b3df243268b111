"""What every op of the table means: one row per op, in plain numpy and float64, sharing no code with trigrad.

`REFERENCE[name](*tensors, **attributes)` takes and returns arrays: the tensors first, whatever their place in the
signature, the members of a list after the others; an optional tensor that is absent is None. Rows of the derivatives of
pointwise ops (`tanh_backward`, `mul_double_backward_ab`, ...) are not written down: `reference()` makes them from the row of
the function itself by finite differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import reference_indexing
import reference_kernels
import reference_ordering
import reference_random
import reference_shaping
import reference_update
from reference_base import REFERENCE, Array, quiet
from reference_pointwise import BINARY

ROOMS = (
    reference_kernels,
    reference_indexing,
    reference_random,
    reference_shaping,
    reference_ordering,
    reference_update,
)  # each fills REFERENCE

# ---------------------------------------------------------------- derivatives of pointwise rows, by finite differences

# Weights of f(x - 3h) .. f(x + 3h) for the first and second derivative; exact up to the sixth power of h.
_FIRST = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
_SECOND = np.array([2, -27, 270, -490, 270, -27, 2]) / 180


def _step(x: Array) -> Array:
    """A power of two; it shrinks with an argument that has one sign, where a pole at 0 is near."""
    nearest = np.min(np.abs(x), initial=math.inf)
    if nearest > 0 and (np.all(x > 0) or np.all(x < 0)):
        return np.exp2(np.floor(np.log2(np.minimum(np.abs(x), 1)))) * 2.0**-7
    return np.full(x.shape, 2.0**-7)


def differentiate(f: Callable[..., Array], arguments: tuple[Array, ...], k: int, order: int = 1) -> Array:
    """The elementwise derivative of f with respect to its k-th argument."""
    x = arguments[k]
    h = _step(x)
    total: Any = 0.0
    for i, weight in enumerate(_FIRST if order == 1 else _SECOND):
        if weight:
            total = total + weight * f(*arguments[:k], x + (i - 3) * h, *arguments[k + 1 :])
    return total / (h if order == 1 else h * h)


def pointwise_derivative(base: str, wrt: str) -> Callable[..., Array]:
    """Row of a derivative: ([grad_grad,] grad, input [, other], parameters) -> the grads times the derivative `wrt`."""
    function = REFERENCE[base]
    arity = 2 if base in BINARY else 1

    def run(*tensors: Array, **parameters: float) -> Array:
        def f(*arguments: Array) -> Array:
            return function(*arguments, *parameters.values())

        order = len(wrt)
        arguments = tensors[order : order + arity]
        scale: Any = math.prod(tensors[:order], start=np.float64(1))
        k = "ab".index(wrt[0])
        if order == 1:
            return scale * differentiate(f, arguments, k)
        if wrt[0] == wrt[1]:
            return scale * differentiate(f, arguments, k, order=2)
        return scale * differentiate(lambda *now: differentiate(f, now, 1), arguments, 0)

    return run


def reference(name: str, derivative: tuple[str, int, str] | None) -> Callable[..., Any]:
    """The row of an op; `derivative` as samples.derivative_of() says."""
    if name in REFERENCE:
        return quiet(REFERENCE[name])
    if derivative is None or derivative[0] not in REFERENCE:
        raise LookupError(f"tests/reference.py has no row for the op {name}")
    return quiet(pointwise_derivative(derivative[0], derivative[2]))
