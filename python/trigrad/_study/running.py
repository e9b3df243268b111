"""A study from events to files."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trigrad import _core, _random, _report, nn, realtime, train
from trigrad._autograd import no_grad
from trigrad._study.folder import unfinished
from trigrad._study.judging import judge
from trigrad._study.page import page, pictures
from trigrad._study.pdf import Pdf, need_matplotlib
from trigrad._study.progress import Log, Progress, rate, whole_numbers
from trigrad._study.saved import Saved, answers
from trigrad._study.settings import Settings
from trigrad.data import Standardizer, Table
from trigrad.metrics import NegativeWeightWarning, UndefinedMetricWarning
from trigrad.optim.lr_scheduler import ReduceLROnPlateau

__all__ = ["Result", "run"]

SPLIT = (0.7, 0.1, 0.2)  # to learn from, to stop by, to judge by
FILES = (  # that a study writes; the last two perhaps
    *("report.html", "metrics.json", "events.jsonl", "model.safetensors", "model.tgplan"),
    *("model.h", "pictures.pdf"),
)
FEWEST = 10  # events of a class
TIMED = 4096  # events


@dataclass(frozen=True)
class Result:
    """What came of it. Prints as a table."""

    folder: Path
    files: list[str]
    rows: list[list[object]]
    """name, value, interval"""
    notes: dict[str, str]
    """what is to be known: what could not be done, and why"""
    numbers: dict[str, Any]
    """as in metrics.json"""

    def __str__(self) -> str:
        tested = f"on {self.numbers['test']['events']:,} test events"
        cells = [[tested, "value", "interval (68.3 %)"], *([str(c) for c in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        lines += [f"note: {name}: {why}" for name, why in self.notes.items()]
        return "\n".join([*lines, "", f"{self.folder}/: {', '.join(self.files)}"])


def _check_weights(part: Table, which: str) -> None:
    total = 1.0 if part.weight is None else float(part.weight.sum(dtype=np.float64))
    if not total > 0:
        raise ValueError(f"[study] {which}: the weights add up to {total:g}, expected more than 0")


@contextlib.contextmanager
def _step(log: Log, name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    log.write(name, seconds=round(time.perf_counter() - begin, 4))


def run(
    table: Table,
    settings: Settings,
    output: str | os.PathLike[str],
    *,
    quiet: bool = False,
    pdf: bool = False,
    constant: Literal["refuse", "keep"] = "refuse",
) -> Result:
    """Standardize, split, train, judge, compile, time, export; all files are in `output` at the end, or none."""
    if table.y is None:
        raise ValueError("[study] the events have no target, expected a column to learn")
    if odd := [b for b in settings.background if b not in table.classes]:
        raise ValueError(
            f"[study] there is no class {odd[0]!r} for the background, expected {', '.join(table.classes)}"
        )
    if settings.background and set(table.classes) <= set(settings.background):
        raise ValueError("[study] all classes are background, expected one at least that is not")
    counts = np.bincount(table.y, minlength=len(table.classes)).tolist() if table.classes else [len(table)]
    if few := [k for k, n in enumerate(counts) if n < FEWEST]:
        which = f" of class {table.classes[few[0]]!r}" if table.classes else ""
        raise ValueError(
            f"[study] {table.name} has {counts[few[0]]} events{which}, expected {FEWEST} at least: they are split "
            f"{':'.join(f'{s:g}' for s in SPLIT)}"
        )
    _check_weights(table, table.name)
    for k, name in enumerate(table.classes):
        _check_weights(table[table.y == k], f"{table.name}, class {name!r}")
    if pdf:
        need_matplotlib()
    with unfinished(output, FILES) as folder, warnings.catch_warnings():
        for kind in (NegativeWeightWarning, UndefinedMetricWarning):  # it is among the notes; a number is missing
            warnings.simplefilter("ignore", kind)
        log = Log(folder / "events.jsonl")
        try:
            return _run(table, settings, folder, Path(output), log, quiet, pdf, constant)
        finally:
            log.close()


def _run(
    table: Table,
    settings: Settings,
    folder: Path,
    output: Path,
    log: Log,
    quiet: bool,
    pdf: bool,
    constant: Literal["refuse", "keep"],
) -> Result:
    begin = time.perf_counter()
    described = {"data": table.describe(), "settings": settings.values()}
    log.write("start", **described)
    if not quiet:
        print(f"{table!r}"[1:-1], flush=True)
    with _step(log, "split"):
        learned, held, test = table.split(*SPLIT, seed=settings.seed)
        for name, part in (("learn from", learned), ("stop by", held), ("judge by", test)):
            _check_weights(part, f"the events to {name}")
        scaler = Standardizer(constant).fit(replace(learned, weight=None))
    saved, trainer, stop, progress = _trained(learned, held, scaler, settings, log, quiet)
    trained = time.perf_counter()
    notes: dict[str, str] = {}
    if table.weight is not None and (share := float((table.weight < 0).mean())):
        notes["negative weights"] = (
            f"{share:.3g} of the events have one; they are summed as they are, so that efficiencies and areas may leave the "
            "range from 0 to 1"
        )
    predictor = saved.predictor()
    with _step(log, "judge"):
        judged = judge(test, answers(predictor, test.X), settings)
    saved.save(folder / "model.safetensors", described)
    predictor.save(folder / "model.tgplan")
    with _step(log, "export"):
        try:
            from trigrad.export import cpp_header

            cpp_header(predictor, folder / "model.h", name="model")
        except RuntimeError as error:  # a build without the sources that a header is made of
            notes["C++ header"] = str(error)
    with _step(log, "latency"):
        latency = realtime.study(
            predictor,
            test.X[:TIMED],
            seconds=settings.seconds,
            batches=(1, 64, 1024, 16384),
            header="C++ header" not in notes,
            others=False,
            seed=settings.seed,
        )
    notes |= {name: why for name, why in latency.missing.items() if name not in notes}
    rows = [*judged.rows(), *_speed(latency, progress)]
    history = dict(trainer.history)
    provenance = _report.provenance(seed=settings.seed, model=latency.provenance["model"], **described)
    numbers = whole_numbers(
        {
            **judged.values(),
            "epochs": len(history["loss"]),
            "best_epoch": stop.best_epoch,
            "history": history,
            "timings": {
                "training_seconds": trained - begin,
                "training_events_per_second": float(np.median(progress.rates)),
                "latency": json.loads(latency.to_json()),
            },
            "notes": notes,
            "provenance": provenance,
        }
    )
    (folder / "metrics.json").write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    text = page(history, stop.best_epoch, judged, saved.model, latency, notes, provenance, rows)
    (folder / "report.html").write_text(text, encoding="utf-8")
    if pdf:
        with _step(log, "pdf"), Pdf.of_file(folder / "pictures.pdf") as draw:
            pictures(history, stop.best_epoch, judged, saved.model, draw)
    log.write("end", seconds=round(time.perf_counter() - begin, 4))
    return Result(output, sorted(f.name for f in folder.iterdir()), rows, notes, numbers)


def _trained(
    learned: Table, held: Table, scaler: Standardizer, settings: Settings, log: Log, quiet: bool
) -> tuple[Saved, train.Trainer, train.EarlyStopping, Progress]:
    """The network with the numbers of its best epoch."""
    classes = learned.classes
    _random.manual_seed(settings.seed)
    model = settings.network(len(learned.features), max(len(classes), 1)).to(settings.device)
    optimizer = settings.optimizer_of(model)
    mean, size = 0.0, 1.0

    def targets(part: Table) -> Any:
        assert part.y is not None
        return part.y if classes else ((part.y - mean) / size).astype(np.float32)[:, None]

    if not classes:
        assert learned.y is not None
        mean, size = float(learned.y.mean(dtype=np.float64)), float(learned.y.std(dtype=np.float64))
        if not size > 0:
            raise ValueError(
                f"[study] {learned.target!r} is {mean:g} in all rows to learn from, expected numbers that differ"
            )
    unit = 1.0 if learned.weight is None else float(np.abs(learned.weight).mean(dtype=np.float64))

    def weights(part: Table) -> Any:
        """So that steps do not depend on the unit of weights, such as a cross section."""
        return None if part.weight is None else (part.weight / unit).astype(np.float32)

    loss: nn.Module = nn.CrossEntropyLoss() if classes else nn.MSELoss()
    trainer = train.Trainer(model, loss, optimizer, metrics=["accuracy"] if classes else ["r2"])
    stop = train.EarlyStopping(patience=settings.patience)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=max(settings.patience // 3, 1))
    progress = Progress(len(learned), log, quiet=quiet)
    given = (scaler.transform(held.X), targets(held))
    trainer.fit(
        scaler.transform(learned.X),
        targets(learned),
        epochs=settings.epochs,
        batch_size=min(settings.batch_size, len(learned)),
        sample_weight=weights(learned),
        class_weight="balanced" if settings.balanced and classes else None,
        validation_data=given if held.weight is None else (*given, weights(held)),
        callbacks=[stop, train.LRSchedule(schedule), progress],
        generator=_random.Generator().manual_seed(settings.seed),
    )
    model.to("cpu").eval()
    if not all(bool(p.isfinite().all()) for p in model.parameters()):
        raise RuntimeError("[study] the training ended with numbers that are not finite; a smaller lr may help")
    if settings.batch_norm:
        model = nn.fold_batchnorm(model)
    if not classes:  # the network's answer is the number itself
        last = model[-1]
        with no_grad():
            last.weight.mul_(size)
            last.bias.mul_(size).add_(mean)
    return Saved(model, scaler, learned.features, classes, learned.target), trainer, stop, progress


def _speed(latency: realtime.Study, progress: Progress) -> list[list[object]]:
    """The rows of the table that a clock gave."""
    hot = latency.latencies[0]
    q = hot.quantiles

    def time_of(name: str) -> str:
        value = q[name]
        return "" if value is None else f"{name} {value:,.0f}"

    most = max((r, n) for n, r in latency.throughput["trigrad"].items())
    rows: list[list[object]] = [
        ["latency of one event, ns", time_of("median"), "  ".join(filter(None, map(time_of, ("p90", "p99", "p99.9"))))],
        ["inference", rate(most[0]), f"one thread, {most[1]:,} events per call"],
        ["training", rate(float(np.median(progress.rates))), f"{_core.get_num_threads()} threads, with validation"],
    ]
    return rows
