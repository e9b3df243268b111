"""Phases of weights, vanishing and exploding gradients: rows 121 to 124 of the catalogue."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import diagnostics, nn


@pytest.fixture(autouse=True)
def _same_weights_each_time() -> None:
    tg.manual_seed(1)


def deep(depth: int, width: int, activation: Callable[[], Any], weight_variance: float, bias_variance: float) -> Any:
    """Layers with weights N(0, σ_w² / width) and biases N(0, σ_b²), and an activation after each."""
    layers = [nn.Linear(width, width) for _ in range(depth)]
    for layer in layers:
        nn.init.normal_(layer.weight, 0.0, math.sqrt(weight_variance / width))
        nn.init.normal_(layer.bias, 0.0, math.sqrt(bias_variance))
    return nn.Sequential(*(part for layer in layers for part in (layer, activation())))


def gradients(net: Any, x: Any) -> list[float]:
    """The length of the gradient of each layer's weights, from the first layer to the last."""
    net(x).mul(tg.randn(x.shape)).sum().backward()
    return [float(layer.weight.grad.norm()) for layer in net if isinstance(layer, nn.Linear)]


# ---- phases


@pytest.mark.parametrize(
    ("bias_variance", "critical"),
    [(0.0, 1.000), (0.01, 1.424), (0.05, 1.761), (0.1, 1.986), (0.2, 2.285), (0.3, 2.505)],
)
def test_row_121_critical_weight_variance_of_tanh(bias_variance: float, critical: float) -> None:
    found = diagnostics.critical_weight_variance(bias_variance)
    assert found == pytest.approx(critical, abs=5e-4)
    assert diagnostics.phase(found, bias_variance).name == "critical"
    assert diagnostics.phase(found * 0.99, bias_variance).name == "ordered"
    assert diagnostics.phase(found * 1.01, bias_variance).name == "chaotic"


@pytest.mark.parametrize(("weight_variance", "bias_variance"), [(0.5, 0.1), (1.5, 0.05), (2.5, 0.3), (4.0, 0.0)])
def test_row_121_the_fixed_point_solves_the_mean_field_equations(weight_variance: float, bias_variance: float) -> None:
    """Against sums over a fine grid in NumPy."""
    z = np.linspace(-10, 10, 100_001)
    weight = np.exp(-(z**2) / 2)
    weight /= weight.sum()
    found = diagnostics.phase(weight_variance, bias_variance)
    u = np.tanh(math.sqrt(found.q) * z)
    assert found.q == pytest.approx(weight_variance * (weight * u**2).sum() + bias_variance, rel=1e-9)
    assert found.chi == pytest.approx(weight_variance * (weight * (1 - u**2) ** 2).sum(), rel=1e-8)
    assert found.depth == pytest.approx(1 / abs(math.log(found.chi)))
    assert found.name == ("ordered" if found.chi < 1 else "chaotic")


def test_row_121_other_activations() -> None:
    """ReLU: χ₁ = σ_w²/2 and any q; erf, whose slope at 0 is 2/√π, is critical at π/4; linear: χ₁ = σ_w²."""
    assert diagnostics.critical_weight_variance(0.0, tg.relu) == pytest.approx(2.0, rel=1e-12)
    assert diagnostics.critical_weight_variance(0.0, tg.erf) == pytest.approx(math.pi / 4, rel=1e-9)
    assert diagnostics.phase(1.0, 0.1, tg.relu)[:3] == ("ordered", pytest.approx(0.2), pytest.approx(0.5))
    assert diagnostics.phase(3.0, 0.1, tg.relu)[:3] == ("chaotic", math.inf, pytest.approx(1.5))
    assert diagnostics.phase(0.25, 0.3, lambda x: 1.0 * x)[:3] == ("ordered", pytest.approx(0.4), pytest.approx(0.25))
    with pytest.raises(ValueError, match=r"no σ_w² is critical at a bias variance of 0\.1"):
        diagnostics.critical_weight_variance(0.1, tg.relu)
    with pytest.raises(ValueError, match=r"\[phase\] weight_variance is -1, expected a variance"):
        diagnostics.phase(-1)
    with pytest.raises(ValueError, match="bias_variance is nan"):
        diagnostics.critical_weight_variance(math.nan)


