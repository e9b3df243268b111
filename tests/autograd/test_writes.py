"""What may be overwritten after a call: gradients are PyTorch's, and refused only where PyTorch refuses (or where
STRICTER says so); and the gradients of the methods that write in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from values import real

F = "nn.functional"
# functions of x (3, 4), positive and in (0.1, 0.9), and y of the same kind
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    name: lambda t, x, y, name=name: getattr(t, name)(x)  # type: ignore[misc]
    for name in [
        "abs",
        "neg",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "sqrt",
        "rsqrt",
        "square",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "atanh",
        "erf",
        "sigmoid",
        "relu",
        "sum",
        "mean",
        "prod",
        "amax",
        "amin",
        "logsumexp_",
        "var",
        "std",
        "max",
        "min",
        "median",
        "floor",
        "sign",
        "cumsum_",
        "cumprod_",
        "softmax_",
        "log_softmax_",
        "flip_",
        "sort_",
        "clone",
        "ravel",
        "nansum",
    ]
    if not name.endswith("_")
}
CALLS |= {
    name: lambda t, x, y, name=name: getattr(t, name)(x, y)  # type: ignore[misc]
    for name in [
        "add",
        "sub",
        "mul",
        "div",
        "pow",
        "maximum",
        "minimum",
        "atan2",
        "hypot",
        "fmod",
        "dot_",
        "lerp_",
        "xlogy",
        "logaddexp",
        "copysign",
    ]
    if not name.endswith("_")
}
CALLS |= {
    "softmax": lambda t, x, y: t.softmax(x, 1),
    "log_softmax": lambda t, x, y: t.log_softmax(x, 1),
    "logsumexp": lambda t, x, y: t.logsumexp(x, 1),
    "cumsum": lambda t, x, y: t.cumsum(x, 1),
    "cumprod": lambda t, x, y: t.cumprod(x, 1),
    "max along": lambda t, x, y: t.max(x, 1)[0],
    "min along": lambda t, x, y: t.min(x, 1, True)[0],
    "amax along": lambda t, x, y: t.amax(x, 1),
    "sort": lambda t, x, y: t.sort(x, 1)[0],
    "topk": lambda t, x, y: t.topk(x, 2, 1)[0],
    "norm": lambda t, x, y: t.norm(x, dim=1),
    "prod along": lambda t, x, y: t.prod(x, 1),
    "var along": lambda t, x, y: t.var(x, 1),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.3),
    "addcmul": lambda t, x, y: t.addcmul(x, x, y),
    "addcdiv": lambda t, x, y: t.addcdiv(x, x, y),
    "times a number": lambda t, x, y: x * 3,
    "by a number": lambda t, x, y: x / 3,
    "powers": lambda t, x, y: x**2 + x**3,
    "root": lambda t, x, y: x**0.5,
    "matmul": lambda t, x, y: x @ y.mT,
    "vectors": lambda t, x, y: x[0] @ y[1],
    "where": lambda t, x, y: t.where(x > y, x, y),
    "clamp": lambda t, x, y: x.clamp(0.2, 0.7),
    "masked_fill": lambda t, x, y: x.masked_fill(x > 0.5, 0.0),
    "gather": lambda t, x, y: t.gather(x, 1, t.tensor([[0, 1], [2, 3], [1, 1]])),
    "index": lambda t, x, y: x[[0, 2, 2]],
    "index_select": lambda t, x, y: t.index_select(x, 1, t.tensor([0, 2])),
    "cat": lambda t, x, y: t.cat([x, y]),
    "stack": lambda t, x, y: t.stack([x, y]),
    "roll": lambda t, x, y: x.roll(1, 0),
    "pad": lambda t, x, y: t.nn.functional.pad(x, (1, 1)),
    "tril": lambda t, x, y: x.tril(),
    "einsum": lambda t, x, y: t.einsum("ij,kj->ik", x, y),
    "cast": lambda t, x, y: x.float().double(),
    "linear": lambda t, x, y: t.nn.functional.linear(x, y),
    "layer_norm": lambda t, x, y: t.nn.functional.layer_norm(x, (4,)),
    "batch_norm": lambda t, x, y: t.nn.functional.batch_norm(x, None, None, training=True),
    "mse_loss": lambda t, x, y: t.nn.functional.mse_loss(x, y),
    "l1_loss": lambda t, x, y: t.nn.functional.l1_loss(x, y, reduction="none"),
    "bce": lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, y),
    "cross_entropy": lambda t, x, y: t.nn.functional.cross_entropy(x, t.tensor([0, 3, 1])),
}
CALLS |= {
    name: lambda t, x, y, name=name: getattr(t.nn.functional, name)(x)  # type: ignore[misc]
    for name in [
        "relu6",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "hardtanh",
        "hardswish",
        "leaky_relu",
        "logsigmoid",
        "tanhshrink",
        "hardshrink",
        "softshrink",
    ]
}
# What the gradient reads here and not in PyTorch, which keeps another part of the call.
STRICTER = {
    ("input", "cross_entropy"),  # its logarithms of probabilities, a tensor as large as the input
    ("input", "rsqrt"),
    ("input", "expm1"),
    ("result", "root"),  # which is sqrt
}

METHODS: dict[str, Callable[[Any, Any, Any], Any]] = {
    name: lambda t, x, y, name=name: getattr(x, name)()  # type: ignore[misc]
    for name in [
        "abs_",
        "neg_",
        "exp_",
        "exp2_",
        "expm1_",
        "log_",
        "log2_",
        "log10_",
        "log1p_",
        "sqrt_",
        "rsqrt_",
        "square_",
        "reciprocal_",
        "sin_",
        "cos_",
        "tan_",
        "asin_",
        "acos_",
        "atan_",
        "sinh_",
        "cosh_",
        "tanh_",
        "asinh_",
        "atanh_",
        "erf_",
        "sigmoid_",
        "relu_",
        "floor_",
        "ceil_",
        "round_",
        "trunc_",
        "frac_",
        "sign_",
        "zero_",
        "nan_to_num_",
        "deg2rad_",
        "tril_",
        "triu_",
    ]
}
METHODS |= {
    name: lambda t, x, y, name=name: getattr(x, name)(y)  # type: ignore[misc]
    for name in [
        "add_",
        "sub_",
        "mul_",
        "div_",
        "pow_",
        "atan2_",
        "hypot_",
        "fmod_",
        "remainder_",
        "xlogy_",
        "copysign_",
        "copy_",
        "eq_",
        "ne_",
        "lt_",
        "le_",
        "gt_",
        "ge_",
        "float_power_",
        "clamp_min_",
        "clamp_max_",
    ]
}
METHODS |= {
    "fill_": lambda t, x, y: x.fill_(2.0),
    "clamp_": lambda t, x, y: x.clamp_(0.2, 0.7),
    "clamp_ by tensors": lambda t, x, y: x.clamp_(y - 0.1, y + 0.1),
    "clamp_ on the bound": lambda t, x, y: x.clamp_(x.detach(), y + 1),
    "add_ alpha": lambda t, x, y: x.add_(y, alpha=2),
    "sub_ number": lambda t, x, y: x.sub_(3),
    "div_ number": lambda t, x, y: x.div_(3),
    "floor_divide_": lambda t, x, y: x.div_(y, rounding_mode="trunc"),
    "addcmul_": lambda t, x, y: x.addcmul_(y, y, value=0.5),
    "addcdiv_": lambda t, x, y: x.addcdiv_(y, y + 1),
    "lerp_": lambda t, x, y: x.lerp_(y, 0.3),
    "lerp_ by a tensor": lambda t, x, y: x.lerp_(y, y * 0.5),
    "masked_fill_": lambda t, x, y: x.masked_fill_(x > 0.5, 2.0),
    "masked_scatter_": lambda t, x, y: x.masked_scatter_(x > 0.5, y),
    "index_add_": lambda t, x, y: x.index_add_(0, t.tensor([0, 0]), y[:2]),
    "index_copy_": lambda t, x, y: x.index_copy_(0, t.tensor([2, 0]), y[:2]),
    "index_fill_": lambda t, x, y: x.index_fill_(1, t.tensor([1]), 2.0),
    "index_put_": lambda t, x, y: x.index_put_((t.tensor([0, 2]),), y[:2]),
    "scatter_": lambda t, x, y: x.scatter_(1, t.tensor([[0], [2], [1]]), y[:, :1]),
    "scatter_ a number": lambda t, x, y: x.scatter_(1, t.tensor([[0], [2], [1]]), 5.0),
    "scatter_add_": lambda t, x, y: x.scatter_add_(1, t.tensor([[0, 0], [2, 2], [1, 3]]), y[:, 1:3]),
    "cumsum_": lambda t, x, y: x.cumsum_(1),
    "cumprod_": lambda t, x, y: x.cumprod_(1),
    "fill_diagonal_": lambda t, x, y: x.fill_diagonal_(2.0),
    "addmm_": lambda t, x, y: x.addmm_(y[:, :3], y, beta=0.5),
    "relu": lambda t, x, y: t.nn.functional.relu(x, inplace=True),
    "elu": lambda t, x, y: t.nn.functional.elu(x, inplace=True),
    "leaky_relu": lambda t, x, y: t.nn.functional.leaky_relu(x, 0.1, inplace=True),
    "silu": lambda t, x, y: t.nn.functional.silu(x, inplace=True),
    "mish": lambda t, x, y: t.nn.functional.mish(x, inplace=True),
    "hardtanh": lambda t, x, y: t.nn.functional.hardtanh(x, 0.2, 0.6, inplace=True),
    "hardswish": lambda t, x, y: t.nn.functional.hardswish(x, inplace=True),
    "part": lambda t, x, y: x[1:].exp_(),
    "item": lambda t, x, y: x.__setitem__(0, y[1]),
    "column": lambda t, x, y: x.__setitem__((slice(None), 1), 3.0),
    "turned": lambda t, x, y: x.mT.mul_(y.mT),
}


def prepared(t: Any, name: str) -> tuple[list[Any], list[Any]]:
    """Leaves, and what was made of them, which may be written."""
    leaves = [
        t.tensor(real((3, 4), f"{name}{k}", "float64", 0.1, 0.9).tolist(), dtype=t.float64).requires_grad_()
        for k in range(2)
    ]
    return leaves, [x * 1 for x in leaves]


def gradients(t: Any, result: Any, leaves: list[Any]) -> list[Any] | str:
    """Or why there are none."""
    if not result.requires_grad:
        return "no graph"
    weights = t.tensor(real(tuple(result.shape), "weights", "float64").tolist(), dtype=t.float64)
    try:
        found = t.autograd.grad((result * weights).sum(), leaves, materialize_grads=True)
    except RuntimeError as error:
        if "in place" not in str(error) and "inplace" not in str(error):
            raise
        return "changed in place"
    return [g.numpy() for g in found]


@pytest.mark.parametrize("written", ["result", "input"])
@pytest.mark.parametrize("name", CALLS)
def test_writes_after_a_call(torch: Any, name: str, written: str) -> None:
    found = []
    for t in (tg, torch):
        leaves, inputs = prepared(t, name)
        result = CALLS[name](t, *inputs)
        if written == "result":
            result.add_(1)
        else:
            for x in inputs:
                x.add_(1)
        found.append(gradients(t, result, leaves))
    ours, theirs = found
    if isinstance(theirs, str):
        return  # PyTorch cannot: nothing to compare, and whatever is kept here is right (test_programs.py)
    if (written, name) in STRICTER:
        assert ours == "changed in place"
        return
    assert not isinstance(ours, str), ours
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_gradients_of_writes(torch: Any, name: str) -> None:
    """Of what was written, with respect to what was there and what was put there; also where it is part of another tensor."""
    for whole in (True, False):
        found = []
        for t in (tg, torch):
            leaves, (x, y) = prepared(t, name)
            base = x if whole else t.cat([x, y])
            METHODS[name](t, base if whole else base[:3], y)
            found.append((base.detach().numpy(), gradients(t, base, leaves)))
        (ours, mine), (theirs, others) = found
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
        if isinstance(others, str):
            continue
        assert not isinstance(mine, str), mine
        for a, b in zip(mine, others, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_what_is_kept_for_second_derivatives_alone_may_be_overwritten(torch: Any) -> None:
    """sqrt keeps its input for them; a first derivative reads the output, a second one says what is missing."""
    x = tg.tensor([4.0], requires_grad=True)
    y = x * 1
    z = y.sqrt()
    y.add_(1)
    z.backward(retain_graph=True)
    assert x.grad is not None
    assert x.grad.item() == 0.25
    with pytest.raises(RuntimeError, match=r"input 0 of sqrt, .* was changed in place"):
        tg.autograd.grad(z, x, create_graph=True)
