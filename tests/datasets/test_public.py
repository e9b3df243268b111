"""Loaders of public data, from files of the same layout that a server on this machine gives out, well and badly."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trigrad import data
from trigrad.data import _download, _public
from trigrad.data._download import fetch

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


class Server(http.server.ThreadingHTTPServer):
    """Files from memory. `broken`: so many answers end half-way; `ranges`: does it know parts of a file?"""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken, self.ranges, self.asked = 0, True, [""][:0]
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        name, wanted = self.path[1:], self.headers.get("Range")
        self.server.asked.append(f"{name} {wanted}" if wanted else name)
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if start >= len(content) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        part = content[start:]
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.server.broken:
            self.server.broken -= 1
            part = part[: len(part) // 2]
        self.wfile.write(part)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("TRIGRAD_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


CONTENT = np.random.default_rng(0).bytes(100_000)


# ---- downloads


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    server.files["a"] = CONTENT
    path = fetch([server.url + "a"], tmp_path / "deep" / "a", sha(CONTENT))
    assert path.read_bytes() == CONTENT
    assert fetch([server.url + "a"], path, sha(CONTENT)) == path
    assert server.asked == ["a"]
    assert sorted(p.name for p in path.parent.iterdir()) == ["a"]


def test_a_broken_download_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.files["a"], server.broken = CONTENT, 2
    assert fetch([server.url + "a"], tmp_path / "a", sha(CONTENT)).read_bytes() == CONTENT
    assert server.asked == ["a", "a bytes=50000-", "a bytes=75000-"]
    server.asked.clear()
    server.broken, server.ranges = 1, False  # a server that starts again each time
    assert fetch([server.url + "a"], tmp_path / "b", sha(CONTENT)).read_bytes() == CONTENT
    assert server.asked == ["a", "a bytes=50000-"]


def test_what_was_kept_of_a_failure_is_used_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.files["a"], server.broken = CONTENT, 3
    with pytest.raises(OSError, match=r"could not be downloaded. 87500 bytes are kept.*Or put the file at"):
        fetch([server.url + "a"], tmp_path / "a", sha(CONTENT))
    assert not (tmp_path / "a").exists()
    assert fetch([server.url + "a"], tmp_path / "a", sha(CONTENT)).read_bytes() == CONTENT
    assert server.asked[-1] == "a bytes=87500-"


def test_a_whole_part_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.files["a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT)
    assert fetch([server.url + "a"], tmp_path / "a", sha(CONTENT)).read_bytes() == CONTENT


def test_a_wrong_file_is_not_taken(server: Server, tmp_path: Path) -> None:
    server.files["bad"], server.files["good"] = CONTENT[:-1] + b"!", CONTENT
    with pytest.raises(OSError, match=r"bad: sha256 is [0-9a-f]+, expected [0-9a-f]+"):
        fetch([server.url + "bad"], tmp_path / "a", sha(CONTENT))
    assert not list(tmp_path.glob("a*"))
    fetch([server.url + "missing", server.url + "bad", server.url + "good"], tmp_path / "a", sha(CONTENT))
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_no_server_and_no_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="404"):
        fetch([server.url + "a"], tmp_path / "a")
    with pytest.raises(OSError, match=r"could not be downloaded.*\n.*127.0.0.1:9/"):
        fetch(["http://127.0.0.1:9/a"], tmp_path / "a")


def test_two_processes_do_not_write_one_file(server: Server, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    server.files["a"] = CONTENT
    with (tmp_path / "a.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match=r"another process is downloading a\.part"):
            fetch([server.url + "a"], tmp_path / "a")


def test_where_downloads_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIGRAD_DATA", str(tmp_path / "here"))
    assert data.folder_of_data() == tmp_path / "here"
    monkeypatch.delenv("TRIGRAD_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.folder_of_data() == tmp_path / "trigrad"


# ---- MNIST


def idx(values: Any) -> bytes:
    return b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def test_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (30, 28, 28), np.uint8), rng.integers(0, 10, 30).astype(np.uint8)
    for name, values in (("images-idx3", images), ("labels-idx1", labels)):
        server.files[f"train-{name}-ubyte.gz"] = gzip.compress(idx(values))
    monkeypatch.setattr(_public, "MNIST_MD5", {n: hashlib.md5(c).hexdigest() for n, c in server.files.items()})
    t = data.mnist(urls=[server.url + "elsewhere/", server.url])
    assert t.X.shape == (30, 784)
    np.testing.assert_allclose(t.X, images.reshape(30, -1) / 255, rtol=1e-6)
    np.testing.assert_array_equal(t.y, labels)
    assert repr(t) == "<MNIST, train part: 30 events, 784 features, 10 classes 0 1 2 3 4 5 6 7 8 9>"
    assert t.describe()["licence"] == "CC BY-SA 3.0"


def test_files_that_are_no_mnist(tmp_path: Path) -> None:
    for content, words in (
        (idx(np.zeros((2, 3), np.uint8))[:-1], "has 5 bytes, but says 2 x 3"),
        (b"hello there", "expected an IDX file"),
    ):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ValueError, match=words):
            _public.read_idx(tmp_path / "x")
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(np.zeros((2, 3), np.uint8)))[:-9])
    with pytest.raises(ValueError, match="not a whole gzip file"):
        _public.read_idx(tmp_path / "x.gz")


def test_mnist_as_published(full: bool) -> None:
    """The md5 of the files behind the checksums of the loader, made again from the arrays."""
    if not (SHARED / "mnist" / "mnist.npz").exists():
        pytest.skip("the data are not here: mnist/mnist.npz is expected in ../shared/data")
    published = (
        ("train", "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624", 60000),
        ("test", "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637", 10000),
    )
    for part, images, labels, n in published if full else published[1:]:
        t = data.mnist(part, SHARED / "mnist")  # type: ignore[arg-type]
        pixels = np.rint(t.X.reshape(n, 28, 28) * np.float32(255)).astype(np.uint8)
        assert hashlib.md5(idx(pixels)).hexdigest() == images
        assert hashlib.md5(idx(t.y.astype(np.uint8))).hexdigest() == labels


# ---- SUSY and HIGGS


def uci(columns: int, rows: int = 50) -> tuple[Any, bytes]:
    rng = np.random.default_rng(columns)
    values = rng.normal(size=(rows, columns)).astype(np.float32)
    values[:, 0] = rng.integers(0, 2, rows)
    return values, gzip.compress("".join(",".join(f"{v:.18e}" for v in row) + "\n" for row in values).encode())


def test_susy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_public, "CHUNK", 20)
    values, server.files["SUSY.csv.gz"] = uci(19)
    urls = [server.url + "SUSY.csv.gz"]
    few = data.susy(rows=7, urls=urls)
    np.testing.assert_array_equal(few.X, values[:7, 1:])
    assert repr(few).startswith("<SUSY, first 7 events: 7 events, 18 features")
    whole = data.susy(urls=urls)
    np.testing.assert_array_equal(whole.X, values[:, 1:])
    np.testing.assert_array_equal(whole.y, values[:, 0])
    assert server.asked == ["SUSY.csv.gz"]
    folder = data.folder_of_data() / "susy"
    assert sorted(p.name for p in folder.iterdir()) == ["SUSY.csv.gz", "SUSY.float32.npy"]
    monkeypatch.setattr(_public, "LAST", 10)
    train, test = data.susy(part="train", urls=urls), data.susy(part="test", urls=urls)
    assert (len(train), len(test)) == (40, 10)
    assert train.variant == "all but the last 10 events"
    np.testing.assert_array_equal(np.concatenate([train.X, test.X]), values[:, 1:])
    with pytest.raises(ValueError, match="counts from the first event"):
        data.susy(rows=5, part="test", urls=urls)


def test_higgs(server: Server) -> None:
    values, server.files["H"] = uci(29)
    t = data.higgs(urls=[server.url + "H"], checksum=sha(server.files["H"]))
    np.testing.assert_array_equal(t.X, values[:, 1:])
    assert t.features[21:] == ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")
    with pytest.raises(OSError, match="sha256 is"):
        data.higgs(urls=[server.url + "H"], folder=data.folder_of_data() / "again")


def test_bad_tables(server: Server) -> None:
    for k, (text, words) in enumerate(
        (
            (b"1,2,3\n", "has 3 columns, expected 19"),
            (b"2" + b",1" * 18 + b"\n", "the first column holds 2.0, expected 0 or 1"),
            (b"1" + b",x" * 18 + b"\n", "among rows 0 to 0"),
        )
    ):
        server.files["S"] = gzip.compress(text)
        with pytest.raises(ValueError, match=words):
            data.susy(urls=[server.url + "S"], folder=data.folder_of_data() / str(k))
    cut = gzip.compress(b"1" + b",1" * 18 + b"\n")[:-4]
    server.files["S"] = cut
    with pytest.raises(ValueError, match="not a whole gzip file"):
        data.susy(urls=[server.url + "S"], folder=data.folder_of_data() / "cut")


# ---- hls4ml jets


ARFF = """% comment
@RELATION jets
@ATTRIBUTE zlogz REAL
@attribute 'mass mmdt' NUMERIC
@ATTRIBUTE class {g, q, 'w'}

