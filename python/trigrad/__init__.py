"""trigrad: neural networks for physics, with PyTorch's names, C++ speed and the same bits everywhere."""

from __future__ import annotations

from importlib import import_module as _import_module
from math import e as e, inf as inf, nan as nan, pi as pi
from typing import TYPE_CHECKING

# ruff: noqa: I001 -- the order matters: a later name takes the place of an earlier one

from trigrad import _core

# Every row of the op table; those that stand for themselves are public here as well, so that a new row needs no line.
from trigrad import ops as ops
from trigrad.ops import *

from trigrad._core import (
    OutOfMemoryError as OutOfMemoryError,
    Size as Size,
    Tensor as Tensor,
    dtype as dtype,
    empty_cache as empty_cache,
    get_num_threads as get_num_threads,
    memory_stats as memory_stats,
    reset_peak_memory_stats as reset_peak_memory_stats,
    set_num_threads as set_num_threads,
    bfloat16 as bfloat16,
    bool as bool,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    uint8 as uint8,
    uint16 as uint16,
    uint32 as uint32,
)
from trigrad._device import *
from trigrad._dtypes import *
from trigrad._creation import *
from trigrad._random import *

# After the ops: softmax, var, ... take more than the rows of these names.
from trigrad._elementwise import *
from trigrad._reductions import *  # type: ignore[assignment]
from trigrad._views import *
from trigrad._shaping import *
from trigrad._einsum import *
from trigrad._linalg import *
from trigrad._ordering import *
from trigrad._indexing import *
from trigrad._functional import *  # type: ignore[assignment]
from trigrad._legacy import *
from trigrad._printing import *
from trigrad._saving import *
from trigrad._paths import *
from trigrad._switches import *
from trigrad._autocast import *
from trigrad._anomaly import *
from trigrad._autograd import *
from trigrad._compile import *
from trigrad._graph import *
from trigrad import _autograd, _docs, _methods
from trigrad import autograd as autograd

newaxis = None
float = float32
double = float64
half = float16
long = int64
int = int32
short = int16

__version__: str = _core.build_info()["version"]
arithmetic_version = _core.build_info()["arithmetic_version"]

_autograd.install()
_docs.install()
_methods.install()
del annotations


if TYPE_CHECKING:
    from trigrad import accelerator as accelerator
    from trigrad import amp as amp
    from trigrad import backends as backends
    from trigrad import cuda as cuda
    from trigrad import data as data
    from trigrad import diagnostics as diagnostics
    from trigrad import export as export
    from trigrad import metrics as metrics
    from trigrad import nn as nn
    from trigrad import optim as optim
    from trigrad import plot as plot
    from trigrad import realtime as realtime
    from trigrad import search as search
    from trigrad import sklearn as sklearn
    from trigrad import testing as testing
    from trigrad import train as train
    from trigrad import utils as utils
    from trigrad import version as version
    from trigrad.amp import GradScaler as GradScaler
    from trigrad.train import History as History
    from trigrad.train import Trainer as Trainer


_LAZY = frozenset(
    (
        "accelerator",
        "amp",
        "backends",
        "cuda",
        "data",
        "diagnostics",
        "export",
        "metrics",
        "nn",
        "optim",
        "plot",
        "realtime",
        "search",
        "sklearn",
        "testing",
        "train",
        "utils",
        "version",
    )
)
_ELSEWHERE = {"GradScaler": "amp", "History": "train", "Trainer": "train"}


def __getattr__(name: str) -> object:
    """Packages, and names of theirs, that are loaded when they are first asked for."""
    if name in _LAZY:
        return _import_module(f"trigrad.{name}")
    if name in _ELSEWHERE:
        return getattr(_import_module(f"trigrad.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module 'trigrad' has no attribute {name!r}")
