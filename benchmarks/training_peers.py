"""How each library trains: one step (forward, loss, backward, Adam), and an epoch over data held in memory.

To add a peer: a class with `train` and `epoch`, which take the case and its inputs, and a line in PEERS.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np

import nets
from cases import Array, Case, net_of
from peers import Peer, Variant

Step = Callable[[Any, Any], Any]  # (x, y) -> loss


class Training(Peer):
    """What a library's class has to say is how a step is made."""

    def variants(self, case: Case, inputs: tuple[Array, ...]) -> list[Variant]:
        x, y, *weights = inputs
        found: list[Variant] = getattr(self, case.op)(case, self.hold(x), self.hold(y), weights)
        return found

    def step(self, net: nets.Net, weights: list[Array]) -> Step:
        raise NotImplementedError

    def shuffled(self, n: int) -> Any:
        """The numbers 0 ... n - 1 in random order."""
        raise NotImplementedError

    def train(self, case: Case, x: Any, y: Any, weights: list[Array]) -> list[Variant]:
        net, batches = net_of(case), list(zip(x, y, strict=True))
        step, turn = self.step(net, weights), cycle(batches)

        def first_losses() -> Array:
            first = self.step(nets.Net(net.sizes, net.hidden, net.normalized), weights)  # without dropout
            return np.array([float(first(*b)) for b in islice(cycle(batches), nets.checked_steps(net, case.shape[0]))])

        return [Variant("step", lambda: step(*next(turn)), check=first_losses)]

    def epoch(self, case: Case, x: Any, y: Any, weights: list[Array]) -> list[Variant]:
        step, (n, batch) = self.step(net_of(case), weights), case.shape

        def call() -> float:
            order = self.shuffled(n)
            for i in range(0, n - batch + 1, batch):
                at = order[i : i + batch]
                loss = step(x[at], y[at])
            return float(loss)

        return [Variant("epoch", call)]


