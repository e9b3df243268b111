"""Samples of fills, reductions, dense layers, softmax, losses, norms and random rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from samples_base import LARGE, SAMPLES, Maker, of
from values import BROADCASTS, SIZES, Array, Sample, real, truth, whole


@of("where")
def _where(t: str) -> Iterator[Sample]:
    for a, b in BROADCASTS:
        yield Sample(f"{a} {b}", (truth(a, "w.c"), real(b, "w.a", t), real(a, "w.b", t)))
    yield Sample("broadcast condition", (truth((7, 1), "w.c"), real((1, 9), "w.a", t), real((7, 9), "w.b", t)))


LARGE["where"] = lambda t: Sample(
    "large", (truth((211, 1001), "w.c"), real((211, 1001), "w.a", t), real((1001,), "w.b", t))
)


@of("cast")
def _cast(t: str) -> Iterator[Sample]:
    for n in SIZES:
        for to in ("float32", "float64", "int64", "int32"):
            yield Sample(f"{n} {to}", (real(n, "cast", t, -100, 100),), {"dtype": to})
    for to in ("uint8", "bool", "int8", "int16", "uint16", "uint32", "float16"):
        yield Sample(f"65 {to}", (real(65, "cast", t, 0, 100),), {"dtype": to})


LARGE["cast"] = lambda t: Sample(
    "large", (real(300_007, "cast", t, -100, 100),), {"dtype": "float64" if t == "float32" else "float32"}
)


@of("copy_")
def _copy(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n}", (real(n, "copy.to", t), real(n, "copy.from", t)))
    yield Sample("broadcast", (real((5, 7), "copy.to", t), real(7, "copy.from", t)))
    yield Sample("0-d", (real((5, 1, 7), "copy.to", t), real((), "copy.from", t)))
    yield Sample("from int32", (real((5, 7), "copy.to", t), whole((5, 7), "copy.from", "int32", -99, 99)))


LARGE["copy_"] = lambda t: Sample("large", (real((501, 1003), "copy.to", t), real((1003,), "copy.from", t)))


@of("fill_")
def _fill(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n}", (real(n, "fill", t),), {"value": 0.1})
    yield Sample("3x5 of 7", (real((3, 5), "fill", t),), {"value": 7})


LARGE["fill_"] = lambda t: Sample("large", (real((501, 1003), "fill", t),), {"value": -1.7})


@of("native_arange")
def _arange(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n}", (), {"start": 0.5, "step": 0.25, "n": n, "dtype": t})
    yield Sample("down", (), {"start": 3, "step": -2, "n": 17, "dtype": t})
    yield Sample("tenths", (), {"start": 0, "step": 0.1, "n": 65, "dtype": t})


LARGE["native_arange"] = lambda t: Sample("large", (), {"start": -1.0, "step": 0.0078125, "n": 200_003, "dtype": t})

# shape, then the axes to reduce
REDUCTIONS: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((), None),
    ((), 0),
    *(((n,), None) for n in SIZES if n),
    *(((n, 3), 0) for n in SIZES if n),
    *(((3, n), 1) for n in SIZES if n),
    *(((3, n), -2) for n in SIZES),
    ((5, 7, 9), (0, 2)),
    ((5, 7, 9), (2, 1)),
    ((5, 7, 9), (1,)),
    ((5, 7, 9), (0, 1)),
    ((5, 7, 9), (0, 1, 2)),
    ((2, 1, 3, 1, 2, 5), (1, 3, 5)),
    ((0, 2, 3), (0, 2)),
    ((3, 0, 2), (0, 1)),
    ((1040,), None),
    ((3, 1100), 1),
    ((130, 17), 0),
    ((17, 130), None),
)


def _reductions(name: str, low: float, high: float, **extra: Any) -> None:
    def maker(t: str) -> Iterator[Sample]:
        for shape, dim in REDUCTIONS:
            if name == "logsumexp" and dim is None:
                dim = tuple(range(len(shape)))
            one = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
            for keep in (False, True):
                yield Sample(
                    f"{shape} dim={one}{' keep' * keep}",
                    (real(shape, name, t, low, high),),
                    {"dim": one, "keepdim": keep, **extra},
                )

    def big(t: str) -> Sample:
        return Sample("large", (real((257, 1203), name, t, low, high),), {"dim": (0, 1), **extra})

    SAMPLES[name] = maker
    LARGE[name] = big


for _name in ("sum", "mean", "amax", "amin", "var", "logsumexp", "argmax", "argmin", "native_norm"):
    _reductions(_name, -2, 2)
_reductions("prod", 0.96, 1.04)


@of("var")
def _var(t: str, plain: Maker = SAMPLES["var"]) -> Iterator[Sample]:
    yield from (s for s in plain(t) if _reduced(s) > 1)
    for correction in (0.0, 2.0):
        yield Sample(f"correction {correction}", (real((7, 33), "var", t),), {"dim": 1, "correction": correction})


@of("nansum")
def _nansum(t: str) -> Iterator[Sample]:
    for s in SAMPLES["sum"](t):
        x = np.array(s.tensors[0])
        x[whole(x.shape, "nan", "int64", 0, 4) == 0] = np.nan
        yield Sample(s.label, (x,), s.attrs)


LARGE["nansum"] = LARGE["sum"]


@of("native_norm")
def _norm(t: str, plain: Maker = SAMPLES["native_norm"]) -> Iterator[Sample]:
    for s in plain(t):
        yield s
        yield Sample(f"{s.label} p=1", s.tensors, {**s.attrs, "p": 1.0})


def _truths(name: str) -> None:
    """Mostly zeros for `any`, mostly others for `all`, so that both answers occur."""
    common = 0 if name == "any" else 1

    def of_shape(shape: tuple[int, ...], t: str) -> Array:
        rare = whole(shape, name, "int64", 0, 40) == 0
        return np.where(rare, 1 - common, common).astype(t)

    def maker(t: str) -> Iterator[Sample]:
        for shape, dim in (*REDUCTIONS, ((5, 7), ()), ((3, 0), 1)):
            for keep in (False, True):
                attrs = {"dim": dim, "keepdim": keep}
                yield Sample(f"{shape} dim={dim}{' keep' * keep}", (of_shape(shape, t),), attrs)
        odd = np.array([[-0.0, 0.0], [np.nan, 0.0], [np.inf, -1.0]], t)
        yield Sample("zeros and NaN", (odd,), {"dim": 1})

    def big(t: str) -> Sample:
        x = np.full((2, 200_003), common, t)
        x[1, 150_000] = 1 - common
        return Sample("large", (x,), {"dim": 1})

    SAMPLES[name] = maker
    LARGE[name] = big


_truths("any")
_truths("all")


def _reduced(s: Sample) -> int:
    """How many elements go into one output."""
    x, dim = s.tensors[0], s.attrs["dim"]
    assert x is not None
    if x.ndim == 0:
        return 1
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return int(np.prod([x.shape[a] for a in axes]))


def _no_empty(name: str, plain: Maker) -> Maker:
    return lambda t: (s for s in plain(t) if _reduced(s) > 0)


for _name in ("amax", "amin", "argmax", "argmin"):
    SAMPLES[_name] = _no_empty(_name, SAMPLES[_name])

# M, K, N
DENSE = (
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 7, 8),
    (1, 16, 64),
    (1, 300, 300),
    (2, 15, 16),
    (3, 16, 17),
    (7, 17, 15),
    (8, 31, 33),
    (15, 33, 31),
    (16, 63, 65),
    (17, 65, 63),
    (31, 64, 2),
    (33, 8, 1),
    (65, 64, 5),
    (64, 12, 10),
    (63, 40, 18),
    (70, 20, 130),
)
ACTIVATIONS: tuple[tuple[str, float, float], ...] = (
    ("relu", 0, 0),
    ("tanh", 0, 0),
    ("sigmoid", 0, 0),
    ("leaky_relu", 0.125, 0),
    ("elu", 1.5, 0),
    ("selu", 0, 0),
    ("gelu", 0, 0),
    ("silu", 0, 0),
    ("softplus", 2.0, 20.0),
    ("clamp", -0.5, 0.75),
    ("square", 0, 0),
    ("abs", 0, 0),
)


@of("dense")
def _dense(t: str) -> Iterator[Sample]:
    for m, k, n in DENSE:
        x, w, b = real((m, k), "d.x", t), real((n, k), "d.w", t, -1, 1), real(n, "d.b", t)
        yield Sample(f"{m}x{k}x{n}", (x, w, b))
        yield Sample(f"{m}x{k}x{n} no bias", (x, w, None))
    x, w, b = real((9, 17), "d.x", t), real((19, 17), "d.w", t, -1, 1), real(19, "d.b", t)
    for name, p, q in ACTIVATIONS:
        yield Sample(name, (x, w, b), {"activation": name, "p": p, "q": q})
    yield Sample("vector", (x[0], w, b))
    yield Sample("rank 3", (real((2, 3, 17), "d.x", t), w, b))
    yield Sample("rank 4 with a 0", (real((2, 0, 3, 17), "d.x", t), w, b))


LARGE["dense"] = lambda t: Sample(
    "large", (real((263, 130), "d.x", t), real((100, 130), "d.w", t), real(100, "d.b", t)), {"activation": "tanh"}
)


@of("dense_grad_input")
def _dense_grad_input(t: str) -> Iterator[Sample]:
    for m, k, n in DENSE:
        yield Sample(f"{m}x{k}x{n}", (real((m, n), "di.g", t), real((n, k), "di.w", t, -1, 1)))
    yield Sample("vector", (real(19, "di.g", t), real((19, 17), "di.w", t)))
    yield Sample("rank 3", (real((2, 3, 19), "di.g", t), real((19, 17), "di.w", t)))


LARGE["dense_grad_input"] = lambda t: Sample("large", (real((263, 130), "di.g", t), real((130, 100), "di.w", t)))


@of("dense_grad_weight")
def _dense_grad_weight(t: str) -> Iterator[Sample]:
    for m, k, n in (*DENSE, (129, 5, 7), (300, 18, 3)):
        yield Sample(f"{m}x{k}x{n}", (real((m, n), "dw.g", t), real((m, k), "dw.x", t)))
    yield Sample("vector", (real(19, "dw.g", t), real(17, "dw.x", t)))
    yield Sample("rank 3", (real((2, 3, 19), "dw.g", t), real((2, 3, 17), "dw.x", t)))


LARGE["dense_grad_weight"] = lambda t: Sample("large", (real((4500, 40), "dw.g", t), real((4500, 33), "dw.x", t)))


@of("dense_grad_bias")
def _dense_grad_bias(t: str) -> Iterator[Sample]:
    for m, _, n in (*DENSE, (129, 5, 7), (300, 18, 3)):
        yield Sample(f"{m}x{n}", (real((m, n), "db.g", t),))
    yield Sample("vector", (real(19, "db.g", t),))
    yield Sample("rank 3", (real((2, 3, 19), "db.g", t),))


LARGE["dense_grad_bias"] = lambda t: Sample("large", (real((4500, 130), "db.g", t),))

MATMUL = (
    ((7,), (7,)),
    ((1,), (1,)),
    ((0,), (0,)),
    ((5, 7), (7,)),
    ((7,), (7, 5)),
    ((2, 3, 7), (7,)),
    ((7,), (2, 7, 5)),
    ((0, 3), (3, 4)),
    ((3, 0), (0, 4)),
    ((3, 4), (4, 0)),
    ((1, 1), (1, 1)),
    ((15, 17), (17, 33)),
    ((16, 8), (8, 63)),
    ((31, 65), (65, 1)),
    ((1, 300), (300, 65)),
    ((65, 63), (63, 64)),
    ((4, 5, 7), (4, 7, 3)),
    ((4, 5, 7), (7, 3)),
    ((5, 7), (4, 7, 3)),
    ((2, 1, 5, 7), (3, 7, 9)),
    ((0, 5, 7), (7, 9)),
)


@of("matmul")
def _matmul(t: str) -> Iterator[Sample]:
    for a, b in MATMUL:
        yield Sample(f"{a} {b}", (real(a, "mm.a", t), real(b, "mm.b", t)))
    turned = real((9, 17), "mm.a", t).T, real((33, 9), "mm.b", t).T
    yield Sample("transposed", turned)


LARGE["matmul"] = lambda t: Sample("large", (real((3, 131, 130), "mm.a", t), real((130, 70), "mm.b", t)))


@of("native_dot")
def _dot(t: str) -> Iterator[Sample]:
    for n in SIZES:
        yield Sample(f"{n}", (real(n, "dot.a", t), real(n, "dot.b", t)))
        yield Sample(f"3x{n}", (real((3, n), "dot.a", t), real((3, n), "dot.b", t)))
    for shape in ((1040,), (5, 1100), (2, 3, 5), (0, 3), (2, 0), (4100,), (65, 7)):
        yield Sample(f"{shape}", (real(shape, "dot.a", t), real(shape, "dot.b", t)))
    yield Sample("turned", (real((9, 4), "dot.a", t).T, real((4, 9), "dot.b", t)))


LARGE["native_dot"] = lambda t: Sample("large", (real((3, 170_003), "dot.a", t), real((3, 170_003), "dot.b", t)))

# shape, dim
SOFTMAX: tuple[tuple[tuple[int, ...], int], ...] = (
    ((), 0),
    *(((n,), 0) for n in SIZES),
    *(((3, n), 1) for n in SIZES),
    *(((n, 3), 0) for n in SIZES),
    ((5, 10), -1),
    ((4, 5, 6), 1),
    ((4, 1, 6), 1),
    ((2, 1040), 1),
)


def _softmaxes(name: str) -> None:
    def maker(t: str) -> Iterator[Sample]:
        for shape, dim in SOFTMAX:
            yield Sample(f"{shape} dim={dim}", (real(shape, name, t, -8, 8),), {"dim": dim})
        spread = np.ldexp(real((4, 33), name, t, -1, 1), whole((4, 33), name, "int32", -9, 10))
        yield Sample("wide", (spread,), {"dim": 1})

    SAMPLES[name] = maker
    LARGE[name] = lambda t: Sample("large", (real((1500, 130), name, t, -8, 8),), {"dim": 1})


def _softmax_backwards(name: str) -> None:
    low, high = (-6, -0.25) if name.startswith("log") else (0, 0.5)

    def tensors(shape: tuple[int, ...], t: str) -> tuple[Array, Array]:
        return real(shape, name + ".g", t), real(shape, name + ".y", t, low, high)

    def maker(t: str) -> Iterator[Sample]:
        for shape, dim in SOFTMAX:
            yield Sample(f"{shape} dim={dim}", tensors(shape, t), {"dim": dim})

    SAMPLES[name] = maker
    LARGE[name] = lambda t: Sample("large", tensors((1500, 130), t), {"dim": 1})


for _name in ("softmax", "log_softmax"):
    _softmaxes(_name)
    _softmax_backwards(_name + "_backward")


def _entropy_cases(t: str) -> Iterator[tuple[str, Array, Array, Array | None, dict[str, Any]]]:
    """label, logits (M, C), target (M,), class weights, attributes"""
    for m, c in (
        (1, 1),
        (1, 7),
        (7, 8),
        (8, 2),
        (15, 10),
        (16, 5),
        (17, 16),
        (31, 17),
        (33, 33),
        (65, 65),
        (130, 10),
        (3, 1000),
    ):
        yield f"{m}x{c}", real((m, c), "ce.x", t, -6, 6), whole(m, "ce.t", "int64", 0, c), None, {}
    x, target = real((65, 10), "ce.x", t, -6, 6), whole(65, "ce.t", "int64", 0, 10)
    holes = np.where(target == 3, -100, target)
    weight = real(10, "ce.w", t, 0.25, 2)
    for reduction in ("mean", "sum", "none"):
        yield reduction, x, target, None, {"reduction": reduction}
        yield f"{reduction} weighted", x, target, weight, {"reduction": reduction}
        yield f"{reduction} ignoring", x, holes, None, {"reduction": reduction}
        yield f"{reduction} smooth", x, target, None, {"reduction": reduction, "label_smoothing": 0.125}
        every = {"reduction": reduction, "label_smoothing": 0.125, "ignore_index": 3}
        yield f"{reduction} everything", x, target, weight, every
    yield "int32 target", x, target.astype("int32"), None, {}
    yield "no rows", x[:0], target[:0], None, {"reduction": "sum"}


@of("native_cross_entropy")
def _cross_entropy(t: str) -> Iterator[Sample]:
    for label, x, target, weight, attrs in _entropy_cases(t):
        yield Sample(label, (x, target, weight), attrs)


LARGE["native_cross_entropy"] = lambda t: Sample(
    "large", (real((5000, 40), "ce.x", t, -6, 6), whole(5000, "ce.t", "int64", 0, 40), None)
)


def _entropy_backward(label: str, x: Array, target: Array, weight: Array | None, attrs: dict[str, Any]) -> Sample:
    t = str(x.dtype)
    grad = real(len(x) if attrs.get("reduction") == "none" else (), "ce.g", t, 0.5, 1.5)
    peak = x.max(axis=1, initial=0).astype(t)
    sums, total = peak + real(len(x), "ce.s", t, 0, 2), real((), "ce.tw", t, 30, 60)
    return Sample(label, (grad, x, target, sums, total, weight), attrs)


@of("cross_entropy_backward")
def _cross_entropy_backward(t: str) -> Iterator[Sample]:
    for case in _entropy_cases(t):
        yield _entropy_backward(*case)


LARGE["cross_entropy_backward"] = lambda t: _entropy_backward(
    "large", real((5000, 40), "ce.x", t, -6, 6), whole(5000, "ce.t", "int64", 0, 40), None, {}
)


def _bce_cases(t: str) -> Iterator[tuple[str, tuple[Array | None, ...], dict[str, Any]]]:
    for n in SIZES[1:]:
        yield f"{n}", (real(n, "bce.x", t, -9, 9), real(n, "bce.t", t, 0, 1), None, None), {}
    x, target = real((33, 7), "bce.x", t, -30, 30), truth((33, 7), "bce.t").astype(t)
    weight, rows, positive = (
        real((33, 7), "bce.w", t, 0, 2),
        real((33, 1), "bce.w", t, 0, 2),
        real(7, "bce.p", t, 0.5, 3),
    )
    for reduction in ("mean", "sum", "none"):
        attrs = {"reduction": reduction}
        yield reduction, (x, target, None, None), attrs
        yield f"{reduction} weight", (x, target, weight, None), attrs
        yield f"{reduction} row weight", (x, target, rows, None), attrs
        yield f"{reduction} pos_weight", (x, target, None, positive), attrs
        yield f"{reduction} both", (x, target, weight, positive), attrs
    yield "nothing", (x[:0], target[:0], None, None), {"reduction": "sum"}
    yield "0-d", (x[0, :1].reshape(()), target[0, :1].reshape(()), None, None), {}


BCE = "binary_cross_entropy_with_logits"


@of(BCE)
def _bce(t: str) -> Iterator[Sample]:
    for label, tensors, attrs in _bce_cases(t):
        yield Sample(label, tensors, attrs)


LARGE[BCE] = lambda t: Sample(
    "large", (real((5000, 40), "bce.x", t, -9, 9), real((5000, 40), "bce.t", t, 0, 1), None, None)
)


def _with_grad(sample: Sample) -> Sample:
    x = sample.tensors[0]
    assert x is not None
    shape = x.shape if sample.attrs.get("reduction") == "none" else ()
    return Sample(sample.label, (real(shape, "grad", str(x.dtype), 0.5, 1.5), *sample.tensors), sample.attrs)


SAMPLES[BCE + "_backward"] = lambda t: map(_with_grad, SAMPLES[BCE](t))
LARGE[BCE + "_backward"] = lambda t: _with_grad(LARGE[BCE](t))

NORM = ((2, 1), (7, 8), (16, 17), (33, 3), (65, 31), (130, 5), (300, 2), (4, 3, 5), (2, 7, 3, 4), (5, 0))


def _norm_tensors(shape: tuple[int, ...], t: str) -> tuple[Array, ...]:
    c = shape[1]
    return (
        real(shape, "bn.x", t, -1, 3),
        real(c, "bn.m", t),
        real(c, "bn.v", t, 0.5, 2),
        real(c, "bn.w", t),
        real(c, "bn.b", t),
    )


@of("native_batch_norm")
def _batch_norm(t: str) -> Iterator[Sample]:
    for shape in NORM:
        x, mean, var, w, b = _norm_tensors(shape, t)
        yield Sample(f"{shape} train", (x, mean, var, w, b), {"training": True})
        yield Sample(f"{shape} train bare", (x, None, None, None, None), {"training": True, "eps": 0.01})
        yield Sample(f"{shape} eval", (x, mean, var, w, b), {"training": False})
        yield Sample(f"{shape} eval bare", (x, mean, var, None, None), {"training": False})
    x, mean, var, w, b = _norm_tensors((9, 4), t)
    yield Sample("momentum", (x, mean, var, w, None), {"training": True, "momentum": 0.75})
    yield Sample("one row eval", (x[:1], mean, var, w, b), {"training": False})


LARGE["native_batch_norm"] = lambda t: Sample("large", _norm_tensors((4500, 70), t), {"training": True})


def _norm_backward(shape: tuple[int, ...], t: str, weighted: bool) -> Sample:
    x, mean, invstd, w, _ = _norm_tensors(shape, t)
    grad = real(shape, "bn.g", t)
    return Sample(f"{shape}{' bare' * (not weighted)}", (grad, x, mean, invstd, w if weighted else None))


@of("batch_norm_backward")
def _batch_norm_backward(t: str) -> Iterator[Sample]:
    for shape in NORM:
        yield _norm_backward(shape, t, weighted=True)
        yield _norm_backward(shape, t, weighted=False)


LARGE["batch_norm_backward"] = lambda t: _norm_backward((4500, 70), t, weighted=True)

# ---------------------------------------------------------------- random

KEYS = ({"seed": 0, "stream": 0, "step": 0}, {"seed": 0x0123456789ABCDEF, "stream": 65535, "step": 2**47 + 12345})
RANDOM_SIZES = ((), 0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 65, 130, (3, 5, 7))


def _random(name: str, choices: tuple[dict[str, Any], ...], big: Any = (211, 1001)) -> None:
    def maker(t: str) -> Iterator[Sample]:
        typed = {"dtype": t} if name in ("uniform", "normal") else {}
        for key in KEYS:
            for size in RANDOM_SIZES:
                shape = (size,) if isinstance(size, int) else size
                yield Sample(f"{shape} seed={key['seed']}", (), {"size": shape, **choices[0], **key, **typed})
        for attrs in choices[1:]:
            yield Sample(
                " ".join(f"{k}={v}" for k, v in attrs.items()), (), {"size": (257,), **typed, **KEYS[1], **attrs}
            )

    SAMPLES[name] = maker
    LARGE[name] = lambda t: Sample(
        "large", (), {"size": big, **choices[0], **KEYS[1], **({"dtype": t} if name in ("uniform", "normal") else {})}
    )


_random("uniform", ({"low": 0.0, "high": 1.0}, {"low": -3.0, "high": 5.5}, {"low": 2.0, "high": 2.0}))
_random("normal", ({"mean": 0.0, "std": 1.0}, {"mean": -3.0, "std": 2.5}, {"mean": 1.0, "std": 0.0}))
_random("dropout_mask", ({"p": 0.5}, {"p": 0.0}, {"p": 1.0}, {"p": 0.1}))
_random(
    "integers",
    (
        {"low": 0, "high": 10},
        {"low": -7, "high": 9},
        {"low": 0, "high": 2**32},
        {"low": -(2**63), "high": 2**63 - 1},
        {"low": 0, "high": 3 * 2**61},
        {"low": 5, "high": 6},
        {"low": 0, "high": 256, "dtype": "uint8"},
        {"low": -100, "high": 100, "dtype": "int32"},
        {"low": 0, "high": 10, "dtype": "float32"},
    ),
)


@of("permutation")
def _permutation(t: str) -> Iterator[Sample]:
    for key in KEYS:
        for n in (*SIZES, 1000):
            yield Sample(f"{n} seed={key['seed']}", (), {"n": n, **key})


LARGE["permutation"] = lambda t: Sample("large", (), {"n": 20_003, **KEYS[1]})


@of("native_dropout")
def _dropout(t: str) -> Iterator[Sample]:
    for n in (*SIZES, 130):
        yield Sample(f"{n}", (real(n, "drop", t),), {"p": 0.25, **KEYS[1]})
    for p in (0.0, 0.5, 1.0):
        yield Sample(f"p={p}", (real((9, 7), "drop", t),), {"p": p, **KEYS[0]})
    yield Sample("a part", (real((9, 7), "drop", t),), {"p": 0.5, **KEYS[0], "first": 96})


LARGE["native_dropout"] = lambda t: Sample("large", (real((211, 1001), "drop", t),), {"p": 0.25, **KEYS[1]})


@of("native_bernoulli")
def _bernoulli(t: str) -> Iterator[Sample]:
    for n in (*SIZES, 130):
        yield Sample(f"{n}", (real(n, "bern", t, 0, 1),), KEYS[1])
    yield Sample("sure", (np.array([0, 1, 0, 1, 1], t),), KEYS[0])


LARGE["native_bernoulli"] = lambda t: Sample("large", (real((211, 1001), "bern", t, 0, 1),), KEYS[1])
