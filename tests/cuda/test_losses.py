"""Losses over logits on a GPU: every option gives the bits of the CPU, and targets out of range are refused in its words."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import bits

F = tg.nn.functional
REDUCTIONS = ["none", "mean", "sum"]


def same(got: Any, want: Any, what: str) -> None:
    assert got.is_cuda, what
    assert bits(got.cpu().numpy()) == bits(want.numpy()), f"{what}: {got} is not {want}"


def real(shape: tuple[int, ...], dtype: str, seed: int, low: float = -3, high: float = 3) -> Any:
    return tg.from_numpy(np.random.default_rng(seed).uniform(low, high, shape).astype(dtype))


def loss_and_gradient(loss: Any, x: Any, *tensors: Any, device: str, **options: Any) -> tuple[Any, Any]:
    x = x.clone().to(device).requires_grad_()
    moved = {k: v.to(device) if isinstance(v, tg.Tensor) else v for k, v in options.items()}
    y = loss(x, *[t.to(device) for t in tensors], **moved)
    y.backward(real(tuple(y.shape), str(y.dtype).split(".")[-1], 9).to(device) if y.ndim else None)
    return y.detach(), x.grad


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 2, 4, 5, 31, 32, 33, 1023, 1025, 4097])
def test_cross_entropy(classes: int, dtype: str) -> None:
    rng = np.random.default_rng(classes)
    for rows, weighs, smoothing, reduction in itertools.product((1, 33, 300), (False, True), (0.0, 0.1), REDUCTIONS):
        if rows * classes > 40_000:
            continue
        x = real((rows, classes), dtype, rows)
        target = rng.integers(0, classes, rows)
        target[rng.random(rows) < 0.2] = -100
        options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
        if weighs:
            options["weight"] = real((classes,), dtype, 5, 0.5, 2)
        index = tg.from_numpy(target)
        want = loss_and_gradient(F.cross_entropy, x, index, device="cpu", **options)
        got = loss_and_gradient(F.cross_entropy, x, index, device="cuda", **options)
        for g, w, what in zip(got, want, ("loss", "gradient"), strict=True):
            same(g, w, f"{what} of ({rows}, {classes}) {options}")


@pytest.mark.usefixtures("gpu")
def test_cross_entropy_of_many_rows() -> None:
    """Parts that are joined, and the sums of losses and weights at once."""
    x = real((20_001, 3), "float32", 1)
    index = tg.from_numpy(np.random.default_rng(2).integers(0, 3, 20_001))
    want = loss_and_gradient(F.cross_entropy, x, index, device="cpu", weight=tg.tensor([0.3, 1.7, 1.1]))
    got = loss_and_gradient(F.cross_entropy, x, index, device="cuda", weight=tg.tensor([0.3, 1.7, 1.1]))
    same(got[0], want[0], "loss")
    same(got[1], want[1], "gradient")


@pytest.mark.usefixtures("gpu")
def test_cross_entropy_of_views_and_probabilities() -> None:
    x, index = real((40, 70), "float32", 1), tg.from_numpy(np.random.default_rng(2).integers(0, 35, 80))
    weight = real((70,), "float32", 3, 0.5, 2)
    a, b, c = x.to("cuda"), index.to("cuda"), weight.to("cuda")
    same(F.cross_entropy(a[:, ::2], b[::2], c[::2]), F.cross_entropy(x[:, ::2], index[::2], weight[::2]), "gaps")
    few = index[:70] % 30
    same(F.cross_entropy(a.T, few.to("cuda")), F.cross_entropy(x.T, few), "transposed")
    narrow = index[:40].to(tg.int32)
    same(F.cross_entropy(a, narrow.to("cuda")), F.cross_entropy(x, narrow), "int32 targets")
    p = F.softmax(real((40, 70), "float32", 4), 1)
    for reduction in REDUCTIONS:
        options = {"weight": weight, "reduction": reduction, "label_smoothing": 0.2}
        want = loss_and_gradient(F.cross_entropy, x, p, device="cpu", **options)
        got = loss_and_gradient(F.cross_entropy, x, p, device="cuda", **options)
        same(got[0], want[0], f"probabilities {reduction}")
        same(got[1], want[1], f"gradient of probabilities {reduction}")
    images, pixels = real((3, 5, 4, 2), "float32", 6), tg.from_numpy(np.random.default_rng(7).integers(0, 5, (3, 4, 2)))
    same(F.cross_entropy(images.to("cuda"), pixels.to("cuda")), F.cross_entropy(images, pixels), "images")
    same(F.cross_entropy(a[:0], b[:0]), F.cross_entropy(x[:0], index[:0]), "no rows")


@pytest.mark.usefixtures("gpu")
def test_targets_out_of_range() -> None:
    x = real((300, 4), "float32", 1)
    for bad, place in ((4, 299), (-1, 0), (2**40, 150), (-(2**40), 31)):
        index = tg.zeros(300, dtype=tg.int64)
        index[place] = bad
        index[299] = 77 if place < 299 else bad  # the first is named
        said = []
        for device in ("cpu", "cuda"):
            with pytest.raises(IndexError) as refused:
                F.cross_entropy(x.to(device), index.to(device))
            said.append(str(refused.value))
        assert said[0] == said[1]
        assert f"target[{place}] is {bad}, expected a class from 0 to 3" in said[1]
        index[:] = bad
        same(
            F.cross_entropy(x.to("cuda"), index.to("cuda"), ignore_index=bad, reduction="sum"),
            tg.tensor(0.0),
            "ignored",
        )


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 1023, 1025, 30_001])
def test_binary_cross_entropy(n: int, dtype: str) -> None:
    loss = F.binary_cross_entropy_with_logits
    x, t = real((n,), dtype, 1, -20, 20), real((n,), dtype, 2, 0, 1)
    weights = (None, real((n,), dtype, 3, 0.5, 2), tg.tensor([1.5], dtype=x.dtype))
    for weight, pos_weight, reduction in itertools.product(weights, weights, REDUCTIONS):
        options = {"weight": weight, "pos_weight": pos_weight, "reduction": reduction}
        want = loss_and_gradient(loss, x, t, device="cpu", **options)
        got = loss_and_gradient(loss, x, t, device="cuda", **options)
        same(got[0], want[0], f"loss {n} {options}")
        same(got[1], want[1], f"gradient {n} {options}")


@pytest.mark.usefixtures("gpu")
def test_binary_cross_entropy_of_views() -> None:
    loss = F.binary_cross_entropy_with_logits
    x, t = real((9, 14), "float32", 1), real((14, 9), "float32", 2, 0, 1)
    weight, pos = real((9, 1), "float32", 3, 0.5, 2), real((14,), "float32", 4, 0.5, 2)
    for reduction in REDUCTIONS:
        want = loss(x, t.T, weight, reduction=reduction, pos_weight=pos)
        got = loss(x.to("cuda"), t.to("cuda").T, weight.to("cuda"), reduction=reduction, pos_weight=pos.to("cuda"))
        same(got, want, reduction)
    special = tg.tensor([np.inf, -np.inf, np.nan, -0.0, 0.0])
    for target in (0.0, 1.0):
        there, here = special.to("cuda"), special
        same(
            loss(there, tg.full_like(there, target), reduction="none"),
            loss(here, tg.full_like(here, target), reduction="none"),
            f"specials, target {target}",
        )
