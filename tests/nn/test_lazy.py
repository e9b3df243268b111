"""Layers that learn a length from their first input, or from a state: beside PyTorch's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn

torch = pytest.importorskip("torch", reason="compares with torch")


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_input_tells(dtype: str) -> None:
    seen: list[Any] = []
    for lib in (tg, torch):
        net = lib.nn.Sequential(lib.nn.LazyLinear(4, bias=False), lib.nn.LazyBatchNorm1d(), lib.nn.LazyLinear(2))
        net = net.to(getattr(lib, dtype))
        seen.append([repr(net), list(net.state_dict())])
        optimizer = lib.optim.SGD(net.parameters(), lr=0.1)
        x = lib.ones(5, 3, dtype=getattr(lib, dtype)) * lib.arange(5)[:, None]
        net(x).sum().backward()
        optimizer.step()
        seen[-1] += [repr(net), [type(m).__name__ for m in net], [tuple(p.shape) for p in net.parameters()]]
        seen[-1] += [str(p.dtype).split(".")[1] for p in net.parameters()]
        seen[-1] += [all(p is q for p, q in zip(optimizer.param_groups[0]["params"], net.parameters(), strict=True))]
    assert seen[0] == seen[1]
    assert seen[0][2].startswith(
        "Sequential(\n  (0): Linear(in_features=3, out_features=4, bias=False)\n  (1): BatchNorm1d(4"
    )


def test_what_is_drawn_is_that_of_the_usual_layer() -> None:
    tg.manual_seed(3)
    lazy = nn.LazyLinear(200)
    lazy(tg.zeros(1, 300))
    bound = 1 / np.sqrt(300)
    for p in lazy.parameters():
        drawn = p.detach().numpy()
        assert abs(drawn).max() <= bound
        assert drawn.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    norm = nn.LazyBatchNorm1d()
    norm.eval()(tg.zeros(2, 3))
    assert {k: v.tolist() for k, v in norm.state_dict().items()} == {
        k: v.tolist() for k, v in nn.BatchNorm1d(3).state_dict().items()
    }


def test_a_state_tells() -> None:
    full = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    lazy = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    held = list(lazy.parameters())
    lazy.load_state_dict(full.state_dict())
    assert all(p is q for p, q in zip(lazy.parameters(), held, strict=True))
    x = tg.randn(4, 5)
    assert tg.equal(lazy.eval()(x), full.eval()(x))
    assert repr(lazy) == repr(full)
    assert full[0].weight.data_ptr() != lazy[0].weight.data_ptr()


def test_a_state_that_does_not_fit_tells_nothing() -> None:
    lazy = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1))
    with pytest.raises(RuntimeError, match=r"0\.weight(.|\n)*0\.bias"):
        lazy.load_state_dict(nn.Sequential(nn.Linear(5, 4), nn.Linear(3, 1)).state_dict())
    with pytest.raises(RuntimeError, match=r"1\.weight"):
        lazy.load_state_dict(nn.Sequential(nn.Linear(5, 3), nn.Linear(4, 1)).state_dict())
    assert repr(lazy[0]) == "LazyLinear(in_features=0, out_features=3, bias=True)"
    assert lazy(tg.zeros(2, 7)).shape == (2, 1)
    with pytest.raises(ValueError, match="2D or 3D"):
        nn.LazyBatchNorm1d()(tg.zeros(3))


def test_copies_know_as_little() -> None:
    lazy = nn.LazyLinear(2)
    for other in (copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert other(tg.zeros(1, 6)).shape == (1, 2)
        assert type(other) is nn.Linear
    assert type(lazy) is nn.LazyLinear
    lazy.reset_parameters()
    assert lazy.weight.shape == (2, 0)
    frozen = nn.LazyLinear(2).requires_grad_(False)
    frozen(tg.zeros(1, 6))
    assert not frozen.weight.requires_grad
