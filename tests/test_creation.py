"""Creation, dtypes and random numbers: PyTorch's values, dtypes and exceptions, under either default dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg

torch = pytest.importorskip("torch", reason="compares with torch")

# Each is evaluated twice: L is trigrad and torch.
EXPRESSIONS = """
L.arange(5, 2)
L.arange(0, 5, 0)
L.arange(float("nan"))
L.arange(0, float("inf"))
L.arange(0, 1, 0.3)
L.arange(3.0)
L.arange(3, dtype=L.float64)
L.arange(5, 0, -2)
L.arange(True)
L.arange(start=1, end=3)
L.arange(end=3)
L.arange(0, 300, 100, dtype=L.uint8)
L.arange(0, 3, dtype=L.int16)
L.arange(0, 3, dtype=L.float16)
L.arange(L.tensor(3))
L.arange(0, 2.5, 1, dtype=L.int64)
L.arange("a")
L.linspace(0, 1, 0)
L.linspace(0, 1, 1)
L.linspace(0, 1, -1)
L.linspace(0, 10, 5, dtype=L.int64)
L.linspace(0, 10, 4, dtype=L.int64)
L.linspace(L.tensor(1.0), 3, 3)
L.linspace(1, 3, 3, dtype=L.float16)
L.linspace(start=2, end=-2, steps=5)
L.logspace(0, 3, 4, base=2)
L.logspace(0, 3, 4, base=2, dtype=L.int64)
L.logspace(0, 3, 0)
L.logspace(0, 3, 1)
L.logspace(0, 3, -1)
L.eye(3, 2)
L.eye(2, 3)
L.eye(0)
L.eye(-1)
L.eye(2, dtype=L.bool)
L.full((2,), 1)
L.full((2,), True)
L.full((2,), 1.5)
L.full((2,), 1.5, dtype=L.int64)
L.full((2,), 300, dtype=L.uint8)
L.full((), L.tensor(3))
L.full((), L.tensor(3.5))
L.full((2,), "a")
L.zeros(2, 3.0)
L.zeros((2, 3))
L.zeros([2, 3])
L.zeros(())
L.zeros()
L.zeros(-1)
L.zeros(size=(2,))
L.zeros(2, size=(2,))
L.zeros(L.tensor(2))
L.zeros(L.Size([2]), dtype=int)
L.ones(2, 3)
L.ones(size=(2, 0))
L.empty((2, 0))
L.empty(2, 3).shape
L.empty_strided((2, 3), (1, 2)).stride()
L.empty_strided((2, 3), (1,))
L.zeros_like(L.ones(2), dtype=L.int64)
L.ones_like(L.ones(2, 3).T)
L.full_like(L.ones(2, dtype=L.int64), 2.5)
L.empty_like(L.ones(2, 3)).dtype
L.rand(2, 3).shape
L.rand((2, 3)).dtype
L.rand(size=(2,)).shape
L.rand_like(L.ones(2, dtype=L.float64)).dtype
L.randn(4).dtype
L.randn_like(L.ones(2, 3)).shape
L.randint(5, (3,)).dtype
L.randint(3, 3, (2,))
L.randint(low=0, high=1, size=(2,))
L.randint(5)
L.randint_like(L.ones(3), 1)
L.randint_like(L.ones(3), 2, 3)
L.randperm(3).dtype
L.randperm(3, dtype=L.int32).dtype
L.randperm(-1)
L.randperm(1)
L.tensor([1, 2.0])
L.tensor([np.float64(1)])
L.tensor([np.float64(1), 1.0])
L.tensor([np.float32(1), np.float32(1)])
L.tensor([np.int32(1)])
L.tensor([np.bool_(True)])
L.tensor(np.float64(1))
L.tensor([L.tensor(1.0, dtype=L.float64)])
L.tensor([L.tensor(1), 2.0])
L.tensor([[1], [2, 3]])
L.tensor("a")
L.tensor([[], []])
L.tensor(range(3))
L.tensor([True, 1])
L.tensor(300, dtype=L.uint8)
L.tensor(1.7, dtype=L.int64)
L.tensor(np.arange(6.0).reshape(2, 3)[:, ::-1].copy())
L.as_tensor([1, 2])
L.as_tensor(np.ones(2), dtype=L.float32)
L.asarray([1, 2])
L.asarray(np.ones(2), copy=True)
L.asarray(1.5)
L.asarray([1.0], copy=False)
L.asarray(L.ones(2), dtype=L.float64, copy=False) if L.get_default_dtype() == L.float32 else None
L.scalar_tensor(1)
L.scalar_tensor(1, dtype=L.int64)
L.ones(2).new_zeros(3)
L.ones(2).new_zeros((3, 2), dtype=L.int64)
L.ones(2).new_ones(3, 2)
L.ones(2, dtype=L.int64).new_full((2,), 1.5)
L.ones(2).new_empty((2,)).dtype
L.ones(2, dtype=L.int32).new_empty(size=(2, 3)).shape
L.ones(2, dtype=L.float64).new_tensor([1, 2])
L.ones(2).to("cpu", L.float64)
L.ones(2).to(L.device("cpu"))
L.ones(2).to(L.ones(1, dtype=L.int64))
L.ones(2).to(dtype=L.int32, copy=True)
L.ones(2).type(L.int64)
L.ones(2).type_as(L.ones(1, dtype=L.float64))
L.ones(2).short()
L.ones(2).char()
L.ones(2).byte()
L.ones(2).half()
L.ones(2).long()
L.ones(2).int()
L.ones(2).bool()
L.ones(2).float()
L.ones(2).double()
L.ones(2).nbytes
L.ones(2).itemsize
L.tensor([1]) / 2
L.tensor([1]) * 2.5
L.tensor([1]).sqrt()
L.tensor([True]) + 1.5
L.tensor([1]).clamp(min=0.5)
L.where(L.tensor([True]), 1.5, 2)
L.tensor([1, 2]).float().mean()
L.sum(L.tensor([True, True]))
L.can_cast(L.float64, L.float32)
L.can_cast(L.float32, L.int64)
L.can_cast(L.int64, L.uint8)
L.can_cast(L.int64, L.bool)
L.can_cast(L.bool, L.float16)
L.promote_types(L.int32, L.uint8)
L.promote_types(L.int8, L.uint8)
L.promote_types(L.uint16, L.float32)
L.promote_types(L.float16, L.bfloat16)
L.result_type(L.ones(1), 1)
L.result_type(L.ones(1, dtype=L.int32), 1.5)
L.result_type(L.tensor(1), L.ones(1, dtype=L.int32))
L.result_type(L.tensor(1.0, dtype=L.float64), L.ones(1, dtype=L.float32))
L.result_type(L.tensor(1.0, dtype=L.float64), L.ones(1, dtype=L.int32))
L.result_type(1, 2.5)
L.result_type(True, 2)
L.result_type(L.tensor(True), 2)
L.finfo()
L.finfo(L.float32)
L.finfo(L.float64)
L.finfo(L.float16)
L.finfo(L.bfloat16)
L.finfo(L.float32).tiny
L.finfo(L.float64).eps
L.finfo(L.float16).max
L.finfo(L.bfloat16).min
L.finfo(L.float32).resolution
L.finfo(L.float32).bits
L.finfo(L.float32).dtype
L.finfo(L.float32) == L.finfo(L.float32)
L.finfo(L.int64)
L.iinfo(L.uint8)
L.iinfo(L.int64)
L.iinfo(L.int16).min
L.iinfo(L.int32).bits
L.iinfo(L.float32)
L.iinfo(L.bool)
L.is_floating_point(L.ones(1))
L.is_tensor(L.ones(1)), L.is_tensor(1)
L.Size([2, 3]).numel()
L.Size([2, 3])[1:]
L.Size([2, 3]) + (4,)
L.device("cpu").type
L.float is L.float32, L.double is L.float64, L.half is L.float16, L.long is L.int64, L.int is L.int32, L.short is L.int16
""".strip().splitlines()

DEFAULTS = ("float32", "float64")


@pytest.fixture(params=DEFAULTS)
def _default_dtype(request: pytest.FixtureRequest) -> Iterator[None]:
    for library in (tg, torch):
        library.set_default_dtype(getattr(library, request.param))
    yield
    for library in (tg, torch):
        library.set_default_dtype(library.float32)


def values(result: Any) -> Any:
    """Shapes, dtypes and elements, for comparison."""
    if type(result).__name__ == "Tensor":
        return tuple(result.shape), values(result.dtype), result.tolist()
    return result if isinstance(result, (int, float, bool)) else repr(result).replace("torch.", "trigrad.")


def outcome(library: Any, expression: str) -> Any:
    try:
        return values(eval(expression, {"L": library, "np": np}))
    except Exception as e:  # noqa: BLE001 -- whatever it is, it is compared
        return type(e), e


@pytest.mark.usefixtures("_default_dtype")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_as_torch(expression: str) -> None:
    ours, theirs = outcome(tg, expression), outcome(torch, expression)
    if isinstance(theirs, tuple) and isinstance(theirs[0], type):
        assert isinstance(ours[0], type), f"got {ours}, expected {theirs[0].__name__}: {theirs[1]}"
        assert issubclass(ours[0], (theirs[0], RuntimeError) if theirs[0] is TypeError else theirs[0]), ours[1]
        return
    assert ours == theirs


def test_default_dtype() -> None:
    assert tg.get_default_dtype() is tg.float32
    for wrong in (tg.int64, tg.float16, None, "float99"):
        with pytest.raises(TypeError):
            tg.set_default_dtype(wrong)
    assert tg.get_default_dtype() is tg.float32


@given(st.floats(-100, 100), st.floats(-100, 100), st.integers(0, 40), st.sampled_from(DEFAULTS))
def test_linspace(start: float, end: float, steps: int, dtype: str) -> None:
    got = tg.linspace(start, end, steps, dtype=getattr(tg, dtype)).numpy()
    want = np.linspace(start, end, steps)
    assert got.dtype == dtype
    np.testing.assert_allclose(
        got,
        want.astype(dtype),
        rtol=1e-6 if dtype == "float32" else 1e-12,
        atol=1e-4 * 2e-3 if dtype == "float32" else 1e-12,
    )
    if steps > 1:
        assert got[0] == np.asarray(start, dtype)
        assert got[-1] == np.asarray(end, dtype)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7).filter(bool))
def test_arange_of_integers(start: int, end: int, step: int) -> None:
    if (end - start) * step < 0:
        with pytest.raises(RuntimeError, match=r"^\[arange\]"):
            tg.arange(start, end, step)
        return
    np.testing.assert_array_equal(tg.arange(start, end, step).numpy(), np.arange(start, end, step))


@given(st.floats(-5, 5), st.floats(0, 20), st.floats(0.1, 3))
def test_arange_of_floats(start: float, length: float, step: float) -> None:
    got = tg.arange(start, start + length, step, dtype=tg.float64)
    want = torch.arange(start, start + length, step, dtype=torch.float64)
    assert got.numel() == want.numel()
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-13, atol=1e-13)


def test_logspace() -> None:
    np.testing.assert_allclose(tg.logspace(-3, 3, 7).numpy(), np.logspace(-3, 3, 7), rtol=1e-6)
    np.testing.assert_allclose(
        tg.logspace(-3, 3, 7, 2, dtype=tg.float64).numpy(), np.logspace(-3, 3, 7, base=2), rtol=1e-14
    )


def test_asarray_shares_or_copies() -> None:
    a, x = np.zeros(2), tg.zeros(2)
    foreign = torch.zeros(2)
    for source in (a, x, foreign):
        shared, copied = tg.asarray(source), tg.asarray(source, copy=True)
        source[0] = 1
        assert (float(shared[0]), float(copied[0])) == (1, 0)
    assert tg.asarray(x) is x
    assert tg.asarray(x, dtype=tg.float64).dtype is tg.float64


def test_memory_stats() -> None:
    tg.empty_cache()
    tg.reset_peak_memory_stats()
    before = tg.memory_stats()
    assert set(before) == {"in_use", "peak", "cached", "cache_limit", "allocations"}
    assert before["cached"] == 0
    assert before["peak"] == before["in_use"]
    x = tg.zeros(1 << 20)
    during = tg.memory_stats()
    assert during["in_use"] - before["in_use"] >= 4 << 20
    assert during["allocations"] > before["allocations"]
    del x
    after = tg.memory_stats()
    assert after["in_use"] == before["in_use"]
    assert after["peak"] >= during["in_use"]
    assert 4 << 20 <= after["cached"] <= after["cache_limit"]
    tg.empty_cache()
    assert tg.memory_stats()["cached"] == 0


# ---- generators


def test_generator_states() -> None:
    g = tg.Generator().manual_seed(5)
    tg.rand(3, generator=g)
    state, copy = g.get_state(), g.clone_state()
    a = tg.randn(4, generator=g)
    assert tg.equal(tg.randn(4, generator=copy), a)
    assert tg.equal(tg.randn(4, generator=tg.Generator().set_state(state)), a)
    assert g.initial_seed() == copy.initial_seed() == 5
    assert str(g.device) == str(torch.Generator().device) == "cpu"
    for name in ("manual_seed", "seed", "initial_seed", "get_state", "set_state", "clone_state", "device"):
        assert hasattr(torch.Generator, name)
        assert hasattr(tg.Generator, name)
    for wrong in (tg.zeros(3), tg.zeros(16), tg.zeros(15, dtype=tg.uint8)):
        with pytest.raises(RuntimeError, match=r"^\[set_state\]"):
            g.set_state(wrong)


def test_the_default_generators_state() -> None:
    state = tg.get_rng_state()
    a = tg.rand(5)
    tg.set_rng_state(state)
    assert tg.equal(tg.rand(5), a)
    assert tg.manual_seed(3) is tg.default_generator
    assert tg.initial_seed() == 3


def test_bytes_go_in_and_out() -> None:
    core = tg._core
    x = tg.arange(6, dtype=tg.int32).reshape(2, 3)
    for data in (x._bytes(), bytearray(x._bytes()), memoryview(x._bytes())):
        assert tg.equal(core.from_bytes(data, tg.int32, (2, 3)), x)
    for wrong in (b"", bytes(23), memoryview(bytes(48))[::2]):
        with pytest.raises(ValueError, match=r"^\[from_bytes\]"):
            core.from_bytes(wrong, tg.int32, (2, 3))
    assert core.from_bytes(b"", tg.float32, (0, 2)).shape == (0, 2)
    assert math.prod(core.from_bytes(bytes(8), tg.float64, ()).shape) == 1


# ---- casts to and from the half types, whose code each ISA has of its own


@pytest.mark.parametrize("isa", tg._core.available_isas())
def test_half_types_round_as_torchs(isa: str) -> None:
    tg._core.set_isa(isa)
    halves = np.arange(1 << 16, dtype=np.uint16)
    same_bits(tg.from_numpy(halves.view("f2")).float().numpy(), halves.view("f2").astype("f4"))
    # Every exponent, and what lies next to each rounding: ties, carries, the smallest and largest numbers.
    top = np.arange(0, 1 << 32, 1 << 12, dtype=np.uint64)[:, None]
    x = np.unique((top + np.array([0, 1, 2, 4095])).astype(np.uint32)).view("f4")
    theirs = torch.from_numpy(x)
    same_bits(tg.from_numpy(x).half().float().numpy(), theirs.half().float().numpy())
    same_bits(tg.from_numpy(x).bfloat16().float().numpy(), theirs.bfloat16().float().numpy())


def same_bits(got: np.ndarray, want: np.ndarray) -> None:
    """Any NaN equals any NaN."""
    number = ~np.isnan(want)
    assert np.array_equal(np.isnan(got), ~number)
    assert np.array_equal(got.view("u4")[number], want.view("u4")[number])
