"""Writes the type stubs of the extension from the op table: ``python tools/stubs.py``, or ``--check`` to compare only."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trigrad import _core, _methods

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "trigrad"
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
    return "Tensor" if row["n_outputs"] == 1 else "tuple[Tensor, ...]"


def function(row: dict[str, Any]) -> str:
    parameters = ", ".join(parameter(row, i) for i in range(len(row["params"])))
    return f"def {row['name']}({parameters}) -> {result(row)}: ..."


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
        annotation = annotation.replace("_random.Generator", "Generator")
        if p.kind is p.VAR_POSITIONAL:
            star = True
        elif p.kind is p.KEYWORD_ONLY and not star:
            text.append("*")
            star = True
        prefix = "*" if p.kind is p.VAR_POSITIONAL else ""
        text.append(f"{prefix}{p.name}: {annotation}" + ("" if p.default is p.empty else " = ..."))
    returns = re.sub(r"(?<![\w.])(float|int|bool)\b", r"builtins.\1", str(inspect.signature(f).return_annotation))
    return f"    def {name}({', '.join(['self', *text])}) -> {returns}: ..."


def ops_stub() -> Iterator[str]:
    yield HEADER
    yield "import builtins\nfrom collections.abc import Sequence\n"
    yield "from trigrad._core import Tensor\nfrom trigrad._creation import DTypeArgument\n"
    yield f"__all__ = {list(_core.ops.__all__)!r}\n"
    for row in _core.op_table():
        yield function(row)


CORE = """\
import builtins
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, SupportsIndex, TypeAlias, final, overload

import numpy
from trigrad import ops as ops
from trigrad._creation import DeviceArgument, DTypeArgument
from trigrad._device import device as Device
from trigrad._reductions import Axes, ValuesAndIndices
from trigrad._random import Generator

Dims: TypeAlias = builtins.int | Sequence[builtins.int]
Index: TypeAlias = SupportsIndex | slice | None | Any  # Any stands for Ellipsis, arrays and masks
Operand: TypeAlias = Tensor | builtins.float | numpy.ndarray[Any, Any]

testing: ModuleType

@final
class Op:
    __name__: str
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@final
class dtype:
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def is_floating_point(self) -> builtins.bool: ...
    @property
    def is_signed(self) -> builtins.bool: ...
    def __reduce__(self) -> str: ...

@final
class Size(tuple[builtins.int, ...]):
    def numel(self) -> builtins.int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, key: SupportsIndex) -> builtins.int: ...
    @overload
    def __getitem__(self, key: slice) -> Size: ...
    @overload
    def __add__(self, other: tuple[builtins.int, ...]) -> Size: ...
    @overload
    def __add__(self, other: tuple[Any, ...]) -> Any: ...

