"""How long decisions take on this machine: distributions of single calls, throughput, and what they decide."""

from __future__ import annotations

import hashlib
import html
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy

from trigrad import _core, metrics
from trigrad._autograd import no_grad
from trigrad._core import Predictor, Tensor
from trigrad.nn.module import Module

__all__ = ["Study", "study"]

Array: TypeAlias = "numpy.ndarray[Any, Any]"

CONDITIONS = {
    "C++, hot": "hot",
    "C++, after 256 KiB of other data": "l1",
    "C++, after 8 MiB of other data": "l2",
    "C++, weights in memory": "memory",
    "C++, after 100 µs asleep": "idle",
}
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
CALLS_FOR = {"p99.9": 100_000, "p99.99": 1_000_000}  # fewer calls say nothing about so rare ones


def _summary(times: Array) -> dict[str, float | None]:
    made: dict[str, float | None] = {"calls": float(len(times))}
    for name, q in QUANTILES.items():
        made[name] = float(numpy.quantile(times, q)) if len(times) >= CALLS_FOR.get(name, 0) else None
    return {**made, "max": float(times.max())}


def _histogram(times: Array) -> tuple[list[float], list[int]]:
    """Ten bins per decade."""
    lowest, highest = max(float(times.min()), 1.0), float(times.max()) * 1.001 + 1
    edges = 10 ** (numpy.arange(math.floor(10 * math.log10(lowest)), math.ceil(10 * math.log10(highest)) + 1) / 10)
    return edges.tolist(), numpy.histogram(numpy.maximum(times, 1.0), edges)[0].tolist()


