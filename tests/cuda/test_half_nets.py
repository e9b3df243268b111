"""Nets and steps in float16 and bfloat16 that plans do in one kernel on a GPU: the bits of the calls one by one where these are exact,
the bound of fast mode where they are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn

pytestmark = pytest.mark.usefixtures("gpu")

HALVES = (tg.bfloat16, tg.float16)
LOSSES = {
    "classes": nn.functional.cross_entropy,
    "binary": nn.functional.binary_cross_entropy_with_logits,
    "squares": nn.functional.mse_loss,
}
Results = list[tg.Tensor]
Net = Callable[[tg.Tensor], tg.Tensor]


class Layers(nn.Module):
    """Layers in 16 bits, their parameters float32, by casts that are written out: outside of autocast they are exact."""

    def __init__(
        self, widths: list[int], activation: nn.Module, dtype: tg.dtype, last: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.activations = nn.ModuleList([activation] * (len(widths) - 2) + [last or nn.Identity()])
        self.dtype = dtype

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        for layer, activation in zip(self.layers, self.activations, strict=True):
            weight, bias = layer.weight.to(self.dtype), layer.bias.to(self.dtype)
            x = activation(nn.functional.linear(x.to(self.dtype), weight, bias).float())
        return x


def made(net: nn.Module, loss: str, x: tg.Tensor, y: tg.Tensor) -> Results:
    """The loss and all gradients."""
    for p in net.parameters():
        p.grad = None
    value = LOSSES[loss](net(x), y)
    value.backward()
    return [value, *(p.grad for p in net.parameters() if p.grad is not None)]


def in_one_kernel(function: Callable[..., Results], *given: tg.Tensor) -> Results:
    """What a plan of it makes; nothing that lies between has memory."""
    plan = tg.compile(function)
    for _ in range(3):
        results = plan(*given)
    assert plan.plans[0].arena_bytes == 0, str(plan.plans[0])
    return results


def same_bits(got: Results, want: Results) -> None:
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert g.dtype is w.dtype
        np.testing.assert_array_equal(g.detach().float().cpu().numpy(), w.detach().float().cpu().numpy())


def drawn(loss: str, rows: int, inputs: int, outputs: int) -> tuple[tg.Tensor, tg.Tensor]:
    rng = np.random.default_rng([rows, inputs, outputs])
    x = rng.normal(size=(rows, inputs)).astype(np.float32)
    y = rng.integers(0, outputs, rows) if loss == "classes" else rng.random((rows, outputs)).astype(np.float32)
    return tg.tensor(x).to("cuda"), tg.tensor(y).to("cuda")


def check_exact(net: Layers, loss: str, rows: int, inputs: int, outputs: int) -> None:
    net.to("cuda")
    x, y = drawn(loss, rows, inputs, outputs)
    with tg.no_grad():
        same_bits(in_one_kernel(lambda x: [net(x)], x), [net(x)])
    same_bits(in_one_kernel(lambda x, y: made(net, loss, x, y), x, y), made(net, loss, x, y))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("width", [1, 7, 16, 17, 31, 33, 64, 127, 128])
def test_any_width(width: int, dtype: tg.dtype) -> None:
    tg.manual_seed(width)
    for widths in ([width, width, 5], [7, width, width]):
        check_exact(Layers(widths, nn.ReLU(), dtype), "classes", 33, widths[0], widths[-1])


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("depth", range(1, 7))
def test_any_depth(depth: int, dtype: tg.dtype) -> None:
    tg.manual_seed(depth)
    check_exact(Layers([20] * (depth + 1), nn.Tanh(), dtype), "classes", 65, 20, 20)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("rows", [1, 31, 33, 1023, 1025, 5000])
def test_any_batch(rows: int, dtype: tg.dtype) -> None:
    tg.manual_seed(rows)
    for loss in LOSSES if rows < 5000 else ["classes"]:
        check_exact(Layers([3, 9, 4], nn.SiLU(), dtype), loss, rows, 3, 4)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "activation",
    [nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.Mish, nn.Softplus, nn.Hardtanh],
)
def test_any_activation(activation: type[nn.Module], dtype: tg.dtype) -> None:
    tg.manual_seed(2)
    check_exact(Layers([6, 12, 11, 3], activation(), dtype, activation()), "squares", 70, 6, 3)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_parameters_in_16_bits(dtype: tg.dtype) -> None:
    tg.manual_seed(4)
    net = Layers([6, 12, 5], nn.ReLU(), dtype, nn.Sigmoid()).to("cuda")
    for layer in net.layers:
        layer.weight.data = layer.weight.to(dtype)
        layer.bias.data = layer.bias.to(dtype)
    x, _ = drawn("classes", 70, 6, 5)
    with tg.no_grad():
        same_bits(in_one_kernel(lambda x: [net(x)], x), [net(x)])
        same_bits(in_one_kernel(lambda x: [net(x).to(dtype)], x), [net(x).to(dtype)])


def test_twice_as_many_weights_fit(gpu: tg.device) -> None:
    if tg.cuda.get_device_capability(gpu) < (9, 0) and tg.cuda.get_device_name(gpu) != "emulated":
        pytest.skip("a block of this GPU has less than 227 KB")
    tg.manual_seed(7)
    net = Layers([128] * 6, nn.ReLU(), tg.bfloat16).to("cuda")
    x, _ = drawn("squares", 40, 128, 128)
    with tg.no_grad():
        same_bits(in_one_kernel(lambda x: [net(x)], x), [net(x)])


def test_numbers_of_all_kinds() -> None:
    tg.manual_seed(5)
    for dtype in HALVES:
        net = Layers([6, 18, 4], nn.ReLU(), dtype)
        odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-30, 3e38, 1e-7, 65520.0], np.float32)
        x = np.random.default_rng(1).normal(size=(67, 6)).astype(np.float32)
        x.reshape(-1)[::37] = np.resize(odd, x.reshape(-1)[::37].shape)
        net.to("cuda")
        there = tg.tensor(x).to("cuda")
        y = tg.tensor(np.resize([0, 3, -100, 2], 67)).to("cuda")
        with tg.no_grad():
            same_bits(in_one_kernel(lambda x, net=net: [net(x)], there), [net(there)])
        same_bits(
            in_one_kernel(lambda x, y, net=net: made(net, "classes", x, y), there, y), made(net, "classes", there, y)
        )


def test_what_stays_outside() -> None:
    """A hidden layer that somebody keeps, another loss: the calls one by one, and the same bits."""
    tg.manual_seed(6)
    net = Layers([6, 18, 4], nn.ReLU(), tg.bfloat16).to("cuda")
    x, y = drawn("squares", 40, 6, 4)

    def kept(x: tg.Tensor) -> Results:
        h = net.activations[0](nn.functional.linear(x.bfloat16(), net.layers[0].weight.bfloat16()).float())
        return [nn.functional.linear(h.bfloat16(), net.layers[1].weight.bfloat16()), h]

    def other(x: tg.Tensor, y: tg.Tensor) -> Results:
        value = nn.functional.l1_loss(net(x), y)
        return [value, *tg.autograd.grad(value, list(net.parameters()))]

    for function, given in ((kept, (x,)), (other, (x, y))):
        plan = tg.compile(function)
        for _ in range(3):
            got = plan(*given)
        assert plan.plans[0].arena_bytes > 0
        same_bits(got, function(*given))


# ---- by tensor cores, within autocast


def autocast(net: nn.Module, dtype: tg.dtype) -> Net:
    return tg.autocast("cuda", dtype=dtype)(net)


def sums_of(layer: nn.Linear, x: tg.Tensor, dtype: tg.dtype) -> tuple[tg.Tensor, tg.Tensor]:
    """A layer's sums of what is rounded to 16 bits, in float64, and those of its sizes."""
    x, w, b = (t.detach().cpu().to(dtype).double() for t in (x, layer.weight, layer.bias))
    return nn.functional.linear(x, w, b), nn.functional.linear(x.abs(), w.abs(), b.abs())


