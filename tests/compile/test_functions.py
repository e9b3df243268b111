"""Every public function with arguments that hypothesis draws, compiled: eager's bits, or eager's refusal, with other values in the
replays; what depends on values in its shape is refused with a remedy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import trigrad as tg
from fuzz import find
from torch_cases import Case, Draw, Dtype, split
from torch_tables import CASES

REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, OverflowError, NotImplementedError, AttributeError)
# Their results, or the shapes of those, are what Python reads from values.
BY_VALUE = {
    *("allclose", "argwhere", "bincount", "equal", "item", "masked_scatter", "masked_select", "nonzero", "one_hot"),
    *("quantile", "nanquantile", "repeat_interleave", "tolist", "tril_indices", "triu_indices", "unique"),
}
# What memory happened to hold, and numbers that are no tensors
LEFT_OUT = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "stride")
FOUND = [case for case in CASES if find(case.ours or case.name) and case.name not in LEFT_OUT]


class Place(int):
    """The place of an array among the arguments of the compiled function."""


def without_arrays(value: Any, arrays: list[Any]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(np.array(value))
        return Place(len(arrays) - 1)
    if isinstance(value, Dtype):
        return getattr(tg, value)
    if isinstance(value, tuple | list):
        return type(value)(without_arrays(v, arrays) for v in value)
    return value


def with_tensors(value: Any, tensors: Any) -> Any:
    if isinstance(value, Place):
        return tensors[value]
    if isinstance(value, tuple | list):
        return type(value)(with_tensors(v, tensors) for v in value)
    return value


def described(result: Any) -> list[Any]:
    if isinstance(result, tg.Tensor):
        return [(tuple(result.shape), result.dtype, result.detach().contiguous().numpy().tobytes())]
    if isinstance(result, tuple | list):
        return [d for r in result for d in described(r)]
    return [repr(result)]


def outcome(function: Callable[..., Any], arrays: list[Any]) -> Any:
    tg.manual_seed(3)
    try:
        return described(function(*[tg.tensor(a) for a in arrays]))
    except REFUSALS as error:
        return f"{type(error).__name__}: {error}"


def check(case: Case, data: Any) -> None:
    positional, keywords = split(list(case.draw(Draw(data.draw))))
    arrays: list[Any] = []
    given_positional = [without_arrays(a, arrays) for a in positional]
    given_keywords = {k: without_arrays(v, arrays) for k, v in keywords.items()}
    function = find(case.ours or case.name)
    assert function is not None

    def call(*tensors: tg.Tensor) -> Any:
        return function(
            *[with_tensors(a, tensors) for a in given_positional],
            **{k: with_tensors(v, tensors) for k, v in given_keywords.items()},
        )

    compiled = tg.compile(call)
    backwards = [np.ascontiguousarray(a.reshape(-1)[::-1]).reshape(a.shape) for a in arrays]
    for values in (arrays, backwards, arrays):
        expected, found = outcome(call, values), outcome(compiled, values)
        if isinstance(found, str) and "[compile]" in found:
            assert case.name in BY_VALUE, found
            return
        assert found == expected, f"{case}{given_positional}{given_keywords} of {[a.shape for a in arrays]}"


def examples(case: Case, n: int) -> None:
    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @seed(5)
    @given(st.data())
    def agree(data: Any) -> None:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            check(case, data)

    agree()


@pytest.mark.parametrize("part", range(8))
def test_functions(part: int, full: bool) -> None:
    for case in FOUND[part::8]:
        examples(case, 40 if full else 2)
