"""Every loss with its options in a compiled step, as module and as function: the bits of eager, and its refusals."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trigrad as tg
from trigrad import nn
from trigrad.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))

from twins import THREADS, Subject, assert_twins, in_turn

CLASSES = 5
ROWS = (1, 2, 7, 64, 129, 1000)
Draw = Callable[[int, tg.Generator], tg.Tensor]


@pytest.fixture(autouse=True)
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reals(*shape: int) -> Draw:
    return lambda n, g: tg.randn(n, *shape, generator=g)


def unit(*shape: int) -> Draw:
    return lambda n, g: tg.rand(n, *shape, generator=g) * 0.98 + 0.01


def positive(*shape: int) -> Draw:
    return lambda n, g: tg.rand(n, *shape, generator=g) + 0.1


def signs(*shape: int) -> Draw:
    return lambda n, g: (tg.randint(0, 2, (n, *shape), generator=g) * 2 - 1).float()


def classes(*shape: int) -> Draw:
    return lambda n, g: tg.randint(0, CLASSES, (n, *shape), generator=g)


def some_ignored(n: int, g: tg.Generator) -> tg.Tensor:
    """From the second row on."""
    target = classes()(n, g)
    if n > 1:
        target[1::3] = -100
    return target


def ignored_in_replays(n: int, g: tg.Generator) -> tg.Tensor:
    """None in the call that is recorded."""
    return some_ignored(n, g) if g.initial_seed() % 100 else classes()(n, g)


def soft(n: int, g: tg.Generator) -> tg.Tensor:
    return tg.softmax(tg.randn(n, CLASSES, generator=g), 1)


def log_p(*shape: int) -> Draw:
    return lambda n, g: tg.log_softmax(tg.randn(n, *shape, generator=g), 1)


def counts(*shape: int) -> Draw:
    return lambda n, g: tg.randint(0, 9, (n, *shape), generator=g).float()


def label_sets(n: int, g: tg.Generator) -> tg.Tensor:
    """Some classes of each row, then -1."""
    order = tg.argsort(tg.rand(n, CLASSES, generator=g), dim=1)
    wanted = tg.randint(1, CLASSES, (n, 1), generator=g)
    return tg.where(tg.arange(CLASSES) < wanted, order, -1)


def weights() -> tg.Tensor:
    return tg.arange(1, CLASSES + 1) * 0.3


def squares(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    return ((x - y) ** 2).sum(-1)


#: loss -> how its module is made, what goes in
LOSSES: dict[str, tuple[Callable[[], Any], tuple[Draw, ...]]] = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss, (reals(CLASSES), classes())),
    "CrossEntropyLoss ignoring": (nn.CrossEntropyLoss, (reals(CLASSES), some_ignored)),
    "CrossEntropyLoss ignoring later": (nn.CrossEntropyLoss, (reals(CLASSES), ignored_in_replays)),
    "CrossEntropyLoss weights": (lambda: nn.CrossEntropyLoss(weights()), (reals(CLASSES), some_ignored)),
    "CrossEntropyLoss smooth": (
        lambda: nn.CrossEntropyLoss(weights(), label_smoothing=0.2, ignore_index=2),
        (reals(CLASSES), classes()),
    ),
    "CrossEntropyLoss soft": (nn.CrossEntropyLoss, (reals(CLASSES), soft)),
    "CrossEntropyLoss soft, smooth": (
        lambda: nn.CrossEntropyLoss(weights(), label_smoothing=0.1),
        (reals(CLASSES), soft),
    ),
    "CrossEntropyLoss of pixels": (nn.CrossEntropyLoss, (reals(CLASSES, 3), classes(3))),
    "NLLLoss": (nn.NLLLoss, (log_p(CLASSES), classes())),
    "NLLLoss ignoring later": (nn.NLLLoss, (log_p(CLASSES), ignored_in_replays)),
    "NLLLoss weights": (lambda: nn.NLLLoss(weights(), ignore_index=1), (log_p(CLASSES), classes())),
    "NLLLoss of pixels": (nn.NLLLoss, (log_p(CLASSES, 3), classes(3))),
    "BCELoss": (nn.BCELoss, (unit(), unit())),
    "BCELoss weight": (lambda: nn.BCELoss(tg.tensor([0.5, 2.0, 1.0])), (unit(3), unit(3))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, (reals(), unit())),
    "BCEWithLogitsLoss weights": (
        lambda: nn.BCEWithLogitsLoss(tg.tensor([0.5, 2.0, 1.0]), pos_weight=tg.tensor([3.0, 1.0, 0.2])),
        (reals(3), unit(3)),
    ),
    "MSELoss": (nn.MSELoss, (reals(3), reals(3))),
    "L1Loss": (nn.L1Loss, (reals(), reals())),
    "SmoothL1Loss": (lambda: nn.SmoothL1Loss(beta=0.5), (reals(3), reals(3))),
    "HuberLoss": (lambda: nn.HuberLoss(delta=0.7), (reals(3), reals(3))),
    "KLDivLoss": (nn.KLDivLoss, (log_p(CLASSES), soft)),
    "KLDivLoss of logarithms": (lambda: nn.KLDivLoss(log_target=True), (log_p(CLASSES), log_p(CLASSES))),
    "PoissonNLLLoss": (nn.PoissonNLLLoss, (reals(), counts())),
    "PoissonNLLLoss full": (lambda: nn.PoissonNLLLoss(log_input=False, full=True), (positive(2), counts(2))),
    "GaussianNLLLoss": (nn.GaussianNLLLoss, (reals(2), reals(2), positive(2))),
    "GaussianNLLLoss full": (lambda: nn.GaussianNLLLoss(full=True), (reals(2), reals(2), positive(1))),
    "SoftMarginLoss": (nn.SoftMarginLoss, (reals(2), signs(2))),
    "HingeLoss": (nn.HingeLoss, (reals(), signs())),
    "HingeEmbeddingLoss": (lambda: nn.HingeEmbeddingLoss(0.5), (positive(2), signs(2))),
    "MarginRankingLoss": (lambda: nn.MarginRankingLoss(0.3), (reals(), reals(), signs())),
    "CosineEmbeddingLoss": (lambda: nn.CosineEmbeddingLoss(0.2), (reals(4), reals(4), signs())),
    "MultiMarginLoss": (nn.MultiMarginLoss, (reals(CLASSES), classes())),
    "MultiMarginLoss squared": (lambda: nn.MultiMarginLoss(2, 0.5, weights()), (reals(CLASSES), classes())),
    "MultiLabelMarginLoss": (nn.MultiLabelMarginLoss, (reals(CLASSES), label_sets)),
    "MultiLabelSoftMarginLoss": (lambda: nn.MultiLabelSoftMarginLoss(weights()), (reals(CLASSES), unit(CLASSES))),
    "TripletMarginLoss": (lambda: nn.TripletMarginLoss(swap=True), (reals(3), reals(3), reals(3))),
    "TripletMarginWithDistanceLoss": (
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=squares, margin=0.4),
        (reals(3), reals(3), reals(3)),
    ),
}
REDUCTIONS = ("mean", "sum", "none")
WITHOUT_EVENTS = ("TripletMarginWithDistanceLoss",)


def test_every_loss_is_here() -> None:
    public = {name for name in vars(nn) if name.endswith("Loss")}
    assert {name.partition(" ")[0] for name in LOSSES} == public


def stepped(loss: Callable[..., Any]) -> Subject:
    """A linear layer before the first input, gradients of all inputs."""
    layers: list[Any] = []

    def step(*inputs: tg.Tensor) -> Any:
        leaves = [t.clone().requires_grad_(t.dtype.is_floating_point and k < 3) for k, t in enumerate(inputs)]
        made = loss(*leaves)
        (made * made.detach().cos()).sum().backward()
        return made, [t.grad for t in leaves if t.grad is not None]

    return Subject(step, tuple(layers))


def takes_events(loss: Any) -> bool:
    import inspect

    return "sample_weight" in inspect.signature(type(loss).forward).parameters


@pytest.mark.parametrize("name", LOSSES)
def test_module(name: str, full: bool) -> None:
    make, draws = LOSSES[name]
    calls = in_turn(lambda n, g: tuple(draw(n, g) for draw in draws), ROWS if full else (1, 7, 129), 3 if full else 2)

    def subject(reduction: str) -> Subject:
        loss = make()
        loss.reduction = reduction
        return stepped(loss)

    for reduction in (*REDUCTIONS, "batchmean") if name.startswith("KLDiv") else REDUCTIONS:
        assert_twins(lambda reduction=reduction: subject(reduction), calls, THREADS if full else (2,))


@pytest.mark.parametrize("name", LOSSES)
def test_event_weights(name: str, full: bool) -> None:
    make, draws = LOSSES[name]
    if not takes_events(make()):
        assert name.partition(" ")[0] in WITHOUT_EVENTS
        return
    calls = in_turn(
        lambda n, g: (*(draw(n, g) for draw in draws), tg.randn(n, generator=g)), ROWS if full else (2, 129), 2
    )

    def subject() -> Subject:
        loss = make()
        return stepped(lambda *inputs: loss(*inputs[:-1], sample_weight=inputs[-1]))

    assert_twins(subject, calls, THREADS if full else (2,))


def trained(loss: Any, target: Draw, outputs: tuple[int, ...]) -> tuple[Callable[[], Subject], list[Any]]:
    """A net below the loss: what is fused with what comes before it."""

    def make() -> Subject:
        model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, max(outputs, default=1)))
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

        def step(x: tg.Tensor, y: tg.Tensor) -> Any:
            optimizer.zero_grad()
            z = model(x)
            made = loss(z if outputs else z.squeeze(1), y)
            made.backward()
            optimizer.step()
            return made

        return Subject(step, (model, optimizer))

    return make, in_turn(lambda n, g: (tg.randn(n, 4, generator=g), target(n, g)))


TRAINED: dict[str, tuple[Any, Draw, tuple[int, ...]]] = {
    "cross_entropy": (F.cross_entropy, classes(), (CLASSES,)),
    "cross_entropy of one class": (F.cross_entropy, lambda n, g: tg.zeros(n, dtype=tg.int64), (1,)),
    "cross_entropy soft": (F.cross_entropy, soft, (CLASSES,)),
    "nll_loss": (lambda z, t: F.nll_loss(F.log_softmax(z, 1), t), classes(), (CLASSES,)),
    "binary_cross_entropy": (lambda z, t: F.binary_cross_entropy(tg.sigmoid(z), t), unit(), ()),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, unit(), ()),
    "mse_loss": (F.mse_loss, reals(), ()),
    "mse_loss of a column": (F.mse_loss, reals(1), (1,)),
}


@pytest.mark.parametrize("name", TRAINED)
def test_training(name: str, full: bool) -> None:
    assert_twins(*trained(*TRAINED[name]), THREADS if full else (1, 3))


# ---- refusals


REFUSED: dict[str, tuple[Callable[..., Any], Draw, Draw, type[Exception]]] = {
    "cross_entropy": (F.cross_entropy, reals(CLASSES), classes(), IndexError),
    "nll_loss": (F.nll_loss, log_p(CLASSES), classes(), IndexError),
    "multi_margin_loss": (F.multi_margin_loss, reals(CLASSES), classes(), IndexError),
    "multilabel_margin_loss": (F.multilabel_margin_loss, reals(CLASSES), label_sets, IndexError),
    "binary_cross_entropy": (F.binary_cross_entropy, unit(), unit(), RuntimeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_in_a_replay(name: str) -> None:
    """The error is eager's, nothing has changed, and the next call goes on."""
    loss, first, second, kind = REFUSED[name]
    total = tg.zeros(())
    weight = tg.ones(1).requires_grad_()

    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        total.add_(x.sum())  # done before the refusal
        made: tg.Tensor = loss(x * weight if kind is IndexError else x, y)
        return made

    compiled = tg.compile(step)
    g = tg.Generator().manual_seed(3)
    x, y = first(9, g), second(9, g)
    expected = compiled(x, y)
    kept = total.item()
    bad = y.clone()
    bad.reshape(-1)[3] = 99
    for _ in range(2):
        with pytest.raises(kind) as raised:
            compiled(x, bad)
        assert total.item() == kept
    with pytest.raises(kind) as wanted:
        loss(x, bad)
    assert str(raised.value) == str(wanted.value)
    assert compiled(x, y).item() == expected.item()
    assert len(compiled.plans) == 1
