"""Layers that are linear in a row are one: batch norm folded into its neighbour, stacked linear layers collapsed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from trigrad import _core, ops
from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad._creation import zeros
from trigrad.nn.containers import Sequential
from trigrad.nn.linear import Identity, Linear
from trigrad.nn.module import Module
from trigrad.nn.normalization import BatchNorm1d
from trigrad.nn.parameter import Parameter

__all__ = ["collapse", "fold_batchnorm"]

M = TypeVar("M", bound=Module)


def _layer(weight: Tensor, bias: Tensor, like: Linear) -> Linear:
    """A linear layer of these float64 numbers, rounded once to the dtype of `like`."""
    made = Linear(weight.shape[1], weight.shape[0], dtype=like.weight.dtype)
    made.weight = Parameter(weight.to(like.weight.dtype), like.weight.requires_grad)
    made.bias = Parameter(bias.to(like.weight.dtype), like.weight.requires_grad)
    return made.train(like.training)


def _exact(layer: Linear) -> tuple[Tensor, Tensor]:
    weight = layer.weight.detach().double()
    bias = (
        zeros(layer.out_features, dtype=weight.dtype, device=weight.device)
        if layer.bias is None
        else layer.bias.detach().double()
    )
    return weight, bias


def _scale_and_shift(norm: BatchNorm1d) -> tuple[Tensor, Tensor] | None:
    """Evaluation is s x + t per channel; None if it takes the statistics of each batch."""
    if norm.running_mean is None or norm.running_var is None:
        return None
    s = ops.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        s = s * norm.weight.detach().double()
    t = -(norm.running_mean.double() * s)
    return s, t if norm.bias is None else t + norm.bias.detach().double()


def _fold_pair(first: Module, second: Module) -> Module | None:
    if type(first) is Linear and type(second) is BatchNorm1d and first.out_features == second.num_features:
        found = _scale_and_shift(second)
        if found is not None:
            (weight, bias), (s, t) = _exact(first), found
            return _layer(weight * s.unsqueeze(1), bias * s + t, first)
    if type(first) is BatchNorm1d and type(second) is Linear and first.num_features == second.in_features:
        found = _scale_and_shift(first)
        if found is not None:
            (weight, bias), (s, t) = _exact(second), found
            return _layer(weight * s, ops.matmul(weight, t) + bias, second)
    return None


def _collapse_pair(first: Module, second: Module) -> Module | None:
    if type(first) is Identity or type(second) is Identity:
        return second if type(first) is Identity else first
    if type(first) is Linear and type(second) is Linear and first.out_features == second.in_features:
        (w1, b1), (w2, b2) = _exact(first), _exact(second)
        return _layer(ops.matmul(w2, w1), ops.matmul(w2, b1) + b2, first)
    return None


def _joined(model: M, join: Callable[[Module, Module], Module | None]) -> M:
    """A copy of the model in whose Sequentials neighbours are joined while that is possible. What has hooks stays."""
    made = copy.deepcopy(model)
    with no_grad():
        for part in list(made.modules()):
            if not isinstance(part, Sequential):
                continue
            i = 0
            while i + 1 < len(part):
                first, second = part[i], part[i + 1]
                one = None if first._hooks or second._hooks else join(first, second)
                if one is None:
                    i += 1
                    continue
                part[i] = one
                _take_out(part, i + 1)
                i = max(i - 1, 0)
    return made


def _take_out(part: Sequential, place: int) -> None:
    """Names that are numbers follow on, others stay."""
    names = list(part._modules)
    _core.structure_changed()
    del part._modules[names[place]]
    if all(name.isdigit() for name in names):
        part._renumber(part)


def fold_batchnorm(model: M) -> M:
    """A copy of the model, in evaluation, without the batch norms that stand next to a Linear in a Sequential: their scale
    and shift are in its weight and bias. Inputs are rows (N, C). The result differs by rounding; it is then the model.

    >>> import trigrad as tg
    >>> tg.nn.fold_batchnorm(tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.BatchNorm1d(3), tg.nn.ReLU()))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """
    if isinstance(model, BatchNorm1d):
        raise ValueError("[fold_batchnorm] got a batch norm by itself, expected a model with a Linear next to it")  # noqa: TRY004
    return _joined(model, _fold_pair).eval()


def collapse(model: M) -> M:
    """A copy of the model in which Linears that follow each other in a Sequential, with nothing between them, are one:
    W₂ (W₁ x + b₁) + b₂ = (W₂ W₁) x + (W₂ b₁ + b₂).

    >>> import trigrad as tg
    >>> tg.nn.collapse(tg.nn.Sequential(tg.nn.Linear(2, 100), tg.nn.Linear(100, 3)))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
    )
    """
    return _joined(model, _collapse_pair)
