"""Losses: how far outputs are from their targets. Composites of rows, so that the tape differentiates them.

All take `reduction` ("mean", "sum", "none") and `sample_weight`, one weight per event (of any sign) that multiplies its
loss: the mean is Σ w·l / n, never / Σ w, so that the weights of simulated events keep their meaning.
"""

from __future__ import annotations

from trigrad._losses import base as base
from trigrad._losses import classification, margins, regression
from trigrad._losses.base import reduction_of as reduction_of
from trigrad._losses.classification import *
from trigrad._losses.margins import *
from trigrad._losses.regression import *

__all__: list[str] = []
__all__ += classification.__all__
__all__ += margins.__all__
__all__ += regression.__all__
