"""Batches that come from an iterator: a loader, a generator, anything that reads events as it goes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

from trigrad import _random
from trigrad._core import Tensor
from trigrad._random import Generator
from trigrad.train.data import class_weights, tables_of

Batch = tuple[Tensor, ...]


def is_stream(X: Any) -> bool:
    """Does X make batches, rather than hold the events?"""
    if isinstance(X, (Tensor, tuple, list, str, dict)) or hasattr(X, "__array__"):
        return False
    return callable(X) or hasattr(X, "__iter__")


def generator_of(X: Any) -> Generator | None:
    """What a loader draws its permutations from, if it has a generator of its own."""
    held = (getattr(holder, "generator", None) for holder in (X, getattr(X, "sampler", None)))
    return next((g for g in held if isinstance(g, Generator)), None)


class Stream:
    """Batches (X, y) or (X, y, sample_weight) from `source`: an iterable that starts anew for each pass, a function that makes
    an iterator, or one iterator, of which each pass takes `steps` batches."""

    def __init__(self, what: str, source: Any, steps: int | None, prefetch: int, class_weight: Any = None) -> None:
        if isinstance(class_weight, str):
            raise ValueError(f"[{what}] class_weight='balanced' wants all events in memory; give a dict")  # noqa: TRY004
        self.what, self.steps, self.prefetch, self.class_weight = what, steps, prefetch, class_weight
        self._source = source
        self.once = not callable(source) and iter(source) is source
        if self.once and steps is None:
            raise ValueError(
                f"[{what}] got an iterator, which can be gone through once; give a loader, or a function that makes an iterator "
                "for each pass (or fit(X, steps_per_epoch=…))"
            )

    def batches(self) -> Iterator[tuple[Batch, int]]:
        """The batches of a pass, each with its number of inputs. The first one is asked for in this thread: that is when a
        loader draws its permutation."""
        iterator = iter(self._source() if callable(self._source) else self._source)
        if self.once:
            self._source = iterator
        made = 0
        ahead: Iterator[Any] = iterator
        try:
            while self.steps is None or made < self.steps:
                try:
                    given = next(ahead)
                except StopIteration:
                    if self.steps is not None:
                        raise ValueError(
                            f"[{self.what}] the iterator ended after {made} of {self.steps} batches of an epoch"
                        ) from None
                    break
                made += 1
                if made == 1 and self.prefetch:
                    given = _copied(given)
                    left = None if self.steps is None else self.steps - 1
                    ahead = _Ahead(iterator, self.prefetch, left)
                yield self._batch(given)
        finally:
            if isinstance(ahead, _Ahead):
                ahead.close()
        if not made:
            raise ValueError(f"[{self.what}] the iterator has no batches, expected one or more in each epoch")

    def _batch(self, given: Any) -> tuple[Batch, int]:
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            got = (
                f"{len(given)} part{'s' * (len(given) != 1)}"
                if isinstance(given, (tuple, list))
                else f"a {type(given).__name__}"
            )
            raise ValueError(
                f"[{self.what}] a batch of the iterator is {got}, expected (X, y) or (X, y, sample_weight)"
            )
        X, y, weight = (*given, None)[:3]
        tables, n_inputs = tables_of(self.what, tuple(X) if isinstance(X, list) else X, y, weight)
        if self.class_weight is not None:
            dtype = tables[0].dtype if weight is None else tables[-1].dtype
            of_class = class_weights(tables[n_inputs], self.class_weight, dtype, are_all=False)
            tables = (*tables[: n_inputs + 1], of_class if weight is None else tables[-1] * of_class)
        return tables, n_inputs


class _Ahead(Iterator[Any]):
    """What an iterator gives, asked for by a thread that is at most `n` items ahead. Arrays are copied at once, for an
    iterator may fill the same one again."""

    def __init__(self, iterator: Iterator[Any], n: int, left: int | None) -> None:
        self._iterator, self._left = iterator, left
        self._items: queue.Queue[tuple[bool, Any]] = queue.Queue(n)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trigrad-prefetch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        _random.background.add(threading.get_ident())
        try:
            while not self._over.is_set() and self._left != 0:
                try:
                    item = True, _copied(next(self._iterator))
                except BaseException as error:  # noqa: BLE001 -- StopIteration as well: for the thread that trains
                    item = False, error
                self._put(item)
                if not item[0]:
                    return
                self._left = None if self._left is None else self._left - 1
        finally:
            _random.background.discard(threading.get_ident())

    def _put(self, item: tuple[bool, Any]) -> None:
        while not self._over.is_set():
            try:
                self._items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def __next__(self) -> Any:
        good, item = self._items.get()
        if good:
            return item
        self._items.put((good, item))  # as often as it is asked
        raise item

    def close(self) -> None:
        """The thread ends when its item is there."""
        self._over.set()
        self._thread.join(timeout=5)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, (tuple, list)):
        return type(value)(map(_copied, value)) if type(value) in (tuple, list) else tuple(map(_copied, value))
    return value.copy() if hasattr(value, "__array_interface__") else value
