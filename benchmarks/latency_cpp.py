"""One event at a time in C++: the exported header, the library, Eigen with sizes known to the compiler, and XNNPACK, in turns.

    python benchmarks/latency_cpp.py [--only jet,ecal] [--compiler g++] [--out latency_cpp.json]

The program is compiled here with -O3 -march=native; Eigen and XNNPACK (of 2022) take part if their headers are installed. Each
call goes through a pointer and is fenced from the next; what an empty call takes is taken off. All in one process, block by
alternating block; ratios are medians over neighbouring blocks, with their range.
"""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import harness
import nets
import trigrad as tg
from harness import locked, table
from inference_peers import ROUNDED, Trigrad, predictor
from kernels import Cell, spread

EVENTS = 256
NETWORKS = ("jet", "ecal", "autoencoder", "Higgs")
PRECISIONS = ("float32", "bfloat16", "int16", "int8")
SLOWER = {"jet": {"header float32": 1.6, "library float32": 1.35}}  # how many times as long Eigen is to take


def write_problem(path: Path, net: nets.Net, weights: list[Any]) -> None:
    events = nets.events(net, EVENTS)
    with path.open("wb") as file:
        np.int32(len(weights) // 2).tofile(file)
        for w, b in zip(weights[::2], weights[1::2], strict=True):
            np.array(w.shape[::-1], np.int32).tofile(file)
            w.tofile(file)
            b.tofile(file)
        np.int32(EVENTS).tofile(file)
        events.tofile(file)


def write_network(folder: Path, name: str) -> str:
    """Plan files and headers of a network; C++ that measures it."""
    net = nets.DECIDING[name]
    weights = nets.weights(net)
    write_problem(folder / f"{name}.problem", net, weights)
    model = Trigrad(1).model(net, weights)
    engines = []
    for precision in PRECISIONS:
        p = predictor(model, net, 1, precision)
        p.save(folder / f"{name}.{precision}.tgplan")
        tg.export.cpp_header(p, folder / f"{name}_{precision}.h", name=f"{name}_{precision}")
        engines.append(f'library("library {precision}", folder + "/{name}.{precision}.tgplan")')
        engines.append(f'header<{name}_{precision}::run>("header {precision}")')
    last, sizes = net.output or "none", ", ".join(map(str, net.sizes))
    engines.append(f"EIGEN(eigen<Last::{last}, {sizes}>(p))")
    engines.append(f'XNNPACK(xnnpack(p, "{net.output}"))')
    calls = f"calls * {nets.JET[1] * 100} / {sum(a * b for a, b in zip(net.sizes, net.sizes[1:], strict=False))} + 32"
    return (
        f'{{ const Problem p = read(folder + "/{name}.problem"); std::vector<Engine> all; '
        + " ".join(e if e.startswith(("EIGEN", "XNN")) else f"all.push_back({e});" for e in engines)
        + f' measure("{name}", p, all, blocks, {calls}); }}'
    )


def build(folder: Path, names: list[str], compiler: str) -> Path:
    parts = [write_network(folder, name) for name in names]
    includes = "".join(f'#include "{name}_{precision}.h"\n' for name in names for precision in PRECISIONS)
    (folder / "networks.h").write_text(
        f"{includes}"
        "#if defined(WITH_EIGEN)\n#define EIGEN(...) all.push_back(__VA_ARGS__);\n#else\n#define EIGEN(...)\n#endif\n"
        "#if defined(WITH_XNNPACK)\n#define XNNPACK(...) all.push_back(__VA_ARGS__);\n#else\n#define XNNPACK(...)\n#endif\n"
        "#define NETWORKS " + " \\\n  ".join(parts) + "\n"
    )
    source = Path(__file__).resolve().parent / "cpp" / "events"
    package = Path(tg.get_include()).parent
    flags = ["-std=c++20", "-O3", "-march=native", "-DNDEBUG", f"-I{tg.get_include()}", f"-I{folder}", f"-I{source}"]
    libraries = [str(package / "lib" / "libtrigrad_realtime.so"), f"-Wl,-rpath,{package / 'lib'}"]
    eigen = next((p for p in (Path("/usr/include/eigen3"), Path("/usr/local/include/eigen3")) if p.is_dir()), None)
    if eigen:
        flags += ["-DWITH_EIGEN", "-DEIGEN_STACK_ALLOCATION_LIMIT=0", f"-isystem{eigen}"]
    else:
        print("Eigen: missing (no eigen3 in /usr/include)")
    headers = [Path("/usr/include") / name for name in ("xnnpack.h", "pthreadpool.h")]
    here = bool(ctypes.util.find_library("XNNPACK")) and all(h.is_file() for h in headers)
    if here and "xnn_reshape" not in headers[0].read_text():
        flags.append("-DWITH_XNNPACK")
        libraries.append("-lXNNPACK")
    else:
        print("XNNPACK: missing (no library of 2022 with its headers)")
    program = folder / "latency"
    command = [compiler, *flags, str(source / "main.cpp"), *libraries, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{compiler} says:\n{done.stderr}")
    return program


def report(name: str, engines: dict[str, tuple[float, list[float]]]) -> None:
    first = next(iter(engines.values()))[1]
    cells: list[list[Cell]] = []
    for engine, (error, ns) in engines.items():
        each = [a / b for a, b in zip(ns, first, strict=True)]
        line: list[Cell] = [engine, median(ns), f"{min(ns):.0f}-{max(ns):.0f}"]
        line += [
            spread((median(each), min(each), max(each))),
            f"{error:.1e}" if error < ROUNDED else f"wrong: {error:.1e}",
        ]
        cells.append(line)
    print(f"\n{name}, ns per event")
    print(table(["", "median", "least-greatest", "/ library float32", "error"], cells))
    for ours, wanted in SLOWER.get(name, {}).items():
        if "Eigen" in engines:
            each = [a / b for a, b in zip(engines["Eigen"][1], engines[ours][1], strict=True)]
            met = "" if median(each) >= wanted else ", BEHIND"
            print(f"Eigen / {ours}: {spread((median(each), min(each), max(each)))}, goal {wanted}{met}")


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("--only", type=harness.words, default=[""], help="networks whose name contains one of these")
    parser.add_argument("--compiler", default=shutil.which("g++") or "c++")
    parser.set_defaults(blocks=31)
    a = parser.parse_args()
    names = [n for n in NETWORKS if any(o in n for o in a.only)][: 1 if a.quick else None]
    if not names:
        parser.error("--only leaves no network")
    with tempfile.TemporaryDirectory() as place:
        program = build(Path(place), names, a.compiler)
        blocks, calls = (3, 20) if a.quick else (a.blocks, 3000)
        with locked(a.lock):
            done = subprocess.run(
                [str(program), place, str(blocks), str(calls)], capture_output=True, text=True, check=False
            )
    if done.returncode:
        raise SystemExit(done.stderr)
    rows: list[dict[str, Any]] = []
    found: dict[str, dict[str, tuple[float, list[float]]]] = {}
    for line in done.stdout.splitlines():
        name, engine, error, *ns = line.split("\t")
        found.setdefault(name, {})[engine] = float(error), [float(t) for t in ns]
        rows.append({"network": name, "engine": engine, "error": float(error), "ns": [float(t) for t in ns]})
    for name, engines in found.items():
        report(name, engines)
    harness.save(a.out, "latency in C++", rows)


if __name__ == "__main__":
    main()
