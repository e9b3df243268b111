"""Learning rates that follow a schedule, as PyTorch's: call scheduler.step() after the optimizer's steps of an epoch (or
after each step, for schedules that count steps).

A schedule changes `lr` of the optimizer's parameter groups from what it is now, so that several may act together. For
warm-up put a LinearLR before another schedule: SequentialLR(optimizer, [LinearLR(...), CosineAnnealingLR(...)], [n]).
"""

from __future__ import annotations

from trigrad.optim.lr_scheduler import cosines, cycles, factors, plateau, several
from trigrad.optim.lr_scheduler.base import LRScheduler as LRScheduler
from trigrad.optim.lr_scheduler.cosines import *
from trigrad.optim.lr_scheduler.cycles import *
from trigrad.optim.lr_scheduler.factors import *
from trigrad.optim.lr_scheduler.plateau import *
from trigrad.optim.lr_scheduler.several import *

__all__ = ["LRScheduler"]
__all__ += cosines.__all__
__all__ += cycles.__all__
__all__ += factors.__all__
__all__ += plateau.__all__
__all__ += several.__all__

_LRScheduler = LRScheduler
