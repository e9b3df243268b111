"""What random rows mean."""

from __future__ import annotations

import math

import numpy as np

from reference_base import Array, row


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """Philox 4x32-10 (Salmon et al. 2011) of counters (blocks, 4), as words (blocks, 4) in uint64."""
    c = [counter[:, i].astype(np.uint64) for i in range(4)]
    k0, k1 = key
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> shift) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1)


def random_words(n: int, seed: int, stream: int, step: int) -> Array:
    """The first n (rounded up to groups of 32) 32-bit words of a call, in the order of its elements."""
    groups = -(-n // 32)
    block = np.arange(8 * groups, dtype=np.uint64)
    counter = np.stack(
        [
            block & np.uint64(0xFFFFFFFF),
            block >> np.uint64(32),
            np.full_like(block, step & 0xFFFFFFFF),
            np.full_like(block, stream | (step >> 32) << 16),
        ],
        axis=1,
    )
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)).reshape(groups, 8, 2, 2)
    return words.transpose(0, 2, 1, 3).reshape(-1)  # of 8 blocks: the words 0 and 1, then the words 2 and 3


def random_bits(n: int, width: int, seed: int, stream: int, step: int) -> Array:
    """width 32 or 64 bits per element, whole groups."""
    if width == 32:
        return random_words(n, seed, stream, step)
    pairs = random_words(2 * n, seed, stream, step).reshape(-1, 2)
    return pairs[:, 0] | pairs[:, 1] << np.uint64(32)


def _unit(n: int, dtype: str, seed: int, stream: int, step: int, up: int = 0) -> Array:
    """Multiples of 2^-24 or 2^-53: in [0, 1), or in (0, 1] with up=1; whole groups."""
    width, digits = (32, 24) if dtype == "float32" else (64, 53)
    bits = random_bits(n, width, seed, stream, step) >> np.uint64(width - digits)
    return (bits + np.uint64(up)).astype(np.float64) * 2.0**-digits


@row
def ref_uniform(
    size: tuple[int, ...], low: float, high: float, seed: int, stream: int, step: int, dtype: str = "float32"
) -> Array:
    n = math.prod(size)
    return (low + (high - low) * _unit(n, dtype, seed, stream, step)[:n]).reshape(size)


@row
def ref_normal(
    size: tuple[int, ...], mean: float, std: float, seed: int, stream: int, step: int, dtype: str = "float32"
) -> Array:
    """Box and Muller over the halves of each group."""
    n = math.prod(size)
    half = 16 if dtype == "float32" else 8
    radius = np.sqrt(-2 * np.log(_unit(n, dtype, seed, stream, step, up=1).reshape(-1, 2, half)[:, 0]))
    angle = 2 * np.pi * _unit(n, dtype, seed, stream, step).reshape(-1, 2, half)[:, 1]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (mean + std * pairs.reshape(-1)[:n]).reshape(size)


def _kept(n: int, p: float, seed: int, stream: int, step: int) -> Array:
    return random_words(n, seed, stream, step)[:n] >= np.floor(p * 2.0**32)


@row
def ref_dropout_mask(size: tuple[int, ...], p: float, seed: int, stream: int, step: int) -> Array:
    return _kept(math.prod(size), p, seed, stream, step).reshape(size)


@row
def ref_native_dropout(input: Array, p: float, seed: int, stream: int, step: int, first: int = 0) -> Array:
    kept = _kept(first + input.size, p, seed, stream, step)[first:].reshape(input.shape)
    return np.where(kept, input / (1 - p) if p < 1 else 0.0, 0.0)


@row
def ref_native_bernoulli(input: Array, seed: int, stream: int, step: int, dtype: str = "float32") -> Array:
    unit = _unit(input.size, dtype, seed, stream, step)[: input.size].reshape(input.shape)
    return (unit < input).astype(np.float64)


@row
def ref_integers(
    size: tuple[int, ...], low: int, high: int, seed: int, stream: int, step: int, dtype: str = "int64"
) -> Array:
    n = math.prod(size)
    bits = random_bits(n, 64, seed, stream, step)[:n].tolist()
    return np.array([low + (b * (high - low) >> 64) for b in bits], dtype="int64").astype(dtype).reshape(size)


@row
def ref_permutation(n: int, seed: int, stream: int, step: int) -> Array:
    """Fisher and Yates, from the end."""
    order = list(range(n))
    for i, bits in zip(range(n - 1, -1, -1), random_bits(n, 64, seed, stream, step).tolist(), strict=False):
        j = bits * (i + 1) >> 64
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype="int64")
