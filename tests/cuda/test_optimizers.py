"""Steps on a GPU have the bits of the CPU's: every optimizer, every option, lists longer than a launch takes, gradients of any layout."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from optimizer_cases import CASES, gradient, start
from values import FLOATS, Array, real

pytestmark = pytest.mark.usefixtures("gpu")
DEVICES = ("cpu", "cuda")


def parameters(arrays: list[Array], device: str) -> list[Any]:
    return [tg.tensor(a).to(device).requires_grad_() for a in arrays]


def walk(optimizer: Any, gradients: Callable[[int], list[Array]], steps: range = range(10)) -> list[Array]:
    """The parameters after each step, and the state after the last."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    path = []
    for step in steps:
        for p, g in zip(params, gradients(step), strict=True):
            p.grad = tg.tensor(g).to(p.device)
        optimizer.step()
        path += [p.detach().cpu().numpy().copy() for p in params]
    for p in params:
        for name, value in optimizer.state[p].items():
            assert value.device == p.device, name
            path.append(value.detach().cpu().numpy().copy())
    return path


def assert_same(got: list[Array], want: list[Array]) -> None:
    assert len(got) == len(want)
    for k, (g, w) in enumerate(zip(got, want, strict=True)):
        assert g.dtype == w.dtype
        assert g.shape == w.shape
        assert g.tobytes() == w.tobytes(), k


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_ten_steps(case: str, dtype: str) -> None:
    name, options = CASES[case]
    cpu, gpu = (
        walk(getattr(tg.optim, name)(parameters(start(dtype), d), **options), lambda s: gradient(dtype, s))
        for d in DEVICES
    )
    assert_same(gpu, cpu)


SIZES = (0, 1, 3, 4, 31, 32, 33, 1023, 1025, 2048, 2049, 6000)


def test_long_lists_of_mixed_dtypes() -> None:
    """More parameters than a launch takes, of both dtypes, some elements each or several chunks."""
    names = ["float32" if k % 3 else "float64" for k in range(110)]
    arrays = [real((SIZES[k % len(SIZES)],), f"list.{k}", t) for k, t in enumerate(names)]

    def gradients(step: int) -> list[Array]:
        return [real(a.shape, f"list.{k}.{step}", names[k]) for k, a in enumerate(arrays)]

    cpu, gpu = (
        walk(tg.optim.Adam(parameters(arrays, d), lr=0.01, weight_decay=0.1), gradients, range(2)) for d in DEVICES
    )
    assert_same(gpu, cpu)


def test_views_and_broadcast_gradients() -> None:
    """Parameters that are transposed or start between two vectors, gradients of one number: worked on in copies."""

    def made(device: str) -> list[Array]:
        base = tg.tensor(real((37, 12), "views", "float32")).to(device)
        params = [base[1:20, 3].detach(), base[20:].T.detach(), base.flatten()[1:8].detach()]
        for p in params:
            p.requires_grad_()
        optimizer = tg.optim.SGD([params[0], params[1]], lr=0.1, momentum=0.9)
        for _ in range(3):
            params[0].grad = tg.tensor(0.5).to(device).expand(19)
            params[1].grad = base[:17].T.detach().clone()
            optimizer.step()
        tail = tg.optim.AdamW([params[2]], lr=0.1)
        params[2].grad = base.flatten()[100:107].detach().clone()
        tail.step()
        return [base.cpu().numpy()]

    assert_same(made("cuda"), made("cpu"))


def test_numbers_change_between_steps() -> None:
    def made(device: str) -> list[Array]:
        optimizer = tg.optim.Adam(parameters(start("float32"), device), lr=0.1)
        scheduler = tg.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        path = []
        for step in range(3):
            path += walk(optimizer, lambda s: gradient("float32", s), range(step, step + 1))
            scheduler.step()
        return path

    assert_same(made("cuda"), made("cpu"))


@pytest.mark.parametrize("name", ["Adam", "ASGD", "NAdam"])
def test_state_dicts_go_from_one_device_to_the_other(name: str) -> None:
    options = CASES[name.lower()][1]
    cpu = getattr(tg.optim, name)(parameters(start("float32"), "cpu"), **options)
    walk(cpu, lambda s: gradient("float32", s), range(3))
    moved = [p.detach().numpy() for p in cpu.param_groups[0]["params"]]
    gpu = getattr(tg.optim, name)(parameters(moved, "cuda"), **options)
    gpu.load_state_dict(copy.deepcopy(cpu.state_dict()))
    got, want = (walk(o, lambda s: gradient("float32", s), range(3, 6)) for o in (gpu, cpu))
    assert_same(got, want)
    back = getattr(tg.optim, name)(parameters(moved, "cpu"), **options)
    back.load_state_dict(gpu.state_dict())
    assert all(v.device.type == "cpu" for p in back.param_groups[0]["params"] for v in back.state[p].values())


def test_states_elsewhere_are_refused() -> None:
    p = parameters([np.ones(3, np.float32)], "cuda")[0]
    optimizer = tg.optim.Adam([p])
    p.grad = tg.ones(3).to("cuda")
    optimizer.state[p].update(step=tg.tensor(0.0), exp_avg=tg.zeros(3), exp_avg_sq=tg.zeros(3))
    with pytest.raises(RuntimeError, match="tensors are on cuda:0 and cpu, expected one device"):
        optimizer.step()


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, float("inf")])
def test_gradients_are_clipped(order: float) -> None:
    def made(device: str) -> list[Array]:
        params = parameters(start("float32"), device)
        for p, g in zip(params, gradient("float32", 0), strict=True):
            p.grad = tg.tensor(g).to(device)
        norm = tg.nn.utils.clip_grad_norm_(params, 0.5, order)
        assert norm.device == params[0].device
        path = [norm.cpu().numpy(), *(p.grad.cpu().numpy().copy() for p in params)]
        tg.nn.utils.clip_grad_value_(params, 0.05)
        return [*path, *(p.grad.cpu().numpy() for p in params)]

    assert_same(made("cuda"), made("cpu"))


def test_a_norm_that_is_not_finite_is_refused() -> None:
    p = parameters([np.ones(3, np.float32)], "cuda")[0]
    p.grad = tg.tensor([1.0, float("inf"), 2.0]).to("cuda")
    with pytest.raises(RuntimeError, match="is non-finite"):
        tg.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [1.0, float("inf"), 2.0]


@pytest.mark.parametrize("case", ["SGD", "SGD dampened", "Adam"])
def test_a_model_on_several_devices_has_one_optimizer(case: str) -> None:
    """The steps and the clipping of gradients are those of a model in one place."""
    if tg.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    options: dict[str, dict[str, Any]] = {
        "SGD": {"lr": 0.1},
        "SGD dampened": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        "Adam": {"lr": 0.1},
    }
    paths = []
    for places in (("cpu", "cpu", "cpu"), ("cuda:0", "cuda:1", "cpu")):
        params = [tg.tensor(a).to(d).requires_grad_() for a, d in zip(start("float64"), places, strict=False)]
        optimizer = getattr(tg.optim, case.partition(" ")[0])(params, **options[case])
        for step in range(4):
            for p, g in zip(params, gradient("float64", step), strict=False):
                p.grad = tg.tensor(g).to(p.device)
            tg.nn.utils.clip_grad_norm_(params, 0.5)
            optimizer.step()
        assert [str(p.device) for p in params] == list(places)
        paths.append([p.detach().cpu().numpy() for p in params])
    assert_same(*paths)
