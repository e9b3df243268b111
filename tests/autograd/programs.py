"""Random programs of rows, views and writes in place, for trigrad and PyTorch alike.

A program is a list of steps. A step is a function (t, tensors) -> tensor: t is the module, `tensors` what the steps before
made, the leaves first. What a step does is drawn when it is made, from shapes alone, so it does the same in both modules. A
step that writes returns what it wrote to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np

Step = Callable[[Any, list[Any]], Any]
Shape = tuple[int, ...]


class Drawn(NamedTuple):
    step: Step
    name: str
    target: int = -1  # what it writes to
    source: int = -1  # what it writes there

    @property
    def writes(self) -> bool:
        return self.target >= 0


SHAPES: tuple[Shape, ...] = ((3, 4), (4,), (2, 3, 4), (1, 4), (3, 1), (), (4, 4), (5,), (0, 4))

UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "tanh": lambda t, x: t.tanh(x),
    "sin": lambda t, x: x.sin(),
    "sigmoid": lambda t, x: t.sigmoid(x),
    "exp": lambda t, x: t.exp(-(x * x)),
    "log": lambda t, x: (x * x + 1).log(),
    "sqrt": lambda t, x: (x * x + 0.5).sqrt(),
    "relu": lambda t, x: x.relu(),
    "abs": lambda t, x: abs(x),
    "neg": lambda t, x: -x,
    "square": lambda t, x: x**2,
    "cube": lambda t, x: x**3,
    "reciprocal": lambda t, x: 1 / (x * x + 1),
    "softplus": lambda t, x: t.nn.functional.softplus(x),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "clamp": lambda t, x: x.clamp(-0.55, 0.65),
    "scaled": lambda t, x: x * 0.75 + 0.1,
    "float32": lambda t, x: x.to(t.float64) * 1,
    "clone": lambda t, x: x.clone(),
    "contiguous": lambda t, x: x.contiguous().clone(),
    "detached part": lambda t, x: x * x.detach(),
    "zeros and ones": lambda t, x: t.where(x > 0, x * 2, t.zeros_like(x)),
}
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: a - b,
    "mul": lambda t, a, b: a * b,
    "div": lambda t, a, b: a / (b * b + 1),
    "maximum": lambda t, a, b: t.maximum(a, b),
    "atan2": lambda t, a, b: t.atan2(a, b * b + 1),
    "hypot": lambda t, a, b: t.hypot(a + 3, b),
    "where": lambda t, a, b: t.where(a > b, a, b * b),
    "lerp": lambda t, a, b: t.lerp(a, b, 0.3),
    "addcmul": lambda t, a, b: t.addcmul(a, a, b, value=0.5),
    "pow": lambda t, a, b: (a * a + 0.5) ** b,
}
REDUCING: dict[str, Callable[[Any, Any, Any, bool], Any]] = {
    "sum": lambda t, x, dim, keep: x.sum(dim, keepdim=keep),
    "mean": lambda t, x, dim, keep: x.mean(dim, keepdim=keep),
    "amax": lambda t, x, dim, keep: x.amax(dim, keepdim=keep),
    "logsumexp": lambda t, x, dim, keep: t.logsumexp(x, dim, keepdim=keep),
    "var": lambda t, x, dim, keep: x.var(dim, correction=0, keepdim=keep),
    "norm": lambda t, x, dim, keep: (x + 5).norm(dim=dim, keepdim=keep),
    "prod": lambda t, x, dim, keep: x.prod(dim, keepdim=keep),
}
ALONG: dict[str, Callable[[Any, Any, int], Any]] = {
    "softmax": lambda t, x, dim: x.softmax(dim),
    "log_softmax": lambda t, x, dim: t.log_softmax(x, dim),
    "cumsum": lambda t, x, dim: x.cumsum(dim),
    "cumprod": lambda t, x, dim: (x + 2).cumprod(dim),
    "sort": lambda t, x, dim: t.sort(x, dim=dim, stable=True)[0],
    "flip": lambda t, x, dim: x.flip(dim),
    "roll": lambda t, x, dim: x.roll(1, dim),
    "cat": lambda t, x, dim: t.cat([x, x * 2], dim),
    "stack": lambda t, x, dim: t.stack([x, x * x], dim),
    "diff": lambda t, x, dim: x - x.roll(1, dim),
}
WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "mul_": lambda t, x: x.mul_(0.5),
    "add_": lambda t, x: x.add_(0.25),
    "tanh_": lambda t, x: x.tanh_(),
    "sin_": lambda t, x: x.sin_(),
    "exp_": lambda t, x: x.mul_(0.3).exp_(),
    "square_": lambda t, x: x.square_(),
    "pow_": lambda t, x: x.pow_(3),
    "relu_": lambda t, x: x.relu_(),
    "clamp_": lambda t, x: x.clamp_(-0.45, 0.85),
    "zero_": lambda t, x: x.zero_(),
    "neg_": lambda t, x: x.neg_(),
    "fill_": lambda t, x: x.fill_(0.5),
    "masked_fill_": lambda t, x: x.masked_fill_(x > 0.3, 0.2),
    "sigmoid_": lambda t, x: x.sigmoid_(),
}
WRITES_FROM: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mul_": lambda t, x, y: x.mul_(y),
    "add_": lambda t, x, y: x.add_(y, alpha=0.5),
    "sub_": lambda t, x, y: x.sub_(y),
    "div_": lambda t, x, y: x.div_(y * y + 1),
    "copy_": lambda t, x, y: x.copy_(y),
    "+=": lambda t, x, y: x.__iadd__(y),
    "addcmul_": lambda t, x, y: x.addcmul_(y, y, value=0.3),
    "lerp_": lambda t, x, y: x.lerp_(y.expand(x.shape), 0.4),
}


def write_slice(key: Any) -> Callable[[Any, Any, Any], Any]:
    def write(t: Any, x: Any, y: Any) -> Any:
        x[key] = y
        return x

    return write


class Drawer:
    """Draws steps that fit the shapes of what is there."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.writing = rng.choice((0.0, 0.3, 0.6, 1.0))  # many writes leave few programs that PyTorch can differentiate

    def pick(self, shapes: Sequence[Shape], fits: Callable[[Shape], bool] = lambda s: True) -> int | None:
        places = [i for i, s in enumerate(shapes) if fits(s)]
        if not places:
            return None
        return self.rng.choice(places[-6:] if self.rng.random() < 0.7 else places)  # what was made lately, mostly

    def draw(self, shapes: Sequence[Shape]) -> Drawn | None:
        makes = (self.unary, self.unary, self.binary, self.binary, self.reducing, self.along, self.index, self.matmul)
        views = (self.view, self.view, self.view)
        writes = (self.write, self.write_from, self.write_part, self.write_indices)
        kinds = (*makes, *views, *writes) if self.rng.random() < self.writing else (*makes, *views)
        return self.rng.choice(kinds)(shapes)

    def unary(self, shapes: Sequence[Shape]) -> Drawn:
        i, (name, f) = self.pick(shapes), self.rng.choice(list(UNARY.items()))
        assert i is not None
        return Drawn(lambda t, v: f(t, v[i]), f"{name}({i})")

    def partner(self, shapes: Sequence[Shape], shape: Shape, into: bool = False) -> int | None:
        """What can be broadcast with the shape, or to it."""

        def fits(s: Shape) -> bool:
            try:
                made = np.broadcast_shapes(s, shape)
            except ValueError:
                return False
            return made == shape if into else math.prod(made) <= 200

        return self.pick(shapes, fits)

    def binary(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes)
        assert i is not None
        j, (name, f) = self.partner(shapes, shapes[i]), self.rng.choice(list(BINARY.items()))
        return None if j is None else Drawn(lambda t, v: f(t, v[i], v[j]), f"{name}({i}, {j})")

    def reducing(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes, lambda s: bool(s) and 0 not in s)
        if i is None:
            return None
        name, f = self.rng.choice(list(REDUCING.items()))
        dim, keep = self.rng.randrange(-len(shapes[i]), len(shapes[i])), self.rng.random() < 0.4
        return Drawn(lambda t, v: f(t, v[i], dim, keep), f"{name}({i}, {dim}, {keep})")

    def along(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes, lambda s: bool(s) and math.prod(s) <= 100)
        if i is None:
            return None
        name, f = self.rng.choice(list(ALONG.items()))
        dim = self.rng.randrange(len(shapes[i]))
        return Drawn(lambda t, v: f(t, v[i], dim), f"{name}({i}, {dim})")

    def view(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes)
        assert i is not None
        shape, rng = shapes[i], self.rng
        rank = len(shape)
        new = rng.randint(0, rank)
        # What would be a view or a copy by how the elements lie in memory is a copy: results may lie otherwise in PyTorch.
        made: list[tuple[str, Callable[[Any], Any]]] = [
            ("unsqueeze", lambda x: x.unsqueeze(new)),
            ("flatten", lambda x: x.flatten().clone()),
            ("alias", lambda x: x[...]),
            ("view as", lambda x: x.view(x.shape)),
        ]
        if rank < 5:
            made.append(("expand", lambda x: x.expand(2, *shape)))
        if rank:
            d = rng.randrange(rank)
            n = shape[d]
            order, start, step = rng.sample(range(rank), rank), rng.randint(0, n), rng.randint(1, 2)
            made += [
                ("permute", lambda x: x.permute(*order)),
                ("slice", lambda x: x[(slice(None),) * d + (slice(start, None, step),)]),
                ("head", lambda x: x[:2]),
                ("reshape", lambda x: x.reshape(tuple(reversed(shape))).clone()),
                ("squeeze", lambda x: x.squeeze(d)),
            ]
            if n:
                place, size = rng.randrange(n), rng.randint(1, n)
                made += [
                    ("select", lambda x: x.select(d, place - n)),
                    ("narrow", lambda x: x.narrow(d, place, 1)),
                    ("unfold", lambda x: x.unfold(d, size, 1)),
                    ("unbind", lambda x: x.unbind(d)[place]),
                    ("split", lambda x: x.split(size, d)[-1]),
                ]
        if rank > 1:
            pair, offset = rng.sample(range(rank), 2), rng.randint(-1, 1)
            made += [
                ("transpose", lambda x: x.transpose(*pair)),
                ("diagonal", lambda x: x.diagonal(offset, *pair)),
            ]
        name, f = rng.choice(made)
        return Drawn(lambda t, v: f(v[i]), f"{name}({i})")

    def index(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes, lambda s: bool(s) and 0 not in s)
        if i is None:
            return None
        shape, rng = shapes[i], self.rng
        n = shape[0]
        places = [rng.randrange(-n, n) for _ in range(rng.randint(1, 4))]
        whole = [p % n for p in places]
        last = len(shape) - 1
        gathered = np.array([rng.randrange(shape[last]) for _ in range(math.prod(shape))]).reshape(shape)
        name, f = rng.choice(
            [
                ("take", lambda t, x: x[places]),
                ("mask", lambda t, x: x[x > 0.123]),
                ("index_select", lambda t, x: t.index_select(x, 0, t.tensor(whole))),
                ("gather", lambda t, x: t.gather(x, last, t.tensor(gathered.tolist()))),
                ("scatter_add", lambda t, x: t.scatter_add(x * 1, last, t.tensor(gathered.tolist()), x * x)),
                ("pad", lambda t, x: t.nn.functional.pad(x, (1, 2))),
                ("tril", lambda t, x: x.tril() if len(shape) > 1 else x * 1),
                ("index_add", lambda t, x: t.index_add(x * 1, 0, t.tensor(whole), x[whole])),
                ("topk", lambda t, x: t.topk(x, 1, last)[0]),
                ("repeat", lambda t, x: x.repeat(2, *[1] * last)),
            ]
        )
        return Drawn(lambda t, v: f(t, v[i]), f"{name}({i})")

    def matmul(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes, lambda s: len(s) >= 2)
        if i is None:
            return None
        j = self.pick(shapes, lambda s: len(s) >= 1 and s[-1] == shapes[i][-1] and len(s) <= 2)
        if j is None:
            return None
        if len(shapes[j]) == 1:
            return Drawn(lambda t, v: v[i] @ v[j], f"matmul({i}, {j})")
        return Drawn(lambda t, v: t.nn.functional.linear(v[i], v[j]), f"linear({i}, {j})")

    # ---- writes

    def write(self, shapes: Sequence[Shape]) -> Drawn:
        i, (name, f) = self.pick(shapes), self.rng.choice(list(WRITES.items()))
        assert i is not None
        return Drawn(lambda t, v: f(t, v[i]), f"{name}({i})", i)

    def write_from(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes)
        assert i is not None
        j, (name, f) = self.partner(shapes, shapes[i], into=True), self.rng.choice(list(WRITES_FROM.items()))
        return None if j is None else Drawn(lambda t, v: f(t, v[i], v[j]), f"{name}({i}, {j})", i, j)

    def write_part(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes, lambda s: bool(s) and 0 not in s)
        if i is None:
            return None
        shape, rng = shapes[i], self.rng
        key = rng.choice(
            [rng.randrange(shape[0]), slice(1, None), (..., rng.randrange(shape[-1])), slice(None, None, 2)]
        )
        j = self.partner(shapes, np.empty(shape)[key].shape, into=True)
        if j is None or rng.random() < 0.2:
            return Drawn(lambda t, v: write_slice(key)(t, v[i], 0.7), f"write {key}({i})", i)
        return Drawn(lambda t, v: write_slice(key)(t, v[i], v[j]), f"write {key}({i}, {j})", i, j)

    def write_indices(self, shapes: Sequence[Shape]) -> Drawn | None:
        i = self.pick(shapes, lambda s: bool(s) and 0 not in s)
        if i is None:
            return None
        shape, rng = shapes[i], self.rng
        places = rng.sample(range(shape[0]), rng.randint(1, shape[0]))
        j = self.partner(shapes, (len(places), *shape[1:]), into=True)
        if j is None:
            return None
        accumulate = rng.random() < 0.5
        if accumulate:
            places = [rng.choice(places) for _ in places]

        def write(t: Any, v: list[Any]) -> Any:
            v[i].index_put_((t.tensor(places),), v[j], accumulate=accumulate)
            return v[i]

        return Drawn(write, f"index_put_({i}, {places}, {j}, {accumulate})", i, j)
