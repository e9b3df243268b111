"""What single layers, activations and blocks promise; tests/parity has the comparison with PyTorch."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from pairs import assert_near, ours, same_weights, theirs
from trigrad import nn

torch = pytest.importorskip("torch")

rng = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape)


KINKS = np.array([[-7.0, -3.0, -1.2, -0.7], [-0.3, 0.2, 0.6, 1.1], [2.9, 3.3, 6.5, 25.0]])  # beside every kink


def pair(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Both modules in float64, with the numbers of torch's."""
    mine, other = getattr(nn, name)(*args, **kwargs).double(), getattr(torch.nn, name)(*args, **kwargs).double()
    same_weights(mine, other)
    return mine, other


INPLACE = ["ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "SiLU", "Mish", "Hardsigmoid", "Hardswish", "Hardtanh"]


@pytest.mark.parametrize("name", INPLACE)
def test_in_place_activations(name: str) -> None:
    mine, other = getattr(nn, name)(inplace=True), getattr(torch.nn, name)(inplace=True)
    assert repr(mine) == repr(other)
    x = ours(KINKS)
    assert mine(x) is x
    assert_near(x, other(theirs(KINKS)))


def test_softmax_without_dim_warns() -> None:
    with pytest.warns(UserWarning, match="Implicit dimension"):
        y = nn.Softmax()(ours(normal(2, 3, 4)))
    np.testing.assert_allclose(y.sum(0).numpy(), 1.0)


# ---- initial values


@pytest.mark.parametrize("name", ["Linear", "Bilinear", "Embedding"])
def test_initial_values_are_spread_as_torchs(name: str) -> None:
    args = {"Linear": (300, 200), "Bilinear": (50, 40, 60), "Embedding": (300, 100)}[name]
    mine, other = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for p, q in zip(mine.parameters(), other.parameters(), strict=True):
        mine_p, other_q = p.detach().double().numpy(), q.detach().double().numpy()
        error = 5 / math.sqrt(mine_p.size)
        if name != "Embedding":  # which is normal, without a bound
            assert abs(mine_p).max() == pytest.approx(abs(other_q).max(), rel=0.15)
        assert mine_p.std() == pytest.approx(other_q.std(), rel=error)
        assert abs(mine_p.mean()) < error * mine_p.std()


def test_initial_values_repeat_from_a_seed() -> None:
    tg.manual_seed(4)
    a = nn.Linear(3, 4)
    tg.manual_seed(4)
    b = nn.Linear(3, 4)
    assert tg.equal(a.weight, b.weight)
    before = a.weight.clone()
    a.reset_parameters()
    assert not tg.equal(a.weight, before)


def test_dtype_of_layers() -> None:
    for layer in (nn.Linear(2, 3, dtype=tg.float64), nn.BatchNorm1d(2, dtype=tg.float64), nn.PReLU(dtype=tg.float64)):
        assert {p.dtype for p in layer.parameters()} == {tg.float64}


# ---- batch norm


def test_batch_norm_over_steps() -> None:
    for momentum in (0.1, None):
        mine, other = pair("BatchNorm1d", (3,), {"momentum": momentum})
        for _ in range(4):
            x = normal(6, 3) * 3 + 1
            mine(ours(x)), other(theirs(x))
        for name, value in other.state_dict().items():
            assert_near(mine.state_dict()[name], value)
        x = normal(2, 3)
        assert_near(mine.eval()(ours(x)), other.eval()(theirs(x)))
        mine.reset_running_stats()
        assert mine.num_batches_tracked.item() == 0
        assert mine.running_var.tolist() == [1.0, 1.0, 1.0]


def test_batch_norm_bad_input() -> None:
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="2D or 3D"):
        norm(tg.zeros(3))
    with pytest.raises(ValueError, match="expected 3 channels"):
        norm(tg.zeros(2, 4))
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(tg.zeros(1, 3))
    assert norm.num_batches_tracked.item() == 0
    assert norm.eval()(tg.zeros(1, 3)).shape == (1, 3)


# ---- what leaves out


