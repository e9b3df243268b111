"""Modules as plain data: what they are made of, and how they are made of it again without anybody's code.

A layer of this package says by the annotations of its class what its instances hold: numbers and words (its settings),
tensors, modules. Those are written, and those, each of its kind, must be there when it is read. docs/format.md has the form.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints

from trigrad import _core
from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad.nn._state import Stateful
from trigrad.nn.containers import ParameterDict, ParameterList
from trigrad.nn.module import Module
from trigrad.nn.parameter import Buffer, Parameter

KEYS = {"class", "settings", "parameters", "frozen", "buffers", "transient", "modules", "training", "extra", "same"}
BOOKKEEPING = set(get_type_hints(Module))
HELD = set(vars(Module()))  # what each instance has besides
PLAIN = (bool, int, float, str, type(None), tuple, list, dict)
DEEPEST = 20  # modules in modules

Encode = Callable[[Any, tuple[str, ...], bool], Any]


# ---- what a class of ours is made of


@cache
def library() -> Mapping[str, type[Module]]:
    """The modules of trigrad.nn by name."""
    from trigrad import nn

    return {name: c for name, c in vars(nn).items() if isinstance(c, type) and issubclass(c, Module)}


@cache
def _functions() -> Mapping[str, Callable[..., Any]]:
    """The functions that a `Lambda` may have: pure ones of ours."""
    from trigrad import ops
    from trigrad.nn import functional

    named = {name: f for room in (ops, functional) for name, f in vars(room).items() if not name.startswith("_")}
    return {name: f for name, f in named.items() if callable(f) and not isinstance(f, type)}


class Fields(NamedTuple):
    """The annotations of a class, by what they stand for."""

    settings: dict[str, Any]
    tensors: dict[str, Any]
    modules: dict[str, Any]


def _without_none(hint: Any) -> tuple[tuple[Any, ...], bool]:
    """The kinds that are allowed, and whether None is."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(k for k in kinds if k is not type(None)), type(None) in kinds


_fields: dict[str, Fields] = {}  # of the classes of this package


def fields(cls: type[Module]) -> Fields:
    """What the annotations say of an instance."""
    if cls.__name__ in _fields:
        return _fields[cls.__name__]
    found = _fields[cls.__name__] = Fields({}, {}, {})
    for name, hint in get_type_hints(cls).items():
        if name in BOOKKEEPING or get_origin(hint) is ClassVar or hint is ClassVar:
            continue
        kinds, _ = _without_none(hint)
        if kinds == (Tensor,):
            found.tensors[name] = hint
        elif all(isinstance(k, type) and issubclass(k, Module) for k in kinds):
            found.modules[name] = hint
        else:
            found.settings[name] = hint
    return found


def _is(value: Any, hint: Any) -> bool:
    """Is a setting of the kind that its annotation says?"""
    kinds, optional = _without_none(hint)
    if value is None:
        return optional
    return any(_is_one(value, kind) for kind in kinds)


