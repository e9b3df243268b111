"""Plan files are read and written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from trigrad._files import whole_file

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
    with whole_file(path) as part:
        part.write_bytes(content)
