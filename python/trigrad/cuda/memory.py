"""What the memory of a GPU holds: nothing where CUDA is absent. Freed blocks are kept for new tensors, each for the stream that it
was taken on.
"""

from __future__ import annotations

from trigrad import _core
from trigrad.cuda._devices import DeviceOrIndex, device_count, index_of, is_available

__all__ = [
    "empty_cache",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
]

_COUNTS = ("in_use", "peak", "cached", "reserved_peak")


def _counts(device: DeviceOrIndex) -> dict[str, int]:
    return _core.cuda_memory_stats(index_of(device)) if is_available() else dict.fromkeys(_COUNTS, 0)


def memory_allocated(device: DeviceOrIndex = None) -> int:
    """Bytes that tensors hold on the GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.memory_allocated(gpu)
    """
    return _counts(device)["in_use"]


def max_memory_allocated(device: DeviceOrIndex = None) -> int:
    """The most bytes that tensors held on the GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.max_memory_allocated(gpu)
    """
    return _counts(device)["peak"]


def memory_reserved(device: DeviceOrIndex = None) -> int:
    """Bytes that tensors hold on the GPU or that are kept for new ones.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.memory_reserved(gpu)
    """
    stats = _counts(device)
    return stats["in_use"] + stats["cached"]


def max_memory_reserved(device: DeviceOrIndex = None) -> int:
    """The most bytes that tensors held on the GPU or that were kept for new ones.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.max_memory_reserved(gpu)
    """
    return _counts(device)["reserved_peak"]


def memory_stats(device: DeviceOrIndex = None) -> dict[str, int]:
    """What is known of the GPU's memory, under PyTorch's names: bytes that are allocated and reserved, now and at most, how many
    blocks were handed out, how often kept ones were given back to make room, and how often in vain. Empty without a GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.memory_stats(gpu)["allocated_bytes.all.peak"]
    """
    if not is_available():
        return {}
    stats = _core.cuda_memory_stats(index_of(device))
    return {
        "allocated_bytes.all.current": stats["in_use"],
        "allocated_bytes.all.peak": stats["peak"],
        "allocation.all.allocated": stats["allocations"],
        "num_alloc_retries": stats["retries"],
        "num_ooms": stats["refusals"],
        "reserved_bytes.all.current": stats["in_use"] + stats["cached"],
        "reserved_bytes.all.peak": stats["reserved_peak"],
    }


def memory_summary(device: DeviceOrIndex = None, abbreviated: bool = False) -> str:
    """The same as a table to print; abbreviated: without the counts.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.memory_summary(gpu)
    """
    index = index_of(device)
    stats = memory_stats(index)
    free, total = mem_get_info(index)
    rows = [
        (f"memory of cuda:{index}", "now", "at most"),
        *[
            (name, f"{stats[f'{key}.all.current']:,} B", f"{stats[f'{key}.all.peak']:,} B")
            for name, key in (("held by tensors", "allocated_bytes"), ("with what is kept", "reserved_bytes"))
        ],
        ("free on the device", f"{free:,} B", f"{total:,} B"),
    ]
    if not abbreviated:
        rows += [
            ("blocks handed out", f"{stats['allocation.all.allocated']:,}", ""),
            ("kept ones given back for room", f"{stats['num_alloc_retries']:,}", ""),
            ("out of memory", f"{stats['num_ooms']:,}", ""),
        ]
    width = [max(len(row[k]) for row in rows) for k in range(3)]
    return "\n".join(f"{a:<{width[0]}}  {b:>{width[1]}}  {c:>{width[2]}}".rstrip() for a, b, c in rows)


def reset_peak_memory_stats(device: DeviceOrIndex = None) -> None:
    """Count the peaks of `max_memory_allocated` and `max_memory_reserved` anew.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     tg.cuda.reset_peak_memory_stats(gpu)
    """
    if is_available():
        _core.cuda_reset_peak(index_of(device))


def empty_cache() -> None:
    """Give memory that is kept for new tensors back to the GPUs.

    >>> import trigrad as tg
    >>> tg.cuda.empty_cache()
    """
    for index in range(device_count()):
        _core.cuda_empty_cache(index)


def mem_get_info(device: DeviceOrIndex = None) -> tuple[int, int]:
    """Bytes of the GPU's memory that are free, whoever holds the others, and all of them.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     free, total = tg.cuda.mem_get_info(gpu)
    """
    return _core.cuda_room(index_of(device))
