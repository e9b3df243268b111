"""The benchmark scripts run and their answers are right. No time is asserted: that needs a quiet machine."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
has_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def run(script: str, out: Path, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    command = [sys.executable, str(BENCHMARKS / script), "--quick", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return done.stdout, rows


def statuses(rows: list[dict[str, Any]], peer: str) -> dict[str, str]:
    """Case -> what kept `peer` from being timed; empty when all went well."""
    found = {r["case"]: r["peers"][peer] for r in rows}
    return {case: f"{t['status']} {t['faults']}" for case, t in found.items() if t["status"] != "ok"}


def test_kernels_times_every_kind_of_case_with_right_answers(tmp_path: Path) -> None:
    groups = "dense,narrow,neighbouring,matmul,pointwise,rows,batch norm,reductions"
    printed, rows = run(
        "kernels.py", tmp_path / "kernels.json", "--peers", "trigrad,numpy", "--threads", "1", "--group", groups
    )
    assert statuses(rows, "trigrad") == {}
    assert all(r["peers"]["trigrad"]["us"] > 0 for r in rows)
    assert {r["op"] for r in rows} >= {
        "dense",
        "dense_grad_weight",
        "matmul",
        "exp",
        "dropout",
        "softmax",
        "sum",
    }
    assert "Behind the goal" in printed
    assert "numpy: missing in" in printed  # what NumPy does not have is said


@has_torch
def test_kernels_against_torch(tmp_path: Path) -> None:
    _, rows = run("kernels.py", tmp_path / "kernels.json", "--peers", "trigrad,torch", "--threads", "1")
    assert statuses(rows, "torch") == {}
    ratios = [r["speedup"]["torch"] for r in rows if r["speedup"]]
    assert ratios
    assert all(r["least"] <= r["greatest"] for r in ratios)


def test_a_library_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "torch"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('no torch on this machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    printed, rows = run(
        "kernels.py", tmp_path / "out.json", "--peers", "trigrad,torch", "--threads", "1", "--only", "exp 1024"
    )
    assert [r["peers"]["torch"]["status"] for r in rows] == ["missing"] * len(rows)
    assert "torch: missing in" in printed
    assert "no torch on this machine" in printed


def test_batch_scaling_writes_its_csv(tmp_path: Path) -> None:
    csv = tmp_path / "scaling.csv"
    _, rows = run("batch_scaling.py", tmp_path / "out.json", "--peers", "trigrad", "--threads", "1", "--csv", str(csv))
    lines = csv.read_text().splitlines()
    assert lines[0] == "curve,peer,threads,batch,us,ns_per_row"
    assert len(lines) == 1 + len(rows) == 1 + 2 * 9  # two batches of every curve


def test_overhead_times_calls_and_imports(tmp_path: Path) -> None:
    _, rows = run("overhead.py", tmp_path / "out.json", "--peers", "trigrad,numpy")
    *calls, imports = rows
    assert all(call["trigrad"] > 0 for call in calls)
    assert set(imports["imports"]) == {"trigrad", "numpy"}


def test_training_times_steps_that_agree(tmp_path: Path) -> None:
    printed, rows = run("training.py", tmp_path / "training.json", "--peers", "trigrad,trigrad eager")
    assert rows[0]["faults"] == {}
    assert set(rows[0]["us"]) == {"trigrad", "trigrad eager"}
    assert rows[0]["ratios"]["trigrad eager"] > 0
    assert "jet 128" in printed


def test_epoch_times_epochs(tmp_path: Path) -> None:
    printed, rows = run("epoch.py", tmp_path / "epoch.json", "--peers", "trigrad,scikit-learn")
    assert rows[0]["faults"] == {}
    assert rows[0]["seconds"]["trigrad"][0] > 0
    assert "5000 jets" in printed
