"""Losses of classes and of distributions."""

from __future__ import annotations

import math
from typing import Any

from trigrad import _core, _functional, ops
from trigrad._core import Tensor, int64
from trigrad._losses.base import (
    check_reduction,
    domain,
    indices,
    of_one_dtype,
    probabilities,
    reduced,
    reduction_of,
    require_same,
    warned,
    weighted,
    within,
)
from trigrad._warnings import warn
from trigrad.autograd.function import Function

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "kl_div", "nll_loss"]


class _BinaryCrossEntropy(Function):
    """-(t log p + (1 - t) log(1 - p)) with logarithms of at least -100, and PyTorch's gradients, which stay finite."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(p, t)
        return -(t * ops.clamp(ops.log(p), -100.0) + (1 - t) * ops.clamp(ops.log1p(-p), -100.0))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        p, t = ctx.saved_tensors
        dp = grad * (p - t) / ops.clamp((1 - p) * p, 1e-12) if ctx.needs_input_grad[0] else None
        dt = grad * (ops.log1p(-p) - ops.log(p)) if ctx.needs_input_grad[1] else None
        return dp, dt


def _require_probabilities(what: str, values: Tensor) -> None:
    remedy = "; take the sigmoid first" if what == "input" else ": probabilities"

    def error(_: float) -> RuntimeError:
        return RuntimeError(f"[binary_cross_entropy] all elements of {what} should be between 0 and 1{remedy}")

    for bound in (ops.amin(values), ops.amax(values)):
        _core.expect(bound, 0, 1, error)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) for probabilities p = input; from logits, `binary_cross_entropy_with_logits` has
    more digits.

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.binary_cross_entropy(tg.tensor([0.5, 0.5]), tg.tensor([0.0, 1.0]))
    tensor(0.6931)
    """
    op = "binary_cross_entropy"
    require_same(op, input, target)
    input, target = of_one_dtype(op, input, target)
    if input.numel():
        for what, values in (("input", input), ("target", target)):
            _require_probabilities(what, values.detach())
    losses = _BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        losses = losses * weight
    return reduced(op, losses, reduction_of(size_average, reduce, reduction), sample_weight)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(input), of any shape; `pos_weight` multiplies the first term.

    >>> import trigrad as tg
    >>> tg.nn.functional.binary_cross_entropy_with_logits(tg.zeros(3), tg.tensor([0.0, 1.0, 1.0]))
    tensor(0.6931)
    """
    op = "binary_cross_entropy_with_logits"
    require_same(op, input, target)
    input, target = of_one_dtype(op, input, target)
    probabilities(op, target)
    reduction = reduction_of(size_average, reduce, reduction)
    check_reduction(op, reduction)
    if sample_weight is None:
        return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)
    losses = ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, "none")
    return reduced(op, losses, reduction, sample_weight)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-log softmax(input)[target], weighted by class and averaged over the targets that are not ignored.

    input (C,), (N, C) or (N, C, d1, ...); target of class indices (), (N,) or (N, d1, ...), or of class probabilities,
    of input's shape; weight (C,); the loss is a scalar, or per target for reduction="none".

    >>> import trigrad as tg
    >>> tg.nn.functional.cross_entropy(tg.tensor([[0.0, 0.0], [9.0, 0.0]]), tg.tensor([1, 0]))
    tensor(0.3466)
    >>> tg.nn.functional.cross_entropy(tg.tensor([[0.0, 0.0]]), tg.tensor([[0.5, 0.5]]))
    tensor(0.6931)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"[cross_entropy] label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.dtype.is_floating_point:
        if ignore_index >= 0:
            raise RuntimeError(
                f"[cross_entropy] ignore_index {ignore_index} is not supported for floating point target: class "
                "probabilities; weigh events with sample_weight"
            )
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing, sample_weight)
    if sample_weight is None:
        return _functional.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)  # type: ignore[arg-type]
    check_reduction("cross_entropy", reduction)
    losses = _functional.cross_entropy(input, target, weight, ignore_index, "none", label_smoothing)
    losses = weighted("cross_entropy", losses, sample_weight)
    if reduction == "mean":
        return ops.sum(losses) / _total_weight(target, weight, ignore_index)
    return reduced("cross_entropy", losses, reduction)


def _total_weight(target: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """By what the mean over class indices divides: how many count, or the sum of their classes' weights."""
    counts = ops.ne(target, ignore_index)
    if weight is None:
        return ops.sum(counts)
    return ops.sum(ops.where(counts, weight[ops.where(counts, target, 0)], 0.0))


