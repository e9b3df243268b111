"""Cases of the smaller functions around those of the other tables: other names, special forms, writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from torch_cases import ALL, FLOATS, INTEGERS, NUMBERS, Case, Draw, words
from torch_cases_linalg import length, of, sized
from torch_cases_reducing import over
from torch_cases_shaping import expanded, joined, kind, movedim, reshaped, size, view


def several(d: Draw) -> list[Any]:
    """Arrays that broadcast with each other."""
    x = d.x(0, 3)
    return [x, *(d.other(numbers=False) for _ in range(d.integer(0, 2)))]


def lines(d: Draw) -> list[Any]:
    """Arrays of one axis, or none."""
    return [d.x(0 if d.rarely() else 1, 1, NUMBERS, shape=(d.pick(0, 1, 2, 5),)) for _ in range(d.integer(1, 3))]


def tensor_split(d: Draw) -> list[Any]:
    x, dim = view(d), d.dim()
    return [x, d.pick(1, 2, 3, 7, 0 if d.rarely() else 2, [1, 3], (0, 2, 2), []), dim]


def unflatten(d: Draw) -> list[Any]:
    x, dim = view(d, 0 if d.rarely() else 1, 3), d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return [x, dim, tuple(reshaped(d, (n,)))[:4] or (1,)]


def repeat_interleave(d: Draw) -> list[Any]:
    x = d.x(0, 3)
    if d.flag():
        return [x, d.integer(-1 if d.rarely() else 0, 3), *d.pick((), (d.dim(),))]
    dim = d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return [x, d.same((n + d.rarely(),), dtype="int64", span=(0, 4)), dim]


def diagonal(d: Draw) -> list[Any]:
    x = view(d, 1 if d.rarely() else 2)
    return [x, d.integer(-3, 3), *d.pick((), (d.dim(), d.dim()))]


def tensordot(d: Draw) -> list[Any]:
    k, m, n, j = length(d), min(length(d), 9), min(length(d), 9), d.integer(0, 3)
    if d.flag():
        return [*of(d, (m, j, k), (j, k, n)), {"dims": 2}]
    return [*of(d, (m, k, j), (j, n, k)), {"dims": ([1, 2], [2, 0])}]


def bilinear(d: Draw) -> list[Any]:
    m, p, q, n = d.pick(1, 5), d.pick(1, 3, 8), d.pick(1, 7), d.pick(1, 4)
    return of(d, (m, p), (m, q), (n, p, q), *(((n,),) if d.flag() else ()))


def as_strided(d: Draw) -> list[Any]:
    x = d.x(1, 2, layout="plain", least=4)
    return [
        x,
        d.pick((2, 2), (3,), (), (2, 9 if d.rarely() else 1)),
        d.pick((1, 1), (0, 1), (1,), ()),
        *d.pick((), (1,)),
    ]


def trapezoid(d: Draw) -> list[Any]:
    y = d.x(1, 3, FLOATS, finite=True)
    if d.flag():
        return [y, {"dx": d.pick(0.5, 2), "dim": d.dim()}]
    return [y, d.same((y.shape[-1],), finite=True)]


def diff(d: Draw) -> list[Any]:
    x = d.x(0 if d.rarely() else 1)
    options: dict[str, Any] = d.keywords(n=(0, 1, 2, -1 if d.rarely() else 3))
    return [x, {**options, "dim": d.dim()}]


def boundaries(d: Draw) -> Any:
    first = d.last
    found = d.x(1, 1, NUMBERS, finite=True, layout="plain")
    found.sort()
    d.last = first
    return found


def n_along(x: Any, dim: int) -> int:
    return int(x.shape[dim]) if -x.ndim <= dim < x.ndim else 1


def cross(d: Draw) -> list[Any]:
    x = d.x(1, 3, FLOATS, shape=d.pick((3,), (5, 3), (3, 4), (2, 3, 3), (2, 5)), finite=True)
    return [x, d.same(finite=True), d.pick({}, {"dim": d.dim()})]


def scatter(d: Draw) -> list[Any]:
    """Each place is written once at most: of several PyTorch's last is not always the last."""
    x = d.x(1, 3, least=1)
    dim = d.integer(0, x.ndim - 1)
    n = x.shape[dim]
    shape = tuple(k if i != dim else d.integer(0, n) for i, k in enumerate(x.shape))
    turned = np.arange(n)[:: d.pick(1, -1)][: shape[dim]].reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    index = np.broadcast_to(turned, shape).astype(np.int64)
    if index.size and d.rarely():
        index[(0,) * x.ndim] = n
    return [x, dim, index, d.number() if d.flag() else d.same(shape)]


