"""Tensors from device to device, inside the graph: the gradient moves back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._device import device as Device

if TYPE_CHECKING:
    from trigrad._creation import DeviceArgument


def moved(x: Tensor, device: DeviceArgument, non_blocking: bool = False) -> Tensor:
    """x on the device; itself if it is there."""
    return _recorded(x, _core.move(x, device, "to", non_blocking))


def _recorded(x: Tensor, there: Tensor) -> Tensor:
    if there is not x and x.requires_grad and _core.is_grad_enabled():
        _core.record("To", _moved_back, _From(x._device_name), (x,), (there,))
    return there


class _From:
    """What a node keeps of a move: where the tensor was."""

    __slots__ = ("device",)

    def __init__(self, device: str) -> None:
        self.device = device

    def _release(self) -> None:
        """Nothing is saved that a second pass back would miss."""


def _moved_back(grads: Any, inputs: Any, outputs: Any, kept: tuple[_From], wanted: Any) -> tuple[Tensor]:
    return (moved(grads[0], kept[0].device),)


def copy_across(self: Tensor, source: Tensor, non_blocking: bool) -> Tensor:
    """self.copy_(source) from another device."""
    graph = _core.is_grad_enabled() and (self.requires_grad or source.requires_grad)
    plain = self.dtype is source.dtype and self.shape == source.shape
    if graph or not (plain and self.is_contiguous() and source.is_contiguous()):
        return ops.copy_(self, moved(source, self._device_name, non_blocking))
    _core.transfer(self, source, non_blocking)
    return self


def pin_memory(self: Tensor, device: DeviceArgument = None) -> Tensor:
    """A copy in page-locked memory, from which a GPU copies while Python goes on: x.pin_memory().to("cuda", non_blocking=True).
    Itself if it is there."""
    return _recorded(self, _core.pin(self))


def is_pinned(self: Tensor, device: DeviceArgument = None) -> bool:
    """Is it in page-locked memory?"""
    return _core.is_pinned(self)


def record_stream(self: Tensor, stream: Any) -> None:
    """The tensor was used on a stream that it was not made on: its memory is not handed on before the stream is done."""
    _core.record_stream(self, stream.stream_id)


def get_device(self: Tensor) -> int:
    """The index of its GPU, -1 on the CPU."""
    where = Device(self._device_name)
    return -1 if where.index is None else where.index


METHODS = (pin_memory, is_pinned, record_stream, get_device)