def _is_one(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin in (tuple, Sequence):
        return isinstance(value, (tuple, origin)) and all(type(v) is int for v in value)
    if origin is dict:
        return isinstance(value, dict) and all(type(k) is str and v is None for k, v in value.items())
    if origin is Callable:
        return callable(value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind


def _faults(cls: type[Module], settings: Any, tensors: Mapping[str, Any], modules: Mapping[str, Any]) -> Iterator[str]:
    """What an instance with these parts lacks."""
    of = fields(cls)
    for name, hint in of.settings.items():
        if name not in settings and not (get_origin(hint) is Callable and modules.get(name) is not None):
            yield f"has no {name}"
        elif name in settings and not _is(settings[name], hint):
            yield f"has {name} = {settings[name]!r:.100}, expected {getattr(hint, '__name__', hint)}"
    for group, held in ((of.tensors, tensors), (of.modules, modules)):
        for name, hint in group.items():
            if name not in held or (held[name] is None and not _without_none(hint)[1]):
                yield f"has no {name}"
    entries = {*settings, *tensors, *modules}
    size, keys = settings.get("_size"), settings.get("_keys")
    if cls is ParameterList and type(size) is int:
        numbers = {name for name in entries if name.isdigit()}
        if size != len(numbers) or numbers != {str(i) for i in range(len(numbers))}:
            yield f"says that it has {size} entries, but has {sorted(numbers)!r:.100}"
    if cls is ParameterDict and isinstance(keys, dict) and not set(keys) <= entries:
        yield f"says that it has {sorted(map(str, keys))!r:.100}, but has {sorted(entries)!r:.100}"


def _misshapen(module: Module, shapes: Mapping[str, tuple[int, ...] | None]) -> Iterator[str]:
    for name, expected in module._shapes().items():
        shape = shapes.get(name)
        if shape is not None and shape != expected:
            yield f"has a {name} of shape {shape}, but its settings want {expected}"


# ---- writing


def class_of(module: Module) -> str:
    """The name of its class: a bare one if it is of trigrad.nn and can be made again, else one with a dot."""
    cls = type(module)
    if library().get(cls.__name__) is not cls:
        return f"{cls.__module__}.{cls.__qualname__}"
    own = [n for n in fields(cls).settings if callable(f := module.__dict__.get(n)) and _function_name(f) is None]
    return f"trigrad.nn.{cls.__name__}" if own else cls.__name__


def _function_name(function: Any) -> str | None:
    name = getattr(function, "__name__", "")
    return name if _functions().get(name) is function else None


class Writer:
    """Describes one module: `add` gives the name under which a tensor is written, `encode` makes JSON of plain values, with
    or without tensors among them."""

    def __init__(self, add: Callable[[Tensor, tuple[str, ...]], str], encode: Encode) -> None:
        self._add, self._encode = add, encode
        self._modules: dict[Module, str] = {}
        self._tensors: dict[Tensor, str] = {}

    def node(self, module: Module, at: tuple[str, ...], path: tuple[str, ...] = ()) -> dict[str, Any]:
        """The module with the path `path` below the one that is written at `at`, as JSON."""
        place = ".".join((*at, *path)) or "the module"
        if module in self._modules:
            return {"same": self._modules[module]}
        if len(path) > DEEPEST:
            raise ValueError(f"[save] {place} is nested more than {DEEPEST} modules deep (does it contain itself?)")
        for kind, table in module._hooks.items():
            if table:
                raise TypeError(
                    f"[save] {place} ({type(module).__name__}) has a hook ({kind}), which is code and not written; remove it, "
                    "or save model.state_dict()"
                )
        node: dict[str, Any] = {"class": class_of(module)}
        if "." not in node["class"]:
            self._settings(module, node, place)
        elif type(module).get_extra_state is not Stateful.get_extra_state:
            node["extra"] = self._encode(module.get_extra_state(), (*at, *path, "_extra_state"), True)
        for key, registry in (("parameters", module._parameters), ("buffers", module._buffers)):
            if registry:
                named = registry.items()
                node[key] = {name: None if t is None else self._name(t, (*at, *path, name)) for name, t in named}
        frozen = [name for name, p in module._parameters.items() if p is not None and not p.requires_grad]
        node |= {"frozen": frozen} if frozen else {}
        node |= {"transient": sorted(module._non_persistent_buffers_set)} if module._non_persistent_buffers_set else {}
        if module._modules:
            children = module._modules.items()
            node["modules"] = {n: None if m is None else self.node(m, at, (*path, n)) for n, m in children}
        if not module.training:
            node["training"] = False
        self._modules[module] = ".".join(path)
        return node

    def _name(self, tensor: Tensor, path: tuple[str, ...]) -> str:
        if tensor not in self._tensors:
            self._tensors[tensor] = self._add(tensor, path)
        return self._tensors[tensor]

    def _settings(self, module: Module, node: dict[str, Any], place: str) -> None:
        what = f"[save] {place} ({type(module).__name__})"
        settings = {k: v for k, v in module.__dict__.items() if k not in HELD}
        tensors = {**module._parameters, **module._buffers}
        shapes = {name: None if t is None else tuple(t.shape) for name, t in tensors.items()}
        for fault in (*_faults(type(module), settings, tensors, module._modules), *_misshapen(module, shapes)):
            raise ValueError(f"{what} {fault}; save model.state_dict() instead")
        written = {}
        for name, value in settings.items():
            if callable(value) and name in fields(type(module)).settings:
                written[name] = {"function": _function_name(value)}
            elif isinstance(value, PLAIN) or (hasattr(value, "item") and not isinstance(value, Tensor)):
                written[name] = self._encode(value, (place, name), False)
            else:
                raise TypeError(
                    f"{what} has the attribute {name}, a {type(value).__name__}; expected numbers and strings, and tensors as "
                    "parameters and buffers; delete it, or save model.state_dict()"
                )
        if written:
            node["settings"] = written


# ---- reading


@dataclass(eq=False)
class Part:
    """A module of a file, its names checked: what is made of it comes later, when its tensors are there."""

    name: str  # of its class
    path: str
    settings: dict[str, Any]
    parameters: dict[str, str | None]
    buffers: dict[str, str | None]
    frozen: set[str]
    transient: set[str]
    modules: dict[str, Part | None]
    training: bool
    extra: list[Any]  # nothing, or one tree
    made: Module | None = field(default=None)

    @property
    def is_own(self) -> bool:
        """Is it of a class of the user's?"""
        return "." in self.name

    def tensors(self) -> dict[str, str | None]:
        """All names of tensors."""
        return {**self.parameters, **self.buffers}

    def parts(self) -> dict[int, Part]:
        """This one and all below, each once."""
        found = {id(self): self}
        waiting = [self]
        while waiting:
            for part in waiting.pop().modules.values():
                if part is not None and id(part) not in found:
                    found[id(part)] = part
                    waiting.append(part)
        return found


class Reader:
    """Checks the node of one module. `entries` are the tensors that the file has; `check` looks at plain values (and says
    whether tensors may be among them), which `decode` makes."""

    def __init__(
        self,
        entries: Mapping[str, Any],
        check: Callable[[Any, bool], None],
        decode: Callable[[Any], Any],
        wrong: Callable[[str], Exception],
    ) -> None:
        self._entries, self._check, self._decode, self._wrong = entries, check, decode, wrong
        self._known: dict[str, Part] = {}

    def part(self, node: Any, path: tuple[str, ...] = ()) -> Part:
        """What the node says, checked."""
        place = ".".join(path)

        def fail(what: str) -> NoReturn:
            raise self._wrong(f"the module {place!r:.200} {what}")

        if len(path) > DEEPEST:
            fail(f"is nested more than {DEEPEST} modules deep")
        if not isinstance(node, dict) or not set(node) <= KEYS:
            fail(f"is {node!r:.200}, expected an object with some of the keys {sorted(KEYS)}")
        if "same" in node:
            known = self._known.get(node["same"]) if isinstance(node["same"], str) and len(node) == 1 else None
            return known or fail(f"is said to be {node['same']!r:.200}, which is no module before it")
        name = node.get("class")
        if not isinstance(name, str) or ("." not in name and name not in library()):
            fail(f"is of class {name!r:.200}, which trigrad.nn does not have")

        def named(key: str) -> dict[str, Any]:
            held = node.get(key, {})
            if not isinstance(held, dict):
                fail(f"has {key} that are no object")
            for n in held:
                if not n or "." in n or "\0" in n or n in BOOKKEEPING or hasattr(library().get(name, Module), n):
                    fail(f"has {key} with the name {n!r:.200}")
            return held

        def listed(key: str, among: Mapping[str, Any]) -> set[str]:
            held = node.get(key, [])
            if not isinstance(held, list) or not all(isinstance(n, str) and n in among for n in held):
                fail(f"has {key} {held!r:.200}, expected some of {sorted(among)}")
            return set(held)

        tables = {key: named(key) for key in ("settings", "parameters", "buffers", "modules")}
        for n, tensor in (*tables["parameters"].items(), *tables["buffers"].items()):
            if tensor is not None and (not isinstance(tensor, str) or tensor not in self._entries):
                fail(f"has {n} = {tensor!r:.200}, which is no tensor of the file")
        if sum(map(len, tables.values())) != len(set().union(*tables.values())):
            fail("has one name for two things")
        training = node.get("training", True)
        if not isinstance(training, bool):
            fail(f"has training = {training!r:.200}, expected true or false")
        extra = [node["extra"]] if "extra" in node else []
        self._check(extra, True)
        made = Part(
            name,
            place,
            {n: self._setting(value, name, n) for n, value in tables["settings"].items()},
            tables["parameters"],
            tables["buffers"],
            listed("frozen", tables["parameters"]),
            listed("transient", tables["buffers"]),
            {n: None if child is None else self.part(child, (*path, n)) for n, child in tables["modules"].items()},
            training,
            extra,
        )
        for n, tensor in made.parameters.items():
            if tensor is not None and n not in made.frozen and not self._entries[tensor].dtype.is_floating_point:
                fail(f"has {n} of {self._entries[tensor].dtype}, which cannot be learned")
        if not made.is_own:
            faults = list(_faults(library()[name], made.settings, made.tensors(), made.modules))
            made.made = None if faults else self._bare(made)
            for fault in faults or _misshapen(self._bare(made), self._shapes(made)):
                fail(f"({name}) {fault}")
        self._known[place] = made
        return made

    def _setting(self, value: Any, cls: str, name: str) -> Any:
        if isinstance(value, dict) and set(value) == {"function"}:
            found = _functions().get(value["function"]) if isinstance(value["function"], str) else None
            if found is None or cls not in library() or name not in fields(library()[cls]).settings:
                raise self._wrong(f"{value!r:.200} is no function of trigrad")
            return found
        self._check(value, False)
        return self._decode(value)

    def _shapes(self, part: Part) -> dict[str, tuple[int, ...] | None]:
        return {n: None if t is None else self._entries[t].shape for n, t in part.tensors().items()}

    def _bare(self, part: Part) -> Module:
        """A module of that class with its settings, without tensors: no constructor of it is called."""
        if part.made is None:
            cls = library()[part.name]
            part.made = cls.__new__(cls)
            Module.__init__(part.made)
            part.made.__dict__.update(part.settings)
        return part.made


def build(part: Part, tensors: Mapping[str, Tensor]) -> Module:
    """The module, of our own classes all through, around the tensors of the file."""
    parameters: dict[str, Tensor] = {}
    for p in part.parts().values():
        module = p.made
        if module is None:
            raise ValueError(
                f"[load] the file holds a {p.name.rpartition('.')[2]} ({p.name}{f' at {p.path!r}' if p.path else ''}), which is "
                "a class of your own: give the model that shall have its numbers, tg.load(path, model=…)"
            )
        for name, tensor in p.parameters.items():
            if tensor is not None and tensor not in parameters:
                parameters[tensor] = Parameter(tensors[tensor], requires_grad=name not in p.frozen)
            module._parameters[name] = None if tensor is None else parameters[tensor]
        for name, tensor in p.buffers.items():
            module._buffers[name] = None if tensor is None else Buffer(tensors[tensor])
        module._non_persistent_buffers_set.update(p.transient)
        module._modules = {n: None if child is None else child.made for n, child in p.modules.items()}
        module.training = p.training
    assert part.made is not None
    return part.made


def pour(part: Part, model: Module, tensors: Mapping[str, Tensor], decode: Callable[[Any], Any]) -> Module:
    """The numbers, modes and requires_grad of the file in a model that is built like the one that was saved."""
    pairs: list[tuple[Part, Module]] = []
    _pair(part, model, pairs, tensors)
    _core.structure_changed()
    with no_grad():
        for p, module in pairs:
            for name, tensor in p.tensors().items():
                held = module._parameters.get(name, module._buffers.get(name))
                if tensor is None or held is None:
                    continue
                if held.shape == tensors[tensor].shape:
                    held.copy_(tensors[tensor])
                else:  # of a layer that does not know its lengths yet
                    held.data = tensors[tensor].clone()
                if name in p.parameters:
                    held.requires_grad_(name not in p.frozen)
            module.training = p.training
    for p, module in pairs:
        for extra in p.extra:
            module.set_extra_state(decode(extra))
    return model


def _pair(part: Part, module: Module, pairs: list[tuple[Part, Module]], tensors: Mapping[str, Tensor]) -> None:
    """Who gets what; what does not fit is refused before anything is written."""

    def fail(what: str) -> NoReturn:
        raise ValueError(f"[load] the model does not fit the file: {part.path or 'the model'} {what}")

    own, theirs = class_of(module).rpartition("."), part.name.rpartition(".")
    if own[2] != theirs[2] or bool(own[0]) != bool(theirs[0]):  # a class of the user's own may have moved
        fail(f"is a {class_of(module)}, but a {part.name} in the file")
    pairs.append((part, module))
    for name, value in part.settings.items():
        if repr(module.__dict__.get(name)) != repr(value):
            fail(f"({own[2]}) has {name} = {module.__dict__.get(name)!r:.100}, but {value!r:.100} in the file")
    for what, held, given in (
        ("parameters", module._parameters, part.parameters),
        ("buffers", module._buffers, part.buffers),
        ("modules", module._modules, part.modules),
    ):
        mine = {name for name, value in held.items() if value is not None}
        wanted = {name for name, value in given.items() if value is not None}
        if mine != wanted:
            fail(f"({own[2]}) has the {what} {sorted(mine)}, but {sorted(wanted)} in the file")
    for name, tensor in part.tensors().items():
        held_tensor = module._parameters.get(name, module._buffers.get(name))
        if tensor is None or held_tensor is None:
            continue
        found = tensors[tensor]
        if held_tensor.dtype is not found.dtype or not module._accepts(name, held_tensor, found):
            fail(
                f"({own[2]}) has a {name} {tuple(held_tensor.shape)} of {held_tensor.dtype}, but {tuple(found.shape)} of "
                f"{found.dtype} in the file"
            )
    for name, child in part.modules.items():
        inner = module._modules.get(name)
        if child is not None and inner is not None:
            _pair(child, inner, pairs, tensors)
