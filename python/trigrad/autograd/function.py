"""Functions whose gradient the user writes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from trigrad import _core
from trigrad._core import Tensor
from trigrad._vjp.rule import returned

__all__ = ["Function", "FunctionContext", "once_differentiable"]


class FunctionContext:
    """What `forward` leaves for `backward`. Any attribute may be set on it."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._given: tuple[Tensor | None, ...] = ()
        self._saved: list[tuple[str, Any, int]] = []
        self._not_differentiable: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self._outputs: tuple[Tensor | None, ...] = ()
        self._are_tensors: tuple[bool, ...] = ()  # the outputs
        self._function: type[Function] | None = None
        self._n_inputs = 0
        self._released = False

    def _release(self) -> None:
        """The graph needs what was saved no more."""
        self._released = bool(self._saved)
        self._saved = []

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for the backward pass, which refuses them if they were changed in place meanwhile."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"[save_for_backward] got a {type(t).__name__}, expected tensors or None; keep anything else as an attribute "
                    "of ctx"
                )
        self._given = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs have no gradient."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """These inputs were changed in place, and are outputs."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Shall the gradient of an unused output be zeros (the default) or None?"""
        self._materialize = value

    def _keep(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Outputs are kept without their history, or they and the graph would keep each other alive."""
        for t in self._given:
            place = next((k for k, y in enumerate(outputs) if y is t), None)
            handed_on = any(x is t for x in inputs) and not any(x is t for x in self._dirty)
            if t is None or place is None or handed_on:
                self._saved.append(("input", t, 0))
            else:
                self._saved.append(("output", t.detach(), place))
            if t is not None and t.is_inference():
                raise RuntimeError(
                    "[save_for_backward] got a tensor that was made in inference mode, expected one that may be kept for the "
                    "backward pass; take a copy outside: x.clone()"
                )
        kept = {
            name: k for name, t in vars(self).items() for k, y in enumerate(outputs) if t is y and isinstance(t, Tensor)
        }
        self._attributes = {name: (vars(self).pop(name).detach(), k) for name, k in kept.items()}
        self._versions = [-1 if t is None else t._version for t in self._given]
        self._given = self._dirty = self._not_differentiable = ()

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` was given."""
        if self._released:
            raise RuntimeError(
                "[saved_tensors] the graph has been freed by an earlier backward pass; pass retain_graph=True to that one if "
                "you need two"
            )
        found: list[Tensor | None] = []
        for (kind, t, place), version in zip(self._saved, self._versions, strict=True):
            if t is not None and t._version != version:
                raise RuntimeError(
                    f"[saved_tensors] a saved tensor of shape {tuple(t.shape)} was changed in place after forward: it is at "
                    f"version {t._version}, expected {version}; save a copy: x.clone()"
                )
            found.append(t if t is None or kind == "input" else self._joined(t, place))
        return tuple(found)

    def _joined(self, t: Tensor, place: int) -> Tensor:
        """An output that was kept without its history, with it where the backward pass is recorded."""
        made = self._outputs[place] if self._outputs else None
        if made is not None and made.grad_fn is not None:
            t = t.detach()
            _core.rejoin(t, made)
        return t

    def __getattr__(self, name: str) -> Any:
        """Outputs that forward set as attributes."""
        kept = vars(self).get("_attributes", {}).get(name)
        if kept is None:
            raise AttributeError(f"[FunctionContext] forward has set no attribute {name!r} on ctx")
        return self._joined(*kept)


def _formula(
    grads: tuple[Tensor | None, ...],
    inputs: tuple[Any, ...],
    outputs: tuple[Tensor, ...],
    attributes: tuple[Any, ...],
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    ctx = attributes[0]
    function, n_inputs = ctx._function, ctx._n_inputs
    if ctx._materialize:
        beside = next((g for g in grads if g is not None), None)  # outputs that were not kept have no place
        grads = tuple(
            _zeros(y, beside) if g is None and is_tensor else g
            for g, y, is_tensor in zip(grads, outputs, ctx._are_tensors, strict=True)
        )
    ctx._outputs = outputs
    try:
        made = function.backward(ctx, *grads)
    finally:
        ctx._outputs = ()
    results = made if isinstance(made, tuple) else (made,)
    if len(results) > n_inputs and all(g is None for g in results[n_inputs:]):
        results = results[:n_inputs]
    if len(results) != n_inputs:
        raise RuntimeError(
            f"[{function.__name__}] backward returned {len(results)} gradients, expected {n_inputs}: one (or None) for each "
            "argument of forward"
        )
    return tuple(_fitting(function.__name__, g, x) for g, x in zip(results, inputs, strict=True))


def _fitting(name: str, g: Any, x: Any) -> Tensor | None:
    """The gradient with shape and dtype of its input; what the input is broadcast to is summed."""
    if g is None:
        return None
    if not isinstance(g, Tensor):
        raise TypeError(f"[{name}] backward returned a {type(g).__name__}, expected a tensor or None")
    if not isinstance(x, Tensor):
        raise RuntimeError(f"[{name}] backward returned a gradient for an argument that is no tensor, expected None")  # noqa: TRY004
    padded = (1,) * (g.ndim - x.ndim) + tuple(x.shape)
    if g.ndim < x.ndim or any(n not in (1, m) for n, m in zip(padded, g.shape, strict=True)):
        raise RuntimeError(
            f"[{name}] backward returned a gradient of shape {tuple(g.shape)}, expected that of its input: {tuple(x.shape)}"
        )
    return returned(g, x) if x.dtype.is_floating_point else None


def _zeros(y: Tensor, beside: Tensor | None) -> Tensor:
    return _core.ops.fill_(_core.empty(tuple(y.shape), y.dtype, "cpu" if beside is None else beside), 0)


class Function:
    """A function with a gradient of its own: write `forward(ctx, ...)` and `backward(ctx, *grads)`, call `apply(...)`.

    >>> import trigrad as tg
    >>> class Cube(tg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x * x
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """forward(ctx, ...): the function, which every subclass has."""
        raise NotImplementedError("[Function] write a static method forward(ctx, ...)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """With this method written, `forward` takes no ctx."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """backward(ctx, *grads): the gradients of what `forward` took, from those of what it gave."""
        raise NotImplementedError("[Function] write a static method backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        ctx = FunctionContext()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        before = _core.is_grad_enabled()
        try:
            _core.set_grad_enabled(False)
            if cls.setup_context is Function.setup_context:
                made = cls.forward(ctx, *args, **kwargs)
            else:
                made = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, made)
        finally:
            _core.set_grad_enabled(before)
        if not (before and any(ctx.needs_input_grad)):
            return made
        outputs = list(made) if isinstance(made, tuple) else [made]
        plain = {id(t) for t in ctx._not_differentiable}
        dirty = {id(t) for t in ctx._dirty}
        cls._check_dirty(ctx._dirty, outputs)
        carrying = list(outputs)
        for k, y in enumerate(outputs):
            if not isinstance(y, Tensor):
                continue
            if id(y) in plain:
                continue
            if id(y) in dirty and y._base is not None:  # the view gets its history by being written once more
                carrying[k] = y.detach().clone()
            elif id(y) not in dirty and any(y is a for a in args):  # what is handed on is another tensor in the graph
                outputs[k] = carrying[k] = _unrecorded_view(y)
        ctx._function, ctx._n_inputs = cls, len(args)
        ctx._are_tensors = tuple(isinstance(y, Tensor) for y in outputs)
        constants = [k for k, y in enumerate(outputs) if id(y) in plain]
        _core.record(cls.__name__, _formula, ctx, args, carrying, constants)
        for y, stand_in in zip(outputs, carrying, strict=True):
            if stand_in is not y:
                y.copy_(stand_in)
        ctx._keep(args, outputs)
        return tuple(outputs) if isinstance(made, tuple) else outputs[0]

    @classmethod
    def _check_dirty(cls, dirty: tuple[Tensor, ...], outputs: list[Any]) -> None:
        for t in dirty:
            if not any(y is t for y in outputs):
                raise RuntimeError(
                    f"[{cls.__name__}] a tensor that was marked as dirty was not returned, expected all of them among the outputs"
                )
            if t.is_leaf and t.requires_grad:
                raise RuntimeError(
                    f"[{cls.__name__}] a leaf tensor that requires a gradient was overwritten, expected one that may be; call it "
                    "inside trigrad.no_grad(), or with a copy: x.clone()"
                )


def _unrecorded_view(x: Tensor) -> Tensor:
    before = _core.is_grad_enabled()
    try:
        _core.set_grad_enabled(False)
        return x[...]
    finally:
        _core.set_grad_enabled(before)


class _Refused(Function):
    """Hands on gradients that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, name: str, *grads: Any) -> Any:
        ctx.name = name
        return tuple(g.clone() if isinstance(g, Tensor) else g for g in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(
            f"[{ctx.name}] its backward is marked as once_differentiable, expected first derivatives only"
        )


def once_differentiable(backward: Any) -> Any:
    """Mark a `backward` whose result cannot be differentiated again: that is refused."""

    @wraps(backward)
    def plain(ctx: Any, *grads: Any) -> Any:
        before = _core.is_grad_enabled()
        try:
            _core.set_grad_enabled(False)
            made = backward(ctx, *grads)
        finally:
            _core.set_grad_enabled(before)
        reads = [t for t in (*grads, *ctx.saved_tensors) if isinstance(t, Tensor) and t.requires_grad]
        if not before or not reads:
            return made
        results = made if isinstance(made, tuple) else (made,)
        refusing = _Refused.apply(ctx._function.__name__, *results, *reads)[: len(results)]
        return refusing if isinstance(made, tuple) else refusing[0]

    return plain
