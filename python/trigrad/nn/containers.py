"""Modules and parameters in sequence, in lists and in dicts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from operator import index as as_index
from typing import Any, Self, cast, overload

from trigrad import _core
from trigrad._core import Tensor
from trigrad.nn.module import Module, _bracketed
from trigrad.nn.parameter import Parameter, is_parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


def _place(container: str, key: Any, length: int, end: bool = False) -> int:
    """An index of either sign as one from 0."""
    k = as_index(key)
    if not -length <= k < length + end:
        raise IndexError(f"[{container}] index {k} is out of range for {length} entries")
    return k + length if k < 0 else k


class _ListOfModules(Module):
    """Modules under the names "0", "1", …"""

    def _items(self) -> list[Module]:
        return cast(list[Module], list(self._modules.values()))

    def _renumber(self, modules: Iterable[Any]) -> None:
        listed = list(modules)
        for module in listed:
            if module is not None and not isinstance(module, Module):
                raise TypeError(f"[{type(self).__name__}] {type(module).__name__} is not a Module subclass")
        _core.structure_changed()
        self._modules.clear()
        self._modules.update((str(i), module) for i, module in enumerate(listed))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items())

    @overload
    def __getitem__(self, index: slice) -> Any: ...
    @overload
    def __getitem__(self, index: int) -> Module: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._items()[index])
        return self._items()[_place(type(self).__name__, index, len(self))]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[_place(type(self).__name__, index, len(self))]
        setattr(self, name, module)

    def __delitem__(self, index: int | slice) -> None:
        kept = self._items()
        if not isinstance(index, slice):
            _place(type(self).__name__, index, len(self))
        del kept[index]
        self._renumber(kept)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before that at `index`."""
        items: list[Any] = self._items()
        items.insert(_place(type(self).__name__, index, len(self), end=True), module)
        self._renumber(items)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take a module out."""
        module = self[key]
        del self[key]
        return module


class Sequential(_ListOfModules):
    """Modules one after the other; an OrderedDict gives them names.

    >>> import trigrad as tg
    >>> net = tg.nn.Sequential(tg.nn.Linear(2, 8), tg.nn.ReLU(), tg.nn.Linear(8, 1))
    >>> net(tg.zeros(5, 2)).shape
    trigrad.Size([5, 1])
    >>> net[1]
    ReLU()
    """

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        named: Iterable[tuple[Any, Any]] = enumerate(args)
        if len(args) == 1 and isinstance(args[0], Mapping):
            named = args[0].items()
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        modules: Any = self._modules.values()
        for module in modules:
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            named: list[tuple[str, Any]] = list(self._modules.items())
            return type(self)(OrderedDict(named[index]))
        return super().__getitem__(index)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [names[_place("Sequential", index, len(names))]]
        for name in gone:
            delattr(self, name)
        self._renumber(self._items())

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in sequential:
            self.append(module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"[Sequential] add operator supports only objects of Sequential class, got {type(other)}")  # noqa: TRY004
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Self:
        if not isinstance(other, Sequential):
            raise ValueError(f"[Sequential] add operator supports only objects of Sequential class, got {type(other)}")  # noqa: TRY004
        return self.extend(list(other))

    def __mul__(self, other: int) -> Sequential:
        _check_times(other)
        return Sequential(*(list(self) * other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        _check_times(other)
        return self.extend(list(self) * (other - 1))


def _check_times(n: Any) -> None:
    if not isinstance(n, int):
        raise TypeError(f"[Sequential] unsupported operand type(s) for *: Sequential and {type(n).__name__}")
    if n <= 0:
        raise ValueError(f"[Sequential] Non-positive multiplication factor {n} for Sequential")


class ModuleList(_ListOfModules):
    """A list of modules that their owner calls as it likes.

    >>> import trigrad as tg
    >>> tg.nn.ModuleList([tg.nn.Linear(2, 2) for _ in range(3)])
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        for module in modules or ():
            self.append(module)

    def insert(self, index: int, module: Module) -> None:
        """Add a module before that at `index`."""
        super().insert(index, module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"[ModuleList] extend got a {type(modules).__name__}, expected an iterable of modules")
        for module in modules:
            self.append(module)
        return self

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        groups: list[list[Any]] = []  # first index, last index, text
        for i, text in enumerate(map(repr, self)):
            if groups and groups[-1][2] == text:
                groups[-1][1] = i
            else:
                groups.append([i, i, text])
        return _bracketed(
            self._get_name(),
            [f"({i}): {text}" if i == j else f"({i}-{j}): {j - i + 1} x {text}" for i, j, text in groups],
        )


