"""Internal covariate shift: against the definition, and that a measured step is a step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import covariate_shift
from trigrad.nn import functional as F


def test_two_linear_layers_by_hand() -> None:
    """L = Σ (c b a x − y)²/2 with numbers a, b, c: each layer's gradient at the steps of those before it."""
    tg.manual_seed(0)
    x, y = tg.randn(20, 1, dtype=tg.float64), tg.randn(20, 1, dtype=tg.float64)
    net = nn.Sequential(*(nn.Linear(1, 1, bias=False, dtype=tg.float64) for _ in range(3)))
    xs, ys, rate = x.numpy(), y.numpy(), 0.05

    def gradient(a: float, b: float, c: float) -> Any:
        off = ((a * b * c * xs - ys) * xs).sum()
        return np.array([b * c, a * c, a * b]) * off

    a, b, c = (float(p) for p in net.parameters())
    g = gradient(a, b, c)
    a1, b1, c1 = np.array([a, b, c]) - rate * g
    optimizer = tg.optim.SGD(net.parameters(), lr=rate)
    found = covariate_shift(net, lambda: 0.5 * ((net(x) - y) ** 2).sum(), optimizer)
    again = [g[0], gradient(a1, b, c)[1], gradient(a1, b1, c)[2]]
    np.testing.assert_allclose([layer.size for layer in found], np.abs(g), rtol=1e-12)
    np.testing.assert_allclose([layer.distance for layer in found], np.abs(g - again), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([layer.cosine for layer in found], np.sign(g * again))
    np.testing.assert_allclose([float(p) for p in net.parameters()], [a1, b1, c1], rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_a_measured_step_is_a_step_bit_for_bit(training: bool) -> None:
    """Parameters, running statistics, moments of Adam, gradients and the next random numbers; dropout's mask is the same in
    all gradients of a step, so that the first layer sees no shift."""

    def made() -> tuple[Any, Any]:
        tg.manual_seed(3)
        net = nn.Sequential(
            *(
                nn.Linear(4, 8),
                nn.BatchNorm1d(8),
                nn.ReLU(),
                nn.Dropout(0.3),
                nn.Linear(8, 8),
                nn.Tanh(),
                nn.Linear(8, 3),
            )
        )
        return net.train(training), tg.optim.Adam(net.parameters(), lr=0.02)

    def kept(net: Any, optimizer: Any) -> list[Any]:
        moments = [v.tolist() for held in optimizer.state.values() for v in held.values() if isinstance(v, tg.Tensor)]
        grads = [p.grad.tolist() for p in net.parameters()]
        return [[t.tolist() for t in net.state_dict().values()], moments, grads, tg.get_rng_state().tolist()]

    x, y = tg.randn(16, 4, generator=tg.Generator().manual_seed(1)), tg.arange(16) % 3
    net, optimizer = made()
    for _ in range(3):
        shifts = covariate_shift(net, lambda: F.cross_entropy(net(x), y), optimizer)
        assert (shifts[0].name, shifts[0].layer, shifts[0].distance, shifts[0].cosine) == ("0", "Linear", 0.0, 1.0)
        assert [s.layer for s in shifts] == ["Linear", "BatchNorm1d", "Linear", "Linear"]
        assert all(s.distance > 0 and -1 <= s.cosine < 1 for s in shifts[1:])
    with_shifts = kept(net, optimizer)
    net, optimizer = made()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    assert kept(net, optimizer) == with_shifts


def test_choice_of_layers_and_what_has_no_gradient() -> None:
    tg.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.PReLU(), nn.Linear(3, 1), nn.Linear(1, 1))
    x = tg.ones(4, 2)
    optimizer = tg.optim.SGD(net.parameters(), lr=0.1)
    found = covariate_shift(net, lambda: net[2](net[1](net[0](x))).sum(), optimizer, only=(nn.Linear,))
    assert [layer.name for layer in found] == ["0", "2", "3"]
    assert found[2][2:] == (0.0, 0.0, 1.0)  # it takes no part
    zero = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with tg.no_grad():
        zero[0].weight.fill_(0.0)
    optimizer = tg.optim.SGD(zero.parameters(), lr=0.1)
    second = covariate_shift(zero, lambda: zero(tg.ones(1, 1)).sum(), optimizer)[1]
    assert second.size == 0 < second.distance
    assert math.isnan(second.cosine)
    with pytest.raises(ValueError, match=r"Sequential has no GELU with parameters that learn"):
        covariate_shift(net, lambda: net(x).sum(), optimizer, only=(nn.GELU,))
    with pytest.raises(TypeError, match="model is a list, expected a module"):
        covariate_shift(list(net.parameters()), lambda: net(x).sum(), optimizer)  # type: ignore[arg-type]


def test_an_error_leaves_the_step_done() -> None:
    tg.manual_seed(0)
    tg.rand(1)
    after = tg.get_rng_state().tolist()
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    tg.manual_seed(0)
    optimizer = tg.optim.SGD(net.parameters(), lr=1.0)
    start = [p.detach().clone() for p in net.parameters()]
    calls = []

    def loss() -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return net(tg.rand(1, 1)).sum()

    with pytest.raises(KeyboardInterrupt):
        covariate_shift(net, loss, optimizer)
    for p, was in zip(net.parameters(), start, strict=True):
        assert tg.equal(p.detach(), was - p.grad)
    assert tg.get_rng_state().tolist() == after
