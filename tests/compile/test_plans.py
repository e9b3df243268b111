"""What plans cost: memory between and within replays, plans that are kept, time to record; and what they tell of themselves."""

from __future__ import annotations

import gc
import os
import time
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import trigrad as tg
from trigrad import nn
from trigrad.nn import functional as F


class Net(NamedTuple):
    sizes: tuple[int, ...]
    rows: int
    activation: str = "ReLU"
    normalized: bool = False
    dropout: float = 0.0
    most: float = 1.5  # the arena, in terms of the values that the forward pass leaves for the backward pass

    def model(self) -> nn.Sequential:
        layers: list[Any] = []
        for i, (k, n) in enumerate(pairwise(self.sizes)):
            layers.append(nn.Linear(k, n))
            if i + 2 < len(self.sizes):
                layers += [nn.BatchNorm1d(n)] if self.normalized else []
                layers.append(getattr(nn, self.activation)())
                layers += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*layers)

    def batch(self, rows: int | None = None, seed: int = 1) -> tuple[tg.Tensor, tg.Tensor]:
        g, rows = tg.Generator().manual_seed(seed), rows or self.rows
        classes = self.sizes[-1]
        target = tg.rand(rows, generator=g) if classes == 1 else tg.randint(0, classes, (rows,), generator=g)
        return tg.randn(rows, self.sizes[0], generator=g), target

    def step(self) -> Any:
        model = self.model()
        optimizer = tg.optim.Adam(model.parameters())

        def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
            optimizer.zero_grad()
            z = model(x)
            one = self.sizes[-1] == 1
            loss = F.binary_cross_entropy_with_logits(z.squeeze(1), y) if one else F.cross_entropy(z, y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    @property
    def kept(self) -> int:
        """Bytes of all layers' outputs."""
        return 4 * self.rows * sum(self.sizes[1:])


JET = (16, 64, 32, 32, 5)
NETS = {
    "jet 128": Net(JET, 128),
    "jet 1024": Net(JET, 1024),
    "SUSY": Net((18, 200, 100, 2), 100, most=2.05),  # the first layer's gradient is two thirds of all
    "Higgs": Net((28, 300, 300, 300, 300, 1), 100, "Tanh", most=1.55),
    "MNIST": Net((784, 512, 256, 10), 128, most=2.05),
    "norm and dropout": Net(JET, 128, normalized=True, dropout=0.1, most=3.3),  # and what each of them keeps
}


@pytest.mark.parametrize("name", NETS)
def test_arena(name: str, record: dict[str, str]) -> None:
    """All intermediate results of a step in few bytes more than what the backward pass needs of the forward pass."""
    tg.set_num_threads(1)
    net = NETS[name]
    step = tg.compile(net.step())
    step(*net.batch())
    arena = step.plans[0].arena_bytes
    record[f"arena of {name}"] = f"{arena} B, {arena / net.kept:.2f} of the layers' outputs"
    assert arena <= net.most * net.kept


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_arena_of_inference(threads: int) -> None:
    """Two layers' outputs at a time, however deep the net; shards of three threads are of 128 rows, not all full."""
    tg.set_num_threads(threads)
    model = nn.Sequential(*[layer for _ in range(20) for layer in (nn.Linear(32, 32), nn.ReLU())]).eval()
    compiled = tg.compile(model)
    with tg.no_grad():
        compiled(tg.rand(256, 32))
    assert compiled.plans[0].arena_bytes <= (2.1 if threads < 3 else 3.1) * 256 * 32 * 4


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


@needs_proc
@pytest.mark.parametrize("name", ["jet 128", "norm and dropout"])
def test_memory_stays_over_many_replays(name: str, full: bool) -> None:
    net = NETS[name]
    step = tg.compile(net.step())
    x, y = net.batch()
    for _ in range(1000):
        step(x, y)
    before = resident()
    for _ in range(100_000 if full else 10_000):
        step(x, y)
    assert resident() - before < 256 * 1024
    assert len(step.plans) == 1


@needs_proc
def test_memory_stays_over_many_shapes() -> None:
    """Plans that give way leave nothing behind."""
    net = NETS["jet 128"]
    step = tg.compile(net.step())
    for n in range(1, 100):
        step(*net.batch(n))
    before = resident()
    for n in range(1, 500):
        step(*net.batch(1 + n % 100))
        assert len(step.plans) <= 16
    assert resident() - before < 4 << 20


def test_plans_go_with_their_function() -> None:
    net = NETS["jet 128"]
    step = tg.compile(net.step())
    model = weakref.ref(step.__wrapped__)
    step(*net.batch())
    step(*net.batch())
    used = tg._core.memory_stats()["in_use"]
    del step
    gc.collect()
    assert model() is None
    assert tg._core.memory_stats()["in_use"] < used


def test_plans_share_an_arena() -> None:
    """Plans of one function, of which no two run at a time: as much as the largest needs, whatever the order; and results
    that are kept stay as they were."""
    tg.set_num_threads(1)
    net = NETS["jet 128"]
    for rows in ([2048, *range(100, 110)], [*range(100, 110), 2048]):
        step, alone = tg.compile(net.step()), tg.compile(net.step())
        alone(*net.batch(2048))
        largest = alone.plans[0].arena_bytes
        before = tg._core.memory_stats()["in_use"]
        kept = [step(*net.batch(n)) for n in rows]
        values = [float(t) for t in kept]
        assert len(step.plans) == len(rows)
        assert max(plan.arena_bytes for plan in step.plans) == largest
        assert sum(plan.arena_bytes for plan in step.plans) > 1.4 * largest
        assert tg._core.memory_stats()["in_use"] - before < 1.1 * largest + 400_000  # and gradients, results, states
        for _ in range(2):
            for n in rows:
                step(*net.batch(n))
        assert [float(t) for t in kept] == values


def test_shared_arenas_have_the_bits_of_eager_steps() -> None:
    """Plans in turn, the arena growing between them."""
    net = NETS["jet 128"]
    tg.manual_seed(5)
    eager = net.step()
    tg.manual_seed(5)
    compiled = tg.compile(net.step())
    for rows in (7, 64, 7, 300, 64, 1000, 7, 300, 1001, 64):
        x, y = net.batch(rows)
        assert float(eager(x, y)) == float(compiled(x, y))
        tg.set_num_threads(1 + rows % 3)


def test_a_step_that_fails_late_leaves_moments_as_they_were() -> None:
    """Zeros before the first step, and what they were after some."""
    net = NETS["jet 128"]
    model = net.model()
    optimizer = tg.optim.Adam(model.parameters())
    fails = [True]

    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if fails[0]:
            raise ValueError("too late")
        return loss

    def states() -> list[bytes]:
        every = [*model.parameters(), *(t for state in optimizer.state.values() for t in state.values())]
        return [t.detach().numpy().tobytes() for t in every]

    compiled = tg.compile(step)
    for rows in (16, 17):
        before = states()
        for _ in range(2):
            with pytest.raises(ValueError, match="too late"):
                compiled(*net.batch(rows))
        after = states()
        assert after[: len(before)] == before
        assert not any(any(t) for t in after[len(before) :])  # made by the call that failed: zeros
        fails[0] = False
        compiled(*net.batch(rows))
        assert states() != before
        fails[0] = True


def test_replays_take_no_new_memory() -> None:
    """The results of a replay; kernels that work aside take from what is there."""
    tg.set_num_threads(1)
    net = NETS["jet 128"]
    step = tg.compile(net.step())
    x, y = net.batch()
    step(x, y)
    tg._core.empty_cache()
    for _ in range(2):  # a result is replaced when the next one is there
        step(x, y)
    before = tg._core.memory_stats()
    for _ in range(50):
        step(x, y)
    after = tg._core.memory_stats()
    assert after["in_use"] == before["in_use"]
    assert after["cached"] == before["cached"]


@pytest.mark.parametrize("name", NETS)
def test_recording_time(name: str, record: dict[str, str]) -> None:
    """What the first call takes more than an eager step, and the second more than the third, is a few eager steps: the best
    of some, with a wide margin for a busy machine."""
    net = NETS[name]
    x, y = net.batch()
    step = net.step()
    found = []
    for _ in range(4):
        step(x, y)
        compiled, times = tg.compile(step), []
        for f in (step, compiled, compiled, compiled):
            start = time.perf_counter()
            f(x, y)
            times.append(time.perf_counter() - start)
        found.append((times[1] - times[0] + max(times[2] - times[3], 0.0), times[0]))
    recording, eager = (min(column) for column in zip(*found, strict=True))
    record[f"recording {name}"] = f"{1e3 * recording:.2f} ms"
    assert recording < 200 * eager


@pytest.mark.parametrize("name", NETS)
def test_text_and_profile(name: str) -> None:
    """A line per instruction, with the floating-point operations of the products; a profile is a step like any other."""
    net = NETS[name]
    step = tg.compile(net.step())
    x, y = net.batch()
    step(x, y)
    plan = step.plans[0]
    lines = str(plan).splitlines()
    assert lines[0].startswith(f"{len(plan)} instructions")
    assert [line.split()[0] for line in lines if line[:4].strip().isdigit()] == [str(k) for k in range(len(plan))]
    forward = [2.0 * net.rows * k * n for k, n in pairwise(net.sizes)]
    for flops in forward:
        assert any(f"{flops:g} FLOP" in line and "dense(" in line for line in lines), flops
    profile = step.profile(x, y)
    assert len(profile) == len(plan)
    assert all(seconds >= 0 for _, seconds in profile)
    assert sum(seconds for _, seconds in profile) < 1
    again = tg.compile(net.step())
    assert again.profile(x, y)  # a step that is recorded, and another that is measured
