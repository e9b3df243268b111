"""``trigrad predict``"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import IO

import numpy as np

from trigrad import _core, _study, data
from trigrad._study.folder import whole_file
from trigrad._study.saved import answers
from trigrad.cli.study import add_data_arguments


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", help="what trigrad study wrote: model.safetensors, or model.tgplan")
    command.add_argument(
        "data", help=".csv, .npz, .npy, .parquet, .h5 or .root with the features of the model, by name"
    )
    add_data_arguments(command, nan="keep")  # a row of answers for each row of the file
    command.add_argument(
        "--features", nargs="+", metavar="NAME", help="columns, in the order of a plan file, which knows no names"
    )
    command.add_argument("--output", metavar="FILE", help=".csv or .npy (default: CSV on the standard output)")


def run(given: argparse.Namespace) -> str | None:
    features: list[str] | None = given.features
    classes: tuple[str, ...] = ()
    saved: _study.Saved | None = None
    if given.model.endswith(".tgplan"):
        predictor = _core.Predictor.load(given.model)
    else:
        if features is not None:
            raise ValueError("[predict] --features belongs to a plan file; this model knows the names of its own")
        saved = _study.Saved.load(given.model)
        predictor, features, classes = saved.predictor(), list(saved.features), saved.classes
    table = data.read(given.data, tree=given.tree, features=features, nan=given.nan)
    if len(table.features) != predictor.inputs:
        raise ValueError(
            f"[predict] {given.data} has {len(table.features)} columns, expected {predictor.inputs}, as the plan has inputs; "
            "say which by --features"
        )
    found = answers(predictor, table.X)
    name = "answer" if saved is None else saved.target
    names = [f"p({c})" for c in classes] or (
        [name] if predictor.outputs == 1 else [f"{name}[{k}]" for k in range(predictor.outputs)]
    )
    if given.output is None:
        _write(sys.stdout, names, found, classes, name)
        return None
    path = Path(given.output)
    if path.suffix not in (".csv", ".npy"):
        raise ValueError(f"[predict] --output is {path.name}, expected a name that ends in .csv or .npy")
    with whole_file(path) as part:
        if path.suffix == ".npy":
            with part.open("wb") as file:
                np.save(file, found)
        else:
            with part.open("w", newline="", encoding="utf-8") as text:
                _write(text, names, found, classes, name)
    return f"{path}: {len(found)} events, {', '.join(names)}"


def _write(file: IO[str], names: list[str], found: np.ndarray, classes: tuple[str, ...], target: str) -> None:
    """Each number with as many digits as it takes to read the same float32 again."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*([target] if classes else []), *names])
    for row in found:
        taken = ["" if np.isnan(row).any() else classes[row.argmax()]] if classes else []
        writer.writerow([*taken, *map(str, row)])
