"""Sorts, selections and scans over random shapes, views and values, against PyTorch and by their properties."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import trigrad as tg
from reference_ordering import places
from values import Array, real, specials, whole

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")
LENGTHS = (0, 1, 2, 3, 5, 8, 17, 63, 64, 65, 66, 130, 300)


def values(n: int, dtype: str, kind: str) -> Array:
    """Few or many different values, NaN, zeros of both signs and infinities; or all of one narrow range."""
    if dtype == "bool":
        return whole(n, kind, "int64", 0, 2).astype(bool)
    if "int" in dtype:
        low, high = {"few": (0, 4), "narrow": (100, 120), "many": (0, 256), "special": (0, 256)}[kind]
        x = whole(n, kind, dtype, low, high)
        edges = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
        return np.where(np.arange(n) % 5 == 4, edges[np.arange(n) % 2], x) if kind == "special" else x
    if kind == "few":
        return whole(n, kind, dtype, -2, 3)
    if kind == "special":
        some = specials(dtype)
        return some[whole(n, kind, "int64", 0, len(some))]
    if kind == "narrow":
        return np.asarray(1 + np.arange(n)[::-1].astype(dtype) // 2 * np.finfo(dtype).eps, dtype)
    return real(n, kind, dtype, -1e3, 1e3)


@st.composite
def arrays(draw: Any, dtypes: tuple[str, ...] = DTYPES, least: int = 0) -> tuple[Array, int]:
    """A view of any strides and one of its axes."""
    rank = draw(st.integers(1, 3))
    dim = draw(st.integers(0, rank - 1))
    shape = [draw(st.integers(1, 4)) for _ in range(rank)]
    shape[dim] = draw(st.sampled_from([n for n in LENGTHS if n >= least]))
    dtype = draw(st.sampled_from(dtypes))
    kind = draw(st.sampled_from(("few", "many", "special", "narrow")))
    x = values(int(np.prod(shape)), dtype, kind).reshape(shape)
    layout = draw(st.sampled_from(("plain", "transposed", "strided", "reversed")))
    if layout == "transposed":
        x = np.array(x.T, order="C").T
    elif layout == "strided":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif layout == "reversed":
        x = np.flip(np.flip(x, dim).copy(), dim)
    return x, draw(st.sampled_from((dim, dim - rank)))


def same(got: Any, want: Any) -> None:
    got, want = got.numpy(), want if isinstance(want, np.ndarray) else want.numpy()
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@given(arrays(), st.booleans())
@example((values(100_000, "float64", "narrow"), 0), True)
@example((values(100_000, "float32", "special"), 0), False)
@example((values(100_000, "float64", "many"), 0), False)
@example((values(100_000, "int64", "special"), 0), False)
def test_sort(case: tuple[Array, int], descending: bool) -> None:
    """Stable: the indices are those of the one stable order, and the values are the elements there, zeros with their signs."""
    x, dim = case
    got = tg.sort(tg.from_numpy(x), dim, descending, stable=True)
    order = places(x.astype(np.int64) if x.dtype == bool else x, dim, descending)
    same(got.indices, order)
    same(got.values, np.take_along_axis(x, order, dim))
    if x.dtype.kind == "f":
        assert np.array_equal(np.signbit(got.values.numpy()), np.signbit(np.take_along_axis(x, order, dim)))
    same(tg.argsort(tg.from_numpy(x), dim, descending), order)


@given(arrays(), st.booleans())
def test_sort_against_torch(torch: Any, case: tuple[Array, int], descending: bool) -> None:
    x, dim = case
    got = tg.from_numpy(x).sort(dim=dim, descending=descending)
    want = torch.sort(torch.from_numpy(x.copy()), dim=dim, descending=descending, stable=True)
    same(got.values, want.values)
    same(got.indices, want.indices)


@given(arrays(), st.integers(0, 300), st.booleans())
@example((values(100_000, "float32", "special"), 0), 50, True)
@example((values(100_000, "float64", "few"), 0), 70_000, False)
@example((values(100_000, "int64", "many"), 0), 50, False)
@example((np.arange(100_000.0), 0), 50, True)
def test_topk(torch: Any, case: tuple[Array, int], k: int, largest: bool) -> None:
    """The first k of the stable order, whatever their number; the values are PyTorch's."""
    x, dim = case
    k = min(k, x.shape[dim])
    got = tg.topk(tg.from_numpy(x), k, dim, largest)
    order = places(x.astype(np.int64) if x.dtype == bool else x, dim, largest).take(range(k), dim)
    same(got.indices, order)
    same(got.values, np.take_along_axis(x, order, dim))
    if x.dtype != bool:
        same(got.values, torch.topk(torch.from_numpy(x.copy()), k, dim, largest).values)


