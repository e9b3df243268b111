"""Files of tensors and models: nested dicts, lists and tuples of tensors, modules and plain values, as a valid .safetensors
file.

docs/format.md describes the file. Nothing of it is ever executed, and everything in it is checked before memory is taken.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple, TypeAlias

from trigrad import _core
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument
from trigrad._random import initial_seed
from trigrad._safetensors import Entry, is_path, parse, pieces, read_header, read_tensors, wrong
from trigrad._warnings import warn

__all__ = ["load", "provenance", "save"]

Path: TypeAlias = "str | os.PathLike[str]"

FORMAT = "1"
DEEPEST = 64  # levels of dicts, lists and tuples
WHOLE = range(-(2**63), 2**64)  # the integers that a file holds
PARAMETER = 1  # the role of a tensor that is one (nn/parameter.py)
OBJECTS = {"Scaler": "trigrad.realtime", "Standardizer": "trigrad.data"}  # with _saved() -> dict and _restored(dict)


# ---- writing


class _Writer:
    """Takes a tree apart: its structure as JSON, its tensors by name."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def add(self, tensor: Tensor, path: tuple[str, ...]) -> str:
        """The name of a tensor: its path, as far as that is free and none of a file. Two keys may read alike."""
        name = (".".join(path) or "tensor").encode("utf-8", "replace").decode()
        if is_path(name):
            name = name.replace("/", "_").replace("\\", "_").replace("\0", "_")
            name = name + "'" if is_path(name) else name
        while name in self.tensors or name == "__metadata__":
            name += "'"
        self.tensors[name] = tensor
        return name

    def encode(self, value: Any, path: tuple[str, ...], tensors: bool = True) -> Any:
        """Plain JSON for plain values and lists; an object that says what it is for all else."""
        if len(path) > DEEPEST:
            raise ValueError(f"[save] the object is nested more than {DEEPEST} levels deep (does it contain itself?)")
        if value is None or isinstance(value, (bool, str)):
            return value if value is None or isinstance(value, bool) else str(value)
        if isinstance(value, int):
            if value not in WHOLE:
                raise ValueError(f"[save] the integer at {_place(path)} does not fit 64 bits")
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, Mapping):
            return {"dict": [[_key(k, path), self.encode(v, (*path, str(k)), tensors)] for k, v in value.items()]}
        if isinstance(value, (list, tuple)):
            items = [self.encode(v, (*path, str(i)), tensors) for i, v in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, Tensor) and tensors:
            kind, usual = ("parameter", True) if value._role == PARAMETER else ("tensor", False)
            node: dict[str, Any] = {kind: self.add(value, path)}
            return node if value.requires_grad is usual else node | {"requires_grad": value.requires_grad}
        if hasattr(value, "dtype") and getattr(value, "shape", None) == () and hasattr(value, "item"):
            return self.encode(value.item(), path)  # a numpy scalar
        if OBJECTS.get(type(value).__name__) == type(value).__module__.rpartition("._")[0] and tensors:
            return {"object": type(value).__name__, "parts": self.encode(value._saved(), path)}
        if hasattr(value, "named_modules") and tensors:
            from trigrad.nn._architecture import Writer

            module = getattr(value, "__wrapped__", value)  # of a compiled one
            return {"module": Writer(self.add, self.encode).node(module, path)}
        remedy = "; make it a tensor with trigrad.from_numpy" if hasattr(value, "__array_interface__") else ""
        raise TypeError(
            f"[save] got a {type(value).__name__} at {_place(path)}, expected tensors, modules, numbers, strings, bools, None, "
            f"and dicts, lists and tuples of them{remedy}"
        )


def _place(path: tuple[str, ...]) -> str:
    return f"'{'.'.join(path)}'" if path else "the top"


def _key(key: Any, path: tuple[str, ...]) -> str | int:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, int) and not isinstance(key, bool) and key in WHOLE:
        return int(key)
    raise TypeError(f"[save] the dict at {_place(path)} has the key {key!r}, expected strings and integers of 64 bits")


def _pieces(obj: Any, more: Mapping[str, Any] | None) -> Iterator[bytes]:
    """The file, piece by piece."""
    import json

    import numpy

    writer = _Writer()
    tree = writer.encode(obj, ())
    _require_readable(tree, writer.tensors)
    if not isinstance(more, (Mapping, type(None))):
        raise TypeError(f"[save] provenance is a {type(more).__name__}, expected a dict")
    made = {"seed": initial_seed(), "python": platform.python_version(), "numpy": numpy.__version__, **(more or {})}
    try:
        said = json.dumps(made, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"[save] provenance is expected to hold JSON's values alone: {error}") from None
    metadata = {
        "trigrad.format": FORMAT,
        "trigrad.version": _core.build_info()["version"],
        "trigrad.arithmetic_version": str(_core.build_info()["arithmetic_version"]),
        "trigrad.tree": json.dumps(tree, separators=(",", ":")),
        "trigrad.provenance": said,
    }
    return pieces(writer.tensors, metadata)


