"""What the tape costs: a 16-element call as it is, the same call recorded, and its share of a backward pass.

python benchmarks/taped.py
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import harness
from harness import table

CHAIN = 100  # calls of a graph whose backward pass is timed

# One call on x and w, of 16 elements each, whose result has x's shape.
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "x + w": lambda t, x, w: x + w,
    "x * w": lambda t, x, w: x * w,
    "x * 0.5": lambda t, x, w: x * 0.5,
    "x**2": lambda t, x, w: x**2,
    "tanh(x)": lambda t, x, w: t.tanh(x),
    "relu(x)": lambda t, x, w: t.relu(x),
    "softmax(x)": lambda t, x, w: t.softmax(x, 0),
    "x.view(16)": lambda t, x, w: x.view(16),
    "x[:]": lambda t, x, w: x[:],
}
COLUMNS = ("call", "recorded", "tape", "backward")


def timed(run: Callable[[], Any], calls: int, seconds: float) -> float:
    """Microseconds per call of `run`, which makes so many: the least over a block."""
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or least == float("inf"):
        start = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - start)
    return least / calls * 1e6


def block(t: Any, call: Callable[[Any, Any, Any], Any], seconds: float) -> dict[str, float]:
    x, leaf, w = t.ones(16), t.ones(16, requires_grad=True), t.ones(16)

    def chain(first: Any) -> Any:
        y = first
        for _ in range(CHAIN):
            y = call(t, y, w)
        return y

    found = {"call": timed(lambda: chain(x), CHAIN, seconds), "recorded": timed(lambda: chain(leaf), CHAIN, seconds)}
    found["tape"] = found["recorded"] - found["call"]
    y, short = chain(leaf), call(t, leaf, w)
    whole = timed(lambda: y.backward(w, retain_graph=True), 1, seconds)
    one = timed(lambda: short.backward(w, retain_graph=True), 1, seconds)
    found["backward"] = (whole - one) / (CHAIN - 1)  # without what a pass costs whatever its graph
    return found


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--peers", type=harness.words, default=["trigrad", "torch"])
    a = parser.parse_args()
    blocks, seconds = (1, 0.002) if a.quick else (a.blocks, a.seconds)
    peers = [p for p in a.peers if find_spec(p)]
    modules = {p: importlib.import_module(p) for p in peers}
    for module in modules.values():
        module.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    gc.disable()
    for name, call in CALLS.items():
        samples: dict[str, list[dict[str, float]]] = {p: [] for p in peers}
        with harness.locked(a.lock):
            for _ in range(blocks):
                for p in peers:
                    samples[p].append(block(modules[p], call, seconds))
        times = {p: {c: median(s[c] for s in samples[p]) for c in COLUMNS} for p in peers}
        rows.append({"call": name, **times})
    print(
        table(
            ["us", *(f"{p} {c}" for p in peers for c in COLUMNS)],
            [[r["call"], *(f"{r[p][c]:.2f}" for p in peers for c in COLUMNS)] for r in rows],
        )
    )
    harness.save(a.out, "taped", rows)


if __name__ == "__main__":
    main()
