"""Differentiation: `backward` and `grad`, functions with gradients of their own, and checks by finite differences."""

from __future__ import annotations

from trigrad._autograd import (
    backward as backward,
    detect_anomaly as detect_anomaly,
    enable_grad as enable_grad,
    grad as grad,
    inference_mode as inference_mode,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from trigrad.autograd import functional as functional, function as function
from trigrad.autograd.checks import (
    GradcheckError as GradcheckError,
    gradcheck as gradcheck,
    gradgradcheck as gradgradcheck,
)
from trigrad.autograd.function import Function as Function
