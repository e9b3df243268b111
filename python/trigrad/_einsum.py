"""Sums of products over named axes: `einsum` and `tensordot`.

What is to be done follows from the equation and the shapes alone: a list of steps, each of which replaces one of the
operands by a view of it, by its sum over some axes, or by its product with another one. The lists are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import lru_cache, partial
from operator import methodcaller
from typing import Any, NamedTuple, TypeAlias

from trigrad import ops
from trigrad._core import Tensor

__all__ = ["einsum", "tensordot"]

Labels: TypeAlias = "tuple[Hashable, ...]"


class Term(NamedTuple):
    """An operand on its way: its place among the operands, and the label and length of each of its axes."""

    place: int
    labels: Labels
    shape: tuple[int, ...]


class Step(NamedTuple):
    function: Callable[..., Tensor]
    place: int
    other: int  # -1: the step has one operand


Steps: TypeAlias = "list[Step]"


def run(steps: Sequence[Step], operands: Sequence[Tensor]) -> Tensor:
    values = list(operands)
    for function, place, other in steps:
        values[place] = function(values[place]) if other < 0 else function(values[place], values[other])
    return values[steps[-1].place] if steps else values[0]


def product_of(lengths: Iterable[int]) -> int:
    n = 1
    for length in lengths:
        n *= length
    return n


def sum_over(axes: Sequence[int], x: Tensor) -> Tensor:
    total = ops.sum(x, axes)
    return total if total.dtype is x.dtype else ops.cast(total, x.dtype)


def summed_over(term: Term, gone: Collection[Hashable], steps: Steps) -> Term:
    axes = tuple(d for d, label in enumerate(term.labels) if label in gone)
    if not axes:
        return term
    steps.append(Step(partial(sum_over, axes), term.place, -1))
    left = [d for d in range(len(term.labels)) if d not in axes]
    return Term(term.place, tuple(term.labels[d] for d in left), tuple(term.shape[d] for d in left))


def arrange(term: Term, order: Sequence[Hashable], shape: Sequence[int], steps: Steps) -> None:
    """The axes in the order of their labels, under a new shape: views where there are some."""
    axes = [term.labels.index(label) for label in order]
    if axes != list(range(len(axes))):
        steps.append(Step(methodcaller("permute", axes), term.place, -1))
    if list(shape) != [term.shape[d] for d in axes]:
        steps.append(Step(methodcaller("reshape", tuple(shape)), term.place, -1))


def contract(a: Term, b: Term, kept: Collection[Hashable], floating: bool, steps: Steps) -> Term:
    """The product of two terms, summed over the shared labels that are not kept. A label that only one of the two has is
    kept."""
    size = dict(zip((*a.labels, *b.labels), (*a.shape, *b.shape), strict=True))
    shared = [label for label in a.labels if label in b.labels]
    batch = [label for label in shared if label in kept]
    summed = [label for label in shared if label not in kept]
    left = [label for label in a.labels if label not in shared]
    right = [label for label in b.labels if label not in shared]
    together, k = [size[label] for label in batch], product_of(size[label] for label in summed)
    lengths_left, lengths_right = [size[label] for label in left], [size[label] for label in right]
    shape = (*together, *lengths_left, *lengths_right)
    if not summed:  # nothing to add up
        arrange(a, (*batch, *left), (*together, *lengths_left, *([1] * len(right))), steps)
        arrange(b, (*batch, *right), (*together, *([1] * len(left) if batch else []), *lengths_right), steps)
        steps.append(Step(ops.mul, a.place, b.place))
    elif not left and not right and floating:
        arrange(a, (*batch, *summed), (*together, k), steps)
        arrange(b, (*batch, *summed), (*together, k), steps)
        steps.append(Step(ops.native_dot, a.place, b.place))
    else:
        m, n = product_of(lengths_left), product_of(lengths_right)
        arrange(a, (*batch, *left, *summed), (*together, m, k), steps)
        arrange(b, (*batch, *summed, *right), (*together, k, n), steps)
        steps.append(Step(ops.matmul, a.place, b.place))
        if shape != (*together, m, n):
            steps.append(Step(methodcaller("reshape", shape), a.place, -1))
    return Term(a.place, (*batch, *left, *right), shape)


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that the equation names: one letter per axis, `...` for any further ones. Axes whose letter is
    not in the output are summed; without `->` the output has the letters that occur once, in alphabetical order. Axes of
    length 1 are broadcast. Two operands at a time are multiplied, those first whose product is the least work (by their
    shapes alone), by `matmul`, `dot` or, where nothing is summed, `mul`. The operands may be given in one list.

    >>> import trigrad as tg
    >>> a, b = tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 10.0])
    >>> tg.einsum("ij,j->i", a, b)
    tensor([21., 43.])
    >>> tg.einsum("ii", a)
    tensor(5.)
    >>> tg.einsum("...i,...i->...", a, a)
    tensor([ 5., 25.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    shapes = tuple([x.shape for x in operands])
    floating = not operands or operands[0].is_floating_point()
    return run(steps_of_einsum(equation, shapes, floating), operands)


@lru_cache(maxsize=1024)
def steps_of_einsum(equation: str, shapes: tuple[tuple[int, ...], ...], floating: bool) -> Sequence[Step]:
    inputs, output = read_equation(equation, shapes)
    lengths = lengths_of(shapes, inputs)
    steps: Steps = []
    terms = [
        single(Term(k, labels, shape), steps) for k, (labels, shape) in enumerate(zip(inputs, shapes, strict=True))
    ]
    while True:
        uses = Counter(label for term in terms for label in term.labels)
        gone = {label for label, n in uses.items() if n == 1 and label not in output}
        terms = [summed_over(term, gone, steps) for term in terms]
        if len(terms) == 1:
            break
        i, j = cheapest(terms, lengths)
        b, a = terms.pop(j), terms.pop(i)
        kept = {*output, *(label for term in terms for label in term.labels)}
        terms.insert(i, contract(a, b, kept, floating, steps))
    last = terms[0]
    missing = tuple(label for label in output if label not in last.labels)  # of length 1 in every operand
    if missing:
        widened = (*last.shape, *([1] * len(missing)))
        steps.append(Step(methodcaller("reshape", widened), last.place, -1))
        last = Term(last.place, (*last.labels, *missing), widened)
    arrange(last, output, [last.shape[last.labels.index(label)] for label in output], steps)
    return steps


def refuse_equation(equation: str, problem: str) -> None:
    raise RuntimeError(f"[einsum] {equation!r} {problem}")


def read_equation(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[Labels], Labels]:
    """The labels of the operands' axes and of the output's. The axes under an ellipsis are numbered from the last, 0."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    subscripts = left.split(",")
    if len(subscripts) != len(shapes):
        refuse_equation(equation, f"names {len(subscripts)} operands, got {len(shapes)}, expected as many")
    for part in (*subscripts, right):
        letters = part.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters):
            refuse_equation(equation, f"has the part {part!r}, expected letters and at most one '...'")
    inputs: list[Labels] = []
    most = 0
    for k, (part, shape) in enumerate(zip(subscripts, shapes, strict=True)):
        before, dots, after = part.partition("...")
        others = len(shape) - len(before) - len(after)
        if others < 0 or (others > 0 and not dots):
            refuse_equation(
                equation, f"gives {part!r} for operand {k} of shape {tuple(shape)}, expected {len(shape)} axes"
            )
        most = max(most, others)
        inputs.append((*before, *range(others - 1, -1, -1), *after))
    hidden = range(most - 1, -1, -1)
    letters = "".join(subscripts).replace(".", "")
    if not arrow:
        return inputs, (*hidden, *sorted(c for c in set(letters) if letters.count(c) == 1))
    before, dots, after = right.partition("...")
    output: Labels = (*before, *(hidden if dots else ()), *after)
    for c in (*before, *after):
        if c not in letters:
            refuse_equation(equation, f"has {c!r} in the output, expected a letter of the operands")
    if len(set(output)) < len(output):
        refuse_equation(equation, "has a letter twice in the output, expected each once")
    return inputs, output


