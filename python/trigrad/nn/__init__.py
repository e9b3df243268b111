"""Networks: modules, layers, activations, losses, and what is done with them."""

from __future__ import annotations

from trigrad.nn import functional as functional
from trigrad.nn import init as init
from trigrad.nn import parameter as parameter
from trigrad.nn import utils as utils
from trigrad.nn.activations import *
from trigrad.nn.blocks import *
from trigrad.nn.classic import *
from trigrad.nn.containers import *
from trigrad.nn.distances import *
from trigrad.nn.dropout import *
from trigrad.nn.folding import *
from trigrad.nn.joint_activations import *
from trigrad.nn.lazy import *
from trigrad.nn.linear import *
from trigrad.nn.losses import *
from trigrad.nn.module import *
from trigrad.nn.normalization import *
from trigrad.nn.parameter import Buffer as Buffer
from trigrad.nn.parameter import Parameter as Parameter
