"""Named tensors in a .safetensors file: the bytes, the header, and all that is checked of them before memory is taken."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from trigrad import _core
from trigrad._core import Tensor

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
METADATA = "__metadata__"


class Entry(NamedTuple):
    """What the header says of a tensor."""

    dtype: _core.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def wrong(what: str) -> ValueError:
    """The error of a file that is not in order."""
    return ValueError(f"[load] not a valid file: {what}")


def is_path(name: str) -> bool:
    """Could a name lead out of a folder, or end early in another language? Such names are refused."""
    parts = name.replace("\\", "/").split("/")
    return "\0" in name or ".." in parts or (len(parts) > 1 and (not parts[0] or parts[0].endswith(":")))


def pieces(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> Iterator[bytes]:
    """The file, piece by piece."""
    import json

    # The largest elements come first, so that every tensor is aligned to its own.
    order = sorted(tensors.items(), key=lambda item: -item[1].itemsize)
    header: dict[str, Any] = {METADATA: metadata}
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


def _take(file: IO[bytes], n: int, what: str) -> bytes:
    taken = file.read(n)
    if not isinstance(taken, bytes):
        raise TypeError("[load] the file was opened for text, expected one opened for bytes: open(path, 'rb')")
    if len(taken) != n:
        raise wrong(f"it ends in {what}, after {len(taken)} of {n} bytes")
    return taken


def _fill(file: Any, room: memoryview, what: str) -> None:
    """Reads a tensor into its memory."""
    at = 0
    while at < len(room):
        read = file.readinto(room[at:])
        if not read:
            raise wrong(f"it ends in {what}, after {at} of {len(room)} bytes")
        at += read


def read_header(file: IO[bytes], size: int) -> tuple[dict[str, str], dict[str, Entry]]:
    """The metadata and the entries of a file of so many bytes: what is wrong with either is refused."""
    if size < 8:
        raise wrong(f"it has {size} bytes, expected at least 8")
    begin = _take(file, 8, "the length of its header")
    if begin.startswith(b"PK\3\4"):
        raise wrong("it is a zip archive, as PyTorch writes; save the state_dict() with the safetensors package there")
    length = int.from_bytes(begin, "little")
    if length > size - 8 or length > LONGEST_HEADER:
        if begin[0] == 0x80 and 2 <= begin[1] <= 5:
            raise wrong(
                "it is a pickle, which reading would execute; save its tensors with trigrad.save or safetensors"
            )
        raise wrong(f"its header claims {length} bytes, but at most {min(size - 8, LONGEST_HEADER)} can be there")
    header = parse(_take(file, length, "its header"), "its header")
    if not isinstance(header, dict):
        raise wrong("its header is no JSON object")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise wrong(f"{METADATA} is not an object of strings")
    entries = {name: _entry(name, value) for name, value in header.items()}
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != at:
            raise wrong(
                f"tensor {name!r:.200} begins at byte {entry.begin}, expected {at}, where the one before it ends"
            )
        at = entry.end
    if at != size - 8 - length:
        raise wrong(f"its tensors have {at} bytes, but {size - 8 - length} follow the header")
    return metadata, entries


def read_tensors(file: IO[bytes], entries: dict[str, Entry]) -> dict[str, Tensor]:
    """The tensors of a checked header, in its order."""
    found = {}
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        made = found[name] = _core.empty(entry.shape, entry.dtype)
        room = made.reshape(-1).view(_core.uint8).numpy()
        _fill(file, room.data, f"tensor {name!r:.200}")
        if entry.dtype is _core.bool and room.max(initial=0) > 1:
            raise wrong(f"tensor {name!r:.200} is BOOL and has bytes other than 0 and 1")
    return {name: found[name] for name in entries}


def parse(text: bytes, what: str) -> Any:
    """JSON, read strictly."""
    import json

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            twice = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
            raise wrong(f"{what} has the key {twice!r:.200} twice")
        return made

    def refuse(constant: str) -> None:
        raise wrong(f"{what} has {constant}, which is no JSON")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except UnicodeDecodeError as e:
        raise wrong(f"{what} is no UTF-8: {e.reason} at byte {e.start}") from None
    except RecursionError:
        raise wrong(f"{what} is nested too deeply") from None
    except json.JSONDecodeError as e:
        raise wrong(f"{what} is no JSON: {e}") from None
    except ValueError as e:
        raise e if str(e).startswith("[load]") else wrong(f"{what} is no JSON: {e}") from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _entry(name: str, value: Any) -> Entry:
    if is_path(name):
        raise wrong(f"a tensor has the name {name!r:.200}, expected no path out of a folder and no NUL")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        keys = sorted(value) if isinstance(value, dict) else value
        raise wrong(f"tensor {name!r:.200} has {keys!r:.200}, expected the keys dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise wrong(f"tensor {name!r:.200} has dtype {dtype!r:.200}, expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > 8 or not all(map(_is_whole, shape)):
        raise wrong(f"tensor {name!r:.200} has shape {shape!r:.200}, expected a list of at most 8 lengths")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_whole, offsets)):
        raise wrong(f"tensor {name!r:.200} has data_offsets {offsets!r:.200}, expected two places")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise wrong(f"tensor {name!r:.200} has {end - begin} bytes, but shape {shape} of {dtype} needs another number")
    if math.prod(n for n in shape if n) >= 2**63:
        raise wrong(f"tensor {name!r:.200} has shape {shape}, whose lengths overflow")
    return Entry(DTYPES[dtype], tuple(shape), begin, end)
