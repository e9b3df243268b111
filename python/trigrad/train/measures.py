"""Metrics by name, of what a model gives out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._warnings import warn
from trigrad.nn import functional as F
from trigrad.nn.activations import Hardsigmoid, Sigmoid
from trigrad.nn.containers import Sequential
from trigrad.nn.joint_activations import Softmax
from trigrad.nn.losses import BCELoss, HuberLoss, L1Loss, MSELoss, SmoothL1Loss

# What a metric looks at: classes, one score per event, probabilities, or the output itself.
LABELS = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "matthews_corrcoef")
SCORES = ("roc_auc", "average_precision")
PROBABILITIES = ("log_loss", "brier_score_loss")
VALUES = (
    *("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "median_absolute_error"),
    *("mean_absolute_percentage_error", "max_error", "r2", "explained_variance"),
)
SHORT = {"auc": "roc_auc", "brier": "brier_score_loss", "mse": "mean_squared_error", "rmse": "root_mean_squared_error"}
SHORT |= {"mae": "mean_absolute_error"}
DIRECT = (BCELoss, MSELoss, L1Loss, SmoothL1Loss, HuberLoss)  # losses that compare an output with the target as it is
DIRECT_FUNCTIONS = ("binary_cross_entropy", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
RISES = {*LABELS, *SCORES, "r2", "explained_variance"}  # the more the better
FALLS = {"loss", *PROBABILITIES, *VALUES} - RISES
KNOWN = (*LABELS, *SCORES, *PROBABILITIES, *VALUES)


class Measure(NamedTuple):
    """A metric of a trainer: what finds it in outputs, targets and weights, and whether more of it is better, if that is
    known."""

    find: Callable[[Tensor, Tensor, Tensor | None], float]
    rises: bool | None


def _full(name: str) -> str:
    """The name of a metric without what may be left out of it."""
    short = SHORT.get(name, name).removesuffix("_score")
    return SHORT.get(short, short)


def rises(name: str, metrics: Mapping[str, Measure] | None = None) -> bool | None:
    """Is more of this number of a history better? None of one that is not known."""
    name = name.removeprefix("val_")
    if metrics is not None and name in metrics:
        return metrics[name].rises
    return True if _full(name) in RISES else False if _full(name) in FALLS else None


def _is_direct(model: Any, loss: Any) -> bool:
    """Are outputs probabilities, or what is to be the target, rather than logits?"""
    last = getattr(model, "__wrapped__", model)  # of a compiled one
    while isinstance(last, Sequential) and len(last):
        last = last[-1]
    named = (vars(F).get(name) for name in DIRECT_FUNCTIONS)
    return (
        isinstance(last, (Sigmoid, Hardsigmoid, Softmax)) or isinstance(loss, DIRECT) or any(loss is f for f in named)
    )


def _single(output: Tensor) -> bool:
    return output.ndim == 1 or output.numel() == output.shape[0]


def _classes(output: Tensor, threshold: float) -> Tensor:
    """The class of each event: the greatest of several outputs; of one, whether it is above the threshold."""
    if _single(output):
        return (output.reshape(-1) > threshold).to(_core.int64)
    return ops.argmax(output, 1)


def _probabilities(output: Tensor, are: bool) -> Tensor:
    if are:
        return output.reshape(-1) if _single(output) else output
    return ops.sigmoid(output.double().reshape(-1)) if _single(output) else ops.softmax(output.double(), 1)


def _truth(name: str, target: Tensor) -> Tensor:
    """Classes (N,), also of one-hot or soft targets (N, C)."""
    if target.ndim == 2 and target.shape[1] > 1:
        parts = target.double()
        is_one = ((parts.sum(1) - 1).abs() < 1e-3) | ((parts > 0).sum(1) == 1)
        if not bool(is_one.all()):
            raise ValueError(
                f"[Trainer] {name} wants one class per event, but the targets {tuple(target.shape)} have rows of several or none; "
                "give a function of (y_true, output) instead"
            )
        return ops.argmax(target, 1)
    flat = target.reshape(-1)
    return flat.to(_core.int64) if flat.is_floating_point() and bool(ops.eq(flat, ops.floor(flat)).all()) else flat


def _named(name: str, direct: bool) -> Measure:
    from trigrad import metrics  # loaded when it is wanted

    full = _full(name)
    function: Any = getattr(metrics, f"{full}_score", None) or getattr(metrics, full, None)
    if full not in KNOWN or function is None:
        known = sorted({*KNOWN, *SHORT})
        raise ValueError(f"[Trainer] there is no metric {name!r}, expected one of {', '.join(known)}, or a function")

    def measure(output: Tensor, target: Tensor, weight: Tensor | None) -> float:
        more: dict[str, Any] = {} if weight is None else {"sample_weight": weight}
        if full in VALUES:
            shape = output.shape if output.numel() == target.numel() else target.shape
            return float(function(target.reshape(*shape), output, **more))
        truth = _truth(name, target)
        signs = _single(output) and bool((truth < 0).any())  # -1 and 1
        if not direct and full not in SCORES and _single(output) and bool(((output >= 0) & (output <= 1)).all()):
            warn(
                f"[Trainer] {name} takes the outputs for logits, but they are all from 0 to 1; if they are probabilities, let the "
                "model end in nn.Sigmoid() or take nn.BCELoss(), or give a function of (y_true, output) instead"
            )
        if full in LABELS:
            predicted = _classes(output, 0.5 if direct and not signs else 0.0)
            if full in ("f1", "precision", "recall") and not _single(output) and output.shape[1] > 2:
                more["average"] = "macro"
            if signs:
                predicted = predicted * 2 - 1
            return float(function(truth, predicted, **more))
        chance = _probabilities(output, direct)
        if full == "roc_auc" and chance.ndim == 2 and chance.shape[1] > 2:
            more |= {"multi_class": "ovr", "labels": list(range(chance.shape[1]))}
        elif full in PROBABILITIES:  # the events may not have all classes
            more |= {"labels": list(range(chance.shape[1])) if chance.ndim == 2 else [-1 if signs else 0, 1]}
        if full in SCORES and chance.ndim == 2 and chance.shape[1] == 2:
            chance = chance[:, 1]
        return float(function(truth, chance, **more))

    return Measure(measure, full in RISES)


def _own(name: str, function: Callable[..., Any]) -> Measure:
    try:
        parameters = inspect.signature(function).parameters.values()
        weighted = any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)
    except (TypeError, ValueError):
        weighted = False

    def measure(output: Tensor, target: Tensor, weight: Tensor | None) -> float:
        more = {"sample_weight": weight} if weighted and weight is not None else {}
        return float(function(target, output, **more))

    return Measure(measure, None)


def measures_of(given: Any, model: Any, loss: Any) -> dict[str, Measure]:
    """Functions by name. `given` is a list of names and functions f(y_true, output), or a dict of them by name."""
    direct = _is_direct(model, loss)
    if isinstance(given, str) or not isinstance(given, (Mapping, Sequence)):
        raise TypeError(
            f"[Trainer] metrics is a {type(given).__name__}, expected a list of names and functions, or a dict"
        )
    if not isinstance(given, Mapping):
        names = [m if isinstance(m, str) else getattr(m, "__name__", type(m).__name__) for m in given]
        if len(set(names)) < len(names):
            raise ValueError(
                f"[Trainer] metrics are called {names}, expected one of a name; give a dict of them by name"
            )
        given = dict(zip(names, given, strict=True))
    found = {}
    for name, metric in given.items():
        if not isinstance(metric, str) and not callable(metric):
            raise TypeError(
                f"[Trainer] the metric {name!r} is a {type(metric).__name__}, expected a name or a function"
            )
        own = getattr(metric, "__name__", "") if getattr(metric, "__module__", "").startswith("trigrad.metrics") else ""
        if _full(own) in KNOWN:
            metric = own  # which is told what it looks at
        found[str(name)] = _named(metric, direct) if isinstance(metric, str) else _own(name, metric)
    return found
