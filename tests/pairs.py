"""The same modules of both libraries side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import trigrad as tg

torch = pytest.importorskip("torch")


def ours(array: Any, requires_grad: bool = False) -> Any:
    """A tensor of ours with the numbers of an array or of a tensor of torch."""
    if isinstance(array, torch.Tensor):
        array = array.detach().numpy()
    made = tg.tensor(np.array(array))
    return made.requires_grad_() if requires_grad else made


def theirs(array: Any, requires_grad: bool = False) -> Any:
    """The same as a tensor of torch."""
    if isinstance(array, tg.Tensor):
        array = array.detach().numpy()
    made = torch.tensor(np.array(array))
    return made.requires_grad_() if requires_grad else made


def same_weights(mine: Any, other: Any) -> None:
    """Our module gets the numbers of torch's."""
    mine.load_state_dict({name: tensor.numpy() for name, tensor in other.state_dict().items()})


def assert_near(mine: Any, other: Any, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    """Same shape and dtype, near numbers."""
    assert tuple(mine.shape) == tuple(other.shape)
    assert str(mine.dtype).split(".")[1] == str(other.dtype).split(".")[1]
    np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=rtol, atol=atol)
