"""Files of a study appear together or not at all, whatever ends it: errors, Ctrl-C, kills, full disks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from trigrad._study.folder import PREFIX, unfinished, whole_file

STUDY = [sys.executable, "-m", "trigrad", "study", "--seconds", "0.002", "--output", "study"]
named = partial(unfinished, names=("a", "b", "c", "x"))


def contents(place: Path) -> dict[str, str]:
    return {str(p.relative_to(place)): p.read_text() for p in place.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", [named, whole_file])
def test_files_appear_whole(kind: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path) -> None:
    def write(end: BaseException | None) -> None:
        with kind(tmp_path / "a") as part:
            (part / "x" if part.is_dir() else part).write_text("half")
            assert not (tmp_path / "a").exists()
            if end is not None:
                raise end

    for end in (KeyboardInterrupt, OSError):
        with pytest.raises(end):
            write(end())
        assert list(tmp_path.iterdir()) == []
    write(None)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("fails", ["a", "b", "x", None])
def test_what_is_there_is_replaced_as_one(
    fails: str | None, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever move Ctrl-C hits, all is as it was; else what is of the study is new, and nothing else."""
    before = {"a": "old", "c": "old", "mine": "stays"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    move, hit = os.replace, [fails]

    def moves(source: Path, target: Path) -> None:
        if target.name in hit:
            hit.clear()
            raise KeyboardInterrupt
        move(source, target)

    def no_links(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", moves)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext(), named(tmp_path) as part:
        for name in "abx":
            (part / name).write_text("new")
    assert contents(tmp_path) == (before if fails else {"a": "new", "b": "new", "x": "new", "mine": "stays"})


def test_what_a_killed_one_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}dead").mkdir()
    (tmp_path / f"{PREFIX}dead" / "a").write_text("half")
    with named(tmp_path) as first, named(tmp_path) as second:
        assert {p.name for p in tmp_path.iterdir()} == {first.name, second.name}
    assert list(tmp_path.iterdir()) == []


def test_places_where_nothing_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "place" / "b").mkdir(parents=True)
    (tmp_path / "place" / "a").write_text("old")
    for output, kind, words in (
        (tmp_path / "file", NotADirectoryError, "is a file, expected a folder"),
        (tmp_path / "place", IsADirectoryError, "b is a folder, expected place for a file"),
        (tmp_path / "no" / "such", FileNotFoundError, "there is no folder"),
        (Path("/proc/self/study"), OSError, "nothing was changed, choose another place"),  # of root too
    ):
        with pytest.raises(kind, match=words), named(output):
            pass
    assert contents(tmp_path) == {"file": "", "place/a": "old"}


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with named(tmp_path / "link") as part:
        (part / "a").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == {"a": "new"}


# ---- the command, in a process of its own


def begun(place: Path, **more: Any) -> subprocess.Popen[str]:
    """A study of some 20 s that has begun to train."""
    process = subprocess.Popen(
        [*STUDY, "--events", "20000", "--epochs", "2000", "--model", "m.toml"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )
    assert process.stdout is not None
    while "epoch" not in process.stdout.readline():
        assert process.poll() is None, process.communicate()
    return process


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "m.toml").write_text("[training]\npatience = 2000\n")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "report.html").write_text("the old one")
    return tmp_path


def test_ctrl_c_leaves_what_was_there(place: Path) -> None:
    before = contents(place)
    process = begun(place)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "trigrad study: interrupted\n")
    assert contents(place) == before
    assert [p.name for p in (place / "study").iterdir()] == ["report.html"]


def test_a_kill_leaves_what_was_there_and_the_next_study_tidies_up(place: Path) -> None:
    before = contents(place)
    process = begun(place)
    process.kill()
    process.communicate(timeout=60)
    left = [p.name for p in (place / "study").iterdir()]
    assert len(left) == 2
    assert any(name.startswith(PREFIX) for name in left)
    assert {name: text for name, text in contents(place).items() if PREFIX not in name} == before
    # The next one fails on a full disk (here: files of 20 kB at most), and leaves as little.
    done = subprocess.run(
        [*STUDY, "--events", "1000", "--epochs", "1", "--quiet"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    said = "trigrad study: File too large; nothing was changed, choose another place: study\n"
    assert (done.returncode, done.stderr) == (2, said)
    assert contents(place) == before
    assert [p.name for p in (place / "study").iterdir()] == ["report.html"]
