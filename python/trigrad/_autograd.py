"""Reverse differentiation over the graph that the tape recorded: `backward`, `grad`, and what switches recording."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial, wraps
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

from trigrad import _anomaly, _core, _vjp, ops
from trigrad._core import Node, Tensor
from trigrad._vjp.rule import fill
from trigrad._vjp.views import extent
from trigrad._warnings import warn

__all__ = [
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
]

F = TypeVar("F", bound=Callable[..., Any])
Tensors: TypeAlias = "Tensor | Sequence[Tensor]"
Edge: TypeAlias = "tuple[Node | Tensor, int]"  # where a gradient goes: to an output of a node, or to a leaf
Gradients: TypeAlias = "Tensor | Sequence[Tensor | None] | None"


# ---- recording on and off


Modes: TypeAlias = tuple[bool, bool]


def _modes() -> Modes:
    return _core.is_grad_enabled(), _core.is_inference_mode_enabled()


def _switch_back(modes: Modes) -> None:
    _core.set_grad_enabled(modes[0])
    _core.set_inference_mode(modes[1])


CO_GENERATOR = 0x20  # inspect's, which would be slow to import


class _Recording:
    """Recording switched to `mode` for the length of a `with` block, or of every call of a decorated function; of a
    generator: while it runs, not while its caller does."""

    mode = False

    def __init__(self) -> None:
        self.before: list[Modes] = []

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        made.before = []
        return made(function)  # @no_grad without parentheses

    def switch(self) -> None:
        """Set the mode, which leaving the block sets back."""
        _core.set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        self.before.append(_modes())
        self.switch()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _switch_back(self.before.pop())

    def __call__(self, function: F) -> F:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & CO_GENERATOR:
            return cast(F, self._switched_generator(function))

        @wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            return self._run(function, *args, **kwargs)

        return cast(F, switched)

    def _run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before = _modes()  # not in self: several threads may be here
        try:
            self.switch()
            return function(*args, **kwargs)
        finally:
            _switch_back(before)

    def _switched_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            resume = partial(next, generator)
            while True:
                try:
                    made = self._run(resume)
                except StopIteration as end:
                    return end.value
                try:
                    sent = yield made
                except GeneratorExit:
                    self._run(generator.close)
                    raise
                except BaseException as error:  # noqa: BLE001 -- it is the generator's to handle
                    resume = partial(generator.throw, error)
                else:
                    resume = partial(generator.send, sent)

        return switched


class no_grad(_Recording):
    """Nothing is recorded inside: a `with` block, or a decorator.

    >>> import trigrad as tg
    >>> x = tg.ones(2, requires_grad=True)
    >>> with tg.no_grad():
    ...     (2 * x).requires_grad
    False
    """


class enable_grad(_Recording):
    """Calls are recorded inside, as they are outside of `no_grad`.

    >>> import trigrad as tg
    >>> x = tg.ones(2, requires_grad=True)
    >>> with tg.no_grad(), tg.enable_grad():
    ...     (2 * x).requires_grad
    True
    """

    mode = True


class inference_mode(_Recording):
    """As `no_grad`, and what is made inside stays out of every graph: outside it may be read, but not be overwritten, nor
    kept for a backward pass; a `clone()` may. `inference_mode(False)` records.

    >>> import trigrad as tg
    >>> with tg.inference_mode():
    ...     y = 2 * tg.ones(2, requires_grad=True)
    >>> y.requires_grad, y.is_inference()
    (False, True)
    """

    def __new__(cls, mode: Any = True) -> Any:
        if isinstance(mode, bool):
            made = object.__new__(cls)
            made.mode = not mode
            return made
        return super().__new__(cls, mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()

    def switch(self) -> None:
        """Set the mode, which leaving the block sets back."""
        _core.set_inference_mode(not self.mode)
        _core.set_grad_enabled(self.mode)


class set_grad_enabled(_Recording):
    """Recording switched to `mode` from now on; as a `with` block, for its length.

    >>> import trigrad as tg
    >>> with tg.set_grad_enabled(False):
    ...     tg.is_grad_enabled()
    False
    """

    def __new__(cls, mode: bool) -> Any:
        return object.__new__(cls)

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)
        self.made_in: Modes | None = _modes()
        self.switch()

    def __enter__(self) -> None:
        super().__enter__()
        if self.made_in is not None:  # the block's end goes back to before this object was made
            self.before[-1], self.made_in = self.made_in, None

    def __call__(self, function: F) -> F:
        """As a decorator it switches nothing now."""
        if self.made_in is not None:
            _switch_back(self.made_in)
            self.made_in = None
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Are calls recorded?

    >>> import trigrad as tg
    >>> tg.is_grad_enabled()
    True
    """
    return _core.is_grad_enabled()


def is_inference_mode_enabled() -> bool:
    """Is this thread inside `inference_mode`?

    >>> import trigrad as tg
    >>> with tg.inference_mode():
    ...     tg.is_inference_mode_enabled()
    True
    """
    return _core.is_inference_mode_enabled()


