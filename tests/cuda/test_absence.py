"""Where CUDA is not to be had everything else works, and it is said what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trigrad import _core

SCRIPT = """
import trigrad as tg
assert not tg.cuda.is_available() and tg.cuda.device_count() == 0 and tg.cuda.devices() == []
assert tg.accelerator.current_accelerator() is None
x = tg.ones(3)
assert x.cpu() is x and x.to("cpu") is x
said = []
for move in (x.cuda, lambda: x.to("cuda:1"), tg.nn.Linear(1, 1).cuda, tg.cuda.synchronize, tg.cuda.memory_allocated):
    try:
        move()
    except RuntimeError as e:
        said.append(str(e))
assert len(said) == 5 and all(tg.cuda.absence() in s and s.endswith("; or use 'cpu'") for s in said), said
assert "[to] device is 'cuda:1', but CUDA is " in said[1]
tg.cuda.empty_cache()
assert float((x * 2).sum()) == 6.0
print(tg.cuda.absence())
"""


def absence(module: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "TRIGRAD_CUDA_MODULE": module},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_no_module(tmp_path: Path) -> None:
    said = absence(str(tmp_path / "_cuda.so"))
    assert said.startswith("not in this build: ")
    assert "-Ccmake.define.TRIGRAD_CUDA=ON" in said


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    file = tmp_path / "_cuda.so"
    file.write_bytes(b"not a library" * 100)
    assert absence(str(file)).startswith("not usable: its module does not load: ")


def test_a_library_of_something_else() -> None:
    said = absence(_core.__file__)
    assert said == f"not usable: {_core.__file__} was built from another version; install trigrad again"


def test_the_module_without_a_gpu() -> None:
    module = Path(_core.__file__).with_name("_cuda.so")
    if not module.exists():
        pytest.skip("this build has no CUDA module")
    if _core.cuda_absence() is None:
        pytest.skip("there is a GPU here")
    assert absence(str(module)).startswith("not usable: ")
