"""The columns of a file, by its ending; each is read when it is asked for."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "columns_of"]

Array: TypeAlias = NDArray[Any]
ELEMENT = re.compile(r"(.+)\[(\d+)\]")


def _need(package: str, what: str) -> Any:
    """A library that is an extra."""
    import importlib

    try:
        importlib.import_module(package.partition(".")[0])
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(
            f"[read] {what} files are read by {package.partition('.')[0]}: pip install 'trigrad[hep]'"
        ) from None


class Columns:
    """Names of columns of equal length, and where each is to be had."""

    def __init__(self, where: str, rows: int, names: Sequence[str], first_line: int | None = None) -> None:
        self.where, self.rows, self.names = where, rows, list(names)
        self._first_line = first_line
        self._held: dict[str, Array] = {}

    def place(self, row: int) -> str:
        """Where a row is, in words."""
        line = "" if self._first_line is None else f" (line {row + self._first_line})"
        return f"row {row}{line}"

    def holds(self, name: str) -> bool:
        """Is there such a column, though it is not among the names (an element of a jagged one)?"""
        return False

    def flat(self, name: str) -> bool:
        """Is it one value per event?"""
        return True

    def read(self, names: list[str]) -> dict[str, Array]:
        """These columns, (rows,) each."""
        raise NotImplementedError

    def load(self, names: list[str]) -> None:
        self._held |= self.read([name for name in dict.fromkeys(names) if name not in self._held])

    def get(self, name: str) -> Array:
        self.load([name])
        return self._held[name]

    def keep(self, rows: Array) -> None:
        """Forget the other rows of what was read."""
        self._held = {name: values[rows] if len(values) == len(rows) else values for name, values in self._held.items()}


class Arrays(Columns):
    """Arrays in memory: of one axis a column, of more axes a column for each element."""

    def __init__(self, where: str, arrays: dict[str, Array], names: dict[str, Sequence[str]] | None = None) -> None:
        if not arrays:
            raise ValueError(f"[read] {where} holds no arrays")
        lengths = {name: len(a) if a.ndim else 0 for name, a in arrays.items()}
        rows = max(lengths.values())
        if short := [name for name, n in lengths.items() if n != rows]:
            longest = next(name for name, n in lengths.items() if n == rows)
            raise ValueError(
                f"[read] {where}: {short[0]!r} has {lengths[short[0]]} rows, but {longest!r} has {rows}; expected one per event in each"
            )
        self._arrays: dict[str, Array] = {}
        for name, a in arrays.items():
            if a.dtype.names:
                self._arrays |= {field: a[field] for field in a.dtype.names}
            elif a.ndim == 1:
                self._arrays[name] = a
            else:
                wide = a.reshape(rows, -1)
                given = (names or {}).get(name) or [f"{name}[{k}]" for k in range(wide.shape[1])]
                self._arrays |= {n: wide[:, k] for k, n in enumerate(given)}
        super().__init__(where, rows, list(self._arrays))

    def flat(self, name: str) -> bool:
        return self._arrays[name].ndim == 1

    def read(self, names: list[str]) -> dict[str, Array]:
        return {name: np.asarray(self._arrays[name]) for name in names}


# ---- text


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Text(Columns):
    """Comma-, tab- or semicolon-separated values; a first line without numbers names the columns."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            with _opened(file) as text:
                first = text.readline()
                second = text.readline()
                rows = sum(1 for line in text if line.strip()) + bool(second.strip())
        except UnicodeDecodeError as error:
            raise ValueError(f"[read] {file} is no text in UTF-8: {error}") from None
        except (EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"[read] {file} is not a whole gzip file: {error}") from None
        if not first.strip():
            raise ValueError(f"[read] {file} is empty")
        self._separator = max("\t;,", key=first.count)  # the last of those that are equally frequent
        if not first.count(self._separator) and len(first.split()) > 1:
            raise ValueError(f"[read] {file} is separated by blanks, expected commas, semicolons or tabs")
        names = [name.strip() for name in next(csv.reader([first], delimiter=self._separator))]
        self._headed = not any(_number(name) for name in names if name)
        if not self._headed:
            names, rows = [str(k) for k in range(len(names))], rows + 1
        if doubled := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"[read] {file} names two columns {doubled[0]!r}")
        super().__init__(str(file), rows, names, 1 + self._headed)
        sample = next(csv.reader([second if self._headed else first], delimiter=self._separator), [])
        self._text = {n for n, v in zip(names, sample, strict=False) if v.strip() and not _number(v)}

    def _loaded(self, names: list[str], kind: Any) -> Array:
        places = [self.names.index(name) for name in names]
        with _opened(self._file) as lines:
            values: Array = np.loadtxt(
                lines,
                kind,
                delimiter=self._separator,
                skiprows=int(self._headed),
                usecols=places,
                ndmin=2,
                comments=None,
                quotechar='"',
            )
        if len(values) != self.rows:
            raise ValueError("rows are missing")
        return values

    def read(self, names: list[str]) -> dict[str, Array]:
        numbers = [name for name in names if name not in self._text]
        words = [name for name in names if name in self._text]
        try:
            made = dict(zip(numbers, self._loaded(numbers, np.float64).T, strict=True)) if numbers else {}
            if words:
                texts = np.char.strip(self._loaded(words, str))
                made |= dict(zip(words, texts.T, strict=True))
        except ValueError:
            return self._slowly(names)
        return made

    def _slowly(self, names: list[str]) -> dict[str, Array]:
        """Value by value: what is wrong is found here, or a column turns out to be text further down."""
        found: dict[str, list[str]] = {name: [] for name in names}
        with _opened(self._file) as lines:
            reader = csv.reader(lines, delimiter=self._separator)
            if self._headed:
                next(reader)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(self.names):
                    raise ValueError(
                        f"[read] {self.where}, line {reader.line_num} has {len(row)} values, expected {len(self.names)}"
                    )
                for name in names:
                    found[name].append(row[self.names.index(name)].strip())
        made: dict[str, Array] = {}
        for name, texts in found.items():
            if name not in self._text and any(_number(text) for text in texts):
                wrong = next((k for k, text in enumerate(texts) if not _number(text)), None)
                if wrong is not None:
                    word = f"holds {texts[wrong]!r}" if texts[wrong] else "is empty"
                    raise ValueError(
                        f"[read] {self.where}, column {name!r} {word} in {self.place(wrong)}, expected a number"
                    )
                made[name] = np.array(texts, dtype=np.float64)
            else:
                made[name] = np.array(texts)
        return made


