"""Gradients of programs against PyTorch's: views, writes in place, indexing, composites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from values import real


def overwrite_view(t: Any, a: Any) -> Any:
    y = a * 2
    v = y[1:3]
    v.mul_(3)
    return y * y.T.T


def overwrite_by_rows(t: Any, a: Any, b: Any) -> Any:
    y = a * 1
    y[1] = b
    y[:, 0] = b[0]
    return y * y


def overwrite_by_indices(t: Any, a: Any, b: Any) -> Any:
    y = a * 1
    y[[0, 3]] = b * b
    y[y > 1] = 0
    return y * a


def fill_parts(t: Any, a: Any) -> Any:
    y = a * 3
    y[0].zero_()
    y[:, 1] = 7.0
    return y * a


def siblings(t: Any, a: Any) -> Any:
    """Two views of one tensor: what is written through one is seen, and differentiated, through the other."""
    y = a * 1
    u, v = y[:2], y.view(-1)
    u.mul_(2)
    v[1:9:2] += 1
    return (u * u).sum() + (v * v).sum() + (y * 3).sum()


def two_views_deep(t: Any, a: Any) -> Any:
    y = a.clone()
    y.T[1:].diagonal().mul_(a[0, :4])
    return y * y


def accumulate(t: Any, a: Any, b: Any) -> Any:
    y = a * 1
    y.index_put_((t.tensor([0, 0, 2]), t.tensor([1, 1, 3])), b[:3], accumulate=True)
    return y * y


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "broadcast": (lambda t, a, b: a * b - b / (a * a + 1), ((3, 4), (4,))),
    "matmul": (lambda t, a, b: (a @ b).tanh(), ((3, 4), (4, 5))),
    "batched matmul": (lambda t, a, b: a @ b, ((2, 1, 3, 4), (5, 4, 2))),
    "transposed": (lambda t, a, b: a.T @ b.mT, ((4, 3), (5, 4))),
    "slices": (lambda t, a: a[1:, ::2] * 2, ((4, 5),)),
    "select": (lambda t, a: a[1] * a[2, None], ((4, 5),)),
    "index arrays": (lambda t, a: a[[0, 2, 2]].sin(), ((4, 5),)),
    "mixed index": (lambda t, a: a[1:, [0, 1], None, [1, 2]], ((4, 3, 5),)),
    "mask": (lambda t, a: a[a > 0].exp(), ((4, 5),)),
    "view chain": (lambda t, a: a.reshape(2, -1).permute(1, 0)[1:].unsqueeze(0).expand(3, -1, -1).sum(0), ((4, 5),)),
    "expanded twice": (lambda t, a: a.expand(3, 4)[0] * a.expand(3, 4)[2], ((4,),)),
    "reshape copies": (lambda t, a: a.T.reshape(-1) * 3, ((4, 5),)),
    "split": (lambda t, a: a.split(2, 1)[0] * a.split(2, 1)[1], ((4, 5),)),
    "diagonal": (lambda t, a: a.diagonal() ** 2, ((4, 4),)),
    "unfold": (lambda t, a: a.unfold(0, 3, 1).sum(1) ** 2, ((7,),)),
    "overwrite view": (overwrite_view, ((4, 5),)),
    "overwrite rows": (overwrite_by_rows, ((4, 5), (5,))),
    "overwrite indices": (overwrite_by_indices, ((4, 5), (2, 5))),
    "fill parts": (fill_parts, ((4, 5),)),
    "siblings": (siblings, ((4, 5),)),
    "two views deep": (two_views_deep, ((4, 5),)),
    "accumulate": (accumulate, ((4, 5), (5,))),
    "in place": (lambda t, a: (a * 2).add_(a).mul_(3).tanh_(), ((4, 5),)),
    "clone": (lambda t, a: a.clone().mul_(a), ((4, 5),)),
    "softmax": (lambda t, a: t.softmax(a, 1).log(), ((4, 5),)),
    "cat and stack": (lambda t, a, b: t.stack([t.cat([a, b]), t.cat([b, a])]).prod(0), ((4,), (4,))),
    "var and std": (lambda t, a: a.var(1) + a.std(), ((4, 5),)),
    "sort and cumsum": (lambda t, a: t.sort(a, 1)[0].cumsum(1) ** 2, ((4, 5),)),
    "max along": (lambda t, a: t.max(a, 1)[0] + t.min(a, 0)[0].sum(), ((4, 5),)),
    "einsum": (lambda t, a, b: t.einsum("ij,jk->ki", a, b), ((4, 5), (5, 3))),
    "where": (lambda t, a, b: t.where(a > b, a * a, b), ((4, 5), (4, 5))),
    "logsumexp": (lambda t, a: t.logsumexp(a, 1), ((4, 5),)),
    "addmm": (lambda t, a, b, c: t.addmm(a, b, c, beta=0.5, alpha=2), ((3,), (4, 5), (5, 3))),
    "gather": (lambda t, a: t.gather(a, 1, t.tensor([[0, 0], [1, 4], [2, 2], [3, 0]])) ** 2, ((4, 5),)),
    "nansum": (lambda t, a: t.nansum(t.where(a > 0, a * a, t.full((), float("nan"), dtype=a.dtype)), 1), ((4, 5),)),
    "nothing": (lambda t, a: a * 2, ((0, 3),)),
}


def leaves(module: Any, arrays: list[Any]) -> list[Any]:
    return [module.tensor(a, dtype=module.float64).requires_grad_() for a in arrays]


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(torch: Any, name: str) -> None:
    program, shapes = PROGRAMS[name]
    arrays = [real(s, f"{name}{k}", "float64") for k, s in enumerate(shapes)]
    ours, theirs = leaves(tg, arrays), leaves(torch, arrays)
    y, want = program(tg, *ours), program(torch, *theirs)
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=1e-11, atol=1e-13)
    weights = real(tuple(want.shape), "weights", "float64")
    (y * tg.tensor(weights)).sum().backward()
    (want * torch.tensor(weights)).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n != "nothing"])
def test_second_order(torch: Any, name: str) -> None:
    """The gradient of a function of the gradients."""
    program, shapes = PROGRAMS[name]
    arrays = [real(s, f"{name}{k}", "float64") for k, s in enumerate(shapes)]
    found = []
    for module in (tg, torch):
        x = leaves(module, arrays)
        y = program(module, *x)
        weights = module.tensor(real(tuple(y.shape), "weights", "float64"))
        first = module.autograd.grad((y * y * weights).sum(), x, create_graph=True)
        total = sum((g * g).sum() for g in first)
        found.append([g.detach().numpy() for g in module.autograd.grad(total, x)])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-10)
