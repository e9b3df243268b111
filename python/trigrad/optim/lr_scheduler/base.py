"""What all schedules share."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar

from trigrad import ops
from trigrad._core import Tensor
from trigrad._warnings import warn
from trigrad.optim.optimizer import Optimizer, real

__all__ = ["LRScheduler"]

DEPRECATED_EPOCH = (
    "The epoch parameter of scheduler.step() is deprecated: use scheduler.step() to go on by one. An epoch that is given "
    "has its rate computed in closed form where there is one."
)


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def set_rate(group: dict[str, Any], lr: float) -> None:
    if isinstance(group["lr"], Tensor):
        ops.fill_(group["lr"], lr)
    else:
        group["lr"] = lr


def per_group(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """The value for every group: one for all, or a list of as many."""
    n = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(f"expected {n} values for {name}, one per parameter group, but got {len(value)}")
    return list(value)


def state_of(function: Any) -> dict[str, Any] | None:
    """What a schedule's state keeps of a function: the attributes of a callable object."""
    return None if function is None or isinstance(function, FunctionType) else dict(function.__dict__)


class LRScheduler:
    """What all schedules share. A subclass defines get_lr(): the rates of the groups for `last_epoch`, from the present
    ones; and, if it can, _get_closed_form_lr(), from `base_lrs` alone.

    >>> import trigrad as tg
    >>> class Halves(tg.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [rate * 0.5**self.last_epoch for rate in self.base_lrs]
    ...
    >>> optimizer = tg.optim.SGD([tg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = Halves(optimizer)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    _not_saved: ClassVar[tuple[str, ...]] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", real(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with last_epoch >= "
                    "0: load the optimizer's state before, or set it to the rate that training began with"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self._get_lr_called_within_step = False
        self.step()
        self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k not in self._not_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates of the groups for `last_epoch`, from the present ones."""
        raise NotImplementedError

    def _present(self) -> list[float]:
        return [real(group["lr"]) for group in self.optimizer.param_groups]

    def _check_within_step(self) -> None:
        if not self._get_lr_called_within_step:
            warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.")

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch (or step), and set the rates."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them in the opposite order, or the "
                "first value of the learning rate schedule is skipped."
            )
        self._step_count += 1
        if epoch is not None:
            warn(DEPRECATED_EPOCH)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            self._set(self.get_lr)
        else:
            self.last_epoch = epoch
            self._set(getattr(self, "_get_closed_form_lr", self.get_lr))

    def _set(self, rates: Callable[[], list[float]]) -> None:
        """The groups get the rates that the function computes."""
        self._get_lr_called_within_step = True
        try:
            values = rates()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, lr)
        self._last_lr: list[Any] = self._present()
