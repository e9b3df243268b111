"""The examples in the docstrings of trigrad.nn run, and every public class and function has a docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

from trigrad import nn

MODULES = [
    *(f"trigrad._losses.{m}" for m in ("base", "classification", "margins", "regression")),
    *(f"trigrad.nn.{m.name}" for m in pkgutil.iter_modules(nn.__path__)),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        assert inspect.getdoc(thing), f"{public} has no docstring"
