"""Splines, Gaussian processes and a network, which need no formula, on the same points

From the deck "Deep Learning Lecture 1": "Gaussian processes allow us to build function choice from the data ... How do we fully
automate this whole procedure of approximation?" The data are the course's: a bump 10 exp(-½((x - 100)/20)²) on 5, with noise of
0 to 5, at x = 0, 1, ..., 200. How far each fit is from the truth, where the points themselves are 1.443 away:

- a Gaussian process of the course's length 1.22 follows the noise; one that chooses its length from the data does not;
- a smoothing spline that chooses its smoothness by cross-validation, and a network of standardised x, are about as good;
- the course's network, 10-10-10 on x as it is, 300 epochs of Adam at 0.01, is "surprisingly poor": 0.7 to 3.4, by its first weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

NOISE = 5 / math.sqrt(12)  # of points that are spread evenly over 5


def network(x: Any, y: Any, layers: Any, epochs: int) -> Any:
    """Adam at 0.01, all points at once."""
    trainer = tg.Trainer(layers, nn.MSELoss(), tg.optim.Adam(layers.parameters(), lr=0.01))
    trainer.fit(x[:, None].astype("float32"), y[:, None].astype("float32"), epochs=epochs, batch_size=len(x))
    with tg.no_grad():
        return layers(tg.tensor(x[:, None].astype("float32"))).numpy()[:, 0]


def experiment(seed: int = 0, epochs: int = 1500) -> dict[str, Any]:
    try:
        from scipy.interpolate import make_smoothing_spline
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    except ImportError as error:
        raise ImportError("splines and Gaussian processes: pip install scipy scikit-learn") from error

    x = np.arange(201.0)
    truth = 7.5 + 10 * np.exp(-0.5 * ((x - 100) / 20) ** 2)
    y = truth + 5 * (np.random.default_rng(seed).random(len(x)) - 0.5)
    height = ConstantKernel(float(y.var()), "fixed")
    short = GaussianProcessRegressor(height * RBF(math.sqrt(1.5)), alpha=1.0, optimizer=None)
    free = GaussianProcessRegressor(ConstantKernel(10.0) * RBF(10.0) + WhiteKernel(1.0), normalize_y=True)
    mean = y.mean()
    tg.manual_seed(1)
    raw = nn.Sequential(*(layer for n in (1, 10, 10) for layer in (nn.Linear(n, 10), nn.ReLU())), nn.Linear(10, 1))
    scaled = nn.Sequential(
        nn.Standardize(1), nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1)
    )
    scaled[0].offset.fill_(100.0)
    scaled[0].scale.fill_(1 / 58.0)
    fits = {
        "spline": make_smoothing_spline(x, y)(x),
        "Gaussian process, length 1.22": short.fit(x[:, None], y - mean).predict(x[:, None]) + mean,
        "Gaussian process, own length": free.fit(x[:, None], y).predict(x[:, None]),
        "network of x as it is": network(x, y, raw, 300),
        "network of standardised x": network(x, y, scaled, epochs),
    }
    distance = {name: float(np.sqrt(((fit - truth) ** 2).mean())) for name, fit in fits.items()}
    found = {"length": free.kernel_.k1.k2.length_scale, "noise": math.sqrt(free.kernel_.k2.noise_level * y.var())}
    return {"x": x, "y": y, "truth": truth, "fits": fits, "distance": distance, **found}


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(result["x"], result["y"], ".", color="0.6", label="points")
    axes.plot(result["x"], result["truth"], "--", color="0.4", label="truth")
    for name, fit in result["fits"].items():
        axes.plot(result["x"], fit, label=name)
    axes.set(xlabel="x", ylabel="y")
    axes.legend()
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("fit", "RMS distance from the truth"), [("the points", NOISE), *result["distance"].items()])
    print(f"the process found a length of {result['length']:.1f} and noise of {result['noise']:.2f}")
    shown.save(__file__, lambda: picture(result))
