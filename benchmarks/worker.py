"""One peer with one number of threads in its own process, driven by JSON lines (see serving.py)."""

from __future__ import annotations

import gc
import resource
import sys
from itertools import repeat
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

import inference_peers
import nets
import peers
import training_peers
from cases import Case, fault, net_of, problem
from operations import OPERATIONS
from peers import Variant
from serving import serve

SAMPLED = 64  # elements of each output that are compared between libraries


def answer(arrays: list[np.ndarray[Any, Any]]) -> list[list[Any]]:
    """Shape and some elements of each output (of the first few), for comparing libraries."""
    found = []
    for a in arrays[:4]:
        step = max(1, a.size // SAMPLED)
        found.append([list(a.shape), a.ravel()[::step].astype(float).tolist()])
    return found


def one_by_one(variant: Variant, nanoseconds: float) -> float:
    """Median time of a call in ns, with something to do before each that is not timed."""
    call, before, samples = variant.call, variant.before, []
    assert before is not None
    end = perf_counter_ns() + nanoseconds
    while True:
        before()
        start = perf_counter_ns()
        call()
        stop = perf_counter_ns()
        samples.append(stop - start)
        if stop > end:
            return median(samples)


def in_bursts(variant: Variant, nanoseconds: float) -> float:
    """Median time of a call in ns; calls shorter than 20 us are timed in bursts, so that the clock costs nothing."""
    call, samples, least = variant.call, [], 20_000
    end = perf_counter_ns() + nanoseconds
    for _ in range(3):  # one call that something delays would make the bursts short
        start = perf_counter_ns()
        call()
        least = min(least, max(perf_counter_ns() - start, 1))
        if least == 20_000:
            break
    burst = 20_000 // least
    while True:
        start = perf_counter_ns()
        for _ in repeat(None, burst):
            call()
        stop = perf_counter_ns()
        samples.append((stop - start) / burst)
        if stop > end:
            return median(samples)


def block(variant: Variant, seconds: float) -> float:
    """Median time of a call in ns over about `seconds`, after warming up for a tenth of that."""
    measure = in_bursts if variant.before is None else one_by_one
    gc.disable()
    try:
        measure(variant, seconds * 1e8)
        return measure(variant, seconds * 1e9)
    finally:
        gc.enable()


def peak_mib() -> float:
    """The greatest memory of this process so far. What getrusage tells on Linux is at least its parent's."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


class Server:
    def __init__(self, peer: str, threads: int) -> None:
        self.peer = (peers.PEERS | training_peers.PEERS | inference_peers.PEERS)[peer](threads)
        self.variant: Variant | None = None

    def prepare(self, case: list[Any], seconds: float) -> dict[str, Any]:
        """Builds the peer's ways of doing the case, drops the wrong ones, keeps the fastest."""
        self.variant = None
        gc.collect()
        spec = Case(case[0], tuple(case[1]), case[2])
        posed = problem(spec)
        variants = self.peer.variants(spec, posed.inputs)
        faults: dict[str, str] = {}
        answers: dict[str, Any] = {}
        compared = spec.op in OPERATIONS and not OPERATIONS[spec.op].random
        for v in variants:
            try:
                if v.before:
                    v.before()
                result = (v.check or v.call)()
                if compared:
                    answers[v.label] = answer(self.peer.arrays(result))
                if why := fault(spec, posed, self.peer.arrays(result)):
                    faults[v.label] = why
            except Exception as error:  # noqa: BLE001 (whatever a library raises is its fault here)
                faults[v.label] = f"{type(error).__name__}: {error}"
        sound = [v for v in variants if v.label not in faults]
        if not sound:
            return {"status": "invalid" if variants else "missing", "faults": faults}
        del posed
        if len(sound) > 1:
            tries = {v.label: min(block(v, seconds / 4) for _ in range(2)) for v in sound}
            sound.sort(key=lambda v: tries[v.label])
        self.variant = sound[0]
        label = self.variant.label
        return {"status": "ok", "variant": label, "faults": faults, "answer": answers.get(label)}

    def run(self, seconds: float) -> dict[str, Any]:
        assert self.variant is not None
        return {"status": "ok", "ns": block(self.variant, seconds)}

    def memory(self, case: list[Any], calls: int) -> dict[str, Any]:
        """The greatest memory that the process has had, after training in a process that has done nothing else."""
        spec = Case(case[0], tuple(case[1]), case[2])
        net = net_of(spec)
        inputs = (
            nets.problem(net, spec.shape[0])
            if spec.op == "train"
            else (*nets.data(net, spec.shape[0]), *nets.weights(net))
        )
        call = self.peer.variants(spec, inputs)[0].call  # what is compared with NumPy would hold the first weights
        del inputs
        for _ in range(calls):
            call()
        return {"status": "ok", "peak_mib": peak_mib()}


if __name__ == "__main__":
    serve(lambda: Server(sys.argv[1], int(sys.argv[2])), threads=int(sys.argv[2]))
