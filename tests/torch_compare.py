"""The same call made by trigrad and by PyTorch, and their outcomes compared: values, dtypes, shapes, errors."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

import trigrad as tg
from torch_cases import Array, Case, Dtype, split

torch = pytest.importorskip("torch", reason="compares with torch")

FULL = os.environ.get("TRIGRAD_PROOFS") == "full"
REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, OverflowError, MemoryError)


def examples(quick: int, full: int = 200) -> settings:
    """How many programs hypothesis draws; where the proofs are not run whole, a failing one is not made smaller."""
    return settings(
        max_examples=full if FULL else quick,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink) if FULL else (Phase.generate,),
    )


# ---------------------------------------------------------------- two libraries


@dataclass
class Library:
    """One of the two: where its functions are, and how it takes arrays."""

    root: Any
    places: tuple[str, ...]
    from_numpy: Callable[[Array], Any]

    def find(self, path: str) -> Any:
        """ "exp", "pad" (in one of `places`), "Tensor.view"; None if it is not there."""
        for place in ("", *self.places):
            found = self.root
            for part in f"{place}.{path}".strip(".").split("."):
                found = getattr(found, part, None)
            if found is not None:
                return found
        return None

    def take(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.from_numpy(value)
        if isinstance(value, Dtype):
            return getattr(self.root, value)
        if isinstance(value, tuple | list):
            return type(value)(map(self.take, value))
        if isinstance(value, slice):
            return slice(*map(self.take, (value.start, value.stop, value.step)))
        return value


def torch_from_numpy(array: Array) -> Any:
    """PyTorch has no negative strides."""
    return torch.from_numpy(array if all(s >= 0 for s in array.strides) else array.copy())


OURS = Library(tg, ("Tensor",), tg.from_numpy)
THEIRS = Library(torch, ("nn.functional", "Tensor"), torch_from_numpy)


@dataclass
class Outcome:
    """What a call gave: leaves (tensors and plain values), or the exception."""

    leaves: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    inputs: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)  # of the inputs, before the call


def leaves(result: Any) -> Iterator[Any]:
    if isinstance(result, tuple | list):
        for r in result:
            yield from leaves(r)
    else:
        yield result


def attempt(library: Library, function: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
    outcome = Outcome()
    positional, keywords = split(arguments)
    outcome.inputs = [library.take(a) for a in positional]
    outcome.versions = [getattr(x, "_version", None) for x in outcome.inputs]
    keywords = {k: library.take(v) for k, v in keywords.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            outcome.leaves = list(leaves(function(*outcome.inputs, **keywords)))
        except REFUSALS as error:
            outcome.error = error
    return outcome


# ---------------------------------------------------------------- comparing


def dtype_name(t: Any) -> str:
    return str(t.dtype).rpartition(".")[2]


def arrays_of(arguments: Any) -> Iterator[Array]:
    for a in arguments.values() if isinstance(arguments, dict) else arguments:
        if isinstance(a, np.ndarray):
            yield a
        elif isinstance(a, tuple | list | dict):
            yield from arrays_of(a)


def widened(value: Any) -> Any:
    """The same argument with float64 in place of float32."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype == np.float32 else value
    if isinstance(value, Dtype):
        return Dtype("float64") if value == "float32" else value
    if isinstance(value, tuple | list):
        return type(value)(map(widened, value))
    if isinstance(value, dict):
        return {k: widened(v) for k, v in value.items()}
    return value


def largest_summand(case: Case, arguments: Sequence[Any]) -> float:
    """The largest input, or the product of the largest of each."""
    largest = []
    for a in arrays_of(arguments):
        finite = np.abs(a[np.isfinite(a)].astype(np.float64))
        largest.append(float(np.max(finite, initial=0)))
    return math.prod(largest) if case.scale == "products" else max(largest, default=0.0)


def off(got: Array, want: Array, allowed: Array) -> Array:
    """Where `got` is not `want` within `allowed`. NaN is NaN, and infinity infinity."""
    with np.errstate(all="ignore"):
        close = np.abs(got - want) <= np.where(np.isfinite(want), allowed, 0)
    return np.asarray(~(close | (got == want) | (np.isnan(got) & np.isnan(want))))


def assert_same_floats(case: Case, ours: Array, theirs: Array, truth: Array | None, scale: float) -> None:
    got, peer = ours.astype(np.float64), theirs.astype(np.float64)
    if ours.dtype == np.float64:
        bad, want = off(got, peer, 1e-10 * np.abs(peer) + 1e-12 * scale), peer
    else:
        with np.errstate(all="ignore"):
            want = peer if truth is None else truth.astype(np.float32).astype(np.float64)
            wide = peer if truth is None else truth
            own = np.abs(peer - wide)
        own_worst = float(np.max(own[np.isfinite(own)], initial=0))
        allowed = np.maximum(1e-5 + 1.3e-6 * np.abs(wide), own_worst)
        # Where PyTorch's float32 overflows on the way and its float64 does not, either answer will do.
        bad = off(got, wide, allowed) & off(got, want, allowed) & off(got, peer, allowed)
    if bad.any():
        place = tuple(int(i[0]) for i in np.nonzero(bad)) if bad.ndim else ()
        raise AssertionError(
            f"{case}: {int(bad.sum())} of {bad.size} differ; at {place} got {got[place]!r}, expected {want[place]!r} "
            f"(torch {peer[place]!r})"
        )


