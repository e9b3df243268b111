"""What every op of the table means: one row per op, in plain numpy and float64, sharing no code with trigrad.

`REFERENCE[name](*tensors, **attributes)` takes and returns arrays; an optional tensor that is absent is None. Rows of the
derivatives of pointwise ops (`tanh_backward`, `mul_double_backward_ab`, ...) are not written down: `reference()` makes them
from the row of the function itself by finite differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
REFERENCE: dict[str, Callable[..., Any]] = {}


def row(function: Callable[..., Any]) -> Callable[..., Any]:
    REFERENCE[function.__name__.removeprefix("ref_")] = function
    return function


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without numpy's warnings: overflow and NaN are results like any other here."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return run


# ---------------------------------------------------------------- pointwise

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


# ---------------------------------------------------------------- fill, copy, cast


@row
def ref_where(condition: Array, input: Array, other: Array) -> Array:
    return np.where(condition, input, other)


@row
def ref_cast(input: Array, dtype: str) -> Array:
    return input.astype(dtype)


@row
def ref_copy_(self: Array, source: Array) -> Array:
    return np.broadcast_to(source, self.shape).astype(self.dtype)


@row
def ref_fill_(self: Array, value: float) -> Array:
    return np.full(self.shape, value, self.dtype)


@row
def ref_native_arange(start: float, step: float, n: int, dtype: str) -> Array:
    return np.array([start + i * step for i in range(n)], dtype=np.float64).astype(dtype)


# ---------------------------------------------------------------- reductions


def _axes(x: Array, dim: Any) -> tuple[int, ...]:
    if dim is None or (isinstance(dim, (list, tuple)) and len(dim) == 0):
        return tuple(range(x.ndim))
    dims = [dim] if isinstance(dim, int) else dim
    return tuple(d % max(x.ndim, 1) for d in dims) if x.ndim else ()


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axes)


def _sum(x: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    return np.sum(x, axis=axes, keepdims=keepdim)


def _as(x: Array, dtype: str | None) -> Array:
    return x if dtype is None else x.astype(dtype)


@row
def ref_sum(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return _sum(_as(input, dtype), _axes(input, dim), keepdim)


@row
def ref_mean(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    axes = _axes(input, dim)
    return np.divide(_sum(_as(input, dtype), axes, keepdim), _count(input, axes))


@row
def ref_prod(input: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return np.prod(_as(input, dtype), axis=_axes(input, dim), keepdims=keepdim)


@row
def ref_amax(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.max(input, axis=_axes(input, dim), keepdims=keepdim)


@row
def ref_amin(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.min(input, axis=_axes(input, dim), keepdims=keepdim)


@row
def ref_var(input: Array, dim: Any = None, keepdim: bool = False, correction: float = 1.0) -> Array:
    axes = _axes(input, dim)
    n = _count(input, axes)
    deviation = input - np.divide(_sum(input, axes, True), n)
    return np.divide(_sum(deviation * deviation, axes, keepdim), max(0.0, n - correction))


@row
def ref_logsumexp(input: Array, dim: Any, keepdim: bool = False) -> Array:
    axes = _axes(input, dim)
    if isinstance(dim, (list, tuple)) and len(dim) == 0:
        axes = ()
    peak = np.max(input, axis=axes, keepdims=True, initial=-math.inf)
    safe = np.where(np.isfinite(peak), peak, 0)
    total = np.log(np.sum(np.exp(input - safe), axis=axes, keepdims=True)) + safe
    return total if keepdim else np.squeeze(total, axis=axes)


def _arg(pick: Callable[..., Array], input: Array, dim: Any, keepdim: bool) -> Array:
    """The first position of the extremum, counted over the reduced axes in their logical order."""
    axes = _axes(input, dim)
    kept = [a for a in range(input.ndim) if a not in axes]
    rows = np.transpose(input, kept + sorted(axes)).reshape([input.shape[a] for a in kept] + [_count(input, axes)])
    found = pick(rows, axis=-1)
    if keepdim:
        found = found.reshape([1 if a in axes else n for a, n in enumerate(input.shape)])
    return np.asarray(found)


@row
def ref_argmax(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _arg(np.argmax, input, dim, keepdim)


@row
def ref_argmin(input: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _arg(np.argmin, input, dim, keepdim)


# ---------------------------------------------------------------- dense and matmul


@row
def ref_dense(
    input: Array, weight: Array, bias: Array | None = None, activation: str = "identity", p: float = 0.0, q: float = 0.0
) -> Array:
    y = input @ weight.T
    if bias is not None:
        y = y + bias
    if activation == "identity":
        return y
    parameters = {"leaky_relu": (p,), "elu": (p,), "clamp": (p, q), "softplus": (p, q)}.get(activation, ())
    return REFERENCE[activation](y, *parameters)


@row
def ref_dense_grad_input(grad: Array, weight: Array) -> Array:
    return grad @ weight


@row
def ref_dense_grad_weight(grad: Array, input: Array) -> Array:
    rows = math.prod(grad.shape[:-1])
    return grad.reshape(rows, grad.shape[-1]).T @ input.reshape(rows, input.shape[-1])


@row
def ref_dense_grad_bias(grad: Array) -> Array:
    return grad.reshape(math.prod(grad.shape[:-1]), grad.shape[-1]).sum(axis=0)


@row
def ref_matmul(input: Array, other: Array) -> Array:
    return np.matmul(input, other)


# ---------------------------------------------------------------- softmax and losses


def _log_softmax(x: Array, axis: int) -> Array:
    if x.ndim == 0:
        return np.zeros_like(x)
    peak = np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    shifted = x - np.where(np.isfinite(peak), peak, 0)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@row
def ref_softmax(input: Array, dim: int) -> Array:
    return np.exp(_log_softmax(input, dim))


@row
def ref_log_softmax(input: Array, dim: int) -> Array:
    return _log_softmax(input, dim)


@row
def ref_softmax_backward(grad: Array, output: Array, dim: int) -> Array:
    along = np.sum(grad * output, axis=dim if output.ndim else None, keepdims=True)
    return output * (grad - along)


@row
def ref_log_softmax_backward(grad: Array, output: Array, dim: int) -> Array:
    return grad - np.exp(output) * np.sum(grad, axis=dim if output.ndim else None, keepdims=True)


def _reduce(loss: Array, reduction: str, weight: Any = None) -> Array:
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else np.divide(loss.sum(), loss.size if weight is None else weight)


def _class_weights(input: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array, Array]:
    """Weights per class (C,), the rows' targets with the ignored ones put to 0 (M,), the rows' weights (M,)."""
    per_class = np.ones(input.shape[1]) if weight is None else weight.astype(np.float64)
    kept = target != ignore_index
    safe = np.where(kept, target, 0)
    per_row = np.where(kept, per_class[safe], 0.0) if len(target) else np.zeros(0)
    return per_class, safe, per_row


@row
def ref_native_cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Array, Array, Array]:
    per_class, safe, per_row = _class_weights(input, target, weight, ignore_index)
    logp = _log_softmax(input, 1)
    kept = (target != ignore_index).astype(np.float64)
    chosen = -logp[np.arange(len(target)), safe] * per_row
    smooth = -(logp * per_class).sum(axis=1) * kept / max(input.shape[1], 1)
    # A plain target takes no part of the other classes, whose log-probability may be -inf.
    loss = chosen if label_smoothing == 0 else (1 - label_smoothing) * chosen + label_smoothing * smooth
    loss = np.where(kept > 0, loss, 0.0)
    return _reduce(loss, reduction, per_row.sum()), ref_logsumexp(input, 1), per_row.sum()


@row
def ref_cross_entropy_backward(
    grad: Array,
    input: Array,
    target: Array,
    logsumexp: Array,
    total_weight: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    per_class, safe, per_row = _class_weights(input, target, weight, ignore_index)
    kept = (target != ignore_index).astype(np.float64)[:, None]
    p = np.exp(input - logsumexp[:, None])
    onehot = np.zeros(input.shape)
    onehot[np.arange(len(target)), safe] = 1
    chosen = (p - onehot) * per_row[:, None]
    smooth = (p * per_class.sum() - per_class) * kept / max(input.shape[1], 1)
    g = grad[:, None] if reduction == "none" else grad / total_weight if reduction == "mean" else grad
    return np.where(kept > 0, g * ((1 - label_smoothing) * chosen + label_smoothing * smooth), 0.0)


def _bce(x: Array, t: Array, pos_weight: Array | None) -> Array:
    w = 1.0 if pos_weight is None else pos_weight
    log_sigmoid = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    return (1 - t) * x - (1 + (w - 1) * t) * log_sigmoid


@row
def ref_binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array | None = None, pos_weight: Array | None = None, reduction: str = "mean"
) -> Array:
    loss = _bce(input, target, pos_weight)
    return _reduce(loss if weight is None else loss * weight, reduction)


@row
def ref_binary_cross_entropy_with_logits_backward(
    grad: Array,
    input: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    w = 1.0 if pos_weight is None else pos_weight
    slope = (1 - target) - (1 + (w - 1) * target) * _sigmoid(-input)
    if weight is not None:
        slope = slope * weight
    return grad * slope / (input.size if reduction == "mean" else 1)


# ---------------------------------------------------------------- batch normalisation


def _per_channel(values: Array, rank: int) -> Array:
    return values.reshape((1, -1) + (1,) * (rank - 2))


@row
def ref_native_batch_norm(
    input: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array | None, ...]:
    axes = (0, *range(2, input.ndim))
    n = _count(input, axes)
    new_mean = new_var = None
    if training:
        mean = input.sum(axis=axes) / n
        var = ((input - _per_channel(mean, input.ndim)) ** 2).sum(axis=axes) / n
        if running_mean is not None and running_var is not None:
            new_mean = (1 - momentum) * running_mean + momentum * mean
            new_var = (1 - momentum) * running_var + momentum * var * n / (n - 1)
    else:
        assert running_mean is not None
        assert running_var is not None
        mean, var = running_mean, running_var
    invstd = 1 / np.sqrt(var + eps)
    y = (input - _per_channel(mean, input.ndim)) * _per_channel(invstd, input.ndim)
    if weight is not None:
        y = y * _per_channel(weight, input.ndim)
    if bias is not None:
        y = y + _per_channel(bias, input.ndim)
    return y, mean, invstd, new_mean, new_var


@row
def ref_batch_norm_backward(
    grad: Array, input: Array, mean: Array, invstd: Array, weight: Array | None = None
) -> tuple[Array, Array, Array]:
    """Of the training forward: the statistics depend on the input."""
    axes = (0, *range(2, input.ndim))
    n = _count(input, axes)
    normal = (input - _per_channel(mean, input.ndim)) * _per_channel(invstd, input.ndim)
    grad_bias = grad.sum(axis=axes)
    grad_weight = (grad * normal).sum(axis=axes)
    scale = invstd if weight is None else invstd * weight
    inner = grad - _per_channel(grad_bias, input.ndim) / n - normal * _per_channel(grad_weight, input.ndim) / n
    return inner * _per_channel(scale, input.ndim), grad_weight, grad_bias


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


# ---------------------------------------------------------------- random


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """Philox 4x32-10 (Salmon et al. 2011) of counters (blocks, 4), as words (blocks, 4) in uint64."""
    c = [counter[:, i].astype(np.uint64) for i in range(4)]
    k0, k1 = key
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> shift) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1)


def random_words(n: int, seed: int, stream: int, step: int) -> Array:
    """The first n (rounded up to groups of 32) 32-bit words of a call, in the order of its elements."""
    groups = -(-n // 32)
    block = np.arange(8 * groups, dtype=np.uint64)
    counter = np.stack(
        [
            block & np.uint64(0xFFFFFFFF),
            block >> np.uint64(32),
            np.full_like(block, step & 0xFFFFFFFF),
            np.full_like(block, stream | (step >> 32) << 16),
        ],
        axis=1,
    )
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)).reshape(groups, 8, 2, 2)
    return words.transpose(0, 2, 1, 3).reshape(-1)  # of 8 blocks: the words 0 and 1, then the words 2 and 3


def random_bits(n: int, width: int, seed: int, stream: int, step: int) -> Array:
    """width 32 or 64 bits per element, whole groups."""
    if width == 32:
        return random_words(n, seed, stream, step)
    pairs = random_words(2 * n, seed, stream, step).reshape(-1, 2)
    return pairs[:, 0] | pairs[:, 1] << np.uint64(32)


def _unit(n: int, dtype: str, seed: int, stream: int, step: int, up: int = 0) -> Array:
    """Multiples of 2^-24 or 2^-53: in [0, 1), or in (0, 1] with up=1; whole groups."""
    width, digits = (32, 24) if dtype == "float32" else (64, 53)
    bits = random_bits(n, width, seed, stream, step) >> np.uint64(width - digits)
    return (bits + np.uint64(up)).astype(np.float64) * 2.0**-digits


@row
def ref_uniform(
    size: tuple[int, ...], low: float, high: float, seed: int, stream: int, step: int, dtype: str = "float32"
) -> Array:
    n = math.prod(size)
    return (low + (high - low) * _unit(n, dtype, seed, stream, step)[:n]).reshape(size)


@row
def ref_normal(
    size: tuple[int, ...], mean: float, std: float, seed: int, stream: int, step: int, dtype: str = "float32"
) -> Array:
    """Box and Muller over the halves of each group."""
    n = math.prod(size)
    half = 16 if dtype == "float32" else 8
    radius = np.sqrt(-2 * np.log(_unit(n, dtype, seed, stream, step, up=1).reshape(-1, 2, half)[:, 0]))
    angle = 2 * np.pi * _unit(n, dtype, seed, stream, step).reshape(-1, 2, half)[:, 1]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (mean + std * pairs.reshape(-1)[:n]).reshape(size)


def _kept(n: int, p: float, seed: int, stream: int, step: int) -> Array:
    return random_words(n, seed, stream, step)[:n] >= np.floor(p * 2.0**32)


@row
def ref_dropout_mask(size: tuple[int, ...], p: float, seed: int, stream: int, step: int) -> Array:
    return _kept(math.prod(size), p, seed, stream, step).reshape(size)


@row
def ref_native_dropout(input: Array, p: float, seed: int, stream: int, step: int) -> Array:
    kept = _kept(input.size, p, seed, stream, step).reshape(input.shape)
    return np.where(kept, input / (1 - p) if p < 1 else 0.0, 0.0)


@row
def ref_native_bernoulli(input: Array, seed: int, stream: int, step: int, dtype: str = "float32") -> Array:
    unit = _unit(input.size, dtype, seed, stream, step)[: input.size].reshape(input.shape)
    return (unit < input).astype(np.float64)


@row
def ref_integers(
    size: tuple[int, ...], low: int, high: int, seed: int, stream: int, step: int, dtype: str = "int64"
) -> Array:
    n = math.prod(size)
    bits = random_bits(n, 64, seed, stream, step)[:n].tolist()
    return np.array([low + (b * (high - low) >> 64) for b in bits], dtype="int64").astype(dtype).reshape(size)


@row
def ref_permutation(n: int, seed: int, stream: int, step: int) -> Array:
    """Fisher and Yates, from the end."""
    order = list(range(n))
    for i, bits in zip(range(n - 1, -1, -1), random_bits(n, 64, seed, stream, step).tolist(), strict=False):
        j = bits * (i + 1) >> 64
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype="int64")
