"""Losses that are scaled so that gradients in float16 do not vanish."""

from __future__ import annotations

from typing import Any

from trigrad import ops
from trigrad._autograd import no_grad
from trigrad._core import Tensor

__all__ = ["GradScaler"]


class GradScaler:
    """Scales losses, and gradients back; leaves steps out whose gradients are not finite, and then scales less.

    With bfloat16 none is needed. Reading whether gradients are finite waits for the GPU.

    >>> import trigrad as tg
    >>> layer = tg.nn.Linear(3, 1)
    >>> optimizer, scaler = tg.optim.SGD(layer.parameters(), lr=0.1), tg.amp.GradScaler("cuda")
    >>> scaler.scale(layer(tg.ones(2, 3)).square().mean()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> scaler.get_scale()
    65536.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if growth_factor <= 1:
            raise ValueError(f"[GradScaler] growth_factor is {growth_factor}, expected more than 1")
        if backoff_factor >= 1:
            raise ValueError(f"[GradScaler] backoff_factor is {backoff_factor}, expected less than 1")
        self._enabled, self._scale = enabled, float(init_scale)
        self._growth_factor, self._backoff_factor, self._growth_interval = (
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        self._steps = 0  # since the scale has changed
        self._finite: dict[int, bool] = {}  # of the gradients that were scaled back, by optimizer

    def scale(self, outputs: Any) -> Any:
        """A loss, or losses in lists and tuples, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(o) for o in outputs)
        raise ValueError(f"[GradScaler] outputs is {type(outputs).__name__}, expected a tensor or a list of such")

    def unscale_(self, optimizer: Any) -> None:
        """Scale the gradients of an optimizer's parameters back, for instance before they are clipped."""
        if not self._enabled:
            return
        if id(optimizer) in self._finite:
            raise RuntimeError("[GradScaler] unscale_() has been called on this optimizer since the last update()")
        finite = True
        with no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.grad *= 1.0 / self._scale
                        finite = finite and bool(ops.all(ops.isfinite(p.grad)))
        self._finite[id(optimizer)] = finite

    def step(self, optimizer: Any, *args: Any, **keywords: Any) -> Any:
        """`optimizer.step()`, unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **keywords)
        if id(optimizer) not in self._finite:
            self.unscale_(optimizer)
        return optimizer.step(*args, **keywords) if self._finite[id(optimizer)] else None

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Scale less after gradients that were not finite, more after many steps in which all were."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            if not self._finite:
                raise RuntimeError("[GradScaler] no gradients have been scaled back, expected step() before update()")
            if not all(self._finite.values()):
                self._scale, self._steps = self._scale * self._backoff_factor, 0
            elif self._steps + 1 == self._growth_interval:
                self._scale, self._steps = self._scale * self._growth_factor, 0
            else:
                self._steps += 1
        self._finite.clear()

    def get_scale(self) -> float:
        """The scale; 1 where scaling is off."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Are losses scaled?"""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale and what changes it."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict()`."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("[GradScaler] the state is empty, expected that of a scaler that was enabled")
        self._scale = float(state_dict["scale"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._steps = state_dict["growth_interval"], state_dict["_growth_tracker"]
