"""The report of saturated units."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import trigrad as tg
from trigrad import nn
from trigrad.diagnostics import LayerSaturation, record, saturation


def test_shares_are_those_of_events_and_units() -> None:
    """Three units over two events: one always flat, one in one event, one never; zeros count outputs."""
    z = tg.tensor([[9.0, 9.0, 0.0], [-9.0, 1.0, 0.0]])
    (layer,) = saturation(nn.Sequential(nn.Tanh()), z).layers
    assert layer == LayerSaturation("0", "Tanh", 3, 3 / 6, 1 / 3, 2 / 6)
    (layer,) = saturation(nn.Tanh(), z, threshold=0.5).layers
    assert layer == LayerSaturation("", "Tanh", 3, 4 / 6, 2 / 3, 2 / 6)


def test_network_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.PReLU())
    net[1].eval()
    state = {name: t.tolist() for name, t in net.state_dict().items()}
    draws = tg.get_rng_state().tolist()
    x = tg.ones(5, 3)
    report = saturation(net, x)
    assert [layer.name for layer in report.layers] == ["2", "4"]
    assert report.layers[0].zeros == report.layers[0].saturated
    assert {name: t.tolist() for name, t in net.state_dict().items()} == state
    assert [m.training for m in net.modules()] == [True, True, False, True, True, True]
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._hooks.get("forward_pre") for m in net.modules())
    assert tg.get_rng_state().tolist() == draws
    with tg.no_grad():
        assert saturation(net, x) == report


def test_own_activations_are_named() -> None:
    class Cube(nn.Module):
        def forward(self, x: Any) -> Any:
            return x**3

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cube = Cube()

        def forward(self, a: Any, b: Any) -> Any:
            return self.cube(self.cube(a) + b)

    x = tg.tensor([[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"called no activation module; name your own"):
        saturation(Net(), x, x)
    first, second = saturation(Net(), x, x, also=(Cube,)).layers
    assert (first.name, first.activation, first.saturated, second.saturated) == ("cube", "Cube", 0.5, 0.5)
    assert second.name == "cube (2)"


def test_units_that_are_nan_pass_no_gradients_on() -> None:
    (layer,) = saturation(nn.Tanh(), tg.tensor([[math.nan, 0.0], [math.nan, math.nan]])).layers
    assert (layer.saturated, layer.stuck, layer.zeros) == (0.75, 0.5, 0.25)


def test_threads_see_their_own_calls_and_modes_come_back() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Tanh())
    inputs = [tg.ones(5, 2), 100 * tg.ones(5, 2)]
    wanted = [(saturation(model, x), [layer.output.tolist() for layer in record(model, x)]) for x in inputs]

    def look(k: int) -> bool:
        seen = (saturation(model, inputs[k]), [layer.output.tolist() for layer in record(model, inputs[k])])
        model(inputs[k])  # in another thread's sight
        return seen == wanted[k]

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(look, [0, 1] * 50))
    assert all(part.training for part in model.modules())


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        saturation(nn.ReLU(), tg.ones(2), threshold=0.0)
    with pytest.raises(ValueError, match="applied to each number by itself"):
        saturation(lambda z: z.sum(0), tg.ones(2, 3))
    net = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    with pytest.raises(RuntimeError):
        saturation(net, tg.ones(2, 3))
    assert net.training
    assert not net[0]._hooks.get("forward_pre")


def test_a_batch_without_events_and_a_single_number() -> None:
    with pytest.raises(ValueError, match=r"ReLU got \(0, 3\), expected one event at least"):
        saturation(nn.ReLU(), tg.ones(0, 3))
    assert saturation(nn.ReLU(), tg.tensor(-1.0)).layers == (LayerSaturation("", "ReLU", 1, 1.0, 1.0, 1.0),)
