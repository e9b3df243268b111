"""One event at a time, from Python: predictors beside ONNX Runtime, OpenVINO, XNNPACK, PyTorch, JAX and NumPy, in turns.

    python benchmarks/latency.py [--only jet,ecal] [--peers "predictor,ort bound"] [--out latency.json]

Every library has a process of its own, pinned to one CPU, input and, where it takes one, output given. What an empty call
costs the benchmark (`nothing`) is taken off block by block. For C++ see latency_cpp.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import harness
import nets
from cases import Case
from harness import table
from inference_peers import PEERS
from kernels import Cell, Row, absences, spread

# (ours, network) -> how many times as fast as ONNX Runtime with bound memory; no peer may be faster
GOALS = {
    ("predictor", "jet"): 20.0,
    ("predictor", "ecal"): 20.0,
    ("predictor", "autoencoder"): 20.0,
    ("predictor", "Higgs"): 1.6,
    ("predictor", "MNIST"): 1.35,
    ("bfloat16", "Higgs"): 3.0,
    ("int8", "Higgs"): 6.0,
}
RIVAL = "ort bound"
OURS = ("predictor", "new output", "bfloat16", "int16", "int8")


def without_the_call(row: Row) -> Row:
    """Times less what an empty call takes."""
    nothing = row.timings.pop("nothing", None)
    for timing in row.timings.values():
        if nothing and timing.blocks_us:
            pairs = zip(timing.blocks_us, nothing.blocks_us, strict=True)
            timing.blocks_us = [max(us - empty, 1e-3) for us, empty in pairs]
    return row


def report(row: Row) -> None:
    ours = row.us("predictor")
    cells: list[list[Cell]] = []
    for peer, timing in row.timings.items():
        us = timing.us
        line: list[Cell] = [peer, us * 1e3 if us else timing.status]
        blocks = [b * 1e3 for b in timing.blocks_us] if us else []
        line += [f"{min(blocks):.0f}-{max(blocks):.0f}" if blocks else None, timing.variant if us else ""]
        cells.append([*line, spread(row.speedups("predictor").get(peer)) if ours and peer != "predictor" else None])
    print(f"\n{row.case.how}, ns per event")
    print(table(["", "median", "least-greatest", "how", "/ predictor"], cells), flush=True)


def shortfalls(rows: Sequence[Row]) -> None:
    behind: list[list[Cell]] = []
    for row in rows:
        for ours in OURS:
            if ours not in row.timings or not row.us(ours):
                continue
            for peer, speedup in row.speedups(ours).items():
                if peer in OURS:
                    continue
                wanted = GOALS.get((ours, row.case.how), 1.0) if peer == RIVAL else 1.0
                if speedup[0] < wanted:
                    behind.append([row.case.how, ours, peer, spread(speedup), wanted])
    print(f"\nBehind the goal: {len(behind)}")
    if behind:
        print(table(["network", "ours", "behind", "its / ours", "goal"], behind))


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--only", type=harness.words, default=[""], help="networks whose name contains one of these")
    parser.add_argument("--peers", type=harness.words, default=[p for p in PEERS if p != "nothing"])
    parser.set_defaults(threads=[1], blocks=9)
    a = parser.parse_args()
    names = [n for n in nets.DECIDING if any(o in n for o in a.only)][: 1 if a.quick else None]
    if not names:
        parser.error("--only leaves no network")
    rows: list[Row] = []
    blocks, seconds = (2, 0.001) if a.quick else (a.blocks, a.seconds)
    with harness.Session([*a.peers, "nothing"], 1, blocks, seconds, a.lock) as session:
        for name in names:
            case = Case("infer", (1,), name, "latency")
            rows.append(without_the_call(Row(case, 1, session.measure(case))))
            report(rows[-1])
            harness.save(a.out, "latency", [r.record(a.peers[0]) for r in rows])
    shortfalls(rows)
    absences(rows)


if __name__ == "__main__":
    main()
