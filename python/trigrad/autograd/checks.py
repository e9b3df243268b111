"""Gradients against finite differences, with PyTorch's names and tolerances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trigrad import ops
from trigrad._autograd import enable_grad, grad, no_grad
from trigrad._core import Tensor, float64
from trigrad._warnings import warn

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient that finite differences do not confirm."""


def _as_outputs(made: Any) -> tuple[Tensor, ...]:
    outputs = made if isinstance(made, tuple | list) else (made,)
    return tuple(y for y in outputs if isinstance(y, Tensor) and y.dtype.is_floating_point)


def _largest(t: Tensor) -> float:
    return float(ops.amax(ops.abs(t)).item()) if t.numel() else 0.0


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Do the gradients of `func` agree with central differences, for every input that requires one? Inputs must be
    float64 for the default tolerances.

    inputs of any shapes -> a bool

    >>> import trigrad as tg
    >>> x = tg.tensor([0.3, -0.7], dtype=tg.float64, requires_grad=True)
    >>> tg.autograd.gradcheck(tg.tanh, x)
    True
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("[gradcheck] none of the inputs requires a gradient; set x.requires_grad_()")
    for i in checked:
        if given[i].dtype is not float64:
            warn(
                f"[gradcheck] input {i} is {given[i].dtype}, expected float64: differences of narrower numbers say little"
            )
    try:
        with enable_grad():
            outputs = _as_outputs(func(*given))
            _check_zeros(outputs, [given[j] for j in checked], check_undefined_grad, check_grad_dtypes)
            for k, y in enumerate(outputs):
                for j in checked:
                    _compare(func, given, j, k, y, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check_zeros(outputs: tuple[Tensor, ...], inputs: list[Tensor], undefined: bool, dtypes: bool) -> None:
    """Of gradients of 0 nothing but 0 may be made, also where (undefined) some outputs get none at all."""
    carrying = [y for y in outputs if y.requires_grad]
    kept = [carrying] + ([[y for y in carrying if y is not left] for left in carrying] if undefined else [])
    for some in kept:
        if not some:
            continue
        zeros = [ops.fill_(y.detach().clone(), 0) for y in some]
        found: Sequence[Tensor | None] = grad(some, inputs, zeros, retain_graph=True, allow_unused=True)
        for i, (x, g) in enumerate(zip(inputs, found, strict=True)):
            if g is not None and not _largest(g) == 0:
                raise GradcheckError(
                    f"[gradcheck] of output gradients of 0 backward made a gradient of input {i} that is not 0: it is not a "
                    "product with the output's gradient"
                )
            if g is not None and dtypes and g.dtype is not x.dtype:
                raise GradcheckError(f"[gradcheck] the gradient of input {i} is {g.dtype}, expected {x.dtype}")


def _compare(
    func: Callable[..., Any],
    given: tuple[Any, ...],
    j: int,
    k: int,
    y: Tensor,
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    """Column by column of the Jacobian of output k with respect to input j, (elements of x, elements of y)."""
    x = given[j]
    numeric = []  # per element of x: how the output moves
    with no_grad():
        moved = x.detach().clone()
        flat = moved.reshape(-1) if moved.numel() else moved
        for i in range(moved.numel()):
            kept = flat[i].item()
            sides = []
            for step in (eps, -eps):
                flat[i] = kept + step
                arguments = [moved.reshape(x.shape) if m == j else a for m, a in enumerate(given)]
                sides.append(_as_outputs(func(*arguments))[k].detach().clone())
            flat[i] = kept
            numeric.append(ops.div(ops.sub(sides[0], sides[1]), 2 * eps))
    for e in range(y.numel()):
        seed = ops.fill_(y.detach().clone().reshape(-1), 0)
        seed[e] = 1
        analytic = _gradient(y, x, seed.reshape(y.shape))
        again = _gradient(y, x, seed.reshape(y.shape))
        if _largest(ops.sub(analytic, again)) > nondet_tol:
            raise GradcheckError(f"[gradcheck] two backward passes of output {k} differ for input {j}")
        for i in range(x.numel()):
            a = float(analytic.reshape(-1)[i].item())
            n = float(numeric[i].reshape(-1)[e].item())
            if not abs(a - n) <= atol + rtol * abs(n):
                raise GradcheckError(
                    f"[gradcheck] output {k} element {e}, input {j} element {i}: backward gives {a}, differences give {n}, "
                    f"expected within {atol} + {rtol} |{n}|"
                    + ("" if x.dtype is float64 else f"; the input is {x.dtype}, use float64")
                )


def _gradient(y: Tensor, x: Tensor, seed: Tensor) -> Tensor:
    if not y.requires_grad:
        return ops.fill_(x.detach().clone(), 0)
    return grad(y, x, seed, retain_graph=True, materialize_grads=True)[0]


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Do the second derivatives of `func` agree with differences of the first?

    inputs of any shapes -> a bool

    >>> import trigrad as tg
    >>> x = tg.tensor([0.3, -0.7], dtype=tg.float64, requires_grad=True)
    >>> tg.autograd.gradgradcheck(tg.tanh, x)
    True
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = _as_outputs(func(*given))
    if grad_outputs is None:
        # different numbers, so that no element stands for another
        seeds = [
            _spaced(ops.add(ops.mul(ops.native_arange(0, 1, y.numel(), y.dtype, device=y), 0.37), 0.5).reshape(y.shape))
            if gen_non_contig_grad_outputs
            else ops.add(ops.mul(ops.native_arange(0, 1, y.numel(), y.dtype, device=y), 0.37), 0.5).reshape(y.shape)
            for y in outputs
        ]
        for seed in seeds:
            seed.requires_grad_()
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def slopes(*arguments: Any) -> tuple[Tensor, ...]:
        leaves, weights = arguments[: len(given)], arguments[len(given) :]
        wanted = [x for x in leaves if isinstance(x, Tensor) and x.requires_grad]
        made = [(y, v) for y, v in zip(_as_outputs(func(*leaves)), weights, strict=True) if y.requires_grad]
        return grad([y for y, _ in made], wanted, [v for _, v in made], create_graph=True, materialize_grads=True)

    def tracked(*arguments: Any) -> tuple[Tensor, ...]:
        leaves = [
            a if not isinstance(a, Tensor) or a.requires_grad or not g.requires_grad else a.detach().requires_grad_()
            for a, g in zip(arguments, [*given, *seeds], strict=True)
        ]
        with enable_grad():
            return slopes(*leaves)

    return gradcheck(
        tracked,
        [*given, *seeds],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
    )


def _spaced(x: Tensor) -> Tensor:
    """The same numbers in every second place of memory."""
    return ops.cat([x.unsqueeze(-1), x.unsqueeze(-1)], -1)[..., 0]
