"""Optimizers against PyTorch: ten steps of every option, states both ways, groups, hooks, errors, bits."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from optimizer_cases import CASES, gradient, start
from trigrad import _core, ops, optim
from values import FLOATS, Array, real


@pytest.fixture(autouse=True)
def torch_default_dtype() -> Iterator[None]:
    yield
    try:
        import torch
    except ImportError:
        return
    torch.set_default_dtype(torch.float32)


def parameters(dtype: str) -> list[Any]:
    return [tg.tensor(a).requires_grad_() for a in start(dtype)]


def walk(
    optimizer: Any, params: list[Any], dtype: str, steps: range = range(10), library: Any = tg
) -> list[list[Array]]:
    """The parameters after each step."""
    path = []
    for step in steps:
        for p, g in zip(params, gradient(dtype, step), strict=True):
            p.grad = library.tensor(g)
        optimizer.step()
        path.append([p.detach().numpy().copy() for p in params])
    return path


def torch_twin(name: str, options: dict[str, Any], dtype: str) -> tuple[Any, list[Any], Any]:
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(getattr(torch, dtype))  # of the counts and products that it keeps
    params = [torch.nn.Parameter(torch.tensor(a)) for a in start(dtype)]
    return getattr(torch.optim, name)(params, **options, foreach=False), params, torch


def assert_paths(got: list[list[Array]], want: list[list[Array]], dtype: str) -> None:
    relative = 1e-10 if dtype == "float64" else 2e-5
    for step, (g, w) in enumerate(zip(got, want, strict=True)):
        for k, (x, y) in enumerate(zip(g, w, strict=True)):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, rtol=relative, atol=relative / 10, err_msg=f"step {step} parameter {k}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_ten_steps_are_pytorchs(case: str, dtype: str) -> None:
    name, options = CASES[case]
    params = parameters(dtype)
    got = walk(getattr(optim, name)(params, **options), params, dtype)
    twin, theirs, torch = torch_twin(name, options, dtype)
    assert_paths(got, walk(twin, theirs, dtype, library=torch), dtype)


def arrays(state: Any) -> Any:
    """A state dict with numpy arrays for tensors."""
    if isinstance(state, dict):
        return {k: arrays(v) for k, v in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(arrays(v) for v in state)
    return state.detach().numpy().copy() if hasattr(state, "detach") else state


def tensors(state: Any, torch: Any) -> Any:
    if isinstance(state, dict):
        return {k: tensors(v, torch) for k, v in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(tensors(v, torch) for v in state)
    return torch.tensor(state) if isinstance(state, np.ndarray) else state


@pytest.mark.parametrize("case", CASES)
def test_state_goes_to_pytorch_and_back(case: str) -> None:
    name, options = CASES[case]
    dtype = "float64"
    params = parameters(dtype)
    ours = getattr(optim, name)(params, **options)
    theirs, their_params, torch = torch_twin(name, options, dtype)
    walk(ours, params, dtype, range(5))
    walk(theirs, their_params, dtype, range(5), torch)
    got, want = arrays(ours.state_dict()), arrays(theirs.state_dict())
    assert [{**g, "foreach": False} for g in got["param_groups"]] == want["param_groups"]
    assert list(got["param_groups"][0]) == list(want["param_groups"][0])
    assert got["state"].keys() == want["state"].keys()
    for k in want["state"]:
        assert list(got["state"][k]) == list(want["state"][k])
        for n, value in want["state"][k].items():
            np.testing.assert_allclose(got["state"][k][n], value, rtol=1e-10, atol=1e-12, err_msg=f"{k} {n}")

    later = range(5, 9)
    other = getattr(optim, name)(params, **{**options, "lr": 7.0})
    other.load_state_dict(want)  # from PyTorch
    back = getattr(torch.optim, name)(their_params, **options, foreach=False)
    back.load_state_dict(tensors(got, torch))
    assert_paths(walk(other, params, dtype, later), walk(back, their_params, dtype, later, torch), dtype)
    assert other.param_groups[0]["lr"] == ours.param_groups[0]["lr"]


@pytest.mark.parametrize("case", CASES)
def test_loaded_and_copied_optimizers_go_on_with_the_same_bits(case: str) -> None:
    name, options = CASES[case]
    make = getattr(optim, name)
    params = parameters("float32")
    first = make(params, **options)
    walk(first, params, "float32", range(3))
    kept = copy.deepcopy(first.state_dict())
    values = [p.detach().clone() for p in params]
    want = walk(first, params, "float32", range(3, 6))

    def again(optimizer: Any, others: list[Any]) -> None:
        for got, expected in zip(walk(optimizer, others, "float32", range(3, 6)), want, strict=True):
            for g, w in zip(got, expected, strict=True):
                assert g.tobytes() == w.tobytes()

    others = [v.clone().requires_grad_() for v in values]
    second = make(others, **options)
    second.load_state_dict(kept)
    again(second, others)
    third = make([v.clone().requires_grad_() for v in values], **options)
    third.load_state_dict(pickle.loads(pickle.dumps(kept)))
    again(third, third.param_groups[0]["params"])
    assert repr(first) == repr(second)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_two_groups_have_their_own_options(name: str) -> None:
    torch = pytest.importorskip("torch")
    params, theirs = parameters("float64"), [torch.nn.Parameter(torch.tensor(a)) for a in start("float64")]

    def groups(p: list[Any]) -> list[dict[str, Any]]:
        return [{"params": p[:2], "lr": 0.3}, {"params": p[2], "weight_decay": 0.5}]

    ours = getattr(optim, name)(groups(params), lr=0.01)
    twin = getattr(torch.optim, name)(groups(theirs), lr=0.01)
    ours.add_param_group({"params": [params[3]], "lr": 1.0})
    twin.add_param_group({"params": [theirs[3]], "lr": 1.0})
    assert repr(ours) == repr(twin)
    assert_paths(walk(ours, params, "float64"), walk(twin, theirs, "float64", library=torch), "float64")


def test_parameters_without_gradient_stay_and_keep_their_own_count() -> None:
    a, b = (tg.ones(3).requires_grad_() for _ in range(2))
    optimizer = optim.Adam([a, b], lr=0.1)
    a.grad = tg.ones(3)
    optimizer.step()
    assert b.tolist() == [1, 1, 1]
    assert b not in optimizer.state
    b.grad = tg.ones(3)
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (a, b)] == [2, 1]


def test_a_late_gradient_is_not_dampened_the_first_time() -> None:
    torch = pytest.importorskip("torch")
    options = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}
    ours = [tg.ones(3).requires_grad_() for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    optimizer, twin = optim.SGD(ours, **options), torch.optim.SGD(theirs, **options)
    for step in range(4):
        for k in range(2 if step > 1 else 1):
            ours[k].grad, theirs[k].grad = tg.full((3,), 1.0 + step), torch.full((3,), 1.0 + step)
        optimizer.step()
        twin.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)


def test_closure_runs_with_the_tape_on_and_its_loss_is_returned() -> None:
    w = tg.tensor([2.0]).requires_grad_()
    optimizer = optim.SGD([w], lr=0.25)
    seen = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        seen.append(loss.requires_grad)
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 4
    assert seen == [True]
    assert w.tolist() == [1]
    assert w.requires_grad
    assert w.is_leaf


def test_a_written_step_of_ones_own() -> None:
    class Signs(optim.Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            with tg.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p -= group["lr"] * p.grad.sign()

    w = tg.tensor([1.0, -1.0]).requires_grad_()
    optimizer = Signs([w], lr=0.5)
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    w.grad = tg.tensor([3.0, -3.0])
    optimizer.step()
    assert w.tolist() == [0.5, -0.5]
    assert calls == ["after"]


def test_hooks() -> None:
    w = tg.ones(1).requires_grad_()
    w.grad = tg.ones(1)
    optimizer = optim.SGD([w], lr=1.0)
    calls: list[str] = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("after")),
        optim.optimizer.register_optimizer_step_pre_hook(lambda o, args, kwargs: calls.append("before all")),
        optim.optimizer.register_optimizer_step_post_hook(lambda o, args, kwargs: calls.append("after all")),
    ]
    optimizer.step()
    assert calls == ["before all", "before", "after", "after all"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 4
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: {k: v for k, v in state.items() if k != "more"})
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="pre-hook returned 3"):
        optimizer.step()


def test_zero_grad() -> None:
    w = tg.ones(2).requires_grad_()
    optimizer = optim.SGD([w])
    w.grad = tg.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert w.grad is None
    optimizer.step()  # nothing to do
    assert w.tolist() == [1, 1]


def test_learning_rate_may_be_a_tensor_and_may_change() -> None:
    w = tg.zeros(1).requires_grad_()
    w.grad = tg.ones(1)
    optimizer = optim.SGD([w], lr=tg.tensor(0.5))
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert w.item() == -0.75


W = tg.ones(2).requires_grad_()
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "empty": (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    "module": (lambda: optim.SGD([tg.nn.Linear(2, 1)]), TypeError, "is Linear; a module's are model.parameters()"),
    "tensor": (lambda: optim.SGD(W), TypeError, "should be an iterable of Tensors or dicts"),
    "number": (lambda: optim.SGD([1]), TypeError, "can only optimize Tensors, but one of the params is int"),
    "non-leaf": (lambda: optim.SGD([W * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    "twice": (lambda: optim.SGD([W, W]), ValueError, "more than once in a parameter group"),
    "groups": (
        lambda: optim.SGD([{"params": [W]}, {"params": W}]),
        ValueError,
        "appear in more than one parameter group",
    ),
    "set": (lambda: optim.SGD([{"params": {W}}]), TypeError, "ordered collections"),
    "names": (
        lambda: optim.SGD([("a", W), tg.ones(1)]),
        ValueError,
        "all optimizer params should be with/without names",
    ),
    "lr": (lambda: optim.SGD([W], lr=-1), ValueError, r"\[SGD\] lr is -1, expected 0 or more"),
    "lr_nan": (lambda: optim.Adam([W], lr=math.nan), ValueError, r"\[Adam\] lr is nan"),
    "lr_shape": (lambda: optim.Adam([W], lr=tg.ones(2)), ValueError, "expected one element"),
    "lr_text": (lambda: optim.SGD([W], lr="0.1"), TypeError, r"\[SGD\] lr is '0.1', expected a number"),
    "betas": (lambda: optim.AdamW([W], betas=(0.9, 1.0)), ValueError, r"\[AdamW\] betas\[1\] is 1.0"),
    "one beta": (lambda: optim.Adam([W], betas=(0.9,)), ValueError, r"\[Adam\] betas is \(0.9,\), expected two"),
    "a beta": (lambda: optim.NAdam([W], betas=0.9), ValueError, r"\[NAdam\] betas is 0.9, expected two"),
    "no params": (lambda: optim.SGD([{"lr": 0.1}]), KeyError, "a parameter group has no 'params'"),
    "nesterov": (lambda: optim.SGD([W], nesterov=True), ValueError, "Nesterov momentum requires"),
    "etas": (lambda: optim.Rprop([W], etas=(1.5, 2.0)), ValueError, "etas are 1.5 and 2.0"),
    "rho": (lambda: optim.Adadelta([W], rho=2), ValueError, "rho is 2"),
    "ways": (lambda: optim.Adam([W], fused=True, foreach=True), RuntimeError, "cannot be `True` together"),
    "differentiable": (lambda: optim.Adam([W], differentiable=True), NotImplementedError, "differentiable=True"),
    "no dict": (lambda: optim.SGD([W]).add_param_group([1]), TypeError, "param_group must be a dict"),
    "no step": (lambda: optim.Optimizer([W], {}).step(), NotImplementedError, "does not define step"),
    "l1": (lambda: optim.ProximalSGD([W], l1=-1), ValueError, "l1 is -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, kind, message = REFUSED[case]
    W.grad = tg.ones(2) if case == "no step" else None
    with pytest.raises(kind, match=message):
        make()


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    a, b = tg.ones(2).requires_grad_(), tg.ones(3).requires_grad_()
    optimizer = optim.Adam([a, b], lr=0.5)
    state = optimizer.state_dict()
    for bad, message in (
        ({**state, "param_groups": []}, "different number of parameter groups: 0, expected 1"),
        ({**state, "param_groups": [{**state["param_groups"][0], "params": [0]}]}, "doesn't match the size"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(bad)
    a.grad, b.grad = tg.ones(2), tg.ones(3)
    optimizer.step()
    before, values = copy.deepcopy(optimizer.state_dict()), [a.tolist(), b.tolist()]
    bad = copy.deepcopy(before)
    bad["state"][0]["exp_avg"], bad["state"][1]["exp_avg_sq"] = tg.zeros(5), "text"
    bad["state"][1]["step"] = tg.zeros(2)
    short = {**before, "param_groups": [{k: v for k, v in before["param_groups"][0].items() if k not in ("lr", "eps")}]}
    for wrong, words in (
        (bad, r"exp_avg of parameter 0 has shape \(5,\), expected \(2,\)\n.*step of parameter 1 has shape \(2,\), expected "
         r"\(\)\n.*exp_avg_sq of parameter 1 is a str, expected a tensor"),
        (short, "group 0 has no lr, eps"),
        (optim.SGD([a, b], momentum=0.9).state_dict(), "group 0 has no betas, eps"),
        ({"state": {}}, r"got \['state'\], expected a dict with 'state' and 'param_groups'"),
        (None, "got NoneType, expected a dict"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            optimizer.load_state_dict(wrong)
        assert repr(optimizer.state_dict()) == repr(before)
    assert [a.tolist(), b.tolist()] == values
    a.data, b.data = tg.ones(2), tg.ones(3)
    optimizer.state[b] = {"step": tg.tensor(1.0), "exp_avg": tg.zeros(2), "exp_avg_sq": tg.zeros(3)}
    with pytest.raises(RuntimeError, match=r"a state of parameter 1 is float32 of shape \(2,\), expected .* \(3,\)"):
        optimizer.step()
    assert a.tolist() == [1, 1]


def test_a_state_of_ones_own_is_loaded_as_it_is() -> None:
    class Counting(optim.Optimizer):
        def __init__(self, params: Any, lr: float, rounds: int = 3) -> None:
            super().__init__(params, {"lr": lr, "rounds": rounds})

        def __setstate__(self, state: dict[str, Any]) -> None:
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("rounds", 7)

    w = tg.ones(2).requires_grad_()
    optimizer = Counting([w], lr=0.5)
    optimizer.state[w] = {"step": 4, "exp_avg": [1, 2], "name": "w"}
    state = copy.deepcopy(optimizer.state_dict())
    del state["param_groups"][0]["rounds"]
    again = Counting([w], lr=0.1)
    again.load_state_dict(state)
    assert again.state[w] == {"step": 4, "exp_avg": [1, 2], "name": "w"}
    assert type(again.state[w]["step"]) is int
    assert again.param_groups[0]["rounds"] == 7
    assert again.param_groups[0]["lr"] == 0.5


def test_older_states_lack_flags_and_have_plain_counts() -> None:
    w = tg.ones(2).requires_grad_()
    w.grad = tg.ones(2)
    first = optim.Adam([w], lr=0.5)
    first.step()
    state = copy.deepcopy(first.state_dict())
    state["state"][0]["step"] = 1
    for flag in ("amsgrad", "maximize", "foreach", "capturable", "fused", "decoupled_weight_decay"):
        del state["param_groups"][0][flag]
    twin = w.detach().clone().requires_grad_()
    twin.grad = tg.ones(2)
    second = optim.Adam([twin])
    second.load_state_dict(state)
    for optimizer in (first, second):
        optimizer.step()
    assert w.tolist() == twin.tolist()
    assert second.state[twin]["step"].item() == 2


INTERRUPTED: dict[str, tuple[Any, int]] = {  # and in which call of the closure
    "sgd": (lambda p: optim.SGD(p, lr=0.01, momentum=0.5), 1),
    "adam": (lambda p: optim.Adam(p, lr=0.1), 1),
    "lbfgs": (lambda p: optim.LBFGS(p), 1),
    "lbfgs_later": (lambda p: optim.LBFGS(p), 2),
    "strong_wolfe": (lambda p: optim.LBFGS(p, line_search_fn="strong_wolfe"), 2),
    "descent": (lambda p: optim.GradientDescent(p, lr=100.0), 3),
}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("case", INTERRUPTED)
def test_an_interrupted_closure_leaves_the_parameters_where_they_were(case: str, error: Any) -> None:
    make, call = INTERRUPTED[case]
    w = tg.tensor([3.0, -1.0], dtype=tg.float64).requires_grad_()
    optimizer, calls = make([w]), 0

    def closure() -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        optimizer.zero_grad()
        loss = (w**4).sum()
        loss.backward()
        return loss

    with pytest.raises(error):
        optimizer.step(closure)
    assert calls == call
    assert w.tolist() == [3.0, -1.0]
    assert tg.is_grad_enabled()
    losses = [optimizer.step(closure).item() for _ in range(3)]
    assert losses[-1] < losses[0] == 82.0


def test_rows_refuse_what_would_overwrite_itself() -> None:
    x, g = tg.ones(4), tg.ones(4)
    with pytest.raises(RuntimeError, match="two members of the list share memory"):
        ops.sgd_([x, x[1:], g, g[1:]], 0.1)
    with pytest.raises(RuntimeError, match="two members of the list share memory"):
        ops.sgd_([x, x], 0.1)
    with pytest.raises(RuntimeError, match="expanded view"):
        ops.sgd_([tg.ones(1).expand(4), g], 0.1)
    with pytest.raises(RuntimeError, match="got 3 tensors, expected a multiple of 2"):
        ops.sgd_([x, g, g], 0.1)
    with pytest.raises(TypeError, match="int64, expected float32 or float64"):
        ops.sgd_([tg.ones(4, dtype=tg.int64), g], 0.1)
    with pytest.raises(RuntimeError, match="a leaf tensor that requires a gradient cannot be overwritten"):
        ops.sgd_([x.clone().requires_grad_(), g], 0.1)
    assert x.tolist() == [1, 1, 1, 1]
    ops.sgd_([], 0.1)
    ops.sgd_([x, tg.zeros(4).requires_grad_()], 0.1)  # a gradient on the tape is only read


def test_a_saved_tensor_that_a_step_changed_is_noticed() -> None:
    w = tg.ones(2).requires_grad_()
    loss = (w * w).sum()
    w.grad = tg.ones(2)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_threads_isa_layout_or_company(case: str) -> None:
    name, options = CASES[case]
    n = 70_003  # several threads share it
    before_isa, before_threads = _core.build_info()["isa"], tg.get_num_threads()

    def bits(threads: int, isa: str, parts: bool = False, strided: bool = False) -> list[bytes]:
        tg.set_num_threads(threads)
        _core.set_isa(isa)
        values = real(n, "optim.bits", "float32")
        cuts = [0, 1, 777, n] if parts else [0, n]
        params = []
        for a, b in itertools.pairwise(cuts):
            p = tg.from_numpy(np.repeat(values[a:b], 2))[::2] if strided else tg.tensor(values[a:b])
            params.append(p.requires_grad_())
        optimizer = getattr(optim, name)(params, **options)
        for step in range(3):
            g = real(n, f"optim.bits.{step}", "float32")
            for p, a, b in zip(params, cuts[:-1], cuts[1:], strict=True):
                p.grad = tg.tensor(g[a:b])
            optimizer.step()
        joined = [np.concatenate([p.detach().numpy() for p in params])]
        for key in optimizer.state[params[0]]:
            joined.append(np.concatenate([np.atleast_1d(optimizer.state[p][key].numpy()) for p in params]))
        if parts:  # single numbers are kept once per parameter
            joined = [j if j.size == n else j[:1] for j in joined]
        return [j.tobytes() for j in joined]

    try:
        want = bits(1, before_isa)
        assert bits(3, before_isa) == want
        assert bits(2, before_isa, parts=True) == want
        assert bits(2, before_isa, strided=True) == want
        for isa in _core.available_isas():
            assert bits(2, isa) == want, isa
    finally:
        tg.set_num_threads(before_threads)
        _core.set_isa(before_isa)


@pytest.mark.parametrize(
    "given", [tg.nn.Linear(1, 1), tg.nn.Linear(1, 1).parameters, 3], ids=["model", "method", "number"]
)
def test_what_holds_no_parameters_is_named(given: Any) -> None:
    with pytest.raises(TypeError, match=f"is a {type(given).__name__}, expected .* model.parameters"):
        optim.SGD(given, lr=0.1)
