"""Files of NumPy, Parquet, HDF5 and ROOT as columns, and which reader is for which ending."""

from __future__ import annotations

import importlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trigrad.data._columns import Array, Arrays, Columns
from trigrad.data._text import Text

__all__ = ["columns_of"]


def _need(package: str, what: str) -> Any:
    """A library that is an extra."""
    try:
        importlib.import_module(package.partition(".")[0])
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(
            f"[read] {what} files are read by {package.partition('.')[0]}: pip install 'trigrad[hep]'"
        ) from None


def _numbered(a: Array) -> list[str]:
    return [str(k) for k in range(a.shape[1])] if a.ndim == 2 else []


def _numpy(file: Path) -> Columns:
    with file.open("rb") as opened:
        if opened.read(6) != b"\x93NUMPY" and not zipfile.is_zipfile(file):
            raise ValueError(f"[read] {file} is no NumPy file, or not a whole one")
    name = ""
    try:
        loaded = np.load(file, allow_pickle=False)
        arrays = {}
        if not isinstance(loaded, np.ndarray):
            with loaded:
                for name in loaded.files:
                    arrays[name] = loaded[name]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        which = f", {name!r}" if name else ""
        if "allow_pickle" in str(error):
            raise ValueError(
                f"[read] {file}{which} holds objects, which cannot be read without running code in it; expected numbers or text"
            ) from None
        raise ValueError(f"[read] {file}{which} is not whole: {error}") from None
    if isinstance(loaded, np.ndarray):
        return Arrays(str(file), {"x": loaded}, {"x": _numbered(loaded)})
    words = {
        name: a.tolist()
        for name, a in arrays.items()
        if name in ("columns", "features", "names") and a.dtype.kind == "U" and a.ndim == 1
    }
    rest = {name: a for name, a in arrays.items() if name not in words}
    if {"x_train", "x_test"} <= rest.keys() and len({len(a) for a in rest.values() if a.ndim}) > 1:
        raise ValueError(
            f"[read] {file} holds parts of different lengths ({', '.join(rest)}), expected arrays of one length"
        )
    known: dict[str, Sequence[str]] = {
        name: next((w for w in words.values() if a.ndim == 2 and len(w) == a.shape[1]), []) for name, a in rest.items()
    }
    return Arrays(str(file), rest, known)


class Parquet(Columns):
    """Columns of a Parquet file, "s.a" of structs; "l[0]" is an element of lists."""

    def __init__(self, file: Path) -> None:
        self._pq, self._pa = _need("pyarrow.parquet", "Parquet"), importlib.import_module("pyarrow")
        try:
            self._table = self._pq.ParquetFile(file)
        except Exception as error:  # noqa: BLE001 -- its own classes of errors
            raise ValueError(f"[read] {file} is no Parquet file: {error}") from None
        self._schema = self._without_structs(self._table.schema_arrow.empty_table()).schema
        super().__init__(str(file), self._table.metadata.num_rows, self._schema.names)

    def _without_structs(self, table: Any) -> Any:
        """A column "s.a" for each part of a column s."""
        while any(self._pa.types.is_struct(kind) for kind in table.schema.types):
            table = table.flatten()
        return table

    def flat(self, name: str) -> bool:
        return not self._pa.types.is_nested(self._schema.field(name).type)

    def read(self, names: list[str]) -> dict[str, Array]:
        if not names:
            return {}
        table = self._without_structs(self._table.read(columns=names))
        return {name: self._values(name, table.column(name)) for name in names}

    def _values(self, name: str, column: Any) -> Array:
        types = self._pa.types
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if types.is_decimal(column.type) or types.is_null(column.type):
            column = column.cast("double")
        elif types.is_binary(column.type) or types.is_large_binary(column.type):
            column = column.cast("string")
        if not self.flat(name):
            rows: Array = column.to_numpy()
            return rows
        values: Array = column.drop_null().to_numpy()
        if column.null_count:
            gaps = np.asarray(column.is_null().to_numpy(), dtype=np.bool_)
            there, values = values, np.zeros(self.rows, values.dtype)
            values[~gaps] = there
            self._gaps[name] = gaps
        return values.astype(str) if values.dtype.kind == "O" else values

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
            node = opened if tree is None else opened.get(tree)
            if node is None:
                raise KeyError(f"[read] {file} has no {tree!r}; there are {', '.join(opened)}")
            where = str(file) if tree is None else f"{file}, {tree}"
            if isinstance(node, h5py.Dataset):
                sets = {tree.rpartition("/")[2] if tree else file.stem: node}
            else:
                if lost := [name for name, item in node.items() if item is None]:
                    raise ValueError(f"[read] {where}: {lost[0]!r} is a link to what is not there")
                sets = {name: item for name, item in node.items() if isinstance(item, h5py.Dataset) and item.shape}
            if not sets:
                inner = ", ".join(node) if isinstance(node, h5py.Group) else ""
                raise ValueError(
                    f"[read] {where} has no data sets of events" + (f"; say tree=..., one of {inner}" * bool(inner))
                )
            arrays = {
                name: item.asstr()[()].astype(str) if h5py.check_string_dtype(item.dtype) else item[()]
                for name, item in sets.items()
            }
        only = next(iter(arrays.items()))
        super().__init__(where, arrays, {only[0]: _numbered(only[1])} if len(arrays) == 1 else None)


