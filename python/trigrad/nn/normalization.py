"""Layers that bring what flows through to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trigrad import _core, ops
from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, ones, zeros
from trigrad.nn import functional as F
from trigrad.nn import init
from trigrad.nn.module import Module
from trigrad.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "LayerNorm", "RMSNorm", "Standardize"]


class BatchNorm1d(Module):
    """(x - mean) / √(var + eps) · weight + bias per channel: in training with the mean and variance of the batch, in
    evaluation with running ones, which move by `momentum` in each training step (None: the mean over all steps).

    input (N, C) or (N, C, L)

    >>> import trigrad as tg
    >>> norm = tg.nn.BatchNorm1d(1)
    >>> norm(tg.tensor([[1.0], [2.0], [3.0], [4.0]]))[:, 0].detach()
    tensor([-1.3416, -0.4472,  0.4472,  1.3416])
    >>> norm.running_mean
    tensor([0.2500])
    """

    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _version = 2  # with num_batches_tracked

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features, dtype=dtype, device=device)) if affine else None)
        self.register_parameter(
            "bias", Parameter(zeros(num_features, dtype=dtype, device=device)) if affine and bias else None
        )
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("running_var", ones(num_features, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=_core.int64, device=device) if tracked else None)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, (self.num_features,)) | {"num_batches_tracked": ()}

    def _complete(self, state: dict[str, Any], prefix: str, version: int | None) -> None:
        if self.num_batches_tracked is not None and (version is None or version < 2):
            state.setdefault(prefix + "num_batches_tracked", self.num_batches_tracked)

    def reset_running_stats(self) -> None:
        """Running mean 0 and variance 1, as at first."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """All as at first."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (2, 3):
            raise ValueError(f"[BatchNorm1d] expected 2D or 3D input (got {input.ndim}D input)")
        if input.shape[1] != self.num_features and (self.affine or self.track_running_stats):
            raise ValueError(
                f"[BatchNorm1d] input has shape {tuple(input.shape)}, expected {self.num_features} channels: "
                f"(N, {self.num_features}) or (N, {self.num_features}, L)"
            )
        of_batch = self.training or self.running_mean is None
        if of_batch and input.numel() == self.num_features:
            raise ValueError(
                f"[BatchNorm1d] Expected more than 1 value per channel when training, got input size {tuple(input.shape)}"
            )
        momentum = 0.0 if self.momentum is None else self.momentum
        update = self.training and self.track_running_stats
        counted = self.num_batches_tracked if update else None
        average = counted is not None and self.momentum is None
        keep = (update and not average) or not of_batch
        made = F.batch_norm(
            input,
            self.running_mean if keep else None,
            self.running_var if keep else None,
            self.weight,
            self.bias,
            of_batch,
            momentum,
            self.eps,
        )
        if counted is not None:  # after all that may be refused
            counted.add_(1)
        if average:
            self._average(input.detach())
        return made

    @no_grad()
    def _average(self, input: Tensor) -> None:
        """Running statistics become the mean of those of all steps. Tensors throughout: a compiled step counts on."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        axes = [axis for axis in range(input.ndim) if axis != 1]
        share = 1.0 / self.num_batches_tracked.to(self.running_mean.dtype)
        self.running_mean.lerp_(ops.mean(input, axes), share)
        self.running_var.lerp_(ops.var(input, axes), share)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class LayerNorm(Module):
    """(x - mean) / √(var + eps) · weight + bias over the last axes, of lengths `normalized_shape`, for each row by itself.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.LayerNorm(2)(tg.tensor([[1.0, 3.0]])).detach().round(decimals=3)
    tensor([[-1.,  1.]])
    """

    normalized_shape: tuple[int, ...]
    eps: float
    elementwise_affine: bool
    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.register_parameter(
            "weight", Parameter(ones(shape, dtype=dtype, device=device)) if elementwise_affine else None
        )
        self.register_parameter(
            "bias", Parameter(zeros(shape, dtype=dtype, device=device)) if elementwise_affine and bias else None
        )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": self.normalized_shape, "bias": self.normalized_shape}

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x / √(mean x² + eps) · weight over the last axes, of lengths `normalized_shape`, for each row by itself; eps is the
    smallest step from 1 unless given.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.RMSNorm(2)(tg.tensor([[3.0, -3.0]])).detach()
    tensor([[ 1., -1.]])
    """

    normalized_shape: tuple[int, ...]
    eps: float | None
    elementwise_affine: bool
    weight: Tensor | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.register_parameter(
            "weight", Parameter(ones(shape, dtype=dtype, device=device)) if elementwise_affine else None
        )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": self.normalized_shape}

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class Standardize(Module):
    """(x - offset) · scale per feature, with buffers that `trigrad.data.Standardizer.layer` fills: what is done to the inputs
    is stored, exported and lowered with the model. Nothing is learned. input (..., num_features)

    >>> import trigrad as tg
    >>> layer = tg.nn.Standardize(2)
    >>> _ = layer.load_state_dict({"offset": tg.tensor([1.0, 2.0]), "scale": tg.tensor([0.5, 1.0])})
    >>> layer(tg.tensor([[3.0, 2.0]]))
    tensor([[1., 0.]])
    """

    num_features: int
    offset: Tensor
    scale: Tensor

    def __init__(self, num_features: int, device: DeviceArgument = None, dtype: DTypeArgument | None = None) -> None:
        super().__init__()
        self.num_features = num_features
        self.register_buffer("offset", zeros(num_features, dtype=dtype, device=device))
        self.register_buffer("scale", ones(num_features, dtype=dtype, device=device))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("offset", "scale"), (self.num_features,))

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim == 0 or input.shape[-1] != self.num_features:
            raise RuntimeError(
                f"[Standardize] x has shape {tuple(input.shape)}, expected (..., {self.num_features}): as many features as it "
                "was made for"
            )
        return ops.mul(ops.sub(input, self.offset), self.scale)

    def extra_repr(self) -> str:
        return f"{self.num_features}"
