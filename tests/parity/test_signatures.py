"""Nothing of PyTorch's is called otherwise here: parameters have its names, order and defaults, classes its methods.

What differs is listed in torch_differences.py, where each entry names its row of docs/semantics.md.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="compares with torch")

import trigrad as tg
from torch_differences import MORE_KEYWORDS, NO_MEMBER, NO_PARAMETER, OTHER_DEFAULT

MODULES = (
    "nn",
    "nn.functional",
    "nn.init",
    "nn.parameter",
    "nn.utils",
    "optim",
    "optim.lr_scheduler",
    "optim.optimizer",
    "utils.data",
)

REQUIRED = inspect.Parameter.empty
# name -> (may it be positional?, default)
Parameters = dict[str, tuple[bool, Any]]


def module(root: Any, path: str) -> Any:
    return importlib.import_module(f"{root.__name__}.{path}")


def public(path: str) -> Iterator[tuple[str, Any, Any]]:
    """Functions and classes that both have."""
    ours, theirs = module(tg, path), module(torch, path)
    for name in sorted(getattr(ours, "__all__", dir(ours))):
        mine, other = getattr(ours, name), getattr(theirs, name, None)
        if callable(mine) and callable(other) and not name.startswith("_"):
            yield name, mine, other


def of_docstring(function: Any) -> Parameters | None:
    """PyTorch's builtins say it in the first line: "linear(input, weight, bias=None) -> Tensor"."""
    found = re.match(r"\s*\w+\((.*?)\)\s*->", function.__doc__ or "", re.DOTALL)
    if found is None:
        return None
    parameters: Parameters = {}
    positional = True
    for part in (p.strip() for p in found[1].split(",")):
        name, _, default = (p.strip() for p in part.partition("="))
        if name == "*":
            positional = False
        elif name:
            parameters[name] = (positional, eval(default) if default else REQUIRED)
    return parameters


def parameters(function: Any) -> Parameters | None:
    """None where neither a signature nor a docstring tells."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return of_docstring(function)
    listed = signature.parameters.values()
    return {
        p.name: (p.kind is not p.KEYWORD_ONLY, p.default)
        for p in listed
        if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def same_default(mine: Any, other: Any) -> bool:
    if mine is REQUIRED or other is REQUIRED:
        return mine is other
    return bool(mine == other) or repr(mine).replace("trigrad", "torch") == repr(other)


def differences(where: str, mine: Callable[..., Any], other: Callable[..., Any]) -> Iterator[str]:
    """What the two signatures do not share, but for what is listed."""
    ours, theirs = parameters(mine), parameters(other)
    if ours is None or theirs is None:
        return
    left_out = NO_PARAMETER.get(where, {})
    kept = [n for n in theirs if n not in left_out]
    if [n for n in ours if n in theirs] != [n for n in kept if n in ours] or any(n not in ours for n in kept):
        yield f"{where}: parameters {list(ours)}, torch has {list(theirs)}"
        return
    for name, (positional, default) in ours.items():
        if name not in theirs:
            if (positional and default is REQUIRED) or name not in MORE_KEYWORDS:
                yield f"{where}: torch has no {name}"
            elif positional:
                yield f"{where}: {name} is not PyTorch's, and not a keyword alone"
        elif positional != theirs[name][0]:
            yield f"{where}: {name} is {'positional' if positional else 'a keyword'}, in torch it is not"
        elif not same_default(default, theirs[name][1]) and name not in OTHER_DEFAULT.get(where, {}):
            yield f"{where}: {name} is {default!r} by default, in torch {theirs[name][1]!r}"


@pytest.mark.parametrize("path", MODULES)
def test_signatures(path: str) -> None:
    compared, found = 0, []
    for name, mine, other in public(path):
        compared += parameters(mine) is not None and parameters(other) is not None
        found += differences(name, mine, other)
    assert compared > 0
    assert found == []


def methods(kind: type) -> dict[str, Any]:
    return {n: getattr(kind, n) for n in dir(kind) if not n.startswith("_")}


CLASSES = {
    name: (mine, other)
    for path in MODULES
    for name, mine, other in public(path)
    if inspect.isclass(mine) and inspect.isclass(other) and name not in ("Parameter", "Buffer")  # tensors
}


@pytest.mark.parametrize("name", CLASSES)
def test_methods(name: str) -> None:
    mine, other = CLASSES[name]
    ours, theirs = methods(mine), methods(other)
    inherited = set(methods(torch.nn.Module)) if name != "Module" and issubclass(other, torch.nn.Module) else set()
    listed = NO_MEMBER.get(name, {}) | NO_MEMBER.get(
        "Optimizer" if issubclass(other, torch.optim.Optimizer) else "", {}
    )
    assert sorted(theirs.keys() - ours.keys() - inherited - listed.keys()) == []
    found = []
    for method in sorted((ours.keys() & theirs.keys()) - inherited):
        if callable(ours[method]) and callable(theirs[method]) and not inspect.isclass(theirs[method]):
            found += differences(f"{name}.{method}", ours[method], theirs[method])
    assert found == []


def test_lists_name_what_there_is() -> None:
    """No entry has outlived its difference."""
    there = {n: (m, o) for path in MODULES for n, m, o in public(path)}
    for where, names in NO_PARAMETER.items():
        owner, _, method = where.partition(".")
        mine, other = (getattr(x, method) if method else x for x in there[owner])
        assert set(names) <= set(parameters(other) or ()), where
        assert not set(names) & set(parameters(mine) or ()), where
    for owner, names in NO_MEMBER.items():
        assert not [n for n in names if hasattr(there[owner][0], n) or not hasattr(there[owner][1], n)], owner
