"""What goes into a metric: arrays are checked and labels numbered here, and everything that is refused is refused here."""

from __future__ import annotations

import sys
import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigrad import ops
from trigrad._core import Tensor, bfloat16, float64, from_numpy

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Data: TypeAlias = ArrayLike | Tensor


class UndefinedMetricWarning(UserWarning):
    """What is asked has no value for this input, such as the efficiency of a class without events."""


class NegativeWeightWarning(UserWarning):
    """Some weights are negative: curves may be no longer monotonic and efficiencies leave the range from 0 to 1."""


def warn(text: str, category: type[Warning]) -> None:
    """Warns at the line that called into this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("trigrad.metrics"):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


# ---- arrays


def array(data: Data) -> Array:
    """Any array-like, as it is."""
    if isinstance(data, Tensor):
        data = data.detach()
        data = (data.float() if data.dtype is bfloat16 else data).numpy()
    return np.asarray(data)


def line(name: str, what: str, data: Data) -> Array:
    """One value per event, at least one: (n,), or (n, 1) of a network with one output."""
    values = array(data)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"[{name}] {what} has shape {values.shape}, expected one value per event: (n,)")
    if values.size == 0:
        raise ValueError(f"[{name}] {what} is empty, expected at least one event")
    return values


def finite(name: str, what: str, values: Array) -> Array:
    """`values`, if they are numbers, none of them NaN or infinite: float32 and float64 stay, integers become int64."""
    kind = values.dtype.kind
    if kind not in "biuf":
        raise ValueError(f"[{name}] {what} holds {values.dtype}, expected numbers")
    if kind == "f":
        bad = ~np.isfinite(values)
        if bad.any():
            first = np.argwhere(bad)[0].tolist()
            place = first[0] if len(first) == 1 else tuple(first)
            raise ValueError(
                f"[{name}] {what} holds {values[bad][0]} at index {place} ({bad.sum()} such values), expected finite "
                "numbers; leave these events out, or give them a value that says how you want them counted"
            )
    if kind == "f":
        values = values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64, copy=False)
    else:
        values = values.astype(np.float64 if values.dtype == np.uint64 else np.int64, copy=False)
    return np.require(values, requirements="A")


def scores(name: str, what: str, data: Data) -> Array:
    """One finite number per event."""
    return finite(name, what, line(name, what, data))


def same_length(name: str, **arrays: Array) -> None:
    lengths = {what: len(values) for what, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{what} has {n}" for what, n in lengths.items())
        raise ValueError(f"[{name}] {listed} events, expected equally many")


def weights(name: str, data: Data | None, n: int) -> Floats | None:
    """One finite weight per event, not all of them 0; says so if some are negative."""
    if data is None:
        return None
    values = finite(name, "sample_weight", array(data)).astype(np.float64, copy=False)
    if values.shape != (n,):
        raise ValueError(f"[{name}] sample_weight has shape {values.shape}, expected ({n},): one weight per event")
    if not values.any():
        raise ValueError(f"[{name}] all weights are 0, expected some that are not")
    if values.min() < 0:
        share = float((values < 0).mean())
        warn(
            f"[{name}] {share:.1%} of the weights are negative: they are summed as they are, curves may be no longer "
            "monotonic, efficiencies and areas may leave the range from 0 to 1",
            NegativeWeightWarning,
        )
    return values


# ---- labels


def labels(name: str, what: str, data: Data) -> Array:
    """One class per event: integers, bools, strings, or whole numbers in a float array."""
    values = line(name, what, data)
    if values.dtype.kind == "f" and not (finite(name, what, values) == np.floor(values)).all():
        raise ValueError(
            f"[{name}] {what} holds numbers that are not whole, expected classes; a score becomes a class by a "
            "threshold, as in y_score >= 0.5"
        )
    if values.dtype.kind not in "biufUSO":
        raise ValueError(f"[{name}] {what} holds {values.dtype}, expected integers, bools or strings")
    return values


def one_kind(name: str, **arrays: Array) -> None:
    """Numbers and strings are not compared."""
    kinds = {what: values.dtype.kind in "biuf" for what, values in arrays.items()}
    if len(set(kinds.values())) > 1:
        listed = ", ".join(f"{what} holds {values.dtype}" for what, values in arrays.items())
        raise ValueError(f"[{name}] {listed}; expected labels of one kind")


def encode(*arrays: Array) -> tuple[Array, list[NDArray[np.int64]]]:
    """The sorted classes that occur in any of the arrays, and the arrays as indices of these."""
    if all(values.dtype.kind in "biuf" for values in arrays):
        least, most = min(int(v.min()) for v in arrays), max(int(v.max()) for v in arrays)
        if most - least < 1 << 16 and abs(least) < 1 << 53:  # a table instead of sorting
            numbers = [v.astype(np.int64, copy=False) for v in arrays]
            numbers = [v - least if least else v for v in numbers]
            here = np.zeros(most - least + 1, dtype=np.bool_)
            for v in numbers:
                here[v] = True
            if not here.all():
                position = np.cumsum(here) - 1
                numbers = [position[v] for v in numbers]
            kind = np.result_type(*arrays)
            return (np.flatnonzero(here) + least).astype(kind), numbers
    classes, codes = np.unique(np.concatenate(arrays), return_inverse=True)
    return classes, np.split(codes.astype(np.int64), np.cumsum([len(v) for v in arrays])[:-1])


def encode_as(name: str, values: Array, classes: Array) -> NDArray[np.int64]:
    """The labels as indices of these classes."""
    one_kind(name, y_true=values, labels=classes)
    present, (codes,) = encode(values)
    unknown = np.setdiff1d(present, classes)
    if len(unknown):
        raise ValueError(f"[{name}] y_true holds {unknown[:5].tolist()}, which are not among the labels")
    place = np.searchsorted(classes, present)
    return codes if np.array_equal(place, np.arange(len(place))) else place[codes]


def positive(name: str, y_true: Data, pos_label: Any) -> Bools:
    """Which events are of the class `pos_label`; None is 1 if the labels are 0 and 1, or -1 and 1."""
    values = labels(name, "y_true", y_true)
    if values.dtype == np.bool_ and pos_label is None:
        return values
    if pos_label is None:
        usual = values.dtype.kind in "biuf" and (
            bool(((values == 0) | (values == 1)).all()) or bool((abs(values) == 1).all())
        )
        if not usual:
            raise ValueError(
                f"[{name}] y_true holds {', '.join(map(repr, np.unique(values)[:5].tolist()))} and pos_label is not "
                "given, expected labels 0 and 1, or -1 and 1; name the class of the signal by pos_label="
            )
        pos_label = 1
    if values.dtype.kind != "O" and isinstance(pos_label, str) != (values.dtype.kind in "US"):
        raise ValueError(f"[{name}] pos_label is {pos_label!r}, expected one of y_true's labels, {values.dtype}")
    return np.asarray(values == pos_label, dtype=np.bool_)


# ---- sums, by the rows of the op table


def tensor(values: Array) -> Tensor:
    """The array as a tensor that shares its memory."""
    return from_numpy(values)


def total(values: Tensor) -> float:
    """The sum in float64."""
    return float(ops.sum(ops.cast(values, float64)).item())


def mean(name: str, values: Tensor, weight: Floats | None) -> Any:
    """The mean over the first axis in float64: a float of (n,), an array (m,) of (n, m)."""
    values = ops.cast(values, float64)
    if weight is None:
        result = ops.div(ops.sum(values, 0), float(values.shape[0]))
    else:
        w = tensor(weight)
        sum_of_weights = total(w)
        if sum_of_weights == 0:
            raise ValueError(f"[{name}] the weights add up to 0, expected a sum that one can divide by")
        result = ops.div(ops.sum(ops.mul(values, w if values.ndim == 1 else w.reshape(-1, 1)), 0), sum_of_weights)
    return result.item() if result.ndim == 0 else result.numpy()


def mean_square(name: str, values: Tensor, weight: Floats | None) -> Any:
    """The mean of the squares; of one output their sum is a dot product, which needs no array of squares."""
    if values.ndim == 1 and weight is None:
        return float(ops.native_dot(values, values).item()) / values.shape[0]
    return mean(name, ops.square(values), weight)
