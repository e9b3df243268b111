"""``trigrad study``"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from trigrad import _study, data
from trigrad._study import Settings

JETS = 200_000


def add_data_arguments(command: argparse.ArgumentParser, nan: str = "drop") -> None:
    """How columns of a file are found, and what may be done about numbers that are not finite."""
    command.add_argument("--tree", help="tree of a ROOT file; group or data set of an HDF5 file")
    command.add_argument(
        "--nan", choices=("refuse", nan), default="refuse", help="rows with numbers that are not finite, or none"
    )


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "data", nargs="?", help=".csv, .npz, .npy, .parquet, .h5 or .root; toy jets of five classes if there is none"
    )
    add_data_arguments(command)
    command.add_argument("--target", help="column to learn: classes, or a number")
    command.add_argument("--weight", help="column with the weights of events")
    command.add_argument("--features", nargs="+", metavar="NAME", help="columns to learn from (default: all others)")
    command.add_argument(
        "--constant", choices=("refuse", "keep"), default="refuse", help="columns that are the same in all rows"
    )
    command.add_argument("--task", choices=("auto", "classes", "numbers"), default="auto", help="what the target is")
    command.add_argument("--events", type=int, help=f"how many toy jets (default: {JETS:,})")
    command.add_argument("--model", metavar="TOML", help="file with [model] hidden, activation, … and [training] lr, …")
    command.add_argument("--epochs", type=int, help="at most (default: 60)")
    command.add_argument("--seed", type=int, default=0, help="of jets, split, weights and order (default: 0)")
    command.add_argument(
        "--background", nargs="+", metavar="CLASS", help="classes that make the rate (default: others)"
    )
    command.add_argument("--trigger-rate-khz", type=float, help="at which efficiencies are told (default: 100)")
    command.add_argument("--input-rate-khz", type=float, help="of background (default: 40000, the bunch crossings)")
    command.add_argument("--seconds", type=float, help="for each row of the latencies (default: 0.3)")
    command.add_argument("--device", help="where it learns: cpu (default), cuda, cuda:1")
    command.add_argument("--output", default="study", metavar="DIR", help="folder for the files (default: study)")
    command.add_argument("--pdf", action="store_true", help="the pictures as pictures.pdf too, by matplotlib")
    command.add_argument("--quiet", action="store_true", help="no progress line")


def run(given: argparse.Namespace) -> str:
    settings = Settings() if given.model is None else Settings.of_file(given.model)
    names = ("epochs", "seed", "device", "trigger_rate_khz", "input_rate_khz", "seconds")
    settings = replace(settings, **{n: v for n in names if (v := getattr(given, n)) is not None})
    background = None if given.background is None else tuple(given.background)
    if given.data is None:
        table = _jets(given)
        background = ("g", "q") if background is None else background
    else:
        table = _table(given)
    settings = replace(settings, background=background or ())
    options = {name: getattr(given, name) for name in ("quiet", "pdf", "constant")}
    return str(_study.run(table, settings, Path(given.output), **options))


def _jets(given: argparse.Namespace) -> data.Table:
    for name in ("target", "weight", "tree", "features"):
        if getattr(given, name) is not None:
            raise ValueError(
                f"[study] --{name} belongs to a file with events, expected one: trigrad study FILE --{name} …"
            )
    return data.toy_jets(JETS if given.events is None else given.events, seed=given.seed)


def _table(given: argparse.Namespace) -> data.Table:
    if given.events is not None:
        raise ValueError("[study] --events belongs to toy jets, but there is a file")
    if given.target is None:
        raise ValueError("[study] expected --target, the column of the file that is to be learned")
    options = {name: getattr(given, name) for name in ("task", "nan", "constant")}
    return data.read(given.data, given.target, given.weight, given.tree, given.features, **options)