@dataclass
class Study:
    """What was measured: nanoseconds per call, events per second, decisions. Prints as tables."""

    provenance: dict[str, Any]
    latency: dict[str, dict[str, float | None]]
    histograms: dict[str, tuple[list[float], list[int]]]
    throughput: dict[int, float]
    decisions: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        head = ["calls", *QUANTILES, "max"]
        width = max(map(len, self.latency))
        lines = [f"{'ns per call':<{width}}" + "".join(f"{h:>12}" for h in head)]
        for name, row in self.latency.items():
            cells = ("" if row[h] is None else f"{row[h]:,.0f}" for h in head)
            lines.append(f"{name:<{width}}" + "".join(f"{c:>12}" for c in cells))
        lines += ["", "rows of a call   events/s"]
        lines += [f"{rows:>14,}   {rate:,.0f}" for rows, rate in self.throughput.items()]
        lines += [f"{name}: {value}" for name, value in self.decisions.items()]
        return "\n".join(lines)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """All of it; written to `path` if there is one."""
        text = json.dumps(self.__dict__, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n")
        return text

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """One page that needs nothing else."""
        pictures = "".join(f"<h3>{html.escape(n)}</h3>{_picture(*h)}" for n, h in self.histograms.items())
        facts = "".join(f"<tr><td>{html.escape(k)}<td>{html.escape(str(v))}" for k, v in self.provenance.items())
        Path(path).write_text(
            f"<!doctype html><meta charset=utf-8><title>Latency</title><style>{STYLE}</style><h1>Latency</h1>"
            f"<pre>{html.escape(str(self))}</pre>{pictures}<h2>Where and how</h2><table>{facts}</table>\n"
        )


STYLE = "body{font:14px sans-serif;margin:2em;max-width:60em}td{padding-right:2em}rect{fill:#36c}text{font-size:11px}"


def _picture(edges: list[float], counts: list[int]) -> str:
    """Counts on a logarithmic scale over nanoseconds on another."""
    height, top, step = 120, max(math.log10(1 + max(counts)), 1.0), 14
    bars = "".join(
        f"<rect x={i * step} y={height - h:.1f} width={step - 1} height={h:.1f}><title>{edges[i]:.0f} to {edges[i + 1]:.0f} ns: "
        f"{n}</title></rect>"
        for i, n in enumerate(counts)
        if (h := height * math.log10(1 + n) / top) > 0
    )
    marks = "".join(
        f"<text x={i * step} y={height + 14}>{e:.0f} ns</text>"
        for i, e in enumerate(edges)
        if abs(math.log10(e) % 1) < 1e-6
    )
    return f"<svg width={len(edges) * step + 60} height={height + 20}>{bars}{marks}</svg>"


def _python_calls(call: Callable[[Array], Any], x: Array, seconds: float, most: int) -> Array:
    """Each call from Python by itself, the clock's own cost taken off."""
    clock = time.perf_counter_ns
    empty = sorted(-clock() + clock() for _ in range(1001))[500]
    times: list[int] = []
    rows, end = list(x), time.perf_counter() + seconds
    while time.perf_counter() < end and len(times) < most:
        for row in rows:
            begin = clock()
            call(row)
            times.append(clock() - begin - empty)
    return numpy.maximum(numpy.array(times, numpy.float32), 0)


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
    cpu = platform.processor()
    try:
        names = [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        cpu = names[0] if names else cpu
    except OSError:
        pass
    build = _core.build_info()
    return {
        "model (sha256 of its plan)": hashlib.sha256(p.to_bytes()).hexdigest(),
        "inputs": p.inputs,
        "outputs": p.outputs,
        "multiply-adds of an event": p.multiply_adds,
        "bytes of packed weights": p.nbytes,
        "bytes of stack": p.stack_bytes,
        "instruction set": p.isa,
        "processor": cpu,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "trigrad": build["version"],
        "arithmetic version": build["arithmetic_version"],
        "compiler": build["compiler"],
        "clock": f"{clock}, steps of {step:.1f} ns",
        "events": len(x),
        "seed": seed,
        "threads": build["num_threads"],
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def study(
    model: Module | Predictor,
    X: Array | Tensor,
    y: Array | Tensor | None = None,
    *,
    seconds: float = 1.0,
    batches: tuple[int, ...] = (1, 16, 64, 1024, 16384),
    trigger_rate: float | None = None,
    input_rate: float = 40e6,
    seed: int = 0,
    **options: Any,
) -> Study:
    """Measure the model, or a predictor of it, on the events X (N, features): every condition for about `seconds`. With labels
    `y` (1 for signal) and one output also its ROC, and at `trigger_rate` (Hz, out of `input_rate`) the threshold with its
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
    times: dict[str, Array] = {}
    for name, before in CONDITIONS.items():
        trial = one._time_calls(events, 64, before)
        spent = 100e-6 if before == "idle" else 0.0
        begin = time.perf_counter()
        one._time_calls(events, 64, before)
        each = max((time.perf_counter() - begin) / 164, float(numpy.median(trial)) * 1e-9, spent)
        times[name] = one._time_calls(events, int(min(max(seconds / each, 64), 2_000_000)), before)
    times["Python, p(x, out)"] = _python_calls(lambda row: one(row, out), events, seconds, 2_000_000)
    times["Python, p(x)"] = _python_calls(one, events, seconds, 2_000_000)
    for name, call in _peers(model if isinstance(model, Module) else None, events).items():
        times[name] = _python_calls(call, events, seconds, 2_000_000)
    return Study(
        _provenance(one, x, seed),
        {name: _summary(t) for name, t in times.items()},
        {name: _histogram(t) for name, t in times.items()},
        _throughput(one, x, batches, seconds),
        {} if y is None else _decisions(one, x, y, trigger_rate, input_rate),
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
    one: Predictor, x: Array, y: Array | Tensor, trigger_rate: float | None, input_rate: float
) -> dict[str, Any]:
    if one.outputs != 1:
        raise ValueError(f"[study] the model has {one.outputs} outputs; labels y need a model with one score")
    many = Predictor.from_bytes(one.to_bytes(), min(len(x), 262_144))
    score = numpy.concatenate([many(x[i : i + many.batch])[:, 0] for i in range(0, len(x), many.batch)])
    curve = metrics.roc(score, y)
    found: dict[str, Any] = {"AUC": curve.auc, "AUC error": curve.auc_error}
    if trigger_rate is not None:
        at = metrics.efficiency_at_rate(score, y, trigger_rate, input_rate)
        found |= {
            "trigger rate, kHz": at.rate / 1e3,
            "input rate, kHz": input_rate / 1e3,
            "threshold": at.threshold,
            "threshold interval": [at.threshold_low, at.threshold_high],
            "signal efficiency": at.signal.value,
            "signal efficiency interval": [at.signal.low, at.signal.high],
        }
    return found
