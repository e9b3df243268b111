"""Shared by all tests: the helpers that lie beside them can be imported, and each test leaves the process as it found it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ.setdefault("MPLBACKEND", "Agg")  # no windows

import golden
import trigrad as tg
from trigrad import _core

# Of every test that hypothesis draws for, unless it says otherwise: the same examples in each run.
settings.register_profile(
    "trigrad", derandomize=True, deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("trigrad")

RECORDED: dict[str, str] = {}  # figures that tests found, printed at the end


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch, with which a test compares."""
    return pytest.importorskip("torch")


@pytest.fixture(scope="session")
def full() -> bool:
    """Long proofs run whole."""
    return os.environ.get("TRIGRAD_PROOFS") == "full"


@pytest.fixture(scope="session")
def record() -> dict[str, str]:
    return RECORDED


@pytest.fixture(scope="session")
def here() -> golden.Hashes:
    """The hashes of the catalogue in this process."""
    return golden.hashes()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RECORDED:
        terminalreporter.section("figures")
        for name, value in RECORDED.items():
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(autouse=True)
def _same_process() -> Iterator[None]:
    """ISA, threads and open figures belong to the process: a test that changes them may not change the next test."""
    isa, threads = _core.build_info()["isa"], tg.get_num_threads()
    yield
    if _core.build_info()["isa"] != isa:
        _core.set_isa(isa)
    if tg.get_num_threads() != threads:
        tg.set_num_threads(threads)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
