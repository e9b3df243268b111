"""What a plan was recorded under is found wherever the function keeps it, and compared exactly."""

from __future__ import annotations

import collections
import copy
import functools
import os
import pickle
import random
import signal
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg


def events() -> tg.Tensor:
    return tg.arange(6.0).reshape(2, 3) + 1


def module_named(name: str, code: str, **held: Any) -> Any:
    made = types.ModuleType(name)
    made.__dict__.update(held, tg=tg)
    exec(code, made.__dict__)  # noqa: S102 -- a file of the user's
    return made


# ---- modules and numbers, however they are reached


def by_partial(part: Any) -> Any:
    return functools.partial(module_named("theirs", "def f(x, k): return part(x) * k", part=part).f, k=1.0)


def by_callable_object(part: Any) -> Any:
    code = "class C:\n    def __call__(self, x): return self.inner(x)\n    def inner(self, x): return part(x)"
    return module_named("theirs", code, part=part).C()


def by_method_of_a_module(part: Any) -> Any:
    code = "class M(tg.nn.Module):\n    def forward(self, x): return self.inner(x)\n    def inner(self, x): return held[0](x)"
    return module_named("theirs", code, held=[part]).M()


def by_module_of_python(part: Any) -> Any:
    theirs = module_named("theirs", "def f(x): return part(x)", part=part)
    return lambda x: theirs.f(x)


def by_static_method(part: Any) -> Any:
    theirs = module_named("theirs", "class C:\n    @staticmethod\n    def f(x): return part(x)", part=part)
    held = theirs.C
    return lambda x: held.f(x)


def by_property(part: Any) -> Any:
    held = module_named("theirs", "class C:\n    @property\n    def f(self): return part", part=part).C()
    return lambda x: held.f(x)


def by_slot(part: Any) -> Any:
    class Slotted:
        __slots__ = ("part",)
        part: Any

    held = Slotted()
    held.part = part
    return lambda x: held.part(x)


def by_deque(part: Any) -> Any:
    parts = collections.deque([part])
    return lambda x: parts[0](x)


WAYS = [v for k, v in list(globals().items()) if k.startswith("by_")]


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_train_and_eval_of_a_module(way: Callable[[Any], Any]) -> None:
    part = tg.nn.Dropout(0.5)
    compiled, x = tg.compile(way(part)), events()
    for _ in range(2):
        assert not tg.equal(compiled(x), x)
    part.eval()
    for _ in range(2):
        assert tg.equal(compiled(x), x)
    assert len(compiled.plans) == 2


@pytest.mark.parametrize(
    "code",
    [
        "class M(tg.nn.Module):\n    def forward(self, x): return self.inner(x)\n    def inner(self, x): return x * K\nf = M()",
        "class C:\n    def __call__(self, x): return x * K\nf = C()",
        "import functools\ndef g(x, k): return x * k * K\nf = functools.partial(g, k=1.0)",
        "class C:\n    @classmethod\n    def g(cls, x): return x * K\ndef f(x): return C.g(x)",
    ],
)
def test_global_numbers_of_methods(code: str) -> None:
    theirs = module_named("theirs", code, K=2.0)
    compiled, x = tg.compile(theirs.f), events()
    assert tg.equal(compiled(x), x * 2)
    theirs.K = 3.0
    for _ in range(2):
        assert tg.equal(compiled(x), x * 3)


def test_numbers_of_a_module_of_python() -> None:
    config = module_named("config", "K = 2.0")
    compiled, x = tg.compile(lambda x: x * config.K), events()
    assert tg.equal(compiled(x), x * 2)
    config.K = 3.0
    for _ in range(2):
        assert tg.equal(compiled(x), x * 3)


