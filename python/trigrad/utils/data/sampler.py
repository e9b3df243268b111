"""Samplers: in which order the samples come. A pass over a sampler that draws takes one step of its generator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import as_tensor
from trigrad._indexing import searchsorted
from trigrad._ordering import argsort
from trigrad._random import Generator, rand, randint, randperm

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)


def _positive(what: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{what} should be a positive integer value, but got {what}={value}")
    return value


class Sampler(Generic[T_co]):
    """An order of the samples: a subclass defines __iter__, and __len__ if it can.

    >>> import trigrad as tg
    >>> class Backwards(tg.utils.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    ...
    >>> list(tg.utils.data.DataLoader([1.0, 2.0, 3.0], sampler=Backwards(), batch_size=3))
    [tensor([3., 2., 1.], dtype=trigrad.float64)]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ...

    >>> import trigrad as tg
    >>> list(tg.utils.data.SequentialSampler([7, 8, 9]))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _Drawn(Sampler[int]):
    """A sampler whose pass is drawn at once, as a tensor of indices."""

    generator: Generator | None

    def draw(self) -> Tensor:
        """The indices of one pass, int64."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self.draw().tolist())


class RandomSampler(_Drawn):
    """All samples in random order; with `replacement`, num_samples of them drawn one by one.

    >>> import trigrad as tg
    >>> sampler = tg.utils.data.RandomSampler(range(5), generator=tg.Generator().manual_seed(3))
    >>> sorted(sampler)
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = None if num_samples is None else _positive("num_samples", num_samples)

    @property
    def num_samples(self) -> int:
        """How many samples a pass has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def draw(self) -> Tensor:
        n, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            return randint(n, (wanted,), generator=self.generator)
        passes = [randperm(n, generator=self.generator) for _ in range(-(-wanted // n) if n else 0)]
        if len(passes) == 1:
            return passes[0][:wanted]
        return ops.cat(passes, 0)[:wanted] if passes else _core.empty((0,), _core.int64)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_Drawn):
    """The given indices in random order.

    >>> import trigrad as tg
    >>> sorted(tg.utils.data.SubsetRandomSampler([4, 1, 7]))
    [1, 4, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def draw(self) -> Tensor:
        if not len(self.indices):
            return _core.empty((0,), _core.int64)
        found: Tensor = as_tensor(list(self.indices), _core.int64)[
            randperm(len(self.indices), generator=self.generator)
        ]
        return found

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Drawn):
    """num_samples indices, drawn with probabilities in proportion to the weights.

    >>> import trigrad as tg
    >>> list(tg.utils.data.WeightedRandomSampler([0.0, 1.0, 0.0], 4))
    [1, 1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _positive("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")  # noqa: TRY004
        self.weights = as_tensor(weights, _core.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        values = self.weights.tolist()
        possible = sum(w > 0 for w in values)
        if not all(0 <= w < float("inf") for w in values) or not possible:
            raise ValueError("weights should be finite numbers, 0 or more, not all of them 0")
        if not replacement and num_samples > possible:
            raise ValueError(
                f"got num_samples={num_samples} without replacement, expected at most {possible}, the number of weights "
                "above 0"
            )
        self._last = max(i for i, w in enumerate(values) if w > 0)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def draw(self) -> Tensor:
        if self.replacement:
            steps = ops.cumsum(self.weights, 0)
            at = ops.mul(rand(self.num_samples, generator=self.generator, dtype=_core.float64), steps[-1])
            return ops.minimum(searchsorted(steps, at, right=True), self._last)
        # The first of exponential times with these rates (Efraimidis and Spirakis 2006).
        times = ops.neg(ops.log(rand(self.weights.shape[0], generator=self.generator, dtype=_core.float64)))
        found: Tensor = argsort(ops.div(times, self.weights))[: self.num_samples]
        return found

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of a sampler in lists of batch_size; the last, if shorter, is kept unless drop_last.

    >>> import trigrad as tg
    >>> list(tg.utils.data.BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")  # noqa: TRY004
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
