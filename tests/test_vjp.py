"""The rules of _vjp.py against finite differences of the rows that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import PARAMS, call
from trigrad import _vjp
from values import Array, real


def differences(name: str, arrays: list[Array], attrs: dict[str, Any], weights: Array, k: int) -> Array:
    """The gradient of sum(weights * output) with respect to input k."""
    h = 2.0**-14
    grad = np.zeros(arrays[k].shape)
    for place in np.ndindex(arrays[k].shape):
        sides = []
        for step in (h, -h):
            moved = [a.copy() for a in arrays]
            moved[k][place] += step
            out = call(name, [tg.from_numpy(a) for a in moved], attrs)[0].numpy()
            sides.append(float((weights * out).sum()))
        grad[place] = (sides[0] - sides[1]) / (2 * h)
    return grad


@pytest.mark.parametrize(
    "shapes",
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 1)), ((0, 3), (3, 2))],
)
def test_matmul(shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [real(s, f"vjp{k}", "float64") for k, s in enumerate(shapes)]
    tensors = [tg.from_numpy(a) for a in arrays]
    out = call("matmul", tensors)
    weights = real(tuple(out[0].shape), "weights", "float64")
    grads = _vjp.RULES["matmul"].function([tg.from_numpy(weights)], tensors, out, (), (True, True))
    for k, grad in enumerate(grads):
        assert grad is not None
        np.testing.assert_allclose(
            grad.numpy(), differences("matmul", arrays, {}, weights, k), rtol=1e-7, atol=1e-7, err_msg=str(k)
        )
    assert len(_vjp.RULES["matmul"].reads) == len([p for p in PARAMS["matmul"] if p.is_tensor])