def test_elements_exchanged() -> None:
    listed: list[Any] = [tg.nn.Linear(3, 3), tg.ones(3)]
    named: dict[str, Any] = {"a": tg.nn.Linear(3, 3)}

    def f(x: Any) -> Any:
        return named["a"](listed[0](x)) * listed[1]

    compiled, x = tg.compile(f), events()
    with tg.no_grad():
        compiled(x)
        for holder, key, value in (
            (listed, 0, tg.nn.Linear(3, 3)),
            (listed, 1, tg.zeros(3)),
            (named, "a", tg.nn.Linear(3, 3)),
        ):
            there: Any = holder
            there[key] = value
            for _ in range(2):
                assert tg.equal(compiled(x), f(x))
    assert len(compiled.plans) == 4


def test_attributes_of_classes() -> None:
    cls = module_named("theirs", "class M(tg.nn.Module):\n    k = 2.0\n    def forward(self, x): return x * self.k").M
    compiled, x = tg.compile(cls()), events()
    assert tg.equal(compiled(x), x * 2)
    cls.k = 3.0
    for _ in range(2):
        assert tg.equal(compiled(x), x * 3)
    cls.forward = lambda self, x: x + self.k
    for _ in range(2):
        assert tg.equal(compiled(x), x + 3)


def test_attributes_that_are_not_used_do_not_matter() -> None:
    class Fit:
        def __init__(self) -> None:
            self.w, self.last, self.kept = tg.ones(3), tg.zeros(()), {"loss": tg.zeros(())}

        def step(self, x: Any) -> Any:
            return (x * self.w).sum()

    fit = Fit()
    step = tg.compile(fit.step)
    for k in range(5):
        fit.last = fit.kept["loss"] = step(events() + k)
    assert [p.calls for p in step.plans] == [4]


def test_defaults_and_code() -> None:
    def f(x: Any, k: float = 2.0, *, m: float = 1.0) -> Any:
        return x * k * m

    compiled, x = tg.compile(f), events()
    assert tg.equal(compiled(x), x * 2)
    f.__defaults__ = (3.0,)
    assert tg.equal(compiled(x), x * 3)
    assert f.__kwdefaults__ is not None
    f.__kwdefaults__["m"] = 4.0
    assert tg.equal(compiled(x), x * 12)
    f.__code__ = (lambda x, k=1.0, *, m=1.0: x + k + m).__code__
    for _ in range(2):
        assert tg.equal(compiled(x), x + 7)


def test_zeros_have_signs() -> None:
    number, x = 0.0, events()
    by_argument, by_variable = tg.compile(lambda x, k: x * k), tg.compile(lambda x: x * number)
    layer = module_named(
        "theirs",
        "class M(tg.nn.Module):\n    def __init__(self):\n        super().__init__(); self.k = 0.0\n"
        "    def forward(self, x): return x * self.k",
    ).M()
    by_attribute = tg.compile(layer)
    for value in (0.0, -0.0, 0.0):
        number = layer.k = value
        for made in (by_argument(x, value), by_variable(x), by_attribute(x)):
            assert bool(np.signbit(made.numpy()).all()) == (str(value) == "-0.0")


def test_attribute_that_becomes_a_float() -> None:
    layer = module_named(
        "theirs",
        "class M(tg.nn.Module):\n    def __init__(self):\n        super().__init__(); self.k = 2\n"
        "    def forward(self, x): return x * self.k",
    ).M()
    compiled = tg.compile(layer)
    assert compiled(tg.arange(3)).dtype is tg.int64
    layer.k = 2.0
    assert compiled(tg.arange(3)).dtype is tg.float32


def test_default_dtype() -> None:
    compiled, x = tg.compile(lambda x: x + tg.zeros(3)), events()
    assert compiled(x).dtype is tg.float32
    tg.set_default_dtype(tg.float64)
    try:
        assert compiled(x).dtype is tg.float64
    finally:
        tg.set_default_dtype(tg.float32)
    assert compiled(x).dtype is tg.float32


