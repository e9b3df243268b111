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
    "fmod", "atan2", "hypot", "native_add", "native_lerp", "native_div_trunc", "logical_and", "logical_or", "logical_xor", "bitwise_and",
    "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift",
}  # fmt: skip


def _gelu_tanh(x: Array) -> Array:
    z = 2 * math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x)
    return np.where(x == -math.inf, -0.0, x * _sigmoid(z))


def _mish(x: Array) -> Array:
    return np.where(x == -math.inf, -0.0, x * np.tanh(_softplus(x, threshold=math.inf)))


def _truncated_quotient(a: Array, b: Array) -> Array:
    return (a - np.fmod(a, b)) // b if a.dtype.kind in "iu" else np.trunc(a / b)


def _nan_to_num(x: Array, posinf: float, neginf: float) -> Array:
    return np.where(np.isnan(x), 0, np.where(x == math.inf, posinf, np.where(x == -math.inf, neginf, x)))


def _left_shift(a: Array, b: Array) -> Array:
    width = 8 * a.dtype.itemsize
    return np.where((b < 0) | (b >= width), 0, np.left_shift(a, np.clip(b, 0, width - 1))).astype(a.dtype)


def _right_shift(a: Array, b: Array) -> Array:
    width = 8 * a.dtype.itemsize
    all_of_them = np.where(a < 0, -1, 0)
    return np.where((b < 0) | (b >= width), all_of_them, np.right_shift(a, np.clip(b, 0, width - 1))).astype(a.dtype)


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
        "fmod": np.fmod,  # the sign of the dividend, as in C
        "atan2": np.arctan2,
        "hypot": np.hypot,
        "native_div_trunc": _truncated_quotient,
        "native_add": lambda a, b, alpha: a + alpha * b,
        "native_lerp": lambda a, b, weight: a + weight * (b - a),
        "logical_and": np.logical_and,
        "logical_or": np.logical_or,
        "logical_xor": np.logical_xor,
        "bitwise_and": np.bitwise_and,
        "bitwise_or": np.bitwise_or,
        "bitwise_xor": np.bitwise_xor,
        "bitwise_left_shift": _left_shift,
        "bitwise_right_shift": _right_shift,
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
        "tan": np.tan,
        "exp2": np.exp2,
        "log2": np.log2,
        "log10": np.log10,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "sinh": np.sinh,
        "cosh": np.cosh,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "tanh": np.tanh,
        "erf": _erf,
        "sigmoid": _sigmoid,
        "floor": np.floor,
        "ceil": np.ceil,
        "trunc": np.trunc,
        "native_round": lambda x, times, over: np.rint(x * times / over) / times * over,
        "native_nan_to_num": _nan_to_num,
        "round": np.rint,
        "isnan": np.isnan,
        "isinf": np.isinf,
        "isfinite": np.isfinite,
        "logical_not": np.logical_not,
        "bitwise_not": np.bitwise_not,
        # activations
        "relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
        "leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
        "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
        # -inf gives the limit
        "gelu": lambda x: np.where(x == -math.inf, -0.0, 0.5 * x * _erfc(-x / math.sqrt(2))),
        "silu": lambda x: np.where(x == -math.inf, -0.0, x * _sigmoid(x)),
        "softplus": _softplus,
        "gelu_tanh": _gelu_tanh,
        "mish": _mish,
        "celu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
        "softsign": lambda x: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))),
        "logsigmoid": lambda x: -_softplus(-x, threshold=math.inf),
        "hardtanh": lambda x, min_val=-1.0, max_val=1.0: np.minimum(np.maximum(x, min_val), max_val),
        "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
        "hardswish": lambda x: np.where(x == -math.inf, -0.0, x * (np.clip(x + 3, 0, 6) / 6)),
        "threshold": lambda x, threshold, value: np.where(x <= threshold, value, x),
        "hardshrink": lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x),
        "softshrink": lambda x, lambd=0.5: np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0)),
        "clamp": lambda x, min=-math.inf, max=math.inf: np.minimum(np.maximum(x, min), max),
    }
)
