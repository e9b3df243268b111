"""What is drawn is what was given, where it belongs; what is wrong is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

import trigrad as tg
from pictures import canvas, colour_at, contrast
from trigrad import nn, plot
from trigrad._report import COLOURS

RNG = np.random.default_rng(7)


def near(found: Any, wanted: Any, by: float = 0.02) -> bool:
    return bool(np.abs(np.asarray(found) - matplotlib.colors.to_rgb(wanted)).max() < by)


def test_nothing_is_loaded_until_something_is_drawn() -> None:
    code = """if True:
        import sys
        import trigrad as tg
        tg.plot.history
        assert not any(name.startswith("matplotlib") for name in sys.modules), "loaded"
        sys.modules["matplotlib"] = None  # as if it were not installed
        try:
            tg.plot.history({"loss": [1.0]})
        except ImportError as error:
            print(error)
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[plot.history] pictures are drawn by matplotlib: pip install 'trigrad[plot]'\n"


# ---- trainings


def test_history_draws_each_epoch_at_its_place() -> None:
    h = tg.History()
    for loss, val in ((3.0, 3.0), (2.0, None), (1.0, 1.5), (0.5, 2.0)):
        h.append(loss=loss, **({} if val is None else {"val_loss": val}))
    ax = plot.history(h, ax=canvas())
    training, validation, best = ax.get_lines()
    assert training.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1], [4, 0.5]]
    assert validation.get_xydata().tolist() == [[1, 3], [3, 1.5], [4, 2]]
    assert best.get_xdata() == [3, 3]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()) == ("linear", "linear", "loss")


def test_history_of_accuracy_is_best_where_it_is_highest() -> None:
    ax = plot.history({"loss": [1, 2], "val_accuracy": [0.9, 0.7]}, "accuracy", log=True, ax=canvas())
    assert ax.get_lines()[-1].get_label() == "best epoch: 1"
    assert ax.get_yscale() == "log"


def test_several_histories_have_a_colour_each() -> None:
    one = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.7]}
    ax = plot.history({"a": one, "b": one, "c": {"loss": tg.tensor([1.0, 2.0])}}, ax=canvas())
    lines = ax.get_lines()
    assert [line.get_label() for line in lines] == [
        *("a training", "a validation", "b training", "b validation", "c training"),
    ]
    assert [line.get_color() for line in lines] == [COLOURS[k] for k in (1, 1, 2, 2, 3)]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-", "--", "-"]


def test_accuracy_grid_has_x_across_and_y_up() -> None:
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.9, np.nan]])
    ax = plot.accuracy_grid([0.01, 0.1], [10, 1000, 100000], tg.tensor(values), ax=canvas())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.01", "0.1"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["10", "1,000", "100,000"]
    colour = matplotlib.colormaps["viridis"]
    for i, j in ((0, 0), (0, 2), (1, 0)):
        share = (values[i, j] - 0.1) / 0.8
        assert near(colour_at(ax, i - 0.35, j + 0.3), colour(share))
    assert near(colour_at(ax, 1 - 0.35, 2 + 0.3), "white")  # nothing there
    assert [t.get_text() for t in ax.texts] == ["0.100", "0.400", "0.200", "0.900", "0.300"]
    assert ax.patches[-1].get_xy() == (0.5, 0.5)  # around (1, 1)
    best = plot.accuracy_grid(["a", "b"], ["c"], [[1.0], [0.5]], lowest=True, ax=canvas()).patches[-1]
    assert best.get_xy() == (0.5, -0.5)
    best = plot.accuracy_grid(["a", "b"], ["c"], [[np.inf], [0.5]], ax=canvas()).patches[-1]
    assert best.get_xy() == (0.5, -0.5)  # nothing stands at (0, 0)


