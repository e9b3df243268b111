"""Tests of CUDA run on a GPU where one is; else on the emulated device of the C++ tests, where TRIGRAD_CUDA_MODULE names its
module (tests/cpp/emulated_device.cpp); else they skip:

    TRIGRAD_CUDA_MODULE=build/tests/cpp/_cuda_emulated.so pytest tests/cuda
"""

from __future__ import annotations

import pytest

import trigrad as tg


@pytest.fixture(scope="session")
def gpu() -> tg.device:
    """The first GPU. Ask for it, or for all of a file by pytestmark = pytest.mark.usefixtures("gpu")."""
    if not tg.cuda.is_available():
        pytest.skip(f"no GPU and no emulated one (TRIGRAD_CUDA_MODULE): CUDA is {tg.cuda.absence()}")
    return tg.device("cuda:0")


@pytest.fixture(scope="session")
def emulated(gpu: tg.device) -> bool:
    return tg.cuda.devices()[0].name == "emulated"
