"""Times training steps (forward, loss, backward, Adam) beside PyTorch's, JAX's and scikit-learn's, block by alternating block.

    python benchmarks/training.py                          every network, 1 and 2 threads
    python benchmarks/training.py --only "128 jet",SUSY    configurations whose name contains one of these
    python benchmarks/training.py --memory                 peak memory of a process that trains, in place of times
    python benchmarks/training.py --quick                  a small network, few blocks: does it run?

The first of --peers is the one that the others are compared with. The first losses of each are compared with float64
NumPy's (dropout left out) before it is timed; a library that is not there or not right is named at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import harness
import nets
from cases import Case
from harness import Worker, locked, table
from kernels import Cell, Row, absences, spread

CASES = [Case("train", (batch,), net, "training") for net, batch in nets.CONFIGS]
IN_MEMORY = Case("epoch", (1_000_000, 1024), "jet", "training")  # events, batch
PEERS = [
    *("trigrad compiled", "trigrad eager", "torch eager", "torch foreach", "torch fused", "torch compile", "jax jit"),
    "scikit-learn",
]

# Ours -> (network, peer) -> how many times as fast; at least as fast as every other
GOALS: dict[str, dict[tuple[str, str], float]] = {
    "trigrad eager": {("train 128 jet", "torch eager"): 3.0, ("train 128 jet", "torch fused"): 2.0},
    "trigrad compiled": {
        ("train 128 jet", "jax jit"): 3.2,
        **{("train 128 jet", f"torch {way}"): 11.0 for way in ("eager", "foreach", "fused", "compile")},
        ("train 1024 jet", "jax jit"): 1.9,
        ("train 100 SUSY", "jax jit"): 1.55,
        **{("train 100 SUSY", f"torch {way}"): 3.0 for way in ("eager", "foreach", "fused", "compile")},
        ("train 128 jet + batchnorm + dropout", "jax jit"): 4.5,
        **{
            (c.name, peer): 1.1
            for c in CASES
            if c.how in ("Higgs", "MNIST")
            for peer in ("jax jit", "torch eager", "torch foreach", "torch fused", "torch compile")
        },
    },
}
SECOND_THREAD = {"train 128 jet": 1.4}  # times as fast with two threads, compiled; else by the rows of a batch
SECOND_THREAD_1024 = 1.8
MIB = {"train 512 wide": 200.0, IN_MEMORY.name: 130.0}  # the most memory that ours may take
STEPS = {"train": 20, "epoch": 1}  # before the memory is read


def goal(case: Case, ours: str, peer: str) -> float | None:
    """Others compile the whole step: what eager steps reach of that is shown, and no goal."""
    if peer.startswith("trigrad") or (ours == "trigrad eager" and peer in ("torch compile", "jax jit")):
        return None
    return GOALS.get(ours, {}).get((case.name, peer), 1.0)


def report(rows: Sequence[Row], peers: Sequence[str]) -> None:
    ours, *others = peers
    cells: list[list[Cell]] = []
    for r in rows:
        speedups = r.speedups(ours)
        us = r.us(ours)
        line: list[Cell] = [r.case.name, *(r.us(p) or r.timings[p].status for p in peers)]
        line += [spread(speedups.get(p)) for p in others]
        cells.append([*line, r.case.flops / us / 1e3 if us else None])
    print(f"\n{rows[0].threads} thread{'s' if rows[0].threads > 1 else ''}, µs per step")
    print(table(["network", *peers, *(f"{p} / {ours}" for p in others), "GF/s"], cells), flush=True)


def shortfalls(rows: Sequence[Row], peers: Sequence[str]) -> None:
    ours = peers[0]
    behind: list[list[Cell]] = []
    for r in rows:
        for peer, speedup in r.speedups(ours).items():
            wanted = goal(r.case, ours, peer)
            if wanted and speedup[0] < wanted:
                behind.append([r.case.name, r.threads, peer, spread(speedup), wanted])
    print(f"\nBehind the goal: {len(behind)}")
    if behind:
        print(table(["network", "threads", "behind", f"its / {ours}", "goal"], behind))


def second_thread(rows: Sequence[Row], peers: Sequence[str]) -> None:
    us = {(r.case.name, r.threads, p): r.us(p) for r in rows for p in peers}
    names = [n for n in dict.fromkeys(r.case.name for r in rows) if {(n, t, peers[0]) for t in (1, 2)} <= us.keys()]
    if names:
        cells: list[list[Cell]] = [
            [n, *(a / b if (a := us[n, 1, p]) and (b := us[n, 2, p]) else None for p in peers), wanted_of(n, peers[0])]
            for n in names
        ]
        print("\nTimes as fast with two threads as with one")
        print(table(["network", *peers, f"goal of {peers[0]}"], cells))


def wanted_of(name: str, ours: str) -> float | None:
    if ours != "trigrad compiled":
        return None
    return SECOND_THREAD.get(name, SECOND_THREAD_1024 if name.startswith("train 1024 ") else None)


def timed(a: Any, cases: Sequence[Case], blocks: int, seconds: float) -> None:
    rows: list[Row] = []
    for threads in a.threads:
        with harness.Session(a.peers, threads, blocks, seconds, a.lock) as session:
            found = [Row(c, threads, session.measure(c)) for c in cases]
        report(found, a.peers)
        rows += found
        harness.save(a.out, "training", [r.record(a.peers[0]) for r in rows])
    shortfalls(rows, a.peers)
    second_thread(rows, a.peers)
    absences(rows)


def memory(a: Any, cases: Sequence[Case]) -> None:
    """Each number from a process of its own."""
    rows: list[dict[str, Any]] = []
    cells: list[list[Cell]] = []
    for case in cases:
        for threads in a.threads:
            found: dict[str, dict[str, Any]] = {}
            with locked(a.lock):
                for peer in a.peers:
                    worker = Worker(peer, threads)
                    found[peer] = worker.ask("memory", case=[case.op, case.shape, case.how], calls=STEPS[case.op])
                    worker.close()
            rows.append({"case": case.name, "threads": threads, "peers": found})
            line: list[Cell] = [case.name, threads]
            line += [r.get("peak_mib") or " ".join([r["status"], *r["faults"].values()]) for r in found.values()]
            cells.append([*line, MIB.get(case.name)])
    print(table(["network", "threads", *(f"{p} MiB" for p in a.peers), f"goal of {a.peers[0]}"], cells))
    harness.save(a.out, "training memory", rows)


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--only", type=harness.words, default=[""], help="networks whose name contains one of these")
    parser.add_argument("--peers", type=harness.words, default=PEERS)
    parser.add_argument("--memory", action="store_true", help="peak memory in place of times")
    parser.set_defaults(seconds=0.1)
    a = parser.parse_args()
    every = [c for c in (*CASES, *([IN_MEMORY] if a.memory else [])) if any(o in c.name for o in a.only)]
    if not every:
        parser.error("--only leaves no network")
    if a.quick:
        every = [Case("epoch", (4096, 1024), "jet")] if a.memory else every[:1]
    if a.memory:
        memory(a, every)
    else:
        timed(a, every, *((2, 0.001) if a.quick else (a.blocks, a.seconds)))


if __name__ == "__main__":
    main()