def test_numbers_in_cells_can_be_read() -> None:
    values = np.linspace(0, 1, 64).reshape(8, 8)
    ax = plot.accuracy_grid(range(8), range(8), values, ax=canvas())
    cell = matplotlib.colormaps["viridis"]
    for text in ax.texts:
        i, j = text.get_position()
        assert contrast(matplotlib.colors.to_rgb(text.get_color()), cell(values[int(i), int(j)])[:3]) >= 4.5


@pytest.mark.parametrize("log", [False, True])
def test_loss_surface_has_a_across_and_b_up(log: bool) -> None:
    a, b = tg.linspace(-1, 1, 21), tg.linspace(-2, 2, 31)
    values = tg.exp(a.reshape(-1, 1) + b)  # grows to the upper right
    ax = plot.loss_surface(a, b, values, log=log, levels=6, ax=canvas())
    low, high = float(values.min()), float(values.max())
    colour = matplotlib.colormaps["viridis"]
    for x, y in ((-0.5, -1.5), (0.5, 1.0), (0.7, -1.6), (-0.7, 1.6)):
        v = np.exp(x + y)
        share = np.log(v / low) / np.log(high / low) if log else (v - low) / (high - low)
        band = (np.floor(share * 5) + np.linspace(0, 1, 50)) / 5
        assert np.abs(colour(band)[:, :3] - colour_at(ax, x, y)).max(1).min() < 0.02
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))


def test_loss_surface_leaves_out_what_is_not_finite() -> None:
    a = np.linspace(-1, 1, 11)
    values = np.where(a[:, None] > 0.5, np.inf, a[:, None] ** 2 + a**2)
    ax = plot.loss_surface(a, a, values, ax=canvas())
    assert near(colour_at(ax, 0.9, 0.4), "white")
    assert not near(colour_at(ax, -0.9, 0.4), "white")
    plot.loss_surface(a, a, np.ones((11, 11)), ax=canvas())  # flat


# ---- decisions


def by_hand(truth: Any, score: Any) -> tuple[list[float], list[float]]:
    """Efficiencies of background and signal for every cut."""
    cuts = [np.inf, *sorted(set(score), reverse=True)]
    return tuple([float((score[truth == c] >= cut).mean()) for cut in cuts] for c in (0, 1))  # type: ignore[return-value]


def test_roc_goes_through_every_cut() -> None:
    truth = RNG.integers(0, 2, 60)
    score = np.round(truth + RNG.normal(size=60), 1)
    ax = plot.roc(truth, tg.tensor(score), ax=canvas())
    x, y = ax.get_lines()[0].get_data()
    wanted = by_hand(truth, score)
    drawn, there = set(zip(x.round(9), y.round(9), strict=True)), set(zip(*np.round(wanted, 9), strict=True))
    assert drawn <= there
    wins = (score[truth == 1][:, None] > score[truth == 0]).mean() + (
        score[truth == 1][:, None] == score[truth == 0]
    ).mean() / 2
    assert ax.get_lines()[0].get_label() == f"AUC {wins:.4f}"
    assert (ax.get_xscale(), ax.get_xlim()) == ("linear", (0, 1))


def test_roc_on_a_log_axis_begins_at_the_tightest_cut_with_background() -> None:
    truth = np.repeat([0, 1], 1000)
    score = np.concatenate([RNG.uniform(0, 0.9, 1000), RNG.uniform(0.5, 1, 1000)])
    ax = plot.roc(truth, {"a": score, "b": -score}, log=True, ax=canvas())
    assert (ax.get_xscale(), ax.get_xlim()) == ("log", (pytest.approx(1e-3), 1))
    assert [line.get_color() for line in ax.get_lines()[:2]] == list(COLOURS[1:3])
    assert [t.get_text().split(",")[0] for t in ax.get_legend().get_texts()] == ["a", "b"]


