"""Compiled functions: the bits of eager for every model, loss and optimizer, on any number of threads and any instruction set;
what a plan shows of itself; memory and time."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from trigrad import _core
from trigrad.nn import functional as F

THREADS = (1, 2, 3)


def mlp(*layers: Any) -> Callable[[], Any]:
    return lambda: tg.nn.Sequential(*[layer() for layer in layers])


def linear(a: int, b: int) -> Callable[[], Any]:
    return lambda: tg.nn.Linear(a, b)


MODELS: dict[str, Callable[[], Any]] = {
    "jet": mlp(linear(6, 16), tg.nn.ReLU, linear(16, 12), tg.nn.ReLU, linear(12, 4)),
    "tanh": mlp(linear(6, 20), tg.nn.Tanh, linear(20, 4)),
    "sigmoid": mlp(linear(6, 20), tg.nn.Sigmoid, linear(20, 4)),
    "gelu": mlp(linear(6, 20), tg.nn.GELU, linear(20, 4)),
    "silu": mlp(linear(6, 20), tg.nn.SiLU, linear(20, 4)),
    "leaky": mlp(linear(6, 20), lambda: tg.nn.LeakyReLU(0.2), linear(20, 4)),
    "elu": mlp(linear(6, 20), tg.nn.ELU, linear(20, 4)),
    "prelu": mlp(linear(6, 20), tg.nn.PReLU, linear(20, 4)),
    "softmax": mlp(linear(6, 20), lambda: tg.nn.Softmax(1), linear(20, 4)),
    "batchnorm": mlp(linear(6, 20), lambda: tg.nn.BatchNorm1d(20), tg.nn.ReLU, linear(20, 4)),
    "layernorm": mlp(linear(6, 20), lambda: tg.nn.LayerNorm(20), tg.nn.ReLU, linear(20, 4)),
    "dropout": mlp(linear(6, 20), tg.nn.ReLU, lambda: tg.nn.Dropout(0.3), linear(20, 4)),
    "alpha dropout": mlp(linear(6, 20), tg.nn.SELU, lambda: tg.nn.AlphaDropout(0.3), linear(20, 4)),
    "no bias": mlp(lambda: tg.nn.Linear(6, 20, bias=False), tg.nn.ReLU, linear(20, 4)),
    "dropconnect": mlp(lambda: tg.nn.DropConnect(6, 20), tg.nn.ReLU, linear(20, 4)),
    "glu": mlp(linear(6, 40), tg.nn.GLU, linear(20, 4)),
}


def classes(n: int, g: tg.Generator) -> tg.Tensor:
    return tg.randint(0, 4, (n,), generator=g)


def values(n: int, g: tg.Generator) -> tg.Tensor:
    return tg.rand(n, 4, generator=g)


def signs(n: int, g: tg.Generator) -> tg.Tensor:
    return (tg.randint(0, 2, (n, 4), generator=g) * 2 - 1).float()


LOSSES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, tg.Generator], tg.Tensor]]] = {
    "cross_entropy": (F.cross_entropy, classes),
    "cross_entropy smoothed": (lambda p, t: F.cross_entropy(p, t, label_smoothing=0.1, ignore_index=2), classes),
    "cross_entropy weights": (lambda p, t: F.cross_entropy(p, t, tg.tensor([1.0, 2.0, 0.5, 3.0])), classes),
    "cross_entropy none": (lambda p, t: (F.cross_entropy(p, t, reduction="none") ** 2).sum(), classes),
    "cross_entropy soft": (lambda p, t: F.cross_entropy(p, tg.softmax(t, 1)), values),
    "nll": (lambda p, t: F.nll_loss(tg.log_softmax(p, 1), t), classes),
    "mse": (F.mse_loss, values),
    "l1": (F.l1_loss, values),
    "smooth_l1": (F.smooth_l1_loss, values),
    "huber": (lambda p, t: F.huber_loss(p, t, delta=0.3), values),
    "bce": (lambda p, t: F.binary_cross_entropy(tg.sigmoid(p), t), values),
    "bce logits": (F.binary_cross_entropy_with_logits, values),
    "bce logits sum": (lambda p, t: F.binary_cross_entropy_with_logits(p, t, reduction="sum"), values),
    "kl": (lambda p, t: F.kl_div(tg.log_softmax(p, 1), tg.softmax(t, 1), reduction="batchmean"), values),
    "poisson": (F.poisson_nll_loss, values),
    "gaussian": (lambda p, t: F.gaussian_nll_loss(p, t, tg.exp(p)), values),
    "soft margin": (F.soft_margin_loss, signs),
    "hinge embedding": (F.hinge_embedding_loss, signs),
    "multi margin": (F.multi_margin_loss, classes),
    "multilabel soft margin": (lambda p, t: F.multilabel_soft_margin_loss(p, (t > 0.5).float()), values),
    "cosine": (lambda p, t: 1 - F.cosine_similarity(p, t).mean(), values),
}


def bits(x: tg.Tensor) -> bytes:
    found: bytes = x.detach().numpy().tobytes()
    return found


def trained(
    model: Any, loss: Callable[[Any, Any], Any], target: Any, compiled: bool, rows: tuple[int, ...]
) -> list[bytes]:
    """What a few steps leave behind: losses, gradients, parameters, statistics."""
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        made = loss(model(x), y)
        made.backward()
        optimizer.step()
        return made

    run = tg.compile(step) if compiled else step
    g = tg.Generator().manual_seed(8)
    tg.manual_seed(5)
    found = []
    for n in rows:
        found.append(bits(run(tg.randn(n, 6, generator=g), target(n, g))))
    found += [bits(p.grad) for p in model.parameters()]
    found += [bits(v) for v in model.state_dict().values()]
    return found


def compare(model: str, loss: str, rows: tuple[int, ...]) -> None:
    function, target = LOSSES[loss]

    def fresh() -> Any:
        tg.manual_seed(1)
        return MODELS[model]()

    expected = trained(fresh(), function, target, False, rows)
    for threads in THREADS:
        tg.set_num_threads(threads)
        assert trained(fresh(), function, target, True, rows) == expected, threads


@pytest.mark.parametrize("model", MODELS)
def test_models(model: str) -> None:
    compare(model, "cross_entropy", (150, 150, 150, 7, 7))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss: str) -> None:
    compare("tanh", loss, (130, 130, 130))


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, 129, 192, 321, 1000, 4096, 4097, 9000])
def test_batch_sizes(rows: int) -> None:
    """The rows are cut where the tree of the batch order is cut, so threads change no bit."""
    compare("layernorm", "cross_entropy", (rows,) * 3)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_instruction_sets(isa: str) -> None:
    tg.set_num_threads(1)
    tg.manual_seed(1)
    expected = trained(MODELS["jet"](), *LOSSES["cross_entropy"], False, (100,) * 3)
    _core.set_isa(isa)
    for threads in (1, 2):
        tg.set_num_threads(threads)
        tg.manual_seed(1)
        assert trained(MODELS["jet"](), *LOSSES["cross_entropy"], True, (100,) * 3) == expected


def test_instruction_set_and_threads_changed_between_calls() -> None:
    """The same plan goes on."""
    tg.manual_seed(1)
    model, again = MODELS["jet"](), MODELS["jet"]()
    again.load_state_dict(model.state_dict())
    g = tg.Generator()
    x, y = tg.randn(200, 6, generator=g), classes(200, g)
    optimizers = [tg.optim.SGD(m.parameters(), lr=0.1) for m in (model, again)]

    def step(m: Any, o: Any) -> Any:
        o.zero_grad()
        loss = F.cross_entropy(m(x), y)
        loss.backward()
        o.step()
        return loss

    compiled = tg.compile(lambda: step(again, optimizers[1]))
    for k in range(8):
        tg.set_num_threads(1 + k % 3)
        _core.set_isa(_core.available_isas()[k % len(_core.available_isas())])
        assert bits(compiled()) == bits(step(model, optimizers[0]))
    assert len(compiled.plans) == 1


# ---- what a plan shows


def jet() -> tuple[Any, Any]:
    tg.manual_seed(0)
    model = tg.nn.Sequential(
        *(tg.nn.Linear(16, 64), tg.nn.ReLU(), tg.nn.Linear(64, 32), tg.nn.ReLU()),
        *(tg.nn.Linear(32, 32), tg.nn.ReLU(), tg.nn.Linear(32, 5)),
    )
    optimizer = tg.optim.Adam(model.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return tg.compile(step), step


def batch(rows: int = 128) -> tuple[tg.Tensor, tg.Tensor]:
    g = tg.Generator().manual_seed(2)
    return tg.randn(rows, 16, generator=g), tg.randint(0, 5, (rows,), generator=g)


def test_program_is_readable() -> None:
    compiled, _ = jet()
    compiled(*batch())
    text = str(compiled.plans[0])
    assert "inputs i0(128, 16) float32 i1(128,) int64" in text
    assert "dense(i0(128, 16), s2(64, 16), s3(64,), activation='relu')  # " in text
    assert "262144 FLOP" in text
    assert "adam_(" in text
    assert "live" in text


def test_profile() -> None:
    compiled, _ = jet()
    x, y = batch()
    found = compiled.profile(x, y)
    assert [name for name, _ in found].count("dense") == 4
    assert found[-1][0] == "adam_"
    assert all(0 < seconds < 1 for _, seconds in found)
    other, _ = jet()
    other(x, y)
    other(x, y)
    assert bits(compiled(x, y)) == bits(other(x, y))  # the profile was a step as well, after the one that was recorded


def test_passes_leave_no_waste() -> None:
    """No activation by itself, nothing twice, nothing unseen."""
    w = tg.rand(5, 6)

    def function(x: Any) -> Any:
        (x * 3).sum()  # unseen
        a = tg.tanh(F.linear(x, w))
        return (a + x.sum()) * (a + x.sum())

    compiled = tg.compile(function)
    x = tg.rand(4, 6)
    assert bits(compiled(x)) == bits(function(x)) == bits(compiled(x))
    names = [name for name, _ in compiled.profile(x)]
    assert names == ["dense", "sum", "add", "mul"]


def test_arena() -> None:
    """All intermediate results share one block of memory."""
    tg.set_num_threads(1)
    compiled, _ = jet()
    compiled(*batch())
    activations = 128 * (64 + 32 + 32 + 5) * 4  # kept for the backward pass
    assert activations <= compiled.plans[0].arena_bytes <= 1.7 * activations
    deep = tg.nn.Sequential(*[tg.nn.Linear(32, 32) for _ in range(20)])
    inference = tg.compile(deep)
    with tg.no_grad():
        inference(tg.rand(64, 32))
    assert inference.plans[0].arena_bytes == 2 * 64 * 32 * 4


def test_replay_allocates_results_only() -> None:
    tg.set_num_threads(1)
    model = tg.nn.Sequential(tg.nn.Linear(8, 8), tg.nn.ReLU(), tg.nn.Linear(8, 3))
    compiled = tg.compile(model)
    x = tg.rand(32, 8)
    with tg.no_grad():
        for _ in range(3):
            compiled(x)
        before = tg._core.memory_stats()["allocations"]
        for _ in range(10):
            compiled(x)
        assert tg._core.memory_stats()["allocations"] - before == 10


def test_recording_is_quick(record: dict[str, str]) -> None:
    """What the first call takes more than an eager step, and the second more than the third."""
    _, step = jet()
    x, y = batch()
    step(x, y)
    best = float("inf")
    for _ in range(5):
        compiled, _ = jet()
        times = []
        for f in (step, compiled, compiled, compiled):
            start = time.perf_counter()
            f(x, y)
            times.append(time.perf_counter() - start)
        best = min(best, times[1] - times[0] + max(times[2] - times[3], 0))
    record["recording the jet step, ms"] = f"{1e3 * best:.2f}"
    assert best < 0.02


def test_plans_are_collected() -> None:
    """A plan holds what its function closes over, which may hold the function."""

    def used() -> Any:
        model = tg.nn.Linear(2, 1)
        optimizer = tg.optim.Adam(model.parameters())

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x).sum()
            loss.backward()
            optimizer.step()
            return loss

        model.compiled = tg.compile(step)
        for _ in range(3):
            model.compiled(tg.ones(4, 2))
        return weakref.ref(model)

    gone = used()
    gc.collect()
    assert gone() is None


def test_not_callable() -> None:
    with pytest.raises(TypeError, match="expected a function or a module"):
        tg.compile(3)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("rows", [5000, 20011])
def test_large_batches_go_by_blocks(rows: int, threads: int) -> None:
    """Rows go through all layers some at a time: intermediate results need the memory of a block, whatever the batch."""
    tg.set_num_threads(threads)
    tg.manual_seed(3)
    model = tg.nn.Sequential(
        *(tg.nn.Linear(16, 64), tg.nn.ReLU(), tg.nn.Dropout(0.3), tg.nn.Linear(64, 32), tg.nn.Tanh()),
        *(tg.nn.LayerNorm(32), tg.nn.Linear(32, 5), tg.nn.Softmax(1)),
    )
    compiled = tg.compile(model)
    x = tg.randn(rows, 16)
    with tg.no_grad():
        for _ in range(3):
            state = tg.get_rng_state()
            expected = model(x)
            tg.set_rng_state(state)
            assert bits(compiled(x)) == bits(expected)
    assert compiled.plans[0].arena_bytes <= threads * 256 * 1024


def test_large_batches_train_by_blocks() -> None:
    compare("layernorm", "cross_entropy", (12000,) * 3)
    compare("dropout", "mse", (12000,) * 3)


def test_the_options_of_pytorch_change_nothing() -> None:
    model = tg.nn.Linear(6, 4)
    x = tg.randn(5, 6)
    with tg.no_grad():
        want = model(x)
        for options in ({"mode": "reduce-overhead"}, {"fullgraph": True, "dynamic": False}, {"backend": "inductor"}):
            compiled = tg.compile(model, **options)  # type: ignore[arg-type]
            assert [bool((compiled(x) == want).all()) for _ in range(3)] == [True] * 3
            assert compiled.plans[0].calls == 2

    @tg.compile(mode="max-autotune", options={"shape_padding": True})
    def double(y: tg.Tensor) -> tg.Tensor:
        return y * 2

    assert double(x).tolist() == double(x).tolist() == (x * 2).tolist()
    assert len(double.plans) == 1
    assert tg.compile(model, disable=True) is model
    assert tg.compile(disable=True)(model) is model
    with pytest.raises(TypeError, match="got a int, expected a function or a module"):
        tg.compile(3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'modus'"):
        tg.compile(model, modus="fast")  # type: ignore[call-arg]
