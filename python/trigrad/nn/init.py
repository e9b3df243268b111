"""Initial values of parameters, in place and outside the graph. `generator` draws the random ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeVar, cast

from trigrad import _autograd, ops
from trigrad._core import Tensor
from trigrad._creation import eye
from trigrad._random import Generator, randn, randperm
from trigrad._warnings import warn

__all__ = [
    "calculate_gain",
    "constant_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

F = TypeVar("F", bound=Callable[..., Any])
Mode = Literal["fan_in", "fan_out"]


def _unrecorded(function: F) -> F:
    """The tensor is filled, and given back as what it was, outside the graph."""

    @wraps(function)
    def filling(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with _autograd.no_grad():
            function(tensor, *args, **kwargs)
        return tensor

    return cast(F, filling)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which an activation shrinks its input; `param` is the slope of leaky_relu.

    >>> import trigrad as tg
    >>> tg.nn.init.calculate_gain("relu")
    1.4142135623730951
    """
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    linear = ("linear", "sigmoid", *(f"conv{t}{d}d" for t in ("", "_transpose") for d in (1, 2, 3)))
    if nonlinearity in gains:
        return gains[nonlinearity]
    if nonlinearity in linear:
        return 1.0
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"[calculate_gain] negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    raise ValueError(
        f"[calculate_gain] Unsupported nonlinearity {nonlinearity}, expected one of {', '.join((*gains, *linear))}, leaky_relu"
    )


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    """How many numbers go into an output, and to how many outputs an input goes: weights are (out, in, ...)."""
    if tensor.ndim < 2:
        raise ValueError(
            f"[{op}] Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got shape "
            f"{tuple(tensor.shape)}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(op: str, tensor: Tensor, mode: str) -> int:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"[{op}] Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _fans(op, tensor)[mode.lower() == "fan_out"]


def _empty(op: str, tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warn(f"[{op}] Initializing zero-element tensors is a no-op")
        return True
    return False


@_unrecorded
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform numbers, a <= x < b.

    tensor of any shape, which is returned

    >>> import trigrad as tg
    >>> x = tg.nn.init.uniform_(tg.empty(100), -1.0, 1.0)
    >>> bool((x >= -1).all() and (x < 1).all())
    True
    """
    return tensor.uniform_(a, b, generator=generator)


@_unrecorded
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers.

    tensor of any shape, which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.normal_(tg.empty(2), 3.0, 0.0)
    tensor([3., 3.])
    """
    return tensor.normal_(mean, std, generator=generator)


@_unrecorded
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, of those between a and b.

    tensor of any shape, which is returned

    >>> import trigrad as tg
    >>> bool((tg.nn.init.trunc_normal_(tg.empty(1000)).abs() <= 2).all())
    True
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warn(
            "[trunc_normal_] mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may "
            "be incorrect."
        )
    tensor.normal_(mean, std, generator=generator)
    outside = (tensor < a) | (tensor > b)
    for _ in range(1000):
        if not bool(outside.any()):
            return tensor
        again = ops.where(
            outside,
            randn(tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device) * std + mean,
            tensor,
        )
        tensor.copy_(again)
        outside = (tensor < a) | (tensor > b)
    raise RuntimeError(f"[trunc_normal_] no normal number of mean {mean} and std {std} lies between {a} and {b}")


@_unrecorded
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere.

    tensor of any shape, which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.constant_(tg.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere.

    tensor of any shape, which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.ones_(tg.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere.

    tensor of any shape, which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.zeros_(tg.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


@_unrecorded
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: a layer that hands on as many inputs as it can.

    tensor (n, m), which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.eye_(tg.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"[eye_] Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform numbers of variance gain² 2 / (fan_in + fan_out).

    tensor (fan_out, fan_in), which is returned

    >>> import trigrad as tg
    >>> bool((tg.nn.init.xavier_uniform_(tg.empty(3, 3)).abs() <= 1).all())
    True
    """
    std = gain * math.sqrt(2.0 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of variance gain² 2 / (fan_in + fan_out).

    tensor (fan_out, fan_in), which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.xavier_normal_(tg.empty(3, 5)).shape
    trigrad.Size([3, 5])
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans("xavier_normal_", tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers of variance gain² / fan, which keeps E[x²] (or, with fan_out, that of the gradients) through layers
    of that activation; `a` is the slope of leaky_relu.

    >>> import trigrad as tg
    >>> tg.nn.init.kaiming_uniform_(tg.empty(3, 5), nonlinearity="relu").shape
    trigrad.Size([3, 5])
    """
    if _empty("kaiming_uniform_", tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan("kaiming_uniform_", tensor, mode))
    return uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of variance gain² / fan, as `kaiming_uniform_`.

    tensor (fan_out, fan_in), which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.kaiming_normal_(tg.empty(3, 5), mode="fan_out", nonlinearity="relu").shape
    trigrad.Size([3, 5])
    """
    if _empty("kaiming_normal_", tensor):
        return tensor
    return normal_(
        tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan("kaiming_normal_", tensor, mode)), generator
    )


def lecun_uniform_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform numbers of variance 1 / fan_in.

    tensor (fan_out, fan_in), which is returned

    >>> import trigrad as tg
    >>> bool((tg.nn.init.lecun_uniform_(tg.empty(2, 3)).abs() <= 1).all())
    True
    """
    bound = math.sqrt(3.0 / _fan("lecun_uniform_", tensor, "fan_in"))
    return uniform_(tensor, -bound, bound, generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Normal numbers of variance 1 / fan_in: what SELU asks for.

    tensor (fan_out, fan_in), which is returned

    >>> import trigrad as tg
    >>> tg.nn.init.lecun_normal_(tg.empty(2, 3)).shape
    trigrad.Size([2, 3])
    """
    return normal_(tensor, 0.0, math.sqrt(1.0 / _fan("lecun_normal_", tensor, "fan_in")), generator)


@_unrecorded
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix whose rows (or columns, if they are fewer) are orthogonal and of length `gain`; further axes count
    as columns.

    tensor (n, m, ...), which is returned

    >>> import trigrad as tg
    >>> w = tg.nn.init.orthogonal_(tg.empty(2, 3))
    >>> tg.allclose(w @ w.T, tg.eye(2), atol=1e-6)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"[orthogonal_] Only tensors with 2 or more dimensions are supported, got shape {tuple(tensor.shape)}"
        )
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    random = randn(rows, columns, generator=generator, dtype=tensor.dtype, device=tensor.device).double()
    q = _orthonormal_rows(random if rows <= columns else random.T)
    return tensor.copy_((q if rows <= columns else q.T).reshape(tensor.shape) * gain)


def _orthonormal_rows(a: Tensor) -> Tensor:
    """Gram-Schmidt, each row made orthogonal twice to those before it: once leaves rounding errors of the first order."""
    q = a.clone()
    for i in range(q.shape[0]):
        row, before = q[i], q[:i]
        for _ in range(2):
            if i:
                row = row - (before @ row) @ before
        q[i] = row / ops.sqrt(ops.sum(ops.square(row)))
    return q


@_unrecorded
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers, of which the fraction `sparsity` of each column (rounded up) is 0.

    tensor (n, m), which is returned

    >>> import trigrad as tg
    >>> int((tg.nn.init.sparse_(tg.empty(10, 3), 0.25) == 0).sum())
    9
    """
    if tensor.ndim != 2:
        raise ValueError(f"[sparse_] Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    tensor.normal_(0.0, std, generator=generator)
    for column in range(columns):
        tensor[randperm(rows, generator=generator)[: math.ceil(sparsity * rows)], column] = 0.0
    return tensor