def is_inference(input: Tensor) -> bool:
    """Was the tensor made in `inference_mode`?

    input (...) -> a bool, whatever the shape

    >>> import trigrad as tg
    >>> tg.is_inference(tg.ones(2))
    False
    """
    return input.is_inference()


# ---- the backward pass


def _listed(what: str, value: Tensors | None) -> list[Tensor]:
    found = [value] if isinstance(value, Tensor) else list(value or ())
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(f"[backward] {what} holds a {type(t).__name__}, expected tensors")
    return found


def _seeds(op: str, outputs: list[Tensor], given: Gradients) -> list[Tensor]:
    """The gradients that the pass starts from: those given, or 1 for an output of one element."""
    if given is not None and not isinstance(given, Tensor | list | tuple):
        raise TypeError(
            f"[{op}] the gradient is a {type(given).__name__}, expected a tensor of the output's shape or None"
        )
    grads = [None] * len(outputs) if given is None else [given] if isinstance(given, Tensor) else list(given)
    if len(grads) != len(outputs):
        raise RuntimeError(
            f"[{op}] got {len(grads)} gradients for {len(outputs)} outputs, expected one (or None) for each"
        )
    seeds = []
    for y, g in zip(outputs, grads, strict=True):
        if not y.requires_grad:
            raise RuntimeError(
                f"[{op}] a tensor of shape {tuple(y.shape)} does not require a gradient: nothing that it was made of was "
                "given requires_grad=True, or it was made inside no_grad() or detached, or by a compiled function (put "
                "backward() inside of that)"
            )
        if g is None:
            if y.numel() != 1:
                raise RuntimeError(
                    f"[{op}] got an output of shape {tuple(y.shape)}, expected one element: only then is its gradient 1; "
                    "take the sum or mean first, or pass the gradient of your loss with respect to it"
                )
            g = ops.fill_(_core.empty(tuple(y.shape), y.dtype, y), 1)
        if not isinstance(g, Tensor):
            raise TypeError(f"[{op}] a gradient is a {type(g).__name__}, expected a tensor or None")
        if g.shape != y.shape:
            raise RuntimeError(
                f"[{op}] the gradient has shape {tuple(g.shape)}, expected that of the output: {tuple(y.shape)}"
            )
        seeds.append(g if g.dtype is y.dtype else ops.cast(g, y.dtype))
    return seeds


def _leads_to(roots: list[Node], targets: set[Any]) -> set[Node]:
    """The nodes with a way to a target."""
    seen: set[Node] = set(roots)
    stack = list(roots)
    while stack:
        for edge in stack.pop().edges:
            if edge and isinstance(edge[0], Node) and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    leading: set[Node] = set()
    for node in sorted(seen, key=lambda n: n.sequence):  # what an edge leads to comes before the node
        if any(e and (e[0] in targets or e[0] in leading) for e in node.edges):
            leading.add(node)
    return leading


RETAINING = -1  # the key of the hook that fills .grad of a tensor that is no leaf: it comes last (node.h)


def _hooked(hooks: dict[int, Callable[[Tensor], Tensor | None]], grad: Tensor) -> Tensor:
    for key, hook in tuple(hooks.items()):
        if key == RETAINING:
            continue
        changed = hook(grad)
        if changed is None:
            continue
        if not isinstance(changed, Tensor):
            raise TypeError(f"[register_hook] the hook returned a {type(changed).__name__}, expected a tensor or None")
        if changed.shape != grad.shape or changed.dtype is not grad.dtype:
            raise RuntimeError(
                f"[register_hook] the hook returned shape {tuple(changed.shape)} of {changed.dtype}, expected those of the "
                f"gradient: {tuple(grad.shape)} of {grad.dtype}"
            )
        grad = changed
    if RETAINING in hooks:
        hooks[RETAINING](grad)
    return grad


def _walk(
    op: str,
    outputs: list[Tensor],
    grads: Gradients,
    create_graph: bool,
    retain_graph: bool | None,
    wanted: list[Edge] | None = None,
) -> tuple[list[tuple[Tensor, Tensor]], dict[Edge, Tensor | None]]:
    """The gradients of the leaves and, by their places in the graph, of other tensors that are wanted (None: all leaves)."""
    before = _core.is_grad_enabled()
    try:
        _core.set_grad_enabled(create_graph)
        seeds = _seeds(op, outputs, grads)
        edges = [cast(Edge, _core.edge(y)) for y in outputs]
        leading, targets, captured = None, set[Any](), dict[Edge, Tensor | None]()
        if wanted is not None:
            targets = {e[0] for e in wanted}
            leading = _leads_to([e[0] for e in edges if isinstance(e[0], Node)], targets)
            captured = {e: None for e in wanted if isinstance(e[0], Node)}
        retain = create_graph if retain_graph is None else bool(retain_graph)
        check = _anomaly.check if _anomaly.looking else None
        leaves = _core.walk(edges, seeds, leading, targets, captured, bool(create_graph), retain, _hooked, check)
    finally:
        _core.set_grad_enabled(before)
    return leaves, captured


_accumulating = threading.RLock()  # threads may add to the same leaf


def _unlock_after_fork() -> None:
    global _accumulating
    _accumulating = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)