@given(arrays(least=1), st.integers(1, 300), st.booleans())
@example((values(100_000, "float32", "special"), 0), 50_000, True)
@example((values(100_000, "float64", "few"), 0), 70_000, False)
@example((values(100_000, "int64", "special"), 0), 1, False)
def test_kthvalue(torch: Any, case: tuple[Array, int], k: int, keepdim: bool) -> None:
    x, dim = case
    k = min(k, x.shape[dim])
    got = tg.kthvalue(tg.from_numpy(x), k, dim, keepdim)
    order = places(x.astype(np.int64) if x.dtype == bool else x, dim, descending=False).take([k - 1], dim)
    want = np.take_along_axis(x, order, dim)
    same(got.indices, order if keepdim else order.squeeze(dim))
    same(got.values, want if keepdim else want.squeeze(dim))
    if x.dtype != bool:
        same(got.values, torch.kthvalue(torch.from_numpy(x.copy()), k, dim, keepdim).values)


@given(arrays(DTYPES[:5], least=1), st.booleans())
@example((values(100_000, "float32", "special"), 0), True)
@example((values(100_001, "float64", "many"), 0), True)
def test_median(torch: Any, case: tuple[Array, int], keepdim: bool) -> None:
    x, dim = case
    for name in ("median", "nanmedian"):
        got = getattr(tg, name)(tg.from_numpy(x), dim, keepdim)
        theirs = torch.from_numpy(x.copy())
        want = getattr(torch, name)(theirs, dim, keepdim)
        same(got.values, want.values)
        indices = got.indices.numpy() if keepdim else np.expand_dims(got.indices.numpy(), dim)
        assert np.array_equal(
            np.take_along_axis(x, indices, dim).squeeze(dim), want.values.numpy().reshape(indices.squeeze(dim).shape),
            equal_nan=x.dtype.kind == "f",
        )  # fmt: skip
        same(getattr(tg, name)(tg.from_numpy(x)), getattr(torch, name)(theirs))


@given(
    arrays(("float32", "float64"), least=1),
    st.lists(st.sampled_from((0.0, 0.25, 0.3, 0.5, 0.99, 1.0)), max_size=3) | st.sampled_from((0.0, 0.3, 0.5, 1.0)),
    st.sampled_from(("linear", "lower", "higher", "midpoint", "nearest")),
    st.booleans(),
    st.booleans(),
)
def test_quantile(torch: Any, case: tuple[Array, int], q: Any, how: Any, keepdim: bool, flat: bool) -> None:
    x, dim = case
    given_dim = None if flat else dim
    share = tg.tensor(q, dtype=getattr(tg, str(x.dtype))) if isinstance(q, list) else q
    theirs = torch.tensor(q, dtype=torch.float64) if isinstance(q, list) else q
    got = tg.quantile(tg.from_numpy(x), share, given_dim, keepdim, interpolation=how).numpy()
    wide = torch.from_numpy(x.astype(np.float64))
    want = torch.quantile(wide, theirs, given_dim, keepdim, interpolation=how).numpy()
    assert got.shape == want.shape
    finite = np.abs(x[np.isfinite(x)])
    atol = float(np.finfo(x.dtype).eps) * 300 * float(finite.max(initial=1))
    kind = np.isfinite(got) == np.isfinite(want)
    if np.isfinite(x).all() and finite.max(initial=0) < 1e30:
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=1e-5, atol=atol)
    elif how in ("lower", "higher", "nearest"):
        np.testing.assert_array_equal(got.astype(np.float64), want)
    else:
        assert kind.all() or not np.isnan(x).any()


@given(arrays(), st.sampled_from(("cumsum", "cumprod")))
@example((values(100_000, "float32", "few"), 0), "cumsum")
@example((real((3, 70_000), "scan", "float32"), 1), "cumsum")
@example((real((300, 700), "scan", "float64"), 0), "cumsum")
def test_scans(torch: Any, case: tuple[Array, int], name: str) -> None:
    """Integers modulo 2^64 in int64; floating lines as one chain of float64 additions, each partial sum rounded once."""
    x, dim = case
    got = getattr(tg.from_numpy(x), name)(dim).numpy()
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
        chain = np.cumsum(wide, axis=dim) if name == "cumsum" else np.cumprod(wide, axis=dim)
        np.testing.assert_array_equal(got, chain.astype(got.dtype))
    want = getattr(torch, name)(torch.from_numpy(x.copy()), dim).numpy()
    assert got.dtype == want.dtype
    if x.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)


@given(arrays(), st.integers(0, 3))
def test_diff(torch: Any, case: tuple[Array, int], n: int) -> None:
    x, dim = case
    same(tg.diff(tg.from_numpy(x), n, dim), torch.diff(torch.from_numpy(x.copy()), n, dim))


