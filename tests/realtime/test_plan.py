"""Plan files: a saved predictor answers with the same bits, in Python and in C++ without it; damage is told, not loaded."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

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
