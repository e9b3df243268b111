"""Training loops: whole epochs in C++."""

from __future__ import annotations

from trigrad.train.history import History as History
from trigrad.train.trainer import Trainer as Trainer
