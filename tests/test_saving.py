"""Files: what goes in comes out, and nothing but ValueError comes of a file that is not in order."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg

DTYPES = [
    *(tg.float64, tg.float32, tg.float16, tg.bfloat16, tg.int64, tg.int32, tg.int16, tg.int8),
    *(tg.uint32, tg.uint16, tg.uint8, tg.bool),
]


def there_and_back(obj: Any) -> Any:
    file = io.BytesIO()
    tg.save(obj, file)
    file.seek(0)
    return tg.load(file)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, tg.Tensor):
        return a.dtype is b.dtype and a.shape == b.shape and a._bytes() == b._bytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return bool(a == b)


# ---- round trips


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(dtype: Any) -> None:
    for x in (tg.tensor([[0, 1, 0], [1, 1, 0]]), tg.tensor(1), tg.zeros(0, 3), tg.zeros(2, 0, dtype=tg.int64)):
        x = x.to(dtype)
        assert same(there_and_back(x), x)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=8),
    st.builds(
        lambda shape, dtype: tg.tensor(np.arange(math.prod(shape)).reshape(shape) % 2).to(dtype),
        st.lists(st.integers(0, 3), max_size=3),
        st.sampled_from(DTYPES),
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers(-9, 9)), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(trees)
def test_trees(tree: Any) -> None:
    assert same(there_and_back(tree), tree)


def test_names_that_read_alike() -> None:
    x = {"a.b": tg.zeros(1), "a": {"b": tg.ones(1)}, "__metadata__": tg.ones(2), 0: tg.ones(3), "0": tg.ones(4)}
    assert same(there_and_back(x), x)
    assert same(there_and_back({"\ud800": tg.ones(1)}), {"\ud800": tg.ones(1)})
    assert same(there_and_back({"": {"": tg.ones(1)}}), {"": {"": tg.ones(1)}})


def test_kinds_that_become_plain_ones() -> None:
    class Pair(NamedTuple):
        a: int
        b: Any

    assert there_and_back(Pair(1, None)) == (1, None)
    assert type(there_and_back(OrderedDict(a=1))) is dict
    assert type(there_and_back(np.float32(0.5))) is float
    assert type(there_and_back(np.float64(0.5))) is float
    assert there_and_back([np.int8(3), np.bool_(True)]) == [3, True]
    assert type(there_and_back([np.bool_(True)])[0]) is bool


def test_views_are_saved_by_value() -> None:
    x = tg.arange(12).reshape(3, 4)
    back = there_and_back([x, x.T[1:, ::2], x.expand(2, 3, 4), x[0, ::-1] if False else x.flip(0)])
    assert same(back, [x, x.T[1:, ::2].contiguous(), x.expand(2, 3, 4).contiguous(), x.flip(0)])
    back[0].zero_()
    assert back[3].sum() == 66


@pytest.mark.parametrize(
    ("obj", "error"),
    [
        (object(), TypeError),
        ([1, {"a": {1, 2}}], TypeError),
        (np.ones(2), TypeError),
        ({1.5: 0}, TypeError),
        ({True: 0}, TypeError),
        ({2**64: 0}, TypeError),
        (2**64, ValueError),
        (1j, TypeError),
        (b"bytes", TypeError),
    ],
)
def test_what_cannot_be_saved(obj: Any, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    with pytest.raises(error, match=r"^\[save\]"):
        tg.save(obj, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["f"]


def test_an_object_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="64 levels"):
        tg.save(loop, io.BytesIO())
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert same(there_and_back(deep), deep)


# ---- files


def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    tg.save({"a": tg.ones(3)}, path)
    tg.save({"a": tg.zeros(3)}, str(path))
    assert same(tg.load(path), {"a": tg.zeros(3)})
    link = tmp_path / "link"
    link.symlink_to(path)
    tg.save([1], link)
    assert link.is_symlink()
    assert tg.load(str(path)) == [1]
    assert sorted(os.listdir(tmp_path)) == ["link", "state.safetensors"]
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        tg.save(1, tmp_path / "no" / "folder")


def test_wrong_kinds_of_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^\[save\] f is a int"):
        tg.save(1, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^\[load\] f is a int"):
        tg.load(3)  # type: ignore[arg-type]
    path = tmp_path / "f"
    tg.save("text", path)
    with open(path) as file, pytest.raises((TypeError, UnicodeDecodeError)):
        tg.load(file)  # type: ignore[arg-type]


def test_arguments_of_pytorch() -> None:
    file = io.BytesIO()
    tg.save(tg.ones(1), file)
    file.seek(0)
    assert tg.load(file, map_location="cpu", weights_only=True) == 1
    file.seek(0)
    with pytest.raises(RuntimeError, match=r"^\[load\] device is 'cuda:99', "):
        tg.load(file, "cuda:99")


def test_a_file_that_cannot_seek() -> None:
    file = io.BytesIO()
    tg.save([tg.arange(5), 2.5], file)

    class Pipe:
        def __init__(self) -> None:
            self.inner = io.BytesIO(file.getvalue())

        def read(self, n: int = -1) -> bytes:
            return self.inner.read(n)

    assert same(tg.load(Pipe()), [tg.arange(5), 2.5])  # type: ignore[arg-type]


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    """It is written into, not replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    tg.save([tg.arange(3)], tmp_path / "pipe")
    assert same(tg.load(io.BytesIO(reader.communicate()[0])), [tg.arange(3)])
    assert (tmp_path / "pipe").is_fifo()


