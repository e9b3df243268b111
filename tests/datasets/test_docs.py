"""The examples in the docstrings of trigrad.data run, and what is public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

from trigrad import data

MODULES = [m.name for m in pkgutil.iter_modules(data.__path__)]
DOWNLOADS = {"mnist", "susy", "higgs", "hls4ml_jets", "ecal"}  # an example would fetch megabytes


@pytest.mark.parametrize("name", ["", *MODULES])
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"trigrad.data.{name}" if name else "trigrad.data")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", data.__all__)
def test_what_is_public_has_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(data, name)) or ""
    assert text
    assert name in DOWNLOADS or ">>>" in text


def test_it_is_loaded_when_asked_for_and_needs_numpy_alone() -> None:
    code = """if True:
        import sys, trigrad as tg
        assert "trigrad.data" not in sys.modules
        print(tg.data.toy_jets(5))
        print(*sorted({"sklearn", "pandas", "h5py", "uproot", "pyarrow", "scipy"} & set(sys.modules)))
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "<toy jets, seed 0: 5 events, 16 features, 5 classes g q w z t>\n\n"
