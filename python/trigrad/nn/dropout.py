"""Layers that leave out units in training."""

from __future__ import annotations

from trigrad import _functional
from trigrad._core import Tensor
from trigrad.nn import functional as F
from trigrad.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "FeatureAlphaDropout"]


class _Dropping(Module):
    p: float
    inplace: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"[{type(self).__name__}] dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropping):
    """In training each element is 0 with probability `p`, and the others are divided by 1 - p. Evaluation changes nothing.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> sorted(set(tg.nn.Dropout(0.5)(tg.ones(1000)).tolist()))
    [0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        made = _functional.dropout(input, self.p)
        return input.copy_(made) if self.inplace else made


class AlphaDropout(_Dropping):
    """Dropout for SELU: what is left out takes SELU's lowest value, then all are scaled so that mean and variance stay.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> len(set(tg.nn.AlphaDropout(0.5)(tg.ones(1000)).tolist()))
    2
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropping):
    """`AlphaDropout` of whole channels.

    input (N, C, ...)

    >>> import trigrad as tg
    >>> y = tg.nn.FeatureAlphaDropout(0.5)(tg.ones(2, 3, 50))
    >>> bool((y == y[:, :, :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
