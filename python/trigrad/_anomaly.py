"""Which op's backward pass made the first NaN, and where it was called."""

from __future__ import annotations

from collections.abc import Sequence

from trigrad import _core, ops
from trigrad._core import Node, Tensor
from trigrad._warnings import PACKAGE

__all__ = ["is_anomaly_enabled"]

looking = False  # are gradients looked at?
traced = False  # does each node know where its call was made?


def _where() -> str:
    """The line of the user's program that is running, and the lines that called it, as a traceback shows them."""
    import traceback  # slow to import, and rarely needed

    frames = traceback.extract_stack()
    while frames and frames[-1].filename.startswith(PACKAGE):
        frames.pop()
    return "".join(traceback.format_list(frames))


def _look(mode: bool, check_nan: bool) -> None:
    global looking, traced
    traced, looking = mode, mode and check_nan
    _core.structure_changed()
    _core.set_witness(_where if mode else None)


def is_anomaly_enabled() -> bool:
    """Are backward passes looked at for NaN?

    >>> import trigrad as tg
    >>> tg.is_anomaly_enabled()
    False
    """
    return traced


class set_detect_anomaly:
    """Name the op whose backward pass made the first NaN, and where it was called, from now on; as a `with` block, for
    its length. It costs time. With check_nan=False gradients are not looked at.

    >>> import trigrad as tg
    >>> with tg.autograd.set_detect_anomaly(True):
    ...     x = tg.tensor([0.0], requires_grad=True)
    ...     y = (x * 2).sum()
    ...     y.backward()
    ...
    >>> x.grad
    tensor([2.])
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = traced, looking
        _look(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _look(*self.before)


class detect_anomaly(set_detect_anomaly):
    """Name the op whose backward pass made the first NaN, and where it was called, in a `with` block. It costs time.

    >>> import trigrad as tg
    >>> x = tg.tensor(0.0, requires_grad=True)
    >>> with tg.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: [backward] the gradient of sqrt, input 0, shape (), has NaN; ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        super().__init__(True, self.check_nan)


def _has_nan(g: Tensor | None) -> bool:
    return g is not None and g.numel() > 0 and bool(ops.any(ops.isnan(g)))


def check(node: Node, grads: Sequence[Tensor | None], made: Sequence[Tensor | None]) -> None:
    """A gradient that has NaN ends the pass, with the op's name."""
    for i, g in enumerate(made):
        if g is None or not _has_nan(g):
            continue
        origin = (
            "it was NaN already in what backward() started from"
            if any(map(_has_nan, grads))
            else "look at what goes into it"
        )
        place = (
            f". The call was made here:\n{node.where}"
            if node.where
            else " (it was recorded before anomalies were looked for)"
        )
        raise RuntimeError(
            f"[backward] the gradient of {node.name}, input {i}, shape {tuple(g.shape)}, has NaN; {origin}{place}"
        )
