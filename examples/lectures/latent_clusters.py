"""Clusters in the latent space of an autoencoder

From the deck "Deep Learning Lecture 1": "Unsupervised learning: clustering, dimensional reduction"; an autoencoder's "latent
space can be used for clustering".

Events of three kinds, blobs in a plane that is bent into 20 features. An autoencoder 20-32-2-32-20 that is told nothing of kinds
squeezes them into two numbers; k-means finds three clusters there, which are the kinds, and the silhouette says that there are
three. Two principal components, which cannot unbend the plane, lose ten times as much of an event.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shown

import trigrad as tg
from trigrad import nn

KINDS = 3


def events(n: int, seed: int) -> tuple[Any, Any]:
    """X (n, 20), kind (n,)"""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, KINDS, n)
    angle = 2 * np.pi * kind / KINDS
    plane = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.22 * rng.normal(size=(n, 2))
    bent = np.tanh(plane @ rng.normal(size=(2, 12)) * 1.5 + rng.normal(size=12)) @ rng.normal(size=(12, 20))
    X = bent + 0.1 * rng.normal(size=bent.shape)
    return ((X - X.mean(0)) / X.std(0)).astype("float32"), kind


def experiment(n: int = 1500, epochs: int = 60, seed: int = 0) -> dict[str, Any]:
    try:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
        from sklearn.metrics import adjusted_rand_score, silhouette_score
    except ImportError as error:
        raise ImportError("clusters: pip install scikit-learn") from error

    X, kind = events(n, seed)
    tg.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 2))
    coder = nn.Sequential(encoder, nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 20))
    trainer = tg.Trainer(coder, nn.MSELoss(), tg.optim.Adam(coder.parameters(), lr=0.005))
    trainer.fit(X, X, epochs=epochs, batch_size=50)
    with tg.no_grad():
        latent, rebuilt = encoder(tg.tensor(X)).numpy(), coder(tg.tensor(X)).numpy()
    axes = PCA(2).fit(X)
    found, silhouette = {}, {}
    for k in range(2, 7):
        found[k] = KMeans(k, n_init=4, random_state=seed).fit_predict(latent)
        silhouette[k] = float(silhouette_score(latent, found[k]))
    return {
        "latent": latent,
        "kind": kind,
        "cluster": found[KINDS],
        "silhouette": silhouette,
        "clusters": max(silhouette, key=lambda k: silhouette[k]),
        "rand": float(adjusted_rand_score(kind, found[KINDS])),
        "lost": float(((rebuilt - X) ** 2).mean()),
        "lost by PCA": float(((axes.inverse_transform(axes.transform(X)) - X) ** 2).mean()),
    }


def picture(result: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for axes, colours in zip(figure.subplots(1, 2), ("kind", "cluster"), strict=True):
        axes.scatter(*result["latent"].T, c=result[colours], s=6, cmap="viridis")
        axes.set(title=f"colours: {colours}", xlabel="first latent number", ylabel="second latent number")
    return figure


if __name__ == "__main__":
    result = experiment()
    shown.table(("clusters", "silhouette"), list(result["silhouette"].items()))
    print(f"adjusted Rand index of {KINDS} clusters and the kinds: {result['rand']:.3f}")
    print(f"lost of the features' variance: {result['lost']:.3f}, by PCA {result['lost by PCA']:.3f}")
    shown.save(__file__, lambda: picture(result))
