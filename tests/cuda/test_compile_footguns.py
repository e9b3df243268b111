"""What surprises users of compiled functions elsewhere (tests/test_compile_footguns.py), on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import test_compile_footguns as footguns
import trigrad as tg
from compile import steps

# What reads memory of the host, or a process that forks: a GPU's context does not survive that.
NOT_HERE = {"test_edits_from_outside", "test_reused_input_arrays", "test_fork"}

globals().update(
    {name: case for name, case in vars(footguns).items() if name.startswith("test_") and name not in NOT_HERE}
)


@pytest.fixture(autouse=True)
def on_the_gpu(gpu: tg.device) -> Iterator[None]:
    steps.where = gpu
    yield
    steps.where = tg.device("cpu")
