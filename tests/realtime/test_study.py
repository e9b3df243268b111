"""The latency study: what it measures is plausible, its files are whole, the command runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from realtime_models import build, chain
from trigrad import cli, nn
from trigrad.realtime import Predictor, Study, _latency, study


@pytest.fixture(scope="module")
def found() -> Study:
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.5).astype(int)
    x = (rng.standard_normal((4000, 12)) + y[:, None] * 0.1).astype("f")
    return study(build("ecal"), x, y, seconds=0.02, batches=(1, 64), trigger_rate_khz=1000.0)


def test_every_condition_is_measured(found: Study) -> None:
    median = {}
    for each in found.latencies:
        q = each.quantiles
        median[each.name] = q["median"]
        assert each.calls >= 64
        assert 0 < q["median"] <= q["p90"] <= each.maximum
        assert q["p99.99"] is None, "fewer than a million calls say nothing about one in ten thousand"
        assert sum(each.histogram.counts) == each.calls
    assert next(iter(median)) == "C++, hot"
    assert median["C++, weights in memory"] > 1.5 * median["C++, hot"]
    assert median["Python, the eager model"] > 2 * median["Python, p(x, out)"]
    assert "Python, p(x)" in median
    assert found.throughput[64] > found.throughput[1]


def test_decisions(found: Study) -> None:
    d = found.decisions
    assert 0 <= d["AUC"] <= 1
    assert d["trigger rate, kHz"] <= 1e3
    assert d["threshold interval"][0] <= d["threshold"] <= d["threshold interval"][1]


def test_files(found: Study, tmp_path: Path) -> None:
    found.to_json(tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text())
    model = data["provenance"]["model"]
    assert model["inputs"] == 12
    assert re.fullmatch("[0-9a-f]{64}", model["sha256 of its plan"])
    assert data["provenance"]["seed"] == 0
    assert {"cpu", "isa", "compiler", "versions", "clock"} <= set(data["provenance"])
    assert _latency.read(found.to_json()) == found.latencies
    found.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert all(each.name in page for each in found.latencies)
    assert not re.search(r"(src|href|url\(|@import|<script|<link)", page)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, page = tmp_path / "m.tgplan", tmp_path / "m.html"
    Predictor(chain(4, 3)).save(plan)
    np.save(tmp_path / "x.npy", np.zeros((5, 4), "f"))
    assert (
        cli.main(["latency", str(plan), "--events", str(tmp_path / "x.npy"), "--seconds", "0.01", "--html", str(page)])
        == 0
    )
    assert "C++, hot" in capsys.readouterr().out
    assert page.is_file()


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"X has shape \(4,\)"):
        study(nn.Linear(4, 1), np.zeros(4, "f"))
    with pytest.raises(ValueError, match="the model has 2 outputs; labels y need a model with one score"):
        study(nn.Linear(4, 2), np.zeros((8, 4), "f"), np.zeros(8), seconds=0.001, batches=(1,))
