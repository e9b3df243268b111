"""Times our kernels from Python beside those of other libraries, block by alternating block.

    python benchmarks/kernels.py                             everything, 1 and 2 threads, against PyTorch and NumPy
    python benchmarks/kernels.py --only softmax,"dense 1x"   cases whose name contains one of these
    python benchmarks/kernels.py --group "every op"          cases whose group contains one of these
    python benchmarks/kernels.py --quick                     one small case of every kind: does it run?

The first of --peers is the one that the others are compared with. Every answer is checked against float64 NumPy before
it is timed; a library, operation or answer that is not there or not right is named at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import harness
from cases import MEMORY_SIZES, STREAMS, Case, catalogue, quick_catalogue
from harness import Session, Timing, ratio, table

Cell = float | str | None

MEMORY = [Case(op, (n,), "", "memory") for n in MEMORY_SIZES for op in ("read", "copy", "triad")]
MEMORY_BOUND = 1 << 19  # elements from which a case's GB/s are shown beside those that the memory gives
GOALS = dict.fromkeys(["exp", "tanh", "dropout", "cross_entropy"], 2.0)  # times as fast as the others; the rest: once
TWO_THREADS_PAY = 30e6  # floating-point operations of a product above which two threads should be 1.8 times one


@dataclass(frozen=True)
class Row:
    case: Case
    threads: int
    timings: dict[str, Timing]

    def us(self, peer: str) -> float | None:
        return self.timings[peer].us

    def speedups(self, ours: str) -> dict[str, tuple[float, float, float]]:
        each = {p: ratio(t, self.timings[ours]) for p, t in self.timings.items() if p != ours}
        return {p: r for p, r in each.items() if r}

    def record(self, ours: str) -> dict[str, Any]:
        return {
            "case": self.case.name,
            "group": self.case.group,
            "op": self.case.op,
            "shape": self.case.shape,
            "how": self.case.how,
            "threads": self.threads,
            "flops": self.case.flops,
            "bytes": self.case.bytes,
            "peers": {
                p: {
                    "status": t.status,
                    "us": t.us,
                    "blocks_us": t.blocks_us,
                    "variant": t.variant,
                    "faults": t.faults,
                }
                for p, t in self.timings.items()
            },
            "speedup": {p: {"median": r[0], "least": r[1], "greatest": r[2]} for p, r in self.speedups(ours).items()},
        }


class Memory:
    """Measured GB/s of reading, copying and adding arrays."""

    def __init__(self, session: Session) -> None:
        self.rates: dict[tuple[int, int], float] = {}  # (streams, elements) -> GB/s
        for case in MEMORY:
            if us := session.measure(case)["memory"].us:
                streams = STREAMS[case.op]
                self.rates[streams, case.shape[0]] = case.bytes / us / 1e3

    def rate(self, case: Case) -> float | None:
        """GB/s of the same number of streams over arrays of about the same size."""
        if math.prod(case.shape) < MEMORY_BOUND or not case.bytes:
            return None
        near = min({n for _, n in self.rates}, key=lambda n: abs(math.log(n / math.prod(case.shape))), default=0)
        return self.rates.get((STREAMS[case.op], near))

    def lines(self) -> Iterable[str]:
        words = {STREAMS["read"]: "read", STREAMS["copy"]: "copy", STREAMS["triad"]: "add"}
        for n in sorted({n for _, n in self.rates}):
            rates = ", ".join(f"{words[s]} {r:.0f}" for (s, m), r in sorted(self.rates.items()) if m == n)
            yield f"memory, {n} elements: {rates} GB/s"


def spread(r: tuple[float, float, float] | None) -> str:
    return f"{r[0]:.2f} ({r[1]:.2f}-{r[2]:.2f})" if r else "-"


def report(rows: list[Row], peers: list[str], memory: Memory) -> None:
    """The table of one group."""
    ours, *others = peers
    ratios = [f"{p}/{ours}" for p in others]
    columns = ["case", *(f"{p} us" for p in peers), *ratios, "GF/s", "GB/s", "memory GB/s"]
    cells: list[list[Cell]] = []
    for r in rows:
        us, speedups = r.us(ours), r.speedups(ours)
        line: list[Cell] = [r.case.name, *(r.us(p) or r.timings[p].status for p in peers)]
        line += [spread(speedups.get(p)) for p in others]
        line += [amount / us / 1e3 if us and amount else None for amount in (r.case.flops, r.case.bytes)]
        cells.append([*line, memory.rate(r.case)])
    print(f"\n{rows[0].case.group}, {rows[0].threads} thread{'s' if rows[0].threads > 1 else ''}")
    print(table(columns, cells), flush=True)


def shortfalls(rows: list[Row], peers: list[str]) -> None:
    """What is slower than it should be, worst first."""
    ours, *others = peers
    behind: list[tuple[float, list[Cell]]] = []
    for r in rows:
        for peer, speedup in r.speedups(ours).items():
            goal = GOALS.get(r.case.op, 1.0) if peer == "torch" else 1.0
            if speedup[0] < goal:
                what = f"{peer}: {r.timings[peer].variant}"
                cells: list[Cell] = [
                    r.case.name,
                    r.threads,
                    what,
                    r.us(ours),
                    r.us(peer),
                    spread(speedup),
                    goal,
                ]
                behind.append((speedup[0] / goal, cells))
    compared = sum(bool(r.speedups(ours)) for r in rows)
    print(f"\nBehind the goal, worst first: {len(behind)} ({compared} cases compared with {', '.join(others)})")
    if behind:
        behind.sort(key=lambda b: b[0])
        columns = ["case", "threads", "behind", f"{ours} us", "its us", f"its/{ours}", "goal"]
        print(table(columns, [cells for _, cells in behind]))


def steps(rows: list[Row], peers: list[str]) -> None:
    """The largest step in time between neighbouring numbers of outputs."""
    for peer in peers:
        curve = {(r.threads, r.case.shape): us for r in rows if r.case.how == "neighbours" and (us := r.us(peer))}
        found = [
            (us / curve[t, (m, k, n - 1)], t, m, k, n)
            for (t, (m, k, n)), us in curve.items()
            if (t, (m, k, n - 1)) in curve
        ]
        if found:
            worst = sorted(found, reverse=True)[:3]
            print(f"{peer}: largest steps between neighbouring N:", end=" ")
            print("; ".join(f"{f:.2f} from {m}x{k}x{n - 1} to {n}, {t} threads" for f, t, m, k, n in worst))


def scaling(rows: list[Row], peers: list[str]) -> None:
    """What the second thread gives on large products."""
    for peer in peers:
        us = {(r.case, r.threads): us for r in rows if r.case.flops > TWO_THREADS_PAY and (us := r.us(peer))}
        gains = sorted((us[c, 1] / us[c, 2], c.name) for c, t in us if t == 1 and (c, 2) in us)
        if gains:
            middle = gains[len(gains) // 2][0]
            worst = ", ".join(f"{g:.2f} ({name})" for g, name in gains[:5])
            print(f"{peer}: two threads on products above 30 MFLOP: median {middle:.2f} times one, least {worst}")


def absences(rows: list[Row]) -> None:
    """Everything that was asked for and not timed."""
    for peer in rows[0].timings:
        for status in ("missing", "invalid", "died"):
            cases = [r for r in rows if r.timings[peer].status == status]
            if cases:
                reasons = dict.fromkeys(f"{w}: {why}" for r in cases for w, why in r.timings[peer].faults.items())
                names = ", ".join(dict.fromkeys(r.case.name if status != "missing" else r.case.op for r in cases))
                print(f"{peer}: {status} in {len(cases)} cases: {names}", *reasons, sep="\n    ")


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--only", type=harness.words, default=[""], help="cases whose name contains one of these")
    parser.add_argument("--group", type=harness.words, default=[""], help="cases whose group contains one of these")
    parser.add_argument("--peers", type=harness.words, default=["trigrad", "torch", "numpy"])
    a = parser.parse_args()
    every = quick_catalogue() if a.quick else catalogue()
    cases = [c for c in every if any(o in c.name for o in a.only) and any(g in c.group for g in a.group)]
    if not cases:
        parser.error("--only and --group leave no case")
    blocks, seconds = (2, 0.001) if a.quick else (a.blocks, a.seconds)
    rows: list[Row] = []
    for threads in a.threads:
        with Session(["memory"], threads, blocks, seconds, a.lock) as session:
            memory = Memory(session)
        print(*memory.lines(), sep="\n", flush=True)
        with Session(a.peers, threads, blocks, seconds, a.lock) as session:
            for group in dict.fromkeys(c.group for c in cases):
                found = [Row(c, threads, session.measure(c)) for c in cases if c.group == group]
                report(found, a.peers, memory)
                rows += found
                harness.save(a.out, "kernels", [r.record(a.peers[0]) for r in rows])
    shortfalls(rows, a.peers)
    steps(rows, a.peers)
    scaling(rows, a.peers)
    absences(rows)


if __name__ == "__main__":
    main()
