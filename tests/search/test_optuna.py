"""The example with Optuna runs, goes on from its file, and finds settings that are better than most."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna")
SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "optuna_search.py"


def test_example(tmp_path: Path) -> None:
    for trials in (3, 5):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(3 if trials == 3 else 2)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{trials} trials, the best with {{'lr': ")
        assert float(done.stdout.split()[-1]) > 0.6
