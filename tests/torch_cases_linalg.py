"""Cases of matrix products."""

from __future__ import annotations

from typing import Any

from torch_cases import FLOATS, NUMBERS, Case, Draw, Shape

KINDS = (*FLOATS, *FLOATS, "int64")


def of(d: Draw, *shapes: Shape, finite: bool = False) -> list[Any]:
    """Arrays of one dtype (rarely of two) and these shapes; rarely the last one does not fit."""
    first, *others = shapes
    arrays = [d.x(dtypes=KINDS, shape=first, finite=finite)]
    if others and others[-1] and d.rarely():
        others[-1] = (others[-1][0] + 1, *others[-1][1:])
    return arrays + [d.same(s, finite=finite) for s in others]


def length(d: Draw) -> int:
    return int(d.pick(0, 1, 2, 3, 7, 8, 9, 15, 17, 33, 65))


def matmul(d: Draw) -> list[Any]:
    m, k, n = length(d), length(d), length(d)
    batch = d.shape(0, 2)[:2] if max(m, k, n) < 16 else ()
    batch = tuple(min(b, 3) for b in batch)
    left, right = d.pick(((m, k), (k, n)), ((k,), (k, n)), ((m, k), (k,)), ((k,), (k,)))
    if len(left) == 2:
        left = (*batch, *left)
    if len(right) == 2:
        right = (*d.broadcast(batch), *right)
    return of(d, left, right)


def addmm(d: Draw) -> list[Any]:
    m, k, n = length(d), length(d), length(d)
    return [*of(d, d.broadcast((m, n)), (m, k), (k, n)), d.keywords(alpha=(2, 0.5), beta=(0, 3, 0.25))]


def baddbmm(d: Draw) -> list[Any]:
    b, m, k, n = d.integer(0, 3), length(d), length(d), length(d)
    return [*of(d, d.broadcast((b, m, n)), (b, m, k), (b, k, n)), d.keywords(alpha=(2, 0.5), beta=(0, 3, 0.25))]


def sized(d: Draw, *axes: str, finite: bool = False) -> list[Any]:
    """Arrays whose axes are named: equal letters, equal lengths."""
    n = {letter: length(d) if letter != "b" else d.integer(0, 3) for letter in "bmkn"}
    return of(d, *(tuple(n[a] for a in word) for word in axes), finite=finite)


EQUATIONS = ("mk,kn->mn", "mk,kn", "bmk,bkn->bmn", "m,n->mn", "mk->km", "mk->", "bmk->bm", "k,k->", "mk,nk->mn", "bm,bm->b",
             "mk,mk->mk", "bmk,kn->bnm", "m,m", "bmk,bk,n->mn", "mk , kn -> nm", "mm->m", "mm->", "mk->kk", "mk,k->")  # fmt: skip


def einsum(d: Draw) -> list[Any]:
    equation = d.pick(*EQUATIONS)
    left = equation.replace(" ", "").split("->")[0]
    return [equation, *sized(d, *left.split(","), finite=True)]  # ∞ · 0 depends on the order of products


def linear(d: Draw) -> list[Any]:
    k, n = length(d), length(d)
    bias = [(n,)] if d.flag() else []
    x = tuple(min(b, 9) for b in d.shape(0, 2))
    return of(d, (*x, k), (n, k), *bias)


CASES = [
    Case("matmul", matmul, scale="products"),
    Case("__matmul__", matmul, scale="products", method=False),
    Case("mm", lambda d: sized(d, "mk", "kn"), scale="products"),
    Case("bmm", lambda d: sized(d, "bmk", "bkn"), scale="products"),
    Case("mv", lambda d: sized(d, "mk", "k"), scale="products"),
    Case("dot", lambda d: sized(d, "k", "k"), scale="products"),
    Case("outer", lambda d: [d.x(1, 1, NUMBERS), d.x(1, 1 + d.rarely(), NUMBERS)]),
    Case("addmm", addmm, scale="products"),
    Case("baddbmm", baddbmm, scale="products"),
    Case("einsum", einsum, scale="products"),
    Case("dense", linear, torch="nn.functional.linear", scale="products"),
]
