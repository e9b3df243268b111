"""Losses of real targets."""

from __future__ import annotations

import math

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import full_like
from trigrad._losses.base import check_reduction, domain, elementwise, reduced, reduction_of, warn_broadcast, within

__all__ = ["gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """|input - target|

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.l1_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(1.5000)
    """
    warn_broadcast("l1_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    return elementwise("l1_loss", ops.abs(input - target), reduction, weight, sample_weight)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """(input - target)²

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(2.5000)
    >>> tg.nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]), sample_weight=tg.tensor([1.0, -1.0]))
    tensor(-1.5000)
    """
    warn_broadcast("mse_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    return elementwise("mse_loss", ops.square(input - target), reduction, weight, sample_weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """½ d² / beta where d = |input - target| is below beta, d - ½ beta elsewhere.

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.smooth_l1_loss(tg.tensor([1.0, 3.0]), tg.tensor([0.5, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    if beta < 0:
        raise RuntimeError(f"[smooth_l1_loss] does not support negative values for beta, got {beta}")
    warn_broadcast("smooth_l1_loss", input, target)
    d = input - target
    if beta == 0:
        losses = ops.abs(d)
    else:
        slope = ops.clamp(d if beta == 1 else d / beta, -1, 1)
        losses = slope * (d - slope * (0.5 * beta))
    return reduced("smooth_l1_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """½ d² where d = |input - target| is at most delta, delta (d - ½ delta) elsewhere.

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.huber_loss(tg.tensor([1.0, 3.0]), tg.tensor([0.5, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    if delta <= 0:
        raise RuntimeError(f"[huber_loss] does not support non-positive values for delta, got {delta}")
    warn_broadcast("huber_loss", input, target)
    d = input - target
    slope = ops.clamp(d, -delta, delta)
    losses = slope * (d - slope * 0.5)
    return elementwise("huber_loss", losses, reduction, weight, sample_weight, by_weight=False)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-log of the Poisson probability of `target` for the mean exp(input), or input without `log_input`, up to log target!,
    which `full` adds by Stirling's formula.

    input and target (...) -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.poisson_nll_loss(tg.tensor([0.0]), tg.tensor([3.0]))
    tensor(1.)
    """
    domain(
        "poisson_nll_loss", lambda: within(target.detach(), 0, math.inf), "targets are expected to be counts, 0 or more"
    )
    losses = ops.exp(input) - target * input if log_input else input - target * ops.log(input + eps)
    if full:
        counts = ops.where(target > 1, target, 1.0)
        stirling = counts * ops.log(counts) - counts + 0.5 * ops.log(counts * (2 * math.pi))
        losses = losses + ops.where(target > 1, stirling, 0.0)
    return reduced("poisson_nll_loss", losses, reduction_of(size_average, reduce, reduction), sample_weight)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """-log of the normal density of `target` for mean `input` and variance `var` (at least eps), up to ½ log 2π, which
    `full` adds. A var of one dimension less has one variance per row.

    input and target (...), var (...), one dimension less or a number -> a scalar, or (...) with reduction="none"

    >>> import trigrad as tg
    >>> tg.nn.functional.gaussian_nll_loss(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1.0]))
    tensor(2.)
    """

    def error(_: bool) -> ValueError:
        return ValueError("[gaussian_nll_loss] var has negative entry/entries, expected variances")

    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"[gaussian_nll_loss] var has negative entry/entries: {var}")
        var = full_like(input, var)
    else:
        _core.expect((var < 0).any(), 0, 0, error)
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1:] == (1,)):
            raise ValueError(
                f"[gaussian_nll_loss] var is of incorrect size {tuple(var.shape)}, expected that of input: "
                f"{tuple(input.shape)}, or one variance per row"
            )
    check_reduction("gaussian_nll_loss", reduction)
    at_least = var + (ops.clamp(var, eps) - var).detach()  # the bound does not stop the gradient
    losses = 0.5 * (ops.log(at_least) + ops.square(input - target) / at_least)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced("gaussian_nll_loss", losses, reduction, sample_weight)
