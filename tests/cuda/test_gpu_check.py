"""tools/gpu-check, benchmarks/gpu.py and tools/cuda_report.py, as far as they can be tried without a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = os.environ.get("TRIGRAD_CUDA_MODULE", "")
QUICK = "tests/cuda/test_absence.py"


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture
def emulated_module(emulated: bool) -> str:
    if not emulated:
        pytest.skip("there is a GPU here: tools/gpu-check itself is what runs this")
    return MODULE


def results(path: Path) -> dict[str, str]:
    return {row["part"]: row["result"] for row in json.loads(path.read_text())}


def test_parts_are_done_in_order_and_told_in_one_table(emulated_module: str, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    more = (
        "--folder",
        tmp_path,
        "--json",
        told,
        "--parts",
        "racecheck,machine,build,report,c++,tests",
        "--tests",
        QUICK,
    )
    done = script("tools/gpu-check", "--emulated", emulated_module, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    found = results(told)
    assert list(found) == ["machine", "build", "report", "tests", "c++", "racecheck"]
    assert {p for p, r in found.items() if r == "ok"} >= {"machine", "build", "tests"}
    assert found["racecheck"] == found["report"] == "skipped"
    assert done.stdout.splitlines()[-1].endswith("s of 480")


def test_what_fails_is_told_and_the_rest_is_done(emulated_module: str, tmp_path: Path) -> None:
    broken, told = tmp_path / "_cuda.so", tmp_path / "told.json"
    broken.write_bytes(b"not a library")
    more = ("--folder", tmp_path, "--json", told, "--parts", "machine,build,tests,racecheck,c++")
    done = script("tools/gpu-check", "--emulated", broken, *more)
    assert done.returncode == 1
    assert results(told) == {
        "machine": "ok",
        "build": "ok",
        "tests": "FAILED",
        "c++": "skipped",
        "racecheck": "skipped",
    }
    assert "its module does not load" in done.stdout


def test_a_visit_without_time_says_so(emulated_module: str, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    more = ("--folder", tmp_path, "--json", told, "--parts", "tests", "--seconds", "1")
    assert script("tools/gpu-check", "--emulated", emulated_module, *more).returncode == 0
    assert results(told) == {"tests": "skipped"}


def test_wrong_arguments() -> None:
    assert "there is no part tea, expected some of machine" in script("tools/gpu-check", "--parts", "tea").stderr
    assert "there is no module" in script("tools/gpu-check", "--module", "/nowhere/_cuda.so").stderr


def test_benchmarks_say_that_no_figure_means_anything(emulated_module: str) -> None:
    done = script(
        "benchmarks/gpu.py", "--emulated", "--only", "event", "--peers", "trigrad plan,trigrad persistent,jax jit"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("EMULATED: the host computes in a GPU's place")
    assert "goal" not in done.stdout
    assert ("jax jit is not here" in done.stdout) == (importlib.util.find_spec("jax") is None)
    assert done.stdout.splitlines()[-1] == "1 cases, 2 timings"


def test_benchmarks_end_within_their_budget(emulated_module: str) -> None:
    done = script(
        "benchmarks/gpu.py", "--emulated", "--only", "event,infer", "--peers", "trigrad plan", "--budget", "0"
    )
    assert done.returncode == 0, done.stderr
    assert "not begun within 0 s: event jet float32, infer jet 70 float32" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 cases, 0 timings"


def test_a_captured_step_begins_as_the_others_do(emulated_module: str) -> None:
    pytest.importorskip("torch")
    more = ("--only", "train SUSY,event", "--peers", "trigrad plan,torch eager,torch graph")
    done = script("benchmarks/gpu.py", "--emulated", *more)
    assert done.returncode == 0, done.stderr
    assert "wrong" not in done.stdout
    assert "failed" not in done.stdout
    assert done.stdout.splitlines()[-1] == "2 cases, 5 timings"


def test_goals_are_told_of_all_cases() -> None:
    """With times of which ours are a tenth of the others' and four times the roof's."""
    done = script(
        "-c",
        """
import sys; sys.path.insert(0, "benchmarks")
import gpu
here = {"fmas_per_us": 3e7, "chip_bytes_per_us": 3e7, "bytes_per_us": 3e6}
found = {}
for case in gpu.cases(quick=False):
    ours = 4 * (gpu.roof(case, here) or 1)
    found[case] = {p: gpu.Timing("ok", us=[ours if p.startswith("trigrad") else 10 * ours] * 3) for p in gpu.PEERS}
print("\\n".join(gpu.verdicts(found, here)))
gpu.report(found, list(gpu.PEERS), here)
""",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for goal in (
        "train jet against torch graph: 10.00",
        "train wide against",
        "event jet against",
        "infer jet against",
    ):
        assert any(line.startswith(goal) and line.endswith(": reached") for line in lines)
    for net in ("jet", "autoencoder", "Higgs"):
        assert f"event {net} float32, persistent: 4.00 µs, goal 5.0: reached" in lines
    assert "train jet 65,536 float32, one kernel: 25 % of its roof, goal 50 %: MISSED" in lines


# ---- what the compiler says

PTXAS = """\
ptxas info    : Compiling entry function '{name}' for 'sm_{architecture}'
ptxas info    : Function properties for helper
    96 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Function properties for {name}
    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used 42 registers, used 1 barriers, 380 bytes cmem[0]
"""
PROMISES, NONE = "_ZN2tg4cuda13run_pipelinedINS0_8GradientIfLi4EEEEEvT_", "_ZN2tg4cuda8run_eachINS0_5JoinsIdEEEEvlT_"


def entry(name: str, stack: int = 0, stores: int = 0, loads: int = 0, architecture: int = 90) -> str:
    return PTXAS.format(name=name, stack=stack, stores=stores, loads=loads, architecture=architecture)


@pytest.fixture
def report() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cuda_report", ROOT / "tools" / "cuda_report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cuda_report"] = module
    spec.loader.exec_module(module)
    return module


def test_report_reads_every_kernel(report: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("[1/2] Building\n" + entry(PROMISES) + entry(NONE, 512) + entry(PROMISES, architecture=75))
    found = report.kernels(log)
    assert [(k.architecture, k.registers, k.stack, k.spills) for k in found] == [
        ("sm_90", 42, 0, 0),
        ("sm_90", 42, 512, 0),
        ("sm_75", 42, 0, 0),
    ]
    assert [k.promised for k in found] == [True, False, True]
    done = script("tools/cuda_report.py", log)
    assert done.returncode == 0, done.stderr
    assert "sm_90: 2 kernels, at most 42 registers" in done.stdout


@pytest.mark.parametrize(("stack", "stores", "loads"), [(8, 0, 0), (0, 4, 0), (0, 0, 4)])
def test_report_fails_on_a_broken_promise(tmp_path: Path, stack: int, stores: int, loads: int) -> None:
    log = tmp_path / "build.log"
    log.write_text(entry(NONE, 512) + entry(PROMISES, stack, stores, loads))
    done = script("tools/cuda_report.py", log)
    assert done.returncode == 1
    assert "bytes of stack and" in done.stdout


def test_report_fails_where_nothing_was_compiled(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("[1/1] nothing to do\n")
    assert script("tools/cuda_report.py", log).returncode == 2
