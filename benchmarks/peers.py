"""How each library does each case. A peer may know several ways; the fastest that answers rightly counts.

To add a peer: a class with one method per operation, which takes the case and its inputs and returns the variants,
and a line in PEERS. An operation without a method is printed as missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from cases import DROP, Array, Case, axis_of, memory_passes
from operations import OPERATIONS, Operation


@dataclass(frozen=True)
class Variant:
    label: str
    call: Callable[[], Any]
    before: Callable[[], Any] | None = None  # done before every call, not timed
    check: Callable[[], Any] | None = None  # whose result is compared, where it is not that of a call


class Peer:
    """Knows how to hand inputs over and to fetch results."""

    def variants(self, case: Case, inputs: tuple[Array, ...]) -> list[Variant]:
        if case.op in OPERATIONS:
            operation = OPERATIONS[case.op]
            return self.operation(operation, dict(zip(operation.inputs, map(self.hold, inputs), strict=True)))
        method = getattr(self, case.op, None)
        return list(method(case, *(self.hold(a) for a in inputs))) if method else []

    def operation(self, operation: Operation, inputs: dict[str, Any]) -> list[Variant]:
        """The expression of operations.py, by those libraries that understand it."""
        del operation, inputs
        return []

    def hold(self, a: Array) -> Any:
        return a

    def arrays(self, result: Any) -> list[Array]:
        return [np.asarray(r) for r in (result if isinstance(result, tuple | list) else (result,))]


class NumPy(Peer):
    """Plain NumPy with outputs given; OpenBLAS below it has the threads that the environment allows."""

    def __init__(self, threads: int) -> None:
        del threads

    def dense(self, case: Case, x: Array, w: Array, b: Array) -> list[Variant]:
        y = np.empty((x.shape[0], w.shape[0]), np.float32)

        def call() -> Array:
            np.matmul(x, w.T, out=y)
            np.add(y, b, out=y)
            return np.maximum(y, 0, out=y)

        return [Variant("matmul, add, maximum", call)]

    def dense_grad_input(self, case: Case, dy: Array, w: Array) -> list[Variant]:
        return [Variant("matmul", partial(np.matmul, dy, w, out=np.empty((dy.shape[0], w.shape[1]), np.float32)))]

    def dense_grad_weight(self, case: Case, dy: Array, x: Array) -> list[Variant]:
        return [Variant("matmul", partial(np.matmul, dy.T, x, out=np.empty((dy.shape[1], x.shape[1]), np.float32)))]

    def dense_grad_bias(self, case: Case, dy: Array) -> list[Variant]:
        return [Variant("sum", partial(np.add.reduce, dy, axis=0))]

    def matmul(self, case: Case, a: Array, b: Array) -> list[Variant]:
        return [Variant("matmul", partial(np.matmul, a, b, out=np.matmul(a, b)))]

    def _pointwise(self, function: Callable[..., Any], *inputs: Array) -> list[Variant]:
        return [Variant("out=", partial(function, *inputs, out=np.empty_like(inputs[0])))]

    def exp(self, case: Case, x: Array) -> list[Variant]:
        return self._pointwise(np.exp, x)

    def tanh(self, case: Case, x: Array) -> list[Variant]:
        return self._pointwise(np.tanh, x)

    def relu(self, case: Case, x: Array) -> list[Variant]:
        return self._pointwise(np.maximum, x, np.zeros((), np.float32))

    def add(self, case: Case, x: Array, y: Array) -> list[Variant]:
        return self._pointwise(np.add, x, y)

    def mul(self, case: Case, x: Array, y: Array) -> list[Variant]:
        return self._pointwise(np.multiply, x, y)

    def add_number(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("x + 1.0", lambda: x + np.float32(1))]

    def transpose(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("transpose", partial(np.transpose, x))]

    def index(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("x[0]", lambda: x[0])]

    def item(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("item", x.item)]

    def sum(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("sum", partial(np.add.reduce, x, axis=axis_of(case)))]

    def mean(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("mean", partial(np.mean, x, axis=axis_of(case)))]

    def max(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("max", partial(np.maximum.reduce, x, axis=axis_of(case)))]

    def var(self, case: Case, x: Array) -> list[Variant]:
        return [Variant("var", partial(np.var, x, axis=axis_of(case), ddof=1))]


class Torch(Peer):
    """Eager PyTorch without autograd; outputs given where it takes them."""

    def __init__(self, threads: int) -> None:
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(threads)
        self.aten = self.torch.ops.aten
        self.inference = self.torch.inference_mode()
        self.inference.__enter__()

    def hold(self, a: Array) -> Any:
        return self.torch.from_numpy(a)

    def operation(self, operation: Operation, inputs: dict[str, Any]) -> list[Variant]:
        torch = self.torch
        functional = SimpleNamespace(**(vars(torch) | vars(torch.nn.functional)))
        return [Variant(operation.theirs, operation.bind(operation.theirs, torch, functional, inputs))]

    def dense(self, case: Case, x: Any, w: Any, b: Any) -> list[Variant]:
        torch, linear, relu_, wt = self.torch, self.torch.nn.functional.linear, self.torch.relu_, w.t()
        y = torch.empty(x.shape[0], w.shape[0])
        x0, y0 = x[0], y[0]
        ways: dict[str, Callable[[], Any]] = {
            "linear, relu_": lambda: relu_(linear(x, w, b)),
            "addmm(out=), relu_": lambda: relu_(torch.addmm(b, x, wt, out=y)),
            "_addmm_activation": partial(torch._addmm_activation, b, x, wt),
            "_addmm_activation(out=)": partial(torch._addmm_activation, b, x, wt, out=y),
        }
        if x.shape[0] == 1:
            ways["addmv(out=), relu_"] = lambda: (relu_(torch.addmv(b, w, x0, out=y0)), y)[1]
        before = partial(w[0, :1].fill_, float(w[0, 0])) if case.how == "new weight" else None
        return [Variant(label, call, before) for label, call in ways.items()]

    def network(self, case: Case, x: Any, *layers: Any) -> list[Variant]:
        linear, relu_, softmax = self.torch.nn.functional.linear, self.torch.relu_, self.torch.softmax
        pairs = list(zip(layers[::2], layers[1::2], strict=True))
        w_last, b_last = pairs.pop()

        def call() -> Any:
            h = x
            for w, b in pairs:
                h = relu_(linear(h, w, b))
            return softmax(linear(h, w_last, b_last), 1)

        return [Variant("linear, relu_, softmax", call)]

    def dense_grad_input(self, case: Case, dy: Any, w: Any) -> list[Variant]:
        torch = self.torch
        y = torch.empty(dy.shape[0], w.shape[1])
        return [
            Variant("mm", partial(torch.mm, dy, w)),
            Variant("mm(out=)", partial(torch.mm, dy, w, out=y)),
        ]

    def dense_grad_weight(self, case: Case, dy: Any, x: Any) -> list[Variant]:
        torch, dyt, xt = self.torch, dy.t(), x.t()
        y, z = torch.empty(dy.shape[1], x.shape[1]), torch.empty(x.shape[1], dy.shape[1])
        return [
            Variant("mm", partial(torch.mm, dyt, x)),
            Variant("mm(out=)", partial(torch.mm, dyt, x, out=y)),
            Variant("mm(out=), transposed result", lambda: torch.mm(xt, dy, out=z).t()),
        ]

    def dense_grad_bias(self, case: Case, dy: Any) -> list[Variant]:
        torch = self.torch
        y, ones = torch.empty(dy.shape[1]), torch.ones(dy.shape[0])
        return [
            Variant("sum", partial(torch.sum, dy, 0)),
            Variant("sum(out=)", partial(torch.sum, dy, 0, out=y)),
            Variant("mv(out=)", partial(torch.mv, dy.t(), ones, out=y)),
        ]

    def matmul(self, case: Case, a: Any, b: Any) -> list[Variant]:
        matmul = self.torch.matmul
        y = matmul(a, b)
        return [
            Variant("matmul", partial(matmul, a, b)),
            Variant("matmul(out=)", partial(matmul, a, b, out=y)),
        ]

    def _pointwise(self, function: Callable[..., Any], *inputs: Any) -> list[Variant]:
        y = self.torch.empty_like(inputs[0])
        return [
            Variant("new", partial(function, *inputs)),
            Variant("out=", partial(function, *inputs, out=y)),
        ]

    def exp(self, case: Case, x: Any) -> list[Variant]:
        return self._pointwise(self.torch.exp, x)

    def tanh(self, case: Case, x: Any) -> list[Variant]:
        return self._pointwise(self.torch.tanh, x)

    def sigmoid(self, case: Case, x: Any) -> list[Variant]:
        return self._pointwise(self.torch.sigmoid, x)

    def relu(self, case: Case, x: Any) -> list[Variant]:
        y = self.torch.empty_like(x)
        clamped = Variant("clamp_min(out=)", partial(self.torch.clamp_min, x, 0, out=y))
        return [Variant("relu", partial(self.torch.relu, x)), clamped]

    def gelu(self, case: Case, x: Any) -> list[Variant]:
        gelu, y = self.torch.nn.functional.gelu, self.torch.empty_like(x)
        return [
            Variant("gelu", partial(gelu, x)),
            Variant("gelu(out=)", partial(self.aten.gelu.out, x, out=y)),
        ]

    def add(self, case: Case, x: Any, y: Any) -> list[Variant]:
        return self._pointwise(self.torch.add, x, y)

    def mul(self, case: Case, x: Any, y: Any) -> list[Variant]:
        return self._pointwise(self.torch.mul, x, y)

    def dropout(self, case: Case, x: Any) -> list[Variant]:
        dropout, native = self.torch.nn.functional.dropout, self.torch.native_dropout
        return [
            Variant("dropout", partial(dropout, x, DROP, True)),
            Variant("native_dropout", lambda: native(x, DROP, True)[0]),
        ]

    def softmax(self, case: Case, z: Any) -> list[Variant]:
        softmax = self.torch.softmax
        out = self.torch.empty_like(z)
        return [
            Variant("softmax", partial(softmax, z, 1)),
            Variant("softmax(out=)", partial(softmax, z, 1, out=out)),
        ]

    def softmax_backward(self, case: Case, dy: Any, y: Any) -> list[Variant]:
        return [Variant("_softmax_backward_data", partial(self.aten._softmax_backward_data, dy, y, 1, dy.dtype))]

    def cross_entropy(self, case: Case, z: Any, target: Any) -> list[Variant]:
        aten, one = self.aten, self.torch.ones(())

        def call() -> Any:
            log_p = aten._log_softmax(z, 1, False)
            loss, total = aten.nll_loss_forward(log_p, target, None, 1, -100)
            d_log_p = aten.nll_loss_backward(one, log_p, target, None, 1, -100, total)
            return loss, aten._log_softmax_backward_data(d_log_p, log_p, 1, z.dtype)

        return [Variant("log_softmax, nll_loss and their backwards", call)]

    def _batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        mean, var = self.torch.zeros(x.shape[1]), self.torch.ones(x.shape[1])
        return partial(self.torch.native_batch_norm, x, weight, bias, mean, var, True, 0.1, 1e-5), mean, var

    def batch_norm(self, case: Case, x: Any, weight: Any, bias: Any) -> list[Variant]:
        call, _, _ = self._batch_norm(x, weight, bias)
        return [Variant("native_batch_norm", lambda: call()[0])]

    def batch_norm_backward(self, case: Case, x: Any, weight: Any, bias: Any, dy: Any) -> list[Variant]:
        forward, mean, var = self._batch_norm(x, weight, bias)
        _, saved_mean, saved_invstd = forward()
        call = partial(
            self.aten.native_batch_norm_backward,
            dy, x, weight, mean, var, saved_mean, saved_invstd, True, 1e-5, [True, True, True],
        )  # fmt: skip
        return [Variant("native_batch_norm_backward", call)]

    def _reduce(self, case: Case, function: Callable[..., Any], x: Any) -> list[Variant]:
        axis = axis_of(case)
        if axis is None:
            return [Variant("new", partial(function, x))]
        out = function(x, axis)
        return [
            Variant("new", partial(function, x, axis)),
            Variant("out=", partial(function, x, axis, out=out)),
        ]

    def add_number(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("x + 1.0", lambda: x + 1.0)]

    def transpose(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("transpose", partial(self.torch.transpose, x, 0, 1))]

    def index(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("x[0]", lambda: x[0])]

    def from_numpy(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("from_numpy", partial(self.torch.from_numpy, x.numpy()))]

    def to_numpy(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("numpy", x.numpy)]

    def item(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("item", x.item)]

    def sum(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.torch.sum, x)

    def mean(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.torch.mean, x)

    def max(self, case: Case, x: Any) -> list[Variant]:
        ways = self._reduce(case, self.torch.amax, x)
        return [*ways, Variant("max", partial(self.torch.max, x))] if axis_of(case) is None else ways

    def var(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.torch.var, x)


class Memory(Peer):
    """What the memory gives: NumPy reading, copying and adding, one piece per thread."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)

    def _pieces(self, case: Case, function: Callable[..., Any], result: Any, *arrays: Array) -> list[Variant]:
        pieces = list(zip(*(np.array_split(a, self.threads) for a in arrays), strict=True))
        passes = memory_passes(case)

        def work(piece: tuple[Array, ...]) -> None:
            for _ in range(passes):
                function(*piece)

        def call() -> Any:
            list(self.pool.map(work, pieces))
            return result

        return [Variant("NumPy", call)]

    def read(self, case: Case, x: Array) -> list[Variant]:
        return self._pieces(case, lambda a: np.dot(a, a), x, x)

    def copy(self, case: Case, x: Array) -> list[Variant]:
        y = np.empty_like(x)
        return self._pieces(case, np.copyto, y, y, x)

    def triad(self, case: Case, x: Array, y: Array) -> list[Variant]:
        z = np.empty_like(x)
        return self._pieces(case, np.add, z, x, y, z)