@pytest.mark.parametrize("weight_variance", [0.8, 1.761, 3.0])
def test_row_121_random_networks_are_in_the_phase_that_is_foretold(weight_variance: float) -> None:
    depth, width, bias_variance = 25, 250, 0.05
    told = diagnostics.phase(weight_variance, bias_variance)
    net = deep(depth, width, nn.Tanh, weight_variance, bias_variance)
    x = math.sqrt(told.q) * tg.randn(40, width)
    variances: list[float] = []
    for layer in net:
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda m, args, z: variances.append(float(z.detach().square().mean())))
    lengths = gradients(net, x)
    assert np.mean(variances[10:]) == pytest.approx(told.q, rel=0.1)
    per_layer = (lengths[5] / lengths[20]) ** (2 / 15)
    assert per_layer == pytest.approx(told.chi, rel=0.1)


# ---- one neuron per layer


@pytest.mark.parametrize(("w", "ratio"), [(1.0, 9.54e-7), (4.0, 1.0), (8.0, 1024.0)])
def test_row_122_chain_of_ten_neurons(w: float, ratio: float) -> None:
    """Δ¹ = Δᴸ (w σ′₀)ᴸ: each pre-activation is 0, where σ′ = ¼."""
    start = tg.zeros((), dtype=tg.float64).requires_grad_()
    z = start
    for _ in range(10):
        z = w * tg.sigmoid(z) - w / 2
        assert z.item() == 0.0
    z.backward()
    assert start.grad.item() == (w / 4) ** 10
    assert start.grad.item() == pytest.approx(ratio, rel=1e-3)


# ---- deep networks


def test_row_123_gradients_vanish_through_sigmoids_and_not_through_relu(record: dict[str, str]) -> None:
    x = tg.randn(64, 50)
    sigmoid = gradients(deep(20, 50, nn.Sigmoid, 1.0, 0.0), x)
    relu = gradients(deep(20, 50, nn.ReLU, 2.0, 0.0), x)
    for one, next_one in itertools.pairwise(sigmoid[:-1]):
        assert one < next_one / 2, "σ′ is at most ¼, so each layer back loses a factor"
    assert sigmoid[0] / sigmoid[-1] < 1e-9
    assert 0.05 < relu[0] / relu[-1] < 20
    record["row 123, gradient of first over last of 20 layers"] = (
        f"sigmoid {sigmoid[0] / sigmoid[-1]:.1e}, ReLU {relu[0] / relu[-1]:.2f}"
    )


def test_row_124_gradients_explode_with_large_weights() -> None:
    """Weights twice as large, σ_w² = 8 in place of 2, give 2¹⁹ times the gradient in the first of 20 ReLU layers. Clipping
    takes the length away and leaves the direction."""
    x, net = tg.randn(64, 50), deep(20, 50, nn.ReLU, 2.0, 0.0)
    lengths = []
    for _ in range(2):
        tg.manual_seed(2)
        net.zero_grad()
        lengths.append(gradients(net, x))
        with tg.no_grad():
            for p in net.parameters():
                p.mul_(2)
    assert lengths[1][0] == 2**19 * lengths[0][0]
    assert diagnostics.phase(8.0, 0.0, tg.relu).chi == pytest.approx(4.0)
    before = [p.grad.clone() for p in net.parameters()]
    length = float(nn.utils.clip_grad_norm_(net.parameters(), 1.0))
    assert length > 1e5
    after = [p.grad for p in net.parameters()]
    assert float(nn.utils.get_total_norm(after)) == pytest.approx(1.0, rel=1e-5)
    for g, clipped in zip(before, after, strict=True):
        np.testing.assert_allclose(clipped.numpy(), g.numpy() / length, rtol=1e-5)
