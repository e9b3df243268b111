"""What PyTorch refuses in networks, losses, optimizers, schedules and data is refused here, with an error of the same kind; what
differs names its row of docs/semantics.md.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from torch_compare import REFUSALS, same_family

torch = pytest.importorskip("torch", reason="compares with torch")

Call = Callable[[Any], Any]


def z(lib: Any, *shape: int) -> Any:
    return lib.zeros(*shape) if shape else lib.tensor(0.0)


def p(lib: Any) -> Any:
    return lib.nn.Parameter(lib.zeros(3))


def infinite_gradient(lib: Any) -> Any:
    w = p(lib)
    w.grad = lib.tensor([math.inf, 1.0, 1.0])
    return lib.nn.utils.clip_grad_norm_(w, 1.0, error_if_nonfinite=True)


def loaded(lib: Any, **changes: Any) -> Any:
    layer = lib.nn.Linear(2, 3)
    state = {**layer.state_dict(), **changes}
    return layer.load_state_dict({k: v for k, v in state.items() if v is not None})


def optimizer(lib: Any, name: str = "SGD", **options: Any) -> Any:
    return getattr(lib.optim, name)([p(lib)], **options)


BAD: dict[str, Call] = {
    # losses
    "class -1": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0, -1])),
    "class 3 of 3": lambda t: t.nn.CrossEntropyLoss()(z(t, 2, 3), t.tensor([0, 3])),
    "class 3 of 3, nll": lambda t: t.nn.functional.nll_loss(z(t, 2, 3), t.tensor([0, 3])),
    "real classes": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0.0, 1.0])),
    "bool classes": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([True, False])),
    "whole one-hot classes": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([[0, 1, 0], [1, 0, 0]])),
    "three targets of two": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0, 1, 2])),
    "weights of two classes": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0, 1]), weight=t.ones(2)),
    "weights of another dtype": lambda t: t.nn.functional.nll_loss(z(t, 2, 3), t.tensor([0, 1]), t.ones(3).double()),
    "whole input": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3).long(), t.tensor([0, 1])),
    "smoothing 2": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0, 1]), label_smoothing=2.0),
    "reduction": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0, 1]), reduction="average"),
    "reduction of mse": lambda t: t.nn.MSELoss(reduction="average")(z(t, 2), z(t, 2)),
    "ignored soft target": lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), z(t, 2, 3), ignore_index=1),
    "NaN probability": lambda t: t.nn.functional.binary_cross_entropy(z(t, 2) * math.nan, z(t, 2)),
    "probability 2": lambda t: t.nn.BCELoss()(z(t, 2) + 2, z(t, 2)),
    "target probability 2": lambda t: t.nn.BCELoss()(z(t, 2) + 0.5, z(t, 2) + 2),
    "logits of another shape": lambda t: t.nn.BCEWithLogitsLoss()(z(t, 2, 1), z(t, 2)),
    "whole numbers, mse": lambda t: t.nn.functional.mse_loss(t.tensor([0, 1]), t.tensor([0, 1])),
    "shapes apart": lambda t: t.nn.functional.l1_loss(z(t, 2), z(t, 3)),
    "negative variance": lambda t: t.nn.GaussianNLLLoss()(z(t, 2), z(t, 2), t.tensor([-1.0, 1.0])),
    "delta 0": lambda t: t.nn.HuberLoss(delta=0.0)(z(t, 2), z(t, 2)),
    "beta -1": lambda t: t.nn.SmoothL1Loss(beta=-1.0)(z(t, 2), z(t, 2)),
    "margin 0": lambda t: t.nn.TripletMarginLoss(margin=0.0),
    "margin 0, own distance": lambda t: t.nn.TripletMarginWithDistanceLoss(margin=0.0),
    # layers
    "features": lambda t: t.nn.Linear(3, 2)(z(t, 4, 4)),
    "features of whole numbers": lambda t: t.nn.Linear(3, 2)(z(t, 4, 3).long()),
    "features of another dtype": lambda t: t.nn.Linear(3, 2)(z(t, 4, 3).double()),
    "an array": lambda t: t.nn.Linear(3, 2)(np.zeros((4, 3))),
    "a list": lambda t: t.nn.Linear(3, 2)([1.0, 2.0, 3.0]),
    "nothing": lambda t: t.nn.Linear(3, 2)(None),
    "3.0 features": lambda t: t.nn.Linear(3.0, 2),
    "-3 features": lambda t: t.nn.Linear(-3, 2),
    "one row": lambda t: t.nn.BatchNorm1d(3)(z(t, 1, 3)),
    "a vector": lambda t: t.nn.BatchNorm1d(3)(z(t, 3)),
    "channels": lambda t: t.nn.BatchNorm1d(3)(z(t, 2, 4)),
    "normalized shape": lambda t: t.nn.LayerNorm(3)(z(t, 2, 4)),
    "normalized shape of rms": lambda t: t.nn.RMSNorm(3)(z(t, 2, 4)),
    "row 3 of 3": lambda t: t.nn.Embedding(3, 2)(t.tensor([3])),
    "row -1": lambda t: t.nn.Embedding(3, 2)(t.tensor([-1])),
    "probability of dropout": lambda t: t.nn.Dropout(1.5),
    "channels of vectors": lambda t: t.nn.FeatureAlphaDropout()(z(t, 3)),
    "flat": lambda t: t.nn.Flatten()(z(t, 3)),
    "axis 3": lambda t: t.nn.Softmax(dim=3)(z(t, 2, 2)),
    "odd halves": lambda t: t.nn.GLU()(z(t, 2, 3)),
    "slopes": lambda t: t.nn.PReLU(3)(z(t, 2, 2)),
    # modules
    "no module": lambda t: t.nn.Sequential(abs),
    "no super().__init__()": lambda t: type(
        "N", (t.nn.Module,), {"__init__": lambda s: setattr(s, "a", t.nn.ReLU())}
    )(),
    "no forward": lambda t: type("N", (t.nn.Module,), {})()(1),
    "whole parameter": lambda t: t.nn.Parameter(t.tensor([1])),
    "tensor for a parameter": lambda t: setattr(t.nn.Linear(1, 1), "weight", z(t, 1, 1)),
    "taken name": lambda t: t.nn.Linear(1, 1).register_buffer("weight", z(t, 1)),
    "dotted name": lambda t: t.nn.Linear(1, 1).register_buffer("a.b", z(t, 1)),
    "a result for a parameter": lambda t: t.nn.Linear(1, 1).register_parameter("q", p(t) * 2),
    "whole module": lambda t: t.nn.Linear(1, 1).to(t.int64),
    "mode": lambda t: t.nn.Linear(1, 1).train("yes"),
    "path": lambda t: t.nn.Sequential(t.nn.ReLU()).get_submodule("0.a"),
    "state is no dict": lambda t: t.nn.Linear(2, 3).load_state_dict([1]),
    "state of another shape": lambda t: loaded(t, weight=z(t, 2, 2)),
    "state with a key too few": lambda t: loaded(t, weight=None),
    "state with a key too many": lambda t: loaded(t, more=z(t, 2)),
    "state of another type": lambda t: loaded(t, weight="text"),
    # nn.init, nn.utils
    "unknown gain": lambda t: t.nn.init.calculate_gain("cube"),
    "vector of xavier": lambda t: t.nn.init.xavier_uniform_(z(t, 3)),
    "vector of orthogonal": lambda t: t.nn.init.orthogonal_(z(t, 3)),
    "bounds turned": lambda t: t.nn.init.uniform_(z(t, 3), 1.0, 0.0),
    "negative spread": lambda t: t.nn.init.normal_(z(t, 3), 0.0, -1.0),
    "text as constant": lambda t: t.nn.init.constant_(z(t, 3), "a"),
    "infinite gradient": infinite_gradient,
    "no parameters": lambda t: t.nn.utils.parameters_to_vector([]),
    "short vector": lambda t: t.nn.utils.vector_to_parameters(z(t, 1), [p(t)]),
    # optimizers
    "no tensors": lambda t: t.optim.SGD([]),
    "one tensor": lambda t: t.optim.SGD(p(t)),
    "module": lambda t: t.optim.SGD(t.nn.Sequential(t.nn.ReLU())),
    "nothing to optimize": lambda t: t.optim.SGD(None),
    "result": lambda t: t.optim.Adam([p(t) * 2]),
    "set": lambda t: t.optim.SGD([{"params": {p(t)}}]),
    "group without parameters": lambda t: t.optim.SGD([{"lr": 0.1}]),
    "two groups": lambda t: t.optim.SGD([{"params": [w]} for w in [p(t)] * 2]),
    "group without names": lambda t: t.optim.SGD([("w", p(t))]).add_param_group({"params": [p(t)]}),
    "group with names": lambda t: optimizer(t).add_param_group({"params": [("w", p(t))]}),
    "lr -1": lambda t: optimizer(t, lr=-1),
    "lr NaN": lambda t: optimizer(t, "Adam", lr=math.nan),
    "lr text": lambda t: optimizer(t, lr="0.1"),
    "lr of two": lambda t: optimizer(t, "Adam", lr=t.tensor([0.1, 0.2])),
    "lr of lbfgs": lambda t: optimizer(t, "LBFGS", lr=-1),
    "momentum -1": lambda t: optimizer(t, momentum=-1),
    "weight_decay -1": lambda t: optimizer(t, "Adam", weight_decay=-1),
    "eps -1": lambda t: optimizer(t, "Adam", eps=-1),
    "alpha -1": lambda t: optimizer(t, "RMSprop", alpha=-1),
    "rho 2": lambda t: optimizer(t, "Adadelta", rho=2),
    "beta 1": lambda t: optimizer(t, "Adam", betas=(1.0, 0.9)),
    "etas": lambda t: optimizer(t, "Rprop", etas=(1.5, 2.0)),
    "nesterov": lambda t: optimizer(t, nesterov=True, momentum=0.9, dampening=0.1),
    "unknown option": lambda t: optimizer(t, rate=0.1),
    "lbfgs of two groups": lambda t: t.optim.LBFGS([{"params": [p(t)]}, {"params": [p(t)]}]),
    "lbfgs without closure": lambda t: optimizer(t, "LBFGS").step(),
    "other groups": lambda t: optimizer(t).load_state_dict({"state": {}, "param_groups": []}),
    # schedules
    "schedule of a tensor": lambda t: t.optim.lr_scheduler.StepLR(z(t, 1), 3),
    "resumed at once": lambda t: t.optim.lr_scheduler.StepLR(optimizer(t), 3, last_epoch=4),
    "plateau without loss": lambda t: t.optim.lr_scheduler.ReduceLROnPlateau(optimizer(t)).step(),
    "plateau of text": lambda t: t.optim.lr_scheduler.ReduceLROnPlateau(optimizer(t)).step("a"),
    # data
    "batch of text": lambda t: t.utils.data.DataLoader([1], batch_size="a"),
    "batch of 2.0": lambda t: t.utils.data.DataLoader([1], batch_size=2.0),
    "sample 5 of 2": lambda t: t.utils.data.TensorDataset(z(t, 2))[5],
    "tensors apart": lambda t: t.utils.data.TensorDataset(z(t, 2), z(t, 3)),
    "parts": lambda t: t.utils.data.random_split([1, 2, 3], [0.5, 0.2]),
    "no weights": lambda t: list(t.utils.data.WeightedRandomSampler([], 1)),
    "stacked lengths": lambda t: t.utils.data.StackDataset([1, 2], [3]),
}
KINDS = (*REFUSALS, KeyError, AttributeError, AssertionError, NotImplementedError)


def refusal(call: Call, lib: Any) -> BaseException | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(lib)
        except KINDS as error:
            return error
    return None


@pytest.mark.parametrize("name", BAD)
def test_refused_as_by_pytorch(name: str) -> None:
    ours, theirs = refusal(BAD[name], tg), refusal(BAD[name], torch)
    assert theirs is not None, "PyTorch does not refuse it"
    assert ours is not None, f"torch raises {theirs!r}"
    assert same_family(ours, theirs) or isinstance(ours, IndexError), f"{ours!r}, torch raises {theirs!r}"
    assert len(str(ours)) > 15, "an error says what was wrong"


OURS_ALONE: dict[str, tuple[Call, str]] = {  # row of docs/semantics.md
    "a parameter twice": (lambda t: t.optim.SGD([p(t)] * 2), "parameters named twice"),
}
THEIRS_ALONE: dict[str, tuple[Call, str]] = {
    "int32 classes": (
        lambda t: t.nn.functional.cross_entropy(z(t, 2, 3), t.tensor([0, 1], dtype=t.int32)),
        "more dtypes",
    ),
    "no samples, shuffled": (
        lambda t: list(t.utils.data.DataLoader(t.utils.data.TensorDataset(z(t, 0, 3)), 2, shuffle=True)),
        "no samples",
    ),
    "dtype by name": (lambda t: t.nn.Linear(3, 2, dtype="float64"), "more dtypes"),
}


@pytest.mark.parametrize("name", [*OURS_ALONE, *THEIRS_ALONE])
def test_refused_by_one(name: str) -> None:
    call, _ = {**OURS_ALONE, **THEIRS_ALONE}[name]
    assert (refusal(call, tg) is not None) == (name in OURS_ALONE)
    assert (refusal(call, torch) is not None) == (name in THEIRS_ALONE)


# ---------------------------------------------------------------- nothing has changed


@pytest.mark.parametrize("strict", [True, False])
def test_all_that_is_wrong_with_a_state_is_named_at_once_and_nothing_is_loaded(strict: bool) -> None:
    net = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.BatchNorm1d(3), tg.nn.Linear(3, 1))
    before = {k: v.tolist() for k, v in net.state_dict().items()}
    bad = {k: v + 1 for k, v in net.state_dict().items()}
    bad["0.weight"], bad["2.bias"], bad["2.weight"], bad["more"] = tg.zeros(3, 5), tg.zeros(2), "text", tg.zeros(1)
    del bad["1.running_mean"]
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(bad, strict=strict)
    for words in (
        "size mismatch for 0.weight: copying a param with shape (3, 5) from checkpoint, the shape in current model is (3, 2)",
        "size mismatch for 2.bias",
        '"2.weight", expected a tensor or an array from checkpoint but received str',
    ):
        assert words in str(error.value)
    for words in ('Missing key(s) in state_dict: "1.running_mean"', 'Unexpected key(s) in state_dict: "more"'):
        assert (words in str(error.value)) == strict
    assert {k: v.tolist() for k, v in net.state_dict().items()} == before


def test_a_refused_batch_leaves_the_statistics_as_they_were() -> None:
    norm = tg.nn.BatchNorm1d(3)
    norm(tg.randn(5, 3))
    before = {k: v.tolist() for k, v in norm.state_dict().items()}
    for bad in (tg.zeros(1, 3), tg.zeros(4, 2), tg.zeros(3), tg.zeros(4, 3).double(), tg.zeros(4, 3).long()):
        with pytest.raises((ValueError, RuntimeError, TypeError)):
            norm(bad)
    assert {k: v.tolist() for k, v in norm.state_dict().items()} == before


def train(lib: Any, target: float) -> list[Any]:
    """Three steps of a small net, the second with a NaN in the target."""
    x = lib.tensor([[0.5], [-1.0]], dtype=lib.float64)
    layer = lib.nn.Linear(1, 1).double()
    with lib.no_grad():
        layer.weight.fill_(0.5)
        layer.bias.fill_(0.0)
    optimizer = lib.optim.Adam(layer.parameters(), lr=0.1)
    losses = []
    for step in range(3):
        optimizer.zero_grad()
        loss = ((layer(x) - (target if step == 1 else 1.0)) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [losses, layer.weight.item(), *(v["exp_avg"].item() for v in [optimizer.state_dict()["state"][1]])]


def test_a_loss_of_nan_does_what_it_does_in_pytorch() -> None:
    np.testing.assert_allclose(train(tg, 2.0)[0], train(torch, 2.0)[0], rtol=1e-12)
    for mine, other in zip(train(tg, math.nan), train(torch, math.nan), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)
    plateau = tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer(tg, lr=1.0), patience=0)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer(torch, lr=1.0), patience=0)
    for loss in (1.0, math.nan, math.nan, 0.5):
        plateau.step(loss)
        other.step(loss)
        assert plateau.get_last_lr() == other.get_last_lr()


def test_a_search_that_meets_nan_ends_where_it_began() -> None:
    w = tg.tensor([1.0]).requires_grad_()
    optimizer = tg.optim.GradientDescent([w], lr=0.5)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * math.nan).sum()
        loss.backward()
        return loss

    assert math.isnan(optimizer.step(closure).item())
    assert optimizer.stopped
    assert w.item() == 1.0
