"""Losses: how far outputs are from their targets. Composites of rows, so that the tape differentiates them.

All take `reduction` ("mean", "sum", "none") and `sample_weight`, one weight per event (of any sign) that multiplies its
loss: the mean is Σ w·l / n, never / Σ w, so that the weights of simulated events keep their meaning.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from trigrad import _functional, ops
from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad._creation import full_like
from trigrad.autograd.function import Function

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]


# ---- reductions, weights, domains


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that PyTorch's old pair of flags means."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _check_reduction(op: str, reduction: str, allowed: Sequence[str] = ("none", "mean", "sum")) -> None:
    if reduction not in allowed:
        raise ValueError(f"[{op}] {reduction} is not a valid value for reduction, expected one of {', '.join(allowed)}")


def _weighted(op: str, losses: Tensor, sample_weight: Tensor | None) -> Tensor:
    """losses (N, ...) times sample_weight (N,) or of any shape that goes with it."""
    if sample_weight is None:
        return losses
    if sample_weight.ndim == 1 and losses.ndim > 1:
        sample_weight = sample_weight.reshape(-1, *(1,) * (losses.ndim - 1))
    weighted = losses * sample_weight
    if weighted.shape != losses.shape:
        raise ValueError(
            f"[{op}] sample_weight has shape {tuple(sample_weight.shape)}, expected one weight per event for losses of shape "
            f"{tuple(losses.shape)}"
        )
    return weighted


def _reduced(op: str, losses: Tensor, reduction: str, sample_weight: Tensor | None = None) -> Tensor:
    losses = _weighted(op, losses, sample_weight)
    if reduction == "mean":
        return ops.mean(losses)
    if reduction == "sum":
        return ops.sum(losses)
    _check_reduction(op, reduction)
    return losses


def _elementwise(
    op: str,
    losses: Tensor,
    reduction: str,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    by_weight: bool = True,
) -> Tensor:
    """With PyTorch's `weight` of the elements, whose mean is / Σ weight (not for huber_loss)."""
    if weight is None:
        return _reduced(op, losses, reduction, sample_weight)
    if weight.shape != losses.shape:
        raise ValueError(
            f"[{op}] weight has shape {tuple(weight.shape)}, expected that of the losses: {tuple(losses.shape)}; "
            "for one weight per event use sample_weight"
        )
    losses = _weighted(op, losses * weight, sample_weight)
    if reduction == "mean" and by_weight:
        return ops.sum(losses) / ops.sum(weight)
    return _reduced(op, losses, reduction)


