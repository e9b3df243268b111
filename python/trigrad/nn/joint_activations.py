"""Activations of several numbers at once, as layers."""

from __future__ import annotations

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument
from trigrad.nn import functional as F
from trigrad.nn.linear import Linear
from trigrad.nn.module import Module

__all__ = [
    "GLU",
    "LogSoftmax",
    "Maxout",
    "Softmax",
    "Softmax2d",
    "Softmin",
]


class Softmax(Module):
    """exp(x) divided by its sum along `dim`

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Softmax(dim=0)(tg.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of the softmax along `dim`

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.LogSoftmax(-1)(tg.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """The softmax of -x along `dim`

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Softmin(-1)(tg.tensor([0.0, 1.0]))
    tensor([0.7311, 0.2689])
    """

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """The softmax over the channels of (N, C, H, W) or (C, H, W)

    >>> import trigrad as tg
    >>> tg.nn.Softmax2d()(tg.zeros(4, 2, 2))[0]
    tensor([[0.2500, 0.2500],
            [0.2500, 0.2500]])
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"[Softmax2d] expected input to be 3D or 4D, got {input.ndim}D instead")
        return ops.softmax(input, -3)


class GLU(Module):
    """a sigmoid(b), where a and b are the halves of the input along `dim`

    input (..., 2 n, ...) -> (..., n, ...)

    >>> import trigrad as tg
    >>> tg.nn.GLU()(tg.tensor([1.0, 2.0, 0.0, 9.0]))
    tensor([0.5000, 1.9998])
    """

    dim: int

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


# ---- with parameters


class Maxout(Module):
    """The greatest of `pieces` affine functions of the input, per output: a convex activation that is learned.

    input (..., in_features) -> (..., out_features)

    >>> import trigrad as tg
    >>> tg.nn.Maxout(2, 3, pieces=4)(tg.zeros(5, 2)).shape
    trigrad.Size([5, 3])
    """

    affine: Linear
    in_features: int
    out_features: int
    pieces: int

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        if pieces < 1:
            raise ValueError(f"[Maxout] got {pieces} pieces, expected 1 or more")
        super().__init__()
        self.in_features, self.out_features, self.pieces = in_features, out_features, pieces
        self.affine = Linear(in_features, out_features * pieces, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        pieces = self.affine(input)
        return ops.amax(pieces.reshape(*pieces.shape[:-1], self.out_features, self.pieces), -1)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, pieces={self.pieces}"
