"""Gradients of every public function and in-place method, called as tests/torch_cases_*.py draw it, beside PyTorch's. And
recording changes no bit of a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import trigrad as tg
from door import bits
from torch_cases import Case, calls, split

torch_compare = pytest.importorskip("torch_compare", reason="compares with torch")

import torch

from test_torch_truth import INPLACE, examples
from torch_compare import OURS, REFUSALS, THEIRS, Library, leaves, widened
from torch_tables import CASES

MOST = 300  # elements
# What is not compared, and why.
DIFFERS = {
    "median": "PyTorch shares the gradient among equal elements, here one has it",
    "nanmedian": "the same",
    "topk": "of equal elements any may be chosen",
    "quantile": "the same",
    "nanquantile": "the same",
    "acosh": "outside of its domain the sign of an infinity",
    "arccosh": "the same",
    "bernoulli": "PyTorch's result has a graph, and gradients of 0",
    "trapezoid": "without elements PyTorch's result has no graph",
    "trapz": "the same",
    "norm": "of nothing",
    "stride": "no tensor",
}
NO_AXES = {"var", "std", "var_mean", "std_mean"}  # over dim=(), all axes, PyTorch's gradient divides by 0


def floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def arrays_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [a for v in value for a in arrays_in(v)]
    return [value] if isinstance(value, np.ndarray) else []


class Attempt:
    """A call on tensors that were made of leaves: gradients of the leaves, or why there are none."""

    def __init__(self, library: Library, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self.library, self.leaves = library, list[Any]()
        self.state, self.values, self.gradients = "called", list[Any](), list[Any]()
        positional, keywords = split(arguments)
        try:
            made = function(*map(self.take, positional), **{k: self.take(v) for k, v in keywords.items()})
        except REFUSALS:
            self.state = "refused"
            return
        outputs = [y for y in leaves(made) if isinstance(y, library.root.Tensor) and y.dtype is library.root.float64]
        self.values = [y.detach().numpy() for y in outputs]
        outputs = [y for y in outputs if y.requires_grad]
        if not outputs:
            self.state = "no graph"
            return
        try:
            loss = sum((y * self.weights(y)).sum() for y in outputs)
            found = library.root.autograd.grad(loss, self.leaves, materialize_grads=True)
        except (RuntimeError, NotImplementedError) as error:
            self.state = f"no gradient: {error}"
            return
        self.gradients = [g.numpy() for g in found]

    def take(self, value: Any) -> Any:
        if isinstance(value, tuple | list) and any(map(floating, value)):
            return type(value)(map(self.take, value))
        if not floating(value):
            return self.library.take(value.copy() if isinstance(value, np.ndarray) else value)
        root = self.library.root
        leaf = root.tensor(value.tolist(), dtype=root.float64).reshape(value.shape).requires_grad_()
        self.leaves.append(leaf)
        return leaf * 1

    def weights(self, y: Any) -> Any:
        n = int(y.numel())
        return self.library.root.tensor((np.arange(n) * 0.37 + 0.5).tolist(), dtype=y.dtype).reshape(y.shape)


def compare(case: Case, ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    @examples(4, 40)
    @given(calls(case))
    def agree(arguments: list[Any]) -> None:
        arguments = widened(arguments)
        if case.name in NO_AXES and any(a == () or (isinstance(a, dict) and a.get("dim") == ()) for a in arguments[1:]):
            return
        found = [a for a in arrays_in(arguments) if floating(a)]
        if not found or not all(np.isfinite(a).all() and a.size <= MOST for a in arrays_in(arguments)):
            return
        a, b = Attempt(OURS, ours, arguments), Attempt(THEIRS, theirs, arguments)
        with tg.no_grad():
            unrecorded = Attempt(OURS, ours, arguments)
        assert list(map(bits, unrecorded.values)) == list(map(bits, a.values)), "recording changes the bits"
        if "refused" in (a.state, b.state) or b.state.startswith("no gradient"):
            return  # test_torch_truth.py compares refusals
        assert a.state == b.state
        for mine, other in zip(a.gradients, b.gradients, strict=True):
            scale = float(np.abs(other[np.isfinite(other)]).max(initial=0))
            np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-9 * (1 + scale))

    with np.errstate(all="ignore"):
        agree()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [c for c in CASES if not c.random and c.name not in DIFFERS], ids=str)
def test_functions(case: Case) -> None:
    ours, theirs = OURS.find(case.ours or case.name), THEIRS.find(case.torch or case.name)
    if ours is None or theirs is None:
        pytest.skip("not there")
    compare(case, ours, theirs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [c for c in INPLACE if not c.random and c.name not in DIFFERS], ids=str)
def test_methods_in_place(case: Case) -> None:
    ours = OURS.find(f"Tensor.{case.name}_")
    if ours is None or case.name.startswith("logical_"):  # whose gradient in PyTorch is that of doing nothing
        pytest.skip("not there")
    compare(case, ours, getattr(torch.Tensor, f"{case.name}_"))
