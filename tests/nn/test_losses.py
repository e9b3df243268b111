"""Losses: weights of events, bad input, words about targets; tests/parity has the comparison with PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from pairs import assert_near, ours, theirs
from trigrad import _losses, nn

torch = pytest.importorskip("torch")

rng = np.random.default_rng(5)
REDUCTIONS = ("none", "mean", "sum")


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape)


def unit(*shape: int) -> np.ndarray[Any, Any]:
    return rng.uniform(0.02, 0.98, shape)


def signs(*shape: int) -> np.ndarray[Any, Any]:
    return rng.choice([-1.0, 1.0], shape)


def log_p(*shape: int) -> np.ndarray[Any, Any]:
    x = normal(*shape)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def classes(n: int, *shape: int) -> np.ndarray[Any, Any]:
    return rng.integers(0, n, shape)


@pytest.fixture(autouse=True)
def _warnings_come_again() -> Any:
    _losses.base.warned.clear()
    yield
    _losses.base.warned.clear()


def test_batchmean() -> None:
    x, t = log_p(4, 5), unit(4, 5)
    mine = nn.functional.kl_div(ours(x), ours(t), reduction="batchmean")
    assert_near(mine, torch.nn.functional.kl_div(theirs(x), theirs(t), reduction="batchmean"))


def test_saturated_probabilities_have_finite_gradients() -> None:
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    mine, other = ours(x, True), theirs(x, True)
    a, b = nn.functional.binary_cross_entropy(mine, ours(t)), torch.nn.functional.binary_cross_entropy(other, theirs(t))
    a.backward()
    b.backward()
    assert_near(a, b)
    assert_near(mine.grad, other.grad, rtol=1e-7)  # PyTorch's bound of 1e-12 is a float32


def test_old_flags_mean_reductions() -> None:
    x, y = tg.ones(2), tg.zeros(2)
    assert nn.MSELoss(size_average=False)(x, y).item() == 2.0
    assert nn.MSELoss(reduce=False)(x, y).tolist() == [1.0, 1.0]
    assert nn.functional.mse_loss(x, y, True).item() == 1.0


def test_elementwise_weights_are_those_of_torch() -> None:
    x, y, w = normal(4, 3), normal(4, 3), unit(4, 3)
    for name in ("l1_loss", "mse_loss", "huber_loss"):
        for reduction in REDUCTIONS:
            mine = getattr(nn.functional, name)(ours(x), ours(y), reduction=reduction, weight=ours(w))
            other = getattr(torch.nn.functional, name)(theirs(x), theirs(y), reduction=reduction, weight=theirs(w))
            assert_near(mine, other)
    with pytest.raises(ValueError, match="sample_weight"):
        nn.functional.mse_loss(ours(x), ours(y), weight=tg.ones(4))


# ---- weights of events


EVENTS: list[tuple[str, tuple[Any, ...]]] = [
    ("mse_loss", (normal(4, 3), normal(4, 3))),
    ("l1_loss", (normal(4), normal(4))),
    ("smooth_l1_loss", (normal(4), normal(4))),
    ("huber_loss", (normal(4), normal(4))),
    ("binary_cross_entropy", (unit(4), unit(4))),
    ("binary_cross_entropy_with_logits", (normal(4), unit(4))),
    ("cross_entropy", (normal(4, 5), classes(5, 4))),
    ("cross_entropy", (normal(4, 5), unit(4, 5))),
    ("nll_loss", (log_p(4, 5), classes(5, 4))),
    ("kl_div", (log_p(4, 5), unit(4, 5))),
    ("poisson_nll_loss", (normal(4), rng.poisson(3.0, 4).astype(float))),
    ("gaussian_nll_loss", (normal(4), normal(4), unit(4))),
    ("hinge_loss", (normal(4), signs(4))),
    ("hinge_embedding_loss", (normal(4), signs(4))),
    ("margin_ranking_loss", (normal(4), normal(4), signs(4))),
    ("soft_margin_loss", (normal(4), signs(4))),
    ("multi_margin_loss", (normal(4, 5), classes(5, 4))),
    ("multilabel_soft_margin_loss", (normal(4, 5), unit(4, 5))),
    ("triplet_margin_loss", (normal(4, 3), normal(4, 3), normal(4, 3))),
    ("cosine_embedding_loss", (normal(4, 3), normal(4, 3), signs(4))),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "inputs"), EVENTS, ids=[f"{n}-{np.ndim(x[1])}" for n, x in EVENTS])
def test_event_weights(name: str, inputs: Any) -> None:
    """Σ w l, and that divided by n, never by Σ w: weights that sum to 0 are as good as any."""
    w = np.array([2.0, -1.0, 0.5, -1.5])
    loss = getattr(nn.functional, name)
    args = [ours(x) for x in inputs]
    plain = loss(*args, reduction="none").numpy()
    weighted = plain * w.reshape(-1, *(1,) * (plain.ndim - 1))
    close = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(loss(*args, reduction="none", sample_weight=ours(w)).numpy(), weighted, **close)
    np.testing.assert_allclose(loss(*args, reduction="sum", sample_weight=ours(w)).item(), weighted.sum(), **close)
    np.testing.assert_allclose(loss(*args, sample_weight=ours(w)).item(), weighted.mean(), **close)
    for wrong in (ours(w[:3]), tg.ones(4, 1, 1, 1), tg.ones(4, 7)):
        with pytest.raises(ValueError, match=r"sample_weight has shape .* expected one weight per event"):
            loss(*args, sample_weight=wrong)
    with pytest.raises(TypeError, match="sample_weight is a list, expected a tensor"):
        loss(*args, sample_weight=w.tolist())


def test_event_weights_are_differentiated() -> None:
    """dJ/dwᵢ = lᵢ / n"""
    x, t = normal(4, 5), classes(5, 4)
    w = tg.ones(4, dtype=tg.float64).requires_grad_()
    nn.functional.cross_entropy(ours(x), ours(t), sample_weight=w).backward()
    assert w.grad is not None
    per_event = torch.nn.functional.cross_entropy(theirs(x), theirs(t), reduction="none").numpy()
    np.testing.assert_allclose(w.grad.numpy(), per_event / 4, rtol=1e-12)


def test_event_weights_beside_class_weights() -> None:
    x, t, c, w = normal(4, 3), np.array([0, 2, 1, -100]), unit(3), np.array([2.0, -1.0, 0.5, 3.0])
    per_event = torch.nn.functional.cross_entropy(theirs(x), theirs(t), theirs(c), reduction="none").numpy()
    expected = (per_event * w).sum() / c[t[:3]].sum()
    mine = nn.CrossEntropyLoss(ours(c))(ours(x), ours(t), sample_weight=ours(w))
    np.testing.assert_allclose(mine.item(), expected, rtol=1e-12)
    mine = nn.functional.cross_entropy(ours(x), ours(t), sample_weight=ours(w))
    plain = torch.nn.functional.cross_entropy(theirs(x), theirs(t), reduction="none").numpy()
    np.testing.assert_allclose(mine.item(), (plain * w).sum() / 3, rtol=1e-12)


def test_hinge_loss_is_that_of_a_support_vector_machine() -> None:
    x, t = normal(4, 3), signs(4, 3)
    for margin in (1.0, 0.3):
        expected = np.maximum(0, margin - t * x)
        for reduction, value in (("none", expected), ("mean", expected.mean()), ("sum", expected.sum())):
            loss = nn.HingeLoss(margin, reduction)
            np.testing.assert_allclose(loss(ours(x), ours(t)).numpy(), value, rtol=1e-12)
    mine = ours(x, True)
    nn.HingeLoss(reduction="sum")(mine, ours(t)).backward()
    np.testing.assert_array_equal(mine.grad.numpy(), np.where(t * x < 1, -t, 0))


# ---- bad input


def test_class_indices_out_of_range_are_refused() -> None:
    for loss in (nn.functional.nll_loss, nn.functional.cross_entropy, nn.functional.multi_margin_loss):
        for bad in (5, -1):
            with pytest.raises(IndexError, match=r"out of bounds|expected a class"):
                loss(tg.zeros(2, 5), tg.tensor([0, bad]))


def test_shapes_and_settings_are_checked() -> None:
    x = tg.zeros(2, 3)
    F = nn.functional
    with pytest.raises(ValueError, match="must be the same as input size"):
        F.binary_cross_entropy_with_logits(x, tg.zeros(2))
    with pytest.raises(ValueError, match=r"must be the same as input size \(2, 3\); reshape one of them"):
        F.binary_cross_entropy(x, tg.zeros(2))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(x + 2, x)
    with pytest.raises(ValueError, match="reduction"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(ValueError, match="target has shape"):
        F.cross_entropy(x, tg.zeros(3))
    with pytest.raises(ValueError, match="target has shape"):
        F.nll_loss(x, tg.zeros(3).long())
    with pytest.raises(RuntimeError, match="one weight per class"):
        F.nll_loss(x, tg.zeros(2).long(), tg.ones(4))
    with pytest.raises(RuntimeError, match="delta"):
        F.huber_loss(x, x, delta=0.0)
    with pytest.raises(RuntimeError, match="beta"):
        F.smooth_l1_loss(x, x, beta=-1.0)
    with pytest.raises(ValueError, match="negative"):
        F.gaussian_nll_loss(x, x, tg.full((2, 3), -1.0))
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(x, x, tg.ones(5))
    with pytest.raises(ValueError, match="p == 1"):
        F.multi_margin_loss(x, tg.zeros(2).long(), p=3)
    with pytest.raises(ValueError, match="greater than 0"):
        nn.TripletMarginLoss(margin=0.0)
    with pytest.raises(RuntimeError, match="same dimension"):
        F.margin_ranking_loss(x, x, tg.ones(2))
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(x, tg.zeros(3))


def test_what_torch_refuses_is_refused() -> None:
    F = nn.functional
    x, p = tg.zeros(2, 3), tg.full((2, 3), 0.5)
    with pytest.raises(RuntimeError, match="all elements of target should be between 0 and 1"):
        F.binary_cross_entropy(p, p + 1)
    with pytest.raises(RuntimeError, match="ignore_index 2 is not supported for floating point target"):
        F.cross_entropy(x, p, ignore_index=2)
    for target in (p, tg.zeros(2).long()):
        with pytest.raises(RuntimeError, match=r"label_smoothing must be between 0\.0 and 1\.0"):
            F.cross_entropy(x, target, label_smoothing=1.5)
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.multilabel_soft_margin_loss):
        with pytest.raises(TypeError, match=r"target\.float\(\)"):
            loss(p, p > 0)


@pytest.mark.parametrize(
    "name", ["binary_cross_entropy", "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss", "mse_loss"]
)
def test_targets_of_another_dtype_are_promoted(name: str) -> None:
    """As in arithmetic: labels may be integers, or float64 as NumPy makes them."""
    x, t = np.float32(unit(4, 3)), classes(2, 4, 3)
    loss = getattr(nn.functional, name)
    expected = loss(ours(x), ours(np.float32(t)))
    assert loss(ours(x), ours(t)).item() == expected.item()
    mine = ours(x, True)
    wide = loss(mine, ours(np.float64(t)))
    assert wide.dtype is tg.float64
    assert wide.item() == loss(ours(np.float64(x)), ours(np.float64(t))).item()
    wide.backward()
    assert mine.grad is not None
    assert mine.grad.dtype is tg.float32


@pytest.mark.parametrize("shape", [(5,), (6, 5), (6, 5, 2)])
@pytest.mark.parametrize("ignored", [-100, 3, 77])
def test_nll_of_targets_with_and_without_ignored_ones(shape: tuple[int, ...], ignored: int) -> None:
    """The way is shorter where nothing is ignored; the numbers are the same."""
    x, t = normal(*shape), classes(5, *shape[:1], *shape[2:]) if len(shape) > 1 else classes(5)
    for some in (False, True):
        if some:
            t = np.array(t)
            t.flat[0] = ignored
        for reduction in REDUCTIONS:
            mine, other = ours(x, True), theirs(x, True)
            options = {"ignore_index": ignored, "reduction": reduction}
            a = nn.functional.nll_loss(mine, ours(t), **options)
            b = torch.nn.functional.nll_loss(other, theirs(t), **options)
            assert_near(a, b)
            a.sum().backward()
            b.sum().backward()
            assert_near(mine.grad, other.grad)


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("margin_ranking_loss", (tg.zeros(2), tg.ones(2), tg.tensor([0.3, 1.0])), "1 or -1"),
        ("cosine_embedding_loss", (tg.ones(2, 3), tg.ones(2, 3), tg.tensor([0.3, 1.0])), "1 or -1"),
        ("multilabel_soft_margin_loss", (tg.zeros(2), tg.tensor([-0.5, 1.0])), "probabilities"),
        ("hinge_embedding_loss", (tg.zeros(2), tg.tensor([0.3, 1.0])), "1 or -1"),
        ("soft_margin_loss", (tg.zeros(2), tg.tensor([0.0, 1.0])), "1 or -1"),
        ("poisson_nll_loss", (tg.zeros(2), tg.tensor([-1.0, 1.0])), "counts"),
        ("binary_cross_entropy_with_logits", (tg.zeros(2), tg.tensor([2.0, 1.0])), "probabilities"),
        ("cross_entropy", (tg.zeros(1, 2), tg.tensor([[2.0, 1.0]])), "probabilities"),
    ],
)
def test_targets_outside_the_domain_warn_once(name: str, args: Any, words: str) -> None:
    loss = getattr(nn.functional, name)
    with pytest.warns(UserWarning, match=words):
        first = loss(*args)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(*args).item() == first.item()
    expected = getattr(torch.nn.functional, name)(*(theirs(a) for a in args))
    np.testing.assert_allclose(first.item(), expected.item(), rtol=1e-6)


def test_kl_div_fed_with_anything_says_so() -> None:
    with pytest.warns(UserWarning, match="log-probabilities"):
        nn.KLDivLoss(reduction="sum")(tg.tensor([1.0]), tg.tensor([3.0]))
    with pytest.warns(UserWarning, match="batchmean"):
        nn.KLDivLoss()(tg.tensor([-1.0]), tg.tensor([0.3]))


# ---- distances


def test_distances_are_those_of_torch() -> None:
    a, b = normal(4, 3), normal(4, 3)
    for p in (1.0, 2.0, 3.0, float("inf")):
        assert_near(
            nn.PairwiseDistance(p, keepdim=True)(ours(a), ours(b)),
            torch.nn.PairwiseDistance(p, keepdim=True)(theirs(a), theirs(b)),
        )
        assert_near(nn.functional.normalize(ours(a), p, dim=0), torch.nn.functional.normalize(theirs(a), p, dim=0))
    assert_near(nn.CosineSimilarity()(ours(a), ours(b)), torch.nn.CosineSimilarity()(theirs(a), theirs(b)))
