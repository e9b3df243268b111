"""trigrad.search on several processes, and after interruptions: always the result of one that nothing happened to."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from search import judges
from trigrad.search import grid

METHODS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]
TESTS = str(Path(__file__).resolve().parent.parent)
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def started(code: str, **more: Any) -> subprocess.Popen[str]:
    """A fresh process, with the tests' modules at hand, in a group of its own."""
    lines = f"import sys; sys.path.insert(0, {TESTS!r})\nfrom search import judges\n{textwrap.dedent(code)}"
    return subprocess.Popen([sys.executable, "-c", lines], text=True, start_new_session=True, **more)


def written(path: Path) -> int:
    """Whole lines of a file."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


# ---- any number of processes


def test_same_bits_on_any_number_of_processes() -> None:
    """Of trainings that draw from the default generator, beside a pool of threads that was in use before."""
    tg.set_num_threads(2)
    tg.ones(1 << 20).exp()
    table = tg.data.red_blue(60, seed=1)
    values = {"width": [3, 8, 4], "lr": [0.1, 0.3]}
    runs = [{}, {"n_jobs": 2}, {"n_jobs": 3, "threads": 2}]
    runs += [{"n_jobs": 2, "start_method": method} for method in METHODS[1:]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = [grid(judges.network, values, table, cv=2, **options) for options in runs]
    assert len({(*judges.bits(f), f.table()) for f in found}) == 1
    assert len(set(found[0].cv_results_["mean_test_score"])) == 6
    tg.ones(1 << 20).exp()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_of_a_process(threads: int) -> None:
    tg.set_num_threads(2)
    found = grid(judges.threads, {"a": [1]}, judges.X, cv=2, n_jobs=2, threads=threads)
    assert found.best_score_ == threads
    assert grid(judges.threads, {"a": [1]}, judges.X, cv=2).best_score_ == 2  # here: as many as there are


@pytest.mark.skipif("spawn" not in METHODS, reason="no spawn here")
def test_what_cannot_be_sent_is_said() -> None:
    def inner(settings: Any, train: Any, validation: Any) -> float:
        return 0.0

    for judge in (lambda settings, train, validation: 0.0, inner):
        with pytest.raises(
            TypeError, match=r"cannot be sent to a process that starts by 'spawn'.*def in a module.*n_jobs=1"
        ):
            grid(judge, {"a": [1]}, judges.X, cv=2, n_jobs=2, start_method="spawn")
    if "fork" in METHODS:
        assert grid(inner, {"a": [1]}, judges.X, cv=2, n_jobs=2, start_method="fork").best_score_ == 0.0


@pytest.mark.skipif("spawn" not in METHODS, reason="no spawn here")
def test_a_function_that_processes_do_not_find_is_said() -> None:
    """As one that was typed in: it is pickled by its name, under which the other side has nothing."""
    code = """
    from trigrad.search import grid
    def typed(settings, train, validation):
        return 0.0
    try:
        grid(typed, {"a": [1]}, judges.X, cv=2, n_jobs=2, start_method="spawn")
    except RuntimeError as error:
        print(error)
    """
    child = started(code, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said, _ = child.communicate(timeout=60)
    assert "before it could start" in said
    assert "def in a module that can be imported" in said


# ---- processes that die


@POSIX
def test_a_process_that_dies_spoils_its_point_alone() -> None:
    values = {"a": ["fine", "dies", "as well", "exits", "raises", "too"]}
    with pytest.warns(UserWarning, match="3 of 6 points failed"):
        found = grid(judges.broken, values, judges.X, cv=2, n_jobs=2)
    assert found.cv_results_["error"] == [
        None,
        "the process was killed by SIGKILL",
        None,
        "the process ended with exit code 3",
        "ValueError: no such thing",
        None,
    ]
    assert multiprocessing.active_children() == []


@POSIX
@pytest.mark.proof
def test_killed_at_any_time(tmp_path: Path, full: bool, record: dict[str, str]) -> None:
    """SIGKILL again and again; the search that ends at last has the table of one that was let alone."""
    want = judges.search(None, judges.peak)
    kills, runs = 0, 20 if full else 2
    chance = random.Random(1)
    for n in range(runs):
        path = tmp_path / f"{n}.jsonl"
        while True:
            child = started(f"judges.search({str(path)!r}, n_jobs=2)", stdout=subprocess.PIPE)
            assert child.stdout is not None
            lines = written(path) + chance.randint(0, 25)
            while child.poll() is None and written(path) < lines:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.01))
            child.kill()
            code = child.wait()
            assert child.stdout.read() == ""  # until its processes, which have this too, saw that nobody listens
            child.stdout.close()
            if code == 0:
                break
            kills += 1
        assert len(path.read_text().splitlines()) == 1 + 36  # nothing twice
        done = [0]

        def never(settings: Any, train: Any, validation: Any, done: list[int] = done) -> float:
            done[0] += 1
            return 0.0

        never.__qualname__ = judges.slow.__qualname__
        found = judges.search(path, never)
        assert done == [0]
        assert judges.bits(found) == judges.bits(want)
        assert found.table() == want.table()
    assert kills >= runs
    record["searches killed and gone on with"] = f"{runs} searches, {kills} kills"


def test_cut_at_any_byte(tmp_path: Path, full: bool) -> None:
    """What a kill, a full disk or a crash of the machine may leave of the file."""
    path = tmp_path / "search.jsonl"
    want = judges.search(path, judges.peak)
    content = path.read_bytes()
    cuts = range(len(content)) if full else random.Random(2).sample(range(len(content)), 60)
    for cut in (0, 1, len(content) - 1, *cuts):
        path.write_bytes(content[:cut])
        found = judges.search(path, judges.peak)
        assert found.table() == want.table()
        assert judges.bits(found) == judges.bits(want)
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]  # each whole, and each once
        assert len({(line.get("point"), line.get("split")) for line in lines}) == len(lines) == 37


@POSIX
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupt(tmp_path: Path, n_jobs: int) -> None:
    """Ctrl-C reaches the whole group: a KeyboardInterrupt that says what to do, no process left, and the rest later."""
    path = tmp_path / "search.jsonl"
    code = f"""
    import multiprocessing, os, signal
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("go", flush=True)
    try:
        judges.search({str(path)!r}, n_jobs={n_jobs})
    except KeyboardInterrupt as interrupt:
        print(*interrupt.__notes__, multiprocessing.active_children())
    """
    child = started(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    end = time.monotonic() + 60
    while time.monotonic() < end and written(path) < 4:
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGINT)
    said, errors = child.communicate(timeout=60)
    assert child.returncode == 0
    assert errors == ""
    assert said == f"[grid] what is done is in {path}; the same call goes on from there []\n"
    assert 4 <= len(path.read_text().splitlines()) < 37
    assert judges.search(path).table() == judges.search(None, judges.peak).table()


# ---- the file


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "search.jsonl"
    found = judges.search(path, judges.peak)
    first, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["search"] == "trigrad.search.grid"
    assert first["settings"] == {"a": ["1", "2", "3", "4"], "b": ["10.0", "20.0", "30.0"]}
    assert {(r["point"], r["split"]) for r in lines} == {(p, s) for p in range(12) for s in range(3)}
    for r in lines:
        assert r["params"] == found.cv_results_["params"][r["point"]]
        assert r["score"] == found.cv_results_[f"split{r['split']}_test_score"][r["point"]]
        assert r["error"] is None
        assert r["seconds"] >= 0


def other(settings: Any, train: Any, validation: Any) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"estimator": other}, "estimator"),
        ({"param_grid": judges.GRID | {"a": [1, 2, 3, 5]}}, "settings"),
        ({"param_grid": judges.GRID | {"c": [1]}}, "settings"),
        ({"X": judges.X + 1}, "events"),
        ({"X": judges.X.astype(np.float32)}, "events"),
        ({"cv": 4}, "folds"),
        ({"seed": 1}, "folds"),
        ({"seed": 1, "cv": tg.data.folds(12, 3)}, "seed"),
        ({"scoring": other}, "scoring"),
    ],
)
def test_a_file_of_another_search_is_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    usual: dict[str, Any] = {"estimator": judges.peak, "param_grid": judges.GRID, "X": judges.X, "cv": 3}
    path = tmp_path / "search.jsonl"
    grid(**usual, path=path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match=rf"is the file of another search, whose {what} differs"):
        grid(**(usual | change), path=path)
    assert path.read_bytes() == before


def test_what_makes_a_search_another(tmp_path: Path) -> None:
    """Functions by name, whatever they hold fast; values by what they say of themselves, wherever they lie in memory."""

    class Thing:
        def __init__(self, n: int) -> None:
            self.n = n

    def judge(settings: Any, train: Any, validation: Any, scale: float = 1.0) -> float:
        return scale

    def search(scale: float, value: Any) -> None:
        grid(functools.partial(judge, scale=scale), {"a": [value]}, judges.X, cv=2, path=path)

    path = tmp_path / "search.jsonl"
    search(1.0, Thing(1))
    search(1.0, Thing(1))
    with pytest.raises(RuntimeError, match="whose settings differs"):
        search(1.0, tg.nn.ReLU)
    with pytest.raises(RuntimeError, match="whose estimator differs"):
        search(2.0, Thing(1))


@pytest.mark.parametrize("content", ["x,y\n1,2\n", "x,y", '{"a": 1}\n', "[]\n", '{"search": "', "\x00\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(content)
    if content == '{"search": "':  # may be the begin of ours
        judges.search(path, judges.peak)
        return
    with pytest.raises(ValueError, match="is not the file of a search"):
        judges.search(path, judges.peak)
    assert path.read_text() == content


def test_a_damaged_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    judges.search(path, judges.peak)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (
        b"\x00" * 40 + b"\n",
        lines[3][:30] + b"\n",
        b'{"point": 1}\n',
        lines[3].replace(b'"score": ', b'"score": "x", "s": '),
    ):
        path.write_bytes(b"".join([*lines[:3], damage, *lines[4:]]))
        with pytest.raises(ValueError, match="is not the file of a search, or damaged"):
            judges.search(path, judges.peak)


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    flag, path = tmp_path / "flag", tmp_path / "search.jsonl"
    values = {"a": ["fine", flag]}
    with pytest.warns(UserWarning, match="1 of 2 points failed"):
        grid(judges.broken, values, judges.X, cv=2, path=path)
    flag.touch()
    found = grid(judges.broken, values, judges.X, cv=2, path=path)
    assert found.cv_results_["error"] == [None, None]
    assert len(path.read_text().splitlines()) == 1 + 4 + 2


@POSIX
def test_two_that_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    child = started(f"judges.search({str(path)!r}, n_jobs=2); input()", stdin=subprocess.PIPE)
    end = time.monotonic() + 60
    while time.monotonic() < end and not written(path):
        time.sleep(0.005)
    with pytest.raises(RuntimeError, match=r"another process writes .*search\.jsonl; wait for it"):
        judges.search(path)
    child.kill()
    child.communicate()
    judges.search(path)  # the lock went with the process