def test_roc_of_classes_is_each_against_the_others() -> None:
    truth = np.array(["b", "c", "a", "a", "b", "c", "c"])
    score = RNG.uniform(size=(7, 3))
    ax = plot.roc(truth, score, names=["A", "B", "C"], ax=canvas())
    for k, c in enumerate("abc"):
        line = ax.get_lines()[k]
        assert set(zip(*line.get_data(), strict=True)) <= set(zip(*by_hand(truth == c, score[:, k]), strict=True))
        assert line.get_label().startswith("ABC"[k])
    two = plot.roc([0, 1, 1, 0], [[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8]], ax=canvas()).get_lines()
    assert len(two) == 2  # the second class, and the guess
    named = plot.roc(["s", "b", "b"], [0.3, 0.2, 0.1], pos_label="s", ax=canvas())
    assert named.get_lines()[0].get_label() == "AUC 1.0000"
    assert two[0].get_label() == "1, AUC 0.5000"
    zero = plot.roc(
        [0, 1, 1, 0], [[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.2, 0.7]], pos_label=0, ax=canvas()
    ).get_lines()
    assert [line.get_label() for line in zero] == ["0, AUC 0.5000", "_guess"]
    assert set(zip(*zero[0].get_data(), strict=True)) <= {(0, 0), (0, 0.5), (0.5, 0.5), (1, 0.5), (1, 1)}
    assert plot.roc(tg.tensor([0.0, 1.0, 1.0]), score[:3, :2], ax=canvas()).get_lines()[0].get_label()[:2] == "1,"


def test_confusion_has_the_truth_from_top_to_bottom() -> None:
    truth, taken = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 2, 2, 2]
    ax = plot.confusion(truth, taken, names=["a", "b", "c"], ax=canvas())
    assert [t.get_text() for t in ax.texts] == ["0.75", "0.25", "0.00", "0.00", "0.00", "1.00", "0.00", "0.00", "1.00"]
    colour = matplotlib.colormaps["viridis"]
    assert near(colour_at(ax, 0 - 0.4, 0 - 0.4), colour(0.75))
    assert near(colour_at(ax, 2 - 0.4, 1 - 0.4), colour(1.0))
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("taken for", "true class")
    counts = plot.confusion(truth, tg.tensor(taken), normalize=None, ax=canvas())
    assert [t.get_text() for t in counts.texts] == [*"310002001"]
    assert [t.get_text() for t in counts.get_xticklabels()] == [*"012"]


def test_scores_are_shares_of_each_class() -> None:
    truth = np.array([1, 0, 0, 1, 1, 0])
    score = tg.tensor([0.9, 0.1, 0.15, 0.6, 0.95, 0.7])
    ax = plot.scores(truth, score, bins=4, threshold=0.5, ax=canvas())
    background, signal = (patch.get_data() for patch in ax.patches)
    assert background.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert np.allclose(background.values, [2 / 3, 0, 1 / 3, 0])
    assert np.allclose(signal.values, [0, 0, 1 / 3, 2 / 3])
    assert ax.get_lines()[0].get_xdata() == [0.5, 0.5]
    weighted = plot.scores(truth, 10 * score, bins=1, sample_weight=[1, 2, 3, 4, 5, 6], log=True, ax=canvas())
    assert weighted.patches[0].get_data().edges.tolist() == [pytest.approx(1.0), pytest.approx(9.5)]
    assert weighted.get_yscale() == "log"
    with pytest.warns(tg.metrics.NegativeWeightWarning), pytest.raises(ValueError, match="of class 0 sum to -1"):
        plot.scores(truth, score, sample_weight=[1, -2, 1, 1, 1, 0], ax=canvas())


# ---- planes


def circle(x: Any) -> Any:
    return 2 - x.norm(dim=1)


