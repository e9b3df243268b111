"""How single calls are timed: of the predictor in C++ and from Python, of an exported header, of anything that is called."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy

from trigrad import _core
from trigrad._core import Predictor
from trigrad.export import cpp_header
from trigrad.export._plan import Plan
from trigrad.realtime import _latency
from trigrad.realtime._latency import Latency

Array: TypeAlias = "numpy.ndarray[Any, Any]"
Call: TypeAlias = Callable[[Array], Any]

MOST_CALLS = 2_000_000
IDLE_US = 100


class Unavailable(Exception):
    """What cannot be measured here, and why."""


# ---- in C++


class Function(NamedTuple):
    """A compiled `int32_t (*)(const void*, const float* x, float* y)`, and where it and its weights lie: (address, bytes)."""

    address: int
    inputs: int
    outputs: int
    memory: list[tuple[int, int]]


class Condition(NamedTuple):
    """What happens before each call."""

    name: str
    other_bytes: int = 0
    """so much other data is read"""
    flush: bool = False
    """the weights and the event are flushed to memory"""
    idle_us: int = 0
    """the thread sleeps"""


def cache_bytes(level: int, otherwise: int) -> int:
    """Of the data cache of this level."""
    for place in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind = (place / "type").read_text().strip()
            if kind != "Instruction" and int((place / "level").read_text()) == level:
                return int((place / "size").read_text().strip().removesuffix("K")) * 1024
        except (OSError, ValueError):
            continue
    return otherwise


def conditions() -> list[Condition]:
    """Hot; with a cache filled four times with other data; from memory where the processor can flush; after sleep."""
    first, second = cache_bytes(1, 64 << 10), cache_bytes(2, 2 << 20)
    memory = [Condition("from memory", flush=True)] if _core.clock_of_calls()[2] else []
    return [
        Condition("hot"),
        Condition("L1 evicted", 4 * first),
        Condition("L2 evicted", 4 * second),
        *memory,
        Condition(f"after {IDLE_US} µs idle", idle_us=IDLE_US),
    ]


def compiled_calls(
    name: str, what: Predictor | Function | None, x: Array, seconds: float, before: Condition, step: float
) -> Latency:
    """Calls of C++ code for about `seconds`; None is a call that does nothing."""
    rest = before[1:]
    begin = time.perf_counter()
    _core.time_calls(what, x, 64, *rest)
    each = max((time.perf_counter() - begin) / 164, 30e-9)
    calls = int(min(max(seconds / each, 64), MOST_CALLS))
    found = numpy.frombuffer(_core.time_calls(what, x, calls, *rest), numpy.float32)
    return _latency.summarize(name, found[:-1], overhead=float(found[-1]), resolution=step)


# ---- from Python


def python_calls(name: str, call: Call, x: Array, seconds: float) -> Latency:
    """Calls from Python, each between two readings of its clock."""
    clock = time.perf_counter_ns
    empty = sorted(-clock() + clock() for _ in range(1001))[500]
    times: list[int] = []
    rows, end = list(x), time.perf_counter() + seconds
    for row in rows:
        call(row)
    while len(times) < MOST_CALLS:
        for row in rows:
            begin = clock()
            call(row)
            times.append(clock() - begin)
            if begin > 1e9 * end:
                return _latency.summarize(name, times, overhead=float(empty), resolution=1.0)
    return _latency.summarize(name, times, overhead=float(empty), resolution=1.0)


def rate(call: Call, x: Array, seconds: float, turns: int = 5) -> float:
    """Events per second in calls of all of x: the median of the turns."""
    call(x)
    rates = []
    for _ in range(turns):
        calls, begin = 0, time.perf_counter()
        while (spent := time.perf_counter() - begin) < seconds / turns or calls == 0:
            call(x)
            calls += 1
        rates.append(calls * len(x) / spent)
    return float(numpy.median(rates))


# ---- on a GPU


def cuda_calls(content: bytes, x: Array, seconds: float, step: float) -> tuple[list[Latency], dict[str, str]]:
    """Events answered by the first GPU, each way from C++ and from Python; and why there are none."""
    absent = _core.cuda_absence()
    if absent is not None:
        return [], {"CUDA": absent}
    found: list[Latency] = []
    missing: dict[str, str] = {}
    for name, persistent in (("CUDA graph", False), ("CUDA persistent", True)):
        try:
            with Predictor.from_bytes(content, device="cuda", persistent=persistent) as p:
                out = numpy.empty(p.outputs, numpy.float32)
                for before, said in (
                    (Condition(""), ""),
                    (Condition("", idle_us=IDLE_US), f", after {IDLE_US} µs idle"),
                ):
                    found.append(compiled_calls(f"{name}, C++{said}", p, x, seconds, before, step))
                found.append(python_calls(f"{name}, p(x, out)", partial(_into, p, out), x, seconds))
        except (RuntimeError, ValueError) as error:  # the net does not fit, or the device is taken
            missing[name] = str(error)
    return found, missing


def _into(predictor: Predictor, out: Array, row: Array) -> None:
    predictor(row, out)


# ---- the exported header, compiled

SOURCE = """#include "model.h"
extern "C" __attribute__((visibility("default"))) int run(const void*, const float* x, float* y) {
  model::run(x, y);
  return 1;
}
"""
FLAGS = ("-std=c++17", "-O2", "-march=native", "-shared", "-fPIC")


def compiler() -> str | None:
    """A C++ compiler of this machine."""
    candidates: Sequence[str | None] = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((c for c in candidates if c and shutil.which(c)), None)


def header_function(predictor: Predictor) -> Function:
    """The predictor's exported header, compiled for this machine. The library stays loaded."""
    found = compiler()
    if found is None:
        raise Unavailable("no C++ compiler is here (CXX, c++, g++, clang++)")
    with tempfile.TemporaryDirectory() as folder:
        try:
            cpp_header(predictor, Path(folder, "model.h"), name="model")
        except (RuntimeError, ValueError) as error:
            raise Unavailable(str(error)) from error
        Path(folder, "run.cpp").write_text(SOURCE)
        library = Path(folder, "run.so")
        done = subprocess.run(
            [found, *FLAGS, "run.cpp", "-o", str(library)], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"{found} {' '.join(FLAGS)} failed: {done.stderr.strip()[:300]}")
        run = ctypes.CDLL(str(library)).run
        memory = mapped(library)
    address = ctypes.cast(run, ctypes.c_void_p).value
    assert address is not None
    return Function(address, predictor.inputs, predictor.outputs, memory)


