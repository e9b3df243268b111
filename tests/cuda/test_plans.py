"""Compiled functions on a GPU: recorded there, kept as graphs, with the bits of eager and of the CPU."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import trigrad as tg
from trigrad import _core

pytestmark = pytest.mark.usefixtures("gpu")

CPU, CUDA = "cpu", "cuda"


def numbers(*shape: int, seed: int = 0) -> tg.Tensor:
    return tg.randn(*shape, generator=tg.Generator().manual_seed(seed))


def bits(t: Any) -> bytes:
    found: bytes = t.detach().cpu().numpy().tobytes()
    return found


def launches(compiled: Any) -> int:
    return sum(p._core.launches for p in compiled.plans)


def net(seed: int = 3, dropout: float = 0.0) -> tg.nn.Sequential:
    tg.manual_seed(seed)
    return tg.nn.Sequential(
        tg.nn.Linear(5, 33), tg.nn.Tanh(), tg.nn.Dropout(dropout), tg.nn.Linear(33, 9), tg.nn.ReLU(), tg.nn.Linear(9, 2)
    )


def descent(model: Any, lr: float = 0.1) -> Callable[[Any, Any], Any]:
    """A step made of ops alone."""

    def step(x: Any, y: Any) -> Any:
        for p in model.parameters():
            p.grad = None
        loss = (model(x) - y).square().mean()
        loss.backward()
        with tg.no_grad():
            for p in model.parameters():
                p.sub_(p.grad * lr)
        return loss

    return step


def trained(device: str, compiled: bool, steps: int = 6, dropout: float = 0.0) -> tuple[list[bytes], Any]:
    model = net(dropout=dropout).to(device)
    step = tg.compile(descent(model)) if compiled else descent(model)
    tg.manual_seed(11)
    found = [
        bits(step(numbers(65, 5, seed=k).to(device), numbers(65, 2, seed=50 + k).to(device))) for k in range(steps)
    ]
    found += [bits(t) for p in model.parameters() for t in (p, p.grad)]
    return [*found, bits(tg.get_rng_state())], step


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_row_087_training_has_the_bits_of_the_cpu_and_of_eager(dropout: float) -> None:
    want, _ = trained(CPU, False, dropout=dropout)
    assert trained(CUDA, False, dropout=dropout)[0] == want
    found, step = trained(CUDA, True, dropout=dropout)
    assert found == want
    assert len(step.plans) == 1
    assert step.plans[0].calls == 5
    assert launches(step) >= 3, "the first replay is made call by call; then graphs are launched"


def test_inference_of_a_module_and_kept_results() -> None:
    model = net().to(CUDA).eval()
    fast = tg.compile(model)
    with tg.no_grad():
        given = [numbers(31, 5, seed=k).to(CUDA) for k in range(6)]
        kept = [fast(x) for x in given]
        for x, y in zip(given, kept, strict=True):
            assert bits(y) == bits(model(x))
    assert launches(fast) >= 3


def test_inputs_that_stay_and_inputs_that_move() -> None:
    double = tg.compile(lambda x: x * 2 + 1)
    x = tg.zeros(3).to(CUDA)
    for k in range(5):
        x.copy_(tg.full((3,), float(k)).to(CUDA))
        assert double(x).tolist() == [2.0 * k + 1] * 3
    others = [tg.full((3,), float(k)).to(CUDA) for k in range(6)]
    assert [double(o).tolist()[0] for o in others] == [2.0 * k + 1 for k in range(6)]
    assert launches(double) >= 6


def test_large_inputs_are_not_copied_but_made_call_by_call() -> None:
    n = 1 << 19  # 2 MiB
    f = tg.compile(lambda x: x + 1)
    big = [tg.full((n,), float(k)).to(CUDA) for k in range(3)]
    for _ in range(2):
        for k, x in enumerate(big):
            y = f(x)
            assert float(y[0]) == float(y[-1]) == k + 1.0
    before = launches(f)
    for _ in range(3):
        y = None
        y = f(big[0])
        assert float(y[n // 2]) == 1.0
    assert launches(f) > before


def test_an_argument_that_is_written() -> None:
    def fill(x: Any, y: Any) -> Any:
        x.add_(y)
        return x.sum()

    f = tg.compile(fill)
    y = tg.ones(7).to(CUDA)
    for k in range(5):
        x = tg.full((7,), float(k)).to(CUDA)
        assert f(x, y).item() == 7.0 * (k + 1)
        assert x.tolist() == [k + 1.0] * 7


def test_random_numbers_are_drawn_anew() -> None:
    f = tg.compile(lambda x: x + tg.rand(4, device=CUDA))
    x = tg.zeros(4).to(CUDA)
    tg.manual_seed(5)
    want = [bits(x + tg.rand(4, device=CUDA)) for _ in range(6)]
    tg.manual_seed(5)
    assert [bits(f(x)) for _ in range(6)] == want
    assert len(set(want)) == 6
    assert launches(f) >= 3


def test_gradients_accumulated_over_calls() -> None:
    model, twin = net().to(CUDA), net()

    def backward(of: Any) -> Callable[[Any], Any]:
        def step(x: Any) -> Any:
            loss = of(x).square().sum()
            loss.backward()
            return loss

        return step

    compiled, eager = tg.compile(backward(model)), backward(twin)
    for k in range(7):
        x = numbers(9, 5, seed=k)
        assert bits(compiled(x.to(CUDA))) == bits(eager(x))
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            assert bits(p.grad) == bits(q.grad)
    assert launches(compiled) >= 2


def test_numbers_of_python_and_constants() -> None:
    scale = tg.tensor([1.0, 10.0])

    def f(x: Any) -> Any:
        ten = tg.tensor([10.0, 20.0], device=CUDA)
        return x * 2.0 + ten + tg.zeros(2, device=CUDA)

    compiled = tg.compile(f)
    for k in range(4):
        assert compiled((scale * k).to(CUDA)).tolist() == [2.0 * k + 10, 20.0 * k + 20]


def test_a_constant_that_is_overwritten_begins_anew_in_each_run() -> None:
    def f(x: Any) -> Any:
        total = tg.tensor([1.0, 2.0], device=CUDA)
        total += x
        total *= 2
        return total

    compiled = tg.compile(f)
    for k in range(5):
        assert compiled(tg.full((2,), float(k)).to(CUDA)).tolist() == [2.0 * (1 + k), 2.0 * (2 + k)]


def test_an_expectation_that_is_not_met_changes_nothing() -> None:
    count = tg.zeros(1).to(CUDA)

    def f(x: Any) -> Any:
        count.add_(1)
        _core.expect(x.sum(), 0, 10, lambda value: ValueError(f"the sum is {value}"))
        count.add_(10)
        return x * 2

    compiled = tg.compile(f)
    good, bad = tg.ones(3).to(CUDA), tg.full((3,), 9.0).to(CUDA)
    for k in range(1, 5):
        assert compiled(good).tolist() == [2.0] * 3
        assert count.item() == 11.0 * k
    for _ in range(2):
        with pytest.raises(ValueError, match="the sum is 27"):
            compiled(bad)
        assert count.item() == 44.0
    assert compiled(good).tolist() == [2.0] * 3
    assert count.item() == 55.0
    assert launches(compiled) >= 3


def test_what_is_refused_while_recording() -> None:
    here = tg.ones(3)
    with pytest.raises(RuntimeError, match="arguments are on cuda:0 and cpu, expected one device"):
        tg.compile(lambda a, b: (a, b))(here.to(CUDA), tg.ones(3))
    with pytest.raises(RuntimeError, match=r"moves a tensor of shape \(3,\) from cuda:0 while a step is recorded"):
        tg.compile(lambda x: x.cpu() * 2)(here.to(CUDA))
    with pytest.raises(RuntimeError, match="works on cpu in a step that began on cuda:0"):
        tg.compile(lambda x: (x * 2, here * 2))(here.to(CUDA))
    with pytest.raises(RuntimeError, match="reads a tensor's value"):
        tg.compile(lambda x: x.sum().item())(here.to(CUDA))


def test_a_recording_that_fails_is_undone() -> None:
    state = numbers(6).to(CUDA)
    before = bits(state)

    def f(x: Any) -> Any:
        state.mul_(2)
        raise KeyError("oops")

    with pytest.raises(KeyError):
        tg.compile(f)(tg.ones(2).to(CUDA))
    assert bits(state) == before


def test_plans_for_two_devices_and_shapes_share_a_function() -> None:
    f = tg.compile(lambda x: (x * 2).sum())
    for _ in range(3):
        for n in (1, 32, 1025):
            for device in (CPU, CUDA, "cuda:1") if tg.cuda.device_count() > 1 else (CPU, CUDA):
                y = f(tg.ones(n).to(device))
                assert y.item() == 2.0 * n
                assert y.device == tg.device(device) or device == CUDA
    assert len(f.plans) == 3 * (3 if tg.cuda.device_count() > 1 else 2)


def test_profile() -> None:
    f = tg.compile(lambda x: (x * 2).sum())
    x = tg.ones(5).to(CUDA)
    assert [name for name, _ in f.profile(x)] == ["mul", "sum"]
    assert all(seconds >= 0 for _, seconds in f.profile(x))


def test_a_plan_goes_from_stream_to_stream() -> None:
    f = tg.compile(lambda x: ((x * 2 + 1).tanh() @ x.T).sum())
    x, y = numbers(33, 31).to(CUDA), numbers(65, 31, seed=1).to(CUDA)
    want = [bits(f(t)) for t in (x, y) for _ in range(4)][3::4]
    default, other = tg.cuda.current_stream(), tg.cuda.Stream()
    found = []
    for k in range(6):  # what the plans of two shapes work in is one memory
        stream = other if k % 3 else default
        stream.wait_stream(default)
        with tg.cuda.stream(stream):
            found.append((f(x), f(y)))
    default.wait_stream(other)
    assert [(bits(a), bits(b)) for a, b in found] == [tuple(want)] * 6
    assert launches(f) >= 12


def test_plans_give_their_memory_back() -> None:
    gc.collect()
    before = tg.cuda.memory_allocated()
    x = numbers(100, 5).to(CUDA)
    y = numbers(100, 2).to(CUDA)
    model = net().to(CUDA)
    step = tg.compile(descent(model))
    for _ in range(4):
        step(x, y)
    assert tg.cuda.memory_allocated() > before
    del step, model, x, y
    gc.collect()
    assert tg.cuda.memory_allocated() == before


def test_epochs_have_the_bits_of_the_cpu() -> None:
    X, y = numbers(300, 5, seed=1), numbers(300, 2, seed=2)

    def fitted(device: str, dropout: float, compile: bool = True) -> tuple[list[bytes], list[float]]:
        model = net(dropout=dropout).to(device)
        optimizer = Descent(list(model.parameters()), 0.05)
        trainer = tg.Trainer(model, lambda p, t: (p - t).square().mean(), optimizer, compile=compile)
        tg.manual_seed(9)
        history = trainer.fit(X, y, epochs=3, batch_size=32, validation_data=(X[:50], y[:50]))
        assert trainer.predict(X[:40]).device.type == device
        return [bits(p) for p in model.parameters()], [*history["loss"], *history["val_loss"]]

    for dropout in (0.0, 0.3):
        want = fitted(CPU, dropout)
        assert fitted(CUDA, dropout) == want
    assert fitted(CUDA, 0.3, compile=False) == want


class Descent(tg.optim.Optimizer):
    """Made of ops."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @tg.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad * group["lr"])


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(IndexError) as caught:
        call()
    return str(caught.value)


