"""Optimizers under PyTorch's names. A step is one call of the table over all parameters of a group, with all that changes
between steps in tensors or attributes of that call.
"""

from __future__ import annotations

from trigrad.optim import lr_scheduler as lr_scheduler
from trigrad.optim.adagrad import Adadelta as Adadelta
from trigrad.optim.adagrad import Adagrad as Adagrad
from trigrad.optim.adagrad import RMSprop as RMSprop
from trigrad.optim.adam import Adam as Adam
from trigrad.optim.adam import Adamax as Adamax
from trigrad.optim.adam import AdamW as AdamW
from trigrad.optim.adam import NAdam as NAdam
from trigrad.optim.adam import RAdam as RAdam
from trigrad.optim.descent import GradientDescent as GradientDescent
from trigrad.optim.lbfgs import LBFGS as LBFGS
from trigrad.optim.optimizer import Optimizer as Optimizer
from trigrad.optim.sgd import ASGD as ASGD
from trigrad.optim.sgd import SGD as SGD
from trigrad.optim.sgd import ProximalSGD as ProximalSGD
from trigrad.optim.sgd import Rprop as Rprop

del annotations
