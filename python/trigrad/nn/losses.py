"""Losses as modules: what they are called with goes to the function of `trigrad.nn.functional`.

Each call takes `sample_weight` besides, one weight per event.
"""

from __future__ import annotations

from typing import Any

from trigrad import _losses
from trigrad._core import Tensor
from trigrad._losses import reduction_of
from trigrad.nn.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
]


class _Loss(Module):
    """A loss function with its settings. `buffers` are tensors, which move and are saved with the module."""

    reduction: str

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        buffers: dict[str, Tensor | None] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.reduction = reduction_of(size_average, reduce, reduction)
        for name, tensor in (buffers or {}).items():
            self.register_buffer(name, tensor)
        self.__dict__.update(settings)


class L1Loss(_Loss):
    """|input - target|

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.L1Loss()(tg.tensor([1.0, 3.0]), tg.zeros(2))
    tensor(2.)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.l1_loss(input, target, reduction=self.reduction, sample_weight=sample_weight)


class MSELoss(_Loss):
    """(input - target)²

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.MSELoss()(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(2.5000)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.mse_loss(input, target, reduction=self.reduction, sample_weight=sample_weight)


class SmoothL1Loss(_Loss):
    """½ d² / beta where d = |input - target| is below beta, d - ½ beta elsewhere

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.SmoothL1Loss()(tg.tensor([0.5, 3.0]), tg.zeros(2))
    tensor(1.3125)
    """

    beta: float

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction, beta=beta)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.smooth_l1_loss(
            input, target, reduction=self.reduction, beta=self.beta, sample_weight=sample_weight
        )


class HuberLoss(_Loss):
    """½ d² where d = |input - target| is at most delta, delta (d - ½ delta) elsewhere

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.HuberLoss()(tg.tensor([0.5, 3.0]), tg.zeros(2))
    tensor(1.3125)
    """

    delta: float

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.huber_loss(input, target, self.reduction, self.delta, sample_weight=sample_weight)


class PoissonNLLLoss(_Loss):
    """The negative log-likelihood of counts, for the logarithm of their mean (or the mean, with log_input=False)

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.PoissonNLLLoss()(tg.tensor([0.0]), tg.tensor([2.0]))
    tensor(1.)
    """

    log_input: bool
    full: bool
    eps: float

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, log_input=log_input, full=full, eps=eps)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.poisson_nll_loss(
            input,
            target,
            self.log_input,
            self.full,
            eps=self.eps,
            reduction=self.reduction,
            sample_weight=sample_weight,
        )


class GaussianNLLLoss(_Loss):
    """The negative log-likelihood of normal targets, for their mean and variance

    input and target (...), var (...) or one dimension less -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.GaussianNLLLoss()(tg.tensor([0.0]), tg.tensor([2.0]), tg.tensor([4.0]))
    tensor(1.1931)
    """

    full: bool
    eps: float

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction, full=full, eps=eps)

    def forward(
        self, input: Tensor, target: Tensor, var: Tensor | float, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        return _losses.gaussian_nll_loss(
            input, target, var, self.full, self.eps, self.reduction, sample_weight=sample_weight
        )


class BCELoss(_Loss):
    """The binary cross-entropy of probabilities

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.BCELoss()(tg.tensor([0.9, 0.2]), tg.tensor([1.0, 0.0]))
    tensor(0.1643)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, {"weight": weight})

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.binary_cross_entropy(
            input, target, self.weight, reduction=self.reduction, sample_weight=sample_weight
        )


class BCEWithLogitsLoss(_Loss):
    """The binary cross-entropy of the sigmoid of logits

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.BCEWithLogitsLoss()(tg.zeros(2), tg.tensor([0.0, 1.0]))
    tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction, {"weight": weight, "pos_weight": pos_weight})

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            sample_weight=sample_weight,
        )


class CrossEntropyLoss(_Loss):
    """-log softmax(input)[target]

    input (C,), (N, C) or (N, C, d1, ...), target without the axis of the classes -> a scalar, or like the target with
    reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.CrossEntropyLoss()(tg.tensor([[1.0, 2.0, 3.0]]), tg.tensor([2]))
    tensor(0.4076)
    """

    weight: Tensor | None
    ignore_index: int
    label_smoothing: float

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            size_average,
            reduce,
            reduction,
            {"weight": weight},
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            sample_weight=sample_weight,
        )