def lengths_of(shapes: Sequence[Sequence[int]], inputs: Sequence[Labels]) -> dict[Hashable, int]:
    lengths: dict[Hashable, int] = {}
    for k, (shape, labels) in enumerate(zip(shapes, inputs, strict=True)):
        for label, n in zip(labels, shape, strict=True):
            known = lengths.setdefault(label, n)
            if known == 1:
                lengths[label] = n
            elif n not in (1, known):
                raise RuntimeError(
                    f"[einsum] axis {label!r} has {n} elements in operand {k} of shape {tuple(shape)} and {known} "
                    "before, expected equal lengths or 1"
                )
    return lengths


def single(term: Term, steps: Steps) -> Term:
    """One operand with each label once, and without axes of length 1, which count for nothing in a product."""
    place, labels, shape = term
    for label in [label for label, n in Counter(labels).items() if n > 1]:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if shape[first] != shape[second]:
                raise RuntimeError(
                    f"[einsum] {label!r} stands for axes of {shape[first]} and {shape[second]} elements of one operand "
                    f"of shape {tuple(term.shape)}, expected equal lengths"
                )
            steps.append(Step(methodcaller("diagonal", 0, first, second), place, -1))
            rest = [d for d in range(len(labels)) if d not in (first, second)]
            labels, shape = (*(labels[d] for d in rest), label), (*(shape[d] for d in rest), shape[first])
    kept = [d for d, n in enumerate(shape) if n != 1]
    if len(kept) == len(shape):
        return Term(place, labels, tuple(shape))
    long = Term(place, tuple(labels[d] for d in kept), tuple(shape[d] for d in kept))
    steps.append(Step(methodcaller("reshape", long.shape), place, -1))
    return long


