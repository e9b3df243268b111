"""Gradients of random programs (programs.py) against PyTorch's; where PyTorch refuses one, against finite differences."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from values import real

sys.path.insert(0, str(Path(__file__).resolve().parent))

from programs import SHAPES, Drawer, Drawn

PROGRAMS, BATCHES = 60, 5  # in each batch; TRIGRAD_PROOFS=full: 20 times as many
LENGTH = 14


def overlaps(x: Any) -> bool:
    """By its strides."""
    reach = 0
    for step, n in sorted((abs(s), n) for s, n in zip(x.stride(), x.shape, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += step * (n - 1)
    return False


def unclear(tensors: list[Any], drawn: Drawn) -> bool:
    """Writes to elements that share a place, or from memory that is being written: what comes of them is another question."""
    target, source = tensors[drawn.target], tensors[drawn.source] if drawn.source >= 0 else None
    if source is None or source is target:
        return overlaps(target)
    return overlaps(target) or source.untyped_storage().data_ptr() == target.untyped_storage().data_ptr()


class Program:
    """Drawn step by step while PyTorch runs it; a step that PyTorch refuses is left out."""

    def __init__(self, torch: Any, seed: int) -> None:
        rng = Random(seed)
        drawer = Drawer(rng)
        self.shapes = [rng.choice(SHAPES) for _ in range(3)]
        self.arrays = [real(s, f"program{seed} {k}", "float64", -1.2, 1.2) for k, s in enumerate(self.shapes)]
        self.steps: list[Drawn] = []
        self.leaves, self.ours = self.fresh(torch), self.fresh(tg)
        tensors: list[Any] = list(self.leaves)
        beside: list[Any] = list(self.ours)
        while len(self.steps) < LENGTH:
            drawn = drawer.draw([tuple(x.shape) for x in tensors])
            if drawn is None:
                continue
            shared = drawn.writes and unclear(tensors, drawn)
            try:
                made = None if shared else drawn.step(torch, tensors)
            except (RuntimeError, IndexError):
                made = None
            if made is None:
                continue
            self.steps.append(drawn)
            tensors.append(made)
            beside.append(drawn.step(tg, beside))
        self.made, self.made_by_us = tensors, beside
        self.summed = sorted({rng.randrange(3, len(tensors)) for _ in range(3)} | {len(tensors) - 1})

    def fresh(self, t: Any, move: float = 0.0) -> list[Any]:
        made = [t.tensor((a + move * real(a.shape, f"direction{k}", "float64", -1, 1)).tolist(), dtype=t.float64).reshape(a.shape)
                for k, a in enumerate(self.arrays)]  # fmt: skip
        return [x.requires_grad_() for x in made]

    def run(self, t: Any, leaves: list[Any]) -> list[Any]:
        tensors = list(leaves)
        for drawn in self.steps:
            tensors.append(drawn.step(t, tensors))
        return tensors

    def loss(self, t: Any, tensors: list[Any]) -> Any:
        parts = [
            (
                tensors[i] * t.tensor(real(tuple(tensors[i].shape), f"weights{i}", "float64")).reshape(tensors[i].shape)
            ).sum()
            for i in self.summed
        ]
        return sum(parts[1:], parts[0])

    def differences(self) -> float | None:
        """The slope of the loss along a direction; None where it has a kink."""

        def value(step: float) -> float:
            with tg.no_grad():
                # without the history that would refuse writes to leaves
                tensors = self.run(tg, [x.detach() for x in self.fresh(tg, step)])
                return float(self.loss(tg, tensors))

        slopes = [(value(h) - value(-h)) / (2 * h) for h in (2.0**-12, 2.0**-14, 2.0**-16)]
        return slopes[1] if np.ptp(slopes) < 1e-4 * (1 + abs(slopes[1])) else None

    def __repr__(self) -> str:
        lines = [f"{k}: leaf {s}" for k, s in enumerate(self.shapes)]
        lines += [f"{k + 3}: {d.name}" for k, d in enumerate(self.steps)]
        return "\n".join([*lines, f"loss of {self.summed}"])


def gradients(program: Program, t: Any, leaves: list[Any], tensors: list[Any], second: bool) -> list[Any]:
    loss = program.loss(t, tensors)
    if not loss.requires_grad:
        return []
    found = t.autograd.grad(loss, leaves, create_graph=second, materialize_grads=True)
    if not second:
        return [g.numpy() for g in found]
    total = sum((g * g).sum() for g in found)
    again = t.autograd.grad(total, leaves, materialize_grads=True) if total.requires_grad else [g * 0 for g in found]
    return [g.detach().numpy() for g in (*found, *again)]


def close(ours: Any, theirs: Any) -> bool:
    scale = float(np.abs(theirs).max()) if theirs.size else 0.0
    return bool(np.allclose(ours, theirs, rtol=1e-8, atol=1e-10 * (1 + scale), equal_nan=True))


def check(torch: Any, seed: int) -> str:
    """What became of it: agreed, agreed with differences, or left (no gradient, or infinite)."""
    program = Program(torch, seed)
    leaves, tensors = program.ours, program.made_by_us
    for k, (mine, other) in enumerate(zip(tensors, program.made, strict=True)):
        assert tuple(mine.shape) == tuple(other.shape), f"{program}\nshape of {k}"
        assert mine.requires_grad == other.requires_grad, f"{program}\nrequires_grad of {k}"
    if not all(math.isfinite(float(x.detach().abs().sum())) for x in program.made):
        return "left"
    for k, (mine, other) in enumerate(zip(tensors, program.made, strict=True)):
        assert close(mine.detach().numpy(), other.detach().numpy()), f"{program}\nvalue of {k}"
    second = seed % 3 == 0
    try:
        wanted = gradients(program, torch, program.leaves, program.made, second)
    except RuntimeError as error:
        if "inplace operation" not in str(error):
            return "left"  # what PyTorch cannot differentiate twice
        wanted = None
    try:
        found = gradients(program, tg, leaves, tensors, second)
    except RuntimeError as error:
        if "changed in place" not in str(error):
            raise
        return "refused" if wanted is None else "refused alone"
    except NotImplementedError:
        return "left"
    if wanted is not None:
        assert len(found) == len(wanted), program
        for mine, other in zip(found, wanted, strict=True):
            assert close(mine, other) or not np.isfinite(other).all(), f"{program}\n{mine}\nexpected\n{other}"
        return "agreed"
    slope = program.differences()
    if slope is None or "detached" in str(program):
        return "left"
    directions = [real(a.shape, f"direction{k}", "float64", -1, 1) for k, a in enumerate(program.arrays)]
    got = float(sum((g * d).sum() for g, d in zip(found, directions, strict=False)))
    assert abs(got - slope) < 1e-4 * (1 + abs(slope)), f"{program}\n{got}, by differences {slope}"
    return "alone"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_programs(torch: Any, batch: int, full: bool, record: dict[str, str]) -> None:
    n = PROGRAMS * (20 if full else 1)
    outcomes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(batch * 100_000, batch * 100_000 + n):
            outcomes.append(check(torch, seed))
    counted = {name: outcomes.count(name) for name in sorted(set(outcomes))}
    record[f"random programs, batch {batch}"] = ", ".join(f"{k} {v}" for k, v in counted.items())
    assert counted.get("agreed", 0) > n / 3, counted
