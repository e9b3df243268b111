"""Files from the net, once: into a folder of the user's, resumed where a download broke off, checked, then moved into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["digest_of", "fetch", "folder_of_data"]

BLOCK = 1 << 20
PATIENCE = 30.0  # seconds without a byte
TRIES = 3  # per address


def folder_of_data() -> Path:
    """Where downloads are kept: $TRIGRAD_DATA, or trigrad in the user's cache folder.

    >>> import trigrad as tg
    >>> tg.data.folder_of_data().is_absolute()
    True
    """
    chosen = os.environ.get("TRIGRAD_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "trigrad"


def digest_of(path: Path, kind: str) -> str:
    """md5, sha256, ... of a file."""
    found = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[Any]:
    """The unfinished file, open for appending; another process that works on it is an error, not a mixture."""
    with part.open("ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks here
            pass
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise RuntimeError(f"[fetch] another process is downloading {part.name}; wait for it to end") from None
        yield file


def _ranges(part: Path, url: str) -> tuple[Any, int]:
    """The answer, and from which byte on it is: the end of what is there, if the server can do that."""
    have = part.stat().st_size
    headers = {"User-Agent": "trigrad", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:  # 416: nothing beyond what is there
            raise
        error.close()
        return None, have
    told = answer.headers.get("Content-Range", "")
    if answer.status == 206 and told.startswith(f"bytes {have}-"):
        return answer, have
    if answer.status == 206:
        answer.close()
        raise urllib.error.URLError(f"the server sent {told!r} where bytes from {have} on were asked for")
    return answer, 0


def _copy(url: str, part: Path, quiet: bool) -> None:
    with _alone(part) as file:
        answer, start = _ranges(part, url)
        if answer is None:
            return
        with answer:
            file.truncate(start)
            length = answer.headers.get("Content-Length")
            whole = start + int(length) if length else None
            done, told = start, time.monotonic()
            while block := answer.read(BLOCK):
                file.write(block)
                done += len(block)
                if not quiet and time.monotonic() - told > 2:
                    told = time.monotonic()
                    share = f" of {whole / 1e6:.0f} MB ({100 * done / whole:.0f} %)" if whole else " MB"
                    print(f"{part.stem}: {done / 1e6:.0f}{share}", file=sys.stderr, flush=True)
            file.flush()
            os.fsync(file.fileno())
    if whole is not None and done < whole:
        raise urllib.error.URLError(f"the connection ended after {done} of {whole} bytes")


def fetch(urls: Sequence[str], path: Path, checksum: str | None = None, *, quiet: bool = False) -> Path:
    """The file at `path`, downloaded from the first of `urls` that gives it; `checksum` is "md5:..." or "sha256:...".

    What arrives is appended to `path`.part, compared with the checksum, and only then renamed: a file that is there is whole.
    """
    kind, _, expected = (checksum or "").partition(":")
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    faults: list[str] = []
    for url in urls:
        for tried in range(TRIES):
            if tried:
                time.sleep(0.2 * 4**tried)
            try:
                _copy(url, part, quiet)
            except urllib.error.HTTPError as error:
                faults.append(f"{url}: {error.code} {error.reason}")
                error.close()
                if error.code < 500:
                    break
                continue
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                faults.append(f"{url}: {getattr(error, 'reason', error)}")
                continue
            if expected and (got := digest_of(part, kind)) != expected:
                part.unlink()
                faults.append(f"{url}: {kind} is {got}, expected {expected}")
                continue
            os.replace(part, path)
            return path
    kept = (
        f" {part.stat().st_size} bytes are kept, and another call goes on from there."
        if part.is_file() and part.stat().st_size
        else ""
    )
    told = "\n  ".join(dict.fromkeys(faults))
    raise OSError(f"[fetch] {path.name} could not be downloaded.{kept} Or put the file at {path} yourself.\n  {told}")
