"""Cases of views, of what joins and cuts, of creation and conversion."""

from __future__ import annotations

import math
from typing import Any

from torch_cases import ALL, FLOATS, LAYOUTS, NUMBERS, Case, Draw, Shape, words

FORWARD = tuple(name for name in LAYOUTS if name != "reversed")  # PyTorch has no negative strides


def view(d: Draw, low: int = 0, high: int = 4, **options: Any) -> Any:
    return d.x(low, high, layout=d.pick(*FORWARD), **options)


def reshaped(d: Draw, shape: Shape) -> list[int]:
    """Lengths of as many elements; one of them may be -1; rarely they do not fit."""
    n, found = math.prod(shape), []
    while n > 1 and len(found) < 7 and d.integer(0, 3):
        factor = d.pick(*(f for f in range(1, min(n, 70) + 1) if n % f == 0))
        found.append(factor)
        n //= factor
    found.append(n)
    if d.integer(0, 3) == 0:
        found[d.integer(0, len(found) - 1)] = -1
    if d.rarely():
        found[0] += 1
    return found


def permute(d: Draw) -> list[Any]:
    x = view(d)
    order = sorted(range(x.ndim), key=lambda _: d.integer(0, 9))
    if x.ndim and d.rarely():
        order[0] = order[-1] + 1
    return [x, tuple(a - x.ndim if d.flag() else a for a in order)]


def expanded(d: Draw) -> list[Any]:
    x = view(d, 0, 3)
    shape = [d.pick(2, 5) if n == 1 else -1 if d.integer(0, 3) == 0 else n for n in x.shape]
    if shape and d.rarely():
        shape[0] += 3
    return [x, (*d.pick((), (3,), (1, 2)), *shape)]


def broadcast_to(d: Draw) -> list[Any]:
    x, shape = expanded(d)
    k = len(shape) - x.ndim
    return [x, (*shape[:k], *(x.shape[i] if n == -1 else n for i, n in enumerate(shape[k:])))]


def narrow(d: Draw) -> list[Any]:
    x = view(d, 0 if d.rarely() else 1)
    dim = d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    start = d.integer(-n, n)
    return [x, dim, start, d.integer(-1 if d.rarely() else 0, n - start % max(n, 1) + d.rarely())]


def unfold(d: Draw) -> list[Any]:
    x, dim = view(d, 0, 3), d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return [x, dim, d.integer(0, n + d.rarely()), d.pick(1, 2, 3, 0 if d.rarely() else 1)]


def movedim(d: Draw) -> list[Any]:
    x = view(d, 1)
    if d.flag():
        return [x, d.dim(), d.dim()]
    count = d.integer(0, x.ndim)
    source, target = (
        [a - x.ndim if d.flag() else a for a in d.pick(range(x.ndim), range(x.ndim - 1, -1, -1))] for _ in "ab"
    )
    return [x, tuple(source[:count]), tuple(target[:count])]


def joined(d: Draw, same: bool) -> list[Any]:
    """Arrays that differ along one axis at most, and sometimes in dtype."""
    x = d.x(0 if same else 1 - d.rarely(), 3)
    dim = d.dim(extra=int(same))
    arrays = [x]
    for _ in range(d.integer(0, 3)):
        shape = list(x.shape)
        if shape and not same and -x.ndim <= dim < x.ndim:
            shape[dim] = d.pick(0, 1, 5)
        if shape and d.rarely():
            shape[0] += 1
        arrays.append(d.same(tuple(shape), dtype=None if d.flag() else d.pick(*ALL)))
        d.last = x
    if not same and d.rarely():
        arrays.insert(0, d.x(shape=(0,)))
    return [arrays if d.flag() else tuple(arrays), dim]


def split(d: Draw) -> list[Any]:
    x, dim = view(d), d.dim()
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    if d.flag():
        return [x, d.pick(1, 2, 3, 7, 100, 0 if d.rarely() else 1), dim]
    first = d.integer(0, n)
    second = d.integer(0, n - first)
    return [x, [first, second, n - first - second + d.rarely()], dim]


def padded(d: Draw) -> list[Any]:
    x = d.x(0, 3, finite=True)
    mode = d.pick("constant", "constant", "reflect", "replicate", "circular")
    if mode == "constant":
        widths = [d.integer(-2, 3) for _ in range(2 * d.integer(0, x.ndim) + d.rarely())]
        return [x, widths, *d.pick((), ("constant", 1.5), ("constant", -2))]
    return [x, [d.integer(0, 3) for _ in range(2 * d.integer(1, max(x.ndim - 1, 1)))], mode]


