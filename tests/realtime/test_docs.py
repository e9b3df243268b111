"""The examples in the docstrings of trigrad.realtime run, and what is public says what it is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

from trigrad import realtime

MODULES = ["trigrad.realtime", *(f"trigrad.realtime.{m.name}" for m in pkgutil.iter_modules(realtime.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    for public in getattr(module, "__all__", ()):
        assert inspect.getdoc(getattr(module, public)), f"{public} has no docstring"
