"""Training steps beside other libraries: forward pass, loss, backward pass and Adam on one minibatch, finished each time.

All start from the same weights and see the same minibatches; after 20 steps their losses must agree (dropout excepted).
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

import harness

Array = np.ndarray[Any, Any]
Step = Callable[[int], float]  # number of the minibatch -> loss
CHECKED = 20  # steps after which the losses are compared
RATE = 1e-3


@dataclass(frozen=True)
class Net:
    sizes: tuple[int, ...]
    hidden: str = "relu"
    norm: bool = False
    dropout: float = 0.0


JET, SUSY = Net((16, 64, 32, 32, 5)), Net((18, 200, 100, 2))
HIGGS, MNIST = Net((28, 300, 300, 300, 300, 1), "tanh"), Net((784, 512, 256, 10))
CONFIGS: dict[str, tuple[Net, int]] = {
    "jet 128": (JET, 128),
    "jet 1024": (JET, 1024),
    "susy 100": (SUSY, 100),
    "susy 1024": (SUSY, 1024),
    "higgs 100": (HIGGS, 100),
    "higgs 1024": (HIGGS, 1024),
    "mnist 128": (MNIST, 128),
    "mnist 1024": (MNIST, 1024),
    "wide 512": (Net((1024, 2048, 2048, 10)), 512),
    "jet norm dropout 128": (Net(JET.sizes, norm=True, dropout=0.1), 128),
    "jet norm dropout 1024": (Net(JET.sizes, norm=True, dropout=0.1), 1024),
}


def weights(net: Net) -> list[tuple[Array, Array]]:
    """(out, in) and (out,) of each layer."""
    rng = np.random.default_rng(1)
    shapes = zip(net.sizes, net.sizes[1:], strict=False)
    return [
        ((rng.standard_normal((n, k)) * (2 / (n + k)) ** 0.5).astype(np.float32), np.zeros(n, np.float32))
        for k, n in shapes
    ]


def batches(net: Net, rows: int, n: int = 8) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(2)
    teacher = rng.standard_normal((net.sizes[0], max(2, net.sizes[-1])))
    found = []
    for _ in range(n):
        x = rng.standard_normal((rows, net.sizes[0])).astype(np.float32)
        y = np.argmax(x @ teacher, 1)
        found.append((x, y.astype(np.float32) if net.sizes[-1] == 1 else y.astype(np.int64)))
    return found


# ---- the peers: a step each


def alike(library: Any, net: Net, tensor: Callable[[Array], Any], no_grad: Any) -> tuple[Any, Any]:
    """Model and loss in PyTorch's names, which are ours."""
    layers = []
    for i, (w, b) in enumerate(weights(net)):
        layer = library.nn.Linear(w.shape[1], w.shape[0])
        with no_grad():
            layer.weight.copy_(tensor(w))
            layer.bias.copy_(tensor(b))
        layers.append(layer)
        if i + 2 < len(net.sizes):
            layers += [library.nn.BatchNorm1d(w.shape[0])] if net.norm else []
            layers.append(library.nn.Tanh() if net.hidden == "tanh" else library.nn.ReLU())
            layers += [library.nn.Dropout(net.dropout)] if net.dropout else []
    binary = library.nn.BCEWithLogitsLoss()
    loss = (lambda z, y: binary(z.squeeze(1), y)) if net.sizes[-1] == 1 else library.nn.CrossEntropyLoss()
    return library.nn.Sequential(*layers), loss


def of_trigrad(net: Net, rows: int, threads: int, compiled: bool) -> Step:
    import trigrad as tg

    tg.set_num_threads(threads)
    model, loss_fn = alike(tg, net, tg.from_numpy, tg.no_grad)
    optimizer = tg.optim.Adam(model.parameters(), lr=RATE)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = tg.compile(step) if compiled else step
    data = [(tg.from_numpy(x), tg.from_numpy(y)) for x, y in batches(net, rows)]
    return lambda k: run(*data[k]).item()


