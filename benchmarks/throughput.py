"""Many events per call: predictors beside ONNX Runtime, OpenVINO, XNNPACK, PyTorch and JAX, million events per second.

    python benchmarks/throughput.py                               batches of 1 to 262,144, 1 and 2 threads
    python benchmarks/throughput.py --only "1024 jet,262144 jet" --threads 1
    python benchmarks/throughput.py --csv throughput.csv --plot throughput.png

The peers take turns in short blocks, each in a process of its own with as many CPUs as it has threads. A call takes rows of
float32 in a NumPy array and leaves the answers in another.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import harness
from cases import Case
from harness import Timing, table
from kernels import Cell, Row, absences, spread

NETWORKS = ("jet", "ecal", "autoencoder", "Higgs")
BATCHES = (1, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144)
PEERS = [
    "predictor",
    "bfloat16",
    "int16",
    "int8",
    "ort bound",
    "ort run",
    "openvino",
    "xnnpack",
    "torch model",
    "jax model",
]
OURS = ("predictor", "bfloat16", "int16", "int8")
SMALL = ("jet", "ecal", "autoencoder")
AT, FROM = 262_144, 1024  # the rate of a batch of 1,024 is to hold at 262,144


def goal(case: Case, peer: str) -> float:
    """How many times the peer's rate."""
    rows = case.shape[0]
    if case.how in SMALL and rows == FROM and peer in ("ort bound", "ort run", "openvino", "xnnpack"):
        return 1.25
    if case.how in SMALL and rows == AT and peer.startswith("ort"):
        return 1.8
    return 1.0


def rate(row: Row, peer: str) -> float | None:
    us = row.us(peer)
    return row.case.shape[0] / us if us else None


def report(rows: Sequence[Row], peers: Sequence[str]) -> None:
    first = peers[0]
    cells: list[list[Cell]] = []
    for r in rows:
        speedups, us = r.speedups(first), r.us(first)
        line: list[Cell] = [f"{r.case.shape[0]:,}", *(rate(r, p) or r.timings[p].status for p in peers)]
        line += [spread(speedups.get(p)) for p in peers[1:] if p not in OURS]
        cells.append([*line, r.case.flops / us / 1e3 if us else None])
    print(
        f"\n{rows[0].case.how}, {rows[0].threads} thread{'s' if rows[0].threads > 1 else ''}, million events per second"
    )
    others = [f"{first} / {p}" for p in peers[1:] if p not in OURS]
    print(table(["batch", *peers, *others, "GF/s"], cells), flush=True)


def shortfalls(rows: Sequence[Row], first: str) -> None:
    behind: list[list[Cell]] = []
    for r in rows:
        for peer, speedup in r.speedups(first).items():
            if peer not in OURS and speedup[0] < goal(r.case, peer):
                behind.append([r.case.name, r.threads, peer, spread(speedup), goal(r.case, peer)])
    print(f"\nBehind the goal: {len(behind)}")
    if behind:
        print(table(["case", "threads", "behind", f"its time / {first}", "goal"], behind))


def steady(rows: Sequence[Row], peers: Iterable[str]) -> None:
    """Does the rate hold for large batches, and what does a second thread add?"""
    of = {(r.case.how, r.case.shape[0], r.threads, p): rate(r, p) for r in rows for p in r.timings}
    cells: list[list[Cell]] = []
    for name in dict.fromkeys(r.case.how for r in rows):
        for p in (p for p in peers if p in OURS):
            line: list[Cell] = [name, p]
            for t in (1, 2):
                large, medium = of.get((name, AT, t, p)), of.get((name, FROM, t, p))
                line.append(large / medium if large and medium else None)
            for batch in (FROM, AT):
                two, one = of.get((name, batch, 2, p)), of.get((name, batch, 1, p))
                line.append(two / one if two and one else None)
            cells.append(line)
    print(f"\nThe rate at {AT:,} over that at {FROM:,}, and with two threads over that with one")
    columns = ["network", "", "held, 1 thread", "held, 2 threads"]
    print(table([*columns, f"second thread at {FROM:,}", f"at {AT:,}"], cells))


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "threads", "batch", "peer", "how", "us", "million_events_per_s"])
        for r in rows:
            for p, t in r.timings.items():
                writer.writerow([r.case.how, r.threads, r.case.shape[0], p, t.variant or t.status, t.us, rate(r, p)])


def draw(path: Path, rows: Sequence[Row], peers: Sequence[str]) -> None:
    plt: Any = importlib.import_module("matplotlib.pyplot")
    names, threads = list(dict.fromkeys(r.case.how for r in rows)), list(dict.fromkeys(r.threads for r in rows))
    figure, panes = plt.subplots(len(threads), len(names), figsize=(4 * len(names), 3.5 * len(threads)), squeeze=False)
    for line, t in zip(panes, threads, strict=True):
        for pane, name in zip(line, names, strict=True):
            for k, peer in enumerate(peers):
                here = [r for r in rows if (r.case.how, r.threads) == (name, t) and r.us(peer)]
                pane.loglog(
                    [r.case.shape[0] for r in here], [rate(r, peer) for r in here], ".-", color=f"C{k}", label=peer
                )
            pane.set(
                title=f"{name}, {t} thread{'s' if t > 1 else ''}", xlabel="batch", ylabel="million events per second"
            )
    panes[0][0].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"plot: {path}")


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument(
        "--only", type=harness.words, default=[""], help='cases "batch network" that contain one of these'
    )
    parser.add_argument("--peers", type=harness.words, default=PEERS)
    parser.add_argument("--csv", type=Path, help="write one line per case and peer")
    parser.add_argument("--plot", type=Path, help="write a plot; needs matplotlib")
    parser.set_defaults(seconds=0.05)
    a = parser.parse_args()
    every = [Case("infer", (batch,), name, "throughput") for name in NETWORKS for batch in BATCHES]
    cases = [c for c in every if any(o in f"{c.shape[0]} {c.how}" for o in a.only)]
    if not cases:
        parser.error("--only leaves no case")
    if a.quick:
        one = [c for c in cases if c.how == cases[0].how]
        cases = [c for c in one if c.shape[0] <= 64] or one[:1]
    rows: list[Row] = []
    for threads in a.threads:
        blocks, seconds = (2, 0.001) if a.quick else (a.blocks, a.seconds)
        with harness.Session(a.peers, threads, blocks, seconds, a.lock) as session:
            for name in dict.fromkeys(c.how for c in cases):
                found: list[Row] = []
                for case in (c for c in cases if c.how == name):
                    timings: dict[str, Timing] = session.measure(case)
                    found.append(Row(case, threads, timings))
                report(found, a.peers)
                rows += found
                harness.save(a.out, "throughput", [r.record(a.peers[0]) for r in rows])
    shortfalls(rows, a.peers[0])
    steady(rows, a.peers)
    absences(rows)
    if a.csv:
        write_csv(a.csv, rows)
    if a.plot and importlib.util.find_spec("matplotlib"):
        draw(a.plot, rows, a.peers)
    elif a.plot:
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
