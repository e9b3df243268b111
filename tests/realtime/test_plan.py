"""Plan files: a saved predictor answers with the same bits, in Python and in C++ without it; damage is told, not loaded."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from realtime_models import ACTIVATIONS, MODELS, build, eager, events, same_bits
from trigrad import _core
from trigrad.realtime import Predictor, Scaler

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cpp"


def mended(content: bytes) -> bytes:
    """The file with its length and checksum made right."""
    content = content[:24] + struct.pack("<Q", len(content)) + content[32:]
    return content[:20] + struct.pack("<I", zlib.crc32(content[24:])) + content[24:]


@pytest.mark.parametrize("name", [*MODELS, *ACTIVATIONS])
def test_comes_back_with_the_same_bits(name: str) -> None:
    p = Predictor(build(name), scaler=Scaler(offset=0.25, scale=3, nan=1.5))
    content = p.to_bytes()
    q = Predictor.from_bytes(content, 40)
    x = events(p.inputs, 40)
    assert same_bits(q(x), np.stack([p(row) for row in x]))
    assert q.to_bytes() == content


def usual() -> Any:
    return np.random.default_rng(0).normal(size=(64, 16)).astype("float32")


def calibrated(precision: str) -> Predictor:
    x = usual()
    return Predictor(build("jet"), 64, precision, calibration=x, scaler=Scaler(offset=0.5, nan="refuse"))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int16", "int8"])
def test_pickles_have_the_same_bits(precision: str, protocol: int) -> None:
    p = calibrated(precision)
    q = pickle.loads(pickle.dumps(p, protocol))
    x = usual()
    assert same_bits(q(x), p(x))
    assert (q.batch, q.precision, q.device, q.to_bytes()) == (64, precision, "cpu", p.to_bytes())
    assert p.error is not None
    assert q.error == p.error
    with pytest.raises(ValueError, match="has a NaN"):
        q(np.full(16, np.nan, "float32"))


def test_copies_keep_the_options() -> None:
    tiny = np.full(16, 1e-40, "float32")
    plain, flushing = (Predictor(build("jet"), flush_denormals=f, lock_memory=f) for f in (False, True))
    for p in (plain, flushing):
        for made in (copy.copy, copy.deepcopy):
            q = made(p)
            assert q is not p
            assert q.error is None
            assert q.locked == p.locked
            assert same_bits(q(tiny), p(tiny))
    model = tg.nn.Linear(1, 1, bias=False)
    with tg.no_grad():
        model.weight.fill_(1.0)
    assert [copy.copy(Predictor(model, flush_denormals=f))(tiny[:1])[0] > 0 for f in (False, True)] == [True, False]


def test_pickles_in_other_processes() -> None:
    p, x = calibrated("int8"), usual()
    code = """if True:
        import pickle, sys
        p, x = pickle.load(sys.stdin.buffer)
        sys.stdout.buffer.write(p(x).tobytes())
    """
    content = pickle.dumps((p, x))
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=False)
    assert done.stdout == p(x).tobytes(), done.stderr
    joblib = pytest.importorskip("joblib")
    jobs = joblib.Parallel(n_jobs=2, backend="multiprocessing")(joblib.delayed(p)(part) for part in (x[:32], x[32:]))
    assert same_bits(np.concatenate(jobs), p(x))


def test_arrays_out_of_pickles_are_float32() -> None:
    """Their dtype is equal to float32 and not the same object."""
    p, x = Predictor(build("jet"), 64), usual()
    again, out = pickle.loads(pickle.dumps((x, np.empty((64, 5), "float32"))))
    assert again.dtype is not x.dtype
    assert p(again, out) is out
    assert same_bits(out, p(x))
    assert p.decide(again[0], 0.2, 0) == p.decide(x[0], 0.2, 0)
    with pytest.raises(TypeError, match="x has dtype >f4, expected float32 in the machine's byte order"):
        p(x.astype(">f4"))


def test_a_damaged_pickle_is_refused() -> None:
    p = Predictor(build("jet"))
    content = p.to_bytes()
    damaged = pickle.dumps(p).replace(content[-40:], bytes(40))
    with pytest.raises(ValueError, match=r"\[Predictor\]"):
        pickle.loads(damaged)
    with pytest.raises(TypeError, match="the state is no dict of errors"):
        p.__setstate__([])  # type: ignore[attr-defined]


def test_file(tmp_path: Path) -> None:
    model, path = build("jet"), tmp_path / "tagger.tgplan"
    Predictor(model, batch=7).save(path)
    assert [f.name for f in tmp_path.iterdir()] == ["tagger.tgplan"]
    assert mended(path.read_bytes()) == path.read_bytes()
    p = Predictor.load(str(path), batch=30)
    x = events(16, 30)
    assert (p.inputs, p.outputs, p.batch) == (16, 5, 30)
    assert same_bits(p(x), eager(model, x))
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(path)
    Predictor(model, batch=9).save(link)
    assert link.is_symlink()
    assert Predictor.load(path).to_bytes() == Predictor(model, batch=9).to_bytes()
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    Predictor(model).save(pipe)
    assert pipe.is_fifo()  # not replaced by a file
    assert os.read(reader, 1 << 20) == Predictor(model).to_bytes()
    os.close(reader)
    with pytest.raises(FileNotFoundError):
        Predictor.load(tmp_path / "other.tgplan")
    with pytest.raises(IsADirectoryError):
        Predictor.load(tmp_path)
    with (tmp_path / "terabyte").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="this is not a plan file"):
        Predictor.load(tmp_path / "terabyte")
    with pytest.raises(FileNotFoundError):
        p.save(tmp_path / "nowhere" / "tagger.tgplan")


@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_file_runs_on_every_instruction_set(isa: str) -> None:
    content = Predictor(build("ecal")).to_bytes()
    _core.set_isa(isa)
    assert Predictor.from_bytes(content).isa == isa
    assert Predictor(build("ecal")).to_bytes() == content


def test_refusing_a_nan_is_kept() -> None:
    p = Predictor.from_bytes(Predictor(build("ecal"), scaler=Scaler(nan="refuse")).to_bytes())
    with pytest.raises(ValueError, match="x has a NaN"):
        p(np.full(12, np.nan, "f"))


def test_damage_is_told() -> None:
    content = Predictor(build("ecal")).to_bytes()
    (header,) = struct.unpack("<I", content[16:20])
    weight = 32 + header + 64 + 5
    flipped = content[:weight] + bytes([content[weight] ^ 16]) + content[weight + 1 :]
    cases = {
        "does not begin as one": b"something else, of some length, that is no plan",
        "it was cut off": content[:-64],
        "its checksum does not fit": flipped,
        "its weights are not those that were saved": mended(flipped),
        r"has format 2, this trigrad \(.*\) reads format 1; update trigrad": content[:8] + b"\x02" + content[9:],
        "promises the bits of arithmetic version 77": mended(content[:12] + b"\x4d" + content[13:]),
        "self test failed": mended(content[:-60] + bytes(60)),
    }
    for text, damaged in cases.items():
        with pytest.raises((ValueError, RuntimeError), match=text):
            Predictor.from_bytes(damaged)
    with pytest.raises(TypeError):
        Predictor.from_bytes(3)


# ---- C++ without Python


def has_library() -> bool:
    try:
        tg.get_cmake_dir()
    except RuntimeError:
        return False
    return shutil.which("cmake") is not None


@pytest.mark.skipif(not has_library(), reason="needs cmake, and trigrad built with its C++ library")
def test_the_example_has_the_same_bits(tmp_path: Path) -> None:
    assert Path(tg.get_include(), "trigrad", "predictor.h").is_file()
    configure = ["cmake", "-S", str(EXAMPLE), "-B", str(tmp_path), f"-Dtrigrad_DIR={tg.get_cmake_dir()}"]
    for command in (
        [*configure, "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror"],
        ["cmake", "--build", str(tmp_path)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    decide = str(tmp_path / "decide")
    for name, precision in (("jet", "float32"), ("ecal", "int8"), ("highway", "int16")):
        plan = tmp_path / f"{name}.tgplan"
        model = build(name)
        calibration = np.random.default_rng(3).standard_normal((100, Predictor(model).inputs)).astype("f")
        p = Predictor(model, precision=precision, calibration=calibration)
        p.save(plan)
        x = np.random.default_rng(4).standard_normal((20, p.inputs)).astype("f")
        text = "\n".join(" ".join(map(repr, row.tolist())) for row in x)
        said = subprocess.run([decide, str(plan), "0.3"], input=text, capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in said.splitlines()]
        answers = np.array([[float.fromhex(v) for v in line[:-1]] for line in lines], "f")
        expected = np.stack([p(row) for row in x])
        assert same_bits(answers, expected)
        assert [line[-1] == "accept" for line in lines] == (expected[:, 0] >= np.float32(0.3)).tolist()
    for broken in ("1 2 3", "1 two"):
        failed = subprocess.run([decide, str(plan)], input=broken, capture_output=True, text=True, check=False)
        assert (failed.returncode, failed.stderr) == (1, f"an event is not of {p.inputs} numbers\n")
    bad = tmp_path / "bad.tgplan"
    bad.write_bytes(b"no plan")
    failed = subprocess.run([decide, str(bad)], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "this is not a plan file of trigrad" in failed.stderr
