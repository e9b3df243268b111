"""Apple's GPUs are not used."""

from __future__ import annotations


def is_available() -> bool:
    """Is there a GPU of Apple's that trigrad can compute on?

    >>> import trigrad as tg
    >>> tg.backends.mps.is_available()
    False
    """
    return False


def is_built() -> bool:
    """Does this build have kernels for it?

    >>> import trigrad as tg
    >>> tg.backends.mps.is_built()
    False
    """
    return False
