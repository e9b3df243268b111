"""Pointwise rows that layers have as activations."""

from __future__ import annotations

DOCS = {
    "relu": """Each element, or 0 where it is negative.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.relu(tg.tensor([-1.5, 0.0, 2.0]))
tensor([0., 0., 2.])
""",
    "leaky_relu": """Each element, times `negative_slope` where it is negative.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.leaky_relu(tg.tensor([-1.5, 0.0, 2.0]), 0.1)
tensor([-0.1500,  0.0000,  2.0000])
""",
    "elu": """Each element, alpha (exp(x) - 1) where it is negative.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.elu(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-0.7769,  0.0000,  2.0000])
""",
    "selu": """The self-normalising unit: a scaled `elu`.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.selu(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-1.3658,  0.0000,  2.1014])
""",
    "silu": """input * sigmoid(input).

input (...) -> (...)

>>> import trigrad as tg
>>> tg.silu(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-0.2736,  0.0000,  1.7616])
""",
    "gelu": """input times the normal distribution function of it.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.gelu(tg.tensor([-1.5, 0.0, 2.0]))
tensor([-0.1002,  0.0000,  1.9545])
""",
    "softplus": """log(1 + exp(beta input)) / beta; input itself where beta input > threshold.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.softplus(tg.tensor([-1.5, 0.0, 2.0]))
tensor([0.2014, 0.6931, 2.1269])
""",
    "gelu_tanh": """input sigmoid(z), z = 2 sqrt(2/pi) (input + 0.044715 input³): gelu with approximate='tanh'.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.gelu_tanh(tg.tensor([-1.0, 0.0, 1.0]))
tensor([-0.1588,  0.0000,  0.8412])
""",
    "mish": """input tanh(softplus(input)), elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.mish(tg.tensor([-1.0, 0.0, 1.0]))
tensor([-0.3034,  0.0000,  0.8651])
""",
    "celu": """input where it is positive, elsewhere alpha (exp(input / alpha) - 1).

input (...) -> (...)

>>> import trigrad as tg
>>> tg.celu(tg.tensor([-1.0, 1.0]), alpha=2.0)
tensor([-0.7869,  1.0000])
""",
    "softsign": """input / (1 + |input|), elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.softsign(tg.tensor([-1.0, 0.0, 3.0]))
tensor([-0.5000,  0.0000,  0.7500])
""",
    "logsigmoid": """log(sigmoid(input)), elementwise, without overflow.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.logsigmoid(tg.tensor([-100.0, 0.0]))
tensor([-100.0000,   -0.6931])
""",
    "hardtanh": """Each element, held between min_val and max_val; the derivative is 0 on both.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.hardtanh(tg.tensor([-2.0, 0.5, 2.0]))
tensor([-1.0000,  0.5000,  1.0000])
""",
    "hardsigmoid": """input / 6 + 1/2, held between 0 and 1.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.hardsigmoid(tg.tensor([-4.0, 0.0, 4.0]))
tensor([0.0000, 0.5000, 1.0000])
""",
    "hardswish": """input hardsigmoid(input), elementwise.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.hardswish(tg.tensor([-4.0, 1.0, 4.0]))
tensor([-0.0000, 0.6667, 4.0000])
""",
    "threshold": """input where it is greater than threshold, value elsewhere.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.threshold(tg.tensor([-1.0, 0.5, 2.0]), 1.0, 0.25)
tensor([0.2500, 0.2500, 2.0000])
""",
    "hardshrink": """0 where -lambd <= input <= lambd, input elsewhere.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.hardshrink(tg.tensor([-1.0, 0.25, 2.0]))
tensor([-1.,  0.,  2.])
""",
    "softshrink": """input moved towards 0 by lambd, and 0 where it would change its sign.

input (...) -> (...)

>>> import trigrad as tg
>>> tg.softshrink(tg.tensor([-1.0, 0.25, 2.0]))
tensor([-0.5000,  0.0000,  1.5000])
""",
}
