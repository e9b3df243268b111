"""Whole epochs beside other libraries: 200,000 jets in memory, shuffled, batches of 256, the net 16-64-32-32-5 with Adam.

All start from the same weights; after two epochs their losses must agree as far as other shuffles let them.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import harness
import nets
from serving import serve

Epoch = Callable[[], float]  # -> the mean loss
JET, BATCH, RATE = nets.NETS["jet"], 256, nets.LEARNING_RATE


def layers() -> list[tuple[nets.Array, nets.Array]]:
    """Weight (N, K) and bias (N,) of each."""
    flat = nets.weights(JET)
    return list(zip(flat[::2], flat[1::2], strict=True))


def alike(library: Any) -> tuple[Any, Any]:
    """Model and loss in PyTorch's names, which are ours."""
    made = []
    for w, b in layers():
        layer = library.nn.Linear(w.shape[1], w.shape[0])
        with library.no_grad():
            layer.weight.copy_(library.from_numpy(w))
            layer.bias.copy_(library.from_numpy(b))
        made += [layer, library.nn.ReLU()]
    return library.nn.Sequential(*made[:-1]), library.nn.CrossEntropyLoss()


# ---- the peers: an epoch each


def of_trigrad(events: int, threads: int) -> Epoch:
    import trigrad as tg

    tg.set_num_threads(threads)
    model, loss = alike(tg)
    trainer = tg.Trainer(model, loss, tg.optim.Adam(model.parameters(), lr=RATE))
    X, y = nets.data(JET, events)
    return lambda: trainer.fit(X, y, epochs=1, batch_size=BATCH)["loss"][0]


def of_torch(events: int, threads: int, loader: bool) -> Epoch:
    import torch

    torch.set_num_threads(threads)
    model, loss = alike(torch)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    X, y = map(torch.from_numpy, nets.data(JET, events))
    loaded = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), BATCH, shuffle=True)

    def picked() -> Any:
        return ((X[rows], y[rows]) for rows in torch.randperm(events).split(BATCH))

    def epoch() -> float:
        total = torch.zeros(())
        for x, target in loaded if loader else picked():
            optimizer.zero_grad()
            value = loss(model(x), target)
            value.backward()
            optimizer.step()
            total += value.detach() * len(x)
        return float(total) / events

    return epoch


def of_jax(events: int, threads: int) -> Epoch:
    """One program per epoch: a scan over the whole batches; what is left over is left out."""
    jax = importlib.import_module("jax")
    optax = importlib.import_module("optax")
    optimizer = optax.adam(RATE)
    parameters = [(jax.numpy.asarray(w.T), jax.numpy.asarray(b)) for w, b in layers()]
    X, y = map(jax.numpy.asarray, nets.data(JET, events))
    steps = max(1, events // BATCH)

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        for w, b in parameters[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = parameters[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ w + b, y).mean()

    def step(state: Any, rows: Any) -> Any:
        parameters, moments = state
        value, gradients = jax.value_and_grad(loss)(parameters, X[rows], y[rows])
        changes, moments = optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, changes), moments), value

    def run(state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, events)[: steps * BATCH].reshape(steps, -1)
        state, values = jax.lax.scan(step, state, order)
        return state, values.mean()

    jitted = jax.jit(run, donate_argnums=0)
    state, key = (parameters, optimizer.init(parameters)), jax.random.PRNGKey(0)

    def epoch() -> float:
        nonlocal state, key
        key, now = jax.random.split(key)
        state, value = jitted(state, now)
        return float(value)

    return epoch


def of_sklearn(events: int, threads: int) -> Epoch:
    neural = importlib.import_module("sklearn.neural_network")
    X, y = nets.data(JET, events)
    model = neural.MLPClassifier(JET.sizes[1:-1], alpha=0, batch_size=min(BATCH, events))
    model.partial_fit(X[:BATCH], y[:BATCH], classes=list(range(JET.sizes[-1])))
    for i, (w, b) in enumerate(layers()):
        model.coefs_[i][:], model.intercepts_[i][:] = w.T, b
    del model._optimizer  # Adam starts afresh

    def epoch() -> float:
        model.partial_fit(X, y)
        return float(model.loss_)

    return epoch


PEERS: dict[str, Callable[[int, int], Epoch]] = {
    "trigrad": of_trigrad,
    "jax": of_jax,
    "torch": lambda events, threads: of_torch(events, threads, False),
    "torch DataLoader": lambda events, threads: of_torch(events, threads, True),
    "scikit-learn": of_sklearn,
}


class Server:
    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = PEERS[peer], threads
        self.epoch: Epoch | None = None

    def prepare(self, events: int) -> dict[str, Any]:
        self.epoch = self.peer(events, self.threads)
        losses = [self.epoch(), self.epoch()]
        gc.collect()
        return {"status": "ok", "losses": losses}

    def run(self) -> dict[str, Any]:
        assert self.epoch is not None
        start = perf_counter()
        self.epoch()
        return {"status": "ok", "seconds": perf_counter() - start}


def measure(events: int, workers: dict[str, harness.Worker], blocks: int) -> dict[str, Any]:
    losses: dict[str, float] = {}
    faults: dict[str, str] = {}
    for name, worker in workers.items():
        reply = worker.ask("prepare", events=events)
        if reply["status"] == "ok":
            losses[name] = reply["losses"][-1]
        else:
            faults[name] = " ".join([reply["status"], *reply["faults"].values()])
    for name, found in losses.items():
        if not abs(found - losses["trigrad"]) < 0.1 * losses["trigrad"]:
            faults[name] = f"loss {found:.4f} in the second epoch, expected {losses['trigrad']:.4f}"
    times: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(blocks):
        for name, taken in times.items():
            taken.append(workers[name].ask("run")["seconds"])
    return {"seconds": times, "faults": faults}


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--peers", type=harness.words, default=list(PEERS), help="e.g. trigrad,jax")
    parser.add_argument("--events", type=int, default=200_000)
    a = parser.parse_args()
    if a.quick:
        a.events, a.blocks, a.threads = 5000, 1, [1]
    rows: list[dict[str, Any]] = []
    for threads in a.threads:
        workers: dict[str, harness.Worker] = {}
        try:
            with harness.locked(a.lock):
                workers |= {name: harness.Worker(name, threads, "epoch.py") for name in a.peers}
                found = measure(a.events, workers, a.blocks)
        finally:
            for worker in workers.values():
                worker.close()
        ours = found["seconds"]["trigrad"]
        lines: list[list[Any]] = []
        for name, seconds in found["seconds"].items():
            each = [t / o for t, o in zip(seconds, ours, strict=True)]
            lines.append([name, median(seconds), min(seconds), median(each), f"{min(each):.2f}-{max(each):.2f}"])
        rows.append({"case": f"{a.events} jets", "threads": threads, **found})
        print(f"\nseconds per epoch of {a.events} jets, {threads} thread{'s' * (threads > 1)}")
        print(harness.table(["library", "median", "least", "ratio to trigrad", "range"], lines), flush=True)
        for name, why in found["faults"].items():
            print(f"{name}: {why}")
        harness.save(a.out, "epoch", rows)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in PEERS:
        serve(lambda: Server(sys.argv[1], int(sys.argv[2])), threads=int(sys.argv[2]))
    else:
        main()
