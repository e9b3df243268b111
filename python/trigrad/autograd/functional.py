"""Jacobians, Hessians and their products with vectors, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from trigrad import _core, ops
from trigrad._autograd import enable_grad, grad
from trigrad._core import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors: TypeAlias = "Tensor | tuple[Tensor, ...]"


def _leaves(op: str, inputs: Tensors, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as leaves of a graph of their own, or (create_graph) as parts of the one that they are in."""
    given = _tensors(op, "inputs", inputs)
    if create_graph:
        return tuple(x if x.requires_grad else x.detach().requires_grad_() for x in given)
    return tuple(x.detach().requires_grad_() for x in given)


def _tensors(op: str, what: str, value: Any) -> tuple[Tensor, ...]:
    found = (value,) if isinstance(value, Tensor) else value
    if not isinstance(found, tuple) or not all(isinstance(t, Tensor) for t in found):
        raise TypeError(f"[{op}] {what} is a {type(value).__name__}, expected a tensor or a tuple of tensors")
    return found


def _outputs(op: str, func: Callable[..., Any], leaves: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], bool]:
    made = func(*leaves)
    return _tensors(op, "what the function returned", made), isinstance(made, Tensor)


def _vectors(op: str, v: Any, of: tuple[Tensor, ...], what: str) -> list[Tensor]:
    """v, which has the shapes of the tensors `of`; 1 for a single one of one element."""
    if v is None:
        if len(of) != 1 or of[0].numel() != 1:
            raise RuntimeError(
                f"[{op}] v is None, expected it of the shape of the {what}: only for one element is it 1"
            )
        return [ops.fill_(_core.empty(tuple(of[0].shape), of[0].dtype, of[0]), 1)]
    given = _tensors(op, "v", v)
    if len(given) != len(of):
        raise RuntimeError(f"[{op}] v holds {len(given)} tensors, expected one for each of the {len(of)} {what}s")
    for t, like in zip(given, of, strict=True):
        if t.shape != like.shape:
            raise RuntimeError(f"[{op}] v has shape {tuple(t.shape)}, expected that of the {what}: {tuple(like.shape)}")
    return list(given)


def _one_element(op: str, outputs: tuple[Tensor, ...]) -> None:
    if len(outputs) != 1 or outputs[0].numel() != 1:
        shapes = ", ".join(str(tuple(y.shape)) for y in outputs)
        raise RuntimeError(f"[{op}] the function returned shape {shapes}, expected a single element: take its sum")


def _one_or_all(values: Sequence[Any], one: bool) -> Any:
    return values[0] if one else tuple(values)


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    return ops.fill_(_core.empty(tuple(shape), like.dtype, like), 0)


