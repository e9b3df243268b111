"""Search for settings: each point of a grid is judged by cross-validation, on several processes, and nothing that was done is
lost when the search is interrupted.

>>> import trigrad as tg
>>> from trigrad.search import grid, log_range
>>> def parabola(settings, train, validation):              # or an estimator, or a function of settings that makes one
...     return -(settings["lr"] - 0.01) ** 2
>>> found = grid(parabola, {"lr": log_range(1e-3, 1e-1, 3)}, tg.data.red_blue(20), cv=2)
>>> found.best_params_
{'lr': 0.01}
"""

from __future__ import annotations

from trigrad.search._grid import grid as grid
from trigrad.search._result import GridResult as GridResult
from trigrad.search._settings import log_range as log_range

__all__ = ["GridResult", "grid", "log_range"]
