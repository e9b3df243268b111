"""Builds the site into build/site: ``python tools/site_pages.py``. The pages are plain Markdown, made of README.md, docs/,
benchmarks/README.md, CONTRIBUTING.md, CHANGELOG.md, the docstrings and examples/lectures, and lie in build/pages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gallery
import reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "pages"
CONFIG = ROOT / "build" / "mkdocs.yml"
SITE = ROOT / "build" / "site"

# Files outside docs/ that are pages, and where the site has them. All of docs/ keeps its place.
SOURCES = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/lectures/README.md": "gallery/experiments.md",
}
FOLDERS = {  # what a link to a folder leads to
    "benchmarks": "benchmarks.md",
    "docs/decisions": "decisions/README.md",
    "examples/lectures": "gallery/index.md",
    "python/trigrad": "reference/index.md",
}
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def page_of(file: str) -> str | None:
    """Where the site has a file or folder of the repository, None where it has not."""
    if file in SOURCES:
        return SOURCES[file]
    if file.startswith("examples/lectures/"):
        return "gallery/index.md#" + Path(file).stem
    return FOLDERS.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)


def linked(source: str, text: str) -> str:
    """A page with its links to other files turned into links to pages; what is no page is named without a link."""
    here = page_of(source)
    assert here is not None

    def turn(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        file = os.path.normpath(os.path.join(os.path.dirname(source), target))
        if not (ROOT / file).exists():
            raise SystemExit(f"{source} links to {target}, which does not exist")
        page, _, part = (page_of(file) or "").partition("#")
        anchor = f"#{part}" if part else anchor
        return f"[{label}]({os.path.relpath(page, os.path.dirname(here))}{anchor})" if page else label

    return LINK.sub(turn, text)


def put(page: str, text: str) -> None:
    file = PAGES / page
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def write() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    for source in [*SOURCES, *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]:
        page = page_of(source)
        assert page is not None
        put(page, linked(source, (ROOT / source).read_text()))
    # The tables of README stand on the page of the benchmarks.
    home, heading, rest = (PAGES / "index.md").read_text().partition("## Measured\n")
    tables, reading, last = rest.partition("## Reading on\n")
    put("index.md", home + reading + last)
    put("benchmarks.md", (PAGES / "benchmarks.md").read_text() + "\n" + heading + tables)
    pages = reference.pages()
    for page in pages:
        put(page.file, reference.write(page))
    put("reference/index.md", reference.index(pages))
    put("gallery/index.md", gallery.page())
    order = {"reference": ["reference/index.md", *(page.file for page in pages)]}
    order["decisions"] = [
        "decisions/README.md",
        *(f"decisions/{p.name}" for p in sorted((PAGES / "decisions").glob("0*"))),
    ]
    config = re.sub(
        r"(\w+)/\*$",
        lambda m: "[" + ", ".join(order[m[1]]) + "]",
        (ROOT / "mkdocs.yml").read_text(),
        flags=re.MULTILINE,
    )
    CONFIG.write_text(config)


def loads_from_elsewhere() -> list[str]:
    """Scripts, styles, fonts and pictures that a page would ask another server for: there are none."""
    asks = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    return [f"{page.name}: {tag}" for page in SITE.rglob("*.html") for tag in asks.findall(page.read_text())]


if __name__ == "__main__":
    write()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(CONFIG)]
    if subprocess.run(command, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False).returncode:
        sys.exit("the site was not built")
    if found := loads_from_elsewhere():
        sys.exit("pages ask other servers: " + "; ".join(found))
    print(f"{SITE.relative_to(ROOT)}/index.html: {len(list(SITE.rglob('*.html')))} pages")
