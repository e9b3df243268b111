"""Parameters and buffers: tensors that know what they are to a module.

`Tensor` is one type that is not derived from, so what a tensor is to a module is a mark on it (`_role`), which
`isinstance` looks at.
"""

from __future__ import annotations

from typing import Any

from trigrad import _core
from trigrad._core import Tensor

__all__ = ["Buffer", "Parameter"]

PARAMETER, BUFFER, TRANSIENT_BUFFER = 1, 2, 3


class _Marked(type):
    """Classes whose instances are the tensors that carry one of their marks."""

    roles: tuple[int, ...] = ()

    def __instancecheck__(cls, instance: object) -> bool:
        return type(instance) is Tensor and instance._role in cls.roles


def _marked(data: Tensor | None, requires_grad: bool, role: int) -> Tensor:
    """Another tensor on the memory of `data`, apart from its history."""
    made = _core.empty((0,), _core.float32) if data is None else data.detach()
    made._role = role
    if requires_grad:
        made.requires_grad_()
    return made


class Parameter(metaclass=_Marked):
    """A tensor that a module learns: set as an attribute of a module it is one of its `parameters()`.

    >>> import trigrad as tg
    >>> tg.nn.Parameter(tg.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    >>> isinstance(tg.nn.Linear(2, 1).weight, tg.nn.Parameter)
    True
    """

    roles = (PARAMETER,)

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        if data is not None and not isinstance(data, Tensor):
            raise TypeError(f"[Parameter] got a {type(data).__name__}, expected a Tensor; make one with trigrad.tensor")
        return _marked(data, requires_grad, PARAMETER)


class Buffer(metaclass=_Marked):
    """A tensor that a module keeps beside its parameters, as batch norm its running mean. One that is not `persistent`
    is left out of `state_dict()`.

    >>> import trigrad as tg
    >>> m = tg.nn.Module()
    >>> m.count = tg.nn.Buffer(tg.zeros(1))
    >>> [name for name, _ in m.named_buffers()]
    ['count']
    """

    roles = (BUFFER, TRANSIENT_BUFFER)

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        if data is not None and not isinstance(data, Tensor):
            raise TypeError(f"[Buffer] got a {type(data).__name__}, expected a Tensor; make one with trigrad.tensor")
        return _marked(data, False, BUFFER if persistent else TRANSIENT_BUFFER)


def is_parameter(value: object) -> bool:
    """The same as isinstance(value, Parameter), for type checkers that know no marks."""
    return type(value) is Tensor and value._role == PARAMETER


def is_persistent(buffer: Tensor) -> bool:
    """Does a module that gets this buffer save it?"""
    return buffer._role != TRANSIENT_BUFFER
