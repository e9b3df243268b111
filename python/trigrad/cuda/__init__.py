"""GPUs, under PyTorch's names. A tensor comes to one with ``x.to("cuda")``; ops on it run there, and give the CPU's bits.

The kernels are a module of their own, loaded when a GPU is first asked for. Without it, a driver or a GPU everything else works:
``absence()`` says what is missing.
"""

from __future__ import annotations

import sys
from types import ModuleType

from trigrad._autocast import Allows
from trigrad._core import OutOfMemoryError as OutOfMemoryError
from trigrad.cuda import _devices as _devices
from trigrad.cuda import amp as amp
from trigrad.cuda import memory as memory
from trigrad.cuda import random as random
from trigrad.cuda import streams as streams
from trigrad.cuda._devices import *
from trigrad.cuda.memory import *
from trigrad.cuda.random import *
from trigrad.cuda.streams import *

__all__ = ["OutOfMemoryError"]
__all__ += _devices.__all__
__all__ += memory.__all__
__all__ += random.__all__
__all__ += streams.__all__


class _Cuda(Allows, ModuleType):
    """This module, with `allow_tf32`: may products of float32 on GPUs be made by tensor cores?"""


allow_tf32: bool
sys.modules[__name__].__class__ = _Cuda
