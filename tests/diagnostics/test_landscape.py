"""Slices through the loss, walks along its gradient and the gradient's way back through the layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import diagnostics, nn
from values import real

F = nn.functional


class Setting:
    """A network with buffers and random numbers, events, and what may not change."""

    def __init__(self) -> None:
        tg.manual_seed(3)
        self.net: Any = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 2))
        self.x, self.y = tg.randn(16, 3), tg.randint(0, 2, (16,))
        self.calls = 0
        F.cross_entropy(self.net(self.x), self.y).backward()
        self.before = self.now()

    def loss(self) -> Any:
        self.calls += 1
        return F.cross_entropy(self.net(self.x), self.y)

    def now(self) -> list[bytes]:
        held = [*self.net.state_dict().values(), *(p.grad for p in self.net.parameters()), tg.get_rng_state()]
        return [t.detach().numpy().tobytes() for t in held]

    def vector(self) -> Any:
        return nn.utils.parameters_to_vector(self.net.parameters()).detach()


MAKE: dict[str, Any] = {
    "loss_surface": lambda net, loss: diagnostics.loss_surface(net, loss, points=3),
    "loss_line": lambda net, loss: diagnostics.loss_line(
        net, loss, tg.zeros(sum(p.numel() for p in net.parameters())), points=3
    ),
    "gradient_walk": lambda net, loss: diagnostics.gradient_walk(net, loss, [0.1, 1.0]),
    "gradient_flow": diagnostics.gradient_flow,
    "curvature": lambda net, loss: diagnostics.curvature(net, loss, iterations=3),
    "random_direction": lambda net, loss: diagnostics.random_direction(net),
}


@pytest.mark.parametrize("name", MAKE)
def test_model_buffers_gradients_and_random_numbers_stay_bit_for_bit(name: str) -> None:
    s = Setting()
    first = MAKE[name](s.net, s.loss)
    assert s.now() == s.before
    with tg.no_grad():
        assert str(MAKE[name](s.net, s.loss)) == str(first), "with dropout on: the same masks each time"
    assert s.now() == s.before


@pytest.mark.parametrize("last", [1, 2, 3])
@pytest.mark.parametrize("name", ["loss_surface", "loss_line", "gradient_walk"])
def test_also_when_the_loss_fails_on_the_way(name: str, last: int) -> None:
    s = Setting()

    def fails() -> Any:
        value = s.loss()
        if s.calls == last:
            raise KeyError("no more events")
        return value

    with pytest.raises(KeyError, match="no more events"):
        MAKE[name](s.net, fails)
    assert s.now() == s.before


def test_directions_are_as_long_as_the_weights_of_each_unit() -> None:
    tg.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3, bias=False))
    with tg.no_grad():
        net[0].weight[2] = 0.0
    weights = [p.detach().numpy() for p in net.parameters()]
    d = diagnostics.random_direction(net, seed=4)
    pieces = np.split(d.numpy(), np.cumsum([w.size for w in weights])[:-1])
    for w, piece in zip(weights, pieces, strict=True):
        moved = piece.reshape(w.shape)
        if w.ndim == 1:
            assert not moved.any()
        else:
            np.testing.assert_allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(w, axis=1), rtol=1e-5)
    assert tg.equal(diagnostics.random_direction(net, seed=4), d)
    assert not tg.equal(diagnostics.random_direction(net, seed=5), d)
    free = diagnostics.random_direction(net, per_filter=False).numpy()
    assert free.shape == d.shape
    assert abs(free.mean()) < 4 / math.sqrt(free.size)
    assert free.std() == pytest.approx(1, abs=4 / math.sqrt(2 * free.size))


def test_scaling_a_relu_network_does_not_change_its_filter_normalised_surface() -> None:
    """Weights 10 times larger before a ReLU and 10 times smaller after it are the same network: so are the slices, which
    without the normalisation are not."""
    tg.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 8, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False)).double()
    x, y = tg.randn(30, 3, dtype=tg.float64), tg.randint(0, 2, (30,))
    surfaces, free = [], []
    for scale in (1.0, 10.0):
        with tg.no_grad():
            net[0].weight.mul_(scale)
            net[2].weight.div_(scale)
        surfaces.append(diagnostics.loss_surface(net, lambda: F.cross_entropy(net(x), y), points=5).loss.numpy())
        raw = [diagnostics.random_direction(net, seed=k, per_filter=False) for k in (1, 2)]
        free.append(
            diagnostics.loss_surface(net, lambda: F.cross_entropy(net(x), y), (raw[0], raw[1]), points=5).loss.numpy()
        )
    np.testing.assert_allclose(surfaces[0], surfaces[1], rtol=1e-10)
    assert np.abs(free[0] - free[1]).max() > 0.1


def test_surface_of_a_quadratic_along_given_directions() -> None:
    h = np.array([[3.0, 1.0, 0.0], [1.0, -2.0, 0.5], [0.0, 0.5, 1.0]])
    at = np.array([0.5, -1.0, 2.0])
    d1, d2 = real((2, 3), "diagnostics.directions", "float64")
    w, matrix = tg.tensor(at).requires_grad_(), tg.tensor(h)
    found = diagnostics.loss_surface(
        w, lambda: 0.5 * w @ matrix @ w, (tg.tensor(d1), tg.tensor(d2)), span=2.0, points=9
    )
    steps = np.linspace(-2, 2, 9)
    there = at + steps[:, None, None] * d1 + steps[None, :, None] * d2  # (9, 9, 3)
    np.testing.assert_allclose(found.loss.numpy(), 0.5 * np.einsum("abi,ij,abj->ab", there, h, there), rtol=1e-12)
    np.testing.assert_allclose(found.a.numpy(), steps, atol=1e-15)
    np.testing.assert_allclose(found.b.numpy(), steps, atol=1e-15)
    assert found.loss[4, 4].item() == (0.5 * w @ matrix @ w).item(), "the centre is the model itself, bit for bit"


def test_line_between_two_sets_of_parameters_ends_exactly_there() -> None:
    s = Setting()
    s.net.eval()
    start, end = s.vector(), tg.tensor(real(s.vector().numel(), "diagnostics.end", "float32"))
    line = diagnostics.loss_line(s.net, s.loss, end, points=5, reach=(0.0, 1.0))
    back = diagnostics.loss_line(s.net, s.loss, start, end, points=5)
    nn.utils.vector_to_parameters(end, s.net.parameters())
    assert line.loss[-1].item() == back.loss[0].item() == s.loss().item()
    nn.utils.vector_to_parameters(start, s.net.parameters())
    assert line.loss[0].item() == back.loss[-1].item() == s.loss().item()
    np.testing.assert_allclose(line.loss.numpy(), back.loss.numpy()[::-1], rtol=1e-5)
    beyond = diagnostics.loss_line(s.net, s.loss, end, points=7, reach=(-1.0, 2.0))
    assert [round(t, 12) for t in beyond.t.tolist()] == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert beyond.loss[2].item() == line.loss[0].item()
    assert beyond.loss[4].item() == line.loss[-1].item()


def test_walk_on_a_quadratic() -> None:
    """∇L = Hw, so at w − ηHw the gradient has changed by −ηH²w."""
    h, at = np.diag([4.0, 1.0]), np.array([1.0, 2.0])
    w, matrix = tg.tensor(at).requires_grad_(), tg.tensor(h)
    steps = [0.1, 0.3, 0.7]
    walk = diagnostics.gradient_walk(w, lambda: 0.5 * w @ matrix @ w, steps)
    g = h @ at
    there = [at - eta * g for eta in steps]
    np.testing.assert_allclose(walk.losses, [0.5 * p @ h @ p for p in there], rtol=1e-14)
    np.testing.assert_allclose(walk.changes, [eta * np.linalg.norm(h @ g) for eta in steps], rtol=1e-14)
    assert walk.start == 0.5 * at @ h @ at
    assert walk.slope == pytest.approx(np.linalg.norm(g))
    assert walk.loss_range == max(walk.losses) - min(walk.losses)
    assert walk.predictiveness == max(walk.changes)
    assert walk.smoothness == pytest.approx(np.linalg.norm(h @ g) / np.linalg.norm(g))
    assert walk.smoothness <= diagnostics.sharpness(w, lambda: 0.5 * w @ matrix @ w) * (1 + 1e-9)
    with tg.no_grad():
        w.zero_()
    assert diagnostics.gradient_walk(w, lambda: (w * w).sum(), [1.0]).smoothness == 0.0


def test_a_step_that_leads_out_of_the_domain_is_seen() -> None:
    """The logarithm's argument is negative at the second of three steps, so it is NaN there."""
    w = tg.ones(1, dtype=tg.float64, requires_grad=True)
    walk = diagnostics.gradient_walk(w, lambda: (w.log() + w).sum(), [0.1, 0.6, 0.4])
    assert [math.isnan(x) for x in walk.losses] == [False, True, False]
    assert math.isnan(walk.loss_range)
    finite = diagnostics.gradient_walk(w, lambda: (w.log() + w).sum(), [0.1, 0.4])
    assert finite.loss_range == finite.losses[0] - finite.losses[1] > 0


