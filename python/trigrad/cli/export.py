"""``trigrad export``"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from trigrad import _core, _study, data, nn
from trigrad._study.folder import whole_file
from trigrad._study.saved import loaded
from trigrad.cli.study import add_data_arguments
from trigrad.export import cpp_header


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", help="what trigrad study wrote, a model that trigrad.save wrote, or a plan file")
    command.add_argument("--plan", metavar="FILE", help="write a plan file, for Predictor.load and the C++ library")
    command.add_argument("--header", metavar="FILE", help="write a C++ header that stands alone")
    command.add_argument("--name", help="namespace of the header (default: the name of its file)")
    command.add_argument("--raw-logits", action="store_true", help="without the softmax or sigmoid at the end")
    command.add_argument(
        "--precision", choices=("float32", "bfloat16", "int16", "int8"), default="float32", help="of the weights"
    )
    command.add_argument("--calibration", metavar="DATA", help="events that int16 and int8 are fitted to")
    add_data_arguments(command)


def run(given: argparse.Namespace) -> str:
    if given.plan is None and given.header is None:
        raise ValueError("[export] expected --plan FILE, --header FILE or both")
    predictor = _predictor(given)
    made: dict[str, Callable[[Path], object]] = {}
    if given.plan is not None:
        made[given.plan] = predictor.save
    if given.header is not None:
        made[given.header] = partial(cpp_header, predictor, name=given.name or Path(given.header).stem)
    with contextlib.ExitStack() as files:  # both are made before either is there
        for path, write in made.items():
            write(files.enter_context(whole_file(Path(path))))
    lines = [f"{path}: {predictor.inputs} -> {predictor.outputs}, {Path(path).stat().st_size:,} bytes" for path in made]
    if predictor.error is not None:
        lines += [f"{name}: {value:.4g}" for name, value in predictor.error.items()]
    return "\n".join(lines)


def _predictor(given: argparse.Namespace) -> _core.Predictor:
    if given.model.endswith(".tgplan"):
        if given.precision != "float32" or given.raw_logits or given.calibration is not None:
            raise ValueError(
                "[export] a plan file is what it is; --precision, --calibration and --raw-logits want a model"
            )
        return _core.Predictor.load(given.model)
    held = loaded(given.model)
    saved = None if isinstance(held, nn.Module) else _study.Saved.load(given.model)
    events: np.ndarray | None = None
    if given.calibration is not None:
        features = None if saved is None else list(saved.features)
        events = data.read(given.calibration, tree=given.tree, features=features, nan=given.nan).X
    if saved is not None:
        return saved.predictor(precision=given.precision, calibration=events, raw_logits=given.raw_logits)
    return _core.Predictor(held, 1, given.precision, calibration=events, raw_logits=given.raw_logits)
