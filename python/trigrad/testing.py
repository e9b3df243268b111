"""Comparison of results in tests, with a message that says how many elements differ, by how much and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import as_tensor
from trigrad._reductions import isclose

__all__ = ["assert_close"]

Message: TypeAlias = "str | Callable[[str], str] | None"

# rtol and atol where none are given, as PyTorch has them; 0 for whole numbers.
TOLERANCES = {
    _core.float16: (1e-3, 1e-5),
    _core.bfloat16: (1.6e-2, 1e-5),
    _core.float32: (1.3e-6, 1e-5),
    _core.float64: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere.

    Tensors, numpy arrays, numbers, bools and None are compared, and lists, tuples and dicts of them, item by item. Without
    tolerances those of the dtype hold: rtol 1.3e-6 and atol 1e-5 for float32, 1e-7 and 1e-7 for float64, 0 for integers.
    `msg` takes the place of the message, or makes another one of it. `check_layout` is there for PyTorch's sake: all
    tensors are strided ones.

    >>> import trigrad as tg
    >>> tg.testing.assert_close(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.0 + 1e-6]))
    >>> tg.testing.assert_close({"a": [1.0]}, {"a": [1.5]})
    Traceback (most recent call last):
    ...
    AssertionError: Scalars are not close!
    <BLANKLINE>
    Expected 1.5 but got 1.0.
    Absolute difference: 0.5 (up to 1e-07 allowed)
    Relative difference: 0.3333333333333333 (up to 1e-07 allowed)
    <BLANKLINE>
    The failure occurred for item ['a'][0]
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"[assert_close] got rtol {rtol} and atol {atol}, expected both or neither")
    comparison = _Comparison(rtol, atol, equal_nan, check_device, check_dtype, check_stride, allow_subclasses)
    found = comparison.difference(actual, expected, "")
    if found:
        text, place = found
        if place:
            text += f"\n\nThe failure occurred for item {place}"
        raise AssertionError(msg(text) if callable(msg) else text if msg is None else msg)


Difference: TypeAlias = "tuple[str, str] | None"  # what differs, and at which item


class _Comparison:
    def __init__(
        self,
        rtol: float | None,
        atol: float | None,
        equal_nan: bool,
        check_device: bool,
        check_dtype: bool,
        check_stride: bool,
        allow_subclasses: bool,
    ) -> None:
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.check_device, self.check_dtype, self.check_stride = check_device, check_dtype, check_stride
        self.allow_subclasses = allow_subclasses

    def difference(self, actual: Any, expected: Any, place: str) -> Difference:
        actual, expected = _plain(actual), _plain(expected)
        kinds = (_kind(actual), _kind(expected))
        if not self.allow_subclasses and type(actual) is not type(expected):
            raise TypeError(
                f"[assert_close] got a {type(actual).__name__} and a {type(expected).__name__}, expected one type "
                "(allow_subclasses=False)"
            )
        if kinds == ("sequence", "sequence"):
            return self.of_sequences(actual, expected, place)
        if kinds == ("mapping", "mapping"):
            return self.of_mappings(actual, expected, place)
        if "none" in kinds:
            return None if actual is expected else (f"None mismatch: {actual} is not {expected}", place)
        if kinds == ("bool", "bool"):
            return None if actual == expected else (f"Booleans mismatch: {actual} is not {expected}", place)
        if kinds == ("number", "number"):
            return self.of_numbers(actual, expected, place)
        if kinds == ("tensor", "tensor"):
            return self.of_tensors(as_tensor(actual), as_tensor(expected), place)
        raise TypeError(
            f"[assert_close] got a {type(actual).__name__} and a {type(expected).__name__}"
            f"{f' at item {place}' if place else ''}, expected two tensors or arrays, numbers, bools, None, lists or dicts"
        )

    def of_sequences(self, actual: Sequence[Any], expected: Sequence[Any], place: str) -> Difference:
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", place
        pairs = enumerate(zip(actual, expected, strict=True))
        return next((d for i, (a, e) in pairs if (d := self.difference(a, e, f"{place}[{i}]"))), None)

    def of_mappings(self, actual: Mapping[Any, Any], expected: Mapping[Any, Any], place: str) -> Difference:
        if actual.keys() != expected.keys():
            missing, more = expected.keys() - actual.keys(), actual.keys() - expected.keys()
            return (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(missing, key=str)}\n"
                f"Additional keys in the actual mapping: {sorted(more, key=str)}"
            ), place
        return next((d for k in actual if (d := self.difference(actual[k], expected[k], f"{place}[{k!r}]"))), None)

    def tolerances(self, a: _core.dtype, b: _core.dtype) -> tuple[float, float]:
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        both = TOLERANCES.get(a, (0.0, 0.0)), TOLERANCES.get(b, (0.0, 0.0))
        return max(t[0] for t in both), max(t[1] for t in both)

    def of_numbers(self, actual: Any, expected: Any, place: str) -> Difference:
        if self.check_dtype and type(actual) is not type(expected):
            return f"The (d)types do not match: {type(actual)} != {type(expected)}.", place
        floats = isinstance(actual, float) or isinstance(expected, float)
        rtol, atol = self.tolerances(*[_core.float64 if floats else _core.int64] * 2)
        gap = abs(actual - expected)
        close = actual == expected or (math.isfinite(expected) and gap <= atol + rtol * abs(expected))
        if close or (self.equal_nan and actual != actual and expected != expected):  # noqa: PLR0124 -- NaN
            return None
        exact = rtol == atol == 0
        relative = gap / abs(expected) if expected else math.inf
        return (
            f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
            f"Absolute difference: {gap}{'' if exact else f' (up to {atol} allowed)'}\n"
            f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}"
        ), place

    def of_tensors(self, actual: Tensor, expected: Tensor, place: str) -> Difference:
        facts = [("shape", True), ("device", self.check_device), ("dtype", self.check_dtype)]
        for name, wanted in facts:
            a, e = getattr(actual, name), getattr(expected, name)
            if wanted and a != e:
                return f"The values for attribute '{name}' do not match: {a} != {e}.", place
        if self.check_stride and actual.stride() != expected.stride():
            return f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}.", place
        rtol, atol = self.tolerances(actual.dtype, expected.dtype)
        exact = rtol == atol == 0
        # Float64 holds every element of the others exactly, but for large int64.
        wide, wide_expected = actual.double(), expected.double()
        if exact and not actual.is_floating_point() and not expected.is_floating_point():
            wrong = ops.ne(actual.long(), expected.long())
        else:
            wrong = ops.logical_not(isclose(wide, wide_expected, rtol, atol, self.equal_nan))
        count = int(wrong.sum())
        if not count:
            return None
        gap = ops.where(wrong, ops.abs(ops.sub(wide, wide_expected)), 0.0)
        relative = ops.where(wrong, ops.div(gap, ops.abs(wide_expected)), 0.0)
        head = f"{'Scalars' if not actual.ndim else 'Tensor-likes'} are not {'equal' if exact else 'close'}!\n\n"
        if not actual.ndim:
            return (
                f"{head}Expected {expected.item()} but got {actual.item()}.\n"
                f"Absolute difference: {gap.item()}{'' if exact else f' (up to {atol} allowed)'}\n"
                f"Relative difference: {relative.item()}{'' if exact else f' (up to {rtol} allowed)'}"
            ), place
        return (
            f"{head}Mismatched elements: {count} / {actual.numel()} ({count / actual.numel():.1%})\n"
            f"Greatest absolute difference: {_greatest(gap)}{'' if exact else f' (up to {atol} allowed)'}\n"
            f"Greatest relative difference: {_greatest(relative)}{'' if exact else f' (up to {rtol} allowed)'}"
        ), place


def _plain(value: Any) -> Any:
    """A numpy scalar as Python's number."""
    if isinstance(value, Tensor) or not hasattr(value, "__array_interface__"):
        return value
    return value if getattr(value, "ndim", 1) else value.item()


def _kind(value: Any) -> str:
    if isinstance(value, Tensor) or hasattr(value, "__array_interface__"):
        return "tensor"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, Mapping):
        return "mapping"
    return "sequence" if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else "?"


def _greatest(x: Tensor) -> str:
    """The greatest element and its place."""
    place = int(ops.argmax(x.reshape(-1)))
    index = []
    for length in reversed(x.shape):
        place, i = divmod(place, length)
        index.append(i)
    at = tuple(reversed(index))
    return f"{x[at].item()} at index {at}"
