"""Whatever holds what a step uses: changed between two calls, it is noticed; changed by the step itself, the step stays right."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import trigrad as tg

Act = Callable[[], Any]


def events(k: int = 0) -> tg.Tensor:
    return tg.arange(6.0).reshape(2, 3) + k + 1


class Plain:
    pass


class Slotted:
    __slots__ = ("number", "part", "tensor")
    number: float
    part: Any
    tensor: tg.Tensor


# ---- changed between calls: the step, and what is done


def number_of_an_object() -> tuple[Any, Act]:
    held: Any = Plain()
    held.k = 2.0
    return lambda x: x * held.k, lambda: setattr(held, "k", 3.0)


def number_behind_a_property() -> tuple[Any, Act]:
    class Held:
        def __init__(self) -> None:
            self._k = 2.0

        @property
        def k(self) -> float:
            return self._k

    held = Held()
    return lambda x: x * held.k, lambda: setattr(held, "_k", 3.0)


def number_behind_an_operator() -> tuple[Any, Act]:
    class Held:
        def __init__(self) -> None:
            self.numbers = {"k": 2.0}

        def __getitem__(self, key: str) -> float:
            return self.numbers[key]

    held = Held()
    return lambda x: x * held["k"], lambda: held.numbers.update(k=3.0)


def number_in_a_slot() -> tuple[Any, Act]:
    held = Slotted()
    held.number = 2.0
    return lambda x: x * held.number, lambda: setattr(held, "number", 3.0)


def tensor_in_a_slot() -> tuple[Any, Act]:
    held = Slotted()
    held.tensor = tg.ones(3)
    return lambda x: x * held.tensor, lambda: setattr(held, "tensor", tg.full((3,), 4.0))


def module_in_a_slot() -> tuple[Any, Act]:
    held = Slotted()
    held.part = tg.nn.Linear(3, 3)
    return lambda x: held.part(x), lambda: setattr(held, "part", tg.nn.Linear(3, 3))


def number_in_a_list() -> tuple[Any, Act]:
    held = [1.0, 2.0]
    return lambda x: x * held[1], lambda: held.__setitem__(1, 3.0)


def number_in_a_list_in_a_dict() -> tuple[Any, Act]:
    held = {"a": [[2.0]]}
    return lambda x: x * held["a"][0][0], lambda: held["a"][0].__setitem__(0, 3.0)


def number_in_a_default() -> tuple[Any, Act]:
    def f(x: Any, held: Any = [2.0]) -> Any:  # noqa: B006 -- it is what is tested
        return x * held[0]

    assert f.__defaults__ is not None
    first = f.__defaults__[0]
    return f, lambda: first.__setitem__(0, 3.0)


def number_in_an_array() -> tuple[Any, Act]:
    held = np.array([[1.0, 2.0]])
    return lambda x: x * float(held[0, 1]), lambda: held.__setitem__((0, 1), 3.0)


def number_in_a_strided_array() -> tuple[Any, Act]:
    whole = np.arange(6.0).reshape(2, 3)
    held = whole[:, ::2]
    return lambda x: x * held[1, 1], lambda: whole.__setitem__((1, 2), 3.0)


def number_in_a_namespace_in_a_module() -> tuple[Any, Act]:
    class Scaled(tg.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.options = types.SimpleNamespace(k=2.0)

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            return x * self.options.k

    made = Scaled()
    return made, lambda: setattr(made.options, "k", 3.0)


def list_that_grows() -> tuple[Any, Act]:
    held: list[Callable[[Any], Any]] = [tg.relu]

    def f(x: Any) -> Any:
        for act in held:
            x = act(x)
        return x

    return f, lambda: held.append(tg.tanh)


def dict_that_grows() -> tuple[Any, Act]:
    held = {"a": tg.ones(3)}
    return lambda x: x + sum(held.values()), lambda: held.update(b=tg.ones(3))


def set_that_grows() -> tuple[Any, Act]:
    held = {tg.ones(3)}
    return lambda x: x + sum(held), lambda: held.add(tg.ones(3))


def set_with_another_element() -> tuple[Any, Act]:
    held = {2.0}
    return lambda x: x * max(held), lambda: held.symmetric_difference_update({2.0, 3.0})


def deque_that_turns() -> tuple[Any, Act]:
    held = collections.deque([tg.ones(3), tg.full((3,), 2.0)])
    return lambda x: x * held[0], lambda: held.rotate()


def attribute_whose_name_is_a_variable() -> tuple[Any, Act]:
    held: Any = Plain()
    held.k, name = tg.ones(3), "k"
    return lambda x: x * getattr(held, name), lambda: setattr(held, "k", tg.zeros(3))


def attribute_that_was_not_there() -> tuple[Any, Act]:
    class Held:
        k = 2.0

    held = Held()
    return lambda x: x * held.k, lambda: setattr(held, "k", 3.0)


def attribute_far_away() -> tuple[Any, Act]:
    top: Any = Plain()
    last = top
    for _ in range(12):
        last.n = Plain()
        last = last.n
    last.k = tg.ones(3)
    return lambda x: x * top.n.n.n.n.n.n.n.n.n.n.n.n.k, lambda: setattr(last, "k", tg.zeros(3))


def attributes_without_names() -> tuple[Any, Act]:
    held: Any = Plain()
    held.k = 2.0
    return lambda x: x * sum(vars(held).values()), lambda: setattr(held, "k", 3.0)


def method_of_one_object() -> tuple[Any, Act]:
    class Held:
        def act(self, x: Any) -> Any:
            return x * 2

    held = Held()
    return lambda x: held.act(x), lambda: setattr(held, "act", lambda x: x * 3)


def method_of_a_derived_class() -> tuple[Any, Act]:
    class Base:
        def act(self, x: Any) -> Any:
            return x * 2

    class Held(Base):
        pass

    held = Held()
    return lambda x: held.act(x), lambda: setattr(Held, "act", lambda self, x: x * 3)


def class_of_an_object() -> tuple[Any, Act]:
    class Held:
        def act(self, x: Any) -> Any:
            return x * 2

    class Other:
        def act(self, x: Any) -> Any:
            return x * 3

    held = Held()
    return lambda x: held.act(x), lambda: setattr(held, "__class__", Other)


CHANGES = [v for v in list(globals().values()) if getattr(v, "__annotations__", {}).get("return") == "tuple[Any, Act]"]


@pytest.mark.parametrize("make", CHANGES, ids=lambda f: f.__name__)
def test_changed_between_calls(make: Callable[[], tuple[Any, Act]]) -> None:
    f, change = make()
    compiled = tg.compile(f)
    with tg.no_grad():
        for k in range(3):
            assert tg.equal(compiled(events(k)), f(events(k)))
        before = f(events())
        change()
        assert not tg.equal(f(events()), before)
        for k in range(3):
            assert tg.equal(compiled(events(k)), f(events(k)))
    assert [plan.calls for plan in compiled.plans] == [2, 2]


@pytest.mark.parametrize("method", ["step", "zero_grad"])
def test_methods_of_one_optimizer(method: str) -> None:
    def trained(compile: Callable[..., Any]) -> list[float]:
        w = tg.nn.Parameter(tg.ones(3))
        optimizer = tg.optim.SGD([w], lr=0.1)

        @compile
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (w * x).sum()
            loss.backward()
            optimizer.step()
            return loss

        for k in range(6):
            if k == 3:
                setattr(optimizer, method, lambda: None)
            step(events(k))
        return w.tolist()

    assert trained(tg.compile) == trained(lambda f: f)


# ---- changed by the step


def counting_object() -> Any:
    class Count:
        n = 0

        def __call__(self, x: Any) -> Any:
            self.n += 1
            return x * self.n

    return Count()


def counting_variable() -> Any:
    n = 0

    def f(x: Any) -> Any:
        nonlocal n
        n += 1
        return x * n

    return f


def counting_list() -> Any:
    held: list[int] = []

    def f(x: Any) -> Any:
        held.append(x.shape[0])
        return x * len(held)

    return f


def counting_dict() -> Any:
    held: dict[str, int] = {}

    def f(x: Any) -> Any:
        held["n"] = held.get("n", 0) + 1
        return x * held["n"]

    return f


def counting_iterator_of_ones_own() -> Any:
    class Numbers:
        def __init__(self) -> None:
            self.n = 0

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            self.n += 1
            return self.n

    numbers = Numbers()
    return lambda x: x * next(numbers)


@pytest.mark.parametrize(
    "make",
    [counting_object, counting_variable, counting_list, counting_dict, counting_iterator_of_ones_own],
    ids=lambda f: f.__name__,
)
def test_counted_by_the_step(make: Callable[[], Any]) -> None:
    """Run by Python each time, as no call is like the one before."""
    f, compiled = make(), tg.compile(make())
    for k in range(4):
        assert tg.equal(compiled(events(k)), f(events(k)))
    assert not compiled.plans


def test_modes_that_the_step_leaves() -> None:
    def trained(compile: Callable[..., Any]) -> list[Any]:
        tg.manual_seed(0)
        layer = tg.nn.Dropout(0.5)

        def f(x: Any) -> Any:
            layer.eval()
            return layer(x)

        function, found = compile(f), []
        for k in range(6):
            if k % 3 == 0:
                layer.train()
            found += [function(events(k)).tolist(), layer.training]
        return found

    assert trained(tg.compile) == trained(lambda f: f)


def test_grad_mode_that_the_step_leaves() -> None:
    def f(x: Any) -> Any:
        tg.set_grad_enabled(False)
        return x * 2

    compiled = tg.compile(f)
    for k in range(3):
        compiled(events(k))
        assert not tg.is_grad_enabled()
        tg.set_grad_enabled(True)


def test_argument_that_begins_to_require_a_gradient() -> None:
    def f(x: Any) -> Any:
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad

    compiled = tg.compile(f)
    for k in range(3):
        x = events(k)
        assert tg.equal(compiled(x), 2 * x.detach())
        assert x.requires_grad
        assert x.grad is not None


def generator() -> Iterator[tg.Tensor]:
    for k in range(10):
        yield tg.full((3,), float(k))


def chained() -> Iterator[tg.Tensor]:
    yield from generator()


ITERATORS: dict[str, Callable[[], Any]] = {
    "list": lambda: iter([tg.ones(3)] * 5),
    "range": lambda: iter(range(5)),
    "count": lambda: itertools.count(1),
    "enumerate": lambda: (k for k, _ in enumerate("abcd")),
    "generator": generator,
    "generator of a generator": chained,
    "map": lambda: map(float, range(5)),
    "zip": lambda: (a for a, _ in zip(range(5), range(5), strict=True)),
    "batches": lambda: (
        x for (x,) in tg.utils.data.DataLoader(tg.utils.data.TensorDataset(tg.ones(4, 3)), batch_size=1)
    ),
}


@pytest.mark.parametrize("kind", ITERATORS)
def test_iterators_that_the_step_advances(kind: str) -> None:
    held = ITERATORS[kind]()
    with pytest.raises(RuntimeError, match=r"an iterator .* was advanced .* take it outside"):
        tg.compile(lambda x: x * next(held))(events())


def test_iterators_that_the_step_leaves_alone() -> None:
    held = [make() for make in ITERATORS.values()]
    compiled = tg.compile(lambda x: x * len(held))
    for k in range(3):
        assert tg.equal(compiled(events(k)), events(k) * len(held))
    assert [plan.calls for plan in compiled.plans] == [2]


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_optimizers_made_by_the_step(kind: str) -> None:
    w = tg.nn.Parameter(tg.ones(3))

    def step(x: Any) -> Any:
        optimizer = getattr(tg.optim, kind)([w], lr=0.125)
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = tg.compile(step)
    if kind == "SGD":  # keeps nothing
        for k in range(1, 4):
            compiled(tg.ones(3))
            assert w.tolist() == [1 - 0.125 * k] * 3
    else:
        with pytest.raises(RuntimeError, match=r"made inside of the step.*make it before the first call"):
            compiled(tg.ones(3))
        assert w.tolist() == [1.0] * 3


# ---- objects among the arguments


class Options:
    def __init__(self, k: float) -> None:
        self.k = k

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass
class Batch:
    x: tg.Tensor | None
    k: float


@pytest.mark.parametrize("make", [Options, lambda k: Batch(None, k), lambda k: types.SimpleNamespace(k=k)])
def test_numbers_of_objects_among_the_arguments(make: Callable[[float], Any]) -> None:
    compiled, held = tg.compile(lambda x, options: x * options.k), make(0.0)
    for k in (1.0, 1.0, 2.0, 2.0, 1.0):
        held.k = k
        assert tg.equal(compiled(events(), held), events() * k)
        assert tg.equal(compiled(events(), make(k + 5)), events() * (k + 5))


def test_tensors_of_objects_among_the_arguments() -> None:
    compiled = tg.compile(lambda batch: batch.x * batch.k)
    for k in range(4):
        assert tg.equal(compiled(Batch(events(k), 2.0)), events(k) * 2)


def test_containers_of_other_kinds_among_the_arguments() -> None:
    class Row(list[Any]):
        pass

    first = tg.compile(lambda held: next(iter(held.values() if isinstance(held, dict) else held)) * 2)
    for k in range(3):
        x = events(k)
        default: Any = collections.defaultdict(list)
        default["x"] = x
        for held in (Row([x]), default, collections.OrderedDict(x=x), collections.deque([x]), {x}, frozenset([x])):
            assert tg.equal(first(held), x * 2)


def test_arrays_without_axes() -> None:
    compiled, a = tg.compile(lambda x, k: x * k), np.array(0.0, np.float32)
    for k in range(4):
        a[...] = k
        assert tg.equal(compiled(events(), a), events() * k)
    assert [plan.calls for plan in compiled.plans] == [3]


@pytest.mark.parametrize("kind", ["list", "dict", "nested"])
def test_containers_that_the_step_changes(kind: str) -> None:
    def f(held: Any) -> Any:
        if kind == "dict":
            held["n"] = 1
        else:
            (held[1] if kind == "nested" else held).append(3)
        return 1

    compiled = tg.compile(f)
    with pytest.raises(RuntimeError, match=r"a list or dict among the arguments was changed.*return what is new"):
        compiled({"x": events()} if kind == "dict" else [events(), []])


def test_tensors_of_inference_mode() -> None:
    """Refused as eager refuses them, though a plan is there for others."""
    layer: Any = tg.nn.Linear(3, 1)
    compiled = tg.compile(lambda x: layer(x).sum().backward())
    scaled = tg.compile(lambda x: x.mul_(2))
    with tg.inference_mode():
        x = events() + 0
    for _ in range(2):
        compiled(events())
        scaled(events())
        with pytest.raises(RuntimeError, match="made in inference mode"):
            compiled(x)
        with pytest.raises(RuntimeError, match="made in inference mode"):
            scaled(x)
    assert tg.equal(x, events())


def test_one_tensor_twice_among_the_results() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return y, [y], y.T

    compiled = tg.compile(f)
    for k in range(3):
        y, (same,), turned = compiled(events(k))
        assert y is same
        y.zero_()
        assert not turned.any()


# ---- what installed packages define


def test_installed_packages_are_not_walked_through() -> None:
    """Their functions are many, and nobody changes them."""
    from trigrad._reach import Reach

    def f(x: Any) -> Any:
        return x if pytest.approx(1.0) == 1.0 else pytest.main

    assert len(Reach(f, [], ()).variables) < 10
