"""The lectures' losses: rows 39 to 55 of the catalogue.

Each against its formula in NumPy: value, the three reductions, the gradient by central differences of that formula, and
weights of events where they apply.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import _losses, nn, optim
from trigrad.nn import functional as F
from values import real, whole

Formula = Callable[..., Any]  # of arrays: the loss of each event
N = 6


def scores(key: str = "z", shape: Any = N) -> Any:
    return real(shape, f"lectures.losses.{key}", "float64")


def unit(key: str = "p", shape: Any = N) -> Any:
    return real(shape, f"lectures.losses.{key}", "float64", 0.05, 0.95)


def signs(shape: Any = N) -> Any:
    return 2 * whole(shape, "lectures.losses.signs", "float64", 0, 2) - 1


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def differences(function: Callable[[Any], Any], x: Any, step: float = 1e-6) -> Any:
    """The gradient of a number with respect to an array."""
    found = np.empty_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found


def check(loss: Callable[..., Any], formula: Formula, *inputs: Any, weights: bool = True) -> None:
    """`loss` is made with a reduction; the first input is learned."""
    tensors = [tg.tensor(x) for x in inputs]
    expected = formula(*inputs)
    event_weights = np.array([2.0, -1.0, 0.5, 1.5, -3.0, 0.0]).reshape(-1, *(1,) * (expected.ndim - 1))
    for w in (None, event_weights) if weights else (None,):
        named = {} if w is None else {"sample_weight": tg.tensor(w)}
        each = expected if w is None else expected * w
        for reduction, truth in (("none", each), ("sum", each.sum()), ("mean", each.sum() / each.size)):
            x = tensors[0].detach().requires_grad_()
            value = loss(reduction)(x, *tensors[1:], **named)
            np.testing.assert_allclose(value.detach().numpy(), truth, rtol=1e-12, atol=1e-14)
            value.sum().backward()

            def total(x: Any, w: Any = w, reduction: str = reduction) -> Any:
                each = formula(x, *inputs[1:]) if w is None else formula(x, *inputs[1:]) * w
                return each.mean() if reduction == "mean" else each.sum()

            assert x.grad is not None
            np.testing.assert_allclose(x.grad.numpy(), differences(total, inputs[0]), atol=1e-8)


@pytest.fixture(autouse=True)
def _first_warnings() -> Any:
    before = set(_losses.base.warned)
    _losses.base.warned.clear()
    yield
    _losses.base.warned.clear()
    _losses.base.warned.update(before)


# ---- real targets


def test_row_039_half_the_squared_error() -> None:
    """½ (y − z)², whose derivative is z − y."""
    z, y = tg.tensor(scores()).requires_grad_(), tg.tensor(scores("y"))
    (0.5 * F.mse_loss(z, y, reduction="sum")).backward()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), scores() - scores("y"), rtol=1e-14)
    check(
        lambda r: lambda *a, **k: nn.MSELoss(reduction=r)(*a, **k) / 2,
        lambda z, y: (y - z) ** 2 / 2,
        scores(),
        scores("y"),
    )
    wide = nn.HuberLoss(delta=1e6)  # is the same where no error is beyond delta
    assert wide(z, y).item() == pytest.approx(((scores() - scores("y")) ** 2).mean() / 2, rel=1e-14)


def test_row_040_sum_of_squared_errors() -> None:
    """Σ (y − f)², the lectures' example: the network's f = X₁ X₂ against numbers that are off by 1, 2 and 3."""
    f, y = tg.tensor([2.0, -12.0, 0.25]), tg.tensor([3.0, -14.0, 3.25])
    assert nn.MSELoss(reduction="sum")(f, y).item() == 14


def test_row_041_mean_squared_error() -> None:
    check(lambda r: nn.MSELoss(reduction=r), lambda x, y: (x - y) ** 2, scores("x", (N, 3)), scores("y", (N, 3)))


def test_row_042_mean_absolute_error() -> None:
    check(lambda r: nn.L1Loss(reduction=r), lambda x, y: np.abs(x - y), scores("x", (N, 3)), scores("y", (N, 3)))


def test_row_042_is_robust_to_outliers() -> None:
    """The constant that fits best: the mean for squares, which one outlier carries away, the median for moduli."""
    y = tg.tensor([1.0, 2.0, 3.0, 4.0, 1000.0])
    best = []
    for loss, lr in ((nn.MSELoss(), 0.4), (nn.L1Loss(), 0.5)):
        c = tg.zeros(1, requires_grad=True)
        optimizer = optim.SGD([c], lr=lr)
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
        for _ in range(400):
            optimizer.zero_grad()
            loss(c.expand(5), y).backward()
            optimizer.step()
            schedule.step()
        best.append(c.item())
    assert best == pytest.approx([202.0, 3.0], abs=0.05)


# ---- probabilities


def binary(p: Any, t: Any) -> Any:
    """J = −[y* log y + (1 − y*) log(1 − y)], with the sign that makes it a loss."""
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def test_row_043_binary_cross_entropy() -> None:
    t = whole(N, "lectures.losses.t", "float64", 0, 2)
    check(lambda r: nn.BCELoss(reduction=r), binary, unit(), t)
    check(lambda r: nn.BCEWithLogitsLoss(reduction=r), lambda z, t: binary(logistic(z), t), scores(), t)
    check(lambda r: nn.BCEWithLogitsLoss(reduction=r), lambda z, t: binary(logistic(z), t), scores(), unit("soft"))


def test_row_043_has_the_derivatives_of_the_sign_corrected() -> None:
    """dJ/dy = (y − y*) / (y (1 − y)), and dJ/da = y − y* for y = σ(a)."""
    t = whole(N, "lectures.losses.t", "float64", 0, 2)
    p = tg.tensor(unit()).requires_grad_()
    nn.BCELoss(reduction="sum")(p, tg.tensor(t)).backward()
    assert p.grad is not None
    np.testing.assert_allclose(p.grad.numpy(), (unit() - t) / (unit() * (1 - unit())), rtol=1e-12)
    for loss in (
        lambda a: nn.BCEWithLogitsLoss(reduction="sum")(a, tg.tensor(t)),
        lambda a: nn.BCELoss(reduction="sum")(tg.sigmoid(a), tg.tensor(t)),
    ):
        a = tg.tensor(scores()).requires_grad_()
        loss(a).backward()
        assert a.grad is not None
        np.testing.assert_allclose(a.grad.numpy(), logistic(scores()) - t, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_043_from_logits_nothing_overflows(dtype: str) -> None:
    a = tg.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype).requires_grad_()
    losses = nn.BCEWithLogitsLoss(reduction="none")(a, tg.tensor([1.0, 0.0, 0.0, 1.0], dtype=dtype))
    assert losses.tolist() == [0.0, 0.0, 1e4, 1e4]
    losses.sum().backward()
    assert a.grad is not None
    assert a.grad.tolist() == [0.0, 0.0, 1.0, -1.0]


def test_row_043_weights_of_the_positive_class() -> None:
    t = whole(N, "lectures.losses.t", "float64", 0, 2)
    check(
        lambda r: nn.BCEWithLogitsLoss(reduction=r, pos_weight=tg.tensor(3.0, dtype=tg.float64)),
        lambda z, t: -(3 * t * np.log(logistic(z)) + (1 - t) * np.log(logistic(-z))),
        scores(),
        t,
    )


def log_softmax(z: Any) -> Any:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def nll(z: Any, t: Any) -> Any:
    return -log_softmax(z)[np.arange(len(z)), t]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_044_softmax_cross_entropy(dtype: str) -> None:
    z = tg.tensor([[1.0, 2.0, 3.0]], dtype=dtype).requires_grad_()
    loss = nn.CrossEntropyLoss()(z, tg.tensor([2]))
    assert loss.item() == pytest.approx(0.40761, abs=5e-6)
    loss.backward()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), [[0.09003, 0.24473, -0.33476]], atol=5e-6)
    one = nn.CrossEntropyLoss()(z[0], tg.tensor(2))
    assert one.item() == loss.item()


def test_row_044_of_a_batch_of_any_rank_and_of_soft_labels() -> None:
    z, t = scores("classes", (N, 4)), whole(N, "lectures.losses.classes", "int64", 0, 4)
    check(lambda r: nn.CrossEntropyLoss(reduction=r), nll, z, t)
    soft = unit("soft", (N, 4))
    soft /= soft.sum(1, keepdims=True)
    check(lambda r: nn.CrossEntropyLoss(reduction=r), lambda z, p: -(p * log_softmax(z)).sum(1), z, soft)
    check(
        lambda r: nn.CrossEntropyLoss(reduction=r, label_smoothing=0.1),
        lambda z, t: 0.9 * nll(z, t) - 0.1 * log_softmax(z).mean(1),
        z,
        t,
    )
    image, pixels = scores("image", (2, 4, 3, 2)), whole((2, 3, 2), "lectures.losses.pixels", "int64", 0, 4)
    rows = image.transpose(0, 2, 3, 1).reshape(-1, 4)
    found = nn.CrossEntropyLoss(reduction="none")(tg.tensor(image), tg.tensor(pixels))
    np.testing.assert_allclose(found.numpy(), nll(rows, pixels.reshape(-1)).reshape(2, 3, 2), rtol=1e-12)


def test_row_044_fused_is_exact_where_softmax_and_log_are_not() -> None:
    z = tg.tensor([[0.0, 1000.0]])
    assert nn.CrossEntropyLoss()(z, tg.tensor([0])).item() == 1000.0
    assert F.nll_loss(tg.softmax(z, 1).log(), tg.tensor([0])).item() == math.inf


@pytest.mark.parametrize("target", [3, -1, 1000])
def test_row_044_a_class_that_is_not_there_is_refused(target: int) -> None:
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss(), nn.CrossEntropyLoss(weight=tg.ones(3))):
        with pytest.raises(IndexError):
            loss(tg.zeros(2, 3), tg.tensor([0, target]))


def test_row_045_the_table_of_the_irises() -> None:
    """p of the true species .57, .58, .52: −ln p is .5621, .5447, .6539, and 1.7608 in all. The binary formula on the other
    slide is not what computes it."""
    p = tg.tensor([[0.57, 0.20, 0.23], [0.22, 0.58, 0.20], [0.25, 0.23, 0.52]])
    species = tg.tensor([0, 1, 2])
    table = [0.5621, 0.5447, 0.6539]
    for loss in (
        lambda r: F.nll_loss(p.log(), species, reduction=r),
        lambda r: F.cross_entropy(p.log(), species, reduction=r),
    ):
        np.testing.assert_allclose(loss("none").numpy(), table, atol=5e-5)
        assert loss("sum").item() == pytest.approx(1.7608, abs=5e-5)
        assert loss("mean").item() == pytest.approx(1.7608 / 3, abs=5e-5)
    one_hot = F.one_hot(species, 3).float()
    assert F.cross_entropy(p.log(), one_hot, reduction="sum").item() == pytest.approx(1.7608, abs=5e-5)


def test_row_046_nll_with_class_weights() -> None:
    """l = −w[y] x[y]; the mean is Σ l / Σ w[y], and leaves out what is ignored."""
    x, t, w = log_softmax(scores("classes", (N, 4))), whole(N, "lectures.losses.classes", "int64", 0, 4), unit("w", 4)
    each, of_class = -w[t] * x[np.arange(N), t], w[t]
    args = tg.tensor(x), tg.tensor(t)
    for reduction, truth in (("none", each), ("sum", each.sum()), ("mean", each.sum() / of_class.sum())):
        found = nn.NLLLoss(weight=tg.tensor(w), reduction=reduction)(*args)
        np.testing.assert_allclose(found.numpy(), truth, rtol=1e-12)
        fused = nn.CrossEntropyLoss(weight=tg.tensor(w), reduction=reduction)(*args)
        np.testing.assert_allclose(fused.numpy(), truth, rtol=1e-12)
    kept = t != t[0]
    ignoring = nn.NLLLoss(weight=tg.tensor(w), ignore_index=int(t[0]))(*args)
    assert ignoring.item() == pytest.approx(each[kept].sum() / of_class[kept].sum(), rel=1e-12)
    check(lambda r: nn.NLLLoss(reduction=r), lambda x, t: -x[np.arange(N), t], x, t)


# ---- margins


def test_row_047_logistic_loss() -> None:
    assert nn.SoftMarginLoss()(tg.tensor([0.0]), tg.tensor([1.0])).item() == pytest.approx(0.6931, abs=5e-5)
    check(lambda r: nn.SoftMarginLoss(reduction=r), lambda z, y: np.log1p(np.exp(-y * z)), scores(), signs())
    far = nn.SoftMarginLoss(reduction="none")(tg.tensor([1e4, -1e4]), tg.ones(2))
    assert far.tolist() == [0.0, 1e4]
    z, y = tg.tensor(scores()), tg.tensor(signs())
    same = nn.BCEWithLogitsLoss()(z, (y + 1) / 2)  # classes 0 and 1 in place of −1 and 1
    assert nn.SoftMarginLoss()(z, y).item() == pytest.approx(same.item(), rel=1e-14)


def test_row_048_hinge() -> None:
    hinge = nn.HingeLoss()
    assert hinge(tg.tensor([0.3]), tg.tensor([1.0])).item() == pytest.approx(0.7, rel=1e-6)
    assert hinge(tg.tensor([1.5, -1.0]), tg.tensor([1.0, -1.0])).item() == 0
    check(lambda r: nn.HingeLoss(reduction=r), lambda z, y: np.maximum(0, 1 - y * z), scores(), signs())


def test_row_049_hinge_embedding() -> None:
    """x where y = 1, max(0, Δ − x) where y = −1, with Δ = 1."""
    check(
        lambda r: nn.HingeEmbeddingLoss(reduction=r),
        lambda x, y: np.where(y == 1, x, np.maximum(0, 1 - x)),
        scores(),
        signs(),
    )
    assert nn.HingeEmbeddingLoss(reduction="none")(tg.tensor([0.25, 0.25, 3.0]), tg.tensor([1, -1, -1])).tolist() == [
        0.25,
        0.75,
        0.0,
    ]


def test_row_049_says_clearly_that_targets_are_not_signs() -> None:
    """The lectures feed it with random reals: it computes what PyTorch computes, and says once what it expects."""
    x, y = tg.tensor([0.5, -0.5]), tg.tensor([0.3, -1.7])
    with pytest.warns(UserWarning, match=r"\[hinge_embedding_loss\] targets are expected to be 1 or -1"):
        first = nn.HingeEmbeddingLoss()(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.HingeEmbeddingLoss()(x, y).item() == first.item()


def test_row_050_margin_ranking() -> None:
    ranking = nn.MarginRankingLoss()
    first, second = tg.tensor([1.0]), tg.tensor([2.0])
    assert ranking(first, second, tg.tensor([1.0])).item() == 1
    assert ranking(first, second, tg.tensor([-1.0])).item() == 0
    check(
        lambda r: nn.MarginRankingLoss(margin=0.3, reduction=r),
        lambda a, b, y: np.maximum(0, -y * (a - b) + 0.3),
        scores("a"),
        scores("b"),
        signs(),
    )


def test_row_051_kl_divergence() -> None:
    """y (log y − x), summed and divided by the batch: 0 where x = log y, and positive elsewhere."""
    y = np.exp(log_softmax(scores("kl.y", (N, 4))))
    x = log_softmax(scores("kl.x", (N, 4)))
    batchmean = nn.KLDivLoss(reduction="batchmean")
    assert batchmean(tg.tensor(np.log(y)), tg.tensor(y)).item() == pytest.approx(0, abs=1e-15)
    divergence = (y * (np.log(y) - x)).sum(1)
    assert (divergence > 0).all()
    assert batchmean(tg.tensor(x), tg.tensor(y)).item() == pytest.approx(divergence.mean(), rel=1e-12)
    assert nn.KLDivLoss(reduction="batchmean", log_target=True)(
        tg.tensor(x), tg.tensor(np.log(y))
    ).item() == pytest.approx(divergence.mean(), rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mean over elements is not the mean divergence, which it says
        check(lambda r: nn.KLDivLoss(reduction=r), lambda x, y: y * (np.log(y) - x), x, y)
    certain = tg.tensor([[0.0, 1.0]])
    assert batchmean(tg.tensor([[-3.0, -0.5]]), certain).item() == 0.5  # 0 log 0 is 0


def test_row_051_says_clearly_what_input_and_target_are() -> None:
    with pytest.warns(UserWarning, match=r"input is expected to hold log-probabilities, and target probabilities"):
        nn.KLDivLoss(reduction="batchmean")(tg.tensor([[0.5, -0.5]]), tg.tensor([[0.3, -1.7]]))


# ---- losses of one's own


def test_row_052_composite_loss() -> None:
    """A sum of losses has the sum of their gradients."""
    x, y, t = scores("x"), scores("y"), whole(N, "lectures.losses.t", "float64", 0, 2)

    def gradient(weights: tuple[float, float, float]) -> Any:
        z = tg.tensor(x).requires_grad_()
        parts = (nn.MSELoss()(z, tg.tensor(y)), nn.BCEWithLogitsLoss()(z, tg.tensor(t)), z.abs().mean())
        sum(w * part for w, part in zip(weights, parts, strict=True)).backward()
        assert z.grad is not None
        return z.grad.numpy()

    by_parts = gradient((2.0, 0.0, 0.0)) + gradient((0.0, 0.5, 0.0)) + gradient((0.0, 0.0, 0.1))
    np.testing.assert_allclose(gradient((2.0, 0.5, 0.1)), by_parts, rtol=1e-12)


class FocalLoss(nn.Module):
    """(1 − p)^γ times the cross-entropy, p being the probability of the true class: what is easy counts less."""

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, input: Any, target: Any) -> Any:
        log_p = F.log_softmax(input, 1).gather(1, target.unsqueeze(1)).squeeze(1)
        return -((1 - log_p.exp()) ** self.gamma * log_p).mean()


def test_row_053_a_loss_that_a_user_designs() -> None:
    z, t = scores("classes", (N, 4)), whole(N, "lectures.losses.classes", "int64", 0, 4)
    x = tg.tensor(z).requires_grad_()
    loss = FocalLoss(2.0)(x, tg.tensor(t))
    p = np.exp(-nll(z, t))
    assert loss.item() == pytest.approx(((1 - p) ** 2 * nll(z, t)).mean(), rel=1e-12)
    loss.backward()
    assert x.grad is not None
    expected = differences(lambda z: ((1 - np.exp(-nll(z, t))) ** 2 * nll(z, t)).mean(), z)
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-9)
    assert FocalLoss(0.0)(x, tg.tensor(t)).item() == pytest.approx(F.cross_entropy(x, tg.tensor(t)).item(), rel=1e-12)


def test_row_053_class_weights_against_imbalance() -> None:
    """Of 100 events without features 5 are signal: the plain loss learns the share .05, the balanced one ½."""
    t = tg.tensor([1] * 5 + [0] * 95)
    found = []
    for weight in (None, tg.tensor([100 / 95, 100 / 5], dtype=tg.float64)):
        z = tg.zeros(2, dtype=tg.float64).requires_grad_()
        loss = nn.CrossEntropyLoss(weight=weight)
        optimizer = optim.SGD([z], lr=2.0)
        for _ in range(200):
            optimizer.zero_grad()
            loss(z.expand(100, 2), t).backward()
            optimizer.step()
        found.append(tg.softmax(z, 0)[1].item())
    assert found == pytest.approx([0.05, 0.5], abs=1e-4)


def test_row_053_event_weights_of_either_sign() -> None:
    """Negative Monte-Carlo weights cancel events: with an event counted +1 and −1 the loss is that of the others. The mean
    is Σ w l / n, so that a sum of weights near 0 harms nothing."""
    z, t = scores("classes", (N, 4)), whole(N, "lectures.losses.classes", "int64", 0, 4)
    twice = np.concatenate([z, z[:2], z[:2]]), np.concatenate([t, t[:2], t[:2]])
    w = tg.tensor([1.0] * N + [1.0, 1.0, -1.0, -1.0], dtype=tg.float64)
    grads = []
    for rows, classes, weights in ((z, t, None), (*twice, w)):
        x = tg.tensor(rows).requires_grad_()
        total = nn.CrossEntropyLoss(reduction="sum")(x, tg.tensor(classes), sample_weight=weights)
        assert total.item() == pytest.approx(nll(z, t).sum(), rel=1e-12)
        total.backward()
        assert x.grad is not None
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(grads[1][:N], grads[0])
    np.testing.assert_array_equal(grads[1][N : N + 2], -grads[1][N + 2 :])
    zero_sum = tg.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=tg.float64)
    mean = nn.CrossEntropyLoss()(tg.tensor(z), tg.tensor(t), sample_weight=zero_sum)
    assert mean.item() == pytest.approx((nll(z, t) * zero_sum.numpy()).sum() / N, rel=1e-12)


# ---- likelihoods


def test_row_054_maximum_likelihood_is_least_cross_entropy() -> None:
    """L = −1/N Σ log p(yᵢ | xᵢ) is minimised; NLL of the log-softmax, cross-entropy, and the logarithm of the product of the
    probabilities are one number with one gradient."""
    z, t = scores("classes", (N, 4)), whole(N, "lectures.losses.classes", "int64", 0, 4)
    product = np.prod(np.exp(-nll(z, t)))
    values, grads = [], []
    for loss in (
        lambda x: F.nll_loss(F.log_softmax(x, 1), tg.tensor(t)),
        lambda x: F.cross_entropy(x, tg.tensor(t)),
        lambda x: F.cross_entropy(x, F.one_hot(tg.tensor(t), 4).double()),
        lambda x: -tg.softmax(x, 1)[tg.arange(N), tg.tensor(t)].prod().log() / N,
    ):
        x = tg.tensor(z).requires_grad_()
        value = loss(x)
        value.backward()
        assert x.grad is not None
        values.append(value.item())
        grads.append(x.grad.numpy())
    assert values == pytest.approx([-math.log(product) / N] * 4, rel=1e-12)
    for grad in grads[1:]:
        np.testing.assert_allclose(grad, grads[0], rtol=1e-10, atol=1e-15)
    step = tg.tensor(z - 0.1 * grads[0])
    assert F.cross_entropy(step, tg.tensor(t)).item() < values[0]
    likelier = np.prod(np.exp(-nll(step.numpy(), t)))
    assert likelier > product


def test_row_055_poisson_likelihood_is_that_of_the_distribution() -> None:
    """−log of e^{−μ} μⁿ / n!, up to log n!, which Stirling's formula adds."""
    counts, means = np.array([0.0, 1.0, 2.0, 5.0, 9.0, 30.0]), np.array([0.5, 1.2, 3.0, 4.0, 9.0, 25.0])
    logs = np.array([math.lgamma(n + 1) for n in counts])
    truth = means - counts * np.log(means)
    check(lambda r: nn.PoissonNLLLoss(reduction=r), lambda z, n: np.exp(z) - n * z, np.log(means), counts)
    check(
        lambda r: nn.PoissonNLLLoss(log_input=False, eps=0.0, reduction=r),
        lambda m, n: m - n * np.log(m),
        means,
        counts,
    )
    full = nn.PoissonNLLLoss(full=True, reduction="none")(tg.tensor(np.log(means)), tg.tensor(counts))
    np.testing.assert_allclose(full.numpy(), truth + logs, atol=0.05)


