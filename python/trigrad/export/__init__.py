"""Models as something else: `cpp_header` writes one C++ header that stands alone."""

from __future__ import annotations

from trigrad.export._header import cpp_header as cpp_header

__all__ = ["cpp_header"]