def test_anomalies_are_asked_for_later() -> None:
    p = tg.nn.Parameter(tg.zeros(3))

    @tg.compile
    def step(x: Any) -> Any:
        p.grad = None
        loss = (p * x).sum()
        loss.backward()
        return loss

    step(events())
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="reads a tensor's value"):
        step(events())


@pytest.mark.parametrize("rng", [random.Random(0), np.random.default_rng(0), np.random.RandomState(0)])
def test_generators_of_python_and_numpy(rng: Any) -> None:
    draw = "rng.random()" if hasattr(rng, "random") else "rng.random_sample()"
    function = module_named("theirs", f"def f(x): return x * float({draw})", rng=rng).f
    with pytest.raises(RuntimeError, match="random numbers of Python or numpy"):
        tg.compile(function)(events())


# ---- arguments that are something else as well


def test_argument_that_is_a_state_when_recorded() -> None:
    w = tg.ones(3)

    @tg.compile
    def step(x: Any) -> Any:
        w.add_(1.0)
        return x + w

    for y, expected in ((w, 4.0), (tg.zeros(3), 3.0), (w, 8.0), (tg.zeros(3), 5.0)):
        before = y.tolist()
        assert step(y).tolist() == [expected] * 3
        assert y is w or y.tolist() == before
    assert w.tolist() == [5.0] * 3


def test_argument_that_is_a_view_of_a_state() -> None:
    def sums(first: bool) -> list[float]:
        b = tg.ones(2, 3)

        def step(x: Any) -> Any:
            before = x * 2
            b.add_(1.0)
            return before + x * 2 + b.sum()

        function = tg.compile(step) if first else step
        return [function(y).tolist() for y in (tg.zeros(3), b[0], tg.zeros(3), b[1].detach(), tg.ones(3))]

    assert sums(True) == sums(False)


def test_argument_that_is_a_parameter() -> None:
    def trained(compiled: bool) -> list[Any]:
        tg.manual_seed(0)
        layer, x = tg.nn.Linear(3, 3), events()
        optimizer = tg.optim.SGD(layer.parameters(), lr=0.01)

        def step(w: Any) -> Any:
            optimizer.zero_grad()
            loss = (layer(x) ** 2).sum() + (w**2).sum()
            loss.backward()
            optimizer.step()
            return loss

        function, q = tg.compile(step) if compiled else step, tg.nn.Parameter(tg.ones(3, 3))
        losses = [function(w).detach().tolist() for w in (layer.weight, q, q, layer.weight, q)]
        return [losses, layer.weight.tolist(), q.tolist(), q.grad.tolist()]

    assert trained(True) == trained(False)


def test_batches_of_a_table_that_the_object_holds() -> None:
    class Fit:
        def __init__(self) -> None:
            self.table, self.w = tg.randn(8, 3), tg.ones(3)

        def step(self, x: Any) -> Any:
            return (x * self.w).sum()

    fit = Fit()
    step = tg.compile(fit.step)
    for k in range(4):
        x = fit.table[2 * k : 2 * k + 2]
        assert tg.equal(step(x), x.sum())
    assert [p.calls for p in step.plans] == [3]


def test_writing_into_arguments_that_are_copied() -> None:
    def step(x: Any, y: Any) -> Any:
        x.add_(1.0)
        return (x + y).sum()

    a, b = tg.zeros(3, 2), tg.zeros(2, 3)
    for first in (True, False):  # when recorded, and when replayed
        compiled = tg.compile(step)
        if not first:
            compiled(tg.ones(2, 3), b)
        for x, y in ((a.T, b), (b, b), (np.zeros((2, 6), np.float32)[:, ::2], b), (b, b[0:1])):
            with pytest.raises(RuntimeError, match="but the function writes into it"):
                compiled(x, y) if y.shape == b.shape else compiled(x, y.expand(2, 3))
    assert not a.any()
    assert not b.any()
    c = tg.zeros(2, 3)
    assert compiled(c, a.T).item() == 6.0
    assert c.tolist() == [[1.0] * 3] * 2


