"""Is time linear in the batch? Times from 1,024 to 262,144 rows, as a table, CSV and (with matplotlib) a plot.

python benchmarks/batch_scaling.py --csv scaling.csv --plot scaling.png
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import harness
from cases import Case
from harness import Session, table

BATCHES = [1 << n for n in range(10, 19)]
# name -> (operation, shape of one row)
CURVES: dict[str, tuple[str, tuple[int, ...]]] = {
    "network 16-64-32-32-5": ("network", ()),
    "dense 16-64": ("dense", (16, 64)),
    "dense 32-5": ("dense", (32, 5)),
    "dense 300-300": ("dense", (300, 300)),
    "dense_grad_weight 64-32": ("dense_grad_weight", (64, 32)),
    "softmax 10": ("softmax", (10,)),
    "cross_entropy 10": ("cross_entropy", (10,)),
    "batch_norm 64": ("batch_norm", (64,)),
    "tanh 64": ("tanh", (64,)),
}


def draw(path: Path, rows: list[dict[str, Any]], threads: list[int]) -> None:
    plt: Any = importlib.import_module("matplotlib.pyplot")
    figure, panes = plt.subplots(1, len(threads), figsize=(6 * len(threads), 5), squeeze=False, sharey=True)
    for pane, t in zip(panes[0], threads, strict=True):
        for curve in CURVES:
            for peer, style in zip(dict.fromkeys(r["peer"] for r in rows), ("-", "--", ":"), strict=False):
                points = [r for r in rows if (r["curve"], r["threads"], r["peer"]) == (curve, t, peer)]
                colour = f"C{list(CURVES).index(curve)}"
                x, y = [r["batch"] for r in points], [r["ns_per_row"] for r in points]
                pane.loglog(x, y, style, color=colour, marker=".", label=curve if style == "-" else None)
        pane.set(title=f"{t} thread{'s' if t > 1 else ''}", xlabel="rows")
    panes[0][0].set_ylabel("ns per row (flat is linear)")
    panes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"plot: {path}")


def main() -> None:
    parser: argparse.ArgumentParser = harness.arguments(__doc__ or "")
    parser.add_argument("--peers", type=harness.words, default=["trigrad", "torch"])
    parser.add_argument("--csv", type=Path, help="write one line per curve, peer, threads and batch")
    parser.add_argument("--plot", type=Path, help="write a plot; needs matplotlib")
    a = parser.parse_args()
    batches, blocks, seconds = (BATCHES[:2], 2, 0.001) if a.quick else (BATCHES, a.blocks, a.seconds)
    rows: list[dict[str, Any]] = []
    for threads in a.threads:
        cells: list[list[float | str | None]] = []
        with Session(a.peers, threads, blocks, seconds, a.lock) as session:
            for curve, (op, row) in CURVES.items():
                per_row: dict[str, list[float | str | None]] = {p: [] for p in a.peers}
                for batch in batches:
                    for peer, timing in session.measure(Case(op, (batch, *row))).items():
                        ns = 1e3 * timing.us / batch if timing.us else None
                        per_row[peer].append(ns or timing.status)
                        if ns:
                            found = {"curve": curve, "peer": peer, "threads": threads, "batch": batch}
                            rows.append({**found, "us": timing.us, "ns_per_row": ns})
                for peer, values in per_row.items():
                    times = [v for v in values if isinstance(v, float)]
                    # Linear would be 1: the dearest row of any batch over the row of the smallest batch.
                    cells.append([f"{curve}, {peer}", *values, max(times) / times[0] if times else None])
        print(f"\nns per row, {threads} thread{'s' if threads > 1 else ''}")
        print(table(["rows", *map(str, batches), "dearest/first"], cells), flush=True)
    harness.save(a.out, "batch_scaling", rows)
    if a.csv:
        with a.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["curve", "peer", "threads", "batch", "us", "ns_per_row"])
            writer.writeheader()
            writer.writerows(rows)
    if a.plot:
        if importlib.util.find_spec("matplotlib"):
            draw(a.plot, rows, a.threads)
        else:
            print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
