"""Losses that want a distance kept, and the distances."""

from __future__ import annotations

import math
from collections.abc import Callable

from trigrad import ops
from trigrad._core import Tensor
from trigrad._losses.base import (
    check_reduction,
    indices,
    of_one_dtype,
    probabilities,
    reduced,
    reduction_of,
    require_same,
    signs,
)
from trigrad._reductions import norm
from trigrad._views import broadcast_tensors

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "hinge_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_distance",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    x1 and x2 (..., D) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.functional.pairwise_distance(tg.tensor([3.0, 4.0]), tg.zeros(2))
    tensor(5.0000)
    """
    return norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between the vectors along `dim`, whose lengths count as eps at least.

    x1 and x2 (..., n, ...) and (..., n, ...) -> (..., ...), without the axis `dim`

    >>> import trigrad as tg
    >>> tg.nn.functional.cosine_similarity(tg.tensor([1.0, 0.0]), tg.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    if x1.shape != x2.shape:
        x1, x2 = broadcast_tensors(x1, x2)
    lengths = (norm(x1, 2, dim, True), norm(x2, 2, dim, True))
    # the bound does not stop the gradient, as in PyTorch
    unit1, unit2 = (x / (n + (ops.clamp(n, eps) - n).detach()) for x, n in zip((x1, x2), lengths, strict=True))
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

    anchor, positive, negative (N, D) -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.triplet_margin_loss(tg.zeros(1, 2), tg.ones(1, 2), 2 * tg.ones(1, 2), margin=1.5)
    tensor(0.0858)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    op = "triplet_margin_loss"
    return _triplet(
        op,
        anchor,
        positive,
        negative,
        lambda x, y: pairwise_distance(x, y, p, eps),
        margin,
        swap,
        reduction,
        sample_weight,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
    sample_weight: Tensor | None = None,
) -> Tensor:
    """`triplet_margin_loss` with any distance.

    anchor, positive, negative (N, D) -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> def squares(x, y): return ((x - y) ** 2).sum(-1)
    >>> tg.nn.functional.triplet_margin_with_distance_loss(tg.zeros(1, 2), tg.ones(1, 2), tg.ones(1, 2), distance_function=squares)
    tensor(1.)
    """
    op = "triplet_margin_with_distance_loss"
    return _triplet(
        op, anchor, positive, negative, distance_function or pairwise_distance, margin, swap, reduction, sample_weight
    )


def _triplet(
    op: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
    sample_weight: Tensor | None,
) -> Tensor:
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"[{op}] The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    if margin <= 0:
        raise ValueError(f"[{op}] margin must be greater than 0, got {margin}")
    check_reduction(op, reduction)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced(op, ops.clamp(margin + near - far, 0), reduction, sample_weight)


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
    signs("cosine_embedding_loss", target)
    tiny = 1e-12
    squares1 = ops.sum(ops.square(input1), -1) + tiny
    squares2 = ops.sum(ops.square(input2), -1) + tiny
    cosine = ops.sum(input1 * input2, -1) / ops.sqrt(squares1 * squares2)
    losses = ops.where(ops.eq(target, 1), 1 - cosine, 0.0)
    losses = losses + ops.where(ops.eq(target, -1), ops.clamp(cosine - margin, 0), 0.0)
    return reduced("cosine_embedding_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def hinge_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean", *, sample_weight: Tensor | None = None
) -> Tensor:
    """max(0, margin - target input) for targets of ±1: the loss of a support vector machine.

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.hinge_loss(tg.tensor([0.25]), tg.tensor([1.0]))
    tensor(0.7500)
    """
    require_same("hinge_loss", input, target)
    signs("hinge_loss", target)
    return reduced("hinge_loss", ops.relu(margin - target * input), reduction, sample_weight)


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

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.hinge_embedding_loss(tg.tensor([0.25, 0.25]), tg.tensor([1, -1]), reduction="none")
    tensor([0.2500, 0.7500])
    """
    signs("hinge_embedding_loss", target)
    apart = ops.where(ops.ne(target, 1), ops.clamp(margin - input, 0), 0.0)
    losses = apart + ops.where(ops.ne(target, -1), input, 0.0)
    return reduced("hinge_embedding_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


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

    input1, input2 and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.margin_ranking_loss(tg.tensor([1.0]), tg.tensor([2.0]), tg.tensor([1.0]))
    tensor(1.)
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "[margin_ranking_loss] All input tensors should have same dimension but got sizes: "
            f"input1: {tuple(input1.shape)}, input2: {tuple(input2.shape)}, target: {tuple(target.shape)}"
        )
    signs("margin_ranking_loss", target)
    losses = ops.clamp(margin - target * (input1 - input2), 0)
    return reduced("margin_ranking_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


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

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.soft_margin_loss(tg.tensor([0.0]), tg.tensor([1.0]))
    tensor(0.6931)
    """
    signs("soft_margin_loss", target)
    losses = ops.softplus(-(target * input), 1.0, math.inf)
    if losses.shape != input.shape:
        raise RuntimeError(
            f"[soft_margin_loss] target has shape {tuple(target.shape)}, expected one that broadcasts to that of input: "
            f"{tuple(input.shape)}"
        )
    return reduced("soft_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


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
    _, safe = indices("multi_margin_loss", target, classes, -(2**62))
    picked = ops.gather(input, -1, safe.unsqueeze(-1))
    gaps = ops.relu(margin - picked + input)
    gaps = ops.square(gaps) if p == 2 else gaps
    if weight is not None:
        gaps = gaps * weight[safe].unsqueeze(-1)
    wrong = ops.ne(safe.unsqueeze(-1), ops.native_arange(0, 1, classes, safe.dtype, device=safe))
    losses = ops.sum(ops.where(wrong, gaps, 0.0), -1) / classes
    return reduced("multi_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


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
    _, safe = indices("multilabel_margin_loss", ops.where(listed, target, 0), classes, -(2**62))
    numbers = ops.native_arange(0, 1, classes, safe.dtype, device=safe)
    right = (ops.eq(safe.unsqueeze(-1), numbers) & listed.unsqueeze(-1)).any(-2)
    picked = ops.gather(input, -1, safe)
    gaps = ops.relu(1 - picked.unsqueeze(-1) + input.unsqueeze(-2))  # (..., which of the right ones, wrong one)
    counted = listed.unsqueeze(-1) & ops.logical_not(right).unsqueeze(-2)
    losses = ops.sum(ops.where(counted, gaps, 0.0), (-2, -1)) / classes
    return reduced("multilabel_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


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

    input (N, C), target (N, C) of 0 and 1 -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.multilabel_soft_margin_loss(tg.zeros(1, 2), tg.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    require_same("multilabel_soft_margin_loss", input, target)
    input, target = of_one_dtype("multilabel_soft_margin_loss", input, target)
    probabilities("multilabel_soft_margin_loss", target)
    losses = ops.mean(ops.binary_cross_entropy_with_logits(input, target, weight, None, "none"), -1)
    return reduced("multilabel_soft_margin_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)
