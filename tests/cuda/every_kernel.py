"""Every kernel once, on the smallest sample of each row, for tools that look at each access (compute-sanitizer):

compute-sanitizer --tool memcheck python tests/cuda/every_kernel.py
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import trigrad as tg
from door import NAMES, PARAMS, TABLE, call, inputs
from samples import samples
from trigrad import nn


def rows() -> tuple[int, list[str]]:
    """Calls of rows that have a kernel, and the names of those that have none."""
    n, without = 0, []
    for name in NAMES:
        if not any(p.is_tensor for p in PARAMS[name]):
            continue
        for dtype in ("float32", "float64"):
            found = list(samples(TABLE[name], dtype))
            found.sort(key=lambda s: sum(t.numel() for t in inputs(name, s) if t is not None))
            for sample in (found[0], found[len(found) // 2]):
                there = [None if t is None else t.to("cuda") for t in inputs(name, sample)]
                try:
                    call(name, there, sample.attrs)
                except NotImplementedError:
                    without.append(name)
                except (RuntimeError, ValueError, IndexError, TypeError):
                    pass  # a sample that is there to be refused
                n += 1
    return n, sorted(set(without))


NETS = {  # by what they reach: a net that one kernel does, norms and dropout, a wide one
    "small": lambda: nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 5)),
    "norms": lambda: nn.Sequential(
        nn.Linear(16, 40),
        nn.BatchNorm1d(40),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.Linear(40, 33),
        nn.LayerNorm(33),
        nn.Linear(33, 5),
    ),
    "wide": lambda: nn.Sequential(nn.Linear(16, 300), nn.ReLU(), nn.Linear(300, 5)),
}


def steps(net: nn.Module, x: Any, y: Any, compiled: bool) -> int:
    """Steps with Adam, and then answers."""
    optimizer = tg.optim.Adam(net.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def answer(x: Any) -> Any:
        with tg.no_grad():
            return net(x)

    call = tg.compile(step) if compiled else step
    for _ in range(4):
        call(x, y)
    net.eval()
    call = tg.compile(answer) if compiled else answer
    for _ in range(3):
        call(x)
    return 7


def training() -> tuple[int, list[str]]:
    """Each net, eager and as plans, in exact and in fast mode; and what went wrong."""
    n, wrong = 0, []
    x = tg.tensor(np.random.default_rng(1).standard_normal((300, 16)).astype("f")).to("cuda")
    y = tg.tensor(np.arange(300) % 5).to("cuda")
    for (name, make), compiled, fast in product(NETS.items(), (False, True), (False, True)):
        try:
            tg.cuda.allow_tf32 = fast
            n += steps(make().to("cuda"), x, y, compiled)
        except (NotImplementedError, RuntimeError) as error:
            wrong.append(f"{name}, {'compiled' if compiled else 'eager'}, {'fast' if fast else 'exact'}: {error}")
        finally:
            tg.cuda.allow_tf32 = False
    return n, wrong


def predictors() -> tuple[int, str]:
    """And why the one that stays gave no answer: a tool may hold up launches until kernels end. Tests see it without one."""
    n, why = 0, ""
    net = nn.Sequential(nn.Linear(9, 33), nn.GELU(), nn.Linear(33, 5), nn.Softmax(-1))
    for model, persistent in ((net, False), (net, True), (nn.Linear(300, 300), False)):
        try:
            with tg.realtime.Predictor(model, device="cuda", persistent=persistent) as p:
                for _ in range(3):
                    p(np.ones(p.inputs, "f"))
                    n += 1
        except RuntimeError as error:
            if not persistent:
                raise
            why = f"; the predictor that stays: {error}"
    return n, why


def main() -> None:
    n, without = rows()
    trained, wrong = training()
    answered, why = predictors()
    n += trained + answered
    tg.cuda.synchronize()
    print(f"{n} calls on {tg.cuda.get_device_name()}; rows without a kernel: {', '.join(without) or 'none'}{why}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
