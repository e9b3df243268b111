"""The README tells the truth: its example runs, its links lead somewhere; the index of decisions is complete."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from trigrad import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_example() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert done.stdout.startswith("tensor(")
    assert done.stdout.endswith("tensor(True)\n")


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
