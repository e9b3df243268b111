"""What was computed, in a file with a line for each fold of each point: a search that was killed goes on from it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Outcome", "Record"]


class Outcome(NamedTuple):
    """Of one point and fold: a score, or why there is none."""

    score: float | None
    error: str | None
    seconds: float


class Record:
    """JSON lines: what is searched for, then outcomes as they come. Each is one write at the end of the file, so that a kill
    leaves whole lines and at most one begun, which is cut off."""

    def __init__(self, path: str | os.PathLike[str], search: dict[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            self._lock()
            self.done = self._read(search)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process: its children do not hold it
        except ImportError:  # no such locks here
            pass
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return  # a file system without locks
            raise RuntimeError(
                f"[grid] another process writes {self.path}; wait for it, or name another file"
            ) from None

    def _read(self, search: dict[str, Any]) -> dict[tuple[int, int], Outcome]:
        content = os.pread(self._file, os.fstat(self._file).st_size, 0)  # to open it anew would end the lock
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].splitlines()
        if not lines:
            if content and not json.dumps(search).encode().startswith(content):
                raise ValueError(f"[grid] {self.path} is not the file of a search; name another")
            os.ftruncate(self._file, 0)
            self._append(search)
            return {}
        try:
            first, *rest = [json.loads(line) for line in lines]
            if not isinstance(first, dict) or "search" not in first:
                raise KeyError("search")
            if differs := [k for k in search if first.get(k) != json.loads(json.dumps(search[k]))]:
                word = differs[0]
                raise RuntimeError(
                    f"[grid] {self.path} is the file of another search, whose {word} differs: it has {_short(first.get(word))}, "
                    f"this one {_short(search[word])}; name another file, or delete it"
                )
            done = {(r["point"], r["split"]): Outcome(r["score"], r["error"], r["seconds"]) for r in rest}
            if odd := [o for o in done.values() if (type(o.score) is float) is not (o.error is None)]:
                raise ValueError(f"a score of {odd[0].score!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"[grid] {self.path} is not the file of a search, or damaged ({error}); name another"
            ) from None
        if whole < len(content):
            os.ftruncate(self._file, whole)
        return done

    def add(self, point: int, split: int, params: dict[str, Any], outcome: Outcome) -> None:
        self.done[point, split] = outcome
        self._append({"point": point, "split": split, "params": params, **outcome._asdict()})

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, default=repr, ensure_ascii=False).encode() + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError(errno.ENOSPC, "no space for a whole line", str(self.path))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._file)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
