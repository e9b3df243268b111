"""Errors of the elementary functions in units in the last place (ulp), and their special values.

float32 is compared with numpy in float64, float64 with mpmath. The samples are random bit patterns, so every exponent is
met, and values where the functions are interesting; TRIGRAD_PROOFS=full takes many more. All float32 arguments at once
are the business of the programs in tests/cpp/ulp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from door import run
from reference import REFERENCE, quiet
from values import FLOATS, Array, Sample, hashed, real, specials

# The bounds that docs/arithmetic.md states, in ulp: float32, float64.
BOUNDS: dict[str, tuple[float, float]] = {
    "exp": (1, 1),
    "expm1": (2, 2),
    "log": (2, 2),
    "log1p": (2, 2),
    "tanh": (2, 2),
    "sigmoid": (2, 2),
    "erf": (2, 2),
    "sin": (2, 2),
    "cos": (2, 2),
    "tan": (2, 2),
    "exp2": (2, 2),
    "log2": (2, 2),
    "log10": (2, 2),
    "asin": (2, 2),
    "acos": (2, 2),
    "atan": (2, 2),
    "sinh": (2, 2),
    "cosh": (2, 2),
    "asinh": (2, 2),
    "acosh": (2, 2),
    "atanh": (2, 2),
    "pow": (2, 2),
    "atan2": (2, 2),
    "hypot": (1.5, 1.5),
    # correctly rounded
    "sqrt": (0.5, 0.5),
    "reciprocal": (0.5, 0.5),
    "square": (0.5, 0.5),
    # made from the above
    "rsqrt": (1.5, 1.5),
    "silu": (3.5, 3.5),
    "gelu": (5, 6),
    "gelu_tanh": (5, 5),
    "mish": (5, 5),
    "softplus": (2, 2),
    "logsigmoid": (2, 2),
    "elu": (2, 2),
    "selu": (2, 2),
    "celu": (2, 2),
}
PAIRS = ("atan2", "hypot")
ONE_ARGUMENT = [n for n in BOUNDS if n not in ("pow", *PAIRS)]
# Where each function's result is neither constant nor infinite.
INTERESTING = {"exp": 110.0, "expm1": 110.0, "tanh": 10.0, "sigmoid": 110.0, "erf": 6.0, "sin": 50.0, "cos": 50.0, "silu": 110.0,
               "gelu": 15.0, "softplus": 30.0, "elu": 20.0, "selu": 20.0, "celu": 20.0, "logsigmoid": 110.0, "mish": 110.0,
               "gelu_tanh": 12.0, "tan": 50.0, "exp2": 150.0, "sinh": 90.0, "cosh": 90.0, "asin": 1.0, "acos": 1.0,
               "atanh": 1.0}  # fmt: skip

MP: dict[str, Callable[[Any], Any]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "exp2": lambda x: mpmath.exp(x * mpmath.log(2)),
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "sqrt": mpmath.sqrt,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2 if x > -50 else mpmath.mpf(0),
    "gelu_tanh": lambda x: (
        x / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * x * (1 + mpmath.mpf("0.044715") * x * x)))
        if x > -50
        else mpmath.mpf(0)
    ),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))) if abs(x) < 2000 else max(x, mpmath.mpf(0)),
    "logsigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)) if x > -2000 else x,
    "celu": lambda x: x if x > 0 else mpmath.expm1(x),
    "softplus": lambda x: x if x > 20 else mpmath.log1p(mpmath.exp(x)),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "selu": lambda x: (
        mpmath.mpf("1.0507009873554804934193349852946")
        * (x if x > 0 else mpmath.mpf("1.6732632423543772848170429916717") * mpmath.expm1(x))
    ),
}


def patterns(n: int, dtype: str, key: str) -> Array:
    """Finite numbers of all exponents and signs."""
    words = hashed(n, key)
    x = (words >> np.uint64(32)).astype(np.uint32).view(np.float32) if dtype == "float32" else words.view(np.float64)
    return x[np.isfinite(x)]


def arguments(name: str, dtype: str, n: int) -> Array:
    wide = INTERESTING.get(name, 4.0) * (
        8
        if dtype == "float64"
        and name in ("exp", "expm1", "exp2", "sinh", "cosh", "sigmoid", "silu", "mish", "logsigmoid")
        else 1
    )
    x = np.concatenate(
        [
            patterns(n, dtype, name),
            real(n, name + ".wide", dtype, -wide, wide),
            real(n // 2, name + ".near", dtype, -1.5, 1.5),
        ]
    )
    if name in ("log", "log2", "log10", "sqrt", "rsqrt"):
        x = np.abs(x)
    if name == "acosh":
        x = np.concatenate([np.abs(x), 1 + np.abs(x)])
        x = x[x >= 1]
    if name in ("asin", "acos"):
        x = x[np.abs(x) <= 1]
    if name == "atanh":
        x = x[np.abs(x) < 1]
    if name == "log1p":
        x = x[x > -1]
    if name in ("rsqrt", "reciprocal", "log", "log2", "log10"):
        x = x[x != 0]
    return x


def spacing(y: Array, dtype: str) -> Array:
    """The distance of neighbouring numbers of the dtype at y, which is given in float64."""
    info = np.finfo(dtype)
    _, exponent = np.frexp(np.minimum(np.abs(y), float(info.max)))
    return np.maximum(np.ldexp(1.0, exponent - info.nmant - 1), float(info.smallest_subnormal))


def worst(name: str, got: Array, high: Array, low: Array, x: Any) -> float:
    """The largest error in ulp of `got` against high + low; overflow must be infinite, with the sign."""
    dtype = str(got.dtype)
    limit = float(np.finfo(dtype).max)
    with np.errstate(all="ignore"):
        infinite = np.abs(high) > limit + 0.5 * spacing(np.array(limit), dtype)
        wrong = infinite & (got != np.copysign(np.inf, high))
        edge = (
            ~infinite & np.isinf(got) & (np.abs(high) < limit)
        )  # between the largest number and infinity both are right
    assert not wrong.any(), f"{name}({x[wrong][:3]}) is {got[wrong][:3]}, expected infinity"
    assert not edge.any(), f"{name}({x[edge][:3]}) is {got[edge][:3]}, expected {high[edge][:3]}"
    finite = ~infinite & np.isfinite(got)
    assert not np.isnan(got).any(), f"{name}({x[np.isnan(got)][:3]}) is NaN"
    error = np.abs((got[finite].astype(np.float64) - high[finite]) - low[finite]) / spacing(high[finite], dtype)
    return float(error.max(initial=0))


def compute(name: str, *x: Array) -> Array:
    out = run(name, Sample("", x))[0]
    assert out is not None
    return out


def high_and_low(function: Callable[..., Any], *columns: Array) -> tuple[Array, Array]:
    """Exact values as sums of two doubles."""
    high, low = [], []
    with mpmath.workprec(160):
        for row in zip(*(c.tolist() for c in columns), strict=True):
            y = function(*map(mpmath.mpf, row))
            high.append(float(y))
            low.append(float(y - high[-1]) if math.isfinite(high[-1]) else 0.0)
    return np.array(high), np.array(low)


@pytest.mark.proof
@pytest.mark.parametrize("name", ONE_ARGUMENT)
def test_float32(name: str, full: bool, record: dict[str, str]) -> None:
    x = arguments(name, "float32", 2**22 if full else 2**16)
    high = quiet(REFERENCE[name])(x.astype(np.float64))
    error = worst(name, compute(name, x), high, np.zeros_like(high), x)
    record[f"ulp {name} float32"] = f"{error:.3f} over {len(x)}"
    assert error <= BOUNDS[name][0] + 1e-7  # the reference has an error itself


@pytest.mark.proof
@pytest.mark.parametrize("name", ONE_ARGUMENT)
def test_float64(name: str, full: bool, record: dict[str, str]) -> None:
    x = arguments(name, "float64", 100_000 if full else 1000)
    high, low = high_and_low(MP[name], x)
    error = worst(name, compute(name, x), high, low, x)
    record[f"ulp {name} float64"] = f"{error:.3f} over {len(x)}"
    assert error <= BOUNDS[name][1]


def test_the_bounds_are_those_of_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "arithmetic.md").read_text()
    text = text.partition("## Accuracy")[2].partition("\n## ")[0]
    stated = {}
    for names, bound in re.findall(r"^\| (`\w+`.*?) \|.*\| ([^|]+) \|$", text, re.MULTILINE):
        numbers = [float(v) for v in re.findall(r"(?<!float)\b\d+(?:\.\d+)?", bound)] or [0.5]  # "correctly rounded"
        for name in re.findall(r"`(\w+)`", names):
            stated[name] = (numbers[0], numbers[-1])
    assert {n: b for n, b in BOUNDS.items() if n != "square"} == {n: b for n, b in stated.items() if n in BOUNDS}


def power_arguments(dtype: str, n: int) -> tuple[Array, Array]:
    """Bases of all exponents, with exponents that keep the result in range; and bases near 1."""
    limit = 149.0 if dtype == "float32" else 1074.0
    a = np.abs(patterns(n, dtype, "pow.a"))
    a = a[(a > 0) & (a != 1)]
    b = (real(len(a), "pow.b", "float64", -limit, limit) / np.log2(a.astype(np.float64))).astype(dtype)
    near = 1 + real(n, "pow.c", dtype, -0.01, 0.01)
    near = near[near != 1]
    steep = (real(len(near), "pow.d", "float64", -limit, limit) / np.log2(near.astype(np.float64))).astype(dtype)
    small, exponent = real(n, "pow.e", dtype, 0.1, 10), real(n, "pow.f", dtype, -30, 30)
    integers = real(n, "pow.g", dtype, -3, 3), np.rint(real(n, "pow.h", dtype, -20, 20))
    return (
        np.concatenate([a, near, small, integers[0]]).astype(dtype),
        np.concatenate([b, steep, exponent, integers[1]]).astype(dtype),
    )


@pytest.mark.proof
def test_pow_float32(full: bool, record: dict[str, str]) -> None:
    a, b = power_arguments("float32", 2**22 if full else 2**15)
    with np.errstate(all="ignore"):
        high = np.power(a.astype(np.float64), b.astype(np.float64))
    error = worst("pow", compute("pow", a, b), high, np.zeros_like(high), a)
    record["ulp pow float32"] = f"{error:.3f} over {len(a)}"
    assert error <= BOUNDS["pow"][0]


@pytest.mark.proof
def test_pow_float64(full: bool, record: dict[str, str]) -> None:
    a, b = power_arguments("float64", 30_000 if full else 700)
    high, low = high_and_low(lambda x, y: mpmath.power(x, int(y)) if y == int(y) else mpmath.power(x, y), a, b)
    error = worst("pow", compute("pow", a, b), high, low, a)
    record["ulp pow float64"] = f"{error:.3f} over {len(a)}"
    assert error <= BOUNDS["pow"][1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_pow_of_special_pairs(dtype: str) -> None:
    """As C's pow: 1 for x^0 and 1^x even with NaN, signs of odd integers, and so on."""
    some = np.concatenate(
        [specials(dtype), np.array([-3, -2, -1, 2, 3, 4, 1 / 3, -1 / 3, 2.0**24 + 2, 2.0**53 + 2], dtype)]
    )
    a, b = (m.reshape(-1) for m in np.meshgrid(some, some, indexing="ij"))
    got = compute("pow", a, b)
    want = np.array([c_pow(float(x), float(y)) for x, y in zip(a, b, strict=True)])
    with np.errstate(all="ignore"):
        want = want.astype(dtype)
        close = np.abs(got.astype(np.float64) - want) <= 2 * spacing(
            np.where(np.isfinite(want), want, 0).astype(np.float64), dtype
        )
    right = np.where(np.isnan(want), np.isnan(got), (got == want) | close)
    right &= np.isnan(want) | (want != 0) | (np.signbit(got) == np.signbit(want))
    assert right.all(), [(x, y, g, w) for x, y, g, w, r in zip(a, b, got, want, right, strict=True) if not r][:9]


