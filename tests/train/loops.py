"""The loop that `fit` stands for, and what is trained in both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from trigrad.nn import functional as F

N, FEATURES = 53, 6


def events(n: int = N, seed: int = 7) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    """Inputs, classes, weights of both signs."""
    g = tg.Generator().manual_seed(seed)
    return tg.randn(n, FEATURES, generator=g), tg.randint(0, 3, (n,), generator=g), tg.randn(n, generator=g) + 0.5


def plain() -> Any:
    return tg.nn.Sequential(tg.nn.Linear(FEATURES, 16), tg.nn.ReLU(), tg.nn.Linear(16, 3))


def noisy() -> Any:
    return tg.nn.Sequential(
        tg.nn.Linear(FEATURES, 16), tg.nn.BatchNorm1d(16), tg.nn.ReLU(), tg.nn.Dropout(0.3), tg.nn.Linear(16, 3)
    )


class Tied(tg.nn.Module):
    """One layer used twice, and a parameter that no optimizer is given: its gradients add up."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = tg.nn.Linear(FEATURES, FEATURES), tg.nn.Linear(FEATURES, 3)
        self.apart = tg.nn.Parameter(tg.ones(3))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.outer(tg.tanh(self.inner(tg.tanh(self.inner(x))))) * self.apart


def adam(model: Any) -> Any:
    return tg.optim.Adam(model.parameters(), lr=0.01)


class Signs(tg.optim.Optimizer):
    """An optimizer written in Python."""

    def step(self, closure: Any = None) -> None:
        with tg.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(group["lr"] * p.grad.sign())


MODELS: dict[str, Callable[[], Any]] = {
    "plain": plain,
    "noisy": noisy,
    "tied": Tied,
    "layernorm": lambda: tg.nn.Sequential(
        tg.nn.Linear(FEATURES, 9), tg.nn.LayerNorm(9), tg.nn.GELU(), tg.nn.Linear(9, 3)
    ),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    name: lambda model, name=name, options=options: getattr(tg.optim, name)(model.parameters(), **options)
    for name, options in {
        "SGD": {"lr": 0.1, "momentum": 0.9},
        "Adam": {"lr": 0.01, "amsgrad": True},
        "AdamW": {"lr": 0.01},
        "NAdam": {"lr": 0.01},
        "RAdam": {"lr": 0.01},
        "Adamax": {"lr": 0.01},
        "Adagrad": {"lr": 0.05},
        "Adadelta": {},
        "RMSprop": {"lr": 0.01, "centered": True},
        "ASGD": {"lr": 0.05},
        "Rprop": {"lr": 0.01},
    }.items()
}
OPTIMIZERS["groups"] = lambda model: tg.optim.SGD(
    [{"params": [p], "lr": 0.01 * (k + 1)} for k, p in enumerate(model.parameters())]
)
OPTIMIZERS["Python's"] = lambda model: Signs(model.parameters(), {"lr": 0.01})


