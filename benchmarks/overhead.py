"""What a call costs before any arithmetic: 16-element operations from Python, and importing the package.

python benchmarks/overhead.py
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from statistics import median
from typing import Any

import harness
from cases import Case
from harness import Session, Timing, ratio, table

CALLS = [
    Case(op, shape, how)
    for op, shape, how in [
        ("add", (16,), ""),
        ("mul", (16,), ""),
        ("add_number", (16,), ""),
        ("exp", (16,), ""),
        ("relu", (16,), ""),
        ("sum", (16,), "all"),
        ("mean", (4, 4), "dim1"),
        ("op amax", (16,), ""),
        ("transpose", (4, 4), ""),
        ("op view", (16,), ""),
        ("op reshape", (16,), ""),
        ("op expand", (16,), ""),
        ("op unsqueeze", (16,), ""),
        ("index", (4, 4), ""),
        ("op index slice", (16,), ""),
        ("op index array", (16,), ""),
        ("op index mask", (16,), ""),
        ("op write slice", (16,), ""),
        ("from_numpy", (16,), ""),
        ("to_numpy", (16,), ""),
        ("item", (1,), ""),
        ("matmul", (1, 16, 16), "nn"),
        ("dense", (1, 16, 64), ""),
        ("softmax", (1, 5), ""),
    ]
]

# Seconds that importing takes, and the process's peak memory after it, in MiB (on Linux from /proc: what getrusage tells
# there is at least the peak of the process that started this one).
IMPORT = """
import os, resource, sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
if os.path.exists("/proc/self/status"):
    kib = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
else:
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print(seconds, kib / 1024)
"""


def imported(module: str) -> tuple[float, float]:
    command = [sys.executable, "-c", IMPORT.format(module=module)]
    seconds, mib = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds) * 1e3, float(mib)


def imports(modules: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Medians over `rounds` fresh processes per module, which take turns; the first round only warms the disk."""
    present = [m for m in modules if find_spec(m)]
    samples: dict[str, list[tuple[float, float]]] = {m: [] for m in present}
    for _ in range(rounds + 1):
        for m in present:
            samples[m].append(imported(m))
    return {
        m: {"ms": median(s[0] for s in found[1:]), "peak_mib": median(s[1] for s in found[1:])}
        for m, found in samples.items()
    }


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--peers", type=harness.words, default=["trigrad", "torch", "numpy"])
    a = parser.parse_args()
    ours, *others = a.peers
    blocks, seconds = (2, 0.001) if a.quick else (a.blocks, a.seconds)
    rows: list[dict[str, Any]] = []
    cells: list[list[float | str | None]] = []
    with Session(a.peers, 1, blocks, seconds, a.lock) as session:
        for case in CALLS:
            timings = session.measure(case)
            rows.append({"call": case.name, **{p: t.us for p, t in timings.items()}})
            ratios: list[float | str | None] = [
                f"{r[0]:.2f} ({r[1]:.2f}-{r[2]:.2f})" if (r := ratio(timings[p], timings[ours])) else "-"
                for p in others
            ]
            cells.append([case.name, *(t.us or reason(t) for t in timings.values()), *ratios])
    print(table(["call", *(f"{p} us" for p in a.peers), *(f"{p}/{ours}" for p in others)], cells))
    with harness.locked(a.lock):
        modules = imports(["numpy", *(p for p in a.peers if p != "numpy")], 1 if a.quick else 2 * a.blocks + 1)
    rows.append({"imports": modules})
    base = modules["numpy"]
    print()
    print(
        table(
            ["import", "ms", "ms more than numpy", "peak MiB", "MiB more than numpy"],
            [
                [m, v["ms"], v["ms"] - base["ms"], v["peak_mib"], v["peak_mib"] - base["peak_mib"]]
                for m, v in modules.items()
            ],
        )
    )
    harness.save(a.out, "overhead", rows)


def reason(t: Timing) -> str:
    return t.status + "".join(f" ({why})" for why in t.faults.values() if t.status != "missing")


if __name__ == "__main__":
    main()
