"""Random numbers: Philox's published vectors, the distributions, and that they are functions of (seed, stream, step)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import call, run
from reference_random import philox, random_bits
from values import FLOATS, Array, Sample

KEY = {"seed": 20260101, "stream": 3, "step": 7}
N = 200_000


def draw(name: str, n: int = N, **attrs: object) -> Array:
    out = run(name, Sample("", (), {"size": (n,), **KEY, **attrs}))[0]
    assert out is not None
    return out


@pytest.mark.parametrize(
    ("counter", "key", "want"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_published_vectors_of_the_reference(
    counter: tuple[int, ...], key: tuple[int, int], want: tuple[int, ...]
) -> None:
    """Known answers of Random123 for philox4x32-10."""
    assert tuple(int(w) for w in philox(np.array([counter], dtype=np.uint64), key)[0]) == want


@pytest.mark.parametrize(
    "key", [KEY, {"seed": 0, "stream": 0, "step": 0}, {"seed": -1, "stream": 65535, "step": 2**48 - 1}]
)
def test_uniform_has_exactly_the_bits_of_philox(key: dict[str, int]) -> None:
    n = 1000
    f32, f64 = (draw("uniform", n, low=0.0, high=1.0, dtype=t, **key) for t in FLOATS)
    plain = {**key, "seed": key["seed"] % 2**64}
    np.testing.assert_array_equal(f32, ((random_bits(n, 32, **plain)[:n] >> np.uint64(8)) * 2.0**-24).astype("float32"))
    np.testing.assert_array_equal(f64, (random_bits(n, 64, **plain)[:n] >> np.uint64(11)) * 2.0**-53)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_a_call_is_a_function_of_seed_stream_and_step(name: str, dtype: str) -> None:
    attrs = {"low": 0.0, "high": 1.0} if name == "uniform" else {"mean": 0.0, "std": 1.0}
    first = draw(name, 1000, dtype=dtype, **attrs)
    np.testing.assert_array_equal(first, draw(name, 1000, dtype=dtype, **attrs))
    for change in (
        {"seed": KEY["seed"] + 1},
        {"seed": KEY["seed"] + 2**40},
        {"stream": 4},
        {"step": 8},
        {"step": 7 + 2**40},
    ):
        other = draw(name, 1000, dtype=dtype, **attrs, **change)
        assert np.mean(first == other) < 0.01
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / math.sqrt(1000)


def test_an_element_depends_on_its_place_only() -> None:
    """The numbers of a short call are the first of a long one, and a shape does not matter."""
    long = draw("uniform", 5000, low=-1.0, high=1.0)
    for n in (1, 31, 33, 1000):
        np.testing.assert_array_equal(draw("uniform", n, low=-1.0, high=1.0), long[:n])
    shaped = run("uniform", Sample("", (), {"size": (50, 4, 25), "low": -1.0, "high": 1.0, **KEY}))[0]
    assert shaped is not None
    np.testing.assert_array_equal(shaped.reshape(-1), long)


# ---------------------------------------------------------------- distributions


def kolmogorov(sample: Array, distribution: Array) -> float:
    """The largest distance of the sample's distribution function from the given one, times sqrt(n)."""
    order = np.argsort(sample, kind="stable")
    f, n = distribution[order], len(sample)
    steps = np.arange(n + 1) / n
    return float(max(np.max(steps[1:] - f), np.max(f - steps[:-1])) * math.sqrt(n))


# Below this with probability 1 - 2e-6 for a right distribution; a fixed seed makes the test a constant.
KOLMOGOROV = 2.6


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 5.0), (1e-3, 2e-3)])
def test_uniform_distribution(dtype: str, low: float, high: float) -> None:
    x = draw("uniform", low=low, high=high, dtype=dtype).astype("float64")
    assert x.min() >= np.array(low, dtype)
    assert x.max() < np.array(high, dtype)
    u = (x - low) / (high - low)
    assert kolmogorov(u, u) < KOLMOGOROV
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / N)
    assert abs(u.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / N)
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / math.sqrt(N)


def test_uniform_never_rounds_up_to_high() -> None:
    """1 + 2^-24 u rounds to the next float half of the time."""
    x = draw("uniform", low=1.0, high=float(np.nextafter(np.float32(1), np.float32(2))), dtype="float32")
    assert (x == 1).all()
    x = draw("uniform", low=-1e30, high=1e-30, dtype="float32")
    assert x.max() < np.float32(1e-30)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-3.0, 2.5)])
