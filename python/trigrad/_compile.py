"""`compile`: a function is recorded while it runs once, and from then on replayed in C++.

What C++ does with a recording is in csrc/plan/; here is when a plan may be used again. A plan holds under

- its arguments: structure, shapes, dtypes, requires_grad, inference mode, Python numbers by value;
- grad mode, requires_grad and memory of the tensors that were asked, whether gradients were there that were looked at;
- the variables, attributes and elements that the function and its helpers look at (_reach.py): numbers by value, others by identity;
- modules and optimizers that are reached from these, or that are called while recording: what they are made of (`_structure`),
  compared whenever the count of changes that they keep (`_core.structure`) has moved; the states that an update row overwrites,
  by identity.

A step that leaves any of this otherwise than it found it gets no plan.
"""

from __future__ import annotations

import copy
import functools
import gc
import math
import os
import pickle
import random
import sys
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

from trigrad import _core
from trigrad._core import Tensor
from trigrad._creation import as_tensor
from trigrad._hooks import witness
from trigrad._reach import SCALAR, Reach, Same, is_foreign, package

__all__ = ["compile"]

MOST_PLANS = 16  # of one function; then the one that was used longest ago goes

_NONE: frozenset[int] = frozenset()


# ---- arguments: nested lists, tuples and dicts of tensors, arrays and constants


class _Leaf(NamedTuple):
    """The place of a tensor among the flat arguments or results."""

    place: int


