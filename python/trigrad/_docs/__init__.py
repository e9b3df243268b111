"""What the public rows of the op table do, with an example each."""

from __future__ import annotations

from trigrad import ops
from trigrad._docs import activations, indexing, kernels, ordering, pointwise, shaping

__all__: list[str] = []

ROOMS = (pointwise, activations, kernels, indexing, shaping, ordering)


def install() -> None:
    for room in ROOMS:
        for name, text in room.DOCS.items():
            row = getattr(ops, name)
            row.__doc__ = f"{row.__doc__}\n\n{text}"  # its signature comes first
