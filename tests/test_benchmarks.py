"""The benchmark scripts run and their answers are right. No time is asserted: that needs a quiet machine."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg

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


SERVER = """
import sys
sys.path.insert(0, {folder!r})
from serving import serve

class Server:
    def __init__(self):
        if sys.argv[1] == "absent":
            import no_such_library

    def double(self, x):
        print("what a library says")
        return {{"status": "ok", "y": 2 * x}}

    def absent(self):
        import no_such_library

serve(Server, threads=int(sys.argv[2]))
"""


def test_workers_answer_each_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    harness = importlib.import_module("harness")
    script = tmp_path / "server.py"
    script.write_text(SERVER.format(folder=str(BENCHMARKS)))
    worker = harness.Worker("here", 1, str(script))
    try:
        assert worker.ask("double", x=4) == {"status": "ok", "y": 8}
        assert worker.ask("absent")["status"] == "missing"
        assert worker.ask("double", x={})["status"] == "invalid"
        assert "AttributeError" in worker.ask("triple")["faults"][""]
        assert worker.ask("double", x=1)["y"] == 2
    finally:
        worker.close()
    worker = harness.Worker("absent", 1, str(script))
    try:
        assert worker.state["status"] == worker.ask("double", x=1)["status"] == "missing"
    finally:
        worker.close()


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


def test_estimators_fits_both_to_the_same_score(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    printed, rows = run("estimators.py", tmp_path / "e.json", "--threads", "1", "--only", "iris,showers")
    assert len(rows) == 4
    assert all(abs(r["scores"]["trigrad"] - r["scores"]["scikit-learn"]) < 0.1 for r in rows)
    assert "scikit-learn's" in printed


def test_batch_scaling_writes_its_csv(tmp_path: Path) -> None:
    csv = tmp_path / "scaling.csv"
    _, rows = run("batch_scaling.py", tmp_path / "out.json", "--peers", "trigrad", "--threads", "1", "--csv", str(csv))
    lines = csv.read_text().splitlines()
    assert lines[0] == "curve,peer,threads,batch,us,ns_per_row"
    assert len(lines) == 1 + len(rows) == 1 + 2 * 9  # two batches of every curve


def test_metrics_agree_with_sklearn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    printed, rows = run("metrics.py", tmp_path / "out.json", "--threads", "1")
    assert [r["case"] for r in rows if not r["agree"]] == []
    assert all(r["trigrad"] > 0 for r in rows)
    assert sum("ratio" in r for r in rows) > 20
    assert "scikit-learn" in printed


def test_overhead_times_calls_and_imports(tmp_path: Path) -> None:
    _, rows = run("overhead.py", tmp_path / "out.json", "--peers", "trigrad,numpy")
    *calls, imports = rows
    assert all(call["trigrad"] > 0 for call in calls)
    assert set(imports["imports"]) == {"trigrad", "numpy"}


def test_taped_times_calls_and_their_recording(tmp_path: Path) -> None:
    _, rows = run("taped.py", tmp_path / "out.json", "--peers", "trigrad")
    assert len(rows) > 5
    assert all(row["trigrad"]["call"] > 0 and row["trigrad"]["recorded"] > 0 for row in rows)


@has_torch
def test_training_steps_beside_torch(tmp_path: Path) -> None:
    peers = "trigrad compiled,trigrad eager,torch eager,torch fused"
    printed, rows = run("training.py", tmp_path / "training.json", "--peers", peers, "--threads", "1")
    for peer in peers.split(","):
        assert statuses(rows, peer) == {}
    assert [r["case"] for r in rows] == ["train 128 jet"]
    assert set(rows[0]["speedup"]) == set(peers.split(",")[1:])
    assert "Behind the goal" in printed


def test_training_names_the_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('no jax on this machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    printed, rows = run("training.py", tmp_path / "o.json", "--peers", "trigrad eager,jax jit", "--threads", "1")
    assert statuses(rows, "trigrad eager") == {}
    assert statuses(rows, "jax jit") == {"train 128 jet": "missing {'import': 'no jax on this machine'}"}
    assert "no jax on this machine" in printed


def test_training_beside_scikit_learn(tmp_path: Path) -> None:
    """Its partial_fit is the step of the others: the losses are those of NumPy."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    _, rows = run("training.py", tmp_path / "o.json", "--peers", "trigrad compiled,scikit-learn", "--threads", "1")
    assert statuses(rows, "trigrad compiled") == {}
    assert statuses(rows, "scikit-learn") == {}


