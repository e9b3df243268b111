"""Memory of a GPU shared with other libraries: DLPack and __cuda_array_interface__, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import trigrad as tg

pytestmark = pytest.mark.usefixtures("gpu")


class Array:
    """What another library's array looks like."""

    def __init__(self, x: tg.Tensor, **changes: Any) -> None:
        self.x = x  # keeps the memory
        self.__cuda_array_interface__ = {**x.__cuda_array_interface__, **changes}


DTYPES = [
    tg.float32,
    tg.float64,
    tg.int64,
    tg.int32,
    tg.int16,
    tg.int8,
    tg.uint8,
    tg.uint16,
    tg.uint32,
    tg.bool,
    tg.float16,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_interface_there_and_back(dtype: Any) -> None:
    x = tg.tensor([[1, 0, 3], [4, 5, 6]]).to(dtype).cuda()
    facts = x.__cuda_array_interface__
    assert facts["version"] == 3
    assert facts["shape"] == (2, 3)
    assert facts["strides"] is None
    assert facts["data"] == (x.data_ptr(), False)
    assert facts["stream"] == 1
    assert facts["typestr"] == np.dtype(x.cpu().numpy().dtype).str
    y = tg.as_tensor(Array(x))
    assert (y.device, y.dtype, y.shape, y.data_ptr()) == (x.device, x.dtype, x.shape, x.data_ptr())
    assert y.cpu().tolist() == x.cpu().tolist()
    copied = tg.tensor(Array(x))
    assert copied.data_ptr() != x.data_ptr()


def test_strides_and_sharing() -> None:
    x = tg.arange(24.0).reshape(4, 6).cuda()
    part = x.T[::2]
    y = tg.as_tensor(Array(part))
    assert (y.shape, y.stride()) == (part.shape, part.stride())
    assert y.cpu().tolist() == part.cpu().tolist()
    y.fill_(-1)
    assert x[:, ::2].cpu().tolist() == [[-1.0] * 3] * 4
    address = x.data_ptr()
    backwards = tg.as_tensor(Array(x, shape=(24,), strides=(-4,), data=(address + 23 * 4, False)))
    assert backwards.cpu().tolist() == x.cpu().reshape(-1).tolist()[::-1]
    del x, part, y
    assert backwards[-1].item() == -1.0  # its owner lives
    assert tg.as_tensor(Array(tg.zeros(0, 3, device="cuda"))).shape == (0, 3)
    assert tg.as_tensor(Array(backwards), device="cpu").device == tg.device("cpu")
    assert tg.as_tensor(Array(backwards), dtype=tg.float64).dtype is tg.float64


def test_read_only_arrays_are_not_written() -> None:
    x = tg.ones(3, device="cuda")
    y = tg.as_tensor(Array(x, data=(x.data_ptr(), True)))
    with pytest.raises(RuntimeError, match="read-only"):
        y.fill_(2)
    with pytest.raises(RuntimeError, match="read-only"):
        y.copy_(tg.zeros(3))
    assert y.__cuda_array_interface__["data"][1]
    assert (y + 1).cpu().tolist() == [2.0] * 3


def test_streams_wait_for_each_other() -> None:
    s = tg.cuda.Stream()
    with tg.cuda.stream(s):
        x = tg.ones(3, device="cuda") * 2
        facts = x.__cuda_array_interface__
        assert facts["stream"] == s.cuda_stream
        assert tg.from_dlpack(x).sum().item() == 6
    assert tg.as_tensor(Array(x, stream=s.cuda_stream)).sum().item() == 6
    assert tg.as_tensor(Array(x, stream=None)).sum().item() == 6
    for stream in (None, -1, 1, 2, s.cuda_stream):
        capsule = x.__dlpack__(stream=stream)
        assert tg.from_dlpack(capsule).sum().item() == 6


REFUSED = {
    "mask": (lambda x: {"mask": x}, ValueError, "masked"),
    "typestr": (lambda x: {"typestr": ">f4"}, TypeError, "'>f4'"),
    "complex": (lambda x: {"typestr": "<c8"}, TypeError, "'<c8'"),
    "strides": (lambda x: {"strides": (3,)}, ValueError, "not multiples"),
    "ranks": (lambda x: {"strides": (4, 4)}, ValueError, "2 strides for a shape of 1"),
    "alignment": (lambda x: {"data": (x.data_ptr() + 1, False), "shape": (1,)}, ValueError, "not aligned"),
    "data": (lambda x: {"data": x.data_ptr()}, TypeError, "no pair"),
    "nothing": (lambda x: {"shape": None}, ValueError, "has no 'shape'"),
    "stream": (lambda x: {"stream": 0}, ValueError, "stream"),
    "host": (lambda x: {"data": (np.ones(3, "f").ctypes.data, False)}, RuntimeError, "no GPU's"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    changes, kind, words = REFUSED[name]
    x = tg.ones(3, device="cuda")
    with pytest.raises(kind, match=words):
        tg.as_tensor(Array(x, **changes(x)))


def test_what_has_no_interface() -> None:
    assert not hasattr(tg.ones(2), "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="expected a GPU"):
        _ = tg.ones(2).__cuda_array_interface__
    with pytest.raises(RuntimeError, match="requires a gradient"):
        _ = tg.ones(2, device="cuda", requires_grad=True).__cuda_array_interface__
    with pytest.raises(TypeError, match=r"cast it first with .float\(\)"):
        _ = tg.ones(2, device="cuda").bfloat16().__cuda_array_interface__


def test_dlpack_there_and_back() -> None:
    x = tg.arange(6.0).reshape(2, 3).cuda()
    assert x.__dlpack_device__() == (2, 0)
    for source in (x, x.T, x[:, 1:], x.to(tg.int64), x.bfloat16(), tg.zeros(0, 2, device="cuda")):
        y = tg.from_dlpack(source)
        assert (y.device, y.dtype, y.shape, y.stride()) == (source.device, source.dtype, source.shape, source.stride())
        assert y.cpu().float().tolist() == source.cpu().float().tolist()
    y = tg.from_dlpack(x.__dlpack__())  # the protocol before version 1
    y.fill_(7)
    assert x.cpu().tolist() == [[7.0] * 3] * 2
    copied = tg.from_dlpack(x.__dlpack__(max_version=(1, 0), copy=True))
    assert copied.is_cuda
    assert copied.data_ptr() != x.data_ptr()
    assert np.from_dlpack(x, device="cpu").tolist() == x.tolist()
    assert tg.from_dlpack(x.__dlpack__(dl_device=(1, 0))).device == tg.device("cpu")


def test_dlpack_refusals() -> None:
    x = tg.ones(2, device="cuda")
    with pytest.raises(BufferError, match="without a copy"):
        x.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(RuntimeError, match="dl_device asks for device type 2, index 9"):
        x.__dlpack__(dl_device=(2, 9))
    with pytest.raises(ValueError, match="stream is 0"):
        x.__dlpack__(stream=0)
    with pytest.raises(RuntimeError, match="for a tensor on cpu, expected None"):
        tg.ones(2).__dlpack__(stream=2)
    with pytest.raises((RuntimeError, BufferError)):
        np.from_dlpack(x)
