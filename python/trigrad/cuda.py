"""GPUs, under PyTorch's names. A tensor comes to one with ``x.to("cuda")``; ops on it run there, and give the CPU's bits.

The kernels are a module of their own, loaded when a GPU is first asked for. Without it, a driver or a GPU everything else works:
``absence()`` says what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from trigrad import _core
from trigrad._device import device as Device
from trigrad._device import named

__all__ = [
    "Properties",
    "absence",
    "current_device",
    "device_count",
    "devices",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "synchronize",
]


@dataclass(frozen=True)
class Properties:
    """What a GPU is.

    >>> import trigrad as tg
    >>> print(tg.cuda.Properties("A100", 8, 0, 108, 80 * 2**30))
    A100, 80 GiB, compute capability 8.0
    """

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int

    def __str__(self) -> str:
        return f"{self.name}, {self.total_memory / 2**30:.0f} GiB, compute capability {self.major}.{self.minor}"


def absence() -> str | None:
    """Why nothing can be computed on a GPU here; None where it can.

    >>> import trigrad as tg
    >>> (tg.cuda.absence() is None) == tg.cuda.is_available()
    True
    """
    return _core.cuda_absence()


def devices() -> list[Properties]:
    """The GPUs that trigrad can compute on, by index.

    >>> import trigrad as tg
    >>> len(tg.cuda.devices()) == tg.cuda.device_count()
    True
    """
    return [Properties(*d) for d in _core.cuda_devices()]


def device_count() -> int:
    """How many GPUs trigrad can compute on.

    >>> import trigrad as tg
    >>> tg.cuda.device_count() >= 0
    True
    """
    return len(_core.cuda_devices())


def is_available() -> bool:
    """Is there a GPU that trigrad can compute on?

    >>> import trigrad as tg
    >>> device = tg.device("cuda" if tg.cuda.is_available() else "cpu")
    """
    return device_count() > 0


def _index(device: int | str | Device | None) -> int:
    if isinstance(device, int):
        return device
    kind, index = named("cuda" if device is None else device)
    if kind != "cuda":
        raise ValueError(f"[cuda] device is '{device}', expected for instance 'cuda:0'")
    return index


def current_device() -> int:
    """The GPU that "cuda" without an index means: the first.

    >>> import trigrad as tg
    >>> tg.cuda.current_device()
    0
    """
    return 0


def get_device_properties(device: int | str | Device | None = None) -> Properties:
    """What a GPU is.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.get_device_properties(gpu)
    """
    found, index = devices(), _index(device)
    if not 0 <= index < len(found):
        raise RuntimeError(f"[cuda] device is 'cuda:{index}', but CUDA is {absence() or f'on {len(found)} GPUs'}")
    return found[index]


def get_device_name(device: int | str | Device | None = None) -> str:
    """The name of a GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.get_device_name(gpu)
    """
    return get_device_properties(device).name


def get_device_capability(device: int | str | Device | None = None) -> tuple[int, int]:
    """Its compute capability, major and minor.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.get_device_capability(gpu)
    """
    p = get_device_properties(device)
    return p.major, p.minor


def synchronize(device: int | str | Device | None = None) -> None:
    """Wait until the GPU has done all calls so far. They return before: only reading a result waits by itself.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     tg.cuda.synchronize(gpu)
    """
    _core.cuda_synchronize(_index(device))


def memory_allocated(device: int | str | Device | None = None) -> int:
    """Bytes that tensors hold on the GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.memory_allocated(gpu)
    """
    return _core.cuda_memory_stats(_index(device))["in_use"]


def max_memory_allocated(device: int | str | Device | None = None) -> int:
    """The most bytes that tensors held on the GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.max_memory_allocated(gpu)
    """
    return _core.cuda_memory_stats(_index(device))["peak"]


def memory_reserved(device: int | str | Device | None = None) -> int:
    """Bytes that tensors hold on the GPU or that are kept for new ones.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.memory_reserved(gpu)
    """
    stats = _core.cuda_memory_stats(_index(device))
    return stats["in_use"] + stats["cached"]


def reset_peak_memory_stats(device: int | str | Device | None = None) -> None:
    """Count the peak of `max_memory_allocated` anew.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     tg.cuda.reset_peak_memory_stats(gpu)
    """
    _core.cuda_reset_peak(_index(device))


def empty_cache() -> None:
    """Give memory that is kept for new tensors back to the GPUs.

    >>> import trigrad as tg
    >>> tg.cuda.empty_cache()
    """
    for index in range(device_count()):
        _core.cuda_empty_cache(index)


def manual_seed(seed: int) -> None:
    """Random numbers for a GPU are the CPU's: `trigrad.manual_seed` starts them anew, this does nothing.

    >>> import trigrad as tg
    >>> tg.cuda.manual_seed(1)
    """


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`.

    >>> import trigrad as tg
    >>> tg.cuda.manual_seed_all(1)
    """
