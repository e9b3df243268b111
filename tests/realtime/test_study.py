"""The latency study: what it measures is plausible, its files are whole, the command runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from realtime_models import build, chain
from trigrad import cli, nn
from trigrad.realtime import Predictor, Study, study
from trigrad.realtime._study import _histogram, _summary


@pytest.fixture(scope="module")
def found() -> Study:
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.5).astype(int)
    x = (rng.standard_normal((4000, 12)) + y[:, None] * 0.1).astype("f")
    return study(build("ecal"), x, y, seconds=0.02, batches=(1, 64), trigger_rate=1e6)


def test_every_condition_is_measured(found: Study) -> None:
    names = list(found.latency)
    assert names[0] == "C++, hot"
    assert {"Python, p(x, out)", "Python, p(x)", "Python, the eager model"} <= set(names)
    for row in found.latency.values():
        assert row["calls"] >= 64
        assert 0 < row["median"] <= row["p90"] <= row["p99"] <= row["max"]
        assert row["p99.99"] is None, "fewer than a million calls say nothing about one in ten thousand"
    assert found.latency["C++, weights in memory"]["median"] > 1.5 * found.latency["C++, hot"]["median"]
    assert found.latency["Python, the eager model"]["median"] > 2 * found.latency["Python, p(x, out)"]["median"]
    assert found.throughput[64] > found.throughput[1]


def test_decisions(found: Study) -> None:
    d = found.decisions
    assert 0 <= d["AUC"] <= 1
    assert d["trigger rate, kHz"] <= 1e3
    assert d["threshold interval"][0] <= d["threshold"] <= d["threshold interval"][1]


def test_summary_and_histogram() -> None:
    times = np.arange(1, 1_000_001, dtype="f")
    row = _summary(times)
    assert (row["median"], row["max"]) == (500000.5, 1e6)
    assert row["p99.99"] is not None
    assert abs(row["p99.99"] - 999900) < 2
    assert _summary(times[:99_999])["p99.9"] is None
    edges, counts = _histogram(times)
    assert sum(counts) == 1_000_000
    assert np.allclose(np.diff(np.log10(edges)), 0.1)
    assert counts[edges.index(10.0)] == sum(
        1 for v in range(10, 20) if edges[edges.index(10.0)] <= v < edges[edges.index(10.0) + 1]
    )


def test_files(found: Study, tmp_path: Path) -> None:
    found.to_json(tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["provenance"]["inputs"] == 12
    assert re.fullmatch("[0-9a-f]{64}", data["provenance"]["model (sha256 of its plan)"])
    assert data["provenance"]["seed"] == 0
    assert {"processor", "instruction set", "compiler", "numpy", "clock"} <= set(data["provenance"])
    found.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("<svg") == len(found.latency)
    assert "http" not in page


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
