"""Plan files are read and written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

__all__ = ["read", "write"]

FilePath: TypeAlias = "str | os.PathLike[str]"


def read(path: FilePath) -> bytes:
    """The bytes of a file."""
    return Path(path).read_bytes()


def write(path: FilePath, content: bytes) -> None:
    """The file at `path` becomes these bytes, or stays as it was."""
    target = Path(path)
    beside = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
