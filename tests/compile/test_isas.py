"""A compiled training has the bits of an eager one in a process of any instruction set and number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

import trigrad as tg
from compile.test_modules import CASES, training
from compile.test_programs import Net, losses, net_subject
from compile.twins import followed, in_turn
from trigrad import _core

MODULES = ("GELU", "Softmax", "BatchNorm1d", "LayerNorm", "Dropout", "Embedding", "Bilinear", "Highway", "Maxout")
NETS = range(6)
THREADS = (1, 2, 3, 8)


def digests(compiled: bool) -> dict[str, str]:
    """Of all that is left after some steps of modules and of random nets."""
    found: dict[str, Any] = {}
    for name in MODULES:
        case = CASES[name]
        calls = in_turn(lambda n, g, case=case: tuple(draw(n, g) for draw in case.inputs), (7, 129))
        found[name] = followed(lambda case=case: training(case), calls, compiled)
    for seed in NETS:
        make, calls, _ = net_subject(seed)
        found[f"net {seed}"] = followed(make, calls, compiled)
    return {name: hashlib.sha256(repr(states).encode()).hexdigest() for name, states in found.items()}


@pytest.fixture(scope="module")
def eager() -> dict[str, str]:
    before = tg.get_num_threads()
    tg.set_num_threads(1)
    try:
        return digests(compiled=False)
    finally:
        tg.set_num_threads(before)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_in_this_process(isa: str, eager: dict[str, str], full: bool) -> None:
    _core.set_isa(isa)
    for threads in THREADS if full else (1, 3):
        tg.set_num_threads(threads)
        assert digests(compiled=True) == eager, threads


@pytest.mark.parametrize(("isa", "threads"), [(isa, 1 + k % 3) for k, isa in enumerate(_core.available_isas())])
def test_in_a_process_of_its_own(isa: str, threads: int, eager: dict[str, str]) -> None:
    environment = os.environ | {"TRIGRAD_ISA": isa, "TRIGRAD_NUM_THREADS": str(threads)}
    paths = [str(Path(__file__).resolve().parent.parent), *sys.path]
    script = f"import sys; sys.path[:] = {paths!r}; from compile.test_isas import digests; print(digests(True))"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert eval(done.stdout) == eager


def test_the_digest_sees_a_bit() -> None:
    """A training that differs in one call has another digest."""
    make, calls, _ = net_subject(0)
    shape = Net(Random(0))
    assert losses(shape.outputs)
    states = followed(make, calls, compiled=True)
    x, *rest = calls[-1]
    moved = x.clone()
    moved.reshape(-1)[0] += 1e-3
    assert states != followed(make, [*calls[:-1], (moved, *rest)], compiled=True)