def _gradients(
    op: str,
    outputs: tuple[Tensor, ...],
    leaves: tuple[Tensor, ...],
    seeds: Sequence[Tensor | None],
    create_graph: bool,
    strict: bool = False,
) -> list[Tensor]:
    """Zeros where no output depends on a leaf, unless `strict`."""
    pairs = [(y, v) for y, v in zip(outputs, seeds, strict=True) if y.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if pairs:
        found = grad(
            [y for y, _ in pairs],
            leaves,
            [v for _, v in pairs],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    for i, g in enumerate(found):
        if strict and (g is None or (create_graph and not g.requires_grad)):
            raise RuntimeError(
                f"[{op}] what is differentiated does not depend on input {i}, and strict=True refuses that"
            )
    return [_zeros(x.shape, x) if g is None else g for g, x in zip(found, leaves, strict=True)]


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
    leaves = _leaves("vjp", inputs, create_graph)
    outputs, one = _outputs("vjp", func, leaves)
    if strict:
        _require_dependence("vjp", outputs)
    found = _gradients("vjp", outputs, leaves, _vectors("vjp", v, outputs, "output"), create_graph, strict)
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
    leaves = _leaves("jvp", inputs, create_graph)
    outputs, one = _outputs("jvp", func, leaves)
    if strict:
        _require_dependence("jvp", outputs)
    directions = _vectors("jvp", v, leaves, "input")
    # u -> uᵀ J is linear in u: its own vector-Jacobian product with v is J v.
    u = tuple(_zeros(y.shape, y).requires_grad_() for y in outputs)
    rows = _gradients("jvp", outputs, leaves, u, create_graph=True, strict=strict)
    found = _gradients("jvp", tuple(rows), u, directions, create_graph)
    done = outputs if create_graph else tuple(y.detach() for y in outputs)
    return _one_or_all(done, one), _one_or_all(found, one)


@enable_grad()
def jacobian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of every element of the output with respect to every element of the input.

    input (a, b), output (c,) -> (c, a, b); a tuple for several inputs, a tuple of tuples for several outputs. One backward
    pass per element of the output, whatever `vectorize` says.

    >>> import trigrad as tg
    >>> tg.autograd.functional.jacobian(lambda x: x * x, tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy != "reverse-mode":
        raise NotImplementedError(
            f"[jacobian] got strategy {strategy!r}, expected 'reverse-mode'; use jvp for single columns"
        )
    leaves = _leaves("jacobian", inputs, create_graph)
    outputs, one = _outputs("jacobian", func, leaves)
    if strict:
        _require_dependence("jacobian", outputs)
    table = []
    for y in outputs:
        rows: list[list[Tensor]] = []
        for k in range(y.numel()):
            seed = _zeros((y.numel(),), y)
            seed[k] = 1
            rows.append(_gradients("jacobian", (y,), leaves, [seed.reshape(y.shape)], create_graph, strict))
        columns = [
            ops.cat([r[i].reshape((1, *x.shape)) for r in rows]).reshape((*y.shape, *x.shape))
            if rows
            else _zeros((*y.shape, *x.shape), x)
            for i, x in enumerate(leaves)
        ]
        table.append(_one_or_all(columns, isinstance(inputs, Tensor)))
    return _one_or_all(table, one)


def hessian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function of one element.

    input (a,) -> (a, a)

    >>> import trigrad as tg
    >>> tg.autograd.functional.hessian(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    given = _tensors("hessian", "inputs", inputs)

    def slopes(*leaves: Tensor) -> Any:
        outputs, _ = _outputs("hessian", func, leaves)
        _one_element("hessian", outputs)
        if strict:
            _require_dependence("hessian", outputs)
        found = _gradients("hessian", outputs, leaves, [None], True, strict)
        return found[0] if isinstance(inputs, Tensor) else tuple(found)

    return jacobian(
        slopes,
        inputs if isinstance(inputs, Tensor) else given,
        create_graph=create_graph,
        strict=strict,
        strategy=outer_jacobian_strategy,
    )


def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """func(inputs) of one element, and `v` times its Hessian.

    inputs and v of any shapes, the same -> a scalar, and tensors of the shapes of v

    inputs and v of any shapes, the same -> a scalar, and tensors of the shapes of v

    >>> import trigrad as tg
    >>> tg.autograd.functional.vhp(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]), tg.ones(2))[1]
    tensor([ 6., 12.])
    """
    with enable_grad():
        leaves = _leaves("vhp", inputs, create_graph)
        outputs, one = _outputs("vhp", func, leaves)
        _one_element("vhp", outputs)
        if strict:
            _require_dependence("vhp", outputs)
        directions = _vectors("vhp", v, leaves, "input")
        slopes = _gradients("vhp", outputs, leaves, [None], create_graph=True, strict=strict)
        found = _gradients("vhp", tuple(slopes), leaves, directions, create_graph, strict)
        done = outputs if create_graph else tuple(y.detach() for y in outputs)
        return _one_or_all(done, one), _one_or_all(found, isinstance(inputs, Tensor))


hvp = vhp  # a Hessian is its own transpose


def _require_dependence(op: str, outputs: tuple[Tensor, ...]) -> None:
    for k, y in enumerate(outputs):
        if not y.requires_grad:
            raise RuntimeError(f"[{op}] output {k} does not depend on the inputs, and strict=True refuses that")
