"""Fast mode on GPUs: its switches, mixed precision, and losses that are scaled. tests/cpp/test_cuda_dense.cpp has the bound."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

import trigrad as tg


def allowed() -> bool:
    return tg.cuda.allow_tf32


@pytest.fixture(autouse=True)
def off() -> Iterator[None]:
    assert not allowed()
    yield
    tg.cuda.allow_tf32 = False


def test_tf32_has_one_switch_by_three_names() -> None:
    tg.cuda.allow_tf32 = True
    assert tg.backends.cuda.matmul.allow_tf32
    assert tg.get_float32_matmul_precision() == "high"
    tg.set_float32_matmul_precision("highest")
    assert not allowed()
    tg.backends.cuda.matmul.allow_tf32 = True
    assert allowed()
    for place in (tg.backends.cuda.matmul, tg.backends):
        place.fp32_precision = "ieee"
        assert not allowed()
        place.fp32_precision = "tf32"
        assert allowed()
        assert place.fp32_precision == "tf32"
        with pytest.raises(RuntimeError, match=r"got 'bf16', expected 'ieee', 'tf32' or 'none'"):
            place.fp32_precision = "bf16"
        assert allowed()
    with pytest.raises(RuntimeError, match=r"got 'low', expected 'highest', 'high', 'medium'"):
        tg.set_float32_matmul_precision("low")


def test_autocast_is_of_its_thread() -> None:
    seen = []
    with tg.autocast("cuda", dtype=tg.bfloat16):
        assert tg.is_autocast_enabled()
        assert tg.get_autocast_dtype("cuda") is tg.bfloat16
        thread = threading.Thread(target=lambda: seen.append(tg.is_autocast_enabled()))
        thread.start()
        thread.join()
        with tg.amp.autocast("cuda", enabled=False):
            assert not tg.is_autocast_enabled()
        assert tg.is_autocast_enabled()
    assert seen == [False]
    assert not tg.is_autocast_enabled()
    with pytest.raises(ZeroDivisionError), tg.cuda.amp.autocast():
        raise ZeroDivisionError
    assert not tg.is_autocast_enabled()
    assert tg.autocast("cuda")(tg.is_autocast_enabled)()


def test_what_autocast_refuses() -> None:
    with pytest.raises(RuntimeError, match=r"dtype is trigrad.float32, expected float16 or bfloat16"):
        tg.autocast("cuda", dtype=tg.float32)
    with pytest.raises(RuntimeError, match=r"device_type is 'cpu'.*or pass enabled=False"):
        tg.autocast("cpu")
    tg.autocast("cpu", enabled=False)


def test_the_cpu_takes_no_notice() -> None:
    x, w = tg.randn(5, 7), tg.randn(3, 7)
    want = tg.nn.functional.linear(x, w)
    tg.cuda.allow_tf32 = True
    with tg.autocast("cuda"):
        got = tg.nn.functional.linear(x, w)
    assert got.dtype is tg.float32
    assert (got == want).all()
    with pytest.raises(TypeError, match="expected float32 or float64; cast it with"):
        tg.nn.functional.linear(x.half(), w.half())


def rounded(x: tg.Tensor, dtype: tg.dtype) -> tg.Tensor:
    return x.to(dtype).float()


def test_halves_are_exact_unless_asked(gpu: tg.device) -> None:
    x, w, b = tg.randn(33, 20), tg.randn(9, 20), tg.randn(9)
    for dtype in (tg.float16, tg.bfloat16):
        got = tg.nn.functional.linear(x.to(dtype).to(gpu), w.to(dtype).to(gpu), b.to(dtype).to(gpu))
        want = tg.nn.functional.linear(rounded(x, dtype), rounded(w, dtype), rounded(b, dtype)).to(dtype)
        assert got.dtype is dtype
        assert (got.cpu().float() == want.float()).all()


def test_tf32_changes_little(gpu: tg.device) -> None:
    x, w = tg.randn(40, 60), tg.randn(30, 60)
    want = tg.nn.functional.linear(x, w)
    there = x.to(gpu), w.to(gpu)
    assert (tg.nn.functional.linear(*there).cpu() == want).all()
    if tg.cuda.get_device_capability()[0] >= 8 or tg.cuda.get_device_name() == "emulated":
        tg.cuda.allow_tf32 = True
        got = tg.nn.functional.linear(*there).cpu()
        assert not (got == want).all()
        sizes = tg.nn.functional.linear(x.abs(), w.abs())
        assert ((got - want).abs() <= sizes * (2.0**-9.9)).all()


def test_a_plan_keeps_what_was_allowed() -> None:
    recorded = []
    w = tg.randn(7, 3)

    @tg.compile
    def plan(x: tg.Tensor) -> tg.Tensor:
        recorded.append((tg.cuda.allow_tf32, tg.is_autocast_enabled()))
        return x @ w

    x = tg.randn(5, 7)
    want = plan(x)
    tg.cuda.allow_tf32 = True
    for _ in range(2):
        assert (plan(x) == want).all()
    tg.cuda.allow_tf32 = False
    with tg.autocast("cuda", dtype=tg.bfloat16):
        for _ in range(2):
            assert (plan(x) == want).all()
    assert (plan(x) == want).all()
    assert set(recorded) == {(False, False), (True, False), (False, True)}


def test_a_step_in_mixed_precision(gpu: tg.device) -> None:
    tg.manual_seed(5)
    net = tg.nn.Sequential(tg.nn.Linear(6, 40), tg.nn.ReLU(), tg.nn.Linear(40, 3))
    x, target = tg.randn(50, 6), tg.randn(50, 3)

    def gradients(net: tg.nn.Module, x: tg.Tensor, target: tg.Tensor, dtype: tg.dtype | None) -> list[tg.Tensor]:
        for p in net.parameters():
            p.grad = None
        with tg.autocast("cuda", dtype=dtype, enabled=dtype is not None):
            y = net(x)
            assert y.dtype is (dtype or tg.float32)
            loss = (y - target).square().mean()
            assert loss.dtype is tg.float32
        loss.backward()
        return [p.grad.cpu() for p in net.parameters() if p.grad is not None]

    want = gradients(net, x, target, None)
    net.to(gpu)
    for dtype, close in ((tg.bfloat16, 3e-2), (tg.float16, 4e-3)):
        got = gradients(net, x.to(gpu), target.to(gpu), dtype)
        assert len(got) == 4
        for g, w in zip(got, want, strict=True):
            assert g.dtype is tg.float32
            size = float(w.abs().amax())
            assert 0 < float((g - w).abs().amax()) <= close * size
        again = gradients(net, x.to(gpu), target.to(gpu), dtype)
        assert all((g == a).all() for g, a in zip(got, again, strict=True))


def test_a_tensor_in_16_bits_that_is_read_twice(gpu: tg.device) -> None:
    w = tg.randn(4, 4).to(gpu).requires_grad_()
    x = tg.randn(3, 4).to(gpu)
    with tg.autocast("cuda", dtype=tg.bfloat16):
        y = x @ w
        z = (y * 2.0 + (y @ w)).sum()
    z.backward()
    assert w.grad is not None
    assert w.grad.dtype is tg.float32


def test_gradients_are_scaled_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    scalers = []
    for lib in (tg, torch):
        p = lib.ones(3, requires_grad=True)
        optimizer = lib.optim.SGD([p], lr=0.5)
        scaler = lib.amp.GradScaler("cuda" if lib is tg else "cpu", init_scale=1024.0, growth_interval=2)
        seen = []
        for factor in (1.0, 3.0, float("inf"), 2.0, 2.0, 2.0):
            optimizer.zero_grad()
            scaler.scale((p * p * factor).sum()).backward()
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            seen.append((scaler.get_scale(), p.tolist()))
        scalers.append((seen, scaler.state_dict()))
    (ours, our_state), (theirs, their_state) = scalers
    for (scale, values), (their_scale, their_values) in zip(ours, theirs, strict=True):
        assert scale == their_scale
        np.testing.assert_allclose(values, their_values, rtol=1e-6)
    assert our_state == their_state


def test_a_scaler_that_is_off_or_misused() -> None:
    p = tg.ones(2, requires_grad=True)
    optimizer = tg.optim.SGD([p], lr=0.5)
    off = tg.cuda.amp.GradScaler(enabled=False)
    loss = p.sum()
    assert off.scale(loss) is loss
    assert off.get_scale() == 1.0
    loss.backward()
    off.step(optimizer)
    off.update()
    assert p.tolist() == [0.5, 0.5]
    on = tg.amp.GradScaler()
    with pytest.raises(RuntimeError, match="expected step"):
        on.update()
    on.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="has been called on this optimizer"):
        on.unscale_(optimizer)
    other = tg.amp.GradScaler()
    other.load_state_dict(tg.amp.GradScaler(init_scale=4.0).state_dict())
    assert other.get_scale() == 4.0
