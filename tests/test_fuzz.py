"""Random sequences of calls end in results or refusals; .ci/run also makes them under AddressSanitizer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_random_calls_do_not_crash(full: bool) -> None:
    program = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(program), "--examples", "3000" if full else "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    assert "no crash, no hang" in done.stdout
