"""How each row of the op table is differentiated: a rule gives the gradients of a row's inputs from those of its outputs.

A rule is written with rows alone, so what it computes can be differentiated again. It is called as

    rule.function(grads, inputs, outputs, attributes, wanted) -> one gradient or None per input

grads       per output its gradient, or None where nothing depends on that output
inputs      as the row got them, before promotion: absent optional tensors are None, the members of a list come last
outputs     as the row gave them
attributes  in the order of the row's signature, defaults filled in
wanted      per input: is its gradient wanted? What is not wanted need not be computed: return None there

`reads` says which *values* the gradient of each input needs: "i0" is input 0, "o1" output 1 (the members of a list share
the entry of their parameter). Only those are kept for the backward pass; of all others a rule may ask shape and dtype,
nothing else. What is kept must not be changed in place meanwhile, so a rule reads as little as it can: `exp` its output,
`add` nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from trigrad import ops
from trigrad._core import Tensor

Gradient: TypeAlias = "Tensor | None"
Function: TypeAlias = Callable[
    [Sequence[Gradient], Sequence[Tensor], Sequence[Tensor], Sequence[Any], Sequence[bool]], Sequence[Gradient]
]


class Rule(NamedTuple):
    """How a row is differentiated."""

    function: Function
    reads: tuple[str, ...]  # per input: "i0 o1" and the like
    carries: tuple[int, ...]  # the outputs that have a gradient


RULES: dict[str, Rule] = {}


def rule(name: str, *reads: str, carries: tuple[int, ...] = (0,)) -> Callable[[Function], Function]:
    """Put the function into RULES. `reads`: one text per tensor of the row's signature."""

    def keep(function: Function) -> Function:
        RULES[name] = Rule(function, reads, carries)
        return function

    return keep


def sum_to(grad: Tensor, shape: Sequence[int]) -> Tensor:
    """The gradient of what was broadcast from `shape`: summed over the axes that were repeated."""
    if tuple(grad.shape) == tuple(shape):
        return grad
    lead = grad.ndim - len(shape)
    repeated = [i + lead for i, n in enumerate(shape) if n == 1 and grad.shape[i + lead] != 1]
    summed = ops.sum(grad, (*range(lead), *repeated), True) if lead or repeated else grad
    return summed.reshape(tuple(shape))


@rule("matmul", "i1", "i0")
def _matmul(
    grads: Sequence[Gradient],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    attributes: Sequence[Any],
    wanted: Sequence[bool],
) -> Sequence[Gradient]:
    """y = a b: da = dy bᵀ, db = aᵀ dy, each summed over the batches that were broadcast."""
    (g,), (a, b) = grads, inputs
    if g is None:
        return None, None
    if a.ndim == 1 and b.ndim == 1:  # y = a·b, a scalar
        return ops.mul(g, b) if wanted[0] else None, ops.mul(g, a) if wanted[1] else None
    rows = g if a.ndim > 1 else g.unsqueeze(-2)
    full = rows if b.ndim > 1 else rows.unsqueeze(-1)  # (..., M, N)
    da = db = None
    if wanted[0]:
        matrix = b.mT if b.ndim > 1 else b.unsqueeze(0)  # (..., N, K)
        da = sum_to(ops.matmul(full, matrix), a.shape if a.ndim > 1 else (1, *a.shape)).reshape(tuple(a.shape))
    if wanted[1]:
        matrix = a.mT if a.ndim > 1 else a.unsqueeze(1)  # (..., K, M)
        db = sum_to(ops.matmul(matrix, full), b.shape if b.ndim > 1 else (*b.shape, 1)).reshape(tuple(b.shape))
    return da, db
