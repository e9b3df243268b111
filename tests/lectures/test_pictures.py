"""Decision boundaries, first-layer features, training and validation curves, neuron fields, the spiral's features: rows 133,
134, 136, 138 and 139 of the catalogue."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import experiments
import trigrad as tg
from trigrad import nn

MNIST = Path(os.environ.get("TRIGRAD_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "mnist"


# ---- 133


def pieces_by_geometry(W: Any, b: Any, side: float) -> int:
    """Of the square [-side, side]² by lines W x + b = 0: one more for each line through it, and for each crossing in it."""
    corners = np.array([[x, y] for x in (-side, side) for y in (-side, side)])
    through = [k for k in range(len(W)) if np.ptp(np.sign(corners @ W[k] + b[k])) > 0]
    crossings = [np.linalg.solve(W[[i, j]], -b[[i, j]]) for i, j in combinations(range(len(W)), 2)]
    return 1 + len(through) + sum(np.abs(c).max() < side for c in crossings)


def test_row_133_boundaries_of_0_1_and_2_hidden_layers() -> None:
    script = experiments.load("decision_boundaries")
    result = script.experiment()
    line, convex, both = result["rows"]
    assert (line[2], line[3], line[4]) == (2, 1.0, 1)
    assert 0.5 < line[1] < 0.7
    assert (convex[2], convex[3]) == (2, 1.0)
    assert 0.85 < convex[1] < 0.95
    assert both[2] == 3  # two regions of signal in one of background
    assert both[1] > 0.97
    assert both[3] < 0.7
    _, one, two = result["nets"]
    W, b = (p.detach().double().numpy() for p in one[0].parameters())
    assert convex[4] == pieces_by_geometry(W, b, script.SIDE) <= 7
    W, b = (p.detach().double().numpy() for p in two[0].parameters())
    assert both[4] > pieces_by_geometry(W, b, script.SIDE)  # the second layer folds
    axes = experiments.drawn(script, result, axes=3).axes
    # A network without hidden layers has its boundary on the line where its weighted sum is 0.
    (contour,) = (c for c in axes[0].collections if type(c).__name__ == "QuadContourSet")
    places = np.concatenate([path.vertices for path in contour.get_paths()])
    w, b = (p.detach().double().numpy() for p in result["nets"][0][0].parameters())
    assert np.allclose(places @ w[0], -b, atol=1e-4)


def test_row_133_many_units_of_one_layer_do_what_two_layers_do() -> None:
    ((_, right, regions, *_),) = experiments.load("decision_boundaries").experiment(layers=((16,),))["rows"]
    assert (right > 0.97, regions) == (True, 3)


def test_row_133_regions_are_counted() -> None:
    script = experiments.load("decision_boundaries")
    ring = np.hypot(*np.mgrid[-5:6, -5:6]) // 2  # 0, 1, 2 and the corners
    assert script.regions(np.zeros((3, 4))) == 1
    assert script.regions(np.array([[0, 1], [1, 0]])) == 4  # a corner joins nothing
    assert script.regions(ring == 1) == 3
    ndimage = pytest.importorskip("scipy.ndimage")
    noise = np.random.default_rng(0).integers(0, 3, (40, 30))
    assert script.regions(noise) == sum(ndimage.label(noise == k)[1] for k in range(3))


# ---- 134


@pytest.mark.skipif(not (MNIST / "mnist.npz").exists(), reason="MNIST is not here: $TRIGRAD_DATA/mnist/mnist.npz")
def test_row_134_layers_say_more_and_more_of_the_digit() -> None:
    script = experiments.load("first_layer_features")
    result = script.experiment(n=10_000, epochs=4, folder=str(MNIST))
    before, after = result["likeness"]
    assert abs(before) < 0.03
    assert after > 0.5
    names, between, nearest = zip(*result["rows"], strict=True)
    assert names[0] == "pixels"
    assert list(between) == sorted(between)
    assert nearest[0] < nearest[1] - 0.03  # the last layers are as good as each other
    assert nearest[1] < nearest[2] - 0.005
    assert 0.80 < nearest[0] < 0.83  # of pixels: 0.820 with the means of all 60,000
    assert nearest[-1] > 0.87
    assert between[-1] > 2 * between[0]
    assert result["accuracy"] > 0.92
    experiments.drawn(script, result, axes=4)  # two, and their scales


def test_row_134_measures_of_images() -> None:
    script = experiments.load("first_layer_features")
    rng = np.random.default_rng(0)
    everywhere = np.ones((28, 28), dtype=bool)
    assert abs(script.likeness(rng.normal(size=(30, 28, 28)), everywhere)) < 0.03
    smooth = np.cos(np.mgrid[0:28, 0:28].sum(0) * 0.3)[None] * rng.normal(size=(30, 1, 1))
    assert script.likeness(smooth, everywhere) == pytest.approx(math.cos(0.3), abs=0.02)
    assert script.likeness(np.where(everywhere, smooth, 0), np.arange(28) < 14) > 0.9
    y = np.repeat(np.arange(10), 5)
    means = rng.normal(size=(10, 3))
    assert script.separation(means[y], y) == pytest.approx(1)
    assert script.nearest_mean(means[y], y, means[y] + 1e-3, y) == 1.0
    assert script.separation(np.tile(np.arange(5.0), 10)[:, None], y) == 0


# ---- 136


def test_row_136_validation_turns_where_few_events_are_memorised() -> None:
    script = experiments.load("train_validation_curves")
    z = np.random.default_rng(0).normal(size=400_000)
    logit = script.DISTANCE**2 / 2 + script.DISTANCE * z  # of the right class
    assert script.best_cross_entropy() == pytest.approx(np.log1p(np.exp(-logit)).mean(), abs=2e-3)
    result = script.experiment(sizes=(200, 10_000), epochs=40)
    (_, few, least, epoch, end, right), (_, many, least_many, _, end_many, right_many) = script.rows(result)
    best = result["best"]
    noise = 3 * 0.5 / math.sqrt(10_000)  # of the mean loss of the validation events
    assert few < 0.2 < best
    assert epoch < 20
    assert end > 1.3 * least
    assert least > best - noise
    assert abs(many - best) < 0.02
    assert best - noise < least_many < end_many < best + 0.04
    assert right < right_many < 0.8413 + 0.012
    figure = experiments.drawn(script, result, axes=2)
    assert [line.get_label() for line in figure.axes[0].get_lines()][:3] == [
        *("training", "validation", f"best epoch: {epoch}"),
    ]


# ---- 138


def test_row_138_a_field_is_a_function_of_the_distance() -> None:
    script = experiments.load("neuron_fields")
    result = script.experiment()
    assert result["accuracy"] == 1.0
    for _, length, _, off, least in result["rows"]:
        assert off < 1e-6
        assert length > 0
        assert least >= math.tanh(2) - 1e-6  # within 4 % of ±1
    figure = experiments.drawn(script, result, axes=6)  # a scale among them
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images][:4]
    W, b = (p.detach().double().numpy() for p in result["net"][0].parameters())
    g = np.linspace(-6, 6, len(pictures[0]))
    for picture, w, offset in zip(pictures, W, b, strict=True):
        assert np.allclose(picture, np.tanh(w[0] * g + w[1] * g[:, None] + offset), atol=1e-6)


def test_row_138_distances_from_a_line() -> None:
    script = experiments.load("neuron_fields")
    found = script.distances(np.array([3.0, 4.0]), -10.0, np.array([[0.0, 0.0], [6.0, 8.0], [2.0, 1.0], [1.2, 1.6]]))
    assert found == pytest.approx([-2, 8, 0, 0])
    layer = nn.Linear(2, 1)
    point = tg.randn(1, 2)
    w, b = (p.detach().double().numpy() for p in layer.parameters())
    d = script.distances(w[0], b[0], point.double().numpy())
    assert d[0] * np.hypot(*w[0]) == pytest.approx(float(layer(point)), abs=1e-6)  # the sum is |w| times the distance


# ---- 139


def test_row_139_two_features_unwind_the_spiral() -> None:
    script = experiments.load("spiral_features")
    result = script.experiment()
    right = result["accuracy"]
    assert right["unwound"] == 1.0
    assert right["polar"] < 0.65
    assert right["x"] < 0.65
    # By the formula of the arms (0.7π - 2) r + Δ, r up to 5.
    low, high = result["gap"]
    assert low <= (0.7 * math.pi - 2) * 5 + 1e-5
    assert high >= math.pi - 1e-5
    r, unwound = result["sets"]["unwound"].astype(float).T
    assert np.allclose(unwound, (0.7 * math.pi - 2) * r + np.where(result["y"] == 1, 0, math.pi), atol=1e-4)
    assert [a.get_xlabel() for a in experiments.drawn(script, result, axes=3).axes] == ["x₁", "r", "r"]


def best_line(X: Any, y: Any, tried: int = 1000) -> float:
    """The greatest share that any of many lines is right for."""
    X = (X - X.mean(0)) / X.std(0)
    angles = np.linspace(0, 2 * np.pi, tried, endpoint=False)
    best = 0.0
    for angle in angles:
        order = np.argsort(X @ [math.cos(angle), math.sin(angle)])
        below = np.concatenate([[0], np.cumsum(np.where(y[order] == 1, 1, -1))])  # right below the cut, less wrong
        best = max(best, float((below.max() + (y == 0).sum()) / len(y)))
    return best


@pytest.mark.parametrize(
    ("name", "wanted"), [("unwound", lambda s: s == 1), ("polar", lambda s: s < 0.7), ("x", lambda s: s < 0.7)]
)
def test_row_139_no_line_does_better_than_the_neuron_by_much(name: str, wanted: Callable[[float], bool]) -> None:
    """All directions, all offsets."""
    script = experiments.load("spiral_features")
    table = tg.data.playground("spiral", 1000)
    assert wanted(best_line(script.features(table.X.astype(float))[name], table.y, 180))
