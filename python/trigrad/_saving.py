"""Files of tensors: nested dicts, lists and tuples of tensors and plain values, as a valid .safetensors file.

docs/format.md describes the file. Nothing of it is ever executed, and everything in it is checked before memory is taken.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import IO, Any, TypeAlias

from trigrad import _core
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument
from trigrad._device import require_cpu

__all__ = ["load", "save"]

Path: TypeAlias = "str | os.PathLike[str]"

FORMAT = "1"
DTYPES = {
    "F64": _core.float64,
    "F32": _core.float32,
    "F16": _core.float16,
    "BF16": _core.bfloat16,
    "I64": _core.int64,
    "I32": _core.int32,
    "I16": _core.int16,
    "I8": _core.int8,
    "U32": _core.uint32,
    "U16": _core.uint16,
    "U8": _core.uint8,
    "BOOL": _core.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST_HEADER = 100_000_000  # bytes, as the safetensors library has it
DEEPEST = 64  # levels of dicts, lists and tuples
WHOLE = range(-(2**63), 2**64)  # the integers that a file holds


# ---- writing


class _Writer:
    """Takes a tree apart: its structure as JSON, its tensors by name."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def name(self, path: tuple[str, ...]) -> str:
        """The path, as far as it is free: two keys may read alike."""
        name = ".".join(path) or "tensor"
        name = name.encode("utf-8", "replace").decode()
        while name in self.tensors or name == "__metadata__":
            name += "'"
        return name

    def encode(self, value: Any, path: tuple[str, ...]) -> Any:
        """Plain JSON for plain values and lists; an object of one entry, which says what it is, for all else."""
        if len(path) > DEEPEST:
            raise ValueError(f"[save] the object is nested more than {DEEPEST} levels deep (does it contain itself?)")
        if isinstance(value, Tensor):
            name = self.name(path)
            self.tensors[name] = value
            return {"tensor": name}
        if value is None or isinstance(value, (bool, str)):
            return value if value is None or isinstance(value, bool) else str(value)
        if isinstance(value, int):
            if value not in WHOLE:
                raise ValueError(f"[save] the integer at {_place(path)} does not fit 64 bits")
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, Mapping):
            return {"dict": [[_key(k, path), self.encode(v, (*path, str(k)))] for k, v in value.items()]}
        if isinstance(value, (list, tuple)):
            items = [self.encode(v, (*path, str(i))) for i, v in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if hasattr(value, "dtype") and getattr(value, "shape", None) == () and hasattr(value, "item"):
            return self.encode(value.item(), path)  # a numpy scalar
        remedy = "; make it a tensor with trigrad.from_numpy" if hasattr(value, "__array_interface__") else ""
        raise TypeError(
            f"[save] got a {type(value).__name__} at {_place(path)}, expected tensors, numbers, strings, bools, None, and "
            f"dicts, lists and tuples of them{remedy}"
        )


def _place(path: tuple[str, ...]) -> str:
    return f"'{'.'.join(path)}'" if path else "the top"


def _key(key: Any, path: tuple[str, ...]) -> str | int:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, int) and not isinstance(key, bool) and key in WHOLE:
        return int(key)
    raise TypeError(f"[save] the dict at {_place(path)} has the key {key!r}, expected strings and integers of 64 bits")


