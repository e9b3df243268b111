"""Activations as modules. The functions are in `trigrad.nn.functional`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, full
from trigrad.autograd.function import Function
from trigrad.nn import functional as F
from trigrad.nn.module import Module
from trigrad.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Square",
    "Step",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


# ---- one number after the other


class _Pointwise(Module):
    """A function of `trigrad.nn.functional`, or with `inplace` the method of Tensor that overwrites its input."""

    inplace: bool
    function: ClassVar[str]
    names: ClassVar[tuple[str, ...]] = ()  # of its parameters, which are attributes
    bare: ClassVar[bool] = False  # does repr leave out their names?

    def __init__(self, inplace: bool = False, **parameters: Any) -> None:
        super().__init__()
        self.__dict__.update(parameters)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        parameters = [getattr(self, name) for name in self.names]
        made: Tensor
        if self.inplace:
            made = getattr(input, self.function + "_")(*parameters)
        else:
            made = getattr(F, self.function)(input, *parameters)
        return made

    def extra_repr(self) -> str:
        shown = [f"{getattr(self, name)}" if self.bare else f"{name}={getattr(self, name)}" for name in self.names]
        return ", ".join(shown + ["inplace=True"] * self.inplace)


class ReLU(_Pointwise):
    """max(0, x)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.ReLU()(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = "relu"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Tensor) -> Tensor:
        return input.relu_() if self.inplace else ops.relu(input)


class ReLU6(_Pointwise):
    """min(max(0, x), 6)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.ReLU6()(tg.tensor([-1.0, 9.0]))
    tensor([0., 6.])
    """

    function = "relu6"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)


class LeakyReLU(_Pointwise):
    """x where it is positive, negative_slope x elsewhere

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.LeakyReLU(0.1)(tg.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """

    negative_slope: float
    function = "leaky_relu"
    names = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace, negative_slope=negative_slope)


class ELU(_Pointwise):
    """x where it is positive, alpha (exp(x) - 1) elsewhere

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.ELU()(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    alpha: float
    function = "elu"
    names = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace, alpha=alpha)


class CELU(_Pointwise):
    """x where it is positive, alpha (exp(x / alpha) - 1) elsewhere

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.CELU()(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    alpha: float
    function = "celu"
    names = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace, alpha=alpha)


class SELU(_Pointwise):
    """ELU, scaled so that activations of mean 0 and variance 1 stay so

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.SELU()(tg.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """

    function = "selu"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)


class SiLU(_Pointwise):
    """x sigmoid(x), the swish

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.SiLU()(tg.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """

    function = "silu"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)


class Mish(_Pointwise):
    """x tanh(softplus(x))

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Mish()(tg.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """

    function = "mish"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)


