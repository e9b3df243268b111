"""A step that is trained twice from the same start: as it is, on one thread, and compiled. All bits are compared after each call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import trigrad as tg
from trigrad import _core

ROWS = (1, 2, 7, 64, 129, 1000)
THREADS = (1, 2, 3, 8)
CALLS = 3  # with each number of rows: recorded, replayed, replayed


class Subject(NamedTuple):
    """What is trained, newly made."""

    step: Callable[..., Any]
    parts: tuple[
        Any, ...
    ]  # modules, optimizers and tensors that a step may change, and functions that look such tensors up
    between: Callable[[], Any] = lambda: None  # done after each step, outside of it


def bits(x: tg.Tensor) -> bytes:
    found: bytes = x.detach().numpy().tobytes()
    return found


def named_state(parts: Sequence[Any]) -> dict[str, tg.Tensor]:
    """All tensors of modules and optimizers, with gradients."""
    found: dict[str, tg.Tensor] = {}
    for n, part in enumerate(parts):
        if isinstance(part, tg.Tensor):
            found[f"tensor {n}"] = part
            if part.grad is not None:
                found[f"tensor {n} grad"] = part.grad
        elif isinstance(part, tg.nn.Module):
            found |= {f"{n} {name}": value for name, value in part.state_dict().items()}
            found |= {f"{n} {name} grad": p.grad for name, p in part.named_parameters() if p.grad is not None}
        elif not hasattr(part, "param_groups"):
            found[f"looked up {n}"] = part()
        else:
            params = [p for group in part.param_groups for p in group["params"]]
            for k, p in enumerate(params):
                for name, value in part.state.get(p, {}).items():
                    if isinstance(value, tg.Tensor):
                        found[f"{n} state {k} {name}"] = value
    return found


def flat(result: Any) -> list[tg.Tensor]:
    if isinstance(result, tg.Tensor):
        return [result]
    if isinstance(result, dict):
        return [t for v in result.values() for t in flat(v)]
    return [t for v in result or () for t in flat(v)]


def followed(make: Callable[[], Subject], calls: Sequence[tuple[Any, ...]], compiled: bool) -> list[dict[str, bytes]]:
    """What is there after each call."""
    tg.manual_seed(7)
    subject = make()
    step = tg.compile(subject.step) if compiled else subject.step
    tg.manual_seed(8)
    found = []
    for arguments in calls:
        made = step(*arguments)
        now = {f"result {k}": bits(t) for k, t in enumerate(flat(made))}
        now |= {name: bits(value) for name, value in named_state(subject.parts).items()}
        found.append(now | {"random": bits(tg.get_rng_state())})
        subject.between()
    if compiled:
        shapes = {tuple(tuple(getattr(a, "shape", ())) for a in arguments) for arguments in calls}
        repeated = len(calls) > len(shapes)
        assert step.plans or not repeated, "nothing was recorded"
        assert sum(plan.calls for plan in step.plans) > 0 or not repeated, "nothing was replayed"
    return found


@contextmanager
def on(threads: int, isa: str | None = None) -> Any:
    before, isa_before = tg.get_num_threads(), _core.build_info()["isa"]
    tg.set_num_threads(threads)
    if isa:
        _core.set_isa(isa)
    try:
        yield
    finally:
        tg.set_num_threads(before)
        if isa:
            _core.set_isa(isa_before)


def assert_twins(
    make: Callable[[], Subject],
    calls: Sequence[tuple[Any, ...]],
    threads: Sequence[int] = (1, 3),
    isas: Sequence[str | None] = (None,),
) -> None:
    with on(1):
        expected = followed(make, calls, compiled=False)
    for isa in isas:
        for n in threads:
            with on(n, isa):
                found = followed(make, calls, compiled=True)
            for k, (a, b) in enumerate(zip(expected, found, strict=True)):
                wrong = [name for name in a | b if a.get(name) != b.get(name)]
                shapes = [tuple(x.shape) for x in flat(calls[k])]
                assert not wrong, f"call {k} with {shapes} on {n} threads, {isa or 'the best'} ISA: {wrong}"


def generator(seed: int = 1) -> tg.Generator:
    return tg.Generator().manual_seed(seed)


def in_turn(
    draw: Callable[[int, tg.Generator], tuple[Any, ...]], rows: Sequence[int] = ROWS, calls: int = CALLS
) -> list[tuple[Any, ...]]:
    """Arguments of calls: each number of rows a few times, with other values each time."""
    return [draw(n, generator(100 * n + k)) for n in rows for k in range(calls)]
