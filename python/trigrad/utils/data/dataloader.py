"""Batches of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from trigrad import _core
from trigrad._core import Tensor
from trigrad._creation import tensor
from trigrad._random import Generator
from trigrad._shaping import stack
from trigrad.utils.data.dataset import IterableDataset, holds_tensors, rows, samples
from trigrad.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler, _Drawn

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)


def _is_numeric_array(data: Any) -> bool:
    """Is it numpy's, array or number, and holds numbers? Asked without loading numpy."""
    kind = getattr(getattr(data, "dtype", None), "kind", None)
    return isinstance(kind, str) and kind in "biuf"


def _rebuilt(like: Any, values: list[Any]) -> Any:
    """A list or tuple of the type of `like`."""
    if hasattr(like, "_fields"):  # namedtuple
        return type(like)(*values)
    try:
        return type(like)(values)
    except TypeError:  # a type of its own that cannot be made from a list
        return values


def default_collate(batch: Any) -> Any:
    """The samples of a batch as one: tensors, arrays and numbers are stacked along a new first axis; tuples, lists and
    dicts are collated member by member; strings stay a list.

    >>> import trigrad as tg
    >>> tg.utils.data.default_collate([(1, {"x": 2.0}), (3, {"x": 4.0})])
    [tensor([1, 3]), {'x': tensor([2., 4.], dtype=trigrad.float64)}]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch), 0)
    if _is_numeric_array(first):
        return stack([tensor(a) for a in batch], 0)
    if isinstance(first, float):
        return tensor(list(batch), dtype=_core.float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        made = {key: default_collate([sample[key] for sample in batch]) for key in first}
        try:
            return type(first)(made)  # type: ignore[call-arg]
        except TypeError:  # a type of its own that cannot be made from a dict
            return made
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        values = [default_collate(members) for members in zip(*batch, strict=True)]
        return values if type(first) is tuple else _rebuilt(first, values)
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}"
    )


def default_convert(data: Any) -> Any:
    """A sample with its arrays as tensors: what a loader without batches gives.

    >>> import trigrad as tg
    >>> import numpy as np
    >>> tg.utils.data.default_convert(np.array([1, 2]))
    tensor([1, 2])
    """
    if _is_numeric_array(data):
        return tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and not hasattr(data, "_fields"):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt(data, [default_convert(value) for value in data])
    return data


def get_worker_info() -> None:
    """Which worker this is: None, as everything happens in the process that asks.

    >>> import trigrad as tg
    >>> tg.utils.data.get_worker_info() is None
    True
    """


class DataLoader(Generic[T_co]):
    """Passes over a data set in batches, in this process: num_workers and what belongs to it are accepted and change
    nothing. With `shuffle` each pass has an order of its own, drawn from `generator` (or the default one).

    A batch of a TensorDataset, or of a part of one, is one read of each tensor.

    >>> import trigrad as tg
    >>> data = tg.utils.data.TensorDataset(tg.arange(5))
    >>> for (x,) in tg.utils.data.DataLoader(data, batch_size=2):
    ...     print(x)
    tensor([0, 1])
    tensor([2, 3])
    tensor([4])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"num_workers option should be non-negative, got {num_workers}")
        if timeout < 0:
            raise ValueError(f"timeout option should be non-negative, got {timeout}")
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader with IterableDataset: expected no shuffle, sampler or batch_sampler; the data set itself has "
                "an order"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None and not self._iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            if self._iterable:
                BatchSampler((), batch_size, drop_last)  # refuses what it would refuse
            else:
                assert sampler is not None
                batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.generator = generator
        batched = batch_size is not None or batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self.num_workers, self.prefetch_factor, self.persistent_workers = (
            num_workers,
            prefetch_factor,
            persistent_workers,
        )
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.timeout, self.worker_init_fn, self.in_order = timeout, worker_init_fn, in_order
        self.multiprocessing_context = multiprocessing_context

    def __iter__(self) -> Iterator[T_co]:
        if self.pin_memory and _core.cuda_absence() is None:
            return map(_pinned, self._batches())
        return self._batches()

    def _batches(self) -> Iterator[T_co]:
        if self._iterable:
            return self._of_iterable()
        if self.batch_sampler is None:
            assert self.sampler is not None
            return (self.collate_fn(self.dataset[i]) for i in self.sampler)
        if self.collate_fn is default_collate and holds_tensors(self.dataset):
            return self._of_tensors()
        return (self.collate_fn(samples(self.dataset, list(batch))) for batch in self.batch_sampler)

    def _of_iterable(self) -> Iterator[T_co]:
        if self.batch_size is None:
            for sample in self.dataset:
                yield self.collate_fn(sample)
            return
        for batch in BatchSampler(self.dataset, self.batch_size, self.drop_last):
            yield self.collate_fn(batch)

    def _of_tensors(self) -> Iterator[Any]:
        batches, sampler = self.batch_sampler, self.sampler
        plain = type(batches) is BatchSampler and batches.sampler is sampler
        if plain and type(sampler) is SequentialSampler and sampler.data_source is self.dataset:
            order = None
        elif plain and isinstance(sampler, _Drawn) and type(sampler).__iter__ is _Drawn.__iter__:
            order = sampler.draw()
        else:
            assert batches is not None
            for batch in batches:
                yield rows(self.dataset, tensor(list(batch), dtype=_core.int64))
            return
        assert isinstance(batches, BatchSampler)
        size, n = batches.batch_size, len(self.dataset) if order is None else order.shape[0]
        for a in range(0, n - n % size if batches.drop_last else n, size):
            b = min(a + size, n)
            yield rows(self.dataset, slice(a, b) if order is None else order[a:b])

    def __len__(self) -> int:
        if self._iterable:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]


def _pinned(batch: Any) -> Any:
    """The batch with its tensors in page-locked memory."""
    if isinstance(batch, Tensor):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return type(batch)({name: _pinned(part) for name, part in batch.items()})
    if isinstance(batch, (list, tuple)):
        parts = [_pinned(part) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