class NLLLoss(_Loss):
    """-input[target] for log-probabilities

    input (C,), (N, C) or (N, C, d1, ...), target without the axis of the classes -> a scalar, or like the target with
    reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.NLLLoss()(tg.tensor([[0.25, 0.75]]).log(), tg.tensor([1]))
    tensor(0.2877)
    """

    weight: Tensor | None
    ignore_index: int

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, {"weight": weight}, ignore_index=ignore_index)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            sample_weight=sample_weight,
        )


class KLDivLoss(_Loss):
    """The divergence of a target distribution from log-probabilities; reduction="batchmean" is the mathematical one

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> p, q = tg.tensor([[0.5, 0.5]]), tg.tensor([[0.9, 0.1]])
    >>> tg.nn.KLDivLoss(reduction="batchmean")(q.log(), p)
    tensor(0.5108)
    """

    log_target: bool

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction, log_target=log_target)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.kl_div(
            input, target, reduction=self.reduction, log_target=self.log_target, sample_weight=sample_weight
        )


class HingeLoss(_Loss):
    """max(0, margin - target input) for targets of ±1

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.HingeLoss()(tg.tensor([0.5, -2.0]), tg.tensor([1.0, -1.0]))
    tensor(0.2500)
    """

    margin: float

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction, margin=margin)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.hinge_loss(input, target, self.margin, self.reduction, sample_weight=sample_weight)


class HingeEmbeddingLoss(_Loss):
    """input where target is 1, max(0, margin - input) where it is -1

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.HingeEmbeddingLoss()(tg.tensor([0.3, 0.4]), tg.tensor([1, -1]))
    tensor(0.4500)
    """

    margin: float

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.hinge_embedding_loss(
            input, target, self.margin, reduction=self.reduction, sample_weight=sample_weight
        )


class MarginRankingLoss(_Loss):
    """max(0, margin - target (input1 - input2))

    input1, input2 and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.MarginRankingLoss()(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1]))
    tensor(2.)
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
        return _losses.margin_ranking_loss(
            input1, input2, target, self.margin, reduction=self.reduction, sample_weight=sample_weight
        )


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target input)) for targets of ±1

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.SoftMarginLoss()(tg.tensor([0.0]), tg.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.soft_margin_loss(input, target, reduction=self.reduction, sample_weight=sample_weight)


class MultiMarginLoss(_Loss):
    """Σ max(0, margin - input[target] + input[j])**p / C over the wrong classes j

    input (N, C), target (N,) -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.MultiMarginLoss()(tg.tensor([[0.1, 0.2, 0.4]]), tg.tensor([2]))
    tensor(0.5000)
    """

    p: int
    margin: float
    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        if p not in (1, 2):
            raise ValueError(f"[MultiMarginLoss] only p == 1 and p == 2 supported, got {p}")
        super().__init__(size_average, reduce, reduction, {"weight": weight}, p=p, margin=margin)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.multi_margin_loss(
            input,
            target,
            self.p,
            self.margin,
            self.weight,
            reduction=self.reduction,
            sample_weight=sample_weight,
        )


class MultiLabelMarginLoss(_Loss):
    """Σ max(0, 1 - input[t] + input[j]) / C over the right classes t and the wrong ones j

    input (N, C), target (N, C) of classes, ended by -1 -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.MultiLabelMarginLoss()(tg.tensor([[0.1, 0.2, 0.4]]), tg.tensor([[2, -1, -1]]))
    tensor(0.5000)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.multilabel_margin_loss(input, target, reduction=self.reduction, sample_weight=sample_weight)


class MultiLabelSoftMarginLoss(_Loss):
    """The binary cross-entropy from logits, averaged over the classes

    input (N, C), target (N, C) of 0 and 1 -> a scalar, or (N,) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.MultiLabelSoftMarginLoss()(tg.tensor([[0.0, 2.0]]), tg.tensor([[1.0, 1.0]]))
    tensor(0.4100)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, {"weight": weight})

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        return _losses.multilabel_soft_margin_loss(
            input, target, self.weight, reduction=self.reduction, sample_weight=sample_weight
        )
