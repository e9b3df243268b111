"""Steps along the gradient: SGD and its average, sign-based steps, and a proximal step for L1."""

from __future__ import annotations

from typing import Any

from trigrad import ops
from trigrad._core import Tensor
from trigrad._creation import full_like, ones_like, tensor
from trigrad.optim.optimizer import Group, Optimizer, Params, State, check_ways, no_less, real

__all__ = ["ASGD", "SGD", "ProximalSGD", "Rprop"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Nesterov's too) and weight decay.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -2.0]).requires_grad_()
    >>> optimizer = tg.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8000, -1.6000])
    """

    _row = ops.sgd_
    _optional = ("momentum_buffer",)
    _single = ()

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        name = type(self).__name__
        no_less(name, 0, lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(f"[{name}] Nesterov momentum requires a momentum and zero dampening")
        check_ways(name, foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _kept(self, group: Group) -> tuple[str, ...]:
        return self._optional if group["momentum"] else ()

    def _update(self, group: Group, params: list[Tensor]) -> None:
        if group["dampening"] and group["momentum"]:
            # The first gradient fills the buffer undamped. What has no buffer yet goes by itself.
            fresh = [p for p in params if self.state[p].get("momentum_buffer") is None]
            if fresh:
                super()._update({**group, "dampening": 0}, fresh)
                params = [p for p in params if not any(p is q for q in fresh)]
        if params:
            super()._update(group, params)

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return (
            *(real(group["lr"]), group["momentum"], group["dampening"], real(group["weight_decay"])),
            *(group["nesterov"], group["maximize"], group.get("l1", 0.0)),
        )


class ProximalSGD(SGD):
    """SGD of a loss plus l1 times the sum of |parameters|: after each step along the gradient of the loss, every parameter
    moves towards zero by lr * l1 and stays there once it meets it, so that zeros are exact.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -0.05]).requires_grad_()
    >>> optimizer = tg.optim.ProximalSGD([w], lr=0.1, l1=1.0)
    >>> (0 * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000, 0.0000])
    """

    def __init__(self, params: Params, lr: float | Tensor = 1e-3, l1: float = 0.0, **options: Any) -> None:
        no_less("ProximalSGD", 0, l1=l1)
        given: Any = params if isinstance(params, Tensor) else list(params)
        if not isinstance(given, Tensor) and given:  # each group has its own l1
            groups = given if isinstance(given[0], dict) else [{"params": given}]
            given = [{"l1": l1, **group} for group in groups]
        super().__init__(given, lr, **options)
        self.defaults["l1"] = l1


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: state[p]["ax"] is the average of the parameters from step t0 on.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0]).requires_grad_()
    >>> optimizer = tg.optim.ASGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool(abs(w.item()) < 1e-3)
    True
    """

    _row = ops.asgd_
    _shaped = ("ax",)
    _single = ("step", "eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        no_less("ASGD", 0, lr=lr, weight_decay=weight_decay)
        check_ways("ASGD", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _fresh(self, group: Group, p: Tensor) -> State:
        state = super()._fresh(group, p)
        # `eta` and `mu` run on from step to step: they have the digits of the parameter.
        eta = tensor(real(group["lr"]), dtype=p.dtype, device=p.device)
        return {"step": state["step"], "eta": eta, "mu": ones_like(eta), "ax": state["ax"]}

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return (
            *(real(group["lr"]), group["lambd"], group["alpha"], group["t0"]),
            *(group["weight_decay"], group["maximize"]),
        )


class Rprop(Optimizer):
    """Resilient propagation: each parameter has a step of its own, which grows while the gradient keeps its sign and shrinks
    when it turns.

    >>> import trigrad as tg
    >>> w = tg.tensor([1.0, -1.0]).requires_grad_()
    >>> optimizer = tg.optim.Rprop([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5000, -0.5000])
    """

    _row = ops.rprop_
    _shaped = ("prev", "step_size")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        no_less("Rprop", 0, lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"[Rprop] etas are {etas[0]} and {etas[1]}, expected 0 < etas[0] < 1 < etas[1]")
        check_ways("Rprop", foreach, None, differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _fresh(self, group: Group, p: Tensor) -> State:
        return super()._fresh(group, p) | {"step_size": full_like(p, real(group["lr"]))}

    def _numbers(self, group: Group) -> tuple[Any, ...]:
        return (*group["etas"], *group["step_sizes"], group["maximize"])
