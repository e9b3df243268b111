"""The frozen bits: hashes of every floating op over a fixed catalogue of calls, and of trained networks.

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
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import trigrad as tg
from door import TABLE, bits, run
from samples import NO_FLOATS, large, required, samples
from trigrad import nn, optim
from trigrad.nn import functional as F
from values import FLOATS, Array, Sample, real, specials, whole

PATH = Path(__file__).with_name("golden.json")
Hashes = dict[str, dict[str, str]]  # "tanh float32" -> sample -> hash


def catalogue(name: str, dtype: str) -> Iterator[tuple[str, tuple[Array | None, ...]]]:
    row = TABLE[name]
    for sample in (*samples(row, dtype), large(row, dtype)):
        yield sample.label, run(name, sample)
    if row["pointwise"] and row["pointwise"]["arity"] == 1 and row["pointwise"]["dtypes"] not in NO_FLOATS:
        yield "specials", run(name, Sample("specials", (specials(dtype),), required(row)))


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "Adam": {"lr": 0.003, "weight_decay": 1e-3, "amsgrad": True},
    "RMSprop": {"lr": 0.003, "momentum": 0.5, "centered": True},
}


def training(name: str, dtype: str, widths: tuple[int, int] = (32, 17), batch: int = 130, steps: int = 50) -> str:
    """The sha256 of weights, statistics, optimizer state and losses of a network with batch norm and dropout."""
    events, (first, second) = 3 * batch, widths
    before = tg.get_rng_state()
    tg.manual_seed(11)
    try:
        x, target = (
            tg.tensor(real((events, 16), "training", dtype)),
            tg.tensor(whole(events, "training", "int64", 0, 5)),
        )
        net = nn.Sequential(
            *(nn.Linear(16, first), nn.BatchNorm1d(first), nn.ReLU(), nn.Dropout(0.2)),
            *(nn.Linear(first, second), nn.BatchNorm1d(second), nn.Tanh(), nn.Dropout(0.5)),
            nn.Linear(second, 5),
        ).to(getattr(tg, dtype))
        optimizer = getattr(optim, name)(net.parameters(), **OPTIMIZERS[name])
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        losses = []
        for _ in range(steps):
            chosen = tg.randperm(events)[:batch]
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[chosen]), target[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        digest = hashlib.sha256()
        add(digest, [net.state_dict(), optimizer.state_dict(), losses])
        return digest.hexdigest()
    finally:
        tg.set_rng_state(before)


def add(digest: Any, value: Any) -> None:
    """Everything in nested dicts and lists, in order."""
    if isinstance(value, tg.Tensor):
        digest.update(bits(value.numpy()))
    elif isinstance(value, (dict, list, tuple)):
        for part in value.items() if isinstance(value, dict) else value:
            add(digest, part)
    else:
        digest.update(repr(value).encode())


def hashes() -> Hashes:
    found: Hashes = {}
    for name in TABLE:
        for dtype in FLOATS:
            of_op = found.setdefault(f"{name} {dtype}", {})
            for label, outputs in catalogue(name, dtype):
                digest = hashlib.blake2b(b"|".join(bits(o) for o in outputs), digest_size=6).hexdigest()
                assert label not in of_op, f"{name} has two samples '{label}'"
                of_op[label] = digest
    for dtype in FLOATS:
        found[f"training {dtype}"] = {"50 steps of Adam": training("Adam", dtype)}
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
