"""What the tests search with, importable by processes that start from nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import trigrad as tg
from trigrad import nn
from trigrad.search import GridResult, grid


def network(settings: dict[str, Any], train: Any, validation: Any) -> float:
    """Trained a little, with weights and order from the default generator."""
    model = nn.Sequential(nn.Linear(2, settings["width"]), nn.ReLU(), nn.Linear(settings["width"], 2))
    trainer = tg.Trainer(model, nn.CrossEntropyLoss(), tg.optim.SGD(model.parameters(), lr=settings["lr"]))
    trainer.fit(*train, epochs=2, batch_size=8)
    X, y = (tg.from_numpy(np.ascontiguousarray(a)) for a in validation)
    return -float(nn.functional.cross_entropy(model(X), y))


def peak(settings: dict[str, Any], train: Any, validation: Any) -> float:
    """Best at a = 2, b = 20; another number for each fold."""
    return -((settings["a"] - 2) ** 2) - abs(settings["b"] - 20) / 10 + float(validation[0].sum())


def slow(settings: dict[str, Any], train: Any, validation: Any) -> float:
    time.sleep(0.02)
    return peak(settings, train, validation)


def broken(settings: dict[str, Any], train: Any, validation: Any) -> float:
    """Some points fail, each in its way; those of `flag` only as long as that file is not there."""
    if settings["a"] == "raises":
        raise ValueError("no such thing")
    if settings["a"] == "nan":
        return float("nan")
    if settings["a"] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if settings["a"] == "exits":
        os._exit(3)
    if isinstance(settings["a"], Path) and not settings["a"].exists():
        raise FileNotFoundError("later")
    return 1.0


def threads(settings: dict[str, Any], train: Any, validation: Any) -> float:
    return tg.get_num_threads()


GRID = {"a": [1, 2, 3, 4], "b": [10.0, 20.0, 30.0]}
X = np.arange(12.0) / 8


def search(path: str | os.PathLike[str] | None, estimator: Any = slow, **options: Any) -> GridResult:
    return grid(estimator, GRID, X, cv=3, path=path, **options)


def bits(found: GridResult) -> list[bytes]:
    return [found.cv_results_[f"split{k}_test_score"].tobytes() for k in range(found.n_splits_)]
