"""Streams, events, page-locked memory, and memory that goes back to the stream that it was taken on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

import trigrad as tg

pytestmark = pytest.mark.usefixtures("gpu")

N = 50_000  # elements: a size that nothing else here has


def run(script: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import os, trigrad as tg\n" + script],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def test_streams() -> None:
    default, s = tg.cuda.default_stream(), tg.cuda.Stream()
    assert tg.cuda.current_stream() == default
    assert default.cuda_stream == 0
    assert s != default
    assert s.device == tg.device("cuda:0")
    with tg.cuda.stream(s):
        assert tg.cuda.current_stream() == s
        x = tg.full((N,), 2.0, device="cuda") * 3
        with tg.cuda.stream(None), tg.cuda.stream(default):
            assert tg.cuda.current_stream() == default
        assert tg.cuda.current_stream() == s
    assert tg.cuda.current_stream() == default
    default.wait_stream(s)
    assert (x + 1).sum().item() == 7 * N
    s.synchronize()
    assert s.query()
    tg.cuda.synchronize()
    with s:
        assert tg.cuda.current_stream() == s
    seen: list[tg.cuda.Stream] = []
    with tg.cuda.stream(s):
        thread = threading.Thread(target=lambda: seen.append(tg.cuda.current_stream()))
        thread.start()
        thread.join()
    assert seen == [default]
    assert tg.cuda.ExternalStream(s.cuda_stream) == s
    first = tg.cuda.Stream(priority=-1)
    assert len({first, s, default, *(tg.cuda.Stream() for _ in range(40))}) <= 18  # they come again


def test_events() -> None:
    begin, end = tg.cuda.Event(enable_timing=True), tg.cuda.Event(enable_timing=True)
    assert begin.query()  # never recorded
    begin.synchronize()
    begin.record()
    x = tg.ones(N, device="cuda") * 2
    end.record()
    end.synchronize()
    assert 0 <= begin.elapsed_time(end) < 10_000
    assert x.sum().item() == 2 * N
    s = tg.cuda.Stream()
    s.wait_event(end)
    event = s.record_event()
    event.wait()
    assert event.device == tg.device("cuda:0")
    with pytest.raises(RuntimeError, match="enable_timing=True"):
        event.elapsed_time(end)
    with pytest.raises(RuntimeError, match="never recorded"):
        begin.elapsed_time(tg.cuda.Event(enable_timing=True))
    with pytest.raises(RuntimeError, match="of one process"):
        tg.cuda.Event(interprocess=True)


def test_a_freed_block_goes_back_to_its_stream() -> None:
    s = tg.cuda.Stream()
    with tg.cuda.stream(s):
        x = tg.empty(N, device="cuda")
        address = x.data_ptr()
    del x
    kept = [tg.empty(N, device="cuda") for _ in range(3)]
    assert address not in [t.data_ptr() for t in kept]
    with tg.cuda.stream(s):
        assert tg.empty(N, device="cuda").data_ptr() == address


def test_a_block_that_another_stream_uses_is_kept_until_that_is_done(emulated: bool) -> None:
    s = tg.cuda.Stream()
    x = tg.ones(N + 4096, device="cuda")
    address = x.data_ptr()
    s.wait_stream(tg.cuda.current_stream())
    with tg.cuda.stream(s):
        y = x * 2
        x.record_stream(s)
    del x
    if emulated:  # whose streams say late that they are done
        assert tg.empty(N + 4096, device="cuda").data_ptr() != address
    s.synchronize()
    kept = [tg.empty(N + 4096, device="cuda") for _ in range(2)]
    assert address in [t.data_ptr() for t in kept]
    assert y.sum().item() == 2 * (N + 4096)
    with pytest.raises(RuntimeError, match="expected a GPU"):
        tg.ones(1).record_stream(s)


def test_pinned_memory(emulated: bool) -> None:
    x = tg.arange(6.0).reshape(2, 3).T
    pinned = x.pin_memory()
    assert pinned.is_pinned()
    assert not x.is_pinned()
    assert pinned.pin_memory() is pinned
    assert pinned.tolist() == x.tolist()
    assert (pinned + x).tolist() == (2 * x).tolist()
    there = pinned.to("cuda", non_blocking=True)
    address = pinned.data_ptr()
    del pinned
    if emulated:  # the copy is still reading
        assert tg.empty(3, 2).pin_memory().data_ptr() != address
    assert there.cpu().tolist() == x.tolist()
    back = tg.empty(3, 2).pin_memory()
    back.copy_(there * 2, non_blocking=True)
    tg.cuda.current_stream().synchronize()
    assert back.tolist() == (2 * x).tolist()
    w = tg.ones(2, requires_grad=True)
    (w.pin_memory() * 3).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="expected cpu"):
        there.pin_memory()


def test_new_tensors_in_pinned_memory() -> None:
    made = [
        tg.empty(2, 3, pin_memory=True),
        tg.empty_like(tg.ones(2, 3, device="cuda"), device="cpu", pin_memory=True),
        tg.zeros(2, 3, pin_memory=True),
        tg.ones(2, 3, pin_memory=True, requires_grad=True),
        tg.full((2, 3), 4, pin_memory=True),
        tg.tensor([[1.0, 2.0, 3.0]] * 2, pin_memory=True),
        tg.rand(2, 3, pin_memory=True),
        tg.randn(2, 3, pin_memory=True),
    ]
    assert all(t.is_pinned() and t.shape == (2, 3) for t in made)
    assert [float(t.sum()) for t in made[2:6]] == [0.0, 6.0, 24.0, 12.0]
    assert made[3].is_leaf
    assert made[3].requires_grad
    with pytest.raises(RuntimeError, match=r"\[pin_memory\] the tensor is on cuda:0, expected cpu"):
        tg.zeros(2, device="cuda", pin_memory=True)


def test_what_a_gpu_can(emulated: bool) -> None:
    tg.cuda.init()
    assert tg.cuda.is_initialized()
    assert tg.cuda.is_bf16_supported()
    new = tg.cuda.get_device_capability()[0] >= 8
    assert tg.cuda.is_tf32_supported() == tg.cuda.is_bf16_supported(including_emulation=False) == new
    assert bool(tg.cuda.get_arch_list()) != emulated
    assert (tg.version.cuda is None) == emulated
    assert tg.cuda.memory_allocated() == tg.accelerator.memory_allocated("cuda:0")
    with pytest.raises(ValueError, match="expected for instance 'cuda:0'"):
        tg.cuda.memory_allocated("cpu")


def test_a_checkpoint_of_random_numbers_goes_on() -> None:
    """As scripts write it: the states of the CPU and of all GPUs, which are one."""
    kept = tg.get_rng_state(), tg.cuda.get_rng_state_all()
    assert len(kept[1]) == tg.cuda.device_count()
    want = tg.rand(5, device="cuda").tolist()
    tg.set_rng_state(kept[0])
    tg.cuda.set_rng_state_all(kept[1])
    assert tg.rand(5, device="cuda").tolist() == want
    state = tg.cuda.get_rng_state()
    masks = [tg.nn.functional.dropout(tg.ones(64, device="cuda")).tolist()]
    tg.cuda.set_rng_state(state)
    masks.append(tg.nn.functional.dropout(tg.ones(64, device="cuda")).tolist())
    assert masks[0] == masks[1]


def test_memory_is_counted() -> None:
    tg.cuda.empty_cache()
    tg.cuda.reset_peak_memory_stats()
    before = tg.cuda.memory_stats()
    x = tg.empty(1_000_000, device="cuda")
    assert 4_000_000 <= tg.cuda.memory_allocated() - before["allocated_bytes.all.current"] < 5_000_001
    del x
    after = tg.cuda.memory_stats()
    assert after["allocated_bytes.all.current"] == before["allocated_bytes.all.current"]
    assert after["allocated_bytes.all.peak"] >= before["allocated_bytes.all.current"] + 4_000_000
    assert after["reserved_bytes.all.peak"] >= after["reserved_bytes.all.current"] >= 4_000_000
    assert tg.cuda.max_memory_reserved() == after["reserved_bytes.all.peak"]
    assert "held by tensors" in tg.cuda.memory_summary()
    assert "blocks" not in tg.cuda.memory_summary(abbreviated=True)
    free, total = tg.cuda.mem_get_info()
    assert 0 < free <= total
    tg.cuda.empty_cache()
    assert tg.cuda.memory_reserved() == tg.cuda.memory_allocated()


def test_out_of_memory_leaves_everything_usable() -> None:
    free, total = tg.cuda.mem_get_info()
    x = tg.ones(1000, device="cuda")
    s = tg.cuda.Stream()
    with tg.cuda.stream(s):
        pieces = [tg.empty(3 * free // 8, dtype=tg.uint8, device="cuda") for _ in range(2)]
    del pieces  # kept for the other stream, and given back when there is no room
    retries = tg.cuda.memory_stats()["num_alloc_retries"]
    big = tg.empty(3 * free // 8, dtype=tg.uint8, device="cuda")
    assert tg.cuda.memory_stats()["num_alloc_retries"] == retries + 1
    for kind in (tg.cuda.OutOfMemoryError, MemoryError, RuntimeError):
        with pytest.raises(kind, match=r"cannot allocate \d+ bytes on cuda:0, where tensors hold \d+"):
            tg.empty(total, dtype=tg.uint8, device="cuda")
    with pytest.raises(tg.cuda.OutOfMemoryError, match=r"bytes on cuda:0: more than the address space holds"):
        tg.empty(2**50, device="cuda")
    allocated = tg.cuda.memory_allocated()
    with pytest.raises(tg.cuda.OutOfMemoryError):
        x.expand(total // 1000, 1000).contiguous()
    assert tg.cuda.memory_allocated() == allocated
    assert tg.cuda.memory_stats()["num_ooms"] >= 4
    del big
    assert (x * 2).sum().item() == 2000
    tg.cuda.empty_cache()


def test_a_child_of_fork_is_told() -> None:
    run("""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, such as a GPU's driver has
