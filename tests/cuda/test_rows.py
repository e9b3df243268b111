"""Rows that run along lines, at lengths where their kernels change shape, in layouts and dtypes that the table's samples lack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import bits, call

pytestmark = pytest.mark.usefixtures("gpu")

# Up to 4, 32, 4096 elements and beyond: other threads do a row; 64 and 4096 rows: other shards of a column.
LENGTHS = [0, 1, 2, 4, 5, 16, 17, 31, 32, 33, 1023, 1025, 4096, 4097, 9001]
REDUCTIONS = ["sum", "nansum", "prod", "mean", "amax", "amin", "logsumexp", "var", "argmax", "argmin", "any", "all"]
DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
EXTREMA = {"amax", "amin", "argmax", "argmin"}


def drawn(shape: tuple[int, ...], dtype: str, wild: bool = False, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 2
    if dtype.startswith("float"):
        if wild:
            x = np.where(
                rng.random(shape) < 0.1, rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, 1e-40], shape), x
            )
        return tg.from_numpy(x.astype(dtype))
    return tg.from_numpy((np.abs(x) * 1.2).astype(dtype) if dtype in ("uint8", "bool") else (x * 9).astype(dtype))


def reduced(op: str, x: Any, dim: Any) -> Any:
    if op in ("argmax", "argmin"):
        return getattr(x, op)(dim[0] if isinstance(dim, tuple) and len(dim) == 1 else None)
    if op in ("any", "all") and isinstance(dim, tuple) and len(dim) == 1:
        return getattr(x, op)(dim[0])
    return getattr(tg, op)(x, dim)


def takes(op: str, dtype: str, dim: tuple[int, ...]) -> bool:
    floats = ("mean", "logsumexp", "var")
    if op in floats and not dtype.startswith("float"):
        return False
    return not (op in ("argmax", "argmin") and (dtype == "bool" or len(dim) > 1))


def same(got: Any, want: Any, what: str) -> None:
    assert got.is_cuda, what
    assert bits(got.cpu().numpy()) == bits(want.numpy()), f"{what}: {got} is not {want}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions(op: str, dtype: str) -> None:
    shapes: list[tuple[tuple[int, ...], list[tuple[int, ...]]]] = [((3, n), [(1,), (0,)]) for n in LENGTHS]
    shapes += [((n, 3), [(1,), (0,)]) for n in LENGTHS]
    shapes += [
        ((70001,), [(0,)]),
        ((20003, 7), [(0,), (0, 1)]),
        ((5, 33, 70), [(1,), (0, 2), (0, 1)]),
        ((2, 65, 3, 5), [(0, 2)]),
    ]
    n = 0
    for shape, dims in shapes:
        x = drawn(shape, dtype, wild=op not in ("logsumexp", "var"))
        there = x.to("cuda")
        for dim in dims:
            if not takes(op, dtype, dim) or (op in EXTREMA and 0 in (shape[d] for d in dim)):
                continue
            same(reduced(op, there, dim), reduced(op, x, dim), f"{op} {dtype} {shape} over {dim}")
            n += 1
    assert n > 0 or not takes(op, dtype, (0,))


@pytest.mark.parametrize("op", [*REDUCTIONS, "softmax", "log_softmax"])
def test_views(op: str) -> None:
    """Transposed, reversed in their axes, with gaps, and broadcast."""
    base = drawn((6, 10, 34), "float32")
    there = base.to("cuda")
    views = [
        lambda t: t.permute(2, 0, 1),
        lambda t: t[:, ::2, ::3],
        lambda t: t[2:3].expand(7, 10, 34),
        lambda t: t[:, :, 3:4].expand(6, 10, 70),
    ]
    for k, view in enumerate(views):
        x, y = view(base), view(there)
        for dim in ((0,), (1,), (2,), (0, 2)):
            if op.endswith("softmax"):
                if len(dim) == 1:
                    softmax = getattr(tg.nn.functional, op)
                    same(softmax(y, dim[0]), softmax(x, dim[0]), f"{op} of view {k} along {dim}")
            elif takes(op, "float32", dim):
                same(reduced(op, y, dim), reduced(op, x, dim), f"{op} of view {k} over {dim}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", LENGTHS[1:])
def test_softmax(n: int, dtype: str) -> None:
    F = tg.nn.functional
    for shape, dim in (((5, n), 1), ((n, 5), 0), ((2, n, 3), 1)):
        x, g = drawn(shape, dtype), drawn(shape, dtype, seed=2)
        for name in ("softmax", "log_softmax"):
            a, b = x.clone().requires_grad_(), x.to("cuda").requires_grad_()
            want, got = getattr(F, name)(a, dim), getattr(F, name)(b, dim)
            same(got.detach(), want.detach(), f"{name} {shape}")
            want.backward(g)
            got.backward(g.to("cuda"))
            same(b.grad, a.grad, f"gradient of {name} {shape}")
    for special in ([np.nan, 1.0], [-np.inf, -np.inf], [np.inf, 1.0], [-0.0, 0.0]):
        row = tg.tensor(special, dtype=getattr(tg, dtype))
        same(F.softmax(row.to("cuda"), 0), F.softmax(row, 0), f"softmax of {special}")


def test_first_of_equal_extrema() -> None:
    x = np.zeros((4, 5000), np.float32)
    x[0, [777, 778, 4999]] = 3
    x[1, [4321, 99]] = np.nan
    x[2, 17] = -0.0
    t = tg.from_numpy(x)
    for view, dim in ((t, 1), (t.T.contiguous(), 0)):
        there = view.to("cuda")
        assert there.argmax(dim).tolist() == view.argmax(dim).tolist() == [777, 99, 0, 0]
        same(there.argmin(dim), view.argmin(dim), "argmin")


def test_norms_and_products() -> None:
    for n in LENGTHS:
        x, y = drawn((3, n), "float32"), drawn((3, n), "float32", seed=3)
        a, b = x.to("cuda"), y.to("cuda")
        for p, q, c, d in ((a, b, x, y), (a.T, b.T, x.T, y.T), (a[0], b[1], x[0], y[1])):
            same(call("native_dot", [p, q])[0], call("native_dot", [c, d])[0], f"dot {tuple(p.shape)}")
        for p in (1, 2):
            same(a.norm(p, 1), x.norm(p, 1), f"norm {p} of {n}")
            same(a.norm(p, 0), x.norm(p, 0), f"norm {p} of columns of {n}")
        assert int(tg.count_nonzero(a > 0)) == int(tg.count_nonzero(x > 0))
