"""scikit-learn's estimators, trained by trigrad: `MLPClassifier`, `MLPRegressor`, `Perceptron` and `LogisticRegression` with
scikit-learn's parameters, in its order, with its defaults. They go into pipelines, grid searches and cross-validation.

>>> from sklearn.datasets import load_iris
>>> from trigrad.sklearn import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> model = MLPClassifier((16,), random_state=0, max_iter=400, learning_rate_init=0.01).fit(X, y)
>>> bool(model.score(X, y) > 0.95)
True

This package needs scikit-learn: pip install 'trigrad[sklearn]'. `import trigrad` does not import it.
"""

from __future__ import annotations

try:
    import sklearn as _sklearn
except ImportError:
    raise ImportError("trigrad.sklearn needs scikit-learn: pip install 'trigrad[sklearn]'") from None

from trigrad.sklearn._linear import LogisticRegression as LogisticRegression
from trigrad.sklearn._linear import Perceptron as Perceptron
from trigrad.sklearn._mlp import MLPClassifier as MLPClassifier
from trigrad.sklearn._mlp import MLPRegressor as MLPRegressor
from trigrad.sklearn._threads import register as _register

__all__ = ["LogisticRegression", "MLPClassifier", "MLPRegressor", "Perceptron"]

del _sklearn
_register()
