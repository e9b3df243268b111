"""How far tensors lie apart, and losses of that, as layers."""

from __future__ import annotations

from collections.abc import Callable

from trigrad import _losses
from trigrad._core import Tensor
from trigrad.nn.losses import _Loss
from trigrad.nn.module import Module

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "PairwiseDistance",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class TripletMarginLoss(_Loss):
    """max(0, margin + |anchor - positive| - |anchor - negative|)

    anchor, positive, negative (N, D) -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> x = tg.tensor([[0.0, 0.0]])
    >>> tg.nn.TripletMarginLoss()(x, x + 1, x + 2)
    tensor(0.)
    """

    margin: float
    p: float
    eps: float
    swap: bool

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        if margin <= 0:
            raise ValueError(f"[TripletMarginLoss] expected margin to be greater than 0, got {margin} instead")
        super().__init__(size_average, reduce, reduction, margin=margin, p=p, eps=eps, swap=swap)

    def forward(
        self, anchor: Tensor, positive: Tensor, negative: Tensor, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        return _losses.triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            reduction=self.reduction,
            sample_weight=sample_weight,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)) for any distance d

    >>> import trigrad as tg
    >>> def cityblock(x, y):
    ...     return (x - y).abs().sum(-1)
    ...
    >>> x = tg.tensor([[0.0, 0.0]])
    >>> tg.nn.TripletMarginWithDistanceLoss(distance_function=cityblock)(x, x + 1, x + 1)
    tensor(1.)
    """

    distance_function: Callable[[Tensor, Tensor], Tensor]
    margin: float
    swap: bool

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        if margin <= 0:
            raise ValueError(
                f"[TripletMarginWithDistanceLoss] expected margin to be greater than 0, got {margin} instead"
            )
        super().__init__(reduction=reduction, margin=margin, swap=swap)
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function

    def forward(
        self, anchor: Tensor, positive: Tensor, negative: Tensor, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        return _losses.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
            sample_weight=sample_weight,
        )


class CosineEmbeddingLoss(_Loss):
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1

    >>> import trigrad as tg
    >>> x, y = tg.tensor([[1.0, 0.0]]), tg.tensor([[0.0, 2.0]])
    >>> tg.nn.CosineEmbeddingLoss()(x, y, tg.tensor([1]))
    tensor(1.)
    """

    margin: float

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.cosine_embedding_loss(
            input1, input2, target, self.margin, reduction=self.reduction, sample_weight=sample_weight
        )


# ---- distances


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`

    x1 and x2 (..., n, ...) and (..., n, ...) -> (..., ...), without the axis `dim`

    >>> import trigrad as tg
    >>> tg.nn.CosineSimilarity()(tg.tensor([[3.0, 4.0]]), tg.tensor([[1.0, 0.0]]))
    tensor([0.6000])
    """

    dim: int
    eps: float

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _losses.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis

    x1 and x2 (..., D) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.PairwiseDistance()(tg.tensor([[3.0, 4.0]]), tg.zeros(1, 2))
    tensor([5.0000])
    """

    norm: float
    eps: float
    keepdim: bool

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _losses.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
