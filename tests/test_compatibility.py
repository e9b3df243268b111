"""Names that PyTorch's scripts use beside the ops: constants, the GPU that is not there, variables."""

from __future__ import annotations

import doctest
import importlib
import math

import pytest

import trigrad as tg


@pytest.mark.parametrize("module", ["trigrad.cuda", "trigrad.autograd.variable"])
def test_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_constants() -> None:
    assert (tg.pi, tg.e, tg.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(tg.nan)
    assert tg.ones(3)[:, tg.newaxis].shape == (3, 1)


def test_a_gpu_is_neither_found_nor_used() -> None:
    assert not tg.cuda.is_available()
    state = tg.get_rng_state().tolist()
    tg.cuda.manual_seed_all(5)
    assert tg.get_rng_state().tolist() == state
    with pytest.raises(RuntimeError, match="CPU only"):
        tg.ones(2, device="cuda")


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
