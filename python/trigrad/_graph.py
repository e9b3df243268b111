"""The graph that the tape recorded, to be looked at: as text and for Graphviz, with values and partial derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import count, zip_longest
from typing import Any, TypeAlias

from trigrad import _core, ops
from trigrad._autograd import _seeds
from trigrad._core import Node, Tensor
from trigrad._vjp.views import extent

__all__ = ["graph"]

Place: TypeAlias = "tuple[Node | Tensor, int]"  # a node and which of its outputs, or a leaf and 0
Seen: TypeAlias = "tuple[tuple[Tensor, bool, int] | None, ...]"
Inspected: TypeAlias = "tuple[Node, Seen, Seen, tuple[Any, ...]]"
WHOLE = 6  # tensors of at most so many elements are printed whole
LINES = 60  # of a longer graph repr() leaves out the middle


class Entry:
    """One quantity of the graph: a leaf, or an output of a recorded call."""

    def __init__(
        self,
        name: str,
        op: str | None,  # the row or kind of view that made it; None for a leaf
        output: int,  # which output
        inputs: list[Entry | Tensor | tuple[int, ...] | None],  # of constants the value or the shape
        options: dict[str, Any] | None = None,  # attributes other than their defaults
        shape: tuple[int, ...] = (),
        value: Tensor | None = None,  # None: neither kept by the tape nor to be had from what is
    ) -> None:
        self.name, self.op, self.output, self.inputs = name, op, output, inputs
        self.options = options or {}
        self.shape, self.value = shape, value
        self.partial: Tensor | None = None  # dy/d(this)

    def expression(self) -> str:
        """add(x, 3)"""
        if self.op is None:
            return "leaf"
        arguments = [i.name if isinstance(i, Entry) else _text(i) for i in self.inputs]
        arguments += [f"{name}={value}" for name, value in self.options.items()]
        return f"{self.op}({', '.join(arguments)})" + (f"[{self.output}]" if self.output else "")


def _number(v: Any) -> str:
    return f"{v:.5g}" if isinstance(v, float) else str(v)


def _nested(data: Any) -> str:
    return f"[{', '.join(map(_nested, data))}]" if isinstance(data, list) else _number(data)


def _text(t: Tensor | tuple[int, ...] | None) -> str:
    """The numbers if they are few, else shape and range; the shape alone where the values are not known."""
    if t is None or isinstance(t, tuple):
        return str(t)
    if 0 < t.numel() <= WHOLE:
        return _nested(t.tolist())
    if t.numel() == 0 or t.dtype is _core.bool:
        return str(tuple(t.shape))
    t = ops.cast(t, _core.float64)
    return f"{tuple(t.shape)} {_number(ops.amin(t).item())} … {_number(ops.amax(t).item())}"


class Graph:
    """What `graph(y)` found. `str()` is a table, `dot()` a drawing for Graphviz; `nodes` are the quantities themselves, in
    the order of their computation, and `graph["name"]` one of them."""

    def __init__(self, nodes: list[Entry], note: str) -> None:
        self.nodes, self.note = nodes, note

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Entry:
        for entry in self.nodes:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def _table(self, nodes: Sequence[Entry]) -> list[str]:
        rows = [("", "made by", "value", "partial")]
        for e in nodes:
            rows.append((e.name, e.expression(), _text(e.shape if e.value is None else e.value), _shown(e.partial)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

    def __str__(self) -> str:
        return "\n".join([*self._table(self.nodes), *([self.note] if self.note else [])])

    def __repr__(self) -> str:
        left_out = len(self.nodes) - LINES
        if left_out <= 0:
            return str(self)
        lines = self._table([*self.nodes[: LINES // 2], *self.nodes[-LINES // 2 :]])
        lines.insert(1 + LINES // 2, f"... {left_out} more, which print() shows ...")
        return "\n".join([*lines, *([self.note] if self.note else [])])

    def dot(self) -> str:
        """The graph in the language of Graphviz, from left to right: `dot -Tsvg` draws it."""
        lines = ["digraph {", "  rankdir=LR", '  node [shape=box, fontname="monospace"]']
        places = {e: f"n{i}" for i, e in enumerate(self.nodes)}
        for e, place in places.items():
            parts = [e.name if e.op is None else f"{e.name} = {e.expression()}"]
            parts.append(_text(e.shape if e.value is None else e.value))
            if e.partial is not None:
                parts.append("∂ " + _text(e.partial))
            label = "\\n".join(p.replace("\\", "\\\\").replace('"', '\\"') for p in parts)
            lines.append(f'  {place} [label="{label}"{", shape=ellipse" if e.op is None else ""}]')
            lines += [f"  {places[i]} -> {place}" for i in e.inputs if isinstance(i, Entry)]
        return "\n".join([*lines, "}"]) + "\n"


def _shown(partial: Tensor | None) -> str:
    return "" if partial is None else _text(partial)


def graph(y: Tensor, gradient: Tensor | None = None, names: Mapping[str, Tensor] | None = None) -> Graph:
    """How `y` was computed from the leaves that require a gradient: each quantity once, in the order of computation, with
    its value and its partial derivative dy/d(quantity); `.dot()` is the same for Graphviz. No .grad is touched.

    `names` are shown for the tensors that they belong to, such as `dict(net.named_parameters())`. If `y` has more than one
    element, `gradient` (of its shape) weighs them. Take the graph before `backward()`, which frees what the tape kept.

    >>> import trigrad as tg
    >>> x, y, z = (tg.tensor(v, requires_grad=True) for v in (4.0, -3.0, 5.0))
    >>> tg.graph((x + y) * z, names={"x": x, "y": y, "z": z})
        made by     value  partial
    x   leaf        4      5
    y   leaf        -3     5
    %1  add(x, y)   1      5
    z   leaf        5      1
    %2  mul(%1, z)  5      1
    """
    if not isinstance(y, Tensor):
        raise TypeError(f"[graph] got a {type(y).__name__}, expected a tensor")
    root = _core.edge(y)
    if root is None:
        raise RuntimeError(
            f"[graph] a tensor of shape {tuple(y.shape)} does not require a gradient: nothing that it was made of was given "
            "requires_grad=True, or it was made inside no_grad() or detached"
        )
    given = {place: name for name, t in (names or {}).items() if (place := _core.edge(t)) is not None}
    before = _core.set_grad_enabled(False)
    try:
        return _found(root, y, gradient, given)
    finally:
        _core.set_grad_enabled(before)


# ---- the structure


def _nodes(root: Place) -> list[Node]:
    """All nodes that the root is made of, the earliest first."""
    seen = {root[0]} if isinstance(root[0], Node) else set()
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if edge and isinstance(edge[0], Node) and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return sorted(seen, key=lambda n: n.sequence)


def _found(root: Place, y: Tensor, gradient: Tensor | None, names: dict[Place, str]) -> Graph:
    nodes = [(node, *node.inspect()) for node in _nodes(root)]
    used = {root, *(edge for node, *_ in nodes for edge in node.edges if edge)}
    entries: dict[Place, Entry] = {}
    taken = set(names.values())
    free = (name for i in count(1) if (name := f"x{i}") not in taken)

    def add_leaf(leaf: Tensor) -> None:
        name = names.get((leaf, 0)) or next(free)
        entries[leaf, 0] = Entry(name, None, 0, [], shape=tuple(leaf.shape), value=leaf.detach())

    if isinstance(root[0], Tensor):
        add_leaf(root[0])
    for number, (node, looked_at, made, attributes) in enumerate(nodes, 1):
        inputs: list[Entry | Tensor | tuple[int, ...] | None] = []
        for edge, seen in zip_longest(node.edges, looked_at):
            if edge:
                if isinstance(edge[0], Tensor) and edge not in entries:
                    add_leaf(edge[0])
                inputs.append(entries[edge])
            elif seen:
                inputs.append(seen[0] if seen[1] else tuple(seen[0].shape))
            else:
                inputs.append(None)
        while inputs and inputs[-1] is None:
            inputs.pop()
        options = _options(node.name, attributes) if node.is_row else {}
        for k in range(node.n_outputs):
            if (node, k) in used:
                name = names.get((node, k)) or (f"%{number}.{k}" if k else f"%{number}")
                output = made[k] if k < len(made) else None
                shape = tuple(output[0].shape) if output else ()
                entries[node, k] = Entry(name, node.name, k, inputs, options, shape)
    _values(root, y, nodes, entries)
    note = _partials(root, y, gradient, [node for node, *_ in nodes], entries)
    return Graph(list(entries.values()), note)


@cache
def _rows() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in _core.op_table()}


def _options(row: str, attributes: tuple[Any, ...]) -> dict[str, Any]:
    params = [p for p in _rows()[row]["params"] if "Tensor" not in p["kind"]]
    return {
        p["name"]: value
        for p, value in zip(params, attributes, strict=True)
        if "default" not in p or p["default"] != value
    }


# ---- values: those that the tape kept, and what can be computed from them again

Value: TypeAlias = "tuple[Tensor, bool]"  # and: does it share memory with the user's tensors?
Known: TypeAlias = "dict[Place, Value]"
VIEWS = ("reshape", "expand", "strided")


def _values(root: Place, y: Tensor, nodes: list[Inspected], entries: dict[Place, Entry]) -> None:
    known: Known = {place: (e.value, True) for place, e in entries.items() if e.value is not None}
    for node, inputs, outputs, _ in nodes:
        for edge, seen in zip(node.edges, inputs, strict=False):
            if edge and seen and seen[1]:
                known.setdefault(edge, (seen[0], True))
        for k, seen in enumerate(outputs):
            if seen and seen[1]:
                known.setdefault((node, k), (seen[0], True))
    known[root] = (y.detach(), True)
    for found in nodes:
        places: list[Place] = [(found[0], k) for k in range(found[0].n_outputs)]
        if any(place in entries and place not in known for place in places):
            for place, value in zip(places, _again(*found, known), strict=False):
                known.setdefault(place, value)
    for place, e in entries.items():
        if place in known:
            e.value = known[place][0]


def _again(node: Node, looked_at: Seen, outputs: Seen, attributes: tuple[Any, ...], known: Known) -> list[Value]:
    """The outputs of a call, computed from what is known of its inputs. Empty if that is too little."""
    if node.name in VIEWS and not node.is_row and not attributes:
        edge, x, view = node.edges[0], looked_at[0], outputs[0]
        return [_view(*known[edge], x[0], view[0])] if edge in known and x and view else []
    if not node.is_row:
        return []
    inputs: list[Tensor | None] = []
    for i, (edge, seen) in enumerate(zip(node.edges, looked_at, strict=True)):
        if seen is None:
            inputs.append(None)
        elif i == 0 and node.name in ("copy_", "fill_"):  # they overwrite it
            inputs.append(_core.empty(seen[0].shape, seen[0].dtype, seen[0]))
        elif i in (1, 2) and node.name == "native_batch_norm" and attributes[0]:  # in training it only moves them
            inputs.append(None)
        elif seen[1]:
            inputs.append(seen[0])
        else:
            value, shared = known.get(edge, (None, False)) if edge else (None, False)
            if value is None or (shared and value._version != seen[2]):  # overwritten since
                return []
            inputs.append(value)
    made = _core.call(node.name, inputs, attributes)
    return [(t, False) for t in (made if isinstance(made, tuple) else (made,))]


def _view(value: Tensor, shared: bool, x: Tensor, y: Tensor) -> Value:
    """A view of `value` that has to it the relation of y to x, of which only the geometry is known."""
    if value.stride() == x.stride() and value.storage_offset() == x.storage_offset():
        return value.as_strided(y.shape, y.stride(), y.storage_offset()), shared
    low, size = extent(x)
    memory = _core.empty((size,), value.dtype, value)
    ops.copy_(memory.as_strided(x.shape, x.stride(), x.storage_offset() - low), value)
    return memory.as_strided(y.shape, y.stride(), y.storage_offset() - low), False


# ---- partial derivatives


def _partials(root: Place, y: Tensor, gradient: Tensor | None, nodes: list[Node], entries: dict[Place, Entry]) -> str:
    """Fill them in, or say why not."""
    if any(node.is_released for node in nodes):
        for place, entry in entries.items():
            if isinstance(place[0], Tensor):
                entry.partial = place[0].grad
        return (
            "a backward pass has freed the graph: what it kept is lost, and beside the leaves stands their .grad; take the "
            "graph before, or pass retain_graph=True"
        )
    if gradient is None and y.numel() != 1:
        return f"no partials: y has shape {tuple(y.shape)}; pass the gradient of your loss with respect to it"
    summed: dict[Place, Tensor] = {root: _seeds("graph", [y], gradient)[0]}
    try:
        for node in reversed(nodes):
            grads = tuple(summed.get((node, k)) for k in range(node.n_outputs))
            if all(g is None for g in grads):
                continue
            for edge, grad in zip(node.edges, node.apply(grads, False, None), strict=True):
                if edge is not None and grad is not None:
                    summed[edge] = ops.add(summed[edge], grad) if edge in summed else grad
    except RuntimeError as error:
        return f"no partials: {error}"
    for place, entry in entries.items():
        entry.partial = summed.get(place)
    return ""
