"""Every row of the table on a GPU gives the bits of the CPU, over the samples of tests/samples.py."""

from __future__ import annotations

from typing import Any

import pytest

import trigrad as tg
from door import NAMES, PARAMS, TABLE, bits, call, inputs
from samples import NO_FLOATS, large, required, samples
from values import FLOATS, Sample, specials

pytestmark = pytest.mark.usefixtures("gpu")

# Rows without a kernel there: none but what stands here.
MISSING: set[str] = set()


def catalogue(name: str, dtype: str) -> list[Sample]:
    row = TABLE[name]
    found = [*samples(row, dtype), large(row, dtype)]
    if row["pointwise"] and row["pointwise"]["arity"] == 1 and row["pointwise"]["dtypes"] not in NO_FLOATS:
        found.append(Sample("specials", (specials(dtype),), required(row)))
    return found


def moved(tensors: list[Any], device: str) -> list[Any]:
    return [None if t is None else t.to(device) for t in tensors]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_bits(name: str, dtype: str) -> None:
    if not any(p.is_tensor for p in PARAMS[name]):
        pytest.skip("takes no tensor: tested where tensors are created")
    n = 0
    for sample in catalogue(name, dtype):
        there = moved(inputs(name, sample), "cuda")  # before the CPU's call, which may overwrite what it gets
        if name in MISSING:
            with pytest.raises(NotImplementedError, match="has no cuda kernel"):
                call(name, there, sample.attrs)
            return
        want = call(name, inputs(name, sample), sample.attrs)
        got = call(name, there, sample.attrs)
        assert len(got) == len(want)
        for k, (g, w) in enumerate(zip(got, want, strict=True)):
            assert (g is None) == (w is None), f"{name} {sample.label}: output {k}"
            if g is None:
                continue
            assert g.is_cuda, f"{name} {sample.label}: output {k} is on {g.device}"
            assert bits(g.cpu().numpy()) == bits(w.numpy()), (
                f"{name} {dtype} {sample.label}: output {k} is {g}, not {w}"
            )
            n += 1
    assert n > 0


@pytest.mark.parametrize("name", NAMES)
def test_layouts(name: str) -> None:
    """Operands that are not contiguous: the same bits."""
    row = TABLE[name]
    if name in MISSING or row["updates"] or not any(p.is_tensor for p in PARAMS[name]):
        pytest.skip("has no kernel, or takes contiguous tensors alone")
    for sample in list(samples(row, "float32"))[-6:]:
        want = call(name, inputs(name, sample), sample.attrs)
        there = [None if t is None else strided(t) for t in inputs(name, sample)]
        got = call(name, there, sample.attrs)
        for g, w in zip(got, want, strict=True):
            if g is not None:
                assert bits(g.cpu().numpy()) == bits(w.numpy()), f"{name} {sample.label}"


def strided(t: Any) -> Any:
    """On the GPU, every second element of something larger, with its axes stored in reverse."""
    if t.ndim == 0:
        return t.to("cuda")
    axes = list(range(t.ndim))[::-1]
    wide = tg.zeros(*(2 * n for n in t.permute(*axes).shape), dtype=t.dtype).to("cuda")
    view = wide[tuple(slice(None, None, 2) for _ in axes)].permute(*axes)
    view.copy_(t.to("cuda"))
    return view