def _require_readable(tree: Any, tensors: Mapping[str, Tensor]) -> None:
    """What would be refused when it is read is refused now."""
    checker = _Checker({name: Entry(t.dtype, tuple(t.shape), 0, t.nbytes) for name, t in tensors.items()})
    try:
        checker.node(tree)
        checker.finish()
    except ValueError as error:
        why = str(error).removeprefix(str(wrong("")))
        raise ValueError(f"[save] it could not be read again: {why}; rename it, or save model.state_dict()") from None


def save(obj: Any, f: Path | IO[bytes], *, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a model, or tensors, numbers, strings, bools, None, and dicts, lists and tuples of all these, to a path or a file
    opened for writing bytes. A file appears under its name when it is complete, or not at all.

    >>> import trigrad as tg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 8), tg.nn.ReLU(), tg.nn.Linear(8, 1))
    >>> tg.save({"model": model, "epoch": 3}, path, provenance={"data": "toy jets"})
    >>> tg.load(path)["model"]
    Sequential(
      (0): Linear(in_features=2, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    >>> tg.provenance(path)["data"]
    'toy jets'

    Of a module are written its class, settings, parameters, buffers, modes and what of it requires a gradient; one of
    `trigrad.nn` is made again from that alone, for one of a class of your own see `load`. Hooks are refused. Tensors are
    written by value: those that share memory come back apart, but a parameter or module that a model has in two places is
    one again. `provenance` says where it comes from: JSON's values, kept beside the seed and the versions.
    """
    content = _pieces(obj, provenance)
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise TypeError(f"[save] f is a {type(f).__name__}, expected a path or a file opened for writing bytes")
        for piece in content:
            f.write(piece)
        return
    target = os.path.realpath(f)
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        with open(target, "wb") as pipe:  # or a device: not to be replaced by a file
            for piece in content:
                pipe.write(piece)
        return
    # Beside the file, so that renaming it is one step; under a name that no other writer takes.
    beside = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    first = next(content)  # what cannot be saved is refused before a file is made
    try:
        with open(beside, "xb") as file:
            file.write(first)
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException as error:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.unlink(beside)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(
                error.errno,
                f"[save] {error.strerror}; nothing was written, and a file that was there is as it was. Free space, or choose "
                "another folder",
                str(f),
            ) from None
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


def load(
    f: Path | IO[bytes], map_location: DeviceArgument = None, *, weights_only: bool = True, model: Any = None
) -> Any:
    """What `save` wrote, from a path or a file opened for reading bytes; a .safetensors file of another library is read as
    a dict of tensors. They come to the CPU, or to the device `map_location`. Everything is checked; a file that is not in order raises ValueError and says why. `weights_only` is
    there for PyTorch's sake: nothing in a file is ever executed.

    A model with a class of your own in it takes the place that `model` has: one that is built in the same way (or a class or
    function that makes one when called), and receives the numbers, modes and requires_grad of the file. Given a dict of
    tensors, the model loads it as its state_dict.

    >>> import trigrad as tg, io
    >>> class Net(tg.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = tg.nn.Linear(2, 1)
    ...     def forward(self, x):
    ...         return self.layer(x) ** 2
    >>> net, file = Net(), io.BytesIO()
    >>> tg.save(net, file); _ = file.seek(0)
    >>> tg.equal(tg.load(file, model=Net).layer.weight, net.layer.weight)
    True
    """
    with _opened(f) as (file, size):
        return _read(file, size, model, map_location)


def provenance(f: Path | IO[bytes]) -> dict[str, Any]:
    """Where a file comes from: the versions of trigrad, its arithmetic, Python and NumPy, the seed that the default generator
    had, and what `save` was given. Empty for a file of another library; only the header is read.

    >>> import trigrad as tg, io
    >>> file = io.BytesIO()
    >>> tg.save(tg.ones(1), file, provenance={"epochs": 3}); _ = file.seek(0)
    >>> found = tg.provenance(file)
    >>> found["epochs"], found["trigrad"] == tg.__version__, found["arithmetic_version"]
    (3, True, 1)
    """
    with _opened(f) as (file, size):
        return _metadata(read_header(file, size)[0]).provenance


@contextlib.contextmanager
def _opened(f: Path | IO[bytes]) -> Iterator[tuple[IO[bytes], int]]:
    """A file, and how many bytes it has from here on."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
        return
    if not hasattr(f, "read"):
        raise TypeError(f"[load] f is a {type(f).__name__}, expected a path or a file opened for reading bytes")
    if hasattr(f, "readinto") and hasattr(f, "seekable") and f.seekable():
        here = f.tell()
        size = f.seek(0, os.SEEK_END) - here
        f.seek(here)
        yield f, size
        return
    import io

    whole = f.read()  # as large as what really comes
    yield io.BytesIO(whole), len(whole)


class _Metadata(NamedTuple):
    tree: Any  # parsed, not checked
    is_ours: bool
    provenance: dict[str, Any]


def _metadata(metadata: dict[str, str]) -> _Metadata:
    """What our own metadata say; nothing in a file of others."""
    if "trigrad.format" not in metadata:
        return _Metadata(None, False, {})
    version = metadata.get("trigrad.version", "unknown")
    if metadata["trigrad.format"] != FORMAT:
        raise wrong(
            f"trigrad.format is {metadata['trigrad.format']!r:.200}, expected {FORMAT!r}; it was written by another "
            f"version of trigrad ({version!r:.200})"
        )
    expected = {f"trigrad.{name}" for name in ("format", "version", "arithmetic_version", "tree")}
    found = {key for key in metadata if key.startswith("trigrad.")} - {"trigrad.provenance"}
    if found != expected:
        raise wrong(f"__metadata__ has the keys {sorted(found)!r:.200}, expected {sorted(expected)}")
    arithmetic = metadata["trigrad.arithmetic_version"]
    if not arithmetic.isdecimal() or not arithmetic.isascii() or len(arithmetic) > 9:
        raise wrong(f"trigrad.arithmetic_version is {arithmetic!r:.200}, expected a number")
    tree, said = (
        parse(metadata.get(key, "{}").encode("utf-8", "surrogatepass"), key)
        for key in ("trigrad.tree", "trigrad.provenance")
    )
    if not isinstance(said, dict):
        raise wrong("trigrad.provenance is no JSON object")
    return _Metadata(tree, True, said | {"trigrad": version, "arithmetic_version": int(arithmetic)})


def _read(file: IO[bytes], size: int, model: Any, device: DeviceArgument) -> Any:
    metadata, entries = read_header(file, size)
    ours = _metadata(metadata)
    if not ours.is_ours:
        tensors = _there(read_tensors(file, entries), device)
        return tensors if model is None else _given(model, lambda m: _load_state(m, tensors))
    checker = _Checker(entries)
    checker.node(ours.tree)
    checker.finish()  # before memory is taken for the tensors
    if model is not None and len(checker.modules) > 1:
        raise ValueError(
            f"[load] the file has {len(checker.modules)} models, and model= can stand for one; load it without"
        )
    written, here = ours.provenance["arithmetic_version"], _core.build_info()["arithmetic_version"]
    if written != here:
        warn(f"[load] the file is of arithmetic version {written}, this trigrad of {here}: last bits may differ")
    tensors = _there(read_tensors(file, entries), device)
    made = _decode(ours.tree, tensors, checker, model)
    return made if model is None or checker.modules else _given(model, lambda m: _load_state(m, made))


def _there(tensors: dict[str, Tensor], device: DeviceArgument) -> dict[str, Tensor]:
    return {name: _core.move(t, device, "load") for name, t in tensors.items()}


def _given(model: Any, load_into: Callable[[Any], Any]) -> Any:
    """The model, or what makes one, with the numbers of the file."""
    made = (
        model
        if hasattr(model, "named_modules") and not isinstance(model, type)
        else model()
        if callable(model)
        else model
    )
    if not hasattr(made, "load_state_dict") or not hasattr(made, "named_modules"):
        raise TypeError(f"[load] model is a {type(made).__name__}, expected a module, or what makes one when called")
    return load_into(made)


def _load_state(model: Any, state: Any) -> Any:
    if not isinstance(state, dict):
        what = type(state).__name__
        raise ValueError(f"[load] the file holds a {what}, expected a model or a dict of tensors for model=")  # noqa: TRY004 -- the file's fault
    model.load_state_dict(state)
    return model


# ---- the tree


class _Checker:
    """Looks at a tree, node by node: what is wrong is refused, modules are kept for later."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self.used: Counter[str] = Counter()
        self.modules: dict[int, Any] = {}  # parts of nn/_architecture.py, by the id of their node
        self.depth = 0

    def plain(self, node: Any, tensors: bool) -> None:
        """A tree without modules, perhaps without tensors."""
        before, modules = self.used.total(), len(self.modules)
        self.node(node)
        if len(self.modules) > modules or (self.used.total() > before and not tensors):
            raise wrong("trigrad.tree has a tensor or a module where plain values are expected")

    def finish(self) -> None:
        """Every tensor of the file has its place."""
        odd = [n for n, times in self.used.items() if times > 1] + sorted(self.used.keys() ^ self.entries.keys())
        if odd:
            raise wrong(f"trigrad.tree and the header do not have the same tensors: {odd[:3]!r:.200}")

    def node(self, node: Any) -> None:
        """A node and all below."""
        self.depth += 1
        if self.depth > DEEPEST + 1:
            raise wrong(f"trigrad.tree is nested more than {DEEPEST} levels deep")
        if isinstance(node, dict):
            self._object(node)
        elif isinstance(node, list):
            for item in node:
                self.node(item)
        elif isinstance(node, int) and node not in WHOLE:
            raise wrong("trigrad.tree has an integer that does not fit 64 bits")
        elif isinstance(node, float) and not math.isfinite(node):
            raise wrong("trigrad.tree has a number that overflows")
        self.depth -= 1

    def _object(self, node: dict[str, Any]) -> None:
        kind, content = next(iter(node.items()), ("", None))
        more = len(node) - 1
        if (
            kind in ("tensor", "parameter")
            and isinstance(content, str)
            and (not more or set(node) == {kind, "requires_grad"})
        ):
            self.used[content] += 1
            learned = node.get("requires_grad", kind == "parameter")
            if not isinstance(learned, bool):
                raise wrong(f"trigrad.tree has requires_grad = {learned!r:.200}, expected true or false")
            entry = self.entries.get(content)
            if learned and entry is not None and not entry.dtype.is_floating_point:
                raise wrong(f"tensor {content!r:.200} is of {entry.dtype}, which cannot require a gradient")
        elif kind == "object" and isinstance(content, str) and content in OBJECTS and set(node) == {"object", "parts"}:
            parts = node["parts"]
            if not isinstance(parts, dict) or "dict" not in parts:
                raise wrong(f"trigrad.tree has a {content} whose parts are no dict")
            self.plain(parts, True)
        elif more:
            raise wrong(f"trigrad.tree has {node!r:.200}, expected a tensor, float, tuple, dict, module or object")
        elif kind == "float" and content in ("nan", "inf", "-inf"):
            pass
        elif kind == "tuple" and isinstance(content, list):
            for item in content:
                self.node(item)
        elif kind == "dict" and isinstance(content, list):
            self._dict(content)
        elif kind == "module":
            from trigrad.nn._architecture import Reader

            part = Reader(self.entries, self.plain, lambda value: _decode(value, {}, self), wrong).part(content)
            self.modules[id(node)] = part
            self.used.update({t for p in part.parts().values() for t in p.tensors().values() if t is not None})
        else:
            raise wrong(f"trigrad.tree has {node!r:.200}, expected a tensor, float, tuple, dict, module or object")

    def _dict(self, pairs: list[Any]) -> None:
        keys = set()
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                raise wrong("trigrad.tree has a dict whose entries are not pairs")
            key = pair[0]
            if isinstance(key, bool) or not isinstance(key, (str, int)) or (isinstance(key, int) and key not in WHOLE):
                raise wrong(f"trigrad.tree has the key {key!r:.200}, expected strings and integers of 64 bits")
            keys.add(key)
            self.node(pair[1])
        if len(keys) != len(pairs):
            raise wrong("trigrad.tree has a dict with one key twice")


def _decode(node: Any, tensors: dict[str, Tensor], checker: _Checker, model: Any = None) -> Any:
    """The object that a checked tree stands for."""
    if isinstance(node, list):
        return [_decode(item, tensors, checker, model) for item in node]
    if not isinstance(node, dict):
        return node
    kind, content = next(iter(node.items()))
    if kind == "tensor":
        return tensors[content].requires_grad_() if node.get("requires_grad", False) else tensors[content]
    if kind == "parameter":
        from trigrad.nn.parameter import Parameter

        return Parameter(tensors[content], node.get("requires_grad", True))
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_decode(item, tensors, checker, model) for item in content)
    if kind == "dict":
        return {key: _decode(value, tensors, checker, model) for key, value in content}
    if kind == "object":
        return _object(content, _decode(node["parts"], tensors, checker))
    from trigrad.nn import _architecture

    part = checker.modules[id(node)]
    if model is None:
        return _architecture.build(part, tensors)
    return _given(model, lambda m: _architecture.pour(part, m, tensors, lambda extra: _decode(extra, tensors, checker)))


def _object(name: str, parts: dict[str, Any]) -> Any:
    try:
        cls = getattr(importlib.import_module(OBJECTS[name]), name)
        return cls._restored(parts)
    except (ImportError, AttributeError, TypeError, KeyError, ValueError, RuntimeError) as error:
        raise wrong(f"its {name} cannot be made again: {error}") from None
