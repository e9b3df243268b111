"""Every public function against PyTorch on hypothesis-made shapes, layouts, dtypes and arguments, good and bad.

float64 within rtol 1e-10 and atol 1e-12 of the largest summand; float32, against float64, no worse than PyTorch's own
error or its assert_close tolerance, whichever is larger; integers, bools and indices exactly; result dtypes and shapes
equal; an error where PyTorch raises. What differs on purpose is a row of docs/semantics.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

torch = pytest.importorskip("torch", reason="compares with torch")

import trigrad as tg
from door import bits
from torch_cases import Case, calls
from torch_cases_indexing import written
from torch_compare import OURS, THEIRS, assert_agree, attempt, examples, truth_of
from torch_differences import DIFFERENCES, ELSEWHERE, NO_METHOD, difference
from torch_tables import CASES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_function(case: Case) -> None:
    ours, theirs = OURS.find(case.ours or case.name), THEIRS.find(case.torch or case.name)
    assert theirs, f"torch has no {case.torch or case.name}"
    if ours is None:
        pytest.skip("not there")

    @examples(15)
    @given(calls(case))
    def agree(arguments: list[Any]) -> None:
        b = attempt(THEIRS, theirs, arguments)
        a = attempt(OURS, ours, arguments)
        if difference(case, arguments, a.error, b.error) is None:
            assert_agree(case, arguments, a, b, truth_of(theirs, arguments, b))

    agree()


METHODS = [c for c in CASES if c.method and not c.random and hasattr(torch.Tensor, c.name)]


def test_every_method_of_torch_is_a_method() -> None:
    missing = {c.name for c in METHODS if not hasattr(tg.Tensor, c.name)} - NO_METHOD
    assert not missing


# Many are one object, as function and as method.
TWO_OBJECTS = [c for c in METHODS if OURS.find(c.ours or c.name) is not getattr(tg.Tensor, c.name, None)]


@pytest.mark.parametrize("case", TWO_OBJECTS, ids=str)
def test_method(case: Case) -> None:
    """tensor.name(...) is name(tensor, ...)."""
    function, method = OURS.find(case.ours or case.name), getattr(tg.Tensor, case.name, None)
    if function is None or method is None:
        pytest.skip("not there")

    @examples(4)
    @given(calls(case))
    def agree(arguments: list[Any]) -> None:
        if not isinstance(arguments[0], np.ndarray):
            return
        a, b = attempt(OURS, function, arguments), attempt(OURS, method, arguments)
        assert type(a.error) is type(b.error), f"{a.error!r}, the method {b.error!r}"
        assert len(a.leaves) == len(b.leaves)
        for x, y in zip(a.leaves, b.leaves, strict=True):
            if isinstance(x, tg.Tensor):
                assert x.dtype is y.dtype
                assert bits(x.numpy()) == bits(y.numpy())
            else:
                assert x == y or str(x) == "nan"

    agree()


INPLACE = [c for c in CASES if c.inplace and hasattr(torch.Tensor, f"{c.name}_")]


def test_every_in_place_variant_of_torch_is_there() -> None:
    missing = {f"{c.name}_" for c in INPLACE if not hasattr(tg.Tensor, f"{c.name}_")} - NO_METHOD
    assert not missing


@pytest.mark.parametrize("case", INPLACE, ids=str)
def test_in_place(case: Case) -> None:
    """tensor.name_(...) does what PyTorch's does, returns the tensor and counts a version; or it has done nothing."""
    ours, theirs = (getattr(library.Tensor, f"{case.name}_", None) for library in (tg, torch))
    if ours is None:
        pytest.skip("not there")

    @examples(15)
    @given(calls(case))
    def agree(arguments: list[Any]) -> None:
        if not isinstance(arguments[0], np.ndarray):
            return
        first = arguments[0]
        where = np.zeros((*first.shape, 2), first.dtype)[..., 1] if first.size % 2 else first.copy()
        where[...] = first
        a = attempt(OURS, ours, [where, *arguments[1:]])
        b = attempt(THEIRS, theirs, [first.copy(), *arguments[1:]])
        target = a.inputs[0]
        if a.error:
            assert target._version == a.versions[0], f"{case}: the version rose, but the call raised"
            assert bits(np.asarray(target.numpy())) == bits(first), f"{case}: a call that raised has written"
        else:
            assert a.leaves[0] is target
            written = target._version > a.versions[0]
            assert written or not target.numel() or case.name == "detach", f"{case}: the version did not rise"
        if difference(case, arguments, a.error, b.error) is None:
            assert_agree(case, arguments, a, b, truth_of(theirs, arguments, b))

    agree()


def test_writing_by_index() -> None:
    """x[index] = value with every kind of index."""

    def write(x: Any, index: Any, value: Any) -> Any:
        x[index] = value
        return x

    case = Case("__setitem__", lambda d: list(written(d)))

    @examples(150, 1000)
    @given(calls(case))
    def agree(arguments: list[Any]) -> None:
        x, index, value = arguments
        b = attempt(THEIRS, write, [x.copy(), index, value])
        a = attempt(OURS, write, [x.copy(), index, value])
        if a.error:
            assert a.inputs[0]._version == a.versions[0]
            assert bits(a.inputs[0].numpy()) == bits(x)
        if difference(case, arguments, a.error, b.error) is None:
            assert_agree(case, arguments, a, b, None)

    agree()


def test_the_rows_of_differences_are_those_of_the_docs() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "semantics.md"
    rows = re.findall(r"^\| ([^-].*?) \|", page.read_text(), re.MULTILINE)
    assert rows[0] == "row"
    assert rows[1:] == [*DIFFERENCES, *ELSEWHERE]