def _soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    sample_weight: Tensor | None,
) -> Tensor:
    op = "cross_entropy"
    if input.shape != target.shape:
        raise ValueError(
            f"[{op}] target has shape {tuple(target.shape)}, expected that of input for class probabilities: "
            f"{tuple(input.shape)}; class indices have an integer dtype: target.long()"
        )
    classes = 0 if input.ndim == 1 else 1
    probabilities(op, target)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[classes]
    log_p = ops.log_softmax(input, classes)
    if weight is not None:
        log_p = log_p * weight.reshape(-1, *(1,) * (input.ndim - classes - 1))
    return reduced(op, -ops.sum(log_p * target, classes), reduction, sample_weight)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-input[target] for log-probabilities, weighted by class and averaged over the targets that are not ignored.

    input (C,), (N, C) or (N, C, d1, ...); target (), (N,) or (N, d1, ...); weight (C,)

    >>> import trigrad as tg
    >>> tg.nn.functional.nll_loss(tg.tensor([[-1.0, -2.0], [-3.0, -4.0]]), tg.tensor([0, 1]))
    tensor(2.5000)
    """
    classes = 0 if input.ndim == 1 else 1
    if input.ndim == 0 or target.shape != input.shape[:classes] + input.shape[classes + 1 :]:
        raise ValueError(
            f"[nll_loss] target has shape {tuple(target.shape)}, expected that of input {tuple(input.shape)} without its "
            "classes: (C,), (N, C) or (N, C, d1, ...)"
        )
    if weight is not None and tuple(weight.shape) != (input.shape[classes],):
        raise RuntimeError(
            f"[nll_loss] weight has shape {tuple(weight.shape)}, expected one weight per class: ({input.shape[classes]},)"
        )
    if weight is not None and weight.dtype is not input.dtype:
        raise TypeError(
            f"[nll_loss] input is {input.dtype} and weight {weight.dtype}, expected one dtype; cast one of them with .to()"
        )
    reduction = reduction_of(size_average, reduce, reduction)
    check_reduction("nll_loss", reduction)
    takes_all = weight is None and not 0 <= ignore_index < input.shape[classes] and target.dtype is int64
    if takes_all and not _core.is_recording():  # a plan is for targets that are ignored, too
        try:  # reading refuses all that is no class, and so finds out whether anything is ignored
            losses = -ops.gather(input, classes, target.unsqueeze(classes)).squeeze(classes)
            if reduction == "mean":  # divided as below, for the same bits
                return ops.sum(weighted("nll_loss", losses, sample_weight)) / losses.numel()
            return reduced("nll_loss", losses, reduction, sample_weight)
        except IndexError:
            pass
    counts, safe = indices("nll_loss", target, input.shape[classes], ignore_index)
    losses = -ops.gather(input, classes, safe.unsqueeze(classes)).squeeze(classes)
    if weight is not None:
        losses = losses * weight[safe]
    losses = weighted("nll_loss", ops.where(counts, losses, 0.0), sample_weight)
    if reduction == "mean":
        return ops.sum(losses) / _total_weight(target, weight, ignore_index)
    return reduced("nll_loss", losses, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """target (log target - input): the divergence of `target` from the distribution with log-probabilities `input`.
    reduction="batchmean" divides the sum by N, which is the mean divergence.

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> p = tg.tensor([[0.25, 0.75]])
    >>> tg.nn.functional.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    check_reduction("kl_div", reduction, ("none", "mean", "sum", "batchmean"))
    if reduction == "mean" and "kl_div mean" not in warned:
        warned.add("kl_div mean")
        warn(
            "[kl_div] reduction: 'mean' divides the total loss by both the batch size and the support size. "
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
        )
    expected = (
        "input is expected to hold log-probabilities, and target probabilities (log-probabilities with log_target)"
    )

    def inside() -> bool:
        log_p, t = input.detach(), target.detach()
        return within(log_p, -math.inf, 1e-4) and (within(t, -math.inf, 1e-4) if log_target else within(t, 0, 1))

    domain("kl_div", inside, expected)
    if log_target:
        losses = ops.exp(target) * (target - input)
    else:
        here = ops.where(ops.eq(target, 0), 1.0, target)
        losses = target * ops.log(here) - target * input
    if reduction == "batchmean":
        total = reduced("kl_div", losses, "sum", sample_weight)
        return total / input.shape[0] if input.ndim else total
    return reduced("kl_div", losses, reduction, sample_weight)