def roll(d: Draw) -> list[Any]:
    x = d.x()
    if d.integer(0, 3) == 0:
        return [x, d.integer(-9, 9)]
    dims = d.dims()
    return [x, tuple(d.integer(-9, 9) for _ in range(len(dims) + d.rarely())), dims]


def repeat(d: Draw) -> list[Any]:
    x = d.x(0, 3)
    more = d.pick(0, 1, -1 if d.rarely() else 0)
    times = tuple(d.pick(0, 1, 2, 3, -1 if d.rarely() else 1) for _ in range(max(0, x.ndim + more)))
    return [x, *times] if times and d.flag() else [x, times]


def size(d: Draw) -> tuple[int, ...]:
    return (*d.shape(0, 3), *((-1,) if d.rarely() else ()))


def kind(d: Draw, *names: str) -> dict[str, Any]:
    return {"dtype": d.dtype(*(names or ALL))} if d.flag() else {}


def arange(d: Draw) -> list[Any]:
    numbers = (0, 1, 5, -3, 10, 2.5, -0.5, 7.0)
    ends = d.pick(
        (d.pick(*numbers),),
        (d.pick(*numbers), d.pick(*numbers)),
        (d.pick(*numbers), d.pick(*numbers), d.pick(1, 2, -1, 0.5, -0.25, 0)),
    )
    return [*ends, kind(d, *NUMBERS)]


def spaced(d: Draw) -> list[Any]:
    return [
        d.pick(0, -1.5, 2, 1),
        d.pick(3, 0.5, -2, 1),
        d.pick(0, 1, 2, 5, 17, 100, -1 if d.rarely() else 3),
        kind(d, *FLOATS),
    ]


def tensor(d: Draw) -> list[Any]:
    data = d.pick(
        1.5,
        3,
        True,
        [],
        [[]],
        [1, 2.5],
        [True, 2],
        [[1, 2], [3, 4]],
        [[1.0], [2.0]],
        (1, 2),
        [[1], [2, 3]],
        "a",
        [None],
    )
    return [data, kind(d)]


