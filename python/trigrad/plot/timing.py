"""Pictures of what a predictor's calls take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trigrad._report import number
from trigrad.plot import _canvas
from trigrad.realtime import Study
from trigrad.realtime._latency import Latency, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["latency"]


def latency(
    times: Study | Sequence[Latency] | Mapping[str, Any],
    *,
    deadline: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How long single calls take, both axes logarithmic, since what a trigger fears is rare and far to the right; `deadline`,
    in nanoseconds, is a line. The legend has the median and the least share of calls that can be told: up to 99.9 %.

    times: what `realtime.study` measured, its latencies or some of them, or nanoseconds (n,) by name

    >>> import numpy as np
    >>> import trigrad as tg
    >>> ax = tg.plot.latency({"ours": np.linspace(100, 200, 2000), "theirs": np.linspace(900, 5000, 50)}, deadline=1000)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['ours: median 150, 99.9 % ≤ 199.9', 'theirs: median 2908, 90 % ≤ 4582', 'deadline 1000']
    """
    op = "plot.latency"
    if isinstance(times, Study):
        found = list(times.latencies)
    elif isinstance(times, Mapping):
        found = [summarize(str(name), _canvas.array(op, str(name), values, 1)) for name, values in times.items()]
    else:
        found = list(times)
    if not found or not all(isinstance(one, Latency) for one in found):
        kinds = ", ".join(sorted({type(one).__name__ for one in found})) or "nothing"
        raise TypeError(f"[{op}] got {kinds}, expected latencies of a realtime.study, or nanoseconds by name")
    ax = _canvas.axes(op, ax)
    for k, one in enumerate(found):
        edges, counts = one.histogram.edges, np.asarray(one.histogram.counts)
        _canvas.histogram(ax, counts / one.calls, np.asarray(edges), k, f"{one.name}: {_told(one)}")
    if deadline is not None:
        ax.axvline(deadline, color=_canvas.ink(op), linestyle=":", label=f"deadline {number(float(deadline))}")
    ax.set(xlabel="time of one call, ns", ylabel="share of the calls", xscale="log", yscale="log")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _told(one: Latency) -> str:
    known = {name: value for name, value in one.quantiles.items() if value is not None and name != "p99.99"}
    last = list(known)[-1]
    median = f"median {number(known['median'])}"
    return median if last == "median" else f"{median}, {last[1:]} % ≤ {number(known[last])}"