class Trigrad(Peer):
    """Ours, through the Python package, gradients off."""

    def __init__(self, threads: int) -> None:
        self.tg = importlib.import_module("trigrad")
        self.tg.set_num_threads(threads)

    def hold(self, a: Array) -> Any:
        """Memory of our own: of weights that NumPy shares no packed copy may be kept."""
        if a.flags.c_contiguous:
            return self.tg.tensor(a)
        return self.tg.tensor(a.swapaxes(-1, -2)).transpose(-1, -2)

    def operation(self, operation: Operation, inputs: dict[str, Any]) -> list[Variant]:
        return [Variant(operation.ours, operation.bind(operation.ours, self.tg, self.tg, inputs))]

    def dense(self, case: Case, x: Any, w: Any, b: Any) -> list[Variant]:
        before = partial(w[0, :1].fill_, float(w[0, 0])) if case.how == "new weight" else None
        return [Variant("dense", partial(self.tg.dense, x, w, b, activation="relu"), before)]

    def network(self, case: Case, x: Any, *layers: Any) -> list[Variant]:
        dense, softmax = self.tg.dense, self.tg.softmax
        pairs = list(zip(layers[::2], layers[1::2], strict=True))
        w_last, b_last = pairs.pop()

        def call() -> Any:
            h = x
            for w, b in pairs:
                h = dense(h, w, b, activation="relu")
            return softmax(dense(h, w_last, b_last), 1)

        return [Variant("dense, softmax", call)]

    def dense_grad_input(self, case: Case, dy: Any, w: Any) -> list[Variant]:
        return self._plain(self.tg.ops.dense_grad_input, dy, w)

    def dense_grad_weight(self, case: Case, dy: Any, x: Any) -> list[Variant]:
        return self._plain(self.tg.ops.dense_grad_weight, dy, x)

    def dense_grad_bias(self, case: Case, dy: Any) -> list[Variant]:
        return self._plain(self.tg.ops.dense_grad_bias, dy)

    def matmul(self, case: Case, a: Any, b: Any) -> list[Variant]:
        return self._plain(self.tg.matmul, a, b)

    def _plain(self, function: Callable[..., Any], *inputs: Any) -> list[Variant]:
        return [Variant("new", partial(function, *inputs))]

    def exp(self, case: Case, x: Any) -> list[Variant]:
        return self._plain(self.tg.exp, x)

    def tanh(self, case: Case, x: Any) -> list[Variant]:
        return self._plain(self.tg.tanh, x)

    def sigmoid(self, case: Case, x: Any) -> list[Variant]:
        return self._plain(self.tg.sigmoid, x)

    def relu(self, case: Case, x: Any) -> list[Variant]:
        return self._plain(self.tg.relu, x)

    def gelu(self, case: Case, x: Any) -> list[Variant]:
        return self._plain(self.tg.gelu, x)

    def add(self, case: Case, x: Any, y: Any) -> list[Variant]:
        return self._plain(self.tg.add, x, y)

    def mul(self, case: Case, x: Any, y: Any) -> list[Variant]:
        return self._plain(self.tg.mul, x, y)

    def dropout(self, case: Case, x: Any) -> list[Variant]:
        return self._plain(self.tg.dropout, x, DROP)

    def softmax(self, case: Case, z: Any) -> list[Variant]:
        return self._plain(self.tg.softmax, z, 1)

    def softmax_backward(self, case: Case, dy: Any, y: Any) -> list[Variant]:
        return self._plain(self.tg.ops.softmax_backward, dy, y, 1)

    def cross_entropy(self, case: Case, z: Any, target: Any) -> list[Variant]:
        ops, one = self.tg.ops, self.tg.ones(())

        def call() -> Any:
            loss, logsumexp, total = ops.native_cross_entropy(z, target)
            return loss, ops.cross_entropy_backward(one, z, target, logsumexp, total)

        return [Variant("forward, backward", call)]

    def _batch_norm(self, x: Any, weight: Any, bias: Any) -> Callable[[], Any]:
        mean, var = self.tg.zeros(x.shape[1]), self.tg.ones(x.shape[1])
        return partial(self.tg.ops.native_batch_norm, x, mean, var, weight, bias, True)

    def batch_norm(self, case: Case, x: Any, weight: Any, bias: Any) -> list[Variant]:
        call = self._batch_norm(x, weight, bias)
        return [Variant("batch_norm", lambda: call()[0])]

    def batch_norm_backward(self, case: Case, x: Any, weight: Any, bias: Any, dy: Any) -> list[Variant]:
        _, mean, invstd, *_ = self._batch_norm(x, weight, bias)()
        return self._plain(self.tg.ops.batch_norm_backward, dy, x, mean, invstd, weight)

    def _reduce(self, case: Case, function: Callable[..., Any], x: Any) -> list[Variant]:
        axis = axis_of(case)
        return self._plain(function, x) if axis is None else self._plain(function, x, axis)

    def add_number(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("x + 1.0", lambda: x + 1.0)]

    def transpose(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("transpose", partial(self.tg.transpose, x, 0, 1))]

    def index(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("x[0]", lambda: x[0])]

    def from_numpy(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("from_numpy", partial(self.tg.from_numpy, x.numpy()))]

    def to_numpy(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("numpy", x.numpy)]

    def item(self, case: Case, x: Any) -> list[Variant]:
        return [Variant("item", x.item)]

    def sum(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.tg.sum, x)

    def mean(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.tg.mean, x)

    def max(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.tg.amax, x)

    def var(self, case: Case, x: Any) -> list[Variant]:
        return self._reduce(case, self.tg.var, x)


PEERS: dict[str, Callable[[int], Peer]] = {
    "trigrad": Trigrad,
    "torch": Torch,
    "numpy": NumPy,
    "memory": Memory,
}
