"""trigrad.nn.functional: PyTorch's names, arguments and `inplace`."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

import trigrad as tg

F = tg.nn.functional
X = np.linspace(-3, 3, 12, dtype="f4").reshape(3, 4)


def test_names_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    ours = {"hinge_loss"}
    assert {n for n in F.__all__ if not hasattr(torch.nn.functional, n)} == ours
    assert len(set(F.__all__)) == len(F.__all__)
    assert all(callable(getattr(F, n)) for n in F.__all__)


def test_is_loaded_when_asked_for() -> None:
    code = (
        "import sys, trigrad as tg; before = [m for m in sys.modules if m.startswith('trigrad.nn')]; tg.nn.functional.relu; "
        "print(before, 'trigrad.nn.functional' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tg.nothing  # noqa: B018


INPLACE = [n for n in F.__all__ if inspect.isfunction(getattr(F, n)) and getattr(F, n).__module__ == F.__name__]


@pytest.mark.parametrize("name", INPLACE)
def test_inplace(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    required = [p for p in inspect.signature(theirs).parameters.values() if p.default is p.empty][1:]
    arguments = [0.5] * len(required)
    x = tg.tensor(X)
    np.testing.assert_allclose(ours(x, *arguments), theirs(torch.tensor(X), *arguments), rtol=1e-6, atol=1e-7)
    assert tg.equal(x, tg.tensor(X))
    want = ours(x, *arguments)
    assert ours(x, *arguments, inplace=True) is x
    assert tg.equal(x, want)


def test_inplace_by_position() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    x = tg.tensor(X)
    assert F.relu(x, True) is x
    x = tg.tensor(X)
    assert F.leaky_relu(x, 0.5, True) is x
    np.testing.assert_array_equal(x.numpy(), torch.nn.functional.leaky_relu(torch.tensor(X), 0.5).numpy())
    np.testing.assert_array_equal(F.elu(tg.tensor(X), alpha=2.0) < 0, X < 0)


def test_dropout_in_place() -> None:
    x = tg.ones(1000)
    assert F.dropout(x, 0.5, True, True) is x
    assert set(x.tolist()) == {0.0, 2.0}
    assert F.dropout(x, 0.5, False, inplace=True) is x


def test_a_layer() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    w, b = X[:2], np.array([1, -1], "f4")
    got = F.log_softmax(F.relu(F.linear(tg.tensor(X), tg.tensor(w), tg.tensor(b))), dim=-1)
    G, t = torch.nn.functional, torch.tensor
    want = G.log_softmax(G.relu(G.linear(t(X), t(w), t(b))), dim=-1)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)
