"""Membership inference: can one tell from a model's answers which events it was trained on?"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import ops
from trigrad._autograd import enable_grad
from trigrad._core import Tensor, float64, from_numpy
from trigrad._losses import binary_cross_entropy_with_logits
from trigrad._random import Generator, randn, randperm
from trigrad.metrics import roc_auc_score
from trigrad.metrics._inputs import Data, array, line
from trigrad.optim import Adam

__all__ = ["MembershipAttack", "membership_by_loss", "membership_by_model", "membership_features"]

Floats: TypeAlias = NDArray[np.float64]


class MembershipAttack(NamedTuple):
    """How well events of the training are told from others. Without memory of the training: advantage 0, AUC ½."""

    advantage: float
    """the share of members that are called members, less that of others that are"""
    auc: float
    """how probably a member looks more like one than another event does, equal looks counting a half"""
    threshold: float
    """where an event is called a member: at this loss or below it, at this output of the attack model or above it"""


def membership_by_loss(members: Data, others: Data, threshold: float | None = None) -> MembershipAttack:
    """Calls an event a member if its loss is at most `threshold`, which is the mean loss of members unless given: what one
    knows who knows how well the training went (Yeom et al. 2018). `members` (n,) and `others` (m,) are losses of events.

    With the loss 0 or 1 of a wrong answer the advantage is the generalisation gap: the accuracy in training less that on
    others.

    >>> import trigrad as tg
    >>> attack = tg.diagnostics.membership_by_loss([0.0, 0.1, 0.2, 0.9], [0.2, 0.7, 0.8, 0.9])
    >>> attack.advantage, attack.auc
    (0.5, 0.75)
    """
    member, other = (_numbers("membership_by_loss", x) for x in (members, others))
    level = float(member.mean()) if threshold is None else float(threshold)
    if math.isnan(level):
        raise ValueError("[membership_by_loss] threshold is nan, expected a loss")
    return _told(-member, -other, -level)._replace(threshold=level)


def membership_features(output: Data, y: Data) -> Floats:
    """What an attack model sees of an event: its loss, the log-probabilities from the greatest down, and whether the answer is
    right. `output` (n, C) are a classifier's logits, or its log-probabilities; `y` (n,) numbers the classes. -> (n, C + 2)

    >>> import trigrad as tg
    >>> tg.diagnostics.membership_features(tg.tensor([[0.0, 0.0], [5.0, 0.0]]), tg.tensor([0, 1])).round(3)
    array([[ 0.693, -0.693, -0.693,  1.   ],
           [ 5.007, -0.007, -5.007,  0.   ]])
    """
    logits, labels = array(output), line("membership_features", "y", y)
    if logits.ndim != 2 or len(logits) != len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"[membership_features] output is {logits.shape}, y {labels.shape} of {labels.dtype}, expected (n, classes) and (n,) of "
            "whole numbers"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"[membership_features] y goes from {labels.min()} to {labels.max()}, expected 0 to {logits.shape[1] - 1}"
        )
    log_p: Floats = ops.log_softmax(from_numpy(np.array(logits, np.float64)), 1).numpy()
    of_label = log_p[np.arange(len(labels)), labels]
    right = of_label == log_p.max(1)
    return np.column_stack([-of_label, -np.sort(-log_p, axis=1), right])


def membership_by_model(
    members: Data, others: Data, *, known: float = 0.5, hidden: int = 16, steps: int = 300, seed: int = 0
) -> MembershipAttack:
    """Trains a small network to tell members from others by their features (n, f) and (m, f), such as those of
    `membership_features`, on the share `known` of both, and judges it on the rest: the attack of one who knows of some events
    whether they were in the training, and needs no models of his own beside the attacked one ("shadows").

    It is a network f-`hidden`-1 of tanh on standardised features, trained by `steps` of Adam on all events at once, members
    and others having equal weight; it calls an event a member at an output of at least 0.

    >>> import trigrad as tg
    >>> _ = tg.manual_seed(0)
    >>> x, z = tg.randn(400, 2), tg.randn(400, 2)
    >>> tg.diagnostics.membership_by_model(3 * x, z).advantage > 0.4 > 0.2 > tg.diagnostics.membership_by_model(x, z).advantage
    True
    """
    kinds = [_numbers("membership_by_model", x, 2) for x in (members, others)]
    if kinds[0].shape[1] != kinds[1].shape[1]:
        raise ValueError(
            f"[membership_by_model] members are {kinds[0].shape}, others {kinds[1].shape}, expected as many features of both"
        )
    cuts = [round(len(x) * known) for x in kinds]
    if not all(0 < cut < len(x) for cut, x in zip(cuts, kinds, strict=True)):
        raise ValueError(
            f"[membership_by_model] known is {known} of {len(kinds[0])} members and {len(kinds[1])} others, expected a share "
            "that leaves some of both to learn from and some to judge"
        )
    generator = Generator().manual_seed(seed)
    orders = [randperm(len(x), generator=generator).numpy() for x in kinds]
    learned = [x[order[:cut]] for x, order, cut in zip(kinds, orders, cuts, strict=True)]
    judged = [x[order[cut:]] for x, order, cut in zip(kinds, orders, cuts, strict=True)]
    every = np.concatenate(learned)
    deviation = every.std(0)
    offset, scale = every.mean(0), 1 / np.where(deviation > 0, deviation, 1.0)
    x = from_numpy((every - offset) * scale)
    y = from_numpy(np.repeat([1.0, 0.0], cuts))
    weight = from_numpy(np.repeat([0.5 / cut for cut in cuts], cuts))
    wide = x.shape[1]
    parameters = [
        randn(wide, hidden, generator=generator, dtype=float64) / wide**0.5,
        from_numpy(np.zeros(hidden)),
        randn(hidden, 1, generator=generator, dtype=float64) / hidden**0.5,
        from_numpy(np.zeros(1)),
    ]
    for p in parameters:
        p.requires_grad_()

    def score(x: Tensor) -> Tensor:
        a, b, c, d = parameters
        z: Tensor = ops.matmul(ops.tanh(ops.matmul(x, a) + b), c).flatten() + d
        return z

    optimizer = Adam(parameters, lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        with enable_grad():
            loss = binary_cross_entropy_with_logits(score(x), y, weight, reduction="sum")
            loss.backward()
        optimizer.step()
    member, other = (score(from_numpy((rows - offset) * scale)).detach().numpy() for rows in judged)
    return _told(member, other, 0.0)


def _told(member: Floats, other: Floats, threshold: float) -> MembershipAttack:
    """The attack that calls scores of at least `threshold` members."""
    advantage = float((member >= threshold).mean() - (other >= threshold).mean())
    truth = np.repeat([1, 0], [len(member), len(other)])
    return MembershipAttack(advantage, float(roc_auc_score(truth, np.concatenate([member, other]))), threshold)


def _numbers(op: str, data: Data, axes: int = 1) -> Floats:
    values = array(data).astype(np.float64)
    if values.ndim != axes or not len(values) or not np.isfinite(values).all():
        expected = "(events, features)" if axes == 2 else "(events,)"
        raise ValueError(
            f"[{op}] got an array of shape {values.shape}, expected finite numbers {expected}, at least one row"
        )
    return values