def test_decision_boundary_is_where_the_decision_changes() -> None:
    X = np.array([[0.0, 0.0], [3.0, 3.0], [-1.0, 1.0], [2.5, 0.0]])
    ax = plot.decision_boundary(circle, X, [1, 0, 1, 0], limits=((-4, 4), (-3, 3)), ax=canvas())
    (line,) = (c for c in ax.collections if type(c).__name__ == "QuadContourSet")
    vertices = np.concatenate([p.vertices for p in line.get_paths()])
    assert np.allclose(np.hypot(*vertices.T), 2, atol=0.01)
    assert len(vertices) > 100
    white = np.ones(3)
    for place, k in (((1.2, 0.5), 2), ((-3.5, -2.5), 1)):  # the first colour is of class 0
        wanted = 0.75 * white + 0.25 * np.asarray(matplotlib.colors.to_rgb(COLOURS[k]))
        assert near(colour_at(ax, *place), wanted)
    zero, one = ax.collections[-2:]
    assert zero.get_offsets().tolist() == [[3, 3], [2.5, 0]]
    assert one.get_offsets().tolist() == [[0, 0], [-1, 1]]
    assert near(zero.get_facecolor()[0][:3], COLOURS[1])
    assert near(one.get_facecolor()[0][:3], COLOURS[2])


def radius_of(ax: Any) -> float:
    (line,) = (c for c in ax.collections if type(c).__name__ == "QuadContourSet")
    return float(np.hypot(*np.concatenate([p.vertices for p in line.get_paths()]).T).mean())


def test_a_compiled_network_is_looked_at_in_evaluation() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    state = {name: t.tolist() for name, t in model.state_dict().items()}
    box = ((-4.0, 4.0), (-4.0, 4.0))
    looked = [plot.decision_boundary(m, limits=box, points=9, ax=canvas()) for m in (model, tg.compile(model))]
    eager, compiled = (ax.images[0].get_array() for ax in looked)
    assert (eager == compiled).all()
    assert {name: t.tolist() for name, t in model.state_dict().items()} == state
    assert all(part.training for part in model.modules())


def test_any_model_has_a_boundary() -> None:
    box = ((-4.0, 4.0), (-4.0, 4.0))

    class Disc(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x: Any) -> Any:
            assert x.dtype is tg.float32
            return self.drop(circle(x)).reshape(-1, 1)

    class Estimator:
        def predict(self, X: Any) -> Any:
            assert isinstance(X, np.ndarray)
            return np.where(np.hypot(*X.T) < 2, "in", "out")

    class Sure(Estimator):
        def predict_proba(self, X: Any) -> Any:
            p = 1 / (1 + np.exp(np.hypot(*X.T) - 2))
            return np.stack([p, 1 - p], 1)

    disc = Disc()
    models = [disc, Estimator(), Sure(), lambda x: tg.sigmoid(circle(x)), lambda x: np.hypot(*x.numpy().T) < 2]
    for model in models:
        assert radius_of(plot.decision_boundary(model, limits=box, ax=canvas())) == pytest.approx(2, abs=0.02)
    assert disc.training
    assert disc.drop.training
    ax = plot.decision_boundary(circle, limits=box, level=1.0, ax=canvas())
    assert radius_of(ax) == pytest.approx(1, abs=0.02)


def test_boundaries_of_three_classes() -> None:
    def rings(x: Any) -> Any:
        r = x.norm(dim=1)
        return tg.stack([1 - r, 0 * r, r - 3], 1)

    ax = plot.decision_boundary(rings, limits=((-5, 5), (-5, 5)), ax=canvas())
    for r, k in ((0.3, 0), (2.0, 1), (4.5, 2)):
        wanted = 0.75 + 0.25 * np.asarray(matplotlib.colors.to_rgb(COLOURS[1 + k]))
        assert near(colour_at(ax, r, 0.1), wanted)


