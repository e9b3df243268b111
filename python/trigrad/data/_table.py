"""Events with their features, what is to be learned of them, and where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad.data._splits import split_rows

__all__ = ["Table"]

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """n events: `X` (n, features) float32, `y` (n,) with class indices (int64, see `classes`) or numbers (float32), or None,
    `weight` (n,) or None. `name` and `variant` say which data these are, so that every number can say it too.

    >>> import numpy as np
    >>> import trigrad as tg
    >>> t = tg.data.Table(np.zeros((4, 2), "float32"), np.array([0, 1, 1, 0]), ("pt", "eta"), ("background", "signal"), "mine")
    >>> t
    <mine: 4 events, 2 features, 2 classes background signal>
    >>> t[[0, 1]].only("pt").X.shape
    (2, 1)
    >>> X, y = t
    """

    X: Array
    y: Array | None
    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    name: str = "data"
    variant: str = ""
    weight: Array | None = None
    target: str = "y"
    facts: dict[str, str] = field(default_factory=dict)  # origin, licence, ...

    def __post_init__(self) -> None:
        if self.X.ndim != 2 or self.X.shape[1] != len(self.features):
            raise ValueError(
                f"[Table] X has shape {self.X.shape}, expected (events, {len(self.features)}): a column for each feature name"
            )
        for name, values in (("y", self.y), ("weight", self.weight)):
            if values is not None and values.shape != (len(self.X),):
                raise ValueError(f"[Table] {name} has shape {values.shape}, expected ({len(self.X)},): one per event")

    def __len__(self) -> int:
        return len(self.X)

    def __iter__(self) -> Any:
        """X, y = table; X, y, weight = table where events have weights."""
        return iter((self.X, self.y) if self.weight is None else (self.X, self.y, self.weight))

    def __getitem__(self, rows: Any) -> Table:
        """The events of these rows: a slice, indices, or a mask."""
        if isinstance(rows, (int, np.integer)):
            rows = slice(rows, rows + 1 or None)
        return replace(
            self,
            X=self.X[rows],
            y=None if self.y is None else self.y[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    def only(self, *features: str) -> Table:
        """These features, in this order."""
        for name in features:
            if name not in self.features:
                raise KeyError(f"[only] there is no feature {name!r}; there are {', '.join(self.features)}")
        places = [self.features.index(name) for name in features]
        return replace(self, X=np.ascontiguousarray(self.X[:, places]), features=tuple(features))

    def split(self, *fractions: float, seed: int = 0, stratify: bool = True) -> tuple[Table, ...]:
        """Parts of these fractions, drawn from `seed`; classes are spread evenly unless stratify=False.

        >>> import trigrad as tg
        >>> train, held, test = tg.data.red_blue(100, seed=3).split(0.5, 0.25, 0.25, seed=7)
        >>> test
        <red/blue points, 2 dimensions, 2 apart, seed 3, part 2 of 0.5:0.25:0.25 by seed 7: 25 events, 2 features, 2 classes blue red>
        """
        labels = self.y if stratify and self.classes else None
        shares = ":".join(f"{f:g}" for f in fractions)
        parts = split_rows(len(self), *fractions, seed=seed, labels=labels)
        return tuple(
            replace(self[rows], variant=", ".join(filter(None, (self.variant, f"part {k} of {shares} by seed {seed}"))))
            for k, rows in enumerate(parts)
        )

    def digest(self) -> str:
        """sha256 of features, targets and weights: which numbers these are."""
        found = hashlib.sha256(repr((self.X.shape, self.features, self.classes)).encode())
        for values in (self.X, self.y, self.weight):
            if values is not None:
                found.update(f"{values.dtype.str}".encode())
                found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()

    def describe(self) -> dict[str, Any]:
        """What these data are, for files and reports: name, variant, counts, hash, origin."""
        made: dict[str, Any] = {
            "name": self.name,
            "variant": self.variant,
            "events": len(self),
            "features": list(self.features),
            "target": self.target,
            "sha256": self.digest(),
        }
        if self.y is not None and self.classes:
            counts = np.bincount(self.y, minlength=len(self.classes)).tolist()
            made["classes"] = dict(zip(self.classes, counts, strict=True))
        if self.weight is not None:
            made["sum of weights"] = float(self.weight.sum(dtype=np.float64))
        return made | self.facts

    def __repr__(self) -> str:
        name = ", ".join(filter(None, (self.name, self.variant)))
        words = [
            f"{len(self)} event{'s' * (len(self) != 1)}",
            f"{len(self.features)} feature{'s' * (len(self.features) != 1)}",
        ]
        if self.classes:
            shown: Sequence[str] = self.classes if len(self.classes) <= 10 else (*self.classes[:9], "...")
            words.append(f"{len(self.classes)} classes {' '.join(shown)}")
        elif self.y is not None:
            words.append(f"target {self.target}")
        if self.weight is not None:
            words.append("weights")
        return f"<{name}: {', '.join(words)}>"
