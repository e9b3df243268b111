"""A call of a predictor from Python asks the system for nothing: it runs where the system kills whoever asks."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXIT = {"x86_64": 60, "aarch64": 93}  # numbers of the system call

# Under strict seccomp a process may read, write and exit (the thread, not the group), nothing else.
SCRIPT = """
import ctypes, gc, os, sys, warnings
warnings.simplefilter("ignore")  # a fork of a process with threads
import numpy as np
from realtime_models import ACTIVATIONS, MODELS, build
from trigrad.realtime import Predictor

cases, names = [], []
for name in (*MODELS, *ACTIVATIONS):
    model, random = build(name), np.random.default_rng(0)
    typical = random.standard_normal((20, Predictor(model).inputs)).astype("f")
    for precision in ("float32", "bfloat16", "int16", "int8"):
        integers = precision.startswith("int")
        p = Predictor(model, precision=precision, calibration=typical if integers else None)
        x = typical[0]
        cases.append((p, x, np.empty(p.outputs, "f")))
libc = ctypes.CDLL(None)
stop, forbidden = (libc.syscall, EXIT, 0), libc.getppid
blocks = sys.getallocatedblocks
gc.disable()
for p, x, out in cases:
    p(x, out)
    p.decide(x, 0.5, 0)
child = os.fork()  # of one thread: the others' end would be a system call
if child:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 100 - code)
def calls():
    for _ in range(50):
        for p, x, out in cases:
            p(x, out)
            p.decide(x, 0.5, 0)

calls()
before = blocks()  # outside of what follows: from Python 3.12 on it takes a lock and reads the clock
calls()
after = blocks()
if libc.prctl(22, 1) != 0:
    os._exit(77)
calls()
if len(sys.argv) > 1:
    forbidden()
os.write(1, b"%d %d" % (len(cases), after - before))
stop[0](stop[1], stop[2])
"""


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() not in EXIT, reason="needs Linux, and to know its numbers"
)
def test_a_call_asks_the_system_for_nothing() -> None:
    script = SCRIPT.replace("EXIT", str(EXIT[platform.machine()]), 1)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode == 77:
        pytest.skip("no seccomp here")
    assert done.returncode == 0, done.stderr
    cases, blocks = map(int, done.stdout.split())
    assert cases > 200
    assert abs(blocks) < 10, "a call with `out` leaves objects behind"
    asks = subprocess.run([*command, "ask"], capture_output=True, check=False, timeout=100)
    assert asks.returncode == 100 + signal.SIGKILL
