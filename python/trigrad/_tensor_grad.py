"""The methods of Tensor that belong to differentiation."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from trigrad import _autograd
from trigrad._autograd import Gradients, Tensors
from trigrad._core import Tensor
from trigrad._hooks import RemovableHandle


def backward(
    self: Tensor,
    gradient: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of this tensor to the .grad of the leaves that it was made of. `gradient` (of its shape) is the
    gradient of what is wanted with respect to it, needed unless it has one element.

    >>> import trigrad as tg
    >>> x = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([6., 8.])
    """
    _autograd.backward(self, gradient, retain_graph, create_graph, inputs)


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook(grad)` when the gradient of this tensor is known; what it returns takes the gradient's place.

    >>> import trigrad as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> handle = x.register_hook(lambda g: g * 10)
    >>> (x * x).backward()
    >>> x.grad
    tensor(40.)
    """
    if not self.requires_grad:
        raise RuntimeError("[register_hook] the tensor does not require a gradient; set x.requires_grad_() before")
    node = self.grad_fn
    if node is None:
        if self._hooks is None:
            self._hooks = {}
        hooks = self._hooks
    else:
        if node.hooks is None:
            node.hooks = {}
        hooks = node.hooks.setdefault(self.output_nr, {})
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `hook(tensor)` after a backward pass has added to its .grad."""
    if not self.is_leaf:
        raise RuntimeError("[register_post_accumulate_grad_hook] got a tensor made of others, expected a leaf")
    if self._post_hooks is None:
        self._post_hooks = {}
    handle = RemovableHandle(self._post_hooks)
    self._post_hooks[handle.id] = hook
    return handle


def retain_grad(self: Tensor) -> None:
    """Keep the gradient in .grad although this tensor is no leaf.

    >>> import trigrad as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> y = x * 3
    >>> y.retain_grad()
    >>> (y * y).backward()
    >>> y.grad
    tensor(12.)
    """
    if not self.requires_grad:
        raise RuntimeError("[retain_grad] the tensor does not require a gradient; set x.requires_grad_() before")
    node = self.grad_fn
    if node is None or self.retains_grad:
        return
    tensor = weakref.ref(self)  # the node would keep it alive, and it the node

    def keep(grad: Tensor) -> None:
        kept = tensor()
        if kept is not None:
            kept.grad = grad.detach().clone() if kept.grad is None else kept.grad + grad

    if node.hooks is None:
        node.hooks = {}
    node.hooks.setdefault(self.output_nr, {})[_autograd.RETAINING] = keep
    self._retains_grad = True


METHODS: tuple[Callable[..., Any], ...] = (backward, register_hook, register_post_accumulate_grad_hook, retain_grad)
