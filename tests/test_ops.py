"""Every op of the table against its reference in float64, and the references against finite differences and torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import FUNCTIONS, NAMES, ONE_ARGUMENT, TABLE, TWO_ARGUMENTS, call, run, tensor
from reference import REFERENCE, quiet, reference
from samples import NO_FLOATS, OUTPUT, PARAMETERS, QUOTIENTS, derivative_of, large, parse, samples
from values import FLOATS, Array, Sample, specials, whole

# |got - want| <= relative |want| + relative * (largest |want|, at least 1)
RELATIVE = {"float32": 1e-5, "float64": 1e-12}
BY_DIFFERENCES = {"float32": 2e-5, "float64": 2e-9}  # rows of derivatives, whose reference is a finite difference


def wide(a: Any) -> Any:
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def expected(name: str, sample: Sample, dtype: str) -> tuple[Any, ...]:
    """The reference's outputs, from the same rounded inputs, in float64."""
    derivative = derivative_of(name)
    function = reference(name, derivative)
    attrs = dict(sample.attrs)
    if name == "native_bernoulli":
        attrs["dtype"] = dtype
    out = function(*(wide(t) for t in sample.tensors if t is not OUTPUT), **attrs)
    return out if isinstance(out, tuple) else (out,)


def assert_close(got: Array, want: Any, relative: float, what: str) -> None:
    want = np.asarray(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if got.dtype.kind != "f":
        assert np.array_equal(got, want), f"{what}: {got} is not {want}"
        return
    with np.errstate(all="ignore"):
        want = want.astype(got.dtype).astype(np.float64)  # what overflows in this dtype is infinite
        finite = want[np.isfinite(want)]
        scale = max(1.0, float(np.max(np.abs(finite), initial=0)))
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=relative, atol=relative * scale, err_msg=what)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_forward(name: str, dtype: str) -> None:
    row = TABLE[name]
    derivative = derivative_of(name)
    tolerance = (BY_DIFFERENCES if derivative else RELATIVE)[dtype]
    if name == "normal" and dtype == "float32":
        tolerance = 1e-5
    n = 0
    for sample in [*samples(row, dtype), large(row, dtype)]:
        out = run(name, sample)
        want = expected(name, sample, dtype)
        assert len(out) == len(want)
        assert row["updates"] or len(out) == row["n_outputs"]
        for k, (g, w) in enumerate(zip(out, want, strict=True)):
            if w is None:
                assert g is None, f"{name} {sample.label}: output {k} is not expected"
                continue
            assert g is not None, f"{name} {sample.label}: output {k} is missing"
            assert_close(g, w, tolerance, f"{name} {dtype} {sample.label} output {k}")
            n += g.size
    assert n > 100


OF_FLOATS = [n for n in FUNCTIONS if TABLE[n]["pointwise"]["dtypes"] not in NO_FLOATS]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [n for n in ONE_ARGUMENT if n in OF_FLOATS])
def test_special_values(name: str, dtype: str) -> None:
    """Zeros with their signs, denormals, the largest numbers, infinities and NaN."""
    x = specials(dtype)
    for choice in PARAMETERS.get(name, ((),)):
        names = [p.name for p in parse(TABLE[name]["signature"]) if not p.is_tensor]
        attrs = dict(zip(names, choice, strict=True))
        got = run(name, Sample("specials", (x,), attrs))[0]
        assert got is not None
        want = quiet(REFERENCE[name])(x.astype(np.float64), *choice)
        if got.dtype.kind == "f":
            with np.errstate(all="ignore"):
                want = want.astype(dtype)
            # Some units in the last place (of a denormal too): test_elementary.py has the bounds.
            with np.errstate(all="ignore"):
                slack = 16 * np.spacing(np.abs(np.where(np.isfinite(want), want, 0)))
                close = np.abs(got.astype(np.float64) - want) <= slack
            right = np.where(np.isnan(want), np.isnan(got), (got == want) | close)
            signs = np.isnan(want) | (want != 0) | (np.signbit(got) == np.signbit(want))
            bad = ~(right & signs)
            assert not bad.any(), f"{name}{choice}({x[bad]}) is {got[bad]}, expected {want[bad]}"
        else:
            assert np.array_equal(got, want), f"{name}: {got} is not {want}"


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name",
    [n for n in TWO_ARGUMENTS if n in OF_FLOATS and n not in PARAMETERS and n not in ("pow", "atan2", "hypot")],
)
def test_special_pairs(name: str, dtype: str) -> None:
    """All pairs of special values; what is not exactly rounded has tests in test_elementary.py."""
    x = specials(dtype)
    a, b = (m.reshape(-1) for m in np.meshgrid(x, x, indexing="ij"))
    if name in ("remainder", "floor_divide"):  # numpy's quotients are not exact beyond the digits of the dtype
        with np.errstate(all="ignore"):
            keep = ~((np.abs(a) > 1e6 * np.abs(b)) & np.isfinite(a) & np.isfinite(b) & (b != 0))
            a, b = a[keep], b[keep]
    got = run(name, Sample("specials", (a, b)))[0]
    assert got is not None
    with np.errstate(all="ignore"):
        want = REFERENCE[name](a, b)  # in the dtype itself: these are exactly rounded
    right = (np.isnan(want) & np.isnan(got)) | (got == want) if got.dtype.kind == "f" else got == want
    assert right.all(), f"{name}({a[~right][:9]}, {b[~right][:9]}) is {got[~right][:9]}, expected {want[~right][:9]}"


