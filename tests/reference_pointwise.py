"""What pointwise rows mean."""

from __future__ import annotations

import math

import numpy as np

from reference_base import REFERENCE, Array

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

BINARY = {
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder", "floor_divide", "eq", "ne", "lt", "le", "gt", "ge",
}  # fmt: skip

REFERENCE.update(
    {
        # two arguments
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "pow": np.power,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "remainder": np.mod,  # the sign of the divisor, as in Python
        "floor_divide": np.floor_divide,
        "eq": lambda a, b: a == b,
        "ne": lambda a, b: a != b,
        "lt": lambda a, b: a < b,
        "le": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "ge": lambda a, b: a >= b,
        # one argument
        "neg": lambda x: -x,
        "abs": np.abs,
        "sign": np.sign,
        "square": lambda x: x * x,
        "reciprocal": lambda x: 1 / x,
        "sqrt": np.sqrt,
        "rsqrt": lambda x: 1 / np.sqrt(x),
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "erf": _erf,
        "sigmoid": _sigmoid,
        "floor": np.floor,
        "ceil": np.ceil,
        "trunc": np.trunc,
        "round": np.rint,
        "isnan": np.isnan,
        "isinf": np.isinf,
        "isfinite": np.isfinite,
        "logical_not": np.logical_not,
        # activations
        "relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
        "leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
        "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
        # -inf gives the limit
        "gelu": lambda x: np.where(x == -math.inf, -0.0, 0.5 * x * _erfc(-x / math.sqrt(2))),
        "silu": lambda x: np.where(x == -math.inf, -0.0, x * _sigmoid(x)),
        "softplus": _softplus,
        "clamp": lambda x, min=-math.inf, max=math.inf: np.minimum(np.maximum(x, min), max),
    }
)