def test_normal_distribution(dtype: str, mean: float, std: float) -> None:
    x = draw("normal", mean=mean, std=std, dtype=dtype).astype("float64")
    z = (x - mean) / std
    cdf = 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in z]))
    assert kolmogorov(z, cdf) < KOLMOGOROV
    for moment, want, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**moment).mean() - want) < 5 * math.sqrt(variance / N)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 5 / math.sqrt(N)
    assert np.abs(z).max() > 4  # the tails are there
    assert np.isfinite(z).all()


def test_the_halves_of_box_and_muller_are_independent() -> None:
    z = draw("normal", 32 * 6000, mean=0.0, std=1.0).reshape(-1, 2, 16).astype("float64")
    a, b = z[:, 0].reshape(-1), z[:, 1].reshape(-1)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(len(a))
    assert abs(np.corrcoef(a * a, b * b)[0, 1]) < 5 / math.sqrt(len(a))


@pytest.mark.parametrize("p", [0.0, 0.01, 0.5, 0.9, 1.0])
def test_dropout_mask_has_the_right_density(p: float) -> None:
    keep = draw("dropout_mask", p=p)
    assert abs(keep.mean() - (1 - p)) <= 5 * math.sqrt(p * (1 - p) / N)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_dropout_equals_its_mask(dtype: str, p: float) -> None:
    x = np.linspace(1, 2, 5000).astype(dtype)
    got = run("native_dropout", Sample("", (x,), {"p": p, **KEY}))[0]
    keep = draw("dropout_mask", 5000, p=p)
    scale = np.array(1 / (1 - p) if p < 1 else 0, dtype)
    assert got is not None
    np.testing.assert_array_equal(got, np.where(keep, x * scale, 0).astype(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli(dtype: str) -> None:
    p = np.repeat(np.array([0.0, 0.1, 0.5, 0.75, 1.0]), 40_000).astype(dtype)
    x = run("native_bernoulli", Sample("", (p,), KEY))[0]
    assert x is not None
    assert set(np.unique(x)) <= {0.0, 1.0}
    for want in (0.0, 0.1, 0.5, 0.75, 1.0):
        got = x[p == np.array(want, dtype)].mean(dtype="float64")
        assert abs(got - want) <= 5 * math.sqrt(want * (1 - want) / 40_000) + 1e-12


def test_bernoulli_in_place() -> None:
    x = tg.empty(3, 40_000)
    before = x._version
    assert x.bernoulli_(tg.tensor([[0.0], [0.25], [1.0]])) is x
    assert x._version > before
    np.testing.assert_allclose(x.mean(1).numpy(), [0, 0.25, 1], atol=5 * math.sqrt(0.25 * 0.75 / 40_000))
    assert 0.4 < float(tg.empty(1000, dtype=tg.bool).bernoulli_().float().mean()) < 0.6
    with pytest.raises(RuntimeError, match=r"^\[bernoulli_\]"):
        x.bernoulli_(1.5)
    with pytest.raises(RuntimeError, match=r"^\[bernoulli\]"):
        x.bernoulli_(tg.tensor(1.5))


GREATEST = {"uint8": 255, "int8": 127, "bool": 1, "float16": 2**11, "bfloat16": 2**8, "float32": 2**24, "int64": 2**63}


@pytest.mark.parametrize("dtype", GREATEST)
def test_random_in_place(dtype: str) -> None:
    x = tg.empty(60_000, dtype=getattr(tg, dtype))
    before = x._version
    assert x.random_() is x
    assert x._version > before
    drawn = x.double().numpy()
    assert drawn.min() >= 0
    assert 0.99 * GREATEST[dtype] <= drawn.max() <= GREATEST[dtype]
    assert abs(drawn.mean() / GREATEST[dtype] - 0.5) < 0.01
    assert set(x.random_(2).long().tolist()) == {0, 1}
    if dtype not in ("bool", "uint8"):
        assert set(x.random_(-3, 5).long().tolist()) == set(range(-3, 5))


@pytest.mark.parametrize("rows", [False, True])
def test_multinomial_with_replacement_follows_the_weights(rows: bool) -> None:
    weights = np.array([[0.0, 1.0, 3.0, 0.0, 6.0], [5.0, 0.0, 0.0, 5.0, 0.0]])
    drawn = tg.multinomial(tg.tensor(weights if rows else weights[0]), N, replacement=True).numpy()
    assert drawn.shape == ((2, N) if rows else (N,))
    for w, x in zip(weights, drawn.reshape(-1, N), strict=False):
        p = w / w.sum()
        found = np.bincount(x, minlength=5) / N
        assert (np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / N)).all()


def test_multinomial_without_replacement() -> None:
    """The first draw follows the weights, the second those that are left; no index comes twice."""
    weights = np.array([1.0, 2.0, 3.0, 0.0])
    pairs = tg.multinomial(tg.tensor(weights, dtype=tg.float32).expand(60_000, 4), 2).numpy()
    p = weights / 6
    for i in range(4):
        for j in range(4):
            expected = 0.0 if i == j or p[i] == 1 else p[i] * p[j] / (1 - p[i])
            share = ((pairs[:, 0] == i) & (pairs[:, 1] == j)).mean()
            assert abs(share - expected) <= 5 * math.sqrt(expected * (1 - expected) / 60_000)
    assert sorted(tg.multinomial(tg.rand(9) + 0.1, 9).tolist()) == list(range(9))


@pytest.mark.parametrize(("low", "high"), [(0, 2), (0, 10), (-7, 9), (0, 1000), (5, 6)])
def test_integers_are_even(low: int, high: int) -> None:
    x = draw("integers", low=low, high=high)
    assert x.dtype == np.int64
    n = high - low
    counts = np.bincount(x - low, minlength=n)
    assert len(counts) == n
    if n > 1:
        chi2 = float(((counts - N / n) ** 2 / (N / n)).sum())
        assert abs(chi2 - (n - 1)) < 6 * math.sqrt(2 * (n - 1)) + 6


@pytest.mark.parametrize(("low", "high"), [(0, 2**32), (0, 3 * 2**61), (-(2**63), 2**63 - 1), (-(2**40), 2**52 + 1)])
def test_wide_integers_are_even(low: int, high: int) -> None:
    x = draw("integers", low=low, high=high)
    assert int(x.min()) >= low
    assert int(x.max()) < high
    u = np.array([(int(v) - low) / (high - low) for v in x[:50_000]])
    assert kolmogorov(u, u) < KOLMOGOROV


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1000, 100_003])
def test_permutation_is_one(n: int) -> None:
    x = run("permutation", Sample("", (), {"n": n, **KEY}))[0]
    assert x is not None
    assert x.dtype == np.int64
    np.testing.assert_array_equal(np.sort(x), np.arange(n))
    if n >= 1000:
        assert abs(np.corrcoef(x, np.arange(n))[0, 1]) < 5 / math.sqrt(n)
        assert np.mean(x == np.arange(n)) < 0.01


