"""Steps and nets that plans do in one kernel on a GPU: the bits of the CPU, whatever the loss, the activation and the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn

pytestmark = pytest.mark.usefixtures("gpu")

LOSSES = {
    "classes": nn.functional.cross_entropy,
    "binary": nn.functional.binary_cross_entropy_with_logits,
    "squares": nn.functional.mse_loss,
}


def trained(device: str, activation: type[nn.Module], loss: str, rows: int) -> list[np.ndarray]:
    """Losses of some steps, then parameters and what the net makes of the last batch."""
    tg.manual_seed(3)
    net = nn.Sequential(nn.Linear(7, 33), activation(), nn.Linear(33, 20), activation(), nn.Linear(20, 3)).to(device)
    adam = tg.optim.Adam(net.parameters(), lr=1e-2)
    rng = np.random.default_rng(rows)

    @tg.compile
    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        adam.zero_grad()
        value = LOSSES[loss](net(x), y)
        value.backward()
        adam.step()
        return value

    @tg.compile
    def answer(x: tg.Tensor) -> Any:
        with tg.no_grad():
            return net(x)

    made = []
    for _ in range(4):
        x = tg.tensor(rng.normal(size=(rows, 7)).astype(np.float32)).to(device)
        target = rng.integers(0, 3, rows) if loss == "classes" else rng.random((rows, 3)).astype(np.float32)
        made.append(np.array(step(x, tg.tensor(target).to(device)).item()))
        made.append(answer(x).cpu().numpy())
    return [*made, *(p.detach().cpu().numpy() for p in net.parameters())]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
@pytest.mark.parametrize("rows", [1, 33, 1025])
def test_steps_have_the_bits_of_the_cpu(activation: type[nn.Module], loss: str, rows: int) -> None:
    cpu, gpu = (trained(device, activation, loss, rows) for device in ("cpu", "cuda"))
    for want, got in zip(cpu, gpu, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_class_that_is_not_there_is_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).to("cuda")
    sgd = tg.optim.SGD(net.parameters(), lr=0.1)

    @tg.compile
    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        sgd.step()
        return loss

    x, y = tg.ones(70, 4, device="cuda"), tg.zeros(70, dtype=tg.int64, device="cuda")
    for _ in range(4):
        step(x, y)
    before = [p.detach().cpu().numpy() for p in net.parameters()]
    with pytest.raises(IndexError, match=r"target\[66\] is 9, expected a class from 0 to 2"):
        step(x, tg.tensor([0] * 66 + [9] * 4).to("cuda"))
    for p, was in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.detach().cpu().numpy(), was)
