"""Files that appear in their folder when all of them are there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["beside", "whole_file"]


@contextmanager
def beside(output: str | os.PathLike[str], replaces: Sequence[str] = ()) -> Iterator[Path]:
    """A new folder beside `output`. What is in it afterwards is moved to `output`, where other files stay but for those that
    it `replaces`; after an error it is gone, and `output` is as it was."""
    target = Path(output)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"[study] {target} is a file, expected a folder to write to, or none yet")
    if target.is_dir() and not os.access(target, os.W_OK):
        raise PermissionError(f"[study] nothing may be written to {target}; choose another folder by --output")
    parent = target.parent
    if not parent.is_dir():
        raise FileNotFoundError(f"[study] there is no folder {parent} to make {target.name!r} in")
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
    except OSError as error:
        raise type(error)(f"[study] nothing can be written to {parent.resolve()}: {error.strerror}") from None
    try:
        yield made
        mask = os.umask(0)
        os.umask(mask)
        made.chmod(0o777 & ~mask)
        if target.exists():
            files = sorted(made.iterdir())
            for name in set(replaces) - {file.name for file in files}:
                (target / name).unlink(missing_ok=True)
            for file in files:
                os.replace(file, target / file.name)
        else:
            made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path`; what is written there becomes the file at `path`, unless there is an error."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name!r} in")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
