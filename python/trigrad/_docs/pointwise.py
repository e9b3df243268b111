"""Pointwise rows, but the activations."""

from __future__ import annotations

DOCS = {
    "add": """input + other, elementwise. Of two masks: or.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.add(tg.tensor([1.0, 2.0]), tg.tensor([10.0, 20.0]))
tensor([11., 22.])
""",
    "sub": """input - other, elementwise.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.sub(tg.tensor([1.0, 2.0]), 0.5)
tensor([0.5000, 1.5000])
""",
    "mul": """input * other, elementwise. Of two masks: and.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.mul(tg.tensor([1.0, 2.0]), 3)
tensor([3., 6.])
""",
    "div": """input / other, elementwise; integers give floats.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.div(tg.tensor([1, 2]), 4)
tensor([0.2500, 0.5000])
""",
    "floor_divide": """input / other, rounded down.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.floor_divide(tg.tensor([7.0, -7.0]), 2.0)
tensor([ 3., -4.])
""",
    "remainder": """The remainder of input / other rounded down; it has the sign of `other`.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.remainder(tg.tensor([7.0, -7.0]), 2.0)
tensor([1., 1.])
""",
    "pow": """input to the power of other, elementwise; other may be called exponent, as in PyTorch. The numbers 2, 3, 0.5, -1, -2
and -0.5 mean products, quotients and roots.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.pow(tg.tensor([2.0, 3.0]), 2)
tensor([4., 9.])
""",
    "maximum": """The greater of both, elementwise; NaN if one is NaN.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.maximum(tg.tensor([1.0, 5.0]), tg.tensor([3.0, 4.0]))
tensor([3., 5.])
""",
    "minimum": """The lesser of both, elementwise; NaN if one is NaN.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.minimum(tg.tensor([1.0, 5.0]), tg.tensor([3.0, 4.0]))
tensor([1., 4.])
""",
    "neg": """-input, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.neg(tg.tensor([-1.5, 0.0, 2.0]))
tensor([ 1.5000, -0.0000, -2.0000])
""",
    "abs": """The magnitude, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.abs(tg.tensor([-1.5, 0.0, 2.0]))
tensor([1.5000, 0.0000, 2.0000])
""",
    "sign": """-1, 0 or 1: the sign of each element.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.sign(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-1.,  0.,  1.])
""",
    "square": """input * input, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.square(tg.tensor([-1.5, 0.0, 2.0]))
tensor([2.2500, 0.0000, 4.0000])
""",
    "reciprocal": """1 / input, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.reciprocal(tg.tensor([0.5, 4.0]))
tensor([2.0000, 0.2500])
""",
    "sqrt": """The square root, elementwise; NaN below 0.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.sqrt(tg.tensor([4.0, 9.0]))
tensor([2., 3.])
""",
    "rsqrt": """1 / sqrt(input), elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.rsqrt(tg.tensor([4.0, 16.0]))
tensor([0.5000, 0.2500])
""",
    "floor": """Each element rounded down.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.floor(tg.tensor([-1.5, 0.5, 2.7]))
tensor([-2.,  0.,  2.])
""",
    "ceil": """Each element rounded up.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.ceil(tg.tensor([-1.5, 0.5, 2.7]))
tensor([-1.,  1.,  3.])
""",
    "round": """Each element rounded to the nearest integer, halves to even.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.round(tg.tensor([-1.5, 0.5, 2.7]))
tensor([-2.,  0.,  3.])
""",
    "trunc": """Each element rounded towards 0.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.trunc(tg.tensor([-1.5, 0.5, 2.7]))
tensor([-1.,  0.,  2.])
""",
    "clamp": """Each element, but not less than `min` nor greater than `max`.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.clamp(tg.tensor([-1.5, 0.0, 2.0]), -1, 1)
tensor([-1.,  0.,  1.])
>>> tg.clamp(tg.tensor([-1.5, 0.0, 2.0]), min=0)
tensor([0., 0., 2.])
""",
    "exp": """e to the power of each element.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.exp(tg.tensor([-1.5, 0.0, 2.0]))
tensor([0.2231, 1.0000, 7.3891])
""",
    "expm1": """exp(input) - 1, exact near 0.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.expm1(tg.tensor([0.0, 1.0]))
tensor([0.0000, 1.7183])
""",
    "log": """The natural logarithm, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.log(tg.tensor([1.0, 10.0]))
tensor([0.0000, 2.3026])
""",
    "log1p": """log(1 + input), exact near 0.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.log1p(tg.tensor([0.0, 1.0]))
tensor([0.0000, 0.6931])
""",
    "sin": """The sine, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.sin(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-0.9975,  0.0000,  0.9093])
""",
    "cos": """The cosine, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.cos(tg.tensor([-1.5, 0.0, 2.0]))
tensor([ 0.0707,  1.0000, -0.4161])
""",
    "erf": """The error function, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.erf(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-0.9661,  0.0000,  0.9953])
""",
    "tanh": """The hyperbolic tangent, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.tanh(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-0.9051,  0.0000,  0.9640])
""",
    "sigmoid": """1 / (1 + exp(-input)), elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.sigmoid(tg.tensor([-1.5, 0.0, 2.0]))
tensor([0.1824, 0.5000, 0.8808])
""",
    "eq": """Is each element equal to `other`?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.eq(tg.tensor([1.0, 2.0, 3.0]), 2)
tensor([False,  True, False])
""",
    "ne": """Is each element unequal to `other`?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.ne(tg.tensor([1.0, 2.0, 3.0]), 2)
tensor([ True, False,  True])
""",
    "lt": """Is each element less than `other`?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.lt(tg.tensor([1.0, 2.0, 3.0]), 2)
tensor([ True, False, False])
""",
    "le": """Is each element at most `other`?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.le(tg.tensor([1.0, 2.0, 3.0]), 2)
tensor([ True,  True, False])
""",
    "gt": """Is each element greater than `other`?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.gt(tg.tensor([1.0, 2.0, 3.0]), 2)
tensor([False, False,  True])
""",
    "ge": """Is each element at least `other`?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.ge(tg.tensor([1.0, 2.0, 3.0]), 2)
tensor([False,  True,  True])
""",
    "isnan": """Which elements are not a number?

input (...) -> (...)

>>> import trigrad as tg
>>> tg.isnan(tg.tensor([1.0, float('inf'), float('nan')]))
tensor([False, False,  True])
""",
    "isinf": """Which elements are infinite?

input (...) -> (...)

>>> import trigrad as tg
>>> tg.isinf(tg.tensor([1.0, float('inf'), float('nan')]))
tensor([False,  True, False])
""",
    "isfinite": """Which elements are neither infinite nor NaN?

input (...) -> (...)

>>> import trigrad as tg
>>> tg.isfinite(tg.tensor([1.0, float('inf'), float('nan')]))
tensor([ True, False, False])
""",
    "logical_not": """Which elements are 0?

input (...) -> (...)

>>> import trigrad as tg
>>> tg.logical_not(tg.tensor([True, False]))
tensor([False,  True])
""",
    "fmod": """The remainder of input / other rounded towards 0; it has the sign of `input`.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.fmod(tg.tensor([7.0, -7.0]), 2.0)
tensor([ 1., -1.])
""",
    "atan2": """The angle of the point (other, input), from -pi to pi.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.atan2(tg.tensor([1.0, 0.0]), tg.tensor([1.0, -1.0]))
tensor([0.7854, 3.1416])
""",
    "hypot": """sqrt(input² + other²), without overflow on the way.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.hypot(tg.tensor([3.0]), tg.tensor([4.0]))
tensor([5.])
""",
    "exp2": """2 to the power of each element.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.exp2(tg.tensor([-1.0, 0.0, 3.0]))
tensor([0.5000, 1.0000, 8.0000])
""",
    "log2": """The logarithm to base 2, exact for powers of 2.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.log2(tg.tensor([0.5, 8.0]))
tensor([-1.,  3.])
""",
    "log10": """The logarithm to base 10.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.log10(tg.tensor([1.0, 1000.0]))
tensor([0., 3.])
""",
    "tan": """The tangent, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.tan(tg.tensor([0.0, 1.0]))
tensor([0.0000, 1.5574])
""",
    "asin": """The angle from -pi/2 to pi/2 whose sine each element is; NaN outside [-1, 1].

input (...) -> (...)

>>> import trigrad as tg
>>> tg.asin(tg.tensor([0.0, 0.5, 1.0]))
tensor([0.0000, 0.5236, 1.5708])
""",
    "acos": """The angle from 0 to pi whose cosine each element is; NaN outside [-1, 1].

input (...) -> (...)

>>> import trigrad as tg
>>> tg.acos(tg.tensor([0.0, 0.5, 1.0]))
tensor([1.5708, 1.0472, 0.0000])
""",
    "atan": """The angle from -pi/2 to pi/2 whose tangent each element is.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.atan(tg.tensor([0.0, 1.0]))
tensor([0.0000, 0.7854])
""",
    "sinh": """The hyperbolic sine, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.sinh(tg.tensor([0.0, 1.0]))
tensor([0.0000, 1.1752])
""",
    "cosh": """The hyperbolic cosine, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.cosh(tg.tensor([0.0, 1.0]))
tensor([1.0000, 1.5431])
""",
    "asinh": """The inverse of sinh, elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.asinh(tg.tensor([0.0, 1.0]))
tensor([0.0000, 0.8814])
""",
    "acosh": """The inverse of cosh, elementwise; NaN below 1.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.acosh(tg.tensor([1.0, 2.0]))
tensor([0.0000, 1.3170])
""",
    "atanh": """The inverse of tanh, elementwise; NaN outside [-1, 1].

input (...) -> (...)

>>> import trigrad as tg
>>> tg.atanh(tg.tensor([0.0, 0.5]))
tensor([0.0000, 0.5493])
""",
    "bitwise_and": """The bits that both integers have; of two masks: and.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.bitwise_and(tg.tensor([6, 5]), 3)
tensor([2, 1])
""",
    "bitwise_or": """The bits that one or both integers have; of two masks: or.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.bitwise_or(tg.tensor([6, 5]), 3)
tensor([7, 7])
""",
    "bitwise_xor": """The bits that one of both integers has; of two masks: exclusive or.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.bitwise_xor(tg.tensor([6, 5]), 3)
tensor([5, 6])
""",
    "bitwise_not": """All bits turned; of a mask: not.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.bitwise_not(tg.tensor([0, 5]))
tensor([-1, -6])
""",
    "bitwise_left_shift": """input 2^other: bits moved to the left; none is left after all have gone.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.bitwise_left_shift(tg.tensor([1, 3]), 2)
tensor([ 4, 12])
""",
    "bitwise_right_shift": """input / 2^other rounded down: bits moved to the right.

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.bitwise_right_shift(tg.tensor([8, -3]), 1)
tensor([ 4, -2])
""",
    "logical_and": """Are both not 0?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.logical_and(tg.tensor([0.0, 2.0]), tg.tensor([1.0, 1.0]))
tensor([False,  True])
""",
    "logical_or": """Is one or both not 0?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.logical_or(tg.tensor([0.0, 2.0]), tg.tensor([0.0, 1.0]))
tensor([False,  True])
""",
    "logical_xor": """Is just one of both not 0?

input, other (...), broadcast -> (...)

>>> import trigrad as tg
>>> tg.logical_xor(tg.tensor([0.0, 2.0]), tg.tensor([1.0, 1.0]))
tensor([ True, False])
""",
}
