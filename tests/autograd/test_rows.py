"""Every differentiable row as it is called, through the tape: gradients, and gradients of gradients, against finite
differences along random directions in float64; the same with and without create_graph, and from any memory layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import PARAMS, TABLE, attributes, bits
from smooth import CONSTANTS, floating, small_samples
from trigrad import _vjp
from values import Array, Sample, real

# Their inputs `output`, `mean`, ... are functions of others: they are differentiated where the tape calls them, as second
# derivatives of the rows that they belong to.
ROWS = sorted(n for n in _vjp.RULES if "_backward" not in n and n not in ("copy_", "fill_"))
STEP = 2.0**-14
NARROW = {"float16", "bfloat16", "float32"}


def called(name: str, tensors: list[Any], attrs: dict[str, Any]) -> Any:
    """The row as users call it."""
    given, values = list(tensors), list(attributes(name, attrs))
    arguments: list[Any] = []
    for p in PARAMS[name]:
        if p.kind == "Tensors":
            arguments.append(given)
        else:
            arguments.append(given.pop(0) if p.is_tensor else values.pop(0))
    return getattr(tg.ops, name)(*arguments)


def outputs_of(made: Any) -> list[Any]:
    return [y for y in (made if isinstance(made, tuple) else (made,)) if y is not None and y.requires_grad]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda a: np.array(a),
    "turned": lambda a: np.array(a, order="F"),
    "parts": lambda a: np.repeat(a, 2, -1)[..., ::2] if a.ndim else np.array(a),
    "backwards": lambda a: np.array(a[::-1])[::-1] if a.ndim else np.array(a),
}


class Call:
    """A row at a sample: the leaves are the floating inputs that have gradients."""

    def __init__(self, name: str, sample: Sample, layout: str = "plain") -> None:
        self.name, self.sample = name, sample
        self.arrays = [None if a is None else LAYOUTS[layout](np.asarray(a)) for a in sample.tensors]
        constant = CONSTANTS.get(name, set())
        self.places = [i for i, a in enumerate(self.arrays) if floating(a) and i not in constant]
        self.directions = [real(self.arrays[i].shape, f"direction{i}", "float64", -1, 1) for i in self.places]  # type: ignore[union-attr]

    def leaves(self, step: float = 0.0) -> list[Any]:
        tensors = [None if a is None else tg.from_numpy(np.array(a) if step else a) for a in self.arrays]
        for i, direction in zip(self.places, self.directions, strict=True):
            if step:
                tensors[i] = tg.from_numpy(np.asarray(self.arrays[i] + step * direction))
            tensors[i].requires_grad_()
        return tensors

    def gradients(self, step: float, order: int, create_graph: bool = False) -> list[Any]:
        """Those of order 1, or (order 2, 3, ...) of a sum over those of the order before, with weights."""
        tensors = self.leaves(step)
        wanted = [tensors[i] for i in self.places]
        made = outputs_of(called(self.name, tensors, self.sample.attrs))
        for k in range(order):
            if not made:
                return []
            weights = [tg.from_numpy(real(tuple(y.shape), f"weights{j}of{k}", "float64")) for j, y in enumerate(made)]
            last = k == order - 1
            found = tg.autograd.grad(
                made, wanted, weights, create_graph=create_graph or not last, materialize_grads=True
            )
            made = list(found) if last else [g for g in found if g.requires_grad]
        return made

    def value(self, step: float, order: int) -> float:
        """What `gradients(0, order + 1)` are the gradients of."""
        if order == 0:
            with tg.no_grad():
                made = called(
                    self.name, [None if t is None else t.detach() for t in self.leaves(step)], self.sample.attrs
                )
            made = made if isinstance(made, tuple) else (made,)
            known = outputs_of(called(self.name, self.leaves(), self.sample.attrs))
            n = len(known)
            made = [y for y in made if y is not None and y.dtype.is_floating_point][:n]
        else:
            made = [g.detach() for g in self.gradients(step, order, create_graph=True) if g.requires_grad]
        return float(
            sum((real(tuple(y.shape), f"weights{j}of{order}", "float64") * y.numpy()).sum() for j, y in enumerate(made))
        )

    def compare(self, order: int) -> None:
        """Gradients of this order against differences of the order before."""
        found = self.gradients(0.0, order)
        got = float(sum((g.numpy() * d).sum() for g, d in zip(found, self.directions, strict=True))) if found else 0.0
        wide, narrow = ((self.value(h, order - 1) - self.value(-h, order - 1)) / (2 * h) for h in (STEP, STEP / 2))
        want = (4 * narrow - wide) / 3
        size = 1 + abs(want) + float(sum(np.abs(d).sum() for d in self.directions))
        what = f"{self.name} {self.sample.label}, order {order}: {got}, by differences {want}"
        assert abs(got - want) < 2e-8 * size * 10.0 ** (order - 1), what


def calls(name: str) -> list[Call]:
    """Samples with elements, whose results are as fine as differences need them."""
    found = [
        Call(name, sample) for sample in small_samples("sum" if name == "nansum" else name)
    ]  # which has NaN in all
    return [
        c for c in found if not NARROW & set(map(str, c.sample.attrs.values())) and all(d.size for d in c.directions)
    ]


@pytest.mark.parametrize("name", ROWS)
def test_gradients(name: str) -> None:
    found = calls(name)
    assert len(found) >= 5
    for call in found:
        call.compare(1)
        sample = call.sample
        plain = call.gradients(0.0, 1)
        for recorded, g in zip(call.gradients(0.0, 1, create_graph=True), plain, strict=True):
            np.testing.assert_allclose(recorded.detach().numpy(), g.numpy(), rtol=1e-12, atol=1e-13)
        for layout in list(LAYOUTS)[1:]:
            for other, g in zip(Call(name, sample, layout).gradients(0.0, 1), plain, strict=True):
                assert bits(other.numpy()) == bits(g.numpy()), f"{name} {sample.label} {layout}"


@pytest.mark.parametrize("name", ROWS)
def test_shapes_and_dtypes(name: str) -> None:
    """Shapes and dtypes, also of inputs without elements."""
    for sample in small_samples(name):
        call = Call(name, sample)
        for g, d in zip(call.gradients(0.0, 2), call.directions, strict=False):
            assert tuple(g.shape) == d.shape
            assert g.dtype is tg.float64


@pytest.mark.parametrize("name", ROWS)
def test_second_gradients(name: str) -> None:
    for call in calls(name):
        call.compare(2)


@pytest.mark.parametrize("name", [n for n in ROWS if TABLE[n]["pointwise"]])
def test_third_gradients(name: str) -> None:
    for call in calls(name):
        call.compare(3)