def _warn_broadcast(op: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"[{op}] Using a target size ({tuple(target.shape)}) that is different to the input size ({tuple(input.shape)}). "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _require_same(op: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(
            f"[{op}] Target size ({tuple(target.shape)}) must be the same as input size ({tuple(input.shape)})"
        )


_warned: set[str] = set()


def _domain(op: str, outside: Callable[[], Tensor], expected: str) -> None:
    """Warn, once per process, that values are outside of what the loss is made for. The loss is computed all the same."""
    if op in _warned:
        return
    with no_grad():
        found = outside()
        bad = found.numel() > 0 and bool(ops.amax(found))
    if bad:
        _warned.add(op)
        warnings.warn(f"[{op}] {expected}; others are computed all the same, but mean little", stacklevel=4)


def _signs(op: str, target: Tensor) -> None:
    _domain(op, lambda: ops.ne(ops.abs(target), 1), "targets are expected to be 1 or -1")


def _indices(op: str, target: Tensor, classes: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Which targets count, and the targets with 0 in place of the others. Class indices out of range are refused."""
    if target.dtype.is_floating_point:
        raise RuntimeError(f"[{op}] target has {target.dtype}, expected class indices: int64; use target.long()")
    counts = ops.ne(target, ignore_index)
    safe = ops.where(counts, target, 0)
    if safe.numel():
        for bound in (int(ops.amin(safe)), int(ops.amax(safe))):
            if not 0 <= bound < classes:
                raise IndexError(
                    f"[{op}] Target {bound} is out of bounds: expected class indices from 0 to {classes - 1}"
                )
    return counts, safe


# ---- regression


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """|input - target|

    >>> import trigrad as tg
    >>> tg.nn.functional.l1_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(1.5000)
    """
    _warn_broadcast("l1_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    return _elementwise("l1_loss", ops.abs(input - target), reduction, weight, sample_weight)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """(input - target)²

    >>> import trigrad as tg
    >>> tg.nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(2.5000)
    >>> tg.nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]), sample_weight=tg.tensor([1.0, -1.0]))
    tensor(-1.5000)
    """
    _warn_broadcast("mse_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    return _elementwise("mse_loss", ops.square(input - target), reduction, weight, sample_weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """½ d² / beta where d = |input - target| is below beta, d - ½ beta elsewhere.

    >>> import trigrad as tg
    >>> tg.nn.functional.smooth_l1_loss(tg.tensor([1.0, 3.0]), tg.tensor([0.5, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    if beta < 0:
        raise RuntimeError(f"[smooth_l1_loss] does not support negative values for beta, got {beta}")
    _warn_broadcast("smooth_l1_loss", input, target)
    d = ops.abs(input - target)
    losses = d if beta == 0 else ops.where(d < beta, ops.square(d) * (0.5 / beta), d - 0.5 * beta)
    return _reduced("smooth_l1_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """½ d² where d = |input - target| is at most delta, delta (d - ½ delta) elsewhere.

    >>> import trigrad as tg
    >>> tg.nn.functional.huber_loss(tg.tensor([1.0, 3.0]), tg.tensor([0.5, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    if delta <= 0:
        raise RuntimeError(f"[huber_loss] does not support non-positive values for delta, got {delta}")
    _warn_broadcast("huber_loss", input, target)
    d = ops.abs(input - target)
    losses = ops.where(d <= delta, ops.square(d) * 0.5, (d - 0.5 * delta) * delta)
    return _elementwise("huber_loss", losses, reduction, weight, sample_weight, by_weight=False)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-log of the Poisson probability of `target` for the mean exp(input), or input without `log_input`, up to log target!,
    which `full` adds by Stirling's formula.

    >>> import trigrad as tg
    >>> tg.nn.functional.poisson_nll_loss(tg.tensor([0.0]), tg.tensor([3.0]))
    tensor(1.)
    """
    _domain("poisson_nll_loss", lambda: target < 0, "targets are expected to be counts, 0 or more")
    losses = ops.exp(input) - target * input if log_input else input - target * ops.log(input + eps)
    if full:
        counts = ops.where(target > 1, target, 1.0)
        stirling = counts * ops.log(counts) - counts + 0.5 * ops.log(counts * (2 * math.pi))
        losses = losses + ops.where(target > 1, stirling, 0.0)
    return _reduced("poisson_nll_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-log of the normal density of `target` for mean `input` and variance `var` (at least eps), up to ½ log 2π, which
    `full` adds. A var of one dimension less has one variance per row.

    >>> import trigrad as tg
    >>> tg.nn.functional.gaussian_nll_loss(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1.0]))
    tensor(2.)
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"[gaussian_nll_loss] var has negative entry/entries: {var}")
        var = full_like(input, var)
    elif bool((var < 0).any()):
        raise ValueError("[gaussian_nll_loss] var has negative entry/entries, expected variances")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1:] == (1,)):
            raise ValueError(
                f"[gaussian_nll_loss] var is of incorrect size {tuple(var.shape)}, expected that of input: "
                f"{tuple(input.shape)}, or one variance per row"
            )
    _check_reduction("gaussian_nll_loss", reduction)
    at_least = var + (ops.clamp(var, eps) - var).detach()  # the bound does not stop the gradient
    losses = 0.5 * (ops.log(at_least) + ops.square(input - target) / at_least)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return _reduced("gaussian_nll_loss", losses, reduction, sample_weight)


# ---- classification


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


def _probabilities(op: str, target: Tensor) -> None:
    _domain(op, lambda: ops.ne(ops.clamp(target, 0, 1), target), "targets are expected to be probabilities, 0 to 1")


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

    >>> import trigrad as tg
    >>> tg.nn.functional.binary_cross_entropy(tg.tensor([0.5, 0.5]), tg.tensor([0.0, 1.0]))
    tensor(0.6931)
    """
    op = "binary_cross_entropy"
    _require_same(op, input, target)
    if input.numel() and bool(ops.amax(ops.ne(ops.clamp(input.detach(), 0, 1), input.detach()))):
        raise RuntimeError(f"[{op}] all elements of input should be between 0 and 1; take the sigmoid first")
    _probabilities(op, target)
    losses = _BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        losses = losses * weight
    return _reduced(op, losses, reduction_of(size_average, reduce, reduction), sample_weight)


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
    _require_same(op, input, target)
    _probabilities(op, target)
    reduction = reduction_of(size_average, reduce, reduction)
    _check_reduction(op, reduction)
    if sample_weight is None:
        return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)
    losses = ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, "none")
    return _reduced(op, losses, reduction, sample_weight)


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
    if target.dtype.is_floating_point:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing, sample_weight)
    if sample_weight is None:
        return _functional.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)  # type: ignore[arg-type]
    _check_reduction("cross_entropy", reduction)
    losses = _functional.cross_entropy(input, target, weight, ignore_index, "none", label_smoothing)
    losses = _weighted("cross_entropy", losses, sample_weight)
    if reduction == "mean":
        return ops.sum(losses) / _total_weight(target, weight, ignore_index)
    return _reduced("cross_entropy", losses, reduction)


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
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"[{op}] label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    classes = 0 if input.ndim == 1 else 1
    _probabilities(op, target)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[classes]
    log_p = ops.log_softmax(input, classes)
    if weight is not None:
        log_p = log_p * weight.reshape(-1, *(1,) * (input.ndim - classes - 1))
    return _reduced(op, -ops.sum(log_p * target, classes), reduction, sample_weight)


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
    reduction = reduction_of(size_average, reduce, reduction)
    _check_reduction("nll_loss", reduction)
    counts, safe = _indices("nll_loss", target, input.shape[classes], ignore_index)
    losses = -ops.gather(input, classes, safe.unsqueeze(classes)).squeeze(classes)
    if weight is not None:
        losses = losses * weight[safe]
    losses = _weighted("nll_loss", ops.where(counts, losses, 0.0), sample_weight)
    if reduction == "mean":
        return ops.sum(losses) / _total_weight(target, weight, ignore_index)
    return _reduced("nll_loss", losses, reduction)


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

    >>> import trigrad as tg
    >>> p = tg.tensor([[0.25, 0.75]])
    >>> tg.nn.functional.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    _check_reduction("kl_div", reduction, ("none", "mean", "sum", "batchmean"))
    if reduction == "mean" and "kl_div mean" not in _warned:
        _warned.add("kl_div mean")
        warnings.warn(
            "[kl_div] reduction: 'mean' divides the total loss by both the batch size and the support size. "
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    expected = (
        "input is expected to hold log-probabilities, and target probabilities (log-probabilities with log_target)"
    )

    def outside() -> Tensor:
        bad_targets = target > 0 if log_target else ops.ne(ops.clamp(target, 0, 1), target)
        return (input > 1e-4).any() | bad_targets.any()

    _domain("kl_div", outside, expected)
    if log_target:
        losses = ops.exp(target) * (target - input)
    else:
        here = ops.where(ops.eq(target, 0), 1.0, target)
        losses = target * ops.log(here) - target * input
    if reduction == "batchmean":
        total = _reduced("kl_div", losses, "sum", sample_weight)
        return total / input.shape[0] if input.ndim else total
    return _reduced("kl_div", losses, reduction, sample_weight)


# ---- margins


def hinge_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean", *, sample_weight: Tensor | None = None
) -> Tensor:
    """max(0, margin - target input) for targets of ±1: the loss of a support vector machine.

    >>> import trigrad as tg
    >>> tg.nn.functional.hinge_loss(tg.tensor([0.25]), tg.tensor([1.0]))
    tensor(0.7500)
    """
    _require_same("hinge_loss", input, target)
    _signs("hinge_loss", target)
    return _reduced("hinge_loss", ops.relu(margin - target * input), reduction, sample_weight)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1.

    >>> import trigrad as tg
    >>> tg.nn.functional.hinge_embedding_loss(tg.tensor([0.25, 0.25]), tg.tensor([1, -1]), reduction="none")
    tensor([0.2500, 0.7500])
    """
    _signs("hinge_embedding_loss", target)
    apart = ops.where(ops.ne(target, 1), ops.relu(margin - input), 0.0)
    losses = apart + ops.where(ops.ne(target, -1), input, 0.0)
    return _reduced("hinge_embedding_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """max(0, margin - target (input1 - input2)): target 1 wants the first to be greater, -1 the second.

    >>> import trigrad as tg
    >>> tg.nn.functional.margin_ranking_loss(tg.tensor([1.0]), tg.tensor([2.0]), tg.tensor([1.0]))
    tensor(1.)
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "[margin_ranking_loss] All input tensors should have same dimension but got sizes: "
            f"input1: {tuple(input1.shape)}, input2: {tuple(input2.shape)}, target: {tuple(target.shape)}"
        )
    _signs("margin_ranking_loss", target)
    losses = ops.relu(margin - target * (input1 - input2))
    return _reduced("margin_ranking_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """log(1 + exp(-target input)) for targets of ±1: the logistic loss.

    >>> import trigrad as tg
    >>> tg.nn.functional.soft_margin_loss(tg.tensor([0.0]), tg.tensor([1.0]))
    tensor(0.6931)
    """
    _signs("soft_margin_loss", target)
    losses = ops.softplus(-(target * input), 1.0, math.inf)
    return _reduced("soft_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Σ max(0, margin - input[target] + input[j])**p / C over the wrong classes j.

    input (C,) or (N, C); target () or (N,); weight (C,)

    >>> import trigrad as tg
    >>> tg.nn.functional.multi_margin_loss(tg.tensor([[0.5, 0.25, 0.25]]), tg.tensor([0]))
    tensor(0.5000)
    """
    if p not in (1, 2):
        raise ValueError(f"[multi_margin_loss] only p == 1 and p == 2 supported, got {p}")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise RuntimeError(
            f"[multi_margin_loss] inconsistent target size {tuple(target.shape)} for input {tuple(input.shape)}, expected "
            "(N,) for (N, C)"
        )
    classes = input.shape[-1]
    _, safe = _indices("multi_margin_loss", target, classes, -(2**62))
    picked = ops.gather(input, -1, safe.unsqueeze(-1))
    gaps = ops.relu(margin - picked + input)
    gaps = ops.square(gaps) if p == 2 else gaps
    if weight is not None:
        gaps = gaps * weight[safe].unsqueeze(-1)
    wrong = ops.ne(safe.unsqueeze(-1), ops.native_arange(0, 1, classes, safe.dtype))
    losses = ops.sum(ops.where(wrong, gaps, 0.0), -1) / classes
    return _reduced("multi_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Σ max(0, 1 - input[t] + input[j]) / C over the right classes t and the wrong ones j. A row of `target` lists the
    right classes, up to the first negative entry.

    input and target (C,) or (N, C)

    >>> import trigrad as tg
    >>> tg.nn.functional.multilabel_margin_loss(tg.tensor([[0.5, 0.25, 0.25]]), tg.tensor([[0, -1, -1]]))
    tensor(0.5000)
    """
    if input.ndim not in (1, 2) or target.shape != input.shape:
        raise RuntimeError(
            f"[multilabel_margin_loss] inconsistent target size {tuple(target.shape)} for input {tuple(input.shape)}, "
            "expected the same: (C,) or (N, C)"
        )
    classes = input.shape[-1]
    listed = ops.gt(ops.cumprod((target >= 0).long(), -1), 0)
    _, safe = _indices("multilabel_margin_loss", ops.where(listed, target, 0), classes, -(2**62))
    numbers = ops.native_arange(0, 1, classes, safe.dtype)
    right = (ops.eq(safe.unsqueeze(-1), numbers) & listed.unsqueeze(-1)).any(-2)
    picked = ops.gather(input, -1, safe)
    gaps = ops.relu(1 - picked.unsqueeze(-1) + input.unsqueeze(-2))  # (..., which of the right ones, wrong one)
    counted = listed.unsqueeze(-1) & ops.logical_not(right).unsqueeze(-2)
    losses = ops.sum(ops.where(counted, gaps, 0.0), (-2, -1)) / classes
    return _reduced("multilabel_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """The binary cross-entropy from logits, averaged over the classes.

    >>> import trigrad as tg
    >>> tg.nn.functional.multilabel_soft_margin_loss(tg.zeros(1, 2), tg.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    _require_same("multilabel_soft_margin_loss", input, target)
    _probabilities("multilabel_soft_margin_loss", target)
    losses = ops.mean(ops.binary_cross_entropy_with_logits(input, target, weight, None, "none"), -1)
    return _reduced("multilabel_soft_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


# ---- distances


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    >>> import trigrad as tg
    >>> tg.nn.functional.pairwise_distance(tg.tensor([3.0, 4.0]), tg.zeros(2))
    tensor(5.0000)
    """
    d = x1 - x2 + eps
    if p == 2:
        return ops.sqrt(ops.sum(ops.square(d), -1, keepdim))
    if p == 1:
        return ops.sum(ops.abs(d), -1, keepdim)
    if p == math.inf:
        return ops.amax(ops.abs(d), -1, keepdim)
    return ops.pow(ops.sum(ops.pow(ops.abs(d), p), -1, keepdim), 1 / p)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between the vectors along `dim`, whose lengths count as eps at least.

    >>> import trigrad as tg
    >>> tg.nn.functional.cosine_similarity(tg.tensor([1.0, 0.0]), tg.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    squares1, squares2 = ops.sum(ops.square(x1), dim, True), ops.sum(ops.square(x2), dim, True)
    unit1 = x1 / ops.sqrt(ops.clamp(squares1, eps * eps))
    unit2 = x2 / ops.sqrt(ops.clamp(squares2, eps * eps))
    return ops.sum(unit1 * unit2, dim)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|), in the p-norm; `swap` takes |positive - negative| where
    that is less.

    >>> import trigrad as tg
    >>> tg.nn.functional.triplet_margin_loss(tg.zeros(1, 2), tg.ones(1, 2), 2 * tg.ones(1, 2), margin=1.5)
    tensor(0.0858)
    """
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "[triplet_margin_loss] The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    if margin <= 0:
        raise ValueError(f"[triplet_margin_loss] margin must be greater than 0, got {margin}")
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    losses = ops.relu(margin + near - far)
    return _reduced("triplet_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.

    input1, input2 (N, D) or (D,); target (N,) or ()

    >>> import trigrad as tg
    >>> x = tg.tensor([[1.0, 0.0]])
    >>> tg.nn.functional.cosine_embedding_loss(x, x, tg.tensor([-1]))
    tensor(1.)
    """
    if target.ndim > 1 or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise RuntimeError(
            f"[cosine_embedding_loss] got inputs {tuple(input1.shape)}, {tuple(input2.shape)} and target "
            f"{tuple(target.shape)}, expected (N, D) and (N,), or (D,) and ()"
        )
    _signs("cosine_embedding_loss", target)
    tiny = 1e-12
    squares1 = ops.sum(ops.square(input1), -1) + tiny
    squares2 = ops.sum(ops.square(input2), -1) + tiny
    cosine = ops.sum(input1 * input2, -1) / ops.sqrt(squares1 * squares2)
    losses = ops.where(ops.eq(target, 1), 1 - cosine, 0.0)
    losses = losses + ops.where(ops.eq(target, -1), ops.relu(cosine - margin), 0.0)
    return _reduced("cosine_embedding_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)
