"""How each row of the op table is differentiated: a rule gives the gradients of a row's inputs from those of its outputs.

A rule is written with rows alone, so what it computes can be differentiated again. It is called as

    rule.function(grads, inputs, outputs, attributes, wanted) -> one gradient or None per input

grads       per output its gradient, or None where nothing depends on that output; one of those that `carries` names
            is there
inputs      as the row got them, before promotion: absent optional tensors are None, the members of a list come last;
            an integer tensor or a number is never wanted
outputs     as the row gave them
attributes  in the order of the row's signature, defaults filled in
wanted      per input: is its gradient wanted? What is not wanted need not be computed: return None there

`reads` says which *values* the gradient of each input needs: "i0" is input 0, "o1" output 1 (the members of a list share
the entry of their parameter); "i0?" is read only where the gradient will be differentiated again. Only those are kept for the backward pass; of all others a rule may ask shape and dtype,
nothing else. What is kept must not be changed in place meanwhile, so a rule reads as little as it can: `exp` its output,
`add` nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from trigrad import _core, ops
from trigrad._core import Tensor

Grads: TypeAlias = Sequence[Any]  # Tensor or None
Tensors: TypeAlias = Sequence[Any]
Attributes: TypeAlias = Sequence[Any]
Wanted: TypeAlias = Sequence[bool]
Gradients: TypeAlias = Sequence["Tensor | None"]
Function: TypeAlias = Callable[[Grads, Tensors, Tensors, Attributes, Wanted], Gradients]


class Rule(NamedTuple):
    """How a row is differentiated."""

    function: Function
    reads: tuple[str, ...]  # per input: "i0 o1" and the like
    carries: tuple[int, ...]  # the outputs that have a gradient


RULES: dict[str, Rule] = {}
NOT_DIFFERENTIABLE: set[str] = set()  # rows whose outputs have no gradient


def rule(name: str, *reads: str, carries: tuple[int, ...] = (0,)) -> Callable[[Function], Function]:
    """Put the function into RULES. `reads`: one text per tensor of the row's signature."""

    def keep(function: Function) -> Function:
        RULES[name] = Rule(function, reads, carries)
        return function

    return keep


def sum_to(grad: Tensor, shape: Sequence[int]) -> Tensor:
    """The gradient of what was broadcast from `shape`: summed over the axes that were repeated."""
    if grad.shape == shape:
        return grad
    lead = grad.ndim - len(shape)
    repeated = [i + lead for i, n in enumerate(shape) if n == 1 and grad.shape[i + lead] != 1]
    summed = ops.sum(grad, (*range(lead), *repeated), True) if lead or repeated else grad
    return summed.reshape(tuple(shape))


def fill(shape: Sequence[int], value: float, like: Tensor) -> Tensor:
    """A tensor full of one number, with the dtype and device of `like`."""
    return ops.fill_(_core.empty(tuple(shape), like.dtype, like), value)


def zeros_like(x: Tensor) -> Tensor:
    return fill(x.shape, 0, x)


def returned(grad: Tensor, given: Tensor) -> Tensor:
    """The gradient of an input that was broadcast and promoted: of its shape and dtype."""
    summed = sum_to(grad, given.shape)
    return summed if summed.dtype is given.dtype else ops.cast(summed, given.dtype)


def axes_of(rank: int, dim: int | Sequence[int] | None, none_means_all: bool = True) -> tuple[int, ...]:
    """The axes that a reduction runs over, in order."""
    if dim is None or (none_means_all and not isinstance(dim, int) and not dim):
        return tuple(range(rank))
    axes = (dim,) if isinstance(dim, int) else dim
    return tuple(sorted(d % rank for d in axes)) if rank else ()


def spread(x: Tensor, shape: Sequence[int], axes: Sequence[int], keepdim: bool) -> Tensor:
    """What a reduction over `axes` made, beside each element that it was made of: a view."""
    if not keepdim:
        for d in axes:
            x = x.unsqueeze(d)
    return x.expand(tuple(shape))


def count(shape: Sequence[int], axes: Sequence[int]) -> int:
    """How many elements a reduction over `axes` joins."""
    n = 1
    for d in axes:
        n *= shape[d]
    return n


def one_of(x: Tensor, axis: int, at: slice) -> Tensor:
    """x[:, ..., at] along one axis: a view."""
    return x[(slice(None),) * (axis % x.ndim) + (at,)]