x = tg.ones(1000, device="cuda")
pinned = tg.ones(3).pin_memory()
child = os.fork()
if child == 0:
    code = 1
    try:
        del pinned
        said = []
        for call in (lambda: x * 2, lambda: tg.ones(2, device="cuda"), tg.cuda.synchronize, x.tolist, tg.cuda.mem_get_info):
            try:
                call()
            except RuntimeError as e:
                said.append("forked" in str(e) and "spawn" in str(e))
        del x, call
        if said == [True] * 5 and tg.ones(3).sum().item() == 3:
            code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
assert x.sum().item() == 1000
""")


def test_without_a_cache() -> None:
    run("""
os.environ["TRIGRAD_CUDA_CACHING"] = "0"
x = tg.ones(1000, device="cuda")
s = tg.cuda.Stream()
x.record_stream(s)
y = x * 2
del x
tg.cuda.synchronize()
z = y + 1
assert tg.cuda.memory_reserved() == tg.cuda.memory_allocated(), tg.cuda.memory_summary()
assert z.sum().item() == 3000
""")


def test_a_lost_gpu_is_called_lost(emulated: bool) -> None:
    if emulated or "TRIGRAD_EMULATED_ALONE" in os.environ:
        pytest.skip("the emulated device cannot be lost")
    run("""
class Beyond:
    def __init__(self, x):
        self.x = x
        self.__cuda_array_interface__ = {**x.__cuda_array_interface__, "shape": (2**34,)}

def lost(call):
    try:
        call()
    except RuntimeError as e:
        return "lost to this process" in str(e)
    return False

x = tg.ones(1000, device="cuda")
y = tg.as_tensor(Beyond(x))
assert lost(lambda: (y[2**33 : 2**33 + 1000] * 2, tg.cuda.synchronize()))
assert lost(lambda: (x * 2, tg.cuda.synchronize())) and lost(x.tolist) and lost(lambda: tg.empty(12345, device="cuda"))
assert tg.ones(3).sum().item() == 3
os._exit(0)
""")