CASES = [
    # ---- views
    Case("reshape", lambda d: [view(d), reshaped(d, d.last.shape)], view=True),
    Case("view", lambda d: [view(d), *reshaped(d, d.last.shape)], view=True),
    Case("permute", permute, view=True),
    Case("transpose", lambda d: [view(d), d.dim(), d.dim()], view=True),
    Case("t", lambda d: [view(d, 0, 3 if d.rarely() else 2)], view=True),
    Case("expand", expanded, view=True),
    Case("broadcast_to", broadcast_to, view=True),
    Case("squeeze", lambda d: [view(d), *d.pick((), (d.dim(),), (d.dims(),))], view=True),
    Case("unsqueeze", lambda d: [view(d, 0, 3), d.dim(extra=1)], view=True),
    Case("flatten", lambda d: [view(d), *d.pick((), (d.dim(),), (d.dim(), d.dim()))], view=True),
    Case("narrow", narrow, view=True),
    Case("unfold", unfold, ours="Tensor.unfold", torch="Tensor.unfold", view=True),
    Case("movedim", movedim, view=True),
    Case("T", lambda d: [view(d, 2, 2)], ours="Tensor.T.__get__", torch="Tensor.T.__get__", view=True, method=False),
    Case(
        "mT",
        lambda d: [view(d, 1 if d.rarely() else 2)],
        ours="Tensor.mT.__get__",
        torch="Tensor.mT.__get__",
        view=True,
        method=False,
    ),
    Case("data", lambda d: [view(d)], ours="Tensor.data.__get__", torch="Tensor.data.__get__", view=True, method=False),
    Case("expand_as", lambda d: [view(d), d.other(numbers=False)], view=True),
    Case("view_as", lambda d: [view(d), d.other(numbers=False)], view=True),
    Case("reshape_as", lambda d: [view(d), d.other(numbers=False)], view=True),
    Case("detach", lambda d: [view(d)], view=True),
    Case("clone", lambda d: [d.x()]),
    Case("contiguous", lambda d: [d.x()]),
    Case("numel", lambda d: [d.x()]),
    Case("size", lambda d: [d.x(), *d.pick((), (d.dim(),))]),
    Case("stride", lambda d: [view(d, least=2), *d.pick((), (d.dim(),))]),
    Case("dim", lambda d: [d.x()]),
    Case("element_size", lambda d: [d.x()]),
    Case("storage_offset", lambda d: [d.x(layout="plain")]),
    Case("is_contiguous", lambda d: [view(d)]),
    Case("is_floating_point", lambda d: [d.x()]),
    Case("item", lambda d: [d.x(0, 3, shape=d.pick((), (1,), (1, 1), (2,), (0,)))]),
    Case("tolist", lambda d: [d.x(0, 3)]),
    # ---- joined and cut
    Case("cat", lambda d: joined(d, False)),
    Case("stack", lambda d: joined(d, True)),
    Case("split", split, view=True),
    Case("chunk", lambda d: [view(d), d.pick(1, 2, 3, 7, 0 if d.rarely() else 1), d.dim()], view=True),
    Case("pad", padded, torch="nn.functional.pad"),
    Case("flip", lambda d: [d.x(), d.dims()]),
    Case("roll", roll),
    Case("tril", lambda d: [d.x(1 if d.rarely() else 2, 4), *d.pick((), (d.integer(-9, 9),))]),
    Case("triu", lambda d: [d.x(1 if d.rarely() else 2, 4), *d.pick((), (d.integer(-9, 9),))]),
    Case("diag", lambda d: [d.x(0 if d.rarely() else 1, 3 if d.rarely() else 2), *d.pick((), (d.integer(-3, 3),))]),
    Case("repeat", repeat, ours="Tensor.repeat", torch="Tensor.repeat"),
    # ---- conversion
    Case("to", lambda d: [d.x(span=(0, 9)), d.pick(d.dtype(), "cpu")]),
    Case("to", lambda d: [d.x(span=(0, 9)), {"dtype": d.dtype(), **d.keywords(copy=(True, False))}], label="keywords"),
    Case("type_as", lambda d: [d.x(span=(0, 9)), d.x()]),
    *(
        Case(n, lambda d: [d.x(span=(0, 9))], torch=f"Tensor.{n}", ours=f"Tensor.{n}")
        for n in words("float double long int bool cpu")
    ),
    # ---- creation
    Case("zeros", lambda d: [size(d), kind(d)]),
    Case("ones", lambda d: [size(d), kind(d)]),
    Case("full", lambda d: [size(d), d.number(), kind(d)]),
    Case("empty", lambda d: [size(d), kind(d)], random=True),
    Case("zeros_like", lambda d: [d.x(), kind(d)]),
    Case("ones_like", lambda d: [d.x(), kind(d)]),
    Case("full_like", lambda d: [d.x(), d.number(), kind(d)]),
    Case("empty_like", lambda d: [d.x(), kind(d)], random=True),
    Case("arange", arange),
    Case("linspace", spaced),
    Case("logspace", lambda d: [*spaced(d)[:-1], *d.pick((), (2.0,), (10,)), kind(d, *FLOATS)]),
    Case("eye", lambda d: [d.pick(0, 1, 5, 17, -1 if d.rarely() else 2), *d.pick((), (3,), (0,)), kind(d)]),
    Case("tensor", tensor, method=False),
    Case("as_tensor", tensor, method=False),
    Case("rand", lambda d: [size(d), kind(d, *FLOATS)], random=True),
    Case("randn", lambda d: [size(d), kind(d, *FLOATS)], random=True),
    Case("randint", lambda d: [*d.pick((9,), (2, 5), (-3, 4), (5, 5)), size(d), kind(d, *NUMBERS)], random=True),
    Case("randperm", lambda d: [d.pick(0, 1, 17, -1 if d.rarely() else 5)], random=True),
    Case("rand_like", lambda d: [d.x(), kind(d, *FLOATS)], random=True),
    Case("randn_like", lambda d: [d.x(), kind(d, *FLOATS)], random=True),
    Case("randint_like", lambda d: [d.x(), *d.pick((9,), (2, 5), (5, 5))], random=True),
    Case("bernoulli", lambda d: [d.x(dtypes=FLOATS, span=(0, 2))], inplace=False),
    Case("dropout", lambda d: [d.x(dtypes=FLOATS, finite=True), d.pick(0.0, 1.0, 0.0, 1.5), d.flag()]),
]