# ---------------------------------------------------------------- derivatives where they jump: PyTorch's choice

KINKS: dict[str, tuple[tuple[float, ...], float]] = {
    # row: arguments, derivative (of the first argument)
    "abs_backward": ((0.0,), 0.0),
    "sign_backward": ((0.0,), 0.0),
    "relu_backward": ((0.0,), 0.0),
    "leaky_relu_backward": ((0.0,), 0.01),
    "clamp_backward": ((-0.5,), 1.0),
    "floor_backward": ((2.0,), 0.0),
    "round_backward": ((2.5,), 0.0),
    "maximum_backward_a": ((1.5, 1.5), 0.5),
    "maximum_backward_b": ((1.5, 1.5), 0.5),
    "minimum_backward_a": ((1.5, 1.5), 0.5),
    "minimum_backward_b": ((1.5, 1.5), 0.5),
    "pow_backward_a": ((0.0, 2.0), 0.0),
    "pow_backward_b": ((0.0, 2.0), 0.0),
    "hardtanh_backward": ((1.0,), 0.0),
    "hardsigmoid_backward": ((3.0,), 0.0),
    "hardswish_backward": ((3.0,), 1.0),
    "threshold_backward": ((0.5,), 0.0),
    "hardshrink_backward": ((0.5,), 0.0),
    "softshrink_backward": ((-0.5,), 0.0),
    "softsign_double_backward": ((0.0,), 0.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_derivative_at_a_jump(name: str) -> None:
    arguments, want = KINKS[name]
    derivative = derivative_of(name)
    assert derivative
    params = parse(TABLE[name]["signature"])
    names = [p.name for p in params if not p.is_tensor]
    grads = [np.array([1.0])] * (derivative[1] - 1) + [np.array([3.0])]
    values = [*grads, *(np.array([v]) for v in arguments), OUTPUT]
    attrs = dict(zip(names, PARAMETERS.get(derivative[0], ((),))[0], strict=True))
    got = run(name, Sample("jump", tuple(values), attrs))[0]
    assert got is not None
    assert got[0] == 3.0 * want


CLOSED = {"relu": -1.0, "clamp": 2.0, "hardtanh": 1.0, "threshold": 0.5, "hardshrink": 0.25, "softshrink": -0.25}


@pytest.mark.parametrize("grad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", CLOSED)
def test_no_gradient_comes_through_a_closed_gate(name: str, grad: float) -> None:
    names = [p.name for p in parse(TABLE[name]["signature"]) if not p.is_tensor]
    attrs = dict(zip(names, PARAMETERS.get(name, ((),))[0], strict=True))
    x = np.full(19, CLOSED[name])
    got = run(name + "_backward", Sample("gate", (np.full(19, grad), x, OUTPUT), attrs))[0]
    assert got is not None
    assert (got == 0).all()


# ---------------------------------------------------------------- integers

INTEGERS = ("int64", "int32", "uint8")
EDGES = {"int64": (-(2**63), 2**63 - 1), "int32": (-(2**31), 2**31 - 1), "uint8": (0, 255)}


WHOLE_PARAMETERS = {"clamp": (-2, 3), "hardtanh": (-2, 3), "threshold": (1, 7)}  # integers leave integers


def _attrs(name: str) -> dict[str, Any]:
    names = [p.name for p in parse(TABLE[name]["signature"]) if not p.is_tensor]
    values = WHOLE_PARAMETERS.get(name) or PARAMETERS.get(name, ((),))[0]
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers(name: str, dtype: str) -> None:
    low, high = EDGES[dtype]
    plain = whole(65, "int", dtype, 0 if dtype == "uint8" else -9, 10)
    x = np.concatenate([plain, np.array([low, low + 1, high, high - 1, 0, 1], dtype)])
    attrs = _attrs(name)
    if TABLE[name]["pointwise"]["dtypes"] == "floats":  # integers become float32
        choice = tuple(attrs.values())
        got = run(
            name, Sample("integers", (plain, np.abs(plain) + plain.dtype.type(1))[: 1 + (name in TWO_ARGUMENTS)], attrs)
        )[0]
        assert got is not None
        assert got.dtype == np.float32
        arguments = (plain.astype("float64"), (np.abs(plain) + 1.0))[: 1 + (name in TWO_ARGUMENTS)]
        with np.errstate(all="ignore"):
            assert_close(got, REFERENCE[name](*arguments, *choice), RELATIVE["float32"], name)
        return
    if name in ONE_ARGUMENT:
        got = run(name, Sample("integers", (x,), attrs))[0]
        with np.errstate(all="ignore"):
            want = np.asarray(_integer_reference(name, x, **attrs))
        assert got is not None
        assert np.array_equal(got, want), f"{name}: {got} is not {want}"
        return
    a, b = (m.reshape(-1) for m in np.meshgrid(x, x, indexing="ij"))
    if name in QUOTIENTS:
        a, b = a[b != 0], b[b != 0]
    if name == "pow":
        a, b = a[b >= 0], b[b >= 0]
        a, b = a[b <= 7], b[b <= 7]
    got = run(name, Sample("integers", (a, b)))[0]
    with np.errstate(all="ignore"):
        want = np.asarray(REFERENCE[name](a, b))
    assert got is not None
    wrong = got != want
    assert not wrong.any(), f"{name}({a[wrong][:5]}, {b[wrong][:5]}) is {got[wrong][:5]}, expected {want[wrong][:5]}"
    assert got.dtype == (np.bool_ if want.dtype == np.bool_ else np.dtype(dtype))


def _integer_reference(name: str, x: Array, **attrs: float) -> Array:
    """In the integers' own dtype, wrapping."""
    if name in ("clamp", "hardtanh"):
        low = max(-2, np.iinfo(x.dtype).min)
        return np.clip(x, low, 3)
    if name in ("floor", "ceil", "round", "trunc"):
        return x
    if name == "relu":
        return np.maximum(x, x.dtype.type(0))
    if name == "threshold":
        return np.where(x <= 1, x.dtype.type(7), x)
    return np.asarray(REFERENCE[name](x, **attrs))


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "argmax", "argmin"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_reductions(name: str, dtype: str) -> None:
    x = whole((5, 7, 9), "red", dtype, 0 if dtype == "uint8" else -9, 10)
    for dim in (None, 0, 1, 2, (0, 2), (1, 2)):
        got = run(name, Sample("", (x,), {"dim": dim}))[0]
        want = REFERENCE[name](x.astype("int64"), dim)
        assert got is not None
        assert np.array_equal(got, want), f"{name} {dtype} {dim}"
        assert got.dtype == (np.dtype(dtype) if name in ("amax", "amin") else np.int64)


# ---------------------------------------------------------------- in place, storage dtypes


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if hasattr(tg.Tensor, n + "_")])
def test_in_place_equals_out_of_place(name: str, dtype: str) -> None:
    tested = 0
    for sample in samples(TABLE[name], dtype):
        first, *rest = sample.tensors
        want = run(name, sample)[0]
        assert want is not None
        if want.shape != first.shape:
            continue
        x = tensor(np.array(first))
        result = getattr(x, name + "_")(*(tensor(r) for r in rest), **sample.attrs)
        assert result is x
        np.testing.assert_array_equal(x.numpy(), want.astype(dtype))
        tested += 1
    assert tested


