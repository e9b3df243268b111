"""Predictors of int16 and int8: the bits of exact integer sums on every path, ranges from the events given, and no others."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from realtime_integers import Array, of_integers
from realtime_models import ACTIVATIONS, MODELS, build, chain, eager, events, rounded, same_bits, trained_norm
from trigrad import _core, nn
from trigrad.realtime import Predictor, Scaler, difference

INTEGERS = ("int8", "int16")
WIDTHS = (1, 3, 5, 7, 15, 16, 17, 31, 33, 63, 65)


def typical(features: int, count: int = 300, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, features)).astype("f")


def check(model: nn.Module, features: int, precision: str, isas: tuple[str, ...], rows: int = 120) -> None:
    calibration, x = typical(features), events(features, rows)
    expected = eager(of_integers(model, calibration, precision), x)
    assert np.isfinite(expected).any()
    for isa in isas:
        _core.set_isa(isa)
        p = Predictor(model, rows, precision, calibration=calibration)
        assert same_bits(np.stack([p(row) for row in x]), expected), isa
        for count in (1, 3, 17, rows):
            assert same_bits(p(x[:count]), expected[:count]), (isa, count)
        q = Predictor.from_bytes(p.to_bytes(), rows)
        assert (q.to_bytes(), q.nbytes, q.precision, q.error) == (p.to_bytes(), p.nbytes, precision, None)
        assert same_bits(q(x), expected)


@pytest.mark.parametrize("precision", INTEGERS)
@pytest.mark.parametrize("name", MODELS)
def test_bits_of_exact_sums(name: str, precision: str) -> None:
    model = build(name)
    check(model, Predictor(model).inputs, precision, tuple(_core.available_isas()))


@pytest.mark.parametrize("precision", INTEGERS)
@pytest.mark.parametrize("name", [a for a in ACTIVATIONS if a != "Maxout"])
def test_every_activation_stays_in_float32(name: str, precision: str) -> None:
    check(build(name), 7, precision, _core.available_isas()[-1:], 40)


@pytest.mark.parametrize("precision", INTEGERS)
def test_odd_widths(precision: str) -> None:
    tg.manual_seed(1)
    for width in WIDTHS:
        model = chain(width, width, 66 - width, 1 + width % 5)
        check(model, width, precision, tuple(_core.available_isas()), 40)


@pytest.mark.parametrize("precision", INTEGERS)
def test_wide(precision: str) -> None:
    """Layers in several parts, one column of many terms."""
    tg.manual_seed(2)
    check(chain(28, 300, 300, 1, last=nn.Sigmoid()), 28, precision, tuple(_core.available_isas()), 30)


def test_maxout() -> None:
    """Its dense layer is a part of it, so the maximum is taken of sums of integers."""
    model = nn.Sequential(nn.Maxout(7, 24, 3), nn.Linear(24, 2)).eval()
    calibration, x = typical(7), typical(7, 50, 1)
    p = Predictor(model, 50, "int16", calibration=calibration)
    assert difference(p, model, x)["largest"] < 1e-3
    assert same_bits(np.stack([p(row) for row in x]), p(x))


@pytest.mark.parametrize("precision", INTEGERS)
def test_threads(precision: str) -> None:
    p = Predictor(build("jet"), 20_000, precision, calibration=typical(16))
    x = events(16, 20_000)
    tg.set_num_threads(1)
    expected = p(x)
    tg.set_num_threads(3)
    assert same_bits(p(x), expected)
    assert same_bits(np.stack([p(row) for row in x[:300]]), expected[:300])


# ---- accuracy


@pytest.mark.parametrize(("precision", "largest"), [("bfloat16", 0.02), ("int16", 5e-4), ("int8", 0.06)])
def test_close_to_the_model_on_other_events(precision: Any, largest: float) -> None:
    """Of logits of the order of one; the calibration has none of the events that are asked."""
    tg.manual_seed(4)
    for model in (chain(16, 64, 32, 32, 5), chain(28, 300, 300, 1, activation=nn.Tanh)):
        features = model[0].in_features
        p = Predictor(model, precision=precision, calibration=typical(features, 2000))
        assert p.error is not None
        assert p.error["events"] == 2000
        found = difference(p, model, typical(features, 2000, 1))
        assert 0 < found["rms"] < found["largest"] < largest * (1 + np.abs(eager(model, typical(features))).max())
        assert found["rms"] < 3 * p.error["rms"]


def test_features_of_any_size() -> None:
    """Each feature of the event has its own range."""
    sizes = np.logspace(-6, 6, 16).astype("f")
    model = build("jet")
    scaled = copy.deepcopy(model)
    with tg.no_grad():
        scaled[0].weight.copy_(model[0].weight / tg.tensor(sizes))
    x = typical(16, 1000, 1)
    found = [
        difference(Predictor(m, precision="int8", calibration=c), m, e)["rms"]
        for m, c, e in ((model, typical(16), x), (scaled, typical(16) * sizes, x * sizes))
    ]
    assert found[1] < 1.5 * found[0] < 0.01


def test_the_error_is_what_numpy_finds() -> None:
    model, calibration = build("jet"), typical(16)
    p = Predictor(model, 300, "int8", calibration=calibration)
    apart = p(calibration).astype("d") - eager(model, calibration)
    assert p.error is not None
    assert p.error["largest"] == np.abs(apart).max()
    assert p.error["rms"] == pytest.approx(np.sqrt((apart**2).mean()), rel=1e-12)
    assert difference(p, model, calibration) == pytest.approx(p.error)
    assert p.error == pytest.approx(difference(p, Predictor(model), tg.tensor(calibration)))
    p.error["largest"] = 0
    assert p.error["largest"] > 0
    zero = Predictor(model, precision="float32", calibration=calibration).error
    assert zero == {"events": 300, "largest": 0.0, "rms": 0.0}
    assert Predictor(model).error is None


def test_what_is_wrong_with_a_difference() -> None:
    p = Predictor(build("jet"))
    with pytest.raises(TypeError, match="got a int, expected a Predictor"):
        difference(3, build("jet"), np.zeros((2, 16), "f"))
    with pytest.raises(ValueError, match=r"X has shape \(16,\), expected events as rows: \(N, 16\)"):
        difference(p, build("jet"), np.zeros(16, "f"))
    with pytest.raises(ValueError, match="the models differ: 16 features and 5 outputs, 12 and 1"):
        difference(p, build("ecal"), np.zeros((2, 16), "f"))
    assert np.isnan(difference(p, Predictor(build("jet"), scaler=Scaler(nan=0.0)), np.full((2, 16), np.nan))["largest"])


# ---- NaN, infinities, what was never seen


@pytest.mark.parametrize("precision", INTEGERS)
def test_nan_is_not_lost(precision: str) -> None:
    """An integer cannot hold a NaN, so the answers that it would reach in float32 are NaN, and no others."""
    model = build("concatenation last")
    p = Predictor(model, 40, precision, calibration=typical(9))
    x = typical(9, 40, 2)
    x[7, 3] = np.nan
    y = p(x)
    assert (np.isnan(y) == np.isnan(eager(model, x))).all()
    assert np.isnan(y[7]).any()
    assert not np.isnan(y[7]).all()
    assert same_bits(np.stack([p(row) for row in x]), y)
    refusing = Predictor(model, 40, precision, calibration=typical(9), scaler=Scaler(nan="refuse"))
    with pytest.raises(ValueError, match="row 7 of x has a NaN"):
        refusing(x)


@pytest.mark.parametrize("precision", INTEGERS)
def test_ends_of_the_range(precision: str) -> None:
    """What lies beyond is at the end, infinities too; the room beyond the calibration is a half, or threefold."""
    model = nn.Linear(1, 1, bias=False)
    with tg.no_grad():
        model.weight.fill_(1)
    p = Predictor(model, precision=precision, calibration=np.array([[-1], [3]], "f"))
    low, high = (-1.5, 4.5) if precision == "int8" else (-12, 12)
    ends = [p(np.array([v], "f"))[0] for v in (-np.inf, -1e30, 1e30, np.inf)]
    assert ends == pytest.approx([low, low, high, high], abs=0.03)
    assert p(np.array([0], "f"))[0] == 0
    assert p(np.array([-0.0], "f"))[0] == 0


@pytest.mark.parametrize("precision", INTEGERS)
def test_calibrations(precision: Any) -> None:
    model = build("ecal")
    x = typical(12, 20, 1)
    for calibration in (
        np.zeros((5, 12), "f"),
        typical(12, 1),
        np.full((3, 12), 1e-40, "f"),
        np.full((1, 12), 1e36, "f"),
        typical(12).astype("d"),
        tg.tensor(typical(12)),
        np.arange(24).reshape(2, 12),
        np.asfortranarray(typical(12)),
    ):
        p = Predictor(model, 20, precision, calibration=calibration)
        assert np.isfinite(p(x)).all()
        assert same_bits(np.stack([p(row) for row in x]), p(x))
    for wrong, error, text in (
        (None, ValueError, rf"precision {precision} needs calibration=X, typical events of shape \(N, 12\)"),
        (
            np.zeros((0, 12), "f"),
            ValueError,
            r"calibration has shape \(0, 12\), expected typical events as rows: \(N, 12\)",
        ),
        (np.zeros(12, "f"), ValueError, r"calibration has shape \(12,\)"),
        (np.zeros((4, 11), "f"), ValueError, r"calibration has shape \(4, 11\)"),
        (np.zeros((4, 12), bool), TypeError, "calibration has dtype bool"),
    ):
        with pytest.raises(error, match=text):
            Predictor(model, precision=precision, calibration=wrong)
    for bad in (np.nan, np.inf, -np.inf):
        given = typical(12)
        given[41, 5] = bad
        with pytest.raises(
            ValueError, match=f"calibration event 41 gives a dense layer -?(nan|inf), for which {precision}"
        ):
            Predictor(model, precision=precision, calibration=given)
    given[41, 5] = np.nan
    assert Predictor(model, precision=precision, calibration=given, scaler=Scaler(nan=0.0)).error is not None


def test_weights_that_integers_cannot_hold() -> None:
    model = nn.Linear(2, 2)
    with tg.no_grad():
        model.weight[1, 1] = np.inf
    with pytest.raises(ValueError, match="a dense layer has the weight inf, which int8 cannot hold"):
        Predictor(model, precision="int8", calibration=typical(2))
    with tg.no_grad():
        model.weight.fill_(0)
    p = Predictor(model, precision="int8", calibration=typical(2))
    assert same_bits(p(typical(2, 1)[0]), model.bias.detach().numpy())


# ---- what it costs, and who else


def test_blocks_are_small() -> None:
    model = chain(28, 300, 300, 300, 1)
    sizes = [
        Predictor(model, precision=p, calibration=typical(28)).nbytes for p in ("float32", "bfloat16", "int16", "int8")
    ]
    assert sizes[1] < 0.54 * sizes[0]
    assert sizes[2] < 0.58 * sizes[0]
    assert sizes[3] < 0.33 * sizes[0]
    files = [
        len(Predictor(model, precision=p, calibration=typical(28)).to_bytes())
        for p in ("float32", "bfloat16", "int16", "int8")
    ]
    assert np.allclose(np.array(files[1:]) / files[0], [0.5, 0.5, 0.25], atol=0.03)


def test_bfloat16_of_small_and_wide_layers() -> None:
    for model, features in ((chain(20, 64, 64, 65, 3), 20), (chain(200, 1), 200)):
        p = Predictor(model, 40, "bfloat16")
        x = events(features, 40)
        assert same_bits(p(x), eager(rounded(model), x))
        assert same_bits(np.stack([p(row) for row in x]), p(x))
        assert p.precision == "bfloat16"


@pytest.mark.parametrize("precision", INTEGERS)
def test_decisions(precision: str) -> None:
    p = Predictor(build("ecal"), 200, precision, calibration=typical(12))
    x = events(12, 200)
    y = p(x)[:, 0]
    for threshold in (0.1, 0.5, float(np.nanmedian(y)), 0.9):
        assert [p.decide(row, threshold) for row in x] == (y >= np.float32(threshold)).tolist()


def test_norms_scalers_and_logits() -> None:
    model = nn.Sequential(trained_norm(6), nn.Linear(6, 30), nn.Tanh(), nn.Linear(30, 4), nn.Softmax(-1))
    scaler = Scaler(offset=0.5, scale=2, low=-3, high=3, nan=0.0)
    options: dict[str, Any] = {"raw_logits": True, "scaler": scaler}
    p = Predictor(model, precision="int16", calibration=typical(6, 1000), **options)
    assert p.precision == "int16"
    assert difference(p, model, typical(6, 500, 1), **options)["largest"] < 1e-2
