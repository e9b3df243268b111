"""Steps scaled by the size of past gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Any

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import full_like
from trigrad.optim.optimizer import Group, Optimizer, Params, State, check_ways, no_less, real

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """Each parameter's step is divided by the root of the sum of its squared gradients.

    >>> import trigrad as tg
    >>> w = tg.tensor([3.0]).requires_grad_()
    >>> optimizer = tg.optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([2.5000])
    """

    _row = ops.adagrad_
    _shaped = ("sum",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        no_less("Adagrad", 0, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        no_less("Adagrad", 0, initial_accumulator_value=initial_accumulator_value)
        check_ways("Adagrad", foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].update(self._fresh(group, p))

    def _fresh(self, group: Group, p: Tensor) -> State:
        return super()._fresh(group, p) | {"sum": full_like(p.detach(), group["initial_accumulator_value"])}

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return real(group["lr"]), group["lr_decay"], group["weight_decay"], group["eps"], group["maximize"]


class Adadelta(Optimizer):
    """Steps of the size of past steps: the root of their average square over that of the gradients.

    >>> import trigrad as tg
    >>> w = tg.tensor([3.0]).requires_grad_()
    >>> optimizer = tg.optim.Adadelta([w])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool(w.item() < 3)
    True
    """

    _row = ops.adadelta_
    _shaped = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        no_less("Adadelta", 0, lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"[Adadelta] rho is {rho}, expected 0 <= rho <= 1")
        check_ways("Adadelta", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return real(group["lr"]), group["rho"], group["eps"], group["weight_decay"], group["maximize"]


class RMSprop(Optimizer):
    """Each parameter's step is divided by the root of the running average of its squared gradients (about their mean, if
    `centered`).

    >>> import trigrad as tg
    >>> w = tg.tensor([3.0]).requires_grad_()
    >>> optimizer = tg.optim.RMSprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach().round()
    tensor([2.])
    """

    _row = ops.rmsprop_
    _shaped = ("square_avg",)
    _optional = ("grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        no_less("RMSprop", 0, lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        check_ways("RMSprop", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: Group) -> tuple[str, ...]:
        return (
            "square_avg",
            *(("grad_avg",) if group["centered"] else ()),
            *(("momentum_buffer",) if group["momentum"] > 0 else ()),
        )

    def _fresh(self, group: Group, p: Tensor) -> State:
        state = super()._fresh(group, p)
        order = ("step", "square_avg", "momentum_buffer", "grad_avg")  # PyTorch's
        return {name: state[name] for name in order if name in state}

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return (
            *(real(group["lr"]), group["alpha"], group["eps"], group["weight_decay"]),
            *(group["momentum"], group["centered"], group["maximize"]),
        )
