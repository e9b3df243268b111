"""Blocks that let deep networks train: row 120 of the catalogue."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from trigrad import nn, optim
from trigrad.nn import functional as F
from values import real

WIDTH, DEPTH, GROWTH = 24, 50, 2


def plain(activation: Callable[[], Any]) -> list[Any]:
    return [part for _ in range(DEPTH) for part in (nn.Linear(WIDTH, WIDTH), activation())]


STACKS: dict[str, Callable[[], list[Any]]] = {
    "plain, ReLU": lambda: plain(nn.ReLU),
    "plain, tanh": lambda: plain(nn.Tanh),
    "residual": lambda: [nn.Residual(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(DEPTH)],
    "highway": lambda: [nn.Highway(WIDTH) for _ in range(DEPTH)],
    "dense-concatenated": lambda: [
        nn.DenseConcat(nn.Linear(WIDTH + GROWTH * k, GROWTH), nn.ReLU()) for k in range(DEPTH)
    ],
}


@pytest.mark.parametrize("stack", STACKS)
def test_row_120_fifty_layers_train_with_skips_and_stall_without(stack: str, record: dict[str, str]) -> None:
    """The sign of x₁x₂, 100 steps of Adam from PyTorch's initial weights."""
    tg.manual_seed(1)
    blocks = STACKS[stack]()
    width = WIDTH + GROWTH * DEPTH if stack == "dense-concatenated" else WIDTH
    net = nn.Sequential(nn.Linear(2, WIDTH), *blocks, nn.Linear(width, 1))
    x = tg.tensor(real((128, 2), "lectures.deep", "float32"))
    y = (x[:, :1] * x[:, 1:] > 0).float()
    optimizer = optim.Adam(net.parameters(), lr=0.003)
    first = math.nan
    for step in range(100):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(x), y)
        loss.backward()
        if step == 0:
            first = float(net[0].weight.grad.norm())
        optimizer.step()
    right = float(((net(x) > 0).float() == y).float().mean())
    share = float(y.mean())
    if stack.startswith("plain"):
        assert first < 1e-9, "no gradient reaches the first layer"
        assert loss.item() > 0.68
        assert right <= max(share, 1 - share)
    else:
        assert first > 1e-5
        assert loss.item() < 0.1
        assert right > 0.97
    record[f"row 120, 50 layers, {stack}"] = f"loss {loss.item():.4f}, gradient of the first layer at first {first:.0e}"


def test_row_120_the_blocks_hand_on_what_they_get() -> None:
    """x + f(x), t f(x) + (1 - t) x and (x, f(x)): with f = 0 (or t = 0) the input goes on unchanged, and so does a gradient."""
    x = tg.tensor(real((5, 4), "lectures.handed on", "float32")).requires_grad_()
    zero = nn.Linear(4, 4)
    nn.init.zeros_(zero.weight)
    nn.init.zeros_(zero.bias)
    highway = nn.Highway(4, gate_bias=-200.0)
    nn.init.zeros_(highway.gate.weight)
    for block in (nn.Residual(zero), highway, nn.DenseConcat(zero)):
        y = block(x)
        assert tg.equal(y[:, :4], x)
        (back,) = tg.autograd.grad(y[:, :4].sum(), x)
        assert tg.equal(back, tg.ones(5, 4))
    assert not nn.DenseConcat(zero)(x)[:, 4:].any()
