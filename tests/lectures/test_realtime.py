"""Real-time operations: row 157 of the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import trigrad as tg
from trigrad import nn, optim


def showers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Twelve shower shapes, as those of electrons (1) and of pile-up (0)."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.5).astype("f")
    return (rng.gamma(2.0 + y[:, None], 1.0, (n, 12)) - 2.5).astype("f"), y


def test_row_157_real_time_operations(tmp_path: Path) -> None:
    """A trained tagger decides event by event with the bits that it had in training, in the plan file too; the study tells
    how fast, and what passes at the trigger's rate."""
    tg.manual_seed(1)
    (x, y), (x_test, y_test) = showers(4000, 1), showers(20_000, 2)
    model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    optimizer, loss = optim.Adam(model.parameters(), lr=0.01), nn.BCELoss()
    for _ in range(60):
        optimizer.zero_grad()
        loss(model(tg.tensor(x))[:, 0], tg.tensor(y)).backward()
        optimizer.step()
    model.eval()
    with tg.no_grad():
        expected = model(tg.tensor(x_test)).numpy()

    p = tg.realtime.Predictor(model)
    assert np.stack([p(event) for event in x_test[:500]]).tobytes() == expected[:500].tobytes()
    p.save(tmp_path / "tagger.tgplan")
    loaded = tg.realtime.Predictor.load(tmp_path / "tagger.tgplan", batch=len(x_test))
    assert loaded(x_test).tobytes() == expected.tobytes()

    found = tg.realtime.study(
        p, x_test, y_test, seconds=0.005, batches=(1, 1024), trigger_rate_khz=400.0, header=False, others=False
    )
    point = found.decisions.point
    background = expected[y_test == 0, 0]
    allowed = int(len(background) * 400 / 40_000)  # of 40 MHz, one in a hundred
    highest = np.sort(background)[::-1]
    assert highest[allowed] < point.threshold <= highest[allowed - 1]
    assert point.rate_khz <= 400
    assert point.threshold_interval.low < point.threshold < point.threshold_interval.high
    assert point.signal_efficiency > 0.3  # far from the 0.01 of a coin
    accepted = np.array([p.decide(event, point.threshold) for event in x_test])
    assert accepted[y_test == 0].sum() == allowed
    assert accepted[y_test == 1].mean() == point.signal_efficiency
    hot = found.latencies[0].quantiles["median"]
    assert 0 < hot < found.provenance["model"]["floating-point operations of an event"] * 1000
