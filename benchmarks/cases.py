"""What is timed: operations, shapes, inputs, and float64 NumPy references that every answer is held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import nets
from operations import OPERATIONS, SIZES, drawn

Array = np.ndarray[Any, np.dtype[Any]]
MAX_FLOPS = 2e10  # larger products take seconds and tell nothing new
DROP = 0.25  # dropout's p
MEMORY_SIZES = (1 << 20, 1 << 24)  # elements: within the last cache, and beyond


@dataclass(frozen=True)
class Case:
    """One operation on one shape; `how` says the rest (which axis, which operand is transposed, ...)."""

    op: str
    shape: tuple[int, ...]
    how: str = ""
    group: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, [self.op, "x".join(map(str, self.shape)), self.how]))

    @property
    def flops(self) -> float:
        """Floating-point operations of matrix products, 0 for the rest."""
        if self.op in ("dense", "dense_grad_input", "dense_grad_weight", "matmul"):
            return 2.0 * math.prod(self.shape)
        if self.op == "infer":
            return 2.0 * self.shape[0] * sum(k * n for k, n in pairwise(net_of(self).sizes))
        return net_of(self).flops(self.shape[0]) if self.op == "train" else 0.0

    @property
    def bytes(self) -> float:
        """Bytes that must be read and written, for operations bound by memory; 0 for matrix products."""
        passes = memory_passes(self) if self.op in ("read", "copy", "triad") else 1
        return 4.0 * STREAMS.get(self.op, 0) * math.prod(self.shape) * passes


# Times that the whole array passes between processor and memory, reads and writes. One pass too few for two-pass
# kernels on arrays beyond the cache, on purpose: what counts is what the result needs.
STREAMS = {
    **dict.fromkeys(["exp", "tanh", "sigmoid", "relu", "gelu", "dropout", "softmax", "batch_norm"], 2),
    **dict.fromkeys(["add", "mul", "softmax_backward", "batch_norm_backward"], 3),
    **dict.fromkeys(["cross_entropy"], 2),
    **dict.fromkeys(["sum", "mean", "max", "var", "dense_grad_bias"], 1),
    "read": 1,
    "copy": 2,
    "triad": 3,
}


@dataclass(frozen=True)
class Problem:
    """Inputs (float32, in the order of the peers' arguments) and what must come out (float64)."""

    inputs: tuple[Array, ...]
    expected: tuple[Array, ...]
    tolerance: float  # relative to the largest expected value
    step: int = 1  # compare every step-th element: a pointwise reference of 16M elements shows nothing new


def _normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


def _wide(*arrays: Array) -> tuple[Array, ...]:
    return tuple(a.astype(np.float64) for a in arrays)


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _erf(x: Array) -> Array:
    return np.array([math.erf(v) for v in x.ravel()]).reshape(x.shape)


POINTWISE: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y,
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "var": lambda x, axis: np.var(x, axis=axis, ddof=1),
}
MATMUL = {"nn": (0, 0), "nt": (0, 1), "tn": (1, 0), "broadcast": (0, 0)}  # which operands come transposed
JET = (16, 64, 32, 32, 5)


