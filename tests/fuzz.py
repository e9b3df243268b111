"""Random sequences of calls with good and bad arguments: every one gives a result or a refusal, none a crash or a hang.

    python tests/fuzz.py --examples 500 --steps 20 --seed 0

Functions and arguments are drawn by hypothesis from the tables of torch_cases_*.py (PyTorch is not needed). Results are
inputs of later calls, so that views overlap and tensors are overwritten; some arguments give way to junk. Run it under
AddressSanitizer to see what stays hidden otherwise. A process of its own makes the calls and writes down each one before
it is made, so that the last one is known when it dies.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import trigrad as tg
from torch_cases import Case, Draw, Dtype, split
from torch_tables import CASES

# AttributeError: what Python says where a function written in Python gets something that is no tensor.
REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, OverflowError, MemoryError, AttributeError)
MOST_ELEMENTS = 1 << 16  # of what later calls get
SECONDS_PER_CALL = 60
HUGE = 1 << 40  # elements: more than memory holds, so nothing between a kilobyte and that is asked for

JUNK: tuple[Any, ...] = (
    *(
        None,
        "a",
        "",
        b"x",
        -1,
        0,
        1,
        7,
        HUGE,
        2**62,
        2**63 - 1,
        -(2**63),
        2**64,
        1e300,
        -0.5,
        float("nan"),
        float("inf"),
    ),
    *(
        (),
        [],
        (0, 0),
        (1, 2, 3),
        (-1,),
        (HUGE, HUGE),
        [[1], [2]],
        [None],
        {},
        {"dim": 0},
        True,
        slice(None),
        Ellipsis,
        1j,
    ),
    *(object(), tg.float16, tg.float64, np.ones(2), np.array(["a"]), len),
)


def strange_tensors() -> list[Any]:
    locked = np.arange(4.0)
    locked.flags.writeable = False
    return [
        *(
            tg.tensor(1.5),
            tg.zeros(0),
            tg.zeros(3, 0, 2),
            tg.ones(1, 1, 1, 1, 1, 1, 1, 1),
            tg.zeros(2, 3).to(tg.float16),
        ),
        *(tg.tensor([-1, 5, 2**62, -(2**63)]), tg.tensor([True, False]), tg.ones(1).expand(5), tg.from_numpy(locked)),
        *(tg.tensor([float("nan"), float("inf"), -0.0]), tg.arange(6).to(tg.uint8), tg.arange(6.0).view(2, 3).T),
    ]


def find(path: str) -> Callable[..., Any] | None:
    """ "exp", "Tensor.view", "T.__get__", or a method."""
    for root in (tg, tg.Tensor):
        found: Any = root
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found  # type: ignore[no-any-return]
    return None


def functions() -> list[tuple[Case, Callable[..., Any]]]:
    """Every case with its function, and again with its in-place variant."""
    found = []
    for case in CASES:
        if function := find(case.ours or case.name):
            found.append((case, function))
        if variant := getattr(tg.Tensor, f"{case.name}_", None):
            found.append((case, variant))
    return found


FUNCTIONS = functions()


class Sequence:
    """One example: a pool of tensors, and the calls made on it."""

    def __init__(self, data: Any, log: Any) -> None:
        self.draw, self.log = data.draw, log
        self.arguments = Draw(data.draw)
        self.pool: list[Any] = []

    def number(self, high: int) -> int:
        return int(self.draw(st.integers(0, high - 1)))

    def given(self, value: Any) -> Any:
        """An argument for our functions: sometimes junk, or a tensor of earlier calls."""
        fate = self.number(24)
        if fate == 0:
            return JUNK[self.number(len(JUNK))]
        if fate == 1:
            strange = strange_tensors()
            return strange[self.number(len(strange))]
        if fate < 6 and self.pool and isinstance(value, np.ndarray):
            return self.pool[self.number(len(self.pool))]
        if isinstance(value, np.ndarray):
            return tg.from_numpy(value)
        if isinstance(value, Dtype):
            return getattr(tg, value)
        if isinstance(value, tuple | list):
            return type(value)(map(self.given, value))
        return value

    def step(self) -> None:
        case, function = FUNCTIONS[self.number(len(FUNCTIONS))]
        positional, keywords = split(list(case.draw(self.arguments)))
        arguments = [self.given(a) for a in positional]
        if hasattr(tg.Tensor, function.__name__) and not hasattr(tg, function.__name__) and arguments:
            arguments[0] = tg.as_tensor(positional[0])  # a method has a tensor for its self
        options = {k: self.given(v) for k, v in keywords.items()}
        fate = self.number(40)
        if fate == 0 and arguments:
            arguments.pop()
        elif fate == 1:
            arguments.append(JUNK[self.number(len(JUNK))])
        name = getattr(function, "__name__", case.name)
        self.log.write(
            f"{name}({', '.join(map(described, arguments))}, **{ {k: described(v) for k, v in options.items()} })\n"
        )
        self.log.flush()
        faulthandler.dump_traceback_later(SECONDS_PER_CALL, exit=True)
        try:
            self.keep(function(*arguments, **options))
        except REFUSALS:
            pass
        finally:
            faulthandler.cancel_dump_traceback_later()

    def keep(self, result: Any) -> None:
        """Results are read whole, and are arguments of later calls."""
        for t in result if isinstance(result, tuple | list) else (result,):
            if isinstance(t, tg.Tensor) and t.numel() <= MOST_ELEMENTS:
                t.tolist()
                self.pool.append(t)
        del self.pool[:-20]


def described(value: Any) -> str:
    if isinstance(value, tg.Tensor):
        return f"<{str(value.dtype).rpartition('.')[2]} {tuple(value.shape)} strides {value.stride()}>"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(map(described, value))})"
    return repr(value)


def run(examples: int, steps: int, start: int, log: Path) -> None:
    """The calls, in this process."""
    warnings.simplefilter("ignore")
    faulthandler.enable()
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # ASan has a limit of its own, and reserves more
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, most))

    with log.open("w") as file:

        @seed(start)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        )
        @given(st.data())
        def sequences(data: Any) -> None:
            file.seek(0)
            file.truncate()
            sequence = Sequence(data, file)
            for _ in range(steps):
                sequence.step()

        sequences()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=300, help="sequences")
    parser.add_argument("--steps", type=int, default=20, help="calls of a sequence")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.log:
        run(a.examples, a.steps, a.seed, a.log)
        return 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "calls")
        code = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--log", str(log)], check=False).returncode
        if code:
            print(f"exit status {code}; the last sequence of calls:\n{log.read_text()}", file=sys.stderr)
            return 1
    calls = a.examples * a.steps
    print(f"{calls} calls of {len(FUNCTIONS)} functions in {time.perf_counter() - began:.0f} s: no crash, no hang")
    return 0


if __name__ == "__main__":
    sys.exit(main())
