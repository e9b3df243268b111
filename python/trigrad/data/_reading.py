"""Files of one's own: CSV, NumPy, Parquet, HDF5 and ROOT become tables, or errors that name column and row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad.data._columns import Columns, columns_of
from trigrad.data._download import digest_of
from trigrad.data._table import Table

__all__ = ["read"]

Array: TypeAlias = NDArray[Any]
MOST_CLASSES = 100  # of integers; more of them are a number to be learned
FEW = 20  # of whole numbers written as 1.0: these are classes too


def _shown(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def _named(columns: Columns, given: str | int, role: str) -> str:
    name = (
        columns.names[given] if isinstance(given, int) and -len(columns.names) <= given < len(columns.names) else given
    )
    if name not in columns.names and not (isinstance(name, str) and columns.holds(name)):
        raise KeyError(f"[read] {columns.where} has no column {given!r} ({role}); there are {_shown(columns.names)}")
    assert isinstance(name, str)
    return name


def _numbers(columns: Columns, name: str, role: str) -> Array:
    """The column as float64, if it holds numbers."""
    values = columns.get(name)
    if values.dtype.kind not in "biuf":
        first = next((k for k, v in enumerate(values.tolist()) if not _is_number(v)), 0)
        raise TypeError(
            f"[read] {columns.where}, column {name!r} ({role}) holds {values[first].item()!r} in {columns.place(first)}, expected a "
            f"number{'; a text can only be the target' if role == 'feature' else ''}"
        )
    return values.astype(np.float64)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _labels(columns: Columns, name: str, task: str) -> tuple[Array, tuple[str, ...]]:
    """The target: class indices and the names of the classes, or numbers and ()."""
    values = columns.get(name)
    if values.dtype.kind not in "biufUS":
        raise TypeError(
            f"[read] {columns.where}, column {name!r} (target) holds {values.dtype}, expected numbers or text"
        )
    if values.dtype.kind == "S":
        values = np.char.decode(values)
    numeric = values.dtype.kind in "biuf"
    if values.dtype.kind == "f":
        _finite(columns, name, values)
    kinds = np.unique(values)
    whole = numeric and bool((kinds == np.floor(kinds)).all())
    classes = task == "classes" or (
        task == "auto"
        and (
            not numeric
            or values.dtype.kind == "b"
            or (whole and len(kinds) <= (FEW if values.dtype.kind == "f" else MOST_CLASSES))
        )
    )
    if not numeric and (empty := np.flatnonzero(values == "")).size:
        raise ValueError(f"[read] {columns.where}, column {name!r} (target) is empty in {columns.place(int(empty[0]))}")
    if not classes:
        if not numeric:
            raise TypeError(
                f"[read] {columns.where}, column {name!r} (target) holds text, which task='numbers' cannot learn"
            )
        return values.astype(np.float32), ()
    if len(kinds) < 2:
        raise ValueError(
            f"[read] {columns.where}, column {name!r} (target) is {kinds[0].item()!r} in all {len(values)} rows; expected two "
            "classes or more"
        )
    places = np.searchsorted(kinds, values)
    return places.astype(np.int64), tuple(str(int(k)) if whole and numeric else str(k) for k in kinds.tolist())


def _finite(columns: Columns, name: str, values: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(
            f"[read] {columns.where}, column {name!r} is {values[bad[0]]} in {columns.place(int(bad[0]))} ({bad.size} such rows); "
            "expected finite numbers. nan='drop' leaves these rows out, nan='keep' takes them as they are"
        )


def read(
    path: str | os.PathLike[str],
    target: str | int | None = None,
    weight: str | int | None = None,
    tree: str | None = None,
    features: Sequence[str | int] | None = None,
    *,
    task: Literal["auto", "classes", "numbers"] = "auto",
    nan: Literal["refuse", "drop", "keep"] = "refuse",
    constant: Literal["refuse", "keep"] = "refuse",
) -> Table:
    """The events of a file: .csv, .tsv, .txt (also .gz), .npz, .npy, .parquet, .h5, .hdf5, .root.

    `features` are the columns to learn from, in this order: all but target and weight if not given. `target` becomes class
    indices if it is text, of whole numbers or bool (`task` decides otherwise), or else stays a number; without it y is None.
    `tree` is the tree of a ROOT file, or the group or data set of an HDF5 file. Arrays with more axes count as columns
    "x[0]", "x[1]", ...; of a jagged branch, "jet_pt[0]" is a column where every event has one.

    >>> import pathlib, tempfile
    >>> import trigrad as tg
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "events.csv"
    >>> _ = file.write_text("pt,eta,kind\\n20.5,0.1,signal\\n31.0,-1.2,background\\n12.0,2.0,signal\\n")
    >>> t = tg.data.read(file, target="kind")
    >>> t.X.shape, t.features, t.y, t.classes
    ((3, 2), ('pt', 'eta'), array([1, 0, 1]), ('background', 'signal'))

    Refused, with the names of column and row: columns that are not there, text among the features, numbers that are not finite,
    features that are the same in all rows (constant="keep" takes them), one class only, files with less than two rows where
    there is a target. Parquet, HDF5 and ROOT are read by pyarrow, h5py and uproot: pip install 'trigrad[hep]'.
    """
    for name, value, allowed in (
        ("task", task, ("auto", "classes", "numbers")),
        ("nan", nan, ("refuse", "drop", "keep")),
        ("constant", constant, ("refuse", "keep")),
    ):
        if value not in allowed:
            raise ValueError(f"[read] {name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    if isinstance(features, str):
        raise TypeError(f"[read] features is the text {features!r}, expected a list of names")
    file = Path(path)
    if not file.exists():
        beside = sorted(p.name for p in file.parent.iterdir() if p.is_file()) if file.parent.is_dir() else []
        raise FileNotFoundError(f"[read] there is no file {file}" + (f"; there are {_shown(beside)}" if beside else ""))
    if not file.is_file():
        raise IsADirectoryError(f"[read] {file} is no file")
    with columns_of(file, tree) as columns:
        named_target = None if target is None else _named(columns, target, "target")
        named_weight = None if weight is None else _named(columns, weight, "weight")
        taken = {named_target, named_weight}
        if features is None:
            chosen = [name for name in columns.names if name not in taken]
            if unusable := [name for name in chosen if not columns.flat(name)]:
                raise TypeError(
                    f"[read] {columns.where}: {_shown(unusable)} {'holds' if len(unusable) == 1 else 'hold'} no single number "
                    "per event; say features=[...], which may name elements such as "
                    f"{unusable[0]}[0]"
                )
        else:
            chosen = [_named(columns, name, "feature") for name in features]
            if doubled := [name for name in chosen if chosen.count(name) > 1 or name in taken]:
                raise ValueError(
                    f"[read] column {doubled[0]!r} is asked for twice; expected each once as feature, target or weight"
                )
        if not chosen:
            raise ValueError(f"[read] {columns.where} has no columns to learn from beside target and weight")
        if not columns.rows:
            raise ValueError(f"[read] {columns.where} has no rows")
        columns.load([name for name in (*chosen, named_target, named_weight) if name is not None])
        parts = {name: _numbers(columns, name, "feature") for name in chosen}
        weights = None if named_weight is None else _numbers(columns, named_weight, "weight")
        kept = np.ones(columns.rows, dtype=bool)
        for name, values in (*parts.items(), *(() if weights is None else ((str(named_weight), weights),))):
            if nan == "drop":
                kept &= np.isfinite(values)
            elif nan == "refuse" or values is weights:
                _finite(columns, name, values)
        y: Array | None = None
        classes: tuple[str, ...] = ()
        if named_target is not None:
            if nan == "drop" and columns.get(named_target).dtype.kind == "f":
                kept &= np.isfinite(columns.get(named_target))
                columns.keep(kept)
            y, classes = _labels(columns, named_target, task)
            if len(y) != kept.sum():
                y = y[kept]
        dropped = int((~kept).sum())
        if not kept.any():
            raise ValueError(f"[read] {columns.where}: every row holds a number that is not finite")
        X = np.stack([values[kept] for values in parts.values()], 1)
        if named_target is not None and len(X) < 2:
            raise ValueError(f"[read] {columns.where} has {len(X)} row, expected two or more to learn from")
        with np.errstate(over="ignore"):
            narrow = X.astype(np.float32)
        if lost := np.argwhere(np.isinf(narrow) & np.isfinite(X)).tolist():
            row, column = lost[0]
            raise ValueError(
                f"[read] {columns.where}, column {chosen[column]!r} is {X[row, column]:g} in {columns.place(int(np.flatnonzero(kept)[row]))}: too large for "
                "float32"
            )
        if named_target is not None and constant == "refuse":
            flat = np.flatnonzero((narrow == narrow[0]).all(axis=0))
            if flat.size:
                names = [f"{chosen[k]!r} ({narrow[0, k]:g})" for k in flat]
                raise ValueError(
                    f"[read] {columns.where}: {'column' if flat.size == 1 else 'columns'} {_shown(names)} "
                    f"{'is' if flat.size == 1 else 'are'} the same in all {len(X)} rows, so there is nothing to learn from; leave "
                    "it out of features=[...], or say constant='keep'"
                )
        if y is not None and classes and nan == "drop" and len(np.unique(y)) < 2:
            raise ValueError(
                f"[read] {columns.where}: without the {dropped} rows that are not finite there is one class only"
            )
        variant = "" if tree is None else tree
        if dropped:
            variant = ", ".join(filter(None, (variant, f"without {dropped} rows that are not finite")))
        return Table(
            narrow,
            y,
            tuple(chosen),
            classes,
            file.name,
            variant,
            None if weights is None else weights[kept].astype(np.float32),
            named_target or "y",
            {"file": str(file), "file sha256": digest_of(file, "sha256")},
        )
