"""Interleaved timing of several libraries: worker processes, blocks that alternate, ratios with their range.

Every (peer, thread count) is a process of its own, pinned to that many CPUs, so that thread pools and allocators do
not meet. On each case the peers take turns in short blocks (A B A B ...), so that drift of the machine hits all alike;
a ratio is the median over pairs of neighbouring blocks.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from cases import Case

HERE = Path(__file__).resolve().parent


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    parser.add_argument("--threads", default="1,2", type=numbers, help="numbers of threads, e.g. 1,2")
    parser.add_argument("--blocks", type=int, default=5, help="alternating blocks per peer and case")
    parser.add_argument("--seconds", type=float, default=0.02, help="length of a block")
    parser.add_argument("--quick", action="store_true", help="a few small cases, seconds in all: does it run?")
    parser.add_argument("--lock", type=Path, help="file locked (as flock(1) does) while a case is timed")
    return parser


def numbers(text: str) -> list[int]:
    return [int(t) for t in text.split(",")]


def words(text: str) -> list[str]:
    return text.split(",")


@contextlib.contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Holds the lock that `flock PATH command` takes, so that benchmarks on one machine wait for each other."""
    if path is None:
        yield
        return
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Worker:
    """A peer's process: worker.py, or another script that serves (serving.py)."""

    def __init__(self, peer: str, threads: int, script: str = "worker.py") -> None:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TRIGRAD_NUM_THREADS")
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (close() closes it)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), peer, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | dict.fromkeys(names, str(threads)),
        )
        self.state = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        self.log.seek(0)
        last = (self.log.read().strip().splitlines() or ["no message"])[-1]
        return {"status": "died", "faults": {"process": last}}

    def ask(self, do: str, **message: Any) -> dict[str, Any]:
        if self.state["status"] != "ok":
            return self.state
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"do": do, **message}), file=self.process.stdin, flush=True)
        reply = self._read()
        if reply["status"] == "died":
            self.state = reply
        return reply

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


@dataclass
class Timing:
    """One peer on one case."""

    status: str  # ok; missing: the peer or the operation is not there; invalid: its answer is wrong; died
    variant: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    blocks_us: list[float] = field(default_factory=list)

    @property
    def us(self) -> float | None:
        return median(self.blocks_us) if self.status == "ok" and self.blocks_us else None


def difference(one: list[Any], other: list[Any]) -> str:
    """Empty where two answers (worker.answer) agree as far as float32 sums of millions do."""
    if [shape for shape, _ in one] != [shape for shape, _ in other]:
        return "differs in shape"
    for (_, a), (_, b) in zip(one, other, strict=True):
        scale = max((abs(v) for v in a if math.isfinite(v)), default=0.0)
        for p, q in zip(a, b, strict=True):
            if not (p == q or (math.isnan(p) and math.isnan(q)) or abs(p - q) <= 2e-3 * scale + 1e-6):
                return f"{q:g} differs from {p:g}, an element"
    return ""


class Session:
    """The workers of one number of threads."""

    def __init__(self, peers: Sequence[str], threads: int, blocks: int, seconds: float, lock: Path | None) -> None:
        self.threads, self.blocks, self.seconds, self.lock = threads, blocks, seconds, lock
        self.workers = {p: Worker(p, threads) for p in peers}
        for peer, worker in self.workers.items():
            if worker.state["status"] != "ok":
                print(f"{peer} is not here:", *worker.state["faults"].values(), flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def measure(self, case: Case) -> dict[str, Timing]:
        timings: dict[str, Timing] = {}
        answers: dict[str, list[Any]] = {}
        spec = [case.op, case.shape, case.how]
        with locked(self.lock):
            for peer, worker in self.workers.items():
                reply = worker.ask("prepare", case=spec, seconds=self.seconds)
                timings[peer] = Timing(reply["status"], reply.get("variant", ""), reply.get("faults", {}))
                if answer := reply.get("answer"):
                    answers[peer] = answer
            for peer, answer in list(answers.items())[1:]:
                first = next(iter(answers))
                if why := difference(answers[first], answer):
                    timings[peer].status = "invalid"
                    timings[peer].faults["answer"] = f"{why} from that of {first}"
            for _ in range(self.blocks):
                for peer, timing in timings.items():
                    if timing.status == "ok":
                        reply = self.workers[peer].ask("run", seconds=self.seconds)
                        timing.status = reply["status"]
                        if timing.status == "ok":
                            timing.blocks_us.append(reply["ns"] / 1e3)
                        else:
                            timing.faults |= reply["faults"]
        return timings


def ratio(theirs: Timing, ours: Timing) -> tuple[float, float, float] | None:
    """(median, least, greatest) of their time over ours, block by block."""
    if theirs.us is None or ours.us is None:
        return None
    each = [a / b for a, b in zip(theirs.blocks_us, ours.blocks_us, strict=True)]
    return median(each), min(each), max(each)


def environment() -> dict[str, Any]:
    versions = {}
    for name in ("trigrad", "numpy", "torch", "jax", "scikit-learn", "onnxruntime", "openvino"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    cpu = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
    }


def save(path: Path | None, benchmark: str, rows: Sequence[dict[str, Any]]) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"benchmark": benchmark, "environment": environment(), "rows": rows}, indent=1)
        path.write_text(text + "\n")


def text(value: float | str | None) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[float | str | None]]) -> str:
    cells = [list(columns)] + [[text(v) for v in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = []
    for row in cells:
        first, *rest = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)
