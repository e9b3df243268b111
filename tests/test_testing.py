"""assert_close: passes and fails where PyTorch's does, and says where."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg

assert_close = tg.testing.assert_close


def outcome(library: Any, actual: Any, expected: Any, **options: Any) -> str | None:
    """The message of the failure, None where there is none."""
    try:
        library.testing.assert_close(actual, expected, **options)
    except AssertionError as e:
        return str(e)
    return None


numbers = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 1 + 1e-6, 1 + 2e-6, 1e-5, 1.1e-5, 3.0, 1e30, math.inf, -math.inf, math.nan]
)


@settings(max_examples=300)
@given(st.data())
def test_as_torch(data: st.DataObject) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    dtypes = data.draw(st.lists(st.sampled_from(["float32", "float64", "float16", "int64"]), min_size=2, max_size=2))
    if data.draw(st.booleans()):
        dtypes[1] = dtypes[0]
    n = math.prod(shape)
    arrays = []
    for dtype in dtypes:
        values = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)), "f8").reshape(shape)
        with np.errstate(all="ignore"):
            arrays.append((np.where(np.abs(values) < 10, values, 2) if dtype == "int64" else values).astype(dtype))
    options = {
        **data.draw(st.sampled_from([{}, {"rtol": 0.0, "atol": 0.0}, {"rtol": 1e-2, "atol": 0.1}])),
        "equal_nan": data.draw(st.booleans()),
        "check_dtype": data.draw(st.booleans()),
    }
    ours = outcome(tg, *map(tg.tensor, arrays), **options)
    theirs = outcome(torch, *map(torch.tensor, arrays), **options)
    if theirs is None or "attribute" in theirs:
        assert ours == (theirs and theirs.replace("torch.", "trigrad."))
        return
    assert ours is not None
    # PyTorch subtracts in the dtype itself, so that the figures may round otherwise.
    kept = ("are not", "Mismatched")
    assert [s for s in ours.split("\n") if any(k in s for k in kept)] == [
        s for s in theirs.split("\n") if any(k in s for k in kept)
    ]


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (1, 1.0),
        (1, 2),
        (1.0, 1 + 1e-8),
        (1.0, 1.5),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (math.inf, 1.0),
        (True, False),
        (True, True),
        (None, None),
        (None, 1),
        ([1, 2], [1, 2]),
        ([1, 2], (1, 2)),
        ([1, 2], [1, 3]),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 1}),
        ({"a": 1}, {"b": 1}),
        ({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 3.0}]}),
        ([], []),
        (np.ones(3), np.ones(3)),
        (np.ones(3), np.zeros(3)),
    ],
)
def test_other_things_as_torch(actual: Any, expected: Any) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    ours, theirs = outcome(tg, actual, expected), outcome(torch, actual, expected)
    if theirs is None or not any(c.isdigit() for c in theirs):
        assert ours == theirs
    else:
        assert ours is not None
        assert ours.splitlines()[0] == theirs.splitlines()[0]
        assert ours.rpartition("The failure")[2] == theirs.rpartition("The failure")[2]


def test_message() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_close({"w": [tg.tensor([[1.0, 2.0], [3.0, 4.0]])]}, {"w": [tg.tensor([[1.0, 2.5], [3.0, 5.0]])]})
    assert str(caught.value) == (
        "Tensor-likes are not close!\n\n"
        "Mismatched elements: 2 / 4 (50.0%)\n"
        "Greatest absolute difference: 1.0 at index (1, 1) (up to 1e-05 allowed)\n"
        "Greatest relative difference: 0.2 at index (0, 1) (up to 1.3e-06 allowed)\n\n"
        "The failure occurred for item ['w'][0]"
    )
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match=r"^Scalars are not equal!.*\n!$"):
        assert_close(1, 2, msg=lambda text: text.splitlines()[0] + "\n!")


def test_tensors_and_arrays() -> None:
    assert_close(tg.ones(2), np.ones(2, "f4"))
    assert_close(np.float32(0.5), 0.5)
    with pytest.raises(AssertionError, match="dtype"):
        assert_close(tg.ones(2), np.ones(2))
    with pytest.raises(AssertionError, match=r"shape.*\[2\].*\[2, 1\]"):
        assert_close(tg.ones(2), tg.ones(2, 1))
    with pytest.raises(AssertionError, match="stride"):
        assert_close(tg.ones(2, 2).T, tg.ones(2, 2)[:, :1].expand(2, 2), check_stride=True)
    big = tg.tensor([2**62, 2**62 + 1])
    with pytest.raises(AssertionError, match="Mismatched elements: 1 / 2"):
        assert_close(big, tg.tensor([2**62, 2**62]))
    for dtype in (tg.bool, tg.uint8, tg.int8, tg.bfloat16, tg.float16):
        assert_close(tg.tensor([1, 0]).to(dtype), tg.tensor([1, 0]).to(dtype))
        with pytest.raises(AssertionError, match="Mismatched elements: 1 / 2"):
            assert_close(tg.tensor([1, 0]).to(dtype), tg.tensor([1, 1]).to(dtype))


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((1, "a"), {}, TypeError),
        ((tg.ones(1), 1.0), {}, TypeError),
        (([1], 1), {}, TypeError),
        ((1, 1), {"rtol": 1.0}, ValueError),
        (([1], (1,)), {"allow_subclasses": False}, TypeError),
    ],
)
def test_misuse(arguments: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^\[assert_close\]"):
        assert_close(*arguments, **options)
