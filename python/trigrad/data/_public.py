"""Public data sets: downloaded once, checked, and named with every number."""

from __future__ import annotations

import gzip
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad.data._download import digest_of, fetch, folder_of_data
from trigrad.data._table import Table

__all__ = ["ecal", "higgs", "hls4ml_jets", "mnist", "susy"]

Array: TypeAlias = NDArray[Any]
Folder: TypeAlias = "str | os.PathLike[str] | None"


def _folder(given: Folder, name: str) -> Path:
    return folder_of_data() / name if given is None else Path(given)


def _known(path: Path) -> str:
    """The sha256 of a file, computed once and kept beside it: a file that changed since is an error."""
    note = path.with_name(path.name + ".sha256")
    now = digest_of(path, "sha256")
    if note.is_file() and (then := note.read_text().strip()) != now:
        raise OSError(
            f"[data] {path} has changed since it was downloaded: sha256 {now}, expected {then}; delete it and its .sha256 to "
            "download it again"
        )
    if not note.is_file():
        note.write_text(now + "\n")
    return now


# ---- MNIST

MNIST_AT = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
MNIST_MD5 = {  # of the files as first published
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def read_idx(path: Path) -> Array:
    """The array of uint8 in an IDX file, gzipped or not."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"[mnist] {path} is not a whole gzip file: {error}") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or not 1 <= content[3] <= 4:
        raise ValueError(f"[mnist] {path} starts with {content[:4]!r}, expected an IDX file of bytes")
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if values.size != np.prod(shape):
        raise ValueError(f"[mnist] {path} has {values.size} bytes, but says {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def mnist(part: Literal["train", "test"] = "train", folder: Folder = None, *, urls: Iterable[str] = MNIST_AT) -> Table:
    """Handwritten digits: 60,000 to train with, 10,000 to test, 28 x 28 pixels from 0 to 1. X (n, 784), y (n,).

    Downloaded (11 MB) unless `folder` has the four IDX files, or mnist.npz with x_train, y_train, x_test and y_test.
    """
    if part not in ("train", "test"):
        raise ValueError(f"[mnist] part is {part!r}, expected 'train' or 'test'")
    at = _folder(folder, "mnist")
    if (at / "mnist.npz").is_file():
        with np.load(at / "mnist.npz", allow_pickle=False) as file:
            images, labels = file[f"x_{part}"], file[f"y_{part}"]
        source = f"sha256 {digest_of(at / 'mnist.npz', 'sha256')}"
    else:
        first = "train" if part == "train" else "t10k"
        names = f"{first}-images-idx3-ubyte.gz", f"{first}-labels-idx1-ubyte.gz"
        paths = [fetch([f"{u}{n}" for u in urls], at / n, f"md5:{MNIST_MD5[n]}") for n in names]
        images, labels = map(read_idx, paths)
        source = f"md5 {MNIST_MD5[names[0]]}"
    if images.ndim != 3 or len(images) != len(labels) or labels.max() > 9:
        raise ValueError(
            f"[mnist] images are {images.shape}, labels {labels.shape}, expected (n, 28, 28) and (n,) of 0 to 9"
        )
    side = images.shape[1:]
    return Table(
        (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32),
        labels.astype(np.int64),
        tuple(f"pixel_{i}_{j}" for i in range(side[0]) for j in range(side[1])),
        tuple("0123456789"),
        "MNIST",
        f"{part} part",
        target="digit",
        facts={"origin": "LeCun, Cortes, Burges, 1998", "licence": "CC BY-SA 3.0", "file": source},
    )


# ---- the two large tables of UCI: a label, then features, no header

LEPTONS = [f"lepton {i} {v}" for i in (1, 2) for v in ("pT", "eta", "phi")]
SUSY_FEATURES = (
    *LEPTONS,
    *("missing energy magnitude", "missing energy phi"),
    *("MET_rel", "axial MET", "M_R", "M_TR_2", "R", "MT2", "S_R", "M_Delta_R", "dPhi_r_b", "cos(theta_r1)"),
)
HIGGS_FEATURES = (
    *("lepton pT", "lepton eta", "lepton phi", "missing energy magnitude", "missing energy phi"),
    *(f"jet {i} {v}" for i in (1, 2, 3, 4) for v in ("pt", "eta", "phi", "b-tag")),
    *("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb"),
)
UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/"
LAST = 500_000  # events that the authors of both sets keep for testing
CHUNK = 100_000


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"[data] {path} is not a whole gzip file: {error}; delete it to download it again") from None


def _numbers(lines: list[str], first: int, columns: int, path: Path) -> Array:
    try:
        values = np.loadtxt(lines, np.float32, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"[data] {path}, among rows {first} to {first + len(lines) - 1}: {error}") from None
    if values.shape[1] != columns:
        raise ValueError(f"[data] {path} has {values.shape[1]} columns, expected {columns}")
    return values


def _chunks(path: Path, columns: int, rows: int | None) -> Iterator[Array]:
    waiting: list[str] = []
    done = 0
    for line in _lines(path):
        waiting.append(line)
        if len(waiting) == CHUNK or done + len(waiting) == rows:
            yield _numbers(waiting, done, columns, path)
            done += len(waiting)
            waiting = []
        if done == rows:
            return
    if waiting:
        yield _numbers(waiting, done, columns, path)


def _table_of(path: Path, columns: int, rows: int | None) -> Array:
    """The first rows; of the whole file a copy in float32 is kept beside it and mapped, so that the next call takes no time."""
    copy = path.with_name(path.name.partition(".")[0] + ".float32.npy")
    if copy.is_file() and copy.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        mapped: Array = np.load(copy, mmap_mode="r")
        return mapped[:rows]
    if rows is not None:
        return np.concatenate(list(_chunks(path, columns, rows)))
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as raw:
        try:
            n = 0
            for chunk in _chunks(path, columns, None):
                raw.write(chunk.tobytes())
                n += len(chunk)
            raw.flush()
            values: Array = np.memmap(raw.name, np.float32, "r", shape=(n, columns))
            unfinished = Path(raw.name + ".npy")
            np.save(unfinished, values)
            del values
            os.replace(unfinished, copy)
        finally:
            os.unlink(raw.name)
    whole: Array = np.load(copy, mmap_mode="r")
    return whole


def _uci(
    what: str,
    number: str,
    file: str,
    features: tuple[str, ...],
    checksum: str | None,
    folder: Folder,
    rows: int | None,
    part: str | None,
    urls: Iterable[str] | None,
    facts: dict[str, str],
) -> Table:
    if part not in (None, "train", "test"):
        raise ValueError(f"[{what.lower()}] part is {part!r}, expected 'train', 'test' or None")
    if rows is not None and (part is not None or rows < 1):
        raise ValueError(
            f"[{what.lower()}] rows={rows!r} counts from the first event: expected 1 or more, without part"
        )
    path = _folder(folder, what.lower()) / file
    fetch([UCI + f"{number}/{file}"] if urls is None else list(urls), path, checksum)
    table = _table_of(path, 1 + len(features), rows)
    variant = "all events" if rows is None else f"first {len(table)} events"
    if part is not None:
        held = min(LAST, len(table) // 2)
        table = table[-held:] if part == "test" else table[:-held]
        variant = f"{'last' if part == 'test' else 'all but the last'} {held} events"
    labels = np.asarray(table[:, 0])
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"[{what.lower()}] {path}: the first column holds {labels[~np.isin(labels, (0, 1))][0]}, expected 0 or 1"
        )
    return Table(
        np.ascontiguousarray(table[:, 1:]),
        labels.astype(np.int64),
        features,
        ("background", "signal"),
        what,
        variant,
        target="signal",
        facts=facts,
    )


def susy(
    rows: int | None = None,
    part: Literal["train", "test"] | None = None,
    folder: Folder = None,
    *,
    urls: Iterable[str] | None = None,
) -> Table:
    """SUSY (UCI 279): 5,000,000 simulated events, signal against background. X (n, 18), y (n,).

    Downloaded once (0.9 GB) unless SUSY.csv.gz lies in `folder`. `rows`: only so many from the start; `part="test"`: the last
    500,000 events, "train": all others. No checksum of the file was ever published: gzip's own is what is checked.
    """
    facts = {"origin": "UCI 279, doi 10.24432/C54606; Baldi, Sadowski, Whiteson 2014", "licence": "CC BY 4.0"}
    return _uci("SUSY", "00279", "SUSY.csv.gz", SUSY_FEATURES, None, folder, rows, part, urls, facts)


HIGGS_SHA256 = "sha256:ea302c18164d4e3d916a1e2e83a9a8d07069fa6ebc7771e4c0540d54e593b698"


def higgs(
    rows: int | None = None,
    part: Literal["train", "test"] | None = None,
    folder: Folder = None,
    *,
    urls: Iterable[str] | None = None,
    checksum: str | None = HIGGS_SHA256,
) -> Table:
    """HIGGS (UCI 280): 11,000,000 simulated events, gg → H⁰ → W H± → W W b b against tt̄. X (n, 28), y (n,).

    Downloaded once (2.8 GB) unless HIGGS.csv.gz lies in `folder`. `rows`: only so many from the start; `part="test"`: the
    last 500,000 events, "train": all others.
    """
    facts = {"origin": "UCI 280, doi 10.24432/C5V312; Baldi, Sadowski, Whiteson 2014", "licence": "CC BY 4.0"}
    return _uci("HIGGS", "00280", "HIGGS.csv.gz", HIGGS_FEATURES, checksum, folder, rows, part, urls, facts)


# ---- hls4ml jets

OPENML = "https://www.openml.org/api/v1/json/data/42468"


def read_arff(path: Path) -> Iterator[tuple[list[str], list[list[str] | None], list[list[str]]]]:
    """Names, kinds (the values of a nominal attribute, None of a number) and rows of an ARFF file, CHUNK rows at a time."""
    names: list[str] = []
    kinds: list[list[str] | None] = []
    rows: list[list[str]] = []
    inside = False
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("%"):
                continue
            if inside:
                row = [v.strip().strip("'\"") for v in text.split(",")]
                if len(row) != len(names):
                    raise ValueError(f"[hls4ml_jets] {path}, line {number}: {len(row)} values, expected {len(names)}")
                rows.append(row)
                if len(rows) == CHUNK:
                    yield names, kinds, rows
                    rows = []
                continue
            word, _, rest = text.partition(" ")
            if word.lower() == "@data":
                inside = True
            elif word.lower() == "@attribute":
                quote = rest[0] if rest[:1] in ("'", '"') else ""
                name, _, kind = rest[1:].partition(quote) if quote else rest.partition(" ")
                names.append(name)
                kind = kind.strip()
                kinds.append([v.strip().strip("'\"") for v in kind[1:-1].split(",")] if kind.startswith("{") else None)
    if not inside:
        raise ValueError(f"[hls4ml_jets] {path} has no @data line, expected an ARFF file")
    yield names, kinds, rows


def _jets(path: Path) -> tuple[Array, Array, list[str], list[str]]:
    """X, y, features and classes of the file: one attribute is a class, the others are numbers."""
    X: list[Array] = []
    y: list[Array] = []
    for names, kinds, rows in read_arff(path):
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(f"[hls4ml_jets] {path} has attributes {names}, expected one class and numbers")
        place = next(k for k, kind in enumerate(kinds) if kind is not None)
        labels = kinds[place] or []
        code = {label: k for k, label in enumerate(labels)}
        done = sum(map(len, y))
        for k, row in enumerate(rows):
            if row[place] not in code:
                raise ValueError(
                    f"[hls4ml_jets] {path}, row {done + k}: {names[place]} is {row[place]!r}, expected one of {labels}"
                )
        y.append(np.array([code[row.pop(place)] for row in rows], dtype=np.int64))
        X.append(np.array(rows, dtype=np.float32).reshape(len(rows), len(names) - 1))
    return np.concatenate(X), np.concatenate(y), names[:place] + names[place + 1 :], labels


def hls4ml_jets(folder: Folder = None, *, url: str = OPENML) -> Table:
    """The hls4ml LHC jets (OpenML 42468): about 830,000 simulated jets of gluons, quarks, W, Z and top with 16 high-level
    features. X (n, 16), y (n,).

    Downloaded once; the address and md5 of the file are what OpenML says of data set 42468. Another file of these jets with
    986,806 of them is around, whose results differ by about a percent: say which one a number is of.
    """
    at = _folder(folder, "hls4ml_jets")
    note = fetch([url], at / "42468.json")
    try:
        told = json.loads(note.read_text())["data_set_description"]
        address, md5 = told["url"], told["md5_checksum"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"[hls4ml_jets] {note} is not OpenML's description of a data set ({type(error).__name__}: {error}); delete it to "
            "ask again"
        ) from None
    path = fetch([address], at / "hls4ml_lhc_jets_hlf.arff", f"md5:{md5}")
    copy = at / "hls4ml_lhc_jets_hlf.npz"
    if not copy.is_file():
        X, y, features, classes = _jets(path)
        unfinished = copy.with_suffix(f".{os.getpid()}.npz")
        np.savez(unfinished, X=X, y=y, features=np.array(features), classes=np.array(classes))
        os.replace(unfinished, copy)
    with np.load(copy, allow_pickle=False) as file:
        X, y = file["X"], file["y"]
        features, classes = file["features"].tolist(), file["classes"].tolist()
    return Table(
        X,
        y,
        tuple(features),
        tuple(classes),
        "hls4ml LHC jets",
        f"OpenML 42468, {len(X)} jets",
        target="class",
        facts={"origin": "OpenML 42468, doi 10.5281/zenodo.3602260", "licence": "CC BY 4.0", "file": f"md5 {md5}"},
    )


# ---- ECAL e/gamma

ECAL_AT = ("https://zenodo.org/records/8035308/files/xtalTuple_TTbar_PU0.z?download=1",)
ECAL_FEATURES = (
    *("pt", "e2x2_div_e2x5", "e2x2_div_e5x5", "e2x5_div_e5x5", "hoE", "bremStrength", "ecalIso", "crystalCount"),
    *("lowerSideLobePt", "upperSideLobePt", "phiStripContiguous0", "phiStripOneHole0", "phiStripContiguous3p"),
    *("phiStripOneHole3p", "sihih", "sipip", "sigetaeta", "sigphiphi", "sigetaphi"),
)


def ecal(
    pile_up: int = 100_000,
    signal: int = 10_000,
    features: Iterable[str] = ECAL_FEATURES,
    folder: Folder = None,
    *,
    urls: Iterable[str] = ECAL_AT,
) -> Table:
    """Clusters of the CMS electromagnetic calorimeter: e/γ (class 1) against pile-up (class 0), by shower shapes.
    X (n, 19), y (n,).

    Of those with 0.5 < pt < 100 and |η| < 1.3 the first `pile_up` and `signal` ones, in the order of the file. It is downloaded
    once unless xtalTuple_TTbar_PU0.z lies in `folder`. `features`: others of its columns. Needs h5py: pip install
    'trigrad[hep]'.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError("[ecal] the file is HDF5, which needs h5py: pip install 'trigrad[hep]'") from None
    path = fetch(list(urls), _folder(folder, "ecal") / "xtalTuple_TTbar_PU0.z")
    wanted = tuple(features)
    try:
        with h5py.File(path, "r") as file:
            events = file["l1pf_egm_reg"][()]
    except (OSError, KeyError) as error:
        raise ValueError(f"[ecal] {path} holds no HDF5 data set 'l1pf_egm_reg': {error}") from None
    names = events.dtype.names or ()
    for name in (*wanted, "pt", "eta", "gen_match"):
        if name not in names:
            raise KeyError(f"[ecal] {path} has no column {name!r}; there are {', '.join(names) or 'none'}")
    kept = (events["pt"] > 0.5) & (events["pt"] < 100) & (np.abs(events["eta"]) < 1.3)
    matched = events["gen_match"] > 0
    rows = np.sort(np.concatenate([np.flatnonzero(kept & ~matched)[:pile_up], np.flatnonzero(kept & matched)[:signal]]))
    chosen = events[rows]
    y = (chosen["gen_match"] > 0).astype(np.int64)
    counts = np.bincount(y, minlength=2)
    return Table(
        np.stack([chosen[name].astype(np.float32) for name in wanted], 1),
        y,
        wanted,
        ("pile-up", "e/gamma"),
        "CMS ECAL e/gamma",
        f"first {counts[0]} pile-up and {counts[1]} e/gamma of TTbar PU0, 0.5 < pt < 100, |eta| < 1.3",
        target="gen_match",
        facts={"origin": "MIT 8.S50, Zenodo 8035308", "file": f"sha256 {_known(path)}"},
    )
