"""Reductions and layer normalisation over random shapes, views and values, against PyTorch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg
from values import Array, real, whole

FLOATS = ("float32", "float64")


@st.composite
def arrays(draw: Any, dtypes: tuple[str, ...] = FLOATS, least: int = 0, rank: int = 0) -> Array:
    """A view of any strides, of real numbers or of few different integers."""
    shape = draw(st.lists(st.integers(least, 6) | st.sampled_from((17, 40, 130)), min_size=rank, max_size=3))
    dtype = draw(st.sampled_from(dtypes))
    n = int(np.prod(shape))
    if dtype == "bool":
        x = whole(n, "x", "int64", 0, 2).astype(bool)
    elif "int" in dtype or draw(st.booleans()):
        x = whole(n, "x", dtype, 0, draw(st.sampled_from((1, 2, 4))))
    else:
        x = real(n, "x", dtype, -3, 3)
    x = x.reshape(shape)
    layout = draw(st.sampled_from(("plain", "transposed", "reversed")))
    return np.array(x.T, order="C").T if layout == "transposed" else np.flip(np.flip(x).copy()) if shape else x


@st.composite
def axes(draw: Any, x: Array) -> Any:
    """None, one axis or several."""
    every = list(range(-x.ndim, x.ndim))
    if not every or draw(st.booleans()):
        return None
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, max_size=x.ndim, unique_by=lambda d: d % x.ndim))
    return chosen[0] if len(chosen) == 1 and draw(st.booleans()) else tuple(chosen)


def close(got: Any, want: Any, dtype: str, terms: int = 1) -> None:
    got, want = got.numpy(), want.numpy()
    assert got.shape == want.shape
    if got.dtype.kind != "f":
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
        return
    assert got.dtype == dtype
    relative = {"float32": 1.3e-6, "float64": 1e-10}[dtype]
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=relative, atol=relative * 10 * max(terms, 1))


def wide(torch: Any, x: Array) -> Any:
    return torch.from_numpy(x.astype(np.float64) if x.dtype.kind == "f" else x.copy())


@given(st.data(), st.booleans())
@pytest.mark.parametrize("name", ["any", "all"])
def test_truth(torch: Any, name: str, data: Any, keepdim: bool) -> None:
    x = data.draw(arrays((*FLOATS, "int64", "int32", "uint8", "bool")))
    dim = data.draw(axes(x) | st.just(()))
    got = getattr(tg, name)(tg.from_numpy(x), dim, keepdim)
    theirs = torch.from_numpy(x.copy())
    want = getattr(torch, name)(theirs, dim, keepdim) if dim is not None else getattr(torch, name)(theirs)
    close(got, want.reshape(got.shape) if dim is None and keepdim else want, str(x.dtype))


@given(st.data(), st.sampled_from((1, 2, 3, 0.5, 0, np.inf, -np.inf, "fro")), st.booleans())
def test_norm(torch: Any, data: Any, p: Any, keepdim: bool) -> None:
    x = data.draw(arrays(least=1))
    dim = data.draw(axes(x))
    want = torch.linalg.vector_norm(wide(torch, x), 2 if p == "fro" else p, dim, keepdim)
    terms = x.size * (x.size if p == 0.5 else 1)
    close(tg.norm(tg.from_numpy(x), p, dim, keepdim), want, str(x.dtype), terms)


@given(st.data(), st.booleans(), st.sampled_from((0, 1, 2)))
@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_moments(torch: Any, name: str, data: Any, keepdim: bool, correction: int) -> None:
    x = data.draw(arrays(least=1))
    dim = data.draw(axes(x))
    got = getattr(tg, name)(tg.from_numpy(x), dim, keepdim=keepdim, correction=correction)
    want = getattr(torch, name)(wide(torch, x), dim, keepdim=keepdim, correction=correction)
    for g, w in zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]:
        close(g, w, str(x.dtype), 10)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("unbiased", [False, True])
def test_unbiased_by_position(torch: Any, name: str, unbiased: bool) -> None:
    values = [1.0, 2.0, 4.0]
    assert float(getattr(tg, name)(tg.tensor(values), unbiased)) == pytest.approx(
        float(getattr(torch, name)(torch.tensor(values), unbiased))
    )


@given(st.data(), st.booleans())
def test_without_nan(torch: Any, data: Any, keepdim: bool) -> None:
    x = data.draw(arrays())
    x = np.where(whole(x.shape, "nan", "int64", 0, 3) == 0, np.array(np.nan, x.dtype), x)
    dim = data.draw(axes(x))
    for name in ("nansum", "nanmean"):
        got = getattr(tg, name)(tg.from_numpy(x), dim, keepdim)
        close(got, getattr(torch, name)(wide(torch, x), dim, keepdim), str(x.dtype), x.size)


@given(st.data(), st.booleans())
def test_extrema(torch: Any, data: Any, keepdim: bool) -> None:
    x = data.draw(arrays((*FLOATS, "int64", "int32", "uint8"), least=1, rank=1))
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    ours, theirs = tg.from_numpy(x), torch.from_numpy(x.copy())
    for name in ("max", "min"):
        got, want = getattr(tg, name)(ours, dim, keepdim), getattr(torch, name)(theirs, dim, keepdim)
        close(got.values, want.values, str(x.dtype))
        first = getattr(np, "arg" + name)(x, axis=dim, keepdims=keepdim)
        np.testing.assert_array_equal(got.indices.numpy(), first)
    got, want = tg.aminmax(ours, dim=dim, keepdim=keepdim), torch.aminmax(theirs, dim=dim, keepdim=keepdim)
    close(got.min, want.min, str(x.dtype))
    close(got.max, want.max, str(x.dtype))


@given(st.data(), st.booleans())
def test_logsumexp_over_several_axes(torch: Any, data: Any, keepdim: bool) -> None:
    x = data.draw(arrays(least=1, rank=1))
    dim = data.draw(axes(x).filter(lambda d: d is not None))
    close(tg.logsumexp(tg.from_numpy(x), dim, keepdim), torch.logsumexp(wide(torch, x), dim, keepdim), str(x.dtype))


@given(st.data(), st.booleans(), st.booleans())
def test_layer_norm(torch: Any, data: Any, weighted: bool, biased: bool) -> None:
    """Forward, and backward against PyTorch's derivative."""
    x = data.draw(arrays(least=1, rank=1))
    last = x.shape[x.ndim - data.draw(st.integers(1, x.ndim)) :]
    t = str(x.dtype)
    weight = real(last, "w", t) if weighted else None
    bias = real(last, "b", t) if biased else None
    grad = real(x.shape, "g", t)
    ours = [None if a is None else tg.from_numpy(a) for a in (x, weight, bias)]
    theirs = [None if a is None else wide(torch, a).requires_grad_() for a in (x, weight, bias)]
    want = torch.nn.functional.layer_norm(theirs[0], last, theirs[1], theirs[2], 0.01)
    close(tg.layer_norm(ours[0], last, ours[1], ours[2], 0.01), want.detach(), t, 10)
    want.backward(wide(torch, grad))
    _, mean, rstd = tg.ops.native_layer_norm(ours[0], last, ours[1], ours[2], 0.01)
    got = tg.ops.layer_norm_backward(tg.from_numpy(grad), ours[0], last, mean, rstd, ours[1])
    for g, tensor in zip(got, theirs, strict=True):
        if tensor is not None:
            close(g, tensor.grad, t, 100 * x.size)


