"""The lectures' models: rows 1 to 19 of the catalogue."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn, optim
from trigrad.nn import functional as F
from values import real, whole

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0.0, 1.0, 1.0, 0.0])


@pytest.fixture(autouse=True)
def _same_weights_each_time() -> None:
    tg.manual_seed(1)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def numbers(parameter: Any) -> Any:
    return parameter.detach().numpy()


def train(model: Any, loss: Callable[[], Any], optimizer: Any, steps: int) -> float:
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
    return float(loss())


def minimise(parameters: Any, loss: Callable[[], Any], steps: int = 200) -> float:
    """By LBFGS, as far as it goes."""
    optimizer = optim.LBFGS(
        parameters, max_iter=steps, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    return float(loss())


def mlp(*widths: int, activation: Callable[[], Any] = nn.Tanh, dtype: Any = None) -> Any:
    """Dense layers of these widths with an activation between them."""
    layers: list[Any] = []
    for n, m in itertools.pairwise(widths):
        layers += [nn.Linear(n, m, dtype=dtype), activation()]
    return nn.Sequential(*layers[:-1])


def circle(n: int = 200) -> tuple[Any, Any]:
    """Points in a disc, and in a ring around it: 0 and 1."""
    radius = np.concatenate(
        [real(n // 2, "lectures.inner", "float64", 0, 1), real(n // 2, "lectures.outer", "float64", 2, 3)]
    )
    angle = real(n, "lectures.angle", "float64", -math.pi, math.pi)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return tg.tensor(x), tg.tensor((radius > 1.5).astype("float64"))


def accuracy(scores: Any, y: Any) -> float:
    return float(((scores > 0).double() == y).double().mean())


def best_linear_accuracy(x: Any, y: Any) -> float:
    """Logistic regression, which has one minimum, on these features."""
    line = nn.Linear(x.shape[1], 1, dtype=tg.float64)
    minimise(line.parameters(), lambda: F.binary_cross_entropy_with_logits(line(x).squeeze(1), y), 50)
    return accuracy(line(x).squeeze(1), y)


# ---- the first learning machines


def test_row_001_perceptron_answers_plus_one_at_the_threshold() -> None:
    unit = nn.Perceptron(2)
    unit.weight.copy_(tg.tensor([1.0, 1.0]))
    unit.bias.fill_(-1.5)  # the threshold ω₀ is minus the bias
    assert unit(tg.tensor([[0.5, 1.0], [0.5, 0.999], [2.0, 2.0]])).tolist() == [1.0, -1.0, 1.0]


def test_row_001_perceptron_learns_and() -> None:
    x, y = tg.tensor(CORNERS, dtype=tg.float32), tg.tensor([-1.0, -1.0, -1.0, 1.0])
    unit = nn.Perceptron(2)
    assert unit.fit(x, y, epochs=20)
    assert unit(x).tolist() == y.tolist()


def test_row_001_perceptron_never_gets_more_than_three_quarters_of_xor() -> None:
    x, y = tg.tensor(CORNERS, dtype=tg.float32), tg.tensor(2 * XOR - 1, dtype=tg.float32)
    unit = nn.Perceptron(2)
    right = []
    for _ in range(50):
        assert unit.learn(x, y) > 0
        right.append(int((unit(x) == y).sum()))
    assert max(right) <= 3
    assert not unit.fit(x, y, epochs=10)


def test_row_002_hebbian_step_is_exact() -> None:
    unit = nn.Hebbian(3)
    unit.weight.copy_(tg.tensor([0.5, 0.0, -1.0]))
    unit.learn(tg.tensor([[2.0, -1.0, 4.0]]), tg.tensor([-1.0]), lr=0.25)
    assert unit.weight.tolist() == [0.5 - 0.25 * 2, 0.25, -1.0 - 0.25 * 4]


def test_row_003_xor_by_an_mlp() -> None:
    tg.manual_seed(3)
    x, y = tg.tensor(CORNERS, dtype=tg.float32), tg.tensor(XOR, dtype=tg.float32)
    net = mlp(2, 4, 1, activation=nn.Sigmoid)
    loss = nn.BCEWithLogitsLoss()
    train(net, lambda: loss(net(x).squeeze(1), y), optim.Adam(net.parameters(), lr=0.1), 300)
    assert (net(x).squeeze(1) > 0).tolist() == [False, True, True, False]


# ---- regressions


def test_row_004_linear_regression_agrees_with_the_normal_equations() -> None:
    x = real((60, 3), "lectures.regression", "float64")
    y = x @ [1.0, -2.0, 0.5] + 0.7 + 0.3 * real(60, "lectures.regression.noise", "float64")
    ones = np.column_stack([np.ones(60), x])
    exact = np.linalg.solve(ones.T @ ones, ones.T @ y)
    model = nn.Linear(3, 1, dtype=tg.float64)
    features, target = tg.tensor(x), tg.tensor(y)
    train(model, lambda: F.mse_loss(model(features).squeeze(1), target), optim.SGD(model.parameters(), lr=0.2), 500)
    found = np.append(numbers(model.bias), numbers(model.weight))
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_row_005_logistic_regression_has_the_gradient_of_its_formula() -> None:
    """dJ/dθⱼ = (y − y*) xⱼ: by the formula, by the tape, and by finite differences."""
    x = real((7, 4), "lectures.logistic", "float64")
    t = whole(7, "lectures.logistic.y", "float64", 0, 2)
    theta = real(4, "lectures.logistic.w", "float64")

    def cost(w: Any) -> Any:
        p = sigmoid(x @ w)
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum()

    formula = (sigmoid(x @ theta) - t) @ x
    step = 1e-6
    differences = [(cost(theta + step * e) - cost(theta - step * e)) / (2 * step) for e in np.eye(4)]
    for loss in (
        lambda a, y: F.binary_cross_entropy_with_logits(a, y, reduction="sum"),
        lambda a, y: F.binary_cross_entropy(tg.sigmoid(a), y, reduction="sum"),
    ):
        model = nn.Linear(4, 1, bias=False, dtype=tg.float64)
        model.weight.data.copy_(tg.tensor(theta).reshape(1, 4))
        value = loss(model(tg.tensor(x)).squeeze(1), tg.tensor(t))
        value.backward()
        assert float(value) == pytest.approx(cost(theta), rel=1e-12)
        np.testing.assert_allclose(model.weight.grad.numpy()[0], formula, rtol=1e-10)
        np.testing.assert_allclose(model.weight.grad.numpy()[0], differences, atol=1e-7)


def test_row_006_softmax_of_two_classes_is_the_sigmoid() -> None:
    """P(1 | x) of a softmax regression is the sigmoid unit with the difference of the weights."""
    x = tg.tensor(real((9, 3), "lectures.softmax", "float64"))
    two, one = nn.Linear(3, 2, dtype=tg.float64), nn.Linear(3, 1, dtype=tg.float64)
    assert two.bias is not None
    assert one.bias is not None
    one.weight.data.copy_(two.weight[1:] - two.weight[:1])
    one.bias.data.copy_(two.bias[1:] - two.bias[:1])
    p = tg.softmax(two(x), 1)
    np.testing.assert_allclose(numbers(p[:, 1]), numbers(tg.sigmoid(one(x)[:, 0])), rtol=1e-14)
    y = tg.tensor(whole(9, "lectures.softmax.y", "int64", 0, 2))
    many = F.cross_entropy(two(x), y)
    binary = F.binary_cross_entropy_with_logits(one(x).squeeze(1), y.double())
    assert float(many) == pytest.approx(float(binary), rel=1e-14)


def test_row_006_softmax_regression_separates_three_groups() -> None:
    centres = np.array([[0.0, 5.0], [5.0, -5.0], [-5.0, -5.0]])
    labels = np.arange(90) % 3
    x = tg.tensor(centres[labels] + real((90, 2), "lectures.groups", "float64"))
    model = nn.Linear(2, 3, dtype=tg.float64)
    y = tg.tensor(labels)
    train(model, lambda: F.cross_entropy(model(x), y), optim.SGD(model.parameters(), lr=0.1), 100)
    assert model(x).argmax(1).tolist() == labels.tolist()


# ---- networks


def test_row_007_single_hidden_layer() -> None:
    """f(X) = β₀ + Σ βₖ g(wₖ₀ + Σ wₖⱼ Xⱼ)"""
    net = mlp(3, 5, 1, dtype=tg.float64)
    (w, w0), (beta, beta0) = ((numbers(layer.weight), numbers(layer.bias)) for layer in (net[0], net[2]))
    x = real((6, 3), "lectures.single", "float64")
    expected = [
        beta0[0] + sum(beta[0, k] * math.tanh(w0[k] + sum(w[k, j] * row[j] for j in range(3))) for k in range(5))
        for row in x
    ]
    np.testing.assert_allclose(numbers(net(tg.tensor(x)))[:, 0], expected, rtol=1e-13)


@pytest.mark.parametrize(("x", "product"), [((1.0, 2.0), 2.0), ((3.0, -4.0), -12.0), ((0.5, 0.5), 0.25)])
def test_row_008_the_network_that_multiplies(x: tuple[float, float], product: float) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Square(), nn.Linear(2, 1))
    net.load_state_dict(
        {
            "0.weight": tg.tensor([[1.0, 1.0], [1.0, -1.0]]),
            "0.bias": tg.zeros(2),
            "2.weight": tg.tensor([[0.25, -0.25]]),
            "2.bias": tg.zeros(1),
        }
    )
    assert net(tg.tensor(x)).item() == product


def test_row_009_two_hidden_layers_and_ten_classes() -> None:
    net = nn.Sequential(*mlp(6, 16, 12, 10, activation=nn.ReLU, dtype=tg.float64), nn.Softmax(dim=1))
    x = real((8, 6), "lectures.ten", "float64")
    hidden = x
    for layer in (net[0], net[2]):
        hidden = np.maximum(0, hidden @ numbers(layer.weight).T + numbers(layer.bias))
    z = hidden @ numbers(net[4].weight).T + numbers(net[4].bias)
    p = numbers(net(tg.tensor(x)))
    np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-14)
    assert (p > 0).all()


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Sigmoid, nn.ELU, nn.GELU])
@pytest.mark.parametrize("widths", [(3, 1), (3, 7, 2), (3, 4, 4, 4, 4, 2), (1, *(9,) * 20, 1)])
def test_row_010_deep_mlp_of_any_depth_and_width(widths: tuple[int, ...], activation: Any) -> None:
    net = mlp(*widths, activation=activation)
    x = tg.tensor(real((5, widths[0]), "lectures.deep", "float32"))
    assert net(x).shape == (5, widths[-1])
    net(x).sum().backward()
    parameters = list(net.parameters())
    assert sum(p.numel() for p in parameters) == sum(n * m + m for n, m in itertools.pairwise(widths))
    assert all(p.grad is not None and bool(tg.isfinite(p.grad).all()) for p in parameters)
    assert bool((parameters[-1].grad == 5).all())  # of the last bias: one for each event


def test_row_010_the_net_of_the_jets_has_4389_parameters() -> None:
    net = mlp(16, 64, 32, 32, 5, activation=nn.ReLU)
    assert sum(p.numel() for p in net.parameters()) == 4389


def test_row_011_combined_logistic_models_are_a_sigmoid_layer() -> None:
    models = [nn.Sequential(nn.Linear(3, 1, dtype=tg.float64), nn.Sigmoid()) for _ in range(6)]
    layer = nn.Sequential(nn.Linear(3, 6, dtype=tg.float64), nn.Sigmoid())
    layer[0].weight.data.copy_(tg.cat([m[0].weight for m in models]))
    layer[0].bias.data.copy_(tg.cat([m[0].bias for m in models]))
    x = tg.tensor(real((5, 3), "lectures.combined", "float64"))
    np.testing.assert_allclose(numbers(layer(x)), numbers(tg.cat([m(x) for m in models], 1)), rtol=1e-14)


def test_row_012_a_bias_is_the_weight_of_an_input_that_is_one() -> None:
    layer, without = nn.Linear(3, 4, dtype=tg.float64), nn.Linear(4, 4, bias=False, dtype=tg.float64)
    assert layer.bias is not None
    without.weight.data.copy_(tg.cat([layer.bias.unsqueeze(1), layer.weight], 1))
    x = tg.tensor(real((5, 3), "lectures.bias", "float64"))
    with_one = tg.cat([tg.ones(5, 1, dtype=tg.float64), x], 1)
    np.testing.assert_allclose(numbers(without(with_one)), numbers(layer(x)), rtol=1e-13)
    tg.square(layer(x)).sum().backward()
    tg.square(without(with_one)).sum().backward()
    assert without.weight.grad is not None
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    np.testing.assert_allclose(without.weight.grad.numpy()[:, 0], layer.bias.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(without.weight.grad.numpy()[:, 1:], layer.weight.grad.numpy(), rtol=1e-12)


def test_row_013_stacked_linear_layers_are_one() -> None:
    """W̃ = W₂ W₁ and b̃ = W₂ b₁ + b₂, through any number of layers."""
    stack = nn.Sequential(*(nn.Linear(n, m, dtype=tg.float64) for n, m in itertools.pairwise((3, 8, 5, 2))))
    one = nn.collapse(stack)
    assert len(one) == 1
    w, b = np.eye(3), np.zeros(3)
    for layer in stack:
        w, b = numbers(layer.weight) @ w, numbers(layer.weight) @ b + numbers(layer.bias)
    np.testing.assert_allclose(numbers(one[0].weight), w, rtol=1e-12)
    np.testing.assert_allclose(numbers(one[0].bias), b, rtol=1e-12)
    x = tg.tensor(real((6, 3), "lectures.collapse", "float64"))
    np.testing.assert_allclose(numbers(one(x)), numbers(stack(x)), rtol=1e-12)
    assert len(nn.collapse(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)))) == 3


def test_row_014_relu_network_is_piecewise_linear() -> None:
    """1-4-1: four break points at −bᵢ / Wᵢ, and between them the slope Σ W²ᵢ W¹ᵢ of the units that are on."""
    w1, b1 = np.array([1.0, 2.0, 1.0, 4.0]), np.array([-0.5, -3.0, -2.5, -14.0])
    w2, b2 = np.array([2.0, -3.0, 1.5, 0.5]), 0.25
    net = nn.Sequential(nn.Linear(1, 4, dtype=tg.float64), nn.ReLU(), nn.Linear(4, 1, dtype=tg.float64))
    net[0].weight.data.copy_(tg.tensor(w1).reshape(4, 1))
    net[0].bias.data.copy_(tg.tensor(b1))
    net[2].weight.data.copy_(tg.tensor(w2).reshape(1, 4))
    net[2].bias.data.fill_(b2)
    breaks = -b1 / w1
    assert breaks.tolist() == [0.5, 1.5, 2.5, 3.5]
    step = 1 / 64  # breaks lie on the grid
    x = np.arange(-64, 321) * step
    f = numbers(net(tg.tensor(x).reshape(-1, 1)))[:, 0]
    bends = np.abs(np.diff(f, 2)) > 1e-12
    assert x[1:-1][bends].tolist() == breaks.tolist()
    inside = tg.tensor([[-1.0], [1.0], [2.0], [3.0], [4.0]], dtype=tg.float64).requires_grad_()
    net(inside).sum().backward()
    assert inside.grad is not None
    slopes = [(w2 * w1)[:k].sum() for k in range(5)]  # all dropped, three dropped, …, all on
    np.testing.assert_allclose(inside.grad.numpy()[:, 0], slopes, atol=1e-15)
    assert f[0] == b2


def test_row_015_universal_approximation(record: dict[str, str]) -> None:
    """The greatest error of a fit of sin 2πx falls with the width, and is below 0.02 with 100 units."""
    x = tg.linspace(0, 1, 101, dtype=tg.float64).reshape(-1, 1)
    fine = tg.linspace(0, 1, 1001, dtype=tg.float64).reshape(-1, 1)
    errors = []
    for width in (1, 2, 4, 100):
        tg.manual_seed(15)
        net = mlp(1, width, 1, dtype=tg.float64)
        with tg.no_grad():  # steps spread over the interval
            net[0].weight.normal_(0, 10)
            net[0].bias.copy_(-net[0].weight[:, 0] * tg.rand(width, dtype=tg.float64))
        minimise(net.parameters(), lambda net=net: F.mse_loss(net(x), tg.sin(2 * math.pi * x)), 100)
        errors.append(float((net(fine) - tg.sin(2 * math.pi * fine)).abs().max()))
    record["sup-error of sin 2πx with 1, 2, 4, 100 tanh units"] = ", ".join(f"{e:.2g}" for e in errors)
    assert all(wide < narrow for narrow, wide in itertools.pairwise(errors))
    assert errors[-1] < 0.02


def test_row_016_polynomial_embedding_separates_a_circle() -> None:
    x, y = circle()
    squares = tg.stack([x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2], 1)
    assert best_linear_accuracy(squares, y) == 1
    assert best_linear_accuracy(x, y) < 0.75


def test_row_017_a_neuron_measures_the_distance_to_its_plane() -> None:
    """(w·x + b) / |w| is the signed distance: that far along the normal lies the plane, and no point of it is nearer."""
    w, b = np.array([3.0, -4.0, 12.0]), 6.5
    neuron = nn.Linear(3, 1, dtype=tg.float64)
    assert neuron.bias is not None
    neuron.weight.data.copy_(tg.tensor(w).reshape(1, 3))
    neuron.bias.data.fill_(b)
    x = real((20, 3), "lectures.plane", "float64")
    with tg.no_grad():
        distance = (neuron(tg.tensor(x)) / tg.norm(neuron.weight)).numpy()[:, 0]
        foot = x - distance[:, None] * w / 13
        np.testing.assert_allclose(neuron(tg.tensor(foot)).numpy(), 0, atol=1e-13)
    in_plane = np.linalg.svd(w.reshape(1, 3))[2][1:]  # two directions
    others = foot[:, None] + real((200, 2), "lectures.plane.others", "float64") @ in_plane
    assert (np.linalg.norm(others - x[:, None], axis=2) >= np.abs(distance)[:, None] - 1e-12).all()
    assert {-1.0, 1.0} == set(np.sign(distance))


def test_row_018_a_hidden_layer_unties_what_a_line_cannot() -> None:
    """The circle: 2-3-1 separates it, since three lines close a triangle; a line does not."""
    x, y = circle()
    assert best_linear_accuracy(x, y) < 0.75
    tg.manual_seed(19)  # one run in two ends in a worse minimum
    net = mlp(2, 3, 1, dtype=tg.float64)
    minimise(net.parameters(), lambda: F.binary_cross_entropy_with_logits(net(x).squeeze(1), y), 100)
    assert accuracy(net(x).squeeze(1), y) == 1


def separable() -> tuple[Any, Any]:
    side = np.where(np.arange(40) % 2, 1.0, -1.0)
    x = real((40, 2), "lectures.svm", "float64", 0.0, 2.0)
    x[:, 0] = side * (0.5 + x[:, 0])
    x[0], x[1] = (-0.5, 1.0), (0.5, 1.0)  # the support vectors: the widest margin is |x₀| ≥ ½
    return tg.tensor(x), tg.tensor(side)


def test_row_019_linear_svm_by_hinge_loss() -> None:
    x, y = separable()
    svm = nn.LinearSVM(2, dtype=tg.float64)
    loss = train(svm, lambda: nn.HingeLoss()(svm(x), y), optim.SGD(svm.parameters(), lr=0.5), 200)
    assert loss == 0
    assert svm.predict(x).tolist() == y.tolist()
    assert float((y * svm(x)).min()) >= 1


def test_row_019_linear_svm_finds_the_widest_margin() -> None:
    x, y = separable()
    svm = nn.LinearSVM(2, dtype=tg.float64)
    optimizer = optim.SGD(svm.parameters(), lr=0.02)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.995)
    for _ in range(1500):
        optimizer.zero_grad()
        svm.loss(x, y, c=3.0).backward()
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(numbers(svm.linear.weight)[0], [2, 0], atol=0.03)
    assert abs(svm.linear.bias.item()) < 0.03
    assert svm.predict(x).tolist() == y.tolist()