def is_close(got: tg.Tensor, want: tg.Tensor, sizes: tg.Tensor, terms: int, dtype: tg.dtype) -> bool:
    """The bound of docs/arithmetic.md; u is 0 where operands are in 16 bits."""
    v, least = (2.0**-8, 0.0) if dtype is tg.bfloat16 else (2.0**-11, 2.0**-25)
    return bool(((got - want).abs() <= (terms + 1) * 2.0**-22 * sizes + v * got.abs() + least).all())


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("inputs", [1, 7, 16, 17, 31, 33, 64, 127, 128])
def test_the_bound_of_a_layer(inputs: int, dtype: tg.dtype) -> None:
    tg.manual_seed(inputs)
    for outputs in (1, 17, 33, 128):
        layer = nn.Linear(inputs, outputs).to("cuda")
        net = autocast(layer, dtype)
        x, _ = drawn("squares", 130, inputs, outputs)
        with tg.no_grad():
            got = in_one_kernel(lambda x, net=net: [net(x)], x)[0]
        assert got.dtype is dtype
        want, sizes = sums_of(layer, x, dtype)
        assert is_close(got.cpu().double(), want, sizes, inputs, dtype)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("rows", [1, 33, 1025, 5000])
def test_the_bound_of_gradients(rows: int, dtype: tg.dtype) -> None:
    """Of a layer's weight and bias, from the gradient of the loss that is rounded to 16 bits."""
    tg.manual_seed(rows)
    layer = nn.Linear(37, 21).to("cuda")
    x, y = drawn("squares", rows, 37, 21)
    net = autocast(layer, dtype)

    def step(x: tg.Tensor, y: tg.Tensor) -> Results:
        z = net(x)
        value = (z.float() - y).square().sum()
        return [z, value, *tg.autograd.grad(value, [layer.weight, layer.bias])]

    z, _, dw, db = (t.detach().cpu().double() for t in in_one_kernel(step, x, y))
    g = (2 * (z.float() - y.cpu())).to(dtype).double()
    x = x.cpu().to(dtype).double()
    assert is_close(dw, g.T @ x, g.T.abs() @ x.abs(), rows, dtype)
    assert is_close(db, g.sum(0), g.abs().sum(0), rows, dtype)