def of_torch(net: Net, rows: int, threads: int, compiled: bool) -> Step:
    import torch

    torch.set_num_threads(threads)
    model, loss_fn = alike(torch, net, torch.from_numpy, torch.no_grad)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    forward = torch.compile(lambda x, y: loss_fn(model(x), y)) if compiled else lambda x, y: loss_fn(model(x), y)
    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches(net, rows)]

    def step(k: int) -> float:
        optimizer.zero_grad()
        loss = forward(*data[k])
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def of_jax(net: Net, rows: int, threads: int) -> Step:
    jax = importlib.import_module("jax")
    optax = importlib.import_module("optax")
    jnp = jax.numpy
    optimizer = optax.adam(RATE)
    parameters = [{"w": jnp.asarray(w.T), "b": jnp.asarray(b)} for w, b in weights(net)]
    if net.norm:
        for p in parameters[:-1]:
            p |= {"gamma": jnp.ones_like(p["b"]), "beta": jnp.zeros_like(p["b"])}

    def loss_fn(parameters: Any, x: Any, y: Any, key: Any) -> Any:
        statistics = []
        for i, p in enumerate(parameters):
            x = x @ p["w"] + p["b"]
            if i + 1 == len(parameters):
                break
            if net.norm:
                mean, var = x.mean(0), x.var(0)
                statistics.append((mean, var))
                x = (x - mean) * jax.lax.rsqrt(var + 1e-5) * p["gamma"] + p["beta"]
            x = jnp.tanh(x) if net.hidden == "tanh" else jax.nn.relu(x)
            if net.dropout:
                key, sub = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(sub, 1 - net.dropout, x.shape), x / (1 - net.dropout), 0)
        if net.sizes[-1] == 1:
            return optax.sigmoid_binary_cross_entropy(x[:, 0], y).mean(), statistics
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean(), statistics

    def update(state: Any, x: Any, y: Any) -> Any:
        parameters, moments, running, key = state
        key, sub = jax.random.split(key)
        (loss, found), grads = jax.value_and_grad(loss_fn, has_aux=True)(parameters, x, y, sub)
        changes, moments = optimizer.update(grads, moments, parameters)
        running = [(0.9 * a + 0.1 * m, 0.9 * b + 0.1 * v) for (a, b), (m, v) in zip(running, found, strict=True)]
        return (optax.apply_updates(parameters, changes), moments, running, key), loss

    zeros = [(jnp.zeros(n), jnp.ones(n)) for n in net.sizes[1:-1]] if net.norm else []
    state = (parameters, optimizer.init(parameters), zeros, jax.random.PRNGKey(0))
    jitted = jax.jit(update, donate_argnums=0)
    data = [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches(net, rows)]

    def step(k: int) -> float:
        nonlocal state
        state, loss = jitted(state, *data[k])
        return float(loss)

    return step


def of_sklearn(net: Net, rows: int, threads: int) -> Step | None:
    neural = importlib.import_module("sklearn.neural_network")
    if net.norm or net.dropout:
        return None
    data = batches(net, rows)
    classes = np.arange(max(2, net.sizes[-1]))
    model = neural.MLPClassifier(net.sizes[1:-1], net.hidden, solver="adam", alpha=0, batch_size=rows, shuffle=False)
    model.partial_fit(*data[0], classes=classes)
    for i, (w, b) in enumerate(weights(net)):
        model.coefs_[i][:], model.intercepts_[i][:] = w.T, b
    del model._optimizer  # Adam starts afresh

    def step(k: int) -> float:
        model.partial_fit(*data[k])
        return float(model.loss_)

    return step


PEERS: dict[str, Callable[[Net, int, int], Step | None]] = {
    "trigrad": lambda net, rows, threads: of_trigrad(net, rows, threads, True),
    "trigrad eager": lambda net, rows, threads: of_trigrad(net, rows, threads, False),
    "jax": of_jax,
    "torch": lambda net, rows, threads: of_torch(net, rows, threads, False),
    "torch.compile": lambda net, rows, threads: of_torch(net, rows, threads, True),
    "scikit-learn": of_sklearn,
}
NEEDS = {"jax": "optax", "torch": "torch", "torch.compile": "torch", "scikit-learn": "sklearn"}


# ---- one peer in its process


