"""An exported header has the predictor's bits under every compiler and flag, and nothing but itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import trigrad as tg
from realtime_models import ACTIVATIONS, build, chain, eager, events, same_bits
from trigrad import _core, nn
from trigrad.export import cpp_header
from trigrad.export._names import identifier
from trigrad.realtime import Predictor, Scaler

COMPILERS = [
    c
    for c in ("g++", "clang++", *(f"g++-{v}" for v in range(11, 16)), *(f"clang++-{v}" for v in range(13, 23)))
    if shutil.which(c)
]
STRICT = "-std=c++17 -Wall -Wextra -Wpedantic -Werror"
FLAGS = [
    "-O0",
    "-O2",
    "-O3 -march=native",
    "-O2 -mavx2 -mfma",
    "-O3 -march=native -ffp-contract=fast",
    "-O2 -fno-exceptions -fno-rtti",
]
SAMPLE = [
    ("g++", "-O1 -fno-exceptions -fno-rtti"),
    ("g++", "-O2 -march=native -ffp-contract=fast"),
    ("clang++", "-O1 -mavx2 -mfma"),
]


def has_sources() -> bool:
    return Path(_core.__file__).resolve().parent.joinpath("source").is_dir()


pytestmark = pytest.mark.skipif(not has_sources(), reason="trigrad was built without its sources for export")


def every_activation() -> nn.Module:
    """One layer of each, so that one header holds them all."""
    tg.manual_seed(3)
    layers: list[nn.Module] = [nn.Linear(7, 24)]
    for name, make in ACTIVATIONS.items():
        layers += [make(), nn.BatchNorm1d(12 if name == "GLU" else 24), nn.Linear(12 if name == "GLU" else 24, 24)]
    return nn.Sequential(*layers).eval()


def wide() -> nn.Module:
    tg.manual_seed(5)
    return chain(33, 201, 1)


MODELS = {
    "jet": lambda: build("jet"),
    "ecal": lambda: build("ecal"),
    "highway": lambda: build("highway"),
    "concatenated": lambda: build("concatenation last"),
    "normalised": lambda: build("batch norm first"),
    "residual": lambda: build("residual of a relu in place"),
    "classes": lambda: build("softmax of 17"),
    "wide": wide,
    "activations": every_activation,
    "halves": lambda: build("jet"),
    "wide_halves": wide,
    "jet_int8": lambda: build("jet"),
    "wide_int8": wide,
    "highway_int16": lambda: build("highway"),
    "column_int16": lambda: build("one column then more"),
}


def predictor(name: str, batch: int = 1) -> Predictor:
    model = MODELS[name]()
    calibration = np.random.default_rng(6).standard_normal((200, Predictor(model).inputs)).astype("f")
    precisions = {"halves": "bfloat16", "int8": "int8", "int16": "int16"}
    return Predictor(model, batch, precisions.get(name.split("_")[-1], "float32"), calibration=calibration)


# Of noexcept functions at -O0, even without exceptions elsewhere.
RUNTIME = {"__gxx_personality_v0", "_ZSt9terminatev"}

# For each model: reads events from standard input, writes answers.
MAIN = """
#include <cstdio>
#include <vector>
template <int inputs, int outputs, class Run>
void answer(long events, Run run) {
  std::vector<float> x(static_cast<unsigned long>(inputs)), y(static_cast<unsigned long>(outputs));
  for (long i = 0; i < events; i++) {
    if (std::fread(x.data(), 4, x.size(), stdin) != x.size()) return;
    run(x.data(), y.data());
    std::fwrite(y.data(), 4, y.size(), stdout);
  }
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every header, a program over them, and what it should say."""
    place = tmp_path_factory.mktemp("headers")
    includes = "".join(f'#include "{name}.h"\n' for name in MODELS)
    calls = "".join(
        f"  if (!{name}::self_test()) return 3;\n"
        f"  answer<{name}::inputs, {name}::outputs>(EVENTS, [](const float* x, float* y) {{ {name}::run(x, y); }});\n"
        for name in MODELS
    )
    for name in MODELS:
        cpp_header(predictor(name), place / f"{name}.h", name=name)
    (place / "all.cpp").write_text(f"{includes}{MAIN}int main() {{\n{calls}}}\n")
    return place


def compiled(folder: Path, compiler: str, flags: str, source: str = "all.cpp", target: str = "program") -> str:
    """What the compiler says."""
    command = [compiler, *STRICT.split(), *flags.split(), source, "-o", target]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stderr


def compare(folder: Path, compiler: str, flags: str, count: int) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    said = compiled(folder, compiler, f"{flags} -DEVENTS={count}")
    assert said == ""
    predictors = [predictor(name, count) for name in MODELS]
    x = [events(p.inputs, count, 9) for p in predictors]
    done = subprocess.run(
        ["./program"], cwd=folder, input=b"".join(e.tobytes() for e in x), capture_output=True, check=False
    )
    assert done.returncode == 0, "a self test failed"
    answers, place = np.frombuffer(done.stdout, "f"), 0
    for name, p, e in zip(MODELS, predictors, x, strict=True):
        found = answers[place : place + count * p.outputs].reshape(count, p.outputs)
        assert same_bits(found, p(e)), name
        place += found.size
    assert place == answers.size


@pytest.mark.parametrize(("compiler", "flags"), SAMPLE)
def test_bits(folder: Path, compiler: str, flags: str) -> None:
    compare(folder, compiler, flags, 120)


@pytest.mark.proof
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_bits_under_every_flag(folder: Path, full: bool, compiler: str, flags: str) -> None:
    if not full:
        pytest.skip("a long proof: TRIGRAD_PROOFS=full")
    compare(folder, compiler, flags, 80_000 if flags == "-O3 -march=native" else 1_700)  # times fifteen models


def test_the_model_is_the_eager_one(folder: Path) -> None:
    """The predictor is the bridge: what the headers are compared with is the model itself."""
    model = every_activation()
    x = events(7, 200)
    assert same_bits(Predictor(model, batch=200)(x), eager(model, x))
    assert np.isfinite(eager(model, x)).any()


def test_stands_alone(folder: Path) -> None:
    text = (folder / "jet.h").read_text()
    assert set(re.findall(r"#include (\S+)", text)) == {"<stdint.h>", "<immintrin.h>", "<arm_neon.h>"}
    assert "inline constexpr int inputs = 16, outputs = 5;" in text
    assert "//" not in "".join(
        line for line in text.splitlines()[10:] if "namespace" not in line and "//" in line and "static:" not in line
    )
    (folder / "symbols.cpp").write_text('#include "jet.h"\nvoid f(const float* x, float* y) { jet::run(x, y); }\n')
    for flags in ("-O2 -march=native", "-O2", "-O0"):
        assert compiled(folder, "g++", f"{flags} -c -fno-exceptions -fno-rtti", "symbols.cpp", "symbols.o") == ""
        needed = subprocess.run(
            ["nm", "-u", "symbols.o"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.split()
        assert set(needed) - {"U", "memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"} <= RUNTIME


def test_unsafe_flags_are_refused(folder: Path) -> None:
    for flags in ("-O2 -ffast-math", "-Ofast"):
        assert "-ffast-math and its like change results" in compiled(folder, "g++", f"{flags} -DEVENTS=1")


def test_two_objects_of_different_instruction_sets_link(folder: Path) -> None:
    (folder / "one.cpp").write_text('#include "jet.h"\nbool one() { return jet::self_test(); }\n')
    (folder / "two.cpp").write_text(
        '#include "jet.h"\nbool one();\nint main() { return !(one() && jet::self_test()); }\n'
    )
    assert compiled(folder, "g++", "-O1 -c", "one.cpp", "one.o") == ""
    assert compiled(folder, "g++", "-O1 -march=native one.o", "two.cpp", "both") == ""
    assert subprocess.run(["./both"], cwd=folder, check=False).returncode == 0


@pytest.mark.parametrize(("name", "kind"), [("ecal", "float"), ("jet_int8", "int8_t"), ("highway_int16", "int16_t")])
def test_a_flipped_weight_bit_fails_the_self_test(folder: Path, name: str, kind: str) -> None:
    text = (folder / f"{name}.h").read_text()
    weights = re.search(rf" {kind} c\d+\[\d+\] = \{{\n(\S+?)f?,", text)
    assert weights is not None
    if kind == "float":
        flipped = repr(float((np.float32(weights[1]).view("u4") ^ np.uint32(1)).view("f")))
    else:
        flipped = str(int(weights[1]) ^ 1)
    (folder / "flipped.h").write_text(text[: weights.start(1)] + flipped + text[weights.end(1) :])
    (folder / "flipped.cpp").write_text(f'#include "flipped.h"\nint main() {{ return {name}::self_test() ? 0 : 5; }}\n')
    assert compiled(folder, "g++", "-O1", "flipped.cpp", "flipped") == ""
    assert subprocess.run(["./flipped"], cwd=folder, check=False).returncode == 5


def test_names() -> None:
    assert [identifier(n) for n in ("tagger", "my tagger-2", "2b", "class", "__a__b", "µ tagger")] == [
        *("tagger", "my_tagger_2", "n2b", "nclass", "a_b", "tagger"),
    ]
    # What C's own headers declare, and what a compiler defines.
    assert [identifier(n) for n in ("gamma", "signal", "y0", "int8_t", "char16_t", "linux", "NULL", "Gamma")] == [
        *("ngamma", "nsignal", "ny0", "nint8_t", "nchar16_t", "nlinux", "nNULL", "Gamma"),
    ]
    with pytest.raises(ValueError, match="expected at least one letter or digit"):
        identifier("---")


def test_options_and_refusals(tmp_path: Path) -> None:
    model = build("jet")
    text = cpp_header(model, tmp_path / "a.h", raw_logits=True)
    assert "softmax<5" not in text.split("static inline void run")[1]
    assert cpp_header(Predictor(model), tmp_path / "b.h") == cpp_header(model, tmp_path / "b.h")
    assert (tmp_path / "b.h").read_text() == cpp_header(model, tmp_path / "b.h")
    guards = {cpp_header(model, tmp_path / "d.h", name=n).split("#ifndef ")[1].split()[0] for n in ("tau", "Tau")}
    assert len(guards) == 2
    with pytest.raises(ValueError, match="the predictor refuses NaN"):
        cpp_header(model, tmp_path / "c.h", scaler=Scaler(nan="refuse"))
    assert not (tmp_path / "c.h").exists()