def test_flow_is_that_of_backward() -> None:
    tg.manual_seed(2)
    net = nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.Tanh(), nn.Linear(5, 5)), nn.Linear(5, 1))
    for p in net[2].parameters():
        p.requires_grad_(False)
    x = tg.randn(8, 3)
    flow = diagnostics.gradient_flow(net, lambda: net(x).square().mean())
    net(x).square().mean().backward()
    assert [(layer.name, layer.layer) for layer in flow.layers] == [("0", "Linear"), ("1.1", "Linear")]
    for found, layer in zip(flow.layers, (net[0], net[1][1]), strict=True):
        g = np.concatenate([p.grad.numpy().ravel() for p in layer.parameters()])
        w = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
        assert found.gradient == pytest.approx(np.linalg.norm(g), rel=1e-6)
        assert found.weights == pytest.approx(np.linalg.norm(w), rel=1e-6)
        assert found.relative == pytest.approx(np.linalg.norm(g) / np.linalg.norm(w), rel=1e-6)
    assert flow.ratio == flow.layers[0].gradient / flow.layers[1].gradient
    assert str(flow).splitlines()[0].split() == ["layer", "class", "|gradient|", "|weights|", "relative"]


def test_flow_where_nothing_arrives() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, bias=False))
    nn.init.zeros_(net[2].weight)
    nn.init.zeros_(net[0].weight)
    nn.init.zeros_(net[0].bias)
    flow = diagnostics.gradient_flow(net, lambda: net(tg.ones(1, 1)).sum())
    assert [layer.relative for layer in flow.layers] == [0.0, 0.0]
    assert math.isnan(flow.ratio)


