"""The other end of harness.Worker: a process that is asked by JSON lines and answers each with one."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any


def serve(make: Callable[[], Any], threads: int | None = None) -> None:
    """Makes a server, on as many CPUs as threads, and calls its method that a message names ("do") with what else it says. A method
    answers with a dictionary, whose "status" is "ok" or says what is wrong; an import that fails is "missing", another error
    "invalid"."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    if threads is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])

    def answered(call: Callable[[], dict[str, Any]]) -> None:
        try:
            reply = call()
        except ImportError as error:
            reply = {"status": "missing", "faults": {"import": str(error)}}
        except Exception as error:  # noqa: BLE001 (the parent reports it and goes on)
            traceback.print_exc()
            reply = {"status": "invalid", "faults": {"": f"{type(error).__name__}: {error}"}}
        print(json.dumps(reply), file=replies, flush=True)

    server: Any = None

    def begin() -> dict[str, Any]:
        nonlocal server
        server = make()
        gc.freeze()  # collecting before each case passes over what the library is made of
        return {"status": "ok"}

    def done(line: str) -> dict[str, Any]:
        message = json.loads(line)
        reply: dict[str, Any] = getattr(server, message.pop("do"))(**message)
        return reply

    answered(begin)
    for line in sys.stdin:
        answered(partial(done, line))
