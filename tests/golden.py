"""The frozen bits: hashes of every floating op over a fixed catalogue of calls.

python tests/golden.py            compare with golden.json
python tests/golden.py --write    write it anew: only together with a rise of trigrad.arithmetic_version
python tests/golden.py --print    the hashes as JSON (for test_bits.py, which compares processes)
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import trigrad as tg
from door import TABLE, bits, run
from samples import NO_FLOATS, large, required, samples
from values import FLOATS, Array, Sample, specials

PATH = Path(__file__).with_name("golden.json")
Hashes = dict[str, dict[str, str]]  # "tanh float32" -> sample -> hash


def catalogue(name: str, dtype: str) -> Iterator[tuple[str, tuple[Array | None, ...]]]:
    row = TABLE[name]
    for sample in (*samples(row, dtype), large(row, dtype)):
        yield sample.label, run(name, sample)
    if row["pointwise"] and row["pointwise"]["arity"] == 1 and row["pointwise"]["dtypes"] not in NO_FLOATS:
        yield "specials", run(name, Sample("specials", (specials(dtype),), required(row)))


def hashes() -> Hashes:
    found: Hashes = {}
    for name in TABLE:
        for dtype in FLOATS:
            of_op = found.setdefault(f"{name} {dtype}", {})
            for label, outputs in catalogue(name, dtype):
                digest = hashlib.blake2b(b"|".join(bits(o) for o in outputs), digest_size=6).hexdigest()
                assert label not in of_op, f"{name} has two samples '{label}'"
                of_op[label] = digest
    return found


def differences(found: Hashes, want: Hashes) -> list[str]:
    """Samples that differ or are in one of the two only."""
    return [
        f"{op}: {label}"
        for op in sorted(found.keys() | want.keys())
        for label in sorted(found.get(op, {}).keys() | want.get(op, {}).keys())
        if found.get(op, {}).get(label) != want.get(op, {}).get(label)
    ]


def write() -> None:
    rows = [f"  {json.dumps(op)}: {json.dumps(of_op, ensure_ascii=False)}" for op, of_op in hashes().items()]
    PATH.write_text(f'{{"arithmetic_version": {tg.arithmetic_version},\n "hashes": {{\n' + ",\n".join(rows) + "\n}}\n")


def main(arguments: list[str]) -> int:
    if arguments == ["--write"]:
        write()
    elif arguments == ["--print"]:
        json.dump(hashes(), sys.stdout)
    else:
        golden = json.loads(PATH.read_text())
        found = differences(hashes(), golden["hashes"])
        print(f"{len(found)} differences from {PATH.name}", *found, sep="\n  ")
        return 1 if found else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
