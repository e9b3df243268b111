"""The report of a study: one file, pictures as SVG, nothing around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trigrad import _report, metrics, nn
from trigrad._report import Curve, Html, Mark
from trigrad._study.judging import Judged
from trigrad.realtime import Study, _latency

__all__ = ["page", "pictures"]

BINS = 50
MOST_CLASSES = 8  # that pictures tell apart
MOST_POINTS = 600  # of a curve


def page(
    history: Mapping[str, Sequence[float]],
    best_epoch: int,
    judged: Judged,
    model: nn.Module,
    latency: Study | None,
    notes: Mapping[str, str],
    provenance: Mapping[str, Any],
    rows: Sequence[Sequence[object]],
) -> str:
    """The whole page; `rows` are name, value and interval, `notes` what is to be known."""
    table = judged.table
    parts = [
        _report.section("Result", _report.table(["", "value", "interval (68.3 %)"], rows)),
        _report.section("Training", *_training(history, best_epoch, _report)),
    ]
    parts.append(
        _report.section("Decisions", *(_decisions(judged, _report) if table.classes else _numbers(judged, _report)))
    )
    parts.append(_report.section("First layer", *_first_layer(model, table.features, _report)))
    if latency is not None:
        shown = [each for each in latency.latencies if "header" not in each.name]  # as many as there are colours
        parts.append(
            _report.section(
                "Latency",
                _latency.table(latency.latencies),
                _report.figure(
                    _latency.picture(shown), "Single calls on this machine, of the library and from Python."
                ),
                _report.table(*latency._rates(), "Events per second"),
            )
        )
    if notes:
        parts.append(_report.section("Notes", _report.listing(notes)))
    parts.append(_report.section("Where and how", _report.listing(provenance)))
    return _report.page(f"Study of {table.name}", *parts)


def pictures(
    history: Mapping[str, Sequence[float]], best_epoch: int, judged: Judged, model: nn.Module, draw: Any
) -> None:
    """The pictures alone, drawn by something else that has `chart` and `grid` as _report has."""
    _training(history, best_epoch, draw)
    (_decisions if judged.table.classes else _numbers)(judged, draw)
    _first_layer(model, judged.table.features, draw)


def _training(history: Mapping[str, Sequence[float]], best_epoch: int, draw: Any) -> list[Html]:
    epochs = np.arange(1, len(history["loss"]) + 1)
    marks = [Mark("kept", x=best_epoch)] if best_epoch else []

    def of(*names: tuple[str, str]) -> list[Curve]:
        return [Curve(words, epochs, history[name]) for name, words in names if name in history]

    made = [
        draw.chart(of(("loss", "training"), ("val_loss", "validation")), x="epoch", y="loss", marks=marks, height=340)
    ]
    if more := of(("val_accuracy", "accuracy"), ("val_r2", "R²")):
        made.append(draw.chart(more, x="epoch", y="on the validation events", marks=marks, height=260))
    made.append(draw.chart(of(("lr", "")), x="epoch", y="learning rate", log_y=True, height=200))
    return [_report.figure(picture) for picture in made]


def _kept(*curves: Any) -> list[Any]:
    """Of long curves along a logarithmic axis some points, the ends among them."""
    n = len(curves[0])
    if n <= MOST_POINTS:
        return list(curves)
    along = np.searchsorted(curves[0], np.geomspace(max(curves[0][curves[0] > 0].min(), 1e-9), 1, MOST_POINTS - 1))
    places = np.unique(np.append(along.clip(max=n - 1), 0))
    return [np.asarray(c)[places] for c in curves]


def _decisions(judged: Judged, draw: Any) -> list[Html]:
    table, weight = judged.table, judged.weight
    names = list(judged.auc)[:MOST_CLASSES]
    curves = []
    for name in names:
        is_it, score = judged.scores(name)
        background, signal, _ = metrics.roc_curve(is_it, score, sample_weight=weight)
        curves.append(Curve(f"{name}, AUC {judged.auc[name].value:.4f}", *_kept(background, signal)))
    roc = draw.chart(
        curves,
        x="background efficiency",
        y="signal efficiency",
        log_x=True,
        x_range=(max(1e-6, 2 / len(table)), 1.0),
        y_range=(0, 1),
    )
    some = f"Pictures show the first {MOST_CLASSES} of {len(table.classes)} classes."
    made = [_report.paragraph(some)] if len(table.classes) > MOST_CLASSES else []
    made += [
        _report.figure(roc, "ROC curves: each class against all others." if len(table.classes) > 2 else "ROC curve.")
    ]
    assert judged.confusion is not None
    shares = judged.confusion / np.maximum(judged.confusion.sum(1, keepdims=True), 1e-300)
    seen = table.classes[:MOST_CLASSES]
    picture = draw.grid(
        shares[: len(seen), : len(seen)], seen, seen, x="taken for", y="true class", low=0.0, high=1.0, numbers=True
    )
    made.append(_report.figure(picture, "Confusion matrix: shares of each true class."))
    edges = np.linspace(0, 1, BINS + 1)
    for name in names:
        _, score = judged.scores(name)
        histograms = []
        for k, other in enumerate(seen):
            there = table.y == k
            w = None if weight is None else weight[there]
            counts, _ = np.histogram(score[there], edges, weights=w)
            total = counts.sum()
            histograms.append(Curve(other, edges, counts / total if total else counts, "steps"))
        point = judged.points.get(name)
        cut = [Mark("trigger", x=point.threshold)] if point is not None and np.isfinite(point.threshold) else []
        picture = draw.chart(histograms, x=f"score of {name}", y="share of events", log_y=True, marks=cut, height=300)
        made.append(_report.figure(picture))
    if judged.points:
        by = " and ".join(judged.background) or "all other classes"
        rows = [
            [name, p.threshold, p.signal_efficiency, p.background_efficiency, p.rate_khz]
            for name, p in judged.points.items()
        ]
        head = ["signal", "threshold", "signal efficiency", "background efficiency", "rate, kHz"]
        made.append(_report.table(head, rows, f"Cuts for a fixed trigger rate, made by {by}"))
    return made


def _numbers(judged: Judged, draw: Any) -> list[Html]:
    """Of a number that was learned: what is answered over what is true, and the residuals."""
    y = np.asarray(judged.table.y, dtype=np.float64)
    answer = judged.answers[:, 0].astype(np.float64)
    some = np.linspace(0, len(y) - 1, min(len(y), 2000)).astype(int)
    ends = np.array([y.min(), y.max()])
    scatter = draw.chart(
        [Curve("events", y[some], answer[some], "points"), Curve("right", ends, ends, "dashed")], x="true", y="answer"
    )
    counts, edges = np.histogram(answer - y, BINS, weights=judged.weight)
    residuals = draw.chart([Curve("", edges, counts, "steps")], x="answer - true", y="events", height=300)
    return [_report.figure(scatter, "Answers (2,000 events at most)."), _report.figure(residuals, "Residuals.")]


def _first_layer(model: nn.Module, features: Sequence[str], draw: Any) -> list[Html]:
    first = next((m for m in model.modules() if isinstance(m, nn.Linear)), None)
    if first is None:
        return [_report.paragraph("The model has no Linear layer.")]
    weight = first.weight.detach().numpy()
    if weight.size > 20_000:
        return [_report.paragraph(f"Not shown: {weight.shape[0]} × {weight.shape[1]} weights.")]
    size = float(np.abs(weight).max()) or 1.0
    units = [str(k) if k % 8 == 0 else "" for k in range(len(weight))]
    picture = draw.grid(weight.T, features, units, x="unit", y="", low=-size, high=size)
    return [_report.figure(picture, "Weights of the standardized features (blue: negative, red: positive).")]
