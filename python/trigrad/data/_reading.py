"""Files of one's own: CSV, NumPy, Parquet, HDF5 and ROOT become tables, or errors that name column and row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad.data._columns import Columns
from trigrad.data._download import digest_of
from trigrad.data._formats import columns_of
from trigrad.data._table import Table

__all__ = ["read"]

Array: TypeAlias = NDArray[Any]
MOST_CLASSES = 100  # of integers; more of them are a number to be learned
FEW = 20  # of whole numbers written as 1.0: these are classes too
EXACT = 2.0**53  # whole numbers beyond are not told apart in float64


def _shown(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def _named(columns: Columns, given: str | int, role: str) -> str:
    name = (
        columns.names[given] if isinstance(given, int) and -len(columns.names) <= given < len(columns.names) else given
    )
    if not isinstance(name, str) or not columns.holds(name):
        raise KeyError(f"[read] {columns.where} has no column {given!r} ({role}); there are {_shown(columns.names)}")
    return name


def _chosen(columns: Columns, features: Sequence[str | int] | None, taken: Sequence[str]) -> list[str]:
    """The features: those asked for, or all that are not `taken`."""
    if features is None:
        chosen = [name for name in columns.names if name not in taken]
        if "" in chosen:
            raise ValueError(
                f"[read] {columns.where}: column {columns.names.index('')} has no name, perhaps it counts the rows; give it one, or "
                "say features=[...] without it"
            )
        if unusable := [name for name in chosen if not columns.flat(name)]:
            raise TypeError(
                f"[read] {columns.where}: {_shown(unusable)} {'holds' if len(unusable) == 1 else 'hold'} no single number per "
                f"event; say features=[...], which may name elements such as {unusable[0]}[0]"
            )
    else:
        chosen = [_named(columns, name, "feature") for name in features]
        if doubled := [name for name in chosen if chosen.count(name) > 1 or name in taken]:
            raise ValueError(
                f"[read] column {doubled[0]!r} is asked for twice; expected each once as feature, target or weight"
            )
    if not chosen:
        raise ValueError(f"[read] {columns.where} has no columns to learn from beside target and weight")
    return chosen


def _single(columns: Columns, name: str) -> Array:
    """The column, one value per event."""
    values = columns.get(name)
    if values.ndim != 1 or (values.dtype.kind == "O" and hasattr(values[0], "__len__")):
        raise TypeError(f"[read] {columns.where}, column {name!r} has several values per event; name one: {name}[0]")
    return values


def _numbers(columns: Columns, name: str, role: str) -> Array:
    """The column as float64, NaN where there is nothing."""
    values = _single(columns, name)
    if values.dtype.kind not in "biuf":
        first = next((k for k, v in enumerate(values.tolist()) if not _is_number(v)), 0)
        word = values[first].item() if isinstance(values[first], np.generic) else values[first]
        raise TypeError(
            f"[read] {columns.where}, column {name!r} ({role}) holds {word!r} in {columns.place(first)}, expected a "
            f"number{'; a text can only be the target' if role == 'feature' else ''}"
        )
    return np.where(columns.gaps(name), np.nan, values.astype(np.float64))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _refuse(columns: Columns, name: str, bad: Array) -> None:
    """Raises where a row is bad, and says which and why."""
    if bad.any():
        row = int(np.argmax(bad))
        word = "empty" if columns.gaps(name)[row] else columns.get(name)[row]
        expected = "text" if columns.get(name).dtype.kind in "US" else "finite numbers"
        many = f" ({bad.sum()} such rows)" if bad.sum() > 1 else ""
        raise ValueError(
            f"[read] {columns.where}, column {name!r} is {word} in {columns.place(row)}{many}; expected {expected}. "
            f"nan='drop' leaves such rows out"
        )


def _bad_targets(columns: Columns, name: str) -> Array:
    """Rows (n,) of which nothing can be learned."""
    values = _single(columns, name)
    return columns.gaps(name) | (~np.isfinite(values) if values.dtype.kind == "f" else False)


def _labels(columns: Columns, name: str, task: str, kept: Array) -> tuple[Array, tuple[str, ...]]:
    """The target of these rows: class indices and the names of the classes, or numbers and ()."""
    values = columns.get(name)[kept]
    if values.dtype.kind not in "biufUS":
        raise TypeError(
            f"[read] {columns.where}, column {name!r} (target) holds {values.dtype}, expected numbers or text"
        )
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values)
        except UnicodeDecodeError as error:
            raise ValueError(f"[read] {columns.where}, column {name!r} (target) is no text in UTF-8: {error}") from None
    numeric = values.dtype.kind in "biuf"
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
    if not classes:
        if not numeric:
            raise TypeError(
                f"[read] {columns.where}, column {name!r} (target) holds text, which task='numbers' cannot learn"
            )
        return _narrow(columns, name, values, kept), ()
    if values.dtype.kind == "f" and (large := np.abs(values) > EXACT).any():
        row = int(np.argmax(large))
        raise ValueError(
            f"[read] {columns.where}, column {name!r} (target) is {values[row]:g} in {columns.place(int(np.flatnonzero(kept)[row]))}: "
            "too large to tell classes apart; expected whole numbers up to 2^53, or text"
        )
    names = tuple(str(int(k)) if whole else str(k) for k in kinds.tolist())
    if len(kinds) < 2:
        raise ValueError(
            f"[read] {columns.where}, column {name!r} (target) is {names[0]} in all {len(values)} rows; expected two classes or more"
        )
    return np.searchsorted(kinds, values).astype(np.int64), names


def _narrow(columns: Columns, name: str, values: Array, kept: Array, small: bool = True) -> Array:
    """The same in float32, unless a number is too large, or, but for `small`, too small for it."""
    with np.errstate(over="ignore", under="ignore"):
        narrow: Array = values.astype(np.float32)
    lost = np.isinf(narrow) & np.isfinite(values)
    if not small:
        lost |= (narrow == 0) & (values != 0)
    if lost.any():
        row = int(np.argmax(lost))
        raise ValueError(
            f"[read] {columns.where}, column {name!r} is {values[row]:g} in {columns.place(int(np.flatnonzero(kept)[row]))}: too "
            f"{'large' if narrow[row] else 'small'} for float32; expected it in another unit"
        )
    return narrow


def _refuse_constant(columns: Columns, chosen: list[str], parts: list[Array], narrow: Array) -> None:
    flat = np.flatnonzero((narrow == narrow[0]).all(axis=0))
    if not flat.size:
        return
    close = [chosen[k] for k in flat if (parts[k] != parts[k][0]).any()]  # as they are in the file
    if close:
        raise ValueError(
            f"[read] {columns.where}: the numbers of {_shown(close)} differ by less than float32 can tell; subtract what they have in "
            "common, or leave it out of features=[...]"
        )
    names = [f"{chosen[k]!r} ({narrow[0, k]:g})" for k in flat]
    one = flat.size == 1
    raise ValueError(
        f"[read] {columns.where}: {'column' if one else 'columns'} {_shown(names)} {'is' if one else 'are'} the same in all "
        f"{len(narrow)} rows, so there is nothing to learn from; leave {'it' if one else 'them'} out of features=[...], or say "
        "constant='keep'"
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
        taken = [name for name in (named_target, named_weight) if name is not None]
        if len(set(taken)) < len(taken):
            raise ValueError(f"[read] column {named_target!r} is target and weight, expected two columns")
        chosen = _chosen(columns, features, taken)
        if not columns.rows:
            raise ValueError(f"[read] {columns.where} has no rows")
        columns.load([*chosen, *taken])
        numbers = {name: _numbers(columns, name, "feature") for name in chosen}
        if named_weight is not None:
            numbers[named_weight] = _numbers(columns, named_weight, "weight")
        bad = {name: ~np.isfinite(values) for name, values in numbers.items()}
        if named_target is not None:
            bad[named_target] = _bad_targets(columns, named_target)
        kept = np.ones(columns.rows, dtype=np.bool_)
        for name, rows in bad.items():
            if nan == "drop":
                kept &= ~rows
            elif nan == "refuse" or name in taken:
                _refuse(columns, name, rows)
        if not kept.any():
            raise ValueError(f"[read] {columns.where}: every row holds a number that is not finite, or none")
        n = int(kept.sum())
        if named_target is not None and n < 2:
            raise ValueError(f"[read] {columns.where} has {n} row, expected two or more to learn from")
        y, classes = (None, ()) if named_target is None else _labels(columns, named_target, task, kept)
        X = np.stack([_narrow(columns, name, numbers[name][kept], kept) for name in chosen], 1)
        if named_target is not None and constant == "refuse":
            _refuse_constant(columns, chosen, [columns.get(name)[kept] for name in chosen], X)
        weights = None
        if named_weight is not None:
            weights = _narrow(columns, named_weight, numbers[named_weight][kept], kept, small=False)
        dropped = columns.rows - n
        left_out = f"without {dropped} rows that are not finite" if dropped else ""
        return Table(
            X,
            y,
            tuple(chosen),
            classes,
            file.name,
            ", ".join(filter(None, (tree, left_out))),
            weights,
            named_target or "y",
            {"file": str(file), "file sha256": digest_of(file, "sha256")},
        )
