"""Loaders over data sets of any length with options drawn at random, and collation of drawn samples, beside PyTorch's."""

from __future__ import annotations

import collections
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg
from torch_cases import Draw
from torch_compare import examples

torch = pytest.importorskip("torch", reason="compares with torch")

Pair = collections.namedtuple("Pair", ["x", "y"])


def plain(value: Any) -> Any:
    """With arrays for tensors, whichever library's they are."""
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return (str(value.dtype).split(".")[-1], value.tolist()) if hasattr(value, "dtype") else value


class Samples:
    """Neither library's: what has a length and gives samples."""

    def __init__(self, n: int, make: Any) -> None:
        self.n, self.make = n, make

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self.n:
            raise IndexError(index)
        return self.make(index)


KINDS: dict[str, Any] = {
    "numbers": lambda i: i * i,
    "reals": lambda i: i / 4,
    "pairs": lambda i: (i, np.full((2,), i, "float32")),
    "dicts": lambda i: {"x": np.arange(3) + i, "name": f"sample {i}"},
    "named": lambda i: Pair(np.float64(i), [i, i + 1]),
    "text": lambda i: str(i),
}


def dataset(lib: Any, kind: str, n: int) -> Any:
    data = lib.utils.data
    if kind in KINDS:
        return Samples(n, KINDS[kind])
    tensors = data.TensorDataset(lib.arange(3 * n).reshape(n, 3), lib.arange(n).float())
    if kind == "tensors":
        return tensors
    if kind == "subset":
        return data.Subset(tensors, list(range(n - 1, -1, -2)))
    return data.ConcatDataset([tensors, data.StackDataset(Samples(n, KINDS["numbers"]), Samples(n, KINDS["reals"]))])


@examples(60, 1000)
@given(st.data())
def test_loader(data: Any) -> None:
    d = Draw(data.draw)
    n, kind = d.integer(0, 12), d.pick(*KINDS, "tensors", "subset", "joined")
    options: dict[str, Any] = d.keywords(batch_size=(1, 2, 3, 5, 20, None), drop_last=(True,), num_workers=(0,))
    length = len(dataset(tg, kind, n))
    if kind == "joined":
        options["batch_size"] = d.pick(1, None)  # samples of two kinds are not stacked
    how = d.pick("in order", "sampler", "batches")
    if how == "sampler":
        options["sampler"] = [d.integer(0, max(length - 1, 0)) for _ in range(d.integer(0, 9))] if length else []
    elif how == "batches" and length:
        options = {"batch_sampler": [[d.integer(0, length - 1)] * d.integer(1, 3) for _ in range(d.integer(0, 4))]}
        if kind == "joined":
            options = {}
    seen = []
    for lib in (tg, torch):
        try:
            loader = lib.utils.data.DataLoader(dataset(lib, kind, n), **options)
            seen.append([len(loader), *map(plain, loader), *map(plain, loader)])
        except (ValueError, TypeError) as error:
            seen.append(type(error))
    assert seen[0] == seen[1], f"{kind} {n} {options}"


@examples(30, 500)
@given(st.data())
def test_splits_have_pytorchs_lengths(data: Any) -> None:
    d = Draw(data.draw)
    n = d.integer(1, 40)
    if d.flag():
        cuts = sorted(d.integer(0, n) for _ in range(d.integer(0, 3)))
        lengths: list[Any] = [b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    else:
        parts = [d.integer(1, 9) for _ in range(d.integer(1, 4))]
        lengths = [part / sum(parts) for part in parts]
    seen = []
    for lib in (tg, torch):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of empty parts
                made = lib.utils.data.random_split(range(n), lengths)
            seen.append([len(part) for part in made])
            assert sorted(i for part in made for i in part) == list(range(n))
        except ValueError as error:
            seen.append(type(error))
    assert seen[0] == seen[1], f"{n} {lengths}"


@examples(40, 500)
@given(st.data())
def test_samplers(data: Any) -> None:
    """Orders that are drawn hold what PyTorch's hold, in an order of their own."""
    d = Draw(data.draw)
    n = d.integer(1, 20)
    size, drop = d.pick(1, 2, 5, 30), d.flag()
    count = d.pick(None, 1, 7, 30)
    replacement = d.flag()
    seen = []
    for lib in (tg, torch):
        S = lib.utils.data
        sampler = S.RandomSampler(range(n), replacement=replacement, num_samples=count)
        order = list(sampler)
        assert set(order) <= set(range(n))
        batches = S.BatchSampler(S.SequentialSampler(range(n)), size, drop)
        subset = S.SubsetRandomSampler([3 * i for i in range(n)])
        weighted = S.WeightedRandomSampler([1.0 + i for i in range(n)], n, replacement=False)
        seen.append([len(sampler), len(order), None if replacement else sorted(order[:n]), list(batches), len(batches)])
        seen[-1] += [sorted(subset), len(subset), sorted(weighted), len(weighted)]
    if not replacement and count is not None and count < n:
        seen[0][2] = seen[1][2] = None  # which ones is drawn
    assert seen[0] == seen[1]