def as_dtype(value: DTypeArgument) -> dtype: ...
def available_isas() -> list[str]: ...
def build_info() -> dict[str, Any]: ...
def call(name: str, tensors: Sequence[Tensor | None], attributes: Sequence[Any] = ...) -> Any: ...
def empty(shape: Dims, dtype: DTypeArgument) -> Tensor: ...
def empty_cache() -> None: ...
def from_bytes(bytes: bytes, dtype: DTypeArgument, shape: Dims) -> Tensor: ...
def from_dlpack(source: Any) -> Tensor: ...
def from_nested(data: Any, dtype: DTypeArgument | None) -> Tensor: ...
def from_numpy(array: Any) -> Tensor: ...
def get_num_threads() -> builtins.int: ...
def memory_stats() -> dict[str, builtins.int]: ...
def op_table() -> list[dict[str, Any]]: ...
def set_isa(name: str) -> None: ...
def set_num_threads(n: builtins.int) -> None: ...
"""

TENSOR = """\
@final
class Tensor:
    __array_priority__: builtins.int
    __array_ufunc__: None
    data: Tensor
    @property
    def T(self) -> Tensor: ...
    @property
    def __array_interface__(self) -> dict[str, Any]: ...
    @property
    def _device_name(self) -> str: ...
    @property
    def _version(self) -> builtins.int: ...
    @property
    def dtype(self) -> dtype: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def mT(self) -> Tensor: ...
    @property
    def nbytes(self) -> builtins.int: ...
    @property
    def ndim(self) -> builtins.int: ...
    @property
    def shape(self) -> Size: ...
    def __bool__(self) -> builtins.bool: ...
    def __dlpack__(self, *, stream: Any = ..., max_version: Any = ..., dl_device: Any = ..., copy: Any = ...) -> Any: ...
    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]: ...
    def __float__(self) -> builtins.float: ...
    def __getitem__(self, key: Index) -> Tensor: ...
    def __hash__(self) -> builtins.int: ...
    def __index__(self) -> builtins.int: ...
    def __int__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __len__(self) -> builtins.int: ...
    def __setitem__(self, key: Index, value: Operand) -> None: ...
    def _bytes(self) -> bytes: ...
    def as_strided(self, size: Dims, stride: Dims, storage_offset: builtins.int | None = ...) -> Tensor: ...
    def chunk(self, chunks: builtins.int, dim: builtins.int = ...) -> tuple[Tensor, ...]: ...
    def clone(self) -> Tensor: ...
    def contiguous(self) -> Tensor: ...
    def data_ptr(self) -> builtins.int: ...
    def detach(self) -> Tensor: ...
    def diagonal(self, offset: builtins.int = ..., dim1: builtins.int = ..., dim2: builtins.int = ...) -> Tensor: ...
    def dim(self) -> builtins.int: ...
    def element_size(self) -> builtins.int: ...
    def expand(self, *size: Dims) -> Tensor: ...
    def flatten(self, start_dim: builtins.int = ..., end_dim: builtins.int = ...) -> Tensor: ...
    def index_put_(
        self, indices: Sequence[Tensor], values: Operand, accumulate: builtins.bool = ...
    ) -> Tensor: ...
    def is_contiguous(self) -> builtins.bool: ...
    def is_floating_point(self) -> builtins.bool: ...
    def item(self) -> Any: ...
    def moveaxis(self, source: Dims, destination: Dims) -> Tensor: ...
    def movedim(self, source: Dims, destination: Dims) -> Tensor: ...
    def narrow(self, dim: builtins.int, start: builtins.int | Tensor, length: builtins.int) -> Tensor: ...
    def nelement(self) -> builtins.int: ...
    def numel(self) -> builtins.int: ...
    def numpy(self) -> numpy.ndarray[Any, Any]: ...
    def permute(self, *dims: Dims) -> Tensor: ...
    def ravel(self) -> Tensor: ...
    def reshape(self, *shape: Dims) -> Tensor: ...
    def select(self, dim: builtins.int, index: builtins.int) -> Tensor: ...
    @overload
    def size(self, dim: None = ...) -> Size: ...
    @overload
    def size(self, dim: builtins.int) -> builtins.int: ...
    def split(self, split_size: builtins.int | Sequence[builtins.int], dim: builtins.int = ...) -> tuple[Tensor, ...]: ...
    def squeeze(self, dim: Dims = ...) -> Tensor: ...
    def storage_offset(self) -> builtins.int: ...
    @overload
    def stride(self, dim: None = ...) -> tuple[builtins.int, ...]: ...
    @overload
    def stride(self, dim: builtins.int) -> builtins.int: ...
    def swapaxes(self, axis0: builtins.int, axis1: builtins.int) -> Tensor: ...
    def swapdims(self, dim0: builtins.int, dim1: builtins.int) -> Tensor: ...
    def t(self) -> Tensor: ...
    def tolist(self) -> Any: ...
    def transpose(self, dim0: builtins.int, dim1: builtins.int) -> Tensor: ...
    def unbind(self, dim: builtins.int = ...) -> tuple[Tensor, ...]: ...
    def unfold(self, dimension: builtins.int, size: builtins.int, step: builtins.int) -> Tensor: ...
    def unsqueeze(self, dim: builtins.int) -> Tensor: ...
    def view(self, *shape: Dims | _Dtype) -> Tensor: ...
    def zero_(self) -> Tensor: ...
"""

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
IN_PLACE = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")


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
    yield HEADER
    yield CORE
    yield from (
        f"{name}: dtype" for name in sorted(n for n in dir(_core) if isinstance(getattr(_core, n), _core.dtype))
    )
    yield "\n" + TENSOR.rstrip("\n").replace("numpy.ndarray", "_Array").replace(
        "def dtype(self) -> dtype", "def dtype(self) -> _Dtype"
    )
    yield from operators()
    for getter in _methods.PROPERTIES:
        yield "    @property"
        yield python_method(getter, getter.__name__)
    in_python = {f.__name__: f for f in (*_methods.METHODS, *_methods.FUNCTIONS_AS_METHODS)}
    for name, f in {**in_python, **_methods.SPECIAL_METHODS}.items():
        if name not in ("__format__", "__repr__"):
            yield python_method(f, name)
    for row in _core.op_table():
        name = row["name"]
        made = vars(_core.Tensor).get(name)
        if isinstance(made, _core.Op):
            yield method(row)
        if isinstance(vars(_core.Tensor).get(f"{name}_"), _core.Op) and row["inplace"]:
            yield method(row, "_")


def stubs() -> dict[Path, str]:
    core = "\n".join(core_stub()) + "\n"
    core = core.replace(
        "\ntesting: ModuleType\n", "\n_Array: TypeAlias = numpy.ndarray[Any, Any]\n\ntesting: ModuleType\n"
    )
    core = core.replace("\n@final\nclass Size", "\n_Dtype: TypeAlias = dtype\n\n@final\nclass Size")
    core = core.replace("numpy.ndarray[Any, Any]: ...", "_Array: ...").replace("_Array[Any, Any]", "_Array")
    return {PACKAGE / "_core.pyi": core, PACKAGE / "ops.pyi": "\n".join(ops_stub()) + "\n"}


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
