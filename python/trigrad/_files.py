"""A file is there when all of it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__: list[str] = []


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name to write to, beside the file at `path` and no other writer's. What is there in the end becomes that file; after an
    error nothing does, and a file that was there is as it was. What is no file, a pipe or a device, is written to itself."""
    given, target = Path(path), Path(os.path.realpath(path))
    if given.exists() and not given.is_file() and not given.is_dir():
        yield given
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        yield beside
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
