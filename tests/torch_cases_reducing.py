"""Cases of reductions, sorts, scans, and of what is normalised by them."""

from __future__ import annotations

import math
from typing import Any

from torch_cases import FLOATS, NUMBERS, Case, Draw


def over(d: Draw, one: bool = False, **options: Any) -> dict[str, Any]:
    """All of the last array, or along axes (an axis)."""
    if d.integer(0, 3) == 0:
        return d.keywords(**options)
    dim = d.dim() if one or d.flag() else d.dims()
    return {"dim": dim, **d.keywords(keepdim=(True, False), **options)}


def along(d: Draw, **options: Any) -> dict[str, Any]:
    """Along one axis."""
    return {"dim": d.dim(), **d.keywords(**options)}


def mostly_floats(d: Draw, low: int = 0, **options: Any) -> Any:
    return d.x(low, 3, (*FLOATS, *FLOATS, "int64"), **options)


def layer_norm(d: Draw) -> list[Any]:
    x = mostly_floats(d, 1)
    normalized = x.shape[d.integer(0, x.ndim - 1) :]
    if d.rarely():
        normalized = (*normalized, 2)
    weight, bias = (d.same(normalized) if d.flag() else None for _ in range(2))
    return [x, normalized, weight, bias, *d.pick((), (1e-5,), (0.5,))]


def rms_norm(d: Draw) -> list[Any]:
    x, normalized, weight, *_ = layer_norm(d)
    return [x, normalized, weight, *d.pick((), (0.5,))]


def batch_norm(d: Draw) -> list[Any]:
    x = d.x(2, 4, FLOATS, least=0, finite=True)
    channels = (x.shape[1] + (2 if d.rarely() else 0),)
    training = d.flag()
    mean, var = (
        (d.same(channels, layout="plain", span=(1, 4)) for _ in range(2)) if d.flag() or not training else (None,) * 2
    )
    weight, bias = (d.same(channels, finite=True) if d.flag() else None for _ in range(2))
    return [x, mean, var, weight, bias, training, d.pick(0.1, 0.5), d.pick(1e-5, 0.5)]


def cross_entropy(d: Draw) -> list[Any]:
    x = d.x(1, 4, (*FLOATS, *FLOATS, "int64"), least=1, finite=True)
    classes = x.shape[0 if x.ndim == 1 else 1]
    target = d.index(x.shape[:0] if x.ndim == 1 else x.shape[:1] + x.shape[2:], classes)
    options = d.keywords(ignore_index=(0, 1), reduction=("none", "sum", "mean"), label_smoothing=(0.1, 0.5))
    if d.flag():
        options["weight"] = d.same((classes,), span=(1, 4))
    return [x, target, options]


def bce(d: Draw) -> list[Any]:
    x = d.x(0, 3, FLOATS, finite=True)
    options = d.keywords(reduction=("none", "sum", "mean"))
    if d.flag():
        options["weight"] = d.same(d.broadcast(x.shape))
    if d.flag() and x.ndim:
        options["pos_weight"] = d.same(x.shape[-1:], span=(1, 4))
    return [x, d.same(span=(0, 2)), options]


def kth(d: Draw) -> list[Any]:
    x = d.x(0, 3, NUMBERS)
    dim = d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return [x, d.integer(0 if d.rarely() else 1, max(n, 1) + d.rarely()), dim, *d.pick((), (True,))]


def topk(d: Draw) -> list[Any]:
    x = d.x(0, 3, NUMBERS)
    dim = d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return [x, d.integer(-1 if d.rarely() else 0, n + d.rarely()), dim, *d.pick((), (False,), (True,))]


def quantile(d: Draw) -> list[Any]:
    x = d.x(0, 3, FLOATS)
    q = d.pick(0.5, 0.25, 1.0, 0.0, 0.125, -0.5) if d.flag() else d.same(d.shape(0, 1), span=(0, 2))
    how = d.keywords(keepdim=(True,), interpolation=("linear", "lower", "higher", "midpoint", "nearest"))
    return [x, q, {**({"dim": d.dim()} if d.flag() else {}), **how}]


def searchsorted(d: Draw) -> list[Any]:
    x = d.x(1, 2, NUMBERS, span=(0, 9), layout="plain")
    x.sort(axis=-1)
    values = d.number() if x.ndim == 1 and d.flag() else d.same((*x.shape[:-1], d.integer(0, 9)), span=(-1, 10))
    return [
        x,
        values,
        d.keywords(right=(True, False), out_int32=(True,)) if d.flag() else {"side": d.pick("left", "right")},
    ]


