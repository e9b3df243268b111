"""Every module on hypothesis-made shapes: text, names and shapes of its state, values, gradients, buffers, refusals."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_compare import Built, Row, array_of, assert_parity, numbers_for
from torch_cases import FLOATS, Draw, Shape
from torch_compare import OURS, REFUSALS, THEIRS, examples

F32 = FLOATS[:1]


def length(d: Draw) -> int:
    return int(d.pick(1, 2, 3, 5, 7, 8, 17, 0))


def floats(d: Draw, *shape: int, low: int = 0, high: int = 3) -> Any:
    return d.x(low, high, F32, shape=shape or None, finite=True)


def leading(d: Draw, high: int = 2) -> Shape:
    return tuple(length(d) for _ in range(d.integer(0, high)))


def features(d: Draw, n: int) -> Any:
    """(..., n); rarely another number of features."""
    return floats(d, *leading(d), n + 1 if d.rarely() else n)


def linear(d: Draw) -> Built:
    n, m = length(d), length(d)
    return Built((n, m), d.keywords(bias=(True, False)), [features(d, n)])


def bilinear(d: Draw) -> Built:
    n, m, k = length(d), length(d), length(d)
    rows = leading(d)
    return Built((n, m, k), d.keywords(bias=(True, False)), [floats(d, *rows, n), floats(d, *rows, m)])


def embedding(d: Draw) -> Built:
    n, m = d.pick(1, 2, 5, 17), length(d)
    options = d.keywords(padding_idx=(0, n - 1, -1, -n, None))
    return Built((n, m), options, [d.index(leading(d), n, dtypes=("int64", "int32"))])


def batch_norm(d: Draw) -> Built:
    c = length(d)
    options = d.keywords(
        eps=(1e-3, 0.1), momentum=(0.5, None, 0.0, 1.0), affine=(False,), track_running_stats=(False,), bias=(False,)
    )
    rest = d.pick((), (), (1,), (5,), (0,), (2, 2))
    return Built((c,), options, [floats(d, length(d), c + d.rarely(), *rest)])


def lengths(d: Draw) -> tuple[Any, Shape]:
    """normalized_shape, as a number or several."""
    if d.flag():
        n = length(d)
        return n, (n,)
    shape = tuple(length(d) for _ in range(d.integer(1, 2)))
    return (shape if d.flag() else list(shape)), shape


def layer_norm(d: Draw) -> Built:
    given_as, shape = lengths(d)
    options = d.keywords(eps=(1e-3, 0.1), elementwise_affine=(False,), bias=(False,))
    return Built((given_as,), options, [floats(d, *leading(d), *shape[:-1], shape[-1] + d.rarely())])


def rms_norm(d: Draw) -> Built:
    given_as, shape = lengths(d)
    options = d.keywords(eps=(1e-3, None), elementwise_affine=(False,))
    return Built((given_as,), options, [floats(d, *leading(d), *shape[:-1], shape[-1] + d.rarely())])


def dropping(d: Draw) -> Built:
    """What leaves nothing out, or all; the rest is random."""
    p = d.pick(0.0, 1.0, 0.5, 0.3, 1.5)
    return Built((p,), {}, [floats(d)], modes=("eval",) if 0 < p < 1 else ("train", "eval"))


def feature_dropping(d: Draw) -> Built:
    built = dropping(d)
    return Built(built.args, {}, [floats(d, low=2, high=4)], modes=built.modes)


def rrelu(d: Draw) -> Built:
    lower, upper = d.pick((0.25, 0.25), (0.0, 0.5), (0.125, 0.25), (-0.5, 1.0))
    modes = ("train", "eval") if lower == upper else ("eval",)
    return Built((lower, upper), {}, [floats(d)], modes=modes)


def prelu(d: Draw) -> Built:
    n = d.pick(1, 1, 2, 5)
    shape = d.pick((), (n,), (3, n), (2, n, 4), (0, n), (2, n, 1, 3))
    return Built((n,), d.keywords(init=(0.5, -0.25, 0.0)), [floats(d, *shape) if shape else floats(d, high=0)])


def flatten(d: Draw) -> Built:
    return Built((), d.keywords(start_dim=(0, 1, -2), end_dim=(-1, 1, 2)), [floats(d, high=4)])


def unflatten(d: Draw) -> Built:
    a, b = d.pick(1, 2, 3), d.pick(1, 2, 5)
    shape = d.pick((a, b), (a, -1), (a * b,), (1, a, b))
    return Built((d.pick(1, -1), shape), {}, [floats(d, d.pick(1, 3, 0) or 2, a * b + d.rarely())])


def along(d: Draw) -> Built:
    return Built((), {"dim": d.pick(0, -1, 1, None)}, [floats(d, low=1)])


def glu(d: Draw) -> Built:
    shape = tuple(2 * n for n in d.shape(1, 3))
    return Built((), d.keywords(dim=(0, -1)), [floats(d, *shape)])


def channels(d: Draw) -> Built:
    return Built((), {}, [floats(d, low=2, high=4)])


def pair_of_vectors(d: Draw) -> Built:
    x = floats(d, *leading(d), length(d), length(d))
    y = d.same(dtype="float32", finite=True)
    # nothing that is nearly 0: the gradients are rounded at 1 / |x|
    return Built((), d.keywords(dim=(0, -1), eps=(1e-4,)), [v + np.sign(v) / 4 for v in (x, y)])


def distance(d: Draw) -> Built:
    x = floats(d, *leading(d), length(d))
    options = d.keywords(p=(1.0, 2.0, 3.0, float("inf"), 0.5), eps=(1e-3, 0.0), keepdim=(True,))
    return Built((), options, [x, d.same(dtype="float32", finite=True)])


def elementwise(**options: Any) -> Row:
    def row(d: Draw) -> Built:
        return Built((), d.keywords(**options), [floats(d)])

    return row


def threshold(d: Draw) -> Built:
    return Built((d.pick(0.5, 0.0, -1.0), d.pick(20.0, 0.0, -3.0)), {}, [floats(d)])


ROWS: dict[str, Row] = {
    "AlphaDropout": dropping,
    "BatchNorm1d": batch_norm,
    "Bilinear": bilinear,
    "CELU": elementwise(alpha=(0.5, 2.0)),
    "CosineSimilarity": pair_of_vectors,
    "Dropout": dropping,
    "ELU": elementwise(alpha=(0.5, 2.0)),
    "Embedding": embedding,
    "FeatureAlphaDropout": feature_dropping,
    "Flatten": flatten,
    "GELU": elementwise(approximate=("tanh", "none", "exact")),
    "GLU": glu,
    "Hardshrink": elementwise(lambd=(1.0, 0.0)),
    "Hardsigmoid": elementwise(),
    "Hardswish": elementwise(),
    "Hardtanh": elementwise(min_val=(-2.0, -0.5), max_val=(0.5, 2.0)),
    "Identity": elementwise(unused=(3,)),
    "LayerNorm": layer_norm,
    "LeakyReLU": elementwise(negative_slope=(0.5, 0.0, -1.0)),
    "Linear": linear,
    "LogSigmoid": elementwise(),
    "LogSoftmax": along,
    "Mish": elementwise(),
    "PReLU": prelu,
    "PairwiseDistance": distance,
    "RMSNorm": rms_norm,
    "RReLU": rrelu,
    "ReLU": elementwise(),
    "ReLU6": elementwise(),
    "SELU": elementwise(),
    "SiLU": elementwise(),
    "Sigmoid": elementwise(),
    "Softmax": along,
    "Softmax2d": channels,
    "Softmin": along,
    "Softplus": elementwise(beta=(2.0, 0.5), threshold=(5.0, 1.0)),
    "Softshrink": elementwise(lambd=(1.0, 0.0, -1.0)),
    "Softsign": elementwise(),
    "Tanh": elementwise(),
    "Tanhshrink": elementwise(),
    "Threshold": threshold,
    "Unflatten": unflatten,
}


def state_of(library: Any, name: str, built: Built) -> dict[str, Any] | None:
    """The arrays of a new module's state, by name; None where it cannot be made."""
    try:
        return {k: array_of(v) for k, v in library.find(f"nn.{name}")(*built.args, **built.kwargs).state_dict().items()}
    except REFUSALS:
        return None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ROWS)
def test_module(name: str) -> None:
    @examples(12)
    @given(st.data())
    def agree(data: Any) -> None:
        d = Draw(data.draw)
        built = ROWS[name](d)
        mine, other = state_of(OURS, name, built), state_of(THEIRS, name, built)
        assert (mine is None) == (other is None), f"{name}{built.args}{built.kwargs}: one of both can be made"
        state = None
        if mine is not None and other is not None:
            described = [[(k, v.shape, v.dtype) for k, v in s.items()] for s in (mine, other)]
            assert described[0] == described[1]
            for key, value in other.items():
                if value.size > 1 and np.all(value == value.flat[0]):  # initial values that are not drawn
                    np.testing.assert_array_equal(mine[key], value)
            made = [library.find(f"nn.{name}")(*built.args, **built.kwargs) for library in (OURS, THEIRS)]
            assert repr(made[0]) == repr(made[1])
            assert repr(pickle.loads(pickle.dumps(made[0]))) == repr(copy.deepcopy(made[0])) == repr(made[0])
            state = numbers_for(d.pick(mine, other), d.integer(0, 99), "float32")  # both load what either saved
        assert_parity(f"{name}{built.args}{built.kwargs}", lambda library: library.find(f"nn.{name}"), built, state)

    agree()
