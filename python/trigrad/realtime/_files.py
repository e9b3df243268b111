"""Plan files are read and written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

__all__ = ["read", "write"]

FilePath: TypeAlias = "str | os.PathLike[str]"


BEGINNING = b"TGPLAN\r\n"


def read(path: FilePath) -> bytes:
    """The bytes of a file; of one that does not begin as a plan file, only the first: others may have no end."""
    with Path(path).open("rb") as file:
        first = file.read(len(BEGINNING))
        return first + file.read() if first == BEGINNING else first


def write(path: FilePath, content: bytes) -> None:
    """The file at `path` becomes these bytes, or stays as it was."""
    target = Path(path)
    beside = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
