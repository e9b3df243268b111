"""What a distribution of call times says: its quantiles as a table, its histogram as a picture, both as JSON.

>>> import numpy as np
>>> from trigrad.realtime import _latency
>>> times = np.linspace(100.0, 199.9, 1000)
>>> found = _latency.summarize("example", times, overhead=50.0)
>>> found.quantiles["median"], found.quantiles["p99.99"], found.maximum
(99.9, None, 149.9)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigrad import _report
from trigrad._report import Html

# Name -> (share of the calls that are no slower, fewest calls to tell it from): a quantile needs calls beyond it, and the
# last one a hundred of these, for it is read as a promise.
QUANTILES = {
    "median": (0.5, 1),
    "p90": (0.9, 10),
    "p99": (0.99, 100),
    "p99.9": (0.999, 1_000),
    "p99.99": (0.9999, 1_000_000),
}
PER_DECADE = 20  # bins of a histogram


@dataclass(frozen=True)
class Histogram:
    """Numbers of calls between edges (bins + 1,) in nanoseconds, on a log scale. Edges depend on the clock's step alone, so
    histograms taken with one clock share theirs."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Latency:
    """The times of many calls in nanoseconds, without the clock's own cost."""

    name: str
    calls: int
    quantiles: dict[str, float | None]
    """each the time of one of the calls; None where there are too few"""
    maximum: float
    mean: float
    overhead: float
    """of reading the clock, taken off each time"""
    resolution: float
    """the clock's step, 0 if not known: no time is finer"""
    histogram: Histogram


def summarize(name: str, times: ArrayLike, *, overhead: float = 0.0, resolution: float = 0.0) -> Latency:
    """Times of single calls, in nanoseconds as the clock gave them, one each; `overhead`, an empty call's time, is taken off.
    A quantile is the least of the times that at least this share of the calls does not exceed: none is made up between two.

    times (n,)
    """
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"[summarize] times have shape {values.shape}, expected (calls,), one call at least")
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("[summarize] got times that are negative or not finite, expected nanoseconds")
    if not (overhead >= 0 and resolution >= 0):
        raise ValueError(f"[summarize] overhead is {overhead} and resolution {resolution}, expected 0 or more")
    values = np.sort(values) - overhead
    n = len(values)
    quantiles = {
        quantile: float(values[math.ceil(n * share - 1e-9) - 1]) if n >= fewest else None
        for quantile, (share, fewest) in QUANTILES.items()
    }
    return Latency(
        name=name,
        calls=n,
        quantiles=quantiles,
        maximum=float(values[-1]),
        mean=float(values.mean()),
        overhead=overhead,
        resolution=resolution,
        histogram=histogram(values, resolution),
    )


def edges(most: float, resolution: float = 0.0) -> NDArray[np.float64]:
    """From 1 ns, or the clock's first half step, up to beyond `most`: a fixed number of bins per decade, but each at least
    a step wide, and whole steps, so that no bin is fuller only because it holds one step more than its width."""
    decades = max(math.ceil(math.log10(max(most, 1.0)) + 1e-9), 1)
    found = 10.0 ** (np.arange(decades * PER_DECADE + 2) / PER_DECADE)
    if resolution:
        steps = np.maximum(np.floor(found / resolution), 0)
        found = (np.unique(np.append(steps, steps[-1] + 1)) + 0.5) * resolution
    return found


def histogram(values: ArrayLike, resolution: float = 0.0) -> Histogram:
    """Counts between the first and the last bin that hold any; what is below the first edge counts as in the first bin."""
    v = np.asarray(values, dtype=np.float64)
    borders = edges(float(v.max()), resolution)
    counts, _ = np.histogram(np.clip(v, borders[0], None), borders)
    there = np.flatnonzero(counts)
    first, last = int(there[0]), int(there[-1]) + 1
    return Histogram(tuple(borders[first : last + 1].tolist()), tuple(counts[first:last].tolist()))


# ---- as text, picture and JSON

COLUMNS = ("", "calls", *QUANTILES, "max")


def _cells(latency: Latency) -> list[object]:
    def time(value: float | None) -> str:
        return "" if value is None else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"

    return [latency.name, latency.calls, *map(time, latency.quantiles.values()), time(latency.maximum)]


def text(latencies: Sequence[Latency]) -> str:
    """A table in nanoseconds, one line each.

    >>> from trigrad.realtime import _latency
    >>> print(_latency.text([_latency.summarize("a", [60.0, 50.0, 70.0]), _latency.summarize("slow", [1234.5] * 10)]))
    ns    calls  median    p90  p99  p99.9  p99.99    max
    a         3    60.0                              70.0
    slow     10   1,234  1,234                      1,234
    """
    rows = [["ns", *COLUMNS[1:]], *([_report.number(c) for c in _cells(latency)] for latency in latencies)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    )


def table(latencies: Sequence[Latency], caption: str = "Time of one call, ns") -> Html:
    """The same for a page."""
    return _report.table(COLUMNS, map(_cells, latencies), caption)


def picture(latencies: Sequence[Latency], *, title: str = "", deadline: float | None = None) -> Html:
    """The histograms over each other, both axes logarithmic, as shares of the calls; `deadline` is a line, in nanoseconds."""
    curves = [
        _report.Curve(each.name, each.histogram.edges, np.asarray(each.histogram.counts) / each.calls, "steps")
        for each in latencies
    ]
    marks = [] if deadline is None else [_report.Mark("deadline", x=deadline)]
    return _report.chart(
        curves, title=title, x="time of one call, ns", y="share of the calls", log_x=True, log_y=True, marks=marks
    )


def document(latencies: Sequence[Latency], provenance: Mapping[str, Any], **more: Any) -> str:
    """All of it as JSON, in nanoseconds, with what it comes from (`_report.provenance`)."""
    found = {"unit": "ns", "provenance": dict(provenance), "latencies": [asdict(each) for each in latencies], **more}
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def read(document: str) -> list[Latency]:
    """The latencies in such a document, to compare another run with.

    >>> from trigrad.realtime import _latency
    >>> found = _latency.summarize("a", [60.0, 50.0])
    >>> _latency.read(_latency.document([found], {"seed": 1})) == [found]
    True
    """
    return [
        Latency(**each | {"histogram": Histogram(**{k: tuple(v) for k, v in each["histogram"].items()})})
        for each in json.loads(document)["latencies"]
    ]
