"""Memory: views share it, temporaries give it back at once, and nothing is kept over many calls."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

import trigrad as tg
from trigrad import _core

MOST_GROWTH = 1 << 20  # bytes over all calls

# A process of its own: what other tests keep is no matter here. Prints the growth of its resident memory in bytes.
MIXED_CALLS = """
import gc, resource, sys
import numpy as np
import trigrad as tg

a, b, w = tg.randn(32, 16), tg.randn(32, 16), tg.randn(8, 16)
array = np.arange(12.0)

def refused(f, *arguments):
    try:
        f(*arguments)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return
    raise AssertionError(f)

CALLS = [
    lambda: a + b, lambda: (a * 2 - b).relu_().sum(), lambda: a.t() @ b, lambda: tg.dense(a, w, activation="tanh"),
    lambda: tg.softmax(a, 1), lambda: a.max(1), lambda: a[1:5, ::2].clone().mul_(3), lambda: a[3, 2].item(),
    lambda: a.reshape(-1)[5:].view(1, -1).tolist(), lambda: tg.tensor([[1.0, 2.0], [3.0, 4.0]]).numpy().sum(),
    lambda: tg.from_numpy(array).add_(0.0), lambda: tg.rand(7, 5).var(0), lambda: tg.cat((a, b), 1).sort(1),
    lambda: a.cumsum(0), lambda: tg.where(a > 0, a, b), lambda: a[a > 0], lambda: tg.arange(9).to(tg.float32),
    lambda: repr(a[:2, :2]), lambda: tg.einsum("ij,kj->ik", a, w), lambda: a.gather(1, tg.zeros(32, 3).long()),
    lambda: refused(tg.add, a, w), lambda: refused(lambda: a[99, 0]), lambda: refused(a.view, 7),
    lambda: refused(tg.softmax, a, 5), lambda: refused(tg.add, a, "x"),
]

def work(calls):
    for i in range(calls):
        CALLS[i % len(CALLS)]()
    gc.collect()

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

work(2000)
before, in_use = resident(), tg._core.memory_stats()["in_use"]
work(int(sys.argv[1]))
print(resident() - before, tg._core.memory_stats()["in_use"] - in_use)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_mixed_calls_keep_no_memory(full: bool, record: dict[str, str]) -> None:
    calls = 100_000 if full else 25_000
    command = [sys.executable, "-c", MIXED_CALLS, str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown, in_use = map(int, done.stdout.split())
    record["resident memory after mixed calls"] = f"{grown / 1024:+.0f} KiB over {calls} calls (at most +1024)"
    assert grown < MOST_GROWTH
    assert in_use == 0


def in_use() -> int:
    return int(tg._core.memory_stats()["in_use"])


def test_temporaries_are_freed_by_reference_count() -> None:
    x = tg.ones(1000)
    x + 1  # numbers as tensors are kept in a table of their own
    gc.collect()
    gc.disable()
    try:
        before = in_use()
        y = ((x + 1) * 2).exp().sum()
        assert in_use() - before <= 64  # the sum alone
        del y
        assert in_use() == before
        z = x + 1
        view = z[10:20]
        del z
        assert in_use() - before >= 4000  # the view keeps what it is a view of
        del view
        assert in_use() == before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "view",
    [
        *(
            "x.view(6, 4)",
            "x.reshape(-1)",
            "x.permute(2, 0, 1)",
            "x.transpose(0, 2)",
            "x.T",
            "x.mT",
            "x[1]",
            "x[:, ::2]",
        ),
        *("x[..., None]", "x[1:, 2]", "x.expand(5, 2, 3, 4)", "x.unsqueeze(1)", "x[:1].squeeze(0)", "x.flatten(1)"),
        *("x.narrow(1, 1, 2)", "x.unfold(2, 2, 1)", "x.movedim(0, 2)", "x.detach()", "x.data", "x.split(1)[1]"),
        *("x.chunk(2)[1]", "tg.broadcast_to(x, (5, 2, 3, 4))", "x.view_as(x)", "x.expand_as(x)"),
    ],
)
def test_views_share_storage(view: str) -> None:
    x = tg.arange(24.0).reshape(2, 3, 4).clone()
    gc.collect()
    before, version = in_use(), x._version
    v = eval(view, {"tg": tg, "x": x})
    assert in_use() == before
    assert x.data_ptr() <= v.data_ptr() < x.data_ptr() + x.nbytes
    x.fill_(7.0)
    assert (v == 7).all()
    assert v._version == x._version > version  # one counter for all views


def test_the_cache_is_bounded() -> None:
    held = [tg.empty(1 << 20) for _ in range(64)]
    del held
    cached = tg._core.memory_stats()["cached"]
    for _ in range(3):
        held = [tg.empty(1 << 22) for _ in range(64)]
        del held
    assert tg._core.memory_stats()["cached"] <= max(cached, 1 << 28)


def test_nothing_leaks() -> None:
    x = tg.rand(100)

    def work() -> None:
        y = (x + 1).relu()[2:].reshape(2, -1).numpy()
        for f in (lambda: x + "a", lambda: x.view(7), lambda: x + tg.rand(3), lambda: x[200]):
            with pytest.raises((TypeError, RuntimeError, IndexError)):
                f()
        tg.tensor(y.tolist()).max(1)

    work()
    gc.collect()
    before = _core.memory_stats()["in_use"]
    for _ in range(50):
        work()
    gc.collect()
    assert _core.memory_stats()["in_use"] == before
