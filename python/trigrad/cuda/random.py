"""Random numbers for GPUs are the CPU's: one default generator serves all devices, so `trigrad.manual_seed` seeds them too."""

from __future__ import annotations

from collections.abc import Iterable

from trigrad import _random
from trigrad._core import Tensor
from trigrad.cuda._devices import DeviceOrIndex, device_count, init

__all__ = ["get_rng_state", "get_rng_state_all", "manual_seed", "manual_seed_all", "set_rng_state", "set_rng_state_all"]


def manual_seed(seed: int) -> None:
    """Random numbers for a GPU are the CPU's: `trigrad.manual_seed` starts them anew, this does nothing.

    >>> import trigrad as tg
    >>> tg.cuda.manual_seed(1)
    """


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`.

    >>> import trigrad as tg
    >>> tg.cuda.manual_seed_all(1)
    """


def get_rng_state(device: DeviceOrIndex = "cuda") -> Tensor:
    """Where the default generator is, which draws for GPUs too: `trigrad.get_rng_state()`.

    >>> import trigrad as tg
    >>> if tg.cuda.is_available():
    ...     assert tg.equal(tg.cuda.get_rng_state(), tg.get_rng_state())
    """
    init()
    return _random.get_rng_state()


def get_rng_state_all() -> list[Tensor]:
    """That state once for each GPU.

    >>> import trigrad as tg
    >>> len(tg.cuda.get_rng_state_all()) == tg.cuda.device_count()
    True
    """
    return [_random.get_rng_state() for _ in range(device_count())]


def set_rng_state(new_state: Tensor, device: DeviceOrIndex = "cuda") -> None:
    """Put the default generator where it was: `trigrad.set_rng_state`. Without a GPU nothing changes.

    new_state: (n,) of uint8 on the CPU, as `get_rng_state` gave it

    >>> import trigrad as tg
    >>> tg.cuda.set_rng_state(tg.get_rng_state())
    """
    if device_count():
        _random.set_rng_state(new_state)


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """As `set_rng_state`, with what `get_rng_state_all` gave.

    >>> import trigrad as tg
    >>> tg.cuda.set_rng_state_all(tg.cuda.get_rng_state_all())
    """
    for state in new_states:
        set_rng_state(state)