def test_dropout_in_training_and_evaluation() -> None:
    x = tg.ones(10000).requires_grad_()
    drop = nn.Dropout(0.25)
    y = drop(x)
    kept = y.detach().numpy() > 0
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.75, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert drop.eval()(x) is x
    z = tg.ones(5)
    assert nn.Dropout(1.0, inplace=True)(z) is z
    assert z.tolist() == [0.0] * 5
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            nn.Dropout(wrong)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    tg.manual_seed(1)
    y = nn.AlphaDropout(0.3)(tg.randn(200_000)).numpy()
    assert y.mean() == pytest.approx(0.0, abs=0.02)
    assert y.std() == pytest.approx(1.0, abs=0.02)
    assert nn.AlphaDropout(1.0)(tg.ones(3)).tolist() == [0.0] * 3


def test_drop_connect_drops_weights() -> None:
    tg.manual_seed(2)
    layer = nn.DropConnect(1, 20000, bias=False, p=0.3)
    x = tg.ones(1, 1)
    y = layer(x)
    ratio = y.detach().numpy()[0] / layer.weight.detach().numpy()[:, 0]
    np.testing.assert_allclose(ratio[ratio != 0], 1 / 0.7, rtol=1e-6)
    assert (ratio == 0).mean() == pytest.approx(0.3, abs=0.02)
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy()[:, 0], ratio, rtol=1e-5)
    assert tg.equal(layer.eval()(x), tg.nn.functional.linear(x, layer.weight))
    assert nn.DropConnect(1, 4, bias=False, p=1.0)(x).tolist() == [[0.0] * 4]
    with pytest.raises(ValueError, match="probability"):
        nn.DropConnect(1, 1, p=2.0)


def test_rrelu_draws_slopes() -> None:
    x = tg.full((1000,), -1.0)
    y = nn.RReLU(0.1, 0.3)(x).numpy()
    assert -0.3 <= y.min() < -0.28
    assert -0.12 < y.max() <= -0.1
    assert nn.RReLU(0.1, 0.3).eval()(x)[0].item() == pytest.approx(-0.2)


# ---- ours


def test_step_has_values_and_no_training() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Step(), nn.Linear(3, 1))
    y = net(tg.randn(4, 2))
    with pytest.raises(RuntimeError, match="cannot be trained through"):
        y.sum().backward()
    with tg.no_grad():
        assert net(tg.randn(4, 2)).shape == (4, 1)
    assert nn.Step()(tg.tensor([-1.0, -0.0, 0.0, 1.0])).tolist() == [0.0, 1.0, 1.0, 1.0]


def test_square() -> None:
    x = tg.tensor([3.0, -2.0]).requires_grad_()
    nn.Square()(x).sum().backward()
    assert nn.Square()(x).tolist() == [9.0, 4.0]
    assert x.grad.tolist() == [6.0, -4.0]


def test_maxout_is_the_greatest_piece() -> None:
    layer = nn.Maxout(4, 3, pieces=5).double()
    x = normal(6, 4)
    w, b = layer.affine.weight.detach().numpy(), layer.affine.bias.detach().numpy()
    np.testing.assert_allclose(layer(ours(x)).detach().numpy(), (x @ w.T + b).reshape(6, 3, 5).max(-1), rtol=1e-12)
    relu = nn.Maxout(1, 1, pieces=2)
    with tg.no_grad():
        relu.affine.weight.copy_(tg.tensor([[1.0], [0.0]]))
        relu.affine.bias.zero_()
    assert relu(tg.tensor([[-2.0], [3.0]])).tolist() == [[0.0], [3.0]]
    with pytest.raises(ValueError, match="pieces"):
        nn.Maxout(1, 1, 0)


def test_any_function_is_a_module() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Lambda(tg.sin), nn.Lambda(lambda x: x**2))
    net(tg.ones(1, 2)).sum().backward()
    assert net[0].weight.grad is not None
    with pytest.raises(TypeError, match="expected a function"):
        nn.Lambda(3)  # type: ignore[arg-type]


