"""Slices through the loss: along a line between two sets of parameters, and over a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import linspace, tensor, zeros_like
from trigrad._random import Generator, randn
from trigrad.diagnostics._probe import Loss, Model, Probe, flat, learned

__all__ = ["LossLine", "LossSurface", "loss_line", "loss_surface", "random_direction"]


class LossLine(NamedTuple):
    """The loss along a line."""

    t: Tensor
    """where (T,): 0 is its start, 1 its end"""
    loss: Tensor
    """(T,)"""


class LossSurface(NamedTuple):
    """The loss over a plane of parameters θ + a·d₁ + b·d₂."""

    a: Tensor
    """steps along the first direction (A,)"""
    b: Tensor
    """steps along the second direction (B,)"""
    loss: Tensor
    """(A, B)"""


def random_direction(model: Model, *, seed: int = 0, per_filter: bool = True) -> Tensor:
    """A random direction (P,) in the space of all parameters, normalised by filters (Li et al. 2018): what a unit's incoming
    weights (a row of a Linear's weight) move by is as long as they are, so that slices of networks with weights of different
    scale can be compared; parameters of one axis or none, such as biases, do not move. Without `per_filter` all numbers are
    drawn from N(0, 1).

    >>> import trigrad as tg
    >>> layer = tg.nn.Linear(3, 2)
    >>> d = tg.diagnostics.random_direction(layer)
    >>> tg.allclose(d[:6].reshape(2, 3).norm(dim=1), layer.weight.detach().norm(dim=1)), d[6:]
    (True, tensor([0., 0.]))
    """
    return _direction(learned("random_direction", model), Generator().manual_seed(seed), per_filter)


def _direction(parameters: Sequence[Tensor], generator: Generator, per_filter: bool) -> Tensor:
    pieces = []
    for p in parameters:
        d = randn(p.shape, generator=generator, dtype=p.dtype, device=p.device)
        if per_filter:
            d = d * (_unit_lengths(p.detach()) / _unit_lengths(d)) if p.ndim > 1 else zeros_like(d)
        pieces.append(d)
    return flat(pieces)


def _unit_lengths(w: Tensor) -> Tensor:
    """(out, ...) -> (out, 1, ...)"""
    return ops.sqrt(ops.sum(ops.square(w), tuple(range(1, w.ndim)), True))


def loss_line(
    model: Model,
    loss: Loss,
    end: Tensor,
    start: Tensor | None = None,
    *,
    points: int = 41,
    reach: tuple[float, float] = (0.0, 1.0),
) -> LossLine:
    """loss() at start + t·(end − start), for `points` values of t over `reach`. Both are vectors (P,) as
    `nn.utils.parameters_to_vector` makes them; the start is where the model stands, if none is given. At t = 0 and 1 the
    parameters are exactly those. Model, buffers and random numbers are left as they are, bit for bit.

    >>> import trigrad as tg
    >>> w = tg.zeros(2, requires_grad=True)
    >>> tg.diagnostics.loss_line(w, lambda: (w * w).sum(), tg.tensor([2.0, 0.0]), points=3).loss
    tensor([0., 1., 4.], dtype=trigrad.float64)
    """
    with Probe("loss_line", model, loss) as probe:
        first = probe.start if start is None else probe.vector("start", start)
        last = probe.vector("end", end)
        t = _grid("loss_line", *reach, points)
        values = []
        for x in t.tolist():
            probe.move(last if x == 1 else first + x * (last - first))
            values.append(probe.loss())
        return LossLine(t, tensor(values, dtype=_core.float64))


def loss_surface(
    model: Model,
    loss: Loss,
    directions: tuple[Tensor, Tensor] | None = None,
    *,
    span: float = 1.0,
    points: int = 25,
    seed: int = 0,
) -> LossSurface:
    """loss() at θ + a·d₁ + b·d₂ around the parameters θ of the model, for `points` values of a and of b from -span to span.

    `directions` are two vectors (P,), or two that `seed` draws (`random_direction`). Model, buffers and random numbers are
    left as they are, bit for bit; `loss` is called points² times.

    >>> import trigrad as tg
    >>> w = tg.zeros(2, requires_grad=True)
    >>> d = tg.eye(2)
    >>> tg.diagnostics.loss_surface(w, lambda: w[0] ** 2 - w[1] ** 2, (d[0], d[1]), points=3).loss
    tensor([[ 0.,  1.,  0.],
            [-1.,  0., -1.],
            [ 0.,  1.,  0.]], dtype=trigrad.float64)
    """
    with Probe("loss_surface", model, loss) as probe:
        if directions is None:
            generator = Generator().manual_seed(seed)
            first, second = (_direction(probe.parameters, generator, True) for _ in range(2))
        else:
            first, second = (probe.vector("a direction", d) for d in directions)
        steps = _grid("loss_surface", -span, span, points)
        rows = []
        for a in steps.tolist():
            row = []
            for b in steps.tolist():
                probe.move(probe.start + (a * first + b * second))
                row.append(probe.loss())
            rows.append(row)
        return LossSurface(steps, steps, tensor(rows, dtype=_core.float64))


def _grid(op: str, first: float, last: float, points: int) -> Tensor:
    if points < 2 or not first < last:
        raise ValueError(f"[{op}] got {points} points from {first} to {last}, expected at least 2, and a range")
    return linspace(first, last, points, dtype=_core.float64)