def test_compile_sweep(tmp_path: Path) -> None:
    path = tmp_path / "sweep.csv"
    printed, rows = run("compile_sweep.py", tmp_path / "sweep.json", "--threads", "1", "--csv", str(path))
    assert {r["curve"] for r in rows} == {"batch of jets", "width at 128 rows", "depth of width 32"}
    assert all(r["us"] > 0 and r["floor_us"] > 0 for r in rows)
    assert [r["flops"] for r in rows if r["curve"] == "depth of width 32"] == [
        2.0 * 128 * (2 * 16 * 32 + 3 * 32 * 5),
        2.0 * 128 * (2 * 16 * 32 + 3 * 32 * 32 + 3 * 32 * 5),
    ]
    assert len(path.read_text().splitlines()) == 1 + len(rows)
    assert "Cliffs" in printed


def test_cliffs_and_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sweep = importlib.import_module("compile_sweep")
    rows = [
        {"curve": "a", "threads": 1, "at": k, "flops": 100.0 * k, "us": us, "share": k / us}
        for k, us in ((1, 1.0), (2, 4.0), (3, 3.0), (4, 4.2))
    ]
    assert [r[2:4] for r in sweep.cliffs(rows)] == [[2, 3]]
    assert [r[2] for r in sweep.falls(rows)] == [2]


def test_training_reads_the_memory_of_a_fresh_process(tmp_path: Path) -> None:
    _, rows = run("training.py", tmp_path / "o.json", "--memory", "--peers", "trigrad eager", "--threads", "1")
    assert [r["case"] for r in rows] == ["epoch 4096x1024 jet"]
    assert 20 < rows[0]["peers"]["trigrad eager"]["peak_mib"] < 200


