"""What moves, sorts and counts elements on a GPU, and arithmetic of integers: the bits, and the refusals, of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import NAMES, TABLE, bits, call, inputs
from samples import required, samples
from trigrad import _core
from values import Sample

pytestmark = pytest.mark.usefixtures("gpu")

SIZES = (0, 1, 31, 32, 33, 64, 65, 512, 513, 1023, 1025, 2100)
COMPUTE = ("float32", "float64", "int64", "int32", "uint8", "bool")
STORED = (*COMPUTE, "int8", "int16", "uint16", "uint32", "float16", "bfloat16")


def on_gpu(value: Any) -> Any:
    """There: a tensor that is not contiguous as every second element of something larger, its axes in the order of its strides."""
    if isinstance(value, (list, tuple)):
        return type(value)(on_gpu(v) for v in value)
    if not isinstance(value, tg.Tensor):
        return value
    if value.is_contiguous():
        return value.to("cuda")
    order = sorted(range(value.ndim), key=lambda d: -abs(value.stride()[d]))
    inside = value.permute(*order)
    wide = tg.zeros(*inside.shape[:-1], 2 * inside.shape[-1], dtype=value.dtype).to("cuda")
    wide[..., ::2].copy_(inside.to("cuda"))
    return wide[..., ::2].permute(*[order.index(d) for d in range(value.ndim)])


def outcome(f: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The bits that come out, or what is said instead."""
    try:
        out = f(*args)
    except (RuntimeError, IndexError, ValueError, TypeError) as e:
        return type(e), str(e)
    outs = [o.cpu() for o in (out if isinstance(out, (tuple, list)) else [out])]
    return [(o.dtype, bits((o.float() if o.dtype is tg.bfloat16 else o).numpy())) for o in outs]


def same(f: Callable[..., Any], *args: Any) -> Any:
    here = outcome(f, args)
    there = outcome(f, on_gpu(args))
    assert there == here
    return here


def refused(kind: type[Exception], words: str, f: Callable[..., Any], *args: Any) -> None:
    got = same(f, *args)
    assert isinstance(got, tuple), "nothing was refused"
    assert got[0] is kind, got
    assert words in got[1], got[1]


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> tg.Tensor:
    """Few values, so that many are equal; of floats also NaN, infinities and both zeros."""
    if dtype in ("float16", "bfloat16"):
        return drawn(rng, shape, "float32").to(getattr(tg, dtype))
    if dtype in ("float32", "float64"):
        values = rng.integers(-20, 20, shape) * 0.37
        wild = rng.integers(0, 12, shape)
        for k, v in enumerate((np.nan, np.inf, -np.inf, 0.0, -0.0)):
            values = np.where(wild == k, v, values)
        return tg.from_numpy(np.ascontiguousarray(values.astype(dtype)))
    low = 0 if dtype in ("uint8", "bool", "uint16", "uint32") else -20
    return tg.from_numpy(rng.integers(low, 2 if dtype == "bool" else 20, shape).astype(dtype))


def indices(rng: np.random.Generator, shape: tuple[int, ...], n: int, wrap: bool = False) -> tg.Tensor:
    return tg.from_numpy(rng.integers(-n if wrap else 0, n, shape))


# ---- reading and writing by index


