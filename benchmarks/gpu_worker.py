"""One peer of gpu.py in its own process, driven by JSON lines (see serving.py)."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

import nets
from gpu_peers import EVENTS, PEERS, Missing, Peer
from serving import serve

SHOWN = 16  # numbers of an answer that are compared


def timed(peer: Peer, call: Callable[[], Any], calls: int, each: bool) -> float:
    """Nanoseconds of a call: of many, by the GPU's own events, or the median of single ones, each answered on the host."""
    if not each:
        return peer.nanoseconds(call, calls)
    times = np.empty(calls)
    for i in range(calls):
        begin = perf_counter_ns()
        call()
        times[i] = perf_counter_ns() - begin
    peer.wait()  # a kernel that stays ends here: it would take turns on the GPU with whom is timed next
    return float(np.median(times))


class Server:
    def __init__(self, name: str) -> None:
        self.peer = PEERS[name]()
        self.call: Callable[[], Any] | None = None
        self.calls = 1
        self.each = False

    def prepare(self, op: str, net: str, size: int, precision: str, seconds: float) -> dict[str, Any]:
        """Builds the call, warms it up, and finds how many fill a block."""
        self.call = None
        gc.collect()
        spec = nets.NETS.get(net) or nets.DECIDING[net]
        self.each = op == "event"
        try:
            if op == "train":
                self.call = self.peer.train(spec, size, precision)
            elif op == "infer":
                self.call = self.peer.infer(spec, size or EVENTS, precision)
            else:
                self.call = self.peer.event(spec, precision)
            found = [float(v) for v in np.ravel(self.numbers(self.call()))[:SHOWN]]
        except Missing as why:
            return {"status": "missing", "faults": {"": str(why)}}
        for _ in range(3):
            self.call()
        one = timed(self.peer, self.call, 3, self.each)
        self.calls = int(min(max(seconds * 1e9 / one, 3), 100_000))
        timed(self.peer, self.call, self.calls, self.each)  # the first block warms up
        return {"status": "ok", "answer": found}

    @staticmethod
    def numbers(answer: Any) -> Any:
        for name in ("detach", "float", "cpu"):
            answer = getattr(answer, name)() if hasattr(answer, name) else answer
        return np.asarray(answer.numpy() if hasattr(answer, "numpy") else answer)

    def run(self) -> dict[str, Any]:
        assert self.call is not None
        gc.disable()
        try:
            return {"status": "ok", "ns": timed(self.peer, self.call, self.calls, self.each)}
        finally:
            gc.enable()


if __name__ == "__main__":
    serve(lambda: Server(sys.argv[1]))
