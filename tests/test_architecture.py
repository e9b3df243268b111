"""The directions of the house: who may include or import whom, and that the version is written once.

This reads the sources of the tree that the tests lie in.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trigrad
from trigrad import _core

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PUBLIC = ROOT / "include"  # what the package ships for C++
PACKAGE = ROOT / "python" / "trigrad"

# ---- C++: math <- core <- ops <- {cpu, cuda}, ops <- plan, {plan, cpu, cuda} <- bind

ROOM_MAY_INCLUDE = {
    "math": {"math"},
    "core": {"core", "math"},
    "ops": {"ops", "core", "math"},
    "cpu": {"cpu", "ops", "core", "math"},
    "cuda": {"cuda", "realtime", "ops", "core", "math"},
    "realtime": {"realtime", "cpu", "core", "math"},
    "plan": {"plan", "ops", "core", "math"},
    "bind": {"bind", "plan", "realtime", "cpu", "cuda", "ops", "core", "math"},
}
PYTHON_HEADERS = re.compile(r"^(Python\.h|pybind11/|numpy/)")
REALTIME_MAY_TAKE = {"simd.h", "row16.h", "machine.h", "pool.h", "rows.inl", "weights.inl", "four_lanes.inl"}
# math/ is pasted into device code and exported headers, so it stands on nothing but the fixed-width integers.
MATH_SYSTEM_HEADERS = {"stdint.h"}

CPP_SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".inl", ".def", ".cu", ".cuh"})
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def room(path: Path) -> str:
    return path.relative_to(CSRC).parts[0]


def includes(path: Path) -> tuple[list[Path], list[str]]:
    """The files of ours that a source includes, and the headers from elsewhere."""
    ours, foreign = [], []
    for quoted, angled in INCLUDE.findall(path.read_text()):
        candidates = [path.parent / quoted, CSRC / quoted, PUBLIC / quoted] if quoted else [CSRC / angled]
        found = [c.resolve() for c in candidates if c.is_file()]
        if found and PUBLIC in found[0].parents:
            continue
        if found:
            ours.append(found[0])
        else:
            assert not quoted, f"{path.relative_to(ROOT)} includes {quoted!r}, which does not exist"
            foreign.append(angled)
    return ours, foreign


def find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """The nodes of one cycle, or None."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for following in sorted(graph.get(node, ())):
            cycle = visit(following, [*path, node])
            if cycle:
                return cycle
        done.add(node)
        return None

    return next((cycle for node in sorted(graph) if (cycle := visit(node, []))), None)


def test_sources_are_found() -> None:
    assert {room(p) for p in CPP_SOURCES} >= {"math", "core", "ops", "cpu", "bind"}
    assert {p.name for p in PACKAGE.rglob("*.py")} >= {"__init__.py", "__main__.py", "_report.py"}


