"""What a function that is compiled reaches: the variables, modules and optimizers that a recording of it depends on.

Reach walks from a function over what it closes over, finds among its globals and calls by name, and over those parts of the
objects found so whose names the functions use. What it finds becomes guards of a plan (_compile.py): variables, attributes and
elements compared at each call, and the `_structure` of modules and optimizers, compared when something of theirs has changed.
"""

from __future__ import annotations

import dis
import functools
import random
import sys
import types
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple

from trigrad import _anomaly, _core
from trigrad._core import Tensor

SCALAR = (bool, int, float, complex, str, bytes, type(None))
MOST_ELEMENTS = 1000  # of a list or a dict that are compared one by one; of larger ones the length is
MOST_BYTES = 4096  # of an array of numpy that are compared

_SIMPLE = (*SCALAR, types.BuiltinFunctionType)
_FOREIGN = {"trigrad", "numpy", *sys.stdlib_module_names} - {"__main__"}
_ALL = {"vars", "__dict__", "asdict", "astuple"}  # who uses these reads attributes without naming them
# Methods that Python calls by itself, but not while a step runs.
_ASIDE = {f"__{name}__" for name in "init new repr str del init_subclass set_name reduce getstate setstate".split()}  # noqa: SIM905


def package(value: Any) -> str:
    """The outermost package that a class or function was written in."""
    return str(getattr(value, "__module__", None) or "").partition(".")[0]


def _is_array(value: Any) -> bool:
    """Without numpy, which `import trigrad` does not need, there is none."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


@functools.cache
def is_foreign(name: str) -> bool:
    """Is this package code that nobody changes while a program runs: of Python or ours, or installed?"""
    if name in _FOREIGN:
        return True
    module = sys.modules.get(name)
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    return any("site-packages" in place or "dist-packages" in place for place in places)


def _globals_of(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)


def _names_of(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):  # for getattr()
            yield constant
        if isinstance(constant, types.CodeType):
            yield from _names_of(constant)


class _Kind:
    """What an object has of classes of a user's, an optimizer of any."""

    def __init__(self, cls: type, own: set[str]) -> None:
        self.held: dict[str, Any] = {}
        for one in reversed(cls.__mro__):
            if package(one) in own or not is_foreign(package(one)) or hasattr(cls, "_numbers_now"):
                self.held.update(vars(one))
        self.slots = {name for name, value in self.held.items() if isinstance(value, types.MemberDescriptorType)}
        self.called = {
            name
            for name, value in self.held.items()
            if name not in _ASIDE and name[:2] == name[-2:] == "__" and isinstance(value, types.FunctionType)
        } | {"forward"}


class _Generator(NamedTuple):
    """Where a generator stands: the instruction, its variables, the generator that it waits for."""

    at: int
    variables: list[Any]
    waits_for: Any


def _standing(value: Any) -> Any:
    """Where an iterator stands, as something that differs when it has moved on (as far as it says)."""
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        if frame is None:
            return None
        variables = [_part(v, Same) for v in frame.f_locals.values()]
        return _Generator(frame.f_lasti, variables, _part(value.gi_yieldfrom, Same))
    if type(value).__module__ not in ("builtins", "itertools"):  # a class: what it counts are attributes
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return [_part(v, type) for v in value.__reduce__()]
    except (AttributeError, TypeError):
        return repr(value)


def _part(value: Any, other: Callable[[Any], Any]) -> Any:
    """What stands for a part of an iterator. What built-in ones give they make anew each time: by `other`, their kinds do."""
    if isinstance(value, Iterator):
        return _standing(value)
    if isinstance(value, SCALAR):
        return type(value), value
    if type(value) is tuple:
        return [_part(v, other) for v in value]
    return (type(value), len(value)) if other is type and isinstance(value, Sized) else other(value)