def test_an_index_that_is_refused_changes_nothing() -> None:
    """What was written before the row that refuses is put back; the words are the CPU's."""

    def made(device: str) -> tuple[Any, Any, Any]:
        table, count = numbers(7, 3).to(device), tg.zeros(1).to(device)

        def f(at: Any, x: Any) -> Any:
            count.add_(1)
            table.mul_(1.5)
            picked = table[at] * x
            count.add_(10)
            return picked

        return tg.compile(f), table, count

    gpu, cpu = made(CUDA), made(CPU)
    x, good, bad = tg.ones(2, 3), tg.tensor([6, -7]), tg.tensor([1, 7])
    for k in range(8):
        if k in (4, 6):
            assert refused(lambda: gpu[0](bad.to(CUDA), x.to(CUDA))) == refused(lambda: cpu[0](bad, x))
        else:
            assert bits(gpu[0](good.to(CUDA), x.to(CUDA))) == bits(cpu[0](good, x))
        assert [bits(t) for t in gpu[1:]] == [bits(t) for t in cpu[1:]]
    assert launches(gpu[0]) >= 4


def test_an_epoch_stops_at_the_step_that_is_refused() -> None:
    X, y = numbers(200, 5), tg.zeros(200, dtype=tg.int64)
    y[130] = 9

    def fitted(device: str) -> tuple[str, list[bytes], int]:
        model, targets = net().to(device), tg.eye(2).to(device)
        trainer = tg.Trainer(
            model, lambda p, t: (p - targets[t]).square().mean(), Descent(list(model.parameters()), 0.05)
        )
        trainer.fit(X[:128], y[:128], epochs=2, batch_size=16)
        said = refused(lambda: trainer.fit(X, y, epochs=1, batch_size=16, shuffle=False))
        return said, [bits(p) for p in model.parameters()], trainer._running.position.batch

    want = fitted(CPU)
    assert want[2] == 8
    assert fitted(CUDA) == want


def test_checkpoints_and_early_stopping(tmp_path: Any) -> None:
    X, y = numbers(120, 5), numbers(120, 2, seed=1)

    def trainer(device: str) -> Any:
        model = net(dropout=0.2).to(device)
        return tg.Trainer(model, tg.nn.MSELoss(), tg.optim.Adam(model.parameters(), lr=0.01))

    def fitted(device: str, stop: bool) -> list[bytes]:
        path = tmp_path / f"{device}.safetensors"
        tg.manual_seed(4)
        of = trainer(device)
        options = {"batch_size": 32, "validation_data": (X[:30], y[:30]), "verbose": False}
        callbacks = [tg.train.EarlyStopping("val_loss", patience=1)]
        if stop:
            of.fit(X, y, epochs=2, callbacks=callbacks, **options)
            of.save_checkpoint(path)
            of = trainer(device)
            of.fit(X, y, epochs=4, resume=path, callbacks=[tg.train.EarlyStopping("val_loss", patience=1)], **options)
        else:
            of.fit(X, y, epochs=4, callbacks=callbacks, **options)
        return [bits(p) for p in of.model.parameters()]

    want = fitted(CPU, False)
    assert fitted(CUDA, False) == want
    assert fitted(CUDA, True) == want
