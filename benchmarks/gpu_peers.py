"""How each library trains and decides on a GPU, for gpu.py. Each peer is a process of its own (gpu_worker.py).

A step is forward, loss, backward and Adam on data that lies on the GPU; what a block times ends with a wait for the GPU. To add
a peer: a class with the methods of `Peer`, and a line in PEERS.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import numpy as np

import gpu_rehearsal
import nets
from training_peers import Framework, Jax, Step

PRECISIONS = ("float32", "tf32", "bf16")
EVENTS = 1_000_000  # jets of an inference


class Missing(Exception):
    """What this peer does not do, and why."""


class Peer:
    """What a library's class has to say; each gives a call, and `wait` waits for the GPU."""

    def train(self, net: nets.Net, batch: int, precision: str) -> Callable[[], Any]:
        raise Missing("does not train")

    def infer(self, net: nets.Net, rows: int, precision: str) -> Callable[[], Any]:
        raise Missing("does not answer many events")

    def event(self, net: nets.Net, precision: str) -> Callable[[], Any]:
        raise Missing("does not answer single events")

    def wait(self) -> None:
        raise NotImplementedError

    def nanoseconds(self, call: Callable[[], Any], calls: int) -> float:
        """Of a call, of many between two waits for the GPU."""
        self.wait()
        begin = perf_counter_ns()
        for _ in range(calls):
            call()
        self.wait()
        return (perf_counter_ns() - begin) / calls


