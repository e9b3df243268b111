"""Gradients of the rows of pointwise.def and of their derivatives, which are rows themselves: f_backward = grad f',
f_double_backward = grad_grad grad f''. One further derivative is composed here of rows, so that it has all that follow.

The gradient of a derivative row with respect to `input` is the whole of it: that `output` is a function of the input is
counted in. `output` itself has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from trigrad import _core, ops
from trigrad._core import Tensor, op_table
from trigrad._vjp.rule import (
    NOT_DIFFERENTIABLE,
    RULES,
    Attributes,
    Function,
    Gradients,
    Grads,
    Rule,
    Tensors,
    Wanted,
    returned,
    rule,
)

Row = dict[str, Any]


def install() -> None:
    """A rule for every row that has none of its own below."""
    table = {row["name"]: row for row in op_table() if row["pointwise"]}
    for name, row in table.items():
        if row["pointwise"]["to_bool"] or (name + "_backward" not in table and name + "_backward_a" not in table):
            NOT_DIFFERENTIABLE.add(name)
    for name in table:
        if f"{name}_backward" in table:
            of_first(name, [table[f"{name}_backward"]], [[table[f"{name}_double_backward"]]])
            of_backward(f"{name}_backward", [table[f"{name}_double_backward"]])
            of_double(f"{name}_double_backward", table[f"{name}_double_backward"], THIRD.get(name))
        elif f"{name}_backward_a" in table:
            second = {pair: table[f"{name}_double_backward_{pair}"] for pair in ("aa", "ab", "bb")}
            of_first(
                name,
                [table[f"{name}_backward_{k}"] for k in "ab"],
                [[second["aa"], second["ab"]], [second["ab"], second["bb"]]],
            )
            for k, pairs in (("a", ("aa", "ab")), ("b", ("ab", "bb"))):
                of_backward(f"{name}_backward_{k}", [table[f"{name}_double_backward_{pair}"] for pair in pairs])
            for pair in ("aa", "ab", "bb"):
                of_double(
                    f"{name}_double_backward_{pair}",
                    table[f"{name}_double_backward_{pair}"],
                    THIRD.get(f"{name}_{pair}"),
                )
    NOT_DIFFERENTIABLE.difference_update(RULES)


# ---- the rules, made from the derivative rows, whose table entries say what they read

COMPUTED_ANEW = {"div"}  # their outputs are, where a gradient reads them, so that they may be overwritten meanwhile


def read_by(row: Row, arity: int, first: int) -> str:
    """What a derivative row reads, where its inputs `input`, `other` are inputs `first`, ... of the row in question and
    `output` the next; for a row of pointwise.def itself (first = 0) that is its output."""
    at = {"input": f"i{first}", "other": f"i{first + 1}", "output": f"i{first + arity}" if first else "o0"}
    return " ".join(at[name] for name in row["pointwise"]["reads"])


Pick: TypeAlias = Callable[[Sequence[Any]], tuple[Any, ...]]


def picks(row: Row, arity: int) -> Pick:
    """What a derivative row reads of (instead, input, [other,] output), and `instead` for the rest."""
    names = ("input", "other", "output") if arity == 2 else ("input", "output")
    return itemgetter(*(k if name in row["pointwise"]["reads"] else 0 for k, name in enumerate(names, 1)))


def present(pick: Pick, values: Sequence[Any], instead: Tensor) -> Sequence[Any]:
    """The row's last tensors. One that it does not read may not be there, and any other takes its place, unless the result
    will be differentiated with respect to it."""
    return values if _core.is_grad_enabled() else pick((instead, *values))


def of_first(name: str, slopes: list[Row], curvatures: list[list[Row]]) -> None:
    if name in RULES:
        return
    calls = [(picks(row, len(slopes)), getattr(ops, row["name"])) for row in slopes]
    itself = getattr(ops, name)
    # What the second derivatives read of the inputs is kept as well, marked with "?"; the output can be had again from the
    # inputs, and is, where all of them are read.
    first = [read_by(row, len(slopes), 0).split() for row in slopes]
    anew = name in COMPUTED_ANEW
    if anew:
        first = [[f"i{k}" for k in range(len(slopes))] if "o0" in reads else reads for reads in first]
    kept = [
        reads
        + sorted(
            {f"{i}?" for s in seconds for i in read_by(s, len(slopes), 0).split() if i[0] == "i"}
            - {f"{i}?" for i in reads}
        )
        for reads, seconds in zip(first, curvatures, strict=True)
    ]

    def function(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
        output = outputs[0]
        if _core.is_grad_enabled():  # what is made here will be differentiated
            there = {i.rstrip("?") for k, want in enumerate(wanted) if want for i in kept[k]}
            if "o0" not in there and len(there) == len(inputs):
                output = itself(*inputs, *attributes)
        elif anew and any(want and len(first[k]) == len(inputs) for k, want in enumerate(wanted)):
            output = itself(*inputs, *attributes)
        g, values = grads[0], (*inputs, output)
        found: list[Tensor | None] = [None] * len(calls)
        for k, (pick, call) in enumerate(calls):
            if wanted[k]:
                found[k] = returned(call(g, *present(pick, values, g), *attributes), inputs[k])
        return found

    RULES[name] = Rule(function, tuple(" ".join(reads) for reads in kept), (0,))


def of_backward(name: str, curvatures: list[Row]) -> None:
    """inputs: grad, input [, other], output"""
    slope = getattr(ops, name)
    own: Row = next(row for row in op_table() if row["name"] == name)
    arity = len(curvatures)
    mine = picks(own, arity)
    calls = [(None if row["pointwise"]["zero"] else picks(row, arity), getattr(ops, row["name"])) for row in curvatures]

    def function(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
        (v, *_), (grad, *rest) = grads, inputs
        found = [returned(slope(v, *present(mine, rest, v), *attributes), grad) if wanted[0] else None]
        for k, (pick, call) in enumerate(calls, 1):
            if pick is None or not wanted[k]:
                found.append(None)
            else:
                found.append(returned(call(v, grad, *present(pick, rest, v), *attributes), inputs[k]))
        return [*found, None]

    reads = [f"i0 {read_by(row, arity, 1)}".strip() for row in curvatures]
    RULES[name] = Rule(function, (read_by(own, arity, 1), *reads, ""), (0,))


def of_double(name: str, own: Row, third: Callable[..., Sequence[Tensor | None]] | None) -> None:
    """inputs: grad_grad, grad, input [, other], output"""
    curvature = getattr(ops, name)
    zero = own["pointwise"]["zero"]
    arity = len(own["params"]) - 3 - sum(p["kind"] != "Tensor" for p in own["params"])
    mine = picks(own, arity)

    def function(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
        (v, *_), (grad_grad, grad, *rest) = grads, inputs
        if zero:
            return [None] * len(inputs)
        found: list[Tensor | None] = [
            returned(curvature(v, grad, *present(mine, rest, v), *attributes), grad_grad) if wanted[0] else None,
            returned(curvature(v, grad_grad, *present(mine, rest, v), *attributes), grad) if wanted[1] else None,
        ]
        further: Sequence[Tensor | None] = [None] * arity
        if any(wanted[2:-1]) and own["pointwise"]["reads"]:  # else f'' is constant
            if third is None:
                raise NotImplementedError(f"[{name}] has no further derivative; the row can be differentiated twice")
            scale = ops.mul(ops.mul(v, grad_grad), grad)
            further = [None if t is None else ops.mul(scale, t) for t in third(*rest, *attributes)]
        for k, t in enumerate(further, 2):
            found.append(returned(t, inputs[k]) if t is not None and wanted[k] else None)
        return [*found, None]

    if zero:
        reads = [""] * (arity + 3)
    else:
        of_own = read_by(own, arity, 2)
        everything = " ".join(f"i{k}" for k in range(arity + 3))
        reads = [f"i1 {of_own}".strip(), f"i0 {of_own}".strip(), *[everything] * arity, ""]
    RULES[name] = Rule(function, tuple(reads), (0,))


# ---- rows whose gradient needs no row of its own


def linear(a: Callable[[Tensor], Tensor], b: Callable[[Tensor], Tensor]) -> Function:
    def function(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
        return [returned(f(grads[0]), x) if w else None for f, x, w in zip((a, b), inputs, wanted, strict=False)]

    return function


def same(g: Tensor) -> Tensor:
    return g


rule("add", "", "")(linear(same, same))
rule("sub", "", "")(linear(same, ops.neg))
rule("neg", "")(linear(ops.neg, same))


@rule("relu", "o0")
def _relu(grads: Grads, inputs: Tensors, outputs: Tensors, attributes: Attributes, wanted: Wanted) -> Gradients:
    """y > 0 where x > 0: the input may have been overwritten by the output."""
    return (ops.relu_backward(grads[0], outputs[0], outputs[0]),)


# ---- third derivatives, in rows: f'''(x, y, parameters), for two arguments both derivatives of the second derivative


def power_of(x: Tensor, n: float) -> Tensor:
    return ops.pow(x, n)


def slope_of_sigmoid(s: Tensor) -> Tensor:
    return s * (1 - s)


def tanh_of(t: Tensor, u1: Tensor, u2: Tensor, u3: Tensor) -> tuple[Tensor, Tensor]:
    """The second and third derivative of t = tanh(u), u with derivatives u1, u2, u3."""
    slope = 1 - t * t
    second = slope * (u2 - 2 * t * u1 * u1)
    third = slope * (u3 - 2 * u1 * (slope * u1 * u1 + 2 * t * u2) - 2 * t * u1 * (u2 - 2 * t * u1 * u1))
    return second, third


def mish3(x: Tensor, y: Tensor) -> Tensor:
    s = ops.sigmoid(x)
    s1 = slope_of_sigmoid(s)
    second, third = tanh_of(ops.tanh(ops.softplus(x)), s, s1, s1 * (1 - 2 * s))
    return 3 * second + x * third


def gelu_tanh3(x: Tensor, y: Tensor) -> Tensor:
    c, k = math.sqrt(2 / math.pi), 0.044715
    u1, u2 = c * (1 + 3 * k * (x * x)), 6 * c * k * x
    second, third = tanh_of(ops.tanh(c * (x + k * (x * x * x))), u1, u2, 6 * c * k + 0 * x)
    return (3 * second + x * third) / 2


def gelu3(x: Tensor, y: Tensor) -> Tensor:
    return ops.exp(x * x / -2) * (x * (x * x - 4)) / math.sqrt(2 * math.pi)


def silu3(x: Tensor, y: Tensor) -> Tensor:
    s = ops.sigmoid(x)
    d = slope_of_sigmoid(s)
    return d * (3 * (1 - 2 * s) + x * (1 - 6 * d))


def softplus3(x: Tensor, y: Tensor, beta: float, threshold: float) -> Tensor:
    s = ops.sigmoid(beta * x)
    return ops.where(ops.gt(beta * x, threshold), 0.0, beta * beta * slope_of_sigmoid(s) * (1 - 2 * s))


def logsigmoid3(x: Tensor, y: Tensor) -> Tensor:
    s = ops.sigmoid(x)
    return -slope_of_sigmoid(s) * (1 - 2 * s)


def erf3(x: Tensor, y: Tensor) -> Tensor:
    return ops.exp(-(x * x)) * ((4 * (x * x) - 2) * (2 / math.sqrt(math.pi)))


def below_zero(x: Tensor, value: Tensor) -> Tensor:
    return ops.where(ops.gt(x, 0.0), 0.0, value)


def pow_aa(a: Tensor, b: Tensor, y: Tensor) -> Sequence[Tensor | None]:
    factor = b * (b - 1) * (b - 2)
    trivial = ops.eq(factor, 0.0)
    first = ops.where(trivial, 0.0, factor * ops.pow(a, b - 3))
    return first, power_slope(a, b)


def power_slope(a: Tensor, b: Tensor) -> Tensor:
    """The derivative of b (b - 1) a^(b - 2) with respect to b, and of a^(b - 1) (1 + b log a) with respect to a."""
    return ops.pow(a, b - 2) * (2 * b - 1 + b * (b - 1) * ops.log(a))


def pow_ab(a: Tensor, b: Tensor, y: Tensor) -> Sequence[Tensor | None]:
    return power_slope(a, b), ops.pow(a, b - 1) * ops.log(a) * (2 + b * ops.log(a))


def pow_bb(a: Tensor, b: Tensor, y: Tensor) -> Sequence[Tensor | None]:
    log = ops.log(a)
    return ops.pow(a, b - 1) * log * (2 + b * log), ops.pow(a, b) * log * log * log


def hypot3(a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """aaa, aab, abb, bbb"""
    fifth = y * y * (y * y) * y
    aa, bb = a * a, b * b
    return -3 * a * bb / fifth, b * (2 * aa - bb) / fifth, a * (2 * bb - aa) / fifth, -3 * b * aa / fifth


def atan2_3(a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """aaa, aab, abb, bbb"""
    aa, bb = a * a, b * b
    cube = power_of(aa + bb, 3)
    aaa, aab = 2 * b * (3 * aa - bb) / cube, 2 * a * (3 * bb - aa) / cube
    return aaa, aab, -aaa, -aab


def one(f: Callable[..., Tensor]) -> Callable[..., Sequence[Tensor | None]]:
    return lambda *arguments: (f(*arguments),)


THIRD: dict[str, Callable[..., Sequence[Tensor | None]]] = {
    "div_ab": lambda a, b, y: (None, 2 / (b * b * b)),
    "div_bb": lambda a, b, y: (2 / (b * b * b), -6 * y / (b * b * b)),
    "hypot_aa": lambda a, b, y: hypot3(a, b, y)[:2],
    "hypot_ab": lambda a, b, y: hypot3(a, b, y)[1:3],
    "hypot_bb": lambda a, b, y: hypot3(a, b, y)[2:],
    "atan2_aa": lambda a, b, y: atan2_3(a, b, y)[:2],
    "atan2_ab": lambda a, b, y: atan2_3(a, b, y)[1:3],
    "atan2_bb": lambda a, b, y: atan2_3(a, b, y)[2:],
    "hardswish": one(lambda x, y: 0 * x),
    "pow_aa": pow_aa,
    "pow_ab": pow_ab,
    "pow_bb": pow_bb,
    "square": one(lambda x, y: 0 * x),
    "reciprocal": one(lambda x, y: -6 * (y * y) * (y * y)),
    "sqrt": one(lambda x, y: 0.375 / (x * x * y)),
    "rsqrt": one(lambda x, y: -1.875 * y / (x * x * x)),
    "exp": one(lambda x, y: y),
    "exp2": one(lambda x, y: y * math.log(2) ** 3),
    "expm1": one(lambda x, y: ops.exp(x)),
    "log": one(lambda x, y: 2 / (x * x * x)),
    "log2": one(lambda x, y: (2 / math.log(2)) / (x * x * x)),
    "log10": one(lambda x, y: (2 / math.log(10)) / (x * x * x)),
    "log1p": one(lambda x, y: 2 / power_of(1 + x, 3)),
    "sin": one(lambda x, y: -ops.cos(x)),
    "cos": one(lambda x, y: ops.sin(x)),
    "tan": one(lambda x, y: 2 * (1 + y * y) * (1 + 3 * (y * y))),
    "asin": one(lambda x, y: (1 + 2 * (x * x)) * power_of(1 - x * x, -2.5)),
    "acos": one(lambda x, y: -(1 + 2 * (x * x)) * power_of(1 - x * x, -2.5)),
    "atan": one(lambda x, y: (6 * (x * x) - 2) / power_of(1 + x * x, 3)),
    "sinh": one(lambda x, y: ops.cosh(x)),
    "cosh": one(lambda x, y: ops.sinh(x)),
    "asinh": one(lambda x, y: (2 * (x * x) - 1) * power_of(1 + x * x, -2.5)),
    "acosh": one(lambda x, y: (2 * (x * x) + 1) * power_of(x * x - 1, -2.5)),
    "atanh": one(lambda x, y: (2 + 6 * (x * x)) / power_of(1 - x * x, 3)),
    "erf": one(erf3),
    "tanh": one(lambda x, y: (1 - y * y) * (6 * (y * y) - 2)),
    "sigmoid": one(lambda x, y: slope_of_sigmoid(y) * (1 - 6 * slope_of_sigmoid(y))),
    "softplus": one(softplus3),
    "logsigmoid": one(logsigmoid3),
    "silu": one(silu3),
    "mish": one(mish3),
    "gelu": one(gelu3),
    "gelu_tanh": one(gelu_tanh3),
    "elu": one(lambda x, y, alpha: below_zero(x, alpha * ops.exp(x))),
    "selu": one(lambda x, y: below_zero(x, 1.7580993408473768 * ops.exp(x))),
    "celu": one(lambda x, y, alpha: below_zero(x, ops.exp(x / alpha) / (alpha * alpha))),
    "softsign": one(lambda x, y: 6 / power_of(1 + ops.abs(x), 4)),
}
