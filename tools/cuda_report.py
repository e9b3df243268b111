"""What the compiler says of the CUDA kernels: registers, stack frames, spills. Fails where a kernel has what it promises not to.

    cmake -DTRIGRAD_CUDA=ON -DTRIGRAD_CUDA_REPORT=ON … && cmake --build … --target trigrad_cuda | tee build.log
    python tools/cuda_report.py build.log        what ptxas said while the module was compiled
    python tools/cuda_report.py _cuda.so         the same of a module that is there, where cuobjdump is

A stack frame is memory outside the chip behind every access to it; a spill is a register that did not fit.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Kernels that promise neither: those whose inner loops are what a net costs.
PROMISED = (
    r"run_event\b",  # a predictor's
    r"StepPart",
    r"run_pipelined\b",  # products by tiles that are on their way
    r"FusedNet|NetJoin",
)


@dataclass(frozen=True)
class Kernel:
    name: str
    architecture: str
    registers: int
    stack: int
    spills: int
    """bytes stored and loaded; cuobjdump counts them with the stack"""

    @property
    def promised(self) -> bool:
        return any(re.search(p, self.name) for p in PROMISED)


ENTRY = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
PROPERTIES = re.compile(r"Function properties for (\S+)")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
OBJECT = re.compile(r"arch = (\S+)|Function (\S+):|REG:(\d+) STACK:(\d+)")


def of_log(text: str) -> Iterator[tuple[str, str, int, int, int]]:
    """Each kernel's mangled name, architecture, registers, stack and spills, as ptxas printed them."""
    entry, frame, of_entry = None, (0, 0), True
    for line in text.splitlines():
        if found := ENTRY.search(line):
            entry, frame = (found[1], found[2]), (0, 0)
        elif found := PROPERTIES.search(line):
            of_entry = entry is not None and found[1] == entry[0]
        elif (found := FRAME.search(line)) and of_entry:
            frame = int(found[1]), int(found[2]) + int(found[3])
        elif (found := USED.search(line)) and entry is not None:
            yield *entry, int(found[1]), *frame
            entry = None


def of_module(path: Path) -> Iterator[tuple[str, str, int, int, int]]:
    """The same of a compiled module."""
    tool = shutil.which("cuobjdump") or "/usr/local/cuda/bin/cuobjdump"
    if not Path(tool).exists():
        raise FileNotFoundError("cuobjdump is not here")
    text = subprocess.run([tool, "--dump-resource-usage", str(path)], capture_output=True, text=True, check=True).stdout
    architecture = name = ""
    for found in OBJECT.finditer(text):
        if found[1]:
            architecture = found[1]
        elif found[2]:
            name = found[2]
        else:
            yield name, architecture, int(found[3]), int(found[4]), 0


def readable(names: list[str]) -> list[str]:
    if shutil.which("c++filt") is None:
        return names
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    without = re.compile(r"tg::cuda::|\(anonymous namespace\)::|\([\w:]+\)(?=-?\d)|^void ")  # casts of enumerators too
    return [without.sub("", line).split("(")[0] for line in done.stdout.splitlines()]


def kernels(path: Path) -> list[Kernel]:
    if path.suffix == ".so":
        found = list(of_module(path))
    else:
        found = list(of_log(path.read_text(encoding="utf-8", errors="replace")))
    return [Kernel(n, *rest) for n, (_, *rest) in zip(readable([f[0] for f in found]), found, strict=True)]


def told(found: list[Kernel]) -> tuple[list[str], list[Kernel]]:
    """Lines for people, and the kernels that break their promise."""
    lines: list[str] = []
    by_architecture: dict[str, list[Kernel]] = defaultdict(list)
    for k in found:
        by_architecture[k.architecture].append(k)
    for architecture, all in sorted(by_architecture.items()):
        framed = [k for k in all if k.stack or k.spills]
        most = max(all, key=lambda k: k.registers)
        lines.append(
            f"{architecture}: {len(all)} kernels, at most {most.registers} registers ({most.name[:60]}), "
            f"{len(framed)} with a stack frame, {sum(k.spills > 0 for k in all)} with spills, "
            f"{sum(k.promised for k in all)} that promise none"
        )
        worst = sorted(framed, key=lambda k: (-k.promised, -k.spills, -k.stack))
        lines += [f"    {k.stack:5} stack {k.spills:5} spilled  {k.name[:100]}" for k in worst[:12]]
        if len(worst) > 12:
            lines.append(f"    and {len(worst) - 12} more")
    return lines, [k for k in found if k.promised and (k.stack or k.spills)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a build's log, or _cuda.so")
    found = kernels(parser.parse_args().source)
    lines, broken = told(found)
    print("\n".join(lines))
    if not any(k.promised for k in found):
        print("no kernel that promises anything is here: was the module compiled anew, with TRIGRAD_CUDA_REPORT=ON?")
        return 2
    for k in broken:
        print(f"{k.architecture}: {k.name} has {k.stack} bytes of stack and {k.spills} spilled, expected none")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