def test_from_where_a_file_stands() -> None:
    file = io.BytesIO()
    file.write(b"before")
    tg.save(1, file)
    file.seek(6)
    assert tg.load(file) == 1


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    tg.save([1], path)

    def broken(handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(os, "fsync", broken)
        with pytest.raises(KeyboardInterrupt):
            tg.save([2], path)
    assert tg.load(path) == [1]
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("the system has no /dev/full")
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space left") as caught:
        tg.save(tg.ones(1000), file)
    assert caught.value.errno == errno.ENOSPC


def test_a_disk_that_fills_up_while_it_writes(tmp_path: Path) -> None:
    """The system's limit on the size of a file stands for the disk."""
    code = """if True:
        import resource, sys, trigrad as tg
        tg.save([1], sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            tg.save(tg.ones(1 << 20), sys.argv[1])
        except OSError as error:
            print(error.errno, error, sep="|")
        print(tg.load(sys.argv[1]))
    """
    path = tmp_path / "state.safetensors"
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    number, words, old = found.replace("|", "\n", 1).splitlines()
    assert int(number) == errno.EFBIG
    assert "[save] File too large; nothing was written, and a file that was there is as it was" in words
    assert str(path) in words
    assert old == "[1]"
    assert os.listdir(tmp_path) == ["state.safetensors"]


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    tg.save([1], path)
    if os.geteuid() == 0:  # whom permissions do not stop
        really = open

        def refuse(name: Any, mode: str = "r", *more: Any) -> Any:
            if "x" in mode:
                raise PermissionError(errno.EACCES, "Permission denied", name)
            return really(name, mode, *more)

        monkeypatch.setattr("builtins.open", refuse)
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(
        PermissionError, match=r"\[save\] Permission denied; nothing was written.*choose another folder"
    ):
        tg.save([2], path)
    monkeypatch.undo()
    tmp_path.chmod(0o700)
    assert tg.load(path) == [1]


def test_interrupted_while_it_writes(tmp_path: Path) -> None:
    code = """if True:
        import signal, sys, trigrad as tg
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        x = [tg.full((1 << 20,), float(k)) for k in range(8)]
        print(flush=True)
        try:
            while True:
                tg.save(x, sys.argv[1])
        except KeyboardInterrupt:
            pass
    """
    path = tmp_path / "f"
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert set(os.listdir(tmp_path)) <= {"f"}
    if path.exists():
        assert [float(x[0]) for x in tg.load(path)] == list(range(8))


# ---- the file itself


def parts(obj: Any) -> tuple[dict[str, Any], bytes]:
    file = io.BytesIO()
    tg.save(obj, file)
    raw = file.getvalue()
    n = int.from_bytes(raw[:8], "little")
    assert n % 8 == 0
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def made(header: Any, data: bytes = b"", length: int | None = None) -> io.BytesIO:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return io.BytesIO((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def test_the_file_is_what_the_page_says() -> None:
    header, data = parts({"flag": tg.tensor([True]), "w": tg.tensor([1.0, 2.0])})
    metadata = header.pop("__metadata__")
    assert header == {
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "flag": {"dtype": "BOOL", "shape": [1], "data_offsets": [8, 9]},
    }
    assert data == np.array([1, 2], "<f4").tobytes() + b"\1"
    assert json.loads(metadata.pop("trigrad.tree")) == {"dict": [["flag", {"tensor": "flag"}], ["w", {"tensor": "w"}]]}
    assert json.loads(metadata.pop("trigrad.provenance")) == {
        "seed": tg.initial_seed(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    assert metadata == {
        "trigrad.format": "1",
        "trigrad.version": tg.__version__,
        "trigrad.arithmetic_version": str(tg.arithmetic_version),
    }


def test_a_file_of_others() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "I16", "shape": [2], "data_offsets": [4, 8]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
    }
    data = np.float32(1.5).tobytes() + np.array([1, -1], "<i2").tobytes()
    back = tg.load(made(header, data))
    assert same(back, {"b": tg.tensor([1, -1], dtype=tg.int16), "a": tg.tensor(1.5)})
    assert tg.load(made({})) == {}
    assert tg.load(made(b"{}      ")) == {}


W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
META = {"trigrad.format": "1", "trigrad.version": "0", "trigrad.arithmetic_version": "1"}


def tree_file(tree: Any, tensors: dict[str, Any] | None = None, data: bytes = b"") -> io.BytesIO:
    text = tree if isinstance(tree, str) else json.dumps(tree)
    return made({"__metadata__": {**META, "trigrad.tree": text}, **(tensors or {})}, data)


BROKEN = {
    "it has 3 bytes": io.BytesIO(b"abc"),
    "it has 0 bytes": io.BytesIO(b""),
    "claims 18446744073709551615 bytes": made({}, length=2**64 - 1),
    "claims 3 bytes, but at most 2": made({}, length=3),
    "no JSON object": made([]),
    "is no JSON: Expecting": made(b"{'a'}"),
    "has NaN": made(b'{"a": NaN}'),
    "is no UTF-8": made(b'{"\xff": 1}'),
    "the key 'a' twice": made(b'{"a": 1, "a": 2}'),
    "nested too deeply": made(b"[" * 100_000),
    "__metadata__ is not": made({"__metadata__": {"a": 1}}),
    "__metadata__ is not an object": made({"__metadata__": []}),
    "expected the keys dtype": made({"a": {**W, "more": 1}}, bytes(8)),
    "has 5, expected the keys": made({"a": 5}),
    "has dtype 'F8_E4M3'": made({"a": {**W, "dtype": "F8_E4M3"}}, bytes(8)),
    "has dtype 'U64'": made({"a": {**W, "dtype": "U64"}}, bytes(8)),
    "has dtype \\[\\]": made({"a": {**W, "dtype": []}}, bytes(8)),
    "has shape \\[-2\\]": made({"a": {**W, "shape": [-2]}}, bytes(8)),
    "has shape \\[2.0\\]": made({"a": {**W, "shape": [2.0]}}, bytes(8)),
    "has shape \\[True": made({"a": {**W, "shape": [True, 2]}}, bytes(8)),
    "has shape \\[1, 1, 1, 1, 1, 1, 1, 1, 2\\]": made({"a": {**W, "shape": [1] * 8 + [2]}}, bytes(8)),
    "data_offsets \\[0\\]": made({"a": {**W, "data_offsets": [0]}}, bytes(8)),
    "data_offsets \\[8, -8\\]": made({"a": {**W, "data_offsets": [8, -8]}}, bytes(8)),
    "needs another number": made({"a": {**W, "shape": [3]}}, bytes(8)),
    "lengths overflow": made({"a": {"dtype": "F32", "shape": [2**62, 2**62, 0], "data_offsets": [0, 0]}}),
    "begins at byte 4, expected 8": made({"a": W, "b": {**W, "data_offsets": [4, 12]}}, bytes(12)),
    "begins at byte 9, expected 8": made({"a": W, "b": {**W, "data_offsets": [9, 17]}}, bytes(17)),
    "begins at byte 0, expected 8": made({"a": W, "b": W}, bytes(8)),
    "have 8 bytes, but 9 follow": made({"a": W}, bytes(9)),
    "have 8 bytes, but 7 follow": made({"a": W}, bytes(7)),
    "bytes other than 0 and 1": made({"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}, b"\2"),
    "trigrad.format is '2'": made({"__metadata__": {"trigrad.format": "2"}}),
    "__metadata__ has the keys": made({"__metadata__": {"trigrad.format": "1", "trigrad.tree": "1"}}),
    "trigrad.tree is no JSON": tree_file("{"),
    "trigrad.tree has Infinity": tree_file("Infinity"),
    "number that overflows": tree_file("1e999"),
    "integer that does not fit": tree_file(str(2**64)),
    "do not have the same tensors: \\['a'\\]": tree_file({"tensor": "a"}),
    "do not have the same tensors: \\['b'\\]": tree_file(1, {"b": W}, bytes(8)),
    "do not have the same tensors: \\['c'\\]": tree_file([{"tensor": "c"}] * 2, {"c": W}, bytes(8)),
    "expected a tensor, float": tree_file({"tensor": "a", "float": "nan"}),
    "has \\{'float': 'NaN'\\}": tree_file({"float": "NaN"}),
    "has \\{'float': \\[\\]\\}": tree_file({"float": []}),
    "has \\{'set'": tree_file({"set": []}),
    "entries are not pairs": tree_file({"dict": [["a"]]}),
    "the key 1.5": tree_file({"dict": [[1.5, 1]]}),
    "the key True": tree_file({"dict": [[True, 1]]}),
    "one key twice": tree_file({"dict": [["a", 1], ["a", 2]]}),
    "64 levels deep": tree_file("[" * 70 + "]" * 70),
    "trigrad.tree is nested too deeply": tree_file("[" * 100_000),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_file_that_is_not_in_order(message: str) -> None:
    file = BROKEN[message]
    file.seek(0)
    with pytest.raises(ValueError, match=message) as caught:
        tg.load(file)
    assert str(caught.value).startswith("[load]")


def test_nothing_is_allocated_for_a_header_that_lies() -> None:
    lie = {"a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}
    tg.reset_peak_memory_stats()
    before = tg.memory_stats()
    with pytest.raises(ValueError, match="have 8796093022208 bytes, but 0 follow"):
        tg.load(made(lie))
    after = tg.memory_stats()
    assert after["allocations"] == before["allocations"]


ORIGINAL = io.BytesIO()
tg.save({"w": tg.arange(4.0), "b": [tg.tensor(True), (1, 2.5, None, "text")], 7: tg.zeros(0, 2)}, ORIGINAL)


@settings(max_examples=2000)
@given(st.data())
def test_mutated_files(data: st.DataObject) -> None:
    """Bytes replaced, removed and inserted: a file is read, or refused with ValueError."""
    raw = bytearray(ORIGINAL.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        kind = data.draw(st.sampled_from(["replace", "remove", "insert", "cut", "swap digits"]))
        if kind == "replace":
            raw[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
        elif kind == "remove":
            del raw[at : at + data.draw(st.integers(1, 8))]
        elif kind == "insert":
            raw[at:at] = data.draw(st.sampled_from([b"0", b"[", b"}", b'"', b"\\", b"-1", b"9" * 30, b"null", b"\xff"]))
        elif kind == "cut":
            del raw[at:]
        else:
            raw[:] = bytes(raw).replace(b"%d" % (at % 10), b"%d" % (at % 7))
    # The length of the header stays true in half of the cases, so that what follows is reached.
    if data.draw(st.booleans()) and len(raw) >= 8:
        end = raw.rfind(b"}") + 1
        raw[:8] = max(end - 8, 0).to_bytes(8, "little")
    try:
        tg.load(io.BytesIO(bytes(raw)))
    except ValueError as e:
        assert str(e).startswith("[load]")  # noqa: PT017


@settings(max_examples=500)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["tensor", "dict", "tuple", "float", "a"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_tree(tree: Any) -> None:
    try:
        tg.load(tree_file(tree))
    except ValueError as e:
        assert str(e).startswith("[load]")  # noqa: PT017


def test_safetensors_reads_it(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="compares with the safetensors library")
    path = tmp_path / "f.safetensors"
    tg.save({"layer": {"weight": tg.arange(6.0).reshape(2, 3), "steps": tg.arange(3)}}, path)
    back = safetensors.load_file(path)
    np.testing.assert_array_equal(back["layer.weight"], np.arange(6, dtype="f4").reshape(2, 3))
    np.testing.assert_array_equal(back["layer.steps"], np.arange(3))
    other = tmp_path / "g.safetensors"
    safetensors.save_file(back, other)
    assert same(tg.load(other)["layer.steps"], tg.arange(3))
