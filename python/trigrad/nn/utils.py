"""Gradients clipped, parameters as one vector, weights as length times direction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar, cast

from trigrad import _autograd, _core, ops
from trigrad._core import Tensor
from trigrad._shaping import stack
from trigrad.nn.module import Module
from trigrad.nn.parameter import Parameter

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "remove_weight_norm",
    "vector_to_parameters",
    "weight_norm",
]

M = TypeVar("M", bound=Module)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in listed if p.grad is not None]


def _norm(x: Tensor, p: float) -> Tensor:
    if p == math.inf:
        return ops.amax(ops.abs(x))
    if p == -math.inf:
        return ops.amin(ops.abs(x))
    if p == 1:
        return ops.sum(ops.abs(x))
    if p == 2:
        return ops.sqrt(ops.sum(ops.square(x)))
    if p == 0:
        return ops.sum(ops.ne(x, 0)).to(x.dtype)
    return ops.pow(ops.sum(ops.pow(ops.abs(x), p)), 1.0 / p)


@_autograd.no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors, as if they were one vector.

    tensors of any shapes -> ()

    >>> import trigrad as tg
    >>> tg.nn.utils.get_total_norm([tg.tensor([3.0]), tg.tensor([4.0])])
    tensor(5.)
    """
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm_type = float(norm_type)
    if not listed:
        return ops.fill_(_core.empty((), _core.float32), 0.0)
    norms = [_norm(t.detach(), norm_type) for t in listed]
    place = norms[0].device
    total = _norm(stack([n if n.device == place else n.to(place) for n in norms]), norm_type)
    if error_if_nonfinite and not bool(ops.isfinite(total)):
        raise RuntimeError(
            f"[get_total_norm] The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot "
            "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@_autograd.no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by max_norm / total_norm, if that is less than 1.

    parameters of any shapes, total_norm ()

    >>> import trigrad as tg
    >>> w = tg.nn.Parameter(tg.zeros(2))
    >>> w.grad = tg.tensor([3.0, 4.0])
    >>> tg.nn.utils.clip_grads_with_norm_([w], 1.0, tg.nn.utils.get_total_norm([w.grad]))
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    scale = ops.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    for grad in _gradients(parameters):
        grad.mul_(scale.to(grad.device, grad.dtype))


@_autograd.no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that the norm of all together is at most `max_norm`; returns what it was.

    parameters of any shapes -> ()

    >>> import trigrad as tg
    >>> p = tg.nn.Parameter(tg.zeros(2)); p.grad = tg.tensor([3.0, 4.0])
    >>> tg.nn.utils.clip_grad_norm_([p], 1.0), p.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


@_autograd.no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip every entry of the gradients to -clip_value … clip_value.

    parameters of any shapes, which stay

    >>> import trigrad as tg
    >>> p = tg.nn.Parameter(tg.zeros(2)); p.grad = tg.tensor([3.0, -4.0])
    >>> tg.nn.utils.clip_grad_value_([p], 3.5); p.grad
    tensor([ 3.0000, -3.5000])
    """
    bound = float(clip_value)
    for grad in _gradients(parameters):
        grad.clamp_(-bound, bound)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one vector.

    >>> import trigrad as tg
    >>> tg.nn.utils.parameters_to_vector(tg.nn.Linear(2, 3).parameters()).shape
    trigrad.Size([9])
    """
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy a vector into the parameters, one after the other.

    vec (n,), parameters of n elements in all

    >>> import trigrad as tg
    >>> layer = tg.nn.Linear(2, 1)
    >>> tg.nn.utils.vector_to_parameters(tg.arange(3.0), layer.parameters()); layer.bias
    Parameter containing:
    tensor([2.], requires_grad=True)
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"[vector_to_parameters] expected a Tensor, but got: {type(vec).__name__}")
    listed = list(parameters)
    wanted = sum(p.numel() for p in listed)
    if tuple(vec.shape) != (wanted,):
        raise RuntimeError(
            f"[vector_to_parameters] got a tensor of shape {tuple(vec.shape)}, expected a vector of {wanted} numbers: one per "
            "entry of the parameters"
        )
    with _autograd.no_grad():
        start = 0
        for p in listed:
            p.copy_(vec[start : start + p.numel()].reshape(p.shape))
            start += p.numel()


# ---- weight normalisation


def _norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The lengths of the slices along `dim` (of the whole for None), with the other axes of length 1."""
    if dim is None:
        return ops.sqrt(ops.sum(ops.square(v)))
    axes = tuple(i for i in range(v.ndim) if i != dim % v.ndim)
    return ops.sqrt(ops.sum(ops.square(v), axes, True)) if axes else ops.abs(v)


class WeightNorm:
    """The hook that makes a weight from its length and direction before each forward pass."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, None if dim == -1 else dim
        self.shown: Tensor | None = None  # what the module's weight is after a recording, during one

    def weight(self, module: Module) -> Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        made: Tensor = v * (g / _norm_except(v, self.dim))
        return made

    def __call__(self, module: Module, args: Any) -> None:
        before, made = getattr(module, self.name), self.weight(module)
        setattr(module, self.name, made)
        if _core.is_recording():  # the module may keep no tensor of the recording: the one that it has is overwritten
            with _autograd.no_grad():
                before.detach().copy_(made)
            self.shown = before

    def restore(self, module: Module, args: Any, output: Any) -> None:
        """After a forward pass that is recorded."""
        if self.shown is not None:
            setattr(module, self.name, self.shown)
            self.shown = None


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn a weight as its length times its direction, `name`_g and `name`_v, along `dim` (one length for dim=None).

    >>> import trigrad as tg
    >>> layer = tg.nn.utils.weight_norm(tg.nn.Linear(2, 3))
    >>> [(name, tuple(p.shape)) for name, p in layer.named_parameters()]
    [('bias', (3,)), ('weight_g', (3, 1)), ('weight_v', (3, 2))]
    """
    if _norm_hook(module, name) is not None:
        raise RuntimeError(
            f"[weight_norm] Cannot register two weight_norm hooks on the same parameter {name}; remove_weight_norm first"
        )
    hook = WeightNorm(name, dim)
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(
            f"[weight_norm] {type(module).__name__} has no parameter '{name}'; it has {list(module._parameters)}"
        )
    with _autograd.no_grad():
        g, v = Parameter(_norm_except(weight, hook.dim)), Parameter(weight.clone())
    delattr(module, name)
    module.register_parameter(name + "_g", g)
    module.register_parameter(name + "_v", v)
    setattr(module, name, hook.weight(module))
    module.register_forward_pre_hook(hook)
    module.register_forward_hook(hook.restore)
    return module


def _norm_hook(module: Module, name: str) -> int | None:
    for key, hook in module._hooks.get("forward_pre", {}).items():
        if isinstance(hook.function, WeightNorm) and hook.function.name == name:
            return key
    return None


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Learn the weight itself again.

    >>> import trigrad as tg
    >>> layer = tg.nn.utils.remove_weight_norm(tg.nn.utils.weight_norm(tg.nn.Linear(2, 3)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    key = _norm_hook(module, name)
    if key is None:
        raise ValueError(f"[remove_weight_norm] weight_norm of '{name}' not found in {module}")
    hook = cast(WeightNorm, module._hooks["forward_pre"].pop(key).function)
    after = module._hooks["forward"]
    for number in [n for n, h in after.items() if h.function == hook.restore]:
        del after[number]
    with _autograd.no_grad():
        weight = hook.weight(module)
    delattr(module, name)
    delattr(module, name + "_g")
    delattr(module, name + "_v")
    module.register_parameter(name, Parameter(weight))
    return module
