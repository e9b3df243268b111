"""PyTorch's name for tensors with gradients, from when others had none. Scripts of that time still use it."""

from __future__ import annotations

from trigrad._core import Tensor

__all__ = ["Variable"]


class _TensorsAreVariables(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_TensorsAreVariables):
    """The same numbers as a leaf of its own; every tensor is a Variable.

    >>> import trigrad as tg
    >>> x = tg.autograd.Variable(tg.ones(2), requires_grad=True)
    >>> x, isinstance(x, tg.autograd.Variable)
    (tensor([1., 1.], requires_grad=True), True)
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:  # type: ignore[misc]
        """`data` without its history, on the same memory."""
        if not isinstance(data, Tensor):
            raise TypeError(
                f"[Variable] data has to be a tensor, but got {type(data).__name__}; use trigrad.tensor(data)"
            )
        return data.detach().requires_grad_(requires_grad)
