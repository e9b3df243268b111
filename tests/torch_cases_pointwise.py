"""Cases of functions that work element by element."""

from __future__ import annotations

from torch_cases import ALL, FLOATS, NUMBERS, Case, words

UNARY = words(
    "abs neg sign square reciprocal sqrt rsqrt floor ceil round trunc exp exp2 expm1 log log2 log10 log1p sin cos tan asin "
    "acos atan sinh cosh asinh acosh atanh erf tanh sigmoid relu selu relu6 silu softsign tanhshrink logsigmoid hardswish "
    "hardsigmoid mish isnan isinf isfinite logical_not bitwise_not"
)
BINARY = words(
    "add sub mul div floor_divide remainder fmod pow atan2 hypot maximum minimum eq ne lt le gt ge logical_and logical_or "
    "logical_xor bitwise_and bitwise_or bitwise_xor"
)


CASES = [
    *(Case(name, lambda d: [d.x()]) for name in UNARY),
    *(Case(name, lambda d: [d.x(), d.other()]) for name in BINARY),
    # ---- parameters
    Case("round", lambda d: [d.x(), {"decimals": d.integer(-2, 3)}], label="decimals"),
    Case("add", lambda d: [d.x(), d.other(), {"alpha": d.number()}], label="alpha"),
    Case("sub", lambda d: [d.x(), d.other(), {"alpha": d.number()}], label="alpha"),
    Case("div", lambda d: [d.x(), d.other(), {"rounding_mode": d.pick(None, "floor", "trunc")}], label="rounding"),
    Case("gelu", lambda d: [d.x(), d.keywords(approximate=("none", "tanh"))]),
    Case("leaky_relu", lambda d: [d.x(), d.keywords(negative_slope=(0.5, 0.0, -0.25))]),
    Case("elu", lambda d: [d.x(), d.keywords(alpha=(0.5, 2.0))]),
    Case("celu", lambda d: [d.x(), d.keywords(alpha=(0.5, 2.0))]),
    Case("softplus", lambda d: [d.x(), d.keywords(beta=(0.5, 2), threshold=(1, 20))]),
    Case("hardtanh", lambda d: [d.x(), d.keywords(min_val=(-0.5, -2), max_val=(0.5, 2))]),
    Case("threshold", lambda d: [d.x(), d.number(), d.number()]),
    Case("clamp", lambda d: [d.x(), *d.pick((None, 1), (-1, None), (-1, 1), (0.5, 0.25), (-0.5, 1.5), (None, None))]),
    Case("clamp", lambda d: [d.x(), d.other(), d.other()], label="tensors"),
    Case("nan_to_num", lambda d: [d.x(), d.keywords(nan=(0.5, None), posinf=(9.0, None), neginf=(-9.0,))]),
    Case("lerp", lambda d: [d.x(), d.other(numbers=False), d.pick(0.25, 0.5, 0.75, 1.5)]),
    Case("lerp", lambda d: [d.x(), d.other(numbers=False), d.other(numbers=False)], label="tensors"),
    Case("where", lambda d: [d.mask(d.x().shape), d.last, d.other()], method=False),
    Case(
        "where",
        lambda d: [d.x(), d.mask(d.broadcast(d.last.shape)), d.other()],
        "Tensor.where",
        "Tensor.where",
        label="method",
    ),
    Case("masked_fill", lambda d: [d.x(), d.mask(d.broadcast(d.last.shape)), d.number()]),
    Case("isclose", lambda d: [d.x(), d.same(), d.keywords(rtol=(0.1,), atol=(0.5,), equal_nan=(True,))]),
    Case("allclose", lambda d: [d.x(dtypes=FLOATS), d.same(), d.keywords(atol=(0.5, 10.0), equal_nan=(True,))]),
    Case("equal", lambda d: [d.x(span=(0, 2)), d.same(span=(0, 2))]),
    # ---- the smaller ones, and second names
    *(
        Case(name, lambda d: [d.x()])
        for name in words(
            "absolute arccos arccosh arcsin arcsinh arctan arctanh deg2rad rad2deg fix frac negative positive signbit "
            "isneginf isposinf"
        )
    ),
    *(
        Case(name, lambda d: [d.x(), d.other()])
        for name in words(
            "arctan2 copysign divide float_power greater greater_equal less less_equal logaddexp multiply not_equal subtract "
            "true_divide xlogy"
        )
    ),
    Case("rsub", lambda d: [d.x(), d.other(), d.keywords(alpha=(2, -0.5))]),
    Case("clip", lambda d: [d.x(), d.pick(-1, None), d.pick(1, 0.5)]),
    Case("clamp_min", lambda d: [d.x(), d.other()]),
    Case("clamp_max", lambda d: [d.x(), d.other()]),
    Case("addcmul", lambda d: [d.x(), d.other(numbers=False), d.other(numbers=False), d.keywords(value=(2, -1))]),
    Case("addcdiv", lambda d: [d.x(), d.other(numbers=False), d.other(numbers=False), d.keywords(value=(2, -1))]),
    # ---- reversed and by operator
    *(
        Case(f"__{name}__", lambda d: [d.x(), d.other()], method=False)
        for name in words("add sub mul truediv floordiv mod pow eq ne lt le gt ge and or xor")
    ),
    *(
        Case(f"__r{name}__", lambda d: [d.x(), d.number()], method=False)
        for name in words("add sub mul truediv floordiv mod pow")
    ),
    *(Case(f"__{name}__", lambda d: [d.x(dtypes=NUMBERS)], method=False) for name in ("neg", "abs", "pos")),
    Case("__invert__", lambda d: [d.x(dtypes=ALL)], method=False),
]
