"""Minima, saddle points and when to stop: rows 77 to 81 of the catalogue."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

import experiments
import trigrad as tg


@pytest.mark.proof
def test_row_077_small_batches_end_in_flat_minima(record: dict[str, str], full: bool) -> None:
    script = experiments.load("flat_and_sharp_minima")
    result = script.experiment(batches=(4, 256), seeds=6 if full else 2)
    found: dict[Any, list[Any]] = {}
    for m in result.minima:
        found.setdefault((m.lr, m.batch), []).append(m)
    for lr in (0.1, 0.2):
        for small, whole in zip(found[lr, 4], found[lr, 256], strict=True):
            assert small.sharpness < 0.5 * whole.sharpness
            assert small.sharpness < 0.6 * 2 / lr
            assert 0.7 * 2 / lr < whole.sharpness < 1.05 * 2 / lr, "where descent can just stay"
            assert small.loss < 0.2, "of 1 for a model that knows nothing"
            assert abs(small.accuracy - whole.accuracy) < 0.03
    line = dict(zip(np.round(result.line.t.numpy(), 3).tolist(), result.line.loss.tolist(), strict=True))
    assert line[0.0] == pytest.approx(found[0.1, 4][0].loss, rel=1e-5)
    assert line[1.0] == pytest.approx(found[0.1, 256][0].loss, rel=1e-5)
    assert line[1.5] - line[1.0] > line[-0.5] - line[0.0], "steeper behind the sharp minimum"
    assert max(line[t] for t in line if 0 < t < 1) > 1.5 * max(line[0.0], line[1.0])
    record["row 77, λ_max after batches of 4 and of all 256 points, 2/η = 20"] = " and ".join(
        f"{found[0.1, batch][0].sharpness:.1f}" for batch in (4, 256)
    )
    experiments.drawn(script, result, 2)


def newton(x: Any, y: Any, decay: float) -> Any:
    """Logistic regression in NumPy: weights and bias."""
    a, theta = np.concatenate([x, np.ones((len(x), 1))], 1), np.zeros(x.shape[1] + 1)
    for _ in range(30):
        p = 1 / (1 + np.exp(-a @ theta))
        slope = a.T @ (p - y) / len(y) + decay * theta
        theta -= np.linalg.solve(a.T @ (a * (p * (1 - p))[:, None]) / len(y) + decay * np.eye(len(theta)), slope)
    return theta


def test_row_078_079_one_minimum_or_several(record: dict[str, str]) -> None:
    script = experiments.load("convex_and_nonconvex")
    ends, lines = result = script.experiment(starts=12)
    table = tg.data.playground("xor", 100, noise=0.3, seed=0)
    x, y = np.asarray(table.X, dtype=float) / 3, np.asarray(table.y, dtype=float)
    convex, network = ([e for e in ends if e.model == name] for name in script.MODELS)
    assert len(convex) == len(network) == 12
    assert all(e.gradient < 1e-6 for e in ends), "descent came to an end everywhere"
    for end in convex:
        np.testing.assert_allclose(end.parameters.numpy(), newton(x, y, 1e-3), atol=1e-5)
    assert (np.diff(lines["logistic regression"].loss.numpy(), 2) > -1e-12).all()

    def loss(theta: Any) -> Any:
        """Of the network, at parameters (..., 9)."""
        w1, b1, w2, b2 = theta[..., :4], theta[..., 4:6], theta[..., 6:8], theta[..., 8:]
        hidden = np.tanh(np.einsum("...ki,ni->...nk", w1.reshape(*w1.shape[:-1], 2, 2), x) + b1[..., None, :])
        z = np.einsum("...nk,...k->...n", hidden, w2) + b2
        return (np.logaddexp(0, z) - y * z).mean(-1) + 1e-3 / 2 * (theta**2).sum(-1)

    h, eye = 1e-3, np.eye(9)
    pairs = h * (eye[:, None] + eye), h * (eye[:, None] - eye)
    for end in network:
        at = end.parameters.numpy()
        assert loss(at) == pytest.approx(end.loss, rel=1e-12)
        dense = (loss(at + pairs[0]) - loss(at + pairs[1]) - loss(at - pairs[1]) + loss(at - pairs[0])) / (4 * h * h)
        smallest = np.linalg.eigvalsh(dense)[0]
        assert smallest > 0, "a minimum, not a saddle point"
        assert end.smallest > 0
        units = at[[2, 3, 0, 1, 5, 4, 7, 6, 8]]  # the same function: units change places, one changes its signs
        units[[0, 1, 4, 6]] *= -1
        assert loss(units) == pytest.approx(end.loss, rel=1e-12)
    minima = Counter(round(e.loss, 4) for e in network)
    assert len(minima) >= 4
    assert max(minima) - min(minima) > 0.1
    barrier = lines["two hidden units"]
    inside = barrier.loss[(barrier.t > 0) & (barrier.t < 1)]
    at_ends = [barrier.loss[int((barrier.t - t).abs().argmin())].item() for t in (0, 1)]
    assert inside.max().item() > max(at_ends) + 0.1
    record["rows 78 and 79, losses where 12 starts ended"] = ", ".join(f"{k} ({n}×)" for k, n in sorted(minima.items()))
    experiments.drawn(script, result, 2)


def test_row_080_saddle_points() -> None:
    script = experiments.load("saddle_points")
    result = script.experiment()
    assert [round(pair.value, 9) for pair in result.saddle] == [-1.0, 1.0]
    assert abs(result.saddle.smallest.vector[1].item()) == pytest.approx(1)
    assert result.escapes["descent"] is None
    assert result.paths["descent"][-1].abs().max().item() < 1e-12, "it ended in the saddle point"
    root = (2 + math.sqrt(4 - 4 * 0.9)) / 2  # of r² − (1 + β + η)r + β, with β = 0.9 and η = 0.1
    for name, rate in (("descent, nudged", 1.1), ("momentum, nudged", root)):
        assert math.log(0.5e6) / math.log(rate) == pytest.approx(result.escapes[name], abs=5)
    assert result.escapes["noise"] is not None
    for name, path in result.paths.items():
        if name != "descent":
            assert path[-1].abs().tolist() == pytest.approx([0, 1], abs=0.01), "on to a minimum"
    x = np.linspace(-1, 1, 21)
    y = np.sin(np.pi * x)
    loss, smallest = result.network["zero weights"]
    assert loss == pytest.approx(y.var())
    assert smallest == pytest.approx(-2 * abs((x * y).mean()), rel=1e-4)
    loss, smallest = result.network["with noise"]
    assert loss < 0.01
    assert smallest > -0.01
    experiments.drawn(script, result, 2)


def test_row_080_shallow_minima() -> None:
    script = experiments.load("shallow_minima")
    result = script.experiment()
    deep, top, shallow = sorted(np.roots([1, 0, -1, 0.1]).real)
    assert result["descent"].tolist() == pytest.approx([shallow])
    assert result["momentum"].tolist() == pytest.approx([deep])
    shares = {name: float((ends < top).double().mean()) for name, ends in result.items()}
    w = np.linspace(-4, 4, 100_001)
    weight = np.exp(-(w**4 / 4 - w**2 / 2 + w / 10) / 0.1)
    expected = weight[w < top].sum() / weight.sum()
    assert script.share(0.1) == pytest.approx(expected, abs=1e-3)
    assert shares["noise"] == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 1000))
    assert shares["annealed noise"] > 0.94
    experiments.drawn(script, result, 1)


def test_row_081_early_stopping_gives_the_best_numbers_back_bit_for_bit() -> None:
    script = experiments.load("early_stopping")
    result = script.experiment(patience=30)
    validation = result.history["val_loss"]
    assert len(result.stopped["loss"]) == result.best_epoch + 30 < len(validation)
    assert dict(result.stopped) == {name: numbers[: result.best_epoch + 30] for name, numbers in result.history.items()}
    assert result.best_epoch == 1 + int(np.argmin(result.stopped["val_loss"]))
    assert result.restored == result.retrained
    best, end = result.losses["at the best epoch"], result.losses["at the end"]
    assert best["validation"] == pytest.approx(min(result.stopped["val_loss"]), rel=1e-6)
    assert end["train"] < 0.6 * best["train"]
    assert end["test"] > 2 * best["test"]
    assert best["test"] < math.log(2) < end["test"], "better, and worse, than knowing nothing"
    experiments.drawn(script, result, 1)