def test_permutations_are_all_equally_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    draws = 12_000
    for step in range(draws):
        (p,) = call("permutation", [], {"n": 4, **KEY, "step": step})
        key = tuple(p.tolist())
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 24
    chi2 = sum((c - draws / 24) ** 2 / (draws / 24) for c in counts.values())
    assert chi2 < 23 + 6 * math.sqrt(2 * 23)


# ---------------------------------------------------------------- generators


def test_manual_seed_repeats() -> None:
    tg.manual_seed(5)
    first = [tg.rand(7).tolist(), tg.randn(7).tolist(), tg.randint(0, 9, (7,)).tolist(), tg.randperm(7).tolist()]
    tg.manual_seed(5)
    assert [
        tg.rand(7).tolist(),
        tg.randn(7).tolist(),
        tg.randint(0, 9, (7,)).tolist(),
        tg.randperm(7).tolist(),
    ] == first
    tg.manual_seed(6)
    assert tg.rand(7).tolist() != first[0]


def test_generators_are_independent() -> None:
    a, b = tg.Generator(), tg.Generator()
    a.manual_seed(1)
    b.manual_seed(1)
    x = tg.rand(5, generator=a)
    tg.rand(5)
    assert tg.rand(5, generator=b).tolist() == x.tolist()
    assert tg.rand(5, generator=a).tolist() != x.tolist()


def test_consecutive_calls_differ() -> None:
    tg.manual_seed(0)
    assert tg.rand(100).tolist() != tg.rand(100).tolist()


READ_ONLY = tg.from_numpy(np.frombuffer(bytes(16), dtype="f4"))


