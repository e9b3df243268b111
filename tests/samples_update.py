"""Samples of the optimizers' rows: lists of parameters of several shapes, at several steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from samples_base import LARGE, SAMPLES
from values import Array, Sample, real

SHAPES = ((), (5,), (16,), (3, 7), (2, 0, 3), (2, 3, 4), (65,))
# Per row: how many states of a parameter's shape, which single numbers besides the step, and the choices of options.
ROWS: dict[str, tuple[int, tuple[float, ...], tuple[dict[str, Any], ...]]] = {
    "sgd_": (0, (), (
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.5, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.25},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.5, "l1": 1.0},
    )),
    "adagrad_": (1, (), ({"lr": 0.1}, {"lr": 0.1, "lr_decay": 0.5, "weight_decay": 0.25, "maximize": True})),
    "adadelta_": (2, (), ({"lr": 1.0}, {"lr": 0.5, "rho": 0.75, "eps": 0.01, "weight_decay": 0.25, "maximize": True})),
    "rmsprop_": (1, (), (
        {"lr": 0.1},
        {"lr": 0.1, "centered": True, "weight_decay": 0.25},
        {"lr": 0.1, "momentum": 0.5, "maximize": True},
        {"lr": 0.1, "momentum": 0.5, "centered": True, "alpha": 0.75},
    )),
    "adam_": (2, (), (
        {"lr": 0.1},
        {"lr": 0.1, "amsgrad": True, "maximize": True},
        {"lr": 0.1, "weight_decay": 0.25, "beta1": 0.5, "beta2": 0.75, "eps": 0.01},
        {"lr": 0.1, "weight_decay": 0.25, "decoupled_weight_decay": True},
    )),
    "adamax_": (2, (), ({"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.25, "eps": 0.5, "maximize": True})),
    "nadam_": (2, (0.25,), (
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.25, "momentum_decay": 0.5, "maximize": True},
        {"lr": 0.1, "weight_decay": 0.25, "decoupled_weight_decay": True},
    )),
    "radam_": (2, (), (
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.25, "beta2": 0.5, "maximize": True},
        {"lr": 0.1, "weight_decay": 0.25, "decoupled_weight_decay": True},
    )),
    "asgd_": (1, (0.125, 0.5), ({"lr": 0.1}, {"lr": 0.1, "lambd": 0.25, "t0": 2.0, "weight_decay": 0.25})),
    "rprop_": (2, (), ({}, {"eta_minus": 0.25, "eta_plus": 2.0, "step_max": 1.0, "maximize": True})),
}  # fmt: skip


def members(
    row: str, shapes: tuple[tuple[int, ...], ...], step: int, options: dict[str, Any], t: str
) -> tuple[Array, ...]:
    states, numbers, _ = ROWS[row]
    states += (options.get("momentum", 0) != 0) + options.get("centered", False) + options.get("amsgrad", False)
    found = [real(s, f"{row}{k}.p", t) for k, s in enumerate(shapes)]
    found += [real(s, f"{row}{k}.g{step}", t) for k, s in enumerate(shapes)]
    for i in range(states):  # averages of squares are positive, and greater than the squares of averages
        low, high = (-0.5, 0.5) if row == "rprop_" and i == 0 else (0.5, 1.0) if i != 1 else (0.25, 0.5)
        found += [real(s, f"{row}{k}.s{i}", t, low, high) for k, s in enumerate(shapes)]
    if row != "sgd_":
        found += [np.array(step + (k > 1), t) for k in range(len(shapes))]  # the first two are a step behind
    for number in numbers:
        found += [np.array(number, t) for _ in shapes]
    return tuple(found)


def maker(row: str) -> Any:
    def make(t: str) -> Iterator[Sample]:
        for options in ROWS[row][2]:
            for step in (0, 1, 7):
                shapes = SHAPES if step else tuple(s for s in SHAPES if 0 not in s)
                yield Sample(f"step {step} {options}", members(row, shapes, step, options, t), options)

    return make


for name in ROWS:
    SAMPLES[name] = maker(name)
    LARGE[name] = lambda t, row=name: Sample(  # type: ignore[misc]
        "large", members(row, ((300, 403), (17,)), 3, ROWS[row][2][0], t), ROWS[row][2][0]
    )