def test_tensor_cores_make_them(gpu: tg.device) -> None:
    """They add in an order of their own: among so many sums some are rounded otherwise than the exact ones."""
    if tg.cuda.get_device_capability(gpu)[0] < 8 and tg.cuda.get_device_name(gpu) != "emulated":
        pytest.skip("this GPU has no tensor cores for both formats")
    tg.manual_seed(3)
    exact = Layers([128, 128], nn.ReLU(), tg.float16).to("cuda")
    fast = autocast(exact.layers[0], tg.float16)
    x, y = drawn("squares", 1025, 128, 128)

    def step(x: tg.Tensor, y: tg.Tensor, net: Net) -> Results:
        z = net(x).float()
        value = nn.functional.mse_loss(z, y)
        return [z, *tg.autograd.grad(value, list(exact.parameters())), value]

    z, dw, *_ = in_one_kernel(lambda x, y: step(x, y, fast), x, y)
    exact_z, exact_dw, *_ = step(x, y, exact)
    assert not tg.equal(z, exact_z)
    assert not tg.equal(dw, exact_dw)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("depth", [1, 2, 4, 6])
def test_deep_nets_by_tensor_cores(depth: int, dtype: tg.dtype) -> None:
    """Each layer rounds to 16 bits: a net strays from the exact one by few of these roundings."""
    tg.manual_seed(depth)
    exact = Layers([16, *[40] * (depth - 1), 5], nn.GELU(), dtype).to("cuda")
    modules: list[nn.Module] = []
    for layer in exact.layers:
        modules += [layer, nn.GELU()]
    fast = autocast(nn.Sequential(*modules[:-1]), dtype)
    u = 2.0**-8 if dtype is tg.bfloat16 else 2.0**-11
    for loss, function in LOSSES.items():
        x, y = drawn(loss, 100, 16, 5)
        parameters = list(exact.parameters())

        def step(
            x: tg.Tensor,
            y: tg.Tensor,
            net: Net,
            loss: Callable[..., tg.Tensor] = function,
            parameters: Results = parameters,
        ) -> Results:
            value = loss(net(x).float(), y)
            return [value, *tg.autograd.grad(value, parameters)]

        got = in_one_kernel(lambda x, y, step=step: step(x, y, fast), x, y)
        again = in_one_kernel(lambda x, y, step=step: step(x, y, fast), x, y)
        same_bits(again, got)
        for g, w in zip(got, step(x, y, exact), strict=True):
            assert float((g - w).detach().abs().amax()) <= 4 * depth * u * float(w.detach().abs().amax())


def trained(dtype: tg.dtype, kind: type[tg.optim.Optimizer], compiled: bool) -> tuple[Results, list[float]]:
    """Parameters and losses after some steps in mixed precision, the loss scaled; the master weights are float32."""
    tg.manual_seed(9)
    net = nn.Sequential(nn.Linear(7, 33), nn.ReLU(), nn.Linear(33, 20), nn.Tanh(), nn.Linear(20, 3)).to("cuda")
    optimizer = kind(net.parameters(), lr=1e-2)  # type: ignore[call-arg]
    scaler = tg.amp.GradScaler("cuda", init_scale=1024.0)
    f = autocast(net, dtype)

    def gradients(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(f(x).float(), y)
        scaler.scale(value).backward()
        return value

    plan = tg.compile(gradients)
    x, y = drawn("classes", 300, 7, 3)
    losses = []
    for _ in range(8):
        losses.append(float((plan if compiled else gradients)(x, y)))
        scaler.step(optimizer)
        scaler.update()
    if compiled:
        assert plan.plans[0].arena_bytes == 0, str(plan.plans[0])
    return list(net.parameters()), losses


@pytest.mark.parametrize("kind", [tg.optim.SGD, tg.optim.Adam])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_steps_in_mixed_precision(dtype: tg.dtype, kind: type[tg.optim.Optimizer]) -> None:
    one_by_one, want = trained(dtype, kind, False)
    fused, got = trained(dtype, kind, True)
    assert got[-1] < got[0]
    np.testing.assert_allclose(got, want, rtol=2e-2)
    for f, o in zip(fused, one_by_one, strict=True):
        assert f.dtype is tg.float32
        assert float((f - o).detach().abs().amax()) <= 1e-2
