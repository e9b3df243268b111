"""Predictors of odd widths and of 1 to 20 layers against a floor, one event and 1,024 at a time: table, CSV, plot, cliffs.

    python benchmarks/latency_sweep.py --csv sweep.csv --plot sweep.png
    python benchmarks/latency_sweep.py --curves depth --ghz 3.8

The floor of a call is what it costs to call a network of one number, measured in the same run, and for each layer the greatest
of three times: its multiply-adds at the rate of the fastest product, measured in the same run; of one event, the latency of
its sums, a chain of fma over the inputs, four cycles (at --ghz) each, divided by the chains that the order of sums gives a
layer of this shape (docs/arithmetic.md); and its weights, where those of the network do not fit into the first cache (--l1),
at the rate at which NumPy's dot product reads the second one, measured in the same run. What handing activations from layer to
layer takes is not in it. A point that takes longer than a neighbour with more work is a cliff, one that has much less of the
floor than points with less work has fallen: both are listed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import harness
import nets
import trigrad as tg
from compile_sweep import CLIFF, FALL, cliffs, draw, falls, microseconds, peak_gflops, take
from harness import locked, table
from inference_peers import Trigrad

CYCLES = 4  # from an fma to the next one of its chain
WIDTHS = [
    *range(1, 11),
    12,
    15,
    16,
    17,
    24,
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
    127,
    128,
    129,
    192,
    193,
    256,
    257,
]
DEPTHS = [*range(1, 11), 12, 14, 16, 18, 20]
ODD = (1, 3, 5, 7, 17, 33, 65)


class Point(NamedTuple):
    curve: str
    at: int  # what goes along the curve
    net: nets.Net
    rows: int = 1


def curves(quick: bool) -> Iterator[Point]:
    for width in WIDTHS[::16] if quick else WIDTHS:
        yield Point("width", width, nets.Net((16, width, width, 5)))
    if quick:
        return
    for width in WIDTHS:
        yield Point("inputs", width, nets.Net((width, 32, 1)))
    for width in WIDTHS:
        yield Point("outputs", width, nets.Net((32, width)))
    for width in WIDTHS:
        yield Point("width, 1,024 events", width, nets.Net((16, width, width, 5)), 1024)
    for width in ODD:
        for depth in DEPTHS:
            yield Point(f"depth of width {width}", depth, nets.Net((16, *[width] * depth, 1)))


def chains(inputs: int, outputs: int) -> int:
    """docs/arithmetic.md"""
    found = 4 if outputs <= 16 else 2 if outputs <= 32 else 1
    while found > 1 and inputs < 8 * found:
        found //= 2
    return found


class Machine(NamedTuple):
    gflops: float
    ghz: float
    l1: int  # bytes
    gbytes: float  # per second, from the second cache
    empty_us: float  # a call

    def or_better(self, other: Machine) -> Machine:
        fast = max(self.gflops, other.gflops), self.ghz, self.l1, max(self.gbytes, other.gbytes)
        return Machine(*fast, min(self.empty_us, other.empty_us))

    def floor_us(self, net: nets.Net, rows: int) -> float:
        layers = list(pairwise(net.sizes))
        beyond = rows == 1 and 4 * sum(k * n for k, n in layers) > self.l1
        each = 0.0
        for k, n in layers:
            latency = -(-k // chains(k, n)) * CYCLES / self.ghz / 1e3 if rows == 1 else 0.0
            each += max(
                2.0 * rows * k * n / self.gflops / 1e3, latency, 4 * k * n / self.gbytes / 1e3 if beyond else 0.0
            )
        return self.empty_us + each


def second_cache_gbytes(seconds: float) -> float:
    a, b = np.ones(32_768, np.float32), np.ones(32_768, np.float32)
    return (a.nbytes + b.nbytes) / microseconds(lambda: np.dot(a, b), max(seconds, 0.01)) / 1e3


def call_of(net: nets.Net, rows: int) -> Callable[[], Any]:
    p = tg.realtime.Predictor(Trigrad(1).model(net, nets.weights(net)), batch=rows)
    x = nets.events(net, rows) if rows > 1 else nets.events(net, 1)[0]
    out = p(x)
    return lambda: p(x, out)


def machine_of(seconds: float, ghz: float, l1: int) -> Machine:
    empty = microseconds(call_of(nets.Net((1, 1)), 1), max(seconds, 0.01))
    return Machine(peak_gflops(seconds), ghz, l1, second_cache_gbytes(seconds), empty)


def main() -> None:
    parser: argparse.ArgumentParser = harness.arguments(__doc__ or "")
    parser.add_argument("--curves", type=harness.words, default=[""], help="curves whose name contains one of these")
    parser.add_argument("--ghz", type=float, default=4.0, help="the processor's clock, for the latency in the floor")
    parser.add_argument("--l1", type=int, default=32_768, help="bytes of the first cache that weights may fill")
    parser.add_argument("--csv", type=Path, help="write one line per point")
    parser.add_argument("--plot", type=Path, help="write a plot; needs matplotlib")
    parser.set_defaults(seconds=0.03)
    a = parser.parse_args()
    seconds = 0.001 if a.quick else a.seconds
    take(1)
    rows: list[dict[str, Any]] = []
    with locked(a.lock):
        before = machine_of(seconds, a.ghz, a.l1)
        timed = [
            (p, microseconds(call_of(p.net, p.rows), seconds))
            for p in curves(a.quick)
            if any(word in p.curve for word in a.curves)
        ]
        machine = before.or_better(machine_of(seconds, a.ghz, a.l1))
    print(f"The floor: {machine}")
    for p, us in timed:
        floor, flops = machine.floor_us(p.net, p.rows), 2.0 * p.rows * sum(k * n for k, n in pairwise(p.net.sizes))
        found = {"curve": p.curve, "at": p.at, "threads": 1, "rows": p.rows, "sizes": "-".join(map(str, p.net.sizes))}
        rows.append({**found, "flops": flops, "us": us, "floor_us": floor, "share": floor / us})
    if not rows:
        parser.error("--curves leaves no point")
    for curve in dict.fromkeys(r["curve"] for r in rows):
        here = [r for r in rows if r["curve"] == curve]
        print(f"\n{curve}")
        cells = [[str(r["at"]), r["sizes"], r["us"] * 1e3, r["floor_us"] * 1e3, r["share"]] for r in here]
        print(table(["at", "network", "ns", "floor", "share"], cells), flush=True)
    shares = np.array([r["share"] for r in rows])
    print(f"\nShares of the floor: least {shares.min():.2f}, median {np.median(shares):.2f}")
    steep, low = cliffs(rows), falls(rows)
    print(f"\nCliffs, where less work takes more than {CLIFF} times as long: {len(steep)}")
    if steep:
        print(table(["curve", "threads", "less work", "more", "µs", "µs of more"], steep))
    print(f"\nShares of the floor below {FALL} of what less work had: {len(low)}")
    if low:
        print(table(["curve", "threads", "at", "µs", "share", "best before"], low))
    harness.save(a.out, "latency_sweep", rows)
    if a.csv:
        with a.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if a.plot and importlib.util.find_spec("matplotlib"):
        draw(a.plot, rows, "µs per call")
    elif a.plot:
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
