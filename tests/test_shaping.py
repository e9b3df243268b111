"""Views, and tensors put together, repeated, padded and turned: PyTorch's values, shapes and exceptions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigrad as tg

torch = pytest.importorskip("torch", reason="compares with torch")
F = torch.nn.functional

# Each is evaluated twice: L is trigrad and torch, x (2, 3, 4), s a 0-d tensor, v (3,), m (3, 5).
EXPRESSIONS = """
x.narrow(1, -1, 1)
x.narrow(1, 1, 3)
x.narrow(1, 0, -1)
x.narrow(1, 4, 0)
x.narrow(3, 0, 1)
x.narrow(1, 3, 0)
s.narrow(0, 0, 1)
L.narrow(x, 2, 1, 2)
x.select(1, 2)
x.select(1, 5)
L.select(x, -1, -4)
x.split(2, 1)
x.split([1, 2], 1)
x.split([1, 1], 1)
x.split([4, -1], 1)
x.split(0, 1)
x.split(-1, 1)
x.split(split_size=2, dim=2)
L.split(x, split_size_or_sections=3, dim=-1)
s.split(1)
x[:0].split(2)
x[:0].split(0)
x.chunk(2, 1)
x.chunk(7, 1)
x.chunk(0, 1)
x[:0].chunk(3)
L.chunk(x, 3, dim=-1)
x.tensor_split(2, 1)
x.tensor_split((1, 2), 1)
x.tensor_split(5, 1)
x.tensor_split((2, 1, -1), 2)
x.tensor_split((9, 10), 2)
x.tensor_split(0)
s.tensor_split(1)
x.unbind(1)
L.unbind(x)
s.unbind()
x.diagonal()
x.diagonal(1)
x.diagonal(0, 1, 1)
x.diagonal(9)
x.diagonal(-9)
x.diagonal(offset=-1, dim1=1, dim2=2)
x.diagonal(1, 2, 1)
v.diagonal()
x.unfold(2, 2, 1)
x.unfold(2, 2, 2)
x.unfold(1, 3, 7)
x.unfold(2, 5, 1)
x.unfold(2, 2, 0)
x.unfold(2, 0, 1)
s.unfold(0, 1, 1)
s.unfold(0, 2, 1)
x.movedim(0, 2)
x.movedim((0, 1), (1, 2))
x.movedim((0, 1), (1, 1))
x.movedim((0, 0), (0, 1))
x.movedim((0, 1), (1,))
L.moveaxis(x, -1, 0)
x.as_strided((2, 2), (1, 2))
x.as_strided((2, 2), (1, 2), 1)
x.as_strided((200, 2), (1, 2), 1)
x.as_strided((2, 2), (1, 2, 3), 1)
x.as_strided((2, 2), (1, 2), -1)
x.as_strided((0, 2), (1, 2), 5)
x[1].as_strided((24,), (1,), 0)
x[1].as_strided((2,), (1,))
x.unflatten(2, (2, 2))
x.unflatten(2, (2, -1))
x.unflatten(2, (2, 3))
x.unflatten(2, (-1, -1))
x.unflatten(2, ())
x[:0].unflatten(2, (2, -1))
x.mT.ravel()
x.swapaxes(0, 1)
x.swapdims(dim0=0, dim1=-1)
x.view(L.int32)
x.view(L.float64)
x.view(L.uint8)
v.view(L.float64)
s.view(L.int32)
s.view(L.int16)
x.transpose(0, 2).view(L.int16)
x.flip(0)
x.flip((0, 2))
x.flip(0, 0)
x.flip()
x.flip(3)
x.fliplr()
L.flipud(x)
v.fliplr()
s.flipud()
x.roll(1)
x.roll(-7)
x.roll((1, 2), (0, 1))
x.roll((1, 2), (1, 1))
x.roll(100, -1)
x.roll((1, 2))
x.roll(1, (0, 1))
s.roll(1)
x[:0].roll(1, 0)
x.rot90()
x.rot90(2, (1, 2))
x.rot90(-1, (2, 0))
x.rot90(4)
x.rot90(1, (0, 0))
x.rot90(1, (0,))
v.rot90()
x.repeat(2)
x.repeat(2, 1, 1, 1)
x.repeat((1, 2, 3))
x.repeat(1, 1, 1)
x.repeat(1, 1, -1)
x.repeat(0, 1, 1)
s.repeat(3)
x.expand(2, 2, 3, 4).repeat(2, 2, 2, 2)
v.expand(2, 2, 2, 2, 3).repeat(2, 2, 2, 2, 2)
x.tile(2)
x.tile((2, 2, 2, 2))
L.tile(v, ())
x.repeat_interleave(2)
x.repeat_interleave(2, 1)
x.repeat_interleave(0, 1)
x.repeat_interleave(L.tensor([1, 2, 0]), 1)
x.repeat_interleave(L.tensor([2]), 1)
x.repeat_interleave(L.tensor([1, 2]), 1)
x.repeat_interleave(L.tensor([0, 0, 0]), 1)
x.repeat_interleave(-1, 1)
x.repeat_interleave(L.tensor([1, 2, 0]), 1, output_size=3)
L.repeat_interleave(L.tensor([1, 2, 0]))
L.meshgrid(v, m[0], indexing="ij")
L.meshgrid([v, m[0]], indexing="xy")
L.meshgrid(v, s, indexing="xy")
L.meshgrid(m, indexing="xy")
L.meshgrid(v, v.int(), indexing="xy")
L.meshgrid(v, v, indexing="yx")
L.cartesian_prod(v, m[0], v)
L.cartesian_prod(v)
L.atleast_1d(s)
L.atleast_1d(s, m)
L.atleast_2d(v)
L.atleast_3d(v)
L.atleast_3d([m, x])
L.diag(v, 1)
L.diag(v, -2)
L.diag(m, 1)
L.diag(x)
L.diag(v[:0])
L.diag_embed(x, 1)
L.diag_embed(x, -2)
L.diag_embed(x, 0, 0, 1)
L.diag_embed(x, 1, 2, 0)
L.diag_embed(x, 0, 0, 0)
L.diagflat(x, 1)
L.diagflat(s)
L.hstack([s, s])
L.hstack([m, m])
L.vstack([s, v[:1]])
L.vstack([v, v])
L.dstack([v, v])
L.dstack([s, s])
L.column_stack([s, s])
L.column_stack([v, m])
L.stack([x, x], 3)
L.stack([x, x.double()], -1)
L.stack([x, x], 5)
L.stack([s, s])
L.stack([x, x[:1]])
L.stack([])
L.broadcast_tensors(m[:, :1], v)
L.broadcast_tensors(m, v)
L.broadcast_shapes((2, 1), (3,), (1, 1, 1))
L.broadcast_shapes((2,), (3,))
x[:, :1].squeeze((0, 1))
x[:, :1].squeeze((1, 1))
L.concat([x, x], 1)
L.cat([])
L.cat([s])
L.cat([v, v.long()])
L.cat([v.half(), v.bfloat16()])
L.cat([v.to(L.uint8), v.to(L.int8)])
L.cat([v > 1, v > 2])
L.cat([v[:0], x], 1)
L.cat([v[:0], v[:0].long()])
L.cat([m, m[:, :2]])
L.cat([m, m[:, :2]], -1)
L.cat([m, v])
L.cat([m, m], 5)
L.cat(v)
L.cat([v, 1.0])
L.cat([m.T, m.T, m.T[:2]])
L.tril(m)
L.triu(m.long(), 2)
L.tril(m > 1, -1)
L.triu(v)
x.transpose(0, 2).tril_(1)
m.T.triu_()
x.permute((0, 0, 1))
x.flatten(2, 1)
x.squeeze(5)
x.detach()
x.data
v.nelement()
x.is_same_size(x)
x.is_same_size(v)
""".strip().splitlines()


def outcome(library: Any, expression: str) -> Any:
    def float32(values: Any) -> Any:
        return library.tensor(np.asarray(values, np.float32))

    names = {
        "L": library,
        "x": float32(np.arange(24).reshape(2, 3, 4)),
        "s": float32(5.0),
        "v": float32([1, 2, 3]),
        "m": float32(np.arange(15).reshape(3, 5)),
    }
    try:
        return values(eval(expression, names))
    except Exception as e:  # noqa: BLE001 -- whatever it is, it is compared
        return type(e), e


def values(result: Any) -> Any:
    """Shapes, dtypes and elements, for comparison."""
    if type(result).__name__ == "Tensor":
        return tuple(result.shape), str(result.dtype).split(".")[1], result.tolist()
    if isinstance(result, (tuple, list)):
        return [values(r) for r in result]
    return result


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_as_torch(expression: str) -> None:
    ours, theirs = outcome(tg, expression), outcome(torch, expression)
    if isinstance(theirs, tuple) and isinstance(theirs[0], type):
        assert isinstance(ours[0], type), f"got {ours}, expected {theirs[0].__name__}: {theirs[1]}"
        # The kinds that stand for a bad argument are not told apart: PyTorch's parser and its ops differ in them.
        assert issubclass(ours[0], (theirs[0], RuntimeError) if theirs[0] is TypeError else theirs[0]), ours[1]
        assert str(ours[1]).startswith("["), "errors name the op"
        return
    assert ours == theirs


def test_what_is_a_view_and_what_is_not() -> None:
    x = tg.arange(24).reshape(2, 3, 4)
    for view in (
        *(x.narrow(1, 1, 2), x.select(0, 1), x.diagonal(), x.unfold(2, 2, 2), x.movedim(0, 1), x.swapaxes(0, 1)),
        *(x.unflatten(2, (2, 2)), x.ravel(), x.data, x.detach(), x.as_strided((2,), (1,)), *x.split(2, 1), *x.chunk(2)),
        *(*x.unbind(), *x.tensor_split(2, 2), *tg.broadcast_tensors(x, x), tg.atleast_1d(x), x.view(tg.float64)),
    ):
        before = x._version
        view.zero_()
        assert x._version == before + 1
    for copy in (
        *(x.flip(0), x.roll(0, 0), x.roll(1), x.rot90(0), x.repeat(1, 1, 1), x.tile(1), x.repeat_interleave(1, 0)),
        *(tg.cat([x]), tg.stack([x]), tg.pad(x, ()), tg.pad(x, (), "reflect"), tg.diag(x[0]), x.tril()),
    ):
        before = x._version
        copy.zero_()
        assert x._version == before


def test_data_is_replaced() -> None:
    x = tg.ones(2)
    x.data = y = tg.zeros(3)
    y += 1
    assert x.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(TypeError, match="expected a Tensor"):
        x.data = 3  # type: ignore[assignment]


def test_axis_is_dim() -> None:
    x = tg.arange(6).reshape(2, 3)
    assert tg.stack([x, x], axis=1).shape == (2, 2, 3)  # type: ignore[call-arg]
    assert x.unsqueeze(axis=0).shape == (1, 2, 3)  # type: ignore[call-arg]
    assert len(x.split(1, axis=1)) == 3  # type: ignore[call-arg]
    assert tg.cat([x, x], axis=1).shape == (2, 6)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="dim twice"):
        x.split(1, dim=0, axis=1)  # type: ignore[call-arg]


# ---- any shapes and strides

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool", "int8", "int16", "float16"]
SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@st.composite
def arrays(draw: st.DrawFn, shape: list[int] | None = None, dtype: str | None = None) -> np.ndarray:
    """An array of any layout: axes in any order, some reversed, some with gaps."""
    shape = draw(SHAPES) if shape is None else shape
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, -1, 2])) for _ in shape]
    base = [shape[i] * abs(steps[i]) for i in order]
    dtype = draw(st.sampled_from(DTYPES)) if dtype is None else dtype
    data = (np.arange(math.prod(base)) % 101).reshape(base).astype(dtype)
    back = np.transpose(data, np.argsort(order)) if len(shape) else data
    return back[tuple(slice(None, None, s) for s in steps)]


def pair(a: np.ndarray) -> tuple[Any, Any]:
    return tg.from_numpy(a), torch.from_numpy(np.array(a))


def same(ours: Any, theirs: Any) -> None:
    assert values(ours) == values(theirs)


@given(st.data())
def test_cat_and_stack(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=10))
    parts = []
    for n in lengths:
        own = list(shape)
        own[dim] = n
        parts.append(pair(data.draw(arrays(own))))
    if any(list(p[0].shape) == [0] for p in parts) and len(shape) > 1:
        return
    same(tg.cat([p[0] for p in parts], dim), torch.cat([p[1] for p in parts], dim))
    alike = [pair(data.draw(arrays(shape))) for _ in lengths]
    same(tg.stack([p[0] for p in alike], dim), torch.stack([p[1] for p in alike], dim))


@given(st.data())
def test_constant_pad(data: st.DataObject) -> None:
    a = data.draw(arrays())
    ours, theirs = pair(a)
    n = data.draw(st.integers(0, a.ndim))
    widths = data.draw(st.lists(st.integers(-3, 3), min_size=2 * n, max_size=2 * n))
    value = data.draw(st.sampled_from([0, 1, 7]))
    try:
        want = F.pad(theirs, widths, value=value)
    except RuntimeError:
        with pytest.raises(RuntimeError, match=r"\[pad\]"):
            tg.pad(ours, widths, value=value)
        return
    same(tg.pad(ours, widths, value=value), want)


@given(st.data())
def test_other_pads(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["reflect", "replicate", "circular"]))
    k = data.draw(st.integers(1, 2))
    shape = [2] * data.draw(st.integers(1, 2)) + [data.draw(st.integers(1, 5)) for _ in range(k)]
    ours, theirs = pair(data.draw(arrays(shape, "float64")))
    widths = data.draw(st.lists(st.integers(-1, 4), min_size=2 * k, max_size=2 * k))
    if mode == "circular":  # of negative widths PyTorch makes elements that it never wrote
        widths = [max(w, 0) for w in widths]
    if any(n + widths[2 * i] + widths[2 * i + 1] < 1 for i, n in enumerate(shape[::-1][:k])):
        return
    try:
        want = F.pad(theirs, widths, mode)
    except RuntimeError:
        with pytest.raises(RuntimeError, match=r"\[pad\]"):
            tg.pad(ours, widths, mode)
        return
    same(tg.pad(ours, widths, mode), want)


def test_pad_of_more_than_four_axes() -> None:
    ours, theirs = pair(np.arange(2 * 3 * 2 * 1 * 2 * 2).reshape(2, 3, 2, 1, 2, 2))
    widths = (1, 0, 0, 1, 2, 2, 1, 1, -1, 2, 0, 1)
    same(tg.pad(ours, widths, value=5), F.pad(theirs, widths, value=5))


@pytest.mark.parametrize(
    ("pad", "mode", "error"),
    [((1,), "constant", RuntimeError), ((1, 1, 1, 1), "constant", RuntimeError), ((1, 1), "wrap", NotImplementedError)],
)
def test_pads_that_are_refused(pad: Any, mode: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^\[pad\]"):
        tg.pad(tg.ones(3), pad, mode)
    with pytest.raises(error):
        F.pad(torch.ones(3), pad, mode)


@given(st.data())
def test_turned_and_repeated(data: st.DataObject) -> None:
    a = data.draw(arrays())
    ours, theirs = pair(a)
    dim = data.draw(st.integers(-a.ndim, a.ndim - 1))
    k = data.draw(st.integers(-5, 5))
    same(ours.flip(dim), theirs.flip(dim))
    same(ours.roll(k, dim), theirs.roll(k, dim))
    same(ours.roll(k), theirs.roll(k))
    times = data.draw(st.lists(st.integers(0, 3), min_size=a.ndim, max_size=5))
    same(ours.repeat(times), theirs.repeat(times))
    same(ours.tile(times[:2]), theirs.tile(times[:2]))
    same(ours.repeat_interleave(abs(k), dim), theirs.repeat_interleave(abs(k), dim))
    counts = data.draw(st.lists(st.integers(0, 3), min_size=a.shape[dim], max_size=a.shape[dim]))
    if counts:
        same(ours.repeat_interleave(tg.tensor(counts), dim), theirs.repeat_interleave(torch.tensor(counts), dim))
    if a.ndim > 1:
        same(ours.rot90(k), theirs.rot90(k))
        for diagonal in (k, 0):
            same(ours.tril(diagonal), theirs.tril(diagonal))
            same(ours.triu(diagonal), theirs.triu(diagonal))
            same(ours.diagonal(diagonal), theirs.diagonal(diagonal))
    same(tg.diag_embed(ours, k), torch.diag_embed(theirs, k))


@given(st.data())
def test_triangles_in_place(data: st.DataObject) -> None:
    a = np.array(data.draw(arrays([3, 4, 5], "float32")))
    view = data.draw(
        st.sampled_from([lambda x: x, lambda x: x.mT, lambda x: x[::2, 1:, ::3], lambda x: x.permute(2, 1, 0)])
    )
    k = data.draw(st.integers(-6, 6))
    ours, theirs = tg.tensor(a), torch.from_numpy(a.copy())
    if view(ours).ndim == 3 and data.draw(st.booleans()):
        view(ours).tril_(k), view(theirs).tril_(k)
    else:
        view(ours).triu_(k), view(theirs).triu_(k)
    same(ours, theirs)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (9, 2), (3, 3, 3), (0, 3)])
def test_fill_diagonal(shape: tuple[int, ...], wrap: bool) -> None:
    same(tg.zeros(shape).fill_diagonal_(7, wrap), torch.zeros(shape).fill_diagonal_(7, wrap))
    with pytest.raises(RuntimeError, match=r"^\[fill_diagonal_\]"):
        tg.zeros(2, 3, 4).fill_diagonal_(1)


def test_lengths_and_steps_beyond_all_memory() -> None:
    x = tg.arange(3)
    for size in (3, 2**62, 2**63 - 1):
        assert [p.tolist() for p in x.split(size)] == [[0, 1, 2]]
    assert x[:: 2**62].tolist() == [0]
    assert x.expand(2, 3)[:, :: 2**63 - 1].unsqueeze(1).tolist() == [[[0]], [[0]]]


def test_bytes_of_another_type_must_be_aligned() -> None:
    array = np.arange(17, dtype=np.uint8)
    odd = tg.from_numpy(array[1:] if array.ctypes.data % 2 == 0 else array[:16])
    with pytest.raises(RuntimeError, match=r"^\[view\] the memory is not aligned to the 8-byte elements of float64"):
        odd.view(tg.float64)
    assert odd.clone().view(tg.float64).shape == (2,)
