"""The examples in the docstrings of trigrad.diagnostics run, and what is public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

from trigrad import diagnostics


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(diagnostics.__path__) if m.name[0] != "_"])
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"trigrad.diagnostics.{name}")
    assert doctest.testmod(module).failed == 0
    for public in module.__all__:
        assert inspect.getdoc(getattr(module, public)), f"{public} has no docstring"
        assert getattr(diagnostics, public) is getattr(module, public)
