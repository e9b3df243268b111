"""Metrics of a training, weights of classes, held-out shares: against scikit-learn and against what is computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from train.loops import N, adam, assert_same, events, noisy, plain, same_bits, twins
from trigrad import metrics
from trigrad.nn import functional as F

X, Y, W = events()
NAMES = ["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "matthews_corrcoef"]


def trainer_of(outputs: int, loss: Any, names: Any, make: Any = None) -> tg.Trainer:
    tg.manual_seed(1)
    model = tg.nn.Linear(6, outputs) if make is None else make()
    return tg.Trainer(model, loss, tg.optim.SGD(model.parameters(), lr=0.1), metrics=names)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_classes(weighted: bool) -> None:
    trainer = trainer_of(3, F.cross_entropy, NAMES)
    weight = W.abs() if weighted else None
    found = trainer.measure(X, Y, sample_weight=weight)
    scores = trainer.model(X).detach()
    p, best, more = tg.softmax(scores.double(), 1), scores.argmax(1), {"sample_weight": weight}
    assert found["accuracy"] == metrics.accuracy_score(Y, best, **more)
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(Y, best, **more)
    assert found["f1"] == metrics.f1_score(Y, best, average="macro", **more)
    assert found["roc_auc"] == metrics.roc_auc_score(Y, p, multi_class="ovr", **more)
    assert found["log_loss"] == metrics.log_loss(Y, p, **more)
    assert found["matthews_corrcoef"] == metrics.matthews_corrcoef(Y, best, **more)
    if not weighted:
        assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-6)


def test_one_output() -> None:
    y = (Y == 1).float()
    for shape in ((N,), (N, 1)):
        make = lambda: tg.nn.Sequential(tg.nn.Linear(6, 1), tg.nn.Flatten(0 if len(shape) == 1 else 1))  # noqa: B023
        logits = trainer_of(1, tg.nn.BCEWithLogitsLoss(), NAMES, make)
        found = logits.measure(X, y.reshape(*shape))
        z = logits.model(X).detach().reshape(N)
        assert found["accuracy"] == metrics.accuracy_score(y, z > 0)
        assert found["roc_auc"] == metrics.roc_auc_score(y, z)
        assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-6)
        chances = trainer_of(1, tg.nn.BCELoss(), NAMES, lambda: tg.nn.Sequential(make(), tg.nn.Sigmoid()))  # noqa: B023
        again = chances.measure(X, y.reshape(*shape))
        assert again["accuracy"] == found["accuracy"]
        assert again["log_loss"] == pytest.approx(found["log_loss"], rel=1e-6)
    signs = y * 2 - 1
    hinge = trainer_of(1, tg.nn.HingeLoss(), ["accuracy"], make)
    assert hinge.measure(X, signs.reshape(N, 1))["accuracy"] == found["accuracy"]


@pytest.mark.parametrize(
    ("loss", "squashed"),
    [
        (tg.nn.MSELoss(), False),  # towards 0 and 1: above a half
        (tg.nn.MSELoss(), True),
        (lambda p, t: F.binary_cross_entropy(p, t), True),  # the model says what its outputs are
        (F.binary_cross_entropy_with_logits, False),
    ],
)
def test_what_a_single_output_stands_for(loss: Any, squashed: bool) -> None:
    y = (X[:, :1] > 0).float()
    make = lambda: tg.nn.Sequential(tg.nn.Linear(6, 1), *([tg.nn.Sigmoid()] if squashed else []))
    trainer = trainer_of(1, loss, ["accuracy"], make)
    trainer.fit(X, y, epochs=30, batch_size=8)
    logits = loss is F.binary_cross_entropy_with_logits
    expected = metrics.accuracy_score(y[:, 0], trainer.predict(X)[:, 0] > (0.0 if logits else 0.5))
    assert trainer.measure(X, y)["accuracy"] == expected
    assert expected > 0.8
    signs = trainer_of(1, tg.nn.MSELoss(), ["accuracy"], lambda: tg.nn.Linear(6, 1))
    found = signs.measure(X, y * 2 - 1)["accuracy"]
    assert found == metrics.accuracy_score(y[:, 0], signs.predict(X)[:, 0] > 0)


def test_functions_of_ours_are_their_names() -> None:
    """They are given what they look at, classes or probabilities, not what the model gives out."""
    names = ["accuracy_score", "roc_auc_score", "f1_score", "log_loss"]
    for outputs, target, loss in (
        (3, Y, F.cross_entropy),
        (1, (Y == 1).float()[:, None], F.binary_cross_entropy_with_logits),
    ):
        functions = trainer_of(outputs, loss, [getattr(metrics, name) for name in names])
        assert functions.measure(X, target) == trainer_of(outputs, loss, names).measure(X, target)


def test_events_of_one_class() -> None:
    """As the held-out share of a small table may be."""
    trainer = trainer_of(1, F.binary_cross_entropy_with_logits, ["log_loss", "brier", "accuracy"])
    for target in (tg.zeros(N, 1), tg.ones(N, 1)):
        found, p = trainer.measure(X, target), tg.sigmoid(trainer.predict(X).double())
        assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-6)
        assert found["brier"] == pytest.approx(float(((p - target) ** 2).mean()), rel=1e-6)
        assert found["accuracy"] == float(((p > 0.5) == (target > 0)).double().mean())


def test_outputs_that_are_no_logits() -> None:
    """Probabilities of a function that the trainer cannot look into are told from logits by nothing but a warning."""

    class Squashed(tg.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = tg.nn.Linear(6, 1)

        def forward(self, x: Any) -> Any:
            return tg.sigmoid(self.layer(x))

    y = (Y == 1).float()[:, None]
    trainer = trainer_of(1, lambda p, t: F.binary_cross_entropy(p, t), ["accuracy"], Squashed)
    with pytest.warns(UserWarning, match="takes the outputs for logits, but they are all from 0 to 1"):
        trainer.measure(X, y)
    several = trainer_of(3, F.binary_cross_entropy_with_logits, ["accuracy"])
    with pytest.raises(
        ValueError, match=r"one class per event, but the targets \(53, 3\) have rows of several or none"
    ):
        several.measure(X, (X[:, :3] > 0).float())
    of_one = (Y[:, None] == tg.arange(3)).float()
    assert several.measure(X, of_one)["accuracy"] == several.measure(X, of_one * 2 - 1)["accuracy"]


def test_values() -> None:
    names = ["mse", "rmse", "mae", "r2", "explained_variance"]
    target = X[:, :2] * 3 + 1
    trainer = trainer_of(2, tg.nn.MSELoss(), names)
    found, predicted = trainer.measure(X, target), trainer.predict(X)
    assert same_bits(predicted, trainer.model(X))
    assert found["mse"] == metrics.mean_squared_error(target, predicted)
    assert found["mse"] == pytest.approx(found["loss"], rel=1e-6)
    assert found["rmse"] == metrics.root_mean_squared_error(target, predicted)
    assert found["r2"] == metrics.r2_score(target, predicted)
    one = trainer_of(1, lambda p, t: F.mse_loss(p[:, 0], t), ["r2"])
    assert one.measure(X, X[:, 0])["r2"] == metrics.r2_score(X[:, 0], one.predict(X)[:, 0])


def test_functions_of_ones_own() -> None:
    def spread(y_true: Any, output: Any) -> Any:
        return output.max() - output.min()

    def heavy(y_true: Any, output: Any, sample_weight: Any = None) -> float:
        return 0.0 if sample_weight is None else float(sample_weight.sum())

    trainer = trainer_of(3, F.cross_entropy, [spread, heavy, "accuracy"])
    found = trainer.measure(X, Y, sample_weight=W.abs())
    assert list(found) == ["loss", "spread", "heavy", "accuracy"]
    assert found["heavy"] == float(W.abs().sum())
    assert (
        trainer_of(3, F.cross_entropy, {"right": "accuracy"}).measure(X, Y)["right"]
        == trainer.measure(X, Y)["accuracy"]
    )
    with pytest.raises(ValueError, match="there is no metric 'speed', expected one of accuracy"):
        trainer_of(3, F.cross_entropy, ["speed"])
    with pytest.raises(ValueError, match=r"metrics are called \['<lambda>', '<lambda>'\], expected one of a name"):
        trainer_of(3, F.cross_entropy, [lambda t, o: 1.0, lambda t, o: 2.0])
    with pytest.raises(TypeError, match="metrics is a str"):
        trainer_of(3, F.cross_entropy, "accuracy")
    with pytest.raises(TypeError, match="the metric 'a' is a int"):
        trainer_of(3, F.cross_entropy, {"a": 3})


def test_metrics_of_epochs() -> None:
    """On the validation data, else on the training data; and nothing changes by them."""
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    tg.Trainer(a, F.cross_entropy, of_a).fit(X, Y, epochs=3, batch_size=16)
    tg.manual_seed(3)
    trainer = tg.Trainer(b, F.cross_entropy, of_b, metrics=["accuracy"])
    history = trainer.fit(X, Y, epochs=3, batch_size=16, validation_data=(X[:20], Y[:20]))
    assert_same(a, b, of_a, of_b)
    assert list(history) == ["loss", "val_loss", "val_accuracy"]
    assert history["val_accuracy"][-1] == trainer.measure(X[:20], Y[:20])["accuracy"]
    assert list(trainer.fit(X, Y, epochs=1, batch_size=16)) == ["loss", "accuracy"]
    assert trainer.history["accuracy"][0] == trainer.measure(X, Y)["accuracy"]


# ---- shares and weights


def test_a_share_is_held_out() -> None:
    """The rows are those of a permutation that is drawn first; the rest is trained on, as if it were all there is."""
    a, b, of_a, of_b = twins(noisy)
    tg.manual_seed(3)
    history = tg.Trainer(a, F.cross_entropy, of_a).fit(
        X, Y, sample_weight=W, epochs=3, batch_size=16, validation_split=0.25
    )
    tg.manual_seed(3)
    order = tg.randperm(N)
    held, rest = (np.sort(part.numpy()) for part in (order[:13], order[13:]))
    pick = [(t[tg.from_numpy(rows)]) for rows in (held, rest) for t in (X, Y, W)]
    trainer = tg.Trainer(b, F.cross_entropy, of_b)
    expected = trainer.fit(
        pick[3], pick[4], sample_weight=pick[5], epochs=3, batch_size=16, validation_data=tuple(pick[:3])
    )
    assert_same(a, b, of_a, of_b)
    assert history == expected
    state = tg.get_rng_state()
    for share in (1.0, -0.1, 0.001, 0.999):
        with pytest.raises(ValueError, match=f"validation_split is {share}"):
            trainer.fit(X, Y, epochs=1, batch_size=16, validation_split=share)
    assert tg.equal(state, tg.get_rng_state())
    with pytest.raises(ValueError, match="without validation_data"):
        trainer.fit(X, Y, epochs=1, batch_size=16, validation_split=0.5, validation_data=(X, Y))


@pytest.mark.parametrize(
    "given", [{0: 1.0, 1: 2.0, 2: 0.5}, [1.0, 2.0, 0.5], tg.tensor([1.0, 2.0, 0.5]), {1: 2.0, 2: 0.5}], ids=str
)
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_classes(given: Any, weighted: bool) -> None:
    a, b, of_a, of_b = twins(plain)
    of_class = tg.tensor([1.0, 2.0, 0.5])[Y]
    options: dict[str, Any] = {"epochs": 2, "batch_size": 16, "validation_data": (X, Y)}
    tg.manual_seed(3)
    weight = of_class * W if weighted else of_class
    expected = tg.Trainer(a, F.cross_entropy, of_a).fit(X, Y, sample_weight=weight, **options)
    tg.manual_seed(3)
    weights = W if weighted else None
    history = tg.Trainer(b, F.cross_entropy, of_b).fit(X, Y, sample_weight=weights, class_weight=given, **options)
    assert_same(a, b, of_a, of_b)
    assert history == expected


def test_balanced_classes() -> None:
    sklearn = pytest.importorskip("sklearn.utils.class_weight", reason="compares with scikit-learn")
    y = Y.numpy().copy()
    y[:30] = 0
    table = sklearn.compute_class_weight("balanced", classes=np.arange(3), y=y)
    results = []
    for given in ("balanced", dict(enumerate(table))):
        model = plain()
        with tg.no_grad():
            for p in model.parameters():
                p.fill_(0.01)
        tg.manual_seed(2)
        tg.Trainer(model, F.cross_entropy, adam(model)).fit(X, y, epochs=2, batch_size=16, class_weight=given)
        results.append(model[0].weight.detach().numpy().tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({7: 1.0}, "names the class 7, which y does not have"),
        ([1.0, 2.0], "has 2 classes, but y has others than 0 to 1"),
        ("equal", "class_weight is 'equal'"),
        (3, "class_weight is 3"),
        ({0: math.nan}, "gives 0 the weight nan, expected finite numbers"),
        ({"signal": 1.0}, "gives 'signal' the weight 1.0, expected finite numbers"),
        ([1.0, None, 2.0], "gives 1 the weight None, expected finite numbers"),
    ],
)
def test_refused_weights(given: Any, words: str) -> None:
    model = plain()
    with pytest.raises(ValueError, match=words):
        tg.Trainer(model, F.cross_entropy, adam(model)).fit(X, Y, epochs=1, batch_size=16, class_weight=given)
    with pytest.raises(ValueError, match=r"wants one class per event, but y has shape \(53, 6\)"):
        tg.Trainer(model, F.mse_loss, adam(model)).fit(X, X, epochs=1, batch_size=16, class_weight={0: 1.0})
    with pytest.raises(TypeError, match="the loss takes no sample_weight"):
        tg.Trainer(model, lambda p, t: p.mean(), adam(model)).fit(X, Y, epochs=1, batch_size=16, class_weight={0: 1.0})


def test_a_history_of_numbers_that_come_and_go() -> None:
    history = tg.History()
    history.append(loss=1.0)
    history.append(loss=2.0, more=3.0)
    history.append(loss=4.0)
    assert str(dict(history)) == "{'loss': [1.0, 2.0, 4.0], 'more': [nan, 3.0, nan]}"