class GELU(_Pointwise):
    """x Φ(x), with the normal distribution function; approximate="tanh" is nearly that.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.GELU()(tg.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    approximate: Literal["none", "tanh"]
    function = "gelu"

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(_Pointwise):
    """1 / (1 + exp(-x))

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Sigmoid()(tg.zeros(1))
    tensor([0.5000])
    """

    function = "sigmoid"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return ops.sigmoid(input)


class Tanh(_Pointwise):
    """tanh(x)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Tanh()(tg.tensor([-1.0, 2.0]))
    tensor([-0.7616,  0.9640])
    """

    function = "tanh"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanh(input)


class LogSigmoid(_Pointwise):
    """log(sigmoid(x))

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.LogSigmoid()(tg.tensor([-100.0, 0.0]))
    tensor([-100.0000,   -0.6931])
    """

    function = "logsigmoid"

    def __init__(self) -> None:
        super().__init__()


class Softsign(_Pointwise):
    """x / (1 + |x|)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Softsign()(tg.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """

    function = "softsign"

    def __init__(self) -> None:
        super().__init__()


class Tanhshrink(_Pointwise):
    """x - tanh(x)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Tanhshrink()(tg.tensor([-1.0, 2.0]))
    tensor([-0.2384,  1.0360])
    """

    function = "tanhshrink"

    def __init__(self) -> None:
        super().__init__()


class Softplus(_Pointwise):
    """log(1 + exp(beta x)) / beta, and x where beta x is beyond the threshold

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Softplus()(tg.tensor([0.0, 50.0]))
    tensor([ 0.6931, 50.0000])
    """

    beta: float
    threshold: float
    function = "softplus"
    names = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Hardshrink(_Pointwise):
    """x where |x| > lambd, 0 elsewhere

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Hardshrink()(tg.tensor([-1.0, 0.2]))
    tensor([-1.,  0.])
    """

    lambd: float
    function = "hardshrink"
    names = ("lambd",)
    bare = True

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Softshrink(_Pointwise):
    """x moved by lambd towards 0, where it stops

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Softshrink()(tg.tensor([-1.0, 0.2]))
    tensor([-0.5000,  0.0000])
    """

    lambd: float
    function = "softshrink"
    names = ("lambd",)
    bare = True

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Hardsigmoid(_Pointwise):
    """x / 6 + ½, from 0 to 1

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Hardsigmoid()(tg.tensor([-4.0, 1.5]))
    tensor([0.0000, 0.7500])
    """

    function = "hardsigmoid"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def extra_repr(self) -> str:
        return ""


class Hardswish(_Pointwise):
    """x hardsigmoid(x)

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Hardswish()(tg.tensor([-4.0, 1.5]))
    tensor([-0.0000, 1.1250])
    """

    function = "hardswish"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def extra_repr(self) -> str:
        return ""


class Hardtanh(_Pointwise):
    """x, from min_val to max_val

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Hardtanh()(tg.tensor([-4.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """

    min_val: float
    max_val: float
    function = "hardtanh"
    names = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val < max_val:
            raise ValueError(f"[Hardtanh] min_val is {min_val}, expected less than max_val, {max_val}")
        super().__init__(inplace, min_val=min_val, max_val=max_val)


class Threshold(_Pointwise):
    """x where it is beyond the threshold, value elsewhere

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Threshold(0.5, 9.0)(tg.tensor([0.0, 1.0]))
    tensor([9., 1.])
    """

    threshold: float
    value: float
    function = "threshold"
    names = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace, threshold=threshold, value=value)


class Square(_Pointwise):
    """x²

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Square()(tg.tensor([3.0]))
    tensor([9.])
    """

    function = "square"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return ops.square(input)


class _Stepping(Function):
    """1 where the input is at least 0. It has no gradient, and says so."""

    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        return (input >= 0).to(input.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        raise RuntimeError(
            "[Step] cannot be trained through: its derivative is 0 wherever it has one, so no parameter before it would ever "
            "change; train with a Sigmoid and put the Step in its place afterwards, or evaluate inside trigrad.no_grad()"
        )


class Step(Module):
    """1 where the input is at least 0, else 0. Training through it is refused.

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.Step()(tg.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        made: Tensor = _Stepping.apply(input)
        return made


class RReLU(Module):
    """x where it is positive; elsewhere x times a slope drawn anew from lower … upper, in evaluation the mean of the two

    input (...) -> (...)

    >>> import trigrad as tg
    >>> tg.nn.RReLU().eval()(tg.tensor([-1.0, 2.0]))
    tensor([-0.2292,  2.0000])
    """

    lower: float
    upper: float
    inplace: bool

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


# ---- along an axis


class PReLU(Module):
    """x where it is positive; elsewhere x times a slope that is learned, one for all or one per channel

    input (...), or (N, C, ...) where there is a slope per channel -> the same shape

    >>> import trigrad as tg
    >>> tg.nn.PReLU()(tg.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    num_parameters: int
    init: float
    weight: Tensor

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: DeviceArgument = None,
        dtype: DTypeArgument | None = None,
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), dtype=dtype, device=device))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.num_parameters,)}

    def reset_parameters(self) -> None:
        """The slopes as they were at first."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