class Same:
    """Equal to the same object alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    __hash__ = None  # type: ignore[assignment]


class Reach:
    """The variables of a function and of the functions that it calls by name, and the objects behind them.

    `objects` are found among the arguments, which themselves are compared elsewhere.
    """

    def __init__(self, function: Any, objects: list[Any], tensors: tuple[Tensor, ...]) -> None:
        self.variables: list[tuple[str, Any, Any, Any]] = []  # kind of guard, holder, key, what is there
        self.parts: list[Any] = []  # modules and optimizers
        self.tensors: list[Tensor] = []
        self.chances: list[Any] = []  # generators of Python and numpy
        self.overlap = False  # is an argument found on another way as well?
        self._seen: set[int] = {id(t) for t in tensors}  # among the arguments: others in each call
        self._given = set(self._seen)
        self._keep: list[Any] = []  # ids stay theirs
        self._todo: list[Any] = []
        self._names: set[str] = set()  # that the functions use: of variables, attributes and methods
        self._holders: list[
            tuple[Any, _Kind | None]
        ] = []  # whose attributes are used by name: objects, classes, modules
        self._used: dict[int, set[str]] = {}  # by holder
        self._kinds: dict[type, _Kind] = {}
        self._iterators: list[tuple[Any, Any]] = []  # and where they stood
        self._inside: set[int] = set()  # modules that are part of parts
        behind = function
        while isinstance(behind, functools.partial):
            behind = behind.func
        self._own = {package(behind), package(type(behind))} - _FOREIGN  # packages to be looked into though installed
        if isinstance(function, types.FunctionType):
            self._seen.add(id(function))
            self._keep.append(function)
            self._function(function)  # one of ours as well
        else:
            self._visit(function)
        self._follow()
        self._given = set()
        for value in objects:
            self._visit(value)
        self._follow()
        self.structure = self._now()

    # ---- what became of it

    def _now(self) -> list[tuple[Any, list[Any]]]:
        """Facts to be compared by value, and objects to be compared by identity."""
        modes = _core.get_default_dtype(), _anomaly.traced, _anomaly.looking
        return [([modes, *(t._structure for t in self.tensors)], []), *(part._structure() for part in self.parts)]

    def holds(self) -> bool:
        """Are modules, optimizers and tensors made as they were?"""
        return all(
            facts == facts_then
            and len(objects) == len(then)
            and all(a is b for a, b in zip(objects, then, strict=True))
            for (facts, objects), (facts_then, then) in zip(self._now(), self.structure, strict=True)
        )

    def called(self, part: Any) -> None:
        """A module that is called, or an optimizer that makes a step, while the step is recorded, however it was found."""
        if id(part) in self._inside:
            return
        parts, tensors = len(self.parts), len(self.tensors)
        self._visit(part)
        self._follow()
        if len(self.tensors) > tensors:
            self.structure[0][0].extend(t._structure for t in self.tensors[tensors:])
        self.structure.extend(p._structure() for p in self.parts[parts:])

    def optimizers(self) -> list[Any]:
        return [part for part in self.parts if hasattr(part, "param_groups")]

    def moved(self) -> list[Any]:
        """The iterators that do not stand where they stood."""
        return [value for value, then in self._iterators if _standing(value) != then]

    def shares(self, arguments: tuple[Tensor, ...]) -> bool:
        """Do arguments lie on memory that the function reaches without them as well?"""
        if self.overlap:
            return True
        found = list(self.tensors)
        for part in self.parts:
            found += [t for t in part._structure()[1] if isinstance(t, Tensor)]
        for optimizer in self.optimizers():
            for state in optimizer.state.values():
                found += [t for t in state.values() if isinstance(t, Tensor)]
        found += [t._grad for t in found if t._grad is not None]
        given = {t._storage_id for t in arguments}
        return any(t._storage_id in given for t in found)

    # ---- the walk

    def _visit(self, value: Any) -> None:
        self.overlap |= id(value) in self._given
        if isinstance(value, str):
            self._names.add(value)  # perhaps for getattr()
        if not isinstance(value, _SIMPLE) and id(value) not in self._seen:
            self._seen.add(id(value))
            self._keep.append(value)
            self._todo.append(value)

    def _guard(self, kind: str, holder: Any, key: Any, value: Any) -> None:
        self.variables.append((kind, holder, key, value))
        self._visit(value)

    def _follow(self) -> None:
        """All that is to be seen, and what is used by name of what was seen, until nothing is new."""
        going = True
        while going:
            while self._todo:
                self._look(self._todo.pop())
            going = False
            for holder, kind in self._holders:
                names = self._all_names(holder, kind) - self._used[id(holder)]
                self._used[id(holder)] |= names
                for name in names:
                    going = True
                    self._use(holder, kind, name)

    def _look(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self.tensors.append(value)
            self._hooks(value)
        elif isinstance(value, type):
            if not self._is_foreign(package(value)):
                self._hold(value, self._kind(value))
        elif isinstance(value, types.ModuleType):
            if not self._is_foreign(value.__name__.partition(".")[0]):
                self._hold(value, None)
        elif isinstance(value, random.Random) or str(type(value).__module__).startswith("numpy.random"):
            self.chances.append(value)
        elif hasattr(type(value), "_structure"):
            self._part(value)
        elif isinstance(value, types.FunctionType):
            if not self._is_foreign(package(value)):
                self._function(value)
        elif isinstance(value, functools.partial):
            for inner in (value.func, value.args, value.keywords):
                self._visit(inner)
        elif isinstance(value, types.MethodType):
            self._visit(value.__self__)
            self._visit(value.__func__)
        elif isinstance(value, (list, tuple, set, frozenset, dict, deque)):
            self._container(value)
        elif _is_array(value):
            if value.nbytes <= MOST_BYTES and not value.dtype.hasobject:
                self.variables.append(("bytes", value, None, value.tobytes()))
        else:
            self._object(value)

    def _part(self, value: Any) -> None:
        """A module or an optimizer."""
        self._own |= {package(type(value))} - _FOREIGN
        self.parts.append(value)
        self._inside.add(id(value))
        if hasattr(value, "param_groups"):
            self._hold(value, self._kind(type(value)))
        self._visit(type(value))
        if hasattr(value, "modules"):
            for module in value.modules():
                self._inside.add(id(module))
                self._visit(type(module))
        for inner in value._reaches():
            self._visit(inner)
        for tensor in value._structure()[1]:
            if isinstance(tensor, Tensor):
                self._hooks(tensor)

    def _hooks(self, tensor: Tensor) -> None:
        for table in (tensor._hooks, tensor._post_hooks):
            for hook in (table or {}).values():
                self._visit(hook)

    def _container(self, value: Any) -> None:
        if not isinstance(value, (tuple, frozenset)):
            self.variables.append(("length", value, None, len(value)))
        if len(value) > MOST_ELEMENTS:
            return
        if isinstance(value, set):
            self.variables.append(("equal", value, None, frozenset(value)))
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, (list, deque)):
                self._guard("element", value, key, item)
            elif isinstance(value, dict):
                self._guard("item", value, key, item)
            else:
                self._visit(item)

    def _object(self, value: Any) -> None:
        if isinstance(value, Iterator):
            self._iterators.append((value, _standing(value)))
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict) and "__wrapped__" in held:
            self._visit(held["__wrapped__"])
            if package(type(value)) in _FOREIGN:  # compiled itself, or behind functools.cache
                return
        if not self._is_foreign(package(type(value))):
            self._visit(type(value))
            self.variables.append(("class", value, None, type(value)))
        self._hold(value, self._kind(type(value)))

    def _function(self, f: types.FunctionType) -> None:
        self._names.update(_names_of(f.__code__))
        for cell in f.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # not yet set
                continue
            self._guard("cell", cell, None, held)
        for name in dict.fromkeys(_globals_of(f.__code__)):
            if name in f.__globals__:
                self._named(f.__globals__, name)
        self.variables.append(("code", f, None, f.__code__))
        self.variables.append(("defaults", f, None, f.__defaults__))
        for name, value in (f.__kwdefaults__ or {}).items():
            self._guard("item", f.__kwdefaults__, name, value)
        for value in f.__defaults__ or ():
            self._visit(value)

    # ---- what is used by name

    def _kind(self, cls: type) -> _Kind:
        if cls not in self._kinds:
            self._kinds[cls] = _Kind(cls, self._own)
        return self._kinds[cls]

    def _is_foreign(self, name: str) -> bool:
        return name not in self._own and is_foreign(name)

    def _hold(self, holder: Any, kind: _Kind | None) -> None:
        self._holders.append((holder, kind))
        self._used[id(holder)] = set()

    def _all_names(self, holder: Any, kind: _Kind | None) -> set[str]:
        """Of all that the holder has."""
        if kind is None:
            return self._names & set(vars(holder))
        if isinstance(holder, type):
            return (self._names | kind.called) & kind.held.keys()
        own: set[str] = set(getattr(holder, "__dict__", ()))
        schedule = str(type(holder).__module__).startswith(
            "trigrad.optim.lr_scheduler"
        )  # its methods are not looked into
        if schedule or self._names & _ALL:
            return own | kind.slots
        return self._names & {*own, *kind.held}

    def _use(self, holder: Any, kind: _Kind | None, name: str) -> None:
        if kind is None:
            self._named(vars(holder), name)
        elif isinstance(holder, type):
            value = kind.held[name]
            self.variables.append(("lookup", holder, name, value))
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            elif isinstance(value, property):
                value = value.fget
            self._visit(value)
        elif name in (own := getattr(holder, "__dict__", {})):
            self._guard("item", own, name, own[name])
        elif name in kind.slots:
            if hasattr(holder, name):
                self._guard("slot", holder, name, getattr(holder, name))
        elif isinstance(getattr(holder, "__dict__", None), dict):
            self.variables.append(("missing", own, name, None))  # else it would hide what the class has

    def _named(self, held: dict[str, Any], name: str) -> None:
        """A variable of a module."""
        if isinstance(held[name], types.ModuleType):
            self._visit(held[name])
        else:
            self._guard("item", held, name, held[name])