def memory_passes(case: Case) -> int:
    """Passes of the memory's own cases in one call: enough that handing pieces to threads costs nothing."""
    return max(1, MEMORY_SIZES[-1] // math.prod(case.shape))


def net_of(case: Case) -> nets.Net:
    return (nets.DECIDING if case.op == "infer" else nets.NETS)[case.how]


def sample_of(rows: int) -> Array:
    """The rows of many events whose answers are compared, the first and the last among them."""
    return np.unique(np.linspace(0, rows - 1, min(rows, 256)).astype(np.int64))


def axis_of(case: Case) -> int | None:
    return None if case.how == "all" else int(case.how.removeprefix("dim"))


def problem(case: Case) -> Problem:
    """Inputs and expected outputs of a case, the same in every process."""
    if case.op in OPERATIONS:
        return Problem(tuple(drawn(OPERATIONS[case.op], case.shape[0]).values()), (), math.inf)
    if case.op == "train":  # the losses of the first steps
        return Problem(nets.problem(net_of(case), case.shape[0]), (nets.losses(net_of(case), case.shape[0]),), 1e-4)
    if case.op == "infer":  # x (rows, K), then a weight and a bias per layer
        net = net_of(case)
        events, weights = nets.events(net, case.shape[0]), nets.weights(net)
        right = nets.answers(net, events[sample_of(case.shape[0])], weights)
        return Problem((events, *weights), (right,), _tolerance(2000))
    rng = np.random.default_rng(len(case.name) + sum(case.shape))
    op, shape = case.op, case.shape
    if op == "dense":  # x (M, K), weight (N, K), bias (N,)
        m, k, n = shape
        inputs = _normal(rng, m, k), _normal(rng, n, k) / np.float32(math.sqrt(k)), _normal(rng, n)
        x, w, b = _wide(*inputs)
        return Problem(inputs, (np.maximum(x @ w.T + b, 0),), _tolerance(k))
    if op == "network":  # x (M, 16), then a weight and a bias per layer
        layers = [(_normal(rng, n, k) / np.float32(math.sqrt(k)), _normal(rng, n)) for k, n in pairwise(JET)]
        x32 = _normal(rng, shape[0], JET[0])
        (y,) = _wide(x32)
        for i, (w, b) in enumerate(layers):
            y = y @ _wide(w)[0].T + b
            y = np.maximum(y, 0) if i + 2 < len(JET) else _softmax(y)
        return Problem((x32, *(a for layer in layers for a in layer)), (y,), _tolerance(100))
    if op == "dense_grad_input":  # dy (M, N), weight (N, K)
        m, k, n = shape
        inputs2 = _normal(rng, m, n), _normal(rng, n, k)
        dy, w = _wide(*inputs2)
        return Problem(inputs2, (dy @ w,), _tolerance(n))
    if op == "dense_grad_weight":  # dy (M, N), x (M, K)
        m, k, n = shape
        inputs2 = _normal(rng, m, n), _normal(rng, m, k)
        dy, x = _wide(*inputs2)
        return Problem(inputs2, (dy.T @ x,), _tolerance(m))
    if op == "dense_grad_bias":  # dy (M, N)
        dy32 = _normal(rng, *shape)
        return Problem((dy32,), (_wide(dy32)[0].sum(axis=0),), _tolerance(shape[0]))
    if op == "matmul":  # ([B,] M, K) @ ([B,] K, N); a transposed operand is a view of its transpose
        *batch, m, k, n = shape
        transposed_a, transposed_b = MATMUL[case.how]
        a = _normal(rng, *batch, k, m).swapaxes(-1, -2) if transposed_a else _normal(rng, *batch, m, k)
        b_batch = [] if case.how == "broadcast" else batch
        b = _normal(rng, *b_batch, n, k).swapaxes(-1, -2) if transposed_b else _normal(rng, *b_batch, k, n)
        return Problem((a, b), (np.matmul(*_wide(a, b)),), _tolerance(k))
    if op in POINTWISE:
        arrays = tuple(_normal(rng, *shape) for _ in range(2 if op in ("add", "mul") else 1))
        step = max(1, math.prod(shape) // 65536)
        return Problem(arrays, (POINTWISE[op](*_wide(*(a.ravel()[::step] for a in arrays))),), 1e-6, step)
    if op in ("read", "copy"):  # what memory gives: the result is the input again
        x32 = _normal(rng, *shape)
        return Problem((x32,), (x32,), 0)
    if op in ("add_number", "transpose", "index", "from_numpy", "to_numpy", "item"):  # what a call costs
        x32 = _normal(rng, *shape)
        expected = {"add_number": x32 + 1, "transpose": x32.T, "index": x32[0], "item": x32[0]}.get(op, x32)
        return Problem((x32,), (np.asarray(expected),), 1e-7)
    if op == "triad":
        a, b = _normal(rng, *shape), _normal(rng, *shape)
        return Problem((a, b), (a + b,), 0)
    if op == "dropout":
        return Problem((1 + np.abs(_normal(rng, *shape)),), (), 0)
    if op in REDUCTIONS:
        x32 = _normal(rng, *shape) + np.float32(0.5)
        axis = axis_of(case)
        terms = math.prod(shape) if axis is None else shape[axis]
        return Problem((x32,), (np.asarray(REDUCTIONS[op](_wide(x32)[0], axis=axis)),), _tolerance(terms))
    if op == "softmax":
        z32 = _normal(rng, *shape)
        return Problem((z32,), (_softmax(_wide(z32)[0]),), 1e-5)
    if op == "softmax_backward":  # dy, y
        z32, dy32 = _normal(rng, *shape), _normal(rng, *shape)
        y32 = _softmax(_wide(z32)[0]).astype(np.float32)
        dy, y = _wide(dy32, y32)
        return Problem((dy32, y32), (y * (dy - (dy * y).sum(axis=1, keepdims=True)),), 1e-5)
    if op == "cross_entropy":  # loss (mean) and dz
        z32, target = _normal(rng, *shape), rng.integers(0, shape[1], shape[0])
        p = _softmax(_wide(z32)[0])
        rows = np.arange(shape[0])
        loss = -np.log(p[rows, target]).mean()
        p[rows, target] -= 1
        return Problem((z32, target), (np.asarray(loss), p / shape[0]), 1e-4)
    if op in ("batch_norm", "batch_norm_backward"):  # x, weight, bias, and dy for the backward pass
        inputs4 = (
            _normal(rng, *shape) + 1,
            1 + _normal(rng, shape[1]),
            _normal(rng, shape[1]),
            _normal(rng, *shape),
        )
        x, weight, bias, dy = _wide(*inputs4)
        invstd = 1 / np.sqrt(x.var(axis=0) + 1e-5)
        h = (x - x.mean(axis=0)) * invstd
        if op == "batch_norm":
            return Problem(inputs4[:3], (h * weight + bias,), 1e-4)
        d_weight = (dy * h).sum(axis=0)
        dx = weight * invstd * (dy - dy.mean(axis=0) - h * d_weight / shape[0])
        return Problem(inputs4, (dx, d_weight, dy.sum(axis=0)), 1e-4)
    raise KeyError(op)


def _tolerance(terms: int) -> float:
    return 1e-5 + 4e-7 * math.sqrt(terms)


def fault(case: Case, p: Problem, outputs: Sequence[Array]) -> str:
    """Empty when the outputs are right; else what is wrong with them."""
    if case.op in OPERATIONS:
        return ""  # compared with the other libraries' instead
    if case.op == "dropout":
        x, y = p.inputs[0].ravel(), outputs[0].ravel()
        kept = y != 0
        spread = 6 * math.sqrt(DROP * (1 - DROP) / x.size)
        if abs(kept.mean() - (1 - DROP)) > spread:
            return f"keeps {kept.mean():.3f} of the elements, not {1 - DROP}"
        return "" if np.allclose(y[kept], x[kept] / (1 - DROP), rtol=1e-5) else "scale of the kept elements"
    for i, (got, expected) in enumerate(zip(outputs, p.expected, strict=True)):
        got = got.ravel()[:: p.step].reshape(expected.shape) if got.size // p.step <= expected.size else got
        if got.shape != expected.shape:
            return f"output {i} has shape {got.shape}, not {expected.shape}"
        error = float(np.max(np.abs(got - expected))) / max(float(np.max(np.abs(expected))), 1e-30)
        if not error <= p.tolerance:
            return f"output {i} is off by {error:.1e} of its largest value, more than {p.tolerance:.1e}"
    return ""


LAYERS = [
    (16, 64), (64, 32), (32, 32), (32, 5), (18, 200), (200, 100), (28, 300), (300, 300), (784, 512), (512, 256),
    (1024, 2048), (2048, 2048),
]  # fmt: skip
BATCHES = [1, 8, 32, 128, 1024, 8192]


def catalogue() -> list[Case]:
    """Every case of kernels.py."""
    cases: list[Case] = []

    def add(group: str, op: str, shapes: Sequence[tuple[int, ...]], hows: Sequence[str] = ("",)) -> None:
        cases.extend(Case(op, s, how, group) for s in shapes for how in hows)

    layers = [(m, k, n) for k, n in LAYERS for m in BATCHES if 2.0 * m * k * n <= MAX_FLOPS]
    trained = [s for s in layers if s[0] in (1, 128, 1024)]
    add("dense forward", "dense", layers)
    add("dense forward, weight changed before every call", "dense", trained, ["new weight"])
    add(
        "narrow outputs",
        "dense",
        [(m, k, n) for m in (1, 1024) for k in (32, 300) for n in (1, 2, 5, 10, 18)],
    )
    add("neighbouring sizes", "dense", [(m, 32, n) for m in (1, 1024) for n in range(1, 41)], ["neighbours"])
    add("dense backward", "dense_grad_input", trained)
    add("dense backward", "dense_grad_weight", trained)
    add(
        "dense backward",
        "dense_grad_bias",
        [(m, n) for n in (5, 32, 200, 300, 2048) for m in (1, 128, 1024, 8192)],
    )
    add(
        "matmul",
        "matmul",
        [(64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (1000, 37, 301)],
        ["nn", "nt", "tn"],
    )
    batched = [(64, 32, 32, 32), (16, 128, 64, 128), (256, 8, 16, 8)]
    add("matmul", "matmul", batched, ["nn", "nt", "tn", "broadcast"])
    sizes = [(1024,), (65536,), (1 << 20,), (1 << 24,)]
    for op in [*POINTWISE, "dropout"]:
        add("pointwise", op, sizes)
    tables = [(128, 5), (1024, 10), (1024, 1000), (65536, 10), (16, 65536)]
    add("rows", "softmax", tables)
    add("rows", "softmax_backward", tables)
    add("rows", "cross_entropy", tables[:4])
    channels = [(128, 32), (1024, 64), (1024, 300), (65536, 64)]
    add("batch norm", "batch_norm", channels)
    add("batch norm", "batch_norm_backward", channels)
    for op in REDUCTIONS:
        add(
            "reductions",
            op,
            [(128, 32), (1024, 300), (65536, 16), (16, 65536), (4096, 4096)],
            ["dim0", "dim1", "all"],
        )
    for name, operation in OPERATIONS.items():
        add(f"every op, {operation.group}", name, [(n,) for n in SIZES])
    return cases


def quick_catalogue() -> list[Case]:
    """One small case of every kind."""
    cases: dict[tuple[str, str], Case] = {}
    for case in catalogue():
        if math.prod(case.shape) <= 1 << 20:
            cases.setdefault((case.op, case.how), case)
    return list(cases.values())
