"""Features of mean 0 and deviation 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trigrad import ops
from trigrad._core import Tensor, float32, float64, from_numpy
from trigrad._creation import as_tensor
from trigrad.data._table import Table

if TYPE_CHECKING:
    from trigrad.nn import Standardize
    from trigrad.realtime import Scaler

__all__ = ["Standardizer"]

Array: TypeAlias = NDArray[Any]
STATE = ("mean", "std", "offset", "scale")


class Standardizer:
    """(x - offset) · scale per feature in float32, with mean and deviation of the events that it was fitted to.

    >>> import numpy as np
    >>> import trigrad as tg
    >>> s = tg.data.Standardizer().fit(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> s.transform(np.array([[3.0, 20.0]]))
    array([[1., 0.]], dtype=float32)
    >>> s.scaler()  # for trigrad.realtime.Predictor
    Scaler(offset=array([ 2., 20.], dtype=float32), scale=array([1. , 0.1], dtype=float32), low=-inf, high=inf, nan='keep')
    >>> model = tg.nn.Sequential(s.layer(), tg.nn.Linear(2, 1))  # inside the model: stored and exported with it

    Sums run in float64 in trigrad's orders: the same bits on every machine. Weights of either sign count where given.
    A feature that is constant is refused, as it tells nothing; constant="keep" leaves it 0 after the shift.
    """

    def __init__(self, constant: Literal["refuse", "keep"] = "refuse") -> None:
        if constant not in ("refuse", "keep"):
            raise ValueError(f"[Standardizer] constant is {constant!r}, expected 'refuse' or 'keep'")
        self.constant = constant
        self.features: tuple[str, ...] = ()
        self.mean: Array | None = None  # (features,) float64
        self.std: Array | None = None
        self.offset: Array | None = None  # (features,) float32: what is computed with
        self.scale: Array | None = None

    def __repr__(self) -> str:
        return f"<Standardizer of {len(self._fitted()[0])} features>" if self.offset is not None else "<Standardizer>"

    def fit(self, X: Any, sample_weight: Any = None) -> Standardizer:
        """Learn mean and deviation of the events X (n, features): an array, a tensor, or a Table with its weights."""
        if isinstance(X, Table):
            sample_weight = X.weight if sample_weight is None else sample_weight
            names, X = X.features, X.X
        else:
            names = ()
        x = (X.detach() if isinstance(X, Tensor) else as_tensor(X)).to(float64)
        if x.ndim != 2 or x.numel() == 0:
            raise ValueError(
                f"[Standardizer] X has shape {tuple(x.shape)}, expected (events, features), none of them 0"
            )
        named = names or tuple(f"X[:, {k}]" for k in range(x.shape[1]))
        bad = np.argwhere(~np.isfinite(x.numpy()))
        if len(bad):
            row, column = bad[0].tolist()
            raise ValueError(
                f"[Standardizer] {named[column]} is {x.numpy()[row, column]} in row {row} ({len(bad)} such values), expected "
                "finite numbers"
            )
        if sample_weight is None:
            mean = ops.mean(x, [0])
            found = ops.mean(ops.square(ops.sub(x, mean)), [0])
        else:
            w = as_tensor(sample_weight).detach().to(float64)
            if tuple(w.shape) != (x.shape[0],):
                raise ValueError(f"[Standardizer] sample_weight has shape {tuple(w.shape)}, expected ({x.shape[0]},)")
            total = ops.sum(w)
            if not float(total) > 0:
                raise ValueError(f"[Standardizer] the weights add up to {float(total):g}, expected more than 0")
            column_of_weights = w.reshape(-1, 1)
            mean = ops.sum(ops.mul(x, column_of_weights), [0]) / total
            found = ops.sum(ops.mul(ops.square(ops.sub(x, mean)), column_of_weights), [0]) / total
        variance = np.asarray(found.numpy())
        if (variance < 0).any():
            k = int(np.argmax(variance < 0))
            raise ValueError(
                f"[Standardizer] {named[k]} has the variance {variance[k]:g} under these weights: negative ones outweigh; fit "
                "without weights"
            )
        means = np.asarray(mean.numpy())
        # Rounding leaves a constant with some 1e-16 of its own size.
        constant = np.ptp(x.numpy(), axis=0) == 0
        constant |= np.sqrt(variance) <= 1e-15 * np.abs(means)
        if constant.any() and self.constant == "refuse":
            which = [f"{named[k]} (column {k}, {means[k]:g})" for k in np.flatnonzero(constant)]
            raise ValueError(
                f"[Standardizer] {', '.join(which)} {'is' if len(which) == 1 else 'are'} constant in all {x.shape[0]} rows and "
                "tells nothing; leave it out, or say constant='keep'"
            )
        deviation = np.where(constant, 1.0, np.sqrt(variance))
        if (small := deviation < float(np.finfo(np.float32).tiny)).any():
            k = int(np.argmax(small))
            raise ValueError(
                f"[Standardizer] {named[k]} has the deviation {deviation[k]:g}, too small for float32; expected it in another unit"
            )
        self.features, self.mean, self.std = names, means, deviation
        self.offset, self.scale = means.astype(np.float32), (1 / deviation).astype(np.float32)
        return self

    def _fitted(self) -> tuple[Array, Array]:
        if self.offset is None or self.scale is None:
            raise RuntimeError("[Standardizer] it is not fitted yet; call fit(X) first")
        return self.offset, self.scale

    def _applied(self, what: str, X: Any) -> Any:
        offset, scale = self._fitted()
        x = X.detach() if isinstance(X, Tensor) else as_tensor(np.asarray(X))
        if x.ndim == 0 or x.shape[-1] != len(offset):
            raise ValueError(
                f"[{what}] X has shape {tuple(x.shape)}, expected (..., {len(offset)}), as it was fitted to"
            )
        return x.to(float32), from_numpy(offset), from_numpy(scale)

    def transform(self, X: Any) -> Any:
        """(x - offset) · scale in float32, the bits of a predictor with `scaler()`: an array, or a tensor for a tensor, or a
        Table for a Table."""
        if isinstance(X, Table):
            from dataclasses import replace

            return replace(X, X=self.transform(X.X))
        x, offset, scale = self._applied("transform", X)
        made = ops.mul(ops.sub(x, offset), scale)
        return made if isinstance(X, Tensor) else made.numpy()

    def fit_transform(self, X: Any, sample_weight: Any = None) -> Any:
        """fit(X), then transform(X)."""
        return self.fit(X, sample_weight).transform(X)

    def inverse_transform(self, X: Any) -> Any:
        """Back to the features as they were, up to rounding: x / scale + offset."""
        x, offset, scale = self._applied("inverse_transform", X)
        made = ops.add(ops.div(x, scale), offset)
        return made if isinstance(X, Tensor) else made.numpy()

    # ---- out into models, predictors and files

    def scaler(self, **more: Any) -> Scaler:
        """What `trigrad.realtime.Predictor(model, scaler=...)` takes; `more`: low, high, nan."""
        from trigrad.realtime import Scaler

        offset, scale = self._fitted()
        return Scaler(offset=offset.copy(), scale=scale.copy(), **more)

    def layer(self) -> Standardize:
        """The same as a layer, with offset and scale among the buffers of the model that it is put into."""
        from trigrad.nn import Standardize

        offset, scale = self._fitted()
        made = Standardize(len(offset))
        made.load_state_dict({"offset": from_numpy(offset), "scale": from_numpy(scale)})
        return made

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors, for `trigrad.save`."""
        self._fitted()
        return {name: from_numpy(np.array(getattr(self, name))) for name in STATE}

    def _saved(self) -> dict[str, Any]:
        """What the file of a model holds of it."""
        return {"constant": self.constant, "features": list(self.features), **self.state_dict()}

    @classmethod
    def _restored(cls, parts: dict[str, Any]) -> Standardizer:
        """The same, out of a file."""
        if set(parts) != {"constant", "features", *STATE}:
            raise ValueError(f"it has {sorted(map(str, parts))}, expected constant, features, {', '.join(STATE)}")
        made = cls(parts["constant"])
        made.load_state_dict({name: parts[name] for name in STATE})
        names = parts["features"]
        if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
            raise ValueError("its features are no list of names")
        if names and len(names) != len(made._fitted()[0]):
            raise ValueError(f"it has {len(names)} names for {len(made._fitted()[0])} features")
        made.features = tuple(names)
        return made

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        if missing := [name for name in STATE if name not in state]:
            raise KeyError(f"[load_state_dict] {missing[0]} is missing; expected {', '.join(STATE)}")
        values = {
            name: np.array(state[name].numpy() if isinstance(state[name], Tensor) else state[name]) for name in STATE
        }
        if len({v.shape for v in values.values()}) != 1 or values["mean"].ndim != 1:
            raise ValueError(
                f"[load_state_dict] got shapes {[v.shape for v in values.values()]}, expected one: (features,)"
            )
        for name, value in values.items():
            setattr(self, name, value.astype(np.float64 if name in ("mean", "std") else np.float32))
