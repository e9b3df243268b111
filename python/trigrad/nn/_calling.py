"""How a module is called: `forward` between the hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from trigrad._core import Tensor
from trigrad._hooks import RemovableHandle
from trigrad._warnings import warn
from trigrad.autograd.function import Function

Gradients = tuple[Tensor | None, ...]


class Hook(NamedTuple):
    """A function that wants to be called, and how."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


class Hooked:
    """The part of Module that calls `forward`. `_hooks` holds, per kind, the hooks in the order of their calls."""

    _hooks: dict[str, dict[int, Hook]]
    forward: Callable[..., Any]

    def _add_hook(self, kind: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        table = self._hooks.setdefault(kind, {})
        handle = RemovableHandle(table)
        others = dict(table) if prepend else {}
        if prepend:
            table.clear()
        table[handle.id] = hook
        table.update(others)
        return handle

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args) before `forward`; what it returns takes the place of args. `with_kwargs`:
        hook(module, args, kwargs), which returns both or None."""
        return self._add_hook("forward_pre", Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args, output) after `forward`; what it returns takes the place of output. `with_kwargs`:
        hook(module, args, kwargs, output). `always_call`: also when `forward` raises.

        >>> import trigrad as tg
        >>> layer = tg.nn.Linear(2, 3)
        >>> handle = layer.register_forward_hook(lambda module, args, output: print(tuple(output.shape)))
        >>> _ = layer(tg.zeros(5, 2))
        (5, 3)
        >>> handle.remove()
        """
        return self._add_hook("forward", Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_output) when the gradients of the outputs are known; what it returns takes their place."""
        return self._add_hook("backward_pre", Hook(hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_input, grad_output) when the gradients of the inputs are known; what it returns takes
        the place of grad_input."""
        return self._add_hook("backward", Hook(hook), prepend)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._hooks:
            return self.forward(*args, **kwargs)
        return self._call_hooked(args, kwargs)

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called: set[int] = set()
        result: Any = None
        try:
            for pre in tuple(self._hooks.get("forward_pre", {}).values()):
                if pre.with_kwargs:
                    changed = pre.function(self, args, kwargs)
                    if changed is not None:
                        if not (isinstance(changed, tuple) and len(changed) == 2):
                            raise RuntimeError(
                                f"[{type(self).__name__}] a forward pre-hook with kwargs returned {changed!r}, expected None "
                                "or (args, kwargs)"
                            )
                        args, kwargs = changed
                else:
                    changed = pre.function(self, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            border = _Border(self) if self._hooks.get("backward") or self._hooks.get("backward_pre") else None
            if border is not None:
                args = border.enter(args)
            result = self.forward(*args, **kwargs)
            for key, hook in tuple(self._hooks.get("forward", {}).items()):
                called.add(key)
                changed = (
                    hook.function(self, args, kwargs, result) if hook.with_kwargs else hook.function(self, args, result)
                )
                if changed is not None:
                    result = changed
            return result if border is None else border.leave(result)
        except Exception:
            for key, hook in tuple(self._hooks.get("forward", {}).items()):
                if hook.always_call and key not in called:
                    try:
                        changed = (
                            hook.function(self, args, kwargs, result)
                            if hook.with_kwargs
                            else hook.function(self, args, result)
                        )
                        result = result if changed is None else changed
                    except Exception as second:  # noqa: BLE001 -- the first error is raised
                        warn(
                            f"[{type(self).__name__}] a forward hook with always_call=True raised as well and was silenced: "
                            f"{second}"
                        )
            raise


class _Pass(Function):
    """Hands tensors on, and shows `watch` the gradients on their way back: `materialized`, zeros where nothing came back."""

    @staticmethod
    def forward(
        ctx: Any, watch: Callable[[Gradients], Gradients], materialized: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.watch = watch
        ctx.set_materialize_grads(materialized)
        ctx.mark_non_differentiable(*(t for t in tensors if not t.requires_grad))
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Gradients:
        return (None, None, *ctx.watch(grads))


class _Border:
    """What stands around one call of a module with backward hooks: the gradients pass here in and out."""

    def __init__(self, module: Hooked) -> None:
        self.module = module
        self.grad_output: Gradients | None = None
        self.places: list[int] = []  # of the tensors among the arguments
        self.n_args = 0
        self.inputs_learn = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.n_args = len(args)
        self.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.inputs_learn = any(args[i].requires_grad for i in self.places)
        if not (self.inputs_learn and self.module._hooks.get("backward")):
            return args
        through = list(args)
        for i, tensor in zip(
            self.places, _Pass.apply(self.into_inputs, True, *(args[i] for i in self.places)), strict=True
        ):
            through[i] = tensor
        return tuple(through)

    def leave(self, result: Any) -> Any:
        listed = result if isinstance(result, tuple) else (result,)
        places = [k for k, y in enumerate(listed) if isinstance(y, Tensor)]
        if not any(listed[k].requires_grad for k in places):
            return result
        through = list(listed)
        passed = _Pass.apply(
            lambda grads: self.from_outputs(grads, places, len(listed)), False, *(listed[k] for k in places)
        )
        for k, tensor in zip(places, passed, strict=True):
            through[k] = tensor
        return tuple(through) if isinstance(result, tuple) else through[0]

    def from_outputs(self, grads: Gradients, places: list[int], n: int) -> Gradients:
        given: list[Tensor | None] = [None] * n
        for k, g in zip(places, grads, strict=True):
            given[k] = g
        grad_output: Gradients = tuple(given)
        for hook in tuple(self.module._hooks.get("backward_pre", {}).values()):
            changed = hook.function(self.module, grad_output)
            if changed is not None:
                grad_output = _as_many(type(self.module).__name__, changed, n)
        self.grad_output = grad_output
        if not self.inputs_learn and self.module._hooks.get("backward"):
            warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
                "require gradients."
            )
            self.run_hooks((None,) * self.n_args)
        return tuple(grad_output[k] for k in places)

    def into_inputs(self, grads: Gradients) -> Gradients:
        given: list[Tensor | None] = [None] * self.n_args
        for i, g in zip(self.places, grads, strict=True):
            given[i] = g
        grad_input = self.run_hooks(tuple(given))
        return tuple(grad_input[i] for i in self.places)

    def run_hooks(self, grad_input: Gradients) -> Gradients:
        for hook in tuple(self.module._hooks.get("backward", {}).values()):
            changed = hook.function(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = _as_many(type(self.module).__name__, changed, len(grad_input))
        self.grad_output = None
        return grad_input


def _as_many(module: str, grads: Any, n: int) -> Gradients:
    listed = grads if isinstance(grads, tuple) else (grads,)
    if len(listed) != n:
        raise RuntimeError(
            f"[{module}] Backward hook returned an invalid number of grad, got {len(listed)}, but expected {n}"
        )
    return listed