@pytest.mark.proof
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name: str, dtype: str, full: bool, record: dict[str, str]) -> None:
    """Both of all exponents, of the same size, and far apart."""
    n = (2**20 if dtype == "float32" else 30_000) if full else 2000
    a = np.concatenate([patterns(n, dtype, name + ".a"), real(n, name + ".c", dtype, -9, 9)])
    b = np.concatenate([patterns(n, dtype, name + ".b")[: len(a) - n], real(n, name + ".d", dtype, -9, 9)])
    same = a[np.abs(a) < np.finfo(dtype).max / 4]
    a, b = np.concatenate([a[: len(b)], same]), np.concatenate([b, same * real(len(same), name + ".e", dtype, -4, 4)])
    if dtype == "float64":
        high, low = high_and_low(getattr(mpmath, name), a, b)
    else:
        high = quiet(REFERENCE[name])(a.astype(np.float64), b.astype(np.float64))
        low = np.zeros_like(high)
    error = worst(name, compute(name, a, b), high, low, a)
    record[f"ulp {name} {dtype}"] = f"{error:.3f} over {len(a)}"
    assert error <= BOUNDS[name][FLOATS.index(dtype)] + 1e-7


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", PAIRS)
def test_special_pairs(name: str, dtype: str) -> None:
    """As C99 has it: angles of zeros with their signs and of infinities; no overflow on the way; NaN."""
    some = np.concatenate([specials(dtype), np.array([-3, -1, 1, 2, 1e-30, 1e30], dtype)])
    a, b = (m.reshape(-1) for m in np.meshgrid(some, some, indexing="ij"))
    got = compute(name, a, b)
    with np.errstate(all="ignore"):
        want = np.array([getattr(math, name)(float(x), float(y)) for x, y in zip(a, b, strict=True)]).astype(dtype)
        finite = np.where(np.isfinite(want), want, 0).astype(np.float64)
        right = (np.isnan(want) & np.isnan(got)) | (got == want)
        right |= np.abs(got.astype(np.float64) - want) <= 2 * spacing(finite, dtype)
    right &= np.isnan(want) | (want != 0) | (np.signbit(got) == np.signbit(want))
    assert right.all(), [(x, y, g, w) for x, y, g, w, r in zip(a, b, got, want, right, strict=True) if not r][:9]


