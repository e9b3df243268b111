"""The examples in the docstrings of trigrad.realtime run, and what is public says what it is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trigrad import _core, realtime

ROOT = Path(__file__).resolve().parents[2]
MODULES = ["trigrad.realtime", *(f"trigrad.realtime.{m.name}" for m in pkgutil.iter_modules(realtime.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    for public in getattr(module, "__all__", ()):
        assert inspect.getdoc(getattr(module, public)), f"{public} has no docstring"


def test_the_page_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "realtime.md").read_text(), re.DOTALL)
    if not Path(_core.__file__).resolve().parent.joinpath("source").is_dir():
        pytest.skip("trigrad was built without its sources for export")
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""
    assert sorted(f.name for f in tmp_path.iterdir()) == ["tagger.h", "tagger.tgplan"]
    assert "C++ library, hot" in done.stdout
