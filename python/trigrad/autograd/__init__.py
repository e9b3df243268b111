"""Differentiation: `backward` and `grad`, functions with gradients of their own, and checks by finite differences."""

from __future__ import annotations

from trigrad._anomaly import (
    detect_anomaly as detect_anomaly,
)
from trigrad._anomaly import (
    set_detect_anomaly as set_detect_anomaly,
)
from trigrad._autograd import (
    backward as backward,
)
from trigrad._autograd import (
    enable_grad as enable_grad,
)
from trigrad._autograd import (
    grad as grad,
)
from trigrad._autograd import (
    inference_mode as inference_mode,
)
from trigrad._autograd import (
    no_grad as no_grad,
)
from trigrad._autograd import (
    set_grad_enabled as set_grad_enabled,
)
from trigrad.autograd import function as function
from trigrad.autograd import functional as functional
from trigrad.autograd.checks import (
    GradcheckError as GradcheckError,
)
from trigrad.autograd.checks import (
    gradcheck as gradcheck,
)
from trigrad.autograd.checks import (
    gradgradcheck as gradgradcheck,
)
from trigrad.autograd.function import Function as Function
from trigrad.autograd.variable import Variable as Variable
