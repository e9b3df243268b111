"""README and docs tell the truth: their examples and commands run as printed, their links lead somewhere, and the index of
decisions is complete. With TRIGRAD_PROOFS=full long commands run whole, otherwise with fewer events and shorter times.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trigrad as tg
from trigrad import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "benchmarks/README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)

NEEDS = {"docs/data.md": "sklearn", "docs/plot.md": "matplotlib", "docs/search.md": "sklearn"}  # extras
SAYS = {  # what a page's examples print
    "README.md": r"0\.[67]\d*\ntensor\(True\)\nTrue\n",
    "docs/getting_started.md": r"<toy jets.*\nAUC, top against all: 0\.9\d+\n.*\nTrue\n",
    "docs/data.md": r"0\.[67]\d* <toy jets, seed 0, part 1 of 0\.75:0\.25 by seed 0: 1000 events.*",
    "docs/diagnostics.md": r"critical\nlayer .*\nlayer .*MembershipAttack\(advantage=0\.[12].*\n",
    "docs/realtime.md": r".*C\+\+ library, hot.*",
    "docs/search.md": r"rank  learning_rate_init  alpha  score .*{'learning_rate_init': 0\.01, 'alpha': .*} 0\.[78]\d*\n",
    "docs/training.md": r"20 epochs\n",
}
# .ci/run takes the first from README, and runs the tests.
ELSEWHERE = ("pip install", "pytest")
SHORTER = {
    "trigrad study": ["--epochs", "2", "--seconds", "0.002"],
    "trigrad latency": ["--seconds", "0.002", "--batches", "64", "--no-header"],
}


def blocks(page: str, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall((ROOT / page).read_text()) if kind == language]


def commands(page: str) -> Iterator[list[str]]:
    """The commands of a page one by one, comments left out."""
    for line in "".join(blocks(page, "bash")).splitlines():
        for command in line.split(" && "):
            words = shlex.split(command, comments=True)
            if words and not " ".join(words).startswith(ELSEWHERE):
                yield words


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def has_sources() -> bool:
    """Was trigrad built with what export needs?"""
    return (Path(tg.__file__).parent / "source" / "math").is_dir()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_examples_run(page: str, tmp_path: Path) -> None:
    """All of a page in order, as a reader would type them; warnings are errors."""
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    code = "".join(blocks(page, "python"))
    if "cpp_header" in code and not has_sources():
        pytest.skip("trigrad was built without its sources for export")
    said = run([sys.executable, "-W", "error", "-c", code], tmp_path)
    assert re.fullmatch(SAYS.get(page, ".*"), said, re.DOTALL), said
    files = re.findall(r'(?:save|cpp_header)\([^)\n]*"(\w+\.(?:tgplan|safetensors|h))"', code)
    assert {path.name for path in tmp_path.iterdir()} >= set(files)


@pytest.mark.parametrize("page", [page for page in PAGES if any(words[0] == "trigrad" for words in commands(page))])
def test_commands_run(page: str, tmp_path: Path, full: bool) -> None:
    pytest.importorskip("pyarrow", reason="writes the Parquet file that a page reads")
    write_events(tmp_path / "data.parquet")
    for toml in blocks(page, "toml"):
        (tmp_path / "model.toml").write_text(toml)
    for words in commands(page):
        assert words[0] == "trigrad", f"{words} is no command that this test knows"
        assert cli.parse(words[1:]).command == words[1]
        if words[1] == "bench" and not full:
            continue  # against every library that is installed; tests/study has a short one
        shorter = [] if full else SHORTER.get(" ".join(words[:2]), [])
        if words[1:] == ["study"] and not full:
            shorter = [*shorter, "--events", "3000"]
        if "--header" in words and not has_sources():
            continue
        script = Path(sys.executable).with_name("trigrad")
        program = [str(script)] if script.exists() else [sys.executable, "-m", "trigrad"]
        run([*program, *words[1:], *shorter], tmp_path)


def write_events(path: Path) -> None:
    """Two classes, two features, weights of both signs."""
    import pyarrow as pa
    import pyarrow.parquet

    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)
    x = rng.normal(label[:, None], 1.0, (2000, 2))
    table = {"mass": x[:, 0], "pt": x[:, 1], "w": rng.choice([1.0, 1.0, 1.0, -0.5], 2000), "label": label}
    pa.parquet.write_table(pa.table(table), path)


def test_commands_of_benchmarks(tmp_path: Path, full: bool) -> None:
    """The scripts know the options that they are shown with; at full length each command runs, with --quick."""
    shown = list(commands("benchmarks/README.md"))
    assert len(shown) > 10
    helps = {words[1]: run([sys.executable, str(ROOT / words[1]), "--help"], ROOT) for words in shown}
    for program, script, *options in shown:
        assert program == "python"
        for option in (word for word in options if word.startswith("--")):
            assert re.search(rf"{option}\b", helps[script]), f"{script} has no option {option}"
        if full and "--quick" in helps[script]:
            run([sys.executable, str(ROOT / script), *options, "--quick"], tmp_path)


def test_presets_are_there() -> None:
    """Those that CONTRIBUTING names, in its commands and in its text."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    presets = {preset["name"] for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    named = {
        *re.findall(r"--preset (\S+)", text),
        *re.findall(r"`([\w-]+)`", text[text.index("The presets are") :].partition(";")[0]),
    }
    assert named == {name for name in presets if not name.startswith(("base", "common"))}


def test_each_script_has_its_picture() -> None:
    scripts = {p.stem for p in (ROOT / "examples" / "lectures").glob("*.py")} - {"shown"}
    gallery = ROOT / "docs" / "gallery"
    assert {p.stem for p in gallery.glob("*.webp")} == scripts, "python tools/gallery.py makes those that are missing"
    assert {p.stem for p in gallery.glob("*.txt")} == scripts
    assert [p.name for p in gallery.glob("*.webp") if p.stat().st_size > 40_000] == []


# ---- links


def anchors(page: Path) -> set[str]:
    """Of the headings, as Markdown makes them."""
    found = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in found}


@pytest.mark.parametrize(
    "page", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "docs/decisions/README.md", "examples/lectures/README.md"]
)
def test_links(page: str) -> None:
    """To files of the tree, and to headings in them."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(link)
    assert broken == []


def test_every_decision_is_in_the_index() -> None:
    decisions = ROOT / "docs" / "decisions"
    lines = re.findall(r"^- \[(\d{4})\]\((.*?)\): (.*)$", (decisions / "README.md").read_text(), re.MULTILINE)
    pages = sorted(decisions.glob("0*.md"))
    assert [name for _, name, _ in lines] == [page.name for page in pages]
    for (number, _, title), page in zip(lines, pages, strict=True):
        assert page.read_text().startswith(f"# {number}: {title}\n")