@given(st.data())
def test_rms_norm_and_glu(torch: Any, data: Any) -> None:
    x = data.draw(arrays(least=1, rank=1))
    last = x.shape[x.ndim - data.draw(st.integers(1, x.ndim)) :]
    t = str(x.dtype)
    weight = real(last, "w", t)
    want = torch.nn.functional.rms_norm(wide(torch, x), last, wide(torch, weight), 0.01)
    close(tg.rms_norm(tg.from_numpy(x), last, tg.from_numpy(weight), 0.01), want, t, 10)
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    if x.shape[dim] % 2:
        with pytest.raises(RuntimeError, match="expected an even length along dim"):
            tg.glu(tg.from_numpy(x), dim)
    else:
        close(tg.glu(tg.from_numpy(x), dim), torch.nn.functional.glu(wide(torch, x), dim), t)


REFUSED = {
    "norm(x.long())": (RuntimeError, r"\[norm\] got trigrad.int64, expected a floating dtype"),
    "norm(x, 'nuc')": (ValueError, "p is 'nuc'"),
    "norm(x[:0], inf)": (RuntimeError, "empty reduction"),
    "ops.native_norm(x, None, False, 3.0)": (ValueError, "p is 3, expected 1 or 2"),
    "nanmean(x.long())": (RuntimeError, r"\[nanmean\] got trigrad.int64"),
    "any(x, 2)": (IndexError, r"\[any\] dim 2 is out of range"),
    "any(x, (0, -2))": (RuntimeError, "dim 0 appears twice"),
    "all(x.half())": (TypeError, "storage only"),
    "layer_norm(x, 2)": (RuntimeError, r"\[layer_norm\] input has shape \(2, 3\), expected one that ends in"),
    "layer_norm(x, ())": (RuntimeError, "expected one that ends in normalized_shape"),
    "layer_norm(x, 3, x[0, :2])": (RuntimeError, r"weight has shape \(2,\), expected \(3,\)"),
    "layer_norm(x, 3, bias=x)": (RuntimeError, r"bias has shape \(2, 3\), expected \(3,\)"),
    "layer_norm(x, 3, x[0].double())": (TypeError, "expected one dtype"),
    "layer_norm(x, 3, eps=-1.0)": (ValueError, "eps is -1"),
    "ops.layer_norm_backward(x, x, 3, x, x)": (RuntimeError, r"mean has shape \(2, 3\), expected \(2, 1\)"),
    "rms_norm(x, 2)": (RuntimeError, r"\[rms_norm\] input has shape \(2, 3\)"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    error, message = REFUSED[text]
    with pytest.raises(error, match=message):
        eval(text, {**vars(tg), "x": tg.ones(2, 3), "inf": np.inf})


def test_nothing_to_reduce() -> None:
    x = tg.zeros(2, 0)
    assert [tg.any(x, 1).tolist(), tg.all(x, 1).tolist()] == [[False, False], [True, True]]
    assert tg.norm(x).item() == tg.norm(x, 1).item() == tg.nansum(x).item() == 0
    assert tg.layer_norm(x, 0).shape == (2, 0)
    assert tg.layer_norm(tg.zeros(0, 3), 3).shape == (0, 3)
