"""The latency study: what it measures is plausible, its files are whole, the command runs."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from realtime_models import build, chain
from trigrad import _core, cli, metrics, nn
from trigrad.metrics import UndefinedMetricWarning
from trigrad.realtime import Predictor, Scaler, Study, _latency, _study, study

PEERS = {"NumPy", "PyTorch", "ONNX Runtime"}


def labelled(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = (rng.random(n) < 0.5).astype(int)
    return (rng.standard_normal((n, 12)) + y[:, None] * 0.1).astype("f"), y


@pytest.fixture(scope="module")
def found() -> Study:
    return study(build("ecal"), *labelled(4000), seconds=0.02, batches=(1, 64), trigger_rate_khz=1000.0, seed=3)


def test_every_condition_is_measured_or_named(found: Study) -> None:
    median = {}
    for each in found.latencies:
        q = each.quantiles
        median[each.name] = q["median"]
        assert each.calls >= 64
        assert 0 < q["median"] <= q["p90"] <= each.maximum
        assert q["p99.99"] is None, "fewer than a million calls say nothing about one in ten thousand"
        assert sum(each.histogram.counts) == each.calls
    assert next(iter(median)) == "C++ library, hot"
    assert {"Python, p(x)", "Python, p.decide(x, cut)", "C++ library, after 100 µs idle"} <= set(median)
    for name in ("C++ library, from memory", "C++ header, hot", *(f"Python, {peer}" for peer in PEERS)):
        short = name.removeprefix("Python, ").removeprefix("C++ library, ").removesuffix(", hot")
        assert (name in median) != (short in found.missing), f"{name} is neither measured nor named, or both"
    assert "Python, NumPy" in median
    if "C++ library, from memory" in median:
        assert median["C++ library, from memory"] > 1.5 * median["C++ library, hot"]
    assert median["Python, the eager model"] > 2 * median["Python, p(x, out)"]
    assert found.throughput["trigrad"][64] > found.throughput["trigrad"][1]
    assert {1, 64} == set(found.throughput["NumPy"])


def test_decisions_are_those_of_the_scores(found: Study) -> None:
    x, y = labelled(4000)
    score = np.concatenate([Predictor(build("ecal"))(e) for e in x])
    d = found.decisions
    assert d is not None
    assert d.auc == metrics.roc_auc_score(y, score)
    assert d.point is not None
    passed = float((score[y == 0] >= np.float32(d.point.threshold)).mean())
    assert d.point.rate_khz == pytest.approx(40_000 * passed)
    assert 0 < 40_000 * passed <= 1000
    assert d.point.signal_efficiency == pytest.approx((score[y == 1] >= np.float32(d.point.threshold)).mean())
    assert d.point.threshold_interval.low <= d.point.threshold <= d.point.threshold_interval.high
    curve = np.array([d.background_efficiency, d.signal_efficiency])
    assert curve.shape[1] <= 500
    assert (np.diff(curve) >= 0).all()
    assert curve[:, 0].tolist() == [0, 0]
    assert curve[:, -1].tolist() == [1, 1]
    for b, s in curve.T[1::40]:  # each kept point lies on the curve: some cut gives it
        cut = np.sort(score[y == 0])[::-1][round(b * (y == 0).sum()) - 1] if b > 0 else np.inf
        assert s == pytest.approx((score[y == 1] >= cut).mean(), abs=0.01)


def test_a_score_among_several_outputs() -> None:
    x, y = labelled(300)
    model = chain(12, 3)
    some = study(model, x, y, output=2, seconds=0.001, batches=(1,), header=False, others=False)
    assert some.decisions is not None
    assert some.decisions.auc == metrics.roc_auc_score(y, np.stack([Predictor(model)(e) for e in x])[:, 2])
    with pytest.raises(ValueError, match="the model has 3 outputs; say which one is the score"):
        study(model, x, y, seconds=0.001)


def test_a_threshold_that_nothing_passes_is_no_number() -> None:
    score = np.ones(50)
    d = _study._decisions(score, np.arange(50) % 2, None, 1.0, 40_000.0)
    assert d.point is not None
    assert d.point.threshold == math.inf
    assert json.loads(json.dumps(d.values(), allow_nan=False))["working_point"]["threshold"] is None


def test_floor(found: Study) -> None:
    f = found.floor
    least = [
        value for name, value in f.items() if name.startswith(("multiply-adds at", "weights", "multiply-adds that"))
    ]
    assert len(least) == 3
    assert f["floor, ns"] == max(least)
    assert all(value > 0 for value in least)
    # 12-32-16-1: dense layers of 32, 16 and 1 outputs have 2 chains where 12 >= 16 terms do not hold, 4 and 4
    assert f["longest chain of multiply-adds"] == 12 + 32 / 4 + 16 / 2
    wide = _core.limits(Predictor(chain(784, 512)))
    assert wide[3] == 784
    both = nn.DenseConcat(nn.Linear(40, 100))
    assert _core.limits(Predictor(nn.Sequential(both, nn.Linear(140, 64))))[3] == 40 + 140


def test_the_same_clock_for_all() -> None:
    clock, step, _ = _core.clock_of_calls()
    assert clock in ("rdtscp", "clock_gettime")
    assert 0 < step < 1e4
    with pytest.raises(ValueError, match=r"\[study\] got 0 calls"):
        _core.time_calls(None, np.zeros((1, 1), "f"), 0, 0, False, 0)
    with pytest.raises(ValueError, match=r"of events \(N, 4\)"):
        _core.time_calls(Predictor(nn.Linear(4, 1)), np.zeros((1, 5), "f"), 1, 0, False, 0)


def test_files(found: Study, tmp_path: Path) -> None:
    found.to_json(tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text())
    model = data["provenance"]["model"]
    assert (model["inputs"], model["floating-point operations of an event"]) == (12, 2 * (12 * 32 + 32 * 16 + 16))
    assert re.fullmatch("[0-9a-f]{64}", model["sha256 of its plan"])
    assert data["provenance"]["seed"] == 3
    assert {"cpu", "isa", "compiler", "versions", "clock", "events"} <= set(data["provenance"])
    assert {"floor", "missing", "throughput", "decisions"} <= set(data)
    assert data["decisions"]["working_point"]["input_rate_khz"] == 40_000
    assert _latency.read(found.to_json()) == found.latencies
    found.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    names = [cell.text for cell in ET.fromstring(page.removeprefix("<!DOCTYPE html>")).iter("td")]
    assert {each.name for each in found.latencies} <= set(names)
    assert page.count("<figure>") == 3
    assert not re.search(r"(src|href|url\(|@import|<script|<link)", page)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, page = str(tmp_path / "m.tgplan"), tmp_path / "m.html"
    Predictor(chain(4, 1)).save(plan)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((200, 4)).astype("f"))
    np.save(tmp_path / "y.npy", np.arange(200) % 2)
    quick = ["--seconds", "0.002", "--batches", "1", "8", "--no-header", "--no-others"]
    events = ["--events", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"), "--trigger-rate-khz", "4000"]
    assert cli.main(["latency", plan, *events, *quick, "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "C++ library, hot" in said
    assert re.search(r"rate in kHz +\d", said)
    assert page.is_file()
    assert cli.main(["latency", plan, *quick, "--json", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["provenance"]["events"]["number"] == 1024
    capsys.readouterr()
    for wrong, part in (
        ([plan, *events[2:]], "--labels belong to events"),
        (["nowhere.tgplan"], "nowhere.tgplan"),
        ([plan, "--json", str(tmp_path / "nowhere" / "m.json")], "there is no folder for"),
        ([plan, "--trigger-rate-khz", "100"], "got trigger_rate_khz without labels"),
    ):
        assert cli.main(["latency", *wrong, *quick]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("trigrad latency: ")
        assert part in captured.err


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"X has shape \(4,\)"):
        study(nn.Linear(4, 1), np.zeros(4, "f"))
    with pytest.raises(ValueError, match="seconds is 0"):
        study(nn.Linear(4, 1), np.zeros((1, 4), "f"), seconds=0)
    with pytest.raises(ValueError, match="got scaler with a Predictor"):
        study(Predictor(nn.Linear(4, 1)), np.zeros((1, 4), "f"), scaler=Scaler())
    model, x = nn.Linear(4, 2), np.zeros((1, 4), "f")
    with pytest.raises(ValueError, match=r"X has shape \(1, 5\), expected events as rows: \(N, 4\)"):
        study(model, np.zeros((1, 5), "f"))
    with pytest.raises(IndexError, match="output is 2, expected one of the 2 outputs"):
        study(model, x, [1], output=2)
    for rows in (0, 262_145):
        with pytest.raises(ValueError, match="expected 1 to 262144 rows each"):
            study(model, x, batches=(1, rows))


def test_labels_of_one_class_make_json(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 4)).astype("f")
    with pytest.warns(UndefinedMetricWarning):
        found = study(
            *(nn.Linear(4, 1), x, np.zeros(20)),
            trigger_rate_khz=100,
            seconds=0.002,
            batches=(1,),
            header=False,
            others=False,
        )
    written = json.loads(found.to_json(tmp_path / "s.json"))["decisions"]
    assert written["auc"] is None
    assert set(written["signal_efficiency"]) == {None}
