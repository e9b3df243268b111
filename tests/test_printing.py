"""Printing is PyTorch's, character by character."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg

SHAPES = [
    *[(), (1,), (3,), (7,), (20,), (1000,), (1001,), (0,), (0, 3), (2, 0)],
    *[(2, 3), (3, 1, 2), (2, 3, 4, 5), (30, 40), (5, 300), (8, 8, 20), (1, 1001), (4, 4, 4, 4, 5)],
]
DTYPES = ["f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "?"]


def samples(shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(len(shape) + 17)
    x = rng.normal(size=shape)
    if dtype[0] != "f":
        return [np.asarray(np.abs(x) * scale).astype("i8").astype(dtype) for scale in (1, 10, 1000, 0)]
    values = [
        x,
        x * 10.0 ** rng.integers(-12, 12),
        np.round(x * 5),
        x * 10.0 ** rng.integers(-6, 6, size=shape),
        np.where(rng.random(shape) < 0.2, np.inf, x),
        np.where(rng.random(shape) < 0.3, np.nan, np.round(x)),
    ]
    with np.errstate(over="ignore"):
        return [np.asarray(v).astype(dtype) for v in values]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_prints_as_torch(shape: tuple[int, ...], dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    for array in samples(shape, dtype):
        assert repr(tg.tensor(array)) == repr(torch.from_numpy(array.copy())).replace("torch.", "trigrad.")


EDGES = [0.0, -0.0, 1e8, 1e9, 99999999.0, 1e-4, 9.9e-5, 1.5, -1.5, np.inf, -np.inf, np.nan, 123456.789, 1e10, 1e-10]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("value", EDGES)
def test_edges_print_as_torch(value: float, dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    for data in (value, [value, 1.0], [value, 0.0], [value, 1000.5], [value, np.nan]):
        array = np.array(data, dtype)
        assert repr(tg.tensor(array)) == repr(torch.from_numpy(array)).replace("torch.", "trigrad.")


@st.composite
def tensors(draw: st.DrawFn) -> tuple[np.ndarray, str]:
    """Numbers of one kind or another, and the dtype that they are printed in."""
    dtype = draw(st.sampled_from([*DTYPES, "u2", "u4", "bfloat16"]))
    shape = draw(st.one_of(st.lists(st.integers(0, 6), max_size=4), st.lists(st.integers(1, 60), max_size=2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(size=shape)
    if dtype[0] in "iu?":
        scaled = np.asarray(x * 10.0 ** draw(st.integers(0, 2)))
        return np.asarray(np.clip(scaled, 0 if dtype[0] == "u" else -99, 99)).astype(dtype), dtype
    kinds = {
        "of one size": lambda: x * 10.0 ** draw(st.integers(-50, 50)),
        "of all sizes": lambda: x * 10.0 ** rng.integers(-9, 9, size=shape),
        "whole": lambda: np.round(x * 10.0 ** draw(st.integers(0, 6))),
        "some infinite": lambda: np.where(rng.random(shape) < 0.3, rng.choice([np.nan, np.inf, -np.inf]), x),
        "few finite": lambda: np.where(rng.random(shape) < 0.8, np.nan, np.round(x * 3)),
        "denormal": lambda: x * 1e-310,
        "zeros": lambda: x * 0,
    }
    with np.errstate(all="ignore"):
        made = kinds[draw(st.sampled_from(sorted(kinds)))]()
        return np.asarray(made).astype("f4" if dtype == "bfloat16" else dtype), dtype


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 8),
        "threshold": st.sampled_from([5, 20, 1000]),
        "edgeitems": st.integers(0, 5),
        "linewidth": st.sampled_from([20, 40, 80, 200]),
        "sci_mode": st.booleans(),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)


@settings(max_examples=500)
@given(tensors(), OPTIONS)
def test_any_tensor_under_any_options_prints_as_torch(made: tuple[np.ndarray, str], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    array, dtype = made
    ours, theirs = tg.tensor(array), torch.tensor(array)
    if dtype == "bfloat16":
        ours, theirs = ours.bfloat16(), theirs.bfloat16()
    try:
        tg.set_printoptions(**options)
        torch.set_printoptions(**options)
        assert repr(ours) == repr(theirs).replace("torch.", "trigrad.")
    finally:
        tg.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")


def test_the_default_dtype_is_not_named() -> None:
    try:
        tg.set_default_dtype(tg.float64)
        assert repr(tg.tensor(1.5)) == "tensor(1.5000)"
        assert repr(tg.ones(1).float()) == "tensor([1.], dtype=trigrad.float32)"
        assert repr(tg.zeros(0)) == "tensor([])"
    finally:
        tg.set_default_dtype(tg.float32)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (5.0, "tensor(5.)"),
        ([1.0, 2.0], "tensor([1., 2.])"),
        ([1.0, 2.5], "tensor([1.0000, 2.5000])"),
        ([1e-5, 1.0], "tensor([1.0000e-05, 1.0000e+00])"),
        ([[1, -20], [3, 4]], "tensor([[  1, -20],\n        [  3,   4]])"),
        ([True, False], "tensor([ True, False])"),
        ([], "tensor([])"),
    ],
)
def test_texts(data: object, text: str) -> None:
    assert repr(tg.tensor(data)) == str(tg.tensor(data)) == text


def test_suffixes() -> None:
    assert repr(tg.zeros(1, dtype=tg.float64)) == "tensor([0.], dtype=trigrad.float64)"
    assert repr(tg.zeros(0, 3)) == "tensor([], size=(0, 3))"
    assert repr(tg.zeros(0, dtype=tg.int64)) == "tensor([], dtype=trigrad.int64)"
    assert repr(tg.tensor([1.5]).bfloat16()) == "tensor([1.5000], dtype=trigrad.bfloat16)"


def test_views_print_their_own_elements() -> None:
    x = tg.arange(6).reshape(2, 3)
    assert repr(x.T) == "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"
    assert repr(x[0, ::-1]) == "tensor([2, 1, 0])"
    assert repr(tg.zeros(1, 1).expand(1000, 1000)).count("...") == 7


def test_format_of_one_element() -> None:
    assert f"{tg.tensor(2.5):.3f}" == "2.500"
    assert f"{tg.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(TypeError):
        f"{tg.tensor([1.0]):.2f}"


def test_options() -> None:
    try:
        tg.set_printoptions(precision=2)
        assert repr(tg.tensor(1 / 3)) == "tensor(0.33)"
        tg.set_printoptions(profile="default", sci_mode=True)
        assert repr(tg.tensor(1.0)) == "tensor(1.0000e+00)"
        tg.set_printoptions(profile="default", threshold=4, edgeitems=1)
        assert repr(tg.arange(9)) == "tensor([0,  ..., 8])"
    finally:
        tg.set_printoptions(profile="default")
    with pytest.raises(ValueError, match="profile is 'wide', expected"):
        tg.set_printoptions(profile="wide")  # type: ignore[arg-type]
