"""Every optimizer with options drawn at random beside PyTorch's: ten steps of groups with options of their own, of parameters
of any shape that get no gradient now and then; the state at the end; closures; LBFGS.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg
from parity_compare import array_of
from torch_cases import Array, Case, Draw
from torch_compare import assert_same_floats, examples

torch = pytest.importorskip("torch", reason="compares with torch")

#: option -> values besides the default
OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "SGD": {
        "lr": (0.1, 0.5),
        "momentum": (0.9, 0.5),
        "dampening": (0.3,),
        "weight_decay": (0.1,),
        "nesterov": (True,),
        "maximize": (True,),
    },
    "Adagrad": {
        "lr": (0.1, 0.5),
        "lr_decay": (0.1,),
        "weight_decay": (0.1,),
        "initial_accumulator_value": (0.5,),
        "eps": (1e-3,),
        "maximize": (True,),
    },
    "Adadelta": {"lr": (0.5,), "rho": (0.8, 0.0), "eps": (1e-3,), "weight_decay": (0.1,), "maximize": (True,)},
    "RMSprop": {
        "lr": (0.05,),
        "alpha": (0.9, 0.5),
        "eps": (1e-3,),
        "weight_decay": (0.1,),
        "momentum": (0.8,),
        "centered": (True,),
        "maximize": (True,),
    },
    "Adam": {
        "lr": (0.05,),
        "betas": ((0.7, 0.9), (0.0, 0.99)),
        "eps": (1e-3,),
        "weight_decay": (0.1,),
        "amsgrad": (True,),
        "maximize": (True,),
        "decoupled_weight_decay": (True,),
    },
    "AdamW": {
        "lr": (0.05,),
        "betas": ((0.7, 0.9),),
        "eps": (1e-3,),
        "weight_decay": (0.3, 0),
        "amsgrad": (True,),
        "maximize": (True,),
    },
    "Adamax": {"lr": (0.05,), "betas": ((0.5, 0.6),), "eps": (0.1,), "weight_decay": (0.1,), "maximize": (True,)},
    "NAdam": {
        "lr": (0.05,),
        "betas": ((0.5, 0.9),),
        "eps": (1e-3,),
        "weight_decay": (0.1,),
        "momentum_decay": (0.1,),
        "decoupled_weight_decay": (True,),
        "maximize": (True,),
    },
    "RAdam": {
        "lr": (0.05,),
        "betas": ((0.5, 0.9), (0.9, 0.6)),
        "eps": (1e-3,),
        "weight_decay": (0.1,),
        "decoupled_weight_decay": (True,),
        "maximize": (True,),
    },
    "ASGD": {
        "lr": (0.1,),
        "lambd": (0.1,),
        "alpha": (0.5,),
        "t0": (4.0, 0.0),
        "weight_decay": (0.1,),
        "maximize": (True,),
    },
    "Rprop": {"lr": (0.1,), "etas": ((0.3, 1.5),), "step_sizes": ((0.01, 0.2),), "maximize": (True,)},
    "LBFGS": {
        "lr": (0.5,),
        "max_iter": (3, 7),
        "max_eval": (4, 9),
        "tolerance_grad": (0.05,),
        "tolerance_change": (0.01,),
        "history_size": (1, 3),
        "line_search_fn": ("strong_wolfe",),
    },
}
WAYS = {"params", "foreach", "fused", "capturable", "differentiable"}  # how PyTorch runs a step, not what it does
STEPS = 10


@pytest.fixture(autouse=True)
def default_dtype() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_drawn(name: str) -> None:
    signature = inspect.signature(getattr(torch.optim, name)).parameters
    assert set(OPTIONS[name]) == set(signature) - WAYS
    for option, values in OPTIONS[name].items():
        assert all(value != signature[option].default for value in values)


def drawn_options(d: Draw, name: str, lr: bool = True) -> dict[str, Any]:
    options = d.keywords(**{k: v for k, v in OPTIONS[name].items() if lr or k != "lr"})
    if options.get("nesterov"):
        options["dampening"] = 0
        options.setdefault("momentum", 0.9)
    return options


class Walk:
    """The same walk for either library: parameters from arrays, in one or two groups, and a gradient or none per step."""

    def __init__(self, d: Draw, name: str) -> None:
        self.name = name
        self.shapes = [d.shape(0, 3)[:3] for _ in range(d.integer(1, 4))]
        self.shapes = [s if int(np.prod(s)) <= 200 else (17,) for s in self.shapes]
        self.seed = d.integer(0, 1 << 16)
        self.options = drawn_options(d, name)
        self.second = drawn_options(d, name) if len(self.shapes) > 1 and d.flag() else None
        if self.second is not None:
            self.second.pop("initial_accumulator_value", None)  # row "options of groups"
        self.late = [
            d.integer(0, 3) if d.integer(0, 2) == 0 else 0 for _ in self.shapes
        ]  # the first step with a gradient
        self.tensor_rate = d.integer(0, 4) == 0

    def run(self, lib: Any, dtype: str) -> dict[str, Array]:
        torch.set_default_dtype(getattr(torch, dtype))  # of the counts and products that its optimizers keep
        rng = np.random.default_rng(self.seed)
        params = [lib.tensor(np.asarray(rng.standard_normal(s), dtype)) for s in self.shapes]
        for p in params:
            p.requires_grad_()
        groups: list[Any] = params
        if self.second is not None:
            groups = [{"params": params[:1]}, {"params": params[1:], **self.second}]
        options = dict(self.options)
        if self.tensor_rate and "lr" in options:
            options["lr"] = lib.tensor(options["lr"], dtype=lib.float64)
        ways = {"foreach": False} if lib is torch else {}
        optimizer = getattr(lib.optim, self.name)(groups, **options, **ways)
        found = {}
        for step in range(STEPS):
            for k, p in enumerate(params):
                g = np.asarray(rng.standard_normal(self.shapes[k]) * rng.choice([0.1, 1.0]), dtype)
                g[rng.random(g.shape) < 0.2] = 0
                p.grad = lib.tensor(g) if step >= self.late[k] and (step + k) % 7 != 3 else None
            optimizer.step()
            for k, p in enumerate(params):
                found[f"parameter {k} after step {step}"] = array_of(p)
        state = optimizer.state_dict()
        for k, values in state["state"].items():
            for key, value in values.items():
                found[f"{key} of parameter {k}"] = array_of(value)
        found["options"] = np.array([repr(sorted(g)) for g in state["param_groups"]])
        return found


@pytest.mark.parametrize("name", [n for n in OPTIONS if n != "LBFGS"])
def test_ten_steps(name: str) -> None:
    @examples(15)
    @given(st.data())
    def agree(data: Any) -> None:
        walk = Walk(Draw(data.draw), name)
        text = f"{name}({walk.options}, {walk.second})"
        truth = walk.run(torch, "float64")
        for dtype in ("float64", "float32"):
            got, want = walk.run(tg, dtype), truth if dtype == "float64" else walk.run(torch, dtype)
            assert list(got) == list(want), text
            for key, peer in want.items():
                case = Case(text, lambda d: (), label=key)
                if peer.dtype.kind != "f":
                    assert np.array_equal(got[key], peer), f"{case}: {got[key]!r}, torch has {peer!r}"
                    continue
                assert got[key].shape == peer.shape, case
                mine = got[key].astype(peer.dtype)  # counts of steps have the default dtype in PyTorch
                assert_same_floats(case, mine, peer, None if dtype == "float64" else truth[key], 1.0)

    agree()


def test_a_group_of_adagrad_starts_with_its_own_sum() -> None:
    a, b = (tg.zeros(1).requires_grad_() for _ in range(2))
    optimizer = tg.optim.Adagrad([{"params": [a]}, {"params": [b], "initial_accumulator_value": 3.0}], lr=1.0)
    a.grad, b.grad = tg.ones(1), tg.ones(1)
    optimizer.step()
    assert [a.item(), b.item()] == [-1.0, -0.5]


def network(lib: Any, dtype: str) -> tuple[Any, Any, Any]:
    """The same small network with the same numbers in both, and its data."""
    net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2)).to(getattr(lib, dtype))
    rng = np.random.default_rng(4)
    with lib.no_grad():
        for p in net.parameters():
            p.copy_(lib.tensor(rng.standard_normal(tuple(p.shape))))
    return net, lib.tensor(rng.standard_normal((9, 3)).astype(dtype)), lib.tensor(rng.integers(0, 2, 9))


def train(lib: Any, name: str, options: dict[str, Any]) -> dict[str, Array]:
    """Ten steps with a closure: the losses, the weights at the end and what the optimizer counts."""
    torch.set_default_dtype(torch.float64)
    net, x, y = network(lib, "float64")
    optimizer = getattr(lib.optim, name)(net.parameters(), **options)
    loss_function, calls = lib.nn.CrossEntropyLoss(), []

    def closure() -> Any:
        calls[-1] += 1
        optimizer.zero_grad()
        loss = loss_function(net(x), y) + 0.05 * sum((p * p).sum() for p in net.parameters())
        loss.backward()
        return loss

    losses = []
    for _ in range(STEPS):
        calls.append(0)
        losses.append(optimizer.step(closure).item())
    found = {"losses": np.array(losses), "calls": np.array(calls)}
    return found | {n: array_of(p) for n, p in net.state_dict().items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_ten_steps_with_a_closure(name: str) -> None:
    @examples(6 if name == "LBFGS" else 2, 100)
    @given(st.data())
    def agree(data: Any) -> None:
        options = drawn_options(Draw(data.draw), name)
        got, want = train(tg, name, options), train(torch, name, options)
        going = 1 + int(np.sum(np.abs(np.diff(want["losses"])) > 1e-4))  # at the minimum rounding says when it ends
        assert list(got.pop("calls")[:going]) == list(want.pop("calls")[:going]), options
        for key in want:
            # LBFGS decides by differences of nearly equal numbers: what rounding does grows from step to step
            tolerance = 1e-9 if name != "LBFGS" else 1e-5 if key == "losses" else 1e-3
            np.testing.assert_allclose(got[key], want[key], rtol=tolerance, atol=tolerance, err_msg=f"{options} {key}")

    agree()
