"""PyTorch's CPU in a GPU's place, so that gpu.py can be tried where there is none: what gpu_peers.py asks of torch.cuda, doing
the least that it can. A graph "captures" by doing its work once, and replays nothing."""

from __future__ import annotations

import contextlib
import os
from time import perf_counter
from types import SimpleNamespace
from typing import Any

NAME = "TRIGRAD_BENCHMARK_REHEARSAL"  # of the variable by which gpu.py --emulated asks its workers for this


def asked() -> bool:
    return NAME in os.environ


class Stream:
    def wait_stream(self, other: Stream) -> None:
        assert isinstance(other, Stream)

    def synchronize(self) -> None: ...


class Event:
    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = perf_counter()

    def synchronize(self) -> None: ...

    def elapsed_time(self, later: Event) -> float:
        return 1e3 * (later.at - self.at)


class CUDAGraph:
    def replay(self) -> None: ...


class Cuda(SimpleNamespace):
    def __init__(self, torch: Any) -> None:
        super().__init__(
            is_available=lambda: True,
            synchronize=lambda: None,
            current_stream=Stream,
            stream=contextlib.nullcontext,
            graph=contextlib.nullcontext,
            Stream=Stream,
            Event=Event,
            CUDAGraph=CUDAGraph,
        )
        torch.Tensor.pin_memory = lambda tensor: tensor
