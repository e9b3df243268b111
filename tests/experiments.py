"""The scripts of examples/lectures as modules: each has `experiment()`, which gives numbers, and `picture(result)`."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "lectures"


def load(name: str) -> ModuleType:
    """The script of that name, without running what it does as a program."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))  # for `shown`, which they share
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def drawn(script: ModuleType, result: Any, axes: int) -> Any:
    """The picture, which has so many axes, each with something in it."""
    pytest.importorskip("matplotlib")
    figure = script.picture(result)
    figure.savefig(io.BytesIO(), dpi=50)  # a Figure of its own has a canvas that draws nothing
    assert len(figure.axes) == axes
    for ax in figure.axes:
        assert ax.has_data()
        assert ax.get_xlabel() or ax.get_label() == "<colorbar>" or not ax.axison
    return figure
