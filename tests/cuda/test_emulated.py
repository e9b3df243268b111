"""Tensors on a GPU as Python sees them, on the emulated device of the C++ tests (tests/cpp/emulated_device.cpp): its memory can
be read by kernels and copies alone, so whoever reads a tensor behind their back crashes here as on a GPU.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MODULE = os.environ.get("TRIGRAD_CUDA_EMULATED", "")

pytestmark = pytest.mark.skipif(
    not os.path.exists(MODULE), reason="TRIGRAD_CUDA_EMULATED does not name the C++ tests' _cuda_emulated.so"
)


def run(script: str) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "import copy, pickle\nimport numpy as np\nimport trigrad as tg\n" + script,
        ],
        env={**os.environ, "TRIGRAD_CUDA_MODULE": MODULE},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


REFUSED = """
def refused(kind, words, call):
    try:
        call()
    except kind as e:
        assert words in str(e), str(e)
    else:
        raise AssertionError(f"expected {kind.__name__}: {words}")
"""


def test_devices_and_places() -> None:
    run("""
assert tg.cuda.is_available() and tg.cuda.device_count() == 2 and tg.cuda.absence() is None
assert tg.accelerator.current_accelerator() == tg.device("cuda")
x = tg.arange(6.0).reshape(2, 3)
a, b = x.to("cuda"), x.cuda(1)
assert (a.device, b.device) == (tg.device("cuda:0"), tg.device("cuda:1")) and a.is_cuda
assert a.to("cuda:0") is a and a.cuda() is a and a.to("cuda:1").device == b.device
assert a.cpu().tolist() == b.cpu().tolist() == x.tolist()
assert a.T.cpu().tolist() == x.T.tolist() and a[:, ::2].cpu().tolist() == x[:, ::2].tolist()
assert a.to("cuda", tg.float64).dtype is tg.float64
""")


def test_reading_copies() -> None:
    run("""
x = tg.tensor([[1.5, -2.0], [0.25, 4.0]])
g = x.cuda()
assert g.tolist() == x.tolist() and g[1, 1].item() == 4.0 and float(g[0, 0]) == 1.5 and bool(g[0, 1] < 0)
assert repr(g) == "tensor([[ 1.5000, -2.0000],\\n        [ 0.2500,  4.0000]], device='cuda:0')"
assert copy.deepcopy(g).device == g.device
assert pickle.loads(pickle.dumps(g)).tolist() == x.tolist()
assert np.array_equal(g.cpu().numpy(), x.numpy())
assert g.__dlpack_device__() == (2, 0)
""")


def test_what_is_refused() -> None:
    run(
        REFUSED
        + """
x = tg.ones(2, 3)
g = x.cuda()
refused(RuntimeError, "tensors are on cuda:0 and cpu, expected one device", lambda: g + x)
refused(RuntimeError, "tensors are on cuda:0 and cuda:1", lambda: g + x.cuda(1))
refused(RuntimeError, "device is 'cuda:2', expected cuda:0 to cuda:1", lambda: x.cuda(2))
refused(TypeError, "the tensor is on cuda:0, expected cpu", g.numpy)
refused(TypeError, "the tensor is on cuda:0, expected cpu", lambda: np.asarray(g))
refused(MemoryError, "there is no room for more", lambda: tg.ones(2**18).cuda().expand(2**12, 2**18).contiguous())
assert float((g * 2).sum()) == 12.0
"""
    )


def test_a_net_gives_the_bits_of_the_cpu() -> None:
    run("""
tg.manual_seed(3)
net = tg.nn.Sequential(tg.nn.Linear(9, 70), tg.nn.GELU(), tg.nn.Linear(70, 30), tg.nn.Tanh(), tg.nn.Linear(30, 5))
x = tg.randn(1000, 9)
with tg.no_grad():
    want = net(x)
    assert net.cuda() is net and all(p.is_cuda for p in net.parameters())
    got = net(x.cuda())
    assert got.is_cuda and (got.cpu() == want).all()
    assert (net(x[:1].cuda()).cpu() == want[:1]).all()
    assert net.cpu() is net and (net(x) == want).all()
""")


def test_gradients_are_the_bits_of_the_cpu() -> None:
    run("""
def gradients(net, x):
    for p in net.parameters():
        p.grad = None
    net(x).square().mean().backward()
    return [p.grad for p in net.parameters()]

tg.manual_seed(4)
net = tg.nn.Sequential(tg.nn.Linear(7, 40), tg.nn.ReLU(), tg.nn.Linear(40, 20), tg.nn.Tanh(), tg.nn.Linear(20, 3))
x = tg.randn(5000, 7)
want = gradients(net, x)
got = gradients(net.cuda(), x.cuda())
assert all(g.is_cuda for g in got) and all((g.cpu() == w).all() for g, w in zip(got, want, strict=True))
""")


def test_memory_is_counted() -> None:
    run("""
before = tg.cuda.memory_allocated()
x = tg.zeros(1000, 1000).cuda()
assert 4_000_000 <= tg.cuda.memory_allocated() - before < 5_000_000
del x
assert tg.cuda.memory_allocated() == before and tg.cuda.max_memory_allocated() >= before + 4_000_000
assert tg.cuda.memory_reserved() >= 4_000_000
tg.cuda.reset_peak_memory_stats()
tg.cuda.empty_cache()
tg.cuda.synchronize()
assert tg.cuda.max_memory_allocated() == tg.cuda.memory_reserved() == tg.cuda.memory_allocated() == before
""")


def test_waits_let_other_threads_go_on() -> None:
    """The device's work ends when another thread of Python's says so."""
    run("""
import ctypes, os, threading, time
hold = ctypes.PyDLL(os.environ["TRIGRAD_CUDA_MODULE"]).hold_emulated
x, i, p = tg.ones(3, device="cuda"), tg.tensor([1, 0], device="cuda"), tg.ones(3).pin_memory()
waits = {
    "item": lambda: x.sum().item(),
    "cpu": lambda: x.cpu(),
    "tolist": lambda: x.tolist(),
    "cuda": lambda: tg.ones(3).cuda(),
    "copy_": lambda: p.copy_(x),
    "mask": lambda: x[x > 0],
    "index": lambda: x.gather(0, i),
    "if": lambda: bool(x[0] > 0),
}
for name, wait in waits.items():
    hold(True)
    thread = threading.Thread(target=lambda: (time.sleep(0.01), hold(False)))
    thread.start()
    start = time.monotonic()
    wait()
    thread.join()
    assert time.monotonic() - start < 30, name
""")
