"""Data sets: what has a length and gives a sample for an index."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from trigrad._core import Tensor
from trigrad._creation import tensor
from trigrad._random import Generator, randperm
from trigrad._warnings import warn

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)
Rows = Tensor | slice  # a batch's indices


class Dataset(Generic[T_co]):
    """Samples by index: a subclass defines __getitem__ and __len__. One that can give many samples at once may define
    __getitems__(list of indices), which returns the list of samples.

    >>> import trigrad as tg
    >>> class Squares(tg.utils.data.Dataset):
    ...     def __getitem__(self, index):
    ...         return index * index
    ...
    ...     def __len__(self):
    ...         return 5
    ...
    >>> next(iter(tg.utils.data.DataLoader(Squares(), batch_size=5)))
    tensor([ 0,  1,  4,  9, 16])
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Samples one after the other: a subclass defines __iter__.

    >>> import trigrad as tg
    >>> class Count(tg.utils.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(3))
    ...
    >>> next(iter(tg.utils.data.DataLoader(Count(), batch_size=3)))
    tensor([0, 1, 2])
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[T_co]):
    """Iterable data sets one after the other.

    >>> import trigrad as tg
    >>> from trigrad.utils.data import ChainDataset, IterableDataset
    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(2))
    ...
    >>> list(ChainDataset([Count(), Count()]))
    [0, 1, 0, 1]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def _checked(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(f"ChainDataset only supports IterableDataset, got a {type(dataset).__name__}")  # noqa: TRY004 -- as PyTorch
            yield dataset

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._checked())


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i holds the rows i of all tensors.

    >>> import trigrad as tg
    >>> data = tg.utils.data.TensorDataset(tg.tensor([[1.0], [2.0]]), tg.tensor([0, 1]))
    >>> data[1]
    (tensor([2.]), tensor(1))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"[TensorDataset] got a {type(t).__name__}, expected tensors; make one with trigrad.as_tensor(data)"
                )
        if any(t.shape[0] != tensors[0].shape[0] for t in tensors):
            lengths = ", ".join(str(t.shape[0]) for t in tensors)
            raise AssertionError(f"Size mismatch between tensors: their first axes have lengths {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class ConcatDataset(Dataset[T_co]):
    """Data sets one after the other.

    >>> import trigrad as tg
    >>> from trigrad.utils.data import ConcatDataset
    >>> both = ConcatDataset([[1, 2], [3]])
    >>> len(both), both[2]
    (3, 3)
    """

    datasets: list[Any]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        k = bisect.bisect_right(self.cumulative_sizes, index)
        if k == len(self.datasets):
            raise IndexError(f"index {index} is out of range for a data set of length {len(self)}")
        found: T_co = self.datasets[k][index - (self.cumulative_sizes[k - 1] if k else 0)]
        return found


class StackDataset(Dataset[Any]):
    """Data sets side by side: sample i is the tuple of their samples i, or a dict of them.

    >>> import trigrad as tg
    >>> tg.utils.data.StackDataset(x=[1, 2], y=["a", "b"])[1]
    {'x': 2, 'y': 'b'}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("StackDataset: got data sets with and without names, expected one or the other")
        self.datasets = args or kwargs
        lengths = [len(d) for d in args or kwargs.values()]
        if not lengths:
            raise ValueError("StackDataset: At least one dataset should be passed")
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: Size mismatch between datasets, of lengths {lengths}")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        held = self.datasets
        columns = [samples(d, indices) for d in (held.values() if isinstance(held, dict) else held)]
        if any(len(column) != len(indices) for column in columns):
            raise ValueError(
                "Nested dataset's output size mismatch: "
                f"expected {len(indices)} samples, got {[len(column) for column in columns]}"
            )
        found = zip(*columns, strict=True)
        return [dict(zip(held, sample, strict=True)) for sample in found] if isinstance(held, dict) else list(found)

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values())) if isinstance(self.datasets, dict) else self.datasets[0])


class Subset(Dataset[T_co]):
    """The samples of a data set that `indices` lists, in that order.

    >>> import trigrad as tg
    >>> part = tg.utils.data.Subset(["a", "b", "c"], [2, 0])
    >>> part[0], len(part)
    ('c', 2)
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__, which a DataLoader asks for a batch; write it "
                "too: return [self[i] for i in indices]"
            )
        self.dataset = dataset
        self.indices = indices
        self._index: Tensor | None = None  # the indices as a tensor, once it is needed

    def __getitem__(self, index: Any) -> T_co:
        chosen = [self.indices[i] for i in index] if isinstance(index, list) else self.indices[index]
        found: T_co = self.dataset[chosen]
        return found

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        return samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def samples(dataset: Any, indices: list[int]) -> list[Any]:
    """The samples of these indices, all at once if the data set knows how."""
    many = getattr(dataset, "__getitems__", None)
    return list(many(indices)) if callable(many) else [dataset[i] for i in indices]


def holds_tensors(dataset: Any) -> bool:
    """Are the samples rows of tensors, so that a batch is one read of each tensor?"""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__


def rows(dataset: Any, index: Rows) -> list[Tensor]:
    """A batch of a data set that holds tensors: one read of each, copied."""
    while type(dataset) is Subset:
        if dataset._index is None or dataset._index.numel() != len(dataset.indices):
            dataset._index = tensor(list(dataset.indices)).reshape(-1)
        index = dataset._index[index]
        dataset = dataset.dataset
    read: list[Tensor] = [t[index] for t in dataset.tensors]
    return [t.clone() for t in read] if isinstance(index, slice) else read


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None) -> list[Subset[Any]]:
    """Parts of these lengths (or fractions, which add up to 1), chosen at random: each sample falls into one of them.

    >>> import trigrad as tg
    >>> train, test = tg.utils.data.random_split(range(10), [0.8, 0.2], tg.Generator().manual_seed(1))
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    n = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        if any(not 0 <= part <= 1 for part in lengths):
            raise ValueError(f"[random_split] fractions are {list(lengths)}, expected numbers from 0 to 1")
        sizes = [math.floor(n * part) for part in lengths]
        for k in range(n - sum(sizes)):  # what the fractions leave goes round
            sizes[k % len(sizes)] += 1
        for k, size in enumerate(sizes):
            if size == 0:
                warn(f"Length of split at index {k} is 0. This might result in an empty dataset.")
    else:
        sizes = [int(part) for part in lengths]
    if sum(sizes) != n or any(size != part for size, part in zip(sizes, lengths, strict=True) if part > 1):
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! {list(lengths)} against {n}"
        )
    order = randperm(n, generator=generator).tolist()
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
