"""The networks that are trained and that decide: sizes, data, first weights, and float64 NumPy that says what is right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8  # Adam's
BATCH_NORM_EPSILON = 1e-5
BATCHES = 4  # the minibatches that steps take in turn


@dataclass(frozen=True)
class Net:
    """Dense layers; one output is a logit (binary cross-entropy), several are classes (cross-entropy)."""

    sizes: tuple[int, ...]
    hidden: str = "relu"
    normalized: bool = False  # batch normalisation before each hidden activation
    dropout: float = 0.0  # after it
    output: str = ""  # softmax or sigmoid of what a network that decides gives

    @property
    def logit(self) -> bool:
        return self.sizes[-1] == 1

    def flops(self, batch: int) -> float:
        """Floating-point operations of a step's products: outputs, gradients of weights, gradients of hidden values."""
        products = sum(k * n for k, n in pairwise(self.sizes))
        return 2.0 * batch * (3 * products - self.sizes[0] * self.sizes[1])


JET = (16, 64, 32, 32, 5)
NETS = {
    "jet": Net(JET),
    "SUSY": Net((18, 200, 100, 2)),
    "Higgs": Net((28, 300, 300, 300, 300, 1), "tanh"),
    "MNIST": Net((784, 512, 256, 10)),
    "wide": Net((1024, 2048, 2048, 10)),
    "jet + batchnorm + dropout": Net(JET, normalized=True, dropout=0.1),
}
CONFIGS = [
    ("jet", 128), ("jet", 1024), ("SUSY", 100), ("SUSY", 1024), ("Higgs", 100), ("Higgs", 1024), ("MNIST", 128),
    ("MNIST", 1024), ("wide", 512), ("jet + batchnorm + dropout", 128),
]  # fmt: skip

# Networks of trigger studies, one or many events at a time.
DECIDING = {
    "jet": Net(JET, output="softmax"),
    "ecal": Net((12, 32, 16, 1), output="sigmoid"),
    "autoencoder": Net((57, 32, 16, 3, 16, 32, 57)),
    "Higgs": Net((28, 300, 300, 300, 300, 1), output="sigmoid"),
    "MNIST": Net((784, 512, 256, 10), output="softmax"),
}


def data(net: Net, n: int) -> tuple[Array, Array]:
    """Inputs (n, K) and labels (n,) that a network can learn: the greatest of some sums."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((n, net.sizes[0]), dtype=np.float32)
    teacher = rng.standard_normal((net.sizes[0], max(2, net.sizes[-1])), dtype=np.float32)
    y = np.empty(n, np.float32 if net.logit else np.int64)
    for i in range(0, n, 4096):  # in pieces, which leave no trace in the peak of memory
        y[i : i + 4096] = np.argmax(x[i : i + 4096] @ teacher, axis=1)
    return x, y


def weights(net: Net) -> list[Array]:
    """Weight (N, K) and bias (N,) of each layer, float32."""
    rng = np.random.default_rng(1)
    made = []
    for k, n in pairwise(net.sizes):
        made.append(rng.standard_normal((n, k), dtype=np.float32) * np.float32(math.sqrt(2 / (k + n))))
        made.append(0.1 * rng.standard_normal(n, dtype=np.float32))
    return made


def events(net: Net, n: int, seed: int = 3) -> Array:
    """Inputs (n, K) of a network that decides."""
    return np.random.default_rng(seed).standard_normal((n, net.sizes[0]), dtype=np.float32)


def answers(net: Net, x: Array, weights: list[Array], dtype: type[np.floating[Any]] = np.float64) -> Array:
    """What a network that decides answers to x (n, K)."""
    y = x.astype(dtype, copy=False)
    for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        y = y @ w.T.astype(dtype, copy=False) + b
        if 2 * i + 2 < len(weights):
            y = np.maximum(y, 0) if net.hidden == "relu" else np.tanh(y)
    if net.output == "softmax":
        e = np.exp(y - y.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))
    return 1 / (1 + np.exp(-y)) if net.output == "sigmoid" else y


def problem(net: Net, batch: int) -> tuple[Array, ...]:
    """x (BATCHES, batch, K), y (BATCHES, batch), weights and biases: the same in every process."""
    x, y = data(net, BATCHES * batch)
    return x.reshape(BATCHES, batch, -1), y.reshape(BATCHES, batch), *weights(net)


def checked_steps(net: Net, batch: int) -> int:
    """How many steps' losses are compared: float64 takes its time."""
    return 5 if net.flops(batch) < 1e9 else 2


def losses(net: Net, batch: int) -> Array:
    """The losses of the first steps in float64, without dropout."""
    x, y, *first = problem(net, batch)
    parameters = [p.astype(np.float64) for p in first]
    if net.normalized:
        for n in net.sizes[1:-1]:
            parameters += [np.ones(n), np.zeros(n)]
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    found = []
    for t in range(1, checked_steps(net, batch) + 1):
        loss, grads = _gradients(net, parameters, x[(t - 1) % BATCHES].astype(np.float64), y[(t - 1) % BATCHES])
        found.append(loss)
        for p, g, (m, v) in zip(parameters, grads, moments, strict=True):
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            p -= LEARNING_RATE * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPSILON)
    return np.array(found)


def _gradients(net: Net, parameters: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
    """The loss and its gradient for each parameter: weights and biases, then the scales and shifts of normalisation."""
    layers = len(net.sizes) - 1
    scales = parameters[2 * layers :]
    inputs, normal = [x], []  # of each layer; of each normalisation what it multiplies, and 1 / standard deviation
    for i in range(layers):
        z = inputs[-1] @ parameters[2 * i].T + parameters[2 * i + 1]
        if i + 1 == layers:
            break
        if net.normalized:
            inverse = 1 / np.sqrt(z.var(axis=0) + BATCH_NORM_EPSILON)
            normal.append(((z - z.mean(axis=0)) * inverse, inverse))
            z = normal[-1][0] * scales[2 * i] + scales[2 * i + 1]
        inputs.append(np.maximum(z, 0) if net.hidden == "relu" else np.tanh(z))
    rows = np.arange(len(x))
    if net.logit:
        z = z[:, 0]
        loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
        dz = (1 / (1 + np.exp(-z)) - y)[:, None] / len(x)
    else:
        z = z - z.max(axis=1, keepdims=True)
        total = np.exp(z).sum(axis=1)
        loss = np.mean(np.log(total) - z[rows, y])
        dz = np.exp(z) / total[:, None]
        dz[rows, y] -= 1
        dz /= len(x)
    grads: list[Array] = [np.empty(0)] * len(parameters)
    for i in reversed(range(layers)):
        grads[2 * i], grads[2 * i + 1] = dz.T @ inputs[i], dz.sum(axis=0)
        if i == 0:
            break
        dz = dz @ parameters[2 * i]
        dz *= inputs[i] > 0 if net.hidden == "relu" else 1 - inputs[i] ** 2
        if net.normalized:
            h, inverse = normal[i - 1]
            at = 2 * layers + 2 * (i - 1)
            grads[at], grads[at + 1] = (dz * h).sum(axis=0), dz.sum(axis=0)
            dz = scales[2 * (i - 1)] * inverse * (dz - dz.mean(axis=0) - h * (dz * h).mean(axis=0))
    return float(loss), grads
