"""Training loops."""

from trigrad.train.trainer import History as History
from trigrad.train.trainer import Trainer as Trainer

__all__ = ["History", "Trainer"]
