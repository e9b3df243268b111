"""Pictures can be seen: in print, on a dark screen, with any colour vision, on whatever is behind a transparent one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")

from pictures import canvas, contrast, rendered, stands_out
from trigrad import nn, plot
from trigrad._report import COLOURS

A = np.linspace(-1, 1, 9)
RNG = np.random.default_rng(3)
TRUTH = np.arange(60) % 3
SCORES = RNG.uniform(size=(60, 3))
BOX = ((-3.0, 3.0), (-3.0, 3.0))
NET = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
CURVES = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.5, 2.0]}

PICTURES: dict[str, Callable[[], Any]] = {
    "accuracy_grid": lambda: plot.accuracy_grid([1, 2], [1, 2], [[0.1, 0.5], [0.9, 0.3]], ax=canvas()),
    "activation_histograms": lambda: plot.activation_histograms({"a": A, "b": A**3}, label="a", ax=canvas(2)),
    "confusion": lambda: plot.confusion(TRUTH, SCORES.argmax(1), ax=canvas()),
    "decision_boundary": lambda: plot.decision_boundary(
        lambda x: SPLIT - x.norm(dim=1), SCORES[:, :2], TRUTH > 0, limits=BOX, ax=canvas()
    ),
    "first_layer": lambda: plot.first_layer(NET, names=["a", "b"], ax=canvas()),
    "gradient_histograms": lambda: plot.gradient_histograms({"a": A, "b": A**3}, ax=canvas(2)),
    "history": lambda: plot.history({"a": CURVES, "b": {"loss": [2, 1.2, 2.5]}}, ax=canvas()),
    "latency": lambda: plot.latency({"a": [100.0, 200.0], "b": [300.0]}, deadline=250, ax=canvas()),
    "loss_surface": lambda: plot.loss_surface(A, A, A[:, None] ** 2 + A**2, ax=canvas()),
    "network_diagram": lambda: plot.network_diagram(NET, inputs=["a", "b"], most=3, ax=canvas()),
    "neuron_field": lambda: plot.neuron_field(NET[:2], limits=BOX, ax=canvas(2)),
    "phase_diagram": lambda: plot.phase_diagram({"a": (1.0, 0.1), "b": (2.0, 0.1)}, points=3, ax=canvas()),
    "roc": lambda: plot.roc(TRUTH, SCORES, ax=canvas()),
    "scores": lambda: plot.scores(TRUTH, SCORES[:, 0], threshold=0.5, ax=canvas()),
}
SPLIT = 1.5


def test_all_that_draws_is_here() -> None:
    assert {
        name for name, made in vars(plot).items() if getattr(made, "__module__", "").startswith("trigrad.plot.")
    } == set(PICTURES)


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", PICTURES)
def test_what_is_drawn_stands_out(name: str, style: str) -> None:
    """Each line, text, histogram and group of points is hidden in turn: what vanishes differed enough from what was behind."""
    with plt.style.context(style):
        axes = np.ravel(PICTURES[name]())
        seen = rendered(axes[0].figure)
        for ax in axes[:1]:  # of a row of panels
            parts = [*ax.lines, *ax.texts[:3], *ax.patches, *ax.collections]
            legend = ax.get_legend()
            words = [*ax.texts, legend, ax.xaxis, ax.yaxis]
            for part in filter(None, [*parts, legend, ax.xaxis, ax.yaxis]):
                if name in ("loss_surface", "phase_diagram") and part in ax.collections:
                    continue  # shades
                if part in (ax.xaxis, ax.yaxis) and not ax.axison:
                    continue
                assert stands_out(part, seen) >= (4.5 if part in words else 3), part


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_paints_a_background(name: str) -> None:
    """Saved as transparent, the margin and what lies between lines is transparent."""
    ax = np.ravel(PICTURES[name]())[0]
    ax.figure.patch.set_alpha(0.0)
    for one in ax.figure.axes:
        one.patch.set_alpha(0.0)
    seen = rendered(ax.figure)[..., 3]
    assert seen[0, 0] == 0
    assert (seen == 0).mean() > 0.2
    assert (seen > 0.9).any()


# ---- colours

TO_CONES = np.array(
    [[0.31399022, 0.63951294, 0.04649755], [0.15537241, 0.75789446, 0.08670142], [0.01775239, 0.10944209, 0.87256922]]
)
"""Linear RGB to the responses of the long, middle and short cones (Smith and Pokorny, scaled so that white is 1, 1, 1)."""


def linear(rgb: Any) -> Any:
    c = np.asarray(rgb, dtype=np.float64)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(light: Any) -> Any:
    """CIE L*a*b* of linear RGB."""
    xyz = light @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0))
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def without(cone: int | None, light: Any) -> Any:
    """What a dichromat sees (Viénot, Brettel and Mollon 1999): the missing cone answers so that white and blue (for the
    short one: red) stay what they are."""
    if cone is None:
        return light
    anchor = TO_CONES @ ([1.0, 0.0, 0.0] if cone == 2 else [0.0, 0.0, 1.0])
    others = [k for k in range(3) if k != cone]
    weights = np.linalg.solve(np.stack([np.ones(2), anchor[others]]), [1.0, anchor[cone]])
    cones = light @ TO_CONES.T
    cones[..., cone] = cones[..., others] @ weights
    return np.clip(cones @ np.linalg.inv(TO_CONES).T, 0, 1)


@pytest.mark.parametrize("cone", [None, 0, 1, 2])
def test_colours_differ_for_every_eye(cone: int | None) -> None:
    """A difference of 2.3 is just seen, side by side."""
    seen = lab(without(cone, linear([matplotlib.colors.to_rgb(c) for c in COLOURS])))
    for i, j in itertools.combinations(range(len(COLOURS)), 2):
        apart = float(np.linalg.norm(seen[i] - seen[j]))
        assert apart > 14, (COLOURS[i], COLOURS[j], apart)


def test_colours_stand_out_from_black_and_white() -> None:
    for c in COLOURS[1:]:
        rgb = matplotlib.colors.to_rgb(c)
        assert contrast(rgb, (0, 0, 0)) >= 3, c
        assert contrast(rgb, (1, 1, 1)) >= 3, c