def index_copy(d: Draw) -> list[Any]:
    x = d.x(1, 3, least=1)
    dim = d.integer(0, x.ndim - 1)
    n = x.shape[dim]
    index = np.arange(n)[:: d.pick(1, -1)][: d.integer(0, n)].copy()
    if len(index) and d.rarely():
        index[0] = n + 1
    return [x, dim, index, d.same(tuple(k if i != dim else len(index) for i, k in enumerate(x.shape)))]


def masked_scatter(d: Draw) -> list[Any]:
    x = d.x(0, 3)
    mask = d.mask(d.broadcast(x.shape))
    return [x, mask, d.same((x.size - d.rarely() if x.size else 0,))]


CASES = [
    # ---- other names
    *(Case(n, movedim, view=True) for n in words("moveaxis")),
    *(Case(n, lambda d: [view(d), d.dim(), d.dim()], view=True) for n in words("swapaxes swapdims")),
    *(Case(n, lambda d: joined(d, False)) for n in words("concat concatenate")),
    *(Case(n, lambda d: [joined(d, False)[0]]) for n in words("hstack vstack dstack column_stack")),
    Case("ravel", lambda d: [view(d)]),
    Case("ger", lambda d: [d.x(1, 1, NUMBERS), d.x(1, 1, NUMBERS)]),
    Case("nelement", lambda d: [d.x()]),
    Case("linear", lambda d: of(d, (length(d), 5), (4, 5)), torch="nn.functional.linear", scale="products"),
    # ---- views
    Case("select", lambda d: [view(d), d.dim(), d.integer(-3, 3)], view=True),
    Case("unbind", lambda d: [view(d), *d.pick((), (d.dim(),))], view=True),
    Case("tensor_split", tensor_split, view=True),
    Case("unflatten", unflatten, view=True),
    Case("diagonal", diagonal, view=True),
    Case("as_strided", as_strided, view=True),
    Case("broadcast_tensors", several),
    Case("broadcast_shapes", lambda d: [d.broadcast((2, 3, 5)) for _ in range(d.integer(0, 3))]),
    *(Case(f"atleast_{n}d", lambda d: [view(d)], view=True) for n in "123"),
    Case("is_same_size", lambda d: [d.x(), d.same(d.broadcast(d.last.shape))]),
    # ---- turned, repeated, joined
    Case("fliplr", lambda d: [d.x()]),
    Case("flipud", lambda d: [d.x()]),
    Case(
        "rot90",
        lambda d: [
            d.x(1 if d.rarely() else 2),
            *d.pick((), (d.integer(-5, 5),), (1, (0, 1)), (3, (1, 0)), (1, (0, 0))),
        ],
    ),
    Case("tile", lambda d: [d.x(0, 3), tuple(d.pick(0, 1, 2, 3) for _ in range(d.integer(0, 4)))]),
    Case("repeat_interleave", repeat_interleave),
    Case("meshgrid", lambda d: [*lines(d), {"indexing": d.pick("ij", "xy")}]),
    Case("cartesian_prod", lines),
    Case(
        "diag_embed",
        lambda d: [d.x(0 if d.rarely() else 1, 3), *d.pick((), (d.integer(-3, 3),), (1, 0, 1), (0, 0, -1))],
    ),
    Case("diagflat", lambda d: [d.x(0, 2, shape=(*d.shape(0, 1), d.integer(0, 5))), *d.pick((), (d.integer(-3, 3),))]),
    # ---- sums of products
    Case("inner", lambda d: sized(d, "mk", "nk"), scale="products"),
    Case("vdot", lambda d: sized(d, "k", "k"), scale="products"),
    Case("kron", lambda d: [d.x(0, 2, NUMBERS, shape=d.pick((), (2,), (2, 3))), d.same(d.pick((), (3,), (3, 2)))]),
    Case("addmv", lambda d: [*sized(d, "m", "mk", "k"), d.keywords(alpha=(2,), beta=(0, 3))], scale="products"),
    Case("addr", lambda d: [*sized(d, "mn", "m", "n"), d.keywords(alpha=(2,), beta=(0, 3))], scale="products"),
    Case("addbmm", lambda d: [*sized(d, "mn", "bmk", "bkn"), d.keywords(alpha=(2,), beta=(0, 3))], scale="products"),
    Case("tensordot", tensordot, scale="products"),
    Case("bilinear", bilinear, scale="products"),
    Case("cross", cross, scale="products"),
    Case("trace", lambda d: [d.x(1 if d.rarely() else 2, 2)]),
    Case("trapezoid", trapezoid),
    Case("trapz", trapezoid),
    Case("diff", diff),
    Case("msort", lambda d: [d.x(0, 3)]),
    Case("nanmedian", lambda d: [d.x(0, 3, NUMBERS)]),
    Case("nanmedian", lambda d: [d.x(0, 3, NUMBERS), d.dim()], label="dim", ties=True),
    # ---- reductions
    Case("aminmax", lambda d: [d.x(), {"dim": d.dim(), **d.keywords(keepdim=(True,))} if d.flag() else {}]),
    Case("var_mean", lambda d: [d.x(dtypes=FLOATS), over(d, correction=(0, 2))]),
    Case("std_mean", lambda d: [d.x(dtypes=FLOATS), over(d, correction=(0, 2))]),
    Case("nansum", lambda d: [d.x(dtypes=FLOATS), over(d)]),
    Case("nanmean", lambda d: [d.x(dtypes=FLOATS), over(d)]),
    Case("count_nonzero", lambda d: [d.x(span=(0, 2)), *d.pick((), (d.dim(),), (d.dims(),))]),
    Case(
        "bucketize", lambda d: [d.x(0, 3, NUMBERS), boundaries(d), d.keywords(right=(True, False), out_int32=(True,))]
    ),
    # ---- bits and shrinks
    *(
        Case(n, lambda d: [d.x(dtypes=INTEGERS), d.same(span=(0, 5))])
        for n in words("bitwise_left_shift bitwise_right_shift")
    ),
    *(Case(n, lambda d: [d.x(), d.keywords(lambd=(0.0, 1.5))]) for n in words("hardshrink softshrink")),
    # ---- by index
    Case("argwhere", lambda d: [d.x(span=(0, 2))]),
    Case("take", lambda d: [d.x(), d.index(d.shape(0, 2), d.last.size, negative=True)]),
    Case("scatter", scatter),
    Case("index_copy", index_copy),
    Case(
        "index_fill",
        lambda d: [x := d.x(1, 3, least=1), dim := d.dim(), d.index((d.pick(0, 1, 5),), n_along(x, dim)), d.number()],
    ),
    Case("masked_scatter", masked_scatter),
    *(
        Case(n, lambda d: [d.integer(0, 5), d.integer(0, 5), *d.pick((), (d.integer(-6, 6),))])
        for n in words("tril_indices triu_indices")
    ),
    # ---- dtypes
    *(Case(n, lambda d: [d.x(span=(0, 9))], torch=f"Tensor.{n}", ours=f"Tensor.{n}") for n in words("byte char short")),
    *(Case(n, lambda d: [d.dtype(), d.dtype()]) for n in words("can_cast promote_types")),
    Case("result_type", lambda d: [d.x(0, 2), d.other()]),
    Case("scalar_tensor", lambda d: [d.number(), d.keywords(dtype=(d.dtype(),))], method=False),
    Case("asarray", lambda d: [d.pick([1, 2], [[1.5]], 3, True, []), d.keywords(dtype=(d.dtype(),))], method=False),
    *(
        Case(n, lambda d: [d.x(), size(d), kind(d)], torch=f"Tensor.{n}", random=n == "new_empty")
        for n in words("new_zeros new_ones new_empty")
    ),
    Case("new_full", lambda d: [d.x(), size(d), d.number(), kind(d)]),
    Case("new_tensor", lambda d: [d.x(), d.pick([1, 2], 1.5, [[True]]), kind(d)]),
    Case("empty_strided", lambda d: [(2, 3), d.pick((3, 1), (1, 2), (4, 1)), kind(d)], random=True),
    # ---- writes
    Case("fill_", lambda d: [d.x(layout="plain"), d.number()]),
    Case("zero_", lambda d: [d.x(layout="plain")]),
    Case(
        "copy_",
        lambda d: [
            d.x(layout="plain", span=(0, 9)),
            d.same(d.broadcast(d.last.shape), dtype=d.pick(*ALL), span=(0, 9)),
        ],
    ),
    Case(
        "fill_diagonal_", lambda d: [d.x(1 if d.rarely() else 2, 3, layout="plain"), d.number(), *d.pick((), (True,))]
    ),
    Case("uniform_", lambda d: [d.x(dtypes=FLOATS, layout="plain"), *d.pick((), (0.0, 2.0), (2.0, 1.0))], random=True),
    Case("normal_", lambda d: [d.x(dtypes=FLOATS, layout="plain"), *d.pick((), (0.0, 2.0), (2.0, -1.0))], random=True),
    Case("bernoulli_", lambda d: [d.x(layout="plain"), *d.pick((), (0.25,), (1.5,), (-0.5,))], random=True),
    Case("random_", lambda d: [d.x(layout="plain"), *d.pick((), (2,), (-3, 5), (5, 5), (0,))], random=True),
    Case("normal", lambda d: [0.0, d.pick(1.0, 2.0, -1.0), d.shape(0, 3)], random=True, method=False),
    Case("expand", lambda d: [(e := expanded(d))[0], *(e[1] or (e[1],))], label="lengths", view=True),
]
