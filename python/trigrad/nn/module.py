"""Module: a tree of parameters, buffers and modules, with a `forward`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self, overload

from trigrad import _autograd, _core
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, empty_like
from trigrad._device import names_device
from trigrad.nn._state import Stateful
from trigrad.nn.parameter import is_parameter, is_persistent

__all__ = ["Module"]

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module(Stateful):
    """What all networks and layers derive from: set parameters and modules as attributes in `__init__`, write `forward`.

    >>> import trigrad as tg
    >>> class Net(tg.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = tg.nn.Linear(2, 8)
    ...         self.out = tg.nn.Linear(8, 1)
    ...
    ...     def forward(self, x):
    ...         return self.out(tg.tanh(self.hidden(x)))
    >>> net = Net()
    >>> net
    Net(
      (hidden): Linear(in_features=2, out_features=8, bias=True)
      (out): Linear(in_features=8, out_features=1, bias=True)
    )
    >>> net(tg.zeros(5, 2)).shape
    trigrad.Size([5, 1])
    """

    training: bool
    _modules: dict[str, Module | None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            raise TypeError(
                f"[{type(self).__name__}] got arguments that its __init__ does not take: {args or tuple(kwargs)}"
            )
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _non_persistent_buffers_set=set(), _hooks={}
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes: written by the classes that derive from this one."""
        raise NotImplementedError(f'[{type(self).__name__}] has no "forward" method; write one')

    # ---- attributes

    def _registry(self, name: str, what: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self.__dict__.get(name)
        if found is None:
            raise AttributeError(
                f"[{type(self).__name__}] cannot assign a {what} before Module.__init__() call; "
                "begin __init__ with super().__init__()"
            )
        return found

    def _check_name(self, what: str, name: str, registry: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"[register_{what}] {what} name should be a string, got a {type(name).__name__}")
        if "." in name:
            raise KeyError(f"[register_{what}] got the name {name}, expected no dot in the name of a {what}")
        if name == "":
            raise KeyError(f"[register_{what}] got an empty name, expected one for the {what}")
        if name not in registry and hasattr(self, name):
            raise KeyError(f"[register_{what}] attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Tensor | None) -> None:
        """Add a parameter under a name; None is a parameter that is left out."""
        registry = self._registry("_parameters", "parameter")
        self._check_name("parameter", name, registry)
        if param is not None and not is_parameter(param):
            raise TypeError(
                f"[register_parameter] cannot assign a {type(param).__name__} as parameter '{name}', expected a Parameter "
                "or None; use trigrad.nn.Parameter(tensor)"
            )
        _core.structure_changed()
        registry[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is kept, but not learned; one that is not `persistent` is left out of `state_dict()`."""
        registry = self._registry("_buffers", "buffer")
        self._check_name("buffer", name, registry)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"[register_buffer] cannot assign a {type(tensor).__name__} as buffer '{name}', expected a Tensor or None"
            )
        _core.structure_changed()
        registry[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under a name; None is a child that is left out."""
        registry = self._registry("_modules", "module")
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"[add_module] {type(module).__name__} is not a Module subclass; a list of layers is given one by one: "
                "Sequential(*layers)"
            )
        self._check_name("module", name, registry)
        _core.structure_changed()
        registry[name] = module

    register_module = add_module

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_modules" in own:
            for held in (own["_parameters"], own["_modules"], own["_buffers"]):
                if name in held:
                    return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        _core.structure_changed()
        kind = type(value)
        if kind is Tensor and value._role:
            if is_parameter(value):
                registry = self._registry("_parameters", "parameter")
                self._forget(name, keep="_parameters")
                self.register_parameter(name, value)
            else:
                self._registry("_buffers", "buffer")
                self._forget(name, keep="_buffers")
                self.register_buffer(name, value, is_persistent(value))
            return
        if isinstance(value, Module):
            registry = self._registry("_modules", "module")
            self._forget(name, keep="_modules")
            registry[name] = value
            return
        for key, expected in (("_parameters", "Parameter"), ("_modules", "Module"), ("_buffers", "Tensor")):
            held = self.__dict__.get(key)
            if held is not None and name in held:
                if value is not None and not (kind is Tensor and key == "_buffers"):
                    raise TypeError(
                        f"[{type(self).__name__}] cannot assign a {kind.__name__} as {key[1:-1]} '{name}', expected a "
                        f"{expected} or None"
                    )
                held[name] = value
                return
        object.__setattr__(self, name, value)

    def _forget(self, name: str, keep: str) -> None:
        """The name is about to mean something else."""
        self.__dict__.pop(name, None)
        for registry in _REGISTRIES:
            if registry != keep and name in self.__dict__[registry]:
                del self.__dict__[registry][name]
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        _core.structure_changed()
        for registry in _REGISTRIES:
            held = self.__dict__.get(registry)
            if held is not None and name in held:
                del held[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self), *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    # ---- the tree

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """The module itself and all below, each once, with their paths: "", "0", "0.out", …

        >>> import trigrad as tg
        >>> [name for name, _ in tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.ReLU()).named_modules()]
        ['', '0', '1']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module itself and all below, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, each once, with their names."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        for _, child in self.named_children():
            yield child

    def _named(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Tensor]]:
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        seen = set()
        for path, module in modules:
            for name, tensor in getattr(module, registry).items():
                if tensor is None or tensor in seen:
                    continue
                if remove_duplicate:
                    seen.add(tensor)
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The parameters, each once, with their paths.

        >>> import trigrad as tg
        >>> [(name, tuple(p.shape)) for name, p in tg.nn.Linear(2, 3).named_parameters()]
        [('weight', (3, 2)), ('bias', (3,))]
        """
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The parameters, each once: what an optimizer is given."""
        for _, tensor in self.named_parameters(recurse=recurse):
            yield tensor

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers, each once, with their paths."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        for _, tensor in self.named_buffers(recurse=recurse):
            yield tensor

    def get_submodule(self, target: str) -> Module:
        """The module with the path `target`.

        >>> import trigrad as tg
        >>> tg.nn.Sequential(tg.nn.Sequential(tg.nn.ReLU())).get_submodule("0.0")
        ReLU()
        """
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")  # noqa: TRY004 -- as PyTorch
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` where the path `target` leads; `strict` wants one to be there already."""
        if not target:
            raise ValueError("[set_submodule] got an empty path, expected that of a module below this one")
        if not isinstance(module, Module):
            raise ValueError(f"[set_submodule] got a {type(module).__name__}, expected a Module")  # noqa: TRY004 -- as PyTorch
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        setattr(parent, name, module)

    def _get_tensor(self, target: str, registry: str, what: str) -> Tensor:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if getattr(module, registry).get(name) is None:
            raise AttributeError(f"`{name}` is not {what}")
        tensor: Tensor = getattr(module, registry)[name]
        return tensor

    def get_parameter(self, target: str) -> Tensor:
        """The parameter with the path `target`."""
        return self._get_tensor(target, "_parameters", "an nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the path `target`."""
        return self._get_tensor(target, "_buffers", "a buffer")

    # ---- all at once

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module below, and with this one last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training or, with False, evaluation: dropout and batch norm ask for it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")  # noqa: TRY004 -- as PyTorch
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation: dropout and batch norm stop depending on the batch."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Are the parameters learned, or frozen?"""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to 0."""
        for p in self.parameters():
            if p.grad is None:
                continue
            if set_to_none:
                p.grad = None
            else:
                p.grad = p.grad.detach()
                p.grad.zero_()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Every parameter (which stays the same object), gradient and buffer becomes fn(it)."""
        _core.structure_changed()
        with _autograd.no_grad():
            for module in self.modules() if recurse else (self,):
                for p in module._parameters.values():
                    if p is not None:
                        grad = p.grad
                        made = fn(p.detach())
                        if made is not p:
                            p.grad = None
                            p.data = made
                        p.grad = None if grad is None else fn(grad)
                for name, b in module._buffers.items():
                    if b is not None:
                        module._buffers[name] = fn(b)
        return self

    @overload
    def to(self, device: DeviceArgument = ..., dtype: DTypeArgument | None = ..., **kwargs: Any) -> Self: ...
    @overload
    def to(self, dtype: DTypeArgument, **kwargs: Any) -> Self: ...
    @overload
    def to(self, tensor: Tensor, **kwargs: Any) -> Self: ...
    def to(self, *args: Any, **kwargs: Any) -> Self:
        """All floating parameters and buffers with another dtype: to(dtype), to(device), to(device, dtype), to(tensor).

        >>> import trigrad as tg
        >>> tg.nn.Linear(2, 3).to(tg.float64).weight.dtype
        trigrad.float64
        """
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        non_blocking = kwargs.pop("non_blocking", False)
        if kwargs:
            raise TypeError(
                f"[to] got an unexpected argument {next(iter(kwargs))!r}, expected device, dtype or a tensor"
            )
        for argument in args:
            if isinstance(argument, Tensor):
                dtype, device = argument.dtype, argument.device
            elif isinstance(argument, bool):
                non_blocking = argument
            elif names_device(argument):
                device = argument
            elif argument is not None:
                dtype = argument
        if device is not None:
            self._move(device, non_blocking)
        if dtype is None:
            return self
        wanted = _core.as_dtype(dtype)
        if not wanted.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point dtypes, but got desired dtype={wanted}; cast single tensors "
                "with x.to(dtype)"
            )
        return self._apply(lambda t: t.to(wanted) if t.is_floating_point() else t)

    def _move(self, device: DeviceArgument, non_blocking: bool = False) -> None:
        """All of it, if any of it is elsewhere: a compiled function that knows the module as it is stays valid otherwise."""
        there = _core.move(_core.empty((0,), None, "cpu"), device, "to")._device_name
        if any(t._device_name != there for t in (*self.parameters(), *self.buffers())):
            self._apply(lambda t: t.to(there, non_blocking=non_blocking))

    def type(self, dst_type: DTypeArgument) -> Self:
        """All parameters and buffers with another dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def float(self) -> Self:
        """The floating parameters and buffers as float32."""
        return self.to(_core.float32)

    def double(self) -> Self:
        """The floating parameters and buffers as float64."""
        return self.to(_core.float64)

    def half(self) -> Self:
        """The floating parameters and buffers as float16, in which dense layers alone compute, on a GPU; to train, autocast."""
        return self.to(_core.float16)

    def bfloat16(self) -> Self:
        """The floating parameters and buffers as bfloat16, in which dense layers alone compute, on a GPU; to train, autocast."""
        return self.to(_core.bfloat16)

    def to_empty(self, *, device: DeviceArgument, recurse: bool = True) -> Self:
        """New memory for all parameters and buffers, with whatever numbers are in it."""
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def cpu(self) -> Self:
        """The module on the CPU."""
        return self.to("cpu")

    def cuda(self, device: DeviceArgument = None) -> Self:
        """The module on a GPU."""
        return self.to("cuda" if device is None else device)

    # ---- what a compiled function was recorded under (_compile.py)

    def _structure(self) -> tuple[tuple[Any, ...], list[Any]]:
        """What is compared by value and what by identity: when either has changed, a recording of this module is void."""
        facts: list[Any] = []
        objects: list[Any] = []
        for path, module in self.named_modules():
            facts.append((path, type(module)))
            objects.append(module)
            for name, value in module.__dict__.items():
                if isinstance(value, float):
                    facts.append((name, type(value), repr(value)))  # 0.0 is not -0.0
                elif isinstance(value, (bool, int, str, type(None), tuple)):
                    kinds = tuple(map(type, value)) if isinstance(value, tuple) else type(value)
                    facts.append((name, kinds, value))  # 2 is not 2.0
                elif name in ("_parameters", "_buffers"):
                    for key, tensor in value.items():
                        facts.append((key, tensor if tensor is None else tensor._structure))
                        objects.append(tensor)
                elif name == "_hooks":
                    facts.append(tuple((kind, tuple(table)) for kind, table in value.items()))
                elif name not in ("_modules", "_non_persistent_buffers_set"):
                    objects.append(value)
        return tuple(facts), objects

    def _reaches(self) -> list[Any]:
        """What else may be called or read in `forward`."""
        found: list[Any] = []
        for module in self.modules():
            found.append(type(module).forward)
            found += [v for k, v in module.__dict__.items() if k not in _REGISTRIES and k != "_hooks"]
            found += [hook.function for table in module._hooks.values() for hook in table.values()]
        return found

    # ---- text and copies

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the brackets of `repr`, besides the modules below."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        return _bracketed(self._get_name(), lines + [f"({name}): {child!r}" for name, child in self._modules.items()])

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles take: numbers that were computed and kept as attributes go without their history."""
        return {
            name: value.detach() if type(value) is Tensor and not value.is_leaf else value
            for name, value in self.__dict__.items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _bracketed(name: str, lines: list[str]) -> str:
    """Name(…) with one entry per line, whose own lines are indented."""
    if not lines:
        return f"{name}()"
    return f"{name}(\n" + "".join("  " + line.replace("\n", "\n  ") + "\n" for line in lines) + ")"