@DATA
-1.5,80.25,w
-2.5,3.5,g
% another
-0.5,91.0,'q'
"""


def openml(server: Server, text: str = ARFF) -> str:
    server.files["jets.arff"] = text.encode()
    told = {"url": server.url + "jets.arff", "md5_checksum": hashlib.md5(text.encode()).hexdigest()}
    server.files["42468"] = json.dumps({"data_set_description": told}).encode()
    return server.url + "42468"


def test_hls4ml_jets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_public, "CHUNK", 2)
    url = openml(server)
    for _ in range(2):
        t = data.hls4ml_jets(url=url)
        assert t.X.tolist() == [[-1.5, 80.25], [-2.5, 3.5], [-0.5, 91.0]]
        assert t.features == ("zlogz", "mass mmdt")
        assert [t.classes[k] for k in t.y] == ["w", "g", "q"]
        assert t.variant == "OpenML 42468, 3 jets"
    assert server.asked == ["42468", "jets.arff"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("91.0,'q'", "91.0"), "line 11: 2 values, expected 3"),
        (("'q'\n", "t\n"), "row 2: class is 't', expected one of"),
        (("@DATA", "DATA"), "has no @data line|expected"),
        (("{g, q, 'w'}", "REAL"), "expected one class and numbers"),
    ],
)
def test_bad_jets(server: Server, change: tuple[str, str], words: str) -> None:
    url = openml(server, ARFF.replace(*change))
    with pytest.raises(ValueError, match=words):
        data.hls4ml_jets(url=url)


def test_openml_says_something_else(server: Server) -> None:
    server.files["42468"] = b"<html>"
    with pytest.raises(ValueError, match="not OpenML's description"):
        data.hls4ml_jets(url=server.url + "42468")


# ---- ECAL


def test_ecal(server: Server, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(3)
    names = [*_public.ECAL_FEATURES, "eta", "gen_match", "e_m2_m2"]
    events = np.zeros(400, [(name, "f4") for name in names])
    for name in names:
        events[name] = rng.uniform(0, 2, 400)
    events["pt"] = rng.exponential(40, 400)
    events["gen_match"] = rng.random(400) < 0.3
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["l1pf_egm_reg"] = events
    server.files["x.z"] = (tmp_path / "f.h5").read_bytes()
    t = data.ecal(pile_up=100, signal=20, urls=[server.url + "x.z"])
    kept = events[(events["pt"] > 0.5) & (events["pt"] < 100) & (abs(events["eta"]) < 1.3)]
    assert np.bincount(t.y).tolist() == [100, 20]
    assert t.X.shape == (120, 19)
    np.testing.assert_array_equal(t.only("pt").X[t.y == 1, 0], kept["pt"][kept["gen_match"] > 0][:20])
    assert "first 100 pile-up and 20 e/gamma" in t.variant
    assert data.ecal(features=["e_m2_m2"], urls=[]).X.shape[1] == 1
    with pytest.raises(KeyError, match="no column 'e9_9'"):
        data.ecal(features=["e9_9"], urls=[])
    file_name = data.folder_of_data() / "ecal" / "xtalTuple_TTbar_PU0.z"
    content = bytearray(file_name.read_bytes())
    content[-1] ^= 1
    file_name.write_bytes(content)
    with pytest.raises(OSError, match="has changed since it was downloaded"):
        data.ecal(urls=[])
    file_name.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no HDF5 data set 'l1pf_egm_reg'"):
        data.ecal(urls=[])


def test_progress_is_told_on_stderr(
    server: Server, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "BLOCK", 40_000)
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    server.files["a"] = CONTENT
    _download._copy(server.url + "a", _made(tmp_path / "a.part"), quiet=False)
    assert "a: 0 of 0 MB (40 %)" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.part"]


def _made(path: Path) -> Path:
    path.touch()
    return path
