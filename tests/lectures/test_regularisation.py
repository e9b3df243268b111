"""What keeps a network from learning the noise: rows 102 and 103 of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

import experiments
import trigrad as tg


def test_row_102_sgd_from_zero_finds_the_shortest_solution(record: dict[str, str]) -> None:
    script = experiments.load("implicit_regularisation")
    fits = script.experiment()
    x, y = script.features(script.places(12)), script.curve(script.places(12))
    shortest = np.linalg.pinv(x) @ y
    np.testing.assert_allclose(fits[0].w, shortest, atol=1e-12)
    assert all(fit.train < 1e-20 for fit in fits)
    for start, fit in enumerate(fits[1:-1], 1):
        tg.manual_seed(start)
        model = tg.nn.Linear(x.shape[1], 1, bias=False).double()
        begin = tg.nn.init.normal_(model.weight).detach().numpy()[0]
        nearest = begin + np.linalg.pinv(x) @ (y - x @ begin)
        np.testing.assert_allclose(fit.w, nearest, atol=1e-12)
        assert fit.length > 2 * fits[0].length
        assert fit.test > 20 * fits[0].test
    record["row 102, error between the points, from 0 and from a random start"] = (
        f"{fits[0].test:.4f}, {fits[1].test:.4f}"
    )
    experiments.drawn(script, fits, 1)


@pytest.mark.proof
def test_row_103_constraints_and_noise(full: bool) -> None:
    script = experiments.load("weight_constraints_and_noise")
    result = script.experiment(seeds=6 if full else 2)
    by_way = {way: [fit for fit in result.fits if fit.way == way] for way in script.WAYS}
    for way in ("max-norm 1", "weight noise", "input noise"):
        for fit, free in zip(by_way[way], by_way["free"], strict=True):
            assert fit.train > 3 * free.train
            assert fit.test < 0.7 * free.test
            assert fit.test - fit.train < 0.5 * (free.test - free.train)
            assert fit.longest < 0.7 * free.longest
    assert all(fit.longest <= 1 + 1e-6 for fit in by_way["max-norm 1"])
    linear = result.linear
    assert linear["noise"] == pytest.approx(linear["ridge"], abs=0.01)
    assert max(linear["ridge"]) < 0.7, "without noise all are 1"
    experiments.drawn(script, result, 1)
