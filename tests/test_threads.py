"""The pool: how many threads, forks, interrupts, and more threads than processors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import numpy as np
import pytest

import trigrad as tg

BIG = 1 << 20  # elements: far above the size where threads start


def python(code: str, timeout: float = 60, **environment: str) -> str:
    """Standard output of the code in a fresh process; TRIGRAD_NUM_THREADS and OMP_NUM_THREADS only as given."""
    env = {k: v for k, v in os.environ.items() if k not in ("TRIGRAD_NUM_THREADS", "OMP_NUM_THREADS")} | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


COUNT = "import trigrad as tg; print(tg.get_num_threads())"


def test_set_and_get() -> None:
    for n in (1, 3, 2, 256):
        tg.set_num_threads(n)
        assert tg.get_num_threads() == n


def test_environment() -> None:
    assert python(COUNT, TRIGRAD_NUM_THREADS="3") == "3"
    assert python(COUNT, OMP_NUM_THREADS="5") == "5"
    assert python(COUNT, OMP_NUM_THREADS="4,2") == "4"
    assert python(COUNT, TRIGRAD_NUM_THREADS="3", OMP_NUM_THREADS="5") == "3"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_default_follows_the_affinity_mask() -> None:
    assert 1 <= int(python(COUNT)) <= len(os.sched_getaffinity(0))
    assert python("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + COUNT) == "1"


def threads_of_this_process() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
def test_kernels_do_use_the_threads_and_small_calls_do_not() -> None:
    code = f"""
    import os
    import trigrad as tg
    count = lambda: len(os.listdir("/proc/self/task"))
    tg.set_num_threads(1)
    x, small = tg.ones({BIG}), tg.ones(100)
    before = count()
    x.exp()
    assert count() == before, "one thread means none besides the caller"
    tg.set_num_threads(3)
    small.exp(); small.sum(); small.softmax(0)
    assert count() == before, "small calls stay on the caller"
    x.exp()
    assert count() == before + 2, count()
    print("ok")
    """
    assert python(code) == "ok"


def expected(x: Any) -> bytes:
    return bytes(x.exp().numpy().tobytes())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_after_use() -> None:
    """The child has none of the parent's pool threads and starts its own; grandchildren too."""
    tg.set_num_threads(4)
    x = tg.from_numpy(np.linspace(-5, 5, BIG).astype(np.float32))
    want = expected(x)

    def child(depth: int) -> int:
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            code = 1
            try:
                code = 0 if expected(x) == want and (depth == 0 or child(depth - 1) == 0) else 2
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    for _ in range(3):
        assert child(1) == 0
        assert expected(x) == want


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_in_the_middle_of_use() -> None:
    """Another thread is inside the pool while this one forks."""
    code = f"""
    import os, signal, threading, warnings
    warnings.simplefilter("ignore")
    import numpy as np, trigrad as tg
    tg.set_num_threads(3)
    x = tg.from_numpy(np.linspace(-5, 5, {BIG}).astype(np.float32))
    want = x.exp().numpy().tobytes()
    stop = threading.Event()
    def work():
        while not stop.is_set():
            assert x.exp().numpy().tobytes() == want
    thread = threading.Thread(target=work)
    thread.start()
    codes = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            os._exit(0 if x.exp().numpy().tobytes() == want and tg.ones(1000).sum().item() == 1000 else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set()
    thread.join()
    print(set(codes))
    """
    assert python(code) == "{0}"


def test_multiprocessing_by_fork() -> None:
    code = """
    import multiprocessing, warnings
    warnings.simplefilter("ignore")
    import trigrad as tg
    def work(i):
        return tg.full((1 << 18,), float(i)).sum().item()
    if __name__ == "__main__":
        tg.set_num_threads(2)
        assert work(1) == 1 << 18
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(work, range(8)) == [i << 18 for i in range(8)]
        print("ok")
    """
    assert python(code) == "ok"


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupt_does_not_hang() -> None:
    """Ctrl-C in a loop of threaded calls is a KeyboardInterrupt, after which the pool works."""
    code = f"""
    import signal, sys, time
    import trigrad as tg
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    tg.set_num_threads(2)
    x = tg.ones({BIG})
    want = x.exp().numpy().tobytes()
    try:
        print("ready", flush=True)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            x.exp()
        print("no interrupt")
    except KeyboardInterrupt:
        assert x.exp().numpy().tobytes() == want
        print("interrupted")
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert out == "interrupted\n"
    assert process.returncode == 0


def test_the_process_ends_while_workers_spin_or_sleep() -> None:
    begin = time.monotonic()
    python(f"import trigrad as tg; tg.set_num_threads(8); tg.ones({BIG}).exp()")
    python(f"import trigrad as tg, time; tg.set_num_threads(8); tg.ones({BIG}).exp(); time.sleep(0.05)")
    assert time.monotonic() - begin < 20


def test_two_callers_at_once() -> None:
    """Both get their results; the second works serially or shares."""
    tg.set_num_threads(2)
    a, b = (tg.from_numpy(np.linspace(low, low + 3, BIG)) for low in (-2, 1))
    want = [expected(a), expected(b)]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(10):
            if expected((a, b)[k]) != want[k]:
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k % 2,)) for k in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def test_oversubscription_does_not_stall() -> None:
    """32 threads on a few processors, with a rival that keeps them busy: no call waits for a thread that is put aside."""
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        x = tg.ones(BIG)
        took = {}
        for n in (1, 32):
            tg.set_num_threads(n)
            x.exp()
            times = []
            for _ in range(30):
                begin = time.perf_counter()
                x.exp()
                times.append(time.perf_counter() - begin)
            took[n] = sorted(times)
        assert took[32][15] < 5 * took[1][15] + 0.005, took
    finally:
        rival.kill()
        rival.wait()


def test_workers_sleep_when_there_is_nothing_to_do() -> None:
    """They spin for about 200 µs only: an idle process uses no processor time."""
    tg.set_num_threads(2)
    tg.ones(BIG).exp()
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_an_error_inside_a_task_reaches_the_caller() -> None:
    """And the pool is usable afterwards."""
    tg.set_num_threads(3)
    x = tg.ones(20_000, 40)
    target = tg.from_numpy(np.full(20_000, 41))
    for _ in range(3):
        with pytest.raises(IndexError):
            tg.ops.native_cross_entropy(x, target)
    assert x.sum().item() == 800_000


def test_python_threads_compute_at_the_same_time() -> None:
    x = tg.rand(200_000)
    expected = (x * 2 + 1).sum().item()
    results: list[float] = []
    threads = [
        threading.Thread(target=lambda: results.extend((x * 2 + 1).sum().item() for _ in range(5))) for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [expected] * 20


def test_daemon_threads_at_exit() -> None:
    """Python ends a daemon thread that comes back from a kernel after the interpreter has: quietly."""
    code = """
import threading, time
import trigrad as tg
x = tg.ones(300, 300)
def work():
    while True:
        tg.matmul(x, x)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
