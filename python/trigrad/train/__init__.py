"""Training loops: whole epochs in C++, and what happens between them.

`Trainer(model, loss, optimizer).fit(X, y, ...)` trains; callbacks stop, save, schedule, watch and log; a checkpoint goes on
with the bits of a training that was not interrupted.
"""

from __future__ import annotations

from trigrad.train.callbacks import *
from trigrad.train.data import fingerprint as fingerprint
from trigrad.train.history import History as History
from trigrad.train.loggers import *
from trigrad.train.trainer import Trainer as Trainer
