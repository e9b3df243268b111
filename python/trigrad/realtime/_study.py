"""How long decisions take on this machine: distributions of single calls, throughput, and what they decide."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy

from trigrad import _core, _report, metrics
from trigrad._autograd import no_grad
from trigrad._core import Predictor, Tensor
from trigrad.nn.module import Module
from trigrad.realtime import _latency
from trigrad.realtime._latency import Latency

__all__ = ["Study", "study"]

Array: TypeAlias = "numpy.ndarray[Any, Any]"

CONDITIONS = {
    "C++, hot": "hot",
    "C++, after 256 KiB of other data": "l1",
    "C++, after 8 MiB of other data": "l2",
    "C++, weights in memory": "memory",
    "C++, after 100 µs asleep": "idle",
}
MOST_CALLS = 2_000_000


@dataclass(frozen=True)
class Study:
    """What was measured: nanoseconds per call, events per second, decisions. Prints as tables."""

    provenance: dict[str, Any]
    latencies: list[Latency]
    throughput: dict[int, float]
    """events per second by the number of rows of a call"""
    decisions: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        rates = [f"{rows:>14,}   {rate:,.0f}" for rows, rate in self.throughput.items()]
        decisions = [f"{name}: {value}" for name, value in self.decisions.items()]
        return "\n".join([_latency.text(self.latencies), "", "rows of a call   events/s", *rates, *decisions])

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """All of it; written to `path` if there is one."""
        text = _latency.document(self.latencies, self.provenance, throughput=self.throughput, decisions=self.decisions)
        if path is not None:
            Path(path).write_text(text)
        return text

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """One page that needs nothing else."""
        page = _report.page(
            "Latency",
            _latency.table(self.latencies),
            _report.figure(_latency.picture(self.latencies)),
            _report.section(
                "Throughput", _report.table(("rows of a call", "events per second"), self.throughput.items())
            ),
            _report.section("Decisions", _report.listing(self.decisions)) if self.decisions else "",
            _report.section("Where and how", _report.listing(self.provenance)),
        )
        Path(path).write_text(page)


def _python_calls(name: str, call: Callable[[Array], Any], x: Array, seconds: float) -> Latency:
    """Each call from Python by itself."""
    clock = time.perf_counter_ns
    empty = sorted(-clock() + clock() for _ in range(1001))[500]
    times: list[int] = []
    rows, end = list(x), time.perf_counter() + seconds
    while time.perf_counter() < end and len(times) < MOST_CALLS:
        for row in rows:
            begin = clock()
            call(row)
            times.append(clock() - begin)
    return _latency.summarize(name, times, overhead=float(empty), resolution=1.0)


def _peers(model: Module | None, x: Array) -> dict[str, Callable[[Array], Any]]:
    """The same model elsewhere: trigrad's eager call."""
    if model is None:
        return {}

    def eager(row: Array) -> Any:
        with no_grad():
            return model(_core.from_numpy(row[None]))

    return {"Python, the eager model": eager}


def _provenance(p: Predictor, x: Array, seed: int) -> dict[str, Any]:
    clock, step = p._clock()
    return _report.provenance(
        seed=seed,
        model={
            "sha256 of its plan": hashlib.sha256(p.to_bytes()).hexdigest(),
            "inputs": p.inputs,
            "outputs": p.outputs,
            "multiply-adds of an event": p.multiply_adds,
            "bytes of packed weights": p.nbytes,
            "bytes of stack": p.stack_bytes,
            "instruction set": p.isa,
        },
        clock=f"{clock}, steps of {step:.1f} ns",
        events=len(x),
    )


