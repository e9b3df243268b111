"""What a function that is compiled reaches: the variables, modules and optimizers that a recording of it depends on.

Reach walks from a function over what it closes over, finds among its globals, calls by name, and over the parts of objects
found so. What it finds becomes guards of a plan (_compile.py): variables compared at each call, and the `_structure` of
modules and optimizers, compared when something of theirs has changed.
"""

from __future__ import annotations

import dis
import functools
import random
import sys
import types
from collections.abc import Iterator
from typing import Any

from trigrad import _autograd, _core
from trigrad._core import Tensor

SCALAR = (bool, int, float, complex, str, bytes, type(None))
_SIMPLE = (*SCALAR, types.BuiltinFunctionType)
_FOREIGN = {"trigrad", "numpy", *sys.stdlib_module_names} - {"__main__"}


def _is_foreign(module: Any) -> bool:
    """Is it code that nobody changes while a program runs?"""
    return str(module or "").partition(".")[0] in _FOREIGN


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


class Reach:
    """The variables of a function and of the functions that it calls by name, and the objects behind them."""

    def __init__(self, function: Any, arguments: Any, tensors: tuple[Tensor, ...]) -> None:
        self.variables: list[tuple[str, Any, Any, Any]] = []  # kind of guard, holder, key, what is there
        self.parts: list[Any] = []  # modules and optimizers
        self.tensors: list[Tensor] = []
        self.seen: set[int] = {id(t) for t in tensors}  # among the arguments: others in each call
        self.keep: list[Any] = []  # ids stay theirs
        self.given = {id(t) for t in tensors}
        self.overlap = False  # is an argument found on another way as well?
        # Attributes of plain objects: name, and which of the tensors and of the variables it leads to.
        self.attributes: list[tuple[str, range, range]] = []
        self.names: set[str] = set()  # that the functions use: of variables, attributes and methods
        self.spaces: dict[int, Any] = {}  # classes and modules, whose parts are used by name
        self.chances: list[Any] = []  # generators of Python and numpy
        self.inside: set[int] = set()  # modules that are part of parts
        if isinstance(function, types.FunctionType):
            self.seen.add(id(function))
            self.keep.append(function)
            self.function(function, 0)  # one of ours as well
        else:
            self.visit(function, 0)
        self.follow()
        self.given = set()
        self.visit(arguments, 0)
        self.follow()
        self.structure = self.now()

    def now(self) -> list[tuple[Any, list[Any]]]:
        """Facts to be compared by value, and objects to be compared by identity."""
        modes = _core.get_default_dtype(), _autograd._traced, _autograd._anomaly
        return [([modes, *(t._structure for t in self.tensors)], []), *(part._structure() for part in self.parts)]

    def called(self, part: Any) -> None:
        """A module that is called, or an optimizer that makes a step, while the step is recorded, however it was found."""
        if id(part) in self.inside:
            return
        parts, tensors = len(self.parts), len(self.tensors)
        self.visit(part, 0)
        self.follow()
        if len(self.tensors) > tensors:
            self.structure[0][0].extend(t._structure for t in self.tensors[tensors:])
        self.structure.extend(p._structure() for p in self.parts[parts:])

    def holds(self) -> bool:
        return all(
            facts == facts_then
            and len(objects) == len(then)
            and all(a is b for a, b in zip(objects, then, strict=True))
            for (facts, objects), (facts_then, then) in zip(self.now(), self.structure, strict=True)
        )

    def optimizers(self) -> list[Any]:
        return [part for part in self.parts if hasattr(part, "param_groups")]

    def shares(self, arguments: tuple[Tensor, ...]) -> bool:
        """Do arguments lie on memory that the function reaches without them as well?"""
        if self.overlap:
            return True
        unused = {k for name, places, _ in self.attributes if name not in self.names for k in places}
        found = [t for k, t in enumerate(self.tensors) if k not in unused]
        for part in self.parts:
            found += [t for t in part._structure()[1] if isinstance(t, Tensor)]
        for optimizer in self.optimizers():
            for state in optimizer.state.values():
                found += [t for t in state.values() if isinstance(t, Tensor)]
        found += [t._grad for t in found if t._grad is not None]
        given = {t._storage_id for t in arguments}
        return any(t._storage_id in given for t in found)

    def guards(self) -> list[tuple[str, Any, Any, Any]]:
        """The variables without those of attributes that the functions do not use."""
        unused = {k for name, _, places in self.attributes if name not in self.names for k in places}
        return [v for k, v in enumerate(self.variables) if k not in unused]

    def visit(self, value: Any, depth: int) -> None:
        self.overlap |= id(value) in self.given
        if isinstance(value, _SIMPLE) or id(value) in self.seen or depth > 8:
            return
        self.seen.add(id(value))
        self.keep.append(value)
        if isinstance(value, Tensor):
            self.tensors.append(value)
        elif isinstance(value, (type, types.ModuleType)):
            self.space(value)
        elif isinstance(value, random.Random) or str(type(value).__module__).startswith("numpy.random"):
            self.chances.append(value)
        elif hasattr(type(value), "_structure"):
            self.parts.append(value)
            self.inside.add(id(value))
            if hasattr(value, "modules"):
                for module in value.modules():
                    self.inside.add(id(module))
                    self.space(type(module))
            self.space(type(value))
            for inner in value._reaches():
                self.visit(inner, depth + 1)
        elif isinstance(value, types.FunctionType):
            if (value.__module__ or "").partition(".")[0] != "trigrad":
                self.function(value, depth)
        elif isinstance(value, functools.partial):
            for inner in (value.func, value.args, value.keywords):
                self.visit(inner, depth + 1)
        elif isinstance(value, types.MethodType):
            self.visit(value.__self__, depth + 1)
            self.visit(value.__func__, depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset, dict)):
            before = len(self.parts)
            kind = "item" if isinstance(value, dict) else "element" if isinstance(value, list) else None
            for key, item in (
                () if len(value) > 1000 else value.items() if isinstance(value, dict) else enumerate(value)
            ):
                if kind is not None and not isinstance(item, _SIMPLE):
                    self.variables.append((kind, value, key, item))
                self.visit(item, depth + 1)
            if len(self.parts) > before and not isinstance(value, tuple):
                self.variables.append(("length", value, None, len(value)))
        elif isinstance(getattr(value, "__dict__", None), dict):
            if "__wrapped__" in value.__dict__:
                self.visit(value.__wrapped__, depth + 1)
                if _is_foreign(type(value).__module__):  # compiled itself, or behind functools.cache
                    return
            self.space(type(value))
            for name, item in value.__dict__.items():
                if isinstance(item, Tensor) or not isinstance(item, _SIMPLE):
                    tensors, variables, overlap = len(self.tensors), len(self.variables), self.overlap
                    self.variables.append(("item", value.__dict__, name, item))
                    self.visit(item, depth + 1)
                    places = range(tensors, len(self.tensors)), range(variables, len(self.variables))
                    self.attributes.append((name, *places))
                    self.overlap = overlap or (self.overlap and name in self.names)
        else:
            self.space(type(value))

    def space(self, value: Any) -> None:
        """A class or a module: what the functions use of it is looked at when all their names are known."""
        for one in value.__mro__ if isinstance(value, type) else (value,):
            if not _is_foreign(str(one.__module__ if isinstance(one, type) else one.__name__)):
                self.spaces.setdefault(id(one), one)

    def follow(self) -> None:
        """The functions, variables and objects that are used of classes and modules."""
        done: set[tuple[int, str]] = set()
        going = True
        while going:
            going = False
            for space in list(self.spaces.values()):
                held = vars(space)
                for name in (self.names | {"__call__", "forward"}) & held.keys():
                    if (id(space), name) in done:
                        continue
                    done.add((id(space), name))
                    going = True
                    value = held[name]
                    if isinstance(space, types.ModuleType) and not isinstance(value, types.ModuleType):
                        self.variables.append(("item", held, name, value))
                    elif isinstance(space, type) and isinstance(value, (*SCALAR, types.FunctionType)):
                        self.variables.append(("attribute", space, name, value))
                    if isinstance(value, (staticmethod, classmethod)):
                        value = value.__func__
                    elif isinstance(value, property):
                        value = value.fget
                    self.visit(value, 0)

    def function(self, f: types.FunctionType, depth: int) -> None:
        self.names.update(_names_of(f.__code__))
        for cell in f.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # not yet set
                continue
            self.variables.append(("cell", cell, None, held))
            self.visit(held, depth + 1)
        for name in dict.fromkeys(_globals_of(f.__code__)):
            if name in f.__globals__:
                held = f.__globals__[name]
                if not isinstance(held, types.ModuleType):
                    self.variables.append(("item", f.__globals__, name, held))
                self.visit(held, depth + 1)
        self.variables.append(("code", f, None, f.__code__))
        self.variables.append(("defaults", f, None, f.__defaults__))
        if f.__kwdefaults__ is not None:
            for name, held in f.__kwdefaults__.items():
                self.variables.append(("item", f.__kwdefaults__, name, held))
        for held in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self.visit(held, depth + 1)
