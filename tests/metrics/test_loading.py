"""trigrad.metrics comes when it is asked for."""

from __future__ import annotations

import subprocess
import sys


def test_it_is_loaded_when_asked_for() -> None:
    code = (
        "import sys, trigrad as tg; assert 'trigrad.metrics' not in sys.modules; print(tg.metrics.auc([0, 1], [0, 1]))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0.5\n"