class ModuleDict(Module):
    """A dict of modules that their owner calls as it likes.

    >>> import trigrad as tg
    >>> choices = tg.nn.ModuleDict({"relu": tg.nn.ReLU(), "tanh": tg.nn.Tanh()})
    >>> choices["tanh"](tg.zeros(1))
    tensor([0.])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return cast(Module, self._modules[key])

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        _core.structure_changed()
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all out."""
        _core.structure_changed()
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take a module out."""
        _core.structure_changed()
        return cast(Module, self._modules.pop(key))

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The names and modules."""
        return cast(Iterable[tuple[str, Module]], self._modules.items())

    def values(self) -> Iterable[Module]:
        """The modules."""
        return cast(Iterable[Module], self._modules.values())

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add the modules of a mapping or of (name, module) pairs."""
        for key, module in _pairs("ModuleDict", modules):
            self[key] = module


def _pairs(container: str, given: Any) -> list[tuple[Any, Any]]:
    if not isinstance(given, Iterable):
        raise TypeError(
            f"[{container}] update got a {type(given).__name__}, expected a mapping or an iterable of pairs"
        )
    if hasattr(given, "items"):
        return list(given.items())
    pairs = [tuple(pair) if isinstance(pair, Iterable) else (pair,) for pair in given]
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            raise ValueError(f"[{container}] update sequence element #{i} has length {len(pair)}; 2 is required")
    return cast(list[tuple[Any, Any]], pairs)


def _as_parameter(value: Any) -> Any:
    """Tensors become parameters; anything else stays as it is."""
    return Parameter(value) if isinstance(value, Tensor) and not is_parameter(value) else value


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if is_parameter(value) else "Tensor"
    return f"{kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"


class ParameterList(Module):
    """A list of parameters; tensors become parameters.

    >>> import trigrad as tg
    >>> weights = tg.nn.ParameterList([tg.zeros(2), tg.zeros(3)])
    >>> len(list(weights.parameters()))
    2
    """

    _size: int

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        for value in values or ():
            self.append(value)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, str(i)) for i in range(self._size)])

    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...
    @overload
    def __getitem__(self, index: int) -> Any: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(getattr(self, str(i)) for i in range(*index.indices(self._size)))
        return getattr(self, str(_place("ParameterList", index, self._size)))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, str(_place("ParameterList", index, self._size)), _as_parameter(value))

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        if isinstance(values, Tensor) or not hasattr(values, "__iter__"):
            raise TypeError(f"[ParameterList] extend got a {type(values).__name__}, expected an iterable of tensors")
        for value in values:
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def extra_repr(self) -> str:
        return "\n".join(f"  ({i}): {_described(value)}" for i, value in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("[ParameterList] should not be called; index it")


class ParameterDict(Module):
    """A dict of parameters; tensors become parameters.

    >>> import trigrad as tg
    >>> ends = tg.nn.ParameterDict({"low": tg.zeros(1), "high": tg.ones(1)})
    >>> sorted(name for name, _ in ends.named_parameters())
    ['high', 'low']
    """

    _keys: dict[str, None]

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(
                f"[ParameterDict] Index given to ParameterDict cannot be used as a key as it is not a string: {key!r}"
            )
        if key not in self._keys and hasattr(self, key):
            raise KeyError(f"[ParameterDict] attribute '{key}' already exists; take another name")
        setattr(self, key, _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, or `default`."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, which becomes `default` if there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take all out."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last one out."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def copy(self) -> ParameterDict:
        """Another dict of the same parameters."""
        return ParameterDict(self.items())

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names and parameters."""
        return [(key, self[key]) for key in self._keys]

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self._keys]

    def update(self, parameters: Any) -> None:
        """Add the parameters of a mapping or of (name, tensor) pairs."""
        for key, value in _pairs("ParameterDict", parameters):
            self[key] = value

    @classmethod
    def fromkeys(cls, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """The same value under many names."""
        return cls((key, default) for key in keys)

    def __or__(self, other: ParameterDict) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        return "\n".join(f"  ({key}): {_described(value)}" for key, value in self.items())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("[ParameterDict] should not be called; index it")
