"""Compiled training steps of any shape against the floor of the machine: odd widths, depths 1 to 20, batches 1 to 100,000.

    python benchmarks/compile_sweep.py --csv sweep.csv --plot sweep.png
    python benchmarks/compile_sweep.py --curves depth --threads 1

The floor of a step is the floating-point operations of its products over the rate of the fastest product that was measured in
the same run, on as many threads. A point whose step takes longer than that of a neighbour with more work is a cliff, one that
has much less of the floor than points with less work has fallen: both are listed.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import harness
import nets
import trigrad as tg
from harness import locked, table
from worker import in_bursts

PRODUCT = 512  # rows, inputs and outputs of the product whose rate is the peak
CLIFF = 1.3  # more than this much longer than a neighbour with more work
FALL = 0.6  # less than this much of the best share of the floor that less work had


CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class Point(NamedTuple):
    curve: str
    at: int  # what goes along the curve
    net: nets.Net
    rows: int


BATCHES = [
    1,
    2,
    3,
    5,
    8,
    13,
    16,
    31,
    32,
    33,
    63,
    64,
    65,
    100,
    127,
    128,
    129,
    192,
    193,
    255,
    256,
    257,
    300,
    511,
    512,
    513,
]
BATCHES += [1000, 1024, 1025, 2047, 2048, 3000, 4095, 4096, 4097, 8192, 10_000, 16_384, 30_000, 65_536, 100_000]
WIDTHS = [
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    23,
    31,
    32,
    33,
    47,
    48,
    49,
    63,
    64,
    65,
    96,
    97,
    100,
    127,
    128,
    129,
    200,
    255,
    256,
]
WIDTHS += [257, 300, 511, 512, 513]
DEPTHS = [*range(1, 11), 12, 14, 16, 18, 20]


def curves(quick: bool) -> Iterator[Point]:
    jet = nets.NETS["jet"]
    for rows in BATCHES[::12] if quick else BATCHES:
        yield Point("batch of jets", rows, jet, rows)
    for rows in [] if quick else [n for n in BATCHES if n <= 20_000]:
        yield Point("batch of SUSY", rows, nets.NETS["SUSY"], rows)
    for width in WIDTHS[:2] if quick else WIDTHS:
        yield Point("width at 128 rows", width, nets.Net((20, width, width, 5)), 128)
    for width in [] if quick else WIDTHS:
        yield Point("width at 1000 rows", width, nets.Net((20, width, width, 5)), 1000)
    for depth in DEPTHS[:2] if quick else DEPTHS:
        yield Point("depth of width 32", depth, nets.Net((16, *[32] * depth, 5)), 128)
    for depth in [] if quick else DEPTHS:
        yield Point("depth of width 33 tanh", depth, nets.Net((16, *[33] * depth, 1), "tanh"), 300)


def step_of(net: nets.Net, rows: int) -> Callable[[], Any]:
    """One compiled step on the same batch."""
    x, y, *weights = (
        nets.problem(net, max(rows // nets.BATCHES, 1)) if rows >= nets.BATCHES else nets.problem(net, rows)
    )
    x, y = x.reshape(-1, net.sizes[0]), y.reshape(-1)
    x, y = tg.tensor(np.resize(x, (rows, net.sizes[0]))), tg.tensor(np.resize(y, rows))
    layers: list[Any] = []
    for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        layer = tg.nn.Linear(w.shape[1], w.shape[0])
        layer.load_state_dict({"weight": w, "bias": b})
        layers.append(layer)
        if i + 2 < len(net.sizes):
            layers.append(tg.nn.ReLU() if net.hidden == "relu" else tg.nn.Tanh())
    model = tg.nn.Sequential(*layers)
    optimizer = tg.optim.Adam(model.parameters(), lr=nets.LEARNING_RATE)
    criterion = tg.nn.BCEWithLogitsLoss() if net.logit else tg.nn.CrossEntropyLoss()

    @tg.compile  # type: ignore[untyped-decorator,unused-ignore]
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        z = model(x)
        loss = criterion(z.squeeze(1) if net.logit else z, y)
        loss.backward()
        optimizer.step()
        return loss

    step(x, y)
    return lambda: step(x, y)


class Timed(NamedTuple):
    """What worker.in_bursts takes."""

    call: Callable[[], Any]
    before: None = None


def microseconds(call: Callable[[], Any], seconds: float) -> float:
    """The least of three medians: what the machine was doing beside is left out."""
    variant: Any = Timed(call)
    in_bursts(variant, seconds * 1e8)
    return min(in_bursts(variant, seconds * 1e9 / 3) for _ in range(3)) / 1e3


def peak_gflops(seconds: float) -> float:
    """Of a product of PRODUCT³: about what the machine has."""
    a, b = tg.rand(PRODUCT, PRODUCT), tg.rand(PRODUCT, PRODUCT)
    with tg.no_grad():
        us = microseconds(lambda: tg.nn.functional.linear(a, b), max(seconds, 0.1))
    return 2.0 * PRODUCT**3 / us / 1e3


def take(threads: int) -> None:
    """So many threads, and as many CPUs to themselves."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, CPUS[:threads])
    tg.set_num_threads(threads)


