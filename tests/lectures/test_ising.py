"""The Ising model: row 145 of the catalogue, and the published grid of networks that tell its phases."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import experiments

pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def _kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGRAD_DATA", str(tmp_path))


@pytest.mark.proof
def test_row_145_ising_at_and_around_its_critical_temperature(full: bool, record: dict[str, str]) -> None:
    script = experiments.load("ising_critical_temperature")
    result = script.experiment() if full else script.experiment((1.5, 2.0, 2.1, 2.5, 3.0, 3.5), n=768, near=1024)
    assert abs(script.EXACT - 2.26919) < 5e-6
    for T, energy, exact, m, exact_m in result["rows"]:
        if abs(T - script.EXACT) > 0.13:  # a lattice of 40 is infinite as well as another
            assert energy == pytest.approx(exact, abs=0.02)
            if T < script.EXACT:
                assert m == pytest.approx(exact_m, abs=0.012)
            else:
                assert m < 0.25
    assert result["T_c"] == pytest.approx(2.26919, abs=0.01 if full else 0.02)
    at = int(np.argmin(abs(script.NEAR - script.EXACT)))
    for U in result["U"].values():
        assert U[at] == pytest.approx(0.6107, abs=0.015 if full else 0.03)  # Kamieniarz and Blöte 1993
    record["critical temperature of the Ising model"] = f"{result['T_c']:.4f}, exact 2.2692"
    assert len(script.picture(result).axes) == 2


def test_row_145_exact_energy_and_magnetisation() -> None:
    """Onsager's, against values that are known otherwise."""
    onsager = experiments.load("ising_critical_temperature").onsager
    assert onsager(2.269185314)[0] == pytest.approx(-math.sqrt(2), abs=1e-6)
    for T in (0.5, 20.0):  # series for low and high temperatures
        t, x = math.tanh(1 / T), math.exp(-4 / T)
        want = -2 + 8 * x**2 + 24 * x**3 if T < 1 else -2 * t - (4 * t**3 + 12 * t**5) * (1 - t * t)
        assert onsager(T)[0] == pytest.approx(want, abs=1e-6)
    assert onsager(1.0)[1] == pytest.approx(0.9992757520)
    assert onsager(2.27)[1] == 0


@pytest.mark.proof
def test_row_145_the_published_grid(full: bool, record: dict[str, str]) -> None:
    script = experiments.load("ising_grid")
    result = script.experiment() if full else script.experiment(n=5120, neurons=(10, 100), rates=(1e-3, 1e-2, 1e-1))
    found = result["found"]
    here = {key: script.score(found, *key) for key in script.PUBLISHED}
    assert here[10, 0.1] == pytest.approx(0.993, abs=0.006)
    assert here[100, 0.01] == pytest.approx(0.996, abs=0.004)
    assert here[10, 0.01] == pytest.approx(0.957, abs=0.02)
    assert 0.6 < here[10, 0.001] < 0.9  # 75.6 %: some networks of ten units have hardly begun
    record["Ising grid, here and published"] = ", ".join(f"{k}: {v:.3f} {script.PUBLISHED[k]}" for k, v in here.items())
    assert here[10, 0.001] < here[10, 0.01] < here[10, 0.1]
    if full:
        assert any("best lr is 0.1, the largest of those tried" in words for words in result["warnings"])
    ax = script.picture(result).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lr", "neurons")