def serve(peer: str, threads: int) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    step: Step | None = None
    k = 0
    for line in sys.stdin:
        message = json.loads(line)
        reply: dict[str, Any] = {}
        if message["do"] == "prepare":
            net, rows = CONFIGS[message["config"]]
            step, k = PEERS[peer](net, rows, threads), 0
            start = perf_counter_ns()
            losses = [step(i % 8) for i in range(CHECKED)] if step else []
            reply = {"losses": losses, "seconds": (perf_counter_ns() - start) * 1e-9}
        elif step is not None:
            times = []
            gc.disable()
            end = perf_counter_ns() + message["seconds"] * 1e9
            while not times or perf_counter_ns() < end:
                start = perf_counter_ns()
                step(k % 8)
                times.append(perf_counter_ns() - start)
                k += 1
            gc.enable()
            reply = {"us": median(times) / 1e3}
        print(json.dumps(reply), file=replies, flush=True)


class Peer:
    def __init__(self, name: str, threads: int, script: str = __file__) -> None:
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TRIGRAD_NUM_THREADS")
        environment = os.environ | dict.fromkeys(variables, str(threads))
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (close() closes it)
        self.process = subprocess.Popen(
            [sys.executable, script, "--serve", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )

    def ask(self, **message: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(message), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError((self.log.read().strip().splitlines() or ["no message"])[-1])
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def measure(config: str, workers: dict[str, Peer], blocks: int, seconds: float) -> dict[str, Any]:
    """Per peer the times of its blocks; all that are sound take turns."""
    losses = {name: worker.ask(do="prepare", config=config)["losses"] for name, worker in workers.items()}
    times: dict[str, list[float]] = {name: [] for name, found in losses.items() if found}
    for _ in range(blocks):
        for name, found in times.items():
            found.append(workers[name].ask(do="run", seconds=seconds)["us"])
    faults = {}
    if not CONFIGS[config][0].dropout:
        expected = losses["trigrad"]
        for name in times:
            if not np.allclose(losses[name], expected, rtol=5e-3, atol=5e-4):
                faults[name] = f"loss {losses[name][-1]:g} after {CHECKED} steps, expected {expected[-1]:g}"
    return {"times_us": times, "faults": faults}


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--peers", type=harness.words, default=list(PEERS), help="e.g. trigrad,jax")
    parser.add_argument("--configs", type=harness.words, default=list(CONFIGS), help="e.g. 'jet 128,susy 100'")
    parser.set_defaults(seconds=0.2)
    a = parser.parse_args()
    if a.quick:
        a.configs, a.blocks, a.seconds, a.threads = ["jet 128"], 2, 0.01, [1]
    names = [p for p in a.peers if p not in NEEDS or importlib.util.find_spec(NEEDS[p])]
    for p in a.peers:
        if p not in names:
            print(f"{p} is not here: no module {NEEDS[p]}")
    rows: list[dict[str, Any]] = []
    for threads in a.threads:
        workers = {name: Peer(name, threads) for name in names}
        lines: list[list[Any]] = []
        try:
            for config in a.configs:
                with harness.locked(a.lock):
                    found = measure(config, workers, a.blocks, a.seconds)
                us = {name: median(found["times_us"][name]) for name in names if name in found["times_us"]}
                ours = found["times_us"]["trigrad"]
                ratios = {
                    name: median([t / o for t, o in zip(found["times_us"][name], ours, strict=True)])
                    for name in us
                    if name != "trigrad"
                }
                rows.append({"case": config, "threads": threads, "us": us, "ratios": ratios, "faults": found["faults"]})
                lines.append([config, *(us.get(n) for n in names), *(ratios.get(n) for n in names[1:])])
                for name, why in found["faults"].items():
                    print(f"{config}: {name} is not comparable: {why}")
        finally:
            for worker in workers.values():
                worker.close()
        print(f"\nµs per step, {threads} thread{'s' * (threads > 1)}; ratios to trigrad")
        print(harness.table(["net, batch", *names, *(f"{n} ×" for n in names[1:])], lines), flush=True)
        harness.save(a.out, "training", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main()
