"""Switches of PyTorch that have one position here."""

from __future__ import annotations

__all__ = ["are_deterministic_algorithms_enabled", "use_deterministic_algorithms"]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing changes: results are always the same bits, on any machine and any number of threads.

    >>> import trigrad as tg
    >>> tg.use_deterministic_algorithms(True)
    """


def are_deterministic_algorithms_enabled() -> bool:
    """They always are.

    >>> import trigrad as tg
    >>> tg.are_deterministic_algorithms_enabled()
    True
    """
    return True
