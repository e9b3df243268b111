"""Every kernel once, on the smallest sample of each row, for tools that look at each access (compute-sanitizer):

compute-sanitizer --tool memcheck python tests/cuda/every_kernel.py
"""

from __future__ import annotations

import sys
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


def training() -> int:
    """Steps of a net, eager and, where that is to be had, as a plan."""
    net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 33), nn.Tanh(), nn.Linear(33, 5)).cuda()
    x = tg.randn(300, 16).cuda()

    def step(v: Any) -> Any:
        loss = net(v).square().mean()
        loss.backward()
        return loss

    for _ in range(2):
        step(x)
    n = 2
    try:
        compiled = tg.compile(step)
        for _ in range(3):
            compiled(x)
        n += 3
    except (RuntimeError, NotImplementedError) as error:
        print(f"no plan: {error}")
    return n


def predictors() -> int:
    net = nn.Sequential(nn.Linear(9, 33), nn.GELU(), nn.Linear(33, 5), nn.Softmax(-1))
    for model, persistent in ((net, False), (net, True), (nn.Linear(300, 300), False)):
        with tg.realtime.Predictor(model, device="cuda", persistent=persistent) as p:
            for _ in range(3):
                p(np.ones(p.inputs, "f"))
    return 9


def main() -> None:
    n, without = rows()
    n += training() + predictors()
    tg.cuda.synchronize()
    print(f"{n} calls on {tg.cuda.get_device_name()}; rows without a kernel: {', '.join(without) or 'none'}")


if __name__ == "__main__":
    main()
