"""A trained network with all that its answers need: the scaler, the names of features and classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import _saving, nn
from trigrad.data import Standardizer
from trigrad.realtime import Predictor

__all__ = ["Saved"]

Array: TypeAlias = NDArray[Any]
KIND = "trigrad.study"
MOST_ROWS = 16_384  # of one call
PARTS = {"kind", "model", "scaler", "features", "classes", "target"}


@dataclass(frozen=True)
class Saved:
    """What a study keeps. `model` gives one number per class before softmax, or (without classes) the one that was learned,
    from standardized features."""

    model: nn.Module
    scaler: Standardizer
    features: tuple[str, ...]
    classes: tuple[str, ...]
    target: str

    def predictor(
        self, precision: Any = "float32", *, calibration: Array | None = None, raw_logits: bool = False
    ) -> Predictor:
        """From features as they come to probabilities (or raw_logits), or to the number."""
        model = self.model
        if self.classes and not raw_logits:
            model = nn.Sequential(model, nn.Softmax(-1)).eval()
        return Predictor(model, 1, precision, calibration=calibration, scaler=self.scaler.scaler())

    def answers(self, X: Array) -> Array:
        """Of all events X (n, features): (n, classes), or (n, 1)."""
        return answers(self.predictor(), X)

    def save(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        held = {"kind": KIND, "model": self.model, "scaler": self.scaler, "features": list(self.features)}
        held |= {"classes": list(self.classes), "target": self.target}
        _saving.save(held, path, provenance=provenance)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Saved:
        held = loaded(path)
        if not isinstance(held, dict) or held.get("kind") != KIND or set(held) != PARTS:
            raise ValueError(f"[study] {path} holds something else, expected a model that `trigrad study` wrote")
        model, scaler, target = held["model"], held["scaler"], held["target"]
        names = [held[part] for part in ("features", "classes")]
        if (
            not isinstance(model, nn.Module)
            or not isinstance(scaler, Standardizer)
            or not isinstance(target, str)
            or not all(isinstance(n, list) and all(isinstance(v, str) for v in n) for n in names)
        ):
            raise ValueError(f"[study] {path} is of `trigrad study`, but its parts are not in order")
        return Saved(model.eval(), scaler, tuple(names[0]), tuple(names[1]), target)


def loaded(path: str | os.PathLike[str]) -> Any:
    """What `trigrad.load` gives; what is wrong with the file is said with its name."""
    try:
        return _saving.load(path)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def answers(predictor: Predictor, X: Array) -> Array:
    """Of all events X (n, inputs): (n, outputs). As many rows per call as there may be."""
    x = np.ascontiguousarray(X, dtype=np.float32)
    many = Predictor.from_bytes(predictor.to_bytes(), max(1, min(len(x), MOST_ROWS)))
    parts = [many(x[i : i + many.batch]) for i in range(0, len(x), many.batch)]
    return np.concatenate([p.reshape(-1, predictor.outputs) for p in parts])