class _Constant:
    """What is no tensor and no structure of them: compared by `key`."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any, key: Any) -> None:
        self.value, self.key = value, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Constant) and bool(self.key == other.key)

    __hash__ = None  # type: ignore[assignment]


def _key(value: Any) -> Any:
    """Equal for constants that may take each other's place: numbers and text by value, fields of dataclasses too; other
    objects of classes of a user's are no others (what they hold is looked at by Reach), nor are lists and the like.
    """
    kind = type(value)
    if isinstance(value, float):
        return kind, value, math.copysign(1.0, value)  # 0.0 is not -0.0
    if isinstance(value, SCALAR):
        return kind, value
    import numpy as np  # here, as below: `import trigrad` needs neither

    if isinstance(value, np.generic):
        return kind, value.tobytes()
    if kind is slice:
        return kind, _key(value.start), _key(value.stop), _key(value.step)
    if isinstance(value, (set, frozenset)) and all(isinstance(v, SCALAR) for v in value):
        return kind, frozenset(map(_key, value))
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses

        held = [getattr(value, f.name, None) for f in dataclasses.fields(value)]
        if all(isinstance(v, SCALAR) for v in held):
            return kind, *map(_key, held)
    return kind, value if _is_by_value(kind) else Same(value)  # type: ignore[arg-type]


@functools.lru_cache(256)
def _is_array(kind: type) -> bool:
    if not hasattr(kind, "__array_interface__"):
        return False
    import numpy as np

    return not issubclass(kind, np.generic)


@functools.lru_cache(256)
def _is_by_value(kind: type) -> bool:
    return is_foreign(package(kind)) and kind.__hash__ is not None


def _flatten(value: Any, tensors: list[Any]) -> Any:
    """The structure of `value`, with tensors and arrays moved to the list."""
    kind = type(value)
    if kind is Tensor or _is_array(kind):  # type: ignore[arg-type]
        tensors.append(value)
        return _Leaf(len(tensors) - 1)
    if kind is tuple or kind is list or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return (kind, *[_flatten(v, tensors) for v in value])
    if isinstance(value, dict) and (kind.__init__ is dict.__init__ or kind is OrderedDict):
        return (kind, *[(k, _flatten(v, tensors)) for k, v in value.items()])
    return _Constant(value, _key(value))


def _constants(tree: Any) -> Iterator[Any]:
    if type(tree) is _Constant:
        yield tree.value
    elif type(tree) is not _Leaf:
        is_dict = issubclass(tree[0], dict)
        for part in tree[1:]:
            yield from _constants(part[1] if is_dict else part)


_plain_trees: dict[int, Any] = {}


def _plain_tree(n: int) -> Any:
    """The structure of n tensors as positional arguments."""
    tree = _plain_trees.get(n)
    if tree is None:
        tree = _plain_trees[n] = (tuple, (tuple, *(_Leaf(i) for i in range(n))), (dict,))
    return tree


def _rebuild(tree: Any, tensors: Sequence[Any]) -> Any:
    if type(tree) is _Leaf:
        return tensors[tree.place]
    if type(tree) is _Constant:
        return tree.value
    kind = tree[0]
    if issubclass(kind, dict):
        return kind((k, _rebuild(v, tensors)) for k, v in tree[1:])
    parts = [_rebuild(v, tensors) for v in tree[1:]]
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def _placed(tree: Any, places: list[Any]) -> Any:
    """The same structure with others in the places of its leaves."""
    if type(tree) is _Leaf:
        return places[tree.place]
    if type(tree) is _Constant:
        return tree
    kind = tree[0]
    if issubclass(kind, dict):
        return (kind, *[(k, _placed(v, places)) for k, v in tree[1:]])
    return (kind, *[_placed(v, places) for v in tree[1:]])


def _taken(values: list[Any]) -> tuple[tuple[Tensor, ...], frozenset[int]]:
    """Arguments as contiguous tensors, no two on the same memory, and the places of those that may not be written into: of
    copies, and of what has a copy among the others."""
    taken: list[Tensor] = []
    seen: dict[int, int] = {}
    copied: set[int] = set()
    for i, value in enumerate(values):
        t = value if type(value) is Tensor else as_tensor(value)
        if not t.is_contiguous() or (len(values) > 1 and t._storage_id in seen):
            copied |= {i, seen.setdefault(t._storage_id, i)}
            if t.requires_grad:
                raise RuntimeError(
                    "[compile] an argument that requires a gradient is not contiguous, or shares its memory with another; "
                    "pass x.detach().clone().requires_grad_()"
                )
            t = t.detach().clone()
        seen.setdefault(t._storage_id, i)
        taken.append(t)
    return tuple(taken), frozenset(copied)


def _refuse_writing(places: frozenset[int]) -> None:
    if places:
        raise RuntimeError(
            f"[compile] argument {min(places)} is not contiguous, or shares its memory with another, but the function writes "
            "into it; pass x.clone(), or write into a copy inside"
        )


# ---- one plan


class Plan:
    """A program that was recorded, and what it was recorded under. `print` it."""

    def __init__(self, core: _core.Plan, tree: Any, result: Any, reach: Reach, sources: list[Any]) -> None:
        self._written = _NONE  # places of arguments
        self._core, self._tree, self._result, self._reach, self._sources = core, tree, result, reach, sources
        by_generator: dict[int, tuple[Any, list[int]]] = {}
        for i, (kind, source, *_) in enumerate(sources):
            if kind == "draw":
                by_generator.setdefault(id(source), (source, []))[1].append(i)
        self._draws = [by_generator[i] for i in sorted(by_generator)]  # one order of locks for all plans
        # One result of plain arguments, and no random numbers: C++ knows the whole way.
        self._short = result == _Leaf(0) and tree == _plain_tree(len(tree[1]) - 1) and not self._draws
        for kind, holder, key, value in reach.variables:
            core.guard(kind, holder, key, value, isinstance(value, SCALAR))
        live = [source for kind, source, *_ in sources if kind == "numbers"]
        for kind, source, *rest in sources:
            if kind == "numbers":
                for guarded, holder, key, value in source._guards(rest[0]):
                    core.guard(guarded, holder, key, value, False)
        for optimizer in reach.optimizers():
            if not any(optimizer is o for o in live):  # its step is in Python, its numbers are constants of the plan
                for group in optimizer.param_groups:
                    for name, value in group.items():
                        core.guard("item", group, name, value, isinstance(value, (*SCALAR, tuple)))

    def _holds(self, tree: Any, arguments: tuple[Tensor, ...]) -> bool:
        if tree != self._tree or not self._core.matches(arguments):
            return False
        now = _core.structure()
        if now != self._core.structure:
            if not self._reach.holds():
                return False
            self._core.structure = now
        return True

    def _run(self, arguments: tuple[Tensor, ...], run: Callable[..., Any], *more: Any) -> Any:
        """The outputs, or None where options of an optimizer want another program."""
        numbers = [s[1]._numbers(s[2]) if s[0] == "numbers" else None for s in self._sources]
        if not self._draws:
            return run(arguments, tuple(numbers), *more)
        generators = [g for g, _ in self._draws]
        for g in generators:
            g._lock.acquire()
        before = self._core.calls
        try:
            for g, places in self._draws:
                for k, i in enumerate(places):
                    numbers[i] = (g._seed, g._step + k, len(places))
            return run(arguments, tuple(numbers), *more)
        finally:
            steps = self._core.calls - before  # none where the run was refused
            for g, places in self._draws:
                g._step += len(places) * steps
            for g in generators:
                g._lock.release()

    @property
    def calls(self) -> int:
        """How often it was replayed."""
        return self._core.calls

    @property
    def arena_bytes(self) -> int:
        """Bytes that all intermediate results share."""
        return self._core.arena_bytes

    def __len__(self) -> int:
        return self._core.n_instructions

    def __str__(self) -> str:
        return self._core.text()

    def __repr__(self) -> str:
        return f"<trigrad plan of {len(self)} instructions, arena {self.arena_bytes} bytes, {self.calls} replays>"


# ---- a compiled function


class CompiledFunction:
    """What `compile` returns: call it as the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.plans: list[Plan] = []
        self._lock = threading.RLock()
        self.__wrapped__ = function
        if isinstance(function, types.FunctionType):
            self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        _compiled.add(self)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # not yet there
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        wrapped = self.__dict__.get("__wrapped__")
        if wrapped is None or name in self.__dict__ or not hasattr(type(wrapped), "_structure"):
            object.__setattr__(self, name, value)
        else:
            setattr(wrapped, name, value)  # of the module, as reading does

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        return CompiledFunction(copy.deepcopy(self.__wrapped__, memo))  # plans are for the original's tensors

    def __reduce__(self) -> Any:
        return CompiledFunction, (self.__wrapped__,)

    def __repr__(self) -> str:
        return f"<trigrad.compile of {self.__wrapped__!r}: {len(self.plans)} plans>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and self.plans and (first := self.plans[0])._short:
            with self._lock:
                made = first._core.replay(args)
            if made is not NotImplemented:
                return made
        if not kwargs and _core.plain(args):
            tree, arguments, copied = _plain_tree(len(args)), args, _NONE
        elif _core.is_recording():  # within another compiled function: part of its plan
            return self.__wrapped__(*args, **kwargs)
        else:
            tensors: list[Any] = []
            tree = _flatten((args, kwargs), tensors)
            arguments, copied = _taken(tensors)
        with self._lock:
            plan, made = self._replayed(tree, arguments, copied, "run")
            if plan is None:
                return self._record(tree, arguments, copied)
            return _rebuild(plan._result, (*made, *arguments))

    def _replayed(
        self, tree: Any, arguments: tuple[Tensor, ...], copied: frozenset[int], how: str, *more: Any
    ) -> tuple[Plan | None, Any]:
        """The first plan that holds, and what running it made."""
        for i, plan in enumerate(self.plans):
            if plan._holds(tree, arguments):
                _refuse_writing(copied & plan._written)
                made = plan._run(arguments, getattr(plan._core, how), *more)
                if made is not None:
                    if i:
                        self.plans.insert(0, self.plans.pop(i))
                    return plan, made
        return None, None

    def _batches(
        self,
        arguments: tuple[Tensor, ...],
        tables: tuple[Tensor, ...],
        order: Tensor | None,
        first: int,
        losses: Tensor,
        milliseconds: int,
    ) -> int:
        """A call for each element of `losses`, which receives its result: with rows order[first], ... of the tables, copied
        into the memory of `arguments`. It comes back when the time is over, and says how many calls were made.
        """
        tree = _plain_tree(len(arguments))
        with self._lock:
            plan, made = self._replayed(
                tree, arguments, _NONE, "run_batches", tables, order, first, losses, milliseconds
            )
            if plan is None:
                _core.gather_rows(arguments, tables, order, first)
                losses[0] = float(self._record(tree, arguments, _NONE))
                return 1
            return int(made)

    def profile(self, *args: Any, **kwargs: Any) -> list[tuple[str, float]]:
        """Do the step once, and return [(op, seconds)] per instruction of its plan. A step without a plan is done twice: to
        make one, and to measure it."""
        tensors: list[Any] = []
        tree = _flatten((args, kwargs), tensors)
        arguments, copied = _taken(tensors)
        with self._lock:
            for _ in range(3):
                plan, made = self._replayed(tree, arguments, copied, "profile")
                if plan is not None:
                    return list(made)
                self._record(tree, arguments, copied)
            raise RuntimeError("[compile] every call needs a plan of its own; profile() a step that can be repeated")

    def _record(self, tree: Any, arguments: tuple[Tensor, ...], copied: frozenset[int]) -> Any:
        """A real step, recorded as it runs."""
        for t in arguments:
            if not t.is_leaf:
                raise RuntimeError(
                    "[compile] an argument was made of tensors that require gradients; compute it inside the compiled "
                    "function, or pass x.detach()"
                )
        args, kwargs = _rebuild(tree, arguments)
        reach = Reach(self.__wrapped__, list(_constants(tree)), arguments)
        chances, optimizers = list(reach.chances), reach.optimizers()
        chance, options = _chance(chances), [o._numbers_now() for o in optimizers]
        shared, before = reach.shares(arguments), [(t._version, t.requires_grad) for t in arguments]
        recording = _core.Recording(arguments)
        witness.called, witness.made = reach.called, []
        try:
            only = [self.__wrapped__(*args, **kwargs)]  # so that nothing else holds the graph of the result
            recording.stop()
            if recording.refused is not None:  # but caught
                raise RuntimeError(recording.refused)
            if _chance(chances) != chance:
                raise RuntimeError(
                    "[compile] random numbers of Python or numpy were drawn while a step was recorded, and a replay would "
                    "repeat them for ever; draw them outside and pass them as arguments, or use trigrad's, which are drawn "
                    "anew in each replay"
                )
            if [o._numbers_now() for o in optimizers] != options:
                raise RuntimeError(
                    "[compile] options of an optimizer changed while its step was recorded (by a scheduler?), and a replay "
                    "would not change them; do that after the compiled step, not inside"
                )
            if any(
                s[0] == "numbers" and any(s[1] is o for o in witness.made) and s[1].state for s in recording.sources
            ):
                raise RuntimeError(
                    "[compile] an optimizer that keeps states was made inside of the step, where a replay would not make it "
                    "anew; make it before the first call"
                )
            if reach.moved():
                raise RuntimeError(
                    "[compile] an iterator that was made before the step was advanced while it was recorded, and a replay "
                    "would take the same element for ever; take it outside, and pass it as an argument"
                )
            again: list[Any] = []
            if _flatten((args, kwargs), again) != tree or any(
                a is not b for a, b in zip(again, arguments, strict=True)
            ):
                raise RuntimeError(
                    "[compile] a list or dict among the arguments was changed while a step was recorded, and a replay would "
                    "not change it; return what is new instead"
                )
            written = frozenset(i for i, t in enumerate(arguments) if t._version != before[i][0])
            _refuse_writing(copied & written)
            plan, result = self._planned(recording, tree, arguments, only, reach, shared)
            # What the step itself changed and would find otherwise (a count, train() or eval()): it is run by Python each time.
            stays = all(t.requires_grad == then for t, (_, then) in zip(arguments, before, strict=True))
            if plan is not None and not (stays and plan._core.guards_hold() and reach.holds()):
                plan = None
        except BaseException:
            recording.undo()
            for kind, *rest in reversed(recording.sources):
                if kind == "draw":
                    rest[0]._seed, rest[0]._step = rest[1:]
            raise
        finally:
            witness.called = witness.made = None
        if plan is not None:
            plan._written = written
            self.plans.insert(0, plan)
            del self.plans[MOST_PLANS:]
        return result

    def _planned(
        self,
        recording: _core.Recording,
        tree: Any,
        arguments: tuple[Tensor, ...],
        only: list[Any],
        reach: Reach,
        shared: bool,
    ) -> tuple[Plan | None, Any]:
        """The plan, if it can be used again (not where arguments are parameters or the like at the same time, or a gradient
        has a name of its own), and the result as a replay would give it: outside of any graph."""
        found: list[Any] = []
        shape = _flatten(only.pop(), found)
        if any(isinstance(value, (Iterator, Awaitable)) for value in _constants(shape)):
            raise RuntimeError(
                "[compile] the function returns a generator or a coroutine, which a replay cannot make anew; return its elements "
                "in a list"
            )
        given = {id(t): i for i, t in enumerate(arguments)}
        memory = {t._storage_id for t in arguments}
        made: list[Tensor] = []
        places: dict[int, int] = {}  # of tensors among those made
        new: list[Any] = []  # for each leaf what takes its place in the plan's result
        for value in found:
            if id(value) in given:
                new.append(given[id(value)] - len(arguments))  # counted from the end
            elif type(value) is Tensor and (
                recording.made_here(value) or value._storage_id in memory or recording.found_gradient(value)
            ):
                new.append(places.setdefault(id(value), len(made)))
                if new[-1] == len(made):
                    made.append(value.detach())
            else:
                new.append(value)
        result = _rebuild(shape, [made[n] if type(n) is int and n >= 0 else v for n, v in zip(new, found, strict=True)])
        found.clear()
        value = None
        if recording.kept(made):
            gc.collect()  # what only cycles hold is not kept
            if lost := recording.kept(made):
                raise RuntimeError(
                    f"[compile] a tensor of shape {tuple(lost[0])} that the step made is kept outside of it (in a list, an "
                    "attribute, a state), where a replay could not renew it; return it from the function, or make it before "
                    "the first call"
                )
        sources = recording.sources
        for kind, *rest in sources:
            if kind == "numbers":
                reach.called(rest[0])
        named = any(recording.found_gradient(t) for t in reach.tensors)  # stays when another takes its place as .grad
        if shared or named or any(s[0] == "once" for s in sources) or reach.shares(arguments):
            return None, result
        leaves = [_Leaf(n) if type(n) is int else _Constant(n, None) for n in new]
        return Plan(
            recording.finish(made, [p._core for p in self.plans]), tree, _placed(shape, leaves), reach, sources
        ), result


