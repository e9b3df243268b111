"""Writes the type stubs of the extension from the op table: ``python tools/stubs.py``, or ``--check`` to compare only."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trigrad import _core, _elementwise, _methods

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "trigrad"
TYPES = Path(__file__).with_name("core_types.pyi")  # what is written by hand
HEADER = "# Written by tools/stubs.py from the op table; change it there.\n"

KINDS = {
    "Tensor": "Tensor",
    "Tensors": "Sequence[Tensor]",
    "Int": "builtins.int",
    "Float": "builtins.float",
    "Number": "builtins.float",
    "Bool": "builtins.bool",
    "Type": "DTypeArgument",
    "Text": "str",
    "Axes": "builtins.int | Sequence[builtins.int]",
    "Shape": "builtins.int | Sequence[builtins.int]",
}


def takes_numbers(row: dict[str, Any], index: int) -> bool:
    """The rows in which a Python number may stand for a tensor (csrc/bind/arguments.cpp)."""
    if row["pointwise"] is not None:
        return bool(row["n_tensors"] > 1)
    return (row["name"] == "where" and index > 0) or (row["name"] == "copy_" and index == 1)


def parameter(row: dict[str, Any], index: int) -> str:
    p = row["params"][index]
    kind = KINDS[p["kind"]]
    if p["kind"] == "Tensor" and takes_numbers(row, index):
        kind += " | builtins.float"
    if p["optional"]:
        kind += " | None"
    return f"{p['name']}: {kind}" + (" = ..." if "default" in p else "")


def result(row: dict[str, Any]) -> str:
    if row["updates"]:
        return "None"
    return "Tensor" if row["n_outputs"] == 1 else "tuple[Tensor, ...]"


def function(row: dict[str, Any]) -> str:
    parameters = [parameter(row, i) for i in range(len(row["params"]))]
    if not row["n_tensors"] and not row["variadic"]:
        parameters += ["*", "device: DeviceArgument | Tensor = ..."]
    return f"def {row['name']}({', '.join(parameters)}) -> {result(row)}: ..."


def method(row: dict[str, Any], suffix: str = "") -> str:
    parameters = ", ".join(["self", *(parameter(row, i) for i in range(1, len(row["params"])))])
    return f"    def {row['name']}{suffix}({parameters}) -> {result(row)}: ..."


def python_method(f: Callable[..., Any], name: str) -> str:
    """The stub of a method that is written in Python."""
    text = []
    parameters = list(inspect.signature(f).parameters.values())
    star = False
    for p in parameters[1:]:
        annotation = re.sub(r"(?<![\w.])(float|int|bool)\b", r"builtins.\1", str(p.annotation))
        annotation = annotation.replace("_random.Generator", "Generator").replace(
            "_legacy.TypeOfTensor", "TypeOfTensor"
        )
        if p.kind is p.VAR_POSITIONAL:
            star = True
        elif p.kind is p.KEYWORD_ONLY and not star:
            text.append("*")
            star = True
        prefix = "*" if p.kind is p.VAR_POSITIONAL else ""
        text.append(f"{prefix}{p.name}: {annotation}" + ("" if p.default is p.empty else " = ..."))
    returns = re.sub(r"(?<![\w.])(float|int|bool)\b", r"builtins.\1", str(inspect.signature(f).return_annotation))
    returns = returns.replace("numpy.ndarray[Any, Any]", "_Array")
    return f"    def {name}({', '.join(['self', *text])}) -> {returns}: ..."


def ops_stub() -> Iterator[str]:
    yield HEADER
    yield "import builtins\nfrom collections.abc import Sequence\n"
    yield "from trigrad._core import Tensor\nfrom trigrad._creation import DeviceArgument, DTypeArgument\n"
    yield f"__all__ = {list(_core.ops.__all__)!r}\n"
    for row in _core.op_table():
        yield function(row)


BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
IN_PLACE = tuple(name for name in BINARY if name != "matmul")


def operators() -> Iterator[str]:
    for name in BINARY:
        yield f"    def __{name}__(self, other: Operand) -> Tensor: ..."
        yield f"    def __r{name}__(self, other: Operand) -> Tensor: ..."
    for name in IN_PLACE:
        yield f"    def __i{name}__(self, other: Operand) -> Tensor: ..."
    for name in ("eq", "ne"):
        yield f"    def __{name}__(self, other: object) -> Tensor: ...  # type: ignore[override]"
    for name in ("lt", "le", "gt", "ge"):
        yield f"    def __{name}__(self, other: Any) -> Tensor: ..."
    for name in ("neg", "pos", "abs", "invert"):
        yield f"    def __{name}__(self) -> Tensor: ..."


def core_stub() -> Iterator[str]:
    before, tensor = TYPES.read_text().split("\n# here: a line for each dtype\n")
    yield HEADER
    yield before[before.index("import builtins") :]
    yield from (
        f"{name}: dtype" for name in sorted(n for n in dir(_core) if isinstance(getattr(_core, n), _core.dtype))
    )
    yield tensor.rstrip("\n")
    yield from operators()
    for getter in _methods.PROPERTIES:
        yield "    @property"
        yield python_method(getter, getter.__name__)
    in_python = {f.__name__: f for f in (*_methods.METHODS, *_methods.FUNCTIONS_AS_METHODS)}
    for name, f in {**in_python, **_methods.SPECIAL_METHODS}.items():
        if name not in ("__format__", "__repr__"):
            yield python_method(f, name)
    of_type = vars(_core.Tensor)
    for row in _core.op_table():
        name = row["name"]
        for called in (name, *(alias for alias, first in _elementwise.ALIASES.items() if first == name)):
            if isinstance(of_type.get(called), _core.Op):
                yield method({**row, "name": called})
            if isinstance(of_type.get(f"{called}_"), _core.Op) and row["inplace"]:
                yield method({**row, "name": called}, "_")
    for alias in _elementwise.ALIASES:
        for suffix in ("", "_"):
            if not isinstance(of_type[alias + suffix], _core.Op):
                yield python_method(of_type[alias + suffix], alias + suffix)


def stubs() -> dict[Path, str]:
    return {
        PACKAGE / f"{name}.pyi": "\n".join(lines) + "\n"
        for name, lines in (("_core", core_stub()), ("ops", ops_stub()))
    }


def main(arguments: list[str]) -> int:
    stale = [path for path, text in stubs().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is stale: run python tools/stubs.py")
        return len(stale)
    for path, text in stubs().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
