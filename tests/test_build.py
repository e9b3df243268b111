"""The build refuses what it does not know in one readable sentence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PLATFORM = Path(__file__).resolve().parent.parent / "cmake" / "platform.cmake"
CMAKE = shutil.which("cmake")

pytestmark = pytest.mark.skipif(CMAKE is None, reason="needs cmake: pip install 'trigrad[dev]'")


def refusal(**overrides: str) -> str:
    """What cmake/platform.cmake says to a compiler and CPU described by CMake's variables; '' when it accepts."""
    assert CMAKE is not None
    described = {
        "CMAKE_CXX_COMPILER": "/usr/bin/c++",
        "CMAKE_CXX_COMPILER_ID": "GNU",
        "CMAKE_CXX_COMPILER_VERSION": "12.2.0",
        "CMAKE_SYSTEM_PROCESSOR": "riscv64",
        "TG_X86_64": "ON",
        "TG_ARM64": "OFF",
        **overrides,
    }
    variables = [f"-D{name}={value}" for name, value in described.items()]
    result = subprocess.run(
        [CMAKE, *variables, "-P", str(PLATFORM)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode == 0) == (result.stderr == "")
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("compiler", "version"),
    [("GNU", "11.1.0"), ("GNU", "15.1.0"), ("Clang", "14.0.6"), ("Clang", "21.1.0"), ("AppleClang", "14.0.0.14000029")],
)
def test_known_compilers_are_accepted(compiler: str, version: str) -> None:
    assert refusal(CMAKE_CXX_COMPILER_ID=compiler, CMAKE_CXX_COMPILER_VERSION=version) == ""


@pytest.mark.parametrize("compiler", ["MSVC", "IntelLLVM", "NVHPC", "Clangish", ""])
def test_unknown_compiler(compiler: str) -> None:
    said = refusal(CMAKE_CXX_COMPILER_ID=compiler)
    assert f"trigrad: unknown C++ compiler '{compiler}' (/usr/bin/c++)" in said
    assert "expected GCC >= 11, Clang >= 14 or Apple Clang >= 14" in said
    assert "Set CXX" in said


@pytest.mark.parametrize(("compiler", "version"), [("GNU", "10.5.0"), ("Clang", "13.0.1"), ("AppleClang", "13.1.6")])
def test_old_compiler(compiler: str, version: str) -> None:
    said = refusal(CMAKE_CXX_COMPILER_ID=compiler, CMAKE_CXX_COMPILER_VERSION=version)
    assert f"trigrad: {compiler} {version} is too old; expected GCC >= 11" in said


def test_unknown_cpu() -> None:
    said = refusal(TG_X86_64="OFF")
    assert "trigrad: unknown CPU 'riscv64'; expected 64-bit x86 (x86_64) or little-endian 64-bit Arm" in said
    assert refusal(TG_X86_64="OFF", TG_ARM64="ON") == ""


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-funsafe-math-optimizations"])
def test_flags_that_change_results(flag: str) -> None:
    assert f"trigrad: the compiler flag {flag} changes results" in refusal(CMAKE_CXX_FLAGS=f"-O2 {flag} -g")


def test_two_architectures_at_once() -> None:
    said = refusal(CMAKE_OSX_ARCHITECTURES="x86_64;arm64")
    assert "trigrad: one architecture per build" in said
