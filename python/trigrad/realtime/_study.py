"""How long decisions take on this machine: distributions of single calls, throughput, and what they decide."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy

from trigrad import _core, _report, metrics
from trigrad._autograd import no_grad
from trigrad._core import Predictor, Tensor
from trigrad._files import whole_file
from trigrad._report import Curve, Mark
from trigrad.export import _plan
from trigrad.metrics import WorkingPoint
from trigrad.nn.module import Module
from trigrad.realtime import _latency, _timing
from trigrad.realtime._latency import Latency
from trigrad.realtime._peers import one_thread, peers
from trigrad.realtime._timing import Call, Unavailable

__all__ = ["Decisions", "Study", "study"]

Array: TypeAlias = "numpy.ndarray[Any, Any]"

EVENT_BYTES = 16 << 10  # the events of one-event calls stay in the nearest cache
MOST_ROWS = 262_144  # of a predictor's call
CURVE_POINTS = 500  # of a ROC curve that is kept


@dataclass(frozen=True)
class Decisions:
    """How well the model decides, by labels: its ROC curve, and where to cut for a trigger rate."""

    auc: float
    input_rate_khz: float
    background_efficiency: list[float]
    signal_efficiency: list[float]
    point: WorkingPoint | None
    """at the trigger rate that was asked for"""

    def __str__(self) -> str:
        point = "" if self.point is None else f"\n{self.point}"
        return f"AUC                    {self.auc:.5g}{point}"

    def values(self) -> dict[str, Any]:
        """All numbers, for JSON: none where one is infinite or NaN."""

        def plain(value: Any) -> Any:
            if isinstance(value, (tuple, list)):
                return [plain(v) for v in value]
            return value if math.isfinite(value) else None

        found = {name: plain(value) for name, value in vars(self).items() if name != "point"}
        if self.point is not None:
            names = (*self.point._fields, "rate_khz", "rate_interval_khz")
            found["working_point"] = {name: plain(getattr(self.point, name)) for name in names}
        return found

    def picture(self) -> _report.Html:
        """The signal's efficiency over the trigger's rate."""
        rates = self.input_rate_khz * numpy.asarray(self.background_efficiency)
        marks = [] if self.point is None else [Mark("trigger", x=self.point.rate_khz)]
        curve = Curve("ROC", rates, self.signal_efficiency)
        return _report.chart([curve], x="trigger rate, kHz", y="signal efficiency", log_x=True, marks=marks)


@dataclass(frozen=True)
class Study:
    """What was measured. Prints as tables; `to_json` and `to_html` write it whole."""

    provenance: dict[str, Any]
    latencies: list[Latency]
    """single calls, nanoseconds"""
    throughput: dict[str, dict[int, float]]
    """by who computes, events per second by the number of rows of a call"""
    floor: dict[str, float]
    """what this machine allows, and the least time of an event that follows"""
    missing: dict[str, str]
    """what could not be measured here, and why"""
    decisions: Decisions | None = None

    def _rates(self) -> tuple[list[str], list[list[object]]]:
        rows = sorted({n for rates in self.throughput.values() for n in rates})
        return ["rows of a call", *self.throughput], [[n, *(r[n] for r in self.throughput.values())] for n in rows]

    def __str__(self) -> str:
        head, rates = self._rates()
        width = max(map(len, head)) + 2
        table = ["".join(str(c).rjust(width) for c in head)]
        table += ["".join(_report.number(c).rjust(width) for c in row) for row in rates]
        model = {k: v for k, v in self.provenance["model"].items() if not isinstance(v, str)}
        parts = [
            _latency.text(self.latencies),
            "\n".join(["events per second", *table]),
            "\n".join(f"{_report.number(v):>10}  {name}" for name, v in {**model, **self.floor}.items()),
            "\n".join(f"not measured: {name}: {why}" for name, why in self.missing.items()),
            "" if self.decisions is None else str(self.decisions),
        ]
        return "\n\n".join(filter(None, parts))

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """All of it; written to `path` if there is one."""
        text = _latency.document(
            self.latencies,
            self.provenance,
            throughput=self.throughput,
            floor=self.floor,
            missing=self.missing,
            decisions=None if self.decisions is None else self.decisions.values(),
        )
        if path is not None:
            with whole_file(path) as beside:
                beside.write_text(text, encoding="utf-8")
        return text

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """One page that needs nothing else."""
        ours = [each for each in self.latencies if each.name.startswith("C++ library")]
        hot = [
            each for each in self.latencies if each.name.endswith(", hot") or each.name.startswith(("Python", "CUDA"))
        ]
        model = {**self.provenance["model"], **self.floor}
        parts = [
            _report.section(
                "One event",
                _latency.table(self.latencies),
                _report.figure(_latency.picture(ours), "The library in C++: hot, with evicted caches, after sleep."),
                _report.figure(_latency.picture(hot), "Everyone, hot."),
            ),
            _report.section("Many events per call", _report.table(*self._rates(), "Events per second")),
            _report.section("What the machine allows", _report.paragraph(EXPLAINED), _report.listing(model)),
        ]
        if self.missing:
            parts.append(_report.section("Not measured", _report.listing(self.missing)))
        if self.decisions is not None:
            told, picture = _report.preformatted(str(self.decisions)), _report.figure(self.decisions.picture())
            parts.append(_report.section("Decisions", told, picture))
        parts.append(_report.section("Where and how", _report.listing(self.provenance)))
        with whole_file(path) as beside:
            beside.write_text(_report.page("Latency", *parts), encoding="utf-8")


EXPLAINED = (
    "An event takes no less than the longest of three times: all its multiply-adds at the rate that this instruction set "
    "reaches with everything in registers; its weights loaded once from the cache in which they fit; the multiply-adds of "
    "which each waits for the one before, layer after layer. Small models are bound by the last, wide ones by the first two."
)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _provenance(p: Predictor, content: bytes, multiply_adds: int, x: Array, seed: int) -> dict[str, Any]:
    clock, step, _ = _core.clock_of_calls()
    return _report.provenance(
        seed=seed,
        model={
            "sha256 of its plan": _hash(content),
            "inputs": p.inputs,
            "outputs": p.outputs,
            "instruction set": p.isa,
            "bytes of weights": p.nbytes,
            "bytes of stack": p.stack_bytes,
            "floating-point operations of an event": 2 * multiply_adds,
        },
        clock=f"{clock}, steps of {step:.3g} ns; from Python perf_counter_ns",
        events={"number": len(x), "sha256": _hash(x.tobytes())},
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
    output: int | None = None,
    sample_weight: Array | Tensor | None = None,
    header: bool = True,
    others: bool = True,
    seed: int = 0,
    **options: Any,
) -> Study:
    """Measure a model, or a predictor, on the events X (N, features): each row of the table for about `seconds`.

    Single calls are timed one by one: the predictor in C++ with everything in the nearest cache, with the caches filled with
    other data, with weights and event in memory, after sleep; its exported header, compiled here if there is a compiler
    (`header=False`: not); on a GPU, where one is, by CUDA graphs and by a kernel that stays; calls from Python; the eager model; NumPy, PyTorch and ONNX Runtime if they are installed
    (`others=False`: not). What cannot be measured is named in `missing`. Throughput is that of one
    thread, and of trigrad's own on as many as it has.

    With labels `y` (N,), 1 for signal, also the ROC curve of the one output, or of `output`; and at a trigger rate out of
    `input_rate_khz` the threshold with its uncertainty and the signal's efficiency (see `trigrad.metrics.working_point`).

    `seed` chooses which events are timed; `options` are Predictor's. For figures that mean something leave the machine alone.

    >>> import numpy as np, trigrad as tg
    >>> x = np.zeros((10, 4), "float32")
    >>> found = tg.realtime.study(tg.nn.Linear(4, 1), x, seconds=0.01, batches=(1, 16), header=False, others=False)
    >>> found.latencies[0].name, sorted(found.throughput["trigrad"]), "median" in str(found)
    ('C++ library, hot', [1, 16], True)
    """
    x = numpy.ascontiguousarray(X.numpy() if isinstance(X, Tensor) else X, dtype=numpy.float32)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"[study] X has shape {x.shape}, expected events as rows: (N, features)")
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError(f"[study] seconds is {seconds}, expected more than 0")
    if isinstance(model, Predictor) and options:
        raise ValueError(f"[study] got {', '.join(options)} with a Predictor, which is made already")
    one = model if isinstance(model, Predictor) else Predictor(model, **options)
    if one.device != "cpu":
        one = Predictor.from_bytes(one.to_bytes())
    if x.shape[1] != one.inputs:
        raise ValueError(f"[study] X has shape {x.shape}, expected events as rows: (N, {one.inputs})")
    if output is not None and not -one.outputs <= output < one.outputs:
        raise IndexError(f"[study] output is {output}, expected one of the {one.outputs} outputs")
    if not all(1 <= rows <= MOST_ROWS for rows in batches):
        raise ValueError(f"[study] batches are {tuple(batches)}, expected 1 to {MOST_ROWS} rows each")
    if y is None and trigger_rate_khz is not None:
        raise ValueError("[study] got trigger_rate_khz without labels y, which say what passes")
    content = one.to_bytes()
    decisions = None
    if y is not None:
        decisions = _decisions(_scores(content, x, output), y, sample_weight, trigger_rate_khz, input_rate_khz)
    some = max(1, min(len(x), EVENT_BYTES // (4 * one.inputs)))
    events = numpy.ascontiguousarray(x[numpy.random.default_rng(seed).permutation(len(x))[:some]])

    missing: dict[str, str] = {}
    calls: dict[str, Call] = {}
    if others:
        calls, missing = peers(content, events, _answers(content, events))
    threads = _core.get_num_threads()
    clock, step, flushes = _core.clock_of_calls()
    conditions = _timing.conditions()
    if not flushes:
        missing["from memory"] = f"{clock} is all that this processor offers: nothing flushes its caches"
    latencies = [_timing.compiled_calls(f"C++ library, {c.name}", one, events, seconds, c, step) for c in conditions]
    if header:
        try:
            function = _timing.header_function(one)
        except Unavailable as error:
            missing["C++ header"] = str(error)
        else:
            _timing.header_agrees(function, one, events)
            there = [c for c in conditions if not c.flush or function.memory]
            latencies += [
                _timing.compiled_calls(f"C++ header, {c.name}", function, events, seconds, c, step) for c in there
            ]
    on_gpu, absent = _timing.cuda_calls(content, events, seconds, step)
    latencies += on_gpu
    missing |= absent
    out = numpy.empty(one.outputs, numpy.float32)
    latencies.append(_timing.python_calls("Python, p(x, out)", lambda row: one(row, out), events, seconds))
    latencies.append(_timing.python_calls("Python, p(x)", one, events, seconds))
    if one.outputs == 1 or output is not None:
        cut = 0.5 if decisions is None or decisions.point is None else decisions.point.threshold
        latencies.append(
            _timing.python_calls(
                "Python, p.decide(x, cut)", lambda row: one.decide(row, cut, output or 0), events, seconds
            )
        )
    if isinstance(model, Module):
        latencies.append(_timing.python_calls("Python, the eager model", _eager(model), events[:, None], seconds))
    with one_thread(bool(calls)):
        for name, call in calls.items():
            latencies.append(_timing.python_calls(f"Python, {name}", call, events[:, None], seconds))
        throughput = _throughput(content, calls, x, batches, seconds)
    if threads > 1:
        throughput[f"trigrad, {threads} threads"] = _throughput(content, {}, x, batches, seconds)["trigrad"]
    empty = _timing.compiled_calls("an empty call", None, events, min(seconds, 0.1), conditions[0], step)
    work = _timing.multiply_adds(_plan.read(content))
    return Study(
        _provenance(one, content, work, x, seed),
        latencies,
        throughput,
        _timing.floor(one, work, empty),
        missing,
        decisions,
    )


def _eager(model: Module) -> Call:
    def call(event: Array) -> Any:
        with no_grad():
            return model(_core.from_numpy(event))

    return call


def _answers(content: bytes, x: Array) -> Array:
    """Of all events: (N, outputs)."""
    many = Predictor.from_bytes(content, min(len(x), MOST_ROWS))
    return numpy.concatenate([many(x[i : i + many.batch]) for i in range(0, len(x), many.batch)])


def _throughput(
    content: bytes, calls: dict[str, Call], x: Array, batches: tuple[int, ...], seconds: float
) -> dict[str, dict[int, float]]:
    """Events per second of the predictor and of others."""
    found: dict[str, dict[int, float]] = {name: {} for name in ("trigrad", *calls)}
    for rows in batches:
        many, events = Predictor.from_bytes(content, rows), numpy.resize(x, (rows, x.shape[1]))
        everyone: dict[str, Call] = {"trigrad": partial(many, out=many(events)), **calls}
        for name, call in everyone.items():
            found[name][rows] = _timing.rate(call, events, seconds)
    return found


def _scores(content: bytes, x: Array, output: int | None) -> Array:
    answers = _answers(content, x)
    if output is None and answers.shape[1] != 1:
        raise ValueError(
            f"[study] the model has {answers.shape[1]} outputs; say which one is the score of the labels y: output=k"
        )
    return answers[:, output or 0]


def _decisions(
    score: Array,
    y: Array | Tensor,
    sample_weight: Array | Tensor | None,
    trigger_rate_khz: float | None,
    input_rate_khz: float,
) -> Decisions:
    background, signal, _ = metrics.roc_curve(y, score, sample_weight=sample_weight)
    if len(background) > CURVE_POINTS:  # evenly along the logarithmic axis of the rates, and the ends
        least = background[background > 0].min()
        kept = numpy.searchsorted(background, numpy.geomspace(least, 1, CURVE_POINTS - 1)).clip(max=len(background) - 1)
        kept = numpy.unique(numpy.append(kept, 0))
        background, signal = background[kept], signal[kept]
    point = None
    if trigger_rate_khz is not None:
        point = metrics.working_point(
            y, score, rate_khz=trigger_rate_khz, input_rate_khz=input_rate_khz, sample_weight=sample_weight
        )
    area = metrics.roc_auc_score(y, score, sample_weight=sample_weight)
    return Decisions(float(area), input_rate_khz, background.tolist(), signal.tolist(), point)