def cheapest(terms: Sequence[Term], lengths: dict[Hashable, int]) -> tuple[int, int]:
    """The two terms whose product takes the fewest multiplications; the first such two."""
    pairs = [(i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))]
    return min(pairs, key=lambda p: product_of(lengths[n] for n in {*terms[p[0]].labels, *terms[p[1]].labels}))


def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Any] = 2) -> Tensor:
    """The sum of products over the last `dims` axes of a and the first of b, or over the axes dims = (of a, of b).

    a (..., k, l), b (k, l, ...) -> (..., ...) for dims = 2

    >>> import trigrad as tg
    >>> tg.tensordot(tg.ones(2, 3, 4), tg.ones(3, 4, 5)).shape
    trigrad.Size([2, 5])
    >>> tg.tensordot(tg.ones(2, 3), tg.ones(2, 4), ([0], [0])).shape
    trigrad.Size([3, 4])
    """
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(
                f"[tensordot] dims is {dims}, expected 0 to {min(a.ndim, b.ndim)} for a {tuple(a.shape)} and b "
                f"{tuple(b.shape)}"
            )
        axes: tuple[tuple[int, ...], ...] = tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    else:
        axes = tuple((d,) if isinstance(d, int) else tuple(d) for d in dims)
    return run(steps_of_tensordot(a.shape, b.shape, axes, a.is_floating_point()), (a, b))


@lru_cache(maxsize=1024)
def steps_of_tensordot(
    a: tuple[int, ...], b: tuple[int, ...], axes: tuple[tuple[int, ...], ...], floating: bool
) -> Sequence[Step]:
    of_a, of_b = (axes_of(shape, some) for shape, some in zip((a, b), axes, strict=True))
    if len(of_a) != len(of_b):
        raise RuntimeError(f"[tensordot] dims has {len(of_a)} and {len(of_b)} axes, expected as many of a as of b")
    labels_a: list[Hashable] = [("a", d) for d in range(len(a))]
    labels_b: list[Hashable] = [("b", d) for d in range(len(b))]
    alone = set()  # summed in one of the two, as the other has length 1 there
    for i, j in zip(of_a, of_b, strict=True):
        if a[i] == b[j]:
            labels_b[j] = labels_a[i]
        elif 1 in (a[i], b[j]):
            alone |= {labels_a[i], labels_b[j]}
        else:
            raise RuntimeError(
                f"[tensordot] axis {i} of a {tuple(a)} has {a[i]} elements and axis {j} of b {tuple(b)} has {b[j]}, "
                "expected equal lengths"
            )
    steps: Steps = []
    x, y = Term(0, tuple(labels_a), tuple(a)), Term(1, tuple(labels_b), tuple(b))
    x, y = summed_over(x, alone, steps), summed_over(y, alone, steps)
    kept = {
        *(n for d, n in enumerate(labels_a) if d not in of_a),
        *(n for d, n in enumerate(labels_b) if d not in of_b),
    }
    contract(x, y, kept, floating, steps)
    return steps


def axes_of(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    found = []
    for d in axes:
        if not -len(shape) <= d < len(shape):
            raise IndexError(f"[tensordot] axis {d} is out of range for a tensor of {len(shape)} dimensions")
        found.append(d % len(shape))
    if len(set(found)) < len(found):
        raise RuntimeError(f"[tensordot] axes {tuple(axes)} name one twice")
    return found