@pytest.mark.parametrize("how", [{}, {"hidden": "tanh"}, {"normalized": True}], ids=["relu", "tanh", "batchnorm"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_losses_that_training_is_held_against(
    how: dict[str, Any], outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The float64 NumPy of the benchmark agrees with trigrad's float64 network, and tells another learning rate."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    nets = importlib.import_module("nets")
    net = nets.Net((5, 7, 6, outputs), **how)
    x, y, *weights = nets.problem(net, 20)

    def losses(rate: float) -> list[float]:
        layers: list[tg.nn.Module] = []
        for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            layer = tg.nn.Linear(w.shape[1], w.shape[0], dtype=tg.float64)
            layer.load_state_dict({"weight": w.astype(float), "bias": b.astype(float)})
            layers.append(layer)
            if i < 2:
                layers += [tg.nn.BatchNorm1d(w.shape[0], dtype=tg.float64)] if net.normalized else []
                layers.append(tg.nn.Tanh() if net.hidden == "tanh" else tg.nn.ReLU())
        model = tg.nn.Sequential(*layers)
        criterion: Any = tg.nn.CrossEntropyLoss() if outputs > 1 else tg.nn.BCEWithLogitsLoss()
        optimizer = tg.optim.Adam(model.parameters(), lr=rate)
        found = []
        for t in range(nets.checked_steps(net, 20)):
            optimizer.zero_grad()
            z = model(tg.tensor(x[t % len(x)], dtype=tg.float64))
            target = tg.tensor(y[t % len(y)])
            loss = criterion(z, target) if outputs > 1 else criterion(z.squeeze(1), target.double())
            loss.backward()
            optimizer.step()
            found.append(float(loss))
        return found

    expected = nets.losses(net, 20)
    assert len(expected) == 5
    np.testing.assert_allclose(losses(nets.LEARNING_RATE), expected, rtol=1e-9)
    assert not np.allclose(losses(2 * nets.LEARNING_RATE), expected, rtol=1e-4)


def test_epoch_times_epochs_that_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('no jax here')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    printed, rows = run("epoch.py", tmp_path / "epoch.json", "--peers", "trigrad,jax")
    assert rows[0]["faults"] == {"jax": "missing no jax here"}
    assert rows[0]["seconds"]["trigrad"][0] > 0
    assert "5000 jets" in printed


@has_torch
def test_epoch_beside_torch(tmp_path: Path) -> None:
    _, rows = run("epoch.py", tmp_path / "epoch.json", "--peers", "trigrad,torch")
    assert rows[0]["faults"] == {}


OURS = "predictor,bfloat16,numpy model"


def test_latency_of_predictors(tmp_path: Path) -> None:
    printed, rows = run("latency.py", tmp_path / "o.json", "--peers", OURS + ",xnnpack,openvino")
    for peer in OURS.split(","):
        assert statuses(rows, peer) == {}
        assert rows[0]["peers"][peer]["us"] > 0
    assert [r["case"] for r in rows] == ["infer 1 jet"]
    for peer in ("xnnpack", "openvino"):  # timed, or named
        assert rows[0]["peers"][peer]["status"] == "ok" or f"{peer}: missing in" in printed


def test_throughput_of_predictors(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    printed, rows = run("throughput.py", tmp_path / "o.json", "--peers", OURS, "--threads", "1", "--csv", str(path))
    for peer in OURS.split(","):
        assert statuses(rows, peer) == {}
    assert [r["case"] for r in rows] == ["infer 1 jet", "infer 16 jet", "infer 64 jet"]
    assert len(path.read_text().splitlines()) == 1 + 3 * len(rows)
    assert "Behind the goal" in printed


@has_torch
def test_torch_answers_as_predictors_do(tmp_path: Path) -> None:
    _, rows = run("latency.py", tmp_path / "o.json", "--peers", "predictor,torch model")
    assert statuses(rows, "torch model") == {}


def test_latency_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed, rows = run("latency_sweep.py", tmp_path / "o.json", "--csv", str(tmp_path / "o.csv"))
    assert {r["curve"] for r in rows} == {"width"}
    assert all(r["us"] > 0 and r["floor_us"] > 0 for r in rows)
    assert "Cliffs" in printed
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sweep, nets = importlib.import_module("latency_sweep"), importlib.import_module("nets")
    machine = sweep.Machine(gflops=2.0, ghz=4.0, l1=1000, gbytes=1.0, empty_us=1.0)
    # two chains of 8 terms: 8 ns; 512 multiply-adds: 512 ns; 2,048 bytes: 2,048 ns
    assert machine.floor_us(nets.Net((16, 32)), 1) == pytest.approx(1 + 2.048)
    assert machine.floor_us(nets.Net((16, 32)), 10) == pytest.approx(1 + 5.12)
    assert machine._replace(l1=4000, gflops=2000.0).floor_us(nets.Net((16, 32)), 1) == pytest.approx(1.008)


def test_latency_in_cpp(tmp_path: Path) -> None:
    package = Path(tg.__file__).parent
    if not (package / "lib").is_dir() or shutil.which("g++") is None:
        pytest.skip("needs g++ and trigrad with its C++ library")
    printed, rows = run("latency_cpp.py", tmp_path / "o.json", "--only", "ecal")
    assert [r["engine"] for r in rows[:2]] == ["library float32", "header float32"]
    assert rows[1]["error"] == 0
    assert "ecal, ns per event" in printed
