"""Libraries and devices that PyTorch's scripts ask about and trigrad does without."""

from __future__ import annotations

from trigrad.backends import cuda as cuda
from trigrad.backends import cudnn as cudnn
from trigrad.backends import mps as mps