def mapped(library: Path) -> list[tuple[int, int]]:
    """Where a library's code and constants lie in this process: (address, bytes). The system must tell."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    found = (re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line) for line in lines if line.endswith(str(library.resolve())))
    ranges = [(int(m[1], 16), int(m[2], 16)) for m in found if m]
    return [(begin, end - begin) for begin, end in ranges]


def header_agrees(function: Function, predictor: Predictor, x: Array) -> None:
    """Raises unless the header has the predictor's bits on these events."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    run, y = kind(function.address), numpy.empty(predictor.outputs, numpy.float32)
    for row in x:
        run(None, row.ctypes.data, y.ctypes.data)
        if not numpy.array_equal(y, predictor(row), equal_nan=True):
            raise RuntimeError(f"[study] the header's answer is {y}, the predictor's {predictor(row)}, for {row}")


# ---- what the machine allows


def multiply_adds(plan: Plan) -> int:
    """Of the dense layers, for one event."""
    dense = (i for i in plan.instructions if i["code"].startswith("dense"))
    return sum(plan.width[i["a"]] * plan.width[i["out"]] for i in dense)


def floor(predictor: Predictor, multiply_adds: int, empty: Latency) -> dict[str, float]:
    """What was measured of this machine, and how long an event takes at least for each of its limits, in nanoseconds."""
    fma_ns, fmas_per_ns, bytes_per_ns, chain = _core.limits(predictor)
    least = {
        "multiply-adds at the machine's rate, ns": multiply_adds / fmas_per_ns,
        "weights read once from their cache, ns": predictor.nbytes / bytes_per_ns,
        "multiply-adds that wait for each other, ns": chain * fma_ns,
    }
    return {
        "an empty call, ns": empty.mean,
        "an fma that waits for the one before, ns": fma_ns,
        "multiply-adds per ns": fmas_per_ns,
        "bytes loaded per ns": bytes_per_ns,
        "longest chain of multiply-adds": float(chain),
        **least,
        "floor, ns": max(least.values()),
    }