def test_points_have_the_colour_of_their_class() -> None:
    """Also where not all classes have events, or are decided for."""

    def colours(model: Any, y: Any, **more: Any) -> dict[str, int]:
        X = np.zeros((len(y), 2)) + np.arange(len(y))[:, None]
        ax = plot.decision_boundary(model, X, y, limits=((0, 5), (0, 5)), ax=canvas(), **more)
        points = [c for c in ax.collections if type(c).__name__ == "PathCollection"]
        found = {}
        for c in points:
            (found[c.get_label()],) = (k for k in range(7) if near(c.get_facecolor()[0][:3], COLOURS[1 + k], 0.001))
        return found

    def three(x: Any) -> Any:
        return tg.stack([x[:, 0], 0 * x[:, 0] + 2, x[:, 1]], 1)

    assert colours(three, [0, 2, 2]) == {"0": 0, "2": 2}
    assert colours(three, [0.0, 2.0], names="abc") == {"a": 0, "c": 2}
    assert colours(three, ["u", "v", "w"]) == {"u": 0, "v": 1, "w": 2}
    assert colours(circle, [1, 1]) == {"1": 1}
    assert colours(circle, [1, -1]) == {"-1": 0, "1": 1}
    assert colours(circle, tg.tensor([-1, -1])) == {"-1": 0}
    assert colours(lambda x: np.where(x[:, 0].numpy() > 2, "c", "a"), ["b", "c"]) == {"b": 1, "c": 2}

    class Estimator:
        classes_ = np.array([1, 2, 5])

        def predict_proba(self, X: Any) -> Any:
            return np.stack([X[:, 0], 0 * X[:, 0] + 2, X[:, 1]], 1)

    assert colours(Estimator(), [1, 2]) == {"1": 0, "2": 1}  # no numbers of columns
    with pytest.raises(ValueError, match=r"tells 3 classes apart, y holds \['u', 'v'\]"):
        colours(three, ["u", "v"])
    with pytest.raises(ValueError, match="expected labels of one kind"):
        colours(lambda x: np.where(x[:, 0].numpy() > 2, "c", "a"), [0, 1])


def test_neuron_fields_change_across_the_units_line() -> None:
    layer = nn.Linear(2, 3)
    with tg.no_grad():
        layer.weight.copy_(tg.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
        layer.bias.copy_(tg.tensor([1.0, 0.0, 0.0]))
    axes = plot.neuron_field(nn.Sequential(layer, nn.Tanh()), limits=((-4, 4), (-4, 4)), ax=canvas(4))
    assert axes.shape == (3,)
    blue, red = COLOURS[1], COLOURS[2]
    for k, (below, above) in enumerate((((-3.5, 1), (3, 1)), ((1, -3), (1, 3)), ((-3, -3), (3, 3)))):
        assert near(colour_at(axes[k], *below), blue, 0.03)
        assert near(colour_at(axes[k], *above), red, 0.03)
    assert near(colour_at(axes[0], -1.0, 2.0), "white", 0.15)  # on its line


# ---- layers


def test_histograms_have_a_panel_for_each_layer() -> None:
    values = {"one": np.array([[0.0, 1.0], [1.0, 3.0]]), "two": tg.tensor([5.0, 5.0, np.nan])}
    axes = plot.activation_histograms(values, bins=3, ax=canvas(2))
    assert [one.get_title() for one in axes] == ["one", "two"]
    assert axes[0].patches[0].get_data().values.tolist() == [0.25, 0.5, 0.25]  # bins of 1
    density = axes[1].patches[0].get_data()
    assert (density.values * np.diff(density.edges)).sum() == pytest.approx(2 / 3)
    plot.activation_histograms({"one": tg.diagnostics.histogram(tg.ones(3)), "two": [1.0]}, label="later", ax=axes)
    first, second = axes[0].patches
    assert near(first.get_edgecolor()[:3], COLOURS[1])
    assert near(second.get_edgecolor()[:3], COLOURS[2])


def test_gradient_histograms_are_of_the_weights() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"no weight has a gradient; call loss\.backward\(\) before"):
        plot.gradient_histograms(net)
    net(tg.ones(2, 3)).sum().backward()
    axes = plot.gradient_histograms(net, bins=5, ax=canvas(2))
    assert [one.get_title() for one in axes] == ["0.weight", "2.weight"]
    for one, layer in zip(axes, (net[0], net[2]), strict=True):
        density, edges = np.histogram(layer.weight.grad.double().numpy(), 5, density=True)
        assert one.patches[0].get_data().values.tolist() == pytest.approx(density.tolist())
        assert one.patches[0].get_data().edges.tolist() == pytest.approx(edges.tolist())