@given(arrays(("float32", "float64")))
def test_trapezoid(torch: Any, case: tuple[Array, int]) -> None:
    x, dim = case
    x = np.where(np.abs(x) < 1e4, x, 0)
    place = np.arange(x.shape[dim], dtype=x.dtype) ** 2
    ours, theirs = tg.from_numpy(x), torch.from_numpy(x.astype(np.float64))
    for got, want in (
        (tg.trapezoid(ours, dim=dim), torch.trapezoid(theirs, dim=dim)),
        (tg.trapezoid(ours, dx=0.25, dim=dim), torch.trapezoid(theirs, dx=0.25, dim=dim)),
        (
            tg.trapezoid(ours, tg.from_numpy(place), dim=dim),
            torch.trapezoid(theirs, torch.from_numpy(place.astype(np.float64)), dim=dim),
        ),
    ):
        scale = 1e3 * float(max(1, place.max(initial=1))) * max(1, x.shape[dim])
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=4 * np.finfo(x.dtype).eps * scale)


# ---------------------------------------------------------------- refusals

REFUSED = {
    "sort(x, 2)": (IndexError, r"\[sort\] dim 2 is out of range"),
    "topk(x, 4)": (
        RuntimeError,
        r"\[topk\] k is 4, expected 0 to 3, the elements along dim 1 of input \(2, 3\)",
    ),
    "topk(x, -1)": (RuntimeError, "k is -1"),
    "kthvalue(x, 0)": (RuntimeError, r"\[kthvalue\] k is 0, expected 1 to 3"),
    "kthvalue(x, 3, 0)": (RuntimeError, "expected 1 to 2"),
    "median(x[:0], 0)": (IndexError, "expected an element at least along dim 0"),
    "cumsum(x, 2)": (IndexError, "cumsum"),
    "cumsum(x, 0, dtype=bool)": (TypeError, "dtype is bool"),
    "sort(x.to(float16))": (TypeError, "storage only"),
    "quantile(x, 1.5)": (RuntimeError, r"\[quantile\] q is 1.5, expected 0 to 1"),
    "quantile(x, 0.5, interpolation='cubic')": (RuntimeError, "interpolation is 'cubic'"),
    "quantile(x.long(), 0.5)": (RuntimeError, "expected float32 or float64"),
    "quantile(x, tensor([[0.5]]))": (RuntimeError, r"q has shape \(1, 1\)"),
    "quantile(x[:0], 0.5)": (RuntimeError, "expected an element at least"),
    "diff(x, -1)": (RuntimeError, "n is -1"),
    "diff(x[0, 0])": (RuntimeError, "without dimensions"),
    "trapezoid(x, x, dx=1.0)": (RuntimeError, "expected one of them"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    error, message = REFUSED[text]
    with pytest.raises(error, match=message):
        eval(text, {**vars(tg), "x": tg.ones(2, 3)})


def test_numbers_and_nothing() -> None:
    """0-d tensors are lines of one element; empty ones have nothing to sort."""
    x = tg.tensor(2.5)
    assert [v.item() for v in (*tg.sort(x), *tg.topk(x, 1), *tg.kthvalue(x, 1), *tg.median(x, 0))] == [2.5, 0] * 4
    assert tg.cumsum(x, 0).item() == tg.quantile(x, 0.3).item() == 2.5
    assert tg.median(tg.zeros(0)).isnan().item()
    assert tg.sort(tg.zeros(3, 0)).indices.shape == (3, 0)
    assert tg.topk(tg.zeros(0), 0).values.shape == (0,)
    assert tg.cumprod(tg.zeros(0, 3), 0).shape == (0, 3)


def test_numpys_names() -> None:
    x = tg.tensor([[3.0, 1.0], [2.0, 5.0]])
    assert tg.sort(x, axis=0).values.tolist() == [[2.0, 1.0], [3.0, 5.0]]
    assert tg.cumsum(x, axis=0).tolist() == [[3.0, 1.0], [5.0, 6.0]]
    assert tg.median(x, axis=1, keepdims=True).values.shape == (2, 1)


def test_elements_that_change_meanwhile_do_no_harm() -> None:
    """NumPy writes into the tensor's memory on another thread: which element is found is open, but one is."""
    x = tg.rand(200_000, dtype=tg.float64)
    array, done = x.numpy(), threading.Event()

    def write() -> None:
        while not done.is_set():
            array[:] = array[::-1] * 1.0000001

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            assert 0 <= int(x.median(0).indices) < len(array)
            assert 0 <= int(x.kthvalue(100_000).indices) < len(array)
    finally:
        done.set()
        writer.join()
