"""Products of vectors and matrices against torch (where it is installed), and einsum against numpy."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg
from values import Array, real, whole

LENGTHS = st.integers(0, 5)
DTYPES = st.sampled_from(["float64", "float32", "int64", "int32", "uint8"])


def numbers(shape: tuple[int, ...], key: str, dtype: str) -> Array:
    if dtype.startswith("float"):
        return real(shape, key, dtype)
    return whole(shape, key, dtype, *((0, 9) if dtype == "uint8" else (-9, 9)))


@st.composite
def laid_out(draw: Any, array: Array) -> Array:
    """The same values with other strides: transposed, a part of something larger, or from back to front."""
    how = draw(st.sampled_from(["plain", "turned", "part", "backwards"]))
    if how == "turned":
        return np.ascontiguousarray(array.T).T
    if how == "part" and array.ndim:
        wide = np.zeros([2 * n for n in array.shape], array.dtype)
        part = wide[tuple(slice(0, 2 * n, 2) for n in array.shape)]
        part[...] = array
        return part
    if how == "backwards" and array.ndim:
        return np.ascontiguousarray(array[::-1])[::-1]
    return array


def ours(array: Array) -> Any:
    return tg.from_numpy(array)


def same(got: Any, want: Any, terms: int = 1) -> None:
    """Integers exactly; floats up to the roundings of so many terms, of a size of at most 16."""
    want = want.numpy()
    assert got.dtype == getattr(tg, str(want.dtype))
    assert tuple(got.shape) == want.shape
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got.numpy(), want)
        return
    eps = np.finfo(want.dtype).eps
    np.testing.assert_allclose(got.numpy(), want, rtol=8 * eps, atol=16 * eps * (terms + 2))


# name -> the operands' shapes out of the lengths m, n, k, b
PRODUCTS: dict[str, Any] = {
    "mm": lambda m, n, k, b: [(m, k), (k, n)],
    "bmm": lambda m, n, k, b: [(b, m, k), (b, k, n)],
    "mv": lambda m, n, k, b: [(m, k), (k,)],
    "dot": lambda m, n, k, b: [(k,), (k,)],
    "vdot": lambda m, n, k, b: [(k,), (k,)],
    "inner": lambda m, n, k, b: [(m, k), (n, b, k)],
    "outer": lambda m, n, k, b: [(m,), (n,)],
    "ger": lambda m, n, k, b: [(m,), (n,)],
    "kron": lambda m, n, k, b: [(m, k), (b, n, 2)],
    "trace": lambda m, n, k, b: [(m, k)],
    "matmul": lambda m, n, k, b: [(b, 1, m, k), (n, k, 2)],
}
ADDED: dict[str, Any] = {
    "addmm": lambda m, n, k, b: [(m, n), (m, k), (k, n)],
    "addmv": lambda m, n, k, b: [(m,), (m, k), (k,)],
    "addbmm": lambda m, n, k, b: [(m, n), (b, m, k), (b, k, n)],
    "baddbmm": lambda m, n, k, b: [(b, m, n), (b, m, k), (b, k, n)],
    "addr": lambda m, n, k, b: [(m, n), (m,), (n,)],
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_against_torch(torch: Any, name: str) -> None:
    @given(st.data(), st.tuples(LENGTHS, LENGTHS, LENGTHS, LENGTHS), DTYPES)
    def check(data: Any, lengths: tuple[int, ...], dtype: str) -> None:
        shapes = PRODUCTS[name](*lengths)
        arrays = [data.draw(laid_out(numbers(s, f"{name}{i}", dtype))) for i, s in enumerate(shapes)]
        want = getattr(torch, name)(*(torch.from_numpy(a.copy()) for a in arrays))
        for function in (getattr(tg, name), getattr(tg.Tensor, name)):
            same(function(*map(ours, arrays)), want, terms=lengths[2])

    check()


@pytest.mark.parametrize("name", ADDED)
def test_added_products_against_torch(torch: Any, name: str) -> None:
    factors = st.sampled_from([0, 1, 2, -3])

    @given(st.data(), st.tuples(LENGTHS, LENGTHS, LENGTHS, LENGTHS), DTYPES, factors, factors, st.booleans())
    def check(data: Any, lengths: tuple[int, ...], dtype: str, beta: int, alpha: int, broadcast: bool) -> None:
        shapes = ADDED[name](*lengths)
        if broadcast and name != "addr":
            nothing = 0 in (lengths[0], lengths[2])  # there torch's addmv takes the shape of the input
            shapes[0] = shapes[0][-1:] if name != "addmv" or nothing else (1,)
        if dtype == "uint8":
            beta, alpha = abs(beta), abs(alpha)
        arrays = [data.draw(laid_out(numbers(s, f"{name}{i}", dtype))) for i, s in enumerate(shapes)]
        theirs = [torch.from_numpy(a.copy()) for a in arrays]
        factor = {"beta": beta, "alpha": alpha}
        want = getattr(torch, name)(*theirs, **factor)
        terms = 4 * lengths[2] * (lengths[3] if name == "addbmm" else 1)
        for function in (getattr(tg, name), getattr(tg.Tensor, name)):
            same(function(*map(ours, arrays), **factor), want, terms)
        if arrays[0].shape == tuple(want.shape):
            target = ours(arrays[0].copy())
            before = target._version
            assert getattr(target, name + "_")(*map(ours, arrays[1:]), **factor) is target
            same(target, want, terms)
            assert target._version > before

    check()


@pytest.mark.parametrize("name", ADDED)
def test_beta_zero_ignores_the_input(name: str) -> None:
    first, *rest = (real(s, name, "float64") for s in ADDED[name](2, 3, 4, 2))
    nan = tg.full(first.shape, math.nan)
    got = getattr(tg, name)(nan.double(), *map(ours, rest), beta=0)
    np.testing.assert_array_equal(
        got.numpy(), getattr(tg, name)(tg.zeros(first.shape, dtype=tg.float64), *map(ours, rest)).numpy()
    )


def test_added_products_have_the_order_that_is_documented() -> None:
    x, a, b = (ours(real(s, "order", "float32")) for s in ((3, 5), (3, 40), (40, 5)))
    want = tg.ops.native_add(tg.mul(tg.matmul(a, b), 0.3), x, 0.7)  # fma(0.7, x, ...)
    np.testing.assert_array_equal(tg.addmm(x, a, b, beta=0.7, alpha=0.3).numpy(), want.numpy())


@pytest.mark.parametrize("n", [1000, 65_536, 100_003])
def test_long_sums_against_float64(n: int) -> None:
    a, b = real(n, "long.a", "float32", 0, 1), real(n, "long.b", "float32", 0, 1)
    want = np.dot(a.astype("float64"), b.astype("float64"))
    np.testing.assert_allclose(tg.dot(ours(a), ours(b)).item(), want, rtol=1e-4)
    matrix = real((7, n), "long.m", "float32", 0, 1)
    np.testing.assert_allclose(tg.mv(ours(matrix), ours(a)).numpy(), matrix.astype("float64") @ a, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("mm", [(2, 3), (4, 5)]),
        ("mm", [(3,), (3, 2)]),
        ("mm", [(1, 2, 3), (3, 2)]),
        ("bmm", [(2, 3, 4), (3, 4, 5)]),
        ("bmm", [(2, 3, 4), (1, 4, 5)]),
        ("bmm", [(2, 3, 4), (2, 5, 4)]),
        ("bmm", [(3, 4), (2, 4, 5)]),
        ("mv", [(2, 3), (2,)]),
        ("mv", [(2, 3), (3, 1)]),
        ("dot", [(2,), (3,)]),
        ("dot", [(2, 1), (2,)]),
        ("vdot", [(1,), (3,)]),
        ("inner", [(2, 3), (2, 4)]),
        ("outer", [(2, 3), (2,)]),
        ("trace", [(3,)]),
        ("addmm", [(2, 2), (2, 3), (4, 2)]),
        ("addmm", [(3, 2), (2, 3), (3, 2)]),
        ("addmm", [(5, 2, 2), (2, 3), (3, 2)]),
        ("addmv", [(3,), (2, 4), (4,)]),
        ("addbmm", [(2, 2), (2, 2, 3), (3, 3, 2)]),
        ("baddbmm", [(3, 2, 2), (2, 2, 3), (2, 3, 2)]),
        ("addr", [(2, 2), (2,), (3,)]),
    ],
)
def test_what_torch_refuses_is_refused(torch: Any, name: str, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(RuntimeError):
        getattr(torch, name)(*(torch.ones(s) for s in shapes))
    with pytest.raises(RuntimeError, match=r"\[\w+\] .*expected"):
        getattr(tg, name)(*(tg.ones(s) for s in shapes))
    if name.startswith("add") or name == "baddbmm":
        with pytest.raises(RuntimeError):
            getattr(tg, name)(*(tg.ones(s) for s in shapes), beta=0)


def test_dtypes_must_agree() -> None:
    with pytest.raises(TypeError, match=r"\[matmul\] inputs 0 and 1 are float32 and float64"):
        tg.mm(tg.ones(2, 2), tg.ones(2, 2).double())
    with pytest.raises(TypeError, match=r"\[matmul\] inputs 0 and 1 are int64 and int32"):
        tg.mm(tg.ones(2, 2).long(), tg.ones(2, 2).int())
    with pytest.raises(TypeError, match=r"\[matmul\] got bool"):
        tg.mm(tg.ones(2, 2).bool(), tg.ones(2, 2).bool())
    with pytest.raises(RuntimeError, match=r"\[addmm\] input is .*float64"):
        tg.addmm(tg.ones(2, 2).double(), tg.ones(2, 2), tg.ones(2, 2))
    with pytest.raises(RuntimeError, match=r"\[addmm\] .* expected integers"):
        tg.addmm(tg.ones(2, 2).long(), tg.ones(2, 2).long(), tg.ones(2, 2).long(), beta=0.5)


def test_integer_products_wrap(torch: Any) -> None:
    for dtype in ("int64", "int32", "uint8"):
        a = (whole((5, 9), "wrap.a", "int64", 0, 2**31) * 12_345_678_901).astype(dtype)
        b = (whole((9, 4), "wrap.b", "int64", 0, 2**31) * 98_765_432_101).astype(dtype)
        want = torch.from_numpy(a) @ torch.from_numpy(b)
        same(ours(a) @ ours(b), want)
        same(ours(a) @ ours(np.ascontiguousarray(b.T)).T, want)


def test_in_place_results_must_fit() -> None:
    x = tg.ones(2)
    with pytest.raises(RuntimeError, match=r"\[addmm_\] the result has shape \(3, 2\), the tensor \(2,\)"):
        x.addmm_(tg.ones(3, 4), tg.ones(4, 2))
    assert x.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("a", "b", "dim"),
    [
        ((3,), (3,), None),
        ((4, 3), (4, 3), None),
        ((4, 3), (1, 3), -1),
        ((3, 3), (3, 3), None),
        ((2, 3, 5), (2, 3, 1), 1),
        ((0, 3), (0, 3), -1),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_cross_against_torch(torch: Any, a: tuple[int, ...], b: tuple[int, ...], dim: int | None, dtype: str) -> None:
    x, y = numbers(a, "cross.a", dtype), numbers(b, "cross.b", dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have dim named
        want = torch.cross(torch.from_numpy(x.copy()), torch.from_numpy(y.copy()), dim)
    for function in (tg.cross, tg.Tensor.cross):
        same(function(ours(x), ours(y), dim), want)


@pytest.mark.parametrize(
    ("a", "b", "dim"), [((2,), (2,), None), ((3,), (2, 3), None), ((3, 2), (3, 2), 1), ((), (), None), ((3,), (3,), 2)]
)
def test_cross_refuses(torch: Any, a: tuple[int, ...], b: tuple[int, ...], dim: int | None) -> None:
    with pytest.raises((RuntimeError, IndexError)):
        torch.cross(torch.ones(a), torch.ones(b), dim)
    with pytest.raises((RuntimeError, IndexError), match=r"\[cross\]"):
        tg.cross(tg.ones(a), tg.ones(b), dim)


# ---------------------------------------------------------------- layers


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (0, 7)])
def test_linear_and_bilinear_against_torch(torch: Any, shape: tuple[int, ...]) -> None:
    functional = torch.nn.functional
    x, w, b = real(shape, "x", "float64"), real((5, 7), "w", "float64"), real(5, "b", "float64")
    one = len(shape) == 1  # of several rows torch refuses a single output with a bias
    for arguments in ((x, w, b), (x, w), *([(x, w[0]), (x, w[0], b[0])] if one else [])):
        arrays = [np.asarray(a) for a in arguments]
        same(tg.linear(*map(ours, arrays)), functional.linear(*(torch.from_numpy(a.copy()) for a in arrays)), 7)
    if len(shape) > 1:  # torch wants a batch
        y, v = real((*shape[:-1], 4), "y", "float64"), real((5, 7, 4), "v", "float64")
        want = functional.bilinear(*(torch.from_numpy(a) for a in (x.copy(), y.copy(), v.copy(), b.copy())))
        same(tg.bilinear(ours(x), ours(y), ours(v), ours(b)), want, 28)


# ---------------------------------------------------------------- einsum and tensordot


@st.composite
def equations(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """An equation and shapes that fit it, with diagonals, ellipses, axes of length 1 and explicit or implicit outputs."""
    lengths = {c: draw(st.integers(0, 4)) for c in "abcZ"}
    hidden = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 2)))]
    parts, shapes = [], []
    for _ in range(draw(st.integers(1, 4))):
        letters = draw(st.lists(st.sampled_from("abcZ"), max_size=3))
        ones = draw(st.booleans())
        shape = [1 if ones and letters.count(c) == 1 and draw(st.booleans()) else lengths[c] for c in letters]
        part = "".join(letters)
        if hidden and draw(st.booleans()):
            at = draw(st.integers(0, len(letters)))
            depth = draw(st.integers(0, len(hidden)))
            mine = [1 if draw(st.booleans()) else n for n in hidden[len(hidden) - depth :]]
            part = part[:at] + "..." + part[at:]
            shape[at:at] = mine
        parts.append(part)
        shapes.append(tuple(shape))
    equation = ",".join(parts)
    if draw(st.booleans()):
        used = sorted({c for c in equation if c.isalpha()})
        output = "".join(draw(st.permutations(draw(st.lists(st.sampled_from(used), unique=True)) if used else [])))
        if "..." in equation:
            at = draw(st.integers(0, len(output)))
            output = output[:at] + "..." + output[at:]
        equation += "->" + output
    return equation, shapes


@settings(max_examples=400)
@given(equations(), DTYPES)
def test_einsum_against_torch(case: tuple[str, list[tuple[int, ...]]], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    equation, shapes = case
    arrays = [numbers(s, f"e{i}", dtype) for i, s in enumerate(shapes)]
    theirs = [torch.from_numpy(a.copy()) for a in arrays]
    try:
        want = torch.einsum(equation, *theirs)
    except RuntimeError as refused:
        if "dtype" in str(refused) or "scalar type" in str(
            refused
        ):  # torch forgets that it summed one operand of them to int64 before
            return
        with pytest.raises(RuntimeError, match=r"\[einsum\]"):
            tg.einsum(equation, *map(ours, arrays))
        return
    got = tg.einsum(equation, *map(ours, arrays))
    if dtype.startswith("float"):
        assert tuple(got.shape) == tuple(want.shape)
        size = max(1.0, float(torch.einsum(equation, *(t.abs() for t in theirs)).max())) if want.numel() else 1.0
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=0, atol=64 * eps * size)
    elif dtype == "int64":
        same(got, want)
    else:
        np.testing.assert_array_equal(got.numpy().astype(dtype), want.numpy().astype(dtype))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("ij,bjk->bik", [(3, 4), (2, 4, 5)]),
        ("abc,cd,abd->ad", [(2, 3, 4), (4, 5), (2, 3, 5)]),
        ("ij,jk,kl,lm->im", [(2, 9), (9, 3), (3, 8), (8, 2)]),
        ("iij->j", [(3, 3, 2)]),
        ("iii", [(3, 3, 3)]),
        ("a,b,c->cab", [(2,), (3,), (4,)]),
        ("...ij,...jk", [(2, 1, 3, 4), (5, 4, 2)]),
        (" i j , j k -> k i ", [(3, 4), (4, 5)]),
    ],
)
def test_einsum_against_numpy(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [real(s, f"n{i}", "float64") for i, s in enumerate(shapes)]
    want = np.einsum(equation.replace(" ", ""), *arrays)
    for operands in ([ours(a) for a in arrays], [[ours(a) for a in arrays]]):
        got = tg.einsum(equation, *operands)
        assert got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk", [(2, 3)]),
        ("ij", [(2,)]),
        ("i", [(2, 3)]),
        ("i->j", [(2,)]),
        ("i->ii", [(2,)]),
        ("i1", [(2, 3)]),
        ("i->i->i", [(2,)]),
        ("i....", [(2,)]),
        ("...i...", [(2,)]),
        ("ii", [(2, 3)]),
        ("i,i", [(2,), (3,)]),
        ("...,...", [(2,), (3,)]),
    ],
)
def test_einsum_refuses_what_torch_refuses(torch: Any, equation: str, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        torch.einsum(equation, *(torch.ones(s) for s in shapes))
    with pytest.raises(RuntimeError, match=r"\[einsum\] "):
        tg.einsum(equation, *(tg.ones(s) for s in shapes))


def test_products_of_transposed_views_copy_nothing() -> None:
    a, b = tg.ones(4, 3), tg.ones(5, 4)
    with tg._core.testing.Recorder() as recorder:
        tg.einsum("ki,jk->ij", a, b)
        tg.mm(a.T, b.T)
        tg.einsum("ij->ji", a)
    assert [c[0] for c in recorder.calls] == ["matmul", "matmul"]


@pytest.mark.parametrize("rank_a", [0, 1, 2, 3])
@pytest.mark.parametrize("rank_b", [0, 1, 2, 3])
def test_tensordot_against_torch(torch: Any, rank_a: int, rank_b: int) -> None:
    a, b = real((2, 3, 4)[:rank_a], "a", "float64"), real((4, 3, 2)[:rank_b], "b", "float64")
    x, y = torch.from_numpy(a.copy()), torch.from_numpy(b.copy())
    for count in range(min(rank_a, rank_b) + 1):
        for of_a in itertools.permutations(range(rank_a), count):
            for of_b in itertools.permutations(range(-rank_b, 0), count):
                if all(a.shape[i] == b.shape[j] for i, j in zip(of_a, of_b, strict=True)):
                    dims = (list(of_a), list(of_b))
                    same(tg.tensordot(ours(a), ours(b), dims), torch.tensordot(x, y, dims), 24)
                else:
                    with pytest.raises(RuntimeError, match=r"\[tensordot\] axis"):
                        tg.tensordot(ours(a), ours(b), (of_a, of_b))
    same(tg.tensordot(ours(a), ours(b), 0), torch.tensordot(x, y, 0))
    with pytest.raises(RuntimeError, match=r"\[tensordot\] dims is 4"):
        tg.tensordot(ours(a), ours(b), 4)


def test_tensordot_broadcasts_and_checks(torch: Any) -> None:
    a, b = real((2, 1), "a", "float64"), real((3, 4), "b", "float64")
    same(tg.tensordot(ours(a), ours(b), ([1], [0])), torch.tensordot(torch.tensor(a), torch.tensor(b), ([1], [0])))
    with pytest.raises(IndexError):
        tg.tensordot(ours(a), ours(b), ([2], [0]))
    with pytest.raises(RuntimeError, match="one twice"):
        tg.tensordot(ours(a), ours(b), ([0, 0], [0, 1]))
    with pytest.raises(RuntimeError, match="1 and 2 axes"):
        tg.tensordot(ours(a), ours(b), ([0], [0, 1]))


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 1024, 1025, 40_000, 300_007])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dot_has_the_order_of_sum(n: int, dtype: str) -> None:
    x, ones = ours(real(n, "order", dtype)), tg.ones(n, dtype=getattr(tg, dtype))
    want = tg.sum(x)
    for a, b in ((x, ones), (ones, x)):
        assert tg.dot(a, b).numpy().tobytes() == want.numpy().tobytes()
    assert tg.einsum("bi,bi->b", x.expand(3, n), ones.expand(3, n)).numpy().tobytes() == 3 * want.numpy().tobytes()
