"""Random shapes, axes, dtypes and views, against numpy and torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg
from door import run, tensor
from reference import REFERENCE, quiet
from values import Array, Sample, real, whole

few = settings(max_examples=60)

lengths = st.integers(0, 5)
shapes = st.lists(lengths, min_size=0, max_size=4).map(tuple)
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


def numbers(shape: tuple[int, ...], dtype: str, key: str) -> Array:
    if dtype == "bool":
        return whole(shape, key, "int64", 0, 2).astype(bool)
    return whole(shape, key, dtype, 0 if dtype == "uint8" else -8, 9) if "int" in dtype else real(shape, key, dtype)


@st.composite
def broadcastable(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    full = draw(shapes)
    both = []
    for _ in range(2):
        kept = full[draw(st.integers(0, len(full))) :]
        both.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    return both[0], both[1]


@few
@given(
    broadcastable(),
    st.sampled_from(["add", "sub", "mul", "div", "maximum", "minimum", "lt", "eq"]),
    st.sampled_from(["float32", "float64"]),
)
def test_broadcasting(pair: tuple[tuple[int, ...], tuple[int, ...]], name: str, dtype: str) -> None:
    a, b = real(pair[0], "a", dtype), real(pair[1], "b", dtype)
    got = run(name, Sample("", (a, b)))[0]
    want = quiet(REFERENCE[name])(a, b)
    assert got is not None
    np.testing.assert_array_equal(got, want)
    assert got.shape == want.shape


@few
@given(shapes, shapes)
def test_shapes_that_do_not_broadcast_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        want = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(RuntimeError, match=r"\[add\] shapes .* cannot be broadcast"):
            tg.ops.add(tg.zeros(a), tg.zeros(b))
    else:
        assert tuple(tg.ops.add(tg.zeros(a), tg.zeros(b)).shape) == want


@few
@given(shapes, shapes, shapes)
def test_where_broadcasts_three(c: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> None:
    arrays = numbers(c, "bool", "c"), numbers(a, "float32", "a"), numbers(b, "float32", "b")
    try:
        want = np.where(*arrays)
    except ValueError:
        with pytest.raises(RuntimeError, match="cannot be broadcast"):
            run("where", Sample("", arrays))
    else:
        np.testing.assert_array_equal(run("where", Sample("", arrays))[0], want)


# ---------------------------------------------------------------- promotion: PyTorch's rules

# What takes part: (dtype, has dimensions), or a Python number and None.
Kind = tuple[Any, bool | None]
KINDS: list[Kind] = [(t, d) for t in DTYPES for d in (True, False)] + [(3, None), (2.5, None), (True, None)]
WIDENING = ("bool", "uint8", "int32", "int64", "float32", "float64")  # each holds those before it, for the types here
CATEGORY = {t: 2 if "float" in t else 1 if "int" in t else 0 for t in WIDENING}
OF_NUMBER = {int: "int64", float: "float32", bool: "bool"}


def promoted(a: Kind, b: Kind) -> str:
    """Tensors with dimensions decide; 0-d tensors, then numbers, count only where they bring a higher category."""
    result = None
    for level in (True, False, None):
        here = [OF_NUMBER[type(v)] if level is None else v for v, dimensions in (a, b) if dimensions is level]
        best = max(here, key=WIDENING.index, default=None)
        if best and (result is None or CATEGORY[best] > CATEGORY[result]):
            result = best
    assert result
    return result


def operand(kind: Kind, make: Any) -> Any:
    value, dimensions = kind
    return value if dimensions is None else make(np.ones((2,) if dimensions else (), value))


PAIRS = [(a, b) for a in KINDS for b in KINDS if a[1] is not None or b[1] is not None]


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_promotion(a: Kind, b: Kind) -> None:
    got = operand(a, tensor) * operand(b, tensor)
    assert str(got.dtype).removeprefix("trigrad.") == promoted(a, b)
    assert (got.numpy() == float(a[0] if a[1] is None else 1) * float(b[0] if b[1] is None else 1)).all()


def test_the_rule_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    for a, b in PAIRS:
        want = operand(a, torch.from_numpy) * operand(b, torch.from_numpy)
        assert str(want.dtype).removeprefix("torch.") == promoted(a, b), f"{a} * {b}"


@pytest.mark.parametrize("b", DTYPES)
@pytest.mark.parametrize("a", DTYPES)
def test_promotion_is_symmetric_and_keeps_values(a: str, b: str) -> None:
    x, y = numbers((6,), a, "x"), numbers((6,), b, "y")
    one, two = tensor(x) + tensor(y), tensor(y) + tensor(x)
    assert one.dtype == two.dtype
    if "bool" in (a, b) and a == b:
        np.testing.assert_array_equal(one.numpy(), x | y)
    else:
        np.testing.assert_allclose(one.numpy(), x.astype("float64") + y.astype("float64"), rtol=1e-6)


# ---------------------------------------------------------------- reductions


@st.composite
def reductions(draw: Any) -> tuple[tuple[int, ...], Any, bool]:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple))
    axes = draw(st.one_of(st.none(), st.sets(st.integers(0, len(shape) - 1), min_size=1).map(tuple)))
    if axes is not None:
        axes = tuple(a - len(shape) if draw(st.booleans()) else a for a in axes)
    return shape, axes, draw(st.booleans())


@few
@given(reductions(), st.sampled_from(["sum", "mean", "prod", "amax", "amin", "logsumexp", "argmax", "argmin"]))
def test_reductions(case: tuple[tuple[int, ...], Any, bool], name: str) -> None:
    shape, dim, keepdim = case
    if name == "logsumexp" and dim is None:
        dim = tuple(range(len(shape)))
    x = real(shape, "x", "float64", -3, 3)
    got = run(name, Sample("", (x,), {"dim": dim, "keepdim": keepdim}))[0]
    want = np.asarray(REFERENCE[name](x, dim, keepdim))
    assert got is not None
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@few
@given(reductions(), st.sampled_from(["sum", "amax", "argmax", "var"]))
def test_reductions_of_views(case: tuple[tuple[int, ...], Any, bool], name: str) -> None:
    """A transposed, reversed view and its copy: the same bits."""
    shape, dim, keepdim = case
    x = real(shape, "x", "float32", -3, 3).T[(slice(None, None, -1),) * len(shape)]
    a, b = (
        run(name, Sample("", (v,), {"dim": dim, "keepdim": keepdim}))[0]
        for v in (x, np.ascontiguousarray(x).reshape(x.shape))
    )
    np.testing.assert_array_equal(a, b)


@few
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_matmul_shapes(m: int, k: int, n: int) -> None:
    a, b = real((m, k), "a", "float64"), real((k, n), "b", "float64")
    got = run("matmul", Sample("", (a, b)))[0]
    np.testing.assert_allclose(got, a @ b, rtol=1e-12, atol=1e-12)


@few
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.booleans())
def test_dense_is_matmul_with_the_transposed_weight(m: int, k: int, n: int, bias: bool) -> None:
    """The same bits where there is no bias: one order for both."""
    x, w, b = real((m, k), "x", "float32"), real((n, k), "w", "float32"), real(n, "b", "float32")
    plain = run("dense", Sample("", (x, w, None)))[0]
    np.testing.assert_array_equal(plain, run("matmul", Sample("", (x, w.T)))[0])
    np.testing.assert_array_equal(
        run("dense_grad_input", Sample("", (x, w.T.copy())))[0], run("matmul", Sample("", (x, w.T)))[0]
    )
    if bias:
        got = run("dense", Sample("", (x, w, b)))[0]
        np.testing.assert_allclose(got, x.astype("float64") @ w.T.astype("float64") + b, rtol=1e-5, atol=1e-4)


# ---------------------------------------------------------------- views


@st.composite
def slices(draw: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple))
    index = []
    for n in shape[: draw(st.integers(1, len(shape)))]:
        kind = draw(st.sampled_from(["int", "slice", "slice", "none"]))
        if kind == "int":
            index.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            ends = st.one_of(st.none(), st.integers(-n - 1, n + 1))
            index.append(slice(draw(ends), draw(ends), draw(st.integers(1, 3))))
        else:
            index.append(None)
    if draw(st.booleans()):
        index.append(Ellipsis)
    return shape, tuple(index)


@few
@given(slices())
def test_basic_indexing(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, index = case
    x = real(shape, "x", "float32")
    got, want = tensor(x)[index], x[index]
    assert tuple(got.shape) == want.shape
    np.testing.assert_array_equal(got.numpy(), want)


@few
@given(slices())
def test_writing_through_a_view(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, index = case
    x = real(shape, "x", "float32")
    t = tensor(x.copy())
    t[index] = 7.0
    want = x.copy()
    want[index] = 7.0
    np.testing.assert_array_equal(t.numpy(), want)


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_permuted_views(shape: list[int], random: Any) -> None:
    x = real(tuple(shape), "x", "float64")
    order = list(range(len(shape)))
    random.shuffle(order)
    t = tensor(x).permute(*order)
    np.testing.assert_array_equal(t.numpy(), x.transpose(order))
    np.testing.assert_array_equal((t * 2).numpy(), x.transpose(order) * 2)
    np.testing.assert_array_equal(t.reshape(-1).numpy(), x.transpose(order).reshape(-1))


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), st.integers(0, 10**6))
def test_view_where_numpy_has_one(shape: tuple[int, ...], pick: int) -> None:
    """view() of a transposed tensor works exactly where no copy is needed."""
    x = real(shape, "x", "float32").T
    n = x.size
    divisors = [d for d in range(1, n + 1) if n % d == 0]
    first = divisors[pick % len(divisors)]
    target = (first, n // first)
    if np.shares_memory(x.reshape(target), x):
        np.testing.assert_array_equal(tensor(x).view(*target).numpy(), x.reshape(target))
    else:
        with pytest.raises(RuntimeError):
            tensor(x).view(*target)
    np.testing.assert_array_equal(tensor(x).reshape(*target).numpy(), x.reshape(target))


@few
@given(broadcastable())
def test_expand(pair: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    small, other = pair
    shape = np.broadcast_shapes(small, other)
    x = real(small, "x", "float32")
    t = tensor(x).expand(*shape) if shape else tensor(x)
    np.testing.assert_array_equal(t.numpy(), np.broadcast_to(x, shape))


@few
@given(shapes)
def test_numpy_shares_memory_both_ways(shape: tuple[int, ...]) -> None:
    x = real(shape, "x", "float64")
    t = tensor(x)
    if x.size:
        x[...] = 3
        assert t.sum().item() == 3 * x.size
        t.fill_(2)
        assert x.sum() == 2 * x.size
        assert np.shares_memory(t.numpy(), x)
    assert t.numel() == math.prod(shape)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "argmin", "var"])
@pytest.mark.parametrize("shape", [(0, 15, 16), (3, 0, 33), (7, 65, 0)])
def test_strides_of_empty_tensors_do_not_matter(shape: tuple[int, ...], name: str) -> None:
    """NumPy gives arrays without elements strides of its own liking."""
    axis = int(np.argmax(shape))
    for x in (np.zeros(shape, "f4")[..., ::-1], np.zeros((9, 70, 70), "f4")[tuple(slice(0, n) for n in shape)]):
        got = run(name, Sample("", (x,), {"dim": (axis,)}))[0]
        assert got is not None
        assert got.size == 0


@pytest.mark.parametrize(("name", "empty"), [("sum", 0), ("prod", 1), ("any", 0), ("all", 1), ("nansum", 0)])
def test_reductions_of_nothing_are_whole(name: str, empty: int) -> None:
    """Every result is written, whatever the strides of the tensor without elements are."""
    x = np.lib.stride_tricks.as_strided(np.zeros(0, "f4"), (0, 0, 4, 8), (3, 5, 7, 11))[..., ::-1]
    run("fill_", Sample("", (np.ones((4, 8), "f4"),), {"value": 7.0}))  # what a result that is not written shows
    for dim, kept in (((0, 1), (4, 8)), ((0, 1, 2), (8,)), ((0, 2), (0, 8)), ((1, 3), (0, 4))):
        got = run(name, Sample("", (x,), {"dim": dim}))[0]
        assert got is not None
        assert got.shape == kept
        assert (got == empty).all()


# A tensor of no elements costs nothing, however long its other axes are.
LONG = 2**50


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sort()[0],
        lambda x: x.cumsum(1),
        lambda x: x.cumprod(0),
        lambda x: x.softmax(1),
        lambda x: x.sum(0),
        lambda x: x.mean(0),
        lambda x: x.any(0),
        lambda x: x.to(tg.int64).sum(0),
        lambda x: x.amax(0),
        lambda x: x.argmax(0),
        lambda x: x.logsumexp(0),
        lambda x: x.unsqueeze(1) @ x.unsqueeze(2)[:, :, :0],
        lambda x: x.flip(0),
        lambda x: x.tril(),
        lambda x: tg.cat([x, x]),
    ],
)
def test_long_axes_beside_none(call: Any) -> None:
    assert call(tg.zeros(LONG, 0)).numel() == 0