# ---- files of other libraries


def _numpy(file: Path) -> Columns:
    try:
        loaded = np.load(file, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"[read] {file} cannot be read without running code in it: {error}") from None
    if isinstance(loaded, np.ndarray):
        name = "x" if loaded.dtype.names is None else file.stem
        if loaded.ndim == 2:
            return Arrays(str(file), {name: loaded}, {name: [str(k) for k in range(loaded.shape[1])]})
        return Arrays(str(file), {name: loaded})
    with loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    words = {
        name: a.tolist()
        for name, a in arrays.items()
        if name in ("columns", "features", "names") and a.dtype.kind == "U"
    }
    rest = {name: a for name, a in arrays.items() if name not in words}
    rows = max((len(a) for a in rest.values() if a.ndim), default=0)
    known: dict[str, Sequence[str]] = {
        name: next((w for w in words.values() if a.ndim == 2 and len(w) == a.shape[1]), []) for name, a in rest.items()
    }
    odd = [name for name, a in rest.items() if not a.ndim or len(a) != rows]
    if odd and {"x_train", "x_test"} <= rest.keys():
        raise ValueError(
            f"[read] {file} holds parts of different lengths ({', '.join(rest)}), expected arrays of one length"
        )
    return Arrays(str(file), rest, known)


class Parquet(Columns):
    """Columns of a Parquet file."""

    def __init__(self, file: Path) -> None:
        self._pq = _need("pyarrow.parquet", "Parquet")
        try:
            self._table = self._pq.ParquetFile(file)
        except Exception as error:  # noqa: BLE001 -- its own classes of errors
            raise ValueError(f"[read] {file} is no Parquet file: {error}") from None
        super().__init__(str(file), self._table.metadata.num_rows, self._table.schema_arrow.names)

    def flat(self, name: str) -> bool:
        return not hasattr(self._table.schema_arrow.field(name).type, "value_field")

    def read(self, names: list[str]) -> dict[str, Array]:
        if not names:
            return {}
        made = {}
        table = self._table.read(columns=names)
        for name in names:
            column = table.column(name)
            if column.null_count:
                row = next(k for k, v in enumerate(column) if not v.is_valid)
                if str(column.type) not in ("double", "float", "halffloat"):
                    raise ValueError(
                        f"[read] {self.where}, column {name!r} is empty in {self.place(row)} ({column.null_count} such rows)"
                    )
            values = column.to_numpy()
            made[name] = values.astype(str) if values.dtype.kind == "O" else values
        return made

    def close(self) -> None:
        self._table.close()


