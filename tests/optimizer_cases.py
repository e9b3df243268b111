"""Every optimizer with every option, and what it walks over."""

from __future__ import annotations

from typing import Any

from values import Array, real

SHAPES = ((5, 3), (17,), (1,), ())
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_weight_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    "sgd_maximize": ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad_decays": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    "adagrad_start": ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    "adadelta": ("Adadelta", {}),
    "adadelta_options": ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_centered": ("RMSprop", {"centered": True, "weight_decay": 0.1, "alpha": 0.9}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.8, "maximize": True}),
    "rmsprop_both": ("RMSprop", {"momentum": 0.8, "centered": True, "eps": 1e-3}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_betas": ("Adam", {"lr": 0.01, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    "adam_amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True, "maximize": True}),
    "adam_decoupled": ("Adam", {"lr": 0.01, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.3}),
    "adamw_amsgrad": ("AdamW", {"lr": 0.01, "amsgrad": True}),
    "adamax": ("Adamax", {}),
    "adamax_options": ("Adamax", {"betas": (0.5, 0.6), "eps": 0.1, "weight_decay": 0.1, "maximize": True}),
    "nadam": ("NAdam", {}),
    "nadam_options": ("NAdam", {"momentum_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    "nadam_decoupled": ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam": ("RAdam", {"lr": 0.01}),
    "radam_options": ("RAdam", {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}),
    "radam_decoupled": ("RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "asgd": ("ASGD", {}),
    "asgd_options": ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 4, "weight_decay": 0.1, "maximize": True}),
    "rprop": ("Rprop", {}),
    "rprop_options": ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.2), "maximize": True}),
}


def start(dtype: str) -> list[Array]:
    return [real(s, f"optim.start.{k}", dtype) for k, s in enumerate(SHAPES)]


def gradient(dtype: str, step: int) -> list[Array]:
    """Some gradients are zero, and Rprop wants signs that change."""
    made = [real(s, f"optim.grad.{k}.{step}", dtype) for k, s in enumerate(SHAPES)]
    made[0][step % 5] = 0
    return made