class Framework(Training):
    """PyTorch's names: one script for PyTorch and for trigrad."""

    def __init__(self, threads: int, library: str, **adam: Any) -> None:
        self.t: Any = importlib.import_module(library)
        self.t.set_num_threads(threads)
        self.adam = adam

    def compiled(self, step: Step) -> Step:
        return step

    def hold(self, a: Array) -> Any:
        return self.t.from_numpy(a)

    def model(self, net: nets.Net, weights: list[Array]) -> Any:
        t, layers = self.t, []
        for i, (weight, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            layer = t.nn.Linear(weight.shape[1], weight.shape[0])
            with t.no_grad():
                layer.weight.copy_(t.from_numpy(weight))
                layer.bias.copy_(t.from_numpy(bias))
            layers.append(layer)
            if i + 2 < len(net.sizes):
                layers += [t.nn.BatchNorm1d(len(bias))] if net.normalized else []
                layers += [t.nn.ReLU() if net.hidden == "relu" else t.nn.Tanh()]
                layers += [t.nn.Dropout(net.dropout)] if net.dropout else []
        return t.nn.Sequential(*layers)

    def step(self, net: nets.Net, weights: list[Array]) -> Step:
        model = self.model(net, weights)
        criterion = self.t.nn.BCEWithLogitsLoss() if net.logit else self.t.nn.CrossEntropyLoss()
        optimizer = self.t.optim.Adam(model.parameters(), lr=nets.LEARNING_RATE, **self.adam)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            z = model(x)
            loss = criterion(z.squeeze(1) if net.logit else z, y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return self.compiled(step)

    def shuffled(self, n: int) -> Any:
        return self.t.randperm(n)


class Compiled(Framework):
    """trigrad.compile: the whole step is one plan."""

    def compiled(self, step: Step) -> Step:
        made: Step = self.t.compile(step)
        return made


class TorchCompile(Framework):
    """torch.compile of the network, which takes seconds for each one; its step is PyTorch's fused one."""

    def model(self, net: nets.Net, weights: list[Array]) -> Any:
        return self.t.compile(super().model(net, weights))


class ScikitLearn(Training):
    """MLPClassifier.partial_fit with one batch is one step of Adam on the cross-entropy."""

    def __init__(self, threads: int) -> None:
        self.neural: Any = importlib.import_module("sklearn.neural_network")
        importlib.import_module("threadpoolctl").threadpool_limits(threads)

    def hold(self, a: Array) -> Any:
        return a

    def variants(self, case: Case, inputs: tuple[Array, ...]) -> list[Variant]:
        net = net_of(case)
        # It knows neither of these, and gives two classes one logit.
        other = net.normalized or net.dropout or net.sizes[-1] == 2
        return [] if other else super().variants(case, inputs)

    def step(self, net: nets.Net, weights: list[Array]) -> Step:
        classifier: Any = None

        def begin(x: Any, y: Any) -> Any:
            made = self.neural.MLPClassifier(
                net.sizes[1:-1],
                activation=net.hidden,
                alpha=0,
                batch_size=len(x),
                learning_rate_init=nets.LEARNING_RATE,
                shuffle=False,
            )
            made.partial_fit(x, y, classes=np.arange(2 if net.logit else net.sizes[-1]))
            for mine, w in zip(made.coefs_, weights[::2], strict=True):
                mine[...] = w.T
            for mine, b in zip(made.intercepts_, weights[1::2], strict=True):
                mine[...] = b
            made._optimizer.t = 0
            for moment in (*made._optimizer.ms, *made._optimizer.vs):
                moment[...] = 0
            return made

        def step(x: Any, y: Any) -> Any:
            nonlocal classifier
            classifier = classifier or begin(x, y)
            return classifier.partial_fit(x, y).loss_

        return step

    def shuffled(self, n: int) -> Any:
        return np.random.default_rng(1).permutation(n)


class Jax(Training):
    """One jitted function per step, which may overwrite the state that it is given."""

    def __init__(self, threads: int) -> None:
        del threads  # it takes the CPUs that the process may run on
        os.environ["JAX_PLATFORMS"] = "cpu"
        self.jax: Any = importlib.import_module("jax")
        self.np: Any = importlib.import_module("jax.numpy")

    def hold(self, a: Array) -> Any:
        return self.np.asarray(a if a.dtype == np.float32 else a.astype(np.int32))

    def forward(self, net: nets.Net, parameters: Any, x: Any, key: Any) -> Any:
        """Logits, and mean and variance of each normalised layer."""
        jax, jnp = self.jax, self.np
        moments = []
        for i, p in enumerate(parameters):
            x = x @ p["w"].T + p["b"]
            if i + 1 == len(parameters):
                break
            if net.normalized:
                moments.append((x.mean(0), x.var(0)))
                x = (x - moments[-1][0]) * jax.lax.rsqrt(moments[-1][1] + nets.BATCH_NORM_EPSILON) * p["scale"] + p[
                    "shift"
                ]
            x = jnp.tanh(x) if net.hidden == "tanh" else jax.nn.relu(x)
            if net.dropout:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - net.dropout, x.shape)
                x = jnp.where(kept, x / (1 - net.dropout), 0)
        return x, moments

    def step(self, net: nets.Net, weights: list[Array], wait: bool = True) -> Step:
        jax, jnp = self.jax, self.np
        each = jax.tree_util.tree_map

        def loss_of(parameters: Any, x: Any, y: Any, key: Any) -> Any:
            z, moments = self.forward(net, parameters, x, key)
            if net.logit:
                z = z[:, 0]
                return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))), moments
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1)), moments

        def update(state: Any, x: Any, y: Any) -> Any:
            p, m, v, running, t, key = state
            key, now = jax.random.split(key) if net.dropout else (key, key)
            (loss, moments), g = jax.value_and_grad(loss_of, has_aux=True)(p, x, y, now)
            t = t + 1
            m = each(lambda a, b: nets.BETA1 * a + (1 - nets.BETA1) * b, m, g)
            v = each(lambda a, b: nets.BETA2 * a + (1 - nets.BETA2) * b * b, v, g)
            rate, root = nets.LEARNING_RATE / (1 - nets.BETA1**t), jnp.sqrt(1 - nets.BETA2**t)
            p = each(lambda a, b, c: a - rate * b / (jnp.sqrt(c) / root + nets.EPSILON), p, m, v)
            running = each(lambda a, b: 0.9 * a + 0.1 * b, running, moments)
            return (p, m, v, running, t, key), loss

        parameters = [
            {"w": jnp.asarray(w), "b": jnp.asarray(b)} for w, b in zip(weights[::2], weights[1::2], strict=True)
        ]
        if net.normalized:
            for p in parameters[:-1]:
                p |= {"scale": jnp.ones(p["b"].size), "shift": jnp.zeros(p["b"].size)}
        running = [(jnp.zeros(p["b"].size), jnp.ones(p["b"].size)) for p in parameters if "scale" in p]
        nothing = each(jnp.zeros_like, parameters)
        state = (parameters, nothing, each(jnp.zeros_like, parameters), running, jnp.float32(0), jax.random.key(0))
        compiled = jax.jit(update, donate_argnums=0)

        def step(x: Any, y: Any) -> Any:
            nonlocal state
            state, loss = compiled(state, x, y)
            return loss.block_until_ready() if wait else loss

        return step

    def shuffled(self, n: int) -> Any:
        return self.jax.random.permutation(self.jax.random.key(1), n)


PEERS: dict[str, Callable[[int], Peer]] = {
    "trigrad compiled": partial(Compiled, library="trigrad"),
    "trigrad eager": partial(Framework, library="trigrad"),
    "torch eager": partial(Framework, library="torch"),  # Adam as it comes: one parameter after the other
    "torch foreach": partial(Framework, library="torch", foreach=True),
    "torch fused": partial(Framework, library="torch", fused=True),
    "torch compile": partial(TorchCompile, library="torch", fused=True),
    "jax jit": Jax,
    "scikit-learn": ScikitLearn,
}
