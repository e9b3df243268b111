"""Functions that draw: what is drawn has the promised distribution, and gradients are those of what was drawn."""

from __future__ import annotations

import numpy as np
import pytest

import trigrad as tg

F = tg.nn.functional
LOWEST = -1.7580993408473766  # of SELU


def test_alpha_dropout_draws_elements_or_channels() -> None:
    g = tg.Generator().manual_seed(3)
    x = tg.randn(400, 20, 5, generator=g).requires_grad_()
    for function, whole in ((F.alpha_dropout, False), (F.feature_alpha_dropout, True)):
        y = function(x, 0.3, training=True, generator=g)
        kept = (tg.autograd.grad(y.sum(), x)[0] != 0).numpy()
        assert kept.mean() == pytest.approx(0.7, abs=0.02)
        assert (kept.all(2) | ~kept.any(2)).all() == whole
        scale = 1 / np.sqrt((LOWEST**2 * 0.3 + 1) * 0.7)
        expected = np.where(kept, x.detach().numpy(), LOWEST) * scale - LOWEST * scale * 0.3
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
        assert function(x, 0.3) is x
        z = tg.ones(4, 3)
        assert function(z, 0.5, training=True, inplace=True) is z
        assert len(set(z.flatten().tolist())) <= 2
        with pytest.raises(ValueError, match="between 0 and 1, but got"):
            function(x, 1.5)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        F.feature_alpha_dropout(tg.ones(3), training=True)


def test_dropout_repeats_from_its_generator() -> None:
    for function in (F.dropout, F.alpha_dropout, F.feature_alpha_dropout, F.rrelu):
        drawn = [
            function(-tg.ones(50, 2), training=True, generator=tg.Generator().manual_seed(seed)).tolist()
            for seed in (1, 1, 2)
        ]
        assert drawn[0] == drawn[1] != drawn[2]


def test_gumbel_softmax_chooses_as_often_as_the_softmax_says() -> None:
    g = tg.Generator().manual_seed(0)
    logits = tg.tensor([0.0, 1.0, -1.0, 0.5])
    chosen = F.gumbel_softmax(logits.expand(20_000, 4), tau=0.7, hard=True, generator=g)
    assert set(chosen.flatten().tolist()) == {0.0, 1.0}
    assert (chosen.sum(-1) == 1).all()
    np.testing.assert_allclose(chosen.mean(0).numpy(), F.softmax(logits, 0).numpy(), atol=0.015)
    soft = F.gumbel_softmax(logits.expand(1000, 4), tau=0.01, generator=g)
    np.testing.assert_allclose(soft.sum(-1).numpy(), 1.0, rtol=1e-5)
    assert soft.amax(-1).mean().item() > 0.97
    assert F.gumbel_softmax(tg.zeros(3, 5), hard=True, dim=0).sum(0).tolist() == [1.0] * 5


def test_the_gradients_of_a_hard_choice_are_those_of_the_soft_one() -> None:
    gradients = []
    for hard in (False, True):
        x = tg.tensor([[0.3, -0.2, 1.0]], dtype=tg.float64).requires_grad_()
        y = F.gumbel_softmax(x, tau=0.8, hard=hard, generator=tg.Generator().manual_seed(5))
        (y * tg.tensor([1.0, 2.0, 4.0], dtype=tg.float64)).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-12)
    assert abs(gradients[0]).max() > 0.01


def test_rrelu_in_place() -> None:
    x = tg.tensor([-2.0, 2.0])
    assert F.rrelu_(x, 0.25, 0.75) is x
    assert x.tolist() == [-1.0, 2.0]
    y = F.rrelu_(-tg.ones(1000), 0.25, 0.75, training=True).numpy()
    assert -0.75 <= y.min() < -0.7
    assert -0.3 < y.max() <= -0.25


def test_prelu_refuses_other_numbers_of_channels() -> None:
    with pytest.raises(RuntimeError, match="Found parameter numbers = 3 and channel size = 2"):
        F.prelu(tg.ones(4, 2), tg.ones(3))
    with pytest.raises(RuntimeError, match="one number or one per channel"):
        F.prelu(tg.ones(4, 2), tg.ones(1, 2))


def test_softmax_without_dim_warns_and_takes_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    for shape in ((3,), (2, 3), (2, 3, 4), (2, 3, 2, 2)):
        x = np.linspace(-1, 1, int(np.prod(shape)), dtype="f4").reshape(shape)
        for name in ("softmax", "log_softmax", "softmin"):
            with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name} has been deprecated"):
                mine = getattr(F, name)(tg.tensor(x))
            with pytest.warns(UserWarning, match="Implicit"):
                other = getattr(torch.nn.functional, name)(torch.tensor(x))
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


IN_PLACE = {
    "celu_": (0.5,),
    "elu_": (0.5,),
    "hardtanh_": (-0.5, 0.25),
    "leaky_relu_": (0.3,),
    "relu_": (),
    "selu_": (),
    "threshold_": (0.25, 7.0),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_functions_that_overwrite(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    numbers = np.linspace(-2, 2, 9, dtype="f4")
    x, y = tg.tensor(numbers), torch.tensor(numbers)
    assert getattr(F, name)(x, *IN_PLACE[name]) is x
    getattr(torch.nn.functional, name)(y, *IN_PLACE[name])
    np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("padding", [1, -3, None])
def test_the_gradient_of_a_padding_row_is_0(padding: int | None) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    found = []
    for lib in (tg, torch):
        weight = lib.arange(8.0).reshape(4, 2).requires_grad_()
        rows = lib.nn.functional.embedding(lib.tensor([[1, 3], [1, 0]], dtype=lib.int32), weight, padding)
        (rows * rows).sum().backward()
        found.append([rows.tolist(), weight.grad.tolist()])
    assert found[0] == found[1]
