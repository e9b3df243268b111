"""Gradients of matrix products and dense layers."""

from __future__ import annotations

from trigrad import ops
from trigrad._core import op_table
from trigrad._vjp.rule import Attributes, Gradients, Grads, Tensors, Wanted, rule, sum_to

# of the rows that an activation can be
NUMBER_OF_PARAMETERS = {
    row["name"]: len(row["params"]) - 1 for row in op_table() if row["pointwise"] and row["pointwise"]["arity"] == 1
}


@rule("matmul", "i1", "i0")
def _matmul(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """y = a b: da = dy bᵀ, db = aᵀ dy, each summed over the batches that were broadcast."""
    (g,), (a, b) = grads, inputs
    if a.ndim == 1 and b.ndim == 1:  # y = a·b, a scalar
        return ops.mul(g, b) if wanted[0] else None, ops.mul(g, a) if wanted[1] else None
    if b.ndim == 2 and a.ndim > 1:  # rows of any batch times one matrix
        return (
            ops.dense_grad_input(g, b.mT) if wanted[0] else None,
            ops.dense_grad_weight(a, g) if wanted[1] else None,
        )
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


@rule("native_dot", "i1", "i0")
def _dot(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """y = Σ a b along the last axis"""
    g, (a, b) = grads[0].unsqueeze(-1), inputs
    return ops.mul(g, b) if wanted[0] else None, ops.mul(g, a) if wanted[1] else None


@rule("dense", "i0 i1 i2", "i0 i1 i2", "i0 i1 i2")
def _dense(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """y = f(z), z = x Wᵀ + b: dx = dz W, dW = dzᵀ x, db = dz summed over the rows, dz = dy f'(z). What the activation f
    needs, z or y, is computed anew, so that y itself need not be kept and may be changed in place."""
    (g,), (x, weight, bias) = grads, inputs
    activation, p, q = attributes
    if activation != "identity":
        z = ops.dense(x, weight, bias)
        parameters = tuple(v for v in (p, q) if v is not None)[: NUMBER_OF_PARAMETERS[activation]]
        y = getattr(ops, activation)(z, *parameters)
        g = getattr(ops, activation + "_backward")(g, z, y, *parameters)
    return (
        ops.dense_grad_input(g, weight) if wanted[0] else None,
        ops.dense_grad_weight(g, x) if wanted[1] else None,
        ops.dense_grad_bias(g) if wanted[2] else None,
    )


@rule("dense_grad_input", "i1", "i0")
def _dense_grad_input(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """dx = g W"""
    (v,), (g, weight) = grads, inputs
    return ops.dense(v, weight) if wanted[0] else None, ops.dense_grad_weight(g, v) if wanted[1] else None


@rule("dense_grad_weight", "i1", "i0")
def _dense_grad_weight(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """dW = gᵀ x"""
    (v,), (g, x) = grads, inputs
    return ops.dense(x, v) if wanted[0] else None, ops.dense_grad_input(g, v) if wanted[1] else None


@rule("dense_grad_bias", "")
def _dense_grad_bias(
    grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted
) -> Gradients:
    """db = g summed over the rows"""
    return (grads[0].expand(inputs[0].shape),)
