"""Gradients of gradients of every module and loss, beside PyTorch's, away from kinks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.test_losses import LOSSES
from parity.test_modules import ROWS
from parity_compare import Built, State, array_of, directions, numbers_for, taken, wide_of
from torch_cases import Array, Draw
from torch_compare import OURS, REFUSALS, THEIRS, Library, examples

DRAWN = {"Dropout", "AlphaDropout", "FeatureAlphaDropout", "RReLU"}  # in training each library draws its own
ROW = {**{n: r for n, r in ROWS.items() if n not in DRAWN}, **{n: r for n, (_, r) in LOSSES.items()}}


def made(library: Library, name: str, built: Built) -> Any:
    kwargs = {k: library.take(v) for k, v in built.kwargs.items()}
    return library.find(f"nn.{name}")(*library.take(built.args), **kwargs).double()


def second(library: Library, name: str, built: Built, state: State) -> list[Array | None] | None:
    """The gradient of a sum of the gradients of y²; None where there is none."""
    module = made(library, name, built)
    module.load_state_dict({k: library.from_numpy(v.copy()) for k, v in state.items()})
    inputs = taken(library, built.inputs, built.fixed)
    leaves = [x for x in inputs if getattr(x, "requires_grad", False)] + list(module.parameters())
    y = module(*inputs)
    if not y.requires_grad or y.numel() == 0 or not np.isfinite(array_of(y)).all():
        return None
    grad = library.root.autograd.grad
    first = [g for g in grad((y * y).sum(), leaves, create_graph=True, allow_unused=True) if g is not None]
    total = sum((g * library.from_numpy(directions(g.shape, np.float64))).sum() for g in first if g.requires_grad)
    if isinstance(total, int):
        return None
    return [None if g is None else array_of(g) for g in grad(total, leaves, allow_unused=True)]


def off_kinks(x: Any, is_probability: bool) -> Any:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    return np.asarray(np.clip(x, 0.05, 0.95) if is_probability else x + 0.013)


@pytest.mark.parametrize("name", ROW)
def test_second_order(name: str) -> None:
    @examples(4, 60)
    @given(st.data())
    def agree(data: Any) -> None:
        built = wide_of(ROW[name](Draw(data.draw)))
        if name in LOSSES:
            built.fixed = (1, 2)
        moved = [off_kinks(x, name == "BCELoss") if k not in built.fixed else x for k, x in enumerate(built.inputs)]
        built.inputs = moved
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                state = {k: array_of(v) for k, v in made(THEIRS, name, built).state_dict().items()}
                state = state if name in LOSSES else numbers_for(state, 3, "float64")
                want = second(THEIRS, name, built, state)
            except REFUSALS:
                return  # tests of the first order have the refusals
            if any(x.size == 0 for x in built.inputs if isinstance(x, np.ndarray)):
                return
            got = second(OURS, name, built, state)
        assert (got is None) == (want is None)
        for a, b in zip(got or (), want or (), strict=True):
            if a is not None or b is not None:  # no gradient is one of 0
                a, b = (0.0 if v is None else v for v in (a, b))
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8, err_msg=f"{built.args} {built.kwargs}")

    agree()