# ---- optimizers


def training(optimizer: Any, a: Any, b: Any) -> Any:
    @tg.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        b.grad = None
        loss = ((a + b) * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


def test_groups_taken_out_and_exchanged() -> None:
    a, b, x = tg.nn.Parameter(tg.ones(3)), tg.nn.Parameter(tg.ones(3)), events()
    optimizer = tg.optim.SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    step = training(optimizer, a, b)
    step(x)
    step(x)
    optimizer.param_groups.pop()
    before = b.tolist()
    step(x)
    assert b.tolist() == before
    optimizer.param_groups[0]["params"][0] = b
    before, kept = b.tolist(), a.tolist()
    step(x)
    assert b.tolist() != before
    assert a.tolist() == kept
    optimizer.param_groups[0] = {**optimizer.param_groups[0], "lr": 0.0}
    before = b.tolist()
    step(x)
    assert b.tolist() == before


def test_exception_in_the_first_step_of_momentum() -> None:
    p = tg.nn.Parameter(tg.ones(3))
    optimizer = tg.optim.SGD([p], lr=0.1, momentum=0.9)

    def step(x: Any) -> None:
        loss = (p * x + tg.rand(3)).sum()
        loss.backward()
        optimizer.step()
        raise KeyError("oops")

    before = tg.get_rng_state()
    with pytest.raises(KeyError, match="oops"):
        tg.compile(step)(events())
    assert tg.equal(tg.get_rng_state(), before)
    assert p.tolist() == [1.0] * 3


def test_gradients_of_a_step_that_raises_late() -> None:
    layer: Any = tg.nn.Linear(3, 3)

    @tg.compile
    def step(x: Any, y: Any) -> Any:
        layer.zero_grad()
        loss = (layer(x) ** 2).sum()
        loss.backward()
        with tg.no_grad():
            tg.nn.CrossEntropyLoss()(layer(x), y)
        return loss

    x, y = events(), tg.tensor([0, 1])
    for _ in range(3):
        step(x, y)
    before = [p.grad.tolist() for p in layer.parameters()]
    with pytest.raises(IndexError):
        step(x * 2, tg.tensor([0, 99]))
    assert [p.grad.tolist() for p in layer.parameters()] == before


def test_generators_in_any_order_do_not_wait_for_each_other() -> None:
    g, h = tg.Generator(), tg.Generator()
    one = tg.compile(lambda x: x + tg.rand(3, generator=g) + tg.rand(3, generator=h))
    other = tg.compile(lambda x: x + tg.rand(3, generator=h) + tg.rand(3, generator=g))
    x = events()

    def often(function: Any) -> None:
        for _ in range(2000):
            function(x)

    threads = [threading.Thread(target=often, args=(f,), daemon=True) for f in (one, other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert not any(t.is_alive() for t in threads)


def test_fork_while_a_generator_draws() -> None:
    generator, x = tg.Generator(), events()
    compiled, stop = tg.compile(lambda x: x + tg.rand(3, generator=generator)), threading.Event()

    def draw() -> None:
        while not stop.is_set():
            compiled(x)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
                child = os.fork()
            if child == 0:
                signal.alarm(5)
                compiled(x)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


# ---- copies


def test_copies() -> None:
    layer, x = tg.nn.Linear(3, 2), events()
    compiled = tg.compile(layer)
    with tg.no_grad():
        compiled(x)
        for made in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
            assert tg.equal(made(x), layer(x))
            assert made.weight is not layer.weight
            made.weight.zero_()
            assert tg.equal(made(x)[0], made.bias)
            assert not tg.equal(made(x), compiled(x))


def test_attributes_set_on_a_compiled_module() -> None:
    layer, x = tg.nn.Dropout(0.0), events()
    compiled = tg.compile(layer)
    compiled(x)
    compiled.p = 1.0
    assert layer.p == 1.0
    assert tg.equal(compiled(x), tg.zeros(2, 3))
