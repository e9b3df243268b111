"""The lectures' activations, values and derivatives: rows 24 to 38 of the catalogue.

The truth is mpmath with 30 digits; its derivatives are numerical, of the function itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import trigrad as tg
from trigrad import nn
from trigrad.nn import functional as F
from values import FLOATS, real

GRID = (-30.0, -5.0, -1.5, -0.25, 0.125, 0.75, 2.0, 6.0, 25.0)
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


@pytest.fixture(autouse=True)
def _same_weights_each_time() -> None:
    tg.manual_seed(1)


def exact(function: Callable[[Any], Any], x: Any, derivative: int = 0) -> Any:
    with mpmath.workdps(30):
        return [float(mpmath.diff(function, v, derivative) if derivative else function(mpmath.mpf(v))) for v in x]


def slopes(function: Callable[[Any], Any], x: Any) -> Any:
    """Value and derivative, by the tape."""
    x = x.detach().requires_grad_()
    y = function(x)
    y.sum().backward()
    return y.detach(), x.grad


def compare(function: Callable[[Any], Any], truth: Callable[[Any], Any], dtype: str, grid: Any = GRID) -> None:
    value, slope = slopes(function, tg.tensor(grid, dtype=dtype))
    assert str(value.dtype) == f"trigrad.{dtype}"
    near = TOLERANCE[dtype]
    np.testing.assert_allclose(value.numpy(), exact(truth, grid), rtol=near, atol=1e-30)
    # derivatives such as y (1 − y) keep only the digits that y leaves below 1
    np.testing.assert_allclose(slope.numpy(), exact(truth, grid, 1), rtol=near, atol=np.finfo(dtype).eps / 2)


def at(function: Callable[[Any], Any], x: float, dtype: str = "float64") -> tuple[float, float]:
    value, slope = slopes(function, tg.tensor(x, dtype=dtype))
    return float(value), float(slope)


def logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_024_sigmoid(dtype: str) -> None:
    compare(nn.Sigmoid(), logistic, dtype)
    assert at(tg.sigmoid, 0.0, dtype) == (0.5, 0.25)
    assert at(tg.sigmoid, 10.0, dtype)[1] == pytest.approx(4.54e-5, rel=1e-3)
    for x, limit in ((1e4, 1.0), (-1e4, 0.0)):
        assert at(tg.sigmoid, x, dtype) == (limit, 0.0)
        assert at(nn.LogSigmoid(), x, dtype) == (min(x, 0.0), 1 - limit)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_024_second_derivative_of_the_sigmoid(dtype: str) -> None:
    """σ″ = σ (1 − σ)(1 − 2σ), which is 0 at 0."""
    x = tg.tensor([0.0, 1.0, -2.0], dtype=dtype).requires_grad_()
    (first,) = tg.autograd.grad(tg.sigmoid(x).sum(), x, create_graph=True)
    (second,) = tg.autograd.grad(first.sum(), x)
    assert second[0].item() == 0
    s = 1 / (1 + np.exp(-x.detach().numpy().astype("float64")))
    np.testing.assert_allclose(second.numpy(), s * (1 - s) * (1 - 2 * s), rtol=TOLERANCE[dtype], atol=1e-30)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_025_tanh(dtype: str) -> None:
    compare(nn.Tanh(), mpmath.tanh, dtype)
    assert at(tg.tanh, 3.0, dtype)[1] == pytest.approx(0.009866, rel=1e-4)
    assert at(tg.tanh, 0.0, dtype) == (0.0, 1.0)
    assert [at(tg.tanh, x, dtype) for x in (1e4, -1e4)] == [(1.0, 0.0), (-1.0, 0.0)]


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_026_relu(dtype: str) -> None:
    compare(nn.ReLU(), lambda x: max(x, 0), dtype)
    assert at(nn.ReLU(), 0.0, dtype) == (0.0, 0.0)
    assert at(F.relu, 1e30, dtype)[1] == 1.0


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("slope", [0.01, 0.25])
def test_row_027_leaky_relu(slope: float, dtype: str) -> None:
    a = float(np.array(slope, dtype))
    compare(nn.LeakyReLU(slope), lambda x: x if x > 0 else a * x, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_028_prelu_learns_its_slope(dtype: str) -> None:
    unit = nn.PReLU(dtype=dtype)
    compare(unit, lambda x: x if x > 0 else x / 4, dtype)
    unit.zero_grad()
    x = tg.tensor([-3.0, -1.0, 2.0], dtype=dtype)
    unit(x).sum().backward()
    assert unit.weight.grad.tolist() == [-4.0]  # the sum of the negative inputs
    optimizer = tg.optim.SGD(unit.parameters(), lr=0.05)
    for _ in range(50):
        optimizer.zero_grad()
        F.mse_loss(unit(x), tg.where(x > 0, x, 0.6 * x)).backward()
        optimizer.step()
    assert unit.weight.item() == pytest.approx(0.6, abs=1e-3)


def test_row_028_prelu_with_a_slope_per_channel() -> None:
    unit = nn.PReLU(3)
    unit.weight.data.copy_(tg.tensor([0.0, 0.5, 1.0]))
    assert unit(tg.tensor([[-2.0, -2.0, -2.0], [1.0, 1.0, 1.0]])).tolist() == [[0.0, -1.0, -2.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("a", [-0.5, 0.0, 0.25, 1.0])
def test_row_029_maxout_of_x_and_ax_is_the_leaky_relu(a: float) -> None:
    """max(x, a x) for a ≤ 1, by a Maxout with two pieces."""
    unit = nn.Maxout(1, 1, pieces=2, dtype=tg.float64)
    unit.affine.weight.data.copy_(tg.tensor([[1.0], [a]]))
    unit.affine.bias.data.zero_()
    x = tg.tensor(GRID, dtype=tg.float64).reshape(-1, 1)
    mine, slope = slopes(unit, x)
    other, expected = slopes(nn.LeakyReLU(a), x)
    assert mine.tolist() == other.tolist()
    assert slope.tolist() == expected.tolist() == ([[1.0]] * 9 if a == 1 else [[a]] * 4 + [[1.0]] * 5)
    assert mine.tolist() == tg.maximum(x, a * x).tolist()
    if a < 0:
        return  # below 0 a prelu may bend back: max(x, a x) is it all the same
    prelu = nn.PReLU(init=a, dtype=tg.float64)
    assert prelu(x).tolist() == mine.tolist()


def test_row_029_maxout_learns_a_convex_function() -> None:
    unit = nn.Maxout(1, 1, pieces=5)
    x = tg.linspace(-1, 1, 64).reshape(-1, 1)
    optimizer = tg.optim.Adam(unit.parameters(), lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        F.mse_loss(unit(x), x * x).backward()
        optimizer.step()
    assert float((unit(x) - x * x).abs().max()) < 0.1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_row_030_elu(alpha: float, dtype: str) -> None:
    compare(nn.ELU(alpha), lambda x: x if x > 0 else alpha * mpmath.expm1(x), dtype)
    assert at(nn.ELU(alpha), -1e4, dtype) == (-alpha, 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_031_softplus(dtype: str) -> None:
    compare(nn.Softplus(threshold=math.inf), lambda x: mpmath.log1p(mpmath.exp(x)), dtype)
    assert at(F.softplus, 0.0, dtype) == pytest.approx((math.log(2), 0.5), rel=1e-6)
    assert at(F.softplus, 1000.0, dtype) == (1000.0, 1.0)
    assert at(F.softplus, -1e4, dtype) == (0.0, 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_032_linear(dtype: str) -> None:
    compare(nn.Lambda(lambda x: 0.5 + 3 * x), lambda x: 0.5 + 3 * x, dtype)
    layer = nn.Linear(1, 1, dtype=dtype)
    assert layer.bias is not None
    layer.weight.data.fill_(3.0)
    layer.bias.data.fill_(0.5)
    assert layer(tg.tensor([[2.0]], dtype=dtype)).tolist() == [[6.5]]
    assert at(nn.Identity(), 1.25, dtype) == (1.25, 1.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_033_softmax(dtype: str) -> None:
    x = tg.tensor([1.0, 2.0, 3.0], dtype=dtype)
    p = nn.Softmax(dim=0)(x)
    np.testing.assert_allclose(p.numpy(), [0.09003, 0.24473, 0.66524], atol=5e-6)
    assert float(p.sum()) == pytest.approx(1, rel=TOLERANCE[dtype])
    for shift in (-1000.0, 64.0, 1e4):
        assert nn.Softmax(dim=0)(x + shift).tolist() == p.tolist()
    jacobian = tg.autograd.functional.jacobian(lambda z: tg.softmax(z, 0), x)
    q = p.numpy().astype("float64")
    np.testing.assert_allclose(jacobian.numpy(), np.diag(q) - np.outer(q, q), rtol=10 * TOLERANCE[dtype])
    assert tg.softmax(tg.tensor([1e4, -1e4], dtype=dtype), 0).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_034_log_softmax(dtype: str) -> None:
    x = tg.tensor([[1.0, 2.0, 3.0], [0.0, 1e4, -1e4]], dtype=dtype)
    made = nn.LogSoftmax(dim=1)(x)
    expected = [[v - 3.4076059644443806 for v in (1.0, 2.0, 3.0)], [-1e4, 0.0, -2e4]]
    np.testing.assert_allclose(made.numpy(), expected, rtol=TOLERANCE[dtype])
    _, slope = slopes(lambda z: nn.LogSoftmax(dim=1)(z)[:, 2], x)
    p = np.exp(expected)
    np.testing.assert_allclose(slope.numpy(), [[0, 0, 1], [0, 0, 1]] - p, rtol=5 * TOLERANCE[dtype], atol=1e-30)


def test_row_035_step_cannot_be_trained_through() -> None:
    x = tg.tensor([-1.0, 0.0, 0.5])
    step = nn.Step()
    assert step(x).tolist() == [0.0, 1.0, 1.0]
    net = nn.Sequential(nn.Linear(3, 2), step, nn.Linear(2, 1))
    with tg.no_grad():
        net(x)
    with pytest.raises(RuntimeError, match=r"^\[Step\] cannot be trained through.* derivative is 0"):
        net(x).sum().backward()
    assert net[0].weight.grad is None


class Bent(nn.Module):
    """x² where it is positive, sin x elsewhere: written by a user in ops."""

    def forward(self, x: Any) -> Any:
        return tg.where(x > 0, x * x, tg.sin(x))


class BentByHand(tg.autograd.Function):
    """The same with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return tg.where(x > 0, x * x, tg.sin(x))

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad * tg.where(x > 0, 2 * x, tg.cos(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_036_square(dtype: str) -> None:
    compare(nn.Square(), lambda x: x * x, dtype)


@pytest.mark.parametrize("form", ["module", "function", "Function", "Lambda"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_row_036_any_activation_that_a_user_writes(form: str, dtype: str) -> None:
    module = Bent()
    written: dict[str, Any] = {
        "module": module,
        "function": lambda x: module.forward(x),
        "Function": BentByHand.apply,
        "Lambda": nn.Lambda(BentByHand.apply),
    }
    compare(written[form], lambda x: x * x if x > 0 else mpmath.sin(x), dtype)
    x = tg.tensor(GRID, dtype=tg.float64).requires_grad_()
    assert tg.autograd.gradcheck(written[form], x)


# ---- what activations do to a network


def test_row_037_saturation_of_the_sigmoid_where_it_is_known() -> None:
    """σ′ < 10⁻³ where |z| > 6.9058: the root of σ (1 − σ) = 10⁻³."""
    border = math.log((1 + math.sqrt(1 - 4e-3)) / (1 - math.sqrt(1 - 4e-3)))
    assert border == pytest.approx(6.9058, abs=1e-4)
    z = tg.linspace(-10, 10, 2001, dtype=tg.float64).reshape(-1, 1)
    (layer,) = tg.diagnostics.saturation(tg.sigmoid, z).layers
    assert layer.saturated == float((z.abs() > border).double().mean())
    assert layer.saturated == pytest.approx(1 - border / 10, abs=1e-3)


def test_row_037_large_weights_saturate_and_relu_does_not() -> None:
    """The share of saturated units rises with the size of the weights; a ReLU is off or passes everything."""
    x = tg.tensor(real((64, 20), "lectures.saturation", "float32"))
    found = []
    for std in (0.1, 1.0, 10.0):
        net = nn.Sequential(nn.Linear(20, 50), nn.Sigmoid(), nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 50), nn.ReLU())
        for parameter in net.parameters():
            nn.init.normal_(parameter, 0, std)
        report = tg.diagnostics.saturation(net, x)
        assert [layer.name for layer in report.layers] == ["1", "3", "5"]
        found.append(report.layers)
        z = net[0](x).detach().numpy().astype("float64")
        s = 1 / (1 + np.exp(-z))
        assert report.layers[0].saturated == pytest.approx((s * (1 - s) < 1e-3).mean(), abs=1e-3)
        assert report.layers[2].saturated == report.layers[2].zeros
    for k in (0, 1):
        shares = [layers[k].saturated for layers in found]
        assert all(less < more for less, more in itertools.pairwise(shares))
        assert shares[0] == 0
        assert shares[2] > 0.5


def test_row_038_relu_makes_outputs_sparse() -> None:
    """Symmetric weights without bias switch off a half of the units, a bias of −1 more; a sigmoid none."""
    x = tg.tensor(real((200, 20), "lectures.sparsity", "float32"))
    shares = []
    for bias in (0.0, -1.0):
        layer = nn.Linear(20, 100)
        assert layer.bias is not None
        layer.bias.data.fill_(bias)
        (found,) = tg.diagnostics.saturation(nn.Sequential(layer, nn.ReLU()), x).layers
        assert found.zeros == float((tg.relu(layer(x)) == 0).double().mean())
        shares.append(found.zeros)
        (smooth,) = tg.diagnostics.saturation(nn.Sequential(layer, nn.Sigmoid()), x).layers
        assert smooth.zeros == 0
    assert shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[1] > 0.75
