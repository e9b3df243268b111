"""`state_dict` and `load_state_dict`: a module's numbers by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from trigrad import _autograd, _core
from trigrad._core import Tensor
from trigrad._creation import as_tensor
from trigrad._hooks import RemovableHandle
from trigrad.nn._calling import Hook, Hooked
from trigrad.nn.parameter import Parameter, is_parameter

EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` did without."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        """As PyTorch's."""
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Listed(OrderedDict[str, Any]):
    """What `state_dict` gives. `_metadata` has the version of each module's layout, by path."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._metadata: dict[str, dict[str, Any]] = OrderedDict()


class Stateful(Hooked):
    """The part of Module that saves and loads: a tree of named tensors."""

    _parameters: dict[str, Tensor | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: Mapping[str, Stateful | None]
    _version: int = 1  # of the names and shapes of its own tensors

    def _complete(self, state: dict[str, Any], prefix: str, version: int | None) -> None:
        """Add to the state what an older version of the layout did not have. (None: of an unknown version.)"""

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that its settings want of its own tensors, by name: a file in which they differ is refused."""
        return {}

    def _accepts(self, name: str, held: Tensor, given: Tensor) -> bool:
        """May `given` be loaded into the tensor with that name?"""
        return held.shape == given.shape

    def get_extra_state(self) -> Any:
        """What else belongs into `state_dict`: written by the classes that need it, beside `set_extra_state`."""
        raise NotImplementedError("[get_extra_state] write it in the class whose state has more than tensors")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError("[set_extra_state] write it in the class that has get_extra_state()")

    def register_state_dict_pre_hook(self, hook: Callable[[Any, str, bool], None]) -> RemovableHandle:
        """Call hook(module, prefix, keep_vars) before the module's state is listed."""
        return self._add_hook("state_dict_pre", Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[[Any, dict[str, Any], str, Any], None]) -> RemovableHandle:
        """Call hook(module, state_dict, prefix, {}) after the module's state was listed; it may change the dict."""
        return self._add_hook("state_dict_post", Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call hook(module, state_dict, prefix, {}, strict, missing_keys, unexpected_keys, error_msgs) before anything is
        loaded; it may change its copy of the dict and add to the lists."""
        return self._add_hook("load_state_dict_pre", Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[[Any, IncompatibleKeys], None]) -> RemovableHandle:
        """Call hook(module, incompatible_keys) after the state was loaded, before missing keys raise an error."""
        return self._add_hook("load_state_dict_post", Hook(hook))

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """All parameters and persistent buffers by path, on the module's own memory. `keep_vars` keeps them in the graph.

        >>> import trigrad as tg
        >>> list(tg.nn.Sequential(tg.nn.Linear(2, 3)).state_dict())
        ['0.weight', '0.bias']
        """
        found: Any = Listed() if destination is None else destination
        for hook in tuple(self._hooks.get("state_dict_pre", {}).values()):
            hook.function(self, prefix, keep_vars)
        local = {"version": self._version}
        if hasattr(found, "_metadata"):
            found._metadata[prefix[:-1]] = local
        for name, tensor in _own(self):
            found[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            found[prefix + EXTRA] = self.get_extra_state()
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in tuple(self._hooks.get("state_dict_post", {}).values()):
            hook.function(self, found, prefix, local)
        return cast(dict[str, Any], found)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the numbers of a `state_dict` (tensors or arrays) into this module's. If anything does not fit, all of it
        is named in one error, and nothing has changed. `strict=False` leaves keys out on either side. `assign` takes the
        tensors themselves.

        >>> import trigrad as tg
        >>> a, b = tg.nn.Linear(2, 3), tg.nn.Linear(2, 3)
        >>> a.load_state_dict(b.state_dict())
        <All keys matched successfully>
        >>> tg.equal(a.weight, b.weight)
        True
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"[load_state_dict] Expected state_dict to be dict-like, got {type(state_dict).__name__}")
        given = OrderedDict(state_dict)
        versions = getattr(state_dict, "_metadata", None) or {}
        missing: list[str] = []
        unexpected: list[str] = []
        problems: list[str] = []
        modules = list(_with_paths(self))
        for path, part in modules:
            part._complete(given, path, versions.get(path[:-1], {}).get("version"))
            for hook in tuple(part._hooks.get("load_state_dict_pre", {}).values()):
                hook.function(part, given, path, versions.get(path[:-1], {}), strict, missing, unexpected, problems)

        plan: list[tuple[Stateful, str, Tensor, Tensor]] = []  # whose, under which name, what is, what it shall be
        extras: list[tuple[Stateful, Any]] = []
        known: set[str] = set()
        for path, part in modules:
            for name, tensor in _own(part):
                key = path + name
                known.add(key)
                if key not in given:
                    missing.append(key)
                    continue
                value = _tensor(key, given[key], problems)
                if value is None:
                    continue
                if tensor.ndim == 0 and value.shape == (1,):  # as scalars were saved once
                    value = value[0]
                if not part._accepts(name, tensor, value):
                    problems.append(
                        f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from checkpoint, the shape "
                        f"in current model is {tuple(tensor.shape)}."
                    )
                    continue
                plan.append((part, name, tensor, value))
            if type(part).get_extra_state is not Stateful.get_extra_state:
                known.add(path + EXTRA)
                if path + EXTRA in given:
                    extras.append((part, given[path + EXTRA]))
                else:
                    missing.append(path + EXTRA)
        unexpected += [key for key in given if key not in known and key not in unexpected]
        keys = IncompatibleKeys(missing, unexpected)

        if strict and unexpected:
            problems.insert(0, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}.")
        if strict and missing:
            problems.insert(0, f"Missing key(s) in state_dict: {_quoted(missing)}.")
        if problems:
            raise RuntimeError(
                f"[load_state_dict] Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(problems)
            )
        _take(plan, assign)
        for part, extra in extras:
            part.set_extra_state(extra)
        for _, part in reversed(modules):
            for hook in tuple(part._hooks.get("load_state_dict_post", {}).values()):
                hook.function(part, keys)
        return keys


def _own(module: Stateful) -> Iterator[tuple[str, Tensor]]:
    """The parameters and persistent buffers of a module without those below, under every name that they have."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            yield name, buffer


def _with_paths(module: Stateful, path: str = "") -> Iterator[tuple[str, Stateful]]:
    """The module and all below, with what comes before the names of their tensors: "", "0.", "0.out." …"""
    yield path, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _with_paths(child, f"{path}{name}.")


def _tensor(key: str, value: Any, problems: list[str]) -> Tensor | None:
    try:
        if isinstance(value, Tensor):
            return value
        if hasattr(value, "detach"):  # a tensor of another library
            value = value.detach()
        return as_tensor(value, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        problems.append(
            f'While copying the parameter named "{key}", expected a tensor or an array from checkpoint but received '
            f"{type(value).__name__}."
        )
        return None


def _take(plan: list[tuple[Stateful, str, Tensor, Tensor]], assign: bool) -> None:
    _core.structure_changed()
    with _autograd.no_grad():
        for module, name, tensor, value in plan:
            if tensor.shape != value.shape:  # of a layer that does not know its lengths yet
                tensor.data = value.to(tensor.dtype).clone()
            elif not assign:
                tensor.copy_(value)
            elif is_parameter(tensor):
                module._parameters[name] = Parameter(value, tensor.requires_grad)
            else:
                module._buffers[name] = value.detach()


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)
