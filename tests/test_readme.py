"""The README tells the truth: its examples run, its links lead somewhere; the index of decisions is complete."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import trigrad
from trigrad import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_examples(tmp_path: Path) -> None:
    """One after the other, as a reader would type them; a build without the sources for export leaves the last line out."""
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 2
    code = "".join(examples)
    sources = Path(trigrad.__file__).parent / "source" / "math"
    if not sources.exists():
        code = "".join(line for line in code.splitlines(keepends=True) if "cpp_header" not in line)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert re.fullmatch(r"tensor\(0\.\d+\) tensor\(True\)\nTrue\n", done.stdout)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == ({"tagger.tgplan", "tagger.h"} if sources.exists() else {"tagger.tgplan"})


def test_commands_are_understood() -> None:
    """Of the README and of the page on the command: each line that begins with `trigrad`, and those behind &&."""
    text = README + (ROOT / "docs" / "study.md").read_text()
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    commands = re.findall(r"(?:^|&& )(trigrad [^\n#]*)", blocks, re.MULTILINE)
    assert len(commands) >= 6
    assert {cli.parse(shlex.split(c)[1:]).command for c in commands} >= {"study", "export", "latency", "bench"}


def test_links() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) >= 4
    assert [link for link in links if not link.startswith("https://") and not (ROOT / link).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    decisions = ROOT / "docs" / "decisions"
    lines = re.findall(r"^- \[(\d{4})\]\((.*?)\): (.*)$", (decisions / "README.md").read_text(), re.MULTILINE)
    pages = sorted(decisions.glob("0*.md"))
    assert [name for _, name, _ in lines] == [page.name for page in pages]
    for (number, _, title), page in zip(lines, pages, strict=True):
        assert page.read_text().startswith(f"# {number}: {title}\n")
