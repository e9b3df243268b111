"""Models that a predictor takes, and events for them: ordinary ones, denormals, infinities, NaN."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import trigrad as tg
from trigrad import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "CELU": lambda: nn.CELU(0.7),
    "ELU": lambda: nn.ELU(1.3),
    "GELU": nn.GELU,
    "GELU tanh": lambda: nn.GELU("tanh"),
    "GLU": nn.GLU,
    "Hardshrink": lambda: nn.Hardshrink(0.3),
    "Hardsigmoid": nn.Hardsigmoid,
    "Hardswish": nn.Hardswish,
    "Hardtanh": lambda: nn.Hardtanh(-0.4, 0.6),
    "Identity": nn.Identity,
    "LeakyReLU": lambda: nn.LeakyReLU(0.1),
    "LogSigmoid": nn.LogSigmoid,
    "LogSoftmax": lambda: nn.LogSoftmax(-1),
    "Maxout": lambda: nn.Maxout(24, 24, 3),
    "Mish": nn.Mish,
    "PReLU": nn.PReLU,
    "PReLU per channel": lambda: nn.PReLU(24),
    "RReLU": nn.RReLU,
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.ReLU(True),
    "ReLU6": nn.ReLU6,
    "SELU": nn.SELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
    "Softmax": lambda: nn.Softmax(-1),
    "Softmin": lambda: nn.Softmin(1),
    "Softplus": lambda: nn.Softplus(1.5, 10),
    "Softshrink": lambda: nn.Softshrink(0.2),
    "Softsign": nn.Softsign,
    "Square": nn.Square,
    "Step": nn.Step,
    "Tanh": nn.Tanh,
    "Tanhshrink": nn.Tanhshrink,
    "Threshold": lambda: nn.Threshold(0.1, -0.5),
}


def with_activation(name: str) -> nn.Sequential:
    after = 12 if name == "GLU" else 24
    return nn.Sequential(
        nn.Linear(7, 24),
        ACTIVATIONS[name](),
        nn.Linear(after, 5),
        ACTIVATIONS[name]() if after == 24 and name not in ("Maxout", "PReLU per channel") else nn.Tanh(),
    )


def chain(*widths: int, last: nn.Module | None = None, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Dense layers of these widths with activations between them."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.Linear(a, b), activation()] if i < len(widths) - 2 else [nn.Linear(a, b)]
    return nn.Sequential(*layers, *([] if last is None else [last]))


def trained_norm(features: int, affine: bool = True) -> nn.BatchNorm1d:
    """A batch norm whose statistics are not those of the start."""
    norm = nn.BatchNorm1d(features, affine=affine)
    rng = np.random.default_rng(features)
    norm.running_mean = tg.tensor(rng.standard_normal(features).astype("f"))
    norm.running_var = tg.tensor((rng.random(features) * 2 + 0.01).astype("f"))
    if affine:
        with tg.no_grad():
            norm.weight.copy_(tg.tensor(rng.standard_normal(features).astype("f")))
            norm.bias.copy_(tg.tensor(rng.standard_normal(features).astype("f")))
    return norm


def filled_standardize(features: int) -> nn.Standardize:
    layer = nn.Standardize(features)
    rng = np.random.default_rng(features)
    layer.offset.copy_(tg.tensor(rng.standard_normal(features).astype("f")))
    layer.scale.copy_(tg.tensor((rng.random(features) * 3 + 0.01).astype("f")))
    return layer


MODELS: dict[str, Callable[[], nn.Module]] = {
    "jet": lambda: chain(16, 64, 32, 32, 5, last=nn.Softmax(-1)),
    "ecal": lambda: chain(12, 32, 16, 1, last=nn.Sigmoid()),
    "autoencoder": lambda: chain(57, 32, 16, 3, 16, 32, 57),
    "deep narrow": lambda: chain(5, *[3] * 18, 1),
    "wide": lambda: chain(33, 301, 65, 2, activation=nn.Tanh),
    "one to one": lambda: chain(1, 1),
    "one column": lambda: chain(70, 1),
    "one column then more": lambda: chain(70, 1, 40, 1),
    "no bias": lambda: nn.Sequential(nn.Linear(9, 20, bias=False), nn.ReLU(), nn.Linear(20, 1, bias=False)),
    "many classes": lambda: chain(10, 20, 100, last=nn.Softmax(-1)),
    "softmax of 17": lambda: chain(10, 17, last=nn.LogSoftmax(-1)),
    "softmax first": lambda: nn.Sequential(nn.Softmax(-1), nn.Linear(11, 4)),
    "activation first": lambda: nn.Sequential(nn.Tanh(), nn.Linear(11, 20), nn.Tanh()),
    "batch norm first": lambda: nn.Sequential(
        trained_norm(13), nn.Linear(13, 21), trained_norm(21), nn.ReLU(), nn.Linear(21, 3)
    ),
    "batch norm last": lambda: nn.Sequential(
        nn.Linear(13, 21), nn.ReLU(), nn.Dropout(0.3), trained_norm(21, affine=False)
    ),
    "standardised": lambda: nn.Sequential(
        filled_standardize(13),
        nn.Linear(13, 21),
        filled_standardize(21),
        nn.ReLU(),
        nn.Linear(21, 3),
        filled_standardize(3),
    ),
    "residual": lambda: nn.Sequential(
        nn.Linear(9, 20),
        nn.Residual(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20)),
        nn.Residual(nn.ReLU(), nn.Linear(20, 6), shortcut=nn.Linear(20, 6)),
    ),
    "residual of a relu in place": lambda: nn.Sequential(
        nn.Linear(9, 20), nn.Residual(nn.ReLU(True), nn.Linear(20, 20)), nn.Tanh()
    ),
    "residual of the event": lambda: nn.Residual(nn.Linear(11, 11), nn.SiLU()),
    "highway": lambda: nn.Sequential(nn.Linear(9, 18), nn.Highway(18), nn.Highway(18, nn.Tanh()), nn.Linear(18, 2)),
    "concatenation": lambda: nn.Sequential(
        nn.DenseConcat(nn.Linear(9, 5), nn.ReLU()), nn.DenseConcat(nn.Linear(14, 19), nn.Tanh()), nn.Linear(33, 2)
    ),
    "concatenation last": lambda: nn.DenseConcat(nn.Linear(9, 5), nn.DenseConcat(nn.Linear(5, 3))),
    "layers between": lambda: nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(4, 4), nn.Identity()),
}


def build(name: str, seed: int = 7) -> nn.Module:
    tg.manual_seed(seed)
    return (MODELS[name]() if name in MODELS else with_activation(name)).eval()


def rounded(model: nn.Module) -> nn.Module:
    """The model with bfloat16 weights in its dense layers, kept in float32."""
    made = copy.deepcopy(model)
    for part in made.modules():
        if isinstance(part, nn.Linear):
            part.weight = nn.Parameter(part.weight.detach().bfloat16().float())
    return made


def events(features: int, count: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """A third ordinary, a third of any size down to denormals, a third with special values here and there."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, features)).astype(np.float32)
    third = count // 3
    x[third : 2 * third] *= np.float32(2.0) ** rng.integers(-149, 30, (third, features)).astype(np.float32)
    specials = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754942e-38, 3.4e38, -3.4e38], "f")
    here = rng.random((count - 2 * third, features)) < 0.15
    x[2 * third :] = np.where(here, rng.choice(specials, here.shape), x[2 * third :])
    return x


def eager(model: nn.Module, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with tg.no_grad():
        return model(tg.tensor(x)).numpy()


def same_bits(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Equal, zeros with their signs, any NaN being equal to any NaN."""
    return a.shape == b.shape and bool((np.isnan(a) & np.isnan(b) | (a.view("u4") == b.view("u4"))).all())
