"""Functions of nn.functional and nn.utils that no module or table of cases covers, on hypothesis-made shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg
from parity.test_modules import floats, leading, length
from parity_compare import Built, Row, array_of, assert_parity
from torch_cases import Array, Draw
from torch_compare import examples

torch = pytest.importorskip("torch", reason="compares with torch")


def vectors(d: Draw) -> list[Array]:
    """Two arrays of one shape without numbers that are nearly 0, where gradients of norms are rounded at 1 / |x|."""
    x = floats(d, *leading(d), length(d), length(d))
    return [v + np.sign(v) / 4 for v in (x, d.same(dtype="float32", finite=True))]


def normalize(d: Draw) -> Built:
    return Built((), d.keywords(p=(1.0, 2.0, 3.0, float("inf")), dim=(0, -1), eps=(0.5,)), vectors(d)[:1])


def cosine(d: Draw) -> Built:
    x, y = vectors(d)
    if d.flag():
        y = y[:1]  # broadcasts
    return Built((), d.keywords(dim=(0, -1), eps=(0.5,)), [x, y])


def distance(d: Draw) -> Built:
    x = floats(d, *leading(d), length(d))
    y = d.same(dtype="float32", finite=True)
    options = d.keywords(p=(1.0, 2.0, 3.0, 0.5, float("inf"), -1.0), eps=(1e-3, 0.0), keepdim=(True,))
    return Built((), options, [x, y[:1] if d.flag() and y.ndim else y])


FUNCTIONS: dict[str, Row] = {"normalize": normalize, "cosine_similarity": cosine, "pairwise_distance": distance}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    """As a module without parameters."""

    def make(library: Any) -> Any:
        function, Module = library.find(f"nn.functional.{name}"), library.root.nn.Module

        class Calling(Module):
            def __init__(self, **options: Any) -> None:
                super().__init__()
                self.options = options

            def forward(self, *inputs: Any) -> Any:
                return function(*inputs, **self.options)

        return Calling

    @examples(25)
    @given(st.data())
    def agree(data: Any) -> None:
        built = FUNCTIONS[name](Draw(data.draw))
        built.modes = ("train",)
        assert_parity(f"{name}({built.kwargs})", make, built, None)

    agree()


# ---------------------------------------------------------------- nn.utils


def parameters(lib: Any, arrays: list[Array], missing: list[bool]) -> list[Any]:
    made = []
    for a, left_out in zip(arrays, missing, strict=True):
        p = lib.nn.Parameter(lib.tensor(np.zeros_like(a)))
        p.grad = None if left_out else lib.tensor(a)
        made.append(p)
    return made


def near(mine: Any, other: Any, text: str) -> None:
    assert tuple(mine.shape) == tuple(other.shape), text
    assert str(mine.dtype).split(".")[1] == str(other.dtype).split(".")[1], text
    np.testing.assert_allclose(array_of(mine), array_of(other), rtol=1e-10, atol=1e-12, err_msg=text)


@examples(40)
@given(st.data())
def test_clipping(data: Any) -> None:
    d = Draw(data.draw)
    arrays = [np.asarray(floats(d), "float64") for _ in range(d.integer(0, 4))]
    missing = [d.integer(0, 3) == 0 for _ in arrays]
    norm = d.pick(2.0, 1, 3.5, float("inf"), "inf", 0.0, 0.5)
    if norm in ("inf", float("inf")) and any(a.size == 0 for a in arrays):
        norm = 2.0  # the greatest of nothing is refused in both
    most, text = d.pick(0.5, 1000.0, 0.0), f"norm {norm}"
    mine, other = parameters(tg, arrays, missing), parameters(torch, arrays, missing)
    near(tg.nn.utils.clip_grad_norm_(mine, most, norm), torch.nn.utils.clip_grad_norm_(other, most, norm), text)
    if d.flag() and not all(missing):
        tg.nn.utils.clip_grad_value_(mine, 0.25)
        torch.nn.utils.clip_grad_value_(other, 0.25)
    for p, q in zip(mine, other, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            near(p.grad, q.grad, text)
    given_ = [p.grad for p in mine if p.grad is not None], [q.grad for q in other if q.grad is not None]
    near(tg.nn.utils.get_total_norm(given_[0], norm), torch.nn.utils.get_total_norm(given_[1], norm), text)


@examples(20)
@given(st.data())
def test_vectors_of_parameters(data: Any) -> None:
    d = Draw(data.draw)
    arrays = [np.asarray(floats(d), "float64") for _ in range(d.integer(1, 4))]
    missing = [False] * len(arrays)
    mine, other = parameters(tg, arrays, missing), parameters(torch, arrays, missing)
    numbers = np.arange(sum(a.size for a in arrays)) / 3
    tg.nn.utils.vector_to_parameters(tg.tensor(numbers), mine)
    torch.nn.utils.vector_to_parameters(torch.tensor(numbers), other)
    for p, q in zip(mine, other, strict=True):
        near(p, q, "")
    near(tg.nn.utils.parameters_to_vector(mine), torch.nn.utils.parameters_to_vector(other), "")
