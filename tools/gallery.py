"""The gallery: ``python tools/gallery.py`` runs the scripts of examples/lectures that have no picture yet, ``--all`` every one,
``python tools/gallery.py NAME...`` these. Picture and printed table of a script are kept as docs/gallery/NAME.webp and .txt.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "examples" / "lectures"
KEPT = ROOT / "docs" / "gallery"
LIMIT = 40_000  # bytes of a picture


def names() -> list[str]:
    """The scripts of experiments; `shown` is what they share."""
    return sorted(p.stem for p in SCRIPTS.glob("*.py") if p.stem != "shown" and not p.stem.startswith("_"))


def small(png: Path) -> bytes:
    """A picture as WebP: exact where that fits into the limit, else as fine and large as fits."""
    from PIL import Image

    with Image.open(png) as picture:
        whole = picture.convert("RGB")
    for share in (1.0, 0.75, 0.5):
        resized = whole.resize((round(whole.width * share), round(whole.height * share)), Image.Resampling.LANCZOS)
        for options in ({"lossless": True}, *({"quality": q} for q in (90, 80, 65, 50))):
            out = io.BytesIO()
            resized.save(out, "webp", method=6, **options)
            if out.tell() <= LIMIT:
                return out.getvalue()
    raise RuntimeError(f"{png.name} does not fit into {LIMIT} bytes: let it show less")


def run(name: str) -> None:
    """Run a script as its reader would, and keep what it shows. Nothing is kept of one that fails."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(SCRIPTS / f"{name}.py")],
            cwd=folder,
            env={**os.environ, "MPLBACKEND": "Agg"},
            capture_output=True,
            text=True,
            check=False,
        )
        png = Path(folder) / f"{name}.png"
        if done.returncode or not png.exists():
            raise RuntimeError(done.stderr.strip() or "it saved no picture")
        picture = small(png)
    table = [line for line in done.stdout.splitlines() if line != f"{name}.png is written"]
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.txt").write_text("\n".join(table).strip() + "\n")
    (KEPT / f"{name}.webp").write_bytes(picture)


def page() -> str:
    """All scripts: docstring, picture, table."""
    parts = ["# Gallery"]
    parts.append(
        "Each picture and table is made by a script, from fixed seeds. [What they show, as one table](experiments.md)."
    )
    for name in names():
        docstring = ast.get_docstring(ast.parse((SCRIPTS / f"{name}.py").read_text())) or name
        title, _, rest = docstring.partition("\n")
        parts += [f"## {reference.text([title.rstrip('.')])} {{ #{name} }}", reference.markdown(rest)]
        if (KEPT / f"{name}.webp").exists():
            parts.append(f"![{name}]({name}.webp){{ loading=lazy }}")
            parts.append(reference.fenced("text", (KEPT / f"{name}.txt").read_text().splitlines()))
        parts.append(f"`python examples/lectures/{name}.py`")
    return "\n\n".join(part for part in parts if part) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts to run, again if they have a picture")
    parser.add_argument("--all", action="store_true", help="every script again")
    chosen = parser.parse_args()
    missing = [name for name in names() if not (KEPT / f"{name}.webp").exists()]
    failed = 0
    for name in chosen.names or (names() if chosen.all else missing):
        began = time.monotonic()
        try:
            run(name)
            print(
                f"{name}: {time.monotonic() - began:.0f} s, {(KEPT / f'{name}.webp').stat().st_size:,} bytes",
                flush=True,
            )
        except RuntimeError as error:
            failed += 1
            print(f"{name}: failed\n{error}", file=sys.stderr, flush=True)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
