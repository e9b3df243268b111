"""Do predicted probabilities come true?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trigrad import ops
from trigrad._indexing import bincount
from trigrad.metrics import _inputs
from trigrad.metrics._inputs import Data, Floats, tensor

__all__ = ["calibration_curve"]


def calibration_curve(
    y_true: Data,
    y_prob: Data,
    *,
    pos_label: Any = None,
    n_bins: int = 5,
    strategy: Literal["uniform", "quantile"] = "uniform",
    sample_weight: Data | None = None,
) -> tuple[Floats, Floats]:
    """The share of positives and the mean predicted probability in bins of that probability, equally wide ("uniform") or
    equally full ("quantile"). Bins without events (or whose weights do not add up to more than 0) are left out.

    y_true (n,), y_prob (n,) -> two arrays (bins,)

    >>> from trigrad import metrics
    >>> true, predicted = metrics.calibration_curve([0, 0, 0, 1, 1, 1], [0.1, 0.3, 0.4, 0.5, 0.8, 0.9], n_bins=3)
    >>> true, predicted
    (array([0. , 0.5, 1. ]), array([0.2 , 0.45, 0.85]))
    """
    name = "calibration_curve"
    if n_bins < 1:
        raise ValueError(f"[{name}] n_bins is {n_bins}, expected 1 or more")
    positive = _inputs.positive(name, y_true, pos_label)
    prob = _inputs.scores(name, "y_prob", y_prob).astype(np.float64, copy=False)
    _inputs.same_length(name, y_true=positive, y_prob=prob)
    if prob.min() < 0 or prob.max() > 1:
        raise ValueError(f"[{name}] y_prob holds {prob.min():g} to {prob.max():g}, expected 0 to 1")
    if strategy not in ("uniform", "quantile"):
        raise ValueError(f"[{name}] strategy is {strategy!r}, expected 'uniform' or 'quantile'")
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.percentile(prob, 100 * edges)
    weight = _inputs.weights(name, sample_weight, len(prob))
    bins = ops.native_searchsorted(tensor(edges[1:-1]), tensor(prob))
    counted = positive.astype(np.float64) if weight is None else weight * positive
    sums, true, predicted = (
        bincount(bins, None if w is None else tensor(w), n_bins).numpy()
        for w in (weight, counted, prob if weight is None else weight * prob)
    )
    there = sums > 0
    return true[there] / sums[there], predicted[there] / sums[there]
