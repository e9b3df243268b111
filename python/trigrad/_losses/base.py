"""What all losses share: reductions, weights, and words about targets outside of what they are made for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trigrad import _core, ops
from trigrad._core import Tensor, promote_types
from trigrad._core import bool as bool_
from trigrad._warnings import warn


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that PyTorch's old pair of flags means."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def check_reduction(op: str, reduction: str, allowed: Sequence[str] = ("none", "mean", "sum")) -> None:
    if reduction not in allowed:
        raise ValueError(f"[{op}] {reduction} is not a valid value for reduction, expected one of {', '.join(allowed)}")


def weighted(op: str, losses: Tensor, sample_weight: Tensor | None) -> Tensor:
    """losses (N, ...) times sample_weight (N,) or of any shape that goes with it."""
    if sample_weight is None:
        return losses
    if not isinstance(sample_weight, Tensor):
        raise TypeError(f"[{op}] sample_weight is a {type(sample_weight).__name__}, expected a tensor")
    if sample_weight.ndim == 1 and losses.ndim > 1:
        sample_weight = sample_weight.reshape(-1, *(1,) * (losses.ndim - 1))
    lengths = zip(reversed(sample_weight.shape), reversed(losses.shape), strict=False)
    if sample_weight.ndim > losses.ndim or not all(n in (1, m) for n, m in lengths):
        raise ValueError(
            f"[{op}] sample_weight has shape {tuple(sample_weight.shape)}, expected one weight per event for losses of shape "
            f"{tuple(losses.shape)}"
        )
    return losses * sample_weight


def reduced(op: str, losses: Tensor, reduction: str, sample_weight: Tensor | None = None) -> Tensor:
    losses = weighted(op, losses, sample_weight)
    if reduction == "mean":
        return ops.mean(losses)
    if reduction == "sum":
        return ops.sum(losses)
    check_reduction(op, reduction)
    return losses


def elementwise(
    op: str,
    losses: Tensor,
    reduction: str,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    by_weight: bool = True,
) -> Tensor:
    """With PyTorch's `weight` of the elements, whose mean is / Σ weight (not for huber_loss)."""
    if weight is None:
        return reduced(op, losses, reduction, sample_weight)
    if weight.shape != losses.shape:
        raise ValueError(
            f"[{op}] weight has shape {tuple(weight.shape)}, expected that of the losses: {tuple(losses.shape)}; "
            "for one weight per event use sample_weight"
        )
    losses = weighted(op, losses * weight, sample_weight)
    if reduction == "mean" and by_weight:
        return ops.sum(losses) / ops.sum(weight)
    return reduced(op, losses, reduction)


def warn_broadcast(op: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        warn(
            f"[{op}] Using a target size {tuple(target.shape)} that is different to the input size {tuple(input.shape)}. "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size."
        )


def require_same(op: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(
            f"[{op}] Target size {tuple(target.shape)} must be the same as input size {tuple(input.shape)}; "
            "reshape one of them: target.reshape(input.shape) where it has as many elements"
        )


warned: set[str] = set()


def within(x: Tensor, least: float, greatest: float) -> bool:
    """Are all elements from `least` to `greatest`? NaN is not."""
    return x.numel() == 0 or (least <= ops.amin(x).item() and ops.amax(x).item() <= greatest)


def domain(op: str, inside: Callable[[], bool], expected: str) -> None:
    """Warn, once per process, that values are outside of what the loss is made for. The loss is computed all the same."""
    if op in warned:
        return
    recording = _core.pause_recording()  # a replay warns of nothing
    try:
        good = inside()
    finally:
        if recording:
            _core.resume_recording()
    if not good:
        warned.add(op)
        warn(f"[{op}] {expected}; others are computed all the same, but mean little")


def signs(op: str, target: Tensor) -> None:
    domain(op, lambda: within(ops.abs(target.detach()), 1, 1), "targets are expected to be 1 or -1")


def probabilities(op: str, target: Tensor) -> None:
    domain(op, lambda: within(target.detach(), 0, 1), "targets are expected to be probabilities, 0 to 1")


def of_one_dtype(op: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the dtype that arithmetic of the two would have."""
    if input.dtype is target.dtype:
        return input, target
    if target.dtype is bool_:
        raise TypeError(f"[{op}] target has {target.dtype}, expected numbers; use target.float()")
    wider = promote_types(input.dtype, target.dtype)
    return input.to(wider), target.to(wider)


def indices(op: str, target: Tensor, classes: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Which targets count, and the targets with 0 in place of the others. Class indices out of range are refused."""
    if target.dtype.is_floating_point:
        raise RuntimeError(f"[{op}] target has {target.dtype}, expected class indices: int64; use target.long()")
    counts = ops.ne(target, ignore_index)
    safe = ops.where(counts, target, 0)

    def error(bound: int) -> IndexError:
        return IndexError(f"[{op}] Target {bound} is out of bounds: expected class indices from 0 to {classes - 1}")

    if safe.numel():
        for bound in (ops.amin(safe), ops.amax(safe)):
            _core.expect(bound, 0, classes - 1, error)
    return counts, safe
