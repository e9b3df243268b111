"""Which GPUs there are, and which of them is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from trigrad import _core
from trigrad._core import Tensor
from trigrad._device import device as Device

__all__ = [
    "Properties",
    "absence",
    "current_device",
    "device",
    "device_count",
    "device_of",
    "devices",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "init",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "is_tf32_supported",
    "set_device",
    "synchronize",
]

DeviceOrIndex: TypeAlias = "int | str | Device | None"


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


def init() -> None:
    """Raises, with the remedy, unless there is a GPU that trigrad can compute on. Nobody needs to call it.

    >>> import trigrad as tg
    >>> if tg.cuda.is_available():
    ...     tg.cuda.init()
    """
    if (why := absence()) is not None:
        raise RuntimeError(f"[cuda] CUDA is {why}; or use 'cpu'")


def is_initialized() -> bool:
    """Is CUDA in use? It is from the first question about it on, this one too, where it can be.

    >>> import trigrad as tg
    >>> tg.cuda.is_initialized() == tg.cuda.is_available()
    True
    """
    return is_available()


def index_of(device: DeviceOrIndex) -> int:
    """The GPU that is meant: without an index the current one."""
    if device is None:
        return current_device()
    if isinstance(device, int):
        return device
    named = Device(device)
    if named.type != "cuda":
        raise ValueError(f"[cuda] device is '{device}', expected for instance 'cuda:0'")
    return current_device() if named.index is None else named.index


def current_device() -> int:
    """The GPU that "cuda" without an index means in this thread: the first, unless `set_device` chose another.

    >>> import trigrad as tg
    >>> tg.cuda.current_device()
    0
    """
    return _core.cuda_current_device()


def set_device(device: DeviceOrIndex) -> None:
    """Choose the GPU that "cuda" without an index means in this thread.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     tg.cuda.set_device(gpu)
    """
    _core.cuda_set_device(index_of(device))


class device:
    """While it lasts, "cuda" without an index means this GPU. None, or a negative index, changes nothing.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     with tg.cuda.device(gpu):
    ...         assert tg.cuda.current_device() == gpu
    """

    def __init__(self, device: DeviceOrIndex) -> None:
        self.idx = -1 if device is None else index_of(device)
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx >= 0:
            self.prev_idx = current_device()
            _core.cuda_set_device(self.idx)

    def __exit__(self, *exception: object) -> None:
        if self.idx >= 0:
            _core.cuda_set_device(self.prev_idx)


class device_of(device):
    """While it lasts, "cuda" without an index means the GPU that a tensor is on.

    >>> import trigrad as tg
    >>> with tg.cuda.device_of(tg.ones(2)):  # on the CPU: nothing changes
    ...     assert tg.cuda.current_device() == 0
    """

    def __init__(self, tensor: Tensor) -> None:
        where = Device(tensor._device_name)
        super().__init__(where if where.type == "cuda" else None)


def get_device_properties(device: DeviceOrIndex = None) -> Properties:
    """What a GPU is.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.get_device_properties(gpu)
    """
    init()
    found, index = devices(), index_of(device)
    if not 0 <= index < len(found):
        raise RuntimeError(f"[cuda] device is 'cuda:{index}', expected cuda:0 to cuda:{len(found) - 1}")
    return found[index]


def get_device_name(device: DeviceOrIndex = None) -> str:
    """The name of a GPU.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.get_device_name(gpu)
    """
    return get_device_properties(device).name


def get_device_capability(device: DeviceOrIndex = None) -> tuple[int, int]:
    """Its compute capability, major and minor.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     _ = tg.cuda.get_device_capability(gpu)
    """
    p = get_device_properties(device)
    return p.major, p.minor


def synchronize(device: DeviceOrIndex = None) -> None:
    """Wait until the GPU has done all calls so far. They return before: only reading a result waits by itself.

    >>> import trigrad as tg
    >>> for gpu in range(tg.cuda.device_count()):
    ...     tg.cuda.synchronize(gpu)
    """
    _core.cuda_synchronize(index_of(device))


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Does the current GPU take bfloat16? Layers do on every one; without `including_emulation`: by its tensor cores, which
    compute with it from capability 8.0 on.

    >>> import trigrad as tg
    >>> dtype = tg.bfloat16 if tg.cuda.is_bf16_supported() else tg.float16
    """
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def is_tf32_supported() -> bool:
    """Can the current GPU's tensor cores round to tf32, where `trigrad.cuda.allow_tf32` lets them? From capability 8.0 on.

    >>> import trigrad as tg
    >>> if tg.cuda.is_tf32_supported():
    ...     tg.cuda.allow_tf32 = True
    """
    return is_bf16_supported(including_emulation=False)


def get_arch_list() -> list[str]:
    """What the module's kernels were compiled for; nothing where CUDA is absent.

    >>> import trigrad as tg
    >>> all(name.startswith("sm_") for name in tg.cuda.get_arch_list())
    True
    """
    if not is_available():
        return []
    return [f"sm_{int(number) // 10}" for number in _core.cuda_build()[2].split(",") if number.isdigit()]