def test_row_055_gaussian_likelihood_is_that_of_the_distribution() -> None:
    mu, y, var = scores("mu"), scores("y"), unit("var")
    truth = -np.log(np.exp(-((y - mu) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var))
    full = nn.GaussianNLLLoss(full=True, reduction="none")
    np.testing.assert_allclose(full(tg.tensor(mu), tg.tensor(y), tg.tensor(var)).numpy(), truth, rtol=1e-12)
    check(lambda r: nn.GaussianNLLLoss(reduction=r), lambda m, y, v: 0.5 * (np.log(v) + (y - m) ** 2 / v), mu, y, var)


def minimise(parameters: list[Any], loss: Callable[[], Any]) -> None:
    optimizer = optim.LBFGS(parameters, max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def test_row_055_fit_of_a_spectrum() -> None:
    """Counts over a falling background with a peak: the Poisson likelihood finds the truth within its errors, which are
    those of the inverse Hessian at the minimum."""
    x = tg.linspace(0, 1, 60, dtype=tg.float64)
    truth = tg.tensor([6.0, -2.0, 5.0], dtype=tg.float64)

    def log_mean(theta: Any) -> Any:
        background = theta[0] + theta[1] * x
        peak = theta[2] - (x - 0.6) ** 2 / (2 * 0.03**2)
        return tg.logaddexp(background, peak)

    counts = tg.tensor(np.random.default_rng(55).poisson(np.exp(log_mean(truth).numpy())).astype("float64"))
    theta = tg.tensor([5.0, 0.0, 3.0], dtype=tg.float64).requires_grad_()
    loss = nn.PoissonNLLLoss(reduction="sum")
    minimise([theta], lambda: loss(log_mean(theta), counts))
    hessian = tg.autograd.functional.hessian(lambda t: loss(log_mean(t), counts), theta.detach())
    errors = np.sqrt(np.diag(np.linalg.inv(hessian.numpy())))
    pulls = (theta.detach() - truth).numpy() / errors
    assert (errors < 0.3).all()
    assert (np.abs(pulls) < 3).all()
    expected = np.exp(log_mean(theta).detach().numpy()).sum()
    assert expected == pytest.approx(counts.sum().item(), rel=1e-5)  # as every Poisson fit with a free scale


def test_row_055_fit_of_mean_and_width() -> None:
    """The Gaussian likelihood's minimum is at the mean and the variance of the sample."""
    y = tg.tensor(np.random.default_rng(5).normal(3.0, 0.7, 500))
    theta = tg.zeros(2, dtype=tg.float64).requires_grad_()
    minimise([theta], lambda: nn.GaussianNLLLoss()(theta[0].expand(500), y, theta[1].exp().expand(500)))
    assert theta[0].item() == pytest.approx(y.mean().item(), abs=1e-6)
    assert theta[1].exp().item() == pytest.approx(y.numpy().var(), rel=1e-5)