def test_blocks() -> None:
    x = tg.randn(5, 4)
    inner = nn.Linear(4, 4)
    assert tg.equal(nn.Residual(inner, nn.Tanh())(x), x + tg.tanh(inner(x)))
    wide, across = nn.Linear(4, 6), nn.Linear(4, 6)
    assert tg.equal(nn.Residual(wide, shortcut=across)(x), across(x) + wide(x))
    with pytest.raises(RuntimeError, match="shortcut"):
        nn.Residual(wide)(x)
    assert tg.equal(nn.DenseConcat(wide)(x), tg.cat([x, wide(x)], -1))
    road = nn.Highway(4, nn.Tanh())
    t = tg.sigmoid(road.gate(x))
    expected = t * tg.tanh(road.layer(x)) + (1 - t) * x
    np.testing.assert_allclose(road(x).detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert road.gate.bias.tolist() == [-2.0] * 4
    with tg.no_grad():
        road.gate.bias.fill_(-1e4)
        road.gate.weight.zero_()
    assert tg.equal(road(x), x)
    net = nn.Sequential(nn.Residual(nn.Linear(4, 4)), nn.DenseConcat(nn.Linear(4, 2)), nn.Highway(6))
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


# ---- the first machines


AND = (tg.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), tg.tensor([-1.0, -1.0, -1.0, 1.0]))


def test_perceptron_learns_and_but_not_xor() -> None:
    x, y = AND
    unit = nn.Perceptron(2)
    assert unit(tg.zeros(2)).item() == 1.0  # a tie gives +1
    assert unit.fit(x, y)
    assert tg.equal(unit(x), y)
    xor = tg.tensor([-1.0, 1.0, 1.0, -1.0])
    assert not unit.fit(x, xor, epochs=50)
    best = 0.0
    for _ in range(50):
        unit.learn(x, xor)
        best = max(best, (unit(x) == xor).float().mean().item())
    assert best <= 0.75
    with pytest.raises(ValueError, match="an answer of 1 or -1"):
        unit.learn(x, y[:2])


def test_hebbian_rule_is_exact() -> None:
    unit = nn.Hebbian(3)
    x, y = normal(5, 3), np.sign(normal(5))
    unit.double().learn(ours(x), ours(y), lr=0.1)
    np.testing.assert_allclose(unit.weight.numpy(), 0.1 * y @ x, rtol=1e-12)
    np.testing.assert_allclose(unit.bias.item(), 0.1 * y.sum(), rtol=1e-12)


def test_linear_svm_separates_with_margin() -> None:
    tg.manual_seed(0)
    side = np.repeat([1.0, -1.0], 20)
    x = np.stack([2.5 * side + 0.4 * rng.standard_normal(40), rng.standard_normal(40)], 1)
    svm, tx, ty = nn.LinearSVM(2).double(), ours(x), ours(side)
    for step in range(400):
        svm.zero_grad()
        svm.loss(tx, ty, c=10.0).backward()
        with tg.no_grad():
            for p in svm.parameters():
                p.sub_(p.grad * (0.02 / (1 + step)))
    assert tg.equal(svm.predict(tx), ty)
    assert ((svm(tx) * ty) >= 0.99).all()


# ---- embedding


def test_embedding_checks_and_padding() -> None:
    layer = nn.Embedding(4, 2, padding_idx=1)
    assert layer.weight[1].tolist() == [0.0, 0.0]
    layer(tg.tensor([1, 2, 1])).sum().backward()
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    with pytest.raises(NotImplementedError, match="max_norm"):
        nn.Embedding(4, 2, max_norm=1.0)
    with pytest.raises(ValueError, match="padding_idx"):
        nn.Embedding(4, 2, padding_idx=4)
    with pytest.raises(IndexError):
        layer(tg.tensor([4]))
    frozen = nn.Embedding.from_pretrained(tg.ones(3, 2))
    assert not frozen.weight.requires_grad
    assert repr(frozen) == "Embedding(3, 2)"


def test_bad_settings() -> None:
    for make in (
        lambda: nn.Linear(-1, 2),
        lambda: nn.Bilinear(0, 1, 1),
        lambda: nn.Hardtanh(1.0, -1.0),
        lambda: nn.Embedding.from_pretrained(tg.ones(3)),
    ):
        with pytest.raises(ValueError, match=r"\["):
            make()
    with pytest.raises(TypeError, match="Unflatten"):
        nn.Unflatten("a", (2, 2))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"12.*4|features"):
        nn.Linear(4, 2)(tg.zeros(3, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.Linear(0, 2)(tg.zeros(3, 0)).shape == (3, 2)
    assert math.isfinite(nn.Linear(0, 2).bias.sum().item())
