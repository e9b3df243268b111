"""The Ising model on a square lattice: configurations of spins at given temperatures."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import _core, ops
from trigrad._random import Generator, rand
from trigrad.data._download import folder_of_data
from trigrad.data._drawing import wanted
from trigrad.data._table import Table

__all__ = ["ising"]

Array: TypeAlias = NDArray[Any]
CRITICAL = 2 / math.log(1 + math.sqrt(2))  # 2.26919, Onsager 1944
TEMPERATURES = tuple(0.25 * k for k in range(1, 17))
CHAINS = 64  # of each temperature, all at once; part of what a seed means
FIRST, BETWEEN = 60, 8  # passes before the first configuration of a chain, and between two of them
CLUSTERS = 1.9, 3.0  # temperatures between which correlations are so long that single spins do not do
KEPT = 1000  # configurations from which on they are kept in a file


class _Chains:
    """Markov chains side by side: `spins` (sites, chains) of -1 and 1, at `temperatures` (chains,)."""

    def __init__(self, size: int, temperatures: Array, seed: int) -> None:
        self._generator = Generator().manual_seed(seed)
        sites = np.arange(size * size).reshape(size, size)
        self._beside = np.stack([np.roll(sites, by, axis).ravel() for axis in (0, 1) for by in (1, -1)])  # (4, sites)
        even = (np.add.outer(np.arange(size), np.arange(size)) % 2 == 0).ravel()
        self._colours = [np.flatnonzero(even), np.flatnonzero(~even)]
        boltzmann = [ops.exp(_core.from_numpy(-energy / temperatures)).numpy() for energy in (4.0, 8.0, 2.0)]
        self._two, self._four = (
            b.astype(np.float32) for b in boltzmann[:2]
        )  # of a spin with 3 or 4 neighbours like it
        self._bond = (1 - boltzmann[2]).astype(np.float32)
        self._long = np.flatnonzero((temperatures > CLUSTERS[0]) & (temperatures < CLUSTERS[1]))
        ordered = temperatures < CRITICAL
        self.spins = np.where(ordered | (self._uniform(size * size, len(temperatures)) < 0.5), 1, -1).astype(np.int8)

    def _uniform(self, *shape: int) -> Array:
        return rand(*shape, generator=self._generator).numpy()

    def sweep(self) -> None:
        """Metropolis: each spin turns with the probability min(1, exp(-ΔE / T)); the spins of one colour of the checkerboard do not
        know each other, and are asked at once."""
        for sites in self._colours:
            mine = self.spins[sites]  # (sites / 2, chains)
            alike = sum(self.spins[beside[sites]] for beside in self._beside) * mine  # ΔE / 2
            chance = self._uniform(*mine.shape)
            most = (chance < self._two).view(np.int8) + (chance < self._four).view(np.int8)
            self.spins[sites] = np.where(alike <= 2 * most, -mine, mine)

    def turn_clusters(self) -> None:
        """Wolff: from a random spin on, neighbours alike join with the probability 1 - exp(-2 / T), then all of them turn. One in
        each chain, which grow together, layer by layer."""
        chains = self._long
        if not len(chains):
            return
        count, all_chains = self.spins.shape
        flat, bond = self.spins.reshape(-1), self._bond
        first = np.empty(flat.shape, np.int32)  # who came first to a site that several reach
        site = (self._uniform(len(chains)) * np.float32(count)).astype(np.int64)
        sign = np.zeros(all_chains, np.int8)
        sign[chains] = flat[site * all_chains + chains]
        flat[site * all_chains + chains] *= -1
        while len(site):
            at = self._beside[:, site] * all_chains + chains  # (4, layer)
            chain = np.broadcast_to(chains, at.shape)
            alike = flat[at] == sign[chain]
            at, chain = at[alike], chain[alike]
            joins = self._uniform(len(at)) < bond[chain]
            at, chain = at[joins], chain[joins]
            order = np.arange(len(at), dtype=np.int32)
            first[at] = order
            once = first[at] == order
            at, chains = at[once], chain[once]
            flat[at] *= -1
            site = at // all_chains

    def configurations(self) -> Iterator[Array]:
        """(chains, sites), again and again."""
        passes = FIRST
        while True:
            for _ in range(passes):
                self.sweep()
                self.turn_clusters()
            passes = BETWEEN
            turned = self._uniform(self.spins.shape[1]) < 0.5  # the energy does not change
            self.spins = np.where(turned, -self.spins, self.spins)
            yield self.spins.T


def ising(
    n: int = 10_000,
    temperatures: Sequence[float] = TEMPERATURES,
    size: int = 40,
    *,
    seed: int = 0,
    target: Literal["phase", "temperature"] = "phase",
    folder: str | os.PathLike[str] | None = None,
) -> Table:
    """Configurations of the Ising model on a square lattice with periodic borders, E = -Σ s s' over neighbours: X (n, size²) of
    -1 and 1, row i at `temperatures[i % len(temperatures)]`. What is learned is the phase (1 below the critical temperature
    2.26919, 0 above) or the temperature. Made by checkerboard Metropolis sweeps, near the critical temperature by Wolff's clusters
    as well: 64 chains for each temperature, from which every eighth configuration is taken. From 1000 on they are kept in `folder`
    (ising in `folder_of_data()`), and read from there the next time.

    >>> import trigrad as tg
    >>> spins = tg.data.ising(100, temperatures=[1.0, 4.0], size=16)
    >>> spins
    <Ising 16 x 16, 2 temperatures 1 to 4, seed 0: 100 events, 256 features, 2 classes disordered ordered>
    >>> magnetisation = abs(spins.X.mean(1))
    >>> bool(magnetisation[spins.y == 1].min() > 0.9 > 0.5 > magnetisation[spins.y == 0].max())
    True
    """
    n = wanted("ising", n)
    T = np.asarray(temperatures, dtype=np.float64)
    if isinstance(size, bool) or size < 4 or size % 2:
        raise ValueError(f"[ising] size is {size}, expected an even number from 4 on: the lattice is a checkerboard")
    if T.ndim != 1 or not len(T) or not np.isfinite(T).all() or not (T > 0).all():
        raise ValueError(f"[ising] temperatures are {temperatures!r}, expected positive numbers")
    if target not in ("phase", "temperature"):
        raise ValueError(f"[ising] target is {target!r}, expected 'phase' or 'temperature'")
    at = folder_of_data() / "ising" if folder is None else Path(folder)
    spins = _kept(at, n, size, T, seed) if n >= KEPT else _made(n, size, T, seed)
    of_row = T[np.arange(n) % len(T)]
    return Table(
        spins.astype(np.float32) * np.float32(2) - np.float32(1),
        (of_row < CRITICAL).astype(np.int64) if target == "phase" else of_row.astype(np.float32),
        tuple(f"spin_{i}_{j}" for i in range(size) for j in range(size)),
        ("disordered", "ordered") if target == "phase" else (),
        f"Ising {size} x {size}",
        f"{len(T)} temperature{'s' * (len(T) != 1)} {T.min():g} to {T.max():g}, seed {seed}",
        target=target,
        facts={"origin": "made by trigrad.data.ising"},
    )


def _made(n: int, size: int, temperatures: Array, seed: int) -> Array:
    """(n, sites) of 0 and 1."""
    if _core.is_recording():
        raise RuntimeError(
            "[data] a compiled function cannot make events; make them outside, and pass them as arguments"
        )
    each = CHAINS * len(temperatures)
    made = np.empty((n, size * size), np.uint8)
    chains = _Chains(size, np.tile(temperatures, CHAINS), seed).configurations()
    for begin in range(0, n, each):
        made[begin : begin + each] = next(chains)[: n - begin] > 0
    return made


def _kept(folder: Path, n: int, size: int, temperatures: Array, seed: int) -> Array:
    """The same, from a file if there is one, which is written otherwise if that can be done."""
    which = hashlib.sha256(
        repr((1, size, temperatures.tolist(), CHAINS, FIRST, BETWEEN, CLUSTERS)).encode()
    ).hexdigest()
    path = folder / f"{size}-{n}-{seed}-{which[:12]}.npz"
    with (
        contextlib.suppress(OSError, KeyError, ValueError, zipfile.BadZipFile),
        path.open("rb") as opened,
        np.load(opened) as file,
    ):
        spins = np.unpackbits(file["spins"], axis=1, count=size * size)
        if len(spins) == n:
            return spins
    spins = _made(n, size, temperatures, seed)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
            try:
                np.savez_compressed(part, spins=np.packbits(spins, axis=1))
                part.close()
                os.replace(part.name, path)
            finally:
                Path(part.name).unlink(missing_ok=True)
    return spins