_compiled: weakref.WeakSet[CompiledFunction] = weakref.WeakSet()


def _unlock_after_fork() -> None:
    for function in _compiled:
        function._lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)


def _chance(more: list[Any]) -> Any:
    """Where Python's and numpy's own generators stand, and those that the function may reach."""
    numpy_random = sys.modules.get("numpy.random")
    states = [random.getstate()]
    if numpy_random is not None:
        _, keys, place, *_ = numpy_random.get_state()
        states.append((keys.tobytes(), place))
    return [*states, *map(pickle.dumps, more)]


def compile(
    function: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """Record `function` (a function, or a module) in its first call, and replay it in C++ from then on: forward and backward
    passes, optimizer and all, without Python. Results have the bits of the function itself.

    >>> import trigrad as tg
    >>> w = tg.zeros(3, requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=0.5)
    >>> @tg.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = ((x @ w - y) ** 2).mean()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = tg.eye(3), tg.ones(3)
    >>> [round(step(x, y).item(), 4) for _ in range(3)]
    [1.0, 0.4444, 0.1975]
    >>> step.plans[0].calls
    2

    The first call is a real step. A call with other shapes, dtypes, Python numbers, grad mode, train() or eval(), requires_grad,
    or other gradients present is recorded anew; `step.plans` lists what there is (at most 16), `print(step.plans[0])` shows a
    program, `step.profile(x, y)` does a step and times each instruction. Arguments and results are tensors, arrays, numbers,
    and lists, tuples and dicts of them; results are outside of any graph, so backward() belongs inside.

    Read at each call: tensors in place (parameters, statistics, states, gradients), the options of optimizers (so schedulers go
    outside of the function), random generators of trigrad. Compared at each call, and recorded anew where they differ: variables
    that the function and those it calls close over or find among their globals, attributes that they name, elements of lists,
    dicts, sets, deques (up to 1000 of each) and small arrays of numpy found so, modules, optimizers and their hooks. A step that
    itself changes what it looks at (`self.n += 1`) stays right by being run by Python each time.

    Arguments lie on memory of their own: a call with a parameter or a state for an argument runs in Python. An object of a class
    of one's own among the arguments is compared as such, so that one made for each call is recorded in each. Copies of what
    compile() returns record anew.

    constant: everything else that Python computed while the step was recorded, and what a branch decided by it: what comes from
    the clock, files, other threads, os.environ, globals()["k"] or getattr() by a name that is put together; elements of larger
    lists and arrays; what is put past a module, as in vars(layer)["p"] = 0.1; functions, classes and numbers of installed
    packages, other than the one that the function comes from, so a function of trigrad that is replaced. Nor are effects on
    Python repeated, such as lines printed. What would be wrong if it stayed constant is refused with a remedy where it can be
    seen: values read from tensors (item(), numpy(), print, if), shapes that depend on values (x[mask]),
    arrays of numpy that are no arguments, random numbers of Python and numpy, manual_seed(), iterators that the step advances,
    tensors kept in lists, changes of the lists and dicts among the arguments, optimizers made inside, schedulers inside. A call
    that raises has changed nothing, but for what Python wrote into objects of its own.

    Without a function it is a decorator. PyTorch's `fullgraph`, `dynamic`, `backend`, `mode` and `options` may be given and change
    nothing; with `disable=True` the function itself is returned.
    """
    if function is None:
        return functools.partial(compile, disable=disable)
    if disable:
        return function
    if not callable(function):
        raise TypeError(f"[compile] got a {type(function).__name__}, expected a function or a module")
    return CompiledFunction(function)
