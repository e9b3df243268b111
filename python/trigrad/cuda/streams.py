"""Streams: each does what it is asked in order, beside the others; events: the ends of what they were asked so far.

Calls go to the current stream of the thread, which is the default one unless chosen otherwise. Memory goes back to the stream that it
was taken on: a tensor that another stream uses is kept until that is done, or told so by ``x.record_stream(stream)``.
"""

from __future__ import annotations

from typing import Self

from trigrad import _core
from trigrad._device import device as Device
from trigrad.cuda._devices import DeviceOrIndex, index_of
from trigrad.cuda._devices import device as _on_device

__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "StreamContext",
    "current_stream",
    "default_stream",
    "set_stream",
    "stream",
]


class Stream:
    """A queue of calls on a GPU. A priority below 0 lets it go before others. There are 16 of each kind, handed out in turn.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     s = tg.cuda.Stream(gpu)
    ...     with tg.cuda.stream(s):
    ...         x = tg.ones(3, device=f"cuda:{gpu}")
    ...     tg.cuda.current_stream(gpu).wait_stream(s)  # what is done with x from now on comes after
    """

    __slots__ = ("_before", "_index", "stream_id")

    _index: int
    stream_id: int

    def __init__(self, device: DeviceOrIndex = None, priority: int = 0) -> None:
        self._index = index_of(device)
        self.stream_id = _core.cuda_new_stream(self._index, priority)

    @classmethod
    def _known(cls, index: int, stream_id: int) -> Stream:
        found = Stream.__new__(cls)
        found._index, found.stream_id = index, stream_id
        return found

    @property
    def device(self) -> Device:
        """Its GPU."""
        return Device("cuda", self._index)

    @property
    def cuda_stream(self) -> int:
        """As CUDA knows it: 0 for the default one."""
        return _core.cuda_stream_handle(self._index, self.stream_id)

    def query(self) -> bool:
        """Has it done all that it was asked?"""
        return _core.cuda_stream_done(self._index, self.stream_id, False)

    def synchronize(self) -> None:
        """Wait until it has."""
        _core.cuda_stream_done(self._index, self.stream_id, True)

    def record_event(self, event: Event | None = None) -> Event:
        """The end of what it was asked so far."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """What it is asked from now on comes after the event."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What it is asked from now on comes after what the other was asked so far."""
        self.wait_event(stream.record_event())

    def __enter__(self) -> Self:
        self._before: StreamContext = StreamContext(self)
        self._before.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._before.__exit__(*exception)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self._index, self.stream_id) == (other._index, other.stream_id)

    def __hash__(self) -> int:
        return hash((self._index, self.stream_id))

    def __repr__(self) -> str:
        return f"<trigrad.cuda.Stream device=cuda:{self._index} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """Another library's stream, by its address. It must outlive all use of it.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     assert tg.cuda.ExternalStream(0, gpu) == tg.cuda.default_stream(gpu)
    """

    __slots__ = ()

    def __init__(self, stream_ptr: int, device: DeviceOrIndex = None) -> None:
        self._index = index_of(device)
        self.stream_id = _core.cuda_stream_of(self._index, stream_ptr)


class Event:
    """The end of what a stream was asked when it was recorded; it is over while it was not. With `enable_timing` two of them tell
    the time between.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     with tg.cuda.device(gpu):
    ...         begin, end = tg.cuda.Event(enable_timing=True), tg.cuda.Event(enable_timing=True)
    ...         begin.record()
    ...         x = tg.ones(1000, device="cuda") * 2
    ...         end.record()
    ...         end.synchronize()
    ...         assert begin.elapsed_time(end) >= 0
    """

    __slots__ = ("_core",)

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        if interprocess:
            raise RuntimeError("[Event] interprocess is True, expected False: events are of one process")
        self._core = _core.CudaEvent(enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """The end of what the stream, or the current one, was asked so far."""
        if stream is None:
            stream = current_stream(None if self._core.index < 0 else self._core.index)
        self._core.record(stream._index, stream.stream_id)

    def wait(self, stream: Stream | None = None) -> None:
        """What the stream, or the current one, is asked from now on comes after."""
        stream = current_stream() if stream is None else stream
        self._core.follow(stream._index, stream.stream_id)

    def query(self) -> bool:
        """Is it over?"""
        return self._core.done(False)

    def synchronize(self) -> None:
        """Wait until it is."""
        self._core.done(True)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to a later one."""
        return self._core.milliseconds_until(end_event._core)

    @property
    def cuda_event(self) -> int:
        """As CUDA knows it; 0 before it is recorded."""
        return self._core.handle

    @property
    def device(self) -> Device | None:
        """The GPU that it was recorded on."""
        return None if self._core.index < 0 else Device("cuda", self._core.index)

    def __repr__(self) -> str:
        return f"<trigrad.cuda.Event {self.cuda_event:#x}>"


def current_stream(device: DeviceOrIndex = None) -> Stream:
    """The stream that this thread's calls on the GPU go to.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     assert tg.cuda.current_stream(gpu) == tg.cuda.default_stream(gpu)
    """
    index = index_of(device)
    return Stream._known(index, _core.cuda_current_stream(index))


def default_stream(device: DeviceOrIndex = None) -> Stream:
    """The stream that calls go to unless another is chosen.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     assert tg.cuda.default_stream(gpu).cuda_stream == 0
    """
    return Stream._known(index_of(device), 0)


def set_stream(stream: Stream | None) -> None:
    """Choose the stream that this thread's calls on its GPU go to. None changes nothing.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     tg.cuda.set_stream(tg.cuda.default_stream(gpu))
    """
    if stream is not None:
        _core.cuda_set_stream(stream._index, stream.stream_id)


class StreamContext:
    """What `stream` returns.

    >>> import trigrad as tg
    >>> with tg.cuda.StreamContext(None):  # changes nothing
    ...     pass
    """

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._chosen = _on_device(None if stream is None else stream._index)
        self._before: Stream | None = None

    def __enter__(self) -> None:
        if self.stream is not None:
            self._before = current_stream(self.stream._index)
            self._chosen.__enter__()
            set_stream(self.stream)

    def __exit__(self, *exception: object) -> None:
        if self.stream is not None:
            set_stream(self._before)
            self._chosen.__exit__(*exception)


def stream(stream: Stream | None) -> StreamContext:
    """While it lasts, this thread's calls on the stream's GPU, which becomes the current one, go to the stream.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     with tg.cuda.stream(tg.cuda.Stream(gpu)):
    ...         x = tg.ones(3, device="cuda") * 2
    ...     tg.cuda.synchronize(gpu)
    """
    return StreamContext(stream)