@pytest.mark.parametrize(
    "refused",
    [
        lambda g: tg.rand(2, dtype=tg.int64, generator=g),
        lambda g: tg.randn(2, dtype=tg.int64, generator=g),
        lambda g: tg.randint(3, 1, (2,), generator=g),
        lambda g: tg.randperm(-1, generator=g),
        lambda g: tg.randperm(3, dtype="nonsense", generator=g),
        lambda g: tg.bernoulli(tg.arange(3), generator=g),
        lambda g: tg.normal(0.0, -1.0, (2,), generator=g),
        lambda g: tg.dropout(tg.arange(3), generator=g),
        lambda g: tg.dropout_mask((2,), 1.5, generator=g),
        lambda g: READ_ONLY.uniform_(generator=g),
        lambda g: READ_ONLY.normal_(generator=g),
        lambda g: READ_ONLY.random_(generator=g),
        lambda g: tg.multinomial(tg.ones(3), 4, generator=g),
        lambda g: tg.multinomial(tg.ones(3), 0, generator=g),
        lambda g: tg.multinomial(tg.tensor([0.0, 1.0]), 2, generator=g),
        lambda g: tg.multinomial(tg.zeros(2), 1, True, generator=g),
        lambda g: tg.multinomial(tg.tensor([-1.0, 2.0]), 1, generator=g),
        lambda g: tg.multinomial(tg.tensor([math.nan, 2.0]), 1, generator=g),
        lambda g: tg.multinomial(tg.tensor([math.inf, 2.0]), 1, generator=g),
        lambda g: tg.multinomial(tg.ones(2, 2, 2), 1, generator=g),
        lambda g: tg.multinomial(tg.tensor([1, 2]), 1, generator=g),
        lambda g: tg.zeros(2).random_(0, generator=g),
        lambda g: tg.zeros(2).random_(5, 5, generator=g),
        lambda g: tg.zeros(2).random_(1, 2, 3, generator=g),
        lambda g: tg.zeros(2).random_(2**24 + 2, generator=g),
        lambda g: tg.zeros(2, dtype=tg.uint8).random_(257, generator=g),
        lambda g: tg.zeros(2, dtype=tg.uint8).random_(-1, 5, generator=g),
    ],
)
def test_a_refused_call_draws_nothing(refused: Callable[[tg.Generator], object]) -> None:
    g = tg.Generator()
    before = g.get_state().tolist()
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        refused(g)
    assert g.get_state().tolist() == before
    tg.rand(1, generator=g)
    assert g.get_state().tolist() != before


def test_a_refused_state_changes_nothing() -> None:
    g = tg.Generator().manual_seed(3)
    before = g.get_state().tolist()
    with pytest.raises(RuntimeError):
        g.set_state(tg.tensor([0] * 8 + [255] * 8, dtype=tg.uint8))
    assert g.get_state().tolist() == before


def test_generators_repeat_and_do_not_disturb_each_other() -> None:
    def draw(g: tg.Generator) -> list[Any]:
        return [
            *(tg.rand(3, generator=g), tg.randn(2, generator=g), tg.randint(9, (4,), generator=g)),
            *(tg.randperm(5, generator=g), tg.bernoulli(tg.full((4,), 0.5), generator=g)),
            *(tg.normal(1.0, 2.0, (3,), generator=g), tg.dropout(tg.ones(8), generator=g)),
            *(tg.zeros(3).uniform_(generator=g), tg.zeros(3).normal_(generator=g)),
        ]

    first, again = draw(tg.Generator().manual_seed(4)), draw(tg.Generator().manual_seed(4))
    other = draw(tg.Generator().manual_seed(5))
    for a, b in zip(first, again, strict=True):
        assert tg.equal(a, b)
    assert not all(tg.equal(a, b) for a, b in zip(first, other, strict=True))
    g = tg.Generator().manual_seed(-1)
    assert g.initial_seed() == 2**64 - 1
    state = g.get_state()
    a = tg.rand(4, generator=g)
    assert not tg.equal(a, tg.rand(4, generator=g))
    assert tg.equal(a, tg.rand(4, generator=g.set_state(state)))
    assert tg.manual_seed(9) is tg.default_generator
    assert tg.initial_seed() == 9


def test_generator_is_locked() -> None:
    g = tg.Generator()
    steps: list[int] = []

    def keep(step: int) -> tg.Tensor:
        steps.append(step)
        return tg.zeros(0)

    def draw() -> None:
        for _ in range(2000):
            g.draw(lambda seed, stream, step: keep(step))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(steps) == list(range(8000))