@pytest.mark.parametrize("dtype", FLOATS)
def test_powers_of_two_and_ten_have_exact_logarithms(dtype: str) -> None:
    info = np.finfo(dtype)
    k = np.arange(info.minexp - info.nmant, info.maxexp)
    np.testing.assert_array_equal(compute("log2", np.ldexp(np.array(1, dtype), k)), k)
    np.testing.assert_array_equal(compute("exp2", k.astype(dtype)), np.ldexp(np.array(1, dtype), k))
    tens = np.arange(0, 11 if dtype == "float32" else 23)
    np.testing.assert_array_equal(compute("log10", np.array([float(10 ** int(i)) for i in tens], dtype)), tens)


def c_pow(x: float, y: float) -> float:
    """math.pow without its exceptions."""
    try:
        return math.pow(x, y)
    except ValueError:  # a negative base with a fraction, or a pole
        odd = y == int(y) and int(y) % 2 == 1
        return math.copysign(math.inf, x) if x == 0 and odd else math.inf if x == 0 else math.nan
    except OverflowError:
        return -math.inf if x < 0 and y == int(y) and int(y) % 2 else math.inf


# ---------------------------------------------------------------- special values

INF, NAN = math.inf, math.nan
POINTS: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1), (-200, -1)],
    "log": [(1, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN), (-INF, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-2, NAN), (-INF, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (100, 1), (-100, -1)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0.0), (200, 1)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (10, 1), (-10, -1)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "cos": [(0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "exp2": [(0.0, 1), (3, 8), (-2, 0.25), (INF, INF), (-INF, 0.0), (1e5, INF), (-1e5, 0.0)],
    "log2": [(1, 0.0), (8, 3), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN)],
    "log10": [(1, 0.0), (1000, 3), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN)],
    "asin": [(0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (-INF, NAN), (INF, NAN)],
    "acos": [(1, 0.0), (1.5, NAN), (-INF, NAN), (INF, NAN)],
    "atan": [(0.0, 0.0), (-0.0, -0.0)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e5, INF), (-1e5, -INF)],
    "cosh": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (1e5, INF)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)],
    "acosh": [(1, 0.0), (INF, INF), (0.5, NAN), (-INF, NAN), (-3, NAN)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1, INF), (-1, -INF), (2, NAN), (-INF, NAN)],
    "gelu_tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -0.0), (1e5, 1e5)],
    "mish": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -0.0), (1e5, 1e5)],
    "softsign": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1, 0.5)],
    "hardswish": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -0.0), (3, 3), (-3, -0.0)],
    "hardsigmoid": [(0.0, 0.5), (INF, 1), (-INF, 0.0), (3, 1), (-3, 0.0)],
    "logsigmoid": [(INF, -0.0), (-INF, -INF)],
    "sqrt": [(0.0, 0.0), (-0.0, -0.0), (4, 2), (INF, INF), (-1, NAN), (-INF, NAN)],
    "rsqrt": [(0.0, INF), (-0.0, -INF), (4, 0.5), (INF, 0.0), (-1, NAN)],
    "reciprocal": [(0.0, INF), (-0.0, -INF), (INF, 0.0), (-INF, -0.0)],
    "silu": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -0.0)],
    "gelu": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (100, 100)],
    "elu": [(0.0, 0.0), (INF, INF), (-INF, -1)],
    "selu": [(0.0, 0.0), (INF, INF)],
    "square": [(0.0, 0.0), (-0.0, 0.0), (-INF, INF)],
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", POINTS)
def test_special_points(name: str, dtype: str) -> None:
    """Exact values, signs of zero, and NaN for NaN; in every lane of a vector."""
    for x, want in [*POINTS[name], (NAN, NAN)]:
        for n in (1, 3, 17):
            got = compute(name, np.full(n, x, dtype)).astype(np.float64)
            if math.isnan(want):
                assert np.isnan(got).all(), f"{name}({x}) is {got}"
            else:
                assert (got == want).all(), f"{name}({x}) is {got}"
                assert (np.signbit(got) == (math.copysign(1, want) < 0)).all(), f"{name}({x}) is {got}"