def scores(prediction: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    """A loss of one's own: the mean score of the other classes above that of the right one."""
    right = prediction.gather(1, target[:, None])
    return F.softplus(prediction - right).mean()


def one_hot(loss: Callable[..., tg.Tensor]) -> Callable[..., tg.Tensor]:
    def of(prediction: tg.Tensor, target: tg.Tensor, **weights: Any) -> tg.Tensor:
        return loss(prediction, (target[:, None] == tg.arange(3)).float(), **weights)

    return of


LOSSES: dict[str, Callable[..., tg.Tensor]] = {
    "CrossEntropyLoss": tg.nn.CrossEntropyLoss(label_smoothing=0.1),
    "cross_entropy": F.cross_entropy,
    "multi_margin": F.multi_margin_loss,
    "mse": one_hot(F.mse_loss),
    "bce": one_hot(F.binary_cross_entropy_with_logits),
    "huber": one_hot(F.huber_loss),
    "one's own": scores,
    "sum": one_hot(lambda p, t: ((p - t) ** 2).sum()),
}


def loop(
    model: Any,
    loss: Any,
    optimizer: Any,
    X: Any,
    y: Any,
    w: Any = None,
    *,
    epochs: int = 3,
    batch_size: int = 16,
    shuffle: bool = True,
    generator: Any = None,
    steps: int | None = None,
    each_epoch: Callable[[], None] = lambda: None,
    each_step: Callable[[], None] = lambda: None,
) -> list[float]:
    """What `fit` promises to be: no more than `steps` of it, where given."""
    made, means = 0, []
    for _ in range(epochs):
        order = tg.randperm(len(X), generator=generator) if shuffle else tg.arange(len(X))
        total = 0.0
        for first in range(0, len(X), batch_size):
            if made == steps:
                return means
            rows = order[first : first + batch_size]
            optimizer.zero_grad()
            value = loss(model(X[rows]), y[rows]) if w is None else loss(model(X[rows]), y[rows], sample_weight=w[rows])
            value.backward()
            optimizer.step()
            each_step()
            made += 1
            total += value.item() * len(rows)
        means.append(total / len(X))
        each_epoch()
    return means


def twins(make: Callable[[], Any] = plain, optimizer: Callable[[Any], Any] = adam) -> tuple[Any, Any, Any, Any]:
    """Two equal models, and an optimizer of each."""
    models = []
    for _ in range(2):
        tg.manual_seed(1)
        models.append(make())
    a, b = models
    given = [[p for n, p in m.named_parameters() if n != "apart"] for m in models]
    holders = [_Holder(p) for p in given]
    return a, b, optimizer(holders[0]), optimizer(holders[1])


class _Holder:
    def __init__(self, parameters: list[Any]) -> None:
        self._parameters = parameters

    def parameters(self) -> list[Any]:
        return self._parameters


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.shape == b.shape and a.detach().numpy().tobytes() == b.detach().numpy().tobytes())


def assert_same(a: Any, b: Any, of_a: Any, of_b: Any) -> None:
    """Parameters, buffers, gradients and the states of the optimizers."""
    for (name, p), (_, q) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert same_bits(p, q), name
    for (name, p), (_, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        assert p.grad is None or same_bits(p.grad, q.grad), name
        for key, state in of_a.state.get(p, {}).items():
            other = of_b.state[q][key]
            assert same_bits(state, other) if isinstance(state, tg.Tensor) else state == other, (name, key)


def compare(
    make: Callable[[], Any] = plain,
    loss: Any = F.cross_entropy,
    optimizer: Callable[[Any], Any] = adam,
    n: int = N,
    weighted: bool = False,
    **options: Any,
) -> tg.Trainer:
    """The loop and the trainer, from the same state, over the same events."""
    X, y, w = events(n)
    weights = w if weighted else None
    a, b, of_a, of_b = twins(make, optimizer)
    options = {"epochs": 3, "batch_size": 16, **options}
    trainer = tg.Trainer(b, loss, of_b)
    tg.manual_seed(3)
    expected = loop(a, loss, of_a, X, y, weights, **options)
    after = tg.get_rng_state()
    tg.manual_seed(3)
    history = trainer.fit(X, y, sample_weight=weights, **options)
    assert tg.equal(tg.get_rng_state(), after)
    assert history["loss"] == pytest.approx(expected, rel=1e-12)
    assert_same(a, b, of_a, of_b)
    return trainer


class Scaled(tg.nn.Module):
    """A loss with parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tg.nn.Parameter(tg.ones(3))

    def forward(self, p: Any, t: Any) -> Any:
        return F.cross_entropy(p * self.scale, t)


def made(
    make: Callable[[], Any] = noisy,
    loss: Any = F.cross_entropy,
    optimizer: Callable[[Any], Any] = adam,
    seed: int = 1,
    schedule: Callable[[Any], Any] | None = None,
    step_schedule: Callable[[Any], Any] | None = None,
    **options: Any,
) -> tg.Trainer:
    """A trainer from the start: another process would make the same one."""
    tg.manual_seed(seed)
    model = make()
    of = optimizer(model)
    return tg.Trainer(
        model,
        loss,
        of,
        scheduler=None if schedule is None else schedule(of),
        step_scheduler=None if step_schedule is None else step_schedule(of),
        **options,
    )
