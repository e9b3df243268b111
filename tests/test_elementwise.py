"""Functions of python/trigrad/_elementwise.py, operators of integers and second names, against numpy and torch."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import _elementwise
from values import FLOATS, Array, real, specials, whole


def both(torch: Any, call: Callable[..., Any], *arrays: Array) -> None:
    """`call(library, *tensors)` gives the same values and dtype in both."""
    got = call(tg, *(tg.from_numpy(np.array(a)) for a in arrays))
    want = call(torch, *(torch.from_numpy(np.array(a)) for a in arrays))
    assert str(got.dtype).partition(".")[2] == str(want.dtype).partition(".")[2]
    if got.dtype in (tg.float32, tg.float64):
        tolerance = 1e-6 if got.dtype is tg.float32 else 1e-14
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(got.numpy(), want.numpy())


A, B = real((5, 7), "a", "float32", -3, 3), real((5, 7), "b", "float32", -3, 3)
W = real((5, 7), "w", "float32", -0.5, 1.5)
I, J = whole((5, 7), "i", "int64", -9, 10), whole((5, 7), "j", "int64", 1, 6)
M, N = I > 0, J > 3
D = B.astype("float64")
S = specials("float32")

CALLS: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "add alpha": (lambda t, a, b: t.add(a, b, alpha=2.5), (A, B)),
    "add number alpha": (lambda t, a: t.add(a, 1.5, alpha=-2), (A,)),
    "add dtypes": (lambda t, a, b: t.add(a, b, alpha=2), (A, I)),
    "add wide": (lambda t, a, b: t.add(a, b, alpha=2), (A, D)),
    "add integers": (lambda t, a, b: t.add(a, b, alpha=-3), (I, J)),
    "add integer number": (lambda t, a: t.add(a, 7, alpha=3), (I,)),
    "add masks": (lambda t, a, b: t.add(a, b, alpha=True), (M, N)),
    "add broadcast": (lambda t, a, b: t.add(a, b[0], alpha=0.5), (A, B)),
    "sub alpha": (lambda t, a, b: t.sub(a, b, alpha=2.5), (A, B)),
    "sub integers": (lambda t, a, b: t.subtract(a, b, alpha=3), (I, J)),
    "sub uint8": (lambda t, a, b: t.sub(a, b, alpha=3), (J.astype("uint8"), J.astype("uint8"))),
    "rsub": (lambda t, a: t.rsub(a, 5, alpha=2), (A,)),
    "div": (lambda t, a, b: t.true_divide(a, b), (I, J)),
    "div trunc": (lambda t, a, b: t.div(a, b, rounding_mode="trunc"), (A, B)),
    "div trunc integers": (lambda t, a, b: t.div(a, b, rounding_mode="trunc"), (I, J)),
    "div trunc number": (lambda t, a: t.divide(a, -2, rounding_mode="trunc"), (I,)),
    "div floor": (lambda t, a, b: t.div(a, b, rounding_mode="floor"), (A, B)),
    "div floor integers": (lambda t, a, b: t.div(a, b, rounding_mode="floor"), (I, -J)),
    "addcmul": (lambda t, a, b, w: t.addcmul(a, b, w, value=0.3), (A, B, W)),
    "addcmul integers": (lambda t, a, b: t.addcmul(a, b, b, value=2), (I, J)),
    "addcdiv": (lambda t, a, b, w: t.addcdiv(a, b, w, value=-0.3), (A, B, W)),
    "pow": (lambda t, a: t.pow(a, exponent=2), (A,)),
    "lerp": (lambda t, a, b: t.lerp(a, b, 0.3), (A, B)),
    "lerp far": (lambda t, a, b: t.lerp(a, b, 0.8), (A, B)),
    "lerp tensor": (lambda t, a, b, w: t.lerp(a, b, w), (A, B, W)),
    "round up": (lambda t, a: t.round(a, decimals=2), (A,)),
    "round tens": (lambda t, a: t.round(a * 100, decimals=-1), (A,)),
    "frac": (lambda t, a: t.frac(a), (A,)),
    "clamp tensors": (lambda t, a, b, w: t.clamp(a, b, w), (A, B, W)),
    "clamp below": (lambda t, a, b: t.clip(a, min=b), (A, B)),
    "clamp_min": (lambda t, a: t.clamp_min(a, 1.5), (I,)),
    "clamp_max": (lambda t, a, b: t.clamp_max(a, b), (I, J)),
    "nan_to_num": (lambda t, a: t.nan_to_num(a), (S,)),
    "nan_to_num all": (lambda t, a: t.nan_to_num(a, 1.5, 2.5, -3.5), (S,)),
    "nan_to_num integers": (lambda t, a: t.nan_to_num(a), (I,)),
    "signbit": (lambda t, a: t.signbit(a), (S[~np.isnan(S)],)),
    "signbit integers": (lambda t, a: t.signbit(a), (I,)),
    "copysign": (lambda t, a, b: t.copysign(a, b), (A, B)),
    "copysign wide": (lambda t, a, b: t.copysign(a, b), (A, D)),
    "copysign number": (lambda t, a: t.copysign(a, -0.0), (I,)),
    "isposinf": (lambda t, a: t.isposinf(a), (S,)),
    "isneginf": (lambda t, a: t.isneginf(a), (S,)),
    "positive": (lambda t, a: t.positive(a), (I,)),
    "float_power": (lambda t, a: t.float_power(a, 3), (I,)),
    "logaddexp": (lambda t, a, b: t.logaddexp(a * 40, b * 40), (A, B)),
    "logaddexp at infinities": (lambda t, a, b: t.logaddexp(a, b), (np.repeat(S, len(S)), np.tile(S, len(S)))),
    "xlogy": (lambda t, a, b: t.xlogy(a, b), (M * 1.0 * A, np.abs(B))),
    "xlogy number": (lambda t, a: t.xlogy(0, a), (S,)),
    "deg2rad": (lambda t, a: t.deg2rad(a), (I,)),
    "rad2deg": (lambda t, a: t.rad2deg(a), (A,)),
    "gelu": (lambda t, a: (t.gelu if t is tg else t.nn.functional.gelu)(a, approximate="tanh"), (A,)),
    "relu6": (lambda t, a: (t.relu6 if t is tg else t.nn.functional.relu6)(a * 3), (A,)),
    "relu6 integers": (lambda t, a: (t.relu6 if t is tg else t.nn.functional.relu6)(a), (I,)),
    "tanhshrink": (lambda t, a: (t.tanhshrink if t is tg else t.nn.functional.tanhshrink)(a), (A,)),
    # in place
    "add_": (lambda t, a, b: a.add_(b, alpha=0.5), (A, B)),
    "add_ integers": (lambda t, a, b: a.add_(b, alpha=2), (I, J)),
    "sub_": (lambda t, a, b: a.sub_(b, alpha=0.5), (A, B)),
    "div_": (lambda t, a, b: a.div_(b), (A, B)),
    "div_ trunc": (lambda t, a, b: a.div_(b, rounding_mode="trunc"), (A, B)),
    "div_ trunc integers": (lambda t, a, b: a.div_(b, rounding_mode="trunc"), (I, J)),
    "div_ floor": (lambda t, a, b: a.div_(b, rounding_mode="floor"), (I, J)),
    "addcmul_": (lambda t, a, b, w: a.addcmul_(b, w, value=0.3), (A, B, W)),
    "addcdiv_": (lambda t, a, b, w: a.addcdiv_(b, w, value=0.3), (A, B, W)),
    "lerp_": (lambda t, a, b: a.lerp_(b, 0.3), (A, B)),
    "lerp_ tensor": (lambda t, a, b, w: a.lerp_(b, w), (A, B, W)),
    "round_": (lambda t, a: a.round_(decimals=1), (A,)),
    "clip_": (lambda t, a: a.clip_(-1, 1), (A,)),
    "clamp_min_": (lambda t, a, b: a.clamp_min_(b), (A, B)),
    "nan_to_num_": (lambda t, a: a.nan_to_num_(posinf=3.0), (S,)),
    "eq_": (lambda t, a, b: a.eq_(b), (I, J)),
    "gt_": (lambda t, a, b: a.gt_(b), (A, B)),
    "logical_and_": (lambda t, a, b: a.logical_and_(b), (A, I)),
    "logical_not_": (lambda t, a: a.logical_not_(), (I,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_against_torch(torch: Any, name: str) -> None:
    call, arrays = CALLS[name]
    both(torch, call, *arrays)


def test_in_place_writes_and_counts() -> None:
    for call, arrays in (CALLS[name] for name in CALLS if "_ " in name or name.endswith("_")):
        x, *rest = (tg.from_numpy(np.array(a)) for a in arrays)
        before = x._version
        assert call(tg, x, *rest) is x
        assert x._version > before


def test_what_cannot_be_written_in_place_changes_nothing() -> None:
    x = tg.tensor([1, 2])
    for call in (
        lambda: x.clamp_min_(0.5),
        lambda: x.add_(tg.ones(2), alpha=2.5),
        lambda: x.clamp_(tg.ones(3, 2, dtype=tg.int64)),
        lambda: x.div_(2),
        lambda: x.div_(0, rounding_mode="trunc"),
        lambda: x.xlogy_(2.0),
    ):
        with pytest.raises(RuntimeError):
            call()
    assert x.tolist() == [1, 2]
    assert x._version == 0


# ---------------------------------------------------------------- integers and masks by operator

OPERATORS = {
    "and": (operator.and_, operator.iand),
    "or": (operator.or_, operator.ior),
    "xor": (operator.xor, operator.ixor),
    "lshift": (operator.lshift, operator.ilshift),
    "rshift": (operator.rshift, operator.irshift),
}


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_integers(torch: Any, name: str, dtype: str) -> None:
    if dtype == "bool" and "shift" in name:
        with pytest.raises(TypeError, match="got bool"):
            OPERATORS[name][0](tg.tensor([True]), tg.tensor([True]))
        return
    plain, in_place = OPERATORS[name]
    a = (np.abs(I) > 3) if dtype == "bool" else np.abs(I).astype(dtype) if dtype == "uint8" else I.astype(dtype)
    b = N if dtype == "bool" else J.astype(dtype)
    both(torch, lambda t, x, y: plain(x, y), a, b)
    both(torch, lambda t, x, y: plain(x, y[0]), a, b)
    both(torch, lambda t, x: plain(x, True if dtype == "bool" else 3), a)
    both(torch, lambda t, x: plain(True if dtype == "bool" else 3, x), b)
    both(torch, lambda t, x, y: in_place(x, y), a, b)
    both(torch, lambda t, x: ~x, a)


def test_masks_with_integers(torch: Any) -> None:
    both(torch, lambda t, m, i: m & i, M, I)
    both(torch, lambda t, m: m | 2, M)
    both(torch, lambda t, i: i ^ True, I)


# ---------------------------------------------------------------- names, bits, speed paths


@pytest.mark.parametrize("alias", _elementwise.ALIASES)
def test_second_names(alias: str) -> None:
    first = _elementwise.ALIASES[alias]
    assert getattr(tg, alias) is getattr(tg, first)
    for suffix in ("", "_"):
        assert vars(tg.Tensor)[alias + suffix] is vars(tg.Tensor)[first + suffix]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_multiple_is_added_with_one_rounding(dtype: str) -> None:
    a, b = real(999, "a", dtype), real(999, "b", dtype)
    alpha = 1.1
    exact = np.longdouble(np.dtype(dtype).type(alpha)) * b.astype(np.longdouble) + a.astype(np.longdouble)
    got = tg.add(tg.from_numpy(a), tg.from_numpy(b), alpha=alpha).numpy()
    assert (np.abs(got - exact) <= np.spacing(np.abs(got)) * 0.5001).all()


POWERS: dict[float, Callable[[tg.Tensor], tg.Tensor]] = {
    2: lambda x: x * x,
    3: lambda x: x * x * x,
    0.5: tg.sqrt,
    -0.5: tg.rsqrt,
    -1: tg.reciprocal,
    -2: lambda x: tg.square(1 / x),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("exponent", POWERS)
def test_powers_of_small_numbers_are_products_and_roots(exponent: float, dtype: str) -> None:
    x = tg.from_numpy(np.concatenate([real(100, "powers", dtype, -9, 9), specials(dtype)]))
    want = POWERS[exponent](x).numpy()
    written, operated = x.clone(), x.clone()
    version = written._version
    written.pow_(exponent)
    assert written._version > version
    operated **= exponent
    for got in (x**exponent, x.pow(exponent), tg.pow(x, other=float(exponent)), written, operated):
        np.testing.assert_array_equal(got.numpy(), want)
    moderate = tg.from_numpy(real(1000, "moderate powers", dtype, 0.1, 9))
    row = tg.pow(moderate, tg.tensor(float(exponent), dtype=moderate.dtype))
    np.testing.assert_allclose((moderate**exponent).numpy(), row.numpy(), rtol=4 * np.finfo(dtype).eps)


def test_powers_of_integers() -> None:
    for kind in (tg.uint8, tg.int32, tg.int64):
        x = tg.tensor([0, 3, 7], dtype=kind)
        for exponent in (2, 3):
            assert (x**exponent).dtype is kind
            np.testing.assert_array_equal((x**exponent).numpy(), x.numpy() ** exponent)
        assert (x**2.0).dtype is (x**0.5).dtype is tg.float32
    with pytest.raises(TypeError, match=r"\[pow\] got float16, which is storage only"):
        tg.ones(2, dtype=tg.float16) ** 2
    assert (tg.tensor([True]) ** 2).dtype is tg.int64


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sign_of_zeros_infinities_and_nan(dtype: str) -> None:
    values = [-0.0, 0.0, -math.inf, math.inf, -1.5, 2.0, math.nan, math.copysign(math.nan, -1)]
    x = tg.tensor(values, dtype=getattr(tg, dtype))
    signs = [math.copysign(1, v) < 0 for v in values]
    assert tg.signbit(x).tolist() == signs
    assert tg.signbit(x.view(2, 4).t()).tolist() == np.array(signs).reshape(2, 4).T.tolist()
    assert tg.copysign(tg.ones(8, dtype=x.dtype), x).tolist() == [-1.0 if s else 1.0 for s in signs]


@pytest.mark.parametrize("dtype", FLOATS)
def test_lerp_ends_exactly(dtype: str) -> None:
    a, b = tg.from_numpy(real(99, "a", dtype, -1e3, 1e3)), tg.from_numpy(real(99, "b", dtype))
    assert tg.equal(tg.lerp(a, b, 0.0), a)
    assert tg.equal(tg.lerp(a, b, 1.0), b)
    assert tg.equal(tg.lerp(a, b, tg.ones(99, dtype=a.dtype)), b)


def test_gelu_approximations_are_near() -> None:
    x = tg.linspace(-5, 5, 101)
    assert float((tg.gelu(x) - tg.gelu(x, approximate="tanh")).abs().max()) < 5e-4
    assert math.isclose(float(tg.gelu(tg.tensor(1.0), approximate="tanh")), 0.8411920, rel_tol=1e-6)
