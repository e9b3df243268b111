"""``trigrad info``"""

from __future__ import annotations

import argparse
import json
from typing import Any

from trigrad import _core, cuda


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", nargs="?", help="a model (.safetensors) or a plan (.tgplan): what it holds")


def run(given: argparse.Namespace) -> str:
    rows = build() if given.file is None else of_plan(given.file) if given.file.endswith(".tgplan") else of(given.file)
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def build() -> dict[str, str]:
    """What this build of trigrad is and what it runs on."""
    build = _core.build_info()
    return {
        "trigrad": build["version"],
        "arithmetic": f"version {build['arithmetic_version']}",
        "ISA": f"{build['isa']} (available: {', '.join(build['isa_available'])})",
        "threads": str(build["num_threads"]),
        "compiler": build["compiler"],
        "CUDA": _cuda(),
        **{f"GPU {i}": str(gpu) for i, gpu in enumerate(cuda.devices())},
    }


def _cuda() -> str:
    """What drives GPUs here and what the kernels were compiled for; or why nothing does."""
    driver, runtime, architectures = _core.cuda_build()
    parts = [cuda.absence() or ""]
    if driver:
        parts.append(f"driver {_version(driver)}")
    if runtime:
        kernels = [f"{int(a) // 100}.{int(a) % 100 // 10}" for a in architectures.split(",") if a.isdigit()]
        parts.append(f"runtime {_version(runtime)}, kernels for {', '.join(kernels)}")
    return ", ".join(filter(None, parts)) or "emulated"


def _version(cuda: int) -> str:
    return f"{cuda // 1000}.{cuda % 1000 // 10}"


def of_plan(path: str) -> dict[str, str]:
    """What a plan file holds."""
    predictor = _core.Predictor.load(path)
    return {
        "inputs": str(predictor.inputs),
        "outputs": str(predictor.outputs),
        "precision": predictor.precision,
        "bytes of weights": f"{predictor.nbytes:,}",
        "bytes of stack": f"{predictor.stack_bytes:,}",
        "instruction set": predictor.isa,
    }


def of(path: str) -> dict[str, str]:
    """What a file of tensors or models holds, and where it comes from."""
    from trigrad import _saving
    from trigrad._study.saved import loaded

    held = loaded(path)
    rows = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in _flat(_saving.provenance(path))
    }
    return rows | {name: str(value) for name, value in _parts(held)}


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{before}{name} ") if isinstance(value, dict) else [(before + name, value)]
    return found


def _parts(held: Any, at: str = "") -> list[tuple[str, Any]]:
    if isinstance(held, dict):
        return [part for key, value in held.items() for part in _parts(value, f"{at}.{key}" if at else str(key))]
    if isinstance(held, _core.Tensor):
        held = f"{str(held.dtype).removeprefix('trigrad.')} {tuple(held.shape)}"
    return [(at or "holds", str(held).replace("\n", " "))]
