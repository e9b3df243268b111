"""Random tensors. Every number is a pure function of (seed, stream, step, index): a generator only counts steps."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from trigrad import _core, ops
from trigrad._core import Tensor
from trigrad._creation import DeviceArgument, DTypeArgument, Size, leaf, sizes
from trigrad._device import device as Device

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]

EAGER_STREAM = 0  # the stream of the calls made from Python; other users of a seed take other streams


def _wrap(seed: int) -> int:
    """Any seed from -2**63 to 2**64 - 1 as a signed 64-bit integer."""
    if not -(2**63) <= seed < 2**64:
        raise RuntimeError(f"[manual_seed] got {seed}, expected -2**63 to 2**64 - 1")
    return (seed + 2**63) % 2**64 - 2**63


def _refuse_recording(what: str) -> None:
    if _core.is_recording():
        raise RuntimeError(
            f"[compile] {what} inside a step that is recorded: a replay takes the numbers that its generator is at; do it "
            "outside of the compiled function"
        )


_generators: weakref.WeakSet[Generator] = weakref.WeakSet()
background: set[int] = set()  # threads that may not draw from the default generator


class Generator:
    """A source of random numbers: a seed, and a step that rises with every call that draws from it.

    The default generator starts with seed 0 in every process, so that results repeat; call `seed` for another one.

    >>> import trigrad as tg
    >>> g = tg.Generator().manual_seed(7)
    >>> a = tg.rand(3, generator=g)
    >>> b = tg.rand(3, generator=tg.Generator().manual_seed(7))
    >>> tg.equal(a, b)
    True
    """

    __slots__ = ("__weakref__", "_device", "_lock", "_seed", "_step")

    def __init__(self, device: DeviceArgument = None) -> None:
        self._device = Device("cpu" if device is None else device)
        self._lock = threading.RLock()
        _generators.add(self)
        self._seed = 0
        self._step = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed`."""
        _refuse_recording("manual_seed")
        wrapped = _wrap(int(seed))
        with self._lock:
            self._seed, self._step = wrapped, 0
        return self

    def seed(self) -> int:
        """Start anew from a seed of the system's randomness, and return it."""
        seed = int.from_bytes(os.urandom(7), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the generator was started from."""
        return self._seed % 2**64

    def draw(self, sample: Callable[[int, int, int], Tensor]) -> Tensor:
        """sample(seed, stream, step); the step rises unless that raises."""
        if background and self is default_generator and threading.get_ident() in background:
            raise RuntimeError(
                "[random] numbers of the default generator were drawn in the thread that fetches batches ahead, where their order "
                "would not repeat; give what draws them a generator of its own, or fit(prefetch=0)"
            )
        with self._lock:
            _core.mark_draw(("draw", self, self._seed, self._step), self._seed, self._step)
            result = sample(self._seed, EAGER_STREAM, self._step)
            self._step += 1
        return result

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor of 16 bytes."""
        _refuse_recording("get_state")
        with self._lock:
            state = (self._seed % 2**64).to_bytes(8, "little") + self._step.to_bytes(8, "little")
        return _core.from_bytes(state, _core.uint8, (16,))

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on from what `get_state` returned."""
        _refuse_recording("set_state")
        if new_state.dtype is not _core.uint8 or tuple(new_state.shape) != (16,):
            raise RuntimeError(
                f"[set_state] got {new_state.dtype} of shape {tuple(new_state.shape)}, expected uint8 of shape (16,): "
                "what get_state() returned"
            )
        state = bytes(new_state.tolist())
        step = int.from_bytes(state[8:], "little")
        if step >= 2**63:
            raise RuntimeError(f"[set_state] got step {step}, expected 0 to 2**63 - 1: what get_state() returned")
        with self._lock:
            self._seed, self._step = _wrap(int.from_bytes(state[:8], "little")), step
        return self

    def clone_state(self) -> Generator:
        """Another generator in the same state."""
        with self._lock:
            return _rebuild(self._seed, self._step, self._device)

    @property
    def device(self) -> Device:
        """What it was made for. Its numbers are the same on all devices, and serve any of them."""
        return self._device

    def __repr__(self) -> str:
        return f"<trigrad.Generator seed={self.initial_seed()} step={self._step}>"

    def __reduce__(self) -> tuple[object, tuple[int, int, Device]]:
        return _rebuild, (self._seed, self._step, self._device)


def _rebuild(seed: int, step: int, device: DeviceArgument = None) -> Generator:
    generator = Generator(device)
    generator._seed, generator._step = seed, step
    return generator


default_generator = Generator()


def _unlock_after_fork() -> None:
    for generator in _generators:
        generator._lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew from `seed`.

    >>> import trigrad as tg
    >>> _ = tg.manual_seed(1); a = tg.randn(2)
    >>> _ = tg.manual_seed(1); tg.equal(a, tg.randn(2))
    True
    """
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator.

    >>> import trigrad as tg
    >>> _ = tg.manual_seed(5); tg.initial_seed()
    5
    """
    return default_generator.initial_seed()


def seed() -> int:
    """Start the default generator anew from the system's randomness, and return the seed.

    >>> import trigrad as tg
    >>> tg.seed() == tg.initial_seed()
    True
    """
    return default_generator.seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as a uint8 tensor.

    >>> import trigrad as tg
    >>> state = tg.get_rng_state(); a = tg.rand(2)
    >>> tg.set_rng_state(state); tg.equal(a, tg.rand(2))
    True
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator go on from what `get_rng_state` returned.

    new_state: (n,) of uint8, the whole state

    >>> import trigrad as tg
    >>> tg.set_rng_state(tg.get_rng_state())
    """
    default_generator.set_state(new_state)


def draw(generator: Generator | None, sample: Callable[[int, int, int], Tensor]) -> Tensor:
    """sample(seed, stream, step) for the next step of `generator`, or of the default one."""
    return (default_generator if generator is None else generator).draw(sample)


def _uniform(
    shape: Size,
    dtype: DTypeArgument,
    at: DeviceArgument | Tensor,
    generator: Generator | None,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    return draw(
        generator,
        lambda seed, stream, step: ops.uniform(shape, low, high, seed, stream, step, dtype=dtype, device=at),
    )


def _normal(
    shape: Size,
    dtype: DTypeArgument,
    at: DeviceArgument | Tensor,
    generator: Generator | None,
    mean: float = 0.0,
    std: float = 1.0,
) -> Tensor:
    return draw(
        generator,
        lambda seed, stream, step: ops.normal(shape, mean, std, seed, stream, step, dtype=dtype, device=at),
    )


def rand(
    *lengths: Size,
    size: Size | None = None,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform numbers, 0 <= x < 1, of shape `size`.

    >>> import trigrad as tg
    >>> x = tg.rand(2, 3)
    >>> bool((x >= 0).all() and (x < 1).all())
    True
    """
    dtype = _core.get_default_dtype() if dtype is None else dtype
    shape = sizes("rand", lengths, size)
    return leaf(
        draw(
            generator,
            lambda seed, stream, step: ops.uniform(shape, 0.0, 1.0, seed, stream, step, dtype=dtype, device=device),
        ),
        requires_grad,
        pin_memory,
    )


def randn(
    *lengths: Size,
    size: Size | None = None,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and standard deviation 1, of shape `size`.

    >>> import trigrad as tg
    >>> tg.randn(2, 3).shape
    trigrad.Size([2, 3])
    """
    dtype = _core.get_default_dtype() if dtype is None else dtype
    shape = sizes("randn", lengths, size)
    return leaf(
        draw(
            generator,
            lambda seed, stream, step: ops.normal(shape, 0.0, 1.0, seed, stream, step, dtype=dtype, device=device),
        ),
        requires_grad,
        pin_memory,
    )


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """`rand` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.rand_like(tg.zeros(4)).shape
    trigrad.Size([4])
    """
    dtype, at = input.dtype if dtype is None else dtype, input if device is None else device
    return leaf(_uniform(input.shape, dtype, at, generator), requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randn` with the shape and dtype of `input`.

    >>> import trigrad as tg
    >>> tg.randn_like(tg.zeros(4)).shape
    trigrad.Size([4])
    """
    dtype, at = input.dtype if dtype is None else dtype, input if device is None else device
    return leaf(_normal(input.shape, dtype, at, generator), requires_grad)


def randint(
    low: int = 0,
    high: int | Sequence[int] | None = None,
    size: Size | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """Integers, low <= x < high, of shape `size`; randint(high, size) starts at 0.

    >>> import trigrad as tg
    >>> x = tg.randint(3, (100,))
    >>> int(x.min()), int(x.max())
    (0, 2)
    """
    if isinstance(high, Sequence):  # randint(high, size)
        high, size = None, high
    if high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("[randint] size is missing: randint(low, high, size) or randint(high, size)")
    dtype = _core.int64 if dtype is None else dtype
    shape = size
    return draw(
        generator,
        lambda seed, stream, step: ops.integers(shape, low, high, seed, stream, step, dtype=dtype, device=device),
    )


def randint_like(
    input: Tensor,
    low: int = 0,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """`randint` with the shape and dtype of `input`; randint_like(input, high) starts at 0.

    >>> import trigrad as tg
    >>> tg.randint_like(tg.zeros(4), 10).shape
    trigrad.Size([4])
    """
    wanted = input.dtype if dtype is None else _core.as_dtype(dtype)
    ranged = wanted if wanted in (_core.int32, _core.uint8, _core.bool) else None  # so that the limits must fit
    at: Any = input if device is None else device
    drawn = randint(low, high, input.shape, generator=generator, dtype=ranged, device=at)
    return drawn if wanted is drawn.dtype else ops.cast(drawn, wanted)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """The integers 0 to n - 1 in random order.

    >>> import trigrad as tg
    >>> sorted(tg.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    if n < 0:
        raise RuntimeError(f"[randperm] n is {n}, expected 0 or more")
    dtype = _core.int64 if dtype is None else _core.as_dtype(dtype)
    return draw(generator, lambda seed, stream, step: ops.permutation(n, seed, stream, step, device=device).to(dtype))


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """0 or 1 for each element of `input`, 1 with the probability that the element gives (or with probability `p`).

    input (...) of probabilities -> (...)

    >>> import trigrad as tg
    >>> tg.bernoulli(tg.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    if p is not None:
        input = ops.fill_(_core.empty(input.shape, input.dtype, input), p)
    return draw(generator, lambda seed, stream, step: ops.native_bernoulli(input, seed, stream, step))


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """`num_samples` indices per row, each with a probability in proportion to the weight that stands there; without
    `replacement` no index twice in a row.

    input (n,) or (rows, n) -> (num_samples,) or (rows, num_samples)

    >>> import trigrad as tg
    >>> tg.multinomial(tg.tensor([0.0, 1.0, 0.0]), 4, replacement=True)
    tensor([1, 1, 1, 1])
    >>> sorted(tg.multinomial(tg.ones(3), 3).tolist())
    [0, 1, 2]
    """
    op = "multinomial"
    if input.ndim not in (1, 2) or not input.dtype.is_floating_point or input.shape[-1] == 0:
        raise RuntimeError(
            f"[{op}] input is {input.dtype} of shape {tuple(input.shape)}, expected floating weights (n,) or (rows, n)"
        )
    n = input.shape[-1]
    if num_samples < 1:
        raise RuntimeError(f"[{op}] cannot sample n_sample <= 0 samples, got {num_samples}")
    if not replacement and num_samples > n:
        raise RuntimeError(f"[{op}] cannot sample {num_samples} of {n} without replacement")
    weights = input.detach()
    if not (ops.amin(weights).item() >= 0 and ops.amax(weights).item() < math.inf):
        raise RuntimeError(f"[{op}] probability tensor contains either `inf`, `nan` or element < 0")
    limits = ops.cumsum(weights, -1, _core.float64)
    needed = 1 if replacement else num_samples
    enough = limits[..., -1] > 0 if replacement else ops.sum(weights > 0, -1) >= needed
    if not ops.all(enough).item():
        raise RuntimeError(f"[{op}] invalid multinomial distribution: a row has fewer than {needed} weights above 0")
    size = (*input.shape[:-1], num_samples if replacement else n)
    uniform = _uniform(size, _core.float64, input, generator)
    if replacement:
        return ops.native_searchsorted(limits, uniform * limits[..., -1:], True)
    # whose exponential waiting time, of a rate that is the weight, ends first, second, ...
    waits = ops.where(weights > 0, ops.log1p(-uniform) / -weights, math.inf)
    return ops.native_topk(waits, num_samples, -1, False)[1]


def normal(
    mean: Tensor | float,
    std: Tensor | float = 1.0,
    size: Size | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeArgument | None = None,
    device: DeviceArgument = None,
) -> Tensor:
    """Normal numbers: normal(mean, std, size) with numbers, or with tensors of means and standard deviations.

    >>> import trigrad as tg
    >>> tg.normal(10.0, 0.1, (2, 2)).round()
    tensor([[10., 10.],
            [10., 10.]])
    >>> tg.normal(tg.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    """
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("[normal] got size beside a tensor, expected either: the tensor gives the shape")
        beside = mean if isinstance(mean, Tensor) else None
        scale = std if isinstance(std, Tensor) else ops.fill_(_core.empty((), None, beside), std)
        if bool((scale < 0).any()):
            raise RuntimeError("[normal] std has a negative element, expected 0 or more")
        shape = ops.add(mean, std).shape
        like = mean if isinstance(mean, Tensor) else scale
        noise = _normal(shape, like.dtype, like, generator)
        return ops.add(ops.mul(noise, std), mean)
    if size is None:
        raise TypeError("[normal] size is missing: normal(mean, std, size)")
    dtype = _core.get_default_dtype() if dtype is None else dtype
    return _normal(size, dtype, device, generator, mean, std)
