"""Outputs of layers, gradients by them, histograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import histogram, record


def test_histogram_counts_as_numpy_does() -> None:
    tg.manual_seed(0)
    x = tg.randn(40, 25)
    found = histogram(x, 30)
    counts, edges = np.histogram(x.double().numpy(), 30)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.edges, edges)
    assert found.mean == pytest.approx(x.double().numpy().mean(), rel=1e-12)
    assert found.deviation == pytest.approx(x.double().numpy().std(), rel=1e-12)
    assert found.outside == 0


def test_histogram_of_what_is_not_finite_or_not_in_range() -> None:
    found = histogram(tg.tensor([math.nan, math.inf, 0.5, 2.0]), 2, (0.0, 1.0))
    assert (found.counts.tolist(), found.outside) == ([0, 1], 3)
    assert math.isnan(found.mean)
    assert math.isnan(found.deviation)
    for values in (tg.tensor([math.nan]), tg.zeros(0)):
        empty = histogram(values, 3)
        assert (empty.counts.tolist(), empty.edges[0], empty.edges[-1]) == ([0, 0, 0], 0.0, 1.0)
    one = histogram(tg.full((4,), 2.0), 3)
    assert one.counts.sum() == 4
    assert one.deviation == 0
    with pytest.raises(ValueError, match=r"\[histogram\] bins is 0"):
        histogram(tg.ones(1), 0)
    with pytest.raises(ValueError, match="the lower one first"):
        histogram(tg.ones(1), range=(1.0, 1.0))


def net() -> Any:
    tg.manual_seed(1)
    return nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Dropout(), nn.Sequential(nn.Linear(4, 2), nn.Tanh())
    )


def test_outputs_and_gradients_are_those_of_the_chain_rule() -> None:
    """By hand in NumPy: y = tanh(W₂ relu(W₁x + b₁) + b₂), L = Σ y²/2."""
    model, x = net(), tg.randn(6, 3)
    w1, b1, w2, b2 = (p.detach().numpy() for p in model.parameters())
    z1 = x.numpy() @ w1.T + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ w2.T + b2
    y = np.tanh(z2)
    d2 = y * (1 - y**2)
    d1 = d2 @ w2
    seen = record(model, x, loss=lambda out: 0.5 * (out * out).sum())
    assert [(layer.name, layer.layer) for layer in seen] == [
        *(("0", "Linear"), ("1", "ReLU"), ("2", "Dropout"), ("3.0", "Linear"), ("3.1", "Tanh"))
    ]
    for layer, output, gradient in zip(seen, (z1, a1, a1, z2, y), (d1 * (z1 > 0), d1, d1, d2, y), strict=True):
        np.testing.assert_allclose(layer.output.numpy(), output, rtol=1e-5, atol=1e-6)
        assert layer.gradient is not None
        np.testing.assert_allclose(layer.gradient.numpy(), gradient, rtol=1e-5, atol=1e-6)
    alone = record(model, x)
    assert all(tg.equal(a.output, b.output) for a, b in zip(alone, seen, strict=True))
    assert [layer.gradient for layer in alone] == [None] * 5
    assert [layer.name for layer in record(model, x, only=(nn.Sequential,))] == ["3", ""]


def test_each_call_of_a_layer_has_a_name() -> None:
    """One that stands in several places, too, and so its place in pictures and over a training."""
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 1))
    x = tg.ones(5, 3)
    seen = record(model, x)
    assert [layer.name for layer in seen] == ["0", "1", "2", "1 (2)", "4"]
    np.testing.assert_array_equal(seen[3].output.numpy(), seen[2].output.numpy().clip(0))
    watch = tg.train.HistogramMonitor(x)
    trainer = tg.Trainer(model, nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    trainer.fit(x, x[:, :1], epochs=2, batch_size=5, callbacks=[watch, tg.train.SaturationMonitor(x)])
    assert {name: len(found) for name, found in watch.activations.items()} == dict.fromkeys(
        ("0", "1", "2", "1 (2)", "4"), 2
    )
    assert "saturated/1 (2)" in trainer.history


def test_network_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.PReLU())
    model[1].eval()
    state = {name: t.tolist() for name, t in model.state_dict().items()}
    draws = tg.get_rng_state().tolist()
    with tg.no_grad():
        record(model, tg.randn(5, 3, generator=tg.Generator()), loss=lambda y: y.sum())
    assert {name: t.tolist() for name, t in model.state_dict().items()} == state
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._hooks.get("forward") for m in model.modules())
    assert tg.get_rng_state().tolist() == draws


def test_a_frozen_network_still_has_gradients_by_its_layers() -> None:
    model = net().requires_grad_(False)
    seen = record(model, tg.ones(2, 3), loss=lambda y: y.sum())
    assert seen[-1].gradient is not None
    assert seen[-1].gradient.tolist() == [[1.0, 1.0]] * 2
    assert seen[0].gradient is not None


def test_bad_input() -> None:
    model = net()
    with pytest.raises(ValueError, match="called no layer that gives out a tensor of floats, expected GELU in it"):
        record(model, tg.ones(2, 3), only=(nn.GELU,))
    with pytest.raises(RuntimeError):
        record(model, tg.ones(2, 5))
    assert not any(m._hooks.get("forward") for m in model.modules())
    assert model.training
    with pytest.raises(TypeError, match=r"model is a function, expected a module"):
        record(lambda x: x, tg.ones(2))  # type: ignore[arg-type]