@pytest.mark.parametrize("n", [1, 17])
def test_exp_at_its_ends(n: int) -> None:
    """Around overflow (88.7), the first denormal result (-87.3) and underflow (-104)."""
    steps = np.concatenate(
        [np.linspace(c - 0.1, c + 0.1, 4001) for c in (88.7, 88.72284, -87.33655, -103.97208, -104.0, 104.0)]
    )
    x = steps.astype(np.float32)
    got = np.concatenate([compute("exp", x[i : i + n]) for i in range(0, len(x), n)]) if n > 1 else compute("exp", x)
    exact = quiet(np.exp)(x.astype(np.float64))
    with np.errstate(all="ignore"):
        assert worst("exp", got, exact, np.zeros_like(exact), x) <= 2
    assert (got[x < -87.4] < np.finfo("float32").tiny).all()
    assert (got[(x < -87.4) & (x > -103.2)] > 0).all(), "denormal results are not flushed"
    assert (got[x > 88.73] == np.inf).all()
    assert (got[x < -104] == 0).all()


def test_exp_of_float64_at_its_ends() -> None:
    x = np.concatenate([np.linspace(c - 0.5, c + 0.5, 501) for c in (709.78, -708.4, -745.13)])
    high, low = high_and_low(mpmath.exp, x)
    got = compute("exp", x)
    assert worst("exp", got, high, low, x) <= 2
    assert (got[(x < -708.5) & (x > -745)] > 0).all(), "denormal results are not flushed"


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name", ["expm1", "log1p", "tanh", "erf", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh"]
)
def test_tiny_arguments(name: str, dtype: str) -> None:
    """f(x) = c x, for denormals too."""
    info = np.finfo(dtype)
    x = (float(info.smallest_subnormal) * np.array([1, 2, 3, 100, 12345, 2**20])).astype(dtype)
    slope = 2 / math.sqrt(math.pi) if name == "erf" else 1.0
    got = compute(name, np.concatenate([x, -x])).astype(np.float64)
    want = np.concatenate([x, -x]).astype(np.float64) * slope
    assert (np.abs(got - want) <= spacing(want, dtype) * (1 if name == "erf" else 0)).all()


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_huge_arguments_and_neighbours_of_multiples_of_pi(name: str, dtype: str) -> None:
    """Exact argument reduction."""
    scale = [1e5, 1e8, 1e15, 1e22, 1e30, 3e38] + ([1e100, 1e200, 8e307] if dtype == "float64" else [])
    x = [real(150, f"{name}{s}", dtype, -s, s) for s in scale]
    with mpmath.workprec(1200):
        multiples = [float(mpmath.pi / 2 * k) for k in (1, 2, 3, 4, 7, 100, 12345, 10**9 + 7, 2**40 + 1, 3**30)]
    near = np.array(multiples).astype(dtype)
    # of all doubles the one nearest to a multiple of pi / 2, and of all floats
    nearest = np.array([6381956970095103 * 2.0**797 if dtype == "float64" else 16367173 * 2.0**72]).astype(dtype)
    x = np.concatenate([*x, near, np.nextafter(near, np.array(np.inf, dtype)), nearest])
    with mpmath.workprec(1300):
        exact = [MP[name](mpmath.mpf(v)) for v in x.tolist()]
        high = np.array([float(y) for y in exact])
        low = np.array([float(y - h) for y, h in zip(exact, high.tolist(), strict=True)])
    assert worst(name, compute(name, x), high, low, x) <= 2


@pytest.mark.parametrize("dtype", FLOATS)
def test_symmetries(dtype: str) -> None:
    """Bit for bit."""
    x = np.concatenate([patterns(5000, dtype, "sym"), real(5000, "sym2", dtype, -20, 20)])
    for name in ("tanh", "erf", "sin", "tan", "atan", "sinh", "asinh"):
        np.testing.assert_array_equal(compute(name, -x), -compute(name, x))
    for name in ("cos", "cosh"):
        np.testing.assert_array_equal(compute(name, -x), compute(name, x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "expm1", "log1p", "softplus"])
def test_never_decreasing_by_more_than_rounding(name: str, dtype: str) -> None:
    """Over sorted arguments the result never falls by more than the error bound allows."""
    x = np.sort(real(20_000, "mono", dtype, 1e-3 if name.startswith("log") else -12, 12))
    y = compute(name, x).astype(np.float64)
    assert (np.diff(y) >= -3 * spacing(y[1:], dtype)).all()
