"""Where the samples of all rooms are kept: SAMPLES[name](dtype) makes small ones of many shapes, LARGE[name](dtype) one
that several threads share. A sample's tensors come first, whatever their place in the signature, the members of a list after
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from values import Sample

Maker = Callable[[str], Iterator[Sample]]
SAMPLES: dict[str, Maker] = {}
LARGE: dict[str, Callable[[str], Sample]] = {}


def of(name: str) -> Callable[[Maker], Maker]:
    def keep(maker: Maker) -> Maker:
        SAMPLES[name] = maker
        return maker

    return keep