class Root(Columns):
    """Branches of a tree, or fields of an RNTuple; "jet_pt[0]" is an element of a jagged one."""

    def __init__(self, file: Path, tree: str | None) -> None:
        uproot = _need("uproot", "ROOT")
        try:
            self._file = uproot.open(file)
        except Exception as error:  # noqa: BLE001
            raise ValueError(f"[read] {file} is no ROOT file: {error}") from None
        try:
            self._tree = self._file[self._named(file, tree)]
            super().__init__(f"{file}, {self._tree.name}", self._tree.num_entries, self._tree.keys())
        except BaseException:
            self.close()
            raise

    def _named(self, file: Path, tree: str | None) -> str:
        classes = self._file.classnames(cycle=False)
        trees = [name for name, kind in classes.items() if kind == "TTree" or "RNTuple" in kind]
        known = ", ".join(trees)
        if not trees:
            raise ValueError(f"[read] {file} has no tree; there are {', '.join(classes) or 'no objects'}")
        if tree is None and len(trees) > 1:
            raise ValueError(f"[read] {file} has {len(trees)} trees; say tree=..., one of {known}")
        if tree is not None and tree not in trees:
            raise KeyError(f"[read] {file} has no tree {tree!r}; there are {known}")
        return trees[0] if tree is None else tree

    def flat(self, name: str) -> bool:
        column = self._tree[name]
        told = getattr(column, "interpretation", None)
        if told is None:  # a field of an RNTuple
            return "<" not in column.typename and "string" not in column.typename
        return type(told).__name__ == "AsDtype" and not told.inner_shape

    def _words(self, name: str) -> bool:
        column = self._tree[name]
        return "string" in str(getattr(column, "interpretation", column.typename)).lower()

    def read(self, names: list[str]) -> dict[str, Array]:
        made: dict[str, Array] = {}
        for name in names:
            values = self._tree[name].array(library="np")
            made[name] = values.astype(str) if self._words(name) else values
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
    columns: Columns | None = None
    try:
        columns = reader(file, tree)
        yield columns
    except Exception as error:
        if str(error.args[0] if error.args else "").startswith("[read]"):
            raise
        # What libraries raise about damaged files is of all kinds.
        raise ValueError(f"[read] {file} cannot be read: {type(error).__name__}: {error}") from error
    finally:
        if isinstance(columns, (Parquet, Root)):
            columns.close()