class Hdf5(Arrays):
    """Data sets of an HDF5 group, or the fields of one data set."""

    def __init__(self, file: Path, tree: str | None) -> None:
        h5py = _need("h5py", "HDF5")
        try:
            opened = h5py.File(file, "r")
        except OSError as error:
            raise ValueError(f"[read] {file} is no HDF5 file: {error}") from None
        with opened:
            if tree is not None and tree not in opened:
                raise KeyError(f"[read] {file} has no {tree!r}; there are {', '.join(opened)}")
            node = opened if tree is None else opened[tree]
            where = str(file) if tree is None else f"{file}, {tree}"
            if isinstance(node, h5py.Dataset):
                sets = {tree.rpartition("/")[2] if tree else file.stem: node}
            else:
                sets = {name: item for name, item in node.items() if isinstance(item, h5py.Dataset)}
            if not sets:
                raise ValueError(f"[read] {where} has no data sets; say tree=..., one of {', '.join(node)}")
            arrays = {
                name: item.asstr()[()].astype(str) if item.dtype.kind == "O" else item[()]
                for name, item in sets.items()
            }
        if len(arrays) == 1 and next(iter(arrays.values())).ndim == 2:
            name, only = next(iter(arrays.items()))
            super().__init__(where, arrays, {name: [str(k) for k in range(only.shape[1])]})
        else:
            super().__init__(where, arrays)


class Root(Columns):
    """Branches of a tree, or fields of an RNTuple."""

    def __init__(self, file: Path, tree: str | None) -> None:
        uproot = _need("uproot", "ROOT")
        try:
            self._file = uproot.open(file)
        except Exception as error:  # noqa: BLE001
            raise ValueError(f"[read] {file} is no ROOT file: {error}") from None
        classes = self._file.classnames(cycle=False)
        trees = [name for name, kind in classes.items() if kind == "TTree" or "RNTuple" in kind]
        if tree is None and len(trees) != 1:
            self._file.close()
            raise ValueError(f"[read] {file} has {len(trees)} trees; say tree=..., one of {', '.join(trees) or 'none'}")
        name = trees[0] if tree is None else tree
        if name not in trees:
            self._file.close()
            raise KeyError(f"[read] {file} has no tree {name!r}; there are {', '.join(trees) or 'none'}")
        self._tree = self._file[name]
        super().__init__(f"{file}, {name}", self._tree.num_entries, self._tree.keys())

    def flat(self, name: str) -> bool:
        column = self._tree[name]
        told = getattr(column, "interpretation", None)
        if told is None:  # a field of an RNTuple
            return "<" not in column.typename and "string" not in column.typename
        return str(told).startswith("AsDtype(") and "[" not in str(told)

    def _words(self, name: str) -> bool:
        column = self._tree[name]
        return "string" in str(getattr(column, "interpretation", column.typename)).lower()

    def holds(self, name: str) -> bool:
        found = ELEMENT.fullmatch(name)
        return found is not None and found[1] in self.names

    def read(self, names: list[str]) -> dict[str, Array]:
        made: dict[str, Array] = {}
        for name in names:
            element = ELEMENT.fullmatch(name) if name not in self.names else None
            if element is None:
                if not self.flat(name) and not self._words(name):
                    raise TypeError(
                        f"[read] {self.where}, column {name!r} has several values per event; name one: {name}[0]"
                    )
                values = self._tree[name].array(library="np")
                made[name] = values.astype(str) if values.dtype.kind == "O" else values
                continue
            rows, place = self._tree[element[1]].array(library="np"), int(element[2])
            short = next((k for k, row in enumerate(rows) if len(row) <= place), None)
            if short is not None:
                raise ValueError(
                    f"[read] {self.where}, column {name!r}: {self.place(short)} has {len(rows[short])} values of {element[1]!r}"
                )
            made[name] = np.array([row[place] for row in rows])
        return made

    def close(self) -> None:
        self._file.close()


READERS: dict[str, Callable[[Path, str | None], Columns]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), lambda file, tree: Text(file)),
    **dict.fromkeys((".npz", ".npy"), lambda file, tree: _numpy(file)),
    **dict.fromkeys((".parquet", ".pq"), lambda file, tree: Parquet(file)),
    **dict.fromkeys((".h5", ".hdf5"), Hdf5),
    ".root": Root,
}
WITH_TREES = (".h5", ".hdf5", ".root")


@contextmanager
def columns_of(file: Path, tree: str | None) -> Iterator[Columns]:
    """The columns, while the file is open."""
    ending = (file.with_suffix("") if file.suffix == ".gz" else file).suffix.lower()
    reader = READERS.get(ending)
    if reader is None or (file.suffix == ".gz" and ending not in (".csv", ".tsv", ".txt")):
        raise ValueError(
            f"[read] {file} ends in {file.suffix or 'nothing'}, expected one of {', '.join(READERS)}, or .csv.gz"
        )
    if tree is not None and ending not in WITH_TREES:
        raise ValueError(f"[read] tree={tree!r}: a {ending} file has no trees, only {', '.join(WITH_TREES)} have")
    columns = reader(file, tree)
    try:
        yield columns
    finally:
        if isinstance(columns, (Parquet, Root)):
            columns.close()
