"""How the study measures: times are nanoseconds, conditions hold, the header and other libraries compute the same model."""

from __future__ import annotations

import ctypes
import time

import numpy as np
import pytest

from realtime_models import ACTIVATIONS, MODELS, build, eager
from trigrad import _core, nn
from trigrad.realtime import Predictor, Scaler, _peers, _timing

RUN = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
EVENTS = np.random.default_rng(0).standard_normal((20, 3)).astype("f")


def function(run: object, memory: list[tuple[int, int]] | None = None) -> _timing.Function:
    address = ctypes.cast(run, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return _timing.Function(address, 3, 1, memory or [])


def test_times_are_nanoseconds() -> None:
    @RUN
    def sleep(context: int, x: int, y: int) -> int:
        time.sleep(0.0005)
        return 1

    _core.time_calls(None, EVENTS, 1, 0, False, 0)  # the clock is measured once
    begin = time.perf_counter_ns()
    found = np.frombuffer(_core.time_calls(function(sleep), EVENTS, 300, 0, False, 0), "f")
    spent = time.perf_counter_ns() - begin
    assert found.shape == (301,)
    assert found[:-1].min() >= 0.99 * 0.5e6
    assert 0.4 * spent < found[:-1].sum(dtype="d") < spent  # 100 of 400 calls come before, to warm up
    assert 0 < found[-1] < 1e4


def test_events_are_taken_in_turn() -> None:
    seen = []

    @RUN
    def look(context: int, x: int, y: int) -> int:
        seen.append(ctypes.c_float.from_address(x).value)
        return 1

    _core.time_calls(function(look), EVENTS, 50, 0, False, 0)
    assert seen == [EVENTS[i % 20, 0] for i in (*range(100), *range(50))]


def test_conditions_come_before_each_call() -> None:
    begin = time.perf_counter()
    _core.time_calls(None, EVENTS, 100, 0, False, 1000)
    assert time.perf_counter() - begin >= 0.1
    conditions = {c.name: c for c in _timing.conditions()}
    assert conditions["hot"] == ("hot", 0, False, 0)
    assert conditions["L1 evicted"].other_bytes < conditions["L2 evicted"].other_bytes
    assert ("from memory" in conditions) == _core.clock_of_calls()[2]
    bad = np.zeros((2, 3), "f")
    for other, idle in ((-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="no negative numbers"):
            _core.time_calls(None, bad, 1, other, False, idle)


def test_memory_that_is_named_is_flushed() -> None:
    """Reading 256 KiB takes longer after it was flushed."""
    if not _core.clock_of_calls()[2]:
        pytest.skip("this processor does not flush")
    p = Predictor(nn.Linear(256, 256))
    x = np.zeros((4, p.inputs), "f")
    hot, flushed = (np.frombuffer(_core.time_calls(p, x, 200, 0, f, 0), "f")[:-1] for f in (False, True))
    assert np.median(flushed) > 1.5 * np.median(hot)


def test_python_calls_are_all_of_the_events() -> None:
    seen: list[float] = []
    found = _timing.python_calls("x", lambda row: seen.append(row[0]), EVENTS, 0.01)
    assert found.calls == len(seen) - len(EVENTS)
    assert seen[:40] == [*EVENTS[:, 0], *EVENTS[:, 0]]


def test_rates_count_events() -> None:
    found = _timing.rate(lambda x: time.sleep(0.002), EVENTS, 0.05)
    assert 0.2 * 20 / 0.002 < found < 20 / 0.002


# ---- the header


def header(p: Predictor) -> _timing.Function:
    try:
        return _timing.header_function(p)
    except _timing.Unavailable as error:
        pytest.skip(str(error))


def test_the_header_is_compiled_and_has_the_bits() -> None:
    p = Predictor(build("ecal"))
    x = np.random.default_rng(1).standard_normal((50, 12)).astype("f")
    f = header(p)
    _timing.header_agrees(f, p, x)
    other = Predictor(build("ecal", seed=8))
    with pytest.raises(RuntimeError, match="the header's answer is"):
        _timing.header_agrees(f, other, x)
    assert sum(size for _, size in f.memory) > 4 * 12 * 32  # its weights are somewhere there


def test_headers_of_one_name_keep_their_own_weights() -> None:
    x = np.random.default_rng(0).standard_normal((5, 12)).astype("f")
    predictors = [Predictor(build("ecal", seed=seed)) for seed in (1, 2)]
    functions = [header(p) for p in predictors]  # libraries in this process, with namespace model both
    for function, predictor in zip(functions, predictors, strict=True):
        _timing.header_agrees(function, predictor, x)


def test_what_cannot_be_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    p = Predictor(build("ecal"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(_timing.shutil, "which", lambda name: None)
    with pytest.raises(_timing.Unavailable, match="no C\\+\\+ compiler"):
        _timing.header_function(p)
    monkeypatch.undo()
    header(p)  # or skip
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(_timing.Unavailable, match="false -std=c"):
        _timing.header_function(p)
    refusing = Predictor(build("ecal"), scaler=Scaler(nan="refuse"))
    with pytest.raises(_timing.Unavailable, match="refuses NaN"):
        _timing.header_function(refusing)


# ---- other libraries


@pytest.mark.parametrize("name", [*MODELS, *ACTIVATIONS])
def test_peers_compute_the_model(name: str) -> None:
    model = build(name)
    p = Predictor(model)
    x = np.random.default_rng(2).standard_normal((30, p.inputs)).astype("f")
    calls, missing = _peers.peers(p.to_bytes(), x, eager(model, x))
    assert not set(calls) & set(missing)
    assert set(calls) | set(missing) == {"NumPy", "PyTorch", "ONNX Runtime"}
    for said in missing.values():
        assert "differ" not in said
        assert "is not installed" in said or "no counterpart" in said
    if name in MODELS:
        assert "NumPy" in calls
    with_torch = "is not installed" not in missing.get("PyTorch", "")
    if with_torch and name not in ("Maxout", "Softmin"):
        assert "PyTorch" in calls, missing["PyTorch"]
    one = x[:1]
    for call in calls.values():
        np.testing.assert_allclose(np.asarray(call(one)), eager(model, one), rtol=2e-3, atol=2e-4)


def test_a_peer_with_other_answers_is_named() -> None:
    p = Predictor(build("ecal"))
    x = np.zeros((3, 12), "f")
    calls, missing = _peers.peers(p.to_bytes(), x, p(x[0])[None].repeat(3, 0) + np.float32(0.25))
    assert calls == {}
    assert missing["NumPy"] == "answers differ by up to 0.25"


def test_halves_are_widened() -> None:
    p = Predictor(build("jet"), precision="bfloat16")
    x = np.random.default_rng(3).standard_normal((8, 16)).astype("f")
    assert "NumPy" in _peers.peers(p.to_bytes(), x, np.stack([p(e) for e in x]))[0]


def test_threads_are_as_they_were() -> None:
    before, inside = _core.get_num_threads(), []

    def fail() -> None:
        with _peers.one_thread(True):
            inside.append(_core.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [1]
    assert _core.get_num_threads() == before
