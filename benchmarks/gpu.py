"""Times trigrad on a GPU beside PyTorch (eager, in CUDA graphs, compiled) and JAX on the same one, block by alternating block.

    python benchmarks/gpu.py                       training steps, a million jets, single events; each precision
    python benchmarks/gpu.py --only jet,event      cases whose name contains one of these
    python benchmarks/gpu.py --quick               few cases and blocks: two minutes
    python benchmarks/gpu.py --budget 100          no case begins after so many seconds
    python benchmarks/gpu.py --emulated            tiny cases on the emulated device and the peers' CPUs: does the script work?

A block is many calls, warm, with the data on the GPU, between two of its events (JAX, which shows none: between two waits for the
GPU); single events of a net go from the host's memory and back, each timed by itself. A ratio is the median over pairs of
neighbouring blocks, in brackets its range. What a peer does not do, or got wrong, is named at the end. The roof of a training step or
an inference is what its multiply-adds take at the GPU's rate outside tensor cores, or its data at the bandwidth of a copy, whichever
is longer; for a net that is one kernel (docs/cuda.md) what its multiply-adds take out of shared memory, if that is longer still.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import gpu_rehearsal
import harness
import nets
from gpu_peers import EVENTS, PEERS, PRECISIONS
from harness import Worker, table

BATCHES = (1_024, 8_192, 65_536, 262_144)
WIDEST = {True: 1_024, False: 65_536}  # batch of the wide net, by --quick: a GPU's memory, or a minute
LANES = {
    7: 64,
    8: 128,
    9: 128,
    10: 128,
    12: 128,
}  # float32 multiply-adds of a multiprocessor and cycle, by major version
FEWER = {(8, 0): 64}

# Ours, theirs, by what -> how many times as fast
GOALS = {
    ("train jet", "torch graph"): 3.0,
    ("train SUSY", "torch graph"): 3.0,
    ("train wide", "torch graph"): 1.0,
    ("infer jet", "torch graph"): 5.0,
    ("event jet", "torch graph"): 1 / 0.7,
}
PERSISTENT_US = 5.0
OF_THE_ROOF = 0.5  # of nets in one kernel
CHIP_BYTES = {
    "train": 2.0,
    "infer": 1.5,
}  # of shared memory, of which a lane gets 4 in 4 cycles, for a multiply-add of such a net
SLOW = ("torch compile",)  # to get ready; --quick asks it for few cases


@dataclass(frozen=True)
class Case:
    op: str
    net: str
    size: int
    precision: str

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.op, self.net, f"{self.size:,}" if self.size else "", self.precision)))

    def multiply_adds(self) -> float:
        net = nets.NETS.get(self.net) or nets.DECIDING[self.net]
        return (
            net.flops(self.size) / 2 if self.op == "train" else self.size * sum(k * n for k, n in pairwise(net.sizes))
        )

    def one_kernel(self) -> bool:
        return self.op in CHIP_BYTES and self.precision == "float32" and max(nets.NETS[self.net].sizes) <= 128

    def least_bytes(self) -> float:
        """Events in, and answers out."""
        sizes = (nets.NETS.get(self.net) or nets.DECIDING[self.net]).sizes
        return 4.0 * self.size * (sizes[0] + (2 if self.op == "train" else sizes[-1]))


@dataclass
class Timing:
    status: str
    faults: dict[str, str] = field(default_factory=dict)
    answer: list[float] = field(default_factory=list)
    us: list[float] = field(default_factory=list)

    def text(self) -> str:
        if not self.us:
            return self.status
        return f"{harness.text(median(self.us))} ({harness.text(min(self.us))}–{harness.text(max(self.us))})"


def cases(quick: bool) -> list[Case]:
    batches = (1_024, 65_536) if quick else BATCHES
    precisions = PRECISIONS[:1] if quick else PRECISIONS
    found = [Case("event", net, 0, "float32") for net in (("jet",) if quick else ("jet", "autoencoder", "Higgs"))]
    found += [Case("train", net, batch, p) for net in ("jet", "SUSY") for batch in batches for p in precisions]
    found += [Case("infer", "jet", EVENTS, p) for p in PRECISIONS]
    found += [Case("train", "wide", batch, p) for batch in batches if batch <= WIDEST[quick] for p in PRECISIONS]
    if not quick:
        found += [
            Case("train", net, b, p)
            for net in ("Higgs", "MNIST")
            for b in batches
            if b < BATCHES[-1]
            for p in precisions
        ]
    return found


def emulated_cases() -> list[Case]:
    """Each kind and precision, classes and logits."""
    found = [Case("event", "jet", 0, "float32")]
    found += [Case(op, "jet", 70, p) for op in ("infer", "train") for p in PRECISIONS]
    return [*found, Case("train", "SUSY", 3, "float32"), Case("train", "Higgs", 1, "float32")]


def joins(peer: str, case: Case, quick: bool) -> bool:
    few = case.net == "jet" and case.precision == "float32" and case.size != BATCHES[2]
    return not quick or peer not in SLOW or few


def device() -> dict[str, Any]:
    """The GPU, and its float32 rate (multiply-adds per µs) and bandwidth (bytes per µs) where they can be had."""
    import trigrad as tg

    if not tg.cuda.is_available():
        raise SystemExit(f"no GPU is here: CUDA is {tg.cuda.absence()}")
    p = tg.cuda.get_device_properties()
    found: dict[str, Any] = {"gpu": str(p)}
    try:
        smi = ["nvidia-smi", "--query-gpu=clocks.max.sm,driver_version", "--format=csv,noheader,nounits"]
        mhz, driver = subprocess.run(smi, capture_output=True, text=True, check=True).stdout.splitlines()[0].split(", ")
        lanes = FEWER.get((p.major, p.minor), LANES.get(p.major, 128))
        cycles = p.multi_processor_count * float(mhz)  # of all, in a µs
        found |= {
            "driver": driver,
            "fmas_per_us": lanes * cycles,
            "chip_bytes_per_us": (128 if p.major >= 8 else 64) * cycles,
        }
        x = tg.zeros(1 << 28, device="cuda")  # 1 GiB
        x.clone()
        tg.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(10):
            x.clone()
        tg.cuda.synchronize()
        found["bytes_per_us"] = 20 * 4 * (1 << 28) / ((time.perf_counter() - begin) * 1e6)
        del x
        tg.cuda.empty_cache()
    except (OSError, ValueError, subprocess.CalledProcessError):
        pass
    return found


def roof(case: Case, found: dict[str, Any]) -> float | None:
    """Least µs."""
    if "bytes_per_us" not in found or case.op == "event" or case.precision != "float32":
        return None
    least = max(case.multiply_adds() / found["fmas_per_us"], case.least_bytes() / found["bytes_per_us"])
    if case.one_kernel():
        least = max(least, case.multiply_adds() * CHIP_BYTES[case.op] / found["chip_bytes_per_us"])
    return least


def measured(workers: dict[str, Worker], case: Case, blocks: int, seconds: float) -> dict[str, Timing]:
    """The workers take turns."""
    timings: dict[str, Timing] = {}
    for peer, worker in workers.items():
        reply = worker.ask(
            "prepare", op=case.op, net=case.net, size=case.size, precision=case.precision, seconds=seconds
        )
        timings[peer] = Timing(reply["status"], reply.get("faults", {}), reply.get("answer", []))
    first = next((t.answer for t in timings.values() if t.answer), [])
    near = 2e-3 if case.precision == "float32" else 5e-2
    scale = max(map(abs, first), default=0.0)
    for t in timings.values():
        if any(not abs(a - b) <= near * scale + 1e-6 for a, b in zip(t.answer, first, strict=False)):
            t.status = "wrong"
            t.faults["answer"] = f"{t.answer[:3]} differs from {first[:3]}"
        elif len(t.answer) != len(first) and t.status == "ok":
            t.status, t.faults["answer"] = "wrong", f"{len(t.answer)} numbers, expected {len(first)}"
    for _ in range(blocks):
        for peer, t in timings.items():
            if t.status == "ok":
                reply = workers[peer].ask("run")
                t.status, t.faults = reply["status"], t.faults | reply.get("faults", {})
                if t.status == "ok":
                    t.us.append(reply["ns"] / 1e3)
    return timings


def ratio(theirs: Timing, ours: Timing) -> str:
    if not theirs.us or len(theirs.us) != len(ours.us):
        return "-"
    each = [a / b for a, b in zip(theirs.us, ours.us, strict=True)]
    return f"{median(each):.2f} ({min(each):.2f}–{max(each):.2f})"


def report(found: dict[Case, dict[str, Timing]], peers: list[str], here: dict[str, Any]) -> str:
    ours, *others = peers
    cells: list[list[str | float | None]] = []
    for case, timings in found.items():
        all = {p: timings.get(p, Timing("absent")) for p in peers}
        mine, least = all[ours], roof(case, here)
        cells.append([case.name, *(t.text() for t in all.values()), *(ratio(all[p], mine) for p in others)])
        cells[-1].append(f"{100 * least / median(mine.us):.0f} %" if least and mine.us else None)
    return table(["µs", *peers, *(f"{p} / {ours}" for p in others), "of the roof"], cells)


def verdicts(found: dict[Case, dict[str, Timing]], here: dict[str, Any]) -> list[str]:
    """Each goal and what was reached, the worst of its cases."""
    told = []
    for (name, peer), goal in GOALS.items():
        reached = [
            median(a / b for a, b in zip(t[peer].us, t["trigrad plan"].us, strict=True))
            for case, t in found.items()
            if case.name.startswith(name) and peer in t and t[peer].us and t.get("trigrad plan", Timing("")).us
        ]
        if reached:
            said = "reached" if min(reached) >= goal else "MISSED"
            told.append(f"{name} against {peer}: {min(reached):.2f} at least, goal {goal:.2f}: {said}")
    for case, t in found.items():
        if case.op == "event" and t.get("trigrad persistent", Timing("")).us:
            us = median(t["trigrad persistent"].us)
            said = "reached" if us <= PERSISTENT_US else "MISSED"
            told.append(f"{case.name}, persistent: {us:.2f} µs, goal {PERSISTENT_US}: {said}")
        least, ours = roof(case, here), t.get("trigrad plan", Timing("")).us
        if case.one_kernel() and least and ours:
            share = least / median(ours)
            said = "reached" if share >= OF_THE_ROOF else "MISSED"
            told.append(
                f"{case.name}, one kernel: {100 * share:.0f} % of its roof, goal {100 * OF_THE_ROOF:.0f} %: {said}"
            )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=harness.words, default=[""], help="cases whose name contains one of these")
    parser.add_argument("--peers", type=harness.words, default=list(PEERS), help="the first one is compared with")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a block")
    parser.add_argument("--quick", action="store_true", help="few cases and blocks")
    parser.add_argument("--budget", type=float, default=float("inf"), help="no case begins after so many seconds")
    parser.add_argument("--emulated", action="store_true", help="tiny cases on the emulated device, no figures kept")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    a, begin = parser.parse_args(), time.monotonic()
    chosen = [c for c in (emulated_cases() if a.emulated else cases(a.quick)) if any(o in c.name for o in a.only)]
    if not chosen:
        parser.error("--only leaves no case")
    blocks, seconds = (2, 0.01) if a.emulated else (3, 0.03) if a.quick else (a.blocks, a.seconds)
    if a.emulated:
        os.environ[gpu_rehearsal.NAME] = "1"
        print("EMULATED: the host computes in a GPU's place, and no figure below says anything about one\n")
    here = device()
    print(json.dumps(here))
    with ThreadPoolExecutor() as starting:  # libraries take seconds to import
        made = starting.map(lambda peer: Worker(peer, os.cpu_count() or 1, "gpu_worker.py"), a.peers)
        workers = dict(zip(a.peers, made, strict=True))
    absent = {p: " ".join(w.state["faults"].values()) for p, w in workers.items() if w.state["status"] != "ok"}
    there = {p: w for p, w in workers.items() if p not in absent}
    found: dict[Case, dict[str, Timing]] = {}
    for case in chosen:
        if time.monotonic() - begin > a.budget:
            break
        asked = {p: w for p, w in there.items() if joins(p, case, a.quick)}
        timings = found[case] = measured(asked, case, blocks, seconds)
        print(f"{case.name}: " + ", ".join(f"{p} {t.text()}" for p, t in timings.items()), flush=True)
    for w in workers.values():
        w.close()
    print(f"\n{report(found, a.peers, here)}\n")
    for case, timings in found.items():
        for peer, t in timings.items():
            if t.status not in ("ok", "missing"):
                print(f"{case.name}: {peer} {t.status}: {'; '.join(t.faults.values())[:200]}")
    for peer, why in absent.items():
        print(f"{peer} is not here: {why}")
    if left := [case.name for case in chosen if case not in found]:
        print(f"not begun within {a.budget:.0f} s: {', '.join(left)}")
    if not a.emulated:
        print("\n".join(verdicts(found, here)))
        rows = [
            {"case": c.name, "peers": {p: {"status": t.status, "us": t.us, "faults": t.faults} for p, t in ts.items()}}
            for c, ts in found.items()
        ]
        harness.save(a.out, "gpu", [{"device": here}, *rows])
    done = sum(bool(t.us) for ts in found.values() for t in ts.values())
    print(f"{len(found)} cases, {done} timings")


if __name__ == "__main__":
    main()
