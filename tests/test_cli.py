"""The command ``trigrad``: by entry point and by ``python -m``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trigrad import _core, cli, cuda


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False, timeout=60
    )


def test_info_tells_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    build = _core.build_info()
    assert cli.main(["info"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    gpus = ["GPU"] if cuda.is_available() else []  # "GPU 0 …", "GPU 1 …"
    assert list(rows) == ["trigrad", "arithmetic", "ISA", "threads", "compiler", "CUDA", *gpus]
    assert rows["trigrad"] == build["version"]
    assert rows["ISA"] == f"{build['isa']} (available: {', '.join(build['isa_available'])})"
    assert int(rows["threads"]) >= 1
    absence = cuda.absence()
    assert rows["CUDA"].startswith(absence or ("driver ", "emulated"))  # then what the kernels are for, if any
    assert absence is None or absence.startswith("not ")


def test_entry_point_and_module_print_the_same() -> None:
    script = Path(sys.executable).with_name("trigrad")
    by_script = run(str(script), "info")
    by_module = run(sys.executable, "-m", "trigrad", "info")
    assert by_script.returncode == by_module.returncode == 0
    assert by_script.stdout == by_module.stdout
    assert by_script.stderr == ""


def test_environment_is_shown() -> None:
    result = run(sys.executable, "-m", "trigrad", "info", TRIGRAD_ISA="baseline", TRIGRAD_NUM_THREADS="3")
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["ISA"].startswith("baseline ")
    assert rows["threads"] == "3"


def test_unknown_isa_is_refused_with_the_choice() -> None:
    result = run(sys.executable, "-m", "trigrad", "info", TRIGRAD_ISA="sse9")
    assert result.returncode == 1
    assert "TRIGRAD_ISA is 'sse9', expected one of: baseline" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["nonsense"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: trigrad" in capsys.readouterr().err
