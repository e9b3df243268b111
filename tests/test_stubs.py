"""The type stubs say what is there at run time, no more and no less."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import trigrad as tg
from trigrad import _core

ROOT = Path(__file__).resolve().parents[1]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "tools" / "stubs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(body: list[ast.stmt]) -> set[str]:
    found = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            alias = isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"
            if not alias:
                found.add(node.target.id)
    return found


def stub(name: str) -> list[ast.stmt]:
    return ast.parse((ROOT / "python" / "trigrad" / name).read_text()).body


def test_stubs_are_what_the_tool_writes() -> None:
    for path, text in tool().stubs().items():
        assert path.read_text() == text, f"{path.name} is stale: run python tools/stubs.py"


def test_the_modules_have_what_the_stubs_declare() -> None:
    assert names(stub("ops.pyi")) == {n for n in dir(tg.ops) if not n.startswith("__")}
    assert names(stub("_core.pyi")) | {"ops"} == {n for n in dir(_core) if not n.startswith("__")}


@pytest.mark.parametrize("name", ["Tensor", "Size", "dtype"])
def test_the_types_have_what_the_stubs_declare(name: str) -> None:
    (declared,) = [n for n in stub("_core.pyi") if isinstance(n, ast.ClassDef) and n.name == name]
    kind = getattr(_core, name)
    there = {n for n in vars(kind) if n not in ("__doc__", "__module__", "__new__", "__weakref__")}
    # Every object has the first two; deleting elements is there only to be refused.
    common = {"__repr__", "__format__", "__weaklistoffset__", "__delitem__"}
    assert names(declared.body) - there <= {"__new__"}
    assert there - names(declared.body) - common == set()


def test_the_parameters_of_python_methods_are_the_stubs() -> None:
    (tensor,) = [n for n in stub("_core.pyi") if isinstance(n, ast.ClassDef) and n.name == "Tensor"]
    checked = 0
    for node in tensor.body:
        function = vars(_core.Tensor).get(getattr(node, "name", ""))
        if isinstance(node, ast.FunctionDef) and inspect.isfunction(function):
            args = node.args
            written = [*args.args, *([args.vararg] if args.vararg else []), *args.kwonlyargs]
            assert [a.arg for a in written][1:] == list(inspect.signature(function).parameters)[1:]
            checked += 1
    assert checked > 30


def test_public_names() -> None:
    for name in tg.ops.__all__:
        assert callable(getattr(tg, name))
        assert getattr(tg, name).__doc__.count(">>>"), f"{name} has no example: add it to _docs/"
