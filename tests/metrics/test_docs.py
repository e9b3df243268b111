"""The examples in the docstrings of trigrad.metrics run, and what is public has a docstring and comes lazily."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

from trigrad import metrics

MODULES = [m.name for m in pkgutil.iter_modules(metrics.__path__) if not m.name.startswith("_")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"trigrad.metrics.{name}")
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0
    for public in module.__all__:
        thing = getattr(module, public)
        assert getattr(metrics, public) is thing
        if callable(thing):
            assert inspect.getdoc(thing), f"{public} has no docstring"
        if inspect.isfunction(thing):
            assert ">>>" in (thing.__doc__ or ""), f"{public} has no example"


def test_it_is_loaded_when_asked_for() -> None:
    code = (
        "import sys, trigrad as tg; assert 'trigrad.metrics' not in sys.modules; print(tg.metrics.auc([0, 1], [0, 1]))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0.5\n"