def _pieces(obj: Any) -> Iterator[bytes]:
    """The file, piece by piece."""
    import json

    writer = _Writer()
    tree = writer.encode(obj, ())
    # The largest elements come first, so that every tensor is aligned to its own.
    order = sorted(writer.tensors.items(), key=lambda item: -item[1].itemsize)
    header: dict[str, Any] = {
        "__metadata__": {
            "trigrad.format": FORMAT,
            "trigrad.version": _core.build_info()["version"],
            "trigrad.arithmetic_version": str(_core.build_info()["arithmetic_version"]),
            "trigrad.tree": json.dumps(tree, separators=(",", ":")),
        }
    }
    at = 0
    for name, x in order:
        header[name] = {"dtype": NAMES[x.dtype], "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"[save] the header would have {len(text)} bytes, expected at most {LONGEST_HEADER}")
    yield len(text).to_bytes(8, "little")
    yield text
    for _, x in order:
        yield x._bytes()


def save(obj: Any, f: Path | IO[bytes]) -> None:
    """Write tensors, numbers, strings, bools, None, and dicts, lists and tuples of them, to a path or a file opened for
    writing bytes. Every tensor is written by value: tensors that share memory come back apart. A file appears under its
    name when it is complete, or not at all.

    >>> import trigrad as tg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> tg.save({"weight": tg.ones(2), "epoch": 3}, path)
    >>> tg.load(path)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise TypeError(f"[save] f is a {type(f).__name__}, expected a path or a file opened for writing bytes")
        for piece in _pieces(obj):
            f.write(piece)
        return
    target = os.path.realpath(f)
    # Beside the file, so that renaming it is one step; under a name that no other writer takes.
    beside = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    pieces = _pieces(obj)
    first = next(pieces)  # what cannot be saved is refused before a file is made
    try:
        with open(beside, "xb") as file:
            file.write(first)
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    _sync_folder(os.path.dirname(target))


def _sync_folder(folder: str) -> None:
    """Let the new name survive a loss of power, where the system can promise that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(handle)
    os.close(handle)


# ---- reading


def load(f: Path | IO[bytes], map_location: DeviceArgument = None, *, weights_only: bool = True) -> Any:
    """What `save` wrote, from a path or a file opened for reading bytes; a .safetensors file of another library is read as
    a dict of tensors. Everything is checked; a file that is not in order raises ValueError and says why. `weights_only` is
    there for PyTorch's sake: nothing in a file is ever executed.

    >>> import trigrad as tg, io
    >>> file = io.BytesIO(); tg.save([tg.arange(3), None], file); _ = file.seek(0)
    >>> tg.load(file)
    [tensor([0, 1, 2]), None]
    """
    require_cpu("load", map_location)
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    if not hasattr(f, "read"):
        raise TypeError(f"[load] f is a {type(f).__name__}, expected a path or a file opened for reading bytes")
    if hasattr(f, "seekable") and f.seekable():
        here = f.tell()
        size = f.seek(0, os.SEEK_END) - here
        f.seek(here)
        return _read(f, size)
    import io

    whole = f.read()  # as large as what really comes
    return _read(io.BytesIO(whole), len(whole))


def _wrong(what: str) -> ValueError:
    return ValueError(f"[load] not a valid file: {what}")


def _take(file: IO[bytes], n: int, what: str) -> bytes:
    taken = file.read(n)
    if not isinstance(taken, bytes):
        raise TypeError("[load] the file was opened for text, expected one opened for bytes: open(path, 'rb')")
    if len(taken) != n:
        raise _wrong(f"it ends in {what}, after {len(taken)} of {n} bytes")
    return taken


def _read(file: IO[bytes], size: int) -> Any:
    if size < 8:
        raise _wrong(f"it has {size} bytes, expected at least 8")
    length = int.from_bytes(_take(file, 8, "the length of its header"), "little")
    if length > size - 8 or length > LONGEST_HEADER:
        raise _wrong(f"its header claims {length} bytes, but at most {min(size - 8, LONGEST_HEADER)} can be there")
    header = _parse(_take(file, length, "its header"), "its header")
    if not isinstance(header, dict):
        raise _wrong("its header is no JSON object")
    metadata = _metadata(header.pop("__metadata__", {}))
    entries = [(name, *_entry(name, value)) for name, value in header.items()]
    entries.sort(key=lambda entry: entry[3:])
    at = 0
    for name, _, _, begin, end in entries:
        if begin != at:
            raise _wrong(f"tensor {name!r} begins at byte {begin}, expected {at}, where the one before it ends")
        at = end
    if at != size - 8 - length:
        raise _wrong(f"its tensors have {at} bytes, but {size - 8 - length} follow the header")
    tree = _tree(metadata, header)  # checked before memory is taken for the tensors
    tensors = {}
    for name, dtype, shape, begin, end in entries:
        data = _take(file, end - begin, f"tensor {name!r}")
        if dtype is _core.bool and data.translate(None, b"\0\1"):
            raise _wrong(f"tensor {name!r} is BOOL and has bytes other than 0 and 1")
        tensors[name] = _core.from_bytes(data, dtype, shape)
    if tree is None:
        return {name: tensors[name] for name in header}
    return _decode(tree[0], tensors)


def _parse(text: bytes, what: str) -> Any:
    import json

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            raise _wrong(f"{what} has the key {next(n for n in names if names.count(n) > 1)!r} twice")
        return made

    def refuse(constant: str) -> None:
        raise _wrong(f"{what} has {constant}, which is no JSON")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except UnicodeDecodeError as e:
        raise _wrong(f"{what} is no UTF-8: {e.reason} at byte {e.start}") from None
    except RecursionError:
        raise _wrong(f"{what} is nested too deeply") from None
    except json.JSONDecodeError as e:
        raise _wrong(f"{what} is no JSON: {e}") from None
    except ValueError as e:
        raise e if str(e).startswith("[load]") else _wrong(f"{what} is no JSON: {e}") from None


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise _wrong("__metadata__ is not an object of strings")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _entry(name: str, value: Any) -> tuple[_core.dtype, tuple[int, ...], int, int]:
    """What the header says of a tensor: dtype, shape, begin, end."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        keys = sorted(value) if isinstance(value, dict) else value
        raise _wrong(f"tensor {name!r} has {keys!r:.200}, expected the keys dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _wrong(f"tensor {name!r} has dtype {dtype!r:.200}, expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > 8 or not all(map(_is_whole, shape)):
        raise _wrong(f"tensor {name!r} has shape {shape!r:.200}, expected a list of at most 8 lengths")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_whole, offsets)):
        raise _wrong(f"tensor {name!r} has data_offsets {offsets!r:.200}, expected two places")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise _wrong(f"tensor {name!r} has {end - begin} bytes, but shape {shape} of {dtype} needs another number")
    if math.prod(n for n in shape if n) >= 2**63:
        raise _wrong(f"tensor {name!r} has shape {shape}, whose lengths overflow")
    return DTYPES[dtype], tuple(shape), begin, end


def _tree(metadata: dict[str, str], tensors: Mapping[str, Any]) -> tuple[Any] | None:
    """The structure that `save` wrote, checked; None in a file of others."""
    if "trigrad.format" not in metadata:
        return None
    if metadata["trigrad.format"] != FORMAT:
        raise _wrong(
            f"trigrad.format is {metadata['trigrad.format']!r:.200}, expected {FORMAT!r}; it was written by another "
            f"version of trigrad ({metadata.get('trigrad.version', 'unknown')!r:.200})"
        )
    expected = {"trigrad.format", "trigrad.version", "trigrad.arithmetic_version", "trigrad.tree"}
    found = {key for key in metadata if key.startswith("trigrad.")}
    if found != expected:
        raise _wrong(f"__metadata__ has the keys {sorted(found)!r:.200}, expected {sorted(expected)}")
    tree = _parse(metadata["trigrad.tree"].encode("utf-8", "surrogatepass"), "trigrad.tree")
    used: list[str] = []
    _check(tree, used, 0)
    if sorted(used) != sorted(tensors):
        odd = set(used) ^ set(tensors) or {name for name in used if used.count(name) > 1}
        raise _wrong(f"trigrad.tree and the header do not have the same tensors: {sorted(odd)[:3]}")
    return (tree,)


def _check(node: Any, used: list[str], depth: int) -> None:
    if depth > DEEPEST:
        raise _wrong(f"trigrad.tree is nested more than {DEEPEST} levels deep")
    if node is None or isinstance(node, (bool, str)):
        return
    if isinstance(node, int):
        if node not in WHOLE:
            raise _wrong("trigrad.tree has an integer that does not fit 64 bits")
        return
    if isinstance(node, float):
        if not math.isfinite(node):
            raise _wrong("trigrad.tree has a number that overflows")
        return
    if isinstance(node, list):
        for item in node:
            _check(item, used, depth + 1)
        return
    kind, content = next(iter(node.items())) if len(node) == 1 else ("", None)
    if kind == "tensor" and isinstance(content, str):
        used.append(content)
    elif kind == "float" and content in ("nan", "inf", "-inf"):
        pass
    elif kind == "tuple" and isinstance(content, list):
        for item in content:
            _check(item, used, depth + 1)
    elif kind == "dict" and isinstance(content, list):
        keys = set()
        for pair in content:
            if not isinstance(pair, list) or len(pair) != 2:
                raise _wrong("trigrad.tree has a dict whose entries are not pairs")
            key = pair[0]
            if isinstance(key, bool) or not isinstance(key, (str, int)) or (isinstance(key, int) and key not in WHOLE):
                raise _wrong(f"trigrad.tree has the key {key!r:.200}, expected strings and integers of 64 bits")
            keys.add(key)
            _check(pair[1], used, depth + 1)
        if len(keys) != len(content):
            raise _wrong("trigrad.tree has a dict with one key twice")
    else:
        raise _wrong(f"trigrad.tree has {node!r:.200}, expected a tensor, float, tuple or dict")


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The object that a checked tree stands for."""
    if isinstance(node, list):
        return [_decode(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in content)
    return {key: _decode(value, tensors) for key, value in content}
