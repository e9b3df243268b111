"""Dense layers of integers, loop by loop in NumPy: exact sums of int64, everything else of the model as it is."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

import trigrad as tg
from trigrad import nn

Array = np.ndarray[Any, Any]
MOST_SUM = 2**31 - 1


def fma(a: Array, b: Array, c: Array) -> Array:
    """a b + c of float32, rounded once: the product is exact in float64, the sum is rounded to odd there."""
    with np.errstate(all="ignore"):
        product, c = a.astype("d") * b.astype("d"), np.asarray(c, "d")
        total = product + c
        back = total - product
        lost = (product - (total - back)) + (c - back)
        words = total.view("i8")
        odd = (words & 1) == 1
        step = np.where((lost > 0) == (total > 0), 1, -1)
        return np.where(np.isfinite(lost) & (lost != 0) & ~odd, words + step, words).view("d").astype("f")


class Integers(nn.Module):
    """What `precision` makes of a Linear that saw these inputs, (events, K), `mixed` if other Linears made them."""

    def __init__(self, layer: nn.Linear, seen: Array, mixed: bool, precision: str) -> None:
        super().__init__()
        w = layer.weight.detach().numpy().astype("d")
        self.bias_ = np.zeros(len(w), "f") if layer.bias is None else layer.bias.detach().numpy().copy()
        low, high = np.minimum(seen.min(0), 0).astype("d"), np.maximum(seen.max(0), 0).astype("d")
        if mixed:
            low[:], high[:] = low.min(), high.max()
        low, high = (v * (1.5 if precision == "int8" else 4) for v in (low, high))
        spread = high - low if precision == "int8" else np.maximum(-low, high)
        widest = spread.max() if spread.max() >= 2.0**-100 else 1.0
        spread = np.where(spread < 2.0**-100, widest, spread)
        scaled = w * spread
        most = np.abs(scaled).max(1)
        ratio = max([1.0, *(np.abs(row).sum() / m for row, m in zip(scaled, most, strict=True) if m > 0)])
        if precision == "int8":
            steps = np.floor(min(127.0, (MOST_SUM / 510 - w.shape[1] / 2) / ratio))
        else:
            steps = np.floor(min(32767.0, np.sqrt(MOST_SUM / ratio)))
        with np.errstate(all="ignore"):
            self.integers = np.where(most[:, None] > 0, np.rint(scaled / most[:, None] * steps), 0).astype("i8")
        if precision == "int8":
            self.least, self.most = 0, 255
            self.zero = np.clip(np.rint(low * -255 / spread), 0, 255).astype("i8")
        else:
            largest = max(1, np.abs(self.integers).sum(1).max())
            self.most = min(32767, MOST_SUM // largest)
            self.least, self.zero = -self.most, np.zeros(w.shape[1], "i8")
        self.scale = (self.most / spread).astype("f")
        self.unit = (most / steps / self.most).astype("f")

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        x = input.numpy()
        t = np.clip(fma(x, self.scale, self.zero.astype("f")), np.float32(self.least), np.float32(self.most))
        q = np.rint(np.where(np.isnan(t), 0, t)).astype("i8")
        sums = (q - self.zero) @ self.integers.T
        assert np.abs(sums).max(initial=0) <= MOST_SUM
        y = fma(sums.astype("f"), self.unit, self.bias_)
        return tg.tensor(np.where(np.isnan(x).any(1, keepdims=True), np.float32(np.nan), y))


class Recording(nn.Module):
    """A Linear and the inputs of its last call; `mixed` if they depend on what Linears answer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer, self.seen, self.mixed, self.factor = layer, np.zeros((0, layer.in_features), "f"), False, 1.0

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        if self.factor == 1:
            self.seen = input.numpy().copy()
        else:
            self.mixed = not np.array_equal(self.seen, input.numpy())
        return self.layer(input) * self.factor


def replaced(model: nn.Module, kind: type[nn.Module], by: Any) -> nn.Module:
    """The model with `by(layer)` in place of every layer of a kind."""
    if isinstance(model, kind):
        return by(model)
    for name, part in list(model._modules.items()):
        setattr(model, name, replaced(part, kind, by)) if part is not None else None
    return model


def of_integers(model: nn.Module, calibration: Array, precision: str) -> nn.Module:
    """The model whose dense layers are of integers, with ranges from the events."""
    recording = replaced(copy.deepcopy(model).eval(), nn.Linear, Recording)
    with tg.no_grad():
        recording(tg.tensor(calibration))
        for part in recording.modules():
            if isinstance(part, Recording):
                part.factor = 0.5
        recording(tg.tensor(calibration))
    return replaced(recording, Recording, lambda r: Integers(r.layer, r.seen, r.mixed, precision))
