"""fold_batchnorm and collapse: fewer layers, the same function."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn


def trained(net: Any) -> Any:
    """Running statistics, scales and shifts that are not those of the beginning."""
    for _ in range(5):
        net(tg.randn(32, 4) * 2 + 1)
    with tg.no_grad():
        for m in net.modules():
            if isinstance(m, nn.BatchNorm1d) and m.weight is not None:
                m.weight.uniform_(0.5, 2.0)
                if m.bias is not None:
                    m.bias.normal_()
    return net.eval()


def gap(a: Any, b: Any) -> float:
    x = tg.randn(50, 4)
    y, z = a(x).detach(), b(x).detach()
    return float((y - z).abs().max() / y.abs().max())


@pytest.mark.parametrize("settings", [{}, {"affine": False}, {"bias": False}])
def test_batch_norm_is_folded(settings: Any) -> None:
    tg.manual_seed(1)
    net = trained(
        nn.Sequential(
            nn.BatchNorm1d(4, **settings),
            nn.Linear(4, 8, bias=False),
            nn.BatchNorm1d(8, **settings),
            nn.ReLU(),
            nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3, **settings)),
        )
    )
    before = {k: v.clone() for k, v in net.state_dict().items()}
    folded = nn.fold_batchnorm(net)
    assert not any(isinstance(m, nn.BatchNorm1d) for m in folded.modules())
    assert [type(m).__name__ for m in folded] == ["Linear", "ReLU", "Sequential"]
    assert gap(net, folded) <= 1e-6
    assert not folded.training
    for name, value in net.state_dict().items():
        assert tg.equal(value, before[name])


def test_what_cannot_be_folded_stays() -> None:
    net = nn.Sequential(
        nn.Linear(4, 4),
        nn.ReLU(),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.Linear(4, 4),
        nn.BatchNorm1d(4, track_running_stats=False),
    )
    net = trained(net)
    folded = nn.fold_batchnorm(net)
    assert len(folded) == 6
    assert gap(net, folded) == 0.0
    watched = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    watched[0].register_forward_hook(lambda m, args, y: None)
    assert len(nn.fold_batchnorm(watched)) == 2
    with pytest.raises(ValueError, match="by itself"):
        nn.fold_batchnorm(nn.BatchNorm1d(4))


def test_shared_layers_are_folded_where_they_stand() -> None:
    shared = nn.Linear(4, 4)
    net = trained(nn.Sequential(shared, nn.BatchNorm1d(4), nn.ReLU(), shared))
    assert gap(net, nn.fold_batchnorm(net)) <= 1e-6


def test_stacked_linear_layers_collapse() -> None:
    net = nn.Sequential(
        nn.Linear(4, 20), nn.Identity(), nn.Linear(20, 30, bias=False), nn.Linear(30, 2), nn.ReLU(), nn.Linear(2, 5)
    )
    flat = nn.collapse(net)
    assert [type(m).__name__ for m in flat] == ["Linear", "ReLU", "Linear"]
    assert gap(net, flat) <= 1e-6
    w = [m.weight.detach().double().numpy() for m in (net[0], net[2], net[3])]
    np.testing.assert_allclose(flat[0].weight.detach().numpy(), w[2] @ w[1] @ w[0], rtol=1e-5, atol=1e-7)
    assert flat.training
    flat(tg.ones(1, 4)).sum().backward()
    assert all(p.grad is not None for p in flat.parameters())


def test_names_stay() -> None:
    net = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.Linear(4, 4), c=nn.ReLU()))
    assert list(nn.collapse(net)._modules) == ["a", "c"]
