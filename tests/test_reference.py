"""Every public name has a docstring with an example, which runs, and shapes where it takes tensors. The list of the names is
that of the reference.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import trigrad as tg

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


reference = load("reference")
PAGES = reference.pages(skip_missing=True)
NAMES = {f"{page.module.__name__}.{name}": thing for page in PAGES for name, thing in page.names.items()}
CALLABLE = {
    name: thing
    for name, thing in NAMES.items()
    if callable(thing) and not reference.in_place(name.rpartition(".")[2], thing)
}

# An example would download data, ask for an extra, or show nothing but the name.
NO_EXAMPLE = {
    "trigrad.train.TensorBoard",
    *(f"trigrad.data.{name}" for name in ("mnist", "susy", "higgs", "hls4ml_jets", "ecal")),
    *(
        "trigrad.metrics.NegativeWeightWarning",
        "trigrad.metrics.UndefinedMetricWarning",
        "trigrad.autograd.GradcheckError",
    ),
}
NEED_SOURCES = {"trigrad.export.cpp_header", "trigrad.get_include", "trigrad.get_cmake_dir"}


def named(annotation: Any) -> list[str]:
    return re.findall(r"\w+", str(getattr(annotation, "__forward_arg__", annotation)))


# What functions return, and what that holds: shown by their examples.
RESULTS = {
    word
    for thing in CALLABLE.values()
    for member in (thing, *(vars(thing).values() if isinstance(thing, type) else ()))
    if inspect.isfunction(member)
    for word in named(inspect.signature(member).return_annotation)
} | {
    word
    for thing in CALLABLE.values()
    if isinstance(thing, type)
    for annotation in inspect.get_annotations(thing).values()
    for word in named(annotation)
}
SHAPE = re.compile(r"\((\.\.\.|\*|[A-Za-z]\w*,)[^()]*\)|\(\)|\bshapes?\b|\bscalar|0-d")


def own_docstring(thing: Any) -> str:
    """Not that of a class which it derives from."""
    text = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    return inspect.cleandoc(text or "")


def is_result(name: str, thing: Any) -> bool:
    """A named tuple or dataclass that a function gives back."""
    record = isinstance(thing, type) and (hasattr(thing, "_fields") or hasattr(thing, "__dataclass_fields__"))
    return record and name.rpartition(".")[2] in RESULTS


def takes_tensors(thing: Any) -> bool:
    """Is a parameter, or one of `forward`, a tensor without a number being as good?"""
    if isinstance(thing, reference.Op):
        return True
    if isinstance(thing, type):
        thing = getattr(thing, "forward", None) if issubclass(thing, tg.nn.Module) else None
    if not inspect.isfunction(thing):
        return False
    kinds = [str(p.annotation) for p in inspect.signature(thing).parameters.values()]
    return any(re.match(r"Tensors?\b(?! \| float)", kind) for kind in kinds)


@pytest.mark.parametrize("name", CALLABLE)
def test_what_it_says(name: str) -> None:
    text = own_docstring(CALLABLE[name])
    assert text, f"{name} has no docstring"
    if name not in NO_EXAMPLE and not is_result(name, CALLABLE[name]):
        assert ">>>" in text, f"{name} has no example"
    if takes_tensors(CALLABLE[name]):
        said = re.sub(r"\A\w+\(.*\)\n", "", text.partition(">>>")[0])
        assert SHAPE.search(said), f"{name} says nothing of shapes"


def examples(name: str) -> list[doctest.DocTest]:
    """With those of the methods of a class."""
    thing = CALLABLE[name]
    if isinstance(thing, reference.Op):
        return [doctest.DocTestParser().get_doctest(thing.__doc__, {}, name, None, 0)]
    return doctest.DocTestFinder().find(thing, name, module=False, globs={})


def run(tests: list[doctest.DocTest]) -> int:
    """How many examples are there? All give what they say. The default generator is afterwards as it was."""
    state, runner = tg.get_rng_state(), doctest.DocTestRunner()
    for test in tests:
        runner.run(test)
    tg.set_rng_state(state)
    assert runner.failures == 0
    return runner.tries


@pytest.mark.parametrize("name", CALLABLE)
def test_examples_of_names(name: str) -> None:
    if name in NEED_SOURCES and not (Path(tg.__file__).parent / "source").is_dir():
        pytest.skip("trigrad was built without its C++ library and its sources for export")
    run(examples(name))


def test_examples_of_modules() -> None:
    """What modules say of themselves, and functions in them that are not public."""
    known = {test.docstring for name in CALLABLE for test in examples(name)}
    tries = 0
    for found in pkgutil.walk_packages(tg.__path__, "trigrad."):
        if found.name != "trigrad.__main__":
            try:
                module = importlib.import_module(found.name)
            except ImportError:  # of an extra that is not here
                continue
            tests = doctest.DocTestFinder().find(module)
            tries += run([test for test in tests if test.docstring not in known])
    assert tries > 50


def test_the_methods_say_what_they_do() -> None:
    missing = [
        f"{name}.{method}"
        for name, thing in CALLABLE.items()
        if isinstance(thing, type) and thing.__module__.startswith("trigrad")
        for method, member in vars(thing).items()
        if not method.startswith("_") and (inspect.isroutine(member) or isinstance(member, property))
        if not inspect.getdoc(getattr(thing, method))
    ]
    assert missing == []


def test_no_place_is_forgotten() -> None:
    """Packages that are loaded when they are first asked for, each by itself or by what it consists of."""
    assert {place.partition(".")[0] for place in reference.PLACES} == tg._LAZY | {"autograd"}


def test_docstrings_become_markdown() -> None:
    docstring = "a*b in `x*y`\n- <z>:\n\n    for i in x:\n        f(i)\n\n>>> 1  # doctest: +SKIP\n1"
    assert reference.markdown(docstring).split("\n\n") == [
        "a\\*b in `x*y`\n- \\<z\\>:",
        "```python\nfor i in x:\n    f(i)\n```",
        "```pycon\n>>> 1\n1\n```",
    ]


def test_pages_are_markdown() -> None:
    """Each name has its anchor; outside of code nothing reads as HTML or as emphasis."""
    for page in PAGES:
        text = reference.write(page)
        assert text.count("```") % 2 == 0
        prose = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"(?<!\\)[<*]", prose), page.title
        for name in page.names:
            full = f"{page.module.__name__}.{name}"
            assert f"#{full} }}" in text or f"`{full}`" in text
