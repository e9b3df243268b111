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
refused = (x.cuda, lambda: x.to("cuda:1"), tg.nn.Linear(1, 1).cuda, tg.cuda.synchronize, lambda: tg.empty(2, pin_memory=True))
refused += (tg.cuda.init, tg.cuda.get_device_name, tg.cuda.get_rng_state, tg.cuda.mem_get_info, tg.cuda.Stream)
for move in refused:
    try:
        move()
    except RuntimeError as e:
        said.append(str(e))
assert len(said) == len(refused), said
assert all(tg.cuda.absence() in s and s.endswith("; or use 'cpu'") for s in said), said
assert "[to] device is 'cuda:1', but CUDA is " in said[1]
tg.cuda.empty_cache()
tg.cuda.reset_peak_memory_stats()
tg.cuda.set_rng_state(tg.get_rng_state())
for count in (tg.cuda.memory_allocated, tg.cuda.max_memory_allocated, tg.cuda.memory_reserved, tg.cuda.max_memory_reserved):
    assert count() == count(0) == count("cuda:1") == 0
assert tg.cuda.memory_stats() == tg.accelerator.memory_stats(3) == {}
assert tg.cuda.get_rng_state_all() == tg.cuda.get_arch_list() == []
assert not (tg.cuda.is_initialized() or tg.cuda.is_bf16_supported() or tg.cuda.is_tf32_supported())
assert tg.accelerator.current_accelerator(check_available=True) is None
with tg.autocast("cuda", dtype=tg.bfloat16):
    assert tg.nn.Linear(3, 3)(x).dtype is tg.float32
assert tg.amp.GradScaler("cuda").scale(x).tolist() == [65536.0] * 3
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
