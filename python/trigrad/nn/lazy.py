"""Layers that find out their number of inputs at the first call."""

from __future__ import annotations

from typing import Any, ClassVar

from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, empty
from trigrad.nn.linear import Linear
from trigrad.nn.module import Module
from trigrad.nn.normalization import BatchNorm1d

__all__ = ["LazyBatchNorm1d", "LazyLinear"]


class _Lazy(Module):
    """A layer one of whose lengths is not known yet. Its tensors are there from the start, with axes of length 0, so that an
    optimizer may have them. The first input, or a state that is loaded, tells the length; after the first call the layer
    is of its usual class.
    """

    _becomes: ClassVar[type[Module]]
    _unknown: ClassVar[str]  # the attribute that says the length

    def _unshaped(self) -> dict[str, Tensor]:
        """The tensors that are still without numbers, by name."""
        own = {**self._parameters, **self._buffers}
        return {name: tensor for name, tensor in own.items() if tensor is not None and 0 in tensor.shape}

    def _accepts(self, name: str, held: Tensor, given: Tensor) -> bool:
        """Axes of length 0 are those that are not known."""
        return held.ndim == given.ndim and all(n in (0, m) for n, m in zip(held.shape, given.shape, strict=True))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def _length(self, input: Tensor) -> int:
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw the parameters anew, once they have shapes."""
        if not self._unshaped():
            self._becomes.reset_parameters(self)  # type: ignore[attr-defined]

    def forward(self, input: Tensor) -> Tensor:
        length, unshaped = self._length(input), self._unshaped()
        for tensor in unshaped.values():
            tensor.data = empty(*(n or length for n in tensor.shape), dtype=tensor.dtype, device=tensor.device)
        setattr(self, self._unknown, length)
        if unshaped:
            self.reset_parameters()
        self.__class__ = self._becomes  # type: ignore[assignment]
        made: Tensor = self.forward(input)
        return made


class LazyLinear(_Lazy, Linear):
    """`Linear` with as many inputs as the first input has features.

    input (..., in_features) -> (..., out_features)

    >>> import trigrad as tg
    >>> layer = tg.nn.LazyLinear(3)
    >>> layer(tg.zeros(5, 2)).shape, layer
    (trigrad.Size([5, 3]), Linear(in_features=2, out_features=3, bias=True))
    """

    _becomes, _unknown = Linear, "in_features"

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        Linear.__init__(self, 0, out_features, bias, device, dtype)

    def _length(self, input: Tensor) -> int:
        return self.weight.shape[1] or input.shape[-1]


class LazyBatchNorm1d(_Lazy, BatchNorm1d):
    """`BatchNorm1d` with as many channels as the first input has.

    input (N, C) or (N, C, L) -> the same shape

    >>> import trigrad as tg
    >>> layer = tg.nn.LazyBatchNorm1d()
    >>> layer(tg.ones(4, 3)).shape, layer.num_features
    (trigrad.Size([4, 3]), 3)
    """

    _becomes, _unknown = BatchNorm1d, "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
        *,
        bias: bool = True,
    ) -> None:
        BatchNorm1d.__init__(self, 0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _length(self, input: Tensor) -> int:
        if input.ndim not in (2, 3):
            raise ValueError(f"[LazyBatchNorm1d] expected 2D or 3D input (got {input.ndim}D input)")
        known: Any = self.weight if self.weight is not None else self.running_mean
        return input.shape[1] if known is None else known.shape[0] or input.shape[1]