@pytest.mark.parametrize("dtype", STORED)
def test_moves(dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = drawn(rng, (9, 7, 5), dtype)
    i, j = indices(rng, (4, 3), 7, wrap=True), indices(rng, (3,), 3, wrap=True)
    for v in (x, x[:, :, ::2], drawn(rng, (5, 7, 9), dtype).permute(2, 1, 0)):
        same(lambda x, i: x[:, i], v, i)
        same(lambda x, i, j: x[:, i, j], v, i, j)
    same(lambda x, i: x.T.gather(1, i), x[0], indices(rng, (5, 11), 7))
    same(lambda x: tg.cat([x, x[:2], x[:0]], 0), x)
    same(lambda x: tg.cat([x.permute(1, 0, 2), x.permute(1, 0, 2)], 2), x)
    same(lambda x: _core.call("native_pad", [x], ([1, 2, -1, 3], 1)), x)
    if dtype in COMPUTE:
        same(lambda x, m: x.masked_fill(m, 1), x, drawn(rng, (7, 1), "bool"))
    for d in (-20, -2, 0, 1, 20):
        same(lambda x, d=d: tg.tril(x, d), x)
        same(lambda x, d=d: tg.triu(x.permute(2, 1, 0), d), x)

    def put(x: tg.Tensor, values: tg.Tensor, i: tg.Tensor, j: tg.Tensor) -> tg.Tensor:
        y = x.clone()
        y[:, i] = values  # indices appear twice: the last one wins
        y[1:, i, j] = values[:3]
        y.permute(2, 1, 0)[j] = values[0, 0, 0]
        return y

    same(put, x, drawn(rng, (4, 3, 5), dtype)[:, :, 2:3], indices(rng, (4, 3), 7), indices(rng, (3,), 5))
    same(lambda x, i, v: x.scatter(1, i, v), x[:, :, 0], indices(rng, (8, 40), 7), drawn(rng, (9, 40), dtype))
    same(lambda x, i, v: x.scatter(0, i, v), x[:, 0].T[:, :5], indices(rng, (90, 4), 5), drawn(rng, (90, 5), dtype))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", COMPUTE)
def test_additions_in_the_order_of_the_index(dtype: str, n: int) -> None:
    rng = np.random.default_rng(n)
    x = drawn(rng, (6, 5), dtype)
    values = drawn(rng, (n, 5), dtype)
    if dtype in ("float32", "float64"):  # sums that depend on the order
        values = values.nan_to_num(1.0, 1e6, -1e6) * 1.1
        x = x.nan_to_num(0.5, 3.0, -3.0)
    rows = indices(rng, (n,), 6, wrap=True)
    same(lambda x, i, v: x.index_put((i,), v, accumulate=True), x, rows, values)
    columns = indices(rng, (n, 5), 5)
    same(lambda x, i, v: x.scatter_add(0, i, v), x, columns, values)
    same(lambda x, i, v: x.T.scatter_add(1, i.T, v.T), x, columns, values)
    pairs = (rows, indices(rng, (n,), 5))
    same(lambda x, i, j, v: x.index_put((i, j), v, accumulate=True), x, *pairs, values[:, 0])
    same(lambda x, i, j: x.index_put((i, j), x[0, 0], accumulate=True), x, *pairs)


def test_refused_indices() -> None:
    x = tg.arange(12.0).reshape(3, 4)
    words = "is out of range for dimension"
    index, put = "native_index", "native_index_put"
    bad = tg.tensor([1, 2, -4, 5, 9])
    refused(IndexError, f"index -4 {words} 0 of length 3, expected -3 to 2", lambda x, i: x[i], x, bad)
    refused(IndexError, f"index -4 {words} 1 of length 4, expected 0 to 3", lambda x, i: x.gather(1, i[None]), x, bad)
    refused(IndexError, f"index 5 {words} 1 of length 4", lambda x, i: x[tg.zeros_like(i), i], x, bad)
    refused(IndexError, words, lambda x, i: _core.call(index, [x, i], (0, False)), x, bad[2:3].expand(2, 5))
    refused(IndexError, f"index 0 {words} 0 of length 0, expected none", lambda x, i: x[:0][i], x, bad * 0)
    refused(IndexError, words, lambda x, i: _core.call(put, [x, x[0], i], (0, False, True)), x, bad)
    refused(IndexError, words, lambda x, i: x.scatter_add(1, i[:4][None], x), x, bad + 1)
    refused(IndexError, words, lambda x, i: x.scatter(0, i[None, :4], x), x, bad)

    def unharmed(x: tg.Tensor, i: tg.Tensor) -> tg.Tensor:
        y = x.clone()
        with pytest.raises(IndexError):
            y[i] = y[0, 0]
        with pytest.raises(IndexError):
            y.scatter_add_(0, i[:, None], tg.ones_like(i)[:, None].to(x.dtype))
        return y

    assert same(unharmed, x, bad) == outcome(lambda x: x, (x,))
    refused(ValueError, "n is 3, expected 11", lambda x: _core.call("native_nonzero", [x], (3,)), x)


# ---- places, scans and sorts


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", COMPUTE)
def test_lines(dtype: str, n: int) -> None:
    rng = np.random.default_rng(n + 1)
    x = drawn(rng, (3, n), dtype)
    wide = drawn(rng, (n, 2, 3), dtype)
    for v, dim in ((x, 1), (wide, 0), (wide.permute(2, 1, 0)[:, :, ::2], 2)):
        length = v.shape[dim]
        for descending in (False, True):
            same(lambda v, d=dim, k=descending: _core.call("native_sort", [v], (d, k)), v)
        for k in {min(length, k) for k in (0, 1, 2, 17, 64, 65, 700)}:
            for largest in (False, True):
                same(lambda v, d=dim, k=k, up=largest: _core.call("native_topk", [v], (k, d, up)), v)
        for k in (1, length // 2, length, None):
            for skip in (False, True):
                same(lambda v, d=dim, k=k, s=skip: _core.call("native_kthvalue", [v], (k, d, False, s)), v)
        for scan in (tg.cumsum, tg.cumprod):
            same(lambda v, d=dim, f=scan: f(v, d), v)
        same(tg.nonzero, v)
        same(lambda v: _core.call("native_count_nonzero", [v], ()), v)
    if dtype != "bool":
        row = x.sort(1)[0]
        for right in (False, True):
            for narrow in (False, True):
                f = lambda s, v, r=right, o=narrow: tg.searchsorted(s, v, right=r, out_int32=o)
                same(f, row, drawn(rng, (3, 40), dtype))
                same(f, row[0], wide[:5])
                same(f, x[0], x[1])  # not sorted: what comes out is the same all the same


def test_long_lines() -> None:
    rng = np.random.default_rng(7)
    x = tg.from_numpy(rng.standard_normal(70_001).astype("float32"))
    same(lambda x: x.sort(), x)
    same(lambda x: _core.call("native_topk", [x], (1000, 0, True)), x)
    same(lambda x: tg.cumsum(x, 0), x)
    i = indices(rng, (70_001,), 40_000)
    same(lambda x, i: tg.zeros(40_000).to(x.device).index_put((i,), x, accumulate=True), x, i)
    same(lambda x: tg.nonzero(x > 0.5), x[1:].reshape(7, 2, -1))


# ---- arithmetic of integers and truths


WHOLE = [n for n in NAMES if TABLE[n]["pointwise"] and TABLE[n]["pointwise"]["dtypes"] != "floats"]


@pytest.mark.parametrize("dtype", COMPUTE[2:])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name: str, dtype: str) -> None:
    """Extremes and small numbers against each other, contiguous, transposed, broadcast and beside a number of Python's."""
    row = TABLE[name]["pointwise"]
    if dtype == "bool":
        values = np.array([False, True] * 6)
    else:
        info = np.iinfo(dtype)
        some = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 5, 7, 31, 63]
        values = np.array([*some, *(-v for v in some[5:] if info.min < 0)]).astype(dtype)
    n = len(values)
    a = tg.from_numpy(np.ascontiguousarray(np.broadcast_to(values, (n, n))))
    attrs = required(TABLE[name])
    f = lambda *t: call(name, t, attrs)
    if row["arity"] == 1:
        same(f, a.T)
        same(f, a[0])
        return
    same(f, a, a.T)
    same(f, a[:, ::2], a.T[:, :1])
    for v in values:
        same(lambda a, v=v: f(a, tg.tensor(v, dtype=a.dtype).to(a.device)), a[0])


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_division_by_zero(dtype: str) -> None:
    a = tg.arange(35).reshape(5, 7).to(getattr(tg, dtype))
    b = (a.T.contiguous() % 13).T
    b[0, 0] = 1
    for f in (tg.floor_divide, tg.remainder, tg.fmod, lambda a, b: _core.call("native_div_trunc", [a, b], ())):
        refused(RuntimeError, "integer division by zero: element ", f, a, b)
        refused(RuntimeError, "element 0 of other () is 0", lambda a, f=f: f(a, 0), a)
        same(f, a[:0], b[:0])
        same(f, a, b.maximum(tg.ones_like(b)))


def test_samples_of_integers() -> None:
    """The samples of the rows that take integers, in them."""
    taken = 0
    for name in WHOLE:
        for sample in list(samples(TABLE[name], "int32"))[:6]:
            if any(isinstance(t, np.ndarray) and t.dtype.kind == "f" for t in sample.tensors):
                continue
            made: Sample = sample
            same(lambda *t, n=name, s=made: call(n, t, s.attrs), *inputs(name, made))
            taken += 1
    assert taken > 50
