"""The scripts of examples/lectures: each has one form, its line in their README, its test, and runs as a program."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import experiments

NAMES = sorted(path.stem for path in experiments.FOLDER.glob("*.py") if path.stem != "shown")
README = experiments.FOLDER / "README.md"


def test_each_script_has_its_line_and_each_line_its_script() -> None:
    """And the rows of the catalogue that stand there are tested where the script is."""
    lines = re.findall(
        r"^\| \[`(\w+)\.py`\]\((\w+)\.py\) \| ([\d, ]+) \| .+ \| .+ \|$", README.read_text(), re.MULTILINE
    )
    assert [name for name, _, _ in lines] == NAMES
    tests = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    for name, link, rows in lines:
        assert link == name
        mine = "".join(text for text in tests if f'load("{name}")' in text)
        assert mine, f"{name} has no test"
        tested = {
            int(row)
            for rows in re.findall(r"^def test_row((?:_\d{3})+)_", mine, re.MULTILINE)
            for row in rows.split("_")[1:]
        }
        assert {int(row) for row in rows.split(", ")} <= tested, f"{name} is of rows {rows}"


@pytest.mark.parametrize("name", NAMES)
def test_scripts_have_one_form(name: str) -> None:
    """A title on a line of its own, `experiment` that needs no argument, `picture` that needs its result."""
    script = experiments.load(name)
    title, empty, *_ = [*(script.__doc__ or "").splitlines(), "", ""]
    assert title
    assert not empty
    assert all(p.default is not p.empty for p in inspect.signature(script.experiment).parameters.values())
    assert len(inspect.signature(script.picture).parameters) == 1
    tree = ast.parse(Path(script.__file__ or "").read_text())
    outside = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert not outside & {"matplotlib", "scipy", "sklearn"}  # extras are imported where they are needed


@pytest.mark.proof
@pytest.mark.parametrize("name", NAMES if os.environ.get("TRIGRAD_PROOFS") == "full" else ["function_library"])
def test_scripts_run(name: str, tmp_path: Path) -> None:
    """As programs, with warnings as errors: a table on the screen, a picture in the folder."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    command = [sys.executable, "-W", "error", str(experiments.FOLDER / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    if "could not be downloaded" in done.stderr:
        pytest.skip(f"the data are not here: {done.stderr.splitlines()[-1].strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") > 2
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