STORAGE = ("int8", "int16", "uint16", "uint32", "float16", "uint8", "int32", "int64", "bool", "float32", "float64")


@pytest.mark.parametrize("source", STORAGE)
@pytest.mark.parametrize("target", STORAGE)
def test_casts(source: str, target: str) -> None:
    """In-range values exactly; float16 rounds to nearest even; anything but 0 is true."""
    low = 0 if source.startswith("u") or target.startswith("u") else -100
    x = whole(65, "c", "int64", low, 101)
    x = (x % 2 if "bool" in (source, target) else x).astype(source)
    got = run("cast", Sample("", (x,), {"dtype": target}))[0]
    assert got is not None
    assert got.dtype == np.dtype(target)
    assert np.array_equal(got, x.astype(target))


def test_half_precision_rounds_to_nearest_even() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        wide_values = every.astype(np.float64)
        between = (wide_values[:-1] + wide_values[1:]) / 2
    values = np.concatenate(
        [wide_values, between, between * (1 + 2**-40), between * (1 - 2**-40), [65519.9, 65520, 1e300, 1e-300]]
    )
    with np.errstate(all="ignore"):
        want = values.astype(np.float16)
    got = run("cast", Sample("", (values,), {"dtype": "float16"}))[0]
    assert got is not None
    same = (got.view(np.uint16) == want.view(np.uint16)) | (np.isnan(got) & np.isnan(want))
    assert same.all(), (values[~same][:5], got[~same][:5], want[~same][:5])
    back = run("cast", Sample("", (every,), {"dtype": "float32"}))[0]
    np.testing.assert_array_equal(back, every.astype(np.float32))


def test_bfloat16_rounds_to_nearest_even() -> None:
    upper = np.arange(2**16, dtype=np.uint32) << 16
    words = np.concatenate([upper + low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]).astype(np.uint32)
    values = words.view(np.float32)
    rounded = ((words.astype(np.uint64) + 0x7FFF + (words >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    (narrow,) = call("cast", [tensor(values)], {"dtype": "bfloat16"})
    assert narrow.dtype == tg.bfloat16
    (got,) = call("cast", [narrow], {"dtype": "float32"})
    same = (got.numpy().view(np.uint32) == rounded.view(np.uint32)) | (np.isnan(values) & np.isnan(got.numpy()))
    assert same.all()
