"""The examples in the docstrings of trigrad.plot run, and what is public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

from trigrad import plot


@pytest.mark.parametrize("name", ["", *(m.name for m in pkgutil.iter_modules(plot.__path__))])
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"trigrad.plot.{name}".rstrip("."))
    assert doctest.testmod(module).failed == 0
    for public in getattr(module, "__all__", ()):
        assert ">>> " in (inspect.getdoc(getattr(module, public)) or ""), f"{public} has no example"
        assert getattr(plot, public) is getattr(module, public)
