"""Libraries and devices that PyTorch's scripts ask about and trigrad does without."""

from __future__ import annotations

import sys
from types import ModuleType

from trigrad._autocast import Fp32Precision
from trigrad.backends import cuda as cuda
from trigrad.backends import cudnn as cudnn
from trigrad.backends import mps as mps

__all__ = ["fp32_precision"]


class _Backends(Fp32Precision, ModuleType):
    """This module, with `fp32_precision`."""


fp32_precision: str
sys.modules[__name__].__class__ = _Backends
