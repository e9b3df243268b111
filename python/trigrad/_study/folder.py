"""Files that appear in their folder when all of them are there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from trigrad import _files

__all__ = ["unfinished", "whole_file"]

PREFIX = ".trigrad-study-"


@contextlib.contextmanager
def unfinished(output: str | os.PathLike[str], names: Sequence[str]) -> Iterator[Path]:
    """A new folder for files of these `names`. Afterwards they are in `output`, in place of all of these names that were there;
    other files stay. After an error they are gone, and `output` is as it was; what a process that was killed left, the next
    one removes."""
    target = Path(os.path.realpath(output))
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"[study] {output} is a file, expected a folder to write to, or none yet")
    if blocked := [name for name in names if (target / name).is_dir()]:
        raise IsADirectoryError(f"[study] {Path(output) / blocked[0]} is a folder, expected place for a file")
    # Inside of a folder that is there already, so that it is on the same disk, and nothing else needs to be writable.
    place = target if target.exists() else target.parent
    if not place.is_dir():
        raise FileNotFoundError(f"[study] there is no folder {Path(output).parent} to make {target.name!r} in")
    _remove_abandoned(place)
    try:
        made, lock = _claimed(place)
    except OSError as error:
        raise _said(error, output) from None
    try:
        yield made
        if place == target:
            _move(made, target, names)
        else:
            mask = os.umask(0)
            os.umask(mask)
            made.chmod(0o777 & ~mask)
            made.rename(target)
    except OSError as error:
        raise _said(error, output) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _said(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """The same of the system's errors, of which path and with the remedy."""
    if error.errno is None:
        return error
    return OSError(
        error.errno, f"{os.strerror(error.errno)}; nothing was changed, choose another place", os.fspath(path)
    )


def _move(made: Path, target: Path, names: Sequence[str]) -> None:
    """All files of `made` into `target`, and those of `names` that are not among them away; or, after an error, none. Each name
    has its old file or its new one at any time."""
    new = sorted(os.listdir(made))
    names = sorted({*names, *new})
    before = made / "before"
    before.mkdir()
    for name in names:
        if (target / name).exists():
            try:
                os.link(target / name, before / name)
            except OSError:  # no hard links on this disk
                shutil.copy2(target / name, before / name)
    try:
        for name in new:
            os.replace(made / name, target / name)
        for name in set(names) - set(new):
            (target / name).unlink(missing_ok=True)
    except BaseException:
        for name in names:
            if (before / name).exists():
                os.replace(before / name, target / name)
            else:
                (target / name).unlink(missing_ok=True)
        raise


def _claimed(place: Path) -> tuple[Path, int]:
    """A new folder, and the lock that says that its process lives: the system opens it when that ends, however it ends."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = os.open(made, os.O_RDONLY)
        if _locked(lock) is not False and made.exists():
            return made, lock
        os.close(lock)  # it was taken for an abandoned one


def _locked(handle: int) -> bool | None:
    """Have we got the lock? None where there are no such locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def _remove_abandoned(place: Path) -> None:
    """Folders of processes that were killed."""
    for left in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if _locked(handle):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path`; what is written there becomes the file at `path`, unless there is an error."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name!r} in")
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a name for a file")
    try:
        with _files.whole_file(path) as part:
            yield part
    except OSError as error:
        raise _said(error, path) from None