def test_first_layer_images_lie_side_by_side() -> None:
    weights = np.zeros((5, 6))
    weights[1, 4] = 2.0  # row 1, column 1 of an image of 2 × 3
    weights[2, 0] = -2.0
    weights[4, 5] = 1.0
    ax = plot.first_layer(weights, (2, 3), columns=2, ax=canvas())
    picture = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert picture.shape == (2 + 1 + 2 + 1 + 2, 3 + 1 + 3)
    assert picture[1, 4 + 1] == 2
    assert picture[3, 0] == -2
    assert picture[6 + 1, 2] == 1
    assert near(colour_at(ax, 5, 1), COLOURS[2])
    assert near(colour_at(ax, 0, 3), COLOURS[1])
    net = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 5))
    matrix = plot.first_layer(net, names=["pt", "eta", "phi", "m"], ax=canvas())
    assert np.array_equal(np.asarray(matrix.images[0].get_array()), net[1].weight.detach().double().numpy().T)
    assert [t.get_text() for t in matrix.get_yticklabels()] == ["pt", "eta", "phi", "m"]


def test_histograms_of_what_was_recorded() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    seen = tg.diagnostics.record(net, tg.randn(50, 3), loss=lambda y: y.sum())
    forth, back = plot.activation_histograms(seen, ax=canvas(2)), plot.gradient_histograms(seen, ax=canvas(2))
    assert [one.get_title() for one in forth] == [one.get_title() for one in back] == ["0 Linear", "1 Tanh"]
    edges = forth[1].patches[0].get_data().edges
    assert (edges[0], edges[-1]) == (float(seen[1].output.min()), float(seen[1].output.max()))
    assert back[1].patches[0].get_data().edges.mean() == pytest.approx(1)  # the sum's gradient


# ---- latencies and diagrams


def test_latencies_are_shares_of_calls() -> None:
    times = {"fast": np.repeat([100.0, 900.0], [999, 1]), "slow": tg.full((30,), 5000.0)}
    ax = plot.latency(times, deadline=1000, ax=canvas())
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    fast, slow = (patch.get_data() for patch in ax.patches)
    at = np.searchsorted(fast.edges, [100, 900], "right") - 1
    assert fast.values[at].tolist() == [0.999, 0.001]
    assert fast.values.sum() == pytest.approx(1)
    assert slow.edges[0] <= 5000 < slow.edges[1]
    assert ax.get_lines()[0].get_xdata() == [1000, 1000]
    study = [tg.realtime._latency.summarize("one", [50.0, 60.0])]
    assert plot.latency(study, ax=canvas()).get_legend().get_texts()[0].get_text() == "one: median 50"


def test_network_diagram_has_each_unit_and_each_weight() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1), nn.Softmax(-1))
    with tg.no_grad():
        net[0].weight.copy_(tg.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 2.0]]))
        net[2].weight.copy_(tg.tensor([[-3.0, 1.5]]))
    ax = plot.network_diagram(net, inputs=["a", "b", "c"], outputs=["y"], ax=canvas())
    first, second, *units = ax.collections
    assert [len(u.get_offsets()) for u in units] == [3, 2, 1]
    assert [t.get_text() for t in ax.texts] == ["3", "2\nReLU", "1\nSoftmax", "a", "b", "c", "y"]
    heights = {t.get_text(): t.get_position()[1] for t in ax.texts[3:6]}
    assert heights["a"] > heights["b"] > heights["c"]  # from the top
    by_ends = {tuple(map(tuple, s)): k for k, s in enumerate(first.get_segments())}
    top, bottom = units[1].get_offsets().tolist()
    thick = by_ends[((0.0, heights["c"]), tuple(bottom))]
    assert first.get_linewidths()[thick] == max(first.get_linewidths())
    assert near(first.get_colors()[thick][:3], COLOURS[2])
    assert near(first.get_colors()[by_ends[((0.0, heights["b"]), tuple(top))]][:3], COLOURS[1])
    assert near(second.get_colors()[0][:3], COLOURS[1])
    large = plot.network_diagram([2, 100], most=6, ax=canvas())
    assert [len(c.get_offsets()) for c in large.collections[1:]] == [2, 5, 3]  # five of 100, and dots
    assert len(large.collections[0].get_segments()) == 10
    assert [t.get_text() for t in large.texts] == ["2", "100"]


