"""The functions behind the modules: a table of contents."""

from __future__ import annotations

from trigrad._functional import *
from trigrad._indexing import embedding as embedding, one_hot as one_hot
from trigrad._linalg import bilinear as bilinear, linear as linear
from trigrad._losses import *
from trigrad.nn._functions import *
from trigrad.ops import (
    elu as elu,
    gelu as gelu,
    leaky_relu as leaky_relu,
    relu as relu,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    softplus as softplus,
    tanh as tanh,
)
