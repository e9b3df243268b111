"""What a study is asked for: the network, its training, and what its decisions are for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from trigrad import _core, nn, optim
from trigrad._device import device as Device

__all__ = ["Settings"]

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "hardtanh": nn.Hardtanh,
}
OPTIMIZERS: dict[str, Any] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
}


@dataclass(frozen=True)
class Settings:
    """All of it; a model file (TOML) may say each of [model] and [training].

    >>> from trigrad._study import Settings
    >>> Settings(hidden=(8,)).network(4, 2)
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    """

    # [model]
    hidden: tuple[int, ...] = (64, 32, 32)
    activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.0
    # [training]
    epochs: int = 60
    batch_size: int = 256
    optimizer: str = "adam"
    lr: float = 3e-3
    weight_decay: float = 0.0
    patience: int = 12
    """epochs without a smaller validation loss after which the training ends; a third of it: the learning rate halves"""
    balanced: bool = False
    """classes weigh the same, however many events they have"""
    # of the study
    seed: int = 0
    resamples: int = 200
    """draws of a bootstrap interval"""
    background: tuple[str, ...] = ()
    """classes that make the trigger's rate; all others if none"""
    trigger_rate_khz: float = 100.0
    input_rate_khz: float = 40_000.0
    seconds: float = 0.3
    """for each row of the latencies"""
    device: str = "cpu"
    """where it learns; the bits are the same everywhere"""

    def __post_init__(self) -> None:
        def refuse(name: str, expected: str) -> None:
            raise ValueError(f"[study] {name} is {getattr(self, name)!r}, expected {expected}")

        if not all(type(n) is int and 0 < n <= 100_000 for n in self.hidden):
            refuse("hidden", "the widths of the hidden layers, such as [64, 32, 32]")
        if self.activation not in ACTIVATIONS:
            refuse("activation", f"one of {', '.join(ACTIVATIONS)}")
        if self.optimizer not in OPTIMIZERS:
            refuse("optimizer", f"one of {', '.join(OPTIMIZERS)}")
        try:
            Device(self.device)
        except (RuntimeError, TypeError):
            refuse("device", "'cpu', 'cuda' or for instance 'cuda:1'")
        _core.move(_core.empty((0,), None, "cpu"), self.device, "study")  # is it there? before events are read
        if not 0 <= self.dropout < 1:
            refuse("dropout", "a share from 0 to below 1")
        for name in ("epochs", "batch_size", "patience"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                refuse(name, "a whole number, 1 at least")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            refuse("seed", "a whole number from 0 to below 2^63")
        if self.resamples < 2:
            refuse("resamples", "2 or more")
        for name in ("lr", "seconds", "input_rate_khz", "trigger_rate_khz"):
            if not 0 < getattr(self, name) < float("inf"):
                refuse(name, "a number above 0")
        if not 0 <= self.weight_decay < float("inf"):
            refuse("weight_decay", "0 or more")
        if self.trigger_rate_khz > self.input_rate_khz:
            refuse("trigger_rate_khz", f"at most the input rate, {self.input_rate_khz:g}")

    @staticmethod
    def of_file(path: str | Path) -> Settings:
        """The settings that a TOML file says, and the usual ones."""
        try:
            with open(path, "rb") as file:
                said = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"[study] {path} is no TOML: {error}") from None
        if odd := [name for name in said if name not in GROUPS]:
            raise ValueError(f"[study] {path} has [{odd[0]}], expected {' and '.join(f'[{g}]' for g in GROUPS)}")
        found: dict[str, Any] = {}
        for group, names in GROUPS.items():
            held = said.get(group, {})
            if not isinstance(held, Mapping):
                raise ValueError(f"[study] {path}: {group} is {held!r}, expected a table [{group}]")  # noqa: TRY004 -- the file's fault
            for name, value in held.items():
                if name not in names:
                    raise ValueError(f"[study] {path}, [{group}] has {name!r}, expected {', '.join(names)}")
                found[name] = _of_kind(f"{path}, [{group}] {name}", value, getattr(Settings(), name))
        return replace(Settings(), **found)

    def network(self, features: int, outputs: int) -> nn.Sequential:
        """Dense layers; the last one gives one number per class before softmax, or the one that is learned."""
        layers: list[nn.Module] = []
        width = features
        for n in self.hidden:
            layers.append(nn.Linear(width, n))
            layers += [nn.BatchNorm1d(n)] if self.batch_norm else []
            layers.append(ACTIVATIONS[self.activation]())
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
            width = n
        return nn.Sequential(*layers, nn.Linear(width, outputs))

    def optimizer_of(self, model: nn.Module) -> optim.Optimizer:
        made: optim.Optimizer = OPTIMIZERS[self.optimizer](
            model.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        return made

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return {f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v for f in fields(self)}


GROUPS = {
    "model": ("hidden", "activation", "batch_norm", "dropout"),
    "training": ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "patience", "balanced"),
}


def _of_kind(where: str, value: Any, usual: Any) -> Any:
    if isinstance(usual, tuple) and isinstance(value, list):
        return tuple(value)
    if type(usual) is float and type(value) is int:
        return float(value)
    if type(value) is not type(usual):
        kind = "a list" if isinstance(usual, tuple) else f"such as {usual!r}"
        raise ValueError(f"[study] {where} is {value!r}, expected {kind}")
    return value