@pytest.mark.parametrize("path", CPP_SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_include_directions(path: Path) -> None:
    ours, foreign = includes(path)
    wrong = [str(p.relative_to(CSRC)) for p in ours if room(p) not in ROOM_MAY_INCLUDE[room(path)]]
    assert not wrong, f"{room(path)}/ may include only {sorted(ROOM_MAY_INCLUDE[room(path)])}"
    if room(path) != "bind":
        assert not [h for h in foreign if PYTHON_HEADERS.match(h)], "only bind/ knows Python"
    if room(path) == "math":
        assert set(foreign) <= MATH_SYSTEM_HEADERS, "math/ is freestanding"
    if room(path) == "realtime":
        known = {p.name for p in ours if room(p) == "cpu"}
        assert known <= REALTIME_MAY_TAKE, "a predictor runs without the table of ops and its backends"
    if room(path) == "cuda":
        known = {p.name for p in ours if room(p) == "realtime"}
        assert known <= {"program.h"}, "a predictor on a GPU takes programs alone"
    if room(path) == "plan":
        known = [p.name for p in ours if room(p) == "ops"]
        assert set(known) <= {"op.h"}, "plan/ knows ops/op.h only"


def test_includes_have_no_cycle() -> None:
    graph = {str(p.relative_to(CSRC)): {str(q.relative_to(CSRC)) for q in includes(p)[0]} for p in CPP_SOURCES}
    assert find_cycle(graph) is None


def test_find_cycle_finds_one() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


# ---- Python: a new file gets a row here. `trigrad` is the package itself (__init__.py).

MODULE_MAY_IMPORT = {
    "_core": set(),
    "ops": {"_core"},  # made by the extension: one function per row of the table
    "_device": {"_core"},
    "_moving": {"_core", "ops", "_device", "_creation"},
    "_warnings": set(),
    "_printing": {"_core"},
    "_creation": {"_core", "ops", "_device"},
    "_random": {"_core", "ops", "_device", "_creation"},
    "_taped": {"_core", "ops"},
    "_in_place": {"_core", "ops", "_dtypes", "_taped"},
    "_elementwise": {"_core", "ops", "_creation", "_dtypes", "_in_place", "_taped"},
    "_reductions": {"_core", "ops", "_creation", "_taped"},
    "_ordering": {"_core", "ops", "_creation", "_taped", "_reductions"},
    "_dtypes": {"_core"},
    "_views": {"_core", "_reductions"},
    "_shaping": {"_core", "ops", "_reductions", "_views"},
    "_indexing": {"_core", "ops", "_creation", "_reductions", "_views"},
    "_linalg": {"_core", "ops", "_einsum"},
    "_einsum": {"_core", "ops"},
    "_functional": {"_core", "ops", "_warnings", "_creation", "_random", "_reductions"},
    "optim": {"_core", "ops", "_warnings", "_creation", "_hooks"},
    "utils": {"_core", "ops", "_warnings", "_creation", "_random", "_indexing", "_ordering", "_shaping"},
    "_vjp": {"_core", "ops"},
    "_anomaly": {"_core", "ops", "_warnings"},
    "_autograd": {"_core", "ops", "_warnings", "_vjp", "_anomaly"},
    "_reach": {"_core", "_anomaly"},
    "_compile": {"_core", "_creation", "_hooks", "_reach"},
    "_graph": {"_core", "ops", "_vjp", "_autograd"},
    "_hooks": {"_core"},
    "_tensor_grad": {"_core", "_autograd", "_hooks"},
    "autograd": {"_core", "ops", "_warnings", "_vjp", "_anomaly", "_autograd"},
    "_legacy": {"_core", "_creation", "_device"},
    "_methods": {
        "_moving",
        "_legacy",
        "_tensor_grad",
        "_elementwise",
        "_core",
        "ops",
        "_device",
        "_printing",
        "_creation",
        "_random",
        "_reductions",
        "_views",
        "_shaping",
        "_indexing",
        "_linalg",
        "_ordering",
        "_functional",
    },
    "_docs": {"ops"},
    "_safetensors": {"_core"},
    "_saving": {"_core", "_creation", "_device", "_random", "_safetensors", "_warnings", "nn"},
    "_paths": {"_core"},
    "testing": {"_core", "ops", "_creation", "_reductions"},
    "_losses": {
        *{"_core", "ops", "_creation", "_functional", "_reductions", "_views", "_autograd", "autograd", "_warnings"},
    },
    "nn": {
        *{"_core", "ops", "_device", "_creation", "_random", "_shaping", "_indexing", "_linalg", "_functional"},
        *{"_elementwise", "_reductions", "_losses", "_hooks", "_autograd", "autograd", "_warnings"},
    },
    "realtime": {"_core", "_autograd", "_creation", "_device", "_files", "_report", "export", "metrics", "nn"},
    "_files": set(),
    "export": {"_core", "_files", "nn"},
    "diagnostics": {
        "_core",
        "ops",
        "_autograd",
        "_creation",
        "_losses",
        "_random",
        "_warnings",
        "metrics",
        "nn",
        "optim",
    },
    "_switches": set(),
    "accelerator": {"_device", "cuda"},
    "_autocast": {"_core"},
    "amp": {"_autocast", "_core", "_autograd", "ops"},
    "backends": {"_core", "_autocast"},
    "cuda": {"_core", "_device", "_autocast", "_random", "amp"},
    "version": {"_core"},
    "train": {
        *{
            "_core",
            "ops",
            "_creation",
            "_device",
            "_random",
            "_autograd",
            "_compile",
            "_saving",
            "_warnings",
            "nn",
            "optim",
        },
        *{"_ordering", "diagnostics", "metrics"},
    },
    "data": {"_core", "ops", "_random", "_creation", "_indexing", "_shaping", "nn", "realtime"},
    "sklearn": {"_core", "ops", "_autograd", "_device", "_compile", "_losses", "nn", "optim"},
    "search": {"_core", "_random", "_warnings", "data", "plot"},
    "metrics": {"_core", "ops", "_indexing", "_ordering"},
    "_report": {"_core"},
    "plot": {"_core", "ops", "_autograd", "_report", "diagnostics", "metrics", "nn", "realtime", "train"},
    "trigrad": {
        "_legacy",
        "_switches",
        "_autocast",
        "accelerator",
        "amp",
        "backends",
        "cuda",
        "data",
        "diagnostics",
        "export",
        "metrics",
        "realtime",
        "search",
        "sklearn",
        "optim",
        "plot",
        "train",
        "utils",
        "version",
        "_anomaly",
        "_autograd",
        "_compile",
        "_graph",
        "autograd",
        "_elementwise",
        "_ordering",
        "_dtypes",
        "_saving",
        "_paths",
        "nn",
        "testing",
        "_core",
        "ops",
        "_device",
        "_printing",
        "_creation",
        "_random",
        "_reductions",
        "_views",
        "_shaping",
        "_indexing",
        "_linalg",
        "_einsum",
        "_functional",
        "_methods",
        "_docs",
    },
    "_study": {
        *{
            "_core",
            "_autograd",
            "_device",
            "_files",
            "_random",
            "_report",
            "_saving",
            "data",
            "export",
            "metrics",
            "nn",
            "optim",
            "realtime",
        },
        "plot",
        "train",
    },
    "cli": {
        *{
            "_core",
            "_compile",
            "_random",
            "_report",
            "_saving",
            "_study",
            "cuda",
            "data",
            "export",
            "nn",
            "optim",
            "realtime",
        },
    },
    "__main__": {"cli"},
}


EXTRAS = {"sklearn": {"sklearn"}}  # what a room is made for; it is loaded when it is asked for


def module_of(path: Path) -> str:
    """The room a Python file belongs to: its name at the top of the package, or its first folder."""
    first = path.relative_to(PACKAGE).parts[0]
    name = first.removesuffix(".py")
    return "trigrad" if name == "__init__" else name


PYTHON_SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(p) for p in PYTHON_SOURCES} | {"_core", "ops"}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The rooms of trigrad that a file imports anywhere, and the foreign packages it imports at its top level."""
    tree = ast.parse(path.read_text(), str(path))
    package = ["trigrad", *path.relative_to(PACKAGE).parts[:-1]]
    ours: set[str] = set()
    foreign: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = base + (node.module.split(".") if node.module else [])
            targets = [[*start, alias.name] for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == "trigrad":
                ours.add(target[1] if len(target) > 1 and target[1] in MODULES else "trigrad")
            elif node in tree.body:
                foreign.add(target[0])
    return ours - {module_of(path)}, foreign


@pytest.mark.parametrize("path", PYTHON_SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_import_directions(path: Path) -> None:
    ours, foreign = imports(path)
    assert ours <= MODULE_MAY_IMPORT[module_of(path)]
    assert {f for f in foreign if f not in sys.stdlib_module_names} <= EXTRAS.get(module_of(path), set()) | {"numpy"}


def test_imports_have_no_cycle() -> None:
    assert find_cycle({name: set(targets) for name, targets in MODULE_MAY_IMPORT.items()}) is None


def test_import_loads_nothing_but_numpy() -> None:
    code = """if True:
        import sys
        import numpy
        before = set(sys.modules)
        import trigrad
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(*sorted(loaded - set(sys.stdlib_module_names)))
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["trigrad"]


# ---- one version


def test_version_is_written_once() -> None:
    written = re.search(r"^project\(trigrad VERSION ([0-9.]+) ", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert written is not None
    version = written[1]
    assert importlib.metadata.version("trigrad") == version
    assert _core.build_info()["version"] == version
    assert trigrad.__version__ == version
    newest = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_arithmetic_version_is_in_the_changelog() -> None:
    version = _core.build_info()["arithmetic_version"]
    assert trigrad.arithmetic_version == version
    assert f"`arithmetic_version` {version}:" in (ROOT / "CHANGELOG.md").read_text()
