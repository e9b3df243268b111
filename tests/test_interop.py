"""Memory shared with numpy and other libraries, pickles and copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import trigrad as tg

NUMPY = ["float32", "float64", "int64", "int32", "uint8", "bool", "int8", "int16", "uint16", "uint32", "float16"]


def array(dtype: str, shape: tuple[int, ...] = (3, 4)) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", NUMPY)
def test_from_numpy_and_back_share_memory(dtype: str) -> None:
    a = array(dtype)
    t = tg.from_numpy(a)
    assert t.dtype is getattr(tg, dtype)
    assert t.shape == a.shape
    b = t.numpy()
    assert b.dtype == a.dtype
    assert np.shares_memory(a, b)
    assert b.flags.writeable
    np.testing.assert_array_equal(a, b)
    a[0, 0] = 0
    t[1, 1] = 1
    assert t[0, 0].item() == 0
    assert a[1, 1] == 1


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::-1],
        lambda a: a[:, ::-2],
        lambda a: a[1:1],
        lambda a: a[2, 3],
        lambda a: a[None, :, 1:3],
        lambda a: np.broadcast_to(a, (2, *a.shape)),
    ],
)
def test_any_strides_go_both_ways(view: object) -> None:
    a = view(np.arange(20.0).reshape(4, 5))  # type: ignore[operator]
    a = np.asarray(a)
    t = tg.from_numpy(a)
    np.testing.assert_array_equal(t.numpy(), a)
    np.testing.assert_array_equal(t.contiguous().numpy(), a)
    np.testing.assert_array_equal(np.array(t.tolist()).reshape(a.shape), a)
    assert a.size < 2 or np.shares_memory(t.numpy(), a)


def test_views_of_tensors_reach_numpy_as_views() -> None:
    x = tg.arange(12).reshape(3, 4)
    y = x[::-1, 1::2].numpy()
    assert y.tolist() == [[9, 11], [5, 7], [1, 3]]
    y[0, 0] = -1
    assert x[2, 1].item() == -1


def test_read_only_is_respected() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    t = tg.from_numpy(a)
    assert not t.numpy().flags.writeable
    for write in (lambda: t.zero_(), lambda: t.__setitem__(0, 1.0), lambda: t.__iadd__(1), lambda: t.copy_(t + 1)):
        with pytest.raises(RuntimeError, match=r"read-only .* take a \.clone\(\) first"):
            write()
    assert a.tolist() == [0, 1, 2]
    assert t.clone().zero_().tolist() == [0, 0, 0]


def test_bytes_and_buffers() -> None:
    assert tg.from_numpy(b"ab").tolist() == [97, 98]
    assert tg.from_numpy(memoryview(np.arange(3, dtype="i4"))).dtype is tg.int32


def test_foreign_memory_outlives_its_names_and_is_released() -> None:
    class Watched(np.ndarray):
        pass

    a = np.arange(4.0).view(Watched)
    gone = weakref.ref(a)
    t = tg.from_numpy(a)[1:]
    del a
    gc.collect()
    assert gone() is not None
    assert t.tolist() == [1, 2, 3]
    del t
    gc.collect()
    assert gone() is None

    x = tg.tensor([1.0, 2.0])
    b = x.numpy()
    del x
    gc.collect()
    assert b.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: np.arange(3, dtype=">f4"), "foreign byte order .*newbyteorder"),
        (lambda: np.array([object()]), r"objects .*astype\('float64'\)"),
        (lambda: np.array([1 + 2j]), r"complex numbers .* array\.real and array\.imag"),
        (lambda: np.array(["a"]), "strings"),
        (lambda: np.array([1], "u8"), r"uint64 .*astype\('int64'\)"),
        (lambda: np.array([1], "g"), "long doubles"),
        (lambda: np.zeros(2, [("a", "f4"), ("b", "i4")]), "records"),
        (lambda: np.array(["2020-01-01"], "M8[D]"), "does not share its memory"),
        (lambda: [1.0], "got a list, expected a numpy array; for lists use trigrad.tensor"),
    ],
)
def test_what_cannot_be_shared_is_refused(make: object, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        tg.from_numpy(make())  # type: ignore[operator]


def test_odd_memory_is_refused_and_copied_by_tensor() -> None:
    records = np.zeros(3, [("a", "f4"), ("b", "u1")])
    with pytest.raises(ValueError, match=r"not a multiple .*ascontiguousarray"):
        tg.from_numpy(records["a"])
    misaligned = np.frombuffer(b"\0" * 13, "u1")[1:].view("f4")
    with pytest.raises(ValueError, match=r"not aligned .* array\.copy\(\)"):
        tg.from_numpy(misaligned)
    assert tg.tensor(misaligned).tolist() == [0, 0, 0]
    assert tg.tensor(np.ascontiguousarray(records["a"])).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="9 dimensions, but a tensor has at most 8"):
        tg.from_numpy(np.zeros((1,) * 9))


# ---- numpy's protocols


def test_numpy_reads_tensors() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, dtype="i4").dtype == np.int32
    assert x.__array__().dtype == np.float32
    assert x.__array__("f8").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="without a copy"):
        x.__array__("f8", copy=False)
    assert np.mean(np.asarray(x)) == 2.5
    assert x.__array_priority__ == 1000
    with pytest.raises(TypeError, match=r"bfloat16, which numpy does not have; cast it first with \.float\(\)"):
        x.bfloat16().numpy()


def test_arithmetic_with_arrays_gives_tensors() -> None:
    a, x = np.array([1.0, 2.0], "f4"), tg.tensor([10.0, 20.0])
    for result, expected in (
        (a * x, [10, 40]),
        (x * a, [10, 40]),
        (a - x, [-9, -18]),
        (np.float32(2) * x, [20, 40]),
        (x / np.float64(2), [5, 10]),
        (np.int64(3) + x, [13, 23]),
        (a @ x, 50),
    ):
        assert isinstance(result, tg.Tensor)
        assert result.dtype is tg.float32
        assert result.tolist() == expected
    assert (a < x).tolist() == [True, True]
    assert (np.bool_(True) == tg.tensor([True])).tolist() == [True]


# ---- DLPack


@pytest.mark.parametrize("dtype", NUMPY)
def test_dlpack_with_numpy(dtype: str) -> None:
    a = array(dtype)
    t = tg.from_dlpack(a)
    assert np.shares_memory(t.numpy(), a)
    b = np.from_dlpack(t)
    assert b.dtype == a.dtype
    np.testing.assert_array_equal(a, b)
    assert t.__dlpack_device__() == (1, 0)
    assert tg.from_dlpack(t.__dlpack__()).tolist() == a.tolist()


def test_dlpack_details() -> None:
    x = tg.arange(6).reshape(2, 3)
    assert tg.from_dlpack(x.T[::-1]).tolist() == x.T[::-1].tolist()
    copied = tg.from_dlpack(x.__dlpack__(copy=True, max_version=(1, 0)))
    copied.zero_()
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    capsule = x.__dlpack__()
    tg.from_dlpack(capsule)
    with pytest.raises(ValueError, match="taken already"):
        tg.from_dlpack(capsule)
    with pytest.raises(TypeError, match="expected an object with __dlpack__"):
        tg.from_dlpack([1])
    with pytest.raises(RuntimeError, match="expected the CPU"):
        x.__dlpack__(dl_device=(2, 0))
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    t = tg.from_numpy(frozen)
    with pytest.raises(BufferError, match="read-only"):
        t.__dlpack__()
    assert not tg.from_dlpack(t).numpy().flags.writeable
    bf = tg.tensor([1.5, -2.0]).bfloat16()
    assert tg.from_dlpack(bf).float().tolist() == [1.5, -2.0]


def test_dlpack_keeps_memory_alive() -> None:
    t = tg.from_dlpack(np.arange(5.0))
    gc.collect()
    assert t.tolist() == [0, 1, 2, 3, 4]
    before = tg._core.memory_stats()["in_use"]
    x = tg.zeros(1000)
    capsules = [x.__dlpack__(), x.__dlpack__(max_version=(1, 0))]
    del x
    assert tg._core.memory_stats()["in_use"] > before
    del capsules
    assert tg._core.memory_stats()["in_use"] == before


def test_dlpack_with_torch() -> None:
    torch = pytest.importorskip("torch", reason="exchanges tensors with torch")
    for dtype in ("float32", "float64", "int64", "int32", "uint8", "bool", "int8", "int16", "float16", "bfloat16"):
        t = tg.tensor([[1, 0], [1, 1]]).to(getattr(tg, dtype))
        u = torch.from_dlpack(t)
        assert str(u.dtype) == f"torch.{dtype}"
        assert u.tolist() == t.tolist()
        assert u.data_ptr() == t.data_ptr()
        back = tg.from_dlpack(u.T)
        assert back.dtype is t.dtype
        assert back.tolist() == t.T.tolist()


# ---- pickles and copies


@pytest.mark.parametrize("dtype", [*NUMPY, "bfloat16"])
def test_pickle(dtype: str) -> None:
    x = tg.tensor(array("int64")).to(getattr(tg, dtype)).T
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert y.dtype is x.dtype
        assert y.tolist() == x.tolist()


def test_small_objects_pickle() -> None:
    for thing in (tg.float32, tg.device("cpu"), tg.zeros(2, 3).shape, tg.ops.tanh):
        again = pickle.loads(pickle.dumps(thing))
        assert again == thing
        assert type(again) is type(thing)
    assert copy.deepcopy(tg.float32) is tg.float32
    g = tg.Generator().manual_seed(3)
    tg.rand(2, generator=g)
    assert tg.equal(tg.rand(3, generator=pickle.loads(pickle.dumps(g))), tg.rand(3, generator=g))


def test_copies() -> None:
    x = tg.zeros(2)
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    x += 1
    assert shallow.tolist() == [1, 1]
    assert deep.tolist() == [0, 0]
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]


class Broken:
    @property
    def __dlpack__(self) -> object:
        raise OSError("the device is gone")


def test_dlpack_passes_the_callers_mistakes_on() -> None:
    x = tg.ones(2)
    for keywords in ({"max_version": "x"}, {"max_version": (1, "x")}, {"dl_device": 1}, {"dl_device": (1,)}):
        with pytest.raises(TypeError, match="expected a tuple of two integers"):
            x.__dlpack__(**keywords)
    with pytest.raises(OSError, match="the device is gone"):
        tg.from_dlpack(Broken())
