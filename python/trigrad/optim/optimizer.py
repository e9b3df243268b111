"""What all optimizers share: groups of parameters with their options, the state kept per parameter, hooks, and the step."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import wraps
from itertools import chain
from typing import Any, TypeAlias

from trigrad import _core
from trigrad._core import Tensor
from trigrad._creation import tensor, zeros, zeros_like
from trigrad._hooks import RemovableHandle, witness

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

Group: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]
Closure: TypeAlias = Callable[[], Any]
Hooks: TypeAlias = "OrderedDict[int, Callable[..., Any]]"


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required: Any = _Required()

_pre_hooks: Hooks = OrderedDict()  # of the steps of all optimizers
_post_hooks: Hooks = OrderedDict()


def _register(hooks: Hooks, hook: Callable[..., Any], first: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if first:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Have hook(optimizer, args, kwargs) called before every step of every optimizer."""
    return _register(_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Have hook(optimizer, args, kwargs) called after every step of every optimizer."""
    return _register(_post_hooks, hook)


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._stepped = True
        if self._step_pre_hooks or _pre_hooks:
            for hook in chain(_pre_hooks.values(), self._step_pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise RuntimeError(
                            f"[step] a pre-hook returned {changed!r}, expected None or the tuple (args, kwargs)"
                        )
                    args, kwargs = changed
        result = step(self, *args, **kwargs)
        if self._step_post_hooks or _post_hooks:
            for hook in chain(self._step_post_hooks.values(), _post_hooks.values()):
                hook(self, args, kwargs)
        return result

    return hooked


def no_less(optimizer: str, low: float, **numbers: Any) -> None:
    """Refuses numbers below `low`, and NaN."""
    for name, value in numbers.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"[{optimizer}] {name} is a tensor of shape {tuple(value.shape)}, expected one element")
        if not hasattr(value, "__float__"):
            raise TypeError(f"[{optimizer}] {name} is {value!r}, expected a number")
        if not value >= low:
            raise ValueError(f"[{optimizer}] {name} is {value}, expected {low:g} or more")


def check_betas(optimizer: str, betas: Sequence[Any]) -> None:
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"[{optimizer}] betas is {betas!r}, expected two numbers")
    for k, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"[{optimizer}] betas[{k}] is {beta}, expected 0 <= beta < 1")


def check_ways(optimizer: str, foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """The ways of PyTorch to run a step. Here a step is one fused call whatever is asked for; contradictions are refused."""
    if fused and foreach:
        raise RuntimeError(f"[{optimizer}] `fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError(
            f"[{optimizer}] differentiable=True is not supported: a step overwrites the parameters; write the step with "
            "out-of-place ops to differentiate through it"
        )


class Optimizer:
    """What all optimizers share. A subclass of ours names the row of its step, the states that the row keeps, and the
    numbers that it takes; one of yours may define `step` as it likes.

    `param_groups` are dicts of options with the parameters under "params"; `state` holds a dict per parameter.

    >>> import trigrad as tg
    >>> class Descent(tg.optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     @tg.no_grad()
    ...     def step(self):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 p -= group["lr"] * p.grad
    ...
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Descent([w], lr=0.25).step()
    >>> w.detach()
    tensor([0.5000, 1.0000])
    """

    _row: Any  # the row of the table that a step calls, once per group
    _shaped: tuple[str, ...] = ()  # the states of a parameter's shape, in the order of the row's list
    _optional: tuple[str, ...] = ()  # those that only some options want
    _single: tuple[str, ...] = ("step",)  # the states that are single numbers

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Params, defaults: Group) -> None:
        self.defaults = defaults
        self._start_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a "
                f"{type(params).__name__}; put it into a list"
            )
        self.state: defaultdict[Any, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        if not isinstance(params, Iterable):
            raise TypeError(
                f"params argument given to the optimizer is a {type(params).__name__}, expected an iterable of Tensors or "
                "dicts; a module's are model.parameters()"
            )
        given: list[Any] = list(params)
        if not given:
            raise ValueError(
                "optimizer got an empty parameter list; an iterator such as model.parameters() gives its elements once"
            )
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def _start_hooks(self) -> None:
        if witness.made is not None:
            witness.made.append(self)
        self._stepped = False
        self._step_pre_hooks: Hooks = OrderedDict()
        self._step_post_hooks: Hooks = OrderedDict()
        self._state_dict_pre_hooks: Hooks = OrderedDict()
        self._state_dict_post_hooks: Hooks = OrderedDict()
        self._load_state_dict_pre_hooks: Hooks = OrderedDict()
        self._load_state_dict_post_hooks: Hooks = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_step_pre_hooks" not in self.__dict__:
            self._start_hooks()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Have hook(optimizer, args, kwargs) called before each step; what it returns replaces (args, kwargs)."""
        return _register(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Have hook(optimizer, args, kwargs) called after each step."""
        return _register(self._step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Have hook(optimizer) called before `state_dict` looks."""
        return _register(self._state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Have hook(optimizer, state_dict) called with what `state_dict` made; what it returns replaces that."""
        return _register(self._state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Have hook(optimizer, state_dict) called before it is loaded; what it returns replaces it."""
        return _register(self._load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Have hook(optimizer) called after a state dict was loaded."""
        return _register(self._load_state_dict_post_hooks, hook, prepend)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """The state and the options: {"state": {number: dict}, "param_groups": [dict]}, parameters numbered in order.
        The tensors are the optimizer's own: copy (deepcopy) what is to outlive the next step.
        """
        for hook in self._state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[Any, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(p, len(numbers))
            packed = {k: v for k, v in group.items() if k != "params"}
            groups.append(packed | {"params": [numbers[p] for p in group["params"]]})
        state = {numbers[k] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        made: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._state_dict_post_hooks.values():
            changed = hook(self, made)
            made = made if changed is None else changed
        return made

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, ours or PyTorch's; its tensors (or arrays) are copied. Nothing changes if it
        does not fit.
        """
        given: Any = state_dict
        given = dict(given) if isinstance(given, Mapping) else given
        for hook in self._load_state_dict_pre_hooks.values():
            changed = hook(self, given)
            given = given if changed is None else changed
        groups = self._loaded_groups(given)
        numbers = chain.from_iterable(g["params"] for g in groups)
        parameters = chain.from_iterable(g["params"] for g in self.param_groups)
        of_number = dict(zip(numbers, parameters, strict=True))
        state: defaultdict[Any, State] = defaultdict(dict)
        problems: list[str] = []
        for k, v in given["state"].items():
            state[of_number.get(k, k)] = (
                {n: _taken_over(n, x, of_number[k]) for n, x in v.items()} if k in of_number else v
            )
        for group in groups if hasattr(self, "_row") else ():  # one of yours may keep what it likes
            problems += self._refusals(group)
            for k in group["params"] if not problems else ():
                problems += self._misfits(k, of_number[k], state.get(of_number[k], {}), group)
        if problems:
            raise ValueError(
                f"[load_state_dict] the state does not fit this {type(self).__name__}:\n\t" + "\n\t".join(problems)
            )
        for new, old in zip(groups, self.param_groups, strict=True):
            new["params"] = old["params"]
            if "param_names" in old and "param_names" not in new:
                new["param_names"] = old["param_names"]
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._load_state_dict_post_hooks.values():
            hook(self)

    def _loaded_groups(self, state_dict: Any) -> list[Group]:
        """The groups of a state dict, if they go with ours. Flags that an older one did not have yet are off."""
        name = type(self).__name__
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            held = list(state_dict) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ValueError(f"[load_state_dict] got {held}, expected a dict with 'state' and 'param_groups'")
        groups: list[Group] = deepcopy(state_dict["param_groups"])
        if len(groups) != len(self.param_groups):
            raise ValueError(
                f"[load_state_dict] loaded state dict has a different number of parameter groups: {len(groups)}, "
                f"expected {len(self.param_groups)}"
            )
        problems = []
        for i, (new, old) in enumerate(zip(groups, self.param_groups, strict=True)):
            if len(new["params"]) != len(old["params"]):
                problems.append(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: group "
                    f"{i} has {len(new['params'])} parameters, expected {len(old['params'])}"
                )
            for flag, value in self.defaults.items():
                if value is None or isinstance(value, bool):
                    new.setdefault(flag, None if value is None else False)
            lost = [option for option in self.defaults if option not in new]
            if lost and hasattr(self, "_row"):  # one of yours may know what to do
                problems.append(f"group {i} has no {', '.join(lost)}")
        if problems:
            raise ValueError(f"[load_state_dict] the groups do not fit this {name}: " + "\n\t".join(problems))
        return groups

    def _refusals(self, group: Group) -> Iterator[str]:
        """What the row of the step says of the options of a group: it is tried on one number."""
        one = zeros((1,))
        try:
            state = self._fresh(group, one)
            names = (*self._kept(group), *self._single)
            type(self)._row([one, zeros_like(one), *(state[name] for name in names)], *self._numbers(group))
        except (TypeError, ValueError, KeyError, RuntimeError) as error:
            yield f"no step can be made with the options of a group: {error}"

    def _misfits(self, number: int, parameter: Tensor, state: State, group: Group) -> Iterator[str]:
        """What of a loaded state the row of the step would refuse."""
        wanted = dict.fromkeys(self._single, ()) | dict.fromkeys(
            (*self._shaped, *self._optional), tuple(parameter.shape)
        )
        for name in [n for n in wanted if n in state]:
            value, shape = state[name], wanted[name]
            if value is None:
                del state[name]  # PyTorch's SGD without momentum
                continue
            if name in self._single and not (
                isinstance(value, Tensor) and (value.numel() != 1 or value.is_floating_point())
            ):
                with suppress(TypeError, ValueError):
                    value = state[name] = tensor(float(value))  # as PyTorch once kept counts of steps
            if not isinstance(value, Tensor):
                yield f"{name} of parameter {number} is a {type(value).__name__}, expected a tensor"
            elif tuple(value.shape) != shape and (shape or value.numel() != 1):
                yield f"{name} of parameter {number} has shape {tuple(value.shape)}, expected {shape}"
            elif shape and value.dtype is not parameter.dtype:
                yield f"{name} of parameter {number} is of {value.dtype}, expected {parameter.dtype}"
            elif name == "step" and not 0 <= float(value) < math.inf:
                yield f"step of parameter {number} is {float(value)}, expected how many were made"
        lost = [name for name in (*self._kept(group), *self._single) if state and name not in state]
        if lost:
            yield f"parameter {number} has no {', '.join(lost)}"

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                    continue
                if p.grad.requires_grad:
                    p.grad = p.grad.detach()
                p.grad.zero_()

    def add_param_group(self, param_group: Group) -> None:
        """Optimize these parameters too, with these options; what is missing is taken from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        if "params" not in param_group:
            raise KeyError(f"[{type(self).__name__}] a parameter group has no 'params', it has {list(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        params = list(params)
        group = dict(param_group)
        named = [isinstance(p, tuple) for p in params]
        if any(named):
            if not all(named):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            group["params"] = [p for _, p in params]
            group["param_names"] = [name for name, _ in params]
        else:
            group["params"] = params
        if self.param_groups and ("param_names" in group) != ("param_names" in self.param_groups[0]):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if 'param_names' in group else 'without'} names to the optimizer"
            )
        self._check(group["params"])
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            group.setdefault(name, default)
        _core.structure_changed()
        self.param_groups.append(group)

    def _check(self, params: list[Any]) -> None:
        for p in params:
            if not isinstance(p, Tensor):
                remedy = "; a module's are model.parameters()" if hasattr(p, "parameters") else ""
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}{remedy}"
                )
            if not p.is_leaf and not getattr(p, "retains_grad", False):
                raise ValueError(
                    "can't optimize a non-leaf Tensor: it is the result of other ops, expected the tensors that they "
                    "started from"
                )
        known = {p for group in self.param_groups for p in group["params"]}
        if len(set(params)) != len(params):
            raise ValueError("some parameters appear more than once in a parameter group")
        if known.intersection(params):
            raise ValueError("some parameters appear in more than one parameter group")

    # ---- the step of our own optimizers

    def step(self, closure: Closure | None = None) -> Any:
        """One step along the gradients that the parameters hold. `closure` is called before, to make them: it returns the
        loss, which is returned.
        """
        loss = None
        if closure is not None:
            before = _core.set_grad_enabled(True)
            try:
                loss = closure()
            finally:
                _core.set_grad_enabled(before)
        before = _core.set_grad_enabled(False)
        try:
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if params:
                    self._update(group, params)
        finally:
            _core.set_grad_enabled(before)
        return loss

    def _update(self, group: Group, params: list[Tensor]) -> None:
        """One call of the row over all parameters of a group. A plan that records it reads its numbers anew in each run."""
        recording = _core.pause_recording()
        try:
            tensors, numbers = self._ready(group, params)
        finally:
            if recording:
                _core.resume_recording()
                _core.mark_live(("numbers", self, group) if any(group is g for g in self.param_groups) else ("once",))
        try:
            type(self)._row(tensors, *numbers)
        except RuntimeError:  # nothing was written: a call takes tensors of one device, so each has its own
            places = dict.fromkeys(p._device_name for p in params)
            if len(places) == 1:
                raise
            for place in places:
                self._update(group, [p for p in params if p._device_name == place])

    def _ready(self, group: Group, params: list[Tensor]) -> tuple[list[Tensor], tuple[Any, ...]]:
        """What the row takes, with states for those that have made no step."""
        numbers, names = self._numbers(group), (*self._kept(group), *self._single)
        states = [self.state[p] for p in params] if names else []
        tensors = [*params, *[p.grad for p in params if p.grad is not None]]
        try:
            for name in names:
                tensors += [s[name] for s in states]
        except KeyError:
            for p, s in zip(params, states, strict=True):
                for name, value in self._fresh(group, p).items():
                    s.setdefault(name, value)
            return self._ready(group, params)
        return tensors, numbers

    # ---- what a compiled function was recorded under (_compile.py)

    def _structure(self) -> tuple[tuple[Any, ...], list[Any]]:
        """What is compared by value and what by identity: when either has changed, a recording of a step is void."""
        hooks = (_pre_hooks, self._step_pre_hooks, self._step_post_hooks, _post_hooks)
        facts = tuple(tuple(h) for h in hooks), tuple(len(g["params"]) for g in self.param_groups)
        return facts, [p for g in self.param_groups for p in g["params"]]

    def _numbers_now(self) -> list[Any]:
        """The options of the groups and the numbers among the states that are Python's: no step that is replayed may change
        them."""
        simple = (bool, int, float, str, tuple, type(None))
        kept = [s for g in self.param_groups for p in g["params"] if (s := self.state.get(p))]
        found = [[(k, v) for k, v in d.items() if isinstance(v, simple)] for d in (*self.param_groups, *kept)]
        return [numbers for numbers in found if numbers]

    def _reaches(self) -> list[Any]:
        """What else a step may call."""
        hooks = (_pre_hooks, self._step_pre_hooks, self._step_post_hooks, _post_hooks)
        return [type(self).step, *(hook for table in hooks for hook in table.values())]

    def _guards(self, group: Group) -> Iterator[tuple[str, Any, Any, Any]]:
        """(kind, holder, key, what must be there) for a step of this group to overwrite the tensors that were recorded."""
        yield "item", self.__dict__, "state", self.state
        yield "item", self.__dict__, "param_groups", self.param_groups
        yield "length", self.param_groups, None, len(self.param_groups)
        for i, g in enumerate(self.param_groups):
            yield "element", self.param_groups, i, g
        yield "item", group, "params", group["params"]
        yield "length", group["params"], None, len(group["params"])
        for i, p in enumerate(group["params"]):
            yield "element", group["params"], i, p
            if p in self.state:
                yield "item", self.state, p, self.state[p]
                for name in (*self._kept(group), *self._single):
                    if name in self.state[p]:
                        yield "item", self.state[p], name, self.state[p][name]

    def _kept(self, group: Group) -> tuple[str, ...]:
        """The states of a parameter's shape that the row wants with these options."""
        return self._shaped

    def _fresh(self, group: Group, p: Tensor) -> State:
        """The state of a parameter that has made no step: beside it, the single numbers too, so that a step on a GPU waits for
        nothing.
        """
        state: State = {name: tensor(0.0, device=p.device) for name in self._single}
        return state | {name: zeros_like(p) for name in self._kept(group)}

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        """The attributes of the row."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")


Optimizer.step = _with_hooks(Optimizer.step)  # type: ignore[method-assign]


def real(value: Any) -> float:
    """An option that may be a tensor of one element, as a number."""
    return value if type(value) is float else float(value)


def _taken_over(name: str, value: Any, parameter: Tensor) -> Any:
    """A loaded state, as a tensor of ours beside the parameter: counts of steps keep their dtype, others have the parameter's."""
    if isinstance(value, dict):
        return {k: _taken_over(k, v, parameter) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_taken_over(name, v, parameter) for v in value)
    if isinstance(value, Tensor):
        value = value.to(parameter.device) if value.device != parameter.device else value.clone()
    elif hasattr(value, "__array__"):
        value = tensor(value.__array__(), device=parameter.device)
    else:
        return value
    return value if name == "step" or not value.is_floating_point() else value.to(parameter)
