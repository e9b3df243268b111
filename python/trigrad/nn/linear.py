"""Layers that are linear in their input, and those that only give it another shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, empty
from trigrad._functional import dropout_mask
from trigrad._indexing import embedding
from trigrad._linalg import bilinear, linear
from trigrad.nn import init
from trigrad.nn.module import Module
from trigrad.nn.parameter import Parameter

__all__ = ["Bilinear", "DropConnect", "Embedding", "Flatten", "Identity", "Lambda", "Linear", "Unflatten"]


class Identity(Module):
    """The input as it is; arguments of any kind are taken and forgotten.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Identity()(tg.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Lambda(Module):
    """Any function as a module.

    >>> import trigrad as tg
    >>> tg.nn.Lambda(lambda x: x * x)(tg.tensor([3.0]))
    tensor([9.])
    """

    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(f"[Lambda] got a {type(function).__name__}, expected a function")
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        return str(getattr(self.function, "__name__", self.function))


class Flatten(Module):
    """The axes from `start_dim` to `end_dim` joined into one: by default all but the first.

    input (N, a, b, ...) -> (N, a b ...)

    >>> import trigrad as tg
    >>> tg.nn.Flatten()(tg.zeros(5, 2, 3)).shape
    trigrad.Size([5, 6])
    """

    start_dim: int
    end_dim: int

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` as several.

    input (..., a b, ...), unflattened_size (a, b) -> (..., a, b, ...)

    >>> import trigrad as tg
    >>> tg.nn.Unflatten(1, (2, 3))(tg.zeros(5, 6)).shape
    trigrad.Size([5, 2, 3])
    """

    dim: int
    unflattened_size: Sequence[int]

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(
                f"[Unflatten] dim is a {type(dim).__name__}, expected an int; names of axes are not supported"
            )
        if not hasattr(unflattened_size, "__iter__") or not all(type(n) is int for n in unflattened_size):
            raise TypeError(f"[Unflatten] unflattened_size is {unflattened_size!r}, expected a tuple of ints")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexError(f"[Unflatten] dim is {self.dim}, expected an axis of shape {tuple(input.shape)}")
        axis = self.dim % input.ndim
        return input.reshape(*input.shape[:axis], *self.unflattened_size, *input.shape[axis + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Linear(Module):
    """x Wᵀ + b: weight (out_features, in_features), bias (out_features,), uniform within ±1/√in_features at first.

    input (..., in_features) -> (..., out_features)

    >>> import trigrad as tg
    >>> layer = tg.nn.Linear(2, 3)
    >>> layer(tg.zeros(5, 2)).shape, layer.weight.shape
    (trigrad.Size([5, 3]), trigrad.Size([3, 2]))
    """

    in_features: int
    out_features: int
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        if in_features < 0 or out_features < 0:
            raise ValueError(
                f"[{type(self).__name__}] got {in_features} to {out_features} features, expected 0 or more"
            )
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        held: Any = self._parameters  # looked into directly: this is the hottest line of all
        if "weight" in held and "bias" in held:
            return linear(input, held["weight"], held["bias"])
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class DropConnect(Linear):
    """A linear layer that in training sets each weight to 0 with probability `p`, anew for each call, and divides the others
    by 1 - p. (Dropout does that to units.)

    input (..., in_features) -> (..., out_features)

    >>> import trigrad as tg
    >>> tg.nn.DropConnect(4, 2, p=0.5)
    DropConnect(in_features=4, out_features=2, bias=True, p=0.5)
    """

    p: float

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        p: float = 0.5,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"[DropConnect] p is {p}, expected a probability from 0 to 1")
        super().__init__(in_features, out_features, bias, device, dtype)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return linear(input, self.weight, self.bias)
        kept = dropout_mask(tuple(self.weight.shape), self.p, device=self.weight.device).to(self.weight.dtype)
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        return linear(input, self.weight * (kept * scale), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"


class Bilinear(Module):
    """x₁ᵀ A x₂ + b for each output: weight (out_features, in1_features, in2_features), bias (out_features,).

    input1 (..., in1_features), input2 (..., in2_features) -> (..., out_features)

    >>> import trigrad as tg
    >>> tg.nn.Bilinear(2, 3, 4)(tg.zeros(5, 2), tg.zeros(5, 3)).shape
    trigrad.Size([5, 4])
    """

    in1_features: int
    in2_features: int
    out_features: int
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        if in1_features <= 0:
            raise ValueError(f"[Bilinear] in1_features must be > 0, but got {in1_features}")
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, self.in1_features, self.in2_features), "bias": (self.out_features,)}

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """A vector for each index, from a table that is learned. The row `padding_idx` is 0 and stays as it is.

    input (...) of indices -> (..., embedding_dim)

    >>> import trigrad as tg
    >>> tg.nn.Embedding(10, 3)(tg.tensor([[1, 2], [4, 0]])).shape
    trigrad.Size([2, 2, 3])
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    weight: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise NotImplementedError(
                "[Embedding] max_norm, scale_grad_by_freq and sparse are not supported; clip the rows of weight yourself, "
                "inside trigrad.no_grad()"
            )
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"[Embedding] padding_idx is {padding_idx}, expected a row of the {num_embeddings}")
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx if padding_idx is None else padding_idx % num_embeddings
        if _weight is None:
            self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype, device=device), not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise ValueError(
                    f"[Embedding] the weight has shape {tuple(_weight.shape)}, expected {(num_embeddings, embedding_dim)}"
                )
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer on the rows of a matrix, which it learns no further unless freeze=False."""
        if embeddings.ndim != 2:
            raise ValueError(
                f"[from_pretrained] got shape {tuple(embeddings.shape)}, expected a matrix: (rows, features)"
            )
        rows, features = embeddings.shape
        return cls(
            *(rows, features, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse),
            _weight=embeddings,
            _freeze=freeze,
        )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.num_embeddings, self.embedding_dim)}

    def reset_parameters(self) -> None:
        """Draw the rows anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
