"""The landscape that batch norm smooths, and slices through loss surfaces: rows 127 to 129 and 137 of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

import experiments


@pytest.mark.proof
def test_row_127_128_129_batch_norm_smooths_the_loss(record: dict[str, str], full: bool) -> None:
    script = experiments.load("batchnorm_smooths_the_loss")
    runs = script.experiment(seeds=8 if full else 3)
    below = {"loss_range": 0.85, "predictiveness": 0.85, "smoothness": 0.7}
    times = {"loss_range": 5, "predictiveness": 2, "smoothness": 1.1}
    for plain, norm in zip(runs[::2], runs[1::2], strict=True):
        assert (plain.kind, norm.kind, plain.seed) == ("plain", "batch norm", norm.seed)
        for measure in script.MEASURES:
            a, b = np.array(plain.curve(measure)), np.array(norm.curve(measure))
            assert a.shape == b.shape == (30,)
            assert (b < a).mean() > below[measure], (measure, plain.seed)
            assert a.mean() > times[measure] * b.mean(), (measure, plain.seed)
        assert np.mean(plain.losses[:5]) > 1.3, "of ln 5 = 1.61 for a network that knows nothing"
        assert np.mean(norm.losses[-30:]) < np.mean(plain.losses[-30:]) < 0.8, "both learn"
    for measure, title in script.MEASURES.items():
        means = [np.mean([run.curve(measure) for run in runs[k::2]]) for k in range(2)]
        record[f"rows 127 to 129, {title}, plain and batch norm"] = f"{means[0]:.3g}, {means[1]:.3g}"
    experiments.drawn(script, runs, 3)


@pytest.mark.proof
def test_row_137_slices_through_loss_surfaces(full: bool) -> None:
    script = experiments.load("loss_surfaces")
    slices = script.experiment(seeds=5 if full else 2)
    for found in slices:
        assert found.surface.loss.shape == (25, 25)
        assert found.surface.loss[12, 12].item() == found.loss, "the middle is the network itself"
        assert found.highest == found.surface.loss.max().item()
    for convex, plain, residual in zip(slices[::3], slices[1::3], slices[2::3], strict=True):
        assert [s.model for s in (convex, plain, residual)] == ["softmax regression", "plain", "residual"]
        assert convex.dents == 0
        assert plain.dents > 0.15
        assert residual.loss < 0.6 * plain.loss
        assert residual.highest < 1e-2 * plain.highest
    experiments.drawn(script, slices, 6)


def test_row_137_dents_are_where_a_surface_is_not_convex() -> None:
    script = experiments.load("loss_surfaces")
    x = np.linspace(-1, 1, 11)
    assert script.dents(x[:, None] ** 2 + x**2 + x[:, None] * x) == 0
    assert script.dents(x[:, None] ** 2 - 0.1 * x**2) == 1
    assert script.dents(x[:, None] * x) == 1, "along one diagonal"
    one = np.zeros((11, 11))
    one[5, 5] = 1
    assert script.dents(one) == 1 / 81
