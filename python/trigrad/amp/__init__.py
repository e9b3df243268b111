"""Automatic mixed precision, under PyTorch's names."""

from __future__ import annotations

from trigrad._autocast import autocast as autocast
from trigrad._autocast import is_autocast_available as is_autocast_available
from trigrad.amp.scaler import GradScaler as GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_available"]
