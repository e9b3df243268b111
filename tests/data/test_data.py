"""Data sets, samplers and loaders: against PyTorch where an order is given, by their laws where it is drawn."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad.utils import data
from values import real

N = 23
Pair = collections.namedtuple("Pair", ["x", "y"])


def tensors(t: Any) -> tuple[Any, Any]:
    return t.tensor(real((N, 3), "data.x", "float32")), t.arange(N)


class Squares(data.Dataset[int]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> int:
        return index * index


class Stream(data.IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(7))


def plain(value: Any) -> Any:
    """A batch with arrays for tensors, whichever library's they are."""
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return (str(value.dtype).split(".")[-1], value.tolist()) if hasattr(value, "dtype") else value


LOADERS: dict[str, dict[str, Any]] = {
    "default": {},
    "batches": {"batch_size": 4},
    "dropped": {"batch_size": 4, "drop_last": True},
    "whole": {"batch_size": 100},
    "none": {"batch_size": None},
    "sampler": {"batch_size": 3, "sampler": [5, 1, 1, 20]},
    "batch_sampler": {"batch_sampler": [[0, 3], [2], [7, 7, 7]]},
    "collate": {"batch_size": 4, "collate_fn": len},
}


@pytest.mark.parametrize("options", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("kind", ["tensors", "subset", "concat", "stack", "stack of names", "numbers"])
def test_batches_are_pytorchs(kind: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    seen = []
    for t in (tg, torch):
        d: Any = t.utils.data.TensorDataset(*tensors(t))
        if kind == "subset":
            d = t.utils.data.Subset(t.utils.data.Subset(d, list(range(22, -1, -1))), list(range(21)))
        elif kind == "concat":
            d = d + d
        elif kind == "stack":
            d = t.utils.data.StackDataset(d, Squares())
        elif kind == "stack of names":
            d = t.utils.data.StackDataset(x=d, y=Squares())
        elif kind == "numbers":
            d = Squares()
        loader = t.utils.data.DataLoader(d, **options)
        seen.append([len(loader), *map(plain, loader)])
    assert seen[0] == seen[1]
    assert len(seen[0]) == seen[0][0] + 1


def test_batches_own_their_memory() -> None:
    x = tg.zeros(4, 2)
    for (batch,) in data.DataLoader(data.TensorDataset(x), batch_size=2):
        batch += 1
    assert x.sum().item() == 0


@pytest.mark.parametrize("kind", ["tensors", "numbers"])
def test_a_shuffled_pass_holds_every_sample_once_and_repeats_by_seed(kind: str) -> None:
    d: Any = data.TensorDataset(*tensors(tg)) if kind == "tensors" else Squares()

    def passes(seed: int) -> list[list[int]]:
        loader = data.DataLoader(d, batch_size=5, shuffle=True, generator=tg.Generator().manual_seed(seed))
        return [[i for b in loader for i in (b[1] if kind == "tensors" else b).tolist()] for _ in range(2)]

    first, second = passes(1)
    assert first != second
    assert passes(1) == [first, second]
    assert passes(2)[0] != first
    want = list(range(N)) if kind == "tensors" else [i * i for i in range(N)]
    assert sorted(first) == sorted(second) == want
    tg.manual_seed(4)
    one = [b[1].tolist() if kind == "tensors" else b.tolist() for b in data.DataLoader(d, 4, shuffle=True)]
    tg.manual_seed(4)
    assert one == [b[1].tolist() if kind == "tensors" else b.tolist() for b in data.DataLoader(d, 4, shuffle=True)]


def test_rows_of_a_shuffled_batch_belong_together() -> None:
    x, i = tensors(tg)
    parts = data.random_split(data.TensorDataset(x, i), [0.5, 0.5], tg.Generator().manual_seed(0))
    for part in (*parts, data.Subset(parts[0], [0, 3, 5])):
        seen = []
        for a, b in data.DataLoader(part, batch_size=3, shuffle=True):
            np.testing.assert_array_equal(a.numpy(), x.numpy()[b.numpy()])
            seen += b.tolist()
        assert sorted(seen) == sorted(part[k][1].item() for k in range(len(part)))


def test_a_dataset_of_ones_own_is_asked_sample_by_sample_or_many_at_once() -> None:
    class Doubled(data.TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(2 * t for t in super().__getitem__(index))

    ((x,),) = data.DataLoader(Doubled(tg.arange(3)), batch_size=3)
    assert x.tolist() == [0, 2, 4]

    class Many(Squares):
        def __getitems__(self, indices: list[int]) -> list[int]:
            asked.append(indices)
            return [-i for i in indices]

    asked: list[list[int]] = []
    (batch, _) = data.DataLoader(data.Subset(Many(), [3, 5, 7]), batch_size=2)
    assert batch.tolist() == [-3, -5]
    assert asked == [[3, 5], [7]]


def test_iterable_datasets() -> None:
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(data.DataLoader(Stream(), batch_size=None)) == list(range(7))
    with pytest.raises(ValueError, match="no shuffle"):
        data.DataLoader(Stream(), shuffle=True)
    with pytest.raises(AssertionError, match="IterableDataset"):
        data.ConcatDataset([Stream()])
    both = Stream() + Stream()
    assert isinstance(both, data.ChainDataset)
    assert [b.tolist() for b in data.DataLoader(both, batch_size=10)] == [[*range(7), 0, 1, 2], [3, 4, 5, 6]]
    assert list(data.ChainDataset([])) == []
    for use in (list, len):
        with pytest.raises(AssertionError, match="only supports IterableDataset, got a range"):
            use(data.ChainDataset([range(3)]))
    assert data.get_worker_info() is None


def test_a_subset_that_reads_otherwise_says_how_to_read_a_batch() -> None:
    class Twice(data.Subset[int]):
        def __getitem__(self, index: Any) -> int:
            return 2 * super().__getitem__(index)

    with pytest.raises(NotImplementedError, match="Twice overrides __getitem__ but not __getitems__"):
        Twice(range(9), [1, 2])

    class TwiceOfMany(Twice):
        def __getitems__(self, indices: list[int]) -> list[int]:
            return [self[i] for i in indices]

    assert [b.tolist() for b in data.DataLoader(TwiceOfMany(range(9), [4, 2]), 2)] == [[8, 4]]


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("lengths", [[10, 13], [23], [0.5, 0.5], [0.33, 0.33, 0.34], [0.9, 0.05, 0.05]])
def test_random_split(lengths: list[Any]) -> None:
    torch = pytest.importorskip("torch")
    parts = data.random_split(Squares(), lengths, tg.Generator().manual_seed(5))
    want = torch.utils.data.random_split(Squares(), lengths)
    assert [len(p) for p in parts] == [len(p) for p in want]
    assert sorted(i for p in parts for i in p.indices) == list(range(N))
    again = data.random_split(Squares(), lengths, tg.Generator().manual_seed(5))
    assert [p.indices for p in again] == [p.indices for p in parts]
    assert data.random_split(Squares(), lengths, tg.Generator().manual_seed(6))[0].indices != parts[0].indices
    assert parts[0][0] == parts[0].indices[0] ** 2


def test_an_empty_part_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(range(3), [0.99, 0.01])


def test_concatenation() -> None:
    both = data.ConcatDataset([Squares(), range(4)])
    assert len(both) == N + 4
    assert [both[22], both[23], both[-1], both[-27]] == [484, 0, 3, 0]
    with pytest.raises(IndexError, match="27 is out of range"):
        both[27]
    with pytest.raises(ValueError, match="should not exceed"):
        both[-28]


# ---------------------------------------------------------------- samplers


def test_random_sampler() -> None:
    g = tg.Generator().manual_seed(1)
    assert sorted(data.RandomSampler(range(9), generator=g)) == list(range(9))
    twice = list(data.RandomSampler(range(4), num_samples=10, generator=g))
    assert sorted(twice[:4]) == sorted(twice[4:8]) == [0, 1, 2, 3]
    assert len(twice) == 10
    drawn = list(data.RandomSampler(range(4), replacement=True, num_samples=4000, generator=g))
    assert all(850 < drawn.count(i) < 1150 for i in range(4))
    assert list(data.RandomSampler([], generator=g)) == []
    assert len(data.RandomSampler(range(3), num_samples=7)) == 7


def test_subset_random_sampler() -> None:
    sampler = data.SubsetRandomSampler([9, 4, 7], generator=tg.Generator().manual_seed(1))
    assert sorted(sampler) == [4, 7, 9]
    assert len({tuple(sampler) for _ in range(50)}) == 6
    assert list(data.SubsetRandomSampler([])) == []


def test_weighted_random_sampler() -> None:
    weights = [0.0, 1.0, 3.0, 0.0, 4.0, 0.0]
    n = 8000
    drawn = list(data.WeightedRandomSampler(weights, n, generator=tg.Generator().manual_seed(2)))
    for i, w in enumerate(weights):
        p = w / 8
        assert abs(drawn.count(i) - n * p) <= 5 * (n * p * (1 - p)) ** 0.5
    g = tg.Generator().manual_seed(3)
    firsts = []
    for _ in range(400):
        chosen = list(data.WeightedRandomSampler(weights, 3, replacement=False, generator=g))
        assert sorted(chosen) == [1, 2, 4]
        firsts.append(chosen[0])
    assert 150 < firsts.count(4) < 250
    assert 20 < firsts.count(1) < 85


def test_batch_sampler() -> None:
    assert list(data.BatchSampler(data.SequentialSampler(range(5)), 2, True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(data.SequentialSampler(range(5)), 2, False)) == 3


# ---------------------------------------------------------------- collation

BATCHES: dict[str, list[Any]] = {
    "floats": [1.5, 2.5],
    "ints": [1, 2],
    "bools": [True, False],
    "strings": ["a", "b"],
    "dicts": [{"a": 1, "b": (2.0, "s")}] * 2,
    "lists": [[1, 2.0], [3, 4.0]],
    "namedtuples": [Pair(1, 2.0), Pair(3, 4.0)],
    "arrays": [np.arange(3), np.arange(3)],
    "scalars": [np.float32(1), np.float32(2)],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_collation_is_pytorchs(batch: list[Any]) -> None:
    torch = pytest.importorskip("torch")
    assert plain(data.default_collate(batch)) == plain(torch.utils.data.default_collate(batch))
    assert plain(data.default_convert(batch[0])) == plain(torch.utils.data.default_convert(batch[0]))


def test_tensors_are_stacked() -> None:
    made = data.default_collate([(tg.ones(2), tg.zeros(())), (tg.zeros(2), tg.ones(()))])
    assert [m.tolist() for m in made] == [[[1, 1], [0, 0]], [0, 1]]


D = data.TensorDataset(tg.arange(4))
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "sizes": (lambda: data.TensorDataset(tg.ones(3), tg.ones(4)), AssertionError, "Size mismatch between tensors"),
    "arrays": (lambda: data.TensorDataset(np.ones(3)), TypeError, r"got a ndarray, expected tensors; make one with"),
    "stacked sizes": (
        lambda: data.StackDataset(D, range(3)),
        ValueError,
        r"Size mismatch between datasets, of lengths \[4, 3\]",
    ),
    "nothing stacked": (lambda: data.StackDataset(), ValueError, "At least one dataset"),
    "stacked both ways": (lambda: data.StackDataset(D, y=D), ValueError, "with and without names"),
    "split": (lambda: data.random_split(D, [3, 3]), ValueError, "Sum of input lengths"),
    "fractions": (lambda: data.random_split(D, [0.5, 0.6]), ValueError, "Sum of input lengths"),
    "negative": (lambda: data.random_split(D, [1.5, -0.5]), ValueError, "numbers from 0 to 1"),
    "no sets": (lambda: data.ConcatDataset([]), AssertionError, "should not be an empty iterable"),
    "batch": (lambda: data.DataLoader(D, batch_size=0), ValueError, "batch_size=0"),
    "both": (lambda: data.DataLoader(D, shuffle=True, sampler=[1]), ValueError, "mutually exclusive with shuffle"),
    "three": (lambda: data.DataLoader(D, 3, batch_sampler=[[1]]), ValueError, "batch_sampler option is mutually"),
    "drop": (lambda: data.DataLoader(D, None, drop_last=True), ValueError, "disables auto-batching"),
    "workers": (lambda: data.DataLoader(D, num_workers=-1), ValueError, "num_workers option should be non-negative"),
    "samples": (lambda: data.RandomSampler(D, num_samples=0), ValueError, "num_samples=0"),
    "replacement": (lambda: data.RandomSampler(D, replacement=3), TypeError, "replacement=3"),
    "weights": (lambda: data.WeightedRandomSampler([1.0, -1.0], 1), ValueError, "finite numbers, 0 or more"),
    "zero": (lambda: data.WeightedRandomSampler([0.0], 1), ValueError, "not all of them 0"),
    "few": (lambda: data.WeightedRandomSampler([1.0, 0.0], 2, False), ValueError, "expected at most 1"),
    "rank": (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError, "1d sequence"),
    "drop_last": (lambda: data.BatchSampler([1], 1, 3), ValueError, "drop_last=3"),
    "object": (lambda: data.default_collate([object()]), TypeError, "found <class 'object'>"),
    "ragged": (lambda: data.default_collate([[1, 2], [3]]), RuntimeError, "of equal size"),
    "index": (lambda: list(data.DataLoader(D, sampler=[9])), IndexError, "9"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        make()
