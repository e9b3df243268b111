"""The library's own C++ sources as text to paste: only the functions that are needed, without comments and includes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from trigrad import _core

__all__ = ["function", "paste", "plain"]

# In the order in which they are pasted. Files of functions give those that are reached, the others come whole.
LANE, WHOLE_FIRST = "math/lane.h", ("cpu/simd.h", "cpu/row16.h", "math/order.h")
FUNCTIONS = ("math/exp_log.h", "math/erf.h", "math/hyperbolic.h", "math/activation.h", "math/softmax.h")
WHOLE_LAST = (
    "cpu/four_lanes.inl",
    "cpu/rows.inl",
    "cpu/weights.inl",
    "realtime/integers.inl",
    "realtime/fixed.inl",
)


@cache
def text(name: str) -> str:
    """A source file as the package carries it."""
    place = Path(_core.__file__).resolve().parent / "source" / name
    if not place.is_file():
        raise RuntimeError(f"[cpp_header] this trigrad has no {place}: it was built without its sources for export")
    return place.read_text(encoding="utf-8")


def plain(source: str) -> str:
    """Without comments, includes, `#pragma once` and empty lines."""
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    lines = []
    for line in source.splitlines():
        line = re.sub(r"\s*//.*$", "", line)
        if line.strip() and not re.match(r"\s*#\s*(include|pragma once)", line):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _pieces(source: str) -> list[str]:
    """The declarations inside the namespace of a file of functions, each as it stands."""
    body = source[source.index("{", source.index("namespace")) + 1 : source.rindex("}")]
    pieces, start, depth, begun = [], 0, 0, False
    for i, c in enumerate(body):
        depth += (c == "{") - (c == "}")
        begun = begun or c == "{"
        if begun and depth == 0 and c == "}":
            end = i + 2 if body[i + 1 : i + 2] == ";" else i + 1
            pieces.append(body[start:end].strip("\n"))
            start, begun = end, False
    return pieces


def _defines(piece: str) -> str:
    """The name of the function or struct that a piece defines."""
    head = piece[: piece.index("{")]
    found = re.search(r"struct (\w+)\s*$", head.strip()) or re.search(
        r"(\w+|operator\S)\s*\(", re.sub(r"__attribute__\(\(.*?\)\)", "", head)
    )
    assert found is not None, head
    return found[1]


@cache
def _catalogue() -> tuple[tuple[str, str], ...]:
    """(name, piece) of all functions, in order."""
    return tuple((_defines(piece), piece) for name in FUNCTIONS for piece in _pieces(plain(text(name))))


def _reached(roots: Iterable[str]) -> str:
    wanted, todo = set(), [word for root in roots for word in re.findall(r"\w+", root)]
    names: dict[str, list[str]] = {}
    for name, piece in _catalogue():
        names.setdefault(name, []).append(piece)
    while todo:
        word = todo.pop()
        if word in names and word not in wanted:
            wanted.add(word)
            todo += [w for piece in names[word] for w in re.findall(r"\w+", piece)]
    return "\n".join(piece for name, piece in _catalogue() if name in wanted) + "\n"


def paste(roots: Iterable[str]) -> str:
    """Vectors, kernels of fixed sizes, and the functions that the expressions in `roots` reach."""
    parts = [plain(text(name).replace(f'#include "../{LANE}"', text(LANE))) for name in WHOLE_FIRST]
    # A function that nobody calls leaves no code behind, and needs no other: fma of doubles is the C library's here.
    parts[0] = parts[0].replace("#define TG_SLOW static __", "#define TG_SLOW static inline __")
    last = "".join(plain(text(name)) for name in WHOLE_LAST)
    inner = _reached([*roots, last])
    return "".join([*parts, "namespace tg::TG_ISA_NS {\n", inner, last, "\n"])


def function(name: str) -> tuple[int, str]:
    """How many arguments a row of pointwise.def has, and its expression in x, p and q, or a and b."""
    rows = plain(text("math/pointwise.def"))
    found = re.search(rf"TG_(UNARY|BINARY)\({name}, ", rows)
    assert found is not None, name
    depth, start, parts = 1, found.end(), []
    i = start
    quoted = False
    while depth:
        c = rows[i]
        quoted ^= c == '"'
        depth += 0 if quoted else (c in "({") - (c in ")}")
        if (c == "," and depth == 1 and not quoted) or depth == 0:
            parts.append(rows[start:i].strip())
            start = i + 1
        i += 1
    return 1 if found[1] == "UNARY" else 2, parts[3]
