"""nn.utils against PyTorch: clipping, vectors of parameters, weight normalisation."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from pairs import assert_near, ours, same_weights, theirs
from trigrad import nn
from trigrad.nn import utils

torch = pytest.importorskip("torch")

rng = np.random.default_rng(8)
GRADS = [rng.standard_normal((3, 2)), rng.standard_normal(4), rng.standard_normal((2, 2, 2)) * 10]


def parameters(lib: Any, convert: Any) -> list[Any]:
    made = [lib.nn.Parameter(convert(np.zeros_like(g))) for g in GRADS]
    for p, g in zip(made, GRADS, strict=True):
        p.grad = convert(g)
    return [*made, lib.nn.Parameter(convert(np.zeros(2)))]  # the last one without a gradient


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
def test_clip_grad_norm(norm_type: Any, max_norm: float) -> None:
    mine, other = parameters(tg, ours), parameters(torch, theirs)
    a = utils.clip_grad_norm_(iter(mine), max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(iter(other), max_norm, norm_type)
    assert_near(a, b)
    for p, q in zip(mine[:-1], other[:-1], strict=True):
        assert_near(p.grad, q.grad)
    assert mine[-1].grad is None


def test_clip_grad_norm_of_what_is_not_finite() -> None:
    p = nn.Parameter(tg.zeros(2))
    p.grad = tg.tensor([math.nan, 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad[1].item() == 1.0
    assert math.isnan(utils.clip_grad_norm_(p, 1.0).item())
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0


def test_clip_by_a_norm_known_before() -> None:
    mine, other = parameters(tg, ours), parameters(torch, theirs)
    for norm in (0.01, 30.0):
        utils.clip_grads_with_norm_(mine, 2.0, ours(np.array(norm)))
        torch.nn.utils.clip_grads_with_norm_(other, 2.0, theirs(np.array(norm)))
        for p, q in zip(mine[:-1], other[:-1], strict=True):
            assert_near(p.grad, q.grad)


def test_clip_grad_value() -> None:
    mine, other = parameters(tg, ours), parameters(torch, theirs)
    utils.clip_grad_value_(mine, 0.4)
    torch.nn.utils.clip_grad_value_(other, 0.4)
    for p, q in zip(mine[:-1], other[:-1], strict=True):
        assert_near(p.grad, q.grad)


def test_vectors_of_parameters() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    vector.sum().backward()
    assert net[0].bias.grad.tolist() == [1.0] * 3
    utils.vector_to_parameters(tg.arange(13.0), net.parameters())
    assert net[1].bias.tolist() == [12.0]
    assert net[0].weight.is_leaf
    for wrong in (tg.zeros(12), tg.zeros(13, 1)):
        with pytest.raises(RuntimeError, match="expected a vector of 13"):
            utils.vector_to_parameters(wrong, net.parameters())
    assert net[1].bias.tolist() == [12.0]
    with pytest.raises(TypeError, match="expected a Tensor"):
        utils.vector_to_parameters([1.0], net.parameters())  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_is_that_of_torch(dim: int | None) -> None:
    mine, other = nn.Linear(4, 3).double(), torch.nn.Linear(4, 3).double()
    same_weights(mine, other)
    utils.weight_norm(mine, dim=dim)
    torch.nn.utils.weight_norm(other, dim=dim)
    assert [(n, tuple(p.shape)) for n, p in mine.named_parameters()] == [
        (n, tuple(p.shape)) for n, p in other.named_parameters()
    ]
    x = rng.standard_normal((5, 4))
    for _ in range(2):  # with changed lengths the second time
        a, b = mine(ours(x)), other(theirs(x))
        assert_near(a, b)
        mine.zero_grad(), other.zero_grad()
        (a * a).sum().backward()
        (b * b).sum().backward()
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            assert_near(p.grad, q.grad, rtol=1e-9, atol=1e-10)
        with tg.no_grad(), torch.no_grad():
            mine.weight_g.mul_(2)
            other.weight_g.mul_(2)
    mine(ours(x))
    again = pickle.loads(pickle.dumps(mine.requires_grad_(False)))
    assert_near(again(ours(x)), other(theirs(x)))
    utils.remove_weight_norm(mine)
    assert sorted(n for n, _ in mine.named_parameters()) == ["bias", "weight"]
    assert_near(mine(ours(x)), other(theirs(x)))


def test_weight_norm_refuses() -> None:
    layer = utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="two weight_norm hooks"):
        utils.weight_norm(layer)
    with pytest.raises(ValueError, match="not found"):
        utils.remove_weight_norm(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no parameter 'width'"):
        utils.weight_norm(nn.Linear(2, 2), "width")


def test_weight_norm_is_copied() -> None:
    layer = utils.weight_norm(nn.Linear(2, 2))
    x = tg.ones(1, 2)
    layer(x).sum().backward()
    other = copy.deepcopy(layer)
    assert tg.equal(other(x), layer(x))