def study(
    model: Module | Predictor,
    X: Array | Tensor,
    y: Array | Tensor | None = None,
    *,
    seconds: float = 1.0,
    batches: tuple[int, ...] = (1, 16, 64, 1024, 16384),
    trigger_rate_khz: float | None = None,
    input_rate_khz: float = 40_000.0,
    seed: int = 0,
    **options: Any,
) -> Study:
    """Measure the model, or a predictor of it, on the events X (N, features): every condition for about `seconds`. With labels
    `y` (1 for signal) and one output also its ROC, and at `trigger_rate_khz` (out of `input_rate_khz`) the threshold with its
    uncertainty and the efficiency. `options` are Predictor's. Pin the process to a quiet core for figures that mean something.

    >>> import numpy as np, trigrad as tg
    >>> found = tg.realtime.study(tg.nn.Linear(4, 1), np.zeros((10, 4), "float32"), seconds=0.01, batches=(1, 16))
    >>> sorted(found.throughput), "median" in str(found)
    ([1, 16], True)
    """
    x = numpy.ascontiguousarray(X.numpy() if isinstance(X, Tensor) else X, dtype=numpy.float32)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"[study] X has shape {x.shape}, expected events as rows: (N, features)")
    one = model if isinstance(model, Predictor) else Predictor(model, **options)
    order = numpy.random.default_rng(seed).permutation(len(x))[:4096]
    events = numpy.ascontiguousarray(x[order])
    out = numpy.empty(one.outputs, numpy.float32)
    latencies: list[Latency] = []
    step = one._clock()[1]
    for name, before in CONDITIONS.items():
        trial = one._time_calls(events, 64, before)
        spent = 100e-6 if before == "idle" else 0.0
        begin = time.perf_counter()
        one._time_calls(events, 64, before)
        each = max((time.perf_counter() - begin) / 164, float(numpy.median(trial)) * 1e-9, spent)
        times = one._time_calls(events, int(min(max(seconds / each, 64), MOST_CALLS)), before)
        latencies.append(_latency.summarize(name, times, resolution=step))
    latencies.append(_python_calls("Python, p(x, out)", lambda row: one(row, out), events, seconds))
    latencies.append(_python_calls("Python, p(x)", one, events, seconds))
    for name, call in _peers(model if isinstance(model, Module) else None, events).items():
        latencies.append(_python_calls(name, call, events, seconds))
    return Study(
        _provenance(one, x, seed),
        latencies,
        _throughput(one, x, batches, seconds),
        {} if y is None else _decisions(one, x, y, trigger_rate_khz, input_rate_khz),
    )


def _throughput(one: Predictor, x: Array, batches: tuple[int, ...], seconds: float) -> dict[int, float]:
    """Events per second by the number of rows in a call: the median of nine turns."""
    content, found = one.to_bytes(), {}
    for rows in batches:
        many = Predictor.from_bytes(content, rows)
        events = numpy.resize(x, (rows, x.shape[1]))
        out = many(events)
        turns = []
        for _ in range(9):
            calls, begin = 0, time.perf_counter()
            while (spent := time.perf_counter() - begin) < seconds / 9 or calls == 0:
                many(events, out)
                calls += 1
            turns.append(calls * rows / spent)
        found[rows] = float(numpy.median(turns))
    return found


def _decisions(
    one: Predictor, x: Array, y: Array | Tensor, trigger_rate_khz: float | None, input_rate_khz: float
) -> dict[str, Any]:
    if one.outputs != 1:
        raise ValueError(f"[study] the model has {one.outputs} outputs; labels y need a model with one score")
    many = Predictor.from_bytes(one.to_bytes(), min(len(x), 262_144))
    score = numpy.concatenate([many(x[i : i + many.batch])[:, 0] for i in range(0, len(x), many.batch)])
    found: dict[str, Any] = {"AUC": metrics.roc_auc_score(y, score)}
    if trigger_rate_khz is not None:
        at = metrics.working_point(y, score, rate_khz=trigger_rate_khz, input_rate_khz=input_rate_khz)
        found |= {
            "trigger rate, kHz": at.rate_khz,
            "input rate, kHz": at.input_rate_khz,
            "threshold": at.threshold,
            "threshold interval": list(at.threshold_interval),
            "signal efficiency": at.signal_efficiency,
            "signal efficiency interval": list(at.signal_interval),
        }
    return found
