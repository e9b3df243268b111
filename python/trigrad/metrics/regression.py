"""How far predicted numbers are from the true ones. Everything is computed in float64."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np

from trigrad import ops
from trigrad._core import Tensor
from trigrad.metrics import _inputs
from trigrad.metrics._inputs import Data, Floats, UndefinedMetricWarning, tensor, warn

__all__ = [
    "explained_variance_score",
    "max_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "median_absolute_error",
    "r2_score",
    "root_mean_squared_error",
]

Multioutput: TypeAlias = Literal["raw_values", "uniform_average"] | Data
VarianceMultioutput: TypeAlias = Literal["raw_values", "uniform_average", "variance_weighted"] | Data


def _pair(name: str, y_true: Data, y_pred: Data) -> tuple[Tensor, Tensor]:
    """Both (n,), or (n, m) of m > 1 outputs, in float64."""
    found = []
    for what, data in (("y_true", y_true), ("y_pred", y_pred)):
        values = _inputs.finite(name, what, _inputs.array(data)).astype(np.float64, copy=False)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim not in (1, 2) or values.size == 0:
            raise ValueError(f"[{name}] {what} has shape {values.shape}, expected (n,) or (n, outputs), not empty")
        found.append(tensor(values))
    true, pred = found
    if true.shape != pred.shape:
        raise ValueError(
            f"[{name}] y_true has shape {tuple(true.shape)} and y_pred {tuple(pred.shape)}, expected the same"
        )
    return true, pred


def _over_outputs(
    name: str, each: float | Floats, multioutput: VarianceMultioutput, variances: float | Floats | None = None
) -> float | Floats:
    """The mean over the outputs as `multioutput` says; of one output just that."""
    if isinstance(multioutput, str):
        allowed = ("raw_values", "uniform_average", *(() if variances is None else ("variance_weighted",)))
        if multioutput not in allowed:
            raise ValueError(f"[{name}] multioutput is {multioutput!r}, expected one of {allowed} or weights")
        if multioutput == "raw_values":
            return np.atleast_1d(np.asarray(each))
        weighted = multioutput == "variance_weighted" and np.any(variances)
        weight = np.atleast_1d(np.asarray(variances)) if weighted else None
    else:
        weight = _inputs.finite(name, "multioutput", _inputs.array(multioutput))
        if np.ndim(each) == 0 or weight.shape != np.shape(each):
            raise ValueError(
                f"[{name}] multioutput has shape {weight.shape} for {np.size(each)} outputs, expected as many"
            )
    return float(np.average(np.atleast_1d(np.asarray(each)), weights=weight))


def _mean_of(
    name: str, y_true: Data, y_pred: Data, sample_weight: Data | None, loss: Literal["abs", "square", "relative"]
) -> float | Floats:
    true, pred = _pair(name, y_true, y_pred)
    weight = _inputs.weights(name, sample_weight, true.shape[0])
    distance = ops.sub(pred, true)
    found: float | Floats
    if loss == "square":
        found = _inputs.mean_square(name, distance, weight)
    else:
        losses = ops.abs(distance)
        if loss == "relative":
            losses = ops.div(losses, ops.clamp(ops.abs(true), float(np.finfo(np.float64).eps), None))
        found = _inputs.mean(name, losses, weight)
    return found


def mean_absolute_error(
    y_true: Data, y_pred: Data, *, sample_weight: Data | None = None, multioutput: Multioutput = "uniform_average"
) -> float | Floats:
    """The mean of |y_pred - y_true|. Several outputs are averaged, with the weights `multioutput` if that is an array, or
    returned one by one ("raw_values").

    y_true (n,) or (n, m), y_pred as y_true -> a number, or (m,)

    >>> from trigrad import metrics
    >>> metrics.mean_absolute_error([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0])
    0.5
    """
    name = "mean_absolute_error"
    return _over_outputs(name, _mean_of(name, y_true, y_pred, sample_weight, "abs"), multioutput)


def mean_squared_error(
    y_true: Data, y_pred: Data, *, sample_weight: Data | None = None, multioutput: Multioutput = "uniform_average"
) -> float | Floats:
    """The mean of (y_pred - y_true)²; see `mean_absolute_error` for several outputs.

    >>> from trigrad import metrics
    >>> metrics.mean_squared_error([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0])
    0.375
    """
    name = "mean_squared_error"
    return _over_outputs(name, _mean_of(name, y_true, y_pred, sample_weight, "square"), multioutput)


def root_mean_squared_error(
    y_true: Data, y_pred: Data, *, sample_weight: Data | None = None, multioutput: Multioutput = "uniform_average"
) -> float | Floats:
    """The root of each output's mean squared error, averaged; NaN where negative weights make that negative.

    >>> from trigrad import metrics
    >>> metrics.root_mean_squared_error([3.0, -0.5], [2.0, 0.5])
    1.0
    """
    name = "root_mean_squared_error"
    squared = np.asarray(_mean_of(name, y_true, y_pred, sample_weight, "square"))
    roots = np.sqrt(squared, out=np.full_like(squared, np.nan), where=squared >= 0)
    return _over_outputs(name, roots, multioutput)


def mean_absolute_percentage_error(
    y_true: Data, y_pred: Data, *, sample_weight: Data | None = None, multioutput: Multioutput = "uniform_average"
) -> float | Floats:
    """The mean of |y_pred - y_true| / |y_true| (a share, not percent), where |y_true| is 2⁻⁵² at least; see
    `mean_absolute_error` for several outputs.

    >>> from trigrad import metrics
    >>> metrics.mean_absolute_percentage_error([2.0, -4.0], [1.0, -4.0])
    0.25
    """
    name = "mean_absolute_percentage_error"
    return _over_outputs(name, _mean_of(name, y_true, y_pred, sample_weight, "relative"), multioutput)


def median_absolute_error(
    y_true: Data, y_pred: Data, *, sample_weight: Data | None = None, multioutput: Multioutput = "uniform_average"
) -> float | Floats:
    """The median of |y_pred - y_true|: half of the events, or of the weights, which must not be negative, are closer.

    >>> from trigrad import metrics
    >>> metrics.median_absolute_error([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0])
    0.5
    """
    name = "median_absolute_error"
    true, pred = _pair(name, y_true, y_pred)
    weight = _inputs.weights(name, sample_weight, true.shape[0])
    if weight is not None and weight.min() < 0:
        raise ValueError(f"[{name}] some weights are negative, expected none: a median needs a growing sum")
    distance = ops.abs(ops.sub(pred, true))
    if distance.ndim == 1:
        return _over_outputs(name, _median(distance, weight), multioutput)
    columns = [_median(distance[:, j], weight) for j in range(distance.shape[1])]
    return _over_outputs(name, np.array(columns), multioutput)


def _median(values: Tensor, weight: Floats | None) -> float:
    """The middle of the two values between which half of the weight lies on either side, or the one in which it does."""
    if weight is None:
        n = values.shape[0]
        lower = ops.native_kthvalue(values, (n + 1) // 2, 0)[0]
        beyond = ops.gt(values, lower)
        if n % 2 or 2 * int(ops.native_count_nonzero(ops.logical_not(beyond)).item()) > n:
            return float(lower.item())
        return float((lower.item() + ops.amin(ops.where(beyond, values, math.inf)).item()) / 2)
    there = weight != 0
    ordered, order = ops.native_sort(tensor(values.numpy()[there]))
    below = ops.cumsum(tensor(weight[there])[order], 0).numpy()
    half = below[-1] / 2
    at = int(np.searchsorted(below, half))
    return float((ordered[at].item() + ordered[at if below[at] > half else at + 1].item()) / 2)


def max_error(y_true: Data, y_pred: Data) -> float:
    """The greatest |y_pred - y_true|.

    >>> from trigrad import metrics
    >>> metrics.max_error([3, 2, 7, 1], [4, 2, 7, 1])
    1.0
    """
    true, pred = _pair("max_error", y_true, y_pred)
    if true.ndim > 1:
        raise ValueError(f"[max_error] got {true.shape[1]} outputs, expected one: (n,)")
    return float(ops.amax(ops.abs(ops.sub(pred, true))).item())


def _explained(
    name: str, unexplained: float | Floats, spread: float | Floats, multioutput: VarianceMultioutput, force_finite: bool
) -> float | Floats:
    """1 - unexplained / spread, where nothing varies 1 of a perfect prediction and 0 of any other one."""
    left, spread = np.atleast_1d(np.asarray(unexplained)), np.atleast_1d(np.asarray(spread))
    if force_finite:
        ratio = np.divide(left, spread, out=(left != 0).astype(np.float64), where=spread != 0)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = left / spread
    return _over_outputs(name, 1 - ratio, multioutput, spread)


def r2_score(
    y_true: Data,
    y_pred: Data,
    *,
    sample_weight: Data | None = None,
    multioutput: VarianceMultioutput = "uniform_average",
    force_finite: bool = True,
) -> float | Floats:
    """R², the coefficient of determination: 1 less the sum of squared errors over that of the distances of y_true from its
    mean. 1 is perfect, 0 as good as the mean. Where y_true does not vary, R² is 1 of a perfect prediction and else 0, unless
    `force_finite` is False. Several outputs are averaged, also weighted by their variances ("variance_weighted").

    y_true (n,) or (n, m), y_pred as y_true -> a number, or (m,)

    >>> from trigrad import metrics
    >>> round(metrics.r2_score([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]), 6)
    0.948608
    """
    name = "r2_score"
    true, pred = _pair(name, y_true, y_pred)
    weight = _inputs.weights(name, sample_weight, true.shape[0])
    if true.shape[0] < 2:
        warn(f"[{name}] got one event, R² needs two: nan", UndefinedMetricWarning)
        return np.nan
    errors = _inputs.mean_square(name, ops.sub(true, pred), weight)
    return _explained(name, errors, _variance(name, true, weight), multioutput, force_finite)


def explained_variance_score(
    y_true: Data,
    y_pred: Data,
    *,
    sample_weight: Data | None = None,
    multioutput: VarianceMultioutput = "uniform_average",
    force_finite: bool = True,
) -> float | Floats:
    """1 less the variance of y_true - y_pred over that of y_true: R² that forgives a constant shift; see `r2_score`.

    >>> from trigrad import metrics
    >>> round(metrics.explained_variance_score([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]), 6)
    0.957173
    """
    name = "explained_variance_score"
    true, pred = _pair(name, y_true, y_pred)
    weight = _inputs.weights(name, sample_weight, true.shape[0])
    left = _variance(name, ops.sub(true, pred), weight)
    return _explained(name, left, _variance(name, true, weight), multioutput, force_finite)


def _variance(name: str, values: Tensor, weight: Floats | None) -> float | Floats:
    centre = tensor(np.asarray(_inputs.mean(name, values, weight)))
    found: float | Floats = _inputs.mean_square(name, ops.sub(values, centre), weight)
    return found
