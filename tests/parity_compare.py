"""The same module, loss or function of both libraries on the same arrays: values, gradients, buffers, refusals.

Tolerances are those of torch_compare.py: float64 within rtol 1e-10, float32 against PyTorch's float64 no worse than PyTorch's
own float32 or its assert_close tolerance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from torch_cases import Array, Case, Draw
from torch_compare import OURS, REFUSALS, THEIRS, Library, assert_same_floats, same_family, widened
from torch_differences import FLOAT32_CONSTANTS, difference

torch = pytest.importorskip("torch", reason="compares with torch")


@dataclass
class Built:
    """How a module is made and called. `inputs` that hold floats are differentiated, but for the places in `fixed`."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: Sequence[Any] = ()
    fixed: tuple[int, ...] = ()
    modes: tuple[str, ...] = ("train", "eval")


Row = Callable[[Draw], Built]
State = dict[str, Array]


@dataclass
class Followed:
    """What a module gave, by name ("train output", "eval gradient of weight", …), and the first refusal."""

    results: dict[str, Array] = field(default_factory=dict)
    error: BaseException | None = None
    stage: str = ""


def array_of(tensor: Any) -> Array:
    return np.array(tensor.detach().numpy())


def directions(shape: Sequence[int], dtype: Any) -> Array:
    """With what an output is multiplied before its sum is differentiated: no two weights are equal."""
    n = int(np.prod(shape))
    return (np.cos(np.arange(n) * 1.7) + 0.1).reshape(tuple(shape)).astype(dtype)


def differentiate(library: Library, outputs: Any, leaves: dict[str, Any], stage: str, into: dict[str, Array]) -> None:
    """The outputs, and the gradients of the leaves."""
    y = outputs
    into[f"{stage} output"] = array_of(y)
    if not y.requires_grad:
        return
    for leaf in leaves.values():
        leaf.grad = None
    (y * library.from_numpy(directions(y.shape, into[f"{stage} output"].dtype))).sum().backward()
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            into[f"{stage} gradient of {name}"] = array_of(leaf.grad)


def taken(library: Library, inputs: Sequence[Any], fixed: Sequence[int] = ()) -> list[Any]:
    """The inputs as tensors; floats are leaves that want gradients."""
    found = [library.take(np.array(x) if isinstance(x, np.ndarray) else x) for x in inputs]
    for k, x in enumerate(inputs):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and k not in fixed:
            found[k].requires_grad_()
    return found


def follow(library: Library, make: Callable[[Any], Any], built: Built, state: State | None) -> Followed:
    """Make the module, load the state, and call it in each mode."""
    found = Followed(stage="making")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            args, kwargs = library.take(built.args), {k: library.take(v) for k, v in built.kwargs.items()}
            module = make(library)(*args, **kwargs)
            if any(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in built.inputs):
                module = module.double()
            if state is not None:
                module.load_state_dict({k: library.from_numpy(v.copy()) for k, v in state.items()})
            for mode in built.modes:
                found.stage = mode
                module.train(mode == "train")
                inputs = taken(library, built.inputs, built.fixed)
                leaves = {f"input {k}": x for k, x in enumerate(inputs) if getattr(x, "requires_grad", False)}
                leaves |= dict(module.named_parameters())
                differentiate(library, module(*inputs), leaves, mode, found.results)
                for name, buffer in module.named_buffers():
                    found.results[f"{mode} buffer {name}"] = array_of(buffer)
        except REFUSALS as error:
            found.error = error
    return found


def numbers_for(state: State, seed: int, dtype: str) -> State:
    """Other numbers in place of the initial ones; variances stay positive and counts as they are."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, array in state.items():
        if array.dtype.kind != "f":
            made[name] = array
        else:
            drawn = rng.uniform(0.5, 2, array.shape) if name.endswith("var") else rng.uniform(-1, 1, array.shape)
            made[name] = np.asarray(drawn, dtype="float32").astype(dtype)
    return made


def assert_followed(name: str, ours: Followed, theirs: Followed, truth: Followed | None, scale: float) -> None:
    if theirs.error is not None or ours.error is not None:
        assert ours.error is not None, f"{name}: torch raises {theirs.error!r} ({theirs.stage}), trigrad does not"
        if theirs.error is None:
            raise AssertionError(f"{name}: torch does not raise {ours.error!r} ({ours.stage})") from ours.error
        assert same_family(ours.error, theirs.error), f"{name}: {ours.error!r}, torch raises {theirs.error!r}"
        assert ours.stage == theirs.stage, (
            f"{name}: {ours.error!r} ({ours.stage}), torch {theirs.error!r} ({theirs.stage})"
        )
        return
    assert list(ours.results) == list(theirs.results), name
    for key, peer in theirs.results.items():
        got, case = ours.results[key], Case(name, lambda d: (), label=key)
        assert got.shape == peer.shape, f"{case}: shape {got.shape}, torch has {peer.shape}"
        assert got.dtype == peer.dtype, f"{case}: {got.dtype}, torch has {peer.dtype}"
        if got.dtype.kind != "f":
            assert np.array_equal(got, peer), f"{case}: {got!r}, torch has {peer!r}"
            continue
        if got.dtype == np.float64 and name.partition("(")[0] in FLOAT32_CONSTANTS:
            np.testing.assert_allclose(got, peer, rtol=1e-7, atol=1e-9, err_msg=str(case))
            continue
        wide = None if truth is None or truth.error else truth.results.get(key)
        assert_same_floats(case, got, peer, wide, scale)


def wide_of(built: Built) -> Built:
    return Built(widened(built.args), widened(built.kwargs), widened(list(built.inputs)), built.fixed, built.modes)


def largest(built: Built) -> float:
    arrays = [a for a in (*built.inputs, *built.args, *built.kwargs.values()) if isinstance(a, np.ndarray) and a.size]
    return max([1.0, *(float(np.max(np.abs(a))) for a in arrays if a.dtype.kind == "f")])


def assert_parity(name: str, make: Callable[[Any], Any], built: Built, state: State | None) -> None:
    """In float32 and in float64."""
    wide_built = wide_of(built)
    wide_state = None if state is None else {k: widened(v) for k, v in state.items()}
    truth = follow(THEIRS, make, wide_built, wide_state)
    wide = follow(OURS, make, wide_built, wide_state)
    if difference(Case(name.partition("(")[0], lambda d: ()), built.inputs, wide.error, truth.error):
        return
    assert_followed(name, wide, truth, None, largest(built))
    assert_followed(name, follow(OURS, make, built, state), follow(THEIRS, make, built, state), truth, largest(built))