def backward(
    tensors: Tensors,
    grad_tensors: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of `tensors` to the .grad of the leaves that they were made of (of `inputs` alone, if given).

    tensors of any shapes, grad_tensors of the same; scalars need none

    >>> import trigrad as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> tg.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    outputs = _listed("tensors", tensors)
    wanted = None if inputs is None else _listed("inputs", inputs)
    if wanted is not None and not wanted:
        raise RuntimeError(
            "[backward] inputs is empty, expected the tensors whose .grad is wanted, or None for all leaves"
        )
    for x in wanted or ():
        if not x.requires_grad:
            raise RuntimeError(
                "[backward] one of the inputs does not require a gradient; set x.requires_grad_() before"
            )

    if create_graph:
        warn(
            "[backward] create_graph=True makes .grad of a leaf keep the graph, and so the leaf itself, alive; use "
            "autograd.grad(..., create_graph=True), or set .grad to None afterwards"
        )
    if wanted is None:
        found, _ = _walk("backward", outputs, grad_tensors, create_graph, retain_graph)
    else:
        edges = [cast(Edge, _core.edge(x)) for x in wanted]
        leaves, captured = _walk("backward", outputs, grad_tensors, create_graph, retain_graph, edges)
        by_leaf = dict(leaves)
        grads = [captured[e] if isinstance(e[0], Node) else by_leaf.get(x) for x, e in zip(wanted, edges, strict=True)]
        found = [(x, g) for x, g in dict(zip(wanted, grads, strict=True)).items() if g is not None]
    before = _core.is_grad_enabled()
    try:
        _core.set_grad_enabled(create_graph)
        with _accumulating:
            _core.accumulate(found, bool(create_graph))
        for leaf, _ in found:
            if leaf._post_hooks:
                for hook in tuple(leaf._post_hooks.values()):
                    hook(leaf)
    finally:
        _core.set_grad_enabled(before)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `outputs` with respect to `inputs`; no .grad is touched. With `create_graph` they can be
    differentiated again.

    outputs of any shapes, grad_outputs of the same; scalars need none -> gradients of the shapes of `inputs`

    >>> import trigrad as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> (slope,) = tg.autograd.grad(x**3, x, create_graph=True)
    >>> tg.autograd.grad(slope, x)
    (tensor(18.),)
    """
    if not only_inputs:
        raise ValueError("[grad] only_inputs=False is not supported; use backward()")
    if is_grads_batched:
        raise NotImplementedError("[grad] is_grads_batched is not supported; call grad() once per row")
    if allow_unused is False and materialize_grads:
        raise ValueError("[grad] materialize_grads=True needs allow_unused=True or None")
    made_of = _listed("inputs", inputs)
    if not made_of:
        raise RuntimeError("[grad] inputs is empty, expected the tensors with respect to which gradients are wanted")
    edges = [_core.edge(x) for x in made_of]
    for x, edge in zip(made_of, edges, strict=True):
        if edge is None:
            raise RuntimeError(
                f"[grad] an input of shape {tuple(x.shape)} does not require a gradient; set x.requires_grad_() before "
                "the outputs are computed"
            )
    known = cast(list[Edge], edges)
    leaves, captured = _walk("grad", _listed("outputs", outputs), grad_outputs, create_graph, retain_graph, known)
    by_leaf = dict(leaves)
    results = []
    for x, edge in zip(made_of, known, strict=True):
        found = captured[edge] if isinstance(edge[0], Node) else by_leaf.get(x)
        if found is None:
            if materialize_grads:
                found = ops.fill_(_core.empty(tuple(x.shape), x.dtype, x), 0)
            elif not allow_unused:
                raise RuntimeError(
                    "[grad] one of the inputs was not used for the outputs; pass allow_unused=True to get None for it"
                )
        results.append(found)
    return cast(tuple[Tensor, ...], tuple(results))


# ---- what the tape asks for


def _copy_slices(
    grads: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    attributes: Sequence[Any],
    wanted: Sequence[bool],
) -> Sequence[Tensor | None]:
    """A view of the base was overwritten: the base's gradient there goes through what wrote (attributes[0]), elsewhere on."""
    (base,), (view,), (writer,) = inputs[:1], outputs, attributes
    low, size = extent(base)
    memory = fill((size,), 0, grads[0])
    whole = memory.as_strided(base.shape, base.stride(), base.storage_offset() - low)
    ops.copy_(whole, grads[0])
    part = memory.as_strided(view.shape, view.stride(), view.storage_offset() - low)
    made = writer.apply((part.clone(),), is_grad_enabled(), (True, *wanted[1:]))
    if made[0] is None:
        ops.fill_(part, 0)
    else:
        ops.copy_(part, made[0])
    return (whole, *made[1:])


def install() -> None:
    """Give the extension the rules by which it builds nodes."""
    for name, rule in _vjp.RULES.items():
        _core.set_formula(name, rule.function, rule.reads, rule.carries)
    for kind, function in _vjp.VIEWS.items():
        _core.set_view_formula(kind, function)
    _core.set_view_formula("copy_slices", _copy_slices)