def test_bad_input() -> None:
    net = nn.Linear(2, 1)
    x = tg.ones(1, 2)

    def loss() -> Any:
        return net(x).sum()

    with pytest.raises(
        ValueError, match=r"\[loss_line\] end is \(2,\), expected a vector with a number for each of the 3"
    ):
        diagnostics.loss_line(net, loss, tg.ones(2))
    with pytest.raises(ValueError, match=r"\[loss_line\] start is list, expected a vector"):
        diagnostics.loss_line(net, loss, tg.ones(3), [1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[loss_surface\] a direction is \(2, 3\)"):
        diagnostics.loss_surface(net, loss, (tg.ones(2, 3), tg.ones(3)))
    with pytest.raises(ValueError, match=r"\[loss_surface\] got 1 points from -1\.0 to 1\.0, expected at least 2"):
        diagnostics.loss_surface(net, loss, points=1)
    with pytest.raises(ValueError, match=r"got 25 points from -0\.0 to 0\.0"):
        diagnostics.loss_surface(net, loss, span=0.0)
    for steps in ([], [0.0], [-1.0], [math.inf], [math.nan]):
        with pytest.raises(ValueError, match=r"\[gradient_walk\] steps are .*, expected positive multiples"):
            diagnostics.gradient_walk(net, loss, steps)
    with pytest.raises(TypeError, match=r"\[gradient_flow\] model is a list, expected a module"):
        diagnostics.gradient_flow(list(net.parameters()), loss)  # type: ignore[arg-type]