class OnGpu(Framework, Peer):
    """PyTorch's names: one script for PyTorch and for trigrad."""

    def __init__(self, library: str, **adam: Any) -> None:
        super().__init__(1, library, **adam)
        self.place, self.cuda = "cuda", self.t.cuda
        if gpu_rehearsal.asked() and library == "torch":
            self.place, self.cuda = "cpu", gpu_rehearsal.Cuda(self.t)
        if not self.cuda.is_available():
            raise ImportError(f"{library} finds no GPU")

    def hold(self, a: np.ndarray[Any, Any]) -> Any:
        return self.t.from_numpy(a).to(self.place)

    def model(self, net: nets.Net, weights: list[Any]) -> Any:
        return super().model(net, weights).to(self.place)

    def wait(self) -> None:
        self.cuda.synchronize()

    def nanoseconds(self, call: Callable[[], Any], calls: int) -> float:
        """Between two events on the GPU."""
        first, last = (self.cuda.Event(enable_timing=True) for _ in range(2))
        self.wait()
        first.record()
        for _ in range(calls):
            call()
        last.record()
        last.synchronize()
        milliseconds: float = first.elapsed_time(last)
        return milliseconds * 1e6 / calls

    def precise(self, precision: str) -> Any:
        """What the calls of this precision run under."""
        if precision == "bf16":
            return self.t.autocast(self.place, dtype=self.t.bfloat16)
        self.allow_tf32(precision == "tf32")
        return contextlib.nullcontext()

    def allow_tf32(self, allowed: bool) -> None:
        self.t.backends.cuda.matmul.allow_tf32 = allowed

    def step_of(self, net: nets.Net, weights: list[Any], precision: str) -> Step:
        model = self.model(net, weights)
        criterion = self.t.nn.BCEWithLogitsLoss() if net.logit else self.t.nn.CrossEntropyLoss()
        optimizer = self.t.optim.Adam(model.parameters(), lr=nets.LEARNING_RATE, **self.adam)
        self.trained = model, optimizer

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            with self.precise(precision):
                z = model(x)
                loss = criterion(z.squeeze(1) if net.logit else z, y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return self.compiled(step)

    def train(self, net: nets.Net, batch: int, precision: str) -> Callable[[], Any]:
        x, y = nets.data(net, batch)
        step, x, y = self.step_of(net, nets.weights(net), precision), self.hold(x), self.hold(y)
        return lambda: step(x, y)

    def forward_of(self, net: nets.Net, precision: str) -> Callable[[Any], Any]:
        model = self.model(net, nets.weights(net)).eval()

        def forward(x: Any) -> Any:
            with self.t.no_grad(), self.precise(precision):
                return model(x)

        return forward

    def infer(self, net: nets.Net, rows: int, precision: str) -> Callable[[], Any]:
        forward, x = self.forward_of(net, precision), self.hold(nets.events(net, rows))
        return lambda: forward(x)


class TorchGraph(OnGpu):
    """PyTorch in CUDA graphs: captured once, with fused, capturable Adam, and replayed."""

    def captured(self, work: Callable[[], Any], again: Callable[[], None] = lambda: None) -> Callable[[], Any]:
        """Warmed up; `again` has everything as it was before that."""
        side = self.cuda.Stream()
        side.wait_stream(self.cuda.current_stream())
        with self.cuda.stream(side):
            for _ in range(3):
                work()
        self.cuda.current_stream().wait_stream(side)
        again()
        graph = self.cuda.CUDAGraph()
        with self.cuda.graph(graph):
            kept = work()

        def replay() -> Any:
            graph.replay()
            return kept

        return replay

    def train(self, net: nets.Net, batch: int, precision: str) -> Callable[[], Any]:
        step, t = super().train(net, batch, precision), self.t
        model, optimizer = self.trained
        first = [p.detach().clone() for p in model.parameters()]

        def again() -> None:
            with t.no_grad():
                for p, value in zip(model.parameters(), first, strict=True):
                    p.copy_(value)
                for state in optimizer.state.values():
                    for value in state.values():
                        value.zero_()

        return self.captured(step, again)

    def infer(self, net: nets.Net, rows: int, precision: str) -> Callable[[], Any]:
        return self.captured(super().infer(net, rows, precision))

    def event(self, net: nets.Net, precision: str) -> Callable[[], Any]:
        """From the host's memory and back: two pinned copies and the graph."""
        forward, t = self.forward_of(net, precision), self.t
        here = t.from_numpy(nets.events(net, 1)).pin_memory()
        x = here.to(self.place, copy=True)

        def work() -> Any:
            x.copy_(here, non_blocking=True)
            answer.copy_(forward(x).float(), non_blocking=True)

        answer = t.empty(1, net.sizes[-1]).pin_memory()
        replay = self.captured(work)

        def call() -> Any:
            replay()
            self.cuda.current_stream().synchronize()
            return answer

        return call


class TorchCompile(OnGpu):
    """torch.compile of the network; its Adam is PyTorch's fused one."""

    def model(self, net: nets.Net, weights: list[Any]) -> Any:
        self.t.compiler.reset()  # or the networks before would make this one's sizes variables, and the eighth eager
        return self.t.compile(super().model(net, weights), dynamic=False)


class Ours(OnGpu):
    def allow_tf32(self, allowed: bool) -> None:
        if not hasattr(self.cuda, "allow_tf32"):
            if allowed:
                raise Missing("this build has no fast mode")
            return
        self.cuda.allow_tf32 = allowed

    def precise(self, precision: str) -> Any:
        if precision == "bf16" and not hasattr(self.t, "autocast"):
            raise Missing("this build has no autocast")
        return super().precise(precision)


class OurPlans(Ours):
    """trigrad.compile: the whole step is one plan."""

    def compiled(self, step: Step) -> Step:
        made: Step = self.t.compile(step)
        return made

    def forward_of(self, net: nets.Net, precision: str) -> Callable[[Any], Any]:
        made: Callable[[Any], Any] = self.t.compile(super().forward_of(net, precision))
        return made

    def predictor(self, net: nets.Net, precision: str, persistent: bool) -> Callable[[], Any]:
        if precision != "float32":
            raise Missing("single events are answered in float32")
        model = self.model(net, nets.weights(net)).cpu().eval()
        p = self.t.realtime.Predictor(model, device="cuda", persistent=persistent)
        x, out = nets.events(net, 1)[0], np.empty(net.sizes[-1], np.float32)
        return lambda: p(x, out)

    def event(self, net: nets.Net, precision: str) -> Callable[[], Any]:
        return self.predictor(net, precision, False)


class OurPersistent(OurPlans):
    """A kernel that stays: single events alone."""

    def train(self, net: nets.Net, batch: int, precision: str) -> Callable[[], Any]:
        raise Missing("single events alone")

    def infer(self, net: nets.Net, rows: int, precision: str) -> Callable[[], Any]:
        raise Missing("single events alone")

    def event(self, net: nets.Net, precision: str) -> Callable[[], Any]:
        return self.predictor(net, precision, True)


class JaxOnGpu(Jax, Peer):
    def __init__(self) -> None:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        self.jax: Any = importlib.import_module("jax")
        self.np: Any = importlib.import_module("jax.numpy")
        if self.jax.default_backend() != "gpu" and not gpu_rehearsal.asked():
            raise ImportError("jax finds no GPU")
        self.last: Any = None

    def wait(self) -> None:
        self.jax.block_until_ready(self.last)

    def precise(self, precision: str) -> None:
        if precision == "bf16":
            raise Missing("has no autocast")
        self.jax.config.update("jax_default_matmul_precision", "highest" if precision == "float32" else "tensorfloat32")

    def train(self, net: nets.Net, batch: int, precision: str) -> Callable[[], Any]:
        self.precise(precision)
        x, y = nets.data(net, batch)
        step, x, y = self.step(net, nets.weights(net), wait=False), self.hold(x), self.hold(y)

        def call() -> Any:
            self.last = step(x, y)
            return self.last

        return call

    def infer(self, net: nets.Net, rows: int, precision: str) -> Callable[[], Any]:
        self.precise(precision)
        made = nets.weights(net)
        parameters = [{"w": self.hold(w), "b": self.hold(b)} for w, b in zip(made[::2], made[1::2], strict=True)]
        forward = self.jax.jit(lambda p, x: self.forward(net, p, x, None)[0])
        x = self.hold(nets.events(net, rows))

        def call() -> Any:
            self.last = forward(parameters, x)
            return self.last

        return call


PEERS: dict[str, Callable[[], Peer]] = {
    "trigrad plan": partial(OurPlans, "trigrad"),
    "trigrad persistent": partial(OurPersistent, "trigrad"),
    "trigrad eager": partial(Ours, "trigrad"),
    "torch eager": partial(OnGpu, "torch", fused=True),
    "torch graph": partial(TorchGraph, "torch", fused=True, capturable=True),
    "torch compile": partial(TorchCompile, "torch", fused=True),
    "jax jit": JaxOnGpu,
}
