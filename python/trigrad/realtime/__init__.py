"""Models that decide in nanoseconds: `Predictor` runs a trained model on one event, or on many, from packed weights.

>>> import numpy as np
>>> import trigrad as tg
>>> model = tg.nn.Sequential(tg.nn.Linear(16, 64), tg.nn.ReLU(), tg.nn.Linear(64, 5), tg.nn.Softmax(-1))
>>> p = tg.realtime.Predictor(model)
>>> p(np.zeros(16, "float32")).shape
(5,)
"""

from __future__ import annotations

import atexit

from trigrad import _core
from trigrad._core import Predictor as Predictor
from trigrad.realtime._difference import difference as difference
from trigrad.realtime._files import read as _read
from trigrad.realtime._files import write as _write
from trigrad.realtime._lowering import lower as _lower
from trigrad.realtime._lowering import place as _place
from trigrad.realtime._scaler import Scaler as Scaler
from trigrad.realtime._study import Decisions as Decisions
from trigrad.realtime._study import Study as Study
from trigrad.realtime._study import study as study

__all__ = ["Decisions", "Predictor", "Scaler", "Study", "difference", "study"]

_core.set_realtime(_lower, _read, _write, _place)
atexit.register(_core.close_predictors)