def test_phase_diagram_has_the_critical_line() -> None:
    ax = plot.phase_diagram({"deep": (2.5, 0.2)}, points=4, ax=canvas())
    line = ax.get_lines()[0].get_xydata()
    assert line[0].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert line[-1].tolist() == pytest.approx([2.505, 0.3], abs=1e-3)
    blue, red = (0.8 + 0.2 * np.asarray(matplotlib.colors.to_rgb(c)) for c in COLOURS[1:3])
    assert near(colour_at(ax, 0.3, 0.02), blue)
    assert near(colour_at(ax, 3.3, 0.02), red)
    assert ax.get_lines()[1].get_xydata().tolist() == [[2.5, 0.2]]
    assert plot.phase_diagram({"biased": (1.0, 1.0)}, points=3, ax=canvas()).get_ylim() == (0, pytest.approx(1.1))


# ---- what is refused


def broken() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 1))
    nn.init.constant_(net[0].weight, np.nan)
    return net


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: plot.history([1.0]), TypeError, r"\[plot.history\] got list, expected a History"),
        (lambda: plot.history({"loss": [1.0]}, "auc"), KeyError, "no 'auc' and no 'val_auc' in 'loss'"),
        (lambda: plot.roc([0, 1], [0.1, 0.2], ax=3), TypeError, r"ax is int, expected Axes"),
        (lambda: plot.roc([0, 1], np.ones((2, 3))), ValueError, "3 columns, y_true 2 classes"),
        (lambda: plot.roc(["s", "b"], [0.1, 0.2]), ValueError, "name the class of the signal by pos_label="),
        (lambda: plot.roc([0, 1], {}), ValueError, "empty dict"),
        (lambda: plot.roc([0, 1, 1], [0.1, 0.2]), ValueError, "y_true has 3, y_score has 2 events"),
        (lambda: plot.roc([0, 1], [0.1, np.nan]), ValueError, "y_score holds nan at index 1"),
        (lambda: plot.confusion([0, 1], np.ones((2, 2))), ValueError, r"y_pred\.argmax\(1\)"),
        (lambda: plot.confusion([0, 1], [0, 1], names="abc"), ValueError, "got 3 names for 2 classes"),
        (lambda: plot.scores([0, 1], np.ones((2, 2))), ValueError, r"draw one class: y_score\[:, k\]"),
        (lambda: plot.decision_boundary(circle), ValueError, "neither points nor limits"),
        (
            lambda: plot.decision_boundary(circle, np.ones((3, 4))),
            ValueError,
            r"X has shape \(3, 4\), expected \(n, 2\)",
        ),
        (lambda: plot.decision_boundary(circle, np.ones((3, 2)), [1]), ValueError, "y has 1 events, X 3"),
        (lambda: plot.decision_boundary(3, np.ones((3, 2))), TypeError, "model is int, expected a module"),
        (lambda: plot.decision_boundary(lambda x: x.sum(), np.ones((3, 2))), ValueError, r"the model made \(\)"),
        (lambda: plot.decision_boundary(lambda x: x[:, 0] / 0, np.ones((3, 2))), ValueError, "NaN or infinity at"),
        (lambda: plot.neuron_field(lambda x: x / 0, limits=((0, 1), (0, 1))), ValueError, "infinity at 10000 points"),
        (lambda: plot.neuron_field(circle, limits=((0, 1), (0, 1)), columns=0), ValueError, "columns is 0"),
        (lambda: plot.decision_boundary(circle, limits=((1, 0), (0, 1))), ValueError, "limits are"),
        (
            lambda: plot.neuron_field(circle, limits=((0, 1), (0, 1)), names=["a", "b"]),
            ValueError,
            "2 names for 1 units",
        ),
        (lambda: plot.loss_surface([0, 1], [0, 1, 2], np.ones((3, 2))), ValueError, r"expected \(2, 3\)"),
        (lambda: plot.loss_surface([0, 1], [0, 1], -np.ones((2, 2)), log=True), ValueError, "finite and above 0"),
        (lambda: plot.accuracy_grid([1], [2], [[np.nan]]), ValueError, "no finite number"),
        (lambda: plot.accuracy_grid([1], [2], [[np.inf]]), ValueError, "no finite number"),
        (lambda: plot.first_layer([[np.nan, np.inf]]), ValueError, "no finite number"),
        (lambda: plot.network_diagram(broken()), ValueError, "a weight is NaN or infinite"),
        (lambda: plot.phase_diagram({"a": (1.0, -0.1)}), ValueError, "a has the variances"),
        (lambda: plot.neuron_field(circle, limits=((0, 1), (0, 1)), points=1), ValueError, "points is 1"),
        (lambda: plot.decision_boundary(circle, limits=((0, np.inf), (0, 1))), ValueError, "limits are"),
        (
            lambda: plot.roc([0, 1], np.ones((2, 2)), pos_label=2),
            ValueError,
            r"pos_label is 2, expected one of \[0, 1\]",
        ),
        (lambda: plot.accuracy_grid([1], [2], [[1.0, 2.0]]), ValueError, r"shape \(1, 2\), expected \(1, 1\)"),
        (lambda: plot.first_layer(np.ones((3, 10)), (3, 3)), ValueError, r"rows × columns of an image of 10 features"),
        (lambda: plot.first_layer(nn.ReLU()), ValueError, "ReLU has no weights of two axes"),
        (lambda: plot.activation_histograms({}), ValueError, "no activation of any layer"),
        (lambda: plot.activation_histograms({"a": [1.0], "b": [2.0]}, ax=canvas()), ValueError, "1 Axes for 2 panels"),
        (lambda: plot.activation_histograms({"a": [1.0]}, ax="b"), TypeError, "ax holds str"),
        (lambda: plot.latency({}), TypeError, "got nothing, expected latencies of a realtime.study"),
        (lambda: plot.latency([1.0]), TypeError, "got float"),
        (lambda: plot.network_diagram(nn.ReLU()), ValueError, r"ReLU has no Linear layer; give numbers of units"),
        (lambda: plot.network_diagram([3]), ValueError, r"layers of \[3\] units"),
        (lambda: plot.network_diagram([3, 2], most=2), ValueError, "most is 2"),
        (
            lambda: plot.network_diagram(nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 1))),
            ValueError,
            "takes 4 numbers behind one that gives 3",
        ),
        (lambda: plot.network_diagram([3, 2], inputs=["a"]), ValueError, "1 names for 3 units"),
        (lambda: plot.phase_diagram(points=1), ValueError, "1 points up to"),
        (lambda: plot.phase_diagram(activation=tg.relu), ValueError, r"no line of critical variances.*such as tanh"),
        (lambda: plot.network_diagram(3), TypeError, r"got int, expected a module or numbers of units"),
        (lambda: plot.activation_histograms({"a": ["x"]}), TypeError, "a holds <U1, expected numbers"),
    ],
)
def test_bad_input_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
