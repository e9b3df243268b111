"""Names that PyTorch's scripts use beside the ops: constants, the GPU that is not there, variables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg


def test_constants() -> None:
    assert (tg.pi, tg.e, tg.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(tg.nan)
    assert tg.ones(3)[:, tg.newaxis].shape == (3, 1)


def test_kinds_of_gpus() -> None:
    assert not any(kind.is_available() for kind in (tg.backends.mps, tg.backends.cudnn))
    assert tg.accelerator.is_available() == tg.cuda.is_available()
    assert (tg.accelerator.current_accelerator() is None) == (tg.cuda.absence() is not None)
    state = tg.get_rng_state().tolist()
    tg.cuda.manual_seed_all(5)
    assert tg.get_rng_state().tolist() == state
    if not tg.cuda.is_available():
        with pytest.raises(RuntimeError, match=r"CUDA is not .*or use 'cpu'"):
            tg.ones(2, device="cuda")


def test_switches_change_no_result() -> None:
    """One seed gives one result, whatever a script has switched."""
    tg.manual_seed(1)
    before = tg.nn.Linear(30, 20)(tg.randn(40, 30)).tolist()
    cudnn = tg.backends.cudnn
    kept = cudnn.deterministic, cudnn.benchmark
    try:
        cudnn.deterministic, cudnn.benchmark = False, True
        tg.use_deterministic_algorithms(False)
        tg.manual_seed(1)
        assert tg.nn.Linear(30, 20)(tg.randn(40, 30)).tolist() == before
        assert tg.are_deterministic_algorithms_enabled()
    finally:
        cudnn.deterministic, cudnn.benchmark = kept


def test_names_that_are_the_same() -> None:
    assert tg.cuda.OutOfMemoryError is tg.OutOfMemoryError
    assert tg.OutOfMemoryError.__module__ == "trigrad"
    assert tg.GradScaler is tg.amp.GradScaler
    assert tg.accelerator.current_device_index is tg.cuda.current_device
    assert tg.version.__version__ == tg.__version__
    assert tg.version.hip is None
    with pytest.raises(AttributeError, match=r"'trigrad.version' has no attribute 'xpu'"):
        tg.version.xpu  # noqa: B018
    assert tg.backends.cudnn.version() is None


def test_names_of_gpus_are_there_where_pytorch_has_them() -> None:
    torch = pytest.importorskip("torch")
    for mine, other in (
        (tg.cuda, torch.cuda),
        (tg.cuda.memory, torch.cuda.memory),
        (tg.cuda.random, torch.cuda.random),
        (tg.accelerator, torch.accelerator),
        (tg.amp, torch.amp),
        (tg.version, torch.version),
    ):
        ours = {"Properties", "absence", "devices"}  # PyTorch has no such names
        assert {n for n in mine.__all__ if not hasattr(other, n)} <= ours


def test_variables_are_leaves_on_the_same_memory() -> None:
    """What PyTorch's Variable does, of leaves and of others."""
    x = tg.ones(2, requires_grad=True)
    for source in (x, x * 2, tg.ones(2)):
        for requires_grad in (False, True):
            v = tg.autograd.Variable(source, requires_grad=requires_grad)
            assert (v.requires_grad, v.is_leaf, v.data_ptr()) == (requires_grad, True, source.data_ptr())
            assert v is not source
    assert isinstance(x, tg.autograd.Variable)
    assert not isinstance([1.0], tg.autograd.Variable)
    with pytest.raises(TypeError, match="has to be a tensor"):
        tg.autograd.Variable([1.0])


TYPES = {
    "Tensor": "float32",
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "LongTensor": "int64",
    "IntTensor": "int32",
    "ShortTensor": "int16",
    "CharTensor": "int8",
    "ByteTensor": "uint8",
    "BoolTensor": "bool",
}


@pytest.mark.parametrize("name", TYPES)
def test_constructors_of_old(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine, other = getattr(tg, name), getattr(torch, name)
    wanted = getattr(tg, TYPES[name])
    for data in ([1, 0, 1], [[1.0], [0.0]], [], np.ones((2, 3)), np.array([1, 0], "int32"), (1, 1)):
        made, expected = mine(data), other(data)
        assert made.dtype is wanted
        assert made.tolist() == expected.tolist()
        assert isinstance(made, mine)
        assert isinstance(made, tg.Tensor)
    for lengths in ((), (3,), (2, 3), (np.int64(2),), (tg.Size([2, 3]),)):
        theirs = [torch.Size(n) if isinstance(n, tg.Size) else n for n in lengths]
        assert tuple(mine(*lengths).shape) == tuple(other(*theirs).shape)
    assert mine(2, device="cpu").dtype is wanted
    if name != "Tensor":
        assert tg.ones(2, dtype=tg.float64).type(mine).dtype is wanted
        assert isinstance(tg.ones(2), mine) == (wanted is tg.float32)


def test_tensor_of_a_tensor_is_an_alias_of_one_dtype() -> None:
    x = tg.ones(2, requires_grad=True)
    made: Any = tg.Tensor(x)
    assert made.data_ptr() == x.data_ptr()
    assert not made.requires_grad
    tg.set_default_dtype(tg.float64)
    try:
        assert tg.Tensor([1.0]).dtype is tg.float64
    finally:
        tg.set_default_dtype(tg.float32)
