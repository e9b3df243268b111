"""Initial values: moments and ranges as PyTorch's, and what each promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn

init = nn.init


def values(t: Any) -> np.ndarray[Any, Any]:
    return t.detach().numpy().astype(float)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("uniform_", {"a": -2.0, "b": 1.0}),
    ("normal_", {"mean": 2.0, "std": 3.0}),
    ("trunc_normal_", {}),
    ("trunc_normal_", {"mean": 0.5, "std": 2.0, "a": -1.0, "b": 3.0}),
    ("xavier_uniform_", {}),
    ("xavier_uniform_", {"gain": 2.0}),
    ("xavier_normal_", {"gain": 0.5}),
    ("kaiming_uniform_", {}),
    ("kaiming_uniform_", {"a": math.sqrt(5)}),
    ("kaiming_normal_", {"nonlinearity": "relu"}),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "tanh"}),
    ("orthogonal_", {"gain": 2.0}),
    ("sparse_", {"sparsity": 0.3}),
]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{n}{s}" for n, s in CASES])
@pytest.mark.parametrize("shape", [(200, 120), (40, 30, 5)], ids=str)
def test_moments_are_torchs(name: str, settings: Any, shape: Any) -> None:
    torch = pytest.importorskip("torch")
    if name == "sparse_" and len(shape) > 2:
        pytest.skip("for matrices")
    x = tg.empty(*shape)
    assert getattr(init, name)(x, **settings) is x
    mine, other = values(x), getattr(torch.nn.init, name)(torch.empty(*shape), **settings).double().numpy()
    spread = other.std()
    error = 6 * spread / math.sqrt(other.size)
    assert abs(mine.mean() - other.mean()) < error
    assert mine.std() == pytest.approx(spread, rel=0.05)
    assert (mine**4).mean() == pytest.approx((other**4).mean(), rel=0.3)
    if "uniform" in name or "trunc" in name:
        assert mine.min() == pytest.approx(other.min(), rel=0.02, abs=0.02 * spread)
        assert mine.max() == pytest.approx(other.max(), rel=0.02, abs=0.02 * spread)


def test_lecun() -> None:
    x = init.lecun_normal_(tg.empty(300, 100))
    assert values(x).std() == pytest.approx(0.1, rel=0.03)
    y = values(init.lecun_uniform_(tg.empty(300, 100)))
    assert y.std() == pytest.approx(0.1, rel=0.03)
    assert abs(y).max() <= math.sqrt(3) / 10


def test_constants() -> None:
    assert init.constant_(tg.empty(2), 3.0).tolist() == [3.0, 3.0]
    assert init.zeros_(tg.empty(2)).tolist() == [0.0, 0.0]
    assert init.ones_(tg.empty(2)).tolist() == [1.0, 1.0]
    np.testing.assert_array_equal(values(init.eye_(tg.empty(3, 2))), np.eye(3, 2))


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (4, 3, 2), (1, 1)])
@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_orthogonal(shape: Any, dtype: Any) -> None:
    q = values(init.orthogonal_(tg.empty(*shape, dtype=dtype), gain=3.0)).reshape(shape[0], -1)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 9 * np.eye(len(gram)), atol=1e-5 if dtype is tg.float32 else 1e-13)


def test_sparse_columns() -> None:
    x = values(init.sparse_(tg.empty(10, 7), 0.25, std=0.5))
    assert ((x == 0).sum(0) == 3).all()


def test_gains() -> None:
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_parameters_stay_leaves_and_generators_are_used() -> None:
    p = nn.Parameter(tg.zeros(3, 3))
    for fill in (init.uniform_, init.normal_, init.trunc_normal_, init.orthogonal_, init.xavier_normal_, init.eye_):
        assert fill(p) is p
        assert p.is_leaf
        assert p.requires_grad
    a = init.kaiming_normal_(tg.empty(4, 4), generator=tg.Generator().manual_seed(3))
    b = init.kaiming_normal_(tg.empty(4, 4), generator=tg.Generator().manual_seed(3))
    assert tg.equal(a, b)


def test_deep_relu_network_keeps_its_second_moment() -> None:
    tg.manual_seed(0)
    x = tg.randn(64, 512)
    for _ in range(10):
        x = tg.relu(x @ init.kaiming_normal_(tg.empty(512, 512), nonlinearity="relu").T)
    assert 0.4 < values(x * x).mean() < 2.5


def test_bad_input() -> None:
    for fill in (init.xavier_uniform_, init.kaiming_normal_, init.lecun_normal_):
        with pytest.raises(ValueError, match="fewer than 2 dimensions"):
            fill(tg.empty(3))
    for fill in (init.eye_, lambda t: init.sparse_(t, 0.1), init.orthogonal_):
        with pytest.raises(ValueError, match="dimensions"):
            fill(tg.empty(3))
    with pytest.raises(ValueError, match="Mode"):
        init.kaiming_normal_(tg.empty(2, 2), mode="fan_sideways")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nonlinearity"):
        init.calculate_gain("cube")
    with pytest.raises(ValueError, match="valid number"):
        init.calculate_gain("leaky_relu", "x")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no normal number"):
        init.trunc_normal_(tg.empty(2), a=1.0, b=1.0)
    with pytest.warns(UserWarning, match="2 std"):
        init.trunc_normal_(tg.empty(2), mean=5.0, std=1.0, a=-2.0, b=2.9)
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_normal_(tg.empty(0, 3))
