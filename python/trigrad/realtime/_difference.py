"""How far a predictor of narrow numbers is from the model."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy

from trigrad._core import Predictor, Tensor
from trigrad.nn.module import Module

__all__ = ["difference"]

Array: TypeAlias = "numpy.ndarray[Any, Any]"
ROWS = 4096


def difference(predictor: Predictor, model: Module | Predictor, X: Array | Tensor, **options: Any) -> dict[str, float]:
    """How far the predictor's answers are from those of the model in float32, or of another predictor, over the events X
    (N, features): how many `events`, the `largest` difference of an output, and the `rms`. A NaN where the other has a
    number makes both NaN. `options` are Predictor's, such as raw_logits and scaler.

    >>> import numpy as np, trigrad as tg
    >>> model = tg.nn.Linear(4, 2)
    >>> calibration, X = np.random.default_rng(0).standard_normal((2, 500, 4)).astype("float32")
    >>> p = tg.realtime.Predictor(model, precision="int8", calibration=calibration)
    >>> found = tg.realtime.difference(p, model, X)
    >>> found["events"], found["largest"] < 0.1
    (500, True)
    """
    if not isinstance(predictor, Predictor):
        raise TypeError(f"[difference] got a {type(predictor).__name__}, expected a Predictor")
    x = numpy.ascontiguousarray(X.numpy() if isinstance(X, Tensor) else X, dtype=numpy.float32)
    if x.ndim != 2 or len(x) == 0 or x.shape[1] != predictor.inputs:
        raise ValueError(f"[difference] X has shape {x.shape}, expected events as rows: (N, {predictor.inputs}), N > 0")
    other = model if isinstance(model, Predictor) else Predictor(model, **options)
    if (other.inputs, other.outputs) != (predictor.inputs, predictor.outputs):
        raise ValueError(
            f"[difference] the models differ: {predictor.inputs} features and {predictor.outputs} outputs, "
            f"{other.inputs} and {other.outputs}"
        )
    one, two = (Predictor.from_bytes(p.to_bytes(), ROWS) for p in (predictor, other))
    largest = total = 0.0
    for i in range(0, len(x), ROWS):
        y, z = (p(x[i : i + ROWS]).astype("d") for p in (one, two))
        with numpy.errstate(invalid="ignore"):
            apart = numpy.where((y == z) | numpy.isnan(y) & numpy.isnan(z), 0.0, numpy.abs(y - z))
        largest, total = float(numpy.maximum(largest, apart.max())), total + float((apart**2).sum())
    return {"events": len(x), "largest": largest, "rms": (total / (len(x) * predictor.outputs)) ** 0.5}
