"""Outcomes from several processes. Each works on one fold of one point at a time; one that ends before its answer has spoiled only
that, and another takes its place."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import warnings
from collections.abc import Generator, Sequence
from typing import Any

from trigrad import _core
from trigrad.search._judging import Judge
from trigrad.search._record import Outcome

__all__ = ["Task", "how_many", "outcomes"]

Task = tuple[int, int]  # point, split
REMEDY = (
    "define it with def in a module that can be imported, start the search under `if __name__ == '__main__':`, or use n_jobs=1"
    + (" or start_method='fork'" if hasattr(os, "fork") else "")
)


def how_many(n_jobs: int | None) -> int:
    """-1 stands for as many as there are processors."""
    if n_jobs is None:
        return 1
    if isinstance(n_jobs, bool) or n_jobs != int(n_jobs) or (n_jobs != -1 and n_jobs < 1):
        raise ValueError(f"[grid] n_jobs is {n_jobs!r}, expected a number of processes, or -1 for one per processor")
    if n_jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(n_jobs)


def outcomes(
    judge: Judge, tasks: Sequence[Task], processes: int, threads: int, start_method: str | None
) -> Generator[tuple[Task, Outcome], None, None]:
    """Of each task once, as they come. Whoever closes the iterator ends the processes."""
    if processes == 1:
        for task in tasks:
            yield task, judge.outcome(*task)
        return
    context = multiprocessing.get_context(start_method)
    waiting = list(reversed(tasks))
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_Worker(context, judge, threads, [w.pipe for w in workers]))
                workers[-1].give(waiting.pop())
            ready = multiprocessing.connection.wait([w.pipe for w in workers])
            for worker in [w for w in workers if w.pipe in ready]:
                assert worker.task is not None
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    outcome = worker.end()
                    workers.remove(worker)
                    yield worker.task, outcome
                    continue
                if outcome is None:  # it has started
                    worker.has_started = True
                    continue
                yield worker.task, outcome
                if waiting:
                    worker.give(waiting.pop())
                else:
                    worker.end()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.pipe.close()
            worker.process.join()


class _Worker:
    """A process and this end of its pipe."""

    def __init__(self, context: Any, judge: Judge, threads: int, others: list[Any]) -> None:
        self.pipe, theirs = context.Pipe()
        self.task: Task | None = None
        self.has_started = False
        # A fork has all that is open here; with our end of its pipe in its own hands it would not notice when we end.
        ours = [self.pipe, *others] if context.get_start_method() == "fork" else []
        self.process = context.Process(target=_work, args=(judge, threads, theirs, ours), daemon=True)
        try:
            with warnings.catch_warnings():  # our pool survives a fork
                warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"[grid] what was given cannot be sent to a process that starts by {context.get_start_method()!r} ({error}); "
                f"{REMEDY}"
            ) from None
        theirs.close()

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # it has ended: that is noticed when its answer is waited for
            self.pipe.send(task)

    def end(self) -> Outcome:
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode
        if not self.has_started:
            raise RuntimeError(
                f"[grid] a process ended with exit code {code} before it could start, see above why; if it did not find a "
                f"function: {REMEDY}"
            )
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        return Outcome(None, f"the process {how}", 0.0)


def _work(judge: Judge, threads: int, pipe: Any, others: Sequence[Any]) -> None:
    """What a process does: answer as long as somebody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    for other in others:
        other.close()
    _core.set_num_threads(threads)
    with contextlib.suppress(ImportError):
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads)
    with contextlib.suppress(EOFError, OSError):  # nobody is there any longer
        pipe.send(None)
        while True:
            pipe.send(judge.outcome(*pipe.recv()))
