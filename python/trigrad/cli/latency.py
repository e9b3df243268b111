"""``trigrad latency``: time a plan file on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy

from trigrad import realtime
from trigrad._study.folder import whole_file


def add_arguments(timing: argparse.ArgumentParser) -> None:
    timing.add_argument("plan", help="what Predictor.save wrote")
    timing.add_argument("--events", help="events to time, a .npy file (N, features) of float32; else random ones")
    timing.add_argument("--labels", help="1 for signal, 0 for background: a .npy file (N,); for the ROC curve")
    timing.add_argument("--trigger-rate-khz", type=float, help="with labels: where to cut, and what passes")
    timing.add_argument("--input-rate-khz", type=float, default=40_000.0, help="of events (default: 40 MHz)")
    timing.add_argument("--output", type=int, help="which output is the score, if there are several")
    timing.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    batches = [1, 16, 64, 1024, 16384]
    timing.add_argument("--batches", type=int, nargs="+", default=batches, help="rows per call, for the throughput")
    timing.add_argument("--seed", type=int, default=0, help="of random events, and of the order of given ones")
    timing.add_argument("--no-header", action="store_true", help="do not compile and time the exported header")
    timing.add_argument("--no-others", action="store_true", help="do not time NumPy, PyTorch and ONNX Runtime")
    timing.add_argument("--json", help="write all numbers, with where and how they were taken")
    timing.add_argument("--html", help="write a page with tables and histograms")


def run(given: argparse.Namespace) -> str:
    for path in (given.json, given.html):  # measuring takes its time: say at once what cannot be written afterwards
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise ValueError(f"[latency] there is no folder for {path}")
    predictor = realtime.Predictor.load(given.plan)
    if given.events is None:
        if given.labels is not None:
            raise ValueError("[latency] --labels belong to events, expected --events too")
        x = numpy.random.default_rng(given.seed).standard_normal((1024, predictor.inputs)).astype("float32")
    else:
        x = numpy.load(given.events)
    found = realtime.study(
        predictor,
        x,
        None if given.labels is None else numpy.load(given.labels),
        seconds=given.seconds,
        batches=tuple(given.batches),
        trigger_rate_khz=given.trigger_rate_khz,
        input_rate_khz=given.input_rate_khz,
        output=given.output,
        header=not given.no_header,
        others=not given.no_others,
        seed=given.seed,
    )
    for path, write in ((given.json, found.to_json), (given.html, found.to_html)):
        if path is not None:
            with whole_file(Path(path)) as part:
                write(part)
    return str(found)