def assert_same(case: Case, arguments: Sequence[Any], ours: Outcome, theirs: Outcome, truth: Outcome | None) -> None:
    assert len(ours.leaves) == len(theirs.leaves), f"{case}: {len(ours.leaves)} results, torch has {len(theirs.leaves)}"
    scale = largest_summand(case, arguments)
    for k, (a, b) in enumerate(zip(ours.leaves, theirs.leaves, strict=True)):
        if not isinstance(b, torch.Tensor):
            if isinstance(b, torch.dtype):
                a, b = str(a).rpartition(".")[2], str(b).rpartition(".")[2]
            assert a == b or str(a) == str(b) == "nan", f"{case}: {a!r}, torch has {b!r}"
            continue
        assert isinstance(a, tg.Tensor), f"{case}: {a!r}, torch has {b!r}"
        assert tuple(a.shape) == tuple(b.shape), f"{case}: shape {tuple(a.shape)}, torch has {tuple(b.shape)}"
        assert dtype_name(a) == dtype_name(b), f"{case}: {a.dtype}, torch has {b.dtype}"
        got, peer = np.array(a.numpy()), b.resolve_neg().numpy()
        if case.random:
            continue
        if case.ties and k == 1:
            assert_points_at(case, arguments, ours, got)
        elif got.dtype.kind == "f":
            wide = truth.leaves[k].numpy() if truth and not truth.error else None
            assert_same_floats(case, got, peer, wide, scale)
        else:
            assert np.array_equal(got, peer), f"{case}: {got!r}, torch has {peer!r}"
        if case.view:
            assert_same_view(case, ours.inputs[0], a, theirs.inputs[0], b)


def assert_points_at(case: Case, arguments: Sequence[Any], ours: Outcome, indices: Array) -> None:
    """Of equal elements any may be named: the values at the indices are the values."""
    x, values = arguments[0], ours.leaves[0].numpy()
    positional, keywords = split(arguments)
    dim = keywords.get("dim", next((a for a in positional[1:] if type(a) is int), -1))
    if case.name in ("kthvalue", "topk"):
        dim = keywords.get("dim", positional[2] if len(positional) > 2 else -1)
    if x.ndim == 0:
        assert not indices.any()
        return
    keep = indices.ndim == x.ndim
    picked = np.take_along_axis(x, indices if keep else np.expand_dims(indices, dim), dim)
    np.testing.assert_array_equal(picked if keep else picked.squeeze(dim), values, err_msg=str(case))


def assert_same_view(case: Case, x: Any, a: Any, y: Any, b: Any) -> None:
    if a.numel() == 0 or tuple(x.stride()) != tuple(y.stride()):
        return
    shared = b.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
    assert a.data_ptr() - x.data_ptr() == b.data_ptr() - y.data_ptr() if shared else True, f"{case}: another place"
    strides = [(s, t) for n, s, t in zip(a.shape, a.stride(), b.stride(), strict=True) if n > 1]
    assert all(s == t for s, t in strides), f"{case}: strides {a.stride()}, torch has {b.stride()}"


def same_family(ours: BaseException, theirs: BaseException) -> bool:
    """IndexError for IndexError; RuntimeError, TypeError and ValueError may stand for each other."""
    return isinstance(ours, IndexError) == isinstance(theirs, IndexError)


@np.errstate(all="ignore")
def assert_agree(case: Case, arguments: Sequence[Any], ours: Outcome, theirs: Outcome, truth: Outcome | None) -> None:
    if theirs.error is not None:
        assert ours.error is not None, f"{case}: torch raises {theirs.error!r}, trigrad does not"
        assert same_family(ours.error, theirs.error), f"{case}: {ours.error!r}, torch raises {theirs.error!r}"
        return
    if ours.error is not None:
        raise AssertionError(f"{case}: torch does not raise {ours.error!r}") from ours.error
    assert_same(case, arguments, ours, theirs, truth)


def truth_of(function: Callable[..., Any], arguments: Sequence[Any], theirs: Outcome) -> Outcome | None:
    """PyTorch's answer in float64 where the call has float32 tensors; None where there is none such."""
    if theirs.error or not any(a.dtype == np.float32 for a in arrays_of(arguments)):
        return None
    truth = attempt(THEIRS, function, [widened(a) for a in arguments])
    same = [
        tuple(getattr(t, "shape", ())) == tuple(getattr(p, "shape", ()))
        for t, p in zip(truth.leaves, theirs.leaves, strict=False)
    ]
    return truth if not truth.error and all(same) else None
