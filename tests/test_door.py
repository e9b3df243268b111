"""The one door: what a recorder hears, a second backend behind it, and what the extension was built of."""

from __future__ import annotations

import gc
import itertools

import pytest

import trigrad as tg
from trigrad import _core


def test_recorder_sees_what_passes_the_door() -> None:
    x, w = tg.ones(2, 3), tg.ones(4, 3)
    with _core.testing.Recorder() as recorder:
        tg.dense(x, w).relu_()
        x.T  # noqa: B018 -- a view is no call
    assert recorder.calls == [("dense", [(2, 3), (4, 3)], [(2, 4)]), ("relu", [(2, 4)], [(2, 4)])]
    x + 1
    assert len(recorder.calls) == 2


def test_a_second_backend_fits() -> None:
    _core.testing.install_counting_backend(missing=["logsumexp"])
    x = _core.testing.to_test(tg.tensor([[1.0, -2.0], [3.0, 4.0]]))
    assert x._device_name == "test"
    y = (x * 2).relu().sum(0)
    assert y._device_name == "test"
    assert _core.testing.to_cpu(y).tolist() == [8, 8]
    assert _core.testing.counted_calls() == {"mul": 1, "relu": 1, "sum": 1}
    with pytest.raises(NotImplementedError, match=r"\[logsumexp\] has no test kernel"):
        x.logsumexp(0)
    with pytest.raises(RuntimeError, match="tensors are on test and cpu, expected one device"):
        x + tg.ones(2, 2)
    with pytest.raises(TypeError, match=r"the tensor is on test, expected cpu"):
        x.numpy()


def test_instruction_sets_are_different_code() -> None:
    codes = [_core.testing.kernel_code(isa) for isa in _core.available_isas()]
    for a, b in itertools.combinations(codes, 2):
        for family in a:
            assert a[family] != b[family]


def test_build_info_and_threads() -> None:
    info = _core.build_info()
    assert set(info) == {"version", "arithmetic_version", "isa", "isa_available", "num_threads", "compiler"}
    assert tg.__version__ == info["version"]
    assert info["isa"] in info["isa_available"] == _core.available_isas()
    tg.set_num_threads(2)
    assert tg.get_num_threads() == 2
    assert set(_core.memory_stats()) == {"in_use", "peak", "cached", "cache_limit", "allocations"}


def test_a_dropped_recorder_listens_no_more() -> None:
    recorder = _core.testing.Recorder()
    recorder.__enter__()
    del recorder
    gc.collect()
    x = tg.ones(1)
    with _core.testing.Recorder() as recorder:
        tg.relu(x)
    assert [name for name, _, _ in recorder.calls] == ["relu"]


def test_the_code_of_a_kernel_is_read_within_bounds() -> None:
    with pytest.raises(ValueError, match="expected at most 1024 bytes"):
        _core.testing.kernel_code(_core.available_isas()[0], 1 << 40)
