"""Neural networks, under PyTorch's names."""

from __future__ import annotations

from trigrad.nn import functional as functional

__all__ = ["functional"]
