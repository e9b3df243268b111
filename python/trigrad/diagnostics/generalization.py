"""What a choice knows of its data, and how far its loss on other data can be from that on them."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad.metrics._inputs import Data, array

__all__ = ["generalization_bound", "gibbs_choice", "mutual_information"]

Floats: TypeAlias = NDArray[np.float64]


def generalization_bound(information: float, n: int, sigma: float = 0.5) -> float:
    """√(2σ²I/N): the expected loss on new data is not further from that in training, in the mean over data sets S of N
    independent events and over what the training draws (Xu & Raginsky 2017). I = I(W; S) is in nats; σ is such that the loss
    of an event is σ-sub-Gaussian for any W: its deviation if it is normal, half of its range if it has one. The default is
    for losses from 0 to 1, such as wrong answers: √(I/2N).

    >>> from trigrad import diagnostics
    >>> import math
    >>> round(diagnostics.generalization_bound(math.log(16), 100), 4)  # the best of 16 models on 100 events
    0.1177
    """
    if not (information >= 0 and n >= 1 and sigma >= 0):
        raise ValueError(
            f"[generalization_bound] got information {information}, n {n}, sigma {sigma}, expected at least 0, 1 and 0"
        )
    return sigma * math.sqrt(2 * information / n)


def gibbs_choice(losses: Data, beta: float = math.inf) -> Floats:
    """How probably each of K models is chosen for each of some data sets: exp(−β Σ loss), normalised. `losses` (..., K) are
    sums over the events of a set. β = ∞ takes the best, equally good ones alike; β = 0 does not look at the data. -> (..., K)

    >>> from trigrad import diagnostics
    >>> diagnostics.gibbs_choice([[3.0, 1.0, 1.0]]).tolist(), diagnostics.gibbs_choice([5.0, 1.0], beta=0.0).tolist()
    ([[0.0, 0.5, 0.5]], [0.5, 0.5])
    """
    if not beta >= 0:
        raise ValueError(f"[gibbs_choice] beta is {beta}, expected 0 or more")
    total = array(losses).astype(np.float64)
    if not total.size or not np.isfinite(total).all():
        raise ValueError(
            f"[gibbs_choice] losses are {total.shape}, expected finite numbers (..., models), at least one"
        )
    above = total - total.min(-1, keepdims=True)
    weight = (above == 0).astype(np.float64) if math.isinf(beta) else np.exp(-beta * above)
    made: Floats = weight / weight.sum(-1, keepdims=True)
    return made


def mutual_information(choice: Data, probability: Data | None = None) -> float:
    """I(W; S) in nats of a choice among K models: the mean, over data sets, of the Kullback-Leibler distance of p(w | s) from
    p(w) = E p(w | S). `choice` (sets, K) is p(w | s) (see `gibbs_choice`) and `probability` (sets,) that of each set, all the
    same unless given: exact where all sets are listed, and an estimate, too low by about (K − 1) / 2·sets, from a sample.

    >>> from trigrad import diagnostics
    >>> round(diagnostics.mutual_information([[1.0, 0.0], [0.0, 1.0]]), 4)  # the model tells one bit of the data
    0.6931
    >>> diagnostics.mutual_information([[0.5, 0.5], [0.5, 0.5]])
    0.0
    """
    p = array(choice).astype(np.float64)
    if p.ndim != 2 or not p.size or (p < 0).any() or not np.allclose(p.sum(1), 1):
        raise ValueError(
            f"[mutual_information] choice is {p.shape}, expected (sets, models), probabilities in each row"
        )
    weight = np.full(len(p), 1.0) if probability is None else array(probability).astype(np.float64)
    if weight.shape != (len(p),) or not (weight >= 0).all() or not 0 < weight.sum() < math.inf:
        raise ValueError(
            f"[mutual_information] probability is {weight.shape}, expected a finite one of at least 0 for each of {len(p)} sets"
        )
    weight = weight / weight.sum()
    mean = weight @ p
    ratio = np.divide(p, mean, out=np.ones_like(p), where=p > 0)
    return max(float(weight @ (p * np.log(ratio)).sum(1)), 0.0)