def cliffs(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Points whose neighbour does more work in less time."""
    found: list[list[Any]] = []
    for a, b in pairwise(rows):
        if (a["curve"], a["threads"]) != (b["curve"], b["threads"]):
            continue
        small, big = sorted((a, b), key=lambda r: r["flops"])
        if small["us"] > CLIFF * big["us"]:
            found.append([a["curve"], a["threads"], small["at"], big["at"], small["us"], big["us"]])
    return found


def falls(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Points with less of the floor than points before them with less work."""
    found: list[list[Any]] = []
    best: dict[tuple[str, int], float] = {}
    for r in sorted(rows, key=lambda r: r["flops"]):
        key = r["curve"], r["threads"]
        if r["share"] < FALL * best.get(key, 0.0):
            found.append([*key, r["at"], r["us"], r["share"], best[key]])
        best[key] = max(best.get(key, 0.0), r["share"])
    return found


def draw(path: Path, rows: list[dict[str, Any]], label_y: str = "µs per step") -> None:
    plt: Any = importlib.import_module("matplotlib.pyplot")
    names = list(dict.fromkeys(r["curve"] for r in rows))
    figure, panes = plt.subplots(2, (len(names) + 1) // 2, figsize=(5 * ((len(names) + 1) // 2), 8), squeeze=False)
    for pane, name in zip(panes.flat, names, strict=False):
        for k, threads in enumerate(dict.fromkeys(r["threads"] for r in rows)):
            points = [r for r in rows if r["curve"] == name and r["threads"] == threads]
            at, label = [r["at"] for r in points], f"{threads} thread{'s' if threads > 1 else ''}"
            pane.loglog(at, [r["us"] for r in points], ".-", color=f"C{k}", label=label)
            pane.loglog(at, [r["floor_us"] for r in points], "--", color=f"C{k}", label=f"floor, {label}")
        pane.set(title=name, ylabel=label_y)
    panes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"plot: {path}")


def main() -> None:
    parser: argparse.ArgumentParser = harness.arguments(__doc__ or "")
    parser.add_argument("--curves", type=harness.words, default=[""], help="curves whose name contains one of these")
    parser.add_argument("--csv", type=Path, help="write one line per point")
    parser.add_argument("--plot", type=Path, help="write a plot; needs matplotlib")
    parser.set_defaults(seconds=0.05)
    a = parser.parse_args()
    seconds = 0.001 if a.quick else a.seconds
    points = [p for p in curves(a.quick) if any(word in p.curve for word in a.curves)]
    names = list(dict.fromkeys(p.curve for p in points))
    rows: list[dict[str, Any]] = []
    peaks: dict[int, float] = {}
    for threads in a.threads:
        take(threads)
        with locked(a.lock):
            peaks[threads] = peak_gflops(seconds)
        print(f"{threads} thread{'s' if threads > 1 else ''}: the floor is at {peaks[threads]:.0f} GF/s", flush=True)
    for p in points:
        call, flops = step_of(p.net, p.rows), p.net.flops(p.rows)
        for threads in a.threads:  # in turn at each point, so that what else the machine does is shared out
            take(threads)
            start = time.perf_counter()
            call()
            least = 0.0 if a.quick else 3 * (time.perf_counter() - start)
            with locked(a.lock):
                us = microseconds(call, max(seconds, least))
            floor = flops / peaks[threads] / 1e3
            found = {"curve": p.curve, "at": p.at, "threads": threads, "rows": p.rows}
            found |= {"sizes": "-".join(map(str, p.net.sizes)), "flops": flops}
            rows.append({**found, "us": us, "floor_us": floor, "share": floor / us})
    rows.sort(key=lambda r: (names.index(r["curve"]), r["threads"]))
    for curve in dict.fromkeys(r["curve"] for r in rows):
        here = [r for r in rows if r["curve"] == curve]
        cells: list[list[Any]] = []
        for at in dict.fromkeys(r["at"] for r in here):
            of = {r["threads"]: r for r in here if r["at"] == at}
            line: list[Any] = [str(at)]
            for t in a.threads:
                line += [of[t]["us"], of[t]["share"]]
            both = {1, 2} <= of.keys()
            cells.append([*line, of[1]["us"] / of[2]["us"] if both else None])
        print(f"\n{curve}: µs per step, share of the floor")
        columns = [c for t in a.threads for c in (f"{t} thread{'s' if t > 1 else ''}", "share")]
        print(table(["at", *columns, "1 over 2 threads"], cells), flush=True)
    steep = cliffs(rows)
    print(f"\nCliffs, where less work takes more than {CLIFF} times as long: {len(steep)}")
    if steep:
        print(table(["curve", "threads", "less work", "more", "µs", "µs of more"], steep))
    low = falls(rows)
    print(f"\nShares of the floor below {FALL} of what less work had: {len(low)}")
    if low:
        print(table(["curve", "threads", "at", "µs", "share", "best before"], low))
    harness.save(a.out, "compile_sweep", rows)
    if a.csv:
        with a.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if a.plot:
        if importlib.util.find_spec("matplotlib"):
            draw(a.plot, rows)
        else:
            print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
