"""Jacobians, Hessians and their products with vectors, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from trigrad import _core, ops
from trigrad._autograd import enable_grad, grad
from trigrad._core import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors: TypeAlias = "Tensor | tuple[Tensor, ...]"


def _leaves(inputs: Tensors | Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as leaves of a graph of their own, or (create_graph) as parts of the one that they are in."""
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if create_graph:
        return tuple(x if x.requires_grad else x.detach().requires_grad_() for x in given)
    return tuple(x.detach().requires_grad_() for x in given)


def _outputs(op: str, func: Callable[..., Any], leaves: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], bool]:
    made = func(*leaves)
    outputs = made if isinstance(made, tuple) else (made,)
    if not all(isinstance(y, Tensor) for y in outputs):
        raise TypeError(
            f"[{op}] the function returned a {type(made).__name__}, expected a tensor or a tuple of tensors"
        )
    return outputs, not isinstance(made, tuple)


def _one_or_all(values: Sequence[Any], one: bool) -> Any:
    return values[0] if one else tuple(values)


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    return ops.fill_(_core.empty(tuple(shape), like.dtype), 0)


def _gradients(
    outputs: tuple[Tensor, ...], leaves: tuple[Tensor, ...], seeds: Sequence[Tensor | None], create_graph: bool
) -> list[Tensor]:
    """Zeros where an output does not depend on a leaf."""
    pairs = [(y, v) for y, v in zip(outputs, seeds, strict=True) if y.requires_grad]
    if not pairs:
        return [_zeros(x.shape, x) for x in leaves]
    found = grad(
        [y for y, _ in pairs],
        leaves,
        [v for _, v in pairs],
        retain_graph=True,
        create_graph=create_graph,
        materialize_grads=True,
    )
    return list(found)


@enable_grad()
def vjp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """func(inputs), and `v` (of the shape of the output) times its Jacobian.

    >>> import trigrad as tg
    >>> tg.autograd.functional.vjp(lambda x: x * x, tg.tensor([1.0, 2.0]), tg.ones(2))[1]
    tensor([2., 4.])
    """
    leaves = _leaves(inputs, create_graph)
    outputs, one = _outputs("vjp", func, leaves)
    seeds: tuple[Tensor | None, ...] = (
        (None,) * len(outputs) if v is None else (v,) if isinstance(v, Tensor) else tuple(v)
    )
    found = _gradients(outputs, leaves, seeds, create_graph)
    if strict:
        _require_dependence("vjp", outputs)
    done = outputs if create_graph else tuple(y.detach() for y in outputs)
    return _one_or_all(done, one), _one_or_all(found, isinstance(inputs, Tensor))


@enable_grad()
def jvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """func(inputs), and its Jacobian times `v` (of the shape of the inputs), by two backward passes.

    >>> import trigrad as tg
    >>> tg.autograd.functional.jvp(lambda x: x * x, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 0.0]))[1]
    tensor([2., 0.])
    """
    leaves = _leaves(inputs, create_graph)
    outputs, one = _outputs("jvp", func, leaves)
    if strict:
        _require_dependence("jvp", outputs)
    directions = [None] * len(leaves) if v is None else [v] if isinstance(v, Tensor) else list(v)
    # u -> uᵀ J is linear in u: its own vector-Jacobian product with v is J v.
    u = tuple(_zeros(y.shape, y).requires_grad_() for y in outputs)
    rows = _gradients(outputs, leaves, u, create_graph=True)
    found = _gradients(tuple(rows), u, list(directions), create_graph)
    done = outputs if create_graph else tuple(y.detach() for y in outputs)
    return _one_or_all(done, one), _one_or_all(found, one)


@enable_grad()
def jacobian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """The derivatives of every element of the output with respect to every element of the input.

    input (a, b), output (c,) -> (c, a, b); a tuple for several inputs, a tuple of tuples for several outputs.

    >>> import trigrad as tg
    >>> tg.autograd.functional.jacobian(lambda x: x * x, tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    leaves = _leaves(inputs, create_graph)
    outputs, one = _outputs("jacobian", func, leaves)
    if strict:
        _require_dependence("jacobian", outputs)
    table = []
    for y in outputs:
        rows: list[list[Tensor]] = []
        for k in range(y.numel()):
            seed = _zeros((y.numel(),), y)
            seed[k] = 1
            rows.append(_gradients((y,), leaves, [seed.reshape(y.shape)], create_graph))
        columns = [
            ops.cat([r[i].reshape((1, *x.shape)) for r in rows]).reshape((*y.shape, *x.shape))
            if rows
            else _zeros((*y.shape, *x.shape), x)
            for i, x in enumerate(leaves)
        ]
        table.append(_one_or_all(columns, isinstance(inputs, Tensor)))
    return _one_or_all(table, one)


def hessian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """The second derivatives of a function of one element.

    input (a,) -> (a, a)

    >>> import trigrad as tg
    >>> tg.autograd.functional.hessian(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    one = isinstance(inputs, Tensor)

    def slopes(*leaves: Tensor) -> Any:
        made = jacobian(func, leaves[0] if one else leaves, create_graph=True, strict=strict)
        values = (made,) if one else made
        if any(g.numel() != x.numel() for g, x in zip(values, leaves, strict=True)):
            raise RuntimeError("[hessian] the function returned several elements, expected one: take its sum")
        shaped = tuple(g.reshape(x.shape) for g, x in zip(values, leaves, strict=True))
        return shaped[0] if one else shaped

    return jacobian(slopes, inputs, create_graph=create_graph, strict=strict)


def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """func(inputs) of one element, and `v` times its Hessian.

    >>> import trigrad as tg
    >>> tg.autograd.functional.vhp(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]), tg.ones(2))[1]
    tensor([ 6., 12.])
    """
    with enable_grad():
        leaves = _leaves(inputs, create_graph)
        outputs, one = _outputs("vhp", func, leaves)
        slopes = _gradients(outputs, leaves, [None] * len(outputs), create_graph=True)
        directions = [v] if isinstance(v, Tensor) else list(v or [None] * len(leaves))
        found = _gradients(tuple(slopes), leaves, directions, create_graph)
        done = outputs if create_graph else tuple(y.detach() for y in outputs)
        return _one_or_all(done, one), _one_or_all(found, isinstance(inputs, Tensor))


hvp = vhp  # a Hessian is its own transpose


def _require_dependence(op: str, outputs: tuple[Tensor, ...]) -> None:
    for k, y in enumerate(outputs):
        if not y.requires_grad:
            raise RuntimeError(f"[{op}] output {k} does not depend on the inputs, and strict=True refuses that")
