"""cuDNN is not used. Its switches may be set, as scripts do: no result depends on them."""

from __future__ import annotations

allow_tf32 = False
benchmark = False
deterministic = True
enabled = False


def is_available() -> bool:
    """Is cuDNN used?

    >>> import trigrad as tg
    >>> tg.backends.cudnn.is_available()
    False
    """
    return False


def version() -> int | None:
    """There is none.

    >>> import trigrad as tg
    >>> tg.backends.cudnn.version() is None
    True
    """
    return None