def bincount(d: Draw) -> list[Any]:
    x = d.x(1, 1, ("int64", "int32", "uint8"), span=(-1 if d.rarely() else 0, 9))
    options = d.keywords(minlength=(0, 3, 20))
    if d.flag():
        options["weights"] = d.same(dtype=d.pick(*FLOATS, "int64"), finite=True)
    return [x, options]


CASES = [
    Case("sum", lambda d: [d.x(), over(d, dtype=(d.dtype(*NUMBERS),))]),
    Case("mean", lambda d: [d.x(), over(d, dtype=(d.dtype(*FLOATS),))]),
    Case("prod", lambda d: [d.x(finite=True), over(d, one=True)]),
    Case("var", lambda d: [d.x(dtypes=FLOATS), over(d, correction=(0, 1, 2.5))]),
    Case("std", lambda d: [d.x(dtypes=FLOATS), over(d, correction=(0, 1, 2.5))]),
    Case("var", lambda d: [mostly_floats(d), d.dim(), d.flag(), *d.pick((), (True,))], label="unbiased"),
    Case("std", lambda d: [mostly_floats(d), d.dim(), d.flag(), *d.pick((), (True,))], label="unbiased"),
    Case("norm", lambda d: [mostly_floats(d), d.pick("fro", 1, 2, 2.0, 0, 3, 0.5, math.inf, -math.inf), over(d)]),
    Case("any", lambda d: [d.x(), over(d)]),
    Case("all", lambda d: [d.x(), over(d)]),
    Case("amax", lambda d: [d.x(), over(d)]),
    Case("amin", lambda d: [d.x(), over(d)]),
    Case("max", lambda d: [d.x()]),
    Case("min", lambda d: [d.x()]),
    Case("max", lambda d: [d.x(), d.dim(), *d.pick((), (True,))], label="dim", ties=True),
    Case("min", lambda d: [d.x(), d.dim(), *d.pick((), (True,))], label="dim", ties=True),
    Case("max", lambda d: [d.x(), d.other(numbers=False)], label="other"),
    Case("min", lambda d: [d.x(), d.other(numbers=False)], label="other"),
    Case("argmax", lambda d: [d.x(dtypes=NUMBERS), over(d, one=True)]),
    Case("argmin", lambda d: [d.x(dtypes=NUMBERS), over(d, one=True)]),
    Case("logsumexp", lambda d: [d.x(dtypes=FLOATS), d.pick(d.dim(), d.dims() or d.dim()), *d.pick((), (True,))]),
    # ---- scans
    Case("cumsum", lambda d: [d.x(), d.dim(), d.keywords(dtype=(d.dtype(*NUMBERS),))]),
    Case("cumprod", lambda d: [d.x(finite=True), d.dim(), d.keywords(dtype=(d.dtype(*FLOATS),))]),
    # ---- sorts
    Case("sort", lambda d: [d.x(), along(d, descending=(True, False), stable=(True,))], ties=True),
    Case("sort", lambda d: [d.x(), {"stable": True, **along(d, descending=(True, False))}], label="stable"),
    Case("argsort", lambda d: [d.x(), {"stable": True, **along(d, descending=(True, False))}]),
    Case("topk", topk, ties=True),
    Case("kthvalue", kth, ties=True),
    Case("median", lambda d: [d.x(dtypes=NUMBERS)]),
    Case("median", lambda d: [d.x(dtypes=NUMBERS), d.dim(), *d.pick((), (True,))], label="dim", ties=True),
    Case("quantile", quantile),
    Case("unique", lambda d: [d.x(span=(0, 4)), d.keywords(return_inverse=(True,), return_counts=(True,))]),
    Case(
        "unique",
        lambda d: [
            d.x(span=(0, 2), finite=True, least=1),
            {"dim": d.dim(), **d.keywords(return_inverse=(True,), return_counts=(True,))},
        ],
        label="dim",
    ),
    Case("searchsorted", searchsorted),
    Case("bincount", bincount),
    # ---- along an axis
    Case("softmax", lambda d: [mostly_floats(d), along(d, dtype=(d.dtype(*FLOATS),))]),
    Case("log_softmax", lambda d: [mostly_floats(d), along(d, dtype=(d.dtype(*FLOATS),))]),
    Case("softmin", lambda d: [mostly_floats(d), along(d, dtype=(d.dtype(*FLOATS),))]),
    Case("glu", lambda d: [mostly_floats(d), *d.pick((), (d.dim(),))]),
    # ---- normalisation and losses
    Case("layer_norm", layer_norm),
    Case("rms_norm", rms_norm),
    Case("batch_norm", batch_norm, torch="nn.functional.batch_norm"),
    Case("cross_entropy", cross_entropy),
    Case("binary_cross_entropy_with_logits", bce, torch="nn.functional.binary_cross_entropy_with_logits"),
]
