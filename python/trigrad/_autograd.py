"""Reverse differentiation over the graph that the tape recorded: `backward`, `grad`, and what switches recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from heapq import heappop, heappush
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

from trigrad import _core, _vjp, ops
from trigrad._core import Node, Tensor
from trigrad._vjp.rule import fill
from trigrad._vjp.views import extent

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])
Tensors: TypeAlias = "Tensor | Sequence[Tensor]"
Gradients: TypeAlias = "Tensor | Sequence[Tensor | None] | None"


# ---- recording on and off


class _Recording:
    """Recording switched to `mode` for the length of a `with` block, or of every call of a decorated function."""

    mode = False

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        made.before = []
        return made(function)  # @no_grad without parentheses

    def __enter__(self) -> None:
        self.before.append(_core.set_grad_enabled(self.mode))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _core.set_grad_enabled(self.before.pop())

    def __call__(self, function: F) -> F:
        @wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            before = _core.set_grad_enabled(self.mode)
            try:
                return function(*args, **kwargs)
            finally:
                _core.set_grad_enabled(before)

        return cast(F, switched)


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
    """As `no_grad`; `inference_mode(False)` records.

    >>> import trigrad as tg
    >>> with tg.inference_mode():
    ...     (2 * tg.ones(2, requires_grad=True)).requires_grad
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        if isinstance(mode, bool):
            made = object.__new__(cls)
            made.mode = not mode
            return made
        return super().__new__(cls, mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()


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
        self.before.append(_core.set_grad_enabled(self.mode))

    def __enter__(self) -> None:
        _core.set_grad_enabled(self.mode)


def is_grad_enabled() -> bool:
    """Are calls recorded?

    >>> import trigrad as tg
    >>> tg.is_grad_enabled()
    True
    """
    return _core.is_grad_enabled()


# ---- the backward pass


def _listed(what: str, value: Tensors | None) -> list[Tensor]:
    found = [value] if isinstance(value, Tensor) else list(value or ())
    if not all(isinstance(t, Tensor) for t in found):
        raise TypeError(f"[backward] {what} holds a {type(found[0]).__name__}, expected tensors")
    return found


def _seeds(op: str, outputs: list[Tensor], given: Gradients) -> list[Tensor]:
    """The gradients that the pass starts from: those given, or 1 for an output of one element."""
    grads = [given] if given is None or isinstance(given, Tensor) else list(given)
    grads += [None] * (len(outputs) - len(grads))
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
            g = ops.fill_(_core.empty(tuple(y.shape), y.dtype), 1)
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


def _hooked(hooks: dict[int, Callable[[Tensor], Tensor | None]], grad: Tensor) -> Tensor:
    for hook in tuple(hooks.values()):
        changed = hook(grad)
        if changed is not None:
            grad = changed
    return grad


class _Pass:
    """One walk over the graph, from the latest node to the earliest."""

    def __init__(self, create_graph: bool, retain_graph: bool) -> None:
        self.create_graph, self.retain_graph = create_graph, retain_graph
        self.pending: dict[Node, list[Tensor | None]] = {}  # per output the gradient summed so far
        self.queue: list[tuple[int, Node]] = []
        self.leaves: dict[Tensor, tuple[Tensor, bool]] = {}  # the gradient, and may the leaf keep it as it is?
        self.captured: dict[tuple[Node, int], Tensor | None] = {}
        self.leading: set[Node] | None = None  # the nodes to be differentiated; None: all

    def give(self, target: Any, output: int, grad: Tensor, own: bool) -> None:
        if not isinstance(target, Node):
            so_far = self.leaves.get(target)
            self.leaves[target] = (grad, own) if so_far is None else (ops.add(so_far[0], grad), True)
            return
        if self.leading is not None and target not in self.leading and (target, output) not in self.captured:
            return
        grads = self.pending.get(target)
        if grads is None:
            grads = self.pending[target] = [None] * target.n_outputs
            heappush(self.queue, (-target.sequence, target))
        before = grads[output]
        grads[output] = grad if before is None else ops.add(before, grad)

    def run(self) -> None:
        while self.queue:
            _, node = heappop(self.queue)
            grads = self.pending.pop(node)
            for k, hooks in (node.hooks or {}).items():
                grad = grads[k]
                if grad is not None:
                    grads[k] = _hooked(hooks, grad)
            for k, grad in enumerate(grads):
                if (node, k) in self.captured:
                    self.captured[node, k] = grad
            if self.leading is None or node in self.leading:
                self.step(node, grads)

    def wanted(self, edges: tuple[tuple[Any, int] | None, ...]) -> tuple[bool, ...] | None:
        """Which gradients lead to where one is asked for. None: all that there are."""
        if self.leading is None:
            return None
        return tuple(
            e is not None and (not isinstance(e[0], Node) or e[0] in self.leading or e in self.captured) for e in edges
        )

    def step(self, node: Node, grads: list[Tensor | None]) -> None:
        edges = node.edges
        made = node.apply(tuple(grads), self.create_graph, self.wanted(edges))
        _check_anomaly(node, made)
        if not self.retain_graph:
            node.release()
        taken = {id(g) for g in grads}
        for edge, grad in zip(edges, made, strict=True):
            if edge is not None and grad is not None:
                own = node.is_row and id(grad) not in taken
                taken.add(id(grad))
                self.give(edge[0], edge[1], grad, own)


def _walk(
    op: str,
    outputs: list[Tensor],
    grads: Gradients,
    create_graph: bool,
    retain_graph: bool | None,
    prepare: Callable[[_Pass, list[Node]], None],
) -> _Pass:
    walk = _Pass(create_graph, create_graph if retain_graph is None else retain_graph)
    before = _core.set_grad_enabled(create_graph)
    try:
        seeds = _seeds(op, outputs, grads)
        edges = [cast(tuple[Any, int], _core.edge(y)) for y in outputs]
        prepare(walk, [e[0] for e in edges if isinstance(e[0], Node)])
        for (target, output), seed in zip(edges, seeds, strict=True):
            walk.give(target, output, seed, own=False)
        walk.run()
        for leaf, (grad, own) in walk.leaves.items():
            if leaf._hooks:
                walk.leaves[leaf] = _hooked(leaf._hooks, grad), own
    finally:
        _core.set_grad_enabled(before)
    return walk


def _accumulate(leaf: Tensor, grad: Tensor, own: bool, create_graph: bool) -> None:
    """Into leaf.grad: in place where there is one, else as it is if nobody else holds its memory, else as a copy."""
    if leaf.grad is None:
        leaf.grad = grad if create_graph or (own and grad._exclusive) else grad.clone()
    elif create_graph:
        leaf.grad = ops.add(leaf.grad, grad)
    else:
        leaf.grad.add_(grad)


def backward(
    tensors: Tensors,
    grad_tensors: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of `tensors` to the .grad of the leaves that they were made of (of `inputs` alone, if given).

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

    edges = [cast(tuple[Any, int], _core.edge(x)) for x in wanted or ()]

    def prepare(walk: _Pass, roots: list[Node]) -> None:
        if wanted is not None:
            walk.leading = _leads_to(roots, {e[0] for e in edges})
            walk.captured = {e: None for e in edges if isinstance(e[0], Node)}

    walk = _walk("backward", outputs, grad_tensors, create_graph, retain_graph, prepare)
    found = dict(walk.leaves)
    if wanted is not None:
        kept = {
            x: walk.leaves.get(x) if not isinstance(e[0], Node) else (walk.captured[e], False)
            for x, e in zip(wanted, edges, strict=True)
        }
        found = {x: cast(tuple[Tensor, bool], g) for x, g in kept.items() if g is not None and g[0] is not None}
    before = _core.set_grad_enabled(create_graph)
    try:
        for leaf, (grad, own) in found.items():
            _accumulate(leaf, grad, own, create_graph)
            for hook in tuple((leaf._post_hooks or {}).values()):
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
    edges = [_core.edge(x) for x in made_of]
    for x, edge in zip(made_of, edges, strict=True):
        if edge is None:
            raise RuntimeError(
                f"[grad] an input of shape {tuple(x.shape)} does not require a gradient; set x.requires_grad_() before "
                "the outputs are computed"
            )
    known = cast(list[tuple[Any, int]], edges)

    def prepare(walk: _Pass, roots: list[Node]) -> None:
        walk.leading = _leads_to(roots, {e[0] for e in known})
        walk.captured = {e: None for e in known if isinstance(e[0], Node)}

    walk = _walk("grad", _listed("outputs", outputs), grad_outputs, create_graph, retain_graph, prepare)
    results = []
    for x, edge in zip(made_of, known, strict=True):
        found = walk.captured[edge[0], edge[1]] if isinstance(edge[0], Node) else walk.leaves.get(x, (None, False))[0]
        if found is None:
            if materialize_grads:
                found = ops.fill_(_core.empty(tuple(x.shape), x.dtype), 0)
            elif not allow_unused:
                raise RuntimeError(
                    "[grad] one of the inputs was not used for the outputs; pass allow_unused=True to get None for it"
                )
        results.append(found)
    return cast(tuple[Tensor, ...], tuple(results))


# ---- anomalies

_anomaly = False


class detect_anomaly:
    """Name the op whose backward pass made the first NaN, in a `with` block.

    >>> import trigrad as tg
    >>> x = tg.tensor(0.0, requires_grad=True)
    >>> with tg.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).backward()
    Traceback (most recent call last):
    RuntimeError: [backward] the gradient of sqrt, input 0, shape (), has NaN; look at what goes into it
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.mode = check_nan

    def __enter__(self) -> None:
        global _anomaly
        self.before, _anomaly = _anomaly, self.mode

    def __exit__(self, *error: object) -> None:
        global _anomaly
        _anomaly = self.before


def _check_anomaly(node: Node, made: tuple[Tensor | None, ...]) -> None:
    if not _anomaly:
        return
    for i, g in enumerate(made):
        if g is not None and bool(ops.amax(ops.isnan(g)) if g.numel() else False):
            raise RuntimeError(
                f"[backward] the gradient of {node.name}, input {i}, shape {tuple(g.shape)}, has NaN; look at what goes into it"
            )


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
