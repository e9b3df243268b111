"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import tensor
from trigrad.optim.optimizer import Group, Optimizer, Params, State, check_betas, check_ways, no_less, real

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Steps along the average gradient over the root of the average square, both corrected for having started from zero.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -2.0]).requires_grad_()
    >>> optimizer = tg.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    _row = ops.adam_
    _shaped = ("exp_avg", "exp_avg_sq")
    _optional = ("max_exp_avg_sq",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        no_less(name, 0, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(name, betas)
        check_ways(name, foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": tuple(b.item() if isinstance(b, Tensor) else b for b in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _kept(self, group: Group) -> tuple[str, ...]:
        return (*self._shaped, *self._optional) if group["amsgrad"] else self._shaped

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        beta1, beta2 = group["betas"]
        return (
            *(real(group["lr"]), beta1, beta2, group["eps"], group["weight_decay"]),
            *(group["amsgrad"], group["maximize"], group["decoupled_weight_decay"]),
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters themselves, apart from the gradients.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0]).requires_grad_()
    >>> optimizer = tg.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (0 * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9500])
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


class Adamax(Optimizer):
    """Adam with the greatest gradient, slowly forgotten, in place of the root of the average square.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -2.0]).requires_grad_()
    >>> optimizer = tg.optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    _row = ops.adamax_
    _shaped = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        no_less("Adamax", 0, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("Adamax", betas)
        check_ways("Adamax", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return real(group["lr"]), *group["betas"], group["eps"], group["weight_decay"], group["maximize"]


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -2.0]).requires_grad_()
    >>> optimizer = tg.optim.NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool((w * w).sum() < 5)
    True
    """

    _row = ops.nadam_
    _shaped = ("exp_avg", "exp_avg_sq")
    _single = ("step", "mu_product")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        no_less("NAdam", 0, lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas("NAdam", betas)
        check_ways("NAdam", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _fresh(self, group: Group, p: Tensor) -> State:
        return super()._fresh(group, p) | {"mu_product": tensor(1.0, dtype=p.dtype, device=p.device)}

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return (
            *(real(group["lr"]), *group["betas"], group["eps"], group["weight_decay"], group["momentum_decay"]),
            *(group["decoupled_weight_decay"], group["maximize"]),
        )


class RAdam(Optimizer):
    """Adam that takes plain momentum steps until the average square has seen enough gradients to be trusted.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -2.0]).requires_grad_()
    >>> optimizer = tg.optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8000, -1.6000])
    """

    _row = ops.radam_
    _shaped = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        no_less("RAdam", 0, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("RAdam", betas)
        check_ways("RAdam", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return (
            *(real(group["lr"]), *group["betas"], group["eps"], group["weight_decay"]),
            *(group["decoupled_weight_decay"], group["maximize"]),
        )
